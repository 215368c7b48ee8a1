"""Damage to ceramic and glass: crack, chip.

The first line of every function is its severity table; all lengths are in object sizes.
"""

from __future__ import annotations

import numpy as np

from damagenet.synth.spot import Canvas, Layer, Path
from damagenet.synth.strokes import inner_colour, jagged


def crack(canvas: Canvas, severity: int) -> Layer:
    """Fracture lines: a dark core, a wall that catches light, branches, thinning tips."""
    length, width = [(0.14, 0.0026), (0.22, 0.0032), (0.32, 0.0040), (0.44, 0.0050), (0.58, 0.006)][
        severity - 1
    ]
    spot = canvas.crop(length * 1.3)
    rng, style = spot.rng(0), spot.rng(1)
    rays = int(style.choice([2, 2, 2, 2, 3, 4, 6]))
    rough = style.uniform(0.05, 0.22)
    forking = style.uniform(0.15, 0.9)
    queue = []
    for ray in range(rays):
        spread = rng.normal(0, 0.2 if rays == 2 else 0.35)
        share = 1.0 if ray == 0 else rng.uniform(0.45, 0.95)
        queue.append((np.zeros(2), spot.angle + 2 * np.pi * ray / rays + spread, share, 1.0, 0))
    paths: list[Path] = []
    t = np.linspace(0, 1, 65)
    while queue:
        start, angle, share, thick, depth = queue.pop()
        points = jagged(rng, start, angle, length * share, rough)
        uneven = np.exp(np.interp(t, np.linspace(0, 1, 17), rng.normal(0, 0.4, 17)))
        paths.append((points, width * thick * uneven * (1 - t) ** 0.5))
        for chance in (0.7, 0.4, 0.2) if depth == 0 else (0.3,) if depth == 1 else ():
            drawn, at = rng.uniform(), int(rng.integers(12, 52))
            turn, reach = rng.choice([-1, 1]) * rng.uniform(0.4, 1.3), rng.uniform(0.35, 1.0)
            if drawn < chance * forking:
                left = share * (1 - t[at]) * reach
                queue.append((points[at], angle + turn, left, thick * 0.65, depth + 1))
    core = spot.strokes(paths)
    groove = spot.blur(core, width * 0.5) * np.float32(-0.5 * width)
    gain = np.clip(spot.relief(groove, elevation=0.6), 0.6, 1.6)
    gain *= 1 - np.float32(0.3 * style.uniform()) * spot.blur(core, width * 2)
    dark = spot.base * np.float32(style.uniform(0.03, 0.2))
    return spot.layer(gain, dark, core * np.float32(style.uniform(0.7, 0.95)))


def chip(canvas: Canvas, severity: int) -> Layer:
    """A flake broken off: matt inner material in overlapping shell-shaped (conchoidal) scoops."""
    radius = [0.030, 0.044, 0.062, 0.084, 0.11][severity - 1]
    spot = canvas.crop(radius * 2.8)
    rng, style = spot.rng(0), spot.rng(1)
    u, v = spot.rotated()
    stretch = float(style.uniform(1.0, 1.6))
    u, v = u / np.float32(stretch), v * np.float32(stretch)
    rough = spot.noise(spot.rng(2), radius * 0.5, 6, 0.65)
    field = np.full(u.shape, -np.inf, np.float32)
    height = np.zeros_like(field)
    for scoop in range(int(style.integers(1, 5))):
        turn, far = rng.uniform(0, 2 * np.pi), radius * rng.uniform(0.5, 0.9) * (scoop > 0)
        size = radius * (1.0 if scoop == 0 else rng.uniform(0.25, 0.6))
        x, y = u - np.float32(far * np.cos(turn)), v - np.float32(far * np.sin(turn))
        x, y = x + 0.05 * size * rough, y - 0.05 * size * rough
        # A shell cut by flat facets: each wall is as far from its rim as it is deep, times a slope.
        shell = np.hypot(x, y)
        walls, depths = [size - shell], [0.3 * (size - shell)]
        for facet in rng.uniform(0, 2 * np.pi, 6):
            wall = size * rng.uniform(0.55, 1.1) - x * np.cos(facet) - y * np.sin(facet)
            walls.append(wall)
            depths.append(wall * rng.uniform(0.12, 0.75))
        ribs = 0.008 * size * np.sin(shell / size * rng.uniform(8, 15))
        field = np.maximum(field, np.min(walls, axis=0))
        height = np.minimum(height, -np.min(depths, axis=0) + ribs)
    cover = spot.cover(np.asarray(field, np.float32))
    grain = spot.noise(spot.rng(3), radius * 0.15, 6, 0.9)
    height = height + np.float32(0.012 * radius) * rough + np.float32(0.0040 * radius) * grain
    shade = spot.relief(np.asarray(height, np.float32), elevation=0.8, ambient=0.4)
    # Depth, not paint: the lip towards the light shadows the scar, the far wall faces the light.
    facing = -(spot.x * spot.light[0] + spot.y * spot.light[1]) / np.float32(radius)
    shade *= 1 + 0.22 * np.clip(facing, -1.5, 1.2)
    shade *= 0.45 + 0.55 * spot.blur(spot.shifted(cover, 0.11 * radius), 0.03 * radius)
    # Ridges between scoops are bright with wear, hollows dim.
    curve = (height - spot.blur(height, 0.12 * radius)) / np.float32(0.05 * radius)
    shade = np.clip(shade * (1.05 + 0.25 * np.clip(curve, -1, 1)), 0.2, 1.5)
    inner = inner_colour(spot, style, float(0.05 + 0.75 * style.uniform() ** 1.5))
    # The coating shows its own thickness along the rim.
    coat = np.exp(-np.maximum(field, 0) / np.float32(0.04 * radius))[..., None] * style.uniform()
    colour = shade[..., None] * (inner + (0.5 * spot.base - inner) * coat)
    lip = spot.relief(spot.blur(cover, 0.02 * radius) * np.float32(-0.02 * radius), elevation=0.7)
    return spot.layer(np.clip(lip, 0.7, 1.4), colour, cover * 0.98)


KINDS = (crack, chip)

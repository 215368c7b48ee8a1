"""Damage to ceramic and glass: crack, crazing, chip, shatter.

The first line of every function is its severity table; all lengths are in object sizes.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from damagenet.synth import raster, textures
from damagenet.synth.foreground import Floats
from damagenet.synth.soils import tinted
from damagenet.synth.spot import Canvas, Layer, Path, Spot, outline
from damagenet.synth.strokes import TURN, Points, craquelure, inner_colour, jagged


def crack(canvas: Canvas, severity: int) -> Layer:
    """Fracture lines: a dark core, a wall that catches light, branches, thinning tips."""
    length, width = [(0.14, 0.0026), (0.22, 0.0032), (0.32, 0.0040), (0.44, 0.0050), (0.58, 0.006)][
        severity - 1
    ]
    spot = canvas.crop(0.8 * length)
    shape = None
    if spot.texture:
        # As wide as a drawn crack, but no thinner than a pixel, which would break it into dashes.
        wide = max(0.7 * width, 0.65 * spot.pixel) / length
        shape = _thinned(textures.load(spot.texture), wide, spot.rng(0))
    if shape is None:
        spot = canvas.crop(1.3 * length)
    style = spot.rng(1)
    if shape is None:
        core = spot.strokes(_fracture(spot, style, length, width))
    else:
        core = spot.stamped(shape, 0.75 * length)
    groove = spot.blur(core, width * 0.5) * np.float32(-0.5 * width)
    gain = np.clip(spot.relief(groove, elevation=0.6), 0.6, 1.6)
    gain *= 1 - np.float32(0.3 * style.uniform()) * spot.blur(core, width * 2)
    dark = spot.base * np.float32(style.uniform(0.03, 0.2))
    return spot.layer(gain, dark, core * np.float32(style.uniform(0.7, 0.95)))


def _thinned(texture: Floats, width: float, rng: np.random.Generator) -> Floats | None:
    """A texture's lines about `width` thick, in shares of its longer side, tapering outwards.

    Specks beside the main lines are left out, and no line is thinned so far that it breaks.

    Returns:
        float32 `[h, w]`; None where the texture is broken into pieces or too thin itself.
    """
    _, parts, sizes, _ = cv2.connectedComponentsWithStats((texture > 0.35).astype(np.uint8))
    spans = sizes[1:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(-1, initial=0)
    whole = np.flatnonzero(spans > 0.3 * max(texture.shape)) + 1
    if not whole.size or sizes[whole, cv2.CC_STAT_AREA].sum() < 0.7 * sizes[1:, 4].sum():
        return None
    solid = np.isin(parts, whole).astype(np.uint8)
    depth = cv2.distanceTransform(solid, cv2.DIST_L2, 5)
    thick, half = float(np.quantile(depth[depth > 0], 0.9)), 0.5 * width * max(texture.shape)
    if thick < 0.7 * half:
        return None
    height, breadth = texture.shape
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, breadth)[None]
    outer = np.clip(1.8 * np.maximum(abs(x), abs(y)) - 0.8, 0, 1)
    uneven = cv2.resize(
        rng.normal(0, 0.15, (16, 16)), (breadth, height), interpolation=cv2.INTER_CUBIC
    )
    lost = max(0.0, 0.8 * thick - half) + thick * (outer * 0.5 + uneven)
    # The middle of a line stays, however thin the line is at that place.
    reach = 2 * int(np.ceil(1.3 * thick)) + 1
    ridge = cv2.dilate(depth, np.ones((reach, reach), np.uint8))
    lost = np.minimum(lost, ridge - max(0.75 * half, 1.6))
    return np.asarray(np.clip(depth - np.maximum(lost, 0), 0, 1), np.float32)


def _fracture(spot: Spot, style: np.random.Generator, length: float, width: float) -> list[Path]:
    """Jagged rays from the centre with forks, each as uneven in width as an opened crack."""
    rng = spot.rng(0)
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
    return paths


def crazing(canvas: Canvas, severity: int) -> Layer:
    """A net of hairline cracks in the glaze, meeting in T-junctions, with dirt drawn into them."""
    radius, cells = [(0.09, 14), (0.14, 30), (0.20, 55), (0.28, 100), (0.38, 180)][severity - 1]
    spot = canvas.crop(radius * 1.25)
    rng, style = spot.rng(0), spot.rng(1)
    net = craquelure(rng, radius, cells)
    width = float(style.uniform(0.0016, 0.0028))
    turn, shell = np.arctan2(net[..., 1], net[..., 0]), np.hypot(net[..., 0], net[..., 1])
    shell /= radius * np.interp(turn % (2 * np.pi), TURN, outline(rng, 8, 0.35))
    # No two cracks are alike, and the net dissolves towards its outline.
    widths = width * np.clip(2.5 * (1 - shell), 0, 1) * rng.uniform(0.5, 1.2, (cells, 1))
    paths = list(zip(net, widths, strict=True))
    lines = spot.strokes(paths)
    patchy = np.clip(1 + 0.35 * spot.noise(spot.rng(2), radius, 4), 0.3, 1.4)
    dirt = float(style.uniform(0.35, 1.0))
    brown = np.array([0.55, 0.85, 1.25], np.float32) * np.float32(style.uniform(0.3, 1.0))
    seep = spot.blur(lines, 0.004) * patchy * np.float32(0.35 * dirt)
    gain = np.exp(-seep[..., None] * brown)
    glint = spot.relief(spot.blur(lines, width) * np.float32(-0.6 * width), elevation=0.5)
    gain *= np.clip(glint, 0.8, 1.25)[..., None]
    dark = spot.base * np.exp(-brown * np.float32(0.8 + 1.6 * dirt))
    return spot.layer(gain, dark, np.clip(lines * patchy * np.float32(0.45 + 0.45 * dirt), 0, 0.9))


def chip(canvas: Canvas, severity: int) -> Layer:
    """A flake broken off: matt inner material in overlapping shell-shaped (conchoidal) scoops."""
    radius = [0.030, 0.044, 0.062, 0.084, 0.11][severity - 1]
    spot = canvas.crop(radius * 2.4)
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
        x, y = x + np.float32(0.09 * size) * rough, y - np.float32(0.07 * size) * rough
        # A shell cut by flat facets: each wall is as far from its rim as it is deep, times a slope.
        shell = raster.length(x, y)
        wall = np.float32(size) - shell
        deep = np.float32(0.3) * wall
        for facet in rng.uniform(0, 2 * np.pi, 4):
            cos, sin = np.float32(np.cos(facet)), np.float32(np.sin(facet))
            cut = np.float32(size * rng.uniform(0.6, 1.15)) - x * cos - y * sin
            wall = np.minimum(wall, cut)
            deep = np.minimum(deep, cut * np.float32(rng.uniform(0.2, 0.6)))
        ribs = np.sin(shell * np.float32(rng.uniform(8, 15) / size))
        field = np.maximum(field, wall)
        height = np.minimum(height, np.float32(0.012 * size) * ribs - deep)
    cover = spot.cover(field)
    grain = spot.noise(spot.rng(3), radius * 0.15, 6, 0.9)
    height = height + np.float32(0.012 * radius) * rough + np.float32(0.0060 * radius) * grain
    shade = spot.relief(height, elevation=0.8, ambient=0.4)
    # Depth, not paint: the lip towards the light shadows the scar, the far wall faces the light.
    facing = -(spot.x * spot.light[0] + spot.y * spot.light[1]) / np.float32(radius)
    shade *= 1 + 0.22 * np.clip(facing, -1.5, 1.2)
    shade *= 0.45 + 0.55 * spot.blur(spot.shifted(cover, 0.11 * radius), 0.03 * radius)
    # Ridges between scoops are bright with wear, hollows dim.
    curve = (height - spot.blur(height, 0.12 * radius)) / np.float32(0.05 * radius)
    shade = np.clip(shade * (1.05 + 0.25 * np.clip(curve, -1, 1)), 0.2, 1.5)
    inner = inner_colour(spot, style, float(style.uniform(0.25, 0.9)))
    inner = inner * np.array([1, 0.97, 0.91], np.float32) * np.float32(style.uniform(0.7, 1.0))
    # The coating shows its own thickness along the rim.
    coat = np.exp(-np.maximum(field, 0) / np.float32(0.04 * radius))[..., None] * style.uniform()
    colour = shade[..., None] * (inner + (0.5 * spot.base - inner) * coat)
    lip = spot.relief(spot.blur(cover, 0.02 * radius) * np.float32(-0.02 * radius), elevation=0.7)
    return spot.layer(np.clip(lip, 0.7, 1.4), colour, cover * 0.98)


def shatter(canvas: Canvas, severity: int) -> Layer:
    """An impact: radial and concentric fractures around a crushed spot, and tilted shards.

    Dark goods break like a screen: a dense web of glints. On opaque ones the fractures are thin
    and dark, glaze chips off, and the shards around the impact fall out.
    """
    radius, rays, rings, lost = [
        *((0.09, 9, 3, 0.0), (0.14, 12, 5, 0.15), (0.20, 15, 7, 0.25)),
        *((0.28, 18, 9, 0.32), (0.38, 21, 11, 0.38)),
    ][severity - 1]
    spot = canvas.crop(radius * 1.3)
    rng, style = spot.rng(0), spot.rng(1)
    grey = spot.base.max() < 2 * spot.base.min() + 0.01
    glass = bool(grey and spot.base.mean() < 0.1 * spot.white.mean())
    turn = np.sort((np.arange(rays) + rng.uniform(-0.42, 0.42, rays)) / rays * 2 * np.pi)
    reach = radius * rng.uniform(0.45, 1.25, rays)
    # Rings crowd around the impact; each ray meets them at its own distance.
    shell = radius * np.linspace(0.10, 0.88, rings) ** 1.3 + 0.02 * radius
    nodes = np.sort(shell[:, None] * rng.uniform(0.78, 1.22, (rings, rays)), axis=0)
    width = float(0.0013 + 0.0009 * style.uniform())
    out = np.column_stack([np.cos(turn), np.sin(turn)])
    t = np.linspace(0, 1, 17)[:, None]
    sway = np.cumsum(rng.normal(0, 0.006, (rays, 17, 1)), axis=1) * np.sqrt(t)
    radial = reach[:, None, None] * (t * out[:, None] + sway * (out[:, None, ::-1] * (-1, 1)))
    taper = width * np.linspace(1.4, 0.35, 17) * rng.uniform(0.7, 1.4, (rays, 1))
    after = np.roll(np.arange(rays), -1)
    ends = np.stack([nodes[..., None] * out, (nodes[..., None] * out)[:, after]], axis=2)
    # Concentric fractures span from ray to ray, fewer farther out.
    spans = (nodes < reach) & (nodes[:, after] < reach[after])
    spans &= rng.uniform(size=nodes.shape) < 1.0 - 0.55 * np.arange(rings)[:, None] / rings
    thick = width * rng.uniform(0.45, 1.0, (rings, rays))
    paths = list(zip(radial, taper, strict=True))
    paths += [(ends[k, ray], np.full(2, thick[k, ray])) for k, ray in np.argwhere(spans)]
    bright = rng.uniform(size=len(paths)) < (0.7 if glass else 0.2)
    where = _shards(spot, turn, nodes)
    # A shard is one when both of its rays go on beyond it; the rest of the surface holds.
    short = np.minimum(reach, reach[after])
    outer = np.maximum(nodes, nodes[:, after])
    loose = np.vstack([outer < short, np.zeros((1, rays), bool)])
    # Neighbours fall out together, on one side of the impact farther out than on the other.
    side = 0.55 + 0.6 * np.cos(turn - style.uniform(0, 2 * np.pi)) + rng.normal(0, 0.15, rays)
    fallen = np.arange(rings + 1)[:, None] < np.round(lost * rings * np.clip(side, 0.1, 1.2))
    gone = np.logical_and.accumulate(fallen & loose) & (not glass)
    # Elsewhere only the glaze came off, one shard at a time.
    bare = loose & ~gone & (rng.uniform(size=loose.shape) < (0.0 if glass else 0.025))
    tilt = np.exp(rng.normal(0, 0.09, loose.shape) * loose).astype(np.float32)
    void, scar = (
        spot.blur(shards.astype(np.float32).ravel()[where], 0.5 * spot.pixel)
        for shards in (gone, bare)
    )
    lines, cuts = (
        spot.strokes([path for path, lit in zip(paths, bright, strict=True) if lit == wanted])
        * (1 - void)
        for wanted in (True, False)
    )
    # Where the blow fell, the material is ground to pale crumbs.
    rough = spot.noise(spot.rng(2), 0.10 * radius, 4, 0.85)
    away = raster.length(*np.broadcast_arrays(spot.x, spot.y)) / np.float32(radius)
    heap = np.float32(0.13 if glass else 0.09) * (1 + np.float32(0.35) * rough) - away
    dust = np.clip(np.float32(14) * heap, 0, 1) * np.clip(0.45 + 0.5 * rough, 0, 1) * (1 - void)
    groove = spot.blur(lines + cuts, width) * np.float32(-0.8 * width)
    gain = tilt.ravel()[where] * spot.relief(groove, elevation=0.5)
    body = inner_colour(spot, style, float(style.uniform(0.45, 0.85)))
    hue = spot.base / max(float(spot.base.mean()), 1e-3)
    body = body * np.clip(hue, 0.2, 2.5) ** np.float32(0.35)  # clay has some of its glaze's hue
    # In a gap: the broken wall on the side away from the light, else the shaded inner side.
    wall = void * (1 - spot.shifted(void, -0.05 * radius))
    hollow = spot.shifted(spot.blur(void, 0.07 * radius), 0.09 * radius)
    inner = np.float32(style.uniform(0.10, 0.22)) * (np.float32(0.4) + hollow * hollow)
    inner = inner * (1 + np.float32(0.15) * rough) + np.float32(0.5) * wall
    # A scar of the glaze is nearly flat; the glaze around it throws a thin shadow.
    flat = np.float32(0.62) + np.float32(0.25) * spot.shifted(scar, 0.02 * radius)
    flat = flat * (1 + np.float32(0.10) * rough)
    matt = tinted(np.clip(inner + (flat - inner) * scar, 0.02, 1), body)
    dark = spot.base * np.float32(style.uniform(0.05, 0.22))
    # Fractures in dark glass are bright or darker still; crumbs are white in glass alone.
    white = spot.white * np.float32(style.uniform(0.45, 0.8))
    pale = white if glass else np.float32(0.5) * (body + np.minimum(white, 2 * body))
    edge = np.clip(spot.blur(np.maximum(void, scar), 1.5 * width) - void - scar, 0, 1)
    strong = np.float32(style.uniform(0.5, 0.9))
    shine = np.clip(lines * strong + np.float32(0.7) * edge + dust * np.float32(0.85), 0, 0.9)
    hole = np.maximum(void, scar) * np.float32(0.97)
    colour = matt
    for part, tone in ((cuts * (1 - hole), dark), (shine, pale)):
        share = cv2.merge([part / np.maximum(np.maximum(part, hole), np.float32(1e-6))] * 3)
        colour = colour + (tone - colour) * share
        hole = np.maximum(hole, part * np.float32(0.85))
    return spot.layer(np.clip(gain, 0.6, 1.6), colour, hole)


def _shards(spot: Spot, turn: Points, nodes: Points) -> NDArray[np.int16]:
    """Which shard `[h, w]` a pixel lies on: ring times the number of rays, plus ray.

    Args:
        spot: The patch.
        turn: Ascending angles `[rays]` of the radial fractures.
        nodes: Distances `[rings, rays]` at which straight concentric ones meet them.
    """
    rays = nodes.shape[1]
    x, y = np.broadcast_arrays(spot.x, spot.y)
    shell = raster.length(x, y)
    index = (np.arctan2(y, x) % np.float32(2 * np.pi) * np.float32(1024 / np.pi)).astype(np.int32)
    fine = np.linspace(0, 2 * np.pi, 2049)
    ray = (np.searchsorted(turn, fine) - 1) % rays
    after = (ray + 1) % rays
    start, span = (fine - turn[ray]) % (2 * np.pi), (turn[after] - turn[ray]) % (2 * np.pi)
    ring = np.zeros(shell.shape, np.int16)
    for at in nodes:
        left, right = at[ray], at[after]
        chord = left * np.sin(start) + right * np.sin(span - start)
        ring += shell > (left * right * np.sin(span) / chord).astype(np.float32)[index]
    return ring * np.int16(rays) + ray.astype(np.int16)[index]


KINDS = (crack, crazing, chip, shatter)

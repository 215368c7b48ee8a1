"""Damage that moves or removes material: crack, chip, scratch, tear, hole, dent.

The first line of every function is its severity table; all lengths are in object sizes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from damagenet.synth.foreground import Floats
from damagenet.synth.spot import Canvas, Layer, Path, Spot, outline

Points = NDArray[np.float64]
TURN = np.linspace(0, 2 * np.pi, 257)


def _jagged(
    rng: np.random.Generator, start: Points, angle: float, length: float, rough: float
) -> Points:
    """Polyline `[65, 2]`: midpoint displacement (Fournier et al., CACM 1982) of a straight line."""
    along = np.linspace(0, 1, 65)
    across = np.zeros(65)
    for level in range(1, 7):
        knots = rng.standard_normal(2**level + 1) * rough * 0.46 ** (level - 1)
        # Most knots hardly move: long smooth stretches between a few kinks.
        knots *= rng.uniform(size=knots.size) ** 1.5
        across += np.interp(along, np.linspace(0, 1, 2**level + 1), knots)
    across -= across[0]
    direction = np.array([np.cos(angle), np.sin(angle)])
    normal = np.array([-direction[1], direction[0]])
    return start + length * (along[:, None] * direction + across[:, None] * normal)


def _threads(
    rng: np.random.Generator, roots: Points, inward: Points, length: float, width: float
) -> list[Path]:
    """Curved, tapering threads from `roots` `[n, 2]` along the unit vectors `inward` `[n, 2]`."""
    t = np.linspace(0, 1, 6)[:, None]
    paths = []
    for root, direction in zip(roots, inward, strict=True):
        lean = direction + rng.normal(0, 0.6, 2)
        curl = rng.normal(0, 0.7, 2)
        reach = length * rng.uniform(0.15, 1.0) ** 1.5
        thick = width * rng.uniform(0.5, 1.1)
        paths.append((root + reach * (t * lean + t**2 * curl), thick * (1 - 0.6 * t[:, 0])))
    return paths


def _inner(spot: Spot, rng: np.random.Generator, paleness: float) -> Floats:
    """Matt colour `[3]` of the material under the surface: paler and less saturated.

    Mixed in logarithms, so that a dark surface does not open into a glowing one.
    """
    warm = np.array([1.0, 0.95, 0.86], np.float32) ** rng.uniform(0, 1.2)
    own = np.maximum(0.5 * spot.base + 0.5 * spot.base.mean(), 0.006)
    pale = np.maximum(spot.white * warm * rng.uniform(0.55, 0.8), own)
    return np.asarray(own ** (1 - paleness) * pale**paleness, np.float32)


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
        points = _jagged(rng, start, angle, length * share, rough)
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
    inner = _inner(spot, style, float(0.05 + 0.75 * style.uniform() ** 1.5))
    # The coating shows its own thickness along the rim.
    coat = np.exp(-np.maximum(field, 0) / np.float32(0.04 * radius))[..., None] * style.uniform()
    colour = shade[..., None] * (inner + (0.5 * spot.base - inner) * coat)
    lip = spot.relief(spot.blur(cover, 0.02 * radius) * np.float32(-0.02 * radius), elevation=0.7)
    return spot.layer(np.clip(lip, 0.7, 1.4), colour, cover * 0.98)


def scratch(canvas: Canvas, severity: int) -> Layer:
    """Bundles of fine parallel lines, dark or bright by the light, in a faint scuff."""
    length, lines = [(0.14, 2), (0.22, 5), (0.32, 9), (0.44, 15), (0.58, 24)][severity - 1]
    press = [0.0024, 0.0030, 0.0036, 0.0042, 0.0050][severity - 1]
    spot = canvas.crop(length * 0.8)
    rng, style = spot.rng(0), spot.rng(1)
    spread = 0.06 * length * style.uniform(0.4, 2.0)
    bend, fan = style.normal(0, 0.12), style.uniform(0.01, 0.12)
    t = np.linspace(-1, 1, 15)
    deep: list[Path] = []
    fine: list[Path] = []
    for line in range(lines):
        half = 0.5 * length * (1.0 if line == 0 else rng.uniform(0.15, 0.9))
        s = rng.normal(0, 0.15) * length + half * t
        q = rng.normal(0, spread) + rng.normal(0, fan) * s + bend * s**2 / length
        q = q + rng.normal(0, 0.0005, t.size)
        uneven = np.clip(np.interp(t, t[::2], rng.uniform(0.1, 1.5, 8)), 0, 1.2)
        width = press * rng.uniform(0.4, 1.2) * uneven * (1 - t**2) ** 0.4
        chosen = deep if line % 3 == 0 else fine
        chosen.append((spot.turned(np.column_stack([s, q])), width))
    cuts, hair = spot.strokes(deep), spot.strokes(fine)
    groove = spot.relief(spot.blur(cuts, 0.001) * np.float32(-0.003), elevation=0.5)
    u, v = spot.rotated()
    scuff = np.exp(-0.5 * (v / (1.5 * spread)) ** 2 - 2.0 * (2 * u / length) ** 4)
    streaks = spot.noise(spot.rng(2), 0.02, 5, 0.8)
    haze = np.clip(scuff * (0.06 + 0.04 * streaks), 0, 0.2) * style.uniform(0.2, 1.0)
    paleness = float(style.uniform(0.4, 0.9))
    worn = _inner(spot, style, paleness)
    # Scratches in a pale surface show by their dirt and shadow, not by brightness.
    if spot.base.mean() > 0.45 * spot.white.mean():
        worn = spot.base * np.float32(0.9 - 0.75 * paleness)
    opacity = np.clip(cuts * 0.8 + hair * np.float32(0.3 + 0.4 * paleness) + haze, 0, 0.9)
    return spot.layer(np.clip(groove, 0.55, 1.7), worn, opacity)


def tear(canvas: Canvas, severity: int) -> Layer:
    """A slit pulled open: dark gap, frayed or torn-paper edges, lips that lift and cast shadow."""
    length, opening = [(0.08, 0.012), (0.12, 0.020), (0.17, 0.032), (0.23, 0.048), (0.30, 0.066)][
        severity - 1
    ]
    spot = canvas.crop(length * 1.6)
    rng, style = spot.rng(0), spot.rng(1)
    s = np.linspace(-1, 1, 65)
    path = _jagged(rng, np.zeros(2), 0.0, 2.0, style.uniform(0.02, 0.12))[:, 1]
    # One in four turns a corner: an L-shaped tear.
    corner = style.uniform(0.3, 0.9) * style.choice([0, 0, 0, 1]) * np.abs(s - style.normal(0, 0.3))
    bow = style.normal(0, 0.15) * s**2
    path = path - np.interp(0, s, path) + corner + bow
    sag = np.clip(1 - np.abs(s) ** style.uniform(1.2, 2.5), 0, None)
    wild = rng.uniform(-1, 1, (2, 33))
    edges = [np.interp(s, np.linspace(-1, 1, 33), noise) for noise in wild]
    half = [0.5 * opening * sag * (a + 0.22 * e) for a, e in zip((0.8, 1.2), edges, strict=True)]
    u, v = spot.rotated()
    middle = np.interp(u / length, s, path) * length
    upper = v - middle + np.interp(u / length, s, half[0])
    lower = np.interp(u / length, s, half[1]) - (v - middle)
    # Beyond the tips the field falls off, so that nothing of the tear goes on there.
    beyond = np.maximum(np.abs(u) - np.float32(length), 0)
    field = np.asarray(np.minimum(upper, lower) - beyond, np.float32)
    field += np.float32(0.03 * opening) * spot.noise(spot.rng(2), opening, 4, 0.7)
    reach = np.float32(opening) * np.clip(1 - (u / (1.1 * length)) ** 2, 0.02, None)
    lift = np.exp(np.minimum(field, 0) / (0.8 * reach))
    one, other = style.uniform(0.1, 1.0, 2)
    side = spot.blur(np.where(v > middle, one, other).astype(np.float32), 0.01)
    gain = spot.relief(np.asarray(lift * side * 0.3 * reach, np.float32), elevation=0.7)
    picks, sign = rng.integers(6, 59, 48), rng.choice([-1, 1], 48)
    offset = np.where(sign > 0, half[1][picks], -half[0][picks])
    roots = np.column_stack([s, path])[picks] * length + np.column_stack([0 * offset, offset])
    inward = spot.turned(np.column_stack([0 * sign, -sign]))
    threads = _threads(rng, spot.turned(roots), inward, opening * 0.8, 0.0016)
    count = int(style.choice([0, 0, 12, 24, 48]))
    ply = opening * style.choice([0.04, 0.08, 0.3])  # wide in cardboard, hardly seen in cloth
    ragged = 1 + 0.6 * spot.noise(spot.rng(3), opening * 0.7, 5, 0.75)
    # Cardboard shows its ply along one lip only.
    one_side = side / max(float(side.max()), 1e-6) * (reach / np.float32(opening))
    rim = spot.cover(np.asarray(field + ply * ragged * one_side, np.float32))
    return _opened(spot, style, field, rim, threads[:count], np.clip(gain, 0.5, 1.4), opening)


def hole(canvas: Canvas, severity: int) -> Layer:
    """Material worn or punched through: a shadowed void, loose threads, a puckered rim."""
    radius = [0.022, 0.034, 0.050, 0.072, 0.10][severity - 1]
    spot = canvas.crop(radius * 3.2)
    rng, style = spot.rng(0), spot.rng(1)
    edge = outline(rng, 20, float(style.uniform(0.12, 0.4)))
    stretch = float(style.uniform(1.0, 1.45))
    field = spot.radial(edge, radius, stretch)
    field += np.float32(radius * 0.06) * spot.noise(spot.rng(2), radius * 0.5, 4, 0.6)
    turn = rng.uniform(0, 2 * np.pi, 64)
    ray = np.column_stack([np.cos(turn) * stretch, np.sin(turn) / stretch])
    roots = ray * (np.interp(turn, TURN, edge) * radius * 1.03)[:, None]
    inward = spot.turned(-ray / np.hypot(ray[:, 0], ray[:, 1])[:, None])
    threads = _threads(rng, spot.turned(roots), inward, radius * 0.7, 0.0016)
    outside = np.minimum(field, 0) / np.float32(radius)
    pucker = 0.10 * radius * np.exp(outside * 3) * (1 + 0.6 * spot.noise(spot.rng(3), radius, 3))
    gain = spot.relief(np.asarray(pucker, np.float32), elevation=0.7)
    ragged = 1 + 0.8 * spot.noise(spot.rng(4), radius * 0.4, 5, 0.75)
    rim = spot.cover(np.asarray(field + radius * style.uniform(0.02, 0.10) * ragged, np.float32))
    count = int(style.choice([0, 0, 0, 10, 24, 48]))
    return _opened(spot, style, field, rim, threads[:count], np.clip(gain, 0.55, 1.4), radius)


def _opened(
    spot: Spot,
    style: np.random.Generator,
    field: Floats,
    rim: Floats,
    threads: list[Path],
    gain: Floats,
    depth: float,
) -> Layer:
    """A gap with what shows in it: shadowed depth, threads over it, a rim of torn material.

    Args:
        spot: The patch.
        style: Draws the materials.
        field: float32 `[h, w]`, positive in the gap.
        rim: float32 `[h, w]` coverage of gap and torn rim together.
        threads: Drawn over the gap.
        gain: float32 `[h, w]` shading of the surface around it.
        depth: Size of the gap, which sets how far shadows reach.
    """
    gap, fray = spot.cover(field), spot.strokes(threads)
    pale = _inner(spot, style, float(style.uniform(0.1, 0.7)))
    behind = spot.base * np.float32(style.uniform(0.02, 0.14)) + np.float32(0.003)
    # The edge towards the light throws its shadow into the gap; the far part is lit.
    lit = spot.shifted(spot.blur(gap, 0.2 * depth), 0.35 * depth) * gap
    folds = 1 + np.float32(0.2) * spot.noise(spot.rng(7), depth, 5, 0.6)
    colour = behind * ((0.4 + 1.6 * lit**2) * folds)[..., None]
    torn = np.clip(rim - gap, 0, 1)
    fluff = 1 + np.float32(0.12) * spot.noise(spot.rng(8), 0.02, 5, 0.9)
    colour = colour + (pale * (gain * fluff)[..., None] - colour) * torn[..., None]
    # Threads hang into the dark: their far ends get less light.
    hanging = (0.35 + 0.65 * np.exp(-np.maximum(field, 0) / np.float32(0.3 * depth)))[..., None]
    yarn = 0.5 * (pale + spot.base) * hanging
    over = np.clip(fray, 0, 0.9)[..., None]
    colour = colour + (yarn - colour) * over
    opacity = np.maximum(np.maximum(gap * 0.97, torn * 0.7), fray * 0.9)
    cast = spot.blur(spot.shifted(np.maximum(gap, fray), 0.08 * depth), 0.15 * depth)
    return spot.layer(gain * (1 - 0.4 * cast), colour, opacity)


def dent(canvas: Canvas, severity: int) -> Layer:
    """The surface pushed in: shading alone, sometimes with a crease."""
    radius, depth = [(0.06, 0.10), (0.085, 0.14), (0.115, 0.19), (0.15, 0.24), (0.19, 0.30)][
        severity - 1
    ]
    spot = canvas.crop(radius * 2.6)
    rng, style = spot.rng(0), spot.rng(1)
    u, v = spot.rotated()
    stretch = float(style.uniform(1.0, 1.8))
    warp = 0.10 * spot.noise(spot.rng(2), radius * 1.5, 3)
    distance = np.maximum(np.hypot(u / stretch, v * stretch) / radius + warp, 0)
    bowl = -np.exp(-((distance / 0.75) ** style.uniform(2.0, 3.5)))
    rim = 0.18 * np.exp(-(((distance - 1.05) / 0.25) ** 2))
    fold = np.hypot(v - 0.25 * u * rng.normal(), 0.05 * radius) / radius
    crease = style.choice([0, 1]) * 0.3 * np.exp(-fold * 4 - (u / (1.2 * radius)) ** 2)
    height = radius * depth * (2.2 * (bowl + rim) - crease)
    return spot.layer(np.clip(spot.relief(np.asarray(height, np.float32)), 0.35, 1.8))

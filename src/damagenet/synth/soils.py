"""Damage that adds matter, changes colour or sheds a coat: stain, burn, mould, peeling.

The first line of every function is its severity table; all lengths are in object sizes.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from damagenet.synth import raster, textures
from damagenet.synth.foreground import Floats
from damagenet.synth.spot import Canvas, Layer, Spot, outline
from damagenet.synth.strokes import inner_colour

INKS = {
    "coffee": (0.35, 0.75, 1.5),
    "tea": (0.10, 0.30, 0.8),
    "wine": (0.45, 1.4, 1.1),
    "oil": (0.35, 0.42, 0.55),
    "ink": (1.6, 1.2, 0.5),
    "grass": (0.8, 0.4, 1.3),
    "rust": (0.25, 0.85, 1.6),
    "mud": (0.8, 1.0, 1.3),
    "water": (0.14, 0.15, 0.18),
}
"""Absorbance of red, green and blue light (natural logarithm) by a stain of density 1."""

LOOSE = 1.45
"""A coat is cracked this far from the middle of what peels, in radii of the bare patch."""


def absorbed(density: Floats, ink: tuple[float, ...]) -> Floats:
    """Share of light `[h, w, 3]` that passes a dye of this density twice (Beer-Lambert law)."""
    return np.asarray(np.exp(tinted(density, tuple(-part for part in ink))), np.float32)


def tinted(grey: Floats, colour: tuple[float, ...] | Floats) -> Floats:
    """`grey` `[h, w]` in a colour `[3]`: what broadcasting does, but five times as fast."""
    return np.asarray(cv2.merge([grey * np.float32(part) for part in colour]), np.float32)


def stain(canvas: Canvas, severity: int) -> Layer:
    """A dried liquid: transparent colour, a darker ring where it evaporated, a few drops."""
    radius, strength = [(0.05, 0.55), (0.08, 0.7), (0.12, 0.85), (0.17, 1.0), (0.23, 1.15)][
        severity - 1
    ]
    spot = canvas.crop(radius * 2.6)
    rng, style = spot.rng(0), spot.rng(1)
    ink = _ink(spot, style) * rng.normal(1, 0.08, 3)
    field = spot.radial(outline(rng, 12, 0.2), radius, float(style.uniform(1.0, 1.4)))
    wander = spot.noise(spot.rng(2), radius * 0.9, 6, 0.6)
    field = np.maximum(field + np.float32(0.08 * radius) * wander, np.float32(-0.1 * radius))
    for _ in range(int(style.integers(0, 14))):
        turn, far = rng.uniform(0, 2 * np.pi), min(1.15 + rng.exponential(0.4), 2.3) * radius
        drop = radius * min(max(rng.lognormal(-2.9, 0.6), 0.015), 0.22)
        reach = drop + 0.1 * radius  # to where its distance is the lowest the field has
        _drop(spot, field, (far * float(np.cos(turn)), far * float(np.sin(turn))), drop, reach)
    body = spot.cover(field, soft=radius * float(style.uniform(0.01, 0.12)))
    ring_width = np.float32(radius * style.uniform(0.03, 0.10))
    ring = np.exp(np.maximum(field, 0) / -ring_width) * np.float32(style.uniform(0.2, 1.3))
    # It dries from one side to the other: the ring is uneven.
    drying = spot.noise(spot.rng(3), radius, 6, 0.6)
    ring *= np.clip(np.float32(0.8) + np.float32(0.5) * drying, 0.15, 2)
    cloudy = np.float32(0.55) + np.float32(0.22) * drying
    density = np.clip(cloudy + ring, 0.1, 2.2) * body
    if spot.texture:
        dried = spot.stamped(textures.load(spot.texture), radius * 1.25)
        density = dried * (np.float32(0.7) + np.float32(1.3) * cloudy)
    density *= np.float32(strength)
    if spot.base.mean() > 0.06:
        return spot.layer(absorbed(density, tuple(ink)))
    # Nothing can darken a black surface: what dried there shows as a pale film, most at its rim.
    pale = spot.white * np.float32(0.6) * np.exp(-0.3 * ink).astype(np.float32)
    return spot.layer(1.0, pale, np.clip(density * density * np.float32(0.15), 0, 0.6))


def _ink(spot: Spot, style: np.random.Generator) -> NDArray[np.float64]:
    """Absorbance `[3]` of a dye that shows on the surface: red wine does not on a red box."""
    light = np.maximum(spot.base, 0.01) * (0.3, 0.6, 0.1)
    loss = [float((light * np.exp(np.negative(ink))).sum() / light.sum()) for ink in INKS.values()]
    shown = [name for name, left in zip(INKS, loss, strict=True) if left < 0.74]
    return np.array(INKS[str(style.choice(shown or ["ink"]))])


def _drop(
    spot: Spot, field: Floats, centre: tuple[float, float], size: float, reach: float
) -> None:
    """Add a round drop to a field of signed distances, as far as `reach`."""
    x, y = centre
    rows = slice(*np.searchsorted(spot.y.ravel(), (y - reach, y + reach)))
    columns = slice(*np.searchsorted(spot.x.ravel(), (x - reach, x + reach)))
    view = field[rows, columns]
    far = np.hypot(spot.x[:, columns] - np.float32(x), spot.y[rows] - np.float32(y))
    np.maximum(view, np.float32(size) - far, out=view)


def burn(canvas: Canvas, severity: int) -> Layer:
    """Scorched to charred: brown haze, cracked black centre, flecks of ash."""
    radius, heat = [(0.05, 0.6), (0.075, 0.85), (0.11, 1.1), (0.15, 1.3), (0.20, 1.5)][severity - 1]
    spot = canvas.crop(radius * 2.2)
    rng, style = spot.rng(0), spot.rng(1)
    field = spot.radial(outline(rng, 10, 0.2), radius, float(style.uniform(1.0, 1.5)))
    field += np.float32(radius * 0.14) * spot.noise(spot.rng(2), radius * 0.9, 6, 0.6)
    depth = np.clip(field / np.float32(radius) + np.float32(0.35), 0, 2) * np.float32(heat)
    scorch = np.clip(depth, 0, 1.3)
    gain = absorbed(scorch * np.sqrt(scorch), (0.9, 1.7, 2.6))
    fine = spot.noise(spot.rng(3), radius * 0.25, 6, 0.75)
    ragged = depth - np.float32(style.uniform(0.55, 1.1)) + np.float32(0.10) * fine
    char = np.clip(ragged * 5, 0, 1)
    # Char shrinks: thin cracks between blisters that still catch some light.
    crust = spot.noise(spot.rng(4), radius * 0.22, 6, 0.65)
    cracked = np.clip(np.abs(crust) * np.float32(4), 0, 1)
    lit = spot.relief(np.float32(0.012 * radius) * (crust + cracked))
    lit = np.clip(lit, 0.3, 2.0) * (np.float32(0.5) + np.float32(0.5) * cracked)
    soot = np.float32(0.02) * spot.white
    soot *= min(1.0, 0.6 * float(spot.base.mean() / soot.mean()))
    ash = np.clip(np.float32(0.8) * fine - np.float32(1.0), 0, 1) * char
    ash = ash * np.float32(0.22 * style.uniform(0.2, 1.0))
    colour = tinted(lit, soot) + tinted(ash, spot.white)
    return spot.layer(gain, colour, char * np.float32(0.93))


def mould(canvas: Canvas, severity: int) -> Layer:
    """Colonies of distinct woolly spots, large among many small ones, pale where they spread."""
    radius, count = [(0.06, 34), (0.09, 75), (0.13, 150), (0.18, 270), (0.24, 440)][severity - 1]
    spot = canvas.crop(radius * 2.2)
    rng, style = spot.rng(0), spot.rng(1)
    core, wool = _mould_colours(spot, style)
    fuzz = spot.noise(spot.rng(2), 0.024, 5, 0.85)
    grain = spot.noise(spot.rng(3), 0.007, 3, 0.9)
    # Spots seed in a few colonies; where they meet, they stay apart as lumps.
    homes = rng.normal(0, 0.5 * radius, (5, 2))
    spread = 0.34 * radius * rng.uniform(0.5, 1.3, 5)
    cover, ripe = np.zeros((2, spot.y.size, spot.x.size), np.float32)
    columns_at, rows_at = spot.x.ravel(), spot.y.ravel()
    for _ in range(count):
        home = rng.integers(5)
        x, y = (homes[home] + rng.normal(0, spread[home], 2)).astype(np.float32)
        size = min(0.0056 * float(np.exp(rng.normal(0, 0.62))), 0.02)
        strength, age = np.float32(rng.uniform(0.35, 1.0)), np.float32(rng.uniform(0.2, 1.0))
        rows = slice(*np.searchsorted(rows_at, (y - 2.2 * size, y + 2.2 * size)))
        columns = slice(*np.searchsorted(columns_at, (x - 2.2 * size, x + 2.2 * size)))
        if rows.start == rows.stop or columns.start == columns.stop:
            continue
        away, down = (columns_at[columns] - x) / size, (rows_at[rows, None] - y) / size
        distance = np.sqrt(away * away + down * down)
        distance += np.float32(0.28) * fuzz[rows, columns]
        # A dense body ends in a short fringe of threads, at least as wide as a pixel.
        fringe = np.float32(1 / max(0.75, spot.pixel / size))
        body = np.clip((np.float32(1.35) - distance) * fringe, 0, 1) * strength
        view = cover[rows, columns]
        np.maximum(view, body, out=view)
        view = ripe[rows, columns]
        np.maximum(view, np.clip(np.float32(1.1) - distance, 0, 1) * age, out=view)
    woolly = np.clip(np.float32(0.82) + np.float32(0.30) * grain, 0.15, 1)
    opacity = np.clip(cover * woolly, 0, 0.92)
    raised = spot.relief(np.float32(0.003) * cover * (1 + np.float32(0.5) * grain), ambient=0.5)
    shade = np.clip(raised, 0.6, 1.35) * (1 + np.float32(0.12) * fuzz)
    ripe = np.clip(np.float32(1.5) * ripe, 0, 1)
    colour = tinted(shade * (1 - ripe), wool) + tinted(shade * ripe, core)
    return spot.layer(1.0, colour, np.where(opacity > 0.03, opacity, 0))


def _mould_colours(spot: Spot, style: np.random.Generator) -> tuple[Floats, Floats]:
    """Colours `[3]` of ripe spores and of young threads.

    Both are darker than pale goods or paler than dark ones, else they would be invisible.
    """
    dark = ((0.030, 0.035, 0.028), (0.09, 0.10, 0.09)), ((0.035, 0.06, 0.035), (0.12, 0.14, 0.10))
    pale = ((0.19, 0.25, 0.19), (0.38, 0.40, 0.36)), ((0.26, 0.27, 0.24), (0.46, 0.46, 0.42))
    strains = dark if spot.base.mean() > 0.16 * spot.white.mean() else pale
    core, wool = np.array(strains[int(style.integers(2))], np.float32)
    light = np.float32(0.5) * (spot.white + spot.white.mean())
    return core * light, wool * light


def peeling(canvas: Canvas, severity: int) -> Layer:
    """A coat that cracks into plates and sheds them: ragged bare patches, lifted rims, shadows."""
    radius, fine = [(0.05, 0.42), (0.08, 0.38), (0.12, 0.34), (0.17, 0.31), (0.23, 0.28)][
        severity - 1
    ]
    spot = canvas.crop(radius * 2.0)
    rng, style = spot.rng(0), spot.rng(1)
    size = np.float32(radius * fine * style.uniform(0.55, 1.2))
    ragged = spot.noise(spot.rng(2), 1.6 * float(size), 6, 0.7)
    near, next_to, bare, lean = _plates(spot, (rng, style), (radius, float(size)), ragged)
    gone = spot.cover(bare)
    # Cracks part the plates that still hold; they close away from the bare patches.
    away = np.clip(1 + bare / (np.float32(0.7) * size), 0, 1)
    gap = np.float32(0.07 * style.uniform(0.5, 1.5)) * size * away
    cracks = np.clip((gap - (next_to - near)) / np.float32(2 * spot.pixel) + 0.25, 0, 1)
    cracks *= np.clip(gap / np.float32(spot.pixel), 0, 1) * (1 - gone)
    # The coat keeps its thickness and lifts at its rim; plates lean this way or that.
    lifted = np.clip(1 + bare / (np.float32(0.3) * size), 0, 1) ** 2
    edge = spot.relief(np.float32(0.12) * size * lifted * (1 + np.float32(0.6) * lean))
    edge *= 1 + np.float32(0.10) * lean * away
    coat = spot.blur(1 - gone, 0.05 * float(size))
    shadow = np.maximum(
        spot.shifted(coat, 0.14 * float(size)),
        np.float32(0.8) * spot.shifted(coat, 0.30 * float(size)),
    )
    grain = spot.noise(spot.rng(3), 0.03, 4, 0.8)
    floor = np.clip(1 + np.float32(0.10) * grain + np.float32(0.06) * ragged, 0.5, 1.5)
    # Folds of the surface shade what lies under its coat as well.
    smooth = spot.shading * (spot.base.mean() + np.float32(0.004))
    fold = (spot.blur(spot.surface.mean(-1), 0.02) + np.float32(0.004)) / smooth
    floor *= np.clip(fold, 0.7, 1.3)
    floor *= 1 - np.float32(0.7) * shadow
    under, back = _under_coat(spot, style), spot.base**0.6 * spot.white**0.4 * np.float32(0.75)
    paint = tinted(floor, under)
    # The broken edge of the coat is paler than its face, where it catches the light.
    rim = np.clip(1 - np.abs(bare) / (np.float32(0.05) * size + np.float32(spot.pixel)), 0, 1)
    rim *= np.clip(np.float32(0.30) + np.float32(0.30) * ragged, 0, 0.6)
    paint += cv2.merge([rim] * 3) * (back - paint)
    paint *= cv2.merge([1 - np.float32(0.75) * cracks] * 3)
    opacity = np.maximum(np.maximum(gone * np.float32(0.96), rim), np.float32(0.7) * cracks)
    return spot.layer(np.clip(edge, 0.55, 1.45), paint, opacity)


def _plates(
    spot: Spot,
    draws: tuple[np.random.Generator, np.random.Generator],
    lengths: tuple[float, float],
    ragged: Floats,
) -> tuple[Floats, ...]:
    """A coat cracked into the cells of a Voronoi diagram, some of which have come off.

    Args:
        spot: The patch.
        draws: Places the plates and takes some away; draws how long and how scattered they are.
        lengths: Radius of the damage, and distance of plates.
        ragged: float32 `[h, w]` that bends their edges.

    Returns:
        Four float32 `[h, w]`: distances to the nearest and second nearest plate, a field positive
        where plates are gone, how each plate leans.
    """
    (rng, style), (radius, size) = draws, lengths
    stretch = np.float32(style.uniform(1.0, 1.3))
    u, v = spot.rotated()
    bend = np.float32(0.05 * size) * ragged
    u, v = u / stretch + bend, v * stretch - bend
    span = int(LOOSE * radius / size) + 1
    steps = np.arange(-span, span + 1)
    grid = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2) * size
    seeds = grid + rng.uniform(-0.46, 0.46, grid.shape) * size
    seeds = seeds[np.hypot(*seeds.T) < LOOSE * radius]
    bonus = rng.uniform(0, 0.35, len(seeds)) * size
    far = np.hypot(*seeds.T) / radius
    # Plates come off from the middle outwards, here and there one far from it.
    come_off = far + rng.normal(0, style.uniform(0.15, 0.35), len(seeds)) < 0.75
    leaning = rng.normal(0, 1, len(seeds)).astype(np.float32)
    come_off[np.argmin(far)] = True
    reach = 1.4 * size
    near, next_to, bare, kept = np.full((4, *u.shape), np.float32(reach))
    lean = np.zeros_like(near)
    centres, around = spot.turned(seeds * (stretch, 1 / stretch)), reach * stretch
    tops, bottoms = (spot.y.ravel().searchsorted(centres[:, 1] + far) for far in (-around, around))
    lefts, rights = (spot.x.ravel().searchsorted(centres[:, 0] + far) for far in (-around, around))
    for k, (x, y) in enumerate(seeds.astype(np.float32)):
        rows, columns = slice(tops[k], bottoms[k]), slice(lefts[k], rights[k])
        away, down = u[rows, columns] - x, v[rows, columns] - y
        distance = np.sqrt(away * away + down * down) - np.float32(bonus[k])
        first, second = near[rows, columns], next_to[rows, columns]
        np.copyto(lean[rows, columns], leaning[k], where=distance < first)
        np.minimum(second, np.maximum(first, distance), out=second)
        np.minimum(first, distance, out=first)
        side = (bare if come_off[k] else kept)[rows, columns]
        np.minimum(side, distance, out=side)
    outside = np.maximum(raster.length(u, v) - np.float32(LOOSE * radius - size), 0)
    return near, next_to, np.float32(0.5) * (kept - bare) - outside, lean


def _under_coat(spot: Spot, style: np.random.Generator) -> Floats:
    """Colour `[3]` under a coat: bare material, primer, fibres or metal, whichever stands out.

    What lies under dark goods is seldom white: mixed in logarithms, it stays below the middle
    between the goods and white.
    """
    warm = np.array([1.0, 0.86, 0.70], np.float32)
    tones = [
        inner_colour(spot, style, float(style.uniform(0.4, 0.8))),
        spot.white * warm * np.float32(style.uniform(0.35, 0.6)),
        spot.white * np.float32(style.uniform(0.2, 0.4)),
        spot.white * np.array([0.10, 0.095, 0.09], np.float32) * np.float32(style.uniform(0.8, 2)),
    ]
    own = max(float(spot.base.mean()), 0.004)
    share = style.uniform(0.40, 0.56)
    most = own ** (1 - share) * float(spot.white.mean()) ** share
    tones = [tone * np.float32(min(1.0, most / float(tone.mean()))) for tone in tones]
    apart = [abs(np.log(max(float(tone.mean()), 0.004) / own)) for tone in tones]
    fitting = [i for i, step in enumerate(apart) if step > 0.45] or [int(np.argmax(apart))]
    return np.asarray(tones[int(style.choice(fitting))], np.float32)


KINDS = (stain, burn, mould, peeling)

"""Damage to fabric: tear, hole, pulled thread, fraying.

The first line of every function is its severity table; all lengths are in object sizes.
"""

from __future__ import annotations

import cv2
import numpy as np

from damagenet.synth.foreground import Floats
from damagenet.synth.soils import tinted
from damagenet.synth.spot import Canvas, Layer, Path, Spot, outline
from damagenet.synth.strokes import TURN, Points, inner_colour, jagged, line, lookup, threads


def tear(canvas: Canvas, severity: int) -> Layer:
    """A slit pulled open: dark gap, frayed or torn-paper edges, lips that lift and cast shadow."""
    length, opening = [(0.08, 0.012), (0.12, 0.020), (0.17, 0.032), (0.23, 0.048), (0.30, 0.066)][
        severity - 1
    ]
    spot = canvas.crop(length * 1.45)
    rng, style = spot.rng(0), spot.rng(1)
    s = np.linspace(-1, 1, 65)
    path = jagged(rng, np.zeros(2), 0.0, 2.0, style.uniform(0.02, 0.12))[:, 1]
    # One in four turns a corner: an L-shaped tear.
    corner = style.uniform(0.3, 0.9) * style.choice([0, 0, 0, 1]) * np.abs(s - style.normal(0, 0.3))
    bow = style.normal(0, 0.15) * s**2
    path = path - np.interp(0, s, path) + corner + bow
    sag = np.clip(1 - np.abs(s) ** style.uniform(1.2, 2.5), 0, None)
    wild = rng.uniform(-1, 1, (2, 33))
    edges = [np.interp(s, np.linspace(-1, 1, 33), noise) for noise in wild]
    half = [0.5 * opening * sag * (a + 0.22 * e) for a, e in zip((0.8, 1.2), edges, strict=True)]
    u, v = spot.rotated()
    across = v - lookup(u, -length, length, path * length)
    upper = across + lookup(u, -length, length, half[0])
    lower = lookup(u, -length, length, half[1]) - across
    # Beyond the tips the field falls off, so that nothing of the tear goes on there.
    beyond = np.maximum(np.abs(u) - np.float32(length), 0)
    field = np.asarray(np.minimum(upper, lower) - beyond, np.float32)
    field += np.float32(0.03 * opening) * spot.noise(spot.rng(2), opening, 4, 0.7)
    reach = np.float32(opening) * np.maximum(1 - (u / np.float32(1.1 * length)) ** 2, 0.02)
    lift = np.exp(np.minimum(field, 0) / (np.float32(0.6) * reach))
    one, other = style.uniform(0.1, 1.0, 2)
    side = spot.blur(np.where(across > 0, one, other).astype(np.float32), 0.01)
    gain = spot.relief(lift * side * np.float32(0.45) * reach, elevation=0.7)
    picks, sign = rng.integers(4, 61, 120), rng.choice([-1, 1], 120)
    offset = np.where(sign > 0, half[1][picks], -half[0][picks])
    roots = np.column_stack([s, path])[picks] * length + np.column_stack([0 * offset, offset])
    inward = spot.turned(np.column_stack([0 * sign, -sign]))
    few, many = int(style.integers(2, 14)), int(style.integers(14, 120))
    roots = spot.turned(roots)
    loose = threads(rng, roots[:few], inward[:few], opening * 0.8, 0.0014)
    loose += threads(rng, roots[few:many], inward[few:many], opening * 0.3, 0.0012)
    ply = opening * style.choice([0.06, 0.10, 0.3])  # wide in cardboard, hardly seen in cloth
    ragged = 1 + 0.6 * spot.noise(spot.rng(3), opening * 0.7, 5, 0.75)
    # Cardboard shows its ply along one lip only.
    one_side = side / np.float32(max(one, other)) * (reach / np.float32(opening))
    rim = spot.cover(field + np.float32(ply) * ragged * one_side)
    return _opened(spot, style, field, rim, loose, np.clip(gain, 0.5, 1.4), opening)


def hole(canvas: Canvas, severity: int) -> Layer:
    """Material worn or punched through: a shadowed void, loose threads, a puckered rim."""
    radius = [0.022, 0.034, 0.050, 0.072, 0.10][severity - 1]
    spot = canvas.crop(radius * 2.6)
    rng, style = spot.rng(0), spot.rng(1)
    edge = outline(rng, 7, float(style.uniform(0.06, 0.20)))
    stretch = float(style.uniform(1.0, 1.3))
    field = spot.radial(edge, radius, stretch)
    field += np.float32(radius * 0.045) * spot.noise(spot.rng(2), radius * 0.4, 6, 0.75)
    turn = rng.uniform(0, 2 * np.pi, 160)
    ray = np.column_stack([np.cos(turn) * stretch, np.sin(turn) / stretch])
    roots = ray * (np.interp(turn, TURN, edge) * radius * 1.03)[:, None]
    inward = spot.turned(-ray / np.hypot(ray[:, 0], ray[:, 1])[:, None])
    roots = spot.turned(roots)
    few, many = int(style.integers(1, 14)), int(style.integers(40, 160))
    loose = threads(rng, roots[:few], inward[:few], radius * 0.8, 0.0014)
    loose += threads(rng, roots[few:many], inward[few:many], radius * 0.26, 0.0012)
    outside = np.minimum(field, 0) / np.float32(radius)
    pucker = np.exp(outside * 3) * (1 + 0.6 * spot.noise(spot.rng(3), radius, 3))
    gain = spot.relief(pucker * np.float32(0.10 * radius), elevation=0.7)
    ragged = 1 + 0.8 * spot.noise(spot.rng(4), radius * 0.4, 5, 0.75)
    rim = spot.cover(field + np.float32(radius * style.uniform(0.02, 0.10)) * ragged)
    return _opened(spot, style, field, rim, loose, np.clip(gain, 0.55, 1.4), radius)


def _opened(
    spot: Spot,
    style: np.random.Generator,
    field: Floats,
    rim: Floats,
    loose: list[Path],
    gain: Floats,
    depth: float,
) -> Layer:
    """A gap with what shows in it: shadowed depth, threads over it, a rim of torn material.

    Args:
        spot: The patch.
        style: Draws the materials.
        field: float32 `[h, w]`, positive in the gap.
        rim: float32 `[h, w]` coverage of gap and torn rim together.
        loose: Threads drawn over the gap.
        gain: float32 `[h, w]` shading of the surface around it.
        depth: Size of the gap, which sets how far shadows reach.
    """
    gap, fray = spot.cover(field), spot.strokes(loose)
    own = _own_colour(spot)
    pale = inner_colour(spot, style, float(style.uniform(0.1, 0.6)))
    # Behind it: the back of the cloth or a lining, in shade, or else nearly darkness.
    grey = np.float32(0.5) * (spot.base + spot.base.mean()) + np.float32(0.004)
    lining = float(
        style.uniform(0.16, 0.42) if style.uniform() < 0.7 else style.uniform(0.10, 0.16)
    )
    # The edge towards the light throws its shadow into the gap; the far part is lit.
    lit = spot.shifted(spot.blur(gap, 0.35 * depth), 0.55 * depth) * gap
    deep = np.clip(field / np.float32(0.5 * depth), 0, 1)
    folds = spot.noise(spot.rng(7), 1.5 * depth, 6, 0.5)
    weave = spot.noise(spot.rng(8), 0.012, 3, 0.9)
    shade = (np.float32(0.24) + np.float32(1.0) * lit * lit + np.float32(0.2) * deep) * (
        1 + np.float32(0.22) * folds + np.float32(0.09) * weave
    )
    colour = tinted(np.clip(shade, 0.1, 2) * np.float32(lining), grey)
    torn = np.clip(rim - gap, 0, 1)
    # Its edge curls: fuzzy, half of its own colour, half that of the inside.
    curl = gain * np.clip(np.float32(0.92) + np.float32(0.16) * weave, 0.5, 1.4)
    worn = np.float32(0.55) * own + np.float32(0.45) * pale
    colour += (worn * cv2.merge([curl] * 3) - colour) * cv2.merge([torn] * 3)
    # Threads hang into the dark: their far ends get less light.
    hanging = np.float32(0.40) + np.float32(0.60) * np.exp(
        np.maximum(field, 0) / np.float32(-0.4 * depth)
    )
    over = np.clip(fray, 0, 0.9)
    colour += (worn * cv2.merge([hanging] * 3) - colour) * cv2.merge([over] * 3)
    opacity = np.maximum(np.maximum(gap, torn * np.float32(0.65)), fray * np.float32(0.9))
    cast = spot.blur(spot.shifted(np.maximum(gap, fray), 0.08 * depth), 0.15 * depth)
    return spot.layer(gain * (1 - np.float32(0.3) * cast), colour, opacity)


def _own_colour(spot: Spot) -> Floats:
    """The surface's own colours `[h, w, 3]`, blurred to the size of a thread.

    Divided by the smooth shading, which `Spot.layer` puts on again.
    """
    print_ = spot.blur(spot.surface, 0.008)
    return np.asarray(print_ / cv2.merge([spot.shading] * 3), np.float32)


def pulled_thread(canvas: Canvas, severity: int) -> Layer:
    """A snag: loops of yarn drawn out, the line they came from puckered along warp or weft."""
    length, loops, size = [
        *((0.07, 1, 0.020), (0.11, 1, 0.028), (0.17, 2, 0.036)),
        *((0.25, 4, 0.044), (0.36, 7, 0.052)),
    ][severity - 1]
    # Yarns run along the weave, which hangs or lies more or less upright.
    weave = round(float(canvas.recipe["angle"]) / (np.pi / 2)) * np.pi / 2
    spot = canvas.crop(length * 1.15 + size)
    rng, style = spot.rng(0), spot.rng(1)
    lean = weave + float(style.normal(0, 0.06))
    cos, sin = float(np.cos(lean)), float(np.sin(lean))
    u = np.float32(cos) * spot.x + np.float32(sin) * spot.y
    v = np.float32(cos) * spot.y - np.float32(sin) * spot.x
    wander = 0.012 * spot.noise(spot.rng(2), 0.5 * length, 3)
    height = np.zeros(u.shape, np.float32)
    drawn = np.zeros(u.shape, np.float32)
    yarns: list[Path] = []
    for loop in range(loops):
        # Loops of one snag share a line; the worst catch tears at several.
        row = 0.0 if loop % 3 == 0 else float(rng.normal(0, 0.22 * length))
        at = float(rng.normal(0, 0.12 * length)) if loop else 0.0
        half = np.float32(length * (1.0 if loop == 0 else rng.uniform(0.35, 0.8)))
        along, across = u - np.float32(at), v - np.float32(row) + wander * np.float32(length)
        near = np.exp(-np.abs(along) / (np.float32(0.4) * half))
        fade = np.clip(1 - np.abs(along) / half, 0, 1)
        # The taut yarn gathers the cloth into folds that fan out towards the loop.
        width = np.float32(0.006) + np.float32(0.50 * size) * near
        knots = rng.normal(0, 1, 2 + int(2 * half / (0.6 * size)))
        folds = lookup(along, -float(half), float(half), _smooth(knots))
        bell = np.exp(-((across / width) ** 2))
        height += fade * bell * (near * folds * np.float32(0.28 * size) - np.float32(0.0034))
        drawn = np.maximum(drawn, line(spot, across, 0.0022) * fade)
        root = np.array([at, row])
        for _ in range(int(rng.integers(1, 3))):
            yarns.append(_loop(rng, root, float(size * rng.uniform(0.5, 1.1))))
    turn = np.array([[cos, -sin], [sin, cos]])
    yarns = [((points[:, None] * turn).sum(-1), widths) for points, widths in yarns]
    gain = spot.relief(height, elevation=0.6) * (1 - np.float32(0.40) * drawn)
    yarn = spot.strokes(yarns)
    core = spot.strokes([(points, 0.45 * widths) for points, widths in yarns])
    cast = spot.blur(spot.shifted(yarn, 0.004), 0.003)
    gain *= 1 - np.float32(0.35) * cast * (1 - yarn)
    # Round yarn: bright along its middle, the far side in its own shade.
    fluff = 1 + np.float32(0.15) * spot.noise(spot.rng(3), 0.01, 3, 0.8)
    shade = (np.float32(0.72) + np.float32(0.38) * core) * fluff
    # Printed cloth is pale inside: its yarns look a little faded.
    faded = np.float32(0.12) * spot.white + np.float32(0.1) * spot.base
    own = np.float32(style.uniform(0.85, 1.15)) * _own_colour(spot) + faded
    colour = own * cv2.merge([shade] * 3)
    return spot.layer(np.clip(gain, 0.45, 1.6), colour, yarn * np.float32(0.9))


def _loop(rng: np.random.Generator, root: Points, size: float) -> Path:
    """A loop of yarn that leaves the cloth at `root` and returns beside it."""
    t = np.linspace(0, 1, 25)
    side = rng.choice([-1, 1])
    foot = rng.uniform(0.05, 0.3) * (t - 0.5)
    belly = np.sin(np.pi * t) ** rng.uniform(0.7, 1.0)
    sway = rng.normal(0, 0.35) * belly**2
    bulge = rng.uniform(0.05, 0.28) * np.sin(2 * np.pi * t)
    points = root + size * np.column_stack([foot + sway - bulge, side * belly])
    return points, 0.0036 * (1 + rng.normal(0, 0.1, t.size))


def _smooth(knots: Points) -> Points:
    """A smooth curve through random knots, eight samples for each."""
    coarse = np.arange(knots.size)
    fine = np.interp(np.linspace(0, knots.size - 1, 8 * knots.size), coarse, knots)
    return np.convolve(fine, np.hanning(9)[1:-1] / np.hanning(9).sum(), "same")


def fraying(canvas: Canvas, severity: int) -> Layer:
    """Worn cloth: rubbed pale and fuzzy, with loose fibres and little balls of lint (pilling)."""
    radius, count = [(0.06, 30), (0.09, 60), (0.13, 110), (0.18, 190), (0.25, 320)][severity - 1]
    spot = canvas.crop(radius * 2.0)
    rng, style = spot.rng(0), spot.rng(1)
    field = spot.radial(outline(rng, 10, 0.3), radius, float(style.uniform(1.0, 1.8)))
    wear = np.clip(field / np.float32(radius) + 0.25, 0, 1)
    wear *= np.clip(0.7 + 0.45 * spot.noise(spot.rng(2), radius, 5, 0.7), 0, 1.3)
    nap = spot.noise(spot.rng(3), 0.024, 2, 0.8)
    fuzz = spot.relief(wear * nap * np.float32(0.0011), elevation=0.6)
    pilled = float(style.uniform(0.1, 0.9))
    turn, far = rng.uniform(0, 2 * np.pi, count), radius * np.sqrt(rng.uniform(0, 1.1, count))
    roots = far[:, None] * np.column_stack([np.cos(turn), np.sin(turn)])
    fibres = threads(rng, roots, rng.normal(0, 1, (count, 2)), 0.026, 0.0013)
    sizes = 0.0044 * np.exp(rng.normal(0, 0.4, count))
    squash = rng.uniform(0.1, 0.6, (count, 1, 1)) * np.array([[-0.5, 0], [0.5, 0.1]])
    lumps = roots[:, None] + sizes[:, None, None] * squash
    balled = np.flatnonzero(rng.uniform(size=count) < pilled)
    pills = [(lumps[i], np.full(2, sizes[i])) for i in balled]
    hair, balls = spot.strokes(fibres), spot.strokes(pills)
    dome = spot.blur(balls, 0.003)
    rough = 1 + np.float32(0.35) * nap
    gain = fuzz * (
        1 + np.float32(0.25) * spot.blur(wear, 0.004) * np.float32(style.uniform(0.2, 1))
    )
    cast = spot.blur(spot.shifted(np.maximum(balls, 0.6 * hair), 0.004), 0.002)
    gain *= 1 - np.float32(0.4) * cast * (1 - balls)
    gain *= spot.relief(dome * rough * np.float32(0.0036), elevation=0.7)
    lint = inner_colour(spot, style, float(style.uniform(0.1, 0.5)))
    lumpy = balls * np.clip(0.45 + 0.25 * nap, 0.1, 0.9)
    bare = (1 - np.float32(0.6) * hair) * (1 - lumpy)
    opacity = 1 - bare * (1 - np.clip(wear * (0.32 + 0.14 * nap), 0, 0.6))
    return spot.layer(np.clip(gain, 0.5, 1.6), lint * np.clip(gain, 0.6, 1.4)[..., None], opacity)


KINDS = (tear, hole, pulled_thread, fraying)

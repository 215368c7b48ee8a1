"""Damage to fabric: tear, hole.

The first line of every function is its severity table; all lengths are in object sizes.
"""

from __future__ import annotations

import numpy as np

from damagenet.synth.foreground import Floats
from damagenet.synth.spot import Canvas, Layer, Path, Spot, outline
from damagenet.synth.strokes import TURN, inner_colour, jagged, threads


def tear(canvas: Canvas, severity: int) -> Layer:
    """A slit pulled open: dark gap, frayed or torn-paper edges, lips that lift and cast shadow."""
    length, opening = [(0.08, 0.012), (0.12, 0.020), (0.17, 0.032), (0.23, 0.048), (0.30, 0.066)][
        severity - 1
    ]
    spot = canvas.crop(length * 1.6)
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
    loose = threads(rng, spot.turned(roots), inward, opening * 0.8, 0.0016)
    count = int(style.choice([0, 0, 12, 24, 48]))
    ply = opening * style.choice([0.04, 0.08, 0.3])  # wide in cardboard, hardly seen in cloth
    ragged = 1 + 0.6 * spot.noise(spot.rng(3), opening * 0.7, 5, 0.75)
    # Cardboard shows its ply along one lip only.
    one_side = side / max(float(side.max()), 1e-6) * (reach / np.float32(opening))
    rim = spot.cover(np.asarray(field + ply * ragged * one_side, np.float32))
    return _opened(spot, style, field, rim, loose[:count], np.clip(gain, 0.5, 1.4), opening)


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
    loose = threads(rng, spot.turned(roots), inward, radius * 0.7, 0.0016)
    outside = np.minimum(field, 0) / np.float32(radius)
    pucker = 0.10 * radius * np.exp(outside * 3) * (1 + 0.6 * spot.noise(spot.rng(3), radius, 3))
    gain = spot.relief(np.asarray(pucker, np.float32), elevation=0.7)
    ragged = 1 + 0.8 * spot.noise(spot.rng(4), radius * 0.4, 5, 0.75)
    rim = spot.cover(np.asarray(field + radius * style.uniform(0.02, 0.10) * ragged, np.float32))
    count = int(style.choice([0, 0, 0, 10, 24, 48]))
    return _opened(spot, style, field, rim, loose[:count], np.clip(gain, 0.55, 1.4), radius)


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
    pale = inner_colour(spot, style, float(style.uniform(0.1, 0.7)))
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


KINDS = (tear, hole)

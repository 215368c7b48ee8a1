"""Damage to metal, plastic and boxes: scratch, dent, rust, crushed corner.

The first line of every function is its severity table; all lengths are in object sizes.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from damagenet.synth import raster, textures
from damagenet.synth.board import add_fold, fibre, worn_edges
from damagenet.synth.soils import absorbed, tinted
from damagenet.synth.spot import Canvas, Layer, Path, outline
from damagenet.synth.strokes import inner_colour

RUST = np.array([[0.40, 0.15, 0.035], [0.13, 0.045, 0.018], [0.030, 0.014, 0.009]], np.float32)
"""Linear colours of fresh rust, old scale and magnetite, under white light."""

OUTLINE_SIZE = 128
"""Longer side in pixels at which corners are searched: the same at any resolution."""


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
    if spot.texture:
        # The brush scuffs; the lines above stay, for nothing else is as thin.
        brush = spot.stamped(textures.load(spot.texture), 0.45 * length)
        hair = np.maximum(hair, np.clip(brush * np.float32(1.6) - np.float32(0.5), 0, 0.7))
    groove = spot.relief(spot.blur(cuts, 0.001) * np.float32(-0.003), elevation=0.5)
    u, v = spot.rotated()
    scuff = np.exp(-0.5 * (v / (1.5 * spread)) ** 2 - 2.0 * (2 * u / length) ** 4)
    streaks = spot.noise(spot.rng(2), 0.02, 5, 0.8)
    haze = np.clip(scuff * (0.06 + 0.04 * streaks), 0, 0.2) * style.uniform(0.2, 1.0)
    paleness = float(style.uniform(0.4, 0.9))
    worn = inner_colour(spot, style, paleness)
    worn = worn * np.float32(max(1.0, 1.7 * spot.base.mean() / worn.mean()))
    # Scratches in a pale surface show by their dirt and shadow, not by brightness.
    if spot.base.min() > 0.45 * spot.white.mean():
        worn = spot.base * np.float32(0.85 - 0.6 * paleness)
    opacity = np.clip(cuts * 0.8 + hair * np.float32(0.3 + 0.4 * paleness) + haze, 0, 0.9)
    return spot.layer(np.clip(groove, 0.55, 1.7), worn, opacity)


def dent(canvas: Canvas, severity: int) -> Layer:
    """The surface pushed in: shading, a glint on the slope that faces the light, a buckled rim."""
    radius, depth = [(0.06, 0.10), (0.085, 0.14), (0.115, 0.19), (0.15, 0.24), (0.19, 0.30)][
        severity - 1
    ]
    spot = canvas.crop(radius * 2.6)
    rng, style = spot.rng(0), spot.rng(1)
    u, v = spot.rotated()
    stretch = float(style.uniform(1.0, 1.9))
    warp = np.float32(0.10) * spot.noise(spot.rng(2), radius * 1.5, 3)
    distance = np.maximum(raster.length(u / np.float32(stretch), v * np.float32(stretch)), 0)
    distance = distance / np.float32(radius) + warp
    # From a soft hollow to one whose rim buckled into an edge.
    soft = np.float32(style.uniform(0.06, 0.35))
    within = soft * np.logaddexp(np.float32(0), (1 - distance) / soft)
    bowl = -(1 - np.maximum(1 - within, 0) ** 2)
    rim = np.float32(0.12) * np.exp(-(((distance - 1.15) / np.float32(0.25)) ** 2))
    fold = np.abs(v - u * np.float32(0.25 * rng.normal())) + np.float32(0.05 * radius)
    along = (u / np.float32(1.2 * radius)) ** 2
    crease = np.float32(style.uniform(0, 0.45)) * np.exp(-fold * np.float32(4 / radius) - along)
    height = np.float32(radius * depth * 1.9) * (bowl + rim - crease)
    shade = np.clip(spot.relief(np.asarray(height, np.float32)), 0.35, 1.8)
    gloss = np.clip((shade - 1.12) * np.float32(1.8), 0, 1) ** 2 * np.float32(style.uniform(0, 0.5))
    return spot.layer(shade, spot.white, gloss)


def rust(canvas: Canvas, severity: int) -> Layer:
    """Layers of corrosion: orange halo, blistered scale, dark pits, and runs down the surface."""
    radius, runs = [(0.05, 1), (0.08, 2), (0.12, 4), (0.165, 7), (0.22, 11)][severity - 1]
    spot = canvas.crop(radius * 2.2)
    rng, style = spot.rng(0), spot.rng(1)
    grain = spot.noise(spot.rng(2), radius * 0.7, 7, 0.68)
    field = spot.radial(outline(rng, 10, 0.25), radius, float(style.uniform(1.0, 1.5)))
    field = np.clip(field / np.float32(radius), -2, 0.45)
    if spot.texture:
        # The texture decides where scale has formed, the outline only keeps it in bounds.
        shape = spot.blur(spot.stamped(textures.load(spot.texture), radius * 1.15), radius * 0.02)
        field = np.minimum(field + np.float32(0.5), np.float32(0.9) * shape - np.float32(0.35))
    fine = spot.noise(spot.rng(3), radius * 0.2, 6, 0.8)
    patchy = field + np.float32(0.32) * grain + np.float32(0.10) * fine - np.float32(0.15)
    patchy -= np.maximum(np.hypot(spot.x, spot.y) * np.float32(3 / radius) - 5, 0)
    scale = np.clip(patchy * np.float32(3) - np.float32(0.1), 0, 1)
    bloom = np.clip(patchy * np.float32(1.6) + np.float32(0.75), 0, 1) ** 2
    t = np.linspace(0, 1, 9)
    paths: list[Path] = []
    for _ in range(runs):
        x, y = rng.uniform(-0.7, 0.7) * radius, rng.uniform(0.0, 0.55) * radius
        wander = x + np.cumsum(rng.normal(0, 0.012 * radius, t.size))
        line = np.column_stack([wander, y + radius * rng.uniform(0.5, 1.4) * t])
        paths.append((line, radius * rng.uniform(0.05, 0.16) * (1 - 0.8 * t)))
    drips = spot.blur(spot.strokes(paths), radius * 0.03)
    thin = np.clip(
        bloom + np.float32(0.7) * drips * np.clip(1 + np.float32(0.4) * fine, 0, 2), 0, 1
    )
    gain = absorbed(thin, (0.15, 0.85, 1.9))
    blister = np.float32(0.010 * radius) * fine + np.float32(0.03 * radius) * scale
    lit = np.clip(spot.relief(blister), 0.35, 1.8)
    pits = np.clip(np.float32(1.5) * fine - np.float32(1.8), 0, 1)
    # A rusty surface is as lit as the one it grew on, which need not be the brightest around.
    tones = RUST * np.maximum(np.float32(0.75) * spot.white, spot.base)
    ramp = np.linspace(0, 2, 256)
    table = np.stack([np.interp(ramp, [0, 1, 2], tone) for tone in tones.T], -1).astype(np.float32)
    age = np.clip(patchy * np.float32(0.55) + np.float32(0.26) * fine, 0, 1)
    bright = lit * (1 - np.float32(0.8) * pits)
    colour = table[(age * 255).astype(np.uint8)] * cv2.merge([bright] * 3)
    # Over dark paint, where nothing can stain, the thin bloom is what shows.
    opacity = np.maximum(np.float32(0.95) * scale, np.float32(0.45) * thin)
    return spot.layer(gain, colour, opacity)


def crushed_corner(canvas: Canvas, severity: int) -> Layer:
    """The nearest corner of the object pushed in: facets, sharp folds, fibres showing on them."""
    radius, folds, slope = [
        (0.08, 3, 0.50), (0.13, 4, 0.62), (0.19, 6, 0.74), (0.26, 8, 0.86), (0.34, 10, 1.0)
    ][severity - 1]  # fmt: skip
    x, y, inward = _corner(canvas)
    moved = canvas.recipe | {"x": x, "y": y, "angle": inward}
    spot = dataclasses.replace(canvas, recipe=moved).crop(radius * 1.5)
    rng, style = spot.rng(0), spot.rng(1)
    wear = spot.noise(spot.rng(3), radius * 0.3, 5, 0.8)
    reach = np.hypot(spot.x, spot.y) / np.float32(radius)
    height = np.float32(-0.35 * radius * slope) * np.maximum(1 - reach, 0) ** 2
    cracks: list[Path] = []
    for index in range(folds):
        # Most folds run across the push, the others away from the corner.
        across = index % 3 < 2
        depth = radius * rng.uniform(0.15, 0.8)
        turn = rng.normal(np.pi / 2 if across else 0, 0.35)
        size = 1.5 * depth + 0.25 * radius if across else radius * rng.uniform(0.4, 0.8)
        steep = slope * float(rng.choice([-1.0, 1.0]) * rng.uniform(0.6, 1.3))
        line = (depth, rng.normal(0, 0.25) * depth, turn, size)
        cracks.append(add_fold(spot, rng, height, line, steep, 0.0015 + 0.0003 * severity))
    shade = np.clip(spot.relief(height), 0.3, 1.7)
    # The very tip is rubbed through to the fibres.
    tip = np.clip((np.float32(0.16) - reach + np.float32(0.06) * wear) * 8, 0, 0.7)
    opacity = np.maximum(np.float32(0.7) * worn_edges(spot, cracks, 0.3 * radius), tip)
    return spot.layer(shade, tinted(shade, fibre(spot, style)), opacity)


def _corner(canvas: Canvas) -> tuple[float, float, float]:
    """The corner of the outline near the planned centre.

    Returns:
        x, y as fractions of the picture, and the direction inwards in radians.
    """
    height, width = canvas.inside.shape
    shrink = min(1.0, OUTLINE_SIZE / max(height, width))
    size = max(2, round(width * shrink)), max(2, round(height * shrink))
    small = cv2.resize(canvas.inside, size, interpolation=cv2.INTER_AREA) > 0.5
    at = np.array([canvas.recipe["x"] * size[0], canvas.recipe["y"] * size[1]])
    contours, _ = cv2.findContours(small.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return float(canvas.recipe["x"]), float(canvas.recipe["y"]), float(canvas.recipe["angle"])
    hull = cv2.convexHull(max(contours, key=len))
    span = float(np.sqrt(small.sum()))
    shape = np.asarray(cv2.approxPolyDP(hull, 0.05 * span, True), np.float64).reshape(-1, 2)
    to_next, to_last = np.roll(shape, -1, 0) - shape, np.roll(shape, 1, 0) - shape
    to_next /= np.maximum(np.hypot(*to_next.T), 1e-6)[:, None]
    to_last /= np.maximum(np.hypot(*to_last.T), 1e-6)[:, None]
    blunt = (to_next * to_last).sum(1)  # cosine of the angle: -1 is no corner at all
    cut = (shape.min(1) < 2) | (shape[:, 0] > size[0] - 3) | (shape[:, 1] > size[1] - 3)
    cost = np.hypot(*(shape - at).T) / span + np.maximum(-0.2 - blunt, 0) + 3 * cut
    best = int(cost.argmin())
    inward = to_next[best] + to_last[best]
    x, y = (shape[best] + 0.5) / size
    return float(x), float(y), float(np.arctan2(inward[1], inward[0]))


KINDS = (scratch, dent, rust, crushed_corner)

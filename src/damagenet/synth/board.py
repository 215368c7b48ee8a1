"""Damage to cardboard and paper: crease, puncture, water.

The first line of every function is its severity table; all lengths are in object sizes.
"""

from __future__ import annotations

import cv2
import numpy as np

from damagenet.synth import raster, textures
from damagenet.synth.foreground import Floats
from damagenet.synth.soils import absorbed, tinted
from damagenet.synth.spot import Canvas, Layer, Path, Spot, outline
from damagenet.synth.strokes import TURN, inner_colour, jagged, lookup

PULP = {"kraft": (0.52, 0.36, 0.22), "grey": (0.46, 0.44, 0.40), "white": (0.80, 0.77, 0.70)}
"""Linear reflectance of the fibres inside board."""

FLUTE = 0.022
"""Distance of the waves of corrugated board, in object sizes: 7 mm on a box of 30 cm."""


def add_fold(
    spot: Spot,
    rng: np.random.Generator,
    height: Floats,
    line: tuple[float, float, float, float],
    slope: float,
    press: float,
) -> Path:
    """Add one slightly wandering fold to a relief: a ridge that dies out sideways and at its ends.

    Args:
        spot: Where to draw.
        rng: Source of all draws.
        height: float32 `[h, w]` in object sizes, changed in place.
        line: The fold's middle along and across the orientation of the damage, its turn from that
            orientation in radians, and its length.
        slope: Of its sides; negative for a valley.
        press: Width of the ink that broke along it.

    Returns:
        The stroke of the broken ink.
    """
    along_at, across_at, turn, size = line
    points = jagged(rng, np.array([-0.5 * size, 0.0]), 0.0, size, 0.03)
    wide, lean = float(size * rng.uniform(0.06, 0.14)), np.float32(rng.normal(0, 0.5))
    broken = np.interp(np.linspace(0, 1, 65), np.linspace(0, 1, 17), rng.uniform(0, 1, 17))
    widths = press * np.sqrt(1 - np.linspace(-1, 1, 65) ** 2) * broken
    centre = spot.turned(np.array([[along_at, across_at]]))[0]
    cos, sin = float(np.cos(turn + spot.angle)), float(np.sin(turn + spot.angle))
    reach = 0.5 * size + 4 * wide
    rows, columns = (
        slice(*np.searchsorted(axis.ravel(), (middle - reach, middle + reach)))
        for axis, middle in ((spot.y, centre[1]), (spot.x, centre[0]))
    )
    x, y = spot.x[:, columns] - np.float32(centre[0]), spot.y[rows] - np.float32(centre[1])
    along = x * np.float32(cos) + y * np.float32(sin)
    across = y * np.float32(cos) - x * np.float32(sin)
    across -= lookup(along, -0.5 * size, 0.5 * size, points[:, 1])
    sharp = np.sqrt(across * across + np.float32(0.0015**2))
    end = np.clip(1 - (along / np.float32(0.5 * size)) ** 2, 0, 1)
    # One side falls further than the other.
    tent = (sharp + across * lean) * np.exp(sharp / np.float32(-wide))
    height[rows, columns] -= np.float32(slope) * tent * end * end
    path = points @ np.array([[cos, sin], [-sin, cos]]) + centre
    return path, widths


def crease(canvas: Canvas, severity: int) -> Layer:
    """A fold pressed flat again: both sides shade apart, the ink cracks white along it."""
    length, folds, slope = [
        (0.16, 1, 0.26), (0.26, 2, 0.32), (0.40, 3, 0.38), (0.56, 5, 0.46), (0.75, 7, 0.54)
    ][severity - 1]  # fmt: skip
    spot = canvas.crop(length * 0.58)
    rng, style = spot.rng(0), spot.rng(1)
    press = 0.0021 + 0.0004 * severity
    height = np.zeros((spot.y.size, spot.x.size), np.float32)
    cracks: list[Path] = []
    for index in range(folds):
        side = float(rng.choice([-1.0, 1.0]))
        line = (
            rng.normal(0, 0.22 * length), rng.normal(0, 0.07 * length),
            rng.normal(0, 0.5), length * rng.uniform(0.25, 0.6),
        ) if index else (0.0, 0.0, 0.0, length)  # fmt: skip
        width = press if index else 1.5 * press
        cracks.append(add_fold(spot, rng, height, line, side * slope, width))
    shade = spot.relief(height, elevation=0.7)
    opacity = worn_edges(spot, cracks, 0.12 * length)
    return spot.layer(np.clip(shade, 0.35, 1.7), fibre(spot, style), opacity)


def worn_edges(spot: Spot, cracks: list[Path], patch: float) -> Floats:
    """Opacity `[h, w]` of fibres along fold lines: broken lines, rubbed off in patches."""
    wear = spot.noise(spot.rng(2), patch, 5, 0.8)
    white = spot.strokes(cracks)
    rubbed = spot.blur(white, 0.003) * np.clip(np.float32(0.25) + np.float32(0.25) * wear, 0, 0.75)
    lines = white * np.clip(np.float32(0.6) + np.float32(0.3) * wear, 0.08, 0.85)
    return np.asarray(np.clip(lines + rubbed, 0, 0.9), np.float32)


def fibre(spot: Spot, style: np.random.Generator) -> Floats:
    """Colour `[3]` of paper fibres under the ink; on white goods they look grey."""
    colour = inner_colour(spot, style, float(style.uniform(0.7, 0.95))) * _hue(spot)
    pale = spot.base.mean() > 0.55 * spot.white.mean()
    return np.asarray(colour * np.float32(0.62 if pale else 1.0), np.float32)


def _hue(spot: Spot) -> Floats:
    """Factor `[3]` of mean about 1: brown board is brown right through, red ink soaks in."""
    ratio = spot.base / max(float(spot.base.mean()), 1e-3)
    return np.asarray(np.clip(ratio, 0.2, 2.5) ** np.float32(0.4), np.float32)


def puncture(canvas: Canvas, severity: int) -> Layer:
    """Something went through: torn paper rolled out, flutes in the cut, darkness behind."""
    radius, tears = [(0.020, 1), (0.034, 2), (0.052, 3), (0.075, 4), (0.105, 5)][severity - 1]
    spot = canvas.crop(radius * 3.2)
    rng, style = spot.rng(0), spot.rng(1)
    ragged = spot.noise(spot.rng(2), radius * 0.5, 6, 0.75)
    stretch = np.float32(style.uniform(1.0, 1.6))
    u, v = spot.rotated()
    u, v = u / (stretch * np.float32(radius)), v * (stretch / np.float32(radius))
    r, turn = raster.length(u, v), np.arctan2(v, u) % np.float32(2 * np.pi)
    corners = rng.uniform(0, 2 * np.pi, 6)[:tears]
    hole = 0.62 * outline(rng, 14, 0.4)
    for corner, reach in zip(corners, rng.uniform(0.15, 0.75, tears), strict=True):
        hole += reach * np.exp(-np.abs(np.angle(np.exp(1j * (TURN - corner)))) / 0.13)
    # Flaps hang on part of the rim only.
    flap = np.full(TURN.size, 0.05)
    for middle in rng.uniform(0, 2 * np.pi, 3):
        gap = np.angle(np.exp(1j * (TURN - middle)))
        flap += rng.uniform(0.05, 0.55) * np.exp(-((gap / rng.uniform(0.25, 0.6)) ** 4))
    within = lookup(turn, 0, 2 * np.pi, hole) - r + np.float32(0.03) * ragged
    reach = lookup(turn, 0, 2 * np.pi, flap) * np.clip(1 + np.float32(0.35) * ragged, 0.15, 2)
    opened = spot.cover(within)
    torn = np.clip(spot.cover(within + reach) - opened, 0, 1)
    pulp = np.array(PULP[str(style.choice(list(PULP), p=[0.6, 0.25, 0.15]))], np.float32)
    pulp = pulp * np.maximum(spot.white * np.float32(0.8), spot.base) * _hue(spot)
    # Boards are as pale inside as their print allows: brown boxes are brown right through.
    glare = 1.3 * float(spot.base.mean()) + 0.2 * float(spot.white.mean())
    pulp = pulp * np.float32(min(1.0, glare / float(pulp.mean())))
    # Behind the cut edge of fluted board it is dark; the wall that faces the light shows a little.
    lean = np.float32(1 / (2 * radius))
    facing = -(spot.x * np.float32(spot.light[0]) + spot.y * np.float32(spot.light[1])) * lean
    depth = np.clip(within / np.float32(0.28), 0, 1)
    flutes = np.sin(spot.rotated()[1] * np.float32(2 * np.pi / FLUTE) + np.float32(0.4) * ragged)
    flutes *= np.float32(min(max(FLUTE / spot.pixel / 3 - 1, 0), 1))  # too fine, they fade out
    inner = np.float32(0.03) + np.float32(0.10) * np.clip(facing + np.float32(0.15), 0, 1)
    inner = inner + (1 - depth) ** 2 * (np.float32(0.26) + np.float32(0.20) * flutes)
    # Flaps lift away from the hole and end in a pale, fuzzy edge.
    lift = np.clip(-within / np.maximum(reach, np.float32(0.02)), 0, 1)
    rise = torn * (np.float32(0.16) * np.sqrt(lift) + np.float32(0.010) * ragged)
    lit = np.clip(spot.relief(np.float32(radius) * rise), 0.4, 1.5)
    lit = lit * np.clip(
        np.float32(0.85) + np.float32(0.12) * ragged + np.float32(0.2) * lift, 0.4, 2
    )
    paint = tinted(torn * lit + (1 - torn) * np.clip(inner, 0.01, 1), pulp)
    splits: list[Path] = []
    for corner in corners:
        line = jagged(rng, np.zeros(2), corner, radius * rng.uniform(1.2, 2.2), 0.1)[::6]
        splits.append((spot.turned(line), np.linspace(0.06 * radius, 0, len(line))))
    split = spot.strokes(splits) * (1 - opened) * (1 - torn)
    shadow = spot.shifted(spot.blur(torn, 0.05 * radius), 0.13 * radius) * (1 - torn)
    hollow = np.float32(-0.30 * radius) * np.exp(-(np.maximum(r - np.float32(0.5), 0) ** 2))
    shade = spot.relief(hollow - np.float32(0.03 * radius) * spot.blur(split, 0.03 * radius))
    shade = np.clip(shade * (1 - np.float32(0.5) * shadow), 0.3, 1.6)
    opacity = np.maximum(np.maximum(opened, torn), np.float32(0.6) * split)
    return spot.layer(shade, paint, opacity)


def water(canvas: Canvas, severity: int) -> Layer:
    """Dried water damage: a brown tide line, greyed paper, cockled and blistered relief."""
    radius, warp = [(0.07, 0.5), (0.115, 0.7), (0.17, 0.9), (0.24, 1.15), (0.33, 1.4)][severity - 1]
    spot = canvas.crop(radius * 2.0)
    rng, style = spot.rng(0), spot.rng(1)
    wander = spot.noise(spot.rng(2), radius * 0.9, 6, 0.55)
    field = _pool(spot, rng, style, radius) + np.float32(radius * 0.07) * wander
    wet = spot.cover(field, soft=0.02 * radius)
    tide = _tide(field, radius, style)
    if style.uniform() < 0.6:
        # It got wet twice: an older line inside the last one.
        older = field - np.float32(radius * style.uniform(0.2, 0.45))
        older = older + np.float32(radius * 0.05) * spot.noise(spot.rng(3), radius * 0.7, 4)
        tide = tide + np.float32(0.5) * _tide(older, radius, style)
    cloudy = np.clip(np.float32(0.30) + np.float32(0.12) * wander, 0, 1)
    density = (cloudy + tide) * wet * np.float32(style.uniform(0.9, 1.7))
    u, v = spot.rotated()
    # Wet paper swells along the fibres: irregular waves, and blisters where the glue let go.
    bumps = spot.noise(spot.rng(4), radius * 0.5, 4, 0.5)
    period = np.float32(radius * style.uniform(0.35, 0.7))
    bent = v + np.float32(0.25) * u + np.float32(0.16 * radius) * (wander + bumps)
    waves = np.sin(bent * (np.float32(2 * np.pi) / period)) * np.clip(bumps, 0, 1.5)
    deep = np.clip(field / np.float32(0.35 * radius) + np.float32(0.15), 0, 1)
    height = np.float32(0.006 * radius * warp) * (waves + np.float32(1.6) * bumps) * deep
    shade = np.clip(spot.relief(height, elevation=0.6), 0.4, 1.6)
    if spot.base.mean() > 0.06:
        return spot.layer(absorbed(density, (0.16, 0.30, 0.55)) * cv2.merge([shade] * 3))
    # Black ink does not darken: the minerals that the water left show as a pale line.
    film = np.clip((np.float32(0.06) * cloudy + np.float32(0.22) * tide) * wet, 0, 0.5)
    return spot.layer(shade, spot.white * np.float32(0.5), film)


def _pool(
    spot: Spot, rng: np.random.Generator, style: np.random.Generator, radius: float
) -> Floats:
    """Field `[h, w]` of where water stood, about a distance, positive inside."""
    field = spot.radial(outline(rng, 9, 0.22), radius, float(style.uniform(1.0, 1.4)))
    if spot.texture:
        shape = spot.blur(spot.stamped(textures.load(spot.texture), radius * 1.3), 0.06 * radius)
        field = np.minimum(field + np.float32(0.3 * radius), (shape - np.float32(0.2)) * radius)
    return np.asarray(field, np.float32)


def _tide(field: Floats, radius: float, style: np.random.Generator) -> Floats:
    """The line `[h, w]` of dirt that water leaves where it stopped: sharp outside, soft inside."""
    width = np.float32(radius * style.uniform(0.02, 0.06))
    strength = np.float32(style.uniform(0.8, 1.8))
    return np.asarray(strength * np.exp(np.minimum(field / -width, 0)) * (field > 0), np.float32)


KINDS = (crease, puncture, water)

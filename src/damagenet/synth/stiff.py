"""Damage to metal and plastic: scratch, dent.

The first line of every function is its severity table; all lengths are in object sizes.
"""

from __future__ import annotations

import numpy as np

from damagenet.synth.spot import Canvas, Layer, Path
from damagenet.synth.strokes import inner_colour


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
    worn = inner_colour(spot, style, paleness)
    # Scratches in a pale surface show by their dirt and shadow, not by brightness.
    if spot.base.mean() > 0.45 * spot.white.mean():
        worn = spot.base * np.float32(0.9 - 0.75 * paleness)
    opacity = np.clip(cuts * 0.8 + hair * np.float32(0.3 + 0.4 * paleness) + haze, 0, 0.9)
    return spot.layer(np.clip(groove, 0.55, 1.7), worn, opacity)


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


KINDS = (scratch, dent)

"""Damage that adds matter or changes colour: stain, burn, mould.

The first line of every function is its severity table; all lengths are in object sizes.
"""

from __future__ import annotations

import numpy as np

from damagenet.synth.spot import Canvas, Layer, outline

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


def stain(canvas: Canvas, severity: int) -> Layer:
    """A dried liquid: transparent colour, a darker ring where it evaporated, a few drops."""
    radius, strength = [(0.05, 0.55), (0.08, 0.7), (0.12, 0.85), (0.17, 1.0), (0.23, 1.15)][
        severity - 1
    ]
    spot = canvas.crop(radius * 2.6)
    rng, style = spot.rng(0), spot.rng(1)
    ink = np.array(INKS[str(style.choice(list(INKS)))], np.float32) * rng.normal(1, 0.08, 3)
    field = spot.radial(outline(rng, 12, 0.2), radius, float(style.uniform(1.0, 1.4)))
    field += np.float32(radius * 0.08) * spot.noise(spot.rng(2), radius * 0.9, 6, 0.6)
    for _ in range(int(style.integers(0, 14))):
        turn, far = rng.uniform(0, 2 * np.pi), radius * (1.15 + rng.exponential(0.4))
        drop = radius * np.clip(rng.lognormal(-2.9, 0.6), 0.015, 0.22)
        x, y = far * np.cos(turn), far * np.sin(turn)
        field = np.maximum(field, np.float32(drop) - np.hypot(spot.x - x, spot.y - y))
    body = spot.cover(field, soft=radius * float(style.uniform(0.01, 0.12)))
    ring_width = np.float32(radius * style.uniform(0.03, 0.10))
    ring = np.exp(-np.maximum(field, 0) / ring_width) * style.uniform(0.2, 1.3)
    cloudy = 0.55 + 0.16 * spot.noise(spot.rng(3), radius, 6, 0.6)
    density = np.clip(cloudy + ring, 0.1, 2.2) * body * np.float32(strength)
    gain = np.exp(np.asarray(-density[..., None] * ink, np.float32))  # Beer-Lambert law
    if spot.base.mean() > 0.06:
        return spot.layer(gain)
    # Nothing can darken a black surface: what dried there shows as a pale film.
    film = np.clip(density * 0.22, 0, 0.6)
    pale = np.asarray(spot.white * 0.6 * np.exp(-0.3 * ink), np.float32)
    return spot.layer(1.0, pale, np.asarray(film, np.float32))


def burn(canvas: Canvas, severity: int) -> Layer:
    """Scorched to charred: brown haze, cracked black centre, flecks of ash."""
    radius, heat = [(0.05, 0.6), (0.075, 0.85), (0.11, 1.1), (0.15, 1.3), (0.20, 1.5)][severity - 1]
    spot = canvas.crop(radius * 2.2)
    rng, style = spot.rng(0), spot.rng(1)
    field = spot.radial(outline(rng, 10, 0.2), radius, float(style.uniform(1.0, 1.5)))
    field += np.float32(radius * 0.14) * spot.noise(spot.rng(2), radius * 0.9, 6, 0.6)
    depth = np.clip(field / np.float32(radius) + 0.35, 0, 2) * np.float32(heat)
    brown = np.array([0.9, 1.7, 2.6], np.float32)
    gain = np.exp(-brown * np.clip(depth, 0, 1.3)[..., None] ** 1.5)
    charred = style.uniform(0.55, 1.1)
    ragged = (
        depth
        - np.float32(charred)
        + np.float32(0.10) * spot.noise(spot.rng(3), radius * 0.25, 5, 0.7)
    )
    char = np.clip(ragged * 5, 0, 1)
    crust = spot.noise(spot.rng(4), radius * 0.12, 5, 0.8)
    soot = np.minimum(0.02 * spot.white, 0.6 * spot.base)
    black = soot * np.exp(0.5 * crust)[..., None]
    flecks = spot.noise(spot.rng(5), radius * 0.06, 5, 0.9)
    ash = np.clip(0.8 * flecks - 1.3, 0, 1) * char * style.uniform(0.2, 1.0)
    colour = black + 0.22 * spot.white * np.asarray(ash)[..., None]
    return spot.layer(gain, colour, char * np.float32(0.93))


def mould(canvas: Canvas, severity: int) -> Layer:
    """Colonies of fuzzy spots, densest in the middle, in one of the colours moulds have."""
    radius, count = [(0.06, 20), (0.09, 42), (0.13, 80), (0.18, 140), (0.24, 230)][severity - 1]
    spot = canvas.crop(radius * 2.6)
    rng, style = spot.rng(0), spot.rng(1)
    palette = [(0.03, 0.035, 0.03), (0.06, 0.09, 0.06), (0.10, 0.14, 0.13), (0.50, 0.51, 0.46)]
    tint = np.array(palette[int(style.integers(len(palette)))], np.float32) * spot.white
    fuzz = spot.noise(spot.rng(2), 0.02, 5, 0.8)
    drift = spot.noise(spot.rng(3), radius, 3)
    # Spots seed in two or three colonies.
    homes = rng.normal(0, 0.45 * radius, (3, 2))
    dense = np.zeros((spot.y.size, spot.x.size), np.float32)
    for _ in range(count):
        x, y = homes[rng.integers(3)] + rng.normal(0, 0.38 * radius, 2)
        size = 0.006 * np.exp(rng.normal(0, 0.6))
        strength = rng.uniform(0.4, 1.3)
        rows = slice(*np.searchsorted(spot.y.ravel(), (y - 4 * size, y + 4 * size)))
        columns = slice(*np.searchsorted(spot.x.ravel(), (x - 4 * size, x + 4 * size)))
        distance = np.hypot(spot.x[:, columns] - x, spot.y[rows] - y) / size
        distance = np.clip(distance + 0.22 * fuzz[rows, columns], 0, None)
        body = np.exp(-(distance**3)) + 0.14 * np.exp(-(distance**2) / 4)
        dense[rows, columns] += strength * body
    haze = 0.10 * np.exp(-((np.hypot(spot.x, spot.y) / radius) ** 2) * 1.5) * (1 + 0.4 * drift)
    film = (1 - np.exp(-dense * (1 + 0.25 * fuzz))) * 0.9
    opacity = np.clip(film + np.clip(haze, 0, 1), 0, 0.92)
    colour = tint * (1 + 0.25 * drift + 0.15 * fuzz)[..., None]
    return spot.layer(1.0, colour, np.where(opacity > 0.012, opacity, 0))


KINDS = (stain, burn, mould)

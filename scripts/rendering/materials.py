"""What things are made of: colour, relief and gloss as fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image
from scipy.ndimage import map_coordinates

from rendering import maths
from rendering.maths import BEARING, Array, Field, Mapping, P, X, Y, Z, fbm, ink, smooth, swell


@dataclass(frozen=True)
class Material:
    """Looks of one part, in the product's own space."""

    colour: Field
    bump: Field | None = None  # height in product units
    rough: float = 0.5
    f0: float = 0.04  # mirror reflection at normal incidence
    metal: bool = False
    sheen: float = 0.0  # brightening towards grazing angles, as cloth does
    glow: float = 0.0
    glass: Field | None = None  # Beer-Lambert absorption per unit length; makes the part clear
    index: float = 1.45


XY, XZ, LEVEL = (X, Y), (X, -Z), (X, Z)
SKEW, UPRIGHT = (X + 0.83 * Z, Y + 0.37 * Z), (Y, X + 0.3 * Z)


def wrap(radius: float) -> Mapping:
    return BEARING * np.float32(radius), Y


def plain(c: Array | float) -> Field:
    return c + 0 * P


@maths.lift
def hashed(n: Array) -> Array:
    return np.mod(np.sin(n * 12.9898 + 4.1) * 43758.547, 1).astype("f4")


@maths.lift
def specks(p: Array) -> Array:
    """Small balls in some cells of a grid."""
    cell = np.floor(p * 42)
    pick = hashed(cell[0] + 57.3 * cell[1] + 113.9 * cell[2])
    place = np.stack([0.35 + 0.3 * hashed(pick * 91 + i) for i in range(3)])
    return smooth(0.3, 0.15, maths.length(*(p * 42 - cell - place))) * (pick > 0.55)


def ceramic(c: Array, speck: float = 0.0, rough: float = 0.1) -> Material:
    u, v = SKEW
    glaze = c * (1 + 0.07 * fbm(u * 0.7, v * 0.7, 1))
    colour = maths.mix(glaze, ink("#4b3a2c"), speck * specks(P))
    return Material(colour, 0.006 * swell(u * 0.6, v * 0.6, 3), rough, 0.05)


def plastic(c: Array, rough: float = 0.3) -> Material:
    return Material(c * (1 + 0.03 * fbm(*SKEW, 4)), None, rough, 0.045)


def metal(c: Array, rough: float = 0.25) -> Material:
    return Material(plain(c), 0.0006 * fbm(X * 0.1, Y * 6, 5), rough, 0.7, metal=True)


def wood(dark: Array, light: Array, uv: Mapping, plank: float = 0, rough: float = 0.45) -> Material:
    u, v = uv
    n = np.floor(v / plank) if plank else 0 * v
    edge = np.mod(v, plank) if plank else None
    seam = np.minimum(edge, plank - edge) if plank else np.float64(1)
    sawn = smooth(-0.004, 0.006, seam + 0 * u)
    u, v = u + 9 * hashed(n), v + 3.1 * n
    rings = 0.5 + 0.5 * np.sin(26 * v + 9 * fbm(u * 0.09, v * 0.35, 6))
    grain = fbm(u * 0.16, v * 5, 7)
    fine = grain + 0.6 * fbm(u * 0.4, v * 14, 8)
    t = 0.5 + 0.25 * (rings - 0.5) + 0.42 * fine + 0.5 * (hashed(n + 7) - 0.5)
    return Material(maths.mix(dark, light, maths.clip(t, 0, 1)) * sawn, 0.0012 * grain, rough, 0.04)


def cloth(c: Array, uv: Mapping, threads: float = 60, folds: float = 0.02) -> Material:
    u, v = uv
    weave = np.sin(2 * np.pi * threads * u) * np.sin(2 * np.pi * threads * v)
    bump = folds * swell(u * 0.5, v * 0.4, 10) + 0.03 / threads * weave
    colour = c * (0.93 + 0.1 * weave + 0.14 * fbm(u * 2, v * 2, 9))
    return Material(colour, bump, 0.9, 0.03, sheen=0.25)


def knit(c: Field, uv: Mapping, gauge: float = 44) -> Material:
    """Stocking stitch: columns of V-shaped loops."""
    u, v = uv
    x = np.mod(u * gauge, 1) - 0.5
    loops = (0.5 + 0.5 * np.cos(2 * np.pi * (v * gauge * 0.9 + abs(x)))) * (1 - 3.2 * x * x)
    colour = c * (0.66 + 0.4 * loops + 0.1 * fbm(u * 3, v * 3, 11))
    bump = 0.004 * loops + 0.03 * swell(u * 0.6, v * 0.6, 12)
    return Material(colour, bump, 0.95, 0.03, sheen=0.35)


def card(c: Array) -> Material:
    u, v = SKEW
    fibre = 0.12 * fbm(u * 5, v * 3, 13) + 0.09 * fbm(u * 0.5, v * 0.5, 14)
    colour = c * (1 + fibre + 0.025 * np.sin(2 * np.pi * 38 * u))
    return Material(colour, 0.0018 * fbm(u * 1.5, v * 1.5, 15), 0.8, 0.03)


def leather(c: Array, rough: float = 0.4) -> Material:
    u, v = SKEW
    grain = abs(fbm(u * 4, v * 4, 16))
    bump = 0.004 * grain + 0.02 * swell(u * 0.5, v * 0.5, 18)
    return Material(c * (0.85 + 0.4 * grain), bump, rough, 0.045)


def fur(c: Array) -> Material:
    tuft = fbm(X * 2.4 + Z * 1.1, Y * 1.8 + Z * 1.7, 19)
    return Material(c * (1 + 0.55 * tuft), 0.014 * tuft, 1, 0.02, sheen=0.6)


def marble(c: Array, vein: Array, uv: Mapping) -> Material:
    u, v = uv
    w = 0.12 * fbm(u * 0.5, v * 0.5, 20)
    a = abs(swell(u * 0.4 + w, v * 0.5 + w, 21) + 0.1 * w)
    b = abs(swell(u * 0.9 + w + 0.7, v * 0.8 - w, 22) + 0.1 * w)
    t = 0.7 * (1 - smooth(0, 0.03, a)) + 0.35 * (1 - smooth(0, 0.025, b)) + 0.9 * w + 0.12
    return Material(maths.mix(c, vein, maths.clip(t, 0, 1)), None, 0.06, 0.05)


def plaster(c: Array, uv: Mapping, rough: float = 0.8) -> Material:
    u, v = uv
    colour = c * (1 + 0.13 * fbm(u * 0.4, v * 0.4, 23) + 0.08 * fbm(u * 4, v * 4, 24))
    return Material(colour, 0.0015 * fbm(u * 2, v * 2, 24), rough, 0.03)


def tint(m: Material, where: Field, other: Material | Array) -> Material:
    """Another colour where the test holds (or in its proportion when it gives fractions)."""
    paint = other.colour if isinstance(other, Material) else other
    return replace(m, colour=maths.mix(m.colour, paint, where))


def stamp(
    m: Material, art: Image.Image, uv: Mapping, rect: Sequence[float], where: Field | bool = True
) -> Material:
    """Print a picture (RGBA) on a material: `rect` is left, bottom, right, top in `uv` units."""
    rgba = np.asarray(art.convert("RGBA"), np.float32) / 255
    sheets = [*np.moveaxis(maths.linear(rgba[..., :3]), 2, 0), rgba[..., 3]]
    u0, v0, u1, v1 = rect
    x, y = (uv[0] - u0) / (u1 - u0), (v1 - uv[1]) / (v1 - v0)
    on = (x > 0) & (x < 1) & (y > 0) & (y < 1) & where

    @Field
    def colour(p: Array) -> Array:
        base, i = m.colour(p) + 0 * p, np.flatnonzero(on(p))
        grid = np.stack([y(p)[i] * (art.height - 1), x(p)[i] * (art.width - 1)])
        r, g, b, a = (map_coordinates(s, grid, order=1, mode="nearest") for s in sheets)
        base[:, i] = maths.mix(base[:, i], np.stack([r, g, b]), a)
        return base

    return replace(m, colour=colour)


BLACK, STEEL, BRASS = ink("#17181b"), ink("#c9cbd0"), ink("#d9b36a")
OAK, WALNUT = (ink("#a97b4c"), ink("#d8b383")), (ink("#4a2f1e"), ink("#8a5f3d"))
RUBBER = plastic(ink("#222326"), 0.6)

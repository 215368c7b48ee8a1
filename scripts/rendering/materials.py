"""What things are made of: colour, relief and gloss as functions of points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image
from scipy.ndimage import map_coordinates

from rendering.geometry import bearing
from rendering.maths import Array, Field, Mapping, fbm, ink, length, linear, mix, smooth, swell

Plane = Callable[[Array, Array], Array]  # texture coordinates -> heights (n,) or colours (3, n)


@dataclass(frozen=True)
class Material:
    """Looks of one part, as functions of points in the product's own space."""

    colour: Field
    bump: Field | None = None  # height in product units
    rough: float = 0.5
    f0: float = 0.04  # mirror reflection at normal incidence
    metal: bool = False
    sheen: float = 0.0  # brightening towards grazing angles, as cloth does
    glow: float = 0.0
    glass: Field | None = None  # Beer-Lambert absorption per unit length; makes the part clear
    index: float = 1.45


# ---- texture coordinates


def xy(p: Array) -> tuple[Array, Array]:
    return p[0], p[1]


def xz(p: Array) -> tuple[Array, Array]:
    return p[0], -p[2]


def skew(p: Array) -> tuple[Array, Array]:
    return p[0] + 0.83 * p[2], p[1] + 0.37 * p[2]


def level(p: Array) -> tuple[Array, Array]:
    return p[0], p[2]


def upright(p: Array) -> tuple[Array, Array]:
    return p[1], p[0] + 0.3 * p[2]


def wrap(radius: float) -> Mapping:
    return lambda p: (bearing(p) * np.float32(radius), p[1])


# ---- substances


def plain(c: Array) -> Field:
    return lambda p: c + 0 * p


def hashed(n: Array) -> Array:
    return np.mod(np.sin(n * 12.9898 + 4.1) * 43758.547, 1).astype("f4")


def textured(uv: Mapping, colour: Plane, bump: Plane | None, rough: float, f0: float) -> Material:
    relief = (lambda p: bump(*uv(p))) if bump else None
    return Material(lambda p: colour(*uv(p)), relief, rough, f0)


def ceramic(c: Array, speck: float = 0.0, rough: float = 0.1) -> Material:
    def colour(p: Array) -> Array:
        u, v = skew(p)
        base = c * (1 + 0.07 * fbm(u * 0.7, v * 0.7, 1))
        cell = np.floor(p * 42)  # iron specks: a small ball in some cells of a grid
        pick = hashed(cell[0] + 57.3 * cell[1] + 113.9 * cell[2])
        place = np.stack([0.35 + 0.3 * hashed(pick * 91 + i) for i in range(3)])
        spot = smooth(0.3, 0.15, length(*(p * 42 - cell - place))) * (pick > 0.55)
        return mix(base, ink("#4b3a2c"), speck * spot)

    return Material(colour, lambda p: 0.006 * swell(*(a * 0.6 for a in skew(p)), 3), rough, 0.05)


def plastic(c: Array, rough: float = 0.3) -> Material:
    return textured(skew, lambda u, v: c * (1 + 0.03 * fbm(u, v, 4)), None, rough, 0.045)


def metal(c: Array, rough: float = 0.25) -> Material:
    def brushed(p: Array) -> Array:
        return 0.0006 * fbm(p[0] * 0.1, p[1] * 6, 5)

    return Material(plain(c), brushed, rough, 0.7, metal=True)


def wood(dark: Array, light: Array, uv: Mapping, plank: float = 0, rough: float = 0.45) -> Material:
    def grain(u: Array, v: Array) -> Array:
        return fbm(u * 0.16, v * 5, 7)

    def board(u: Array, v: Array) -> tuple[Array, Array, Array]:
        n = np.floor(v / plank) if plank else 0 * v
        return u + 9 * hashed(n), v + 3.1 * n, n

    def colour(across: Array, along: Array) -> Array:
        u, v, n = board(across, along)
        rings = 0.5 + 0.5 * np.sin(26 * v + 9 * fbm(u * 0.09, v * 0.35, 6))
        fine = grain(u, v) + 0.6 * fbm(u * 0.4, v * 14, 8)
        t = np.clip(0.5 + 0.25 * (rings - 0.5) + 0.42 * fine + 0.5 * (hashed(n + 7) - 0.5), 0, 1)
        edge = np.mod(along, plank) if plank else 1
        seam = np.minimum(edge, plank - edge) if plank else 1
        return mix(dark, light, t) * smooth(-0.004, 0.006, np.asarray(seam) + 0 * u)

    return textured(uv, colour, lambda u, v: 0.0012 * grain(*board(u, v)[:2]), rough, 0.04)


def cloth(c: Array, uv: Mapping, threads: float = 60, folds: float = 0.02) -> Material:
    def weave(*uv: Array) -> Array:
        u, v = (np.sin(2 * np.pi * threads * a) for a in uv)
        return u * v

    def colour(u: Array, v: Array) -> Array:
        return c * (0.93 + 0.1 * weave(u, v) + 0.14 * fbm(u * 2, v * 2, 9))

    def bump(u: Array, v: Array) -> Array:
        return folds * swell(u * 0.5, v * 0.4, 10) + 0.03 / threads * weave(u, v)

    return replace(textured(uv, colour, bump, 0.9, 0.03), sheen=0.25)


def knit(c: Field, uv: Mapping, gauge: float = 44) -> Material:
    """Stocking stitch: columns of V-shaped loops."""

    def loops(u: Array, v: Array) -> Array:
        x = np.mod(u * gauge, 1) - 0.5
        return (0.5 + 0.5 * np.cos(2 * np.pi * (v * gauge * 0.9 + np.abs(x)))) * (1 - 3.2 * x * x)

    def colour(p: Array) -> Array:
        u, v = uv(p)
        return c(p) * (0.66 + 0.4 * loops(u, v) + 0.1 * fbm(u * 3, v * 3, 11))

    def bump(p: Array) -> Array:
        u, v = uv(p)
        return 0.004 * loops(u, v) + 0.03 * swell(u * 0.6, v * 0.6, 12)

    return Material(colour, bump, 0.95, 0.03, sheen=0.35)


def card(c: Array) -> Material:
    def colour(u: Array, v: Array) -> Array:
        fibre = 0.12 * fbm(u * 5, v * 3, 13) + 0.09 * fbm(u * 0.5, v * 0.5, 14)
        return c * (1 + fibre + 0.025 * np.sin(2 * np.pi * 38 * u))

    return textured(skew, colour, lambda u, v: 0.0018 * fbm(u * 1.5, v * 1.5, 15), 0.8, 0.03)


def leather(c: Array, rough: float = 0.4) -> Material:
    def grain(u: Array, v: Array) -> Array:
        return np.abs(fbm(u * 4, v * 4, 16))

    def bump(u: Array, v: Array) -> Array:
        return 0.004 * grain(u, v) + 0.02 * swell(u * 0.5, v * 0.5, 18)

    return textured(skew, lambda u, v: c * (0.85 + 0.4 * grain(u, v)), bump, rough, 0.045)


def fur(c: Array) -> Material:
    def tuft(p: Array) -> Array:
        return fbm(p[0] * 2.4 + p[2] * 1.1, p[1] * 1.8 + p[2] * 1.7, 19)

    fluff = Material(lambda p: c * (1 + 0.55 * tuft(p)), lambda p: 0.014 * tuft(p), 1, 0.02)
    return replace(fluff, sheen=0.6)


def marble(c: Array, vein: Array, uv: Mapping) -> Material:
    def colour(u: Array, v: Array) -> Array:
        w = 0.12 * fbm(u * 0.5, v * 0.5, 20)
        a = np.abs(swell(u * 0.4 + w, v * 0.5 + w, 21) + 0.1 * w)
        b = np.abs(swell(u * 0.9 + w + 0.7, v * 0.8 - w, 22) + 0.1 * w)
        t = 0.7 * (1 - smooth(0, 0.03, a)) + 0.35 * (1 - smooth(0, 0.025, b)) + 0.9 * w + 0.12
        return mix(c, vein, np.clip(t, 0, 1))

    return textured(uv, colour, None, 0.06, 0.05)


def plaster(c: Array, uv: Mapping, rough: float = 0.8) -> Material:
    def colour(u: Array, v: Array) -> Array:
        return c * (1 + 0.13 * fbm(u * 0.4, v * 0.4, 23) + 0.08 * fbm(u * 4, v * 4, 24))

    return textured(uv, colour, lambda u, v: 0.0015 * fbm(u * 2, v * 2, 24), rough, 0.03)


# ---- what is put on them


def tint(m: Material, where: Field, other: Material | Array) -> Material:
    """Another colour where the test holds (or in its proportion when it gives fractions)."""
    paint = other.colour if isinstance(other, Material) else plain(other)
    return replace(m, colour=lambda p: mix(m.colour(p), paint(p), where(p).astype("f4")))


def stamp(
    m: Material, art: Image.Image, uv: Mapping, rect: Sequence[float], where: Field | None = None
) -> Material:
    """Print a picture (RGBA) on a material: `rect` is left, bottom, right, top in `uv` units."""
    rgba = np.asarray(art.convert("RGBA"), np.float32) / 255
    sheets = [*np.moveaxis(linear(rgba[..., :3]), 2, 0), rgba[..., 3]]
    u0, v0, u1, v1 = rect

    def colour(p: Array) -> Array:
        base = np.array(m.colour(p) + 0 * p)
        u, v = uv(p)
        x, y = (u - u0) / (u1 - u0), (v1 - v) / (v1 - v0)
        on = (x > 0) & (x < 1) & (y > 0) & (y < 1)
        i = np.flatnonzero(on & where(p) if where else on)
        grid = np.stack([y[i] * (art.height - 1), x[i] * (art.width - 1)])
        r, g, b, a = (map_coordinates(s, grid, order=1, mode="nearest") for s in sheets)
        base[:, i] = mix(base[:, i], np.stack([r, g, b]), a)
        return base

    return replace(m, colour=colour)


BLACK, STEEL, BRASS = ink("#17181b"), ink("#c9cbd0"), ink("#d9b36a")
OAK, WALNUT = (ink("#a97b4c"), ink("#d8b383")), (ink("#4a2f1e"), ink("#8a5f3d"))
RUBBER = plastic(ink("#222326"), 0.6)

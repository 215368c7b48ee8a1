"""Render the sample product shots: catalogue pictures of invented goods, nobody else's work.

A small renderer in numpy. Every product is a signed distance field, found by sphere tracing
(Hart 1996, "Sphere tracing"); primitives, soft shadows, ambient occlusion and tetrahedron normals
follow Inigo Quilez's published articles on distance functions. Backdrop, lamp, camera, file size
and JPEG settings are drawn apart from the product, so that none of them tells what is shown.

Example:
    python scripts/render_products.py --out data/samples --only mug
"""
# ruff: noqa: E731 - a distance field reads best as a one-line lambda

from __future__ import annotations

import argparse
import csv
import hashlib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter, map_coordinates
from tqdm import tqdm

Array = NDArray[np.float32]
Field = Callable[[Array], Array]  # points (3, n) -> distances (n,), heights (n,) or colours (3, n)
Mapping = Callable[[Array], tuple[Array, Array]]  # points (3, n) -> texture coordinates
SIZES = ((640, 480), (480, 640), (600, 400), (512, 512), (560, 420), (420, 560), (540, 480))
BAND = 24_000  # rays worked on at a time: the temporaries stay in cache


def rng_for(seed: int, *ids: object) -> np.random.Generator:
    return np.random.default_rng([seed, *(zlib.crc32(str(i).encode()) for i in ids)])


def ink(code: str) -> Array:
    """Turn `#rrggbb` (sRGB, IEC 61966-2-1) into linear light of shape (3, 1)."""
    return linear(np.array([[int(code[i : i + 2], 16)] for i in (1, 3, 5)]) / 255)


def linear(srgb: NDArray) -> Array:
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4).astype("f4")


def smooth(a: float, b: float, x: Array) -> Array:
    t = np.clip((x - a) / (b - a), 0, 1)
    return t * t * (3 - 2 * t)


def mix(a: Array, b: Array, t: Array | float) -> Array:
    return a + (b - a) * t


def unit(v: Array) -> Array:
    return v / np.sqrt((v * v).sum(0) + 1e-12)


# ---- distance fields ----------------------------------------------------------------------------


def length(*axes: Array) -> Array:
    return np.sqrt(sum(a * a for a in axes))


def at(p: Array, x: float, y: float, z: float) -> Array:
    return p - np.array([[x], [y], [z]], "f4")


def turn(p: Array, axis: int, degrees: float) -> Array:
    """Rotate the object by `degrees` about axis 0, 1 or 2 (the points go the other way)."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    q, i, j = p.copy(), (axis + 1) % 3, (axis + 2) % 3
    q[i], q[j] = c * p[i] + s * p[j], c * p[j] - s * p[i]
    return q


def smin(a: Array, b: Array, k: float) -> Array:
    h = np.maximum(k - np.abs(a - b), 0) / k
    return np.minimum(a, b) - h * h * k * 0.25


def smax(a: Array, b: Array, k: float) -> Array:
    return -smin(-a, -b, k)


def box(p: Array, half: Sequence[float], r: float = 0.01) -> Array:
    q = [np.abs(p[i]) - half[i] + r for i in range(3)]
    inside = np.minimum(np.maximum(np.maximum(q[0], q[1]), q[2]), 0)
    return length(*(np.maximum(a, 0) for a in q)) + inside - r


def ball(p: Array, rx: float, ry: float | None = None, rz: float | None = None) -> Array:
    r = (rx, ry or rx, rz or rx)
    k0 = length(*(p[i] / r[i] for i in range(3)))
    k1 = length(*(p[i] / r[i] ** 2 for i in range(3)))
    return k0 * (k0 - 1) / np.maximum(k1, 1e-4)


def limb(p: Array, a: Sequence[float], b: Sequence[float], ra: float, rb: float) -> Array:
    """Capsule from `a` to `b` whose radius goes from `ra` to `rb`; works in 2-D and in 3-D."""
    d = [b[i] - a[i] for i in range(len(a))]
    w = [p[i] - a[i] for i in range(len(a))]
    h = np.clip(sum(x * y for x, y in zip(w, d, strict=True)) / sum(x * x for x in d), 0, 1)
    return length(*(w[i] - d[i] * h for i in range(len(a)))) - (ra + (rb - ra) * h)


def disc(p: Array, r: float, half: float, edge: float = 0.01, axis: int = 1) -> Array:
    i, j = (n for n in range(3) if n != axis)
    u, v = length(p[i], p[j]) - r + edge, np.abs(p[axis]) - half + edge
    return np.minimum(np.maximum(u, v), 0) + length(np.maximum(u, 0), np.maximum(v, 0)) - edge


def outline(x: Array, y: Array, half: Sequence[float], corner: float) -> Array:
    """Signed distance to a rounded rectangle in the plane."""
    u, v = np.abs(x) - half[0] + corner, np.abs(y) - half[1] + corner
    return np.minimum(np.maximum(u, v), 0) + length(np.maximum(u, 0), np.maximum(v, 0)) - corner


def lathe(points: Sequence[Sequence[float]], rounds: int = 3) -> Field:
    """Turn a closed (radius, height) outline about the y axis.

    The outline is smoothed by Chaikin's corner cutting (1974); its distance is tabulated once.
    """
    q = np.asarray(points, float)
    for _ in range(rounds):
        n = np.roll(q, -1, 0)
        q = np.stack([0.75 * q + 0.25 * n, 0.25 * q + 0.75 * n], 1).reshape(-1, 2)
    lo, hi = np.array([0, q[:, 1].min() - 0.25]), q.max(0) + 0.25
    step = (hi - lo).max() / 420
    r, y = (np.arange(a, b, step, dtype="f4") for a, b in zip(lo, hi, strict=True))
    rr, yy = np.meshgrid(r, y, indexing="ij")
    best, inside = np.full(rr.shape, 9e9, "f4"), np.zeros(rr.shape, bool)
    for (ax, ay), (bx, by) in zip(q.astype("f4"), np.roll(q, -1, 0).astype("f4"), strict=True):
        dx, dy = bx - ax, by - ay
        h = np.clip(((rr - ax) * dx + (yy - ay) * dy) / (dx * dx + dy * dy + 1e-12), 0, 1)
        best = np.minimum(best, (rr - ax - dx * h) ** 2 + (yy - ay - dy * h) ** 2)
        inside ^= ((ay > yy) != (by > yy)) & (rr < dx * (yy - ay) / (dy + 1e-12) + ax)
    table = np.sqrt(best) * np.where(inside, -1, 1)

    def distance(p: Array) -> Array:
        rad = length(p[0], p[2])
        cr, cy = np.clip(rad, 0, r[-1]), np.clip(p[1], y[0], y[-1])
        where = np.stack([cr / step, (cy - y[0]) / step])
        near = map_coordinates(table, where, order=1, mode="nearest", output=np.float32)
        out = length(rad - cr, p[1] - cy)
        return np.where(out > 0, length(near, out), near)

    return distance


def vessel(
    outer: Sequence[Sequence[float]], wall: float, well: float = 0.0
) -> tuple[Field, Callable[[Array], Array]]:
    """Hollow lathe: a wall along `outer` (foot to rim), and a test for points on its inner side."""
    o = np.asarray(outer, float)
    t = np.gradient(o, axis=0)
    normal = np.stack([-t[:, 1], t[:, 0]], 1) / np.hypot(*t.T)[:, None]
    inner = o + normal * wall
    inner[:, 1] = np.maximum(inner[:, 1], max(o[:, 1].min() + wall * 1.3, well))
    inner = inner[inner[:, 0] > 0.02]
    ring = [(-0.3, o[0, 1]), *o, *inner[::-1], (-0.3, inner[0, 1])]
    mid = (o + normal * wall * 0.55)[np.argsort(o[:, 1], kind="stable")]
    return (
        lathe(ring),
        lambda p: (
            (length(p[0], p[2]) < np.interp(p[1], mid[:, 1], mid[:, 0]))
            & (p[1] > o[0, 1] + wall * 0.8)
        ),
    )


# ---- materials ----------------------------------------------------------------------------------


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


XY: Mapping = lambda p: (p[0], p[1])
XZ: Mapping = lambda p: (p[0], -p[2])
SKEW: Mapping = lambda p: (p[0] + 0.83 * p[2], p[1] + 0.37 * p[2])


def wrap(radius: float) -> Mapping:
    return lambda p: (np.arctan2(p[0], p[2]) * np.float32(radius), p[1])


@cache
def tile(seed: int, slope: float) -> Array:
    """Periodic fractal noise (amplitude 1/f^slope), mean 0, standard deviation 1/3."""
    f = np.hypot(np.fft.fftfreq(1024)[:, None], np.fft.fftfreq(1024))
    white = np.fft.fft2(np.random.default_rng([seed, 77]).standard_normal((1024, 1024)))
    t = np.fft.ifft2(np.where(f > 0, white / np.maximum(f, 1e-9) ** slope, 0)).real
    return (t / t.std() / 3).astype("f4")


def fbm(u: Array, v: Array, seed: int = 0, slope: float = 1.25) -> Array:
    where = np.stack([u * 256 % 1024, v * 256 % 1024])
    return map_coordinates(tile(seed, slope), where, order=1, mode="grid-wrap", output=np.float32)


def swell(u: Array, v: Array, seed: int) -> Array:
    """Smooth noise for folds, dents and veins."""
    return fbm(u, v, seed, 2.2)


def hashed(n: Array) -> Array:
    return np.mod(np.sin(n * 12.9898 + 4.1) * 43758.547, 1).astype("f4")


def ceramic(c: Array, speck: float = 0.0, rough: float = 0.1, uv: Mapping = SKEW) -> Material:
    def colour(p: Array) -> Array:
        u, v = uv(p)
        base = c * (1 + 0.07 * fbm(u * 0.7, v * 0.7, 1))
        cell = np.floor(p * 42)  # iron specks: a small ball in some cells of a grid
        pick = hashed(cell[0] + 57.3 * cell[1] + 113.9 * cell[2])
        place = np.stack([0.35 + 0.3 * hashed(pick * 91 + i) for i in range(3)])
        spot = smooth(0.3, 0.15, length(*(p * 42 - cell - place))) * (pick > 0.55)
        return mix(base, ink("#4b3a2c"), speck * spot)

    return Material(colour, lambda p: 0.006 * swell(*(a * 0.6 for a in uv(p)), 3), rough, 0.05)


def plastic(c: Array, rough: float = 0.3) -> Material:
    return Material(lambda p: c * (1 + 0.03 * fbm(*SKEW(p), 4)), None, rough, 0.045)


def metal(c: Array, rough: float = 0.25, uv: Mapping = XY) -> Material:
    def brushed(p: Array) -> Array:
        u, v = uv(p)
        return 0.0006 * fbm(u * 0.1, v * 6, 5)

    return Material(lambda p: c + 0 * p, brushed, rough, 0.7, metal=True)


def wood(
    dark: Array, light: Array, uv: Mapping, plank: float = 0.0, rough: float = 0.45
) -> Material:
    def parts(p: Array) -> tuple[Array, Array, Array]:
        u, v = uv(p)
        n = np.floor(v / plank) if plank else 0 * v
        return u + 9 * hashed(n), v + 3.1 * n, n

    def colour(p: Array) -> Array:
        u, v, n = parts(p)
        rings = 0.5 + 0.5 * np.sin(26 * v + 9 * fbm(u * 0.09, v * 0.35, 6))
        fine = fbm(u * 0.16, v * 5, 7) + 0.6 * fbm(u * 0.4, v * 14, 8)
        t = np.clip(0.5 + 0.25 * (rings - 0.5) + 0.42 * fine + 0.5 * (hashed(n + 7) - 0.5), 0, 1)
        seam = np.minimum(np.mod(uv(p)[1], plank), plank - np.mod(uv(p)[1], plank)) if plank else 1
        return mix(dark, light, t) * smooth(-0.004, 0.006, np.asarray(seam) + 0 * u)

    def bump(p: Array) -> Array:
        u, v, _ = parts(p)
        return 0.0012 * fbm(u * 0.16, v * 5, 7)

    return Material(colour, bump, rough, 0.04)


def cloth(c: Array, uv: Mapping, threads: float = 60, folds: float = 0.02) -> Material:
    def weave(p: Array) -> Array:
        u, v = (np.sin(2 * np.pi * threads * a) for a in uv(p))
        return u * v

    def colour(p: Array) -> Array:
        u, v = uv(p)
        return c * (0.93 + 0.1 * weave(p) + 0.14 * fbm(u * 2, v * 2, 9))

    def bump(p: Array) -> Array:
        u, v = uv(p)
        return folds * swell(u * 0.5, v * 0.4, 10) + 0.03 / threads * weave(p)

    return Material(colour, bump, 0.9, 0.03, sheen=0.25)


def knit(c: Field, uv: Mapping, gauge: float = 44) -> Material:
    """Stocking stitch: columns of V-shaped loops."""

    def loops(p: Array) -> Array:
        u, v = uv(p)
        x = np.mod(u * gauge, 1) - 0.5
        return (0.5 + 0.5 * np.cos(2 * np.pi * (v * gauge * 0.9 + np.abs(x)))) * (1 - 3.2 * x * x)

    def colour(p: Array) -> Array:
        u, v = uv(p)
        return c(p) * (0.66 + 0.4 * loops(p) + 0.1 * fbm(u * 3, v * 3, 11))

    fold = lambda p: 0.03 * swell(*(a * 0.6 for a in uv(p)), 12)
    return Material(colour, lambda p: 0.004 * loops(p) + fold(p), 0.95, 0.03, sheen=0.35)


def card(c: Array, uv: Mapping = SKEW) -> Material:
    def colour(p: Array) -> Array:
        u, v = uv(p)
        fibre = 0.12 * fbm(u * 5, v * 3, 13) + 0.09 * fbm(u * 0.5, v * 0.5, 14)
        return c * (1 + fibre + 0.025 * np.sin(2 * np.pi * 38 * u))

    return Material(colour, lambda p: 0.0018 * fbm(*(a * 1.5 for a in uv(p)), 15), 0.8, 0.03)


def leather(c: Array, uv: Mapping = SKEW, rough: float = 0.4) -> Material:
    def grain(p: Array) -> Array:
        u, v = uv(p)
        return np.abs(fbm(u * 4, v * 4, 16))

    def bump(p: Array) -> Array:
        u, v = uv(p)
        return 0.004 * grain(p) + 0.02 * swell(u * 0.5, v * 0.5, 18)

    return Material(lambda p: c * (0.85 + 0.4 * grain(p)), bump, rough, 0.045)


def fur(c: Array) -> Material:
    def tuft(p: Array) -> Array:
        return fbm(p[0] * 2.4 + p[2] * 1.1, p[1] * 1.8 + p[2] * 1.7, 19)

    return Material(
        lambda p: c * (1 + 0.55 * tuft(p)), lambda p: 0.014 * tuft(p), 1, 0.02, sheen=0.6
    )


def marble(c: Array, vein: Array, uv: Mapping) -> Material:
    def colour(p: Array) -> Array:
        u, v = uv(p)
        w = 0.12 * fbm(u * 0.5, v * 0.5, 20)
        a = np.abs(swell(u * 0.4 + w, v * 0.5 + w, 21) + 0.1 * w)
        b = np.abs(swell(u * 0.9 + w + 0.7, v * 0.8 - w, 22) + 0.1 * w)
        t = 0.7 * (1 - smooth(0, 0.03, a)) + 0.35 * (1 - smooth(0, 0.025, b)) + 0.9 * w + 0.12
        return mix(c, vein, np.clip(t, 0, 1))

    return Material(colour, None, 0.06, 0.05)


def plaster(c: Array, uv: Mapping, rough: float = 0.8) -> Material:
    def colour(p: Array) -> Array:
        u, v = uv(p)
        return c * (1 + 0.13 * fbm(u * 0.4, v * 0.4, 23) + 0.08 * fbm(u * 4, v * 4, 24))

    return Material(colour, lambda p: 0.0015 * fbm(*(a * 2 for a in uv(p)), 24), rough, 0.03)


def tint(m: Material, where: Callable[[Array], Array], other: Material | Array) -> Material:
    """Another colour where the test holds (or in its proportion when it gives fractions)."""
    paint = other.colour if isinstance(other, Material) else lambda p: other + 0 * p
    return replace(m, colour=lambda p: mix(m.colour(p), paint(p), where(p).astype("f4")))


def stamp(
    m: Material,
    art: Image.Image,
    uv: Mapping,
    rect: Sequence[float],
    where: Callable[[Array], Array] | None = None,
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


# ---- printed artwork ----------------------------------------------------------------------------


def write(
    d: ImageDraw.ImageDraw, x: float, y: float, text: str, size: float, fill: str, fit: float = 1e9
) -> None:
    wide = ImageFont.load_default(size).getlength(text)
    d.text(
        (x, y), text, fill, ImageFont.load_default(size * min(1, fit / max(wide, 1))), anchor="mm"
    )


def canvas(
    size: tuple[int, int], ground: str | None = None
) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGBA", size, ground or (0, 0, 0, 0))
    return image, ImageDraw.Draw(image)


def pattern(
    rng: np.random.Generator, kind: str, a: str, b: str, size: tuple[int, int]
) -> Image.Image:
    """All-over decoration in two inks on a clear ground."""
    w, h = size
    image, d = canvas(size)
    step = h // int(rng.integers(4, 7))
    if kind == "stripes":
        for i, y in enumerate(range(step // 2, h, step)):
            d.rectangle((0, y, w, y + step * rng.uniform(0.12, 0.55)), fill=(a, b)[i % 2])
    elif kind == "bars":
        for i, x in enumerate(range(0, w, step // 2)):
            d.rectangle((x, 0, x + step // 6, h), fill=(a, a, b)[i % 3])
    elif kind == "waves":
        for j, y in enumerate(range(-step, h + step, step // 2)):
            xs = np.arange(0, w + 8, 8)
            ys = y + step * 0.2 * np.sin(xs * 12 * np.pi / w * 2)
            d.line(
                list(zip(xs.tolist(), ys.tolist(), strict=True)),
                fill=(a, b)[j % 2],
                width=step // 8,
            )
    else:
        cols = max(3, round(w / step))
        for i in range(cols):
            for j in range(h // step + 1):
                x, y = (i + 0.5 * (j % 2)) * w / cols, (j + 0.5) * step
                r, c = step * 0.24, (a, b)[int(rng.integers(2))]
                if kind == "dots":
                    d.ellipse((x - r, y - r, x + r, y + r), fill=c)
                elif kind == "peaks":
                    d.polygon([(x - r, y + r), (x, y - r), (x + r, y + r)], fill=c)
                else:  # leaves
                    for s in (-1, 1):
                        q = [(x, y + r), (x + s * r * 1.5, y + r * 0.2), (x + s * r * 0.9, y - r)]
                        d.polygon(q, fill=c)
                    d.line((x, y + r * 1.7, x, y - r), fill=a, width=max(2, step // 24))
    return image


def barcode(
    d: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float, w: float, h: float
) -> None:
    d.rectangle((x - 6, y - 6, x + w + 6, y + h + 6), fill="#ffffff")
    while x < (end := x + 1) and w > 0:
        bar = int(rng.integers(2, 6))
        d.rectangle((x, y, end + bar - 2, y + h), fill="#15161a")
        x, w = x + 2 * bar, w - 2 * bar


def label(
    rng: np.random.Generator,
    words: Sequence[str],
    paper: str | None,
    a: str,
    b: str,
    size: tuple[int, int],
) -> Image.Image:
    """A product label: emblem, brand, what it is, small print, sometimes a bar code."""
    w, h = size
    image, d = canvas(size)
    if paper:
        d.rounded_rectangle((2, 2, w - 3, h - 3), min(w, h) // 18, fill=paper)
        d.rounded_rectangle((16, 16, w - 17, h - 17), min(w, h) // 24, outline=a, width=3)
    r, x, y = min(w, h) * 0.13, w / 2, h * 0.2
    emblem = int(rng.integers(3))
    if emblem == 0:
        d.ellipse((x - r, y - r, x + r, y + r), fill=b)
        d.pieslice((x - r, y - r, x + r, y + r), 20, 160, fill=a)
    elif emblem == 1:
        for s in (-1, 0, 1):
            d.ellipse((x + s * r - r / 2, y - r, x + s * r + r / 2, y + r), outline=b, width=6)
    else:
        d.polygon([(x - r, y + r), (x, y - r), (x + r, y + r)], fill=b)
        d.polygon([(x, y + r), (x + r * 0.8, y - r * 0.1), (x + r * 1.6, y + r)], fill=a)
    big = min(h * 0.17, w * 0.3)
    write(d, w / 2, h * 0.47, words[0], big, a, w * 0.78)
    d.line((w * 0.25, h * 0.58, w * 0.75, h * 0.58), fill=b, width=4)
    write(d, w / 2, h * 0.66, words[1], big * 0.5, a, w * 0.66)
    if paper:
        for i in range(4):
            half = w * rng.uniform(0.18, 0.36)
            d.line(
                (w / 2 - half, h * (0.76 + 0.035 * i), w / 2 + half, h * (0.76 + 0.035 * i)), a, 3
            )
        write(d, w / 2, h * 0.92, words[2], big * 0.34, b)
    return image


def parcel_label(rng: np.random.Generator) -> Image.Image:
    image, d = canvas((420, 280), "#fbfbf8")
    d.rectangle((4, 4, 415, 275), outline="#1a1a1a", width=3)
    d.rectangle((4, 4, 120, 84), fill="#1a1a1a")
    write(d, 62, 44, "P2", 54, "#ffffff")
    for i, y in enumerate(range(26, 120, 19)):
        d.line((140, y, 140 + int(rng.integers(90, 250)), y), fill="#333333", width=8 - 3 * (i % 2))
    barcode(d, rng, 40, 150, 330, 84)
    write(d, 205, 256, f"{rng.integers(10**9, 10**10)}", 22, "#1a1a1a")
    return image


def screen(rng: np.random.Generator, size: tuple[int, int], a: str, b: str) -> Image.Image:
    """A home screen: gradient wallpaper, clock, status marks, rounded app tiles."""
    w, h = size
    y, x = np.mgrid[0:h, 0:w]
    t = np.clip(y / h * 0.8 + 0.2 * np.sin(x / w * 3 + y / h * 5), 0, 1)[..., None]
    ca, cb = (np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in (a, b))
    image = Image.fromarray((ca + (cb - ca) * t).astype(np.uint8)).convert("RGBA")
    d = ImageDraw.Draw(image)
    write(d, w / 2, h * 0.16, f"{rng.integers(7, 20)}:{rng.integers(10, 60)}", w * 0.2, "#ffffff")
    write(d, w / 2, h * 0.25, "Tuesday, 14 May", w * 0.06, "#ffffff")
    write(d, w * 0.12, h * 0.03, "9:41", w * 0.045, "#ffffff")
    d.rounded_rectangle((w * 0.85, h * 0.02, w * 0.93, h * 0.04), 4, fill="#ffffff")
    s = w * 0.15
    for j in range(5):
        for i in range(4):
            px, py = w * (0.08 + 0.23 * i), h * (0.36 + 0.115 * j) + (h * 0.03 if j == 4 else 0)
            c = tuple(int(v) for v in rng.integers(60, 250, 3))
            d.rounded_rectangle((px, py, px + s, py + s), s * 0.24, fill=c)
            d.ellipse((px + s * 0.3, py + s * 0.3, px + s * 0.7, py + s * 0.7), fill="#ffffff")
    return image


def cover(words: Sequence[str], ground: str, a: str, b: str, style: int) -> Image.Image:
    image, d = canvas((480, 660), ground)
    if style == 0:
        for i in range(7):
            d.ellipse(
                (240 - 36 * i, 380 - 36 * i, 240 + 36 * i, 380 + 36 * i),
                outline=(a, b)[i % 2],
                width=12,
            )
    elif style == 1:
        d.ellipse((270, 190, 390, 310), fill=b)
        d.polygon(
            [(0, 560), (150, 330), (290, 520), (380, 410), (480, 560), (480, 660), (0, 660)], fill=a
        )
    elif style == 2:
        for i in range(6):
            for j in range(5):
                q = (30 + 72 * i, 230 + 72 * j)
                d.pieslice(
                    (q[0], q[1], q[0] + 66, q[1] + 66),
                    90 * ((i * j) % 4),
                    90 * ((i * j) % 4) + 180,
                    (a, b)[(i + j) % 2],
                )
    else:
        for i in range(9):
            d.line((30, 240 + 40 * i, 450, 200 + 46 * i), fill=(a, b)[i % 2], width=10)
    write(d, 240, 80, words[0], 58, a)
    write(d, 240, 142, words[1], 34, a)
    write(d, 240, 628, words[2], 28, "#ffffff" if style == 1 else b)
    return image


# ---- products -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """A distance field and what it is made of."""

    distance: Field
    material: Material


@dataclass(frozen=True)
class Product:
    """Parts standing on y = 0 and looking along +z, with the camera angles that suit them."""

    parts: list[Part]
    elevation: tuple[float, float] = (12, 34)
    azimuth: tuple[float, float] = (-40, 40)
    bulb: tuple[float, float, float] | None = None


WHITE, BLACK, STEEL, BRASS = ink("#efece5"), ink("#17181b"), ink("#c9cbd0"), ink("#d9b36a")
RUBBER = plastic(ink("#222326"), 0.6)
OAK, WALNUT = (ink("#a97b4c"), ink("#d8b383")), (ink("#4a2f1e"), ink("#8a5f3d"))
LEVEL: Mapping = lambda p: (p[0], p[2])
UPRIGHT: Mapping = lambda p: (p[1], p[0] + 0.3 * p[2])


def radius(p: Array) -> Array:
    return length(p[0], p[2])


def above(level: float) -> Callable[[Array], Array]:
    return lambda p: p[1] > level


def mug(rng: np.random.Generator, k: int) -> Product:
    r, h, foot, belly = [
        (0.34, 0.78, 0.9, 0),
        (0.31, 0.92, 0.78, 0),
        (0.33, 0.66, 0.62, 0.07),
        (0.37, 0.72, 1, 0),
        (0.27, 0.98, 0.95, 0.03),
    ][k]
    out, inn = [
        ("#f4efe6", "#f4efe6"),
        ("#2f5d73", "#efe9dd"),
        ("#c9a58b", "#f1ece2"),
        ("#f3f1ea", "#f3f1ea"),
        ("#7d9179", "#e9e4d6"),
    ][k]
    t = np.linspace(0, 1, 10)
    side = r * (foot + (1 - foot) * t) + belly * np.sin(np.pi * t)
    outer = [
        (side[0] * 0.55, 0.0),
        (side[0] - 0.04, 0.0),
        *zip(side, 0.02 + t * (h - 0.02), strict=True),
    ]
    body, inside = vessel(outer, 0.03)
    ys, rs = t * h, side

    def handle(p: Array) -> Array:
        q = at(p, r * (0.5 + foot / 2) + belly + 0.08, h * 0.52, 0)
        d = length(outline(q[0], q[1], (0.16, h * 0.29), 0.15) * 1.0, q[2] * 0.75) - 0.036
        return smax(d, np.interp(p[1], ys, rs).astype("f4") - 0.015 - radius(p), 0.01)

    m = ceramic(ink(out), 0.8 if k == 2 else 0)
    kind = ["label", "none", "none", "stripes", "leaves"][k]
    if kind == "label":
        art = label(rng, ("good", "MORNING", ""), None, "#20324a", "#d0603f", (420, 420))
        m = stamp(m, art, wrap(r), (-0.24, 0.16, 0.24, 0.66), lambda p: (p[2] > 0) & ~inside(p))
    elif kind != "none":
        art = pattern(
            rng,
            kind,
            "#274690" if k == 3 else "#f0ead9",
            "#c8553d" if k == 3 else "#e9dcb8",
            (900, 320),
        )
        m = stamp(
            m, art, wrap(1), (-np.pi, h * 0.2, np.pi, h * 0.85), lambda p: radius(p) > r * 0.8
        )
    if k == 3:
        m = tint(m, above(h - 0.025), ink("#23386f"))
    m = tint(m, inside, ink(inn))
    m = tint(
        m,
        lambda p: p[1] < (0.025 if k != 2 else 0.17 + 0.03 * fbm(p[0], p[2])),
        ceramic(ink("#b98a63")),
    )
    return Product([Part(lambda p: smin(body(p), handle(p), 0.05), m)], (14, 36), (-50, 35))


def bowl(rng: np.random.Generator, k: int) -> Product:
    r, h = [(0.55, 0.36), (0.5, 0.42), (0.62, 0.3), (0.48, 0.34), (0.58, 0.38)][k]
    a = np.linspace(0.12, 1.0, 10) * np.pi / 2
    curve = [
        (
            r * (0.3 + 0.7 * np.sin(x) ** [1, 0.8, 1.2, 0.7, 1][k]),
            0.06 + (h - 0.06) * (1 - np.cos(x)),
        )
        for x in a
    ]
    outer = [(r * 0.26, 0.0), (r * 0.42, 0.0), (r * 0.42, 0.03), *curve]
    body, inside = vessel(outer, 0.028 if k != 1 else 0.05, 0.1)
    if k == 1:
        m = wood(*WALNUT, lambda p: (p[0], p[1] + 0.35 * p[2]), rough=0.3)
    else:
        m = ceramic(
            ink(["#e9e2d3", "", "#28303c", "#f2f0ea", "#dfc9b0"][k]), 0.7 if k in (0, 4) else 0
        )
        m = tint(m, inside, ceramic(ink(["#6f9aa6", "", "#3c6e71", "#f2f0ea", "#e8dcc9"][k]), 0.3))
    if k == 3:
        art = pattern(rng, "peaks", "#1f3f8a", "#3567b5", (1100, 160))
        m = stamp(m, art, wrap(1), (-np.pi, h * 0.5, np.pi, h * 0.88), lambda p: ~inside(p))
    if k == 4:
        m = tint(
            m, lambda p: p[1] > h * (0.62 + 0.06 * fbm(p[0] * 2, p[2] * 2)), ceramic(ink("#8f4a34"))
        )
    if k in (2, 3):
        m = tint(m, above(h - 0.012), ink("#b98b4d" if k == 2 else "#1f3f8a"))
    return Product([Part(body, m)], (20, 46), (-180, 180) if k != 3 else (-40, 40))


def plate(rng: np.random.Generator, k: int) -> Product:
    r = [0.62, 0.58, 0.65, 0.6][k]
    lip = [0.09, 0.14, 0.07, 0.1][k]
    outer = [
        (0.12, 0.0),
        (r * 0.55, 0.0),
        (r * 0.6, 0.02),
        (r * 0.68, 0.045),
        (r * 0.75, lip * 0.7),
        (r * 0.88, lip * 0.85),
        (r, lip),
    ]
    body, _ = vessel(outer, 0.024)
    m = ceramic(ink(["#f4f2ec", "#7f9a8c", "#f1ede2", "#2c3440"][k]), [0, 0.8, 0, 0.15][k])
    if k == 0:
        m = stamp(
            m,
            pattern(rng, "leaves", "#4d7a58", "#8fae6b", (1500, 130)),
            lambda p: (np.arctan2(p[0], p[2]), radius(p)),
            (-np.pi, r * 0.76, np.pi, r * 0.97),
        )
    if k == 1:
        m = tint(
            m, lambda p: smooth(0.6, 0.95, radius(p) / r + 0.12 * fbm(p[0], p[2])), ink("#d9d3bd")
        )
    if k == 2:
        m = stamp(
            m,
            pattern(rng, "waves", "#27548a", "#6f9ac4", (600, 600)),
            XZ,
            (-0.3, -0.3, 0.3, 0.3),
            lambda p: radius(p) < 0.29,
        )
        m = tint(m, lambda p: np.abs(radius(p) - r * 0.82) < 0.02, ink("#27548a"))
    if k == 3:
        m = tint(
            m,
            lambda p: np.abs(np.mod(radius(p) * 16 + 0.3 * fbm(p[0], p[2]), 1) - 0.5) < 0.06,
            ink("#566276"),
        )
    m = tint(
        m, lambda p: radius(p) > r - 0.012, ink(["#c9a14a", "#6b5a48", "#27548a", "#8a6a4c"][k])
    )
    return Product([Part(body, m)], (32, 62), (-180, 180))


def carton(rng: np.random.Generator, k: int) -> Product:
    w, h, d = [
        (0.55, 0.36, 0.42),
        (0.38, 0.55, 0.13),
        (0.56, 0.2, 0.34),
        (0.33, 0.33, 0.33),
        (0.2, 0.46, 0.2),
    ][k]
    solid = lambda p: box(at(p, 0, h, 0), (w, h, d), 0.012)
    front, right, top = (
        (lambda p: p[2] > d - 0.02),
        (lambda p: p[0] > w - 0.02),
        above(2 * h - 0.02),
    )
    side: Mapping = lambda p: (-p[2], p[1])
    parts = []
    if k == 0:
        m = card(ink("#b98d5c"))
        art, dr = canvas((600, 400))
        for x in (60, 130):
            dr.polygon(
                [
                    (x, 330),
                    (x, 270),
                    (x - 20, 270),
                    (x + 16, 225),
                    (x + 52, 270),
                    (x + 32, 270),
                    (x + 32, 330),
                ],
                fill="#3b2a1d",
            )
        dr.line((40, 345, 190, 345), fill="#3b2a1d", width=8)
        write(dr, 430, 300, "FRAGILE", 60, "#7a2f22")
        m = stamp(m, art, XY, (-w, 0, w, 2 * h), front)
        m = stamp(m, parcel_label(rng), XZ, (-0.1, -0.3, 0.42, 0.05), top)
        m = tint(m, lambda p: top(p) & (np.abs(p[2]) < 0.004), ink("#3d2d1c"))
        tape = lambda p: np.maximum(
            solid(p) - 0.003, np.maximum(np.abs(p[2]) - 0.07, 2 * h - 0.2 - p[1])
        )
        parts.append(
            Part(
                tape,
                replace(
                    plastic(ink("#c79f63"), 0.2),
                    bump=lambda p: 0.003 * fbm(p[0], p[2] * 0.4 + p[1]),
                ),
            )
        )
    elif k == 2:
        m = card(ink("#33586b"))
        m = stamp(
            m,
            label(
                rng, ("STRIDE", "everyday shoes", "size 42"), None, "#f2ede0", "#e8a04c", (420, 260)
            ),
            XY,
            (-0.3, 0.02, 0.3, 0.26),
            front,
        )
        lid = lambda p: box(at(p, 0, 2 * h - 0.05, 0), (w + 0.014, 0.065, d + 0.014), 0.012)
        lm = stamp(
            card(ink("#e8e1d2")),
            label(rng, ("STRIDE", "", ""), None, "#33586b", "#e8a04c", (500, 400)),
            XZ,
            (-0.34, -0.26, 0.34, 0.26),
            above(2 * h),
        )
        parts.append(Part(lid, lm))
    elif k == 3:
        m = stamp(
            card(ink("#e7e2d8")),
            pattern(rng, "dots", "#c9463d", "#d98a80", (512, 512)),
            XY,
            (-w, 0, w, 2 * h),
            front,
        )
        m = stamp(
            m,
            pattern(rng, "dots", "#c9463d", "#d98a80", (512, 512)),
            side,
            (-d, 0, d, 2 * h),
            right,
        )
        band = lambda p: np.maximum(solid(p) - 0.006, np.minimum(np.abs(p[0]), np.abs(p[2])) - 0.05)
        q = lambda p: at(p, 0, 2 * h + 0.06, 0)
        loop = lambda p, s: (
            length(
                outline(
                    turn(at(q(p), s * 0.13, 0.02, 0), 2, s * 25)[0],
                    turn(at(q(p), s * 0.13, 0.02, 0), 2, s * 25)[1],
                    (0.12, 0.06),
                    0.059,
                ),
                np.maximum(np.abs(p[2]) - 0.045, 0),
            )
            - 0.008
        )
        bow = lambda p: np.minimum(
            np.minimum(loop(p, 1), loop(p, -1)), ball(at(q(p), 0, -0.01, 0), 0.05, 0.04, 0.06)
        )
        ribbon = replace(cloth(ink("#b22234"), SKEW, 90, 0.004), rough=0.35)
        parts.append(Part(lambda p: np.minimum(band(p), bow(p)), ribbon))
    else:
        words, paper, a, b = (
            [("OAT CRUNCH", "honey & almond", "500 g"), ("lumi", "night cream", "50 ml")][k == 4],
            ["#f0b23c", "#f3e3df"][k == 4],
            ["#5b2c14", "#51314a"][k == 4],
            ["#c8451f", "#c58a72"][k == 4],
        )
        m = plastic(ink(paper), 0.45)
        m = stamp(
            m,
            label(rng, words, paper, a, b, (400, round(400 * h / w))),
            XY,
            (-w, 0, w, 2 * h),
            front,
        )
        art, dr = canvas((200, 700), b)
        for y in range(120, 480, 22):
            dr.line((30, y, int(rng.integers(110, 170)), y), fill="#ffffff", width=5)
        barcode(dr, rng, 30, 560, 140, 90)
        m = stamp(m, art, side, (-d, 0, d, 2 * h), right)
    flaps = lambda p: top(p) & (np.abs(np.abs(p[0]) - w * 0.98) < 0.004)
    parts.append(Part(solid, tint(m, flaps, ink("#5b4630")) if k == 0 else m))
    return Product(parts, (14, 36), (18, 52))


def sock(rng: np.random.Generator, k: int) -> Product:
    leg, main, accent, gauge = [
        (0.62, "#c9c3b5", "#b5483a", 40),
        (0.35, "#2d4a63", "#e5b567", 46),
        (0.8, "#5f7f5a", "#ede4cf", 34),
        (0.6, "#e8e0d4", "#4a6fa5", 44),
        (0.5, "#7b4b6b", "#e3b7c0", 40),
    ][k]
    heel, toe, cuff = (0.0, 0.12), (0.44, 0.2), (-0.04, 0.12 - leg)

    def one(p: Array) -> Array:
        q = (p[0], p[2])
        flat = smin(limb(q, cuff, heel, 0.15, 0.155), limb(q, heel, toe, 0.155, 0.125), 0.12)
        flat = smax(flat, cuff[1] - p[2], 0.03)
        return smax(flat, np.abs(p[1] - 0.045) - 0.045, 0.1)

    def along(p: Array) -> tuple[Array, Array]:
        t = smooth(-0.12, 0.14, p[2] * 0.7 + p[0] - 0.1)
        return mix(p[0], -p[2] + 0.18 * p[0], t), mix(p[2] - cuff[1], p[0] + 0.1 + leg, t)

    stripe = int(rng.integers(2))

    def colour(p: Array) -> Array:
        _, v = along(p)
        ends = (length(p[0] + 0.06, p[2] - 0.22) < 0.15) | (p[0] > 0.38) | (v < 0.13 * (k != 2))
        band = (np.mod(v, 0.16) < 0.05) if k != 1 else (np.abs(v - 0.2) < 0.03)
        dots = (np.mod(v * 8, 1) - 0.5) ** 2 + (np.mod(along(p)[0] * 8, 1) - 0.5) ** 2 < 0.07
        return mix(
            ink(main),
            ink(accent),
            (ends | (dots if k in (3, 4) else band & (k + stripe > 0))).astype("f4"),
        )

    yarn = knit(colour, along, gauge)
    rib = lambda p: yarn.bump(p) + 0.012 * np.cos(along(p)[0] * 130) * (along(p)[1] < 0.16)
    m = replace(yarn, bump=rib)
    left = lambda p: turn(at(p, -0.45, 0, 0.12), 1, 8)
    right = lambda p: turn(at(p, 0.3, 0, -0.04), 1, -5)
    pair = [
        Part(
            lambda p, f=f: one(f(p)),
            replace(m, colour=lambda p, f=f: m.colour(f(p)), bump=lambda p, f=f: m.bump(f(p))),
        )
        for f in (left, right)
    ]
    return Product(pair, (52, 76), (-35, 35))


def toy(rng: np.random.Generator, k: int) -> Product:
    return (bear, bear, duck, car, rings, robot)[k](rng, k)


def bear(rng: np.random.Generator, k: int) -> Product:
    coat, light = [("#a8743f", "#e0c398"), ("#cfc6bd", "#f2ece4")][k]
    pairs = lambda f: lambda p: f(np.stack([np.abs(p[0]), p[1], p[2]]))
    body = lambda p: ball(at(p, 0, 0.33, 0), 0.25, 0.31, 0.22)
    head = lambda p: ball(at(p, 0, 0.8, 0.03), 0.24, 0.215, 0.21)
    ears = pairs(lambda p: ball(at(p, 0.19, 0.97, 0.0), 0.085, 0.085, 0.045))
    arms = pairs(lambda p: limb(p, (0.2, 0.5, 0.04), (0.34, 0.27, 0.16), 0.085, 0.085))
    legs = pairs(lambda p: limb(p, (0.15, 0.13, 0.06), (0.25, 0.13, 0.36), 0.125, 0.12))

    def furry(p: Array) -> Array:
        d = smin(smin(body(p), head(p), 0.06), smin(arms(p), legs(p), 0.03), 0.05)
        return smin(d, ears(p), 0.03) + 0.006 * np.sin(31 * p[0]) * np.sin(29 * p[1]) * np.sin(
            33 * p[2]
        )

    pads = pairs(
        lambda p: smin(
            ball(at(p, 0.265, 0.13, 0.465), 0.07, 0.08, 0.03),
            ball(at(p, 0.19, 0.97, 0.03), 0.05, 0.05, 0.03),
            0.01,
        )
    )
    muzzle = lambda p: np.minimum(ball(at(p, 0, 0.745, 0.205), 0.1, 0.078, 0.085), pads(p))
    nose = lambda p: np.minimum(
        ball(at(p, 0, 0.785, 0.285), 0.036, 0.026, 0.024),
        pairs(lambda q: ball(at(q, 0.085, 0.86, 0.212), 0.027))(p),
    )
    bow = lambda p: smin(
        pairs(lambda q: ball(at(turn(q, 2, 8), 0.1, 0.585, 0.2), 0.085, 0.06, 0.03))(p),
        ball(at(p, 0, 0.595, 0.215), 0.035),
        0.01,
    )
    silk = stamp(
        cloth(ink(["#b5323a", "#39608f"][k]), XY, 80, 0.01),
        pattern(rng, "dots", "#ffffff", "#ffffff", (256, 256)),
        XY,
        (-0.2, 0.45, 0.2, 0.75),
    )
    parts = [
        Part(furry, fur(ink(coat))),
        Part(muzzle, fur(ink(light))),
        Part(nose, plastic(BLACK, 0.08)),
        Part(bow, silk),
    ]
    return Product(parts, (8, 24), (-32, 32))


def duck(rng: np.random.Generator, k: int) -> Product:
    trunk = lambda p: smin(
        ball(at(p, 0, 0.28, 0), 0.3, 0.28, 0.42),
        ball(at(turn(at(p, 0, 0.42, -0.38), 0, -35), 0, 0, 0), 0.12, 0.08, 0.16),
        0.15,
    )
    head = lambda p: ball(at(p, 0, 0.7, 0.2), 0.23)
    wing = lambda p: ball(
        at(p, 0, 0, 0) * np.array([[1], [1], [1]], "f4")
        - np.stack([np.sign(p[0]) * 0.27, 0.32 + 0 * p[0], -0.05 + 0 * p[0]]),
        0.06,
        0.13,
        0.22,
    )
    skin = lambda p: np.maximum(smin(smin(trunk(p), head(p), 0.14), wing(p), 0.05), -p[1])
    beak = lambda p: smin(
        ball(at(p, 0, 0.67, 0.43), 0.11, 0.028, 0.1),
        ball(at(p, 0, 0.64, 0.42), 0.085, 0.022, 0.075),
        0.02,
    )
    eyes = lambda p: ball(
        np.stack([np.abs(p[0]) - 0.095, p[1] - 0.77, p[2] - 0.395]), 0.032, 0.042, 0.02
    )
    return Product(
        [
            Part(skin, plastic(ink("#f2c21b"), 0.22)),
            Part(beak, plastic(ink("#e2641d"), 0.25)),
            Part(eyes, plastic(BLACK, 0.05)),
        ],
        (8, 26),
        (25, 65),
    )


def car(rng: np.random.Generator, k: int) -> Product:
    hull = lambda p: smin(
        box(at(p, 0, 0.25, 0), (0.6, 0.13, 0.26), 0.09),
        box(at(p, -0.06, 0.42, 0), (0.3, 0.15, 0.22), 0.1),
        0.08,
    )
    wells = lambda p: disc(np.stack([np.abs(p[0]) - 0.36, p[1] - 0.15, p[2]]), 0.175, 0.4, 0.01, 2)
    wheel = lambda r, e: (
        lambda p: disc(
            np.stack([np.abs(p[0]) - 0.36, p[1] - 0.15, np.abs(p[2]) - 0.22 - e]), r, 0.05, 0.02, 2
        )
    )
    glazed = lambda p: (
        (p[1] > 0.4)
        & (p[1] < 0.53)
        & (np.abs(p[0] + 0.06) > 0.03)
        & ((np.abs(p[0] + 0.06) < 0.24) | (np.abs(p[2]) < 0.16))
    )
    m = tint(plastic(ink("#c23a2e"), 0.12), glazed, ink("#22303a"))
    m = tint(m, lambda p: np.abs(p[1] - 0.26) < 0.018, ink("#f3e7c9"))
    art, d = canvas((200, 200))
    d.ellipse((10, 10, 190, 190), fill="#f3e7c9")
    write(d, 100, 100, "7", 150, "#1d1f24")
    m = stamp(m, art, XY, (-0.16, 0.14, 0.06, 0.36), lambda p: p[2] > 0.2)
    lamps = lambda p: ball(
        np.stack([p[0] - 0.585, p[1] - 0.28, np.abs(p[2]) - 0.16]), 0.03, 0.05, 0.05
    )
    parts = [
        Part(lambda p: smax(hull(p), -wells(p), 0.02), m),
        Part(wheel(0.15, 0), RUBBER),
        Part(wheel(0.085, 0.012), metal(STEEL)),
        Part(lamps, plastic(ink("#f6edc8"), 0.05)),
    ]
    return Product(parts, (12, 30), (22, 55))


def rings(rng: np.random.Generator, k: int) -> Product:
    parts, y = [], 0.08
    for i, c in enumerate(("#c8453b", "#e38b2c", "#ecc94b", "#5d9e5f", "#3f78a8")):
        big, t = 0.36 - 0.045 * i, 0.088 - 0.006 * i
        y += t
        parts.append(
            Part(
                lambda p, y=y, b=big, t=t: length(radius(p) - b + t, p[1] - y) - t,
                wood(ink(c) * 0.82, ink(c), lambda p: (p[0], p[1] * 0.4 + p[2]), rough=0.25),
            )
        )
        y += t * 0.93
    base = wood(*OAK, LEVEL, rough=0.35)
    parts.append(
        Part(
            lambda p: np.minimum(
                disc(at(p, 0, 0.04, 0), 0.4, 0.04, 0.03),
                disc(at(p, 0, y / 2, 0), 0.07, y / 2, 0.01),
            ),
            base,
        )
    )
    parts.append(
        Part(
            lambda p: ball(at(p, 0, y + 0.08, 0), 0.11),
            wood(ink("#a3343a"), ink("#c8453b"), SKEW, rough=0.2),
        )
    )
    return Product(parts, (10, 28), (-180, 180))


def robot(rng: np.random.Generator, k: int) -> Product:
    mirrored = lambda p: np.stack([np.abs(p[0]), p[1], p[2]])
    legs = lambda p: np.minimum(
        box(at(mirrored(p), 0.13, 0.16, 0), (0.09, 0.16, 0.1), 0.02),
        box(at(mirrored(p), 0.13, 0.04, 0.05), (0.11, 0.04, 0.17), 0.02),
    )
    trunk = lambda p: box(at(p, 0, 0.52, 0), (0.26, 0.22, 0.17), 0.04)
    head = lambda p: box(at(p, 0, 0.9, 0), (0.2, 0.14, 0.15), 0.05)
    joints = lambda p: np.minimum(
        disc(at(p, 0, 0.75, 0), 0.09, 0.04),
        np.minimum(
            disc(at(mirrored(p), 0.28, 0.62, 0), 0.07, 0.05, 0.02, 0),
            disc(at(p, 0, 1.08, 0), 0.015, 0.08, 0.005),
        ),
    )
    arms = lambda p: box(at(mirrored(p), 0.355, 0.48, 0.02), (0.06, 0.19, 0.07), 0.03)
    knob = lambda p: np.minimum(
        ball(at(p, 0, 1.17, 0), 0.045), ball(at(mirrored(p), 0.09, 0.93, 0.15), 0.05, 0.05, 0.03)
    )
    art, d = canvas((300, 250), "#e9e4d4")
    d.rectangle((10, 10, 290, 240), outline="#3a3a3a", width=8)
    for i, c in enumerate(("#d14b3a", "#e8b33c", "#3f8a6a")):
        d.ellipse((40 + 80 * i, 40, 95 + 80 * i, 95), fill=c)
    d.arc((60, 110, 240, 290), 180, 360, fill="#3a3a3a", width=8)
    d.line((150, 200, 195, 140), fill="#d14b3a", width=8)
    m = stamp(
        wood(ink("#3f7f88"), ink("#5fa0a5"), UPRIGHT),
        art,
        XY,
        (-0.18, 0.38, 0.18, 0.66),
        lambda p: p[2] > 0.14,
    )
    mouth, d = canvas((200, 60))
    for x in range(5, 200, 32):
        d.rectangle((x, 5, x + 22, 55), fill="#2b2b2b")
    hm = stamp(wood(*OAK, UPRIGHT), mouth, XY, (-0.11, 0.8, 0.11, 0.86), lambda p: p[2] > 0.12)
    parts = [
        Part(legs, wood(ink("#c9503c"), ink("#db6f56"), UPRIGHT)),
        Part(trunk, m),
        Part(head, hm),
        Part(joints, metal(STEEL)),
        Part(arms, wood(ink("#d79a33"), ink("#e8b85a"), UPRIGHT)),
        Part(knob, plastic(ink("#22262b"), 0.08)),
    ]
    return Product(parts, (8, 24), (-35, 35))


def solid_of(outer: Sequence[Sequence[float]]) -> Field:
    return lathe([(-0.3, outer[0][1]), *outer, (-0.3, outer[-1][1])], 2)


def bottle(rng: np.random.Generator, k: int) -> Product:
    table = (  # radius height, from the foot to the mouth
        ".15 0 .165 .02 .165 .03 .165 .68 .15 .78 .07 .9 .056 .95 .056 1.2 .066 1.2 .066 1.24",
        ".19 0 .21 .02 .21 .04 .21 .7 .2 .74 .09 .79 .07 .82 .07 .84",
        ".14 0 .16 .02 .16 .05 .16 .78 .15 .84 .1 .92 .09 .95 .09 .97",
        ".15 0 .17 .02 .18 .1 .16 .35 .18 .6 .15 .75 .08 .86 .075 .9 .075 .98",
        ".24 0 .27 .02 .27 .05 .27 .44 .25 .5 .22 .53 .22 .58",
    )
    profile = np.array(table[k].split(), float).reshape(-1, 2)
    body, top, r = solid_of(profile), profile[-1][1], profile[3][0]
    bubble = lambda p: 0.002 * fbm(p[0], p[1], 30)
    fill = [ink("#2a4a1e"), None, None, ink("#f0962a"), ink("#8c1626")][k]
    if fill is not None:  # clear goods: coloured up to the level, nearly clear above
        level, thick = [(0.86, 16.0), (0, 0), (0, 0), (0.84, 5.0), (0.5, 9.0)][k]
        weak = 0.9 if k == 0 else 0.06
        absorb = lambda p: (
            thick * -np.log(np.clip(fill, 0.02, 0.95)) * np.where(p[1] < level, 0.45, 0.45 * weak)
        )
        m = Material(lambda p: 0 * p, bubble, 0.04, 0.045, glass=absorb, index=1.33)
    elif k == 1:
        m = plastic(ink("#e9e1d6"), 0.25)
    else:
        m = tint(
            metal(ink("#c3cbd2"), 0.22), above(0.12), replace(plastic(ink("#31566b")), f0=0.05)
        )
        m = replace(m, metal=False, f0=0.06, rough=0.2)
    words = [
        ("ROSALBA", "vino rosso", "75 cl"),
        ("fern & sage", "shampoo", "400 ml"),
        ("PEAK", "", ""),
        ("Citrona", "orange juice", "0.5 l"),
        ("Oma's", "cherry jam", "320 g"),
    ][k]
    paper = ["#efe6cf", "#dfe7d8", None, "#fff6e0", "#fdf3ea"][k]
    a, b = [
        ("#3a1d22", "#a4813f"),
        ("#2f4a3a", "#7fa37a"),
        ("#e9eef0", "#f0a45c"),
        ("#a4480f", "#2f7d4f"),
        ("#5b1020", "#b5475a"),
    ][k]
    y0, y1, half = [
        (0.2, 0.56, 0.2),
        (0.16, 0.58, 0.2),
        (0.3, 0.66, 0.15),
        (0.24, 0.52, 0.19),
        (0.1, 0.4, 0.3),
    ][k]
    art = label(rng, words, paper, a, b, (round(640 * 2 * half), round(640 * (y1 - y0))))
    rect = (-half, y0, half, y1)
    parts = []
    if paper and k != 1:
        on = lambda p: np.maximum(
            np.maximum(
                np.abs(p[1] - (y0 + y1) / 2) - (y1 - y0) / 2,
                np.abs(np.arctan2(p[0], p[2])) * r - half,
            ),
            body(p) - 0.003,
        )
        parts.append(Part(on, stamp(card(ink(paper)), art, wrap(r), rect)))
    else:
        m = stamp(m, art, wrap(r), rect, lambda p: p[2] > 0)
    grip = lambda p: 0.006 * np.cos(np.arctan2(p[0], p[2]) * 44)
    if k == 0:
        parts.append(
            Part(
                lambda p: disc(at(p, 0, 1.12, 0), 0.069, 0.135, 0.012),
                replace(metal(ink("#7d1f2b"), 0.3), f0=0.4),
            )
        )
    elif k == 1:
        pump = lambda p: np.minimum(
            np.minimum(
                disc(at(p, 0, 0.86, 0), 0.085, 0.05, 0.012), disc(at(p, 0, 0.95, 0), 0.025, 0.08)
            ),
            box(at(p, -0.07, 1.03, 0), (0.15, 0.026, 0.045), 0.024),
        )
        parts.append(
            Part(
                pump, replace(plastic(ink("#2f3b36"), 0.25), bump=lambda p: grip(p) * (p[1] < 0.9))
            )
        )
    elif k == 4:
        gingham = stamp(
            metal(BRASS, 0.3),
            pattern(rng, "dots", "#ffffff", "#b5475a", (256, 256)),
            XZ,
            (-0.25, -0.25, 0.25, 0.25),
            above(0.67),
        )
        parts.append(
            Part(
                lambda p: disc(at(p, 0, 0.62, 0), 0.255, 0.055, 0.015),
                replace(
                    gingham,
                    bump=lambda p: 0.004 * np.cos(np.arctan2(p[0], p[2]) * 70) * (radius(p) > 0.24),
                ),
            )
        )
    else:
        c = metal(STEEL, 0.3) if k == 2 else plastic(ink("#2f7d4f"), 0.35)
        parts.append(
            Part(
                lambda p: disc(at(p, 0, top + 0.035, 0), [0, 0, 0.105, 0.095][k], 0.075, 0.015),
                replace(c, bump=lambda p: grip(p) * (p[1] < top + 0.08)),
            )
        )
    return Product([*parts, Part(body, m)], (4, 18), (-25, 25))


def vase(rng: np.random.Generator, k: int) -> Product:
    t = np.linspace(0, 1, 14)
    r, h = [
        (0.2 + 0.14 * np.sin(np.pi * t**0.8) - 0.1 * smooth(0.6, 1, t), 0.95),
        (0.13 + 0.2 * np.sin(np.pi * t**1.6) ** 2, 0.75),
        (0.15 + 0.12 * t**2, 0.85),
        (0.3 * np.sin(np.pi * (0.12 + 0.78 * t)) ** 0.7, 0.6),
        (0.1 + 0.22 * np.exp(-(((t - 0.3) / 0.22) ** 2)) + 0.05 * t**6, 1.05),
    ][k]
    body, inside = vessel(
        [(r[0] * 0.5, 0.0), (r[0] - 0.02, 0.0), *zip(r, 0.015 + t * (h - 0.015), strict=True)],
        0.026,
    )
    if k == 2:
        m = Material(
            lambda p: 0 * p,
            lambda p: 0.003 * np.cos(np.arctan2(p[0], p[2]) * 18),
            0.04,
            0.045,
            glass=lambda p: np.array([[5.0], [1.6], [1.2]]) + 0 * p,
        )
        return Product([Part(body, m)], (8, 24), (-180, 180))
    m = ceramic(
        ink(["#3d6f7c", "#eee8dc", "", "#d98f6c", "#f3f0e8"][k]),
        [0.2, 0, 0, 0.9, 0][k],
        [0.08, 0.12, 0, 0.5, 0.1][k],
    )
    if k == 0:  # a second glaze that ran down
        run = lambda p: smooth(
            -0.03,
            0.03,
            p[1]
            - 0.6
            - 0.22 * fbm(np.arctan2(p[0], p[2]) * 0.5, p[1] * 0.1)
            - 0.05 * np.sin(np.arctan2(p[0], p[2]) * 9),
        )
        m = tint(m, run, ink("#d9cfb4"))
    if k == 1:
        m = replace(m, bump=lambda p: 0.012 * np.abs(np.cos(np.arctan2(p[0], p[2]) * 10)))
    if k == 3:
        m = tint(m, lambda p: np.mod(p[1] * 9, 1) < 0.35 + 0.1 * fbm(p[0], p[2]), ink("#f0e3cf"))
    if k == 4:
        m = stamp(
            m,
            pattern(rng, "leaves", "#274690", "#4f74b8", (900, 420)),
            wrap(1),
            (-np.pi, 0.12, np.pi, 0.7),
        )
        m = tint(
            m,
            lambda p: (np.abs(p[1] - 0.06) < 0.014) | (np.abs(p[1] - 0.76) < 0.012),
            ink("#274690"),
        )
    return Product([Part(body, tint(m, inside, ink("#4d4238")))], (6, 26), (-180, 180))


def shoe(rng: np.random.Generator, k: int) -> Product:
    low, high, drop = [
        (0.16, 0.4, -0.03),
        (0.17, 0.6, 0.0),
        (0.15, 0.33, 0.0),
        (0.17, 0.44, -0.02),
        (0.15, 0.38, -0.03),
    ][k]
    main, accent, sole = [
        ("#e9e6df", "#2f6f73", "#f4f2ec"),
        ("#7a4a28", "#c9a06a", "#2b211b"),
        ("#2c3646", "#c98a4a", "#e8ddc8"),
        ("#b8442f", "#f1ede4", "#f4f2ec"),
        ("#33353a", "#9ad04c", "#e8e8e6"),
    ][k]

    def foot(p: Array) -> Array:
        q = (p[0], p[2])
        return smin(
            limb(q, (-0.34, 0), (0.16, 0.02), 0.125, 0.165),
            limb(q, (0.16, 0.02), (0.34, -0.01), 0.165, 0.13),
            0.1,
        )

    spring = lambda p: (
        at(p, 0, 0, 0) - np.stack([0 * p[0], 0.06 * smooth(0.15, 0.55, p[0]), 0 * p[0]])
    )
    ramp = lambda x: (
        low + (high - low) / (1 + np.exp((x - drop) / 0.06)) + 0.02 * smooth(-0.3, -0.5, x)
    )
    mouth = lambda p: smin(
        limb(p, (-0.26, high + 0.02, 0), (-0.1, high + 0.03, 0), 0.066, 0.07),
        limb(p, (-0.24, high, 0), (-0.22, 0.2, 0), 0.068, 0.06),
        0.05,
    )

    def upper(p: Array) -> Array:
        q = spring(p)
        side = foot(p) + 0.006 + 0.11 * np.maximum(q[1] - 0.1, 0)
        return smax(smax(side, (q[1] - ramp(q[0])) * 0.72, 0.16), 0.05 - q[1], 0.02)

    vamp = lambda p: smax(upper(p), -mouth(p), 0.025)

    def base(p: Array) -> Array:
        q = spring(p)
        return (
            smax(
                foot(p) - 0.004,
                np.abs(q[1] - 0.05 - 0.015 * smooth(0, -0.3, q[0]))
                - 0.05
                - 0.015 * smooth(0, -0.3, q[0]),
                0.025,
            )
            * 0.9
        )

    lining = lambda p: (mouth(p) < 0.012) & (p[1] < high + 0.05)
    side_uv: Mapping = lambda p: (p[0], p[1])
    m = [
        cloth(ink(main), side_uv, 70, 0.008),
        leather(ink(main)),
        leather(ink(main), rough=0.5),
        cloth(ink(main), side_uv, 60, 0.006),
        knit(lambda p: ink(main) + 0 * p, side_uv, 44),
    ][k]
    if k in (0, 4):
        swoop = lambda p: (
            (np.abs(np.mod(p[0] * 1.4 + p[1] * 1.1 + 0.05, 0.18) - 0.07) < 0.03)
            & (p[0] > -0.2)
            & (p[0] < 0.17)
            & (np.abs(p[2]) > 0.07)
        )
        m = tint(m, swoop, ink(accent))
    patch = lambda p: (p[0] < -0.33) | ((p[0] > 0.33) & (k in (0, 3)))
    m = tint(m, patch, ink(accent) if k != 1 else ink("#5b3519"))
    stitch = lambda p: (
        (np.abs(length(p[0] + 0.02, p[1] - 0.02) - 0.33) < 0.004)
        & (np.mod(np.arctan2(p[1], p[0] + 0.02) * 40, 1) < 0.65)
    )
    m = tint(m, stitch, ink("#d9cfbb"))
    m = tint(m, lining, cloth(ink("#d8cfc0" if k != 0 else "#2f6f73"), SKEW, 80, 0))
    sm = plastic(ink(sole), 0.55)
    sm = tint(sm, lambda p: np.abs(spring(p)[1] - 0.075) < 0.006, ink(accent))
    sm = replace(sm, bump=lambda p: 0.0005 * np.cos(p[0] * 170) * (spring(p)[1] < 0.055))
    parts = [Part(vamp, m), Part(base, sm)]
    if k != 2:
        lo, hi = drop - 0.01, drop + 0.2
        n = 5

        def laces(p: Array) -> Array:
            s = np.mod((p[0] - lo) / (hi - lo) * n + 0.25 * np.abs(p[2]) / 0.05 * 0.4, 1) - 0.5
            slab = np.abs(s) * (hi - lo) / n - 0.012
            d = np.maximum(
                np.maximum(slab * 0.8, np.abs(p[2]) - 0.075), np.maximum(lo - p[0], p[0] - hi)
            )
            return smax(smax(d, np.abs(upper(p) - 0.006) - 0.01, 0.012), 0.18 - p[1], 0.01) * 0.8

        parts.append(
            Part(
                laces, cloth(ink(["#f7f5f0", "#d9b36a", "", "#f7f5f0", "#9ad04c"][k]), SKEW, 90, 0)
            )
        )
        tongue = lambda p: box(
            turn(at(p, drop - 0.01, float(ramp(np.float64(drop))) + 0.02, 0), 2, 38),
            (0.018, 0.12, 0.064),
            0.017,
        )
        parts.append(Part(tongue, tint(m, lambda p: p[0] > -9, cloth(ink(main), XY, 70, 0))))
    else:
        strap = lambda p: (
            smax(np.abs(upper(p) - 0.004) - 0.009, np.abs(p[0] - 0.12) - 0.05, 0.008) * 0.9
        )
        buckle = lambda p: np.maximum(
            np.maximum(strap(p) - 0.006, np.abs(p[2]) - 0.05), np.abs(p[0] - 0.12) - 0.035
        )
        parts += [
            Part(lambda p: np.maximum(strap(p), 0.1 - p[1]), leather(ink(accent))),
            Part(buckle, metal(BRASS, 0.2)),
        ]
    return Product(parts, (12, 32), (-28, 22) if k % 2 else (18, 50))


def lamp(rng: np.random.Generator, k: int) -> Product:
    t = np.linspace(0, 1, 12)
    lit = k != 2
    if k == 3:  # mushroom
        stem = solid_of(
            [(0.18, 0), (0.19, 0.015), (0.17, 0.05), (0.07, 0.16), (0.06, 0.4), (0.1, 0.6)]
        )
        base = metal(BRASS, 0.2)
        a = np.linspace(0.0, 1.5, 9)
        shade = lathe(
            [
                (-0.3, 0.88),
                *((0.4 * np.sin(x + 0.07), 0.55 + 0.33 * np.cos(x)) for x in a),
                (0.38, 0.55),
                *((0.37 * np.sin(x + 0.05), 0.55 + 0.3 * np.cos(x)) for x in a[::-1]),
                (-0.3, 0.85),
            ],
            1,
        )
        cone = replace(plastic(ink("#f4e6cf"), 0.2), glow=0.25)
    else:
        foot = [
            0.14 + 0.12 * np.sin(np.pi * t**0.75),
            0.05 + 0.13 * (1 - t) ** 4,
            0.06 + 0.14 * (1 - smooth(0, 0.12, t)),
            None,
        ][k]
        top = [0.5, 0.62, 0.72][k]
        stem = solid_of(
            [
                (foot[0] * 0.9, 0.0),
                *zip(foot, 0.012 + t * (top - 0.012), strict=True),
                (0.022, top + 0.03),
                (0.022, top + 0.14),
            ]
        )
        base = [
            ceramic(ink("#47707c"), 0.3),
            wood(*OAK, UPRIGHT, rough=0.35),
            metal(ink("#2b2d31"), 0.3),
        ][k]
        if k == 0:
            base = tint(
                base, lambda p: np.mod(p[1] * 13 + 0.15 * fbm(p[0], p[2]), 1) < 0.12, ink("#dfe5dc")
            )
        lo, hi, y0, y1 = [
            (0.4, 0.27, 0.56, 0.98),
            (0.34, 0.34, 0.68, 1.08),
            (0.38, 0.1, 0.74, 1.02),
        ][k]
        shade = lathe([(lo, y0), (lo + 0.005, y0), (hi, y1), (hi - 0.014, y1), (lo - 0.014, y0)], 1)
        cone = [
            cloth(ink("#f3e7cf"), wrap(0.4), 70, 0),
            cloth(ink("#e9dcc3"), wrap(0.4), 50, 0),
            replace(metal(ink("#b5482f"), 0.35), metal=False, f0=0.06),
        ][k]
        edge = lambda p: (p[1] < y0 + 0.02) | (p[1] > y1 - 0.02)
        cone = tint(
            replace(cone, glow=0.3 if lit else 0.0), edge, ink(["#b9935a", "#6b4a32", "#7c2d1c"][k])
        )
    cord = lambda p: smin(
        limb(p, (0.02, 0.016, -0.1), (0.12, 0.016, -0.34), 0.012, 0.012),
        limb(p, (0.12, 0.016, -0.34), (0.36, 0.016, -0.5), 0.012, 0.012),
        0.02,
    )
    parts = [Part(stem, base), Part(shade, cone), Part(cord, RUBBER)]
    return Product(
        parts, (4, 16), (-180, 180) if k == 3 else (-30, 30), (0, 0.72, 0) if lit else None
    )


def book(rng: np.random.Generator, k: int) -> Product:
    titles = [
        ("THE LONG", "winter road", "A. Halvorsen"),
        ("Soup", "forty recipes", "Mira Oda"),
        ("RIVERS", "of glass", "T. Lindqvist"),
        ("ORBIT", "a short history", "J. Okoye"),
    ]
    inks = [
        ("#23395b", "#f0e3c4", "#d98a4f"),
        ("#e8dfcc", "#a83c2a", "#4d7a58"),
        ("#d9e2e0", "#2f6f73", "#e0a458"),
        ("#1d1f29", "#e9c46a", "#c8553d"),
    ]

    def volume(i: int, half: Sequence[float], pose: Callable[[Array], Array]) -> list[Part]:
        """A book lying on its back cover: spine at -x, cover up."""
        w, h, d = half
        q = lambda p: at(pose(p), 0, h, 0)

        def boards(p: Array) -> Array:
            s = q(p)
            return smax(
                box(s, (w, h, d), 0.008),
                -box(at(s, 0.02, 0, 0), (w, h - 0.014, d + 0.1), 0.004),
                0.004,
            )

        block = lambda p: box(at(q(p), 0.002, 0, 0), (w - 0.018, h - 0.012, d - 0.015), 0.006)
        art = cover(titles[i], *inks[i], i)
        m = cloth(ink(inks[i][0]), lambda p: XZ(q(p)), 110, 0.0)
        m = replace(m, rough=0.4 if i % 2 else 0.7, f0=0.04)
        m = stamp(m, art, lambda p: XZ(q(p)), (-w * 0.93, -d, w, d), lambda p: q(p)[1] > h - 0.01)
        spine, dr = canvas((600, 90))
        write(dr, 250, 44, " ".join(titles[i][:2]), 46, inks[i][1])
        dr.line((20, 8, 20, 82), inks[i][2], 8)
        dr.line((580, 8, 580, 82), inks[i][2], 8)
        m = stamp(
            m, spine, lambda p: (q(p)[2], q(p)[1]), (-d, -h, d, h), lambda p: q(p)[0] < 0.01 - w
        )
        paper = Material(
            lambda p: (
                ink("#efe6d2")
                * (0.9 + 0.1 * np.sin(q(p)[1] * 700) + 0.1 * fbm(q(p)[1] * 9, q(p)[1] * 3))
            ),
            None,
            0.9,
        )
        return [Part(boards, m), Part(block, paper)]

    if k == 3:  # a pile
        sizes, parts, y = [(0.36, 0.055, 0.5), (0.34, 0.04, 0.47), (0.3, 0.05, 0.42)], [], 0.0
        for i, (s, angle) in enumerate(zip(sizes, (4, -7, 9), strict=True)):
            parts += volume((i + 1) % 4, s, lambda p, y=y, a=angle: turn(at(p, 0.01, y, 0), 1, a))
            y += 2 * s[1]
        return Product(parts, (20, 40), (-75, -50))
    if k == 2:  # standing on its lower edge, front towards the camera
        return Product(
            volume(2, (0.36, 0.06, 0.5), lambda p: turn(at(p, 0, 0.5, 0), 0, 90)),
            (8, 22),
            (-48, -25),
        )
    return Product(
        volume(k, (0.37, 0.05 + 0.02 * k, 0.5), lambda p: p),
        (36, 60),
        (-40, -12) if k else (15, 40),
    )


def phone(rng: np.random.Generator, k: int) -> Product:
    w, h, corner, t = [
        (0.245, 0.5, 0.075, 0.026),
        (0.24, 0.5, 0.06, 0.026),
        (0.38, 0.52, 0.05, 0.02),
        (0.36, 0.48, 0.04, 0.026),
        (0.25, 0.52, 0.085, 0.028),
    ][k]
    lying, back = k in (1, 4), k == 1
    if lying:
        pose = lambda p: turn(at(p, 0, t, 0), 0, -90)
    else:  # leaning in a stand
        pose = lambda p: turn(
            at(p, 0, 0.09 + h * np.cos(np.radians(14 + 6 * (k > 1))), -0.08 - 0.1 * (k > 1)),
            0,
            -14 - 6 * (k > 1),
        )
    slab = lambda p, grow, half, q: smax(
        outline(q[0], q[1], (w + grow, h + grow), corner), np.abs(q[2]) - half, 0.012
    )
    frame = lambda p: slab(p, 0, t, pose(p))
    glass = lambda p: slab(p, -0.008, 0.004, at(pose(p), 0, 0, t - 0.002))
    if k == 3:
        art, d = canvas((480, 640), "#d8d6cc")
        write(d, 240, 60, "Chapter 4", 40, "#33332f")
        for j in range(26):
            d.line(
                (
                    40,
                    120 + 19 * j,
                    440 if j % 7 != 6 else int(rng.integers(120, 380)),
                    120 + 19 * j,
                ),
                "#5b5a54",
                7,
            )
    else:
        art = screen(
            rng,
            (480, round(480 * h / w)),
            *[
                ("#1d3557", "#e07a5f"),
                ("#222222", "#444444"),
                ("#264653", "#e9c46a"),
                ("", ""),
                ("#3d2c5c", "#5fb0b7"),
            ][k],
        )
    rim = 0.022 if k != 3 else 0.05
    face = stamp(
        Material(lambda p: ink("#08090b") + 0 * p, None, 0.05 if k != 3 else 0.4, 0.045),
        art,
        lambda p: XY(pose(p)),
        (rim - w, rim - h, w - rim, h - rim),
        lambda p: outline(*XY(pose(p)), (w - rim, h - rim), corner * 0.7) < 0,
    )
    face = replace(face, glow=0.55 if k != 3 else 0.0)
    shell = [
        metal(ink("#b9bcc2"), 0.25),
        metal(ink("#5c7285"), 0.3),
        metal(ink("#9aa0a6"), 0.3),
        plastic(ink("#2a2b2e"), 0.5),
        metal(ink("#d8c1a4"), 0.25),
    ][k]
    parts = [Part(glass, face)]
    if back:
        shell = replace(plastic(ink("#46647d"), 0.22), f0=0.06)
        art, d = canvas((200, 200))
        d.ellipse((60, 40, 140, 120), outline="#c7d3dc", width=10)
        d.line((100, 80, 100, 150), "#c7d3dc", 10)
        shell = stamp(shell, art, lambda p: XY(pose(p)), (-0.09, -0.14, 0.09, 0.04))
        island = lambda p: smax(
            outline(pose(p)[0] + 0.11, pose(p)[1] - 0.35, (0.1, 0.115), 0.04),
            np.abs(pose(p)[2] - t - 0.006) - 0.01,
            0.008,
        )
        spots = [(-0.155, 0.4), (-0.155, 0.3), (-0.065, 0.35)]
        each = lambda p, r, hh: np.minimum.reduce(
            [disc(at(pose(p), x, y, t + 0.014), r, hh, 0.004, 2) for x, y in spots]
        )
        parts = [
            Part(island, shell),
            Part(lambda p: each(p, 0.043, 0.012), metal(ink("#aab4bc"), 0.2)),
            Part(
                lambda p: each(p, 0.033, 0.0145),
                Material(lambda p: ink("#0b1016") + 0 * p, None, 0.03, 0.08),
            ),
        ]
    parts.append(Part(frame, shell))
    if not lying:
        keys = lambda p: box(at(pose(p), w + 0.002, 0.16, 0), (0.006, 0.07, 0.008), 0.004)
        lean = 14 + 6 * (k > 1)
        ledge = lambda p: smax(
            box(at(p, 0, 0.06, 0.02), (w * 0.62, 0.06, 0.15), 0.02),
            -box(
                turn(at(p, 0, 0.12 + 0.09 * 0.5, 0.075 - 0.0 * k), 0, -lean),
                (w, 0.09, t + 0.02),
                0.004,
            ),
            0.008,
        )
        rest = lambda p: np.minimum(
            ledge(p), box(turn(at(p, 0, 0.2, -0.1), 0, -lean), (w * 0.4, 0.2, 0.02), 0.018)
        )
        parts += [Part(keys, shell), Part(rest, wood(*[OAK, WALNUT][k % 2], SKEW))]
    return Product(parts, (48, 70) if lying else (10, 24), (-40, 40))


def bag(rng: np.random.Generator, k: int) -> Product:
    w, h, d = [(0.4, 0.42, 0.1), (0.32, 0.42, 0.15), (0.46, 0.3, 0.15), (0.4, 0.44, 0.12)][k]
    c = ["#e6dcc6", "#bf9566", "#8a3f2b", "#34495e"][k]
    folds = 0.03 if k in (0, 3) else 0.0

    def hull(p: Array) -> Array:
        y = np.clip(p[1] / (2 * h), 0, 1)
        full = [
            d * (1.05 - 0.5 * y**1.3),
            d + 0 * y,
            d * (1.05 - 0.6 * y),
            d * (1.05 - 0.45 * y**1.5),
        ][k]
        side = w * (1 - (0.06, 0, 0.16, 0.05)[k] * y) if k != 2 else w * (1 - 0.2 * y**1.5)
        crease = folds * 0.5 * swell(p[0] * 0.5 + 0.2 * p[2], p[1] * 0.4, 31) * smooth(0, 0.2, p[1])
        u = np.stack([p[0] / side * w, p[1] - h, (p[2] + crease) / full * d])
        return box(u, (w, h, d), (0.04, 0.006, 0.08, 0.04)[k]) * 0.5

    art = label(
        rng,
        [
            ("slow", "MARKET", ""),
            ("maison", "BOULANGER", ""),
            ("", "", ""),
            ("NORD", "supply co.", ""),
        ][k],
        None,
        ["#2f4a3a", "#4a2f1a", "#000000", "#f0e6d0"][k],
        ["#c8553d", "#a83c2a", "#000000", "#e0a458"][k],
        (420, 420),
    )
    m = [cloth(ink(c), XY, 52, folds), card(ink(c)), leather(ink(c)), cloth(ink(c), XY, 60, folds)][
        k
    ]
    if k != 2:
        m = stamp(m, art, XY, (-0.25, h - 0.28, 0.25, h + 0.22), lambda p: p[2] > 0)
    if k == 1:
        m = replace(
            m,
            bump=lambda p: (
                0.008 * np.abs(swell(p[0] + p[2], p[1], 32))
                + 0.01 * np.abs(p[2]) * (np.abs(p[0]) > w - 0.02)
                + 0.004 * smooth(0.02, 0, np.abs(p[1] - 0.2))
            ),
        )
    seam = lambda p: (np.abs(p[1] - 2 * h + 0.07) < 0.004) & (np.mod(p[0] * 30, 1) < 0.6)
    m = tint(
        m,
        (lambda p: seam(p)) if k != 1 else (lambda p: np.abs(p[1] - 0.2) < 0.003),
        ink(["#b8a888", "#8d6a43", "#d9a06a", "#e0a458"][k]),
    )
    parts = [Part(hull, m)]

    def strap(p: Array) -> Array:
        z = np.abs(p[2]) - [0.02, 0.09, 0.02, 0.025][k]
        hh, ww = [(0.28, 0.17), (0.15, 0.1), (0.17, 0.2), (0.26, 0.16)][k]
        arc = np.abs(outline(p[0], p[1] - 2 * h + 0.05, (ww, hh), ww * 0.95))
        flat = (
            np.maximum(
                arc - (0.024 if k != 1 else 0.01),
                np.abs(z + (0.02 * (k == 2))) - (0.008 if k != 1 else 0.01),
            )
            - 0.003
        )
        return np.maximum(flat, 2 * h - (0.05 if k != 1 else 0.1) - p[1])

    parts.append(
        Part(
            strap,
            [
                cloth(ink(c) * 0.92, XY, 60, 0),
                card(ink("#a67c4f")),
                leather(ink("#6d2f1f")),
                leather(ink("#7a4a28")),
            ][k],
        )
    )
    if k in (2, 3):
        limit = 0.5 if k == 2 else 0.66
        flap = lambda p: smax(
            np.abs(hull(p) - 0.004) - 0.006, limit * h * 2 + 0.1 * (p[0] / w) ** 2 - p[1], 0.006
        )
        lid = Part(
            lambda p: np.maximum(flap(p), -p[2] - 0.02),
            leather(ink("#94462f" if k == 2 else "#7a4a28")),
        )
        clasp = lambda p: box(
            at(p, 0, limit * h * 2 + 0.03, d * (0.75 if k == 2 else 0.62)),
            (0.06, 0.045, 0.03),
            0.012,
        )
        parts += [lid, Part(clasp, metal(BRASS, 0.18))] if k == 2 else []
    return Product(parts, (6, 22), (-38, 38))


SHAPES = {
    f.__name__: f
    for f in (mug, bowl, plate, carton, sock, toy, bottle, vase, shoe, lamp, book, phone, bag)
}
COUNTS = {"toy": 6, "plate": 4, "lamp": 4, "book": 4, "bag": 4}


# ---- studio -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """A product, its backdrop (floor, fillet, wall) and its lamps. Directions are unit (3, 1)."""

    parts: list[Part]
    cloud: Array  # points on and in the product, for framing
    lo: Array
    hi: Array
    floor: Material
    wall: Material
    ahead: Array  # horizontal, from the camera to the wall
    depth: float
    fillet: float
    sun: Array
    key: Array
    hard: float  # larger: harder shadow edge
    sky: Array
    bounce: Array
    panels: list[tuple[Array, float, float, float]]  # direction, half width, half height, power
    bulb: tuple[float, float, float] | None

    def distance(self, p: Array) -> Array:
        """Distance to the nearest part."""
        return np.minimum.reduce([part.distance(p) for part in self.parts])


def span(o: Array, d: Array, lo: Array, hi: Array) -> tuple[Array, Array]:
    """Entry and exit of rays through a box (slab test)."""
    safe = np.where(np.abs(d) < 1e-6, 1e-6, d)
    a, b = (lo - o) / safe, (hi - o) / safe
    return np.maximum(np.minimum(a, b).max(0), 0), np.maximum(a, b).min(0)


def march(field: Field, o: Array, d: Array, t: Array, stop: Array, steps: int = 110) -> Array:
    """Sphere tracing; infinity where nothing is met."""
    t, live = t.copy(), np.flatnonzero(t < stop)
    met = np.zeros(t.size, bool)
    for _ in range(steps):
        if not live.size:
            break
        h = field(o[:, live] + d[:, live] * t[live])
        met[live] = h < 6e-4
        t[live] += 0.85 * np.where(h < 6e-4, 0, h)
        live = live[(h >= 6e-4) & (t[live] < stop[live])]
    return np.where(met, t, np.inf).astype("f4")


def gradient(field: Field, p: Array, e: float = 1.5e-3) -> Array:
    corners = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], "f4")[..., None]
    return unit(sum(c * field(p + c * e) for c in corners))


def shadow(s: Scene, p: Array) -> Array:
    """Share of the main lamp that arrives: wide penumbra far from what casts it, none near it."""
    d = s.sun + 0 * p
    t, stop = span(p, d, s.lo - 0.3, s.hi + 0.3)
    t, res = np.maximum(t, 0.012), np.ones(p.shape[1], "f4")
    live = np.flatnonzero(t < stop)
    for _ in range(90):
        if not live.size:
            break
        h = s.distance(p[:, live] + d[:, live] * t[live])
        res[live] = np.minimum(res[live], s.hard * h / t[live])
        t[live] += np.clip(0.6 * h, 0.008, 0.08)
        live = live[(res[live] > 0.004) & (t[live] < stop[live])]
    return smooth(0, 1, res)


def openness(s: Scene, p: Array, n: Array) -> Array:
    """Ambient occlusion from five probes along the normal; the floor counts too."""
    total = np.zeros(p.shape[1], "f4")
    near = np.flatnonzero(((p > s.lo - 0.45) & (p < s.hi + 0.45)).all(0))
    for reach, weight in ((0.02, 0.22), (0.06, 0.24), (0.13, 0.22), (0.25, 0.18), (0.42, 0.14)):
        q = p[:, near] + n[:, near] * reach
        free = np.minimum(s.distance(q), q[1] + 0.004)
        total[near] += weight * np.clip(1 - free / reach, 0, 1)
    return 1 - 0.92 * total


def backdrop(s: Scene, o: Array, d: Array) -> tuple[Array, Array, Array, Array]:
    """Distance, normal, texture point and is-floor where rays meet floor, fillet or wall."""
    so, sd, (oy, dy) = (s.ahead * o).sum(0), (s.ahead * d).sum(0), (o[1], d[1])
    down, on = np.minimum(dy, -1e-6), np.maximum(sd, 1e-6)
    tf, edge = np.where(dy < 0, -oy / down, np.inf), s.depth - s.fillet
    tw = np.where(sd > 0, (s.depth - so) / on, np.inf)
    b = (so - edge) * sd + (oy - s.fillet) * dy
    a = sd * sd + dy * dy + 1e-9
    c = (so - edge) ** 2 + (oy - s.fillet) ** 2 - s.fillet**2
    tc = (-b + np.sqrt(np.maximum(b * b - a * c, 0))) / a
    floor = (tf < np.inf) & (so + sd * np.where(tf < np.inf, tf, 0) < edge)
    curve = ~floor & (sd > 0) & (oy + dy * np.where(tw < np.inf, tw, 0) < s.fillet)
    t = np.where(floor, tf, np.where(curve, tc, tw))
    t = np.minimum(t, 60).astype("f4")
    p = o + d * t
    up = np.array([[0], [1], [0]], "f4")
    away, rise = ((s.ahead * p).sum(0) - edge) / s.fillet, (s.fillet - p[1]) / s.fillet
    n = np.where(floor, up, np.where(curve, unit(up * rise - s.ahead * away), -s.ahead))
    across = np.cross(s.ahead[:, 0], [0, 1, 0]).astype("f4")[:, None]
    q = np.where(
        floor, p, np.stack([(across * p).sum(0), p[1] + s.fillet * np.maximum(away, 0), 0 * p[1]])
    )
    return t, n.astype("f4"), q.astype("f4"), floor


def surroundings(s: Scene, p: Array, d: Array, rough: float) -> Array:
    """What a mirror sees: studio dark-to-light, lamp panels, and the floor near by."""
    up = smooth(-0.25 - rough, 0.7 + rough, d[1])
    light = s.sky * (0.35 + 0.75 * up)
    soft, side = 0.03 + 0.7 * rough, np.array([[0], [1], [0]], "f4")
    for c, half_w, half_h, power in s.panels:
        right = unit(np.cross(c[:, 0], side[:, 0]).astype("f4")[:, None])
        over = np.cross(right[:, 0], c[:, 0]).astype("f4")[:, None]
        z = (c * d).sum(0)
        u, v = ((axis * d).sum(0) / np.maximum(z, 1e-3) for axis in (right, over))
        lit = smooth(half_w + soft, half_w - soft, np.abs(u)) * smooth(
            half_h + soft, half_h - soft, np.abs(v)
        )
        light = light + s.key * power * lit * (z > 0) / (1 + 9 * rough * rough / (half_w * half_h))
    t = p[1] / np.maximum(-d[1], 1e-3)
    seen = s.floor.colour(p + d * np.minimum(t, 4)) if rough < 0.4 else s.bounce + 0 * p
    ground = seen * (s.sky * 0.5 + s.key * 0.45) * (0.25 + 0.75 * smooth(0, 0.35, t))
    return mix(light, ground, smooth(0.02 + 0.3 * rough, -0.06 - 0.3 * rough, d[1]))


def shade(
    s: Scene, m: Material, p: Array, q: Array, n: Array, d: Array, bounce: int, stage: bool
) -> Array:
    """Light leaving points `p` (texture points `q`) against the ray direction `d`."""
    if m.bump:
        e, h = 0.002, m.bump(q)
        g = np.stack([m.bump(q + np.eye(3, dtype="f4")[i][:, None] * e) - h for i in range(3)]) / e
        if stage:  # wall and fillet carry their texture in another frame
            g = g * (np.abs(n[1]) > 0.99)
        n = unit(n - np.clip(g - n * (g * n).sum(0), -1.5, 1.5))
    albedo = np.clip(m.colour(q), 0, 1)
    nl, nv = (n * s.sun).sum(0), np.clip(-(n * d).sum(0), 0.02, 1)
    ao, sun = openness(s, p, n), np.zeros(p.shape[1], "f4")
    lit = np.flatnonzero(nl > -0.15)
    sun[lit] = shadow(s, p[:, lit] + n[:, lit] * 0.004)
    pool = 1 / (1 + 0.05 * (p * p).sum(0)) if stage else 1
    wrapped = np.clip((nl + 0.35 * m.sheen) / (1 + 0.35 * m.sheen), 0, 1)
    around = mix(s.bounce * (s.sky * 0.5 + s.key * 0.4), s.sky, 0.5 + 0.5 * n[1]) * ao
    light = s.key * (wrapped * sun * pool) + around
    if s.bulb:
        w = np.array(s.bulb, "f4")[:, None] - p
        far = (w * w).sum(0)
        light = light + ink("#ffd9a0") * 0.5 * (
            np.clip((n * unit(w)).sum(0), 0, 1) if stage else 0.1
        ) / (0.25 + far)
    fresnel = m.f0 + (1 - m.f0) * (1 - nv) ** 5 * (1 - m.rough) ** 1.5
    r = d - 2 * n * (n * d).sum(0)
    r[1] = np.where(stage & (r[1] < 0.02), 0.02, r[1]) if stage else r[1]
    mirror = surroundings(s, p, r, m.rough)
    if stage and bounce and m.rough < 0.3:
        seen, hit, _ = radiance(s, p + n * 0.003, unit(r), 0)
        mirror = np.where(hit, seen, mirror)
    gloss = mirror * (0.25 + 0.75 * ao) * (0.45 + 0.55 * np.minimum(sun + 0.3, 1))
    if m.metal:
        return albedo * gloss * mix(1, 1 / np.maximum(m.f0, 0.3), 0.4)
    sheen = m.sheen * (1 - nv) ** 3 * mix(albedo, np.float32(1), 0.3) * around
    return albedo * (light * (1 - fresnel) + m.glow * (0.8 + 1.4 * nv)) + gloss * fresnel + sheen


def through(s: Scene, part: Part, p: Array, n: Array, d: Array, bounce: int) -> Array:
    """Clear goods: refract in, absorb on the way, refract out, look on (Snell, Beer-Lambert)."""

    def bend(d: Array, n: Array, eta: float) -> Array:
        c = -(n * d).sum(0)
        k = 1 - eta * eta * (1 - c * c)
        return unit(
            np.where(
                k > 0, eta * d + (eta * c - np.sqrt(np.maximum(k, 0))) * n, d + 2 * c * n * 0.5
            )
        )

    m = part.material
    inner = bend(d, n, 1 / m.index)
    o = p - n * 0.004
    t = march(
        lambda x: -part.distance(x),
        o,
        inner,
        np.full(p.shape[1], 0.002, "f4"),
        np.full(p.shape[1], 3, "f4"),
    )
    t = np.where(np.isfinite(t), t, 0.05).astype("f4")
    q = o + inner * t
    leave = bend(inner, -gradient(part.distance, q), m.index)
    behind, _, _ = radiance(s, q + leave * 0.006, leave, bounce - 1)
    nv = np.clip(-(n * d).sum(0), 0.02, 1)
    fresnel = m.f0 + (1 - m.f0) * (1 - nv) ** 5
    mirror = surroundings(s, p, d - 2 * n * (n * d).sum(0), 0.03)
    return behind * np.exp(-m.glass((p + q) / 2) * t) * (1 - fresnel) + mirror * fresnel


def radiance(
    s: Scene, o: Array, d: Array, bounce: int = 4
) -> tuple[Array, NDArray[np.bool_], Array]:
    """Colour, is-product and distance along rays."""
    t0, t1 = span(o, d, s.lo, s.hi)
    t = march(s.distance, o, d, t0, t1)
    far, n, q, floor = backdrop(s, o, d)
    hit = t < far
    out = np.zeros_like(o)
    for ground, m in ((True, s.floor), (False, s.wall)):
        i = np.flatnonzero(~hit & (floor == ground))
        if i.size:
            out[:, i] = shade(
                s, m, o[:, i] + d[:, i] * far[i], q[:, i], n[:, i], d[:, i], bounce, True
            )
    where = np.flatnonzero(hit)
    if where.size:
        p = o[:, where] + d[:, where] * t[where]
        which = np.argmin([part.distance(p) for part in s.parts], 0)
        for j in np.unique(which):
            part, k = s.parts[j], np.flatnonzero(which == j)
            i, pk = where[k], p[:, k]
            nk = gradient(part.distance, pk)
            if part.material.glass and bounce:
                out[:, i] = through(s, part, pk, nk, d[:, i], bounce)
            elif part.material.glass:
                out[:, i] = surroundings(s, pk, d[:, i], 0.1)
            else:
                out[:, i] = shade(s, part.material, pk, pk, nk, d[:, i], bounce, False)
    return out, hit, np.minimum(t, far)


def occupied(parts: list[Part]) -> Array:
    """Points of a coarse grid that lie in or near the product."""
    axes = [np.linspace(a, b, 72, dtype="f4") for a, b in ((-1.2, 1.2), (-0.1, 1.6), (-1.2, 1.2))]
    p = np.stack(np.meshgrid(*axes, indexing="ij")).reshape(3, -1)
    return p[:, np.minimum.reduce([part.distance(p) for part in parts]) < 0.018]


def studio(rng: np.random.Generator, product: Product, azimuth: float) -> Scene:
    """Draw backdrop and lamps; the camera's azimuth only turns them along with it."""
    tone = ink(
        str(
            rng.choice(
                [
                    "#ece9e4",
                    "#d8d5cf",
                    "#c9d4da",
                    "#e6d3c6",
                    "#d3dccd",
                    "#b9bcc0",
                    "#8e979e",
                    "#d9c7a4",
                    "#4a5157",
                ]
            )
        )
    )
    angle = np.radians(rng.uniform(-25, 25))
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    tilted: Mapping = lambda p: (c * p[0] - s * p[2] + 3, s * p[0] + c * p[2] + 2)
    flat: Mapping = lambda p: (p[0] + 1, p[1])
    sweep = plaster(tone, LEVEL, 0.7)
    wall = plaster(tone, flat)
    match int(rng.choice(8, p=[0.3, 0.17, 0.12, 0.1, 0.1, 0.07, 0.07, 0.07])):
        case 0:
            floor, wall, fillet = replace(sweep, bump=None), replace(wall, bump=None), 1.1
        case 1:
            floor, fillet = wood(ink("#8a5c36"), ink("#c39a68"), tilted, 0.42), 0.02
        case 2:
            floor, fillet = wood(ink("#33231a"), ink("#6d4a33"), tilted, 0.5, 0.28), 0.02
        case 3:
            floor, fillet = (
                cloth(
                    ink(str(rng.choice(["#d9d3c6", "#93a2a8", "#b9a38c", "#59656f"]))),
                    tilted,
                    48,
                    0.09,
                ),
                0.6,
            )
        case 4:
            floor, fillet = marble(ink("#e6e4e0"), ink("#7d8288"), tilted), 0.02
        case 5:
            floor, fillet = marble(ink("#2c3033"), ink("#aab0b3"), tilted), 0.02
        case 6:
            floor, fillet = plaster(ink("#8f8d88"), tilted, 0.5), 0.02
        case _:
            floor, fillet = replace(sweep, bump=None), 0.02
            wall = wood(ink("#6d4b30"), ink("#a67d54"), lambda p: (p[1], p[0]), 0.5)
    depth = rng.uniform(1.5, 2.6) + fillet * 0.6
    yaw = np.radians(azimuth + rng.uniform(-9, 9))
    sun_az = np.radians(azimuth + rng.choice([-1, 1]) * rng.uniform(28, 80))
    sun_el = np.radians(rng.uniform(36, 62))
    aim = lambda az, el: np.array(
        [[np.sin(az) * np.cos(el)], [np.sin(el)], [np.cos(az) * np.cos(el)]], "f4"
    )
    warm, power = rng.uniform(-1, 1), rng.uniform(0.72, 1.0)
    key = power * np.array([[1 + 0.07 * warm], [1.0], [1 - 0.09 * warm]], "f4")
    sky = rng.uniform(0.3, 0.46) * np.array([[1 - 0.05 * warm], [1.0], [1 + 0.07 * warm]], "f4")
    panels = [(aim(sun_az, sun_el), 0.5, 0.36, 6.0)]
    fill = 2 * np.radians(azimuth) - sun_az + rng.uniform(-0.3, 0.3)
    panels.append((aim(fill, 0.3), rng.uniform(0.12, 0.35), rng.uniform(0.5, 0.9), 2.2))
    cloud = occupied(product.parts)
    lo, hi = (f(cloud, 1, keepdims=True) + d for f, d in ((np.min, -0.04), (np.max, 0.04)))
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 9, dtype="f4")] * 3)).reshape(3, -1)
    bounce = floor.colour(grid).mean(1, keepdims=True)
    return Scene(
        product.parts,
        cloud,
        lo,
        hi,
        floor,
        wall,
        -aim(yaw, 0.0),
        depth,
        fillet,
        aim(sun_az, sun_el),
        key,
        rng.uniform(4, 13),
        sky,
        bounce,
        panels,
        product.bulb,
    )


def photograph(
    s: Scene, rng: np.random.Generator, size: tuple[int, int], azimuth: float, elevation: float
) -> Image.Image:
    """Point a camera at the product, trace 2 x 2 rays a pixel, then lens, film curve and grain."""
    w, h = size
    focal = rng.uniform(45, 95) / 36 * max(w, h)  # in pixels, from a 35 mm equivalent
    az, el, roll = np.radians(azimuth), np.radians(elevation), np.radians(rng.uniform(-1.2, 1.2))
    back = np.array([[np.sin(az) * np.cos(el)], [np.sin(el)], [np.cos(az) * np.cos(el)]])
    right = np.array([[np.cos(az)], [0], [-np.sin(az)]])
    up = np.cross(back[:, 0], right[:, 0])[:, None]
    right, up = right * np.cos(roll) + up * np.sin(roll), up * np.cos(roll) - right * np.sin(roll)
    aim = (s.lo + s.hi) / 2
    far, fill, rel = 1.0, rng.uniform(0.66, 0.84), s.cloud - aim
    while True:  # step back until the box fits the frame
        z = far - (back * rel).sum(0)
        x, y = (focal * (axis * rel).sum(0) / z for axis in (right, up))
        if z.min() > 0.3 and np.ptp(x) < fill * w and np.ptp(y) < fill * h:
            break
        far *= 1.02
    cx = w / 2 - (x.max() + x.min()) / 2 + rng.uniform(-0.04, 0.04) * w
    cy = h / 2 + (y.max() + y.min()) / 2 + rng.uniform(-0.01, 0.05) * h
    eye = (aim + back * far).astype("f4")
    rows = max(1, BAND // (4 * w))
    light, mask, depth = np.zeros((h, w, 3), "f4"), np.zeros((h, w), "f4"), np.zeros((h, w), "f4")
    colour = np.zeros((h, w, 3), "f4")
    for top in range(0, h, rows):
        n = min(rows, h - top)
        jy, jx = np.mgrid[0 : 2 * n, 0 : 2 * w]
        px, py = (jx + 0.5) / 2 - cx, top + (jy + 0.5) / 2 - cy
        d = right[..., None] * px + up[..., None] * -py - back[..., None] * focal
        d = unit(d.reshape(3, -1)).astype("f4")
        rgb, hit, t = radiance(s, eye + 0 * d, d)
        rgb = np.minimum(rgb, 4)  # keeps highlights from ringing in the average
        fold = lambda a, n=n: a.reshape(n, 2, w, 2).mean((1, 3))
        mask[top : top + n], depth[top : top + n] = fold(hit.astype("f4")), fold(t)
        for i in range(3):
            colour[top : top + n, :, i] = fold(rgb[i] * ~hit)
            light[top : top + n, :, i] = fold(rgb[i] * hit)
    # Depth of field for the backdrop alone: the product stays in focus.
    blur = np.abs(1 / far - 1 / np.maximum(depth, 0.2)) * rng.uniform(4, 26) * max(w, h) / 600 * far
    ground, cover_ = colour / np.maximum(1 - mask, 1e-3)[..., None], (1 - mask)[..., None]
    levels = [ground] + [
        gaussian_filter(colour, (g, g, 0)) / np.maximum(gaussian_filter(cover_, (g, g, 0)), 1e-3)
        for g in (1.5, 3.0, 6.0)
    ]
    stop = np.clip(np.interp(blur, (0.4, 1.5, 3, 6), (0, 1, 2, 3)), 0, 3)[..., None]
    soft = sum(level * np.clip(1 - np.abs(stop - i), 0, 1) for i, level in enumerate(levels))
    image = light + soft * cover_
    yy, xx = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
    image *= (1 - rng.uniform(0.02, 0.16) * (xx**2 + yy**2) ** 1.3 / 2)[..., None]
    image *= rng.uniform(0.82, 1.02)
    image = image * (2.51 * image + 0.03) / (image * (2.43 * image + 0.59) + 0.14)  # Narkowicz 2015
    image = np.where(
        image < 0.0031308, 12.92 * image, 1.055 * np.maximum(image, 1e-6) ** (1 / 2.4) - 0.055
    )
    grain = gaussian_filter(rng.standard_normal((h, w, 3)), (0.6, 0.6, 0)) @ (
        np.eye(3) * 0.4 + 0.35
    )
    image += rng.uniform(0.002, 0.008) * grain
    return Image.fromarray((np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8))


# ---- catalogue ----------------------------------------------------------------------------------


def shoot(path: Path, seed: int, shape: str, k: int, view: int) -> None:
    """Render one view of one product and save it; the file appears only when complete."""
    product = SHAPES[shape](rng_for(seed, shape, k, "product"), k)
    angle = rng_for(seed, shape, k, "angle")
    first = angle.uniform(*product.azimuth)
    turned = first + angle.choice([-1, 1]) * angle.uniform(24, 40)
    azimuth, elevation = (first, turned)[view], angle.uniform(*product.elevation, 2)[view]
    camera = rng_for(seed, shape, k, "camera", view)
    size = SIZES[int(camera.integers(len(SIZES)))]
    scene = studio(rng_for(seed, shape, k, "studio"), product, azimuth)
    image = photograph(scene, camera, size, azimuth, elevation)
    finish = rng_for(seed, shape, k, "finish", view)
    part = path.with_suffix(".tmp")
    image.save(
        part,
        "JPEG",
        quality=int(finish.integers(80, 94)),
        subsampling=int(finish.choice([0, 2])),
        optimize=True,
    )
    part.replace(path)


def plan() -> list[tuple[str, int, int]]:
    """Shape, product and view of every picture; every third product is seen twice."""
    return [
        (s, k, v) for s in SHAPES for k in range(COUNTS.get(s, 5)) for v in range(1 + (k % 3 == 1))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, default=Path("data/samples"), help="folder for renders/ and sources.csv"
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--only", choices=sorted(SHAPES), metavar="SHAPE", help="one of: " + ", ".join(SHAPES)
    )
    parser.add_argument("--force", action="store_true", help="render again what already exists")
    args = parser.parse_args()
    rows = []
    jobs = tqdm(plan(), unit="picture")
    for shape, k, view in jobs:
        relative = Path("renders") / shape / f"{shape}_{k:02d}_{'ab'[view]}.jpg"
        path = args.out / relative
        if args.only in (None, shape) and (args.force or not path.exists()):
            jobs.set_postfix_str(path.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            shoot(path, args.seed, shape, k, view)
        if path.exists():
            with Image.open(path) as image:
                size = image.size
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            note = ("first view", "second view of the same product")[
                view
            ] + ", rendered by scripts/render_products.py"
            rows.append(
                (relative.as_posix(), f"{shape}_{k:02d}", "Apache-2.0", shape, *size, digest, note)
            )
    with (args.out / "sources.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow("path group_key licence category width height sha256 note".split())
        writer.writerows(rows)


if __name__ == "__main__":
    main()

"""Numbers behind the pictures: fields and their arithmetic, easing curves, light, noise, tables."""

from __future__ import annotations

import operator
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, wraps
from types import SimpleNamespace

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

Array = NDArray[np.float32]
Rng = np.random.Generator


@dataclass(eq=False)
class Field(NDArrayOperatorsMixin):
    """A quantity at points (3, n): a distance or height (n,), a colour or other points (3, n).

    Fields are calculated with like numbers, also by numpy's functions: `abs(X) < 0.1` is the field
    of that test. The last values are kept, so that a field used twice in a formula is found once.
    """

    function: Callable[[Array], Array]
    last: tuple[Array | None, Array | None] = (None, None)

    def __call__(self, p: Array) -> Array:
        """Values at `p`."""
        if self.last[0] is not p:
            self.last = p, self.function(p)
        return self.last[1]

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: object) -> Field:
        return lift(ufunc)(*inputs)

    def __pow__(self, power: float) -> Field:
        return lift(operator.pow)(self, power)

    def on(self, points: Field) -> Field:
        """The field somewhere else: moved, turned, mirrored."""
        return Field(lambda p: self(points(p)))


def lift(function: Callable) -> Callable:
    """Let a function of arrays take fields as well; it then gives a field."""

    @wraps(function)
    def apply(*args: object) -> Array | Field:
        if not any(isinstance(a, Field) for a in args):
            return function(*args)
        return Field(lambda p: function(*(a(p) if isinstance(a, Field) else a for a in args)))

    return apply


P = Field(lambda p: p)
X, Y, Z = (Field(lambda p, i=i: p[i]) for i in range(3))
Mapping = tuple[Field, Field]  # texture coordinates
clip, where, stack = lift(np.clip), lift(np.where), lift(lambda *rows: np.stack(rows))
interp = lift(lambda x, xs, ys: np.interp(x, xs, ys).astype("f4"))


def rng_for(seed: int, *ids: object) -> Rng:
    return np.random.default_rng([seed, *(zlib.crc32(str(i).encode()) for i in ids)])


def cell(word: str) -> float | str | None:
    try:
        return float(word)
    except ValueError:
        return None if word == "-" else word.replace("_", " ")


def table(text: str) -> list[SimpleNamespace]:
    """Read a small text table: a line of names, then one row for each variant of a product.

    Numbers become floats, a lone `-` becomes None and `_` stands for a blank.
    """
    names, *rows = (line.split() for line in text.strip().splitlines())
    return [SimpleNamespace(**dict(zip(names, map(cell, row), strict=True))) for row in rows]


def ink(code: str) -> Array:
    """Turn `#rrggbb` (sRGB, IEC 61966-2-1) into linear light of shape (3, 1)."""
    return linear(np.array([[int(code[i : i + 2], 16)] for i in (1, 3, 5)]) / 255)


def linear(srgb: NDArray) -> Array:
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4).astype("f4")


def vec(x: float, y: float, z: float) -> Array:
    return np.array([[x], [y], [z]], "f4")


def unit(v: Array) -> Array:
    return v / np.sqrt((v * v).sum(0) + 1e-12)


@lift
def length(*axes: Array) -> Array:
    return np.sqrt(sum(a * a for a in axes))


@lift
def smooth(a: float, b: float, x: Array) -> Array:
    t = np.clip((x - a) / (b - a), 0, 1)
    return t * t * (3 - 2 * t)


@lift
def mix(a: Array, b: Array, t: Array | float) -> Array:
    return a + (b - a) * t


R, BEARING = length(X, Z), np.arctan2(X, Z)


@cache
def tile(seed: int, slope: float) -> Array:
    """Periodic fractal noise (amplitude 1/f^slope), mean 0, standard deviation 1/3."""
    f = np.hypot(np.fft.fftfreq(1024)[:, None], np.fft.fftfreq(1024))
    white = np.fft.fft2(np.random.default_rng([seed, 77]).standard_normal((1024, 1024)))
    t = np.fft.ifft2(np.where(f > 0, white / np.maximum(f, 1e-9) ** slope, 0)).real
    return (t / t.std() / 3).astype("f4")


@lift
def fbm(u: Array, v: Array, seed: int = 0, slope: float = 1.25) -> Array:
    grid = np.stack([u * 256 % 1024, v * 256 % 1024])
    return map_coordinates(tile(seed, slope), grid, order=1, mode="grid-wrap", output=np.float32)


def swell(u: Array, v: Array, seed: int) -> Array:
    """Smooth noise for folds, dents and veins."""
    return fbm(u, v, seed, 2.2)

"""The patch of a picture around one damage, and what drawing on it needs: noise, strokes, relief.

All lengths are in *object sizes* (square root of the object's area times the recipe's scale):
a recipe draws the same damage at any resolution, and detail finer than the pixels fades out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from damagenet.synth.foreground import Floats

LATTICE = 64
"""Noise repeats after this many periods, far more than a patch shows of any visible octave."""

VISIBLE = 0.01
"""Smallest opacity or change of gain that counts: about one 8-bit level of a mid tone."""

Path = tuple[NDArray[np.float64], NDArray[np.float64]]
"""A stroke: vertices `[n, 2]` as (x, y) and widths `[n]`, in object sizes."""


@dataclass(frozen=True)
class Layer:
    """What one damage does to the light of a picture.

    Attributes:
        gain: float32 `[h, w, 3]` that multiplies linear light; 1 leaves it unchanged.
        colour: float32 `[h, w, 3]` linear RGB in [0, 1] that covers the surface.
        opacity: float32 `[h, w]` in [0, 1] of `colour`.
    """

    gain: Floats
    colour: Floats
    opacity: Floats

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Bool `[h, w]`: pixels that change visibly."""
        return (self.opacity > VISIBLE) | (np.abs(self.gain - 1).max(-1) > VISIBLE)


@dataclass(frozen=True)
class Spot:
    """A patch with coordinates.

    Attributes:
        x: float32 `[1, w]` object sizes to the right of the damage's centre.
        y: float32 `[h, 1]` object sizes below it.
        pixel: Edge of a pixel in object sizes.
        inside: float32 `[h, w]` foreground.
        base: float32 `[3]` colour of the surface at the centre, linear.
        white: float32 `[3]` what a white surface would look like in this light, linear.
        light: Unit vector (x, y) towards the light, y down.
        angle: Orientation of the damage in radians.
        window: Rows and columns of the patch in the picture.
        shape: Height and width of the picture.
        seed: Of every random draw.
    """

    x: Floats
    y: Floats
    pixel: float
    inside: Floats
    base: Floats
    white: Floats
    light: tuple[float, float]
    angle: float
    window: tuple[slice, slice]
    shape: tuple[int, int]
    seed: int

    def rng(self, stream: int) -> np.random.Generator:
        """An independent random stream: drawing more from one does not disturb another."""
        return np.random.default_rng([self.seed, stream])

    def rotated(self) -> tuple[Floats, Floats]:
        """Coordinates `[h, w]` along and across the orientation of the damage."""
        cos, sin = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        return cos * self.x + sin * self.y, cos * self.y - sin * self.x

    def turned(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points `[n, 2]` given along and across the orientation, as (x, y)."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return points @ np.array([[cos, sin], [-sin, cos]])

    def noise(
        self, rng: np.random.Generator, period: float, octaves: int = 5, rough: float = 0.5
    ) -> Floats:
        """Fractal noise `[h, w]` of mean 0 and standard deviation about 1.

        Each octave is a cubic B-spline over random knots; too fine for the pixels, it fades.

        Args:
            rng: Source of the knots; a call draws equally much at any resolution.
            period: Of the coarsest octave, in object sizes.
            octaves: Each has half the period of the one before.
            rough: Amplitude of an octave relative to the one before.
        """
        total = np.zeros((self.y.size, self.x.size), np.float32)
        power = 0.0
        for octave in range(octaves):
            knots = rng.standard_normal((LATTICE, LATTICE), np.float32)
            step = period / 2**octave
            amplitude = rough**octave
            power += amplitude**2
            fade = float(np.clip(step / self.pixel - 1, 0, 1))
            if fade > 0:
                across = np.ascontiguousarray(_spline(knots.T, self.x.ravel() / step).T)
                total += np.float32(amplitude * fade) * _spline(across, self.y.ravel() / step)
        # Averaged over positions, a cubic B-spline keeps 0.48 of the knots' variance per direction.
        return total / np.float32(0.48 * np.sqrt(power))

    def strokes(self, paths: Sequence[Path]) -> Floats:
        """Coverage `[h, w]` in [0, 1] of polylines; strokes thinner than a pixel turn faint."""
        cover = np.zeros((self.y.size, self.x.size), np.float32)
        x, y = self.x.ravel(), self.y.ravel()
        for points, widths in paths:
            vertices = np.column_stack([points, widths]).astype(np.float32)
            for (ax, ay, aw), (bx, by, bw) in pairwise(vertices):
                pad = max(aw, bw) / 2 + self.pixel
                top, bottom = np.searchsorted(y, (min(ay, by) - pad, max(ay, by) + pad))
                left, right = np.searchsorted(x, (min(ax, bx) - pad, max(ax, bx) + pad))
                if top == bottom or left == right:
                    continue
                dx, dy = x[None, left:right] - ax, y[top:bottom, None] - ay
                ux, uy = bx - ax, by - ay
                along = (dx * ux + dy * uy) / max(ux * ux + uy * uy, 1e-12)
                along = np.clip(along, 0, 1)
                distance = np.hypot(dx - along * ux, dy - along * uy)
                width = aw + (bw - aw) * along
                part = np.clip(
                    (width / 2 - distance) / self.pixel + 0.5, 0, np.minimum(1, width / self.pixel)
                )
                view = cover[top:bottom, left:right]
                np.maximum(view, part, out=view)
        return cover

    def cover(self, field: Floats, soft: float = 0.0) -> Floats:
        """Anti-aliased coverage `[h, w]` of the region where `field` is positive.

        Args:
            field: float32 `[h, w]`, any smooth function; its own slope sets the scale.
            soft: Extra width of the edge in object sizes.
        """
        down, right = np.gradient(field)
        slope = np.maximum(np.hypot(down, right), 1e-9) * (1 + soft / self.pixel)
        return np.clip(field / slope + 0.5, 0, 1)

    def radial(self, edge: NDArray[np.float64], radius: float, stretch: float) -> Floats:
        """Signed field `[h, w]`, positive inside a closed outline, about a distance near it.

        Args:
            edge: From `outline`.
            radius: Mean radius.
            stretch: Elongation along the orientation, at equal area.
        """
        u, v = self.rotated()
        u, v = u / np.float32(stretch), v * np.float32(stretch)
        turn = np.arctan2(v, u) % (2 * np.pi)
        reach = np.interp(turn, np.linspace(0, 2 * np.pi, edge.size), edge) * radius
        return np.asarray(reach - np.hypot(u, v), np.float32)

    def blur(self, field: Floats, sigma: float) -> Floats:
        """Gaussian blur by `sigma` object sizes."""
        sigma /= self.pixel
        return field if sigma < 0.2 else np.asarray(cv2.GaussianBlur(field, (0, 0), sigma))

    def shifted(self, field: Floats, distance: float) -> Floats:
        """`field` moved `distance` object sizes away from the light: where its shadow falls."""
        move = -distance / self.pixel
        matrix = np.array([[1, 0, move * self.light[0]], [0, 1, move * self.light[1]]], np.float32)
        return np.asarray(
            cv2.warpAffine(field, matrix, field.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
        )

    def relief(self, height: Floats, elevation: float = 0.8, ambient: float = 0.35) -> Floats:
        """Lambertian shading `[h, w]` of a height map, relative to the flat surface.

        Args:
            height: float32 `[h, w]` in object sizes, positive towards the camera.
            elevation: Of the light over the picture plane, in radians.
            ambient: Share of light that comes from everywhere.
        """
        down, right = np.gradient(height / np.float32(self.pixel))
        planar = np.cos(elevation) * (right * self.light[0] + down * self.light[1])
        facing = (np.sin(elevation) - planar) / np.sqrt(1 + right**2 + down**2)
        lit = np.maximum(facing, 0) / np.sin(elevation)
        return np.asarray(ambient + (1 - ambient) * lit, np.float32)

    def layer(
        self,
        gain: Floats | float = 1.0,
        colour: Floats | float = 0.0,
        opacity: Floats | float = 0.0,
    ) -> Layer:
        """Lay the patch, as sharp as a lens draws, into arrays of the picture's size."""
        size = self.y.size, self.x.size
        tint, paint, cover = (np.zeros((*size, n), np.float32) for n in (3, 3, 1))
        for into, value in ((tint, gain), (paint, colour), (cover, opacity)):
            into[:] = value if np.ndim(value) != 2 else np.asarray(value)[..., None]
        tint, cover = (cv2.GaussianBlur(part, (0, 0), 0.5) for part in (tint, cover))
        full = Layer(
            np.ones((*self.shape, 3), np.float32),
            np.zeros((*self.shape, 3), np.float32),
            np.zeros(self.shape, np.float32),
        )
        full.gain[self.window] = 1 + (np.clip(tint, 0, 4) - 1) * self.inside[..., None]
        full.colour[self.window] = np.clip(paint, 0, 1)
        full.opacity[self.window] = np.clip(cover, 0, 1) * self.inside
        return full


def outline(rng: np.random.Generator, lobes: int, rough: float) -> NDArray[np.float64]:
    """Radius `[257]` over a full turn, about 1: a random Fourier series, decaying as k**-1.2."""
    turn = np.linspace(0, 2 * np.pi, 257)
    k = np.arange(1, lobes + 1)
    size = rng.standard_normal(lobes) * rough / k**1.2
    waves = np.cos(turn[:, None] * k + rng.uniform(0, 2 * np.pi, lobes))
    return np.maximum(1 + (waves * size).sum(-1), 0.25)


def _spline(knots: Floats, position: Floats) -> Floats:
    """Uniform cubic B-spline `[n, m]` at `position` `[n]` over wrapped `knots` `[LATTICE, m]`.

    Written without matrix products, whose last bits depend on the number of threads.
    """
    cell = np.floor(position)
    t = (position - cell)[:, None]
    basis = (
        (1 - t) ** 3 / 6,
        (3 * t**3 - 6 * t**2 + 4) / 6,
        (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
        t**3 / 6,
    )
    first = cell.astype(int)
    terms = [weight * knots[(first + k) % LATTICE] for k, weight in enumerate(basis)]
    return np.asarray(terms[0] + terms[1] + terms[2] + terms[3], np.float32)


@dataclass(frozen=True)
class Canvas:
    """A picture about to be damaged; `crop` gives the patch to draw on.

    Attributes:
        linear: float32 `[h, w, 3]` linear light in [0, 1].
        inside: float32 `[h, w]` foreground in [0, 1].
        recipe: See `damagenet.synth.damage.plan_damage`.
    """

    linear: Floats
    inside: Floats
    recipe: dict[str, Any]

    def crop(self, reach: float) -> Spot:
        """The patch within `reach` object sizes of the damage's centre."""
        height, width = self.inside.shape
        object_size = max(float(np.sqrt(self.inside.sum(dtype=np.float64))), 8.0)
        size = object_size * float(self.recipe["scale"])
        centre_x, centre_y = self.recipe["x"] * width, self.recipe["y"] * height
        window = _around(centre_y, reach * size, height), _around(centre_x, reach * size, width)
        x = ((np.arange(width)[window[1]] + 0.5 - centre_x) / size).astype(np.float32)
        y = ((np.arange(height)[window[0]] + 0.5 - centre_y) / size).astype(np.float32)
        close = 0.06 * object_size
        near = _around(centre_y, close, height), _around(centre_x, close, width)
        solid = self.inside[near] > 0.9
        surface = self.linear[near][solid] if solid.any() else self.linear[near].reshape(-1, 3)
        base = np.median(surface, axis=0).astype(np.float32)
        bright = self.linear[::4, ::4].reshape(-1, 3)
        grey = np.float32(np.quantile(bright.mean(-1), 0.9))
        # Half of the picture's own cast: the brightest colour may be paint instead of light.
        cast = np.quantile(bright, 0.95, axis=0) / max(float(np.quantile(bright, 0.95)), 1e-3)
        white = np.clip(np.maximum(grey, base.mean()) * (0.5 + 0.5 * cast), 0.05, 0.9)
        light = float(self.recipe["light"])
        return Spot(
            x=x[None],
            y=y[:, None],
            pixel=1 / size,
            inside=self.inside[window],
            base=base,
            white=white.astype(np.float32),
            light=(float(np.cos(light)), float(np.sin(light))),
            angle=float(self.recipe["angle"]),
            window=window,
            shape=(height, width),
            seed=int(self.recipe["seed"]),
        )


def _around(centre: float, reach: float, end: int) -> slice:
    """At least two pixels around `centre`, at most what lies within 0 and `end`."""
    low = int(np.clip(np.floor(centre - reach), 0, end - 2))
    return slice(low, int(np.clip(np.ceil(centre + reach), low + 2, end)))

"""The patch of a picture around one damage, and what drawing on it needs: noise, strokes, relief.

All lengths are in *object sizes* (square root of the object's area times the recipe's scale):
a recipe draws the same damage at any resolution, and detail finer than the pixels fades out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from damagenet.synth import raster
from damagenet.synth.foreground import Floats, quantile
from damagenet.synth.layer import Layer
from damagenet.synth.raster import Path
from damagenet.synth.scaling import resized

__all__ = ["Canvas", "Layer", "Path", "Spot", "outline"]


@dataclass(frozen=True)
class Spot:
    """A patch with coordinates.

    Attributes:
        x: float32 `[1, w]` object sizes to the right of the damage's centre.
        y: float32 `[h, 1]` object sizes below it.
        pixel: Edge of a pixel in object sizes.
        inside: float32 `[h, w]` foreground.
        surface: float32 `[h, w, 3]` linear light of the patch.
        base: float32 `[3]` colour of the surface at the centre, linear.
        white: float32 `[3]` what a white surface would look like in this light, linear.
        light: Unit vector (x, y) towards the light, y down.
        angle: Orientation of the damage in radians.
        window: Rows and columns of the patch in the picture.
        shape: Height and width of the picture.
        seed: Of every random draw.
        texture: Name of a real texture that gives the shape (see `textures`), or "".
    """

    x: Floats
    y: Floats
    pixel: float
    inside: Floats
    surface: Floats
    base: Floats
    white: Floats
    light: tuple[float, float]
    angle: float
    window: tuple[slice, slice]
    shape: tuple[int, int]
    seed: int
    texture: str = ""

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
        along, across = points[:, 0], points[:, 1]
        return np.column_stack([cos * along - sin * across, sin * along + cos * across])

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
        x, y = self.x.ravel(), self.y.ravel()
        return raster.noise(rng, x, y, self.pixel, period, octaves, rough)

    def strokes(self, paths: Sequence[Path]) -> Floats:
        """Coverage `[h, w]` in [0, 1] of polylines; strokes thinner than a pixel turn faint."""
        return raster.strokes(paths, self.x.ravel(), self.y.ravel(), self.pixel)

    def stamped(self, texture: Floats, reach: float) -> Floats:
        """A coverage texture laid on the patch, centred on the damage and turned with it.

        Args:
            texture: float32 `[h, w]`, any size.
            reach: Half of the texture's longer side, in object sizes.

        Returns:
            float32 `[h, w]` of the patch; anti-aliased when shrunk, 0 outside the texture.
        """
        origin = float(self.x[0, 0]), float(self.y[0, 0])
        shape = self.y.size, self.x.size
        return raster.stamp(texture, reach, self.angle, origin, self.pixel, shape)

    def cover(self, field: Floats, soft: float = 0.0) -> Floats:
        """Anti-aliased coverage `[h, w]` of the region where `field` is positive.

        Args:
            field: float32 `[h, w]`, any smooth function; its own slope sets the scale.
            soft: Extra width of the edge in object sizes.
        """
        field = np.asarray(field, np.float32)
        slope = raster.length(*raster.slopes(field)) * np.float32(1 + soft / self.pixel)
        return np.clip(field / np.maximum(slope, 1e-9) + np.float32(0.5), 0, 1)

    def radial(self, edge: NDArray[np.float64], radius: float, stretch: float) -> Floats:
        """Signed field `[h, w]`, positive inside a closed outline, about a distance near it.

        Args:
            edge: From `outline`.
            radius: Mean radius.
            stretch: Elongation along the orientation, at equal area.
        """
        u, v = self.rotated()
        u, v = u / np.float32(stretch), v * np.float32(stretch)
        turn = np.arctan2(v, u) + np.float32(np.pi)
        fine = np.interp(np.linspace(0, edge.size - 1, 2049), np.arange(edge.size), edge) * radius
        fine = np.roll(fine[:-1], 1024).astype(np.float32)
        reach = fine[(turn * np.float32(1024 / np.pi)).astype(np.int32) % 2048]
        return np.asarray(reach - raster.length(u, v), np.float32)

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
        down, right = raster.slopes(np.asarray(height, np.float32) / np.float32(self.pixel))
        lateral = np.cos(elevation) * np.array(self.light) / np.sin(elevation)
        planar = right * np.float32(lateral[0]) + down * np.float32(lateral[1])
        lit = np.maximum(1 - planar, 0) / np.sqrt(1 + right * right + down * down)
        return np.asarray(np.float32(ambient) + np.float32(1 - ambient) * lit, np.float32)

    def layer(
        self,
        gain: Floats | float = 1.0,
        colour: Floats | float = 0.0,
        opacity: Floats | float = 0.0,
    ) -> Layer:
        """The patch as a layer: as sharp as a lens draws, only on the object, cut to what shows.

        Args:
            gain: float32 `[h, w]` or `[h, w, 3]`, `[3]` or a number.
            colour: Likewise; it takes on the smooth shading of the surface it covers.
            opacity: float32 `[h, w]` or a number.
        """
        size = self.y.size, self.x.size
        tint = _channels(gain) - np.float32(1)
        tint = np.ascontiguousarray(np.broadcast_to(tint, (*size, tint.shape[-1])))
        cover = np.ascontiguousarray(np.broadcast_to(np.asarray(opacity, np.float32), size))
        tint, cover = (cv2.GaussianBlur(part, (3, 3), 0.5) for part in (tint, cover))
        tint = np.float32(1) + np.clip(tint, -1, 3).reshape(*size, -1) * self.inside[..., None]
        cover = np.clip(cover, 0, 1) * self.inside
        paint = np.zeros((*size, 3), np.float32)
        if np.ndim(opacity) or opacity:
            paint[:] = np.clip(_channels(colour) * self.shading[..., None], 0, 1)
        return Layer(tint, paint, cover, self.window, self.shape).trimmed()

    @cached_property
    def shading(self) -> Floats:
        """Smooth brightness `[h, w]` of the surface relative to that at the damage's centre."""
        shrink = max(1, round(0.02 / self.pixel))
        size = -(-self.x.size // shrink), -(-self.y.size // shrink)
        weight = resized(self.inside, size) + np.float32(1e-3)
        light = resized(self.surface, size).mean(-1)
        sigma = 0.12 / self.pixel / shrink
        light, mass = (cv2.GaussianBlur(part, (0, 0), sigma) for part in (light * weight, weight))
        smooth = np.clip(light / mass / max(float(self.base.mean()), 1e-3), 0.6, 1.5)
        full = cv2.resize(smooth, (self.x.size, self.y.size), interpolation=cv2.INTER_LINEAR)
        return np.asarray(full, np.float32)


def _channels(value: Floats | float) -> Floats:
    """With channels last: `[h, w]` as `[h, w, 1]`, a number as `[1]`, the rest as it is."""
    array = np.asarray(value, np.float32)
    return array if array.ndim in (1, 3) else array[..., None]


def outline(rng: np.random.Generator, lobes: int, rough: float) -> NDArray[np.float64]:
    """Radius `[257]` over a full turn, about 1: a random Fourier series, decaying as k**-1.2."""
    turn = np.linspace(0, 2 * np.pi, 257)
    k = np.arange(1, lobes + 1)
    size = rng.standard_normal(lobes) * rough / k**1.2
    waves = np.cos(turn[:, None] * k + rng.uniform(0, 2 * np.pi, lobes))
    return np.maximum(1 + (waves * size).sum(-1), 0.25)


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
        sparse = max(1, max(height, width) // 64)
        bright = self.linear[::sparse, ::sparse].reshape(-1, 3)
        grey = np.float32(quantile(bright.mean(-1), 0.9))
        # Half of the picture's own cast: the brightest colour may be paint instead of light.
        cast = np.array([quantile(part, 0.95) for part in bright.T])
        cast /= max(quantile(bright, 0.95), 1e-3)
        white = np.clip(np.maximum(grey, base.mean()) * (0.5 + 0.5 * cast), 0.05, 0.9)
        light = float(self.recipe["light"])
        return Spot(
            x=x[None],
            y=y[:, None],
            pixel=1 / size,
            inside=self.inside[window],
            surface=self.linear[window],
            base=base,
            white=white.astype(np.float32),
            light=(float(np.cos(light)), float(np.sin(light))),
            angle=float(self.recipe["angle"]),
            window=window,
            shape=(height, width),
            seed=int(self.recipe["seed"]),
            texture=str(self.recipe.get("texture", "")),
        )


def _around(centre: float, reach: float, end: int) -> slice:
    """At least two pixels around `centre`, at most what lies within 0 and `end`."""
    low = int(np.clip(np.floor(centre - reach), 0, end - 2))
    return slice(low, int(np.clip(np.ceil(centre + reach), low + 2, end)))

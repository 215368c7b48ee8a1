"""Filters that honest phones, editors and shaky hands apply to a whole photo.

Neural decoders smooth what they touch. A detector that never saw an authentic soft photo learns to
find blur, so the same filters meet every cell alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from damagenet.images import Array

Step = dict[str, Any]


def plan(rng: np.random.Generator, op: str) -> Step:
    """Draw the settings of one filter of `FILTERS` as a small JSON-able dict."""

    def between(low: float, high: float) -> float:
        return round(float(rng.uniform(low, high)), 3)

    if op == "defocus":
        return {"op": op, "radius": between(0.7, 2.6)}
    if op == "motion":
        return {"op": op, "length": between(2.0, 7.0), "angle": between(0, 180)}
    if op == "median":
        return {"op": op, "size": int(rng.choice([3, 3, 5]))}
    if op == "bilateral":
        return {"op": op, "deviation": between(18, 45)}
    if op == "chroma":
        return {"op": op, "deviation": between(1.0, 3.0)}
    if op == "beauty":
        return {"op": op, "radius": int(rng.integers(3, 8)), "deviation": between(6, 22),
                "strength": between(0.5, 1.0)}  # fmt: skip
    return {"op": op, "amount": between(0.2, 0.9), "deviation": between(0.6, 1.6)}


def defocus(image: Array, step: Step) -> Array:
    """Disc blur, the point spread of a lens out of focus; `radius` in pixels, up to 5."""
    radius = step["radius"]
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1)
    return _convolve(image, disc)


def motion(image: Array, step: Step) -> Array:
    """Blur along a line through the pixel: a moved hand; `length` in pixels, up to 10."""
    half, angle = step["length"] / 2, np.radians(step["angle"])
    reach = int(np.ceil(half))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along = np.abs(x * np.cos(angle) + y * np.sin(angle))
    across = np.abs(y * np.cos(angle) - x * np.sin(angle))
    return _convolve(image, np.clip(half + 0.5 - along, 0, 1) * np.clip(1 - across, 0, 1))


def _convolve(image: Array, kernel: NDArray[np.float64]) -> Array:
    weights = (kernel / kernel.sum()).astype(np.float32)
    return np.asarray(cv2.filter2D(image, -1, weights, borderType=cv2.BORDER_REFLECT_101))


def median(image: Array, step: Step) -> Array:
    """Median of `size` x `size` pixels: the simplest night-mode denoiser."""
    return np.asarray(cv2.medianBlur(image, step["size"]))


def bilateral(image: Array, step: Step) -> Array:
    """Bilateral filter (Tomasi & Manduchi, ICCV 1998); `deviation` of the range kernel, 0-255."""
    return np.asarray(cv2.bilateralFilter(image, 5, step["deviation"], 1.6))


def chroma(image: Array, step: Step) -> Array:
    """Blur colour and keep brightness, as every phone does to colour noise."""
    planes = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)
    soft = cv2.GaussianBlur(planes, (0, 0), step["deviation"])
    soft[..., 0] = planes[..., 0]
    return np.asarray(cv2.cvtColor(soft, cv2.COLOR_YCrCb2RGB))


def beauty(image: Array, step: Step) -> Array:
    """Edge-preserving smoothing: fast guided filter (He & Sun, arXiv:1505.00996), self-guided.

    `deviation` (0-255) is the contrast below which texture melts away, `radius` its reach in
    pixels of the half-size picture, `strength` the mix with the unfiltered photo.
    """
    height, width = image.shape[:2]
    half = cv2.resize(image, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA)
    light = half.astype(np.float32)
    window = (2 * step["radius"] + 1,) * 2
    mean = cv2.blur(light, window)
    variance = np.maximum(cv2.blur(light * light, window) - mean * mean, 0)
    slope = variance / (variance + step["deviation"] ** 2)
    slope, offset = cv2.blur(slope, window), cv2.blur(mean * (1 - slope), window)
    slope, offset = (cv2.resize(plane, (width, height)) for plane in (slope, offset))
    smooth = np.clip(np.rint(slope * image + offset), 0, 255).astype(np.uint8)
    return np.asarray(cv2.addWeighted(smooth, step["strength"], image, 1 - step["strength"], 0))


def sharpen(image: Array, step: Step) -> Array:
    """Unsharp mask: adds `amount` times what a Gaussian of `deviation` pixels takes away."""
    soft = cv2.GaussianBlur(image, (0, 0), step["deviation"])
    return np.asarray(cv2.addWeighted(image, 1 + step["amount"], soft, -step["amount"], 0))


FILTERS: dict[str, Callable[[Array, Step], Array]] = {
    f.__name__: f for f in (defocus, motion, median, bilateral, chroma, beauty, sharpen)
}
"""Filters by name: (uint8 `[h, w, 3]`, step) to uint8 `[h, w, 3]`; none of them moves anything."""

"""Where the object is and where its light comes from, by plain and fast image measurement."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

WORKING_SIZE = 112
"""Longer side, in pixels, at which the object is searched: outlines survive, minutes do not."""

_CODES = np.arange(256, dtype=np.float64) / 255
_LINEAR: Floats = np.where(
    _CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4
).astype(np.float32)


def srgb_to_linear(image: NDArray[np.uint8] | Floats) -> Floats:
    """Decode sRGB into linear light (IEC 61966-2-1).

    Args:
        image: Any shape; uint8, or floats in [0, 1].

    Returns:
        float32 in [0, 1] of the same shape.
    """
    if image.dtype == np.uint8:
        return _LINEAR[image]
    value = np.clip(image, 0, 1).astype(np.float32)
    curved = ((value + np.float32(0.055)) / np.float32(1.055)) ** np.float32(2.4)
    return np.where(value <= 0.04045, value / np.float32(12.92), curved).astype(np.float32)


def linear_to_srgb(linear: Floats) -> NDArray[np.uint8]:
    """Encode linear light as 8-bit sRGB (IEC 61966-2-1), the inverse of `srgb_to_linear`.

    Args:
        linear: float32 of any shape; values outside [0, 1] are clipped.

    Returns:
        uint8 of the same shape, rounded to the nearest code.
    """
    return np.rint(srgb_curve(linear) * 255).astype(np.uint8)


def srgb_curve(linear: Floats) -> Floats:
    """`linear_to_srgb` before rounding: float32 in [0, 1]."""
    value = np.clip(linear, 0, 1).astype(np.float32)
    curved = np.float32(1.055) * value ** np.float32(1 / 2.4) - np.float32(0.055)
    return np.where(value <= 0.0031308, value * np.float32(12.92), curved)


def foreground(image: NDArray[np.uint8]) -> Floats:
    """Find the object by contrast with the border of the picture.

    The border, cut into stretches, gives the background colours; what is far from all of them in
    Lab seeds a GrabCut (Rother et al., SIGGRAPH 2004) on a small copy, and the component that
    fills the centre best is kept, holes filled. When the result is implausible (a busy
    background, an object as large as the picture) a central ellipse stands in.

    Args:
        image: RGB uint8 `[h, w, 3]`.

    Returns:
        float32 `[h, w]` in [0, 1] with soft edges, 1 on the object.
    """
    height, width = image.shape[:2]
    shrink = min(1.0, WORKING_SIZE / max(height, width))
    size = max(8, round(width * shrink)), max(8, round(height * shrink))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    found = _object(small)
    if found is None:
        found = (_centrality(small.shape[:2]) > 0.5).astype(np.uint8)
    soft = cv2.GaussianBlur(found.astype(np.float32), (0, 0), 1.0)
    soft = cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR)
    snapped = _guided(soft, image, round(2 / shrink) + 1)
    # 0.5 stays on the outline; the factor narrows what is left of the blur.
    return np.clip((snapped - 0.5) * 2 + 0.5, 0, 1).astype(np.float32)


def _guided(field: Floats, image: NDArray[np.uint8], radius: int) -> Floats:
    """Snap the edges of `field` to those of the picture: guided filter (He et al., ECCV 2010)."""

    def mean(values: Floats) -> Floats:
        return np.asarray(cv2.boxFilter(values, -1, (2 * radius + 1, 2 * radius + 1)), np.float32)

    guide = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) / np.float32(255)
    average, level = mean(guide), mean(field)
    slope = (mean(guide * field) - average * level) / (mean(guide**2) - average**2 + 1e-3)
    return mean(slope) * guide + mean(level - slope * average)


def _centrality(shape: tuple[int, int]) -> Floats:
    """Elliptic bump: 1 in the centre, 0.5 on the fallback ellipse (0.7 of each half side)."""
    y = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, shape[1], dtype=np.float32)[None]
    return (0.5 ** ((x * x + y * y) / 0.49)).astype(np.float32)


def _object(small: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """0/1 mask `[h, w]` of the object, or None when nothing plausible was found."""
    height, width = small.shape[:2]
    lab = cv2.cvtColor(cv2.GaussianBlur(small, (0, 0), 1.0), cv2.COLOR_RGB2LAB).astype(np.float32)
    rim = max(2, min(height, width) // 25)
    edges = (lab[:rim], lab[-rim:], lab[:, :rim].swapaxes(0, 1), lab[:, -rim:].swapaxes(0, 1))
    stretches = [part for edge in edges for part in np.array_split(edge, 6, axis=1)]
    colours = np.stack([np.median(part.reshape(-1, 3), axis=0) for part in stretches])
    # Lightness counts half: shadows on the background are not the object.
    weight = np.array([0.5, 1.0, 1.0], np.float32)
    difference = (lab[:, :, None] - colours[None, None]) * weight
    contrast = np.sqrt((difference**2).sum(-1)).min(-1)
    spread = np.concatenate([contrast[:rim].ravel(), contrast[-rim:].ravel()])
    contrast = np.maximum(contrast - np.quantile(spread, 0.9), 0)
    evidence = contrast * np.sqrt(_centrality((height, width)))
    level, _ = cv2.threshold(
        np.clip(evidence * 4, 0, 255).astype(np.uint8), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU
    )
    labels = np.where(evidence * 4 > level, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[evidence * 4 > 2.5 * level + 8] = cv2.GC_FGD
    border = np.ones((height, width), bool)
    border[rim:-rim, rim:-rim] = False
    labels[border & (labels != cv2.GC_FGD)] = cv2.GC_BGD
    if not (labels & 1).any() or (labels & 1).all():
        return None
    cv2.setRNGSeed(0)  # GrabCut starts from k-means, which draws from OpenCV's own generator
    cv2.grabCut(small, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), 2, cv2.GC_INIT_WITH_MASK)
    return _central_component((labels & 1).astype(np.uint8))


def _central_component(mask: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, labels = cv2.connectedComponents(mask)
    if count < 2:
        return None
    centrality = _centrality(mask.shape)
    votes = np.bincount(labels.ravel(), weights=centrality.ravel() ** 2, minlength=count)
    votes[0] = 0
    best = int(votes.argmax())
    chosen = np.isin(labels, [i for i in range(1, count) if votes[i] >= 0.25 * votes[best]])
    contours, _ = cv2.findContours(
        chosen.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    filled = cv2.drawContours(np.zeros_like(mask), contours, -1, 1, cv2.FILLED)
    on_border = np.concatenate([filled[0], filled[-1], filled[:, 0], filled[:, -1]]).mean()
    inside = float((filled * centrality).sum() / centrality.sum())
    plausible = 0.02 <= filled.mean() <= 0.9 and on_border < 0.5 and inside > 0.06
    return np.asarray(filled, np.uint8) if plausible else None


def light_angle(linear: Floats, inside: Floats) -> float:
    """Estimate where the light comes from, in the image plane, from shading on the object.

    The mean gradient of log luminance over a convex, evenly coloured object points to the light.
    Steep gradients are paint rather than shading, so each counts at most as much as a typical one;
    a weak pull upwards decides flat pictures, since light mostly comes from above.

    Args:
        linear: float32 `[h, w, 3]` linear light in [0, 1].
        inside: float32 `[h, w]` foreground in [0, 1].

    Returns:
        Angle in radians of the vector towards the light, x to the right and y *down*:
        -pi/2 is light from above.
    """
    shrink = min(1.0, WORKING_SIZE / max(inside.shape))
    size = max(8, round(inside.shape[1] * shrink)), max(8, round(inside.shape[0] * shrink))
    small = cv2.resize(linear, size, interpolation=cv2.INTER_AREA)
    weight = cv2.resize(inside, size, interpolation=cv2.INTER_AREA)
    radius = max(1.0, float(np.sqrt(weight.sum() / np.pi)))
    # Normalised blur: the background must not bleed into the object.
    blurred = cv2.GaussianBlur(small.mean(-1) * weight, (0, 0), radius / 10)
    mass = cv2.GaussianBlur(weight, (0, 0), radius / 10)
    log = np.log(np.maximum(blurred, 0) / np.maximum(mass, 1e-3) + 0.02)
    down, right = np.gradient(log.astype(np.float32) * radius)
    steep = np.hypot(down, right)
    core = np.where(weight > 0.9, weight, 0)
    typical = float(np.median(steep[core > 0])) if (core > 0).any() else 1.0
    core = core * np.minimum(1, 2 * typical / np.maximum(steep, 1e-6))
    total = max(float(core.sum()), 1e-6)
    x, y = float((right * core).sum()) / total, float((down * core).sum()) / total
    return float(np.arctan2(y - 0.05, x))

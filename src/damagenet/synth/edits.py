"""What an editor does to a finished photo besides drawing damage: regions, repairs, pasting.

All regions are bool `[h, w]`, all pictures uint8 `[h, w, 3]` of the same size.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from damagenet.images import Array

Region = NDArray[np.bool_]
Floats = NDArray[np.float32]

FAINT = 0.75
"""Mean change around a pixel, in grey levels, below which it counts as untouched."""
PATCH = 7
"""Pixels a side of the neighbourhood over which a change is averaged."""


def grown(region: Region, spread: float) -> Region:
    """A brush stroke over a region: editors regenerate a margin of `spread` longer sides."""
    radius = max(2, round(spread * max(region.shape)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.dilate(region.view(np.uint8), kernel) > 0)


def blob(shape: tuple[int, int], area: float, seed: int) -> Region:
    """An irregular region of about `area` (share of the picture): smooth noise near a centre."""
    rng = np.random.default_rng(seed)
    height, width = shape
    noise = rng.standard_normal((8, 8)).astype(np.float32)
    field = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    centre = rng.uniform(0.25, 0.75, 2)
    distance = np.hypot(y / height - centre[0], x / width - centre[1])
    field = field * 0.15 - distance / np.float32(np.sqrt(area))
    rank = min(field.size - 1, round(field.size * (1 - area)))
    return np.asarray(field >= np.partition(field, rank, axis=None)[rank])


def recoloured(base: Array, region: Region, hue: float) -> Array:
    """Turn the hue of a region by `hue` degrees."""
    turned = cv2.cvtColor(base, cv2.COLOR_RGB2HSV_FULL)
    turned[..., 0] += np.uint8(round(hue * 256 / 360) % 256)
    return np.where(region[..., None], cv2.cvtColor(turned, cv2.COLOR_HSV2RGB_FULL), base)


def healed(base: Array, region: Region) -> Array:
    """Fill a region from its surroundings (Telea, J. Graphics Tools 2004)."""
    return np.asarray(cv2.inpaint(base, region.view(np.uint8), 3, cv2.INPAINT_TELEA), np.uint8)


def paste(base: Array, new: Array, region: Region, edit: dict[str, Any]) -> Array:
    """Put the edited pixels into the photo, as the edit's topology says.

    Args:
        base: The photo before the edit.
        new: The same after it; may differ anywhere.
        region: What the edit was meant to change.
        edit: `topology`: `full` keeps the whole of `new`, `exchange` cuts the region out hard,
            `blend` softly over `feather` pixels (sigma), with `seam` also carrying the difference
            of colour along the rim inwards, as a gradient-domain paste does (Perez et al.,
            SIGGRAPH 2003; the membrane here is a normalised convolution of the rim).
    """
    if edit["topology"] == "full":
        return new
    if edit["topology"] == "exchange":
        return np.where(region[..., None], new, base)
    weight = softened(region, edit)
    fresh = new.astype(np.float32)
    if edit["seam"]:
        fresh += _membrane(base - fresh, region)
    touched = weight > 0
    mixed = base + weight[..., None] * (fresh - base)
    return np.where(touched[..., None], np.rint(np.clip(mixed, 0, 255)), base).astype(np.uint8)


def softened(region: Region, edit: dict[str, Any]) -> Floats:
    """Weight `[h, w]` in [0, 1] of the edited pixels in a `blend`; 0 where nothing is touched."""
    weight = cv2.GaussianBlur(region.astype(np.float32), (0, 0), edit["feather"])
    return np.where(weight > 0.02, weight, np.float32(0))


def _membrane(difference: Floats, region: Region) -> Floats:
    """The rim's difference of colour, spread smoothly over the region; float32 `[h, w, 3]`."""
    rim = grown(region, 0) & ~region
    sigma = max(2.0, float(np.sqrt(region.sum())) / 4)
    mass = cv2.GaussianBlur(rim.astype(np.float32), (0, 0), sigma)
    spread = cv2.GaussianBlur(np.where(rim[..., None], difference, 0), (0, 0), sigma)
    return np.asarray(spread / np.maximum(mass, 1e-4)[..., None], np.float32)


def changed(edited: Array, original: Array) -> Array:
    """The mask of an edit: where the picture really changed, cleaned of specks.

    The wish of an editor is not what it did: a decoder leaves flat white as it was, and repaints
    more than it was asked to. Differences are averaged over a small patch, since single equal
    pixels among changed ones mean nothing.

    Returns:
        uint8 `[h, w]`, 255 where changed.
    """
    mask = np.zeros(edited.shape[:2], np.uint8)
    red, green, blue = cv2.split(cv2.absdiff(edited, original))
    difference = cv2.max(cv2.max(red, green), blue)
    left, top, width, height = cv2.boundingRect(difference)
    if not width:
        return mask
    window = np.s_[max(0, top - PATCH) : top + height + PATCH,
                   max(0, left - PATCH) : left + width + PATCH]  # fmt: skip
    difference = difference[window]
    near = cv2.blur(difference.astype(np.float32), (PATCH, PATCH)) > FAINT
    # Averaging reaches beyond the edit: nothing further than a pixel from a change is kept.
    near &= cv2.dilate((difference > 0).view(np.uint8), np.ones((3, 3), np.uint8)) > 0
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (PATCH, PATCH))
    closed = cv2.morphologyEx(near.view(np.uint8), cv2.MORPH_CLOSE, kernel)
    _, labels, facts, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
    keep = np.where(facts[:, cv2.CC_STAT_AREA] >= PATCH * 2, 255, 0).astype(np.uint8)
    keep[0] = 0
    mask[window] = keep[labels]
    return mask

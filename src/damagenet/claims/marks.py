"""Which changes are marks that somebody drew: a buyer may circle a spot on the seller's picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from damagenet.claims.heatmaps import Array, Map

VIVID, MORE = 90, 45
"""Spread of the colour channels from which ink is bright, and by how much more than before."""
GLARING = 120, 170
"""Spread, and brightest channel, from which it is ink on anything."""


def undrawn(claim: Array, listing: Array, changed: Map) -> Map:
    """The changed areas without those that bright ink covers.

    Damage is seldom more colourful than the product by this much; where it is, a person looks
    instead of a rule. Black, white and pixelated marks are not recognised.

    Args:
        claim: uint8 `[height, width, 3]`.
        listing: The listing photo in claim pixels, of the same shape.
        changed: float32 `[height, width]` in [0, 1], as `Comparison.changed`.
    """
    import cv2

    ours, theirs = _colourful(claim), _colourful(listing)
    glaring = (ours >= GLARING[0]) & (claim.max(axis=2) >= GLARING[1])
    bright = ((ours >= VIVID) & (ours - theirs >= MORE)) | glaring
    ink = (bright & (changed > 0.5)).astype(np.uint8)
    # Codecs smear colour over a few pixels around a stroke, which then differ as well.
    size = max(5, round(max(changed.shape) / 50)) | 1
    room = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    return np.where(cv2.dilate(ink, room) > 0, np.float32(0), changed)


def _colourful(image: Array) -> NDArray[np.int16]:
    return (image.max(axis=2).astype(np.int16) - image.min(axis=2)).astype(np.int16)

"""Which changes are marks that somebody made: a buyer may circle a spot on the seller's picture.

Ink has one colour, and its stroke is thin or its area a box; a screen's margin is a box, too; what
hides an address, blocks or a blur, averages what was there and adds nothing. Damage does neither.
So each changed area is held against both. A person looks where one of them explains it all, as
damage can be painted in flat black, or rubbed out of focus.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from damagenet.claims.align import Array, Map, Mask, shrunk

VIVID, MORE = 90, 45
"""Spread of the colour channels from which ink is bright, and by how much more than before."""
GLARING = 120, 170
"""Spread, and brightest channel, from which it is ink on anything."""
BLACK, WHITE = 36, 215
"""Luminance up to which ink is black, and channels from which it is white."""
SIDE = 640
"""Long side in pixels at which areas are judged; a pen's stroke has 4 to 20 there."""
SPECK = 0.0003
"""Share of the picture below which an area is too small to be judged."""
DIFFERS = 15.0
"""Grey levels from which a pixel of a changed area differs itself."""
EVEN = 25.0
"""Grey levels by which three quarters of an area may miss one ink: codecs smear strokes."""
CLEAR = 0.3, 0.7
"""How much of the picture shows through a highlighter."""
THIN, BOX = 0.035, 0.9
"""Half of a stroke's width by the long side; share of its bounding box that a box fills."""
BLOCK = 0.025
"""Size of the blocks that hide something, by the long side."""
LEVEL, SHARE, FINER = 10.0, 0.95, 2.0
"""Grey levels by which an average may differ, share of an area that must agree, and grey levels of
detail that it may add."""
FEW, INKED = 5.0, 0.3
"""Half the width in pixels of a stroke that is edge for the most part, and share of it that is
nearly its ink."""
LUMA: Map = np.array([0.299, 0.587, 0.114], np.float32)


def undrawn(claim: Array, listing: Array, changed: Map) -> Map:
    """The changed areas without those that ink, a margin, blocks or a blur explain.

    Args:
        claim: uint8 `[height, width, 3]`.
        listing: The listing photo in claim pixels, of the same shape, black where there is none.
        changed: float32 `[height, width]` in [0, 1], as `Comparison.changed`.
    """
    rest = _without_bright(claim, listing, changed)
    small = shrunk(claim, SIDE)
    size = (small.shape[1], small.shape[0])
    theirs, areas = (cv2.resize(a, size, interpolation=cv2.INTER_AREA) for a in (listing, rest))
    plain = _explained(small, np.asarray(theirs, np.uint8), areas > 0.5).astype(np.uint8)
    plain = cv2.resize(plain, changed.shape[::-1], interpolation=cv2.INTER_NEAREST)
    # Whole areas go or stay: rims that are left of a stroke would add up.
    count, labels = cv2.connectedComponents((rest > 0.5).astype(np.uint8), connectivity=8)
    sizes, gone = (np.bincount(labels.ravel(), w, count) for w in (None, plain.ravel()))
    leave = gone > 0.5 * sizes
    leave[0] = False
    return np.where(leave[labels], np.float32(0), rest)


def _without_bright(claim: Array, listing: Array, changed: Map) -> Map:
    """Less what bright ink covers: damage is seldom more colourful than the product by so much."""
    ours, theirs = _colourful(claim), _colourful(listing)
    glaring = (ours >= GLARING[0]) & (claim.max(axis=2) >= GLARING[1])
    bright = ((ours >= VIVID) & (ours - theirs >= MORE)) | glaring
    ink = (bright & (changed > 0.5)).astype(np.uint8)
    # Codecs smear colour over a few pixels around a stroke, which then differ as well.
    size = max(5, round(max(changed.shape) / 50)) | 1
    room = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    return np.where(cv2.dilate(ink, room) > 0, np.float32(0), changed)


def _explained(claim: Array, listing: Array, changed: Mask) -> Mask:
    """Those of the connected changed areas `[h, w]` that are ink or averages."""
    ours, theirs = claim.astype(np.float32), listing.astype(np.float32)
    averaged, finer = _averaged(ours, theirs), _detail(ours) - _detail(theirs)
    differs = np.abs(ours - theirs).max(axis=2) > DIFFERS
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(
        changed.astype(np.uint8), connectivity=8
    )
    plain = np.zeros(changed.shape, bool)
    for i in range(1, count):
        x, y, width, height, pixels = map(int, boxes[i])
        if pixels < SPECK * changed.size:
            continue
        part = np.s_[y : y + height, x : x + width]
        area = (labels[part] == i) & differs[part]  # without what lies between letters
        if not area.any():
            continue
        hidden = averaged[part][area].mean() >= SHARE and finer[part][area].mean() <= FINER
        if hidden or _inked(ours, theirs, part, area):
            plain[part] |= labels[part] == i
    return plain


def _inked(claim: Map, listing: Map, part: tuple[slice, slice], area: Mask) -> bool:
    """Whether one ink, opaque or that of a highlighter, drew an area: a thin stroke or a box."""
    depth = cv2.distanceTransform(np.pad(area.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    thin = depth.max() <= THIN * max(claim.shape)
    core = area & (depth >= 0.6 * cv2.dilate(depth, np.ones((7, 7), np.uint8)))
    ours, theirs = claim[part][core], listing[part][core]
    ink = np.median(ours, axis=0)
    if _pen(ink) and _even(ours - ink):
        like = np.abs(claim - ink).max(axis=2) <= EVEN
        return bool(thin or _box(area) or _box(_around(like, part, area)))
    if depth.max() <= FEW and _fine(claim[part][area], listing[part][area]):
        return True
    return bool(thin and _clear(ours, theirs))


def _clear(ours: Map, theirs: Map) -> bool:
    """Whether pixels `[n, 3]` are those of the listing under a highlighter's one colour."""
    centred = theirs - theirs.mean(axis=0)
    through = float((centred * ours).sum() / max(1.0, float((centred**2).sum())))
    if not CLEAR[0] <= through <= CLEAR[1]:
        return False
    added = np.median(ours - through * theirs, axis=0)
    return _pen(added / (1 - through)) and _even(ours - through * theirs - added)


def _fine(ours: Map, theirs: Map) -> bool:
    """Whether pixels `[n, 3]` lie between the listing and one ink, many of them at the ink."""
    light = ours @ LUMA
    for ends in (light <= np.percentile(light, 25), light >= np.percentile(light, 75)):
        ink = np.median(ours[ends], axis=0)
        if not _pen(ink):
            continue
        way = ink - theirs
        share = ((ours - theirs) * way).sum(axis=1) / np.maximum((way**2).sum(axis=1), 1.0)
        if np.mean(share >= 0.75) >= INKED and _even(ours - theirs - share[:, None] * way):
            return True
    return False


def _pen(ink: NDArray[np.floating]) -> bool:
    """Black, white or bright, as pens, plates and margins are."""
    return bool(ink @ LUMA <= BLACK or ink.min() >= WHITE or np.ptp(ink) >= VIVID)


def _even(misses: Map) -> bool:
    return bool(np.percentile(np.abs(misses).max(axis=1), 75) <= EVEN)


def _around(like: Mask, part: tuple[slice, slice], area: Mask) -> Mask:
    """The whole of an ink's shape, whether it changed the picture there or not."""
    _, labels = cv2.connectedComponents(like.astype(np.uint8), connectivity=4)
    inside = labels[part][area]
    return np.asarray(labels == np.bincount(inside[inside > 0], minlength=1).argmax())


def _box(shape: Mask) -> bool:
    """Whether a shape, with the words in it, fills an upright box."""
    rims, _ = cv2.findContours(shape.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    rim = max(rims, key=cv2.contourArea)
    _, _, width, height = cv2.boundingRect(rim)
    return bool(cv2.contourArea(rim) >= BOX * max(1, (width - 1) * (height - 1)))


def _averaged(ours: Map, theirs: Map) -> Mask:
    """Where the claim holds what an average of the listing nearby may hold."""
    side = max(ours.shape)
    wide = [cv2.GaussianBlur(p, (0, 0), BLOCK * side) for p in (ours, theirs)]
    fine = [cv2.GaussianBlur(p, (0, 0), 1.0) for p in (ours, theirs)]
    room = np.ones((2 * round(BLOCK * side) + 1,) * 2, np.uint8)
    low, high = cv2.erode(fine[1], room) - 6, cv2.dilate(fine[1], room) + 6
    within = ((fine[0] >= low) & (fine[0] <= high)).all(axis=2)
    return np.asarray(within & (np.abs(wide[0] - wide[1]).max(axis=2) <= LEVEL))


def _detail(picture: Map) -> Map:
    fine = np.abs(picture - cv2.GaussianBlur(picture, (0, 0), 2.0)).max(axis=2)
    return np.asarray(cv2.GaussianBlur(fine, (0, 0), BLOCK * max(picture.shape) / 2), np.float32)


def _colourful(image: Array) -> NDArray[np.int16]:
    return (image.max(axis=2).astype(np.int16) - image.min(axis=2)).astype(np.int16)

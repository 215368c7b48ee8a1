"""Near-duplicates: one photo, cut, mirrored or saved again, under two names.

Cheap descriptors of all pictures propose pairs (a perceptual hash; the layout of colours and of
edge directions), and the correlation of their fine detail decides: two mugs on white look alike
from afar, but only one photo has the same scratches in the same places.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from damagenet import images
from damagenet.images import Array
from damagenet.synth.groups import NEAR_BITS

SIDE = 128
"""Pictures are compared at this length of the longer side."""
NEIGHBOURS = 4
"""Pairs proposed for each picture by its nearest layouts."""
SAME = 0.6
"""Correlation of detail from which two pictures are one photo. Measured on real photos: of 520
pictures and the photos of which a crop, a mirror, a camera and a channel made them, 19 in 20 reach
it, the rest is mostly plain cloth; of 3,252 likely pairs among 932 photos of different groups none
passed 0.58."""
_CELL = np.add.outer(np.arange(64) // 8 * 8, np.arange(64) // 8) * 9


@dataclass(frozen=True)
class Look:
    """What a picture is compared by.

    Attributes:
        bits: Perceptual hashes of the picture and of its mirror image, uint8 `[2, 8]`.
        layout: Unit vectors of both, float32 `[2, n]`: Lab colours on an 8 x 8 grid and HOG.
        detail: Luma without what is coarser than a few pixels, evened out so that no single edge
            decides, float32 `[h, w]`, sides <= `SIDE`.
    """

    bits: Array
    layout: NDArray[np.float32]
    detail: NDArray[np.float32]


def look(path: Path) -> Look:
    """Describe one picture.

    Raises:
        BadInput: Not a picture, or damaged.
    """
    picture = images.read(path)
    factor = SIDE / max(picture.shape[:2])
    size = [max(16, round(side * factor)) for side in picture.shape[1::-1]]
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    sides = (small, np.ascontiguousarray(small[:, ::-1]))
    hashes = [imagehash.phash(Image.fromarray(side)).hash for side in sides]
    detail = grey - cv2.GaussianBlur(grey, (0, 0), 2.5)
    local = np.sqrt(cv2.GaussianBlur(detail**2, (0, 0), 5))
    return Look(
        np.stack([np.packbits(bits) for bits in hashes]),
        np.stack([_layout(side) for side in sides]),
        np.asarray(detail / (local + 4), np.float32),
    )


def _layout(small: Array) -> NDArray[np.float32]:
    """Coarse Lab colours beside edge directions in 8 x 8 cells (Dalal and Triggs 2005)."""
    square = cv2.resize(small, (64, 64), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(square, cv2.COLOR_RGB2LAB)
    colour = cv2.resize(lab, (8, 8), interpolation=cv2.INTER_AREA).astype(np.float32).ravel() - 128
    across, down = (cv2.Sobel(lab[..., 0], cv2.CV_32F, dx, 1 - dx) for dx in (1, 0))
    turn = (np.arctan2(down, across) % np.pi) * (9 / np.pi)
    place = _CELL + np.minimum(turn.astype(np.intp), 8)
    edges = np.bincount(place.ravel(), np.hypot(across, down).ravel(), minlength=576)
    parts = [colour, np.sqrt(edges)]  # the root keeps one strong edge from drowning the others
    joined = np.concatenate([part / (np.linalg.norm(part) + 1e-6) for part in parts])
    return np.asarray(joined / np.sqrt(2), np.float32)


def pairs(looks: list[Look], apart: NDArray[np.int_]) -> list[tuple[int, int, float]]:
    """Pictures of different `apart` values that are one photo.

    Args:
        looks: One per picture.
        apart: Integers `[n]`; only pairs that differ here are looked for, such as splits.

    Returns:
        Index, index, and correlation of detail, rounded to 3 places; the surest first.
    """
    found = []
    for i, j in proposals(looks, apart):
        one = correlation(looks[i], looks[j])
        if one > SAME / 2:  # below, the mean of both ways would need luck to pass
            both = (one + correlation(looks[j], looks[i])) / 2
            found.append((i, j, round(both, 3)))
    return sorted((p for p in found if p[2] >= SAME), key=lambda p: (-p[2], p[0], p[1]))


def proposals(looks: list[Look], apart: NDArray[np.int_]) -> list[tuple[int, int]]:
    """Pairs worth a close look: near hashes, or among each other's nearest layouts."""
    if len(looks) < 2:
        return []
    bits = np.stack([one.bits for one in looks])
    layout = np.stack([one.layout for one in looks])
    wanted: set[tuple[int, int]] = set()
    for i, own in enumerate(looks):
        others = apart != apart[i]
        distance = np.bitwise_count(own.bits[0] ^ bits).sum(axis=2).min(axis=1)
        near = np.flatnonzero(others & (distance <= NEAR_BITS))
        likeness = np.where(others, (layout @ own.layout[0]).max(axis=1), -1)
        nearest = np.argsort(-likeness, kind="stable")[:NEIGHBOURS]
        chosen = {*near.tolist(), *nearest[likeness[nearest] > 0].tolist()}
        wanted |= {(min(i, j), max(i, j)) for j in chosen}
    return sorted(wanted)


def correlation(a: Look, b: Look) -> float:
    """Largest normalised correlation of the middle of one picture's detail with the other's.

    The middle is tried at several sizes (either may be cut from the other) and mirrored; in [0, 1].
    """
    height, width = (round(0.3 * side) for side in a.detail.shape)
    middle = a.detail[height // 2 : -(height - height // 2), width // 2 : -(width - width // 2)]
    best = 0.0
    if middle.std() < 0.05:  # nothing in it to recognise
        return best
    for scale in np.geomspace(0.75, 1.34, 13):
        size = [max(8, round(side * scale)) for side in middle.shape[::-1]]
        scaled = cv2.resize(middle, size, interpolation=cv2.INTER_AREA)
        for patch in (scaled, np.ascontiguousarray(scaled[:, ::-1])):
            if patch.shape[0] <= b.detail.shape[0] and patch.shape[1] <= b.detail.shape[1]:
                score = cv2.matchTemplate(b.detail, patch, cv2.TM_CCOEFF_NORMED)
                # Over blank places the division by no contrast gives anything.
                best = max(best, float(score[score < 1.001].max(initial=0)))
    return best

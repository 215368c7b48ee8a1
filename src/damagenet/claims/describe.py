"""What a picture is found by in a catalogue: a perceptual hash, a layout, visual words.

Three descriptors, because each holds where another fails: hash and layout know the whole picture,
also of plain things, and lose it when it is cropped; words are local details, found again in a
crop, on a screenshot or pasted on another photo, and lost when a picture is plain or blurred.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from damagenet.claims.align import Array, Map, keypoints, shrunk

Words = NDArray[np.uint16]

SIDE = 640
"""Pixels of the long side at which details are read."""
DETAILS = 300
"""Of one picture: its strongest."""
LAYOUT = 248
"""Length of a layout."""


@dataclass(frozen=True)
class Description:
    """What a picture is found by.

    Attributes:
        bits: Perceptual hash, uint8 `[8]`.
        layout: Edge directions and colours by place, unit length, float32 `[LAYOUT]`; zeros for
            a flat picture.
        words: Visual words, uint16 `[n]` with n <= `DETAILS`, each once.
    """

    bits: Array
    layout: Map
    words: Words


def describe(image: Array) -> Description:
    """Describe a picture, uint8 `[h, w, 3]` of any size, as a catalogue keeps it."""
    small = shrunk(image, SIDE)
    return Description(_bits(small), _layout(small), _words(small, nearest=1))


def queries(image: Array) -> list[Description]:
    """Describe a picture as it may lie in a catalogue: turned by quarters, mirrored; 8 in all.

    Details are found whatever their turn, so only the first two bring words, of the picture and
    of its mirror image, each detail with its four nearest.
    """
    found = []
    small = shrunk(image, SIDE)
    for turns in range(4):
        for side in (small, small[:, ::-1]):
            turned = np.ascontiguousarray(np.rot90(side, turns))
            words = _words(turned, nearest=2) if turns == 0 else np.zeros(0, np.uint16)
            found.append(Description(_bits(turned), _layout(turned), words))
    return found


def _bits(image: Array) -> Array:
    import imagehash
    from PIL import Image

    return np.packbits(imagehash.phash(Image.fromarray(image)).hash)


def _layout(image: Array) -> Map:
    """Edge directions in 5 x 5 cells, and Lab colours in 4 x 4 cells less their mean.

    Directions are of lines, not of slopes, and strengths enter by their root, so that inversions
    and single edges do not decide; colours less their mean do not see brightness or a cast.
    """
    import cv2

    square = cv2.resize(image, (100, 100), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(square, cv2.COLOR_RGB2LAB).astype(np.float32)
    across, down = (cv2.Sobel(lab[..., 0], cv2.CV_32F, dx, 1 - dx) for dx in (1, 0))
    strength = np.sqrt(np.hypot(across, down))
    turn = np.arctan2(down, across) % np.pi * (8 / np.pi)
    # Each edge counts for its two nearest directions of eight.
    shares = (np.clip(1 - np.abs((turn - k + 4) % 8 - 4), 0, 1) for k in range(8))
    edges = np.stack([_cells(strength * share, 5) for share in shares])
    colours = np.stack([_cells(lab[..., c] - lab[..., c].mean(), 4) for c in range(3)])
    return _unit(np.concatenate([_unit(edges.ravel()), 0.7 * _unit(colours.ravel())]))


def _cells(values: Map, count: int) -> Map:
    size = values.shape[0] // count
    return np.asarray(values.reshape(count, size, count, size).mean(axis=(1, 3)), np.float32)


def _unit(values: Map) -> Map:
    length = float(np.linalg.norm(values))
    return np.asarray(values / length if length > 1e-3 else np.zeros_like(values), np.float32)


@cache
def centres() -> Map:
    """Typical upper and lower halves of details, float32 `[2, 256, 64]`.

    Learnt by `scripts/train_words.py`.
    """
    path = Path(__file__).parent / "weights" / "words.npy"
    return np.load(path, allow_pickle=False).astype(np.float32) / 512


def _words(image: Array, nearest: int) -> Words:
    """Words of a picture: which typical upper and lower half each detail is closest to.

    A product of two small vocabularies (Babenko and Lempitsky 2012, "The inverted multi-index"):
    65,536 words from 512 centres.
    """
    details = keypoints(image, DETAILS)[1].reshape(-1, 2, 64)
    if not len(details):
        return np.zeros(0, np.uint16)
    upper, lower = (
        np.argsort(
            (half * half).sum(axis=1) - 2 * details[:, i] @ half.T, axis=1, kind="stable"
        )[:, :nearest]
        for i, half in enumerate(centres())
    )  # fmt: skip
    pairs = upper[:, :, None] * 256 + lower[:, None, :]
    return np.unique(pairs.astype(np.uint16))

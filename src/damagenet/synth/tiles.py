"""Cover a region with boxes that are cheap to decode, and fade neighbouring boxes into each other.

A decoder's work on a box grows with its area and the context around it; a long thin crack is
cheaper in several boxes than in its bounding box.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Box = tuple[tuple[int, int], tuple[int, int]]
"""Rows and columns, each from and up to."""


def bounds(mask: Mask) -> Box:
    """The smallest box around what is set in a bool `[h, w]`; of no height if nothing is."""
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    return (top, top + height), (left, left + width)


def cover(mask: Mask, around: int, area: int) -> list[Box]:
    """Boxes that hold every set pixel and cost little.

    Args:
        mask: bool `[h, w]`, not empty.
        around: Context that is decoded with each box, on every side (px).
        area: Largest box (px²).

    Returns:
        At least one box; they may overlap.
    """
    (top, bottom), (left, right) = bounds(mask)

    def cost(low: NDArray[np.int64], high: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.asarray(np.prod(high - low + 2 * around, axis=-1))

    # The set part of each cell of a coarse grid; then two become one as long as that is cheaper.
    step = max(32, -(-max(bottom - top, right - left) // 8))
    corners = []
    for y in range(top, bottom, step):
        for x in range(left, right, step):
            rows, columns = bounds(mask[y : min(bottom, y + step), x : min(right, x + step)])
            if rows[0] < rows[1]:
                corners.append([y + rows[0], x + columns[0], y + rows[1], x + columns[1]])
    lows, highs = np.hsplit(np.array(corners, np.int64), 2)
    while len(lows) > 1:
        low = np.minimum(lows[:, None], lows)
        high = np.maximum(highs[:, None], highs)
        each = cost(lows, highs)
        saved = each[:, None] + each - cost(low, high)
        np.fill_diagonal(saved, -1)
        i, j = divmod(int(saved.argmax()), len(lows))
        if saved[i, j] < 0:
            break
        lows[i], highs[i] = low[i, j], high[i, j]
        lows, highs = np.delete(lows, j, 0), np.delete(highs, j, 0)
    boxes: list[Box] = [((top, bottom), (left, right))]
    # Pairs can end in a local optimum.
    if cost(lows, highs).sum() < cost(*np.array([[top, left], [bottom, right]])):
        boxes = [
            ((y, bottom), (x, right))
            for (y, x), (bottom, right) in zip(lows.tolist(), highs.tolist(), strict=True)
        ]
    return [part for box in boxes for part in _halved(box, area)]


def _halved(box: Box, area: int) -> list[Box]:
    """A box halved along its longer side until no part is larger than `area`."""
    (top, bottom), (left, right) = box
    if (bottom - top) * (right - left) <= area:
        return [box]
    y, x = (top + bottom) // 2, (left + right) // 2
    halves: tuple[Box, Box]
    if bottom - top > right - left:
        halves = ((top, y), (left, right)), ((y, bottom), (left, right))
    else:
        halves = ((top, bottom), (left, x)), ((top, bottom), (x, right))
    return [part for half in halves for part in _halved(half, area)]


def faded(box: Box, limits: Box, fade: int) -> tuple[Box, NDArray[np.float32]]:
    """A box grown by `fade` within limits, and the weight of its pixels.

    Returns:
        The larger box, and float32 of its size: 1 from `fade` inside of the smaller box on, half
        at its edge, falling to 0 at `fade` outside of it. Without fading: the box, and ones.
    """
    spans, weights = [], []
    for (start, stop), (least, most) in zip(box, limits, strict=True):
        low, high = max(least, start - fade), min(most, stop + fade)
        at = np.arange(low, high, dtype=np.float32) + 0.5
        inside = np.minimum(at - start, stop - at)
        spans.append((low, high))
        weights.append(np.clip(0.5 + inside / (2 * fade), 0, 1) if fade else np.ones_like(at))
    return (spans[0], spans[1]), np.multiply.outer(weights[0], weights[1])

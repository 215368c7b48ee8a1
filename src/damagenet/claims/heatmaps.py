"""Geometry and colour of heatmaps: regions, overlays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.uint8]
Map = NDArray[np.float32]

MAX_POINTS = 32
"""Of a region's outline: enough to draw it, few enough to store with every record."""


@dataclass(frozen=True)
class Region:
    """One connected part of the picture that looks doctored.

    Attributes:
        x, y, width, height: Bounding box in pixels of the picture as shown (upright).
        area: Share of the picture that the part covers, in (0, 1].
        score: Mean of the heatmap inside the part, in [0.5, 1].
        polygon: Outline as (x, y) of pixels on its rim, counter-clockwise, 3 to `MAX_POINTS`;
            holes are ignored. A part too thin for three corners has those of its box.
    """

    x: int
    y: int
    width: int
    height: int
    area: float
    score: float
    polygon: tuple[tuple[int, int], ...] = ()


def find_regions(heatmap: Map, level: float = 0.5, limit: int = 20) -> list[Region]:
    """Connected parts of a heatmap `[height, width]` at or above `level`, without specks.

    A speck covers under 0.02 % of the picture or under 9 pixels.
    """
    import cv2

    inside = np.ascontiguousarray(heatmap >= level).astype(np.uint8)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
    smallest = max(9.0, 0.0002 * heatmap.size)
    sums = {}
    for part in range(1, count):
        x, y, width, height, pixels = boxes[part]
        if pixels >= smallest:  # each in its box: whole maps of indices would be 16 bytes a pixel
            place = slice(y, y + height), slice(x, x + width)
            sums[part] = float(heatmap[place][labels[place] == part].sum(dtype=np.float64))
    parts = sorted(sums, key=lambda i: -sums[i])[:limit]
    return [_region(labels, i, boxes[i], sums[i]) for i in parts]


def _region(labels: NDArray[np.int32], part: int, box: NDArray[np.int32], total: float) -> Region:
    """Part number `part` of a label map; `total` is the sum of the heatmap inside."""
    import cv2

    x, y, width, height, pixels = map(int, box)
    inside = (labels[y : y + height, x : x + width] == part).astype(np.uint8)
    (rim,), _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=(x, y))
    slack, polygon = 1.0, cv2.approxPolyDP(rim, 1.0, True)
    while len(polygon) > MAX_POINTS:
        slack *= 1.5
        polygon = cv2.approxPolyDP(rim, slack, True)
    points = [(int(a), int(b)) for a, b in polygon[:, 0]]
    if len(points) < 3:
        right, bottom = x + width - 1, y + height - 1
        points = [(x, y), (x, bottom), (right, bottom), (right, y)]
    area, score = round(pixels / labels.size, 6), round(float(total) / pixels, 6)
    return Region(x, y, width, height, area, score, tuple(points))


BAND = 256
"""Rows that are coloured at once."""


def overlay(image: Array, heatmap: Map) -> Array:
    """Lay a heatmap `[h, w]` in [0, 1] over a picture `[h, w, 3]`: grey where calm, else warm."""
    result = np.empty_like(image)
    for start in range(0, len(image), BAND):  # a photo of 24 megapixels would take 3 GB at once
        rows = slice(start, start + BAND)
        result[rows] = _laid(image[rows], heatmap[rows])
    return result


def _laid(image: Array, heatmap: Map) -> Array:
    stops = np.array([[255, 236, 140], [247, 148, 29], [190, 16, 60]], np.float32)
    at = np.clip((heatmap - 0.2) / 0.8, 0, 1)
    colour = np.stack([np.interp(at, [0, 0.45, 1], stops[:, c]) for c in range(3)], axis=-1)
    grey = image.mean(axis=2, keepdims=True, dtype=np.float32)
    opacity = np.clip((heatmap - 0.15) * 2.2, 0, 0.8)[..., None]
    mixed = (1 - opacity) * (0.6 * grey + 0.4 * image) + opacity * colour
    return np.asarray(np.clip(np.rint(mixed), 0, 255), np.uint8)

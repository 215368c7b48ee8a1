"""Geometry and colour of heatmaps: regions, overlays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.uint8]
Map = NDArray[np.float32]


@dataclass(frozen=True)
class Region:
    """One connected part of the picture that looks doctored.

    Attributes:
        x, y, width, height: Bounding box in pixels of the picture as shown (upright).
        area: Share of the picture that the part covers, in (0, 1].
        score: Mean of the heatmap inside the part, in [0.5, 1].
    """

    x: int
    y: int
    width: int
    height: int
    area: float
    score: float


def find_regions(heatmap: Map, level: float = 0.5, limit: int = 20) -> list[Region]:
    """Connected parts of a heatmap `[height, width]` at or above `level`, without specks.

    A speck covers under 0.02 % of the picture or under 9 pixels.
    """
    import cv2

    inside = np.ascontiguousarray(heatmap >= level).astype(np.uint8)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
    sums = np.bincount(labels.ravel(), weights=heatmap.ravel(), minlength=count)
    smallest = max(9.0, 0.0002 * heatmap.size)
    found = []
    for (x, y, width, height, pixels), total in zip(boxes[1:], sums[1:], strict=True):
        if pixels >= smallest:
            box = (int(x), int(y), int(width), int(height))
            area, score = round(pixels / heatmap.size, 6), round(total / pixels, 6)
            found.append(Region(*box, area=float(area), score=float(score)))
    return sorted(found, key=lambda r: -r.score * r.area)[:limit]


def overlay(image: Array, heatmap: Map) -> Array:
    """Lay a heatmap `[h, w]` in [0, 1] over a picture `[h, w, 3]`: grey where calm, else warm."""
    stops = np.array([[255, 236, 140], [247, 148, 29], [190, 16, 60]], np.float32)
    at = np.clip((heatmap - 0.2) / 0.8, 0, 1)
    colour = np.stack([np.interp(at, [0, 0.45, 1], stops[:, c]) for c in range(3)], axis=-1)
    grey = image.mean(axis=2, keepdims=True, dtype=np.float32)
    opacity = np.clip((heatmap - 0.15) * 2.2, 0, 0.8)[..., None]
    mixed = (1 - opacity) * (0.6 * grey + 0.4 * image) + opacity * colour
    return np.asarray(np.clip(np.rint(mixed), 0, 255), np.uint8)

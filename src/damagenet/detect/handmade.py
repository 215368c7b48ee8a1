"""Hand-made forensic maps, written from their papers, as the bar that learning has to clear.

Each takes a picture uint8 `[h, w, 3]` and gives one number per block, float64 `[rows, columns]`. A
map alone decides nothing: `summary` makes four numbers of it, whose direction and weight are
fitted elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from damagenet.images import Array
from damagenet.synth import encoders

Map = NDArray[np.floating[Any]]

BLOCK = 16
"""Pixels a side of a block."""
GHOSTS = tuple(range(40, 100, 5))
"""JPEG qualities at which ghosts are looked for."""


def ela(image: Array) -> Map:
    """Error level: mean change of a block when the picture is saved again as JPEG 90.

    Krawetz, "A Picture's Worth... Digital Image Analysis and Forensics", Black Hat 2007.
    """
    again = encoders.jpeg(image, 90, 2)[0]
    return _blocks(np.abs(again.astype(np.float32) - image).mean(axis=2)).mean(axis=(1, 3))


def noise_level(image: Array) -> Map:
    """Log of the noise of a block: median of its finest diagonal Haar coefficients.

    Mahdian & Saic, "Using noise inconsistencies for blind image forensics", Image and Vision
    Computing 2009; the estimate is Donoho's median absolute deviation / 0.6745.
    """
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    luma = luma[: luma.shape[0] // 2 * 2, : luma.shape[1] // 2 * 2]
    above, below = luma[::2], luma[1::2]
    diagonal = (above[:, ::2] - above[:, 1::2] - below[:, ::2] + below[:, 1::2]) / 2
    deviation = np.median(np.abs(_blocks(diagonal)), axis=(1, 3)) / 0.6745
    return np.asarray(np.log(deviation + 0.1))


def jpeg_ghost(image: Array) -> Map:
    """Depth of a block's JPEG ghost: how far its change falls below its neighbours' at a quality.

    Farid, "Exposing Digital Forgeries from JPEG Ghosts", IEEE TIFS 2009: a region saved earlier at
    another quality hardly changes when the whole is saved at that quality again. Differences are
    scaled to [0, 1] over the qualities of a block, as there; the median of all blocks is what the
    picture as a whole does, and the map is the largest distance from it.
    """
    changes = []
    for quality in GHOSTS:
        again = encoders.jpeg(image, quality, 2)[0]
        square = (again.astype(np.float32) - image) ** 2
        changes.append(_blocks(square.mean(axis=2)).mean(axis=(1, 3)))
    stack = np.stack(changes)
    low, high = stack.min(axis=0), stack.max(axis=0)
    scaled = (stack - low) / np.maximum(high - low, 1e-6)
    return np.asarray((np.median(scaled, axis=(1, 2), keepdims=True) - scaled).max(axis=0))


MAPS: dict[str, Callable[[Array], Map]] = {
    "ELA": ela, "noise level": noise_level, "JPEG ghost": jpeg_ghost,
}  # fmt: skip


def summary(values: Map) -> NDArray[np.float64]:
    """Mean, deviation, largest excess over the median, and share of outlying blocks."""
    flat = values.ravel().astype(np.float64)
    median = np.median(flat)
    spread = np.median(np.abs(flat - median)) / 0.6745 + 1e-3
    outliers = (np.abs(flat - median) > 3 * spread).mean()
    return np.array([flat.mean(), flat.std(), np.quantile(flat, 0.99) - median, outliers])


def _blocks(plane: NDArray[np.float32]) -> Map:
    """A plane as `[rows, side, columns, side]`, cut to whole blocks; small ones become one."""
    side = min(BLOCK, *plane.shape)
    rows, columns = plane.shape[0] // side, plane.shape[1] // side
    return plane[: rows * side, : columns * side].reshape(rows, side, columns, side)

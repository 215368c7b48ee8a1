"""Resizing as phones, sites and editors do it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

KERNELS = {
    "area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC,
    "lanczos": cv2.INTER_LANCZOS4,
}  # fmt: skip
"""How phones, sites and editors resize."""


def resized(image: NDArray[Any], size: Sequence[int], kernel: str = "area") -> NDArray[Any]:
    """Resize uint8 or float32 `[h, w]` or `[h, w, 3]`.

    `area` interpolates where the picture grows. Floats make `lanczos` twice as fast.

    Args:
        image: Any picture or field.
        size: Width and height of the result.
        kernel: One of `KERNELS`.
    """
    if kernel == "lanczos":
        floats = cv2.resize(image.astype(np.float32), size, interpolation=cv2.INTER_LANCZOS4)
        return floats if image.dtype == np.float32 else cv2.add(floats, 0.0, dtype=cv2.CV_8U)
    grows = size[0] > image.shape[1] or size[1] > image.shape[0]
    flag = cv2.INTER_LINEAR if kernel == "area" and grows else KERNELS[kernel]
    return np.asarray(cv2.resize(image, size, interpolation=flag))

"""Lines and letters on a finished photo: smooth edges, whole numbers, the same on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ImageFont

from damagenet.images import Array

Points = NDArray[np.float64]


def paint(
    image: Array, masks: Sequence[Array], alpha: Array, ink: Sequence[int],
    left: int = 0, top: int = 0,
) -> None:  # fmt: skip
    """Lay ink over `image` in place, and take it out of `masks` where it hides the picture.

    Args:
        image: uint8 `[h, w, 3]`.
        masks: uint8 `[h, w]` each.
        alpha: uint8 `[a, b]`, how much ink; 255 is opaque. May reach over the edges.
        ink: Its colour.
        left: Column of the image under the first column of `alpha`; may be negative.
        top: Likewise the row.
    """
    height, width = image.shape[:2]
    alpha = alpha[max(0, -top) : max(0, height - top), max(0, -left) : max(0, width - left)]
    columns, rows = np.flatnonzero(alpha.any(0)), np.flatnonzero(alpha.any(1))
    if not rows.size:
        return
    alpha = alpha[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    top, left = max(top, 0) + int(rows[0]), max(left, 0) + int(columns[0])
    patch = np.s_[top : top + alpha.shape[0], left : left + alpha.shape[1]]
    share = alpha[..., None].astype(np.int32)
    under = image[patch].astype(np.int32)
    image[patch] = (under * (255 - share) + np.array(ink, np.int32) * share + 127) // 255
    for mask in masks:
        mask[patch][alpha >= 128] = 0


def letters(text: str, size: float, bold: float = 0.0) -> Array:
    """One line of text as ink, uint8 `[a, b]`.

    `size` is the height of the line in pixels, `bold` how many pixels wider each line of a letter
    gets.

    The typeface is the one inside Pillow, so that a recipe looks the same on every machine.
    """
    font = _font(max(7, round(size)))
    mask, (_, top) = font.getmask2(text, mode="L", anchor="ls")
    width, height = mask.size
    if not width * height:
        return np.zeros((1, 1), np.uint8)
    ink = np.array(mask, np.uint8).reshape(height, width)
    if smear := round(bold):
        ink = np.pad(ink, ((0, 0), (0, smear)))
        ink = np.maximum.reduce([np.roll(ink, shift, 1) for shift in range(smear + 1)])
    # Room below and above the base line, so that lines of any letters sit alike.
    above, below = round(0.78 * font.size), round(0.24 * font.size)
    room = (max(0, above + top), max(0, below - (height + top)))
    return np.pad(ink, (room, (0, 0)))


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def stroke(shape: tuple[int, ...], points: Points, width: float, closed: bool = False) -> Array:
    """A smooth-edged line through `points` `[n, 2]` as ink, uint8 `[h, w]`; `width` in pixels."""
    ink = np.zeros(shape[:2], np.uint8)
    fixed = np.rint(points * 16).astype(np.int32)
    # OpenCV's smooth lines are 1.4, 3.4, 5.4 … pixels wide, whatever thickness is asked for.
    cv2.polylines(ink, [fixed], closed, 255, max(1, 2 * round((width - 1.4) / 2)), cv2.LINE_AA, 4)
    return ink

"""What phones do after interpolation: denoise and sharpen, apart for luma and chroma."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from damagenet import BadInput
from damagenet.images import Array
from damagenet.synth.sensor import Floats

STYLES = ("none", "guided", "bilateral", "wavelet")
"""How cameras denoise luma."""


def finish(photo: Array, camera: dict[str, Any]) -> Array:
    """Denoise and sharpen a photo, uint8 `[h, w, 3]`.

    Strengths are deviations in 8-bit codes. The unsharp mask is cut off at a limit, which keeps
    halos at strong edges faint.

    Args:
        photo: As it comes from the tone curve.
        camera: Its `denoise` (style, luma, chroma) and `sharpen` (amount, radius, limit).

    Raises:
        BadInput: No such style.
    """
    denoise, sharpen = camera["denoise"], camera["sharpen"]
    height, width = photo.shape[:2]
    # Sides that halve twice: the same squares of four for every window that starts at one.
    photo = cv2.copyMakeBorder(photo, 0, -height % 4, 0, -width % 4, cv2.BORDER_REFLECT_101)
    codes, *colours = cv2.split(cv2.cvtColor(photo, cv2.COLOR_RGB2YCrCb))
    luma = codes.astype(np.float32)
    # Interpolation leaves false colours at edges; a median takes them out (Freeman, US patent
    # 4,724,395, 1988).
    chroma = [cv2.medianBlur(plane, 3) for plane in colours]
    if denoise["chroma"]:  # at half resolution, where luma has no edges
        halves = [_half(plane).astype(np.float32) for plane in chroma]
        halves = _guided(_half(luma), halves, denoise["chroma"])
        chroma = [_double(cv2.convertScaleAbs(plane), luma.shape) for plane in halves]
    luma = _denoised(luma, denoise["style"], denoise["luma"])
    halo = cv2.subtract(luma, _blurred(luma, sharpen["radius"]))
    halo *= np.float32(sharpen["amount"])
    np.clip(halo, -sharpen["limit"], sharpen["limit"], out=halo)
    crisp = cv2.add(luma, halo, dtype=cv2.CV_8U)
    photo = cv2.cvtColor(cv2.merge([crisp, *chroma]), cv2.COLOR_YCrCb2RGB)
    return np.asarray(photo[:height, :width])


def _denoised(luma: Floats, style: str, strength: float) -> Floats:
    """Luma without what is weaker than `strength`, a deviation in codes.

    guided: see `_guided`, the plane guiding itself. bilateral: Tomasi & Manduchi, ICCV 1998.
    wavelet: two levels of Starck & Murtagh's à-trous transform, details shrunk softly (Donoho,
    "De-noising by soft-thresholding", IEEE TIT 1995).
    """
    if style not in STYLES:
        raise BadInput(f"denoise: {style} is not known; known: {', '.join(STYLES)}")
    if style == "none" or not strength:
        return luma
    if style == "guided":
        return _guided(luma, [luma], strength)[0]
    if style == "bilateral":
        # In 8 bits: on floats OpenCV's weights depend on the darkest and the brightest pixel.
        codes = cv2.bilateralFilter(cv2.convertScaleAbs(luma), 5, 3.5 * strength, 1.5)
        return codes.astype(np.float32)
    fine, coarse = _blurred(luma, 0.8), _blurred(luma, 1.8)
    smooth = coarse.copy()
    for upper, lower, limit in ((luma, fine, 1.2 * strength), (fine, coarse, 0.5 * strength)):
        detail = cv2.subtract(upper, lower)
        smooth += detail
        smooth -= np.clip(detail, -limit, limit, out=detail)
    return smooth


def _guided(guide: Floats, planes: list[Floats], strength: float) -> list[Floats]:
    """Smooth planes where their guide varies by less than `strength`.

    The guided filter (He, Sun & Tang, ECCV 2010), its coefficients found at half resolution (He &
    Sun, "Fast guided filter", arXiv 1505.00996).
    """
    small = _half(guide)
    average = _mean(small)
    spread = _mean(small * small) - average * average + np.float32(strength**2)
    smooth = []
    for plane in planes:
        little = _half(plane)
        level = _mean(little)
        slope = (_mean(small * little) - average * level) / spread
        offset = _double(_mean(level - slope * average), guide.shape)
        offset += guide * _double(_mean(slope), guide.shape)
        smooth.append(offset)
    return smooth


def _mean(plane: NDArray[Any]) -> Floats:
    # A Gaussian: the running sums of a box would carry a change in one place to far away.
    return np.asarray(cv2.GaussianBlur(plane, (5, 5), 1.0))


def _half(plane: NDArray[Any]) -> NDArray[Any]:
    half = plane.shape[1] // 2, plane.shape[0] // 2
    return np.asarray(cv2.resize(plane, half, interpolation=cv2.INTER_AREA))


def _double(plane: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    return np.asarray(cv2.resize(plane, shape[1::-1], interpolation=cv2.INTER_LINEAR))


def _blurred(plane: Floats, sigma: float) -> Floats:
    size = 5 if sigma <= 1 else 7
    return np.asarray(cv2.GaussianBlur(plane, (size, size), sigma))

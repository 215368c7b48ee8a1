"""The image sensor: colour mosaic, noise, the fixed pattern of one body, and demosaicing."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from damagenet import BadInput

Floats = NDArray[np.float32]

LEVELS = 4095
"""Steps of the 12-bit converter between no light and saturation."""
BLACK = 256
"""Steps below black that the converter can still report: noise in the dark has two sides."""
TILE = 512
"""Side, in pixels, of the squares in which a sensor's fixed pattern is generated."""

# Normal deviates by inversion of random bits: eight times as fast as the ziggurat method, and the
# same bits on every machine. The largest of 16 bits is 4.3 standard deviations, of 8 bits 2.9.
_NORMAL = ndtri((np.arange(65536) + 0.5) / 65536).astype(np.float32)
_COARSE = ndtri((np.arange(256) + 0.5) / 256).astype(np.float32)

# Malvar, He & Cutler, "High-quality linear interpolation for demosaicing of Bayer-patterned color
# images", ICASSP 2004, figure 2; all kernels are divided by 8.
_GREEN = np.array(
    [[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0], [0, 0, -1, 0, 0]]
)
_ROW = np.array(
    [[0, 0, 0.5, 0, 0], [0, -1, 0, -1, 0], [-1, 4, 5, 4, -1], [0, -1, 0, -1, 0], [0, 0, 0.5, 0, 0]]
)
_DIAGONAL = np.array(
    [[0, 0, -1.5, 0, 0], [0, 2, 0, 2, 0], [-1.5, 0, 6, 0, -1.5], [0, 2, 0, 2, 0],
     [0, 0, -1.5, 0, 0]]
)  # fmt: skip
_MALVAR = tuple((kernel / 8).astype(np.float32) for kernel in (_GREEN, _ROW, _ROW.T, _DIAGONAL))
_CROSS = (np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]]) / 4).astype(np.float32)
_SQUARE = (np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 4).astype(np.float32)
_SLOPE = np.array([[-1, 0, 1]], np.float32)
_BEND = np.array([[-1, 0, 2, 0, -1]], np.float32)
_ALONG = np.array([[-0.25, 0.5, 0.5, 0.5, -0.25]], np.float32)
_OPENCV = {  # by phase; OpenCV names a mosaic after its second row, from the second column on
    (0, 0): cv2.COLOR_BayerBG2RGB_EA, (0, 1): cv2.COLOR_BayerGB2RGB_EA,
    (1, 0): cv2.COLOR_BayerGR2RGB_EA, (1, 1): cv2.COLOR_BayerRG2RGB_EA,
}  # fmt: skip


def mosaic(light: Floats, phase: list[int]) -> Floats:
    """Keep one colour per pixel (Bayer, US patent 3,971,065): `[h, w, 3]` to `[h, w]`.

    `phase` is the row and column, 0 or 1, of the first red pixel.
    """
    raw = light[..., 1].copy()
    row, column = phase
    raw[row::2, column::2] = light[row::2, column::2, 0]
    raw[1 - row :: 2, 1 - column :: 2] = light[1 - row :: 2, 1 - column :: 2, 2]
    return raw


def balance(raw: Floats, phase: list[int], red: float, blue: float) -> Floats:
    """White balance: multiply the red and the blue pixels of a mosaic, in place."""
    row, column = phase
    raw[row::2, column::2] *= np.float32(red)
    raw[1 - row :: 2, 1 - column :: 2] *= np.float32(blue)
    return raw


def look_up(codes: NDArray[np.uint16], table: NDArray[Any]) -> NDArray[Any]:
    """`table[codes]` for a table of 65536 values."""
    if int(cv2.__version__.split(".")[0]) >= 5:  # seven times as fast, the same values
        return np.asarray(cv2.LUT(codes, table))
    return table.take(codes)


@lru_cache(maxsize=2)
def noise(shape: tuple[int, int], *seed: int) -> Floats:
    """Standard normal deviates `[h, w]`, the same for the same seed; cached, hence read-only."""
    values = look_up(_bits(shape, np.uint16, seed), _NORMAL)
    values.flags.writeable = False  # twins see the same noise
    return values


def _bits(shape: tuple[int, int], kind: type, seed: tuple[int, ...]) -> NDArray[Any]:
    """Random unsigned numbers `[h, w]` of any kind; a taller field continues a lower one."""
    count = shape[0] * shape[1]
    words = -(-count * np.dtype(kind).itemsize // 8)
    raw = np.random.PCG64(np.random.SeedSequence(seed)).random_raw(words)
    return raw.astype("<u8", copy=False).view(kind)[:count].reshape(shape)


def fixed_pattern(camera: dict[str, Any], shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """What differs from pixel to pixel of one body: gain, about 1, and dark signal, about 0.

    Two fields `[h, w]` with deviations `prnu` and `dark`; a larger picture of the same body
    continues a smaller one. Lukáš, Fridrich & Goljan, "Digital camera identification from sensor
    pattern noise", IEEE TIFS 2006, call them photo-response and dark-current non-uniformity.
    """
    height, width = shape
    gain, dark = np.empty(shape, np.float32), np.empty(shape, np.float32)
    for top, left in np.ndindex(-(-height // TILE), -(-width // TILE)):
        place = np.s_[top * TILE : (top + 1) * TILE, left * TILE : (left + 1) * TILE]
        rows, columns = gain[place].shape
        # Differences within a body are small: 256 levels of them do.
        codes = _bits((rows, 2 * TILE), np.uint8, (camera["id"], top, left))
        gain[place] = cv2.LUT(codes[:, :columns], 1 + np.float32(camera["prnu"]) * _COARSE)
        dark[place] = cv2.LUT(codes[:, TILE : TILE + columns], np.float32(camera["dark"]) * _COARSE)
    return gain, dark


@lru_cache(maxsize=2)
def _pattern(body: int, prnu: float, dark: float, shape: tuple[int, int]) -> tuple[Floats, Floats]:
    return fixed_pattern({"id": body, "prnu": prnu, "dark": dark}, shape)


def sense(
    raw: Floats,
    camera: dict[str, Any],
    window: tuple[slice, slice] = (slice(None), slice(None)),
    shape: tuple[int, int] | None = None,
) -> Floats:
    """What the sensor reports of the light on its pixels; float32 `[h, w]`, 1 = saturation.

    The fixed pattern scales and offsets the light; Poisson shot noise is a normal deviate with
    variance linear in the signal, read noise one of constant variance (Healey & Kondepudy,
    "Radiometric CCD camera calibration and noise estimation", IEEE TPAMI 1994); a 12-bit converter
    rounds.

    Args:
        raw: Light on the pixels of `window`, 1 = saturation.
        camera: Its `id`, `prnu`, `dark`, `shot`, `read` and `seed`.
        window: The part of the sensor that `raw` shows.
        shape: Height and width of the sensor; by default those of `raw`.
    """
    size = shape or (raw.shape[0], raw.shape[1])
    gain, dark = _pattern(camera["id"], camera["prnu"], camera["dark"], size)
    signal = raw * gain[window]
    signal += dark[window]
    deviation = np.maximum(signal, 0)
    deviation *= np.float32(camera["shot"])
    deviation += np.float32(camera["read"])
    np.sqrt(deviation, out=deviation)
    deviation *= noise(size, camera["seed"])[window]
    signal += deviation
    signal *= np.float32(LEVELS)
    np.clip(np.rint(signal, out=signal), -BLACK, LEVELS, out=signal)
    signal *= np.float32(1 / LEVELS)
    return signal


def demosaic(raw: Floats, phase: list[int], method: str) -> Floats:
    """Interpolate the two missing colours of every pixel; float32 `[h, w]` to `[h, w, 3]`.

    Args:
        raw: A white-balanced mosaic, about [0, 1]: edges are sought across colours.
        phase: Row and column of the first red pixel.
        method: One of `DEMOSAICS`.

    Raises:
        BadInput: No such method.
    """
    if method not in DEMOSAICS:
        raise BadInput(f"demosaic: {method} is not known; known: {', '.join(DEMOSAICS)}")
    return DEMOSAICS[method](raw, (phase[0], phase[1]))


def _bilinear(raw: Floats, phase: tuple[int, int]) -> Floats:
    """Mean of the nearest pixels of each colour."""
    red, blue, green, _ = _sites(raw.shape, phase)
    kernels = ((red, _SQUARE), (green, _CROSS), (blue, _SQUARE))
    return np.asarray(cv2.merge([_filter(cv2.copyTo(raw, site), k) for site, k in kernels]))


def _malvar(raw: Floats, phase: tuple[int, int]) -> Floats:
    """Bilinear, corrected by the Laplacian of the colour at hand (Malvar, He & Cutler 2004)."""
    red, blue, green, red_rows = _sites(raw.shape, phase)
    middle, across, down, diagonal = (_filter(raw, kernel) for kernel in _MALVAR)
    planes = []
    for own, other, row, column in ((red, blue, across, down), (blue, red, down, across)):
        plane = column  # at green pixels; the rows of red turn the directions round
        plane = cv2.copyTo(row, red_rows, plane.copy())
        planes.append(cv2.copyTo(raw, own, cv2.copyTo(diagonal, other, plane)))
    return np.asarray(cv2.merge([planes[0], cv2.copyTo(raw, green, middle), planes[1]]))


def _hamilton(raw: Floats, phase: tuple[int, int]) -> Floats:
    """Green along the edge, then red and blue by their difference from green.

    Hamilton & Adams, "Adaptive color plan interpolation in single sensor color electronic camera",
    US patent 5,629,734 (1997): the direction with the smaller slope of green plus bend of the
    colour at hand wins, and that bend corrects the mean of its two green neighbours.
    """
    red, blue, sites, _ = _sites(raw.shape, phase)
    rough = []
    for slope, bend in ((_SLOPE, _BEND), (_SLOPE.T, _BEND.T)):
        first, second = _filter(raw, slope), _filter(raw, bend)
        np.abs(first, out=first)
        rough.append(np.add(first, np.abs(second, out=second), out=first))
    upright = cv2.compare(rough[1], rough[0], cv2.CMP_LT)
    green = cv2.copyTo(_filter(raw, _ALONG.T), upright, _filter(raw, _ALONG))
    green = cv2.copyTo(raw, sites, green)
    difference = cv2.subtract(raw, green)
    planes = [
        cv2.add(green, _filter(cv2.copyTo(difference, site), _SQUARE)) for site in (red, blue)
    ]
    return np.asarray(cv2.merge([planes[0], green, planes[1]]))


def _opencv(raw: Floats, phase: tuple[int, int]) -> Floats:
    """OpenCV's edge-aware method on 16 bits: green along the smaller slope, without correction."""
    scale, offset = 40000.0, 4096.0  # room for highlights and for noise below black
    codes = cv2.addWeighted(raw, scale, raw, 0, offset, dtype=cv2.CV_16U)
    codes = cv2.copyMakeBorder(codes, 2, 2, 2, 2, cv2.BORDER_REFLECT_101)  # keeps the phase
    colours = cv2.cvtColor(codes, _OPENCV[phase])[2:-2, 2:-2]
    return (colours.astype(np.float32) - np.float32(offset)) * np.float32(1 / scale)


DEMOSAICS = {"bilinear": _bilinear, "malvar": _malvar, "hamilton": _hamilton, "edge": _opencv}
"""Demosaicing methods by name."""


@lru_cache(maxsize=16)
def _sites(shape: tuple[int, int], phase: tuple[int, int]) -> tuple[NDArray[np.uint8], ...]:
    """Masks `[h, w]`, 0 or 255, of the red, blue and green pixels, and of the rows with red."""
    row, column = phase
    red, blue, rows = (np.zeros(shape, np.uint8) for _ in range(3))
    red[row::2, column::2] = 255
    blue[1 - row :: 2, 1 - column :: 2] = 255
    rows[row::2] = 255
    return red, blue, 255 - (red | blue), rows


def _filter(plane: Floats, kernel: Floats) -> Floats:
    # Mirroring without repeating the edge keeps the colour phase of the mosaic.
    return np.asarray(cv2.filter2D(plane, -1, kernel, borderType=cv2.BORDER_REFLECT_101))

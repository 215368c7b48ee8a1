"""The camera: a finished photo back to scene light, and scene light to a photo again.

Damage composited between the two is *genuine* for everything downstream: it passed the lens, the
mosaic, the noise and the camera's own JPEG. The model is deliberately simple (global white balance
and tone, one noise law); what matters is that both twins pass through the very same draw.
"""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from damagenet.images import Array
from damagenet.synth.foreground import srgb_curve, srgb_to_linear

Floats = NDArray[np.float32]
DEMOSAICS = ("bilinear", "malvar")

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


def plan(rng: np.random.Generator) -> dict[str, Any]:
    """Draw one camera and its settings as a small JSON-able dict."""
    return {
        "seed": int(rng.integers(1 << 31)),
        "phase": [int(rng.integers(2)), int(rng.integers(2))],
        "red": round(float(rng.uniform(1.5, 2.4)), 3),
        "blue": round(float(rng.uniform(1.4, 2.1)), 3),
        "blur": round(float(rng.uniform(0.3, 0.8)), 3),
        "shot": float(f"{10 ** rng.uniform(-4.0, -2.9):.3g}"),
        "read": float(f"{10 ** rng.uniform(-6.5, -5.0):.3g}"),
        "demosaic": str(rng.choice(DEMOSAICS)),
        "denoise": round(float(rng.choice([0.0, 0.0, rng.uniform(0.3, 0.8)])), 3),
        "sharpen": round(float(rng.uniform(0.0, 0.7)), 3),
        "quality": int(rng.integers(88, 98)),
    }


def unprocess(image: Array) -> Floats:
    """Photo to scene light, float32 `[h, w, 3]` in [0, 1].

    Inverse global tone curve (smoothstep 3x² - 2x³), then inverse sRGB gamma, after Brooks et al.,
    "Unprocessing Images for Learned Raw Denoising", CVPR 2019, section 3.3.
    """
    toned = image.astype(np.float32) / 255
    gamma = 0.5 - np.sin(np.arcsin(np.clip(1 - 2 * toned, -1, 1)) / 3)
    return np.asarray(srgb_to_linear(gamma.astype(np.float32)), np.float32)


def process(scene: Floats) -> Floats:
    """Scene light to a photo in [0, 1]: sRGB gamma, then the tone curve; inverse of `unprocess`."""
    gamma = srgb_curve(scene)
    return np.asarray(3 * gamma**2 - 2 * gamma**3, np.float32)


def expose(scene: Floats, camera: dict[str, Any]) -> Array:
    """Photograph scene light: optics, mosaic, noise, demosaic, tone, sharpening, in-camera JPEG.

    Args:
        scene: float32 `[h, w, 3]` in [0, 1], as `unprocess` gives.
        camera: As `plan` gives; equal inputs give equal bytes.

    Returns:
        uint8 `[h, w, 3]`, decoded from the camera's own JPEG.
    """
    gains = np.array([camera["red"], 1.0, camera["blue"]], np.float32)
    light = cv2.GaussianBlur(scene, (0, 0), camera["blur"], borderType=cv2.BORDER_REFLECT_101)
    raw = sense(mosaic(light / gains, camera["phase"]), camera)
    light = demosaic(raw, camera["phase"], camera["demosaic"]) * gains
    photo = process(light)
    if camera["denoise"]:
        photo = cv2.GaussianBlur(photo, (0, 0), camera["denoise"])
    soft = cv2.GaussianBlur(photo, (0, 0), 1.0)
    photo = photo + camera["sharpen"] * (photo - soft)
    pixels = np.rint(np.clip(photo, 0, 1) * 255).astype(np.uint8)
    return jpeg(pixels, camera["quality"], 2)[0]


def sense(raw: Floats, camera: dict[str, Any]) -> Floats:
    """What the sensor reports of the light on its pixels: noise, then a 12-bit converter.

    Poisson shot noise as a normal with variance linear in the signal, plus Gaussian read noise:
    Healey & Kondepudy 1994; the ranges follow Brooks et al. 2019, figure 4.
    """
    rng = np.random.default_rng(camera["seed"])
    deviation = np.sqrt(camera["shot"] * np.clip(raw, 0, 1) + camera["read"])
    raw = raw + deviation * rng.standard_normal(raw.shape, np.float32)
    return np.asarray(np.rint(np.clip(raw, 0, 1) * 4095) / 4095, np.float32)


def mosaic(light: Floats, phase: list[int]) -> Floats:
    """Keep one colour per pixel (Bayer); `phase` is the row and column of the first red pixel."""
    raw = light[..., 1].copy()
    row, column = phase
    raw[row::2, column::2] = light[row::2, column::2, 0]
    raw[1 - row :: 2, 1 - column :: 2] = light[1 - row :: 2, 1 - column :: 2, 2]
    return raw


def demosaic(raw: Floats, phase: list[int], method: str) -> Floats:
    """Interpolate the two missing colours of every pixel; float32 `[h, w]` to `[h, w, 3]`."""
    row, column = phase
    red = np.zeros(raw.shape, bool)
    red[row::2, column::2] = True
    blue = np.zeros(raw.shape, bool)
    blue[1 - row :: 2, 1 - column :: 2] = True
    if method == "bilinear":
        sites = ((red, _SQUARE), (~(red | blue), _CROSS), (blue, _SQUARE))
        planes = [_filter(np.where(site, raw, np.float32(0)), k) for site, k in sites]
        return np.stack(planes, axis=-1)
    green, across, down, diagonal = (_filter(raw, kernel) for kernel in _MALVAR)
    red_rows = np.zeros(raw.shape, bool)
    red_rows[row::2] = True
    in_row = np.where(red_rows, across, down)  # red at green pixels; blue is the other way round
    in_column = np.where(red_rows, down, across)
    return np.stack(
        [
            np.where(red, raw, np.where(blue, diagonal, in_row)),
            np.where(red | blue, green, raw),
            np.where(blue, raw, np.where(red, diagonal, in_column)),
        ],
        axis=-1,
    )


def _filter(plane: NDArray[np.floating[Any]], kernel: Floats) -> Floats:
    # Mirroring without repeating the edge keeps the colour phase of the mosaic.
    return np.asarray(cv2.filter2D(plane, -1, kernel, borderType=cv2.BORDER_REFLECT_101))


def jpeg(pixels: Array, quality: int, subsampling: int) -> tuple[Array, bytes]:
    """Compress once: the decoded pixels and the file.

    Args:
        pixels: uint8 `[h, w, 3]`.
        quality: 1-100, on libjpeg's scale.
        subsampling: 0 = 4:4:4, 1 = 4:2:2, 2 = 4:2:0.
    """
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return np.array(Image.open(buffer).convert("RGB")), buffer.getvalue()

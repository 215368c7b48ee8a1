"""The camera: a finished photo back to scene light, and scene light to a photo again.

    scene light -> optics -> mosaic -> sensor -> white balance -> demosaic -> colour matrix
                -> tone -> denoise -> sharpen -> the camera's own JPEG

Damage composited into the scene light is *genuine* for everything downstream: it went all that
way. The scene is already colour-corrected, so the inverse of white balance and colour matrix
stands before the mosaic; they matter all the same, for noise and interpolation happen between.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from damagenet import BadInput
from damagenet.images import Array
from damagenet.synth import encoders, sensor
from damagenet.synth.finishing import STYLES, finish
from damagenet.synth.foreground import srgb_curve
from damagenet.synth.sensor import Floats

Window = tuple[slice, slice]

BODIES = 400
"""Cameras in the pool; an `id` below this fixes everything that belongs to the body."""
NEUTRAL = {"contrast": 0.8, "gamma": 1.0}
"""The look of a photo whose camera is not known."""

_DEMOSAICS = {"bilinear": 0.1, "malvar": 0.25, "hamilton": 0.5, "edge": 0.15}
_TABLES = {  # what cameras write; the other families belong to editors and web sites
    "ijg": 0.5, "phone_even": 0.14, "phone_fine": 0.14, "phone_coarse": 0.1, "peterson": 0.06,
    "klein": 0.06,
}  # fmt: skip


def plan(rng: np.random.Generator) -> dict[str, Any]:
    """Draw a camera and the settings of one shot as a small JSON-able dict.

    Noise at ISO 100 and its growth follow the heteroscedastic model of Foi et al., "Practical
    Poissonian-Gaussian noise modeling and fitting for single-image raw-data", IEEE TIP 2008: shot
    variance grows with the gain, read noise has a part before the gain and one after it.
    """
    camera = body(int(rng.integers(BODIES)))
    iso = int(round(50 * 2 ** (5.3 * rng.beta(1.6, 2.4)), -1))
    gain = iso / 100
    before, after = camera.pop("electrons"), camera.pop("converter")
    shot = camera.pop("full_well") * gain
    read = (before * gain) ** 2 + after**2
    warmth = rng.uniform()  # daylight needs more red gain, lamp light more blue
    grain = 400 * (0.2 * shot + read) ** 0.5  # deviation of mid grey in 8-bit codes
    denoise, sharpen, jpeg_ = camera["denoise"], camera["sharpen"], camera["jpeg"]
    if denoise["style"] == "none" and iso > 300:
        denoise["style"] = "guided"  # no phone leaves that much noise
    denoise["luma"] = round(denoise["luma"] * grain, 2)
    chroma = round(denoise["chroma"] * grain, 2)
    denoise["chroma"] = min(chroma, 15.0) if chroma > 5 else 0.0  # none in good light
    sharpen["amount"] = round(sharpen["amount"] * max(0.4, 1 - 0.13 * math.log2(max(gain, 1))), 3)
    jpeg_["quality"] = int(np.clip(jpeg_["quality"] + rng.integers(-2, 3), 86, 98))
    return camera | {
        "seed": int(rng.integers(1 << 31)),
        "iso": iso,
        "shot": float(f"{shot:.3g}"),
        "read": float(f"{read:.3g}"),
        "red": round(float(1.5 + 0.8 * warmth + rng.uniform(0, 0.15)), 3),
        "blue": round(float(2.1 - 0.7 * warmth + rng.uniform(0, 0.15)), 3),
        "blur": round(float(camera["blur"] + rng.uniform(0, 0.25)), 3),
    }


def body(number: int) -> dict[str, Any]:
    """What belongs to a camera of the pool, whatever it photographs."""
    rng = np.random.default_rng([20, number])
    style = str(rng.choice(STYLES, p=[0.2, 0.35, 0.15, 0.3]))
    method = str(rng.choice(list(_DEMOSAICS), p=list(_DEMOSAICS.values())))
    # A softer lens and less sharpening spare the simpler methods their zippers.
    zipper = {"bilinear": 0.4, "edge": 0.4, "malvar": 0.2, "hamilton": 0.0}[method]
    # Rows sum to 1: grey stays grey. Spectra of phone sensors overlap most in red and green.
    cross = [-rng.uniform(low, high) for low, high in (
        (0.2, 0.5), (0.02, 0.15), (0.1, 0.3), (0.1, 0.35), (0.0, 0.1), (0.2, 0.5))]  # fmt: skip
    rg, rb, gr, gb, br, bg = (round(float(value), 3) for value in cross)
    matrix = [
        [round(1 - rg - rb, 3), rg, rb], [gr, round(1 - gr - gb, 3), gb],
        [br, bg, round(1 - br - bg, 3)],
    ]  # fmt: skip
    return {
        "id": number,
        "phase": [int(rng.integers(2)), int(rng.integers(2))],
        "prnu": round(float(rng.uniform(0.004, 0.01)), 5),
        "dark": round(float(rng.uniform(1e-4, 4e-4)), 6),
        "full_well": 10 ** rng.uniform(-4.25, -3.85),
        "electrons": rng.uniform(1.5e-4, 4e-4),
        "converter": rng.uniform(1.5e-4, 4e-4),
        "blur": float(rng.uniform(0.4, 0.6) + 0.4 * zipper),
        "demosaic": method,
        "matrix": matrix,
        "look": {
            "contrast": round(float(rng.uniform(0.65, 0.95)), 2),
            "gamma": round(float(rng.uniform(0.96, 1.04)), 2),
        },
        "denoise": {
            "style": style,
            "luma": float(rng.uniform(0.5, 1.5)),
            "chroma": float(rng.uniform(1.0, 4.0)),
        },
        "sharpen": {
            "amount": float(rng.uniform(0.2, 1.1)) * (1 - zipper),
            "radius": round(float(rng.uniform(0.7, 1.3)), 2),
            "limit": round(float(rng.uniform(8, 20)), 1),
        },
        "jpeg": {
            "tables": str(rng.choice(list(_TABLES), p=list(_TABLES.values()))),
            "quality": int(rng.integers(89, 97)),
            "subsampling": int(rng.choice([2, 1, 0], p=[0.7, 0.2, 0.1])),
        },
    }  # fmt: skip


def unprocess(image: Array, look: dict[str, float] | None = None) -> Floats:
    """Photo to scene light, float32 of the same shape in [0, 1]; inverse of `process`.

    The idea is that of Brooks et al., "Unprocessing Images for Learned Raw Denoising", CVPR 2019.

    Args:
        image: uint8 `[h, w, 3]`.
        look: `camera["look"]` of the camera that took the photo; None = `NEUTRAL`.
    """
    _, _, back = _curves(**(look or NEUTRAL))
    return np.asarray(cv2.LUT(np.ascontiguousarray(image), back), np.float32)


def process(scene: Floats, look: dict[str, float] | None = None) -> Floats:
    """Scene light to a photo in [0, 1]: sRGB, then the look of a camera.

    The look is a power of the sRGB value x and after it a share of the smoothstep 3x² - 2x³, the
    tone curve of Brooks et al. 2019, section 3.3.

    Args:
        scene: float32 of any shape, clipped to [0, 1].
        look: `contrast`, that share in [0, 1], and `gamma`, the power; None = `NEUTRAL`.
    """
    forth, _, _ = _curves(**(look or NEUTRAL))
    levels = cv2.multiply(np.ascontiguousarray(scene), 65535.0, dtype=cv2.CV_16U)
    return sensor.look_up(levels, forth)


@lru_cache(maxsize=64)
def _curves(contrast: float, gamma: float) -> tuple[Floats, Array, Floats]:
    """The tone curve at 65536 levels of light, in floats and in codes; the light of 256 codes."""
    if not (0 <= contrast <= 1 and gamma > 0):
        raise BadInput(f"look: contrast {contrast} must lie in 0-1, gamma {gamma} above 0")
    light, logarithm = _srgb()
    value = np.exp(gamma * logarithm)  # a power, in a third of its time
    toned = (1 - contrast) * value + contrast * (3 - 2 * value) * value**2
    back = np.interp(np.arange(256) / 255, toned, light)
    codes = np.rint(toned * 255).astype(np.uint8)
    return toned.astype(np.float32), codes, back.astype(np.float32)


@cache
def _srgb() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """65536 levels of light, and the logarithm of their sRGB value."""
    light = np.linspace(0, 1, 65536)
    with np.errstate(divide="ignore"):
        return light, np.log(srgb_curve(light.astype(np.float32)).astype(np.float64))


def expose(scene: Floats, camera: dict[str, Any]) -> Array:
    """Photograph scene light.

    Args:
        scene: float32 `[h, w, 3]` in [0, 1], as `unprocess` gives.
        camera: As `plan` gives; equal inputs give equal bytes.

    Returns:
        uint8 `[h, w, 3]`, decoded from the camera's own JPEG.
    """
    return stored(taken(scene, camera), camera)


def stored(photo: Array, camera: dict[str, Any]) -> Array:
    """A photo from `taken` or `retaken` as the camera's own JPEG keeps it."""
    return encoders.jpeg(photo, **camera["jpeg"])[0]


def taken(scene: Floats, camera: dict[str, Any], window: Window | None = None) -> Array:
    """`expose` before the JPEG, of a window of the scene or of all of it."""
    _, tone, _ = _curves(**camera["look"])
    return finish(sensor.look_up(develop(scene, camera, window), tone), camera)


def retaken(photo: Array, scene: Floats, camera: dict[str, Any], window: Window) -> Array:
    """`taken` of a scene that differs from that of `photo` in a window only, in less time.

    Equal to it but for single codes, where OpenCV rounds the ends of rows otherwise.

    Args:
        photo: uint8 `[h, w, 3]`, what `taken` gave for the scene before.
        scene: float32 `[h, w, 3]`, the scene now.
        camera: That of `photo`.
        window: Rows and columns in which the scenes differ.
    """
    # How far optics, demosaicing and filters carry a change; noise reduction of colours, four
    # pixels at a time, farthest.
    denoise = camera["denoise"]
    reach = 32 if denoise["chroma"] else 24 if denoise["style"] == "guided" else 16
    changed = _grown(window, reach, photo.shape)
    seen = _grown(changed, reach, photo.shape)
    fresh = taken(scene, camera, seen)
    inner = tuple(
        slice(part.start - whole.start, part.stop - whole.start)
        for part, whole in zip(changed, seen, strict=True)
    )
    photo = photo.copy()
    photo[changed] = fresh[inner]
    return photo


def _grown(window: Window, reach: int, shape: tuple[int, ...]) -> Window:
    """A window with more around it, from a multiple of four to another or to the edge."""
    rows, columns = (
        slice(max(0, side.start - reach) // 4 * 4, min(end, -(-(side.stop + reach) // 4) * 4))
        for side, end in zip(window, shape, strict=False)
    )
    return rows, columns


def develop(
    scene: Floats, camera: dict[str, Any], window: Window | None = None
) -> NDArray[np.uint16]:
    """Optics, sensor and demosaicing: the light that the camera recovers, 65535 = white.

    The lens is a Gaussian of `blur` pixels; colours pass the inverse of the camera's matrix and of
    its white balance before the mosaic (Brooks et al. 2019, section 3), and both after it.
    """
    matrix = np.asarray(camera["matrix"], np.float64)
    gains = np.array([camera["red"], 1.0, camera["blue"]])
    colours = (np.linalg.inv(matrix) / gains[:, None]).astype(np.float32)
    window = window or (slice(0, scene.shape[0]), slice(0, scene.shape[1]))
    size = (scene.shape[0], scene.shape[1])
    light = cv2.GaussianBlur(
        scene[window], (5, 5), camera["blur"], borderType=cv2.BORDER_REFLECT_101
    )
    # A window starts at an even row and column, so the phase stays.
    raw = sensor.mosaic(cv2.transform(light, colours), camera["phase"])
    raw = sensor.sense(raw, camera, window, size)
    raw = sensor.balance(raw, camera["phase"], camera["red"], camera["blue"])
    light = cv2.transform(
        sensor.demosaic(raw, camera["phase"], camera["demosaic"]), matrix.astype(np.float32)
    )
    return np.asarray(cv2.multiply(light, 65535.0, dtype=cv2.CV_16U))

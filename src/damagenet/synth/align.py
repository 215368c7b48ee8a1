"""Align a decoder's output with its original, so that they differ in the decoder's trace only.

After Chen et al., "Dual Data Alignment Makes AI-Generated Image Detector Easier Generalizable",
NeurIPS 2025: a reconstruction that is sharper, smoother, of another colour or never compressed
teaches a detector that, and not the decoder. Each means is drawn for a share of edits, since real
edits are not aligned either.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from damagenet.synth import encoders

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

RIM = 32
"""What is looked at around an edit (px): surroundings for grain, neighbours of JPEG blocks."""
NEAR = 25
"""Colour is compared over windows of this many pixels, run twice."""
LOUDEST = 6.0
"""Noise above this deviation (grey levels) is taken for texture."""
QUIET, FEWER = 0.2, 0.75
"""Noise shows in the quietest fifth of the windows, texture in others; of windows of nothing but
noise that fifth has three quarters of the variance or less."""


def plan_align(rng: np.random.Generator, camera: dict[str, Any] | None) -> dict[str, Any]:
    """Draw which means of alignment an edit gets, as JSON.

    Args:
        rng: The edit's generator.
        camera: The camera of the photo, whose `jpeg` are arguments of `encoders.jpeg`; None =
            unknown, then nothing is compressed again.

    Returns:
        `colour` (undo shifts of mean colour), `mix` (share of the original, 0 to 0.3), `cut`
        (DCT frequencies from this sum of indices on are the original's; 0 = none), `grain`
        (share of lacking noise put back), `seed` of the grain, and `jpeg` (or None).
    """
    share = rng.random(5)
    mix, cut, grain = rng.uniform(0.05, 0.3), int(rng.integers(4, 11)), rng.uniform(0.5, 1.0)
    jpeg = camera["jpeg"] if camera and share[4] < 0.5 else None
    return {
        "colour": bool(share[0] < 0.9),
        "mix": round(float(mix), 3) if share[1] < 0.25 else 0.0,
        "cut": cut if share[2] < 0.25 else 0,
        "grain": round(float(grain), 3) if share[3] < 0.4 else 0.0,
        "seed": int(rng.integers(1 << 31)),
        "jpeg": dict(jpeg) if jpeg else None,
    }


def aligned(new: Image, original: Image, region: Mask, align: dict[str, Any]) -> Image:
    """Take from a decoder's output what is not its trace.

    Args:
        new: uint8 `[h, w, 3]` from a decoder.
        original: What the decoder was given, of the same size.
        region: bool `[h, w]`, where `new` counts; elsewhere it is returned as it is.
        align: As `plan_align` gives; equal inputs give equal bytes.

    Returns:
        uint8 `[h, w, 3]`.
    """
    if not (new.shape == original.shape == (*region.shape, 3)):
        raise ValueError(f"shapes differ: {new.shape}, {original.shape}, {region.shape}")
    if not region.any():
        return new.copy()
    left, top, width, height = cv2.boundingRect(region.view(np.uint8))
    # On the grid of the frame: an in-camera JPEG has blocks of 16 pixels, with halved chroma.
    place = tuple(
        slice(max(0, start - RIM) // 16 * 16, min(size, (start + span + RIM + 15) // 16 * 16))
        for start, span, size in zip((top, left), (height, width), region.shape, strict=True)
    )
    inside, old = region[place], original[place].astype(np.float32)
    made = np.where(inside[..., None], new[place], original[place]).astype(np.float32)
    if align["colour"]:
        made += _shift(made, old, inside)
    if align["mix"]:
        made += np.float32(align["mix"]) * (old - made)
    if align["cut"]:
        made = old + low_frequencies(made - old, align["cut"])
    if align["grain"]:
        made += np.float32(align["grain"]) * lacking_grain(made, old, inside, align["seed"])
    pixels = np.rint(np.clip(made, 0, 255)).astype(np.uint8)
    if align["jpeg"]:
        pixels = np.where(inside[..., None], pixels, original[place])
        pixels = encoders.jpeg(pixels, **align["jpeg"])[0]
    result = new.copy()
    np.copyto(result[place], pixels, where=inside[..., None])
    return result


def _shift(made: Floats, old: Floats, inside: Mask) -> Floats:
    """The mean difference of colour around each pixel of a region, 0 elsewhere.

    A decoder tints white and leaves dark as it is; one mean for all would leave a visible patch.
    """
    shift, mass = old - made, inside.astype(np.float32)
    for _ in range(2):  # two boxes make a triangle
        shift = cv2.blur(shift, (NEAR, NEAR), borderType=cv2.BORDER_CONSTANT)
        mass = cv2.blur(mass, (NEAR, NEAR), borderType=cv2.BORDER_CONSTANT)
    mass = np.where(inside, np.float32(1) / np.maximum(mass, 1e-6), np.float32(0))
    return np.asarray(shift * mass[..., None], np.float32)


@cache
def _cosines() -> Floats:
    """The orthonormal 8-point DCT-II as a matrix."""
    index = np.arange(8)
    matrix = np.cos(np.pi * np.outer(index, 2 * index + 1) / 16) / 2
    matrix[0] /= np.sqrt(2)
    return matrix.astype(np.float32)


def low_frequencies(values: Floats, cut: int) -> Floats:
    """Only the DCT coefficients with a sum of indices below `cut`, in blocks of 8 x 8.

    Args:
        values: float32 `[h, w, channels]`, any size; incomplete blocks are padded with their edge.
        cut: 0 (nothing is left) to 15 (all is).
    """
    height, width, channels = values.shape
    fill = (0, -height % 8, 0, -width % 8)
    padded = cv2.copyMakeBorder(values, *fill, borderType=cv2.BORDER_REPLICATE)
    rows, columns = padded.shape[0] // 8, padded.shape[1] // 8
    blocks = padded.reshape(rows, 8, columns, 8, channels).transpose(0, 2, 4, 1, 3)
    matrix = _cosines()

    def along(x: Floats, m: Floats) -> Floats:  # not a BLAS product: its bits follow its threads
        flat = np.ascontiguousarray(x).reshape(-1, 1, 8)
        return np.asarray(cv2.transform(flat, m).reshape(x.shape))

    coefficients = along(along(blocks, matrix).swapaxes(-1, -2), matrix)
    index = np.arange(8)
    coefficients *= np.add.outer(index, index) < cut
    back = along(along(coefficients, matrix.T.copy()).swapaxes(-1, -2), matrix.T.copy())
    whole = back.transpose(0, 3, 1, 4, 2).reshape(padded.shape)
    return np.ascontiguousarray(whole[:height, :width])


def _residual(values: Floats) -> Floats:
    return values - cv2.GaussianBlur(values, (0, 0), 1.0, borderType=cv2.BORDER_REFLECT_101)


@cache
def _softness() -> tuple[tuple[float, float, float], ...]:
    """For noise blurred by a Gaussian of sigma: what its residual keeps of deviation, and lag 1.

    Rows of sigma, deviation of the residual per deviation of the white noise, and the residual's
    correlation between neighbouring pixels; from the impulse response.
    """
    rows = []
    for sigma in (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0):
        impulse = np.zeros((25, 25), np.float32)
        impulse[12, 12] = 1
        if sigma:
            impulse = cv2.GaussianBlur(impulse, (0, 0), sigma)
        kernel = _residual(impulse).astype(np.float64)
        power = (kernel**2).sum()
        rows.append(
            (sigma, float(power**0.5), float((kernel[:, 1:] * kernel[:, :-1]).sum() / power))
        )
    return tuple(rows)


def lacking_grain(made: Floats, old: Floats, inside: Mask, seed: int) -> Floats:
    """Noise that an edited region lacks against its surroundings, `[h, w, 3]`.

    The level is that of the quietest windows of the high-pass residual around the region (of the
    original where nothing is around it); what the region has of it already is subtracted.
    Sharpness and the correlation between colours are those of the original's residual; clipped
    black and white stay clean, as they do in a camera.
    """
    was, now = _residual(old), _residual(made)
    window = (7, 7)
    around = ~cv2.dilate(inside.view(np.uint8), np.ones((7, 7), np.uint8)).astype(bool)
    if np.count_nonzero(around) < 256:
        around = np.ones_like(inside)
    unclipped = np.minimum(old, 255 - old).min(axis=2) > 8
    if np.count_nonzero(around & unclipped) < 256:
        return np.zeros_like(old)
    around &= unclipped
    sample = cv2.blur(was * was, window)[::3, ::3][around[::3, ::3]]
    level = np.quantile(sample, QUIET, axis=0) / FEWER if len(sample) else np.zeros(3)
    level = np.minimum(level, LOUDEST**2).astype(np.float32)
    gap = np.sqrt(np.maximum(level - cv2.blur(now * now, window), 0))
    gap *= np.clip(np.minimum(old, 255 - old) / 16, 0, 1)

    still = np.clip(was, -3 * np.sqrt(level), 3 * np.sqrt(level)) * around[..., None]
    power = max(float((still * still).mean()), 1e-6)
    neighbours = float((still[:, 1:] * still[:, :-1]).mean()) / power
    sigma, kept, _ = min(_softness(), key=lambda row: abs(row[2] - neighbours))
    pairs = (still[..., 0] * still[..., 1] + still[..., 1] * still[..., 2]).mean() / 2
    common = float(np.clip(pairs / power, 0, 1))
    rng = np.random.default_rng(seed)
    noise = np.sqrt(1 - common) * rng.standard_normal(old.shape, np.float32)
    noise += np.sqrt(common) * rng.standard_normal((*old.shape[:2], 1), np.float32)
    if sigma:
        noise = cv2.GaussianBlur(noise, (0, 0), sigma)
    return np.asarray(noise * gap / kept, np.float32)

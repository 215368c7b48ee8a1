"""Imitated decoders: a new family for every training pair.

A decoder enlarges a latent map by strided layers, so what it does to a pixel depends on where the
pixel lies on a lattice of 2, 4 or 8 pixels, and fine grain is lost in the latent map. Both can be
had without a network: coring, then a filter that differs from phase to phase. Spectral peaks of
up-sampling layers: Zhang et al., "Detecting and Simulating Artifacts in GAN Fake Images", WIFS 2019.
"""

from __future__ import annotations

import cv2
import numpy as np

from damagenet.images import Array

STRIDES = (2, 2, 4, 4, 8)
TAPS = 5


def imitated(rng: np.random.Generator, picture: Array) -> Array:
    """A picture (uint8 `[h, w, 3]`) as some decoder might have drawn it again, about 30-40 dB."""
    x = picture.astype(np.float32)
    base = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.6, 1.6))
    detail = x - base
    cored = np.sign(detail) * np.maximum(np.abs(detail) - rng.uniform(0.5, 5.0), 0)
    x = base + cored * rng.uniform(0.8, 1.1)
    stride = int(rng.choice(STRIDES))
    roughness = float(np.exp(rng.uniform(np.log(0.02), np.log(0.12))))
    for axis in (0, 1):
        x = _phased(rng, x, stride, roughness, axis)
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)


def _phased(
    rng: np.random.Generator, x: np.ndarray, stride: int, roughness: float, axis: int
) -> np.ndarray:
    """Filter along an axis with another kernel for each place modulo the stride."""
    kernels = rng.normal(0, roughness, (stride, TAPS)).astype(np.float32)
    kernels -= kernels.mean(axis=1, keepdims=True)  # brightness stays
    kernels[:, TAPS // 2] += 1
    offset = int(rng.integers(stride))
    out = np.empty_like(x)
    for phase, kernel in enumerate(kernels):
        places = slice((phase + offset) % stride, None, stride)
        shape = (TAPS, 1) if axis == 0 else (1, TAPS)
        # The filter sees every pixel, and only this phase's are kept.
        filtered = cv2.filter2D(x, -1, kernel.reshape(shape), borderType=cv2.BORDER_REFLECT)
        if axis == 0:
            out[places] = filtered[places]
        else:
            out[:, places] = filtered[:, places]
    return out

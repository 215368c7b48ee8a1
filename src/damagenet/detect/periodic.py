"""The lattice: what a decoder adds to the same places of every cell of 8 x 8 pixels.

Generative decoders enlarge in steps of two, and each step leaves a fixed pattern that repeats every
2, 4 or 8 pixels. In one cell it drowns in the picture; in the mean over all cells of a photo it
stands out, as the picture averages away (Gallagher, "Detection of linear and cubic interpolation in
JPEG compressed images", CRV 2005, averages second differences to the same end). Strengths at all
frequencies of the cell, a linear layer, and a hinge: a missing lattice is no sign of authenticity.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

PERIOD = 8
"""Side of a cell, pixels; a multiple of what decoders repeat, and of JPEG's blocks."""
PLANES = 9
FOLDED = PLANES * PERIOD**2
LIMIT = 1.0
"""Residuals are clipped to this, grey levels: a mean that edges cannot move."""
FLOOR = 4e-4
"""Least variance of a plane, squared grey levels: a flat picture has no lattice."""


class Periodic(nn.Module):
    """Evidence of a lattice in whole pictures; its weights are fitted, not trained, see `fit`."""

    weight: Tensor
    bias: Tensor
    gain: Tensor
    colours: Tensor
    filters: Tensor
    waves: Tensor

    def __init__(self) -> None:
        """Without a say: all weights zero."""
        super().__init__()
        waves = frequencies()
        self.register_buffer("weight", torch.zeros(PLANES * waves.shape[2]))
        self.register_buffer("bias", torch.zeros(1))
        self.register_buffer("gain", torch.zeros(1))
        self.register_buffer("colours", torch.tensor(YCBCR), persistent=False)
        self.register_buffer("filters", differences(), persistent=False)
        self.register_buffer("waves", waves, persistent=False)

    def residuals(self, x: Tensor) -> Tensor:
        """Clipped second differences of brightness and colour, `[b, 9, h, w]` grey levels.

        Args:
            x: `[b, 3, h, w]` in [0, 255].
        """
        with torch.autocast(x.device.type, enabled=False):
            planes = (self.colours @ x.float().flatten(2)).view(x.shape)
            edge = F.pad(planes, (1, 1, 1, 1), mode="reflect")
            return F.conv2d(edge, self.filters, groups=3).clamp(-LIMIT, LIMIT)

    def strengths(self, means: Tensor, count: Tensor | float) -> Tensor:
        """Strengths `[b, 297]` by plane and frequency, about log 2 where there is no lattice.

        Args:
            means: Of residuals at each place of a cell and of their squares, see `folded`;
                `[b, 585]`.
            count: How many cells they are the mean of.
        """
        folded = means[:, :FOLDED].reshape(-1, PLANES, PERIOD**2)
        variance = means[:, FOLDED:, None] + FLOOR
        real, imaginary = folded @ self.waves[0], folded @ self.waves[1]
        # Under independent noise of that variance its expectation is one.
        power = (real * real + imaginary * imaginary) / variance * (count * PERIOD**2)
        return torch.log1p(power).flatten(1)

    def evidence(self, strengths: Tensor) -> Tensor:
        """What is added to the logit `[b]`: never below zero."""
        return self.gain * F.softplus(strengths @ self.weight + self.bias)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        """Evidence `[b]` of pictures `[b, 3, h, w]` in [0, 255], padded to sides that 8 divides.

        Height and width are those without the padding.
        """
        rows, columns = (max(1, side // PERIOD) for side in (height, width))
        residuals = self.residuals(x)[:, :, : rows * PERIOD, : columns * PERIOD]
        count = rows * columns
        return self.evidence(self.strengths(folded(residuals) / count, count))


def folded(residuals: Tensor) -> Tensor:
    """Residuals `[b, 9, h, w]` added up over all cells, and their mean squares, `[b, 585]`.

    Sides are multiples of 8.
    """
    batch, _, height, width = residuals.shape
    rows = residuals.reshape(batch, PLANES, height // PERIOD, PERIOD, width).sum(2)
    cells = rows.reshape(batch, PLANES, PERIOD, width // PERIOD, PERIOD).sum(3)
    squares = (residuals * residuals).sum((2, 3)) / PERIOD**2
    return torch.cat([cells.flatten(1), squares], dim=1)


YCBCR = ((0.299, 0.587, 0.114), (-0.1687, -0.3313, 0.5), (0.5, -0.4187, -0.0813))
"""As JPEG has them (ITU-T T.871), without the offset: files keep brightness finer than colour."""


def differences() -> Tensor:
    """Second differences in a square, along a row and along a column, float32 `[9, 1, 3, 3]`."""
    square = np.array([[-1, 2, -1], [2, -4, 2], [-1, 2, -1]]) / 4
    row = np.array([[0, 0, 0], [1, -2, 1], [0, 0, 0]]) / 2
    bank = np.stack([square, row, row.T])
    return torch.from_numpy(np.tile(bank, (3, 1, 1))[:, None].astype(np.float32))


def frequencies() -> Tensor:
    """Cosines and sines of a cell's 33 frequencies, float32 `[2, 64, 33]`; none is constant.

    Only their strength is used, so it does not matter where a picture was cut.
    """
    half = PERIOD // 2
    pairs = [(u, v) for u in range(PERIOD) for v in range(half + 1)]
    kept = np.array([(u, v) for u, v in pairs if u + v and not (v in (0, half) and u > half)])
    y, x = np.mgrid[:PERIOD, :PERIOD].reshape(2, -1, 1)
    phase = 2 * np.pi / PERIOD * (y * kept[:, 0] + x * kept[:, 1])
    waves = np.stack([np.cos(phase), np.sin(phase)]) / PERIOD**2
    return torch.from_numpy(waves.astype(np.float32))

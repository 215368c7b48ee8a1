"""The lattice: what a decoder adds to the same places of every cell of 8 x 8 pixels.

Generative decoders enlarge in steps of two, and each step leaves a fixed pattern that repeats every
2, 4 or 8 pixels. In one cell it drowns in the picture; in the mean over all cells of a photo it
stands out, as the picture averages away (Gallagher, "Detection of linear and cubic interpolation in
JPEG compressed images", CRV 2005, averages second differences to the same end). Strengths at all
frequencies of the cell, a linear layer, and a hinge: a missing lattice is no sign of authenticity.

An edit that was pasted back leaves its lattice in a part of the picture only, so windows are looked
at beside the whole, and say where.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

PERIOD = 8
"""Side of a cell, pixels; a multiple of what decoders repeat, and of JPEG's blocks."""
BLOCK = 64
"""Side of what windows are made of, pixels; a multiple of the cell's."""
REACH = 3
"""Side of a window, blocks."""
FILLED = 1 / 3
"""Share of a window that must lie within the picture."""
SHARPNESS = 2.0
"""Exponent of the mean over windows, as in `model.power_mean`."""
TINY = 1e-6
NONE = -1e9
"""The value of a window that does not count."""
PLANES = 9
FOLDED = PLANES * PERIOD**2
LIMIT = 1.0
"""Residuals are clipped to this, grey levels: a mean that edges cannot move."""
FULL = 4096
"""Cells of a photo of 512 x 512 pixels, on which the linear layer is fitted; see `strengths`."""
FLOOR = 4e-4
"""Least variance of a plane, squared grey levels: a flat picture has no lattice."""


class Periodic(nn.Module):
    """Evidence of a lattice in whole pictures; its weights are fitted, not trained, see `fit`."""

    weight: Tensor
    bias: Tensor
    gain: Tensor
    near: Tensor
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
        self.register_buffer("near", torch.zeros(1))  # where the hinge of windows bends
        self.register_buffer("colours", torch.tensor(YCBCR), persistent=False)
        self.register_buffer("filters", differences(), persistent=False)
        self.register_buffer("waves", waves, persistent=False)

    def forward(self, x: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Evidence in pictures `[b, 3, h, w]` in [0, 255], padded to sides that 8 divides.

        Height and width are those without the padding.

        Returns:
            What is added to the logit `[b]`, and to those of the blocks, `[b, 1, h / 64, w / 64]`
            rounded up. Never below zero.
        """
        whole, windows = self.values(x, height, width)
        found = F.softplus(whole) + F.softplus(pooled(windows.flatten(1)))
        return self.gain * found, self.gain * F.softplus(windows)[:, None]

    def values(self, x: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """The linear layer on a whole picture `[b]` and on the window around each block.

        Args:
            x: As of `forward`.
            height: Likewise.
            width: Likewise.
        """
        sums, cells = self.blocks(x, height, width)
        whole = self.whole(sums, cells) @ self.weight + self.bias
        sums, cells = (F.avg_pool2d(part, REACH, 1, REACH // 2) for part in (sums, cells))
        batch, _, high, wide = sums.shape
        means = (sums / cells.clamp(min=TINY)).permute(0, 2, 3, 1).flatten(0, 2)
        number = (cells * REACH**2).expand(batch, -1, -1, -1).reshape(-1, 1, 1)
        values = self.strengths(means, number) @ self.weight + self.bias
        values = (values - self.near).view(batch, high, wide)
        filled = cells[:, 0] >= FILLED * (BLOCK // PERIOD) ** 2
        return whole, torch.where(filled, values, NONE)

    def blocks(self, x: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """As `folded` and as `counts`; arguments as of `forward`."""
        cells = counts(height, width).to(x.device)
        rows, columns = (max(1, side // PERIOD) for side in (height, width))
        residuals = self.residuals(x)[:, :, : rows * PERIOD, : columns * PERIOD]
        return folded(residuals, *cells.shape[2:]), cells

    def whole(self, sums: Tensor, cells: Tensor) -> Tensor:
        """Strengths `[b, 297]` in all blocks together."""
        count = cells.sum()
        return self.strengths(sums.sum((2, 3)) / count, count)

    def residuals(self, x: Tensor) -> Tensor:
        """Clipped second differences of brightness and colour, `[b, 9, h, w]` grey levels.

        Args:
            x: `[b, 3, h, w]` in [0, 255].
        """
        with torch.autocast(x.device.type, enabled=False):
            planes = (self.colours @ x.float().flatten(2)).view(x.shape)
            edge = F.pad(planes, (1, 1, 1, 1), mode="reflect")
            return F.conv2d(edge, self.filters, groups=3).clamp(-LIMIT, LIMIT)

    def strengths(self, means: Tensor, count: Tensor) -> Tensor:
        """Strengths `[n, 297]` by plane and frequency, about log 2 where there is no lattice.

        They grow with the number of cells up to `FULL`: beyond it honest lattices, which a file
        gets by being saved, would be taken for those of decoders.

        Args:
            means: Of residuals at each place of a cell and of their squares, see `folded`;
                `[n, 585]`.
            count: How many cells they are the mean of; `[n, 1, 1]` or one for all.
        """
        places = means[:, :FOLDED].reshape(-1, PLANES, PERIOD**2)
        variance = means[:, FOLDED:, None] + FLOOR
        real, imaginary = places @ self.waves[0], places @ self.waves[1]
        # Under independent noise of that variance its expectation is one.
        power = (real * real + imaginary * imaginary) / variance * (count * PERIOD**2)
        share = FULL / count.clamp(min=FULL)
        return torch.log1p(1 + (power - 1) * share).flatten(1)


def folded(residuals: Tensor, high: int, wide: int) -> Tensor:
    """Residuals `[b, 9, h, w]` added up over the cells of each block, and their mean squares.

    Sides are multiples of 8; the result is `[b, 585, high, wide]`, so many blocks that cover them.
    """
    batch, _, height, width = residuals.shape
    whole = F.pad(residuals, (0, wide * BLOCK - width, 0, high * BLOCK - height))
    side = BLOCK // PERIOD
    rows = whole.reshape(batch, PLANES, high, side, PERIOD, wide * BLOCK).sum(3)
    cells = rows.reshape(batch, PLANES, high, PERIOD, wide, side, PERIOD).sum(5)
    squares = (whole * whole).reshape(batch, PLANES, high, BLOCK, wide, BLOCK).sum((3, 5))
    places = cells.permute(0, 1, 3, 5, 2, 4).reshape(batch, FOLDED, high, wide)
    return torch.cat([places, squares / PERIOD**2], dim=1)


def counts(height: int, width: int) -> Tensor:
    """Whole cells in each block of a picture of so many pixels, float32 `[1, 1, h, w]`."""
    side, ends = BLOCK // PERIOD, []
    for size in (height, width):
        blocks = torch.arange(-(-size // BLOCK))
        ends.append((max(1, size // PERIOD) - side * blocks).clamp(0, side))
    return (ends[0][:, None] * ends[1])[None, None].float()


def pooled(values: Tensor) -> Tensor:
    """The power mean over windows that count, `[b, n]` to `[b]`; `NONE` where none does.

    Between mean and maximum: a large picture has more windows that stand out by chance, but no
    larger share of them.
    """
    number = (values > NONE / 2).sum(1).clamp(min=1)
    mean = torch.logsumexp(SHARPNESS * values, 1) - torch.log(number)
    return mean / SHARPNESS


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

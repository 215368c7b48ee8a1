"""The lattice: what a decoder adds to the same places of every cell of 8 x 8 pixels.

Generative decoders enlarge in steps of two, and each step leaves a fixed pattern that repeats every
2, 4 or 8 pixels. In one cell it drowns in the picture; in the mean over all cells of a photo it
stands out, as the picture averages away (Gallagher, "Detection of linear and cubic interpolation in
JPEG compressed images", CRV 2005, averages second differences to the same end). Strengths at all
frequencies of the cell, a linear layer, and a hinge: a missing lattice is no sign of authenticity.

Honest pictures average away less than noise would, for two reasons. A straight edge fills a whole
strip of cells alike, so strengths are compared with how much strips differ, too. And files are
saved in blocks: where brightness slopes, blocks leave steps, whose sign is that of the slope. What
goes with the slope is taken off the mean; what a decoder adds does not depend on it.

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
COLOURS, PLANES, WAVES = 3, 9, 33
"""Brightness and colour, three differences of each, frequencies of a cell without the constant."""
FOLDED = PLANES * PERIOD**2
STRENGTHS = 2 * PLANES * WAVES
"""What the linear layer takes: beside noise, and beside noise and strips."""
SIZES = {"places": FOLDED, "across": FOLDED, "down": FOLDED, "squares": PLANES,
         "rows": PLANES * WAVES, "columns": PLANES * WAVES, "slopes": 5 * COLOURS}  # fmt: skip
"""What is added up over the cells of a block, and in how many numbers, see `folded`."""
HELD, COUNTED = sum(SIZES.values()), 3
LIMIT = 1.0
"""Residuals are clipped to this, grey levels: a mean that edges cannot move."""
STEEP = 0.25
"""Slopes are, too, grey levels from one cell to the next: little but their sign is left. Steps do
not grow with the slope (a steep one keeps its coefficients), and where a sky slopes one way, a line
through them would say anything about where there is no slope (docs/LOG.md)."""
FULL = 4096
"""Cells of a photo of 512 x 512 pixels, on which the linear layer is fitted; see `strengths`."""
FLOOR = 4e-4
"""Least variance of a plane, squared grey levels: a flat picture has no lattice."""
ALIKE = 1e-4
"""Least variance of slopes: where all are alike, their steps cannot be told from a lattice."""
RIDGE = 5e-3
"""Added to it before anything is taken off: the few other cells of a sky do not speak for it."""


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
        self.register_buffer("weight", torch.zeros(STRENGTHS))
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
        whole = self.line(sums.sum((2, 3)), cells.sum((2, 3)))
        batch, _, high, wide = sums.shape
        near = [F.avg_pool2d(part, REACH, 1, REACH // 2) * REACH**2 for part in (sums, cells)]
        each = [part.expand(batch, -1, -1, -1).permute(0, 2, 3, 1).flatten(0, 2) for part in near]
        values = (self.line(*each) - self.near).view(batch, high, wide)
        filled = near[1][:, 0] >= FILLED * (REACH * BLOCK // PERIOD) ** 2
        return whole, torch.where(filled, values, NONE)

    def blocks(self, x: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """As `folded` and as `counts`; arguments as of `forward`."""
        cells = counts(height, width).to(x.device)
        rows, columns = (max(1, side // PERIOD) for side in (height, width))
        residuals, slopes = self.seen(x)
        residuals = residuals[:, :, : rows * PERIOD, : columns * PERIOD]
        return folded(residuals, slopes[:, :, :rows, :columns], self.waves, *cells.shape[2:]), cells

    def seen(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Clipped second differences and slopes of brightness and colour.

        Args:
            x: `[b, 3, h, w]` in [0, 255].

        Returns:
            `[b, 9, h, w]` grey levels, and `[b, 6, h / 8, w / 8]` grey levels from cell to cell,
            across and then down.
        """
        with torch.autocast(x.device.type, enabled=False):
            planes = (self.colours @ x.float().flatten(2)).view(x.shape)
            edge = F.pad(planes, (1, 1, 1, 1), mode="reflect")
            residuals = F.conv2d(edge, self.filters, groups=COLOURS).clamp(-LIMIT, LIMIT)
            cell = F.pad(F.avg_pool2d(planes, PERIOD), (1, 1, 1, 1), mode="replicate")
            across = cell[:, :, 1:-1, 2:] - cell[:, :, 1:-1, :-2]
            down = cell[:, :, 2:, 1:-1] - cell[:, :, :-2, 1:-1]
            return residuals, (torch.cat([across, down], 1) / 2).clamp(-STEEP, STEEP)

    def line(self, sums: Tensor, cells: Tensor) -> Tensor:
        """The linear layer on `strengths`, `[n]`."""
        return self.strengths(sums, cells) @ self.weight + self.bias

    def strengths(self, sums: Tensor, cells: Tensor) -> Tensor:
        """Strengths `[n, 594]` by plane and frequency, about log 2 where there is no lattice.

        Squared means at each frequency, without what goes with the slopes (least squares), beside
        the variance that such means would have if cells were independent; then beside the largest
        of that and those that strips of cells show, along rows and columns.

        They grow with the number of cells up to `FULL`: beyond it honest lattices, which a file
        gets by being saved, would be taken for those of decoders.

        Args:
            sums: As of `folded`, added up over blocks; `[n, 2346]`.
            cells: As of `counts`, likewise; `[n, 3]` or `[1, 3]`.
        """
        number, long, high = (part[:, None] for part in torch.split(cells.clamp(min=TINY), 1, 1))
        parts = dict(zip(SIZES, torch.split(sums, list(SIZES.values()), 1), strict=True))
        mean, across, down = (
            parts[name].view(-1, PLANES, PERIOD**2) / number
            for name in ("places", "across", "down")
        )
        slopes = (parts["slopes"].view(-1, 5, COLOURS) / number).repeat_interleave(3, 2)
        x, y, xx, yy, xy = (part[:, :, None] for part in slopes.unbind(1))
        xx, yy, xy = xx - x * x, yy - y * y, xy - x * y

        def solved(least: float) -> tuple[Tensor, Tensor]:
            a, b = xx + least, yy + least
            det = a * b - xy * xy
            return (b * x - xy * y) / det, (a * y - xy * x) / det

        right, lower = solved(RIDGE)
        free = mean - right * (across - x * mean) - lower * (down - y * mean)
        right, lower = solved(ALIKE)
        more = 1 + right * x + lower * y  # fewer cells are left by what slopes explain
        found, before = power(free, self.waves), power(mean, self.waves)
        noise = (parts["squares"][:, :, None] / number + FLOOR) / (number * PERIOD**2)
        strips = [
            (parts[name].view(-1, PLANES, WAVES) - before * size) / number**2
            for name, size in (("rows", long), ("columns", high))
        ]
        alone, among = noise * more, torch.maximum(noise, torch.maximum(*strips)) * more
        size = FULL / (number / more).clamp(min=FULL)
        return torch.cat([
            torch.log1p(1 + (found / variance - 1) * size).flatten(1) for variance in (alone, among)
        ], dim=1)  # fmt: skip


def folded(residuals: Tensor, slopes: Tensor, waves: Tensor, high: int, wide: int) -> Tensor:
    """What cells hold, added up over those of each block; `[b, 2346, high, wide]`.

    Residuals at each place of a cell; the same times the slopes across and down; squares, the mean
    over places; power of the sums over each row of 8 cells, and over each column; slopes across and
    down, their squares and their product.

    Args:
        residuals: `[b, 9, h, w]`, sides multiples of 8.
        slopes: `[b, 6, h / 8, w / 8]`.
        waves: As of `frequencies`.
        high: So many blocks cover the height.
        wide: And so many the width.
    """
    batch, _, height, width = residuals.shape
    side = BLOCK // PERIOD
    whole = F.pad(residuals, (0, wide * BLOCK - width, 0, high * BLOCK - height))
    grid = F.pad(slopes, (0, wide * side - width // PERIOD, 0, high * side - height // PERIOD))
    # Cells as rows of a matrix: what is added up over them is one product each.
    shape = (batch, COLOURS, 3, high, side, PERIOD, wide, side, PERIOD)
    cells = whole.view(shape).permute(0, 1, 2, 3, 6, 4, 7, 5, 8).flatten(5, 6).flatten(6)
    steep = grid.view(batch, 2, COLOURS, 1, high, side, wide, side)
    steep = steep.permute(0, 2, 3, 4, 6, 1, 5, 7).flatten(6)
    rows, columns = (strip.to(cells) @ cells for strip in strips())
    parts = [
        rows.sum(5), *(steep @ cells).unbind(5), (cells * cells).sum((5, 6))[..., None] / PERIOD**2,
        power(rows, waves).sum(5), power(columns, waves).sum(5),
    ]  # fmt: skip
    across, down = torch.split(grid, COLOURS, 1)
    moments = torch.cat([across, down, across**2, down**2, across * down], 1)
    laid = [part.permute(0, 1, 2, 5, 3, 4).flatten(1, 3) for part in parts]
    return torch.cat([*laid, F.avg_pool2d(moments, side) * side**2], 1)


def strips() -> Tensor:
    """Which of a block's 64 cells lie in each of its rows, and in each column; `[2, 8, 64]`."""
    one = torch.eye(BLOCK // PERIOD)
    return torch.stack([one.repeat_interleave(len(one), 1), one.repeat(1, len(one))])


def power(places: Tensor, waves: Tensor) -> Tensor:
    """Squared amplitudes `[..., 33]` of what lies at the places of a cell, `[..., 64]`."""
    real, imaginary = places @ waves[0], places @ waves[1]
    return real * real + imaginary * imaginary


def counts(height: int, width: int) -> Tensor:
    """Whole cells in each block of a picture of so many pixels, float32 `[1, 3, h, w]`.

    Their number, and the sums of squares of how many a row of them has, and a column.
    """
    side, ends = BLOCK // PERIOD, []
    for size in (height, width):
        blocks = torch.arange(-(-size // BLOCK))
        ends.append((max(1, size // PERIOD) - side * blocks).clamp(0, side))
    high, wide = ends[0][:, None], ends[1][None]
    return torch.stack([high * wide, high * wide**2, high**2 * wide])[None].float()


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

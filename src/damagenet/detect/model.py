"""The network: RGB and high-pass residuals into a timm encoder, out come a score and a heatmap.

Preprocessing is part of the network: it takes uint8 pictures of any size as they are.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from damagenet import BadInput, images
from damagenet.config import Train, from_dict, to_dict

FORMAT = 1
CLASSES = ("authentic", "doctored")
RESIDUALS = 3  # filters per colour


class Network(nn.Module):
    """Image logit `[b]` and pixel logits `[b, h, w]` of uint8 pictures `[b, h, w, 3]`."""

    def __init__(self, config: Train) -> None:
        """Build from a config; random weights unless `pretrained`.

        Raises:
            BadInput: timm does not know the encoder, or it cannot give feature maps.
        """
        super().__init__()
        self.config = config
        try:
            self.encoder = timm.create_model(
                config.encoder,
                pretrained=config.pretrained,
                features_only=True,
                in_chans=3 + 3 * RESIDUALS,
                out_indices=tuple(range(config.stages)),
            )
        except (RuntimeError, AttributeError, IndexError, AssertionError, TypeError) as error:
            near = ", ".join(timm.list_models(f"*{config.encoder.split('_')[0][:6]}*")[:5])
            raise BadInput(
                f"train.encoder={config.encoder}: {error}; timm names like it: {near or 'none'}"
            ) from None
        if not config.early_stride:
            remove_first_stride(self.encoder)
        channels: list[int] = self.encoder.feature_info.channels()  # type: ignore[union-attr,operator]
        width = config.width
        self.lateral = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels)
        self.fuse = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.map = nn.Conv2d(width, 1, 1)
        self.pooled = nn.Linear(2 * width, 1)
        self.evidence = nn.Parameter(torch.tensor([1.0, 0.5]))
        self.register_buffer("filters", residual_filters())

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        x = image.permute(0, 3, 1, 2).float() / 255
        x = torch.cat([(x - 0.45) / 0.25, self.residuals(x)], dim=1)
        features = self.encoder(x)
        # Fused at the second stage: its map is fine enough for a crack at a quarter of the cost.
        size = features[min(1, len(features) - 1)].shape[-2:]
        parts = [
            F.interpolate(lateral(feature), size, mode="bilinear")
            for lateral, feature in zip(self.lateral, features, strict=True)
        ]
        fused = self.fuse(sum(parts[1:], parts[0]))
        logits = self.map(fused)
        heat = F.interpolate(logits, image.shape[1:3], mode="bilinear").squeeze(1)
        flat = logits.flatten(1)
        # A crack covers a few per mille of a photo: a plain mean would drown it, so the strongest
        # evidence is pooled by a softmax (a smooth top-k that exports with any picture size).
        strong = (flat.softmax(1) * flat).sum(1)
        broad = flat.mean(1)
        pooled = torch.cat([fused.mean((2, 3)), fused.amax((2, 3))], dim=1)
        weight = F.softplus(self.evidence)
        return weight[0] * strong + weight[1] * broad + self.pooled(pooled).squeeze(1), heat

    def residuals(self, x: Tensor) -> Tensor:
        """High-pass residuals of each colour, `[b, 9, h, w]`.

        They are clipped so that edges cannot drown the noise in which the traces lie.
        """
        edge = F.pad(x * 255, (2, 2, 2, 2), mode="reflect")
        return F.conv2d(edge, self.filters, groups=3).clamp(-8, 8) / 4  # type: ignore[arg-type]


def residual_filters() -> Tensor:
    """Three high-pass filters of the rich models, once per colour, float32 `[9, 1, 5, 5]`.

    Fridrich & Kodovský, "Rich Models for Steganalysis of Digital Images", IEEE TIFS 2012: the
    second-order line, the 3x3 square and the 5x5 square residual.
    """
    line = np.zeros((5, 5))
    line[2, 1:4] = [1, -2, 1]
    square = np.zeros((5, 5))
    square[1:4, 1:4] = [[-1, 2, -1], [2, -4, 2], [-1, 2, -1]]
    wide = np.array(
        [[-1, 2, -2, 2, -1], [2, -6, 8, -6, 2], [-2, 8, -12, 8, -2], [2, -6, 8, -6, 2],
         [-1, 2, -2, 2, -1]]
    )  # fmt: skip
    bank = np.stack([line / 2, square / 4, wide / 12])
    return torch.from_numpy(np.tile(bank, (3, 1, 1))[:, None].astype(np.float32))


def remove_first_stride(encoder: nn.Module) -> None:
    """Let the first strided layer see every pixel: down-sampling in the stem destroys traces.

    Gragnaniello et al., "Are GAN generated images easy to detect?", ICME 2021.
    """
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d) and module.stride[0] > 1:
            if module.stride[0] == module.kernel_size[0] > 2:
                return  # a patch embedding: its weights mean nothing at another stride
            module.stride = (1, 1)
            return


def device_for(name: str) -> torch.device:
    """`auto`, `cpu` or `cuda`.

    Raises:
        BadInput: cuda where there is none; training silently on a CPU would cost a day.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise BadInput("train.device=cuda but torch finds no GPU; use auto or cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def save(path: Path, network: Network, **facts: object) -> None:
    """Write weights with everything needed to use them inside; no pickles."""
    metadata = {
        "format": str(FORMAT),
        "train": json.dumps(to_dict(network.config)),
        "classes": json.dumps(CLASSES),
        "preprocessing": "uint8 RGB [b,h,w,3] as decoded, EXIF-rotated; all steps in the network",
        **{key: json.dumps(value) for key, value in facts.items()},
    }
    tensors = {key: value.contiguous().cpu() for key, value in network.state_dict().items()}
    images.write_bytes(path, safetensors.torch.save(tensors, metadata))


def load(path: str | Path) -> tuple[Network, dict[str, Any]]:
    """Read `best.safetensors`: the network in eval mode and the facts saved with it.

    Raises:
        BadInput: Missing, damaged, not ours, or a newer format.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"{path}: not found; train first with `damagenet train CONFIG`")
    try:
        with safetensors.safe_open(path, "pt") as handle:
            metadata = handle.metadata() or {}
            tensors = {key: handle.get_tensor(key) for key in handle.keys()}
    except (safetensors.SafetensorError, OSError) as error:
        raise BadInput(f"{path}: damaged weights ({error}); train again") from None
    if metadata.get("format") != str(FORMAT):
        raise BadInput(f"{path}: not weights of this version (format {metadata.get('format')})")
    config = from_dict(Train, json.loads(metadata["train"]) | {"pretrained": False}, str(path))
    network = Network(config)
    network.load_state_dict(tensors)
    known = ("format", "train", "classes", "preprocessing")
    facts = {key: json.loads(value) for key, value in metadata.items() if key not in known}
    return network.eval(), facts

"""The network: RGB and high-pass residuals into an encoder, out come a score and a heatmap.

Preprocessing is part of the network: it takes uint8 pictures of any size as they are.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from damagenet import BadInput, host, images
from damagenet.config import Train, from_dict, to_dict
from damagenet.detect.encoder import NoDown
from damagenet.detect.periodic import BLOCK, Periodic

FORMAT = 4
CLASSES = ("authentic", "doctored")
RESIDUALS = 3  # filters per colour
SHARPNESS = (1.0, 0.5, 2.0, 4.0)
"""Exponents of the means over the map: the higher, the closer to its largest value."""
MULTIPLE = 32
"""Sides are enlarged to multiples of this, so that no stride cuts a map unevenly; ours needs 8."""
TILE = 1024
"""Largest side in pixels that the exported graph sees at once, where the encoder can be tiled."""
HALO = 72
"""Pixels that `nodown` looks beyond a pixel, rounded up to its multiple."""
MIN_SIDE = 64
"""Smaller pictures are enlarged to this by repeating their edge."""


class Network(nn.Module):
    """Image logit `[b]` and pixel logits `[b, h, w]` of uint8 pictures `[b, h, w, 3]`."""

    def __init__(self, config: Train) -> None:
        """Build from a config; random weights unless `pretrained`.

        Raises:
            BadInput: As `encoder_for`.
        """
        super().__init__()
        self.config = config
        self.encoder, channels = encoder_for(config, 3 + 3 * RESIDUALS)
        own = isinstance(self.encoder, NoDown)
        self.multiple, self.tile = (8, TILE) if own else (MULTIPLE, 1 << 20)
        width = config.width
        self.lateral = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels)
        self.fuse = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.map = nn.Conv2d(width, 1, 1)
        self.image = nn.Linear(1 + len(SHARPNESS) + width, 1)
        nn.init.zeros_(self.image.weight)
        nn.init.ones_(self.image.weight[:, 1])
        self.register_buffer("filters", residual_filters())
        self.periodic = Periodic()
        with torch.no_grad():
            probe = self.encoder.eval()(torch.zeros(1, 3 + 3 * RESIDUALS, MULTIPLE, MULTIPLE))
        self.encoder.train()
        strides = [MULTIPLE // one.shape[2] for one in probe]
        self.stride = strides[min(config.fuse, len(strides) - 1)]
        self.factors = [stride / self.stride for stride in strides]

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        height, width = image.shape[1:3]
        padded = self.padded(image)
        logits, fused = self.maps(padded)
        heat = self.enlarge(logits)[:, :height, :width]
        # What repeats the edge is no evidence.
        rows, columns = (-(-side // self.stride) for side in (height, width))
        logits, fused = (x[:, :, :rows, :columns].float() for x in (logits, fused))
        flat = logits.flatten(1)
        pooled = [flat.mean(1, keepdim=True), *(power_mean(flat, t) for t in SHARPNESS)]
        evidence = torch.cat([*pooled, fused.mean((2, 3))], dim=1)
        logit = self.image(evidence).squeeze(1)
        if not self.training:  # it needs whole pictures, and is fitted when the rest is trained
            found, blocks = self.periodic(planes(padded), height, width)
            spread = F.interpolate(blocks, scale_factor=float(BLOCK), mode="bilinear").squeeze(1)
            logit, heat = logit + found, heat + spread[:, :height, :width]
        return logit, heat

    def padded(self, image: Tensor) -> Tensor:
        """Repeat the right and bottom edge until tiles of equal size cover a picture, see `cut`."""
        for axis in (1, 2):
            size = image.shape[axis]
            tiles, core = cut(size, self.tile, self.multiple)
            if tiles * core > size:
                places = torch.arange(tiles * core, device=image.device).clamp(max=size - 1)
                image = image.index_select(axis, places)
        return image

    def maps(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Pixel logits `[b, 1, h / s, w / s]` and features `[b, width, h / s, w / s]`.

        Sides are multiples of `multiple`; `s` is the stride of the stage that `fuse` names: fine
        enough for a crack at a fraction of the cost of full resolution.
        """
        x = planes(image)
        x = torch.cat([x * (4 / 255) - 1.8, self.residuals(x)], dim=1)
        features = zip(self.encoder(x), self.lateral, self.factors, strict=True)
        parts = [self._resized(*each) for each in features]
        fused = self.fuse(sum(parts[1:], parts[0]))
        return self.map(fused), fused

    def enlarge(self, logits: Tensor) -> Tensor:
        """Logits `[b, 1, h / s, w / s]` at full size, `[b, h, w]`."""
        batch, _, height, width = logits.shape
        # ONNX Runtime would enlarge its blocks of 16 channels, were it not for the reshape.
        logits = logits.reshape(batch, height, width)[:, None]
        return F.interpolate(logits, scale_factor=float(self.stride), mode="bilinear").squeeze(1)

    def _resized(self, feature: Tensor, lateral: nn.Module, factor: float) -> Tensor:
        """A stage's map with `width` channels at the size where stages are fused.

        Both steps are linear and commute: the smaller map comes first, as it costs less.
        """
        if factor < 1:
            feature = F.interpolate(feature, scale_factor=factor, mode="bilinear")
        plane: Tensor = lateral(feature)
        if factor > 1:
            plane = F.interpolate(plane, scale_factor=factor, mode="bilinear")
        return plane

    def residuals(self, x: Tensor) -> Tensor:
        """High-pass residuals `[b, 9, h, w]`, three a colour, of `[b, 3, h, w]` in [0, 255].

        Their unit is four grey levels, and they are clipped to `[-2, 2]`, so that edges cannot
        drown the noise in which the traces lie.
        """
        edge = F.pad(x, (2, 2, 2, 2), mode="reflect")
        # In half precision the filters no longer sum to zero, and brightness leaks in.
        with torch.autocast(x.device.type, enabled=False):
            residual = F.conv2d(edge.float(), self.filters / 4, groups=3)  # type: ignore
        return residual.clamp(-2, 2)


def planes(image: Tensor) -> Tensor:
    """Uint8 `[b, h, w, 3]` to float32 `[b, 3, h, w]` in [0, 255]."""
    return image.permute(0, 3, 1, 2).float()


def cut(size: int, tile: int, multiple: int) -> tuple[int, int]:
    """How many tiles of how many pixels cover a side, evenly, each such a multiple.

    More than one are also multiples of what the lattice's windows are made of.
    """
    tiles = -(-size // tile)
    if tiles > 1:
        multiple = math.lcm(multiple, BLOCK)
    return tiles, max(MIN_SIDE, -(-size // (tiles * multiple)) * multiple)


def encoder_for(config: Train, planes: int) -> tuple[nn.Module, list[int]]:
    """The encoder of a config and the channels of its maps.

    Raises:
        BadInput: timm does not know it, or it cannot give feature maps.
    """
    if config.encoder == "nodown":
        own = NoDown(planes, config.base, min(config.stages, 4))
        return own, own.channels
    try:
        encoder = timm.create_model(
            config.encoder,
            pretrained=config.pretrained,
            features_only=True,
            in_chans=planes,
            out_indices=tuple(range(config.stages)),
        )
    except (RuntimeError, AttributeError, IndexError, AssertionError, TypeError) as error:
        near = ", ".join(timm.list_models(f"*{config.encoder.split('_')[0][:6]}*")[:5])
        raise BadInput(
            f"train.encoder={config.encoder}: {error}; our own is nodown, "
            f"timm names like it: {near or 'none'}"
        ) from None
    if not config.early_stride:
        remove_first_stride(encoder)
    return encoder, encoder.feature_info.channels()  # type: ignore[union-attr,operator]


def power_mean(values: Tensor, sharpness: float) -> Tensor:
    """log(mean(exp(t x))) / t over the second axis, `[b, n]` to `[b, 1]`.

    Between mean and maximum, and a mean: a picture twice as large has no higher value by itself. A
    crack covers a few per mille of a photo, and a plain mean would drown it.
    """
    top = values.amax(1, keepdim=True)
    return torch.log(torch.exp(sharpness * (values - top)).mean(1, keepdim=True)) / sharpness + top


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
        raise BadInput(
            "train.device=cuda but torch finds no GPU; use train.device=auto or cpu, or get one: "
            + host.GPU[host.name()]
        )
    torch.backends.cudnn.allow_tf32 = False  # full precision where it is asked for
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

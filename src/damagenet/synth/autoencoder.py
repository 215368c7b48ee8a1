"""The project's own autoencoders: small, and each with another way of growing the picture.

What a decoder leaves in pixels comes mostly from how it up-samples, so each of the four does it
differently; `scripts/train_decoders.py` trains them and says on which photos. torch is imported at
first use.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor, nn

WEIGHTS = Path(__file__).with_name("weights")


@dataclass(frozen=True)
class Spec:
    """Shape of one autoencoder.

    Attributes:
        up: How the decoder doubles the size.
        widths: Channels at the resolutions from half size downwards.
        latent: Channels of the latent.
        levels: Values a latent may take (finite scalar quantisation); 0 = any, not quantised.
        adversarial: Whether a discriminator took part in its training.
    """

    up: Literal["nearest", "transposed", "shuffle", "bilinear"]
    widths: tuple[int, ...]
    latent: int
    levels: int = 0
    adversarial: bool = False


SPECS = {
    "ae_nearest": Spec("nearest", (24, 48, 76), 32, adversarial=True),
    "ae_transposed": Spec("transposed", (24, 48, 72), 32),
    "ae_shuffle": Spec("shuffle", (24, 48, 60), 32, adversarial=True),
    "ae_bilinear": Spec("bilinear", (32, 72), 8, levels=9),
}


def build(name: str) -> nn.Module:
    """An untrained autoencoder: float `[n, 3, h, w]` in [0, 1] to the same; sides divide by 8."""
    import torch
    from torch import nn

    spec = SPECS[name]

    class Residual(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.layers = nn.Sequential(
                nn.Conv2d(width, width, 3, padding=1),
                nn.SiLU(),
                nn.Conv2d(width, width, 3, padding=1),
            )

        def forward(self, x: Tensor) -> Tensor:
            return x + self.layers(x)

    class Quantise(nn.Module):
        """Finite scalar quantisation (Mentzer et al., ICLR 2024), straight-through gradient."""

        def forward(self, x: Tensor) -> Tensor:
            half = (spec.levels - 1) / 2
            bounded = torch.tanh(x) * half
            return (bounded + (bounded.round() - bounded).detach()) / half

    def grown(inner: int, outer: int) -> nn.Module:
        if spec.up == "transposed":
            return nn.ConvTranspose2d(inner, outer, 4, stride=2, padding=1)
        if spec.up == "shuffle":
            return nn.Sequential(nn.Conv2d(inner, 4 * outer, 3, padding=1), nn.PixelShuffle(2))
        smooth = {"align_corners": False} if spec.up == "bilinear" else {}
        larger = nn.Upsample(scale_factor=2, mode=spec.up, **smooth)
        return nn.Sequential(larger, nn.Conv2d(inner, outer, 3, padding=1))

    down: list[nn.Module] = []
    for inner, outer in zip((3, *spec.widths), spec.widths, strict=False):
        down += [nn.Conv2d(inner, outer, 4, stride=2, padding=1), nn.SiLU()]
        down += [Residual(outer)] if inner != 3 else []
    up: list[nn.Module] = [nn.Conv2d(spec.latent, spec.widths[-1], 3, padding=1)]
    sizes = (*reversed(spec.widths), 16)
    for inner, outer in pairwise(sizes):
        up += [Residual(inner), nn.SiLU(), grown(inner, outer)]
    return nn.Sequential(
        *down,
        nn.Conv2d(spec.widths[-1], spec.latent, 3, padding=1),
        *([Quantise()] if spec.levels else []),
        *up,
        nn.SiLU(),
        nn.Conv2d(16, 3, 3, padding=1),
    )


def load(path: str | Path) -> nn.Module:
    """A trained autoencoder, as `build` gives it; the file's stem is a name in `SPECS`.

    Raises:
        OSError: No such file.
        Exception: Whatever safetensors or torch say of foreign weights.
    """
    from safetensors.torch import load_file

    network = build(Path(path).stem).eval()
    network.load_state_dict({key: value.float() for key, value in load_file(path).items()})
    return network

"""What training minimises."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from damagenet.config import Train


def detection(logit: Tensor, heat: Tensor, mask: Tensor, label: Tensor, config: Train) -> Tensor:
    """Image loss and heatmap loss of a batch, a scalar.

    Args:
        logit: Image logits `[b]`.
        heat: Pixel logits `[b, h, w]`.
        mask: Doctored pixels, 0 or 1, `[b, h, w]`.
        label: 0 or 1, `[b]`.
        config: `map_weight`.
    """
    logit, heat = logit.float(), heat.float()
    pixels = F.binary_cross_entropy_with_logits(heat, mask)
    probability = heat.sigmoid()
    overlap = (probability * mask).sum((1, 2))
    dice = 1 - (2 * overlap + 1) / (probability.sum((1, 2)) + mask.sum((1, 2)) + 1)
    dice = (dice * label).sum() / label.sum().clamp(min=1)  # undefined without doctored pixels
    image: Tensor = F.binary_cross_entropy_with_logits(logit, label)
    return torch.add(image, pixels + 0.5 * dice, alpha=config.map_weight)

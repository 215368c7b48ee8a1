"""What training minimises."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from damagenet.config import Train


def detection(
    logit: Tensor, heat: Tensor, mask: Tensor, label: Tensor, config: Train, doctored: Tensor
) -> Tensor:
    """Image loss, heatmap loss and twin loss of a batch, a scalar.

    Args:
        logit: Image logits `[b]`; twins alternate, authentic first.
        heat: Pixel logits `[b, h, w]`.
        mask: Doctored pixels, 0 or 1, `[b, h, w]`.
        label: 0 or 1, `[b]`.
        config: `map_weight`, `twin_weight`.
        doctored: Doctored crops per part of a step, a scalar; not those of this part, or cutting a
            step into parts would change what it learns.
    """
    logit, heat = logit.float(), heat.float()
    pixels = F.binary_cross_entropy_with_logits(heat, mask)
    probability = heat.sigmoid()
    overlap = (probability * mask).sum((1, 2))
    dice = 1 - (2 * overlap + 1) / (probability.sum((1, 2)) + mask.sum((1, 2)) + 1)
    dice = (dice * label).sum() / doctored  # undefined without doctored pixels
    image: Tensor = F.binary_cross_entropy_with_logits(logit, label)
    total = image + config.map_weight * (pixels + 0.5 * dice)
    if config.twin_weight:
        total = total + config.twin_weight * twins(logit, heat, mask, label, doctored)
    return total


def twins(logit: Tensor, heat: Tensor, mask: Tensor, label: Tensor, doctored: Tensor) -> Tensor:
    """How often, softly, the authentic twin looks more doctored than the doctored one; a scalar.

    Twins differ in the trace alone: their difference cancels what the picture shows, which is the
    larger part of every logit. The logistic ranking loss of Burges et al., "Learning to Rank using
    Gradient Descent", ICML 2005, on whole logits and on the logits of doctored pixels.
    """
    touched = mask[1::2]
    whole = F.softplus(logit[0::2] - logit[1::2]) * label[1::2]
    local = (F.softplus(heat[0::2] - heat[1::2]) * touched).sum((1, 2))
    local = local / touched.sum((1, 2)).clamp(min=1)
    return (whole + local).sum() / doctored

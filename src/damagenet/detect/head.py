"""The image logit, fitted on whole pictures once the map is trained.

Training sees crops, most of them around an edit; a reviewer sends whole photos in which an edit
covers a few per cent. What a map's mean and peaks are worth there can only be learnt there, and it
is a logistic regression on a handful of numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm.auto import tqdm

from damagenet import runs
from damagenet.detect.model import Network
from damagenet.synth import dataset

Floats = NDArray[np.float64]

STRENGTH = 0.05
"""Inverse of the regularisation: a few dozen correlated numbers of a few thousand pictures."""


@torch.no_grad()
def collect(
    network: Network, folder: Path, rows: Sequence[Mapping[Any, Any]], device: torch.device
) -> Floats:
    """The evidence of whole pictures, float64 `[pictures, k]`."""
    found = []
    for row in tqdm(rows, desc="whole pictures", unit="picture", leave=False):
        image, _ = dataset.read_pair(folder, row)
        evidence, _ = network.evidence(torch.from_numpy(image)[None].to(device))
        found.append(evidence[0].double().cpu().numpy())
    return np.array(found)


def fit(evidence: Floats, labels: NDArray[np.integer[Any]]) -> tuple[Floats, float]:
    """Weights float64 `[k]` and bias of a logistic regression, classes weighted alike."""
    model = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=2000)
    scaled = make_pipeline(StandardScaler(), model).fit(evidence, labels)
    mean, scale = scaled[0].mean_, scaled[0].scale_
    weights = model.coef_[0] / scale
    return weights, float(model.intercept_[0] - weights @ mean)


def refit(
    network: Network, folder: Path, rows: Sequence[Mapping[Any, Any]], seed: int, most: int,
    device: torch.device,
) -> None:  # fmt: skip
    """Replace the image layer of a trained network by one fitted on whole training pictures.

    Args:
        network: Changed in place.
        folder: The dataset.
        rows: Training rows of its manifest.
        seed: Draws which pictures are used, if there are more than `most`.
        most: Pictures at most; twins stay together only by chance.
        device: Where the network lies.
    """
    picks = runs.rng_for(seed, "head").permutation(len(rows))[:most]
    used = [rows[i] for i in sorted(picks)]
    labels = np.array([row["label"] for row in used])
    weights, bias = fit(collect(network, folder, used, device), labels)
    with torch.no_grad():
        network.image.weight.copy_(torch.from_numpy(weights)[None])
        network.image.bias.fill_(bias)

"""Learnt baselines: a linear model on features, and a plain classifier on resized pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import timm
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from tqdm.auto import tqdm

from damagenet import BadInput, runs
from damagenet.config import Config
from damagenet.detect import backbone, metrics
from damagenet.images import Array

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]

SIDE = 224
"""To which the plain classifier resizes every picture (px)."""
BATCH = 32


def resized(image: Array) -> Array:
    """Squeezed to 224 x 224, antialiased, as most classifiers want it."""
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    small = F.interpolate(tensor, (SIDE, SIDE), mode="bilinear", antialias=True)
    return np.asarray(small[0].permute(1, 2, 0).round().clamp(0, 255).byte().numpy())


@torch.no_grad()
def pooled(network: nn.Module, image: Array, device: torch.device) -> Floats:
    """Mean over a whole picture at native resolution of the last features, float32 `[f]`."""
    features = network.forward_features(normal(image[None], device))  # type: ignore[operator]
    return np.asarray(features.mean((2, 3))[0].cpu().numpy())


def normal(pictures: Array, device: torch.device) -> torch.Tensor:
    """Pictures uint8 `[n, h, w, 3]` as the backbone takes them."""
    return torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def fitted(features: Floats, labels: NDArray[Any], fit: NDArray[np.bool_], c: float = 1) -> Floats:
    """Logits of all rows by a logistic regression that is fitted on some of them."""
    line = LogisticRegression(C=c, class_weight="balanced", max_iter=2000)
    pipeline = make_pipeline(StandardScaler(), line)
    return np.asarray(pipeline.fit(features[fit], labels[fit]).decision_function(features))


def best_linear(
    features: Floats, labels: NDArray[Any], train: NDArray[np.bool_], val: NDArray[np.bool_]
) -> Floats:
    """As `fitted`, with the regularisation that validation likes best."""
    tried = [fitted(features, labels, train, c) for c in (1e-4, 1e-3, 1e-2, 1e-1)]
    return max(tried, key=lambda scores: metrics.auc(labels[val], scores[val]))


def classify(
    small: Array, labels: NDArray[Any], train: NDArray[np.bool_], config: Config,
    device: torch.device,
) -> tuple[Floats, str]:  # fmt: skip
    """Train a plain classifier on resized pictures; logits of all, and its name.

    It starts from ImageNet where the weights are installed, else from scratch.
    """
    torch.manual_seed(config.seed)
    try:
        network, name = backbone.frozen().requires_grad_(True), "classifier at 224"
    except BadInput:
        network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        name = "classifier at 224, from scratch"
    network.reset_classifier(1)  # type: ignore[operator]
    network.to(device).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-2)
    steps, rng = config.evaluate.baseline_steps, runs.rng_for(config.seed, "classifier")
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=max(steps, 2))
    places = np.flatnonzero(train)
    for _ in tqdm(range(steps), desc="classifier", unit="step"):
        drawn = rng.choice(places, min(BATCH, len(places)), replace=False)
        pictures = small[drawn][:, :, :: int(rng.choice([1, -1]))]
        truth = torch.from_numpy(labels[drawn]).float().to(device)
        logits = network(normal(np.ascontiguousarray(pictures), device)).squeeze(1)
        loss = F.binary_cross_entropy_with_logits(logits, truth)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        rate.step()
    network.eval()
    with torch.no_grad():
        parts = [
            network(normal(small[i : i + BATCH], device)).squeeze(1).cpu().numpy()
            for i in range(0, len(small), BATCH)
        ]
    return np.concatenate(parts).astype(np.float64), name

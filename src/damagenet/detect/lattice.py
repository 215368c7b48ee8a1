"""Fit `Periodic` when the network is trained: on whole frames, which crops cannot show.

A linear layer has little to learn and much to be misled by: honest photos carry lattices too, of
enlargement and of JPEG blocks in files saved twice. So each authentic photo also teaches enlarged,
and every photo saved twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm.auto import tqdm

from damagenet import BadInput, runs
from damagenet.detect.delivery import UP
from damagenet.detect.pairs import traceless
from damagenet.detect.periodic import PERIOD, Periodic, folded
from damagenet.images import Array
from damagenet.synth import channel, dataset
from damagenet.synth.scaling import KERNELS

GAIN = 2.0
"""Weight beside the network's own logit. Validation hardly sees it (AUC .811 without, .806), as it
has few pictures of any one decoder; plain photos of other sizes ask for it (docs/LOG.md)."""
BEGINS = 0.8
"""Share of authentic validation photos below the bend of the hinge."""
PENALTY = 1e-3
"""Inverse strength of the squared penalty on weights."""
AS_DELIVERED = 2.0
"""Weight of a photo as it is, beside its altered copies."""
FACTORS = (1.5, 2.0, 2.0, 4.0)
"""Enlargement of half of the copies; the other half draws from 1.1 to 3."""


def fit(lattice: Periodic, folder: Path, seed: int, holdout_family: str = "") -> None:
    """Set the weights from a dataset's training split, the hinge from its validation split.

    A family that is held out has no part in either.

    Raises:
        BadInput: No dataset, or a split lacks one of the two classes.
    """
    manifest = dataset.read_manifest(folder)
    manifest = manifest[manifest.family != holdout_family]
    whole = [row for row in manifest.to_dict("records") if _whole(row)]
    train, val = ([row for row in whole if row["split"] == name] for name in ("train", "val"))
    if any({row["label"] for row in rows} != {0, 1} for rows in (train, val)):
        raise BadInput(f"{folder}: needs authentic photos and whole frames that were doctored, in "
                       "training and validation; build more products")  # fmt: skip
    seen = [
        (strengths(lattice, picture), row["label"], weight)
        for row in tqdm(train, desc="lattice", unit="picture")
        for picture, weight in _copies(dataset.read_pair(folder, row)[0], row, seed)
    ]
    x, labels, weights = (np.array(column) for column in zip(*seen, strict=True))
    scale, line = StandardScaler(), LogisticRegression(C=PENALTY, max_iter=1000)
    share = np.bincount(labels, weights) / weights.sum()
    fitted = make_pipeline(scale, line).fit(
        x, labels, logisticregression__sample_weight=weights / (2 * share[labels])
    )
    honest = [row for row in val if row["label"] == 0]
    found = fitted.decision_function(
        [strengths(lattice, dataset.read_pair(folder, row)[0]) for row in honest]
    )
    weight, unit = line.coef_[0] / scale.scale_, max(float(found.std()), 1e-6)
    bias = line.intercept_[0] - weight @ scale.mean_ - np.quantile(found, BEGINS)
    lattice.weight.copy_(torch.from_numpy(weight / unit))
    lattice.bias.fill_(bias / unit)
    lattice.gain.fill_(GAIN)


@torch.no_grad()
def strengths(lattice: Periodic, picture: Array) -> np.ndarray:
    """`Periodic.strengths` of one picture, uint8 `[h, w, 3]`: float32 `[297]`."""
    height, width = (side // PERIOD for side in picture.shape[:2])
    part = np.ascontiguousarray(picture[: height * PERIOD, : width * PERIOD])
    residuals = lattice.residuals(torch.from_numpy(part).permute(2, 0, 1)[None].float())
    count = height * width
    return lattice.strengths(folded(residuals) / count, count)[0].numpy()


def _whole(row: Mapping[Any, Any]) -> bool:
    """Authentic, or doctored all over by a network whose fine detail is left."""
    cut = traceless(json.loads(row["recipe"]))
    full = row["topology"] == "full" and row["method"] != "overlay" and not cut
    return row["label"] == 0 or full


def _copies(picture: Array, row: Mapping[Any, Any], seed: int) -> Iterator[tuple[Array, float]]:
    """The picture; the same saved twice, the second time with its blocks moved or not; enlarged."""
    yield picture, AS_DELIVERED
    rng = runs.rng_for(seed, "lattice", row["image"])
    first = _sent(picture, channel.plan_jpeg(rng, 40, 85))
    y, x = rng.integers(0, PERIOD, 2) if rng.random() < 0.5 else (0, 0)
    yield _sent(np.ascontiguousarray(first[y:, x:]), channel.plan_jpeg(rng, 80, 98)), 1.0
    if row["label"] == 0:
        drawn = rng.random() < 0.5
        factor = float(rng.uniform(1.1, 3) if drawn else rng.choice(FACTORS))
        height, width = (int(side * min(1, 1.5 / factor)) for side in picture.shape[:2])
        kernel = KERNELS[UP[rng.integers(len(UP))]]
        part = picture[:height, :width]
        large = np.asarray(cv2.resize(part, None, fx=factor, fy=factor, interpolation=kernel))
        jpeg = channel.plan_jpeg(rng, 70, 98)
        yield (_sent(large, jpeg) if rng.random() < 0.7 else large), 1.0


def _sent(picture: Array, step: dict[str, Any]) -> Array:
    return channel.send(picture, [], step)[0]

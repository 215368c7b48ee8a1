"""Twin crops for training: an authentic and a doctored picture under one augmentation draw.

Crops are cut at native resolution; nothing is ever resized to the network. Every draw depends on
(seed, step, index) alone, so that the number of loader processes never changes a batch.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from damagenet import BadInput, runs
from damagenet.config import Train
from damagenet.images import Array
from damagenet.synth import dataset

Bools = NDArray[np.bool_]


class Twins(Dataset[dict[str, torch.Tensor]]):
    """Endless twin pairs of a split; item `i` belongs to batch `i // pairs`.

    Every item holds `image` uint8 `[2, crop, crop, 3]` (authentic twin, doctored twin), `mask`
    float32 `[2, crop, crop]`, and `label` float32 `[2]`, which the mask decides.
    """

    def __init__(
        self, folder: Path, manifest: pd.DataFrame, config: Train, seed: int, length: int
    ) -> None:
        """Pair up a manifest's rows.

        Raises:
            BadInput: No doctored row has an authentic twin.
        """
        self.folder, self.config, self.seed, self.length = folder, config, seed, length
        self.pairs = pair_up(manifest)
        if not self.pairs:
            raise BadInput(f"{folder}: no doctored picture has an authentic twin; rebuild")
        self.augment = augmentation(config.augment)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rng = runs.rng_for(self.seed, "loader", index)
        doctored, twins = self.pairs[int(rng.integers(len(self.pairs)))]
        real = twins[int(rng.integers(len(twins)))]
        fake, mask = dataset.read_pair(self.folder, doctored)
        twin, _ = dataset.read_pair(self.folder, real)
        if twin.shape != fake.shape:
            raise BadInput(f"{self.folder / real['image']}: its twin has another size; rebuild")
        if doctored["topology"] == "full" and rng.random() < self.config.exchange:
            # The same original pixels outside a random region: the label becomes local, for free.
            # Only within the stored mask: a caption drawn over all twins is nobody's edit.
            base = _base(doctored, twins)
            original, _ = dataset.read_pair(self.folder, base)
            region = random_region(rng, mask.shape) & mask
            if region.any():
                mask, fake = region, np.where(region[..., None], fake, original)
        rows, columns = choose_crop(rng, mask, self.config.crop)
        images = [_padded(x[rows, columns], self.config.crop) for x in (twin, fake)]
        cut = _padded(mask[rows, columns].astype(np.uint8), self.config.crop)
        self.augment.set_random_seed(int(rng.integers(1 << 31)))
        drawn = self.augment(image=images[0], doctored=images[1], mask=cut)
        masks = np.stack([np.zeros_like(drawn["mask"]), drawn["mask"]]).astype(np.float32)
        return {
            "image": torch.from_numpy(np.stack([drawn["image"], drawn["doctored"]])),
            "mask": torch.from_numpy(masks),
            "label": torch.from_numpy(masks.any((1, 2)).astype(np.float32)),
        }


def pair_up(manifest: pd.DataFrame) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Each doctored row with the authentic rows of the same draw."""
    pairs = []
    for _, unit in manifest.groupby(dataset.draws(manifest), sort=True):
        rows = unit.sort_values("image").to_dict("records")
        authentic = [row for row in rows if row["label"] == 0]
        pairs += [(row, authentic) for row in rows if row["label"] == 1 and authentic]
    return pairs  # type: ignore[return-value]


def _base(doctored: dict[str, Any], twins: list[dict[str, Any]]) -> dict[str, Any]:
    """The twin that was edited: the intact one, unless a damaged one was edited further."""
    recipe = json.loads(doctored["recipe"])
    if doctored["cell"] == "doctored_other" and (recipe["damage"] or len(twins) == 1):
        wanted = "authentic_damaged" if recipe["damage"] else twins[0]["cell"]
    else:
        wanted = "authentic_intact"
    return next((row for row in twins if row["cell"] == wanted), twins[0])


def random_region(rng: np.random.Generator, shape: tuple[int, ...]) -> Bools:
    """A random region: a smooth blob, or a thin crack-like stroke; never empty."""
    height, width = shape[:2]
    mask = np.zeros((height, width), np.uint8)
    if rng.random() < 0.5:
        steps = rng.normal(0, 0.12 * min(height, width), (6, 2)).cumsum(axis=0)
        points = steps - steps.mean(axis=0) + rng.uniform(0.25, 0.75, 2) * (width, height)
        thickness = int(max(3, rng.uniform(0.015, 0.08) * min(height, width)))
        cv2.polylines(mask, [np.rint(points).astype(np.int32)], False, 1, thickness)
    else:
        axes = rng.uniform(0.06, 0.35, 2) * (width, height)
        centre = rng.uniform(0.2, 0.8, 2) * (width, height)
        angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
        radii = rng.uniform(0.6, 1.2, 12)[:, None]
        points = centre + np.stack([np.cos(angles), np.sin(angles)], 1) * axes * radii
        cv2.fillPoly(mask, [np.rint(points).astype(np.int32)], 1)
    if not mask.any():
        mask[height // 4 : height // 2, width // 4 : width // 2] = 1
    return mask > 0


def choose_crop(rng: np.random.Generator, mask: Bools, crop: int) -> tuple[slice, slice]:
    """Where to cut: mostly around a doctored pixel, sometimes anywhere."""
    height, width = mask.shape
    if rng.random() < 0.85 and mask.any():
        spots = np.flatnonzero(mask)
        y, x = np.unravel_index(spots[int(rng.integers(len(spots)))], mask.shape)
        top, left = (int(v) - int(rng.integers(crop // 4, crop * 3 // 4)) for v in (y, x))
    else:
        top, left = int(rng.integers(0, max(1, height))), int(rng.integers(0, max(1, width)))
    top = min(max(0, top), max(0, height - crop))
    left = min(max(0, left), max(0, width - crop))
    return slice(top, top + crop), slice(left, left + crop)


def _padded(image: Array, crop: int) -> Array:
    """Mirror a picture smaller than the crop up to its size."""
    height, width = image.shape[:2]
    if (height, width) == (crop, crop):
        return np.ascontiguousarray(image)
    edges = [(0, crop - height), (0, crop - width)] + [(0, 0)] * (image.ndim - 2)
    return np.pad(image, edges, mode="symmetric")


def augmentation(p: float) -> A.Compose:
    """What both twins go through with one draw; geometry first, then photometry, then codec."""
    return A.Compose(
        [
            A.D4(p=1.0),
            A.RandomBrightnessContrast(0.15, 0.15, p=p),
            A.HueSaturationValue(8, 20, 0, p=p / 2),
            A.OneOf([A.GaussianBlur((3, 3), (0.3, 0.9)), A.Sharpen((0.1, 0.3))], p=p / 3),
            A.GaussNoise((0.003, 0.015), p=p / 3),
            A.OneOf(
                [
                    A.ImageCompression("jpeg", (50, 98)),
                    A.ImageCompression("jpeg", (70, 98)),
                    A.ImageCompression("webp", (50, 98)),
                ],
                p=p,
            ),
        ],
        additional_targets={"doctored": "image"},
    )

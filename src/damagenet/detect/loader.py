"""Twin crops for training: an authentic and a doctored picture under one augmentation draw.

Crops are cut at native resolution; nothing is ever resized to the network. Every draw depends on
(seed, step, index) alone, so that the number of loader processes never changes a batch.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import albumentations as A
import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from damagenet import BadInput, images, runs
from damagenet.config import Train
from damagenet.detect import delivery
from damagenet.detect.pairs import Pairs, intended
from damagenet.detect.pairs import original as original_of
from damagenet.images import Array
from damagenet.synth import dataset

Bools = NDArray[np.bool_]


class Twins(Dataset[dict[str, torch.Tensor]]):
    """Endless twin pairs of a split; item `i` belongs to batch `i // pairs`.

    Every item holds `image` uint8 `[2, crop, crop, 3]` (authentic twin, doctored twin), `mask`
    float32 `[2, crop, crop]`, and `label` float32 `[2]`, which the mask decides.
    """

    def __init__(
        self,
        folder: Path,
        manifest: pd.DataFrame | Iterable[pd.DataFrame],
        config: Train,
        seed: int,
        length: int,
    ) -> None:
        """Pair up a manifest's rows, which may come in pieces.

        Raises:
            BadInput: No doctored row has an authentic twin.
        """
        self.folder, self.config, self.seed, self.length = folder, config, seed, length
        self.pairs = Pairs(manifest)
        if not len(self.pairs):
            raise BadInput(f"{folder}: no doctored picture has an authentic twin; rebuild")
        self.augment = A.Compose(
            [
                A.D4(p=1.0),
                A.RandomBrightnessContrast(0.15, 0.15, p=config.augment),
                A.HueSaturationValue(8, 20, 0, p=config.augment / 2),
            ],
            additional_targets={"doctored": "image"},
        )

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rng = runs.rng_for(self.seed, "loader", index)
        ease = min(1.0, (index + 1) / max(1.0, self.config.ramp * self.length)) ** 2
        # Traces are learnt on whole frames as they left the camera, or never.
        plain = not rng.random() < ease and len(self.pairs.plain)
        drawn = int(rng.integers(plain or len(self.pairs)))
        doctored, twins = self.pairs[self.pairs.plain[drawn] if plain else drawn]
        real = twins[int(rng.integers(len(twins)))]
        fake, mask = dataset.read_pair(self.folder, doctored)
        twin, _ = dataset.read_pair(self.folder, real)
        if twin.shape != fake.shape:
            raise BadInput(f"{self.folder / real['image']}: its twin has another size; rebuild")
        pasted = doctored["topology"] == "full" and rng.random() < ease * self.config.exchange
        if pasted:
            # The same original pixels outside a random region: the label becomes local, for free.
            # Only within the stored mask: a caption drawn over all twins is nobody's edit.
            wish = images.read_mask(self.folder / intended(doctored)) > 127
            region = choose_region(rng, wish) & mask
            if region.any():
                base = original_of(doctored, twins)
                original, _ = dataset.read_pair(self.folder, base)
                mask, fake = region, paste(rng, original, fake, region)
        share = ease * self.config.augment
        steps, cut = delivery.plan(rng, share, self.config.crop, compress=pasted)
        rows, columns = choose_crop(rng, mask, cut)
        crops = [_padded(x[rows, columns], cut) for x in (twin, fake)]
        if rng.random() < ease * self.config.decoys:
            # Decoders smooth. Where nothing but they does, a detector learns to accuse soft photos.
            crops[0] = delivery.softened(rng, crops[0])
        marked = _padded(mask[rows, columns].astype(np.uint8) * 255, cut)
        self.augment.set_random_seed(int(rng.integers(1 << 31)))
        drawn = self.augment(image=crops[0], doctored=crops[1], mask=marked)
        sent = delivery.send([drawn["image"], drawn["doctored"]], drawn["mask"], steps)
        touched = _middle(sent[1], self.config.crop) >= 128
        masks = np.stack([np.zeros_like(touched), touched]).astype(np.float32)
        return {
            "image": torch.from_numpy(np.stack([_middle(x, self.config.crop) for x in sent[0]])),
            "mask": torch.from_numpy(masks),
            "label": torch.from_numpy(masks.any((1, 2)).astype(np.float32)),
        }


def paste(rng: np.random.Generator, original: Array, new: Array, region: Bools) -> Array:
    """Put a region of an edited picture back into its original: hard, or with a soft edge."""
    if rng.random() < 0.6:
        return np.where(region[..., None], new, original)
    soft = cv2.GaussianBlur(region.astype(np.float32), (0, 0), rng.uniform(0.7, 4.0))
    # Within the region only: the label must not reach beyond what is marked.
    soft = np.where(region, np.clip(2 * soft - 0.5, 0, 1), 0)[..., None]
    return np.rint(original + soft * (new.astype(np.float32) - original)).astype(np.uint8)


def choose_region(rng: np.random.Generator, wish: Bools) -> Bools:
    """A random region, or the one that the editor meant, where that is not the whole picture."""
    if wish.any() and wish.mean() < 0.9 and rng.random() < 0.35:
        return wish
    return random_region(rng, wish.shape)


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


def _middle(image: Array, crop: int) -> Array:
    """The middle of a picture that is a few pixels larger."""
    top, left = ((size - crop) // 2 for size in image.shape[:2])
    return image[top : top + crop, left : left + crop]

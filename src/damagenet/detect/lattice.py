"""Fit `Periodic` when the network is trained: on whole frames, which crops cannot show.

A linear layer has little to learn and much to be misled by. Honest photos carry lattices too, of
enlargement and of blocks in files saved twice, so each authentic photo also teaches delivered in
other ways. And a handful of decoders is not all there are, so it also teaches with lattices that
were drawn at random: those of decoders that nobody had are found by them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
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
from damagenet.detect import delivery
from damagenet.detect.pairs import traceless
from damagenet.detect.periodic import NONE, PERIOD, Periodic, pooled
from damagenet.images import Array
from damagenet.synth import channel, dataset
from damagenet.synth.scaling import KERNELS

GAIN = 4.0
"""Weight beside the network's own logit, with which validation tells doctored pictures best from
all authentic ones and from really damaged photos, AUCs added up; the former alone would have 1, and
cracked tiles accused, which the network takes for doctored (docs/LOG.md)."""
BEGINS = 0.9
"""Share of authentic validation photos below the bend of the hinge."""
NEAR_BEGINS = 0.99
"""The same of the mean over windows, where blocks of honest files stand out more (docs/LOG.md)."""
PENALTY = 0.03
"""Inverse strength of the squared penalty on weights."""
AS_DELIVERED = 2.0
"""Weight of a photo as it is, beside its altered copies."""
FACTORS = (1.5, 2.0, 2.0, 4.0)
"""Enlargement of half of the copies; the other half draws from 1.1 to 3."""
DELIVERED, DRAWN, SMOOTH = 4, 6, 6
"""Copies of an authentic photo that are delivered in another way, that get a lattice, and that are
smooth and saved as JPEG or WebP: nothing hides their blocks, and without such copies half of the
honest WebP files and a tenth of blurred photos stood out (docs/LOG.md)."""
BLUR = (0.7, 5.0)
"""Blur of half of the smooth copies, pixels (standard deviation)."""
LEVELS = (0.2, 0.8)
"""Strength of a drawn lattice, grey levels (root of the mean square); decoders have about .2-.6."""


def fit(lattice: Periodic, folder: Path, seed: int, holdout_family: str = "") -> None:
    """Set the weights from a dataset's training split, the hinge from its validation split.

    A family that is held out has no part in either.

    Raises:
        BadInput: No dataset, or a split lacks one of the two classes.
    """
    rows = [row for row in _whole_frames(folder) if row["family"] != holdout_family]
    labels_of = {
        name: {r["label"] for r in rows if r["split"] == name} for name in ("train", "val")
    }
    if any(found != {0, 1} for found in labels_of.values()):
        raise BadInput(f"{folder}: needs authentic photos and whole frames that were doctored, in "
                       "training and validation; build more products")  # fmt: skip
    made = dataset.read_card(folder)["manifest_sha256"]
    families, *columns = _taught(folder, seed, made)
    labels, weights, x = (column[families != holdout_family] for column in columns)
    scale, line = StandardScaler(), LogisticRegression(C=PENALTY, max_iter=1000)
    share = np.bincount(labels, weights) / weights.sum()
    make_pipeline(scale, line).fit(
        x, labels, logisticregression__sample_weight=weights / (2 * share[labels])
    )
    weight = line.coef_[0] / scale.scale_
    lattice.weight.copy_(torch.from_numpy(weight))
    lattice.bias.fill_(line.intercept_[0] - weight @ scale.mean_)
    lattice.near.zero_()
    honest = [row for row in rows if row["split"] == "val" and row["label"] == 0]
    plain = [dataset.read_pair(folder, row)[0] for row in honest]
    spread = np.array([values(lattice, picture)[0] for picture in plain])
    unit = max(float(spread.std()), 1e-6)
    lattice.weight.div_(unit)
    lattice.bias.sub_(float(np.quantile(spread, BEGINS))).div_(unit)
    near = [value for picture in plain if (value := values(lattice, picture)[1]) > NONE / 2]
    if not near:
        raise BadInput(f"{folder}: no authentic validation photo is large enough for a window of "
                       "the lattice; build with a larger build.long_side")  # fmt: skip
    lattice.near.fill_(float(np.quantile(near, NEAR_BEGINS)))
    lattice.gain.fill_(GAIN)


def check(lattice: Path, folder: Path) -> str:
    """Whether a dataset for the fit goes with the one a network is trained and measured on.

    Returns:
        The hash of its manifest.

    Raises:
        BadInput: No dataset, or it has a photo in training or validation that the other keeps for
            another split: built from other photos, shares or another seed.
    """
    mine, theirs = (dataset.read_manifest(place, ("product_id", "split")).drop_duplicates()
                    for place in (lattice, folder))  # fmt: skip
    both = mine[mine.split != "test"].merge(theirs, on="product_id", suffixes=("", "_there"))
    if (wrong := both[both.split != both.split_there]).size:
        first = wrong.iloc[0]
        raise BadInput(f"{lattice}: {len(wrong)} photos are in another split than in {folder}, "
                       f"such as {first.product_id} ({first.split}, there {first.split_there}); "
                       "build both with the same photos, seed and shares")  # fmt: skip
    return str(dataset.read_card(lattice)["manifest_sha256"])


def _whole_frames(folder: Path) -> list[dict[Any, Any]]:
    return [row for row in dataset.read_manifest(folder).to_dict("records") if _whole(row)]


@lru_cache(maxsize=1)  # a protocol fits once for each family that it leaves out
def _taught(folder: Path, seed: int, manifest: str) -> tuple[np.ndarray, ...]:
    """Families, labels, weights and strengths of what a training split teaches; read-only.

    The hash of the manifest is there for the cache alone: a set that was built anew is another one.
    """
    empty = Periodic()
    seen = [
        (row["family"], label, weight, strengths(empty, picture))
        for row in tqdm(_whole_frames(folder), desc="lattice", unit="picture")
        if row["split"] == "train"
        for picture, label, weight in _copies(dataset.read_pair(folder, row)[0], row, seed)
    ]
    columns = tuple(np.array(column) for column in zip(*seen, strict=True))
    for column in columns:
        column.flags.writeable = False
    return columns


@torch.no_grad()
def strengths(lattice: Periodic, picture: Array) -> np.ndarray:
    """`Periodic.strengths` of one picture, uint8 `[h, w, 3]`: float32 `[594]`."""
    sums, cells = lattice.blocks(*planes(picture))
    return lattice.strengths(sums.sum((2, 3)), cells.sum((2, 3)))[0].numpy()


@torch.no_grad()
def values(lattice: Periodic, picture: Array) -> tuple[float, float]:
    """What the linear layer says of the whole picture and of all windows of it."""
    whole, windows = lattice.values(*planes(picture))
    return float(whole), float(pooled(windows.flatten(1)))


def planes(picture: Array) -> tuple[torch.Tensor, int, int]:
    """A picture as `Periodic` takes it, cut to whole cells."""
    height, width = (side // PERIOD * PERIOD for side in picture.shape[:2])
    part = np.ascontiguousarray(picture[:height, :width])
    return torch.from_numpy(part).permute(2, 0, 1)[None].float(), height, width


def _whole(row: Mapping[Any, Any]) -> bool:
    """Authentic, or doctored all over by a network whose fine detail is left."""
    cut = traceless(json.loads(row["recipe"]))
    full = row["topology"] == "full" and row["method"] != "overlay" and not cut
    return row["label"] == 0 or full


def _copies(
    picture: Array, row: Mapping[Any, Any], seed: int
) -> Iterator[tuple[Array, int, float]]:
    """Pictures, labels and weights: the picture as it is and saved twice.

    Of an authentic one also copies that were enlarged or delivered in other ways, and copies that
    a drawn lattice makes doctored.
    """
    rng = runs.rng_for(seed, "lattice", row["image"])
    yield picture, row["label"], AS_DELIVERED
    yield _saved(rng, _saved(rng, picture, 40, 85), 80, 98, move=True), row["label"], 1.0
    if row["label"]:
        return
    large = _enlarged(rng, picture)
    yield (_saved(rng, large, 70, 98) if rng.random() < 0.7 else large), 0, 1.0
    for _ in range(DELIVERED):
        yield _delivered(rng, picture), 0, 1.0
    for number in range(DRAWN):
        twins = with_lattice(rng, picture)
        for label, twin in enumerate(_sent_alike(rng, twins, number)):
            yield twin, label, 1.0
    for number in range(SMOOTH):
        yield _saved(rng, _smooth(rng, picture), 40, 95, webp=number % 2 == 1), 0, 1.0


def with_lattice(rng: np.random.Generator, picture: Array) -> tuple[Array, Array]:
    """A picture (uint8 `[h, w, 3]`) without and with a random pattern in each cell of 8 x 8 pixels.

    Both are cut to whole cells from anywhere, and softened in half of the cases, as decoders
    soften. Patterns are noise of any colour and slope of spectrum, of period 2, 4 or 8, even or by
    brightness.
    """
    top, left = rng.integers(0, PERIOD, 2)
    height, width = ((side - PERIOD) // PERIOD * PERIOD for side in picture.shape[:2])
    part = picture[top : top + height, left : left + width]
    if rng.random() < 0.5:
        part = cv2.GaussianBlur(part, (0, 0), rng.uniform(0.4, 0.8))
    slow = np.hypot(*np.meshgrid(*2 * [np.fft.fftfreq(PERIOD, 1 / PERIOD)])).clip(0.5)
    noise = np.fft.fft2(rng.normal(size=(PERIOD, PERIOD, 3)), axes=(0, 1))
    tile = np.fft.ifft2(noise / slow[..., None] ** rng.uniform(0, 1), axes=(0, 1)).real
    period = int(rng.choice([2, 4, 8, 8, 8]))
    tile = np.tile(tile[:period, :period], (PERIOD // period, PERIOD // period, 1))
    tile -= tile.mean((0, 1))
    tile *= rng.uniform(*LEVELS) / tile.std()
    pattern = np.tile(tile, (height // PERIOD, width // PERIOD, 1))
    if rng.random() < 0.4:
        bright = part.mean(2, keepdims=True) / 128
        pattern = pattern * (bright if rng.random() < 0.5 else 2 - bright)
    return part, np.clip(np.rint(part + pattern), 0, 255).astype(np.uint8)


def _sent_alike(rng: np.random.Generator, twins: tuple[Array, ...], number: int) -> list[Array]:
    """Twins saved once as JPEG, as WebP, or twice as JPEG."""
    seed = int(rng.integers(1 << 31))
    sent = []
    for twin in twins:
        same = np.random.default_rng(seed)
        if number % 3 == 2:
            twin = _saved(same, _saved(same, twin, 40, 85), 80, 98, move=True)
        else:
            twin = _saved(same, twin, 60, 98, webp=number % 3 == 1)
        sent.append(twin)
    return sent


def _delivered(rng: np.random.Generator, picture: Array) -> Array:
    """An honest photo after a channel: filtered, resized, saved as JPEG or WebP, in any order."""
    steps, _ = delivery.plan(rng, 0.7, min(picture.shape[:2]))
    for step in steps:
        picture = channel.send(picture, [], step)[0]
    return picture


def _smooth(rng: np.random.Generator, picture: Array) -> Array:
    """Half of them blurred, a sixth without specks, as phones do in the dark, the rest as it is."""
    kind = rng.random()
    if kind < 1 / 2:
        sigma = float(np.exp(rng.uniform(*np.log(BLUR))))
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma))
    if kind < 2 / 3:
        return np.asarray(cv2.medianBlur(picture, int(rng.choice([3, 5, 7]))))
    return picture


def _enlarged(rng: np.random.Generator, picture: Array) -> Array:
    drawn = rng.random() < 0.5
    factor = float(rng.uniform(1.1, 3) if drawn else rng.choice(FACTORS))
    height, width = (int(side * min(1, 1.5 / factor)) for side in picture.shape[:2])
    kernel = KERNELS[delivery.UP[rng.integers(len(delivery.UP))]]
    part = picture[:height, :width]
    return np.asarray(cv2.resize(part, None, fx=factor, fy=factor, interpolation=kernel))


def _saved(
    rng: np.random.Generator, picture: Array, low: int, high: int,
    move: bool = False, webp: bool = False,
) -> Array:  # fmt: skip
    """Saved as JPEG or WebP of a quality between two, half of the moved ones with moved blocks."""
    y, x = rng.integers(0, PERIOD, 2) if move and rng.random() < 0.5 else (0, 0)
    step = channel.plan_jpeg(rng, low, high)
    if webp:
        step = {"op": "WEBP", "quality": int(rng.integers(low, high))}
    return channel.send(np.ascontiguousarray(picture[y:, x:]), [], step)[0]

"""Which photos are one picture, which show one item: the groups that a split keeps whole."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from damagenet import BadInput, runs
from damagenet.config import Config

SPLITS = ("train", "val", "test")
NEAR_BITS = 8
"""Perceptual hashes (64 bit) at most this far apart are views of one scene and share a group."""
SHOT = re.compile(
    r"^(?P<item>.*[a-z].*?)[ _-]*(?:\(?\d{1,2}\)?|front|back|side|left|right|top|detail)$", re.I
)
GENERIC = re.compile(r"^(img|image|dsc[nf]?|photo|pic|picture|file|scan|untitled)[ _-]*\d*$", re.I)


@dataclass(frozen=True)
class Refused:
    """A file that was not registered, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Seen:
    """A checked photo, and what says which others it belongs to."""

    row: dict[str, object]
    key: str  # what the folder itself says belongs together; empty when it says nothing
    bits: NDArray[np.uint8]  # perceptual hash, `[8]`
    thumbnail: NDArray[np.int16]  # grey, `[48, 48]`


def item_key(path: Path) -> str:
    """Shots of one item are often `mug-blue_01.jpg`, `mug-blue_02.jpg`, `mug-blue_back.jpg`."""
    match = SHOT.match(path.stem)
    if not match or GENERIC.match(match["item"]) or len(match["item"]) < 4:
        return ""
    return f"item:{path.parent}/{match['item'].lower()}"


def group(seen: list[Seen]) -> tuple[list[Seen], list[str], list[Refused]]:
    """Drop repeated pictures; number the groups of what remains (union-find over all ties)."""
    parent = list(range(len(seen)))

    def find(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[str, int] = {}
    sizes: dict[str, int] = {}
    for item in seen:
        sizes[item.key] = sizes.get(item.key, 0) + 1
    for i, item in enumerate(seen):
        # A long numbered series is a camera's or a dataset's counter, not shots of one item.
        if item.key and not (item.key.startswith("item:") and sizes[item.key] > 12):
            parent[find(i)] = find(first.setdefault(item.key, i))
    bits = np.array([item.bits for item in seen])
    dropped: dict[int, int] = {}
    for i in range(len(seen)):
        distance = np.bitwise_count(bits[i] ^ bits[:i]).sum(axis=1) if i else np.zeros(0, int)
        for j in map(int, np.flatnonzero(distance <= NEAR_BITS)):
            parent[find(i)] = find(j)
            if j not in dropped and _same_picture(seen[i], seen[j]):
                dropped[i] = j
                break
    kept = [i for i in range(len(seen)) if i not in dropped]
    members: dict[int, str] = {}
    for i in kept:
        members.setdefault(find(i), f"g-{seen[i].row['product_id']}")
    refused = [
        Refused(str(seen[i].row["path"]), f"the same picture as {seen[j].row['path']}")
        for i, j in sorted(dropped.items())
    ]
    return [seen[i] for i in kept], [members[find(i)] for i in kept], refused


def _same_picture(a: Seen, b: Seen) -> bool:
    if a.row["sha256"] == b.row["sha256"]:
        return True
    if a.row["condition"] != b.row["condition"]:
        return False
    # The largest local difference separates a re-saved file from another defect on the same rig.
    difference = np.abs(a.thumbnail - b.thumbnail)
    return float(difference.mean()) < 1.5 and int(difference.max()) < 12


def split_groups(table: pd.DataFrame, config: Config) -> dict[str, str]:
    """Assign whole groups to splits; really damaged and intact groups are each spread evenly.

    Raises:
        BadInput: Too few groups for three splits.
    """
    share = {"test": config.build.test, "val": config.build.validation}
    share["train"] = 1 - sum(share.values())
    damaged = set(table[table.condition == "damaged"].group_id)
    kept_out = set(table[table.source.isin(config.build.test_sources)].group_id)
    result = {group: "test" for group in kept_out}
    for stratum in (damaged, set(table.group_id) - damaged):
        sizes = table[table.group_id.isin(stratum)].groupby("group_id").size()
        order = sorted(sizes.index, key=lambda g: runs.rng_for(config.seed, "split", g).random())
        have = dict.fromkeys(SPLITS, 0)
        for group in order:
            if group in result:
                have[result[group]] += sizes[group]
        # Large groups first, each to the split that lacks the largest share of its target.
        for group in sorted((g for g in order if g not in result), key=lambda g: -sizes[g]):
            need = {s: 1 - have[s] / (share[s] * sizes.sum()) for s in ("train", "test", "val")}
            result[group] = max(need, key=need.__getitem__)
            have[result[group]] += sizes[group]
    empty = [split for split in SPLITS if split not in result.values()]
    if empty:
        raise BadInput(
            f"split {empty[0]} gets no products: {len(result)} product groups are too few; "
            "add photos of other items (groups keep shots of one item together)"
        )
    return result

"""Which pictures are twins: an index that stays small when a set holds millions of them."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from damagenet import BadInput
from damagenet.synth import dataset

COLUMNS = ("image", "mask", "label", "cell", "split", "topology", "family", "recipe", "channel")
"""Columns of a manifest that pairing reads."""

Row = dict[str, Any]


def kept(folder: Path, columns: Sequence[str], split: str, left_out: str) -> Iterator[pd.DataFrame]:
    """The rows of a split in pieces, as `dataset.pieces`, without those of a family."""
    for piece in dataset.pieces(folder, columns, split):
        yield piece[piece.family != left_out]


def validation(folder: Path, left_out: str) -> list[dict[Any, Any]]:
    """What a training is validated on: rows with image, mask, label, split and family.

    Raises:
        BadInput: No family of that name, or no doctored picture is left without it.
    """
    families = dataset.read_manifest(folder, ["family"]).family.unique()
    if left_out and left_out not in families:
        near = difflib.get_close_matches(left_out, families, 1) or sorted({*families} - {"none"})
        raise BadInput(f"train.holdout_family: {left_out} is not in {folder}; did you mean "
                       f"{' or '.join(near)}?")  # fmt: skip
    columns = ("image", "mask", "label", "split", "family")
    rows = pd.concat(kept(folder, columns, "val", left_out)).to_dict("records")
    if len({row["label"] for row in rows}) < 2:
        raise BadInput(f"{folder}: without {left_out} validation has no doctored picture left; "
                       "build with more families or products")  # fmt: skip
    return rows


class Pairs(Sequence[tuple[Row, list[Row]]]):
    """Each doctored picture that holds a trace with the authentic pictures of the same draw.

    A pair is the doctored row and the rows of its twins, as dictionaries with `image`, `mask`,
    `label`, `cell`, `topology` and `damaged` (whether the recipe draws damage). Sorted by name,
    the authentic twins of a draw are neighbours, so that two numbers name them.

    Attributes:
        plain: int64 `[m]`, the pairs that left the camera as they are.
    """

    def __init__(self, manifest: pd.DataFrame | Iterable[pd.DataFrame]) -> None:
        """Pair up the rows of a manifest, which may come in pieces (`dataset.pieces`)."""
        pieces = [manifest] if isinstance(manifest, pd.DataFrame) else manifest
        found = [_needed(piece) for piece in pieces if len(piece)]
        table = pa.concat_tables(found) if found else _needed(pd.DataFrame(columns=COLUMNS))
        order = pa.compute.sort_indices(table, [("draw", "ascending"), ("image", "ascending")])
        table = table.take(order)
        draw = table["draw"].combine_chunks().dictionary_encode().indices.to_numpy()
        label = table["label"].to_numpy()
        self.rows = table.select(["image", "mask", "label", "cell", "topology", "damaged"])
        self.rows = self.rows.combine_chunks()
        real = np.flatnonzero(label == 0)
        doctored = np.flatnonzero(table["traced"].to_numpy())
        # Where the twins of each draw begin and end among all authentic rows.
        self.first = np.searchsorted(draw[real], draw[doctored])
        self.last = np.searchsorted(draw[real], draw[doctored], side="right")
        paired = self.last > self.first
        self.real, self.doctored = real, doctored[paired]
        self.first, self.last = self.first[paired], self.last[paired]
        self.plain = np.flatnonzero(table["plain"].to_numpy()[self.doctored])

    def __len__(self) -> int:
        return len(self.doctored)

    def __getitem__(self, index: Any) -> tuple[Row, list[Row]]:  # type: ignore[override] # noqa: ANN401
        if not 0 <= index < len(self):
            raise IndexError(index)
        twins = self.real[self.first[index] : self.last[index]]
        doctored, *authentic = self.rows.take([self.doctored[index], *twins]).to_pylist()
        return doctored, authentic


def _needed(manifest: pd.DataFrame) -> pa.Table:
    """What pairing keeps of each row: some hundred bytes instead of thousands."""
    doctored = (manifest.label == 1).to_numpy(bool)
    recipes = [json.loads(r) if d else {} for r, d in zip(manifest.recipe, doctored, strict=True)]
    sent = [json.loads(c) if d else {} for c, d in zip(manifest.channel, doctored, strict=True)]
    return pa.table(
        {
            **{name: pa.array(manifest[name], pa.string()) for name in ("image", "mask")},
            **{name: pa.array(manifest[name], pa.string()).dictionary_encode()
               for name in ("cell", "topology")},
            "draw": pa.array(dataset.draws(manifest), pa.string()),
            "label": pa.array(manifest.label, pa.int8()),
            "damaged": pa.array([bool(recipe.get("damage")) for recipe in recipes], pa.bool_()),
            "traced": pa.array(
                [bool(recipe) and not traceless(recipe) for recipe in recipes], pa.bool_()
            ),
            "plain": pa.array([chain.get("chain") == "camera" for chain in sent], pa.bool_()),
        }
    )  # fmt: skip


def traceless(recipe: Mapping[str, Any]) -> bool:
    """Whether the fine detail of an edit was taken back from its original (`align.cut`).

    Nothing is left to be learnt from it but its label; tests keep it, as such edits exist.
    """
    edit = recipe["edit"] or {}
    return bool(edit.get("align", {}).get("cut"))


def intended(row: Mapping[str, Any]) -> str:
    """Where the mask of what an editor meant to change lies, below the dataset's folder."""
    return "intended/" + row["mask"].partition("/")[2]


def original(doctored: Row, twins: list[Row]) -> Row:
    """The twin that was edited: the intact one, unless a damaged one was edited further."""
    if doctored["cell"] == "doctored_other" and (doctored["damaged"] or len(twins) == 1):
        wanted = "authentic_damaged" if doctored["damaged"] else twins[0]["cell"]
    else:
        wanted = "authentic_intact"
    return next((row for row in twins if row["cell"] == wanted), twins[0])

"""MODEL_CARD.md: what a model was made from, what it can do, what it must not be used for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

INTENDED_USE = "evidence for a human reviewer; a score is a reason to look, never proof"
TABLES = {
    "protocol.json": "Protocol",
    "baselines.json": "Beside other methods, on the same pictures",
}
"""Files of a run that hold further results."""
SHOWN = ("auc", "tpr_at_threshold", "fpr_at_threshold", "pixel_f1")

USE = """\
## Intended use

One witness among several for a person who looks at a claim: beside the listing photo, the labels
in the file and what the buyer says. The score orders a queue; the heatmap says where to look.

It must not be used

- to refuse a refund, close an account or accuse anybody without a person who has looked;
- as proof, in a dispute or in court: a score is no probability that this buyer lied;
- to clear a photo: `pass` means that no trace was found, and most edits that went through a chat
  app leave none;
- on other pictures than product photos (faces, documents, art), or on screenshots of text;
- to tune edits until they pass.
"""
PROMISE = """\
Where a row is certified, the stated share of honest photos at most reaches the threshold, at 95 %
confidence (one-sided Clopper-Pearson bound, fixed-sequence testing). `really damaged` are broken
goods; the other damage is rendered. `alarms` count one picture of each photo. Photos of a group
look alike: few groups make a narrow promise. `more photos` are missing for a promise.
"""
LIMITS = """\
## Limits

- The promise of the flag threshold holds for photos like those it was measured on. A camera, an app
  or a product unlike all of them has an unknown false-alarm rate.
- The channel of a photo is not known when it is scored, so one threshold serves all channels.
- Training, the choice of the checkpoint and the threshold all used this project's own data; the
  validation split chose checkpoint, calibration and where the lattice begins to count, too, which
  flatters it a little.
- Small edits, hard compression and generators unlike those of training are missed; see the tables.
- Strong phone processing (denoising, beauty filters, upscaling) can look like an edit.
- Below 64 pixels and above 2 megapixels (scored in tiles) no rate was measured: never a flag there.
- A verdict that light re-compression changes is turned into `review`. Flags can only get fewer that
  way, so their promise holds; `review` gets more than its share.
"""


def text(card: Mapping[str, Any], results: Mapping[str, Any], run: Path) -> str:
    """The model card in Markdown.

    Args:
        card: The metadata of the exported model.
        results: What metrics.json holds.
        run: The run folder; `TABLES` that lie in it are appended.
    """
    settings = results["config"]
    families = ", ".join(settings["build"]["families"]) or "every one that was found"
    unseen = results["holdout_family"] or settings["train"].get("holdout_family") or "none"
    parts = [
        f"# damagenet {card['version']}, `{card['encoder']}`\n",
        f"A detector to {card['task']}: {card['intended_use']}. Licence: {card['licence']}.\n",
        USE,
        "## Data and training\n",
        _table(("", ""), [
            ("dataset SHA-256", card["dataset_sha256"]), ("commit", card["commit"]),
            ("seed", card["seed"]), ("steps", results["trained"]["step"]),
            ("decoder families built", families), ("family kept from training", unseen),
            ("channels", ", ".join(settings["build"]["chains"])),
            ("authentic photos of validation", card["calibration_pictures"]),
        ]),
        "Genuine damage is partly rendered (drawn into scene light before the camera model), "
        "partly real. Photos keep their own licences.\n",
        "## What the thresholds promise\n",
        PROMISE,
        promise(card["certificate"]["flag"], card["threshold"], "flag"),
        promise(card["certificate"]["review"], card["review_threshold"], "review"),
        "## Results on the test split\n",
        _headline(card["metrics"]),
        _slices(results["metrics"]),
    ]  # fmt: skip
    for name, title in TABLES.items():
        if (run / name).is_file():
            parts += [f"## {title}\n", _any(json.loads((run / name).read_text("utf-8")))]
    return "\n".join([*parts, LIMITS])


def promise(record: Mapping[str, Any], threshold: float, band: str) -> str:
    """One threshold's certificate in words, and its table."""
    rate = f"{record['rate']:.1%}"
    if record["certified"]:
        said = f"`{band}` from {threshold:.6f}: at most {rate} of honest photos of damaged goods."
    elif band == "flag":
        said = (
            f"**No flag.** The calibration photos are too few to promise at most {rate} false "
            f"alarms; {record['more_photos']} more photos of honest damage are needed. Until then "
            "the verdict of pixels stops at `review`."
        )
    else:
        said = f"`{band}` from {threshold:.6f}, a plain quantile ({rate}) that promises nothing."
    names = ("scope", "pictures", "photos", "groups", "alarms", "bound", "certified", "more_photos")
    rows = [[row[name] for name in names] for row in record["table"]]
    return said + "\n\n" + _table([name.replace("_", " ") for name in names], rows)


def _headline(metrics: Mapping[str, Any]) -> str:
    rows = [
        (name, number["value"], _interval(number), number.get("negatives", ""))
        for name, number in metrics.items()
        if isinstance(number, Mapping) and "value" in number
    ]
    return _table(("metric", "value", "95 % interval", "negatives"), rows)


def _slices(table: Sequence[Mapping[str, Any]]) -> str:
    """One line a slice, with the metrics that a user asks for first."""
    found: dict[str, dict[str, Any]] = {}
    for row in table:
        if row["metric"] in SHOWN:
            found.setdefault(row["slice"], {"n": row["n"]})[row["metric"]] = row["value"]
    rows = [(name, line["n"], *(line.get(key) for key in SHOWN)) for name, line in found.items()]
    return _table(("slice", "pictures", *(key.replace("_", " ") for key in SHOWN)), rows)


def _any(value: object) -> str:
    """Whatever a results file holds: records become tables, the rest is named line by line."""
    if isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value):
        names = list(dict.fromkeys(name for row in value for name in row))
        return _table(names, [[row.get(name) for name in names] for row in value])
    if isinstance(value, Mapping) and "value" not in value:
        blocks = [f"**{key}**\n\n{_any(item)}" for key, item in value.items() if _nested(item)]
        plain = [(key, item) for key, item in value.items() if not _nested(item)]
        return "\n".join([_table(("", ""), plain)] * bool(plain) + blocks)
    return f"{_cell(value)}\n"


def _nested(value: object) -> bool:
    if isinstance(value, Mapping):
        return "value" not in value
    return isinstance(value, list) and any(isinstance(item, Mapping) for item in value)


def _interval(number: Mapping[str, Any]) -> str:
    if number.get("low") is None or number.get("high") is None:
        return ""
    return f"[{number['low']:.3f}, {number['high']:.3f}]"


def _cell(value: object) -> str:
    if isinstance(value, Mapping):
        return f"{_cell(value.get('value'))} {_interval(value)}".strip()
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    return "" if value is None else str(value).replace("|", "/").replace("\n", " ")


def _table(names: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)

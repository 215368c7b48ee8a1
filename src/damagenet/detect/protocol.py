"""The protocol: leave one decoder family out, for each of them, with several seeds.

A cell is one training (arm, seed, family left out) with its evaluation, channel grid and
baselines, in a run folder of its own below `runs/<name>/`. Finished cells are left alone,
interrupted ones go on; `protocol.json` and `protocol.md` hold whatever is finished.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from damagenet import BadInput, images, runs
from damagenet.config import Config, override, to_dict
from damagenet.detect.baselines import compare
from damagenet.detect.evaluate import evaluate, finite
from damagenet.detect.grid import grid
from damagenet.detect.train import train
from damagenet.synth import dataset

HEADLINE = {
    "auc": "AUC on the family left out",
    "tpr": "its TPR at TNR 0.95 on really damaged",
    "exchange_gap": "exchange gap",
    "damage_bias_gap": "damage-bias gap",
    "pixel_f1_exchange_jpeg80": "pixel F1 at 0.5, exchange, after JPEG 80",
    "drop_chat": "balanced accuracy lost in a chat app, points",
    "ece_worst_channel": "ECE of the worst channel",
    "margin": "AUC over the best baseline on that family",
    "auc_all": "AUC, all families",
    "average_precision": "average precision, all families",
    "tpr_at_1": "TPR at 1 % false alarms",
    "tpr_at_5": "TPR at 5 % false alarms",
    "tnr_real_damage": "TNR at the flag threshold, really damaged",
    "tnr_markup": "TNR at the flag threshold, honest markup",
    "tnr_softened": "TNR at the flag threshold, softened",
    "pixel_f1_full": "pixel F1 at 0.5, full",
    "pixel_f1_exchange": "pixel F1 at 0.5, exchange",
    "pixel_f1_blend": "pixel F1 at 0.5, blend",
    "brier": "Brier score",
}
"""Numbers of a cell, in the order of the report."""
ARMS = ("train.", "evaluate.")
"""What an arm may change."""
SMALL_IS_GOOD = ("exchange_gap", "damage_bias_gap", "drop_chat", "ece_worst_channel", "brier")
TARGETS = {
    "auc_mean": ("auc", "mean"),
    "auc_worst": ("auc", "worst"),
    "tpr_worst": ("tpr", "worst"),
}
"""Targets of another name than their number, and which of its columns they are held against."""


@dataclass(frozen=True)
class Cell:
    """One training."""

    arm: str
    seed: int
    family: str
    config: Config

    @property
    def run(self) -> Path:
        """Its folder."""
        return self.config.run_dir


def protocol(config: Config, folder: Path | None = None, workers: int = 1) -> dict[str, Any]:
    """Run what is missing of the protocol, then sum up.

    Args:
        config: Its section `protocol` says which cells; `train` how.
        folder: The dataset; default: that of the config, which is built where it is missing.
        workers: Processes of that build.

    Raises:
        BadInput: As the stages do, or a family to leave out that the dataset lacks.
    """
    if folder is None:
        folder = config.dataset_dir
        if not (folder / "dataset.json").is_file():
            dataset.build(config, folder, workers)
    planned = cells(config, folder)
    for cell in tqdm(planned, desc="protocol", unit="run"):
        tqdm.write(f"{cell.run}")
        finish(cell, folder)
        summary = collect(planned, config)
        runs.write_json(config.run_dir / "protocol.json", summary)
        images.write_bytes(config.run_dir / "protocol.md", markdown(summary).encode())
    return summary


def cells(config: Config, folder: Path) -> list[Cell]:
    """All cells of a protocol, seed after seed.

    Raises:
        BadInput: A family that the dataset's test split lacks, or a bad arm.
    """
    manifest = dataset.read_manifest(folder)
    test = manifest[(manifest.split == config.evaluate.split) & (manifest.method != "overlay")]
    found = sorted(set(test.family[test.label == 1]))
    families = config.protocol.families or tuple(found)
    if lacking := [name for name in families if name not in found]:
        raise BadInput(f"protocol.families: {lacking[0]} is not in {folder}: {', '.join(found)}")
    planned = []
    for seed in config.protocol.seeds:
        for arm in config.protocol.arms:
            name, *changes = arm.split() or [""]
            if others := [change for change in changes if not change.startswith(ARMS)]:
                raise BadInput(
                    f"protocol.arms: {others[0]}: all arms share one dataset and protocol; an arm "
                    "may change train.KEY and evaluate.KEY"
                )
            changed = override(config, changes)
            for family in families:
                stem = "-".join(filter(None, (name, f"seed{seed}", family)))
                own = dataclasses.replace(
                    changed,
                    name=f"{config.name}/{stem}",
                    seed=seed,
                    build=dataclasses.replace(config.build, out=str(folder)),
                    train=dataclasses.replace(changed.train, holdout_family=family),
                )
                planned.append(Cell(name or "as configured", seed, family, own))
    return planned


def finish(cell: Cell, folder: Path) -> None:
    """Do what is missing of a cell; its results say with which settings they were made."""
    train(cell.config, folder)
    mark, wanted = cell.run / "measured.json", to_dict(cell.config.evaluate)
    made = runs.read_json(mark, "") if mark.is_file() else {}
    if made.get("evaluate") != wanted:
        made = {"evaluate": wanted, "done": []}
    settings = cell.config.protocol
    for name, wished in (("metrics", True), ("grid", settings.grid),
                         ("baselines", settings.baselines)):  # fmt: skip
        if wished and name not in made["done"]:
            if name == "metrics":
                evaluate(cell.run, folder, cell.config)
            elif name == "grid":
                grid(cell.run, folder, cell.config)
            else:
                compare(cell.run, folder, cell.config, cache=cell.run.parent)
            made["done"] = [*made["done"], name]
            runs.write_json(mark, made)


def numbers(cell: Cell) -> dict[str, float] | None:
    """The headline of a cell as far as it is known; None where it is not measured yet."""
    mark = cell.run / "measured.json"
    if not mark.is_file() or "metrics" not in (done := runs.read_json(mark, "")["done"]):
        return None
    rows = _read(cell, "metrics")["metrics"]
    value = {(row["slice"], row["metric"]): row["value"] for row in rows}
    on = next((n for n, m in value if n.startswith(f"family={cell.family} vs ")), "")
    errors = [
        v for (name, metric), v in value.items()
        if metric == "ece" and name.startswith("channel=") and v is not None
    ]  # fmt: skip
    wanted = {
        "auc": (f"family={cell.family}", "auc"), "tpr": (on, "tpr_at_tnr_95"),
        "auc_all": ("all", "auc"),
        **{name: ("all", name) for name in (
            "exchange_gap", "damage_bias_gap", "average_precision", "tpr_at_1", "tpr_at_5", "brier"
        )},
        **{f"tnr_{name}": (f"authentic={name}", "tnr_at_threshold")
           for name in ("real_damage", "markup", "softened")},
        **{f"pixel_f1_{name}": (f"topology={name}", "pixel_f1")
           for name in ("full", "exchange", "blend")},
    }  # fmt: skip
    result = {name: value.get(where) for name, where in wanted.items()}
    result["ece_worst_channel"] = max(errors, default=None)
    if "grid" in done:
        sent = {
            (row["channel"], row["metric"]): row["value"]
            for row in _read(cell, "grid")["rows"]
            if row["family"] == "all"
        }
        result["pixel_f1_exchange_jpeg80"] = sent["JPEG 80", "pixel_f1_exchange"]
        result["drop_chat"] = sent.get(("chat app", "drop"))
    if "baselines" in done:
        for row in _read(cell, "baselines")["rows"]:
            if (row["metric"], row["slice"]) == ("margin", "unseen family"):
                result["margin"] = row["value"]
    return {name: float(found) for name in HEADLINE if (found := result.get(name)) is not None}


def _read(cell: Cell, name: str) -> dict[str, Any]:
    return runs.read_json(cell.run / f"{name}.json", f"delete {cell.run} and run again")


def collect(planned: list[Cell], config: Config) -> dict[str, Any]:
    """Sum up the finished cells, arm by arm, and name the missing ones."""
    measured = {cell.run.name: numbers(cell) for cell in planned}
    lines = [
        {"arm": cell.arm, "seed": cell.seed, "family": cell.family, "run": cell.run.name}
        | (measured[cell.run.name] or {})
        for cell in planned
        if measured[cell.run.name]
    ]
    table = pd.DataFrame(lines)
    arms = dict.fromkeys(cell.arm for cell in planned)
    summary = {
        "name": config.name,
        "arms": {
            arm: list(_summed(table[table.arm == arm], to_dict(config.protocol.targets)))
            for arm in arms
            if len(table) and (table.arm == arm).any()
        },
        "cells": lines,
        "missing": [name for name, found in measured.items() if not found],
        "families": sorted({cell.family for cell in planned}),
        "seeds": list(config.protocol.seeds),
    }
    return dict(finite(summary))


def _summed(table: pd.DataFrame, targets: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One row per number: mean over families and seeds, range over seeds, worst family."""
    aims: dict[tuple[str, str], Any] = {
        TARGETS.get(name, (name, "mean")): values for name, values in targets.items() if values
    }
    for name, title in HEADLINE.items():
        known = table[table[name].notna()] if name in table else table.head(0)
        if not len(known):
            continue
        seeds = known.groupby("seed")[name].mean().tolist()
        families = known.groupby("family")[name].mean().to_dict()
        worst = (max if name in SMALL_IS_GOOD else min)(families, key=lambda f: families[f])
        yield {
            "number": name, "title": title,
            "mean": float(np.mean(list(families.values()))),
            "seed_low": min(seeds), "seed_high": max(seeds),
            "worst": families[worst], "worst_family": worst, "cells": len(known),
            "target_mean": list(aims.get((name, "mean"), [])),
            "target_worst": list(aims.get((name, "worst"), [])),
        }  # fmt: skip


def markdown(summary: Mapping[str, Any]) -> str:
    """The summary as a page: one table per arm, one line per cell, and what is missing."""
    lines = [f"# Protocol {summary['name']}", ""]
    lines += [
        "One decoder family is left out of training at a time. Mean over families and seeds with "
        "the range of the seeds' means; the worst family with its mean over seeds; targets (first "
        "/ aim) where there are any.", "",
    ]  # fmt: skip
    for arm, rows in summary["arms"].items():
        lines += [f"## {arm}", "", "| number | mean | seeds | target | worst family | target |",
                  "|---|---|---|---|---|---|"]  # fmt: skip
        for row in rows:
            aims = [" / ".join(f"{v:g}" for v in row[f"target_{n}"]) for n in ("mean", "worst")]
            lines.append(
                f"| {row['title']} | {row['mean']:.3f} | {row['seed_low']:.3f} to "
                f"{row['seed_high']:.3f} | {aims[0]} | {row['worst']:.3f} ({row['worst_family']}) "
                f"| {aims[1]} |"
            )
        lines.append("")
    if summary["cells"]:
        lines += ["## Runs", "", "| run | AUC, left out | TPR | AUC, all |", "|---|---|---|---|"]
        for cell in summary["cells"]:
            shown = ("" if v is None else f"{v:.3f}" for v in map(cell.get, _SHOWN))
            lines.append(f"| {cell['run']} | {' | '.join(shown)} |")
        lines.append("")
    if summary["missing"]:
        lines += [f"Not finished: {', '.join(summary['missing'])}.", ""]
    return "\n".join(lines)


_SHOWN = ("auc", "tpr", "auc_all")

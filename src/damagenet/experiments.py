"""Run folders as one table: what was asked for, what came out, where they differ.

Runs of the same settings but for the seed are summed up as mean and range, never as the best.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import safetensors

from damagenet import BadInput, runs
from damagenet.config import load, to_dict
from damagenet.incoming import shown

FILES = frozenset(
    "config.yaml environment.json train.csv last.safetensors best.safetensors metrics.json".split()
)
"""A folder that holds one of these is taken for a run."""
COLUMNS = ["run", "state", "began", "commit", "dataset", "step", "steps", "seed"]
MAIN = ("image_auc", "tpr_at_5_fpr", "tpr_at_5_fpr_on_damaged", "pixel_f1")
SMALL_IS_GOOD = ("brier", "damage_bias_gap", "ece", "exchange_gap", "pixel_false_alarms")
APART = ("name", "seed", "build.out", "products.table", "train.tensorboard")
"""Settings that make no other experiment: where things lie, and the seed."""
_DAMAGED = (KeyError, TypeError, AttributeError, ValueError, OSError)


def table(*folders: str | Path) -> pd.DataFrame:
    """All runs in and below folders, one row each.

    Columns: `state` (finished; trained, that is not evaluated; interrupted, or running now),
    `began` (UTC), `commit`, `dataset` (hash), `step` of `steps`; every number of the headline, with
    the ends of its 95 % interval as `NAME_low` and `NAME_high`, NaN where it is unknown; and every
    setting under its key. The index names the folder.

    Args:
        folders: Run folders or folders of them, at any depth; default: `runs`.

    Returns:
        The table; its `attrs["skipped"]` is a list of (folder, why it is no run).

    Raises:
        BadInput: No such folder.
    """
    rows, skipped = [], []
    for top in folders or ("runs",):
        for run, reason in _found(Path(top)):
            try:
                if reason:
                    raise BadInput(reason)
                rows.append(read(run))
            except BadInput as error:
                skipped.append((str(run), str(error)))
    found = pd.DataFrame(rows, columns=None if rows else COLUMNS)
    found = found.drop_duplicates("run").set_index("run")
    found["began"] = pd.to_datetime(found.began, utc=True)
    found.attrs["skipped"] = skipped
    return found


def _found(top: Path) -> Iterator[tuple[Path, str]]:
    """Folders that look like runs, and those directly below `top` that hold none."""
    if not top.is_dir():
        raise BadInput(f"{top}: no such folder; runs/ is made by `damagenet train CONFIG`")
    seen = []
    for place, folders, files in os.walk(top):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if "dataset.json" in files or "manifest.parquet" in files:
            folders.clear()  # perhaps a million pictures
        if FILES & set(files):
            seen.append(Path(place))
            yield Path(place), ""
    if top not in seen:
        for child in sorted(path for path in top.iterdir() if path.is_dir()):
            if not any(run.is_relative_to(child) for run in seen):
                yield child, "no run in there"


def read(run: Path) -> dict[str, Any]:
    """One row of the table.

    Raises:
        BadInput: No run, or one with a damaged file.
    """
    if not (run / "config.yaml").is_file():
        raise BadInput(f"{run}: no config.yaml, so not a run or the rest of one")
    settings = to_dict(load(run / "config.yaml"))
    facts = runs.read_json(run / "environment.json", "the run cannot be told")
    measured, step = {}, 0
    try:
        if (run / "last.safetensors").is_file():
            with safetensors.safe_open(run / "last.safetensors", "numpy") as handle:
                step = int(json.loads(handle.metadata()["state"])["step"])
        if (run / "metrics.json").is_file():
            measured = runs.read_json(run / "metrics.json", "evaluate again")
            settings["evaluate"] |= measured["config"]["evaluate"]
            step = step or int(measured["trained"]["step"])
        done = "finished" if measured else "trained"
        written = (run / "environment.json").stat().st_mtime
        return {
            "run": run.as_posix(),
            "state": done if (run / "best.safetensors").is_file() else "interrupted",
            "began": facts.get("began") or pd.Timestamp(written, unit="s", tz="UTC").isoformat(),
            "commit": str(facts["commit"]), "dataset": str(facts["dataset"]),
            "step": step, "steps": settings["train"]["steps"],
            **dict(_numbers(measured.get("headline", {}))), **dict(_flat(settings)),
        }  # fmt: skip
    except safetensors.SafetensorError as error:
        raise BadInput(f"{run / 'last.safetensors'}: damaged ({error})") from None
    except _DAMAGED as error:
        raise BadInput(f"{run}: a file is damaged or foreign ({error!r})") from None


def _numbers(headline: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, number in headline.items():
        for key, end in (("value", ""), ("low", "_low"), ("high", "_high")):
            yield name + end, float("nan" if number[key] is None else number[key])


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", tuple(value) if isinstance(value, list) else value


def settings(found: pd.DataFrame) -> list[str]:
    """The columns of a table that are settings."""
    return [name for name in map(str, found) if "." in name or name in ("name", "seed")]


def metrics(found: pd.DataFrame) -> list[str]:
    """The columns of a table that are numbers of merit, without the ends of their intervals."""
    return [name for name in map(str, found) if f"{name}_low" in found]


def ordered(found: pd.DataFrame, metric: str) -> pd.DataFrame:
    """A table with the best run first; runs without that number last.

    Raises:
        BadInput: No run has such a number.
    """
    if metric not in (known := metrics(found)):
        raise BadInput(f"{metric}: no run has this number; known: {', '.join(known) or 'none yet'}")
    return found.sort_values(metric, ascending=metric in SMALL_IS_GOOD, kind="stable")


def differences(found: pd.DataFrame) -> pd.DataFrame:
    """The settings, commit and dataset in which runs differ, one column each."""
    places = ("name", "build.out", "products.table")
    names = ["commit", "dataset", *(name for name in settings(found) if name not in places)]
    return found[[name for name in names if name in found and found[name].nunique(False) > 1]]


def seeds(found: pd.DataFrame) -> pd.DataFrame:
    """Mean and range over seeds, for every set of finished runs that differ in nothing else.

    Runs of one seed on several datasets are kept apart by dataset; repeats of a seed count once.

    Returns:
        Columns `seeds`, `commits`, `datasets` (how many), and per number `NAME` (the mean over
        seeds), `NAME_low` and `NAME_high` (the least and the largest); NaN where one is undefined.
    """
    done = found[found.state == "finished"]
    lines = []
    for alike in _alike(done, [name for name in settings(done) if name not in APART]):
        of_seed = alike.groupby("seed")[metrics(done)].agg(_mean)
        if len(of_seed) < 2:
            continue
        label = re.sub(r"(seed=?)\d+", r"\1*", alike.index[-1])
        line = {"runs": label, "seeds": " ".join(map(str, of_seed.index)),
                "commits": alike.commit.nunique(), "datasets": alike.dataset.nunique()}  # fmt: skip
        for name, values in of_seed.items():
            line[str(name)] = values.mean(skipna=False)
            line[f"{name}_low"], line[f"{name}_high"] = values.min(), values.max()
        lines.append(line)
    return pd.DataFrame(lines).set_index("runs") if lines else pd.DataFrame()


def _mean(values: pd.Series[float]) -> float:
    return float(values.mean(skipna=False))  # a mean of what is unknown is unknown


def _alike(done: pd.DataFrame, keys: Sequence[str]) -> Iterator[pd.DataFrame]:
    if not len(done):
        return
    for _, alike in done.groupby(list(keys), sort=False, dropna=False):
        if alike.groupby("seed").dataset.nunique().max() > 1:
            yield from (rows for _, rows in alike.groupby("dataset", sort=False))
        else:
            yield alike


def logs(*folders: str | Path) -> dict[str, pd.DataFrame]:
    """train.csv of every run in and below folders that has one, by name of the run."""
    files = {run: Path(run) / "train.csv" for run in table(*folders).index}
    return {run: pd.read_csv(path) for run, path in files.items() if path.is_file()}


def text(found: pd.DataFrame, width: int = 120) -> str:
    """The table for a terminal, then mean and range over seeds, then what differs."""
    main = [name for name in MAIN if name in found]
    numbered = found.set_axis([f"{n}  {run}" for n, run in enumerate(found.index, 1)])
    listed = pd.DataFrame({
        "began": found.began.dt.strftime("%Y-%m-%d %H:%M"), "commit": found.commit.map(_short),
        "state": found.state, "steps": found.step.astype(str) + "/" + found.steps.astype(str),
        **{name: _between(found, name) for name in main},
    }).set_axis(numbered.index)  # fmt: skip
    parts = ["number [95 % interval]", _plain(listed, width)] if len(found) else ["no runs"]
    if len(summed := seeds(found)):
        kept = summed[["seeds", "commits", "datasets"]]
        kept = kept.drop(columns=[n for n in ("commits", "datasets") if (kept[n] == 1).all()])
        kept = kept.assign(**{name: _between(summed, name) for name in main})
        parts += ["", "same settings, several seeds: mean [least, largest]", _plain(kept, width)]
    differing = differences(found)
    if len(differing.columns):
        told = differing.map(_short).set_axis(numbered.index)
        if len(told.columns) > len(told):
            told = told.set_axis([f"{n}" for n in range(1, len(told) + 1)]).T
        parts += ["", "what differs", _plain(told, width)]
    parts += ["", *(f"skipped {shown(place)}: {shown(why)}" for place, why in
                    found.attrs.get("skipped", []))]  # fmt: skip
    return "\n".join(parts).rstrip()


def _short(value: object) -> str:
    """A setting in few characters: lists as in YAML, hashes cut."""
    text = f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value)
    if re.fullmatch(r"[0-9a-f]{40,}(\+dirty)?", text):
        return text[:7] + text.partition("+dirty")[1]
    return text if len(text) <= 24 else text[:23] + "…"


def _between(found: pd.DataFrame, name: str) -> list[str]:
    ends = zip(found[name], found[f"{name}_low"], found[f"{name}_high"], strict=True)
    return ["-" if value != value else f"{value:.3f} [{low:.3f}, {high:.3f}]"
            for value, low, high in ends]  # fmt: skip


def _plain(rows: pd.DataFrame, width: int) -> str:
    rows = rows.rename(index=shown).rename_axis(None).rename_axis(None, axis=1)
    return re.sub(r" +\\?$", "", rows.to_string(line_width=width), flags=re.M)


def plain(found: pd.DataFrame) -> dict[str, Any]:
    """All of it as JSON types: `runs`, `seeds`, `differ` (names of settings) and `skipped`."""

    def records(rows: pd.DataFrame) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = json.loads(
            rows.reset_index().to_json(orient="records", date_format="iso", date_unit="s")
        )
        return made

    skipped = [{"folder": place, "reason": why} for place, why in found.attrs.get("skipped", [])]
    return {"runs": records(found), "seeds": records(summed) if len(summed := seeds(found)) else [],
            "differ": list(differences(found)), "skipped": skipped}  # fmt: skip

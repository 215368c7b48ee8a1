"""Build, train and evaluate a config from nothing; does every stage give what it gave before?

    python scripts/reproduce.py configs/reproduce.yaml              # or: make reproduce
    python scripts/reproduce.py configs/reproduce.yaml --accept     # after a change that was meant

What is expected lies beside the config (reproduce.expected.json). Hashes of photos must be equal
everywhere; those of the dataset, the weights and the numbers on one kind of processor with one set
of library versions, as constraints.txt names them (decoders, JPEG and convolutions round as they
like); a hash that is not expected is not compared (weights of an older commit have bands alone).
Numbers must lie within their bands everywhere. It stops at the first stage that differs.

Bands come from trainings of several seeds on one dataset, as 99 % prediction intervals for one more
training; or, where a training takes long (`--seeds 1`), from the 95 % bootstrap over products.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import stats

from damagenet import BadInput, config, runs
from damagenet.config import Config, digest, to_dict
from damagenet.detect import bootstrap, model
from damagenet.detect.evaluate import evaluate
from damagenet.detect.train import train
from damagenet.synth import dataset, products

STAGES = ("products", "build", "train", "evaluate")
FLOOR = 0.01
"""No band reaches less far than this to either side."""
Values = dict[str, float | str]


@dataclass(frozen=True)
class Line:
    """One value of a stage beside what was expected of it."""

    stage: str
    name: str
    wanted: str
    found: str
    verdict: str
    differs: bool


def stages(settings: Config, workers: int = 1) -> Iterator[tuple[str, Values]]:
    """Run stage after stage in the run folder of a config; what each gave: hashes and numbers."""
    table = settings.run_dir / "products.parquet"
    photos = products.resolve(settings.products, table, workers)
    hashes = sorted(zip(photos.sha256, photos.condition, strict=True))
    yield "products", {"sha256": digest(hashes)}
    if not settings.products.table:
        settings = replace(settings, products=replace(settings.products, table=str(table)))
    folder = dataset.build(settings, workers=workers)
    yield "build", {"sha256": str(dataset.read_card(folder)["manifest_sha256"])}
    yield from learnt(settings, folder)


def learnt(settings: Config, folder: Path) -> Iterator[tuple[str, Values]]:
    """The stages after the dataset."""
    run = train(settings, folder)
    network, facts = model.load(run / "best.safetensors")
    weights = {name: part.numpy().tobytes().hex() for name, part in network.state_dict().items()}
    yield "train", {"sha256": digest(weights), "validation_auc": facts["val"]["auc"]}
    headline = evaluate(run, folder, settings)["headline"]
    numbers = {name: round(number["value"], 6) for name, number in headline.items()}
    yield "evaluate", {"sha256": digest(numbers), **numbers}


def compare(stage: str, wanted: Mapping[str, Any], found: Values, foreign: str) -> Iterator[Line]:
    """Values of a stage against what is expected.

    Args:
        stage: One of `STAGES`.
        wanted: Per name `value`, and `low` and `high` where a band is allowed.
        found: Per name the value.
        foreign: What is unlike the place where the expectation was made; empty: nothing.
    """
    for name in dict.fromkeys([*wanted, *found]):
        if name not in wanted and isinstance(found[name], str):
            yield Line(stage, name, "any", str(found[name])[:12], "not compared", False)
            continue
        if name not in wanted or name not in found:
            sides = ("-", found[name]) if name in found else (wanted[name]["value"], "-")
            yield Line(stage, name, *map(str, sides), "only on one side", True)
            continue
        mark, value = wanted[name], found[name]
        if isinstance(value, str):
            same, exact = value == mark["value"], stage == "products" or not foreign
            words = "equal" if same else "DIFFERS" if exact else "other place, other bytes"
            yield Line(stage, name, mark["value"][:12], value[:12], words, exact and not same)
        else:
            inside = mark["low"] <= value <= mark["high"]
            band = f"{mark['value']:.3f} [{mark['low']:.3f}, {mark['high']:.3f}]"
            words = "within" if inside else "OUTSIDE"
            yield Line(stage, name, band, f"{value:.3f}", words, not inside)


def surroundings() -> dict[str, str]:
    """What bytes may depend on besides the code: processor, Python, library versions."""
    about = runs.environment()
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    processor = (names or [platform.processor() or platform.machine()])[0]
    versions = {k: v for k, v in about["versions"].items() if k != "damagenet"}
    return {
        "processor": f"{processor}, {torch.backends.cpu.get_cpu_capability()}",
        "python": ".".join(platform.python_version_tuple()[:2]), **versions,
    }  # fmt: skip


def foreign(wanted: Mapping[str, str], here: Mapping[str, str]) -> str:
    """How this place differs from another one, in words; empty: not at all."""
    names = [name for name in sorted({*wanted, *here}) if wanted.get(name) != here.get(name)]
    return "; ".join(f"{n} {wanted.get(n, 'none')} -> {here.get(n, 'none')}" for n in names)


def band(values: list[float], spread: tuple[float, float] | None = None) -> dict[str, float]:
    """The first of several values with a band around it.

    Args:
        values: Of trainings that differ in their seed.
        spread: The band, where it is known; without one, the 99 % prediction interval for one more
            value by Student's t: mean +- t(0.995, n - 1) s sqrt(1 + 1 / n).
    """
    if spread is None:
        n, mean = len(values), float(np.mean(values))
        half = stats.t.ppf(0.995, n - 1) * np.std(values, ddof=1) * math.sqrt(1 + 1 / n)
        spread = (min(mean - half, *values), max(mean + half, *values))
    low, high = min(spread[0], values[0] - FLOOR), max(spread[1], values[0] + FLOOR)
    return {"value": values[0], "low": round(low, 4), "high": round(min(1.0, high), 4)}


def resampled(run: Path) -> dict[str, tuple[float, float]]:
    """95 % bootstrap intervals over product groups of the numbers of an evaluated run."""
    record = runs.read_json(run / "metrics.json", "evaluate first")
    found = {name: (row["low"], row["high"]) for name, row in record["headline"].items()}
    scored = pd.read_parquet(run / "predictions.parquet")
    val = scored[scored.split == "val"]
    rng = runs.rng_for(record["config"]["seed"], "bootstrap")
    weight = bootstrap.weights(val.group_id.to_numpy(), rng, 1000)
    ranked = bootstrap.ranked(val.label.to_numpy(), val.logit.to_numpy(), weight)
    return found | {"validation_auc": bootstrap.interval(bootstrap.auc(ranked))[1:]}


def accept(settings: Config, own: bool, seeds: int, workers: int) -> dict[str, Any]:
    """Train with several seeds on one dataset; the expectation that follows."""
    done = dict(stages(settings, workers))
    numbers = pd.DataFrame([_numbers(done)])
    for seed in range(settings.seed + 1, settings.seed + seeds):
        other = replace(settings, seed=seed, name=f"{settings.name}/seed{seed}")
        again = dict(learnt(other, settings.dataset_dir))
        numbers = pd.concat([numbers, pd.DataFrame([_numbers(again)])], ignore_index=True)
    spread = resampled(settings.run_dir) if seeds == 1 else {}
    expected = {
        stage: {
            name: {"value": value}
            if isinstance(value, str)
            else band(list(numbers[name]), spread.get(name))
            for name, value in values.items()
        }
        for stage, values in done.items()
    }
    return {
        "config": digest(to_dict(replace(settings, name=""))),
        "photos": "project" if own else "DAMAGENET_DATA",
        "bands": "99 % prediction interval of one training, from several seeds on one dataset"
        if seeds > 1
        else "95 % bootstrap over the products of one training",
        "seeds": list(range(settings.seed, settings.seed + seeds)),
        "commit": runs.commit(),
        "place": surroundings(),
        "stages": expected,
    }


def _numbers(done: Mapping[str, Values]) -> dict[str, float]:
    pairs = [pair for values in done.values() for pair in values.items()]
    return {name: value for name, value in pairs if not isinstance(value, str)}


def check(settings: Config, expected: Mapping[str, Any], workers: int) -> list[Line]:
    """All stages up to the first that differs, each beside what is expected of it."""
    other, lines = foreign(expected["place"], surroundings()), []
    for stage, found in stages(settings, workers):
        lines += compare(stage, expected["stages"][stage], found, other)
        if any(line.differs for line in lines):
            break
    print("\n" + table(lines))
    if other:
        print(f"\nHashes of build, train and evaluate need not be equal here: {other}")
    return lines


def table(lines: list[Line]) -> str:
    """The comparison for the eye."""
    rows = [(line.stage, line.name, line.wanted, line.found, line.verdict) for line in lines]
    rows = [("stage", "value", "expected", "found", ""), *rows]
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def prepared(path: Path, resume: bool) -> tuple[Config, Path]:
    """A config with a run folder of its own, emptied; and where its expectation lies."""
    settings = config.load(path)
    build = replace(settings.build, out="")
    settings = replace(settings, name=f"reproduced/{settings.name}", build=build)
    if not resume:
        shutil.rmtree(settings.run_dir, ignore_errors=True)
    return settings, path.with_suffix(".expected.json")


def main(arguments: list[str] | None = None) -> int:
    """Check or accept; the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path, help="such as configs/reproduce.yaml")
    parser.add_argument("--accept", action="store_true", help="write what is found as expected")
    parser.add_argument(
        "--seeds", type=int, default=5, help="trainings for the bands: 3 or more, or 1"
    )
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    parser.add_argument("--workers", type=int, default=1, help="processes of the build")
    args = parser.parse_args(arguments)
    if args.seeds < 1 or args.seeds == 2:
        parser.error("--seeds: a band needs 3 trainings at least, or 1 and the bootstrap")
    try:
        settings, path = prepared(args.config, args.resume)
        if args.accept:
            own = not os.environ.get("DAMAGENET_DATA")
            if path.is_file() and (own := runs.read_json(path, "")["photos"] == "project"):
                os.environ.pop("DAMAGENET_DATA", None)
            runs.write_json(path, accept(settings, own, args.seeds, args.workers))
            print(f"{path}: written; look at the difference before you commit it")
            return 0
        expected = runs.read_json(path, f"`python scripts/reproduce.py {args.config} --accept`")
        if expected["config"] != digest(to_dict(replace(settings, name=""))):
            raise BadInput(f"{path}: is of another {args.config.name}; look, then use --accept")
        if expected["photos"] == "project":
            os.environ.pop("DAMAGENET_DATA", None)
        elif not os.environ.get("DAMAGENET_DATA"):
            raise BadInput(f"{path}: was made with photos of your own; set DAMAGENET_DATA")
        lines = check(settings, expected, args.workers)
    except BadInput as error:
        print(error, file=sys.stderr)
        return 1
    worst = next((line for line in lines if line.differs), None)
    if worst:
        print(f"\nFIRST STAGE THAT DIFFERS: {worst.stage} ({worst.name}); later ones were not run")
        return 1
    print("\nreproduced: " + ", ".join(STAGES))
    return 0


if __name__ == "__main__":
    sys.exit(main())

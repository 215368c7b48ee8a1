"""What each command does: call the stage, print. Heavy imports wait until their stage."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

from damagenet import BadInput
from damagenet.incoming import shown
from damagenet.stages_claims import catalogue, find, inspect, predict, review
from damagenet.stages_experiments import doctor, runs, sweep


def products(args: argparse.Namespace) -> int:
    """Register photos."""
    from damagenet.synth import products as stage

    if args.out.suffix != ".parquet":
        raise BadInput(f"{args.out}: name the table such as products.parquet")
    intact, damaged = list(map(Path, args.folders)), list(map(Path, args.damaged))
    if not intact and not damaged:
        intact, damaged = stage.default_folders()
    table, refused = stage.register(intact, damaged, args.workers)
    stage.save(table, refused, args.out)
    for item in refused:
        print(f"refused {shown(item.path)}: {shown(item.reason)}", file=sys.stderr)
    counts = table.condition.value_counts().to_dict()
    print(
        f"{args.out}: {len(table)} photos ({', '.join(f'{n} {c}' for c, n in counts.items())}), "
        f"{table.group_id.nunique()} groups, {table.source.nunique()} sources; "
        f"{len(refused)} refused"
    )
    return 0


def build(args: argparse.Namespace) -> int:
    """Build the dataset."""
    from damagenet import config
    from damagenet.synth import dataset

    settings = config.load(args.config, args.overrides)
    out = dataset.build(settings, args.out, args.workers, args.dask)
    manifest = dataset.read_manifest(out, ["cell", "split"])
    print(manifest.groupby(["cell", "split"]).size().unstack(fill_value=0).to_string())
    print(f"{out}: {len(manifest)} pictures")
    return 0


def audit(args: argparse.Namespace) -> int:
    """Probe the dataset for shortcuts."""
    from damagenet import config
    from damagenet.synth import audit as stage
    from damagenet.synth import card

    given = {key: getattr(args, key) for key in ("limit", "pixel_limit", "folds")}
    given = {key: value for key, value in given.items() if value is not None}
    config.check(config.Config(audit=config.Audit(**given)), "audit")
    limits = dataclasses.replace(stage.configured(args.dataset), **given)
    result = stage.audit(args.dataset, limits, args.workers)
    print(stage.table(result))
    print(f"{card.write(args.dataset)}: the dataset in one page")
    if not result["passed"]:
        print(
            f"{args.dataset}: a detector could cheat on this dataset; see the remedies above",
            file=sys.stderr,
        )
    return 0 if result["passed"] else 1


def train(args: argparse.Namespace) -> int:
    """Train a detector."""
    from damagenet import config
    from damagenet.detect.train import train as stage

    settings = config.load(args.config, args.overrides)
    stage(settings, args.data, args.resume)
    return 0


def evaluate(args: argparse.Namespace) -> int:
    """Measure a trained run."""
    from damagenet.detect.evaluate import evaluate as stage

    result = stage(args.run, args.data)
    for name, number in result["headline"].items():
        against = f"  vs {number['negatives']}" if "negatives" in number else ""
        print(f"{name:<28}{_number(number)}{against}")
    print(f"{args.run / 'metrics.json'}: all slices; figures in {args.run / 'figures'}")
    return 0


def grid(args: argparse.Namespace) -> int:
    """Send test pictures through other channels."""
    from damagenet.detect.grid import grid as stage

    result = stage(args.run, args.data)
    for row in result["rows"]:
        if row["family"] == "all" and row["metric"] == "auc":
            print(f"{row['channel']:<16}{_number(row)}")
    print(f"{args.run / 'grid.json'}: AUC above, more inside; figures in {args.run / 'figures'}")
    return 0


def compare_baselines(args: argparse.Namespace) -> int:
    """Measure simpler methods on the same pictures."""
    from damagenet.detect.baselines import compare

    compare(args.run, args.data)
    print((args.run / "baselines.md").read_text(encoding="utf-8"))
    return 0


def protocol(args: argparse.Namespace) -> int:
    """Leave one decoder family out, in turn."""
    from damagenet import config
    from damagenet.detect.protocol import markdown
    from damagenet.detect.protocol import protocol as stage

    settings = config.load(args.config, args.overrides)
    print(markdown(stage(settings, args.data, args.workers)))
    return 0


def _number(row: dict[str, float]) -> str:
    """`0.812  [0.750, 0.866]`; undefined numbers as dashes."""
    shown = ["-" if row[k] is None else f"{row[k]:.3f}" for k in ("value", "low", "high")]
    return "{}  [{}, {}]".format(*shown)


def export(args: argparse.Namespace) -> int:
    """Write the ONNX file."""
    from damagenet.detect.export import export as stage

    card = stage(args.run)
    size = (args.run / "detector.onnx").stat().st_size / 1e6
    print(
        f"{args.run / 'detector.onnx'}: {size:.1f} MB, differs from torch by at most "
        f"{card['parity']['max_difference']:.1e} over {len(card['parity']['shapes'])} sizes"
    )
    if args.int8:
        from damagenet.detect.int8 import export_int8

        small = export_int8(args.run, args.data)
        print(f"{args.run / 'detector.int8.onnx'}: {small['auc_lost']:.4f} validation AUC lost")
    return 0


STAGES = {
    stage.__name__.replace("_", "-"): stage
    for stage in (
        products,
        build,
        audit,
        train,
        evaluate,
        grid,
        compare_baselines,
        protocol,
        sweep,
        runs,
        export,
        predict,
        review,
        catalogue,
        find,
        inspect,
        doctor,
    )
}

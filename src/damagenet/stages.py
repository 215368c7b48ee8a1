"""What each command does: call the stage, print. Heavy imports wait until their stage."""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from damagenet import BadInput, config, images
from damagenet.incoming import shown

if TYPE_CHECKING:
    from damagenet.claims import Detector
    from damagenet.claims.scores import Scores

LOG_EVERY = 30
"""Seconds between lines of progress where nobody watches."""


def products(args: argparse.Namespace) -> int:
    """Register photos."""
    from damagenet.synth import products as stage

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
    from damagenet.synth import dataset

    out = dataset.build(config.load(args.config, args.overrides), args.out, args.workers)
    manifest = dataset.read_manifest(out)
    print(manifest.groupby(["cell", "split"]).size().unstack(fill_value=0).to_string())
    print(f"{out}: {len(manifest)} pictures")
    return 0


def audit(args: argparse.Namespace) -> int:
    """Probe the dataset for shortcuts."""
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
    return 0


def predict(args: argparse.Namespace) -> int:
    """Score photos."""
    from joblib import cpu_count

    from damagenet.claims import Detector, scores, sources

    separator = b"\0" if args.null else b"\n"
    paths = sources.photos(args.photos, args.column, separator)
    if not paths:
        raise BadInput(f"{' '.join(args.photos)}: no photos found; check the path or the pattern")
    at_once = min(args.workers, len(paths))
    threads = args.threads or (1 if args.dask else max(1, cpu_count() // at_once))
    detector = Detector(args.model, threads, args.recheck)
    if args.out is None:
        failed = _score(args, detector, paths, threads)
    else:
        with scores.Scores(args.out, scores.made_by(detector)) as kept:
            failed = _score(args, detector, paths, threads, kept)
    if failed:
        print(f"{failed} of {len(paths)} files could not be scored", file=sys.stderr)
    return 1 if failed else 0


def _score(
    args: argparse.Namespace, detector: Detector, paths: list[str], threads: int,
    kept: Scores | None = None,
) -> int:  # fmt: skip
    """Score what is missing among the paths and print or keep it; how many failed, ever."""
    from tqdm import tqdm

    from damagenet.claims import cluster, scoring

    missing = {scoring.utf8(path): path for path in paths}
    failed, taken = 0, []
    for record in kept or ():
        if missing.pop(record["path"], None) is not None:
            failed += "error" in record
        taken += [record["heatmap"]] if "heatmap" in record else []
    done, todo = len(paths) - len(missing), list(missing.values())
    if args.dask:
        found = cluster.predict_on(args.dask, todo, detector, args.heatmaps, threads, taken)
    else:
        found = scoring.predict(todo, detector, args.heatmaps, args.workers, taken)
    seen = sys.stderr.isatty()
    bar = tqdm(
        found, "predict", len(paths), initial=done, unit="photo", disable=len(todo) <= 1,
        mininterval=0.1 if seen else LOG_EVERY, delay=0 if seen else LOG_EVERY,
    )  # fmt: skip
    for record in bar:
        failed += "error" in record
        if kept:
            kept.add(record)
        elif args.json or not sys.stdout.isatty():
            print(json.dumps(record, ensure_ascii=False), flush=True)
        elif "error" in record:
            tqdm.write(f"error   {record['error']}")
        else:
            tqdm.write(f"{record['verdict']:<7} {record['score']:.3f}  {shown(record['path'])}")
    if kept:
        kept.finish()
        print(f"{kept.out}: {len(paths)} photos, {len(todo)} of them scored now, {failed} failed")
    return failed


def review(args: argparse.Namespace) -> int:
    """Write an evidence report, or those of a whole table."""
    from damagenet.claims import Detector
    from damagenet.claims.review import review as stage

    if args.claims:
        return _review_all(args)
    photos = images.files_in(args.photos)
    detector = Detector(args.model, recheck=args.recheck)
    report = stage(photos, args.listing, detector, args.out, language=args.lang)
    print(f"{report['verdict']}: {args.out} and {args.out.with_suffix('.json')}")
    return 0


def catalogue(args: argparse.Namespace) -> int:
    """Describe pictures for searching."""
    from damagenet.claims.catalogue import build

    made, refused = build(args.folders, args.out, args.workers)
    for item in refused:
        print(f"refused {shown(item.path)}: {shown(item.reason)}", file=sys.stderr)
    print(f"{args.out}: {len(made.paths)} pictures; {len(refused)} refused")
    return 1 if refused else 0


def find(args: argparse.Namespace) -> int:
    """Find claims in a catalogue; one JSON object a line."""
    from damagenet.claims.catalogue import find, load
    from damagenet.claims.reuse import reused

    shelf, failed = load(args.catalogue or args.earlier), 0
    for path in images.files_in(args.photos):
        record: dict[str, object] = {"path": str(path)}
        try:
            claim = images.read(path)
        except BadInput as error:
            record["error"], failed = str(error), failed + 1
        else:
            found = find(claim, shelf) if args.catalogue else reused(claim, shelf)
            told = [(m.path, vars(getattr(m, "comparison", m))) for m in found]
            record["found"] = [{"path": at} | {k: v[k] for k in ("finding", "strength")}
                               for at, v in told]  # fmt: skip
        print(json.dumps(record, ensure_ascii=False), flush=True)
    return 1 if failed else 0


def _review_all(args: argparse.Namespace) -> int:
    from damagenet.claims import Detector, queue

    claims = queue.read_claims(args.claims)
    detector = Detector(args.model, recheck=args.recheck)
    rows = queue.review_all(claims, detector, args.out, args.lang)
    wrong = queue.errors(rows)
    for line in wrong:
        print(f"error   {shown(line)}", file=sys.stderr)
    counts = collections.Counter(row["verdict"] for row in rows if not row["error"])
    told = ", ".join(f"{counts[v]} {v}" for v in ("flag", "review", "pass"))
    print(f"{args.out}: {told}; {len(wrong)} of {len(rows)} claims without a report")
    print(f"{args.out / 'summary.csv'}: all of them")
    return 1 if wrong else 0


def inspect(args: argparse.Namespace) -> int:
    """Print what a model says of itself."""
    from damagenet.claims.inspect import inspect as stage
    from damagenet.claims.inspect import text

    path, info = stage(args.file)
    print(json.dumps(info, indent=2, allow_nan=False) if args.json else text(path, info))
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
        export,
        predict,
        review,
        catalogue,
        find,
        inspect,
    )
}

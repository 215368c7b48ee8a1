"""What the commands that use a detector do: call `claims`, print; see `stages`."""

from __future__ import annotations

import argparse
import collections
import json
import sys
from typing import TYPE_CHECKING

from damagenet import BadInput
from damagenet.incoming import shown

if TYPE_CHECKING:
    from damagenet.claims import Detector
    from damagenet.claims.scores import Scores

LOG_EVERY = 30
"""Seconds between lines of progress where nobody watches."""


def predict(args: argparse.Namespace) -> int:
    """Score photos."""
    from joblib import cpu_count

    from damagenet.claims import Detector, scores, sources

    separator = b"\0" if args.null else b"\n"
    paths = _some(sources.photos(args.photos, args.column, separator), args.photos)
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


def _some(paths: list[str], places: list[str]) -> list[str]:
    if not paths:
        raise BadInput(f"{' '.join(places)}: no photos found; check the path or the pattern")
    return paths


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
    from damagenet.claims import Detector, sources
    from damagenet.claims.review import review as stage

    if args.claims:
        return _review_all(args)
    photos = sources.photos(args.photos)
    detector = Detector(args.model, recheck=args.recheck)
    report = stage(photos, args.listing, detector, args.out, language=args.lang)
    print(f"{report['verdict']}: {args.out} and {args.out.with_suffix('.json')}")
    shots = [*report["photos"], report["listing"] or {}]
    wrong = [shot["error"] for shot in shots if shot.get("error")]
    for line in wrong:
        print(f"error   {shown(line)}", file=sys.stderr)
    return 1 if wrong else 0


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
    from damagenet import images
    from damagenet.claims import sources
    from damagenet.claims.catalogue import find, load
    from damagenet.claims.reuse import reused
    from damagenet.claims.scoring import utf8

    shelf, failed = load(args.catalogue or args.earlier), 0
    for path in _some(sources.photos(args.photos), args.photos):
        record: dict[str, object] = {"path": utf8(path)}
        try:
            claim = images.read(path)
            found = find(claim, shelf) if args.catalogue else reused(claim, shelf)
        except BadInput as error:
            record["error"], failed = utf8(str(error)), failed + 1
        else:
            told = [(m.path, vars(getattr(m, "comparison", m))) for m in found]
            record["found"] = [{"path": utf8(at)} | {k: v[k] for k in ("finding", "strength")}
                               for at, v in told]  # fmt: skip
        print(json.dumps(record, ensure_ascii=False), flush=True)
    return 1 if failed else 0


def _review_all(args: argparse.Namespace) -> int:
    from damagenet.claims import Detector, queue

    claims = queue.read_claims(args.claims)
    detector = Detector(args.model, recheck=args.recheck)
    rows = queue.review_all(claims, detector, args.out, args.lang)
    wrong, partly = queue.errors(rows), queue.incomplete(rows)
    for line in (*wrong, *partly):
        print(f"error   {shown(line)}", file=sys.stderr)
    counts = collections.Counter(row["verdict"] for row in rows if not row["error"])
    told = ", ".join(f"{counts[v]} {v}" for v in ("flag", "review", "pass"))
    print(f"{args.out}: {told}; {len(wrong)} of {len(rows)} claims without a report")
    print(f"{args.out / 'summary.csv'}: all of them")
    return 1 if wrong or partly else 0


def inspect(args: argparse.Namespace) -> int:
    """Print what a model says of itself."""
    from damagenet.claims.inspect import inspect as stage
    from damagenet.claims.inspect import text

    path, info = stage(args.file)
    print(json.dumps(info, indent=2, allow_nan=False) if args.json else text(path, info))
    return 0

"""`damagenet <stage> …`: parse, call the stage, print. Heavy imports wait until their stage."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from damagenet import BadInput, __version__, config, images

EXIT = "exit codes: 0 done; 1 the input or the result is bad (the message says how to mend it); " \
       "2 wrong usage"  # fmt: skip


def products(args: argparse.Namespace) -> int:
    """Register photos."""
    from damagenet.synth import products as stage

    intact, damaged = list(map(Path, args.folders)), list(map(Path, args.damaged))
    if not intact and not damaged:
        intact, damaged = stage.default_folders()
    table, refused = stage.register(intact, damaged, args.workers)
    stage.save(table, refused, args.out)
    for item in refused:
        print(f"refused {item.path}: {item.reason}", file=sys.stderr)
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
        print(f"{name:<26}{number['value']:.3f}  [{number['low']:.3f}, {number['high']:.3f}]"
              + (f"  vs {number['negatives']}" if "negatives" in number else ""))  # fmt: skip
    print(f"{args.run / 'metrics.json'}: all slices; figures in {args.run / 'figures'}")
    return 0


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
    from tqdm import tqdm

    from damagenet.claims import Detector
    from damagenet.claims import predict as stage

    detector = Detector(args.model, args.threads, args.recheck)
    paths = images.files_in(args.photos)
    if not paths:
        raise BadInput(f"{' '.join(args.photos)}: no photos found; check the path or the pattern")
    as_json = args.json or not sys.stdout.isatty()
    failed = 0
    quiet = not sys.stderr.isatty() or len(paths) == 1
    for record in stage(tqdm(paths, desc="predict", unit="photo", disable=quiet), detector,
                        args.heatmaps):  # fmt: skip
        failed += "error" in record
        if as_json:
            print(json.dumps(record, ensure_ascii=False), flush=True)
        elif "error" in record:
            tqdm.write(f"error   {record['error']}")
        else:
            tqdm.write(f"{record['verdict']:<7} {record['score']:.3f}  {record['path']}")
    if failed:
        print(f"{failed} of {len(paths)} files could not be scored", file=sys.stderr)
    return 1 if failed else 0


def review(args: argparse.Namespace) -> int:
    """Write an evidence report."""
    from damagenet.claims import Detector
    from damagenet.claims.review import review as stage

    photos = images.files_in(args.photos)
    report = stage(photos, args.listing, Detector(args.model, recheck=args.recheck), args.out)
    print(f"{report['verdict']}: {args.out} and {args.out.with_suffix('.json')}")
    return 0


STAGES = {
    stage.__name__: stage
    for stage in (products, build, audit, train, evaluate, export, predict, review)
}


def _count(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    raw = argparse.RawDescriptionHelpFormatter
    root = argparse.ArgumentParser(
        "damagenet",
        description="Tell AI-doctored product damage from genuine damage.\n\n"
        "products -> build -> audit -> train -> evaluate -> export -> predict, review",
        epilog="damagenet STAGE --help shows examples. " + EXIT,
        formatter_class=raw,
    )
    root.add_argument("--version", action="version", version=f"damagenet {__version__}")
    stages = root.add_subparsers(dest="stage", metavar="STAGE", required=True)

    def stage(name: str, title: str, *examples: str) -> argparse.ArgumentParser:
        lines = "\n".join(f"  damagenet {name} {example}" for example in examples)
        added = stages.add_parser(
            name, help=title, description=title, formatter_class=raw,
            epilog=f"examples:\n{lines}\n\n{EXIT}",
        )  # fmt: skip
        added.set_defaults(call=STAGES[name])
        return added

    def model_options(one: argparse.ArgumentParser) -> None:
        one.add_argument("--model", type=Path, metavar="FILE",
                         help="default: $DAMAGENET_MODEL or the packaged one")  # fmt: skip
        one.add_argument("--no-recheck", action="store_false", dest="recheck",
                         help="do not score again, lightly re-compressed, whatever would pass or "
                         "be flagged")  # fmt: skip

    one = stage(
        "products", "Register photos: check, de-duplicate, group -> products.parquet",
        "photos/ --out products.parquet", "shop/ --damaged returns/ --out products.parquet",
        "--out products.parquet      # $DAMAGENET_DATA, or the project's samples",
    )  # fmt: skip
    one.add_argument("folders", nargs="*", metavar="DIR", help="intact products")
    one.add_argument("--damaged", nargs="+", default=[], metavar="DIR", help="broken products")
    one.add_argument("--out", type=Path, required=True, metavar="FILE", help="products.parquet")
    one.add_argument("--workers", type=_count, default=2, metavar="N")

    one = stage(
        "build", "Build the four-cell dataset -> images/ masks/ manifest.parquet dataset.json",
        "configs/demo.yaml --workers 2", "configs/demo.yaml build.variants=4 --out big/",
    )  # fmt: skip
    one.add_argument("config", metavar="CONFIG")
    one.add_argument("overrides", nargs="*", metavar="key=value")
    one.add_argument("--workers", type=_count, default=2, metavar="N")
    one.add_argument("--out", type=Path, metavar="DIR", help="default: runs/NAME/dataset")

    one = stage(
        "audit", "Probe a dataset for shortcuts -> audit.json, dataset_card.html; exit 1 on a leak",
        "runs/demo/dataset", "big/ --workers 8 --pixel-limit 0.6",
    )  # fmt: skip
    one.add_argument("dataset", type=Path, metavar="DATASET")
    limit = "AUC limit of probes of {}; default: the dataset's own config".format
    one.add_argument("--limit", type=float, metavar="AUC", help=limit("files"))
    one.add_argument("--pixel-limit", type=float, metavar="AUC", help=limit("pixel statistics"))
    one.add_argument("--folds", type=int, metavar="N", help="cross-validation over product groups")
    one.add_argument("--workers", type=_count, default=2, metavar="N")

    one = stage(
        "train", "Train a detector -> runs/NAME/best.safetensors",
        "configs/demo.yaml", "configs/demo.yaml --data big/ name=big train.steps=5000",
        "configs/demo.yaml --resume runs/demo",
    )  # fmt: skip
    one.add_argument("config", metavar="CONFIG")
    one.add_argument("overrides", nargs="*", metavar="key=value")
    one.add_argument("--data", type=Path, metavar="DATASET")
    one.add_argument("--resume", type=Path, metavar="RUN")

    one = stage(
        "evaluate", "Measure a run -> predictions.parquet, figures/, metrics.json", "runs/demo"
    )
    one.add_argument("run", type=Path, metavar="RUN")
    one.add_argument("--data", type=Path, metavar="DATASET")

    one = stage("export", "Export a run -> detector.onnx, detector.json", "runs/demo")
    one.add_argument("run", type=Path, metavar="RUN")

    one = stage(
        "predict", "Score photos: one JSON object a line",
        "claim.jpg", "claim.jpg --model runs/demo/detector.onnx",
        "'inbox/*.jpg' more/ --json --heatmaps heatmaps/ > scores.jsonl",
    )  # fmt: skip
    one.add_argument("photos", nargs="+", metavar="PHOTO", help="files, folders or globs")
    model_options(one)
    one.add_argument("--json", action="store_true", help="JSON lines even on a terminal")
    one.add_argument("--heatmaps", type=Path, metavar="DIR", help="write overlays there")
    one.add_argument("--threads", type=int, default=0, help="0 = as many as there are cores")

    one = stage(
        "review", "All evidence of one claim -> report.html and report.json",
        "claim.jpg --listing listing.jpg --out report.html",
        "claim.jpg --listing listing.jpg --model runs/demo/detector.onnx --out report.html",
    )  # fmt: skip
    one.add_argument("photos", nargs="+", metavar="PHOTO", help="the claim's photos")
    one.add_argument("--listing", type=Path, metavar="FILE", help="the seller's photo")
    model_options(one)
    one.add_argument("--out", type=Path, required=True, metavar="FILE", help="report.html")
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run one stage; the exit code."""
    whole = parser()
    args, rest = whole.parse_known_args(argv)
    # Overrides may stand on either side of options, which argparse alone does not manage.
    if rest and hasattr(args, "overrides") and all("=" in r and r[0] != "-" for r in rest):
        args.overrides += rest
    elif rest:
        whole.error(f"unrecognized arguments: {' '.join(rest)}")
    # Pillow warns of odd files in two lines with paths of its own; what matters is raised anyway.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        code: int = args.call(args)
        return code
    except BadInput as error:
        print(f"damagenet {args.stage}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0

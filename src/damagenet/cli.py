"""`damagenet <stage> …`: parse the command line and call the stage."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from damagenet import BadInput, __version__
from damagenet.completion import SHELLS, PrintCompletion
from damagenet.incoming import shown
from damagenet.stages import STAGES

EXIT = "exit codes: 0 done; 1 the input or the result is bad (the message says how to mend it); " \
       "2 wrong usage"  # fmt: skip


def _count(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _seeds(text: str) -> list[int]:
    """Whole numbers between commas."""
    if not all(part.strip().isdecimal() for part in text.split(",")):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of seeds, such as 1,2,3")
    return list(map(int, text.split(",")))


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
    root.add_argument("--print-completion", choices=SHELLS, action=PrintCompletion,
                      help='for bash: eval "$(damagenet --print-completion bash)"')  # fmt: skip
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
        "big.yaml --out /share/big --dask tcp://10.0.0.1:8786",
    )  # fmt: skip
    one.add_argument("config", metavar="CONFIG")
    one.add_argument("overrides", nargs="*", metavar="key=value")
    one.add_argument("--workers", type=_count, default=2, metavar="N")
    one.add_argument("--out", type=Path, metavar="DIR", help="default: runs/NAME/dataset")
    one.add_argument("--dask", default="", metavar="ADDRESS", help="build on the Dask cluster of "
                     "this scheduler, as in tcp://10.0.0.1:8786")  # fmt: skip

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

    one = stage(
        "grid", "Send test pictures on through other channels -> grid.json, figures/", "runs/demo"
    )
    one.add_argument("run", type=Path, metavar="RUN")
    one.add_argument("--data", type=Path, metavar="DATASET")

    one = stage(
        "compare-baselines", "Measure simpler methods too -> baselines.json, baselines.md",
        "runs/demo",
    )  # fmt: skip
    one.add_argument("run", type=Path, metavar="RUN")
    one.add_argument("--data", type=Path, metavar="DATASET")

    one = stage(
        "protocol", "Leave one decoder family out, in turn -> runs/NAME/protocol.json, .md",
        "configs/protocol.yaml",
        "configs/protocol.yaml protocol.families=[taef2] protocol.seeds=[1] --data big/",
    )  # fmt: skip
    one.add_argument("config", metavar="CONFIG")
    one.add_argument("overrides", nargs="*", metavar="key=value")
    one.add_argument("--data", type=Path, metavar="DATASET", help="default: built where missing")
    one.add_argument("--workers", type=_count, default=2, metavar="N", help="of the build")

    one = stage(
        "sweep", "Train and evaluate a grid of settings and seeds -> runs/NAME/KEY=VALUE,seed=N",
        "configs/demo.yaml train.lr=0.001,0.002 train.width=16,32 --seeds 1,2,3",
        "configs/demo.yaml name=chains 'build.chains=[camera],[chat]' --jobs 2",
        "configs/demo.yaml --seeds 1,2,3 --dask tcp://10.0.0.1:8786    # again: goes on",
    )  # fmt: skip
    one.add_argument("config", metavar="CONFIG")
    one.add_argument("overrides", nargs="*", metavar="key=value,...", help="keys with several "
                     "values, as in YAML, make the grid")  # fmt: skip
    one.add_argument("--seeds", type=_seeds, default=[], metavar="N,N", help="of the trainings; "
                     "all share the dataset of the config's seed; default: that seed")  # fmt: skip
    one.add_argument("--data", type=Path, metavar="DATASET", help="default: built where missing")
    one.add_argument("--workers", type=_count, default=2, metavar="N", help="of the build")
    one.add_argument("--jobs", type=_count, default=1, metavar="N", help="runs at a time; each "
                     "computes on train.threads cores")  # fmt: skip
    one.add_argument("--dask", metavar="ADDRESS", help="run on the Dask cluster of this scheduler: "
                     "its workers see this folder, and their threads take a run each")  # fmt: skip

    one = stage(
        "runs", "List and compare runs; seeds as mean and range, never the best",
        "runs/", "runs/lr/ old/ --sort image_auc --curves curves.png", "--json > runs.json",
    )  # fmt: skip
    one.add_argument("folders", nargs="*", type=Path, metavar="RUNS_DIR", help="default: runs/")
    one.add_argument("--sort", metavar="METRIC", help="best first; names as in metrics.json")
    one.add_argument("--curves", type=Path, metavar="FILE", help="draw all train.csv as PNG")
    one.add_argument("--json", action="store_true", help="everything, as the table holds it")

    one = stage(
        "export", "Export a run -> detector.onnx, detector.json", "runs/demo", "runs/demo --int8"
    )
    one.add_argument("run", type=Path, metavar="RUN")
    one.add_argument("--int8", action="store_true", help="write detector.int8.onnx, too: faster")
    one.add_argument("--data", type=Path, metavar="DATASET", help="for --int8: to measure it on")

    one = stage(
        "predict", "Score photos: one JSON object a line",
        "claim.jpg", "claim.jpg --model runs/demo/detector.onnx",
        "'inbox/*.jpg' more/ --json --heatmaps heatmaps/ > scores.jsonl",
        "claims.csv --column photo --out scores.parquet      # run again to go on",
        "- -0 --out scores.jsonl     # find claims -name '*.jpg' -print0 | damagenet …",
        "/share/claims --out scores.jsonl --dask tcp://10.0.0.1:8786",
    )  # fmt: skip
    one.add_argument("photos", nargs="+", metavar="PHOTO",
                     help="files, folders, globs, tables (.csv, .parquet), or - for a list on "
                     "standard input")  # fmt: skip
    model_options(one)
    one.add_argument("--column", metavar="NAME", help="column with the paths in tables, which are "
                     "relative to the table's folder; default: path")  # fmt: skip
    one.add_argument("-0", "--null", action="store_true", help="paths on standard input end with "
                     "NUL, as find -print0 writes them")  # fmt: skip
    one.add_argument("--out", type=Path, metavar="FILE", help="scores.jsonl or scores.parquet; "
                     "what is in there already is not scored again")  # fmt: skip
    one.add_argument("--json", action="store_true", help="JSON lines even on a terminal")
    one.add_argument("--heatmaps", type=Path, metavar="DIR", help="write overlays there")
    one.add_argument("--workers", type=_count, default=2, metavar="N", help="photos at a time")
    one.add_argument("--threads", type=int, default=0, metavar="N", help="for one photo; 0 shares "
                     "the cores among the workers, with --dask one each")  # fmt: skip
    one.add_argument("--dask", metavar="ADDRESS", help="score on the Dask cluster of this "
                     "scheduler, as in tcp://10.0.0.1:8786")  # fmt: skip

    one = stage(
        "review", "All evidence of one claim -> report.html and report.json, or of a whole table",
        "claim.jpg --listing listing.jpg --out report.html",
        "claim.jpg --listing listing.jpg --model runs/demo/detector.onnx --out report.html",
        "--claims claims.csv --out reports/    # columns claim_id, photos (a.jpg;b.jpg), listing",
    )  # fmt: skip
    one.add_argument("photos", nargs="*", metavar="PHOTO", help="the claim's photos")
    one.add_argument("--listing", type=Path, metavar="FILE", help="the seller's photo")
    one.add_argument("--claims", type=Path, metavar="FILE", help="a table of claims instead")
    model_options(one)
    one.add_argument("--lang", choices=("auto", "en", "zh"), default="auto",
                     help="what reports open in; auto: the reader's browser decides")  # fmt: skip
    one.add_argument("--out", type=Path, required=True, metavar="FILE",
                     help="report.html; with --claims a folder")  # fmt: skip

    one = stage(
        "catalogue", "Describe pictures so that claims are found among them -> one file",
        "shop/ --out shop.safetensors      # again: adds new pictures, drops those gone",
    )  # fmt: skip
    one.add_argument("folders", nargs="+", metavar="DIR", help="folders, files or globs")
    one.add_argument("--out", type=Path, required=True, metavar="FILE")
    one.add_argument("--workers", type=_count, default=2, metavar="N")

    one = stage(
        "find", "Find a claim's listing photo, or what it repeats of earlier claims",
        "claim.jpg --catalogue shop.safetensors", "claim.jpg --earlier claims.safetensors",
    )  # fmt: skip
    one.add_argument("photos", nargs="+", metavar="PHOTO", help="files, folders or globs")
    where = one.add_mutually_exclusive_group(required=True)
    where.add_argument("--catalogue", type=Path, metavar="FILE", help="of listing photos")
    where.add_argument("--earlier", type=Path, metavar="FILE", help="of earlier claims' photos")

    one = stage(
        "inspect", "Print what a model says of itself: promises, results, origin, hashes",
        "runs/demo/detector.onnx", "--json > detector.json",
    )  # fmt: skip
    one.add_argument("file", nargs="?", type=Path, metavar="FILE",
                     help="default: $DAMAGENET_MODEL or the packaged one")  # fmt: skip
    one.add_argument("--json", action="store_true", help="everything, as in detector.json")

    one = stage(
        "doctor", "Say what this machine has and lacks, with the command that mends it",
        "--json > machine.json    # exit 1: something that is needed is broken",
    )  # fmt: skip
    one.add_argument("--json", action="store_true")
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
    if args.stage == "review" and (
        bool(args.photos) == bool(args.claims) or (args.claims and args.listing)
    ):
        whole.error("review takes either PHOTO… (and --listing) or --claims FILE")
    if isinstance(sys.stdout, io.TextIOWrapper):  # file names may hold bytes that are no text
        encoding = None if sys.stdout.isatty() else "utf-8"  # JSON is, whatever the system prefers
        sys.stdout.reconfigure(encoding=encoding, errors="backslashreplace")
    try:
        code: int = args.call(args)
        return code
    except BadInput as error:
        print(f"damagenet {args.stage}: {shown(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.filename is None:
            raise
        place = shown(error.filename2 or error.filename)
        hint = "make room, mend its permissions or name another place"
        print(f"damagenet {args.stage}: {place}: {error.strerror}; {hint}", file=sys.stderr)
        return 1

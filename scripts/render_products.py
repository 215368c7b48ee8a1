"""Render the sample product shots: catalogue pictures of invented goods, nobody else's work.

A small renderer in numpy: every product is a signed distance field, found by sphere tracing (see
scripts/rendering). Backdrop, lamp, camera, file size and JPEG settings are drawn apart from the
product, so that none of them tells what is shown. Pictures that exist are kept, so a run that was
stopped goes on where it was.

Example:
    python scripts/render_products.py --out data/samples --only mug
"""

from __future__ import annotations

import argparse
import csv
import hashlib
from pathlib import Path

from PIL import Image
from rendering.catalogue import SHAPES, plan, shoot
from tqdm import tqdm

NOTES = ("first view", "second view of the same product")
HEADER = "path group_key licence category width height sha256 note".split()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    shapes = "one of: " + ", ".join(SHAPES)
    parser.add_argument(
        "--out", type=Path, default=Path("data/samples"), help="folder for renders/ and sources.csv"
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", choices=sorted(SHAPES), metavar="SHAPE", help=shapes)
    parser.add_argument("--force", action="store_true", help="render again what already exists")
    return parser.parse_args()


def main() -> None:
    args, rows = arguments(), []
    for shape, k, view in (jobs := tqdm(plan(), unit="picture")):
        key = f"{shape}_{k:02d}"
        relative = Path("renders") / shape / f"{key}_{'ab'[view]}.jpg"
        path = args.out / relative
        if args.only in (None, shape) and (args.force or not path.exists()):
            jobs.set_postfix_str(path.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            shoot(path, args.seed, shape, k, view)
        if path.exists():
            with Image.open(path) as image:
                size = image.size
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            note = NOTES[view] + ", rendered by scripts/render_products.py"
            rows.append((relative.as_posix(), key, "Apache-2.0", shape, *size, digest, note))
    with (args.out / "sources.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([HEADER, *rows])


if __name__ == "__main__":
    main()

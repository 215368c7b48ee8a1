"""Plain photos against the same sent whole through a decoder, as a stranger would try it.

    python scripts/bench_plain.py DATASET [--model FILE] [--families taef2] [--holdout taef2]

Photos of products that the dataset's training never saw, at most 14 a source, shrunk to 640 pixels,
saved as JPEG of quality 95, 85 and 75; nothing is aligned and no camera modelled. Prints the AUC of
the model's scores, against all photos and against really damaged ones. `--holdout` also fits the
lattice of `configs/raw.yaml` anew without that family and prints what it alone tells apart.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from damagenet import images
from damagenet.claims import Detector
from damagenet.detect import lattice, metrics
from damagenet.detect.periodic import Periodic
from damagenet.synth import dataset, products, regenerate

SIDE, QUALITIES, A_SOURCE = 640, (95, 85, 75), 14


def saved(picture: np.ndarray, quality: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def pictures(folder: Path, families: list[str]) -> pd.DataFrame:
    """Files and what they are: `file`, `kind` (a family or photo), `quality`, `damaged`."""
    manifest = dataset.read_manifest(folder)
    unseen = set(manifest.product_id[manifest.split != "train"])
    table = products.load(folder / "products.parquet")
    table = table[table.product_id.isin(unseen)].sort_values("product_id")
    rows = []
    for photo in tqdm(list(table.groupby("source").head(A_SOURCE).itertuples()), unit="photo"):
        picture = Image.fromarray(images.read(photo.path))
        share = min(1, SIDE / max(picture.size))
        size = [int(side * share) // 8 * 8 for side in picture.size]
        picture = picture.resize([int(side * share) for side in picture.size], Image.LANCZOS)
        plain = np.asarray(picture)[: size[1], : size[0]]
        kinds = {"photo": plain} | {f: regenerate.regenerate(plain, f) for f in families}
        rows += [
            {"kind": kind, "quality": quality, "damaged": photo.condition == "damaged",
             "file": saved(picture, quality)}
            for kind, picture in kinds.items() for quality in QUALITIES
        ]  # fmt: skip
    return pd.DataFrame(rows)


def table(rows: pd.DataFrame, score: Callable[[bytes], float], families: list[str]) -> str:
    rows = rows.assign(score=[score(file) for file in tqdm(rows.file, unit="picture")])
    lines = ["| decoder | JPEG | AUC | against damaged goods |", "|---|---|---|---|"]
    for kind in families:
        for quality in QUALITIES:
            same = rows[rows.quality == quality]
            doctored, photos = (same[same.kind == name] for name in (kind, "photo"))
            found = []
            for negatives in (photos, photos[photos.damaged]):
                both = pd.concat([doctored, negatives])
                labels = (both.kind == kind).to_numpy(int)
                found.append(metrics.auc(labels, both.score.to_numpy()))
            lines.append(f"| {kind} | {quality} | {found[0]:.3f} | {found[1]:.3f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--families", default="taef2,ae_nearest")
    parser.add_argument("--holdout", default="", metavar="FAMILY")
    parser.add_argument("--raw", type=Path, default=Path("runs/raw/dataset"))
    args = parser.parse_args()
    families = args.families.split(",")
    rows = pictures(args.dataset, families)
    detector = Detector(args.model, threads=1, recheck=False)
    print(table(rows, lambda file: detector(file).score, families))
    if args.holdout:
        fitted = Periodic()
        lattice.fit(fitted, args.raw, 1, args.holdout)
        weight = fitted.weight.numpy()
        print(f"\nThe lattice alone, without {args.holdout} in its fit:\n")
        print(table(rows, lambda f: lattice.strengths(fitted, images.read(f)) @ weight, families))


if __name__ == "__main__":
    main()

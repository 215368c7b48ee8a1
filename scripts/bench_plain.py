"""Plain photos against the same sent through a decoder, as a stranger would try it.

    python scripts/bench_plain.py DATASET [--model FILE] [--families taef2] [--holdout taef2]

Photos of products of the dataset's test split, at most 28 a source, shrunk to 640 pixels, sent
whole or with an ellipse of a sixth to two fifths pasted back, saved as JPEG of quality 95, 85 and
75; nothing is aligned and no camera modelled. Prints the AUC of the model's scores, against all
photos and against really damaged ones, and that of heatmaps within pictures with an ellipse.
`--holdout` also fits the lattice of `configs/raw.yaml` anew without that family and prints what it
alone tells apart.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from damagenet import images, runs
from damagenet.claims import Detector
from damagenet.detect import lattice, metrics
from damagenet.detect.periodic import BLOCK, Periodic, pooled
from damagenet.synth import dataset, products, regenerate

SIDE, QUALITIES, A_SOURCE = 640, (95, 85, 75), 28


def saved(picture: np.ndarray, quality: int = 90, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind, quality=quality)
    return buffer.getvalue()


def photos(folder: Path) -> Iterator[tuple[Any, np.ndarray]]:
    """Rows of the products table and the photos, cut to whole cells of 8 x 8 pixels."""
    manifest = dataset.read_manifest(folder)
    unseen = set(manifest.product_id[manifest.split == "test"])
    table = products.load(folder / "products.parquet")
    table = table[table.product_id.isin(unseen)].sort_values("product_id")
    for photo in tqdm(list(table.groupby("source").head(A_SOURCE).itertuples()), unit="photo"):
        picture = Image.fromarray(images.read(photo.path))
        share = min(1, SIDE / max(picture.size))
        size = [int(side * share) // 8 * 8 for side in picture.size]
        picture = picture.resize([int(side * share) for side in picture.size], Image.LANCZOS)
        yield photo, np.asarray(picture)[: size[1], : size[0]]


def pictures(folder: Path, families: list[str]) -> pd.DataFrame:
    """Files and what they are: `kind` (photo, a family, or part of one), `mask`, `damaged` ..."""
    rows = []
    for photo, plain in photos(folder):
        kinds = {"photo": (plain, None)}
        for family in families:
            made = regenerate.regenerate(plain, family)
            region = ellipse(runs.rng_for(1, photo.product_id, family), plain.shape)
            kinds[family] = made, None
            kinds[f"{family}, a part"] = np.where(region[..., None], made, plain), region
        rows += [
            {"kind": kind, "quality": quality, "damaged": photo.condition == "damaged",
             "mask": mask, "file": saved(picture, quality)}
            for kind, (picture, mask) in kinds.items() for quality in QUALITIES
        ]  # fmt: skip
    return pd.DataFrame(rows)


def ellipse(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    centre, radii = rng.uniform(0.35, 0.65, 2), rng.uniform(0.22, 0.37, 2)
    places = np.stack(np.mgrid[: shape[0], : shape[1]], axis=-1) / shape[:2]
    return (((places - centre) / radii) ** 2).sum(-1) < 1


Found = tuple[float, np.ndarray]


def table(rows: pd.DataFrame, score: Callable[[bytes], Found]) -> str:
    found, places = list[float](), list[float]()
    for file, mask in tqdm(zip(rows.file, rows["mask"], strict=True), total=len(rows)):
        value, heatmap = score(file)
        found.append(value)
        places.append(np.nan if mask is None else metrics.auc(mask.ravel(), heatmap.ravel()))
    rows = rows.assign(score=found, place=places)
    lines = ["| decoder | JPEG | AUC | against damaged goods | pixels |", "|---|---|---|---|---|"]
    for kind in rows.kind.unique()[1:]:
        for quality in QUALITIES:
            same = rows[rows.quality == quality]
            doctored, photos = (same[same.kind == name] for name in (kind, "photo"))
            found = []
            for negatives in (photos, photos[photos.damaged]):
                both = pd.concat([doctored, negatives])
                labels = (both.kind == kind).to_numpy(int)
                found.append(metrics.auc(labels, both.score.to_numpy()))
            where = doctored.place.mean()
            seen = "" if np.isnan(where) else f"{where:.3f}"
            lines.append(f"| {kind} | {quality} | {found[0]:.3f} | {found[1]:.3f} | {seen} |")
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

    def scored(file: bytes) -> Found:
        result = detector(file)
        return result.score, result.heatmap

    print(table(rows, scored))
    if args.holdout:
        fitted = Periodic()
        lattice.fit(fitted, args.raw, 1, args.holdout)
        print(f"\nThe lattice alone, without {args.holdout} in its fit:\n")
        print(table(rows, lambda file: by_lattice(fitted, images.read(file))))


def by_lattice(fitted: Periodic, picture: np.ndarray) -> Found:
    whole, windows = (part[0] for part in fitted.values(*lattice.planes(picture)))
    score = sum(np.logaddexp(0, float(part)) for part in (whole, pooled(windows.flatten()[None])))
    height, width = picture.shape[:2]
    return score, windows.numpy().repeat(BLOCK, 0).repeat(BLOCK, 1)[:height, :width]


if __name__ == "__main__":
    main()

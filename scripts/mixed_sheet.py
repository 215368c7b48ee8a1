"""Doctored and really damaged photos on one sheet, unlabelled, to test the eye with.

    python scripts/mixed_sheet.py runs/baseline/dataset --out runs/sheet

Writes sheet.png and, to be opened after guessing, key.csv beside it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from damagenet import images, runs
from damagenet.synth import dataset


def tile(path: Path, side: int, number: int) -> np.ndarray:
    """A numbered square of `side` pixels holding the whole picture."""
    photo = images.read(path)
    scale = side / max(photo.shape[:2])
    kernel = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    size = [max(1, round(s * scale)) for s in photo.shape[1::-1]]
    photo = cv2.resize(photo, size, interpolation=kernel)
    square = np.full((side, side, 3), 255, np.uint8)
    square[: photo.shape[0], : photo.shape[1]] = photo
    cv2.rectangle(square, (0, 0), (34, 20), (255, 255, 255), -1)
    cv2.putText(square, str(number), (3, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1)
    return cv2.copyMakeBorder(square, 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=(255, 255, 255))


def spread(rows: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """`count` rows, as few of one source of photos as can be."""
    rows = rows.sample(frac=1, random_state=seed)
    turn = rows.groupby("group_id").cumcount()
    return rows.assign(turn=turn).sort_values("turn", kind="stable").head(count)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/sheet"))
    parser.add_argument("--count", type=int, default=24, help="of each")
    parser.add_argument("--side", type=int, default=230, help="pixels of a tile")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    manifest = dataset.read_manifest(args.dataset)
    fake = manifest[(manifest.cell == "doctored_damage") & (manifest.topology == "exchange")]
    real = manifest[manifest.kind == "real"]
    if real.empty:
        print("no really damaged photos in this dataset: rendered damage stands in for them")
        real = manifest[manifest.cell == "authentic_damaged"]
    both = pd.concat([spread(rows, args.count, args.seed) for rows in (fake, real)])
    order = runs.rng_for(args.seed, "sheet").permutation(len(both))
    both = both.iloc[order].reset_index(drop=True)
    tiles = [tile(args.dataset / name, args.side, i + 1) for i, name in enumerate(both.image)]
    columns = 8
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    lines = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    images.write(args.out / "sheet.png", np.vstack(lines))
    both.index += 1
    key = both[["cell", "kind", "severity", "topology", "family", "area", "image"]]
    images.write_bytes(args.out / "key.csv", key.to_csv(index_label="number").encode())
    print(f"{args.out / 'sheet.png'}: guess first, then open {args.out / 'key.csv'}")


if __name__ == "__main__":
    main()

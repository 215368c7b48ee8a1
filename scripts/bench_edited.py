"""Real edits with their originals and masks: does the score tell them, does the map find them?

    python scripts/bench_edited.py "$DAMAGENET_DATA/ai_edited/migan" [--model FILE]

The folder holds edited pictures; `original/` and `mask/` beside them have the same names, 255 where
edited. As they are and saved as JPEG of quality 95, 85 and 75. Prints AUCs of scores, how often an
edit scores above its original, and the mean AUC of heatmaps within the edited pictures and, as the
chance that content alone brings, within the originals. For measuring, never for training.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from bench_plain import QUALITIES, saved
from tqdm import tqdm

from damagenet import images
from damagenet.claims import Detector
from damagenet.detect import metrics


def triples(folder: Path) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Edited picture, original, mask; those whose original has another size are named and left."""
    found = []
    for path in sorted(folder.glob("*.png")):
        edited = images.read(path)
        original = images.read(next((folder / "original").glob(f"{path.stem}.*")))
        mask = images.read_mask(folder / "mask" / path.name) > 127
        if original.shape == edited.shape:
            found.append((edited, original, mask))
        else:
            print(f"{path}: left out, its original has another size")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path)
    args = parser.parse_args()
    detector = Detector(args.model, threads=1, recheck=False)
    pictures = triples(args.folder)
    if not pictures:
        parser.error(f"{args.folder}: no .png with its like in original/ and mask/")
    rows = []
    for edited, original, mask in tqdm(pictures, unit="picture"):
        for quality in (None, *QUALITIES):
            after, before = (
                detector(saved(one, quality) if quality else one) for one in (edited, original)
            )
            places = [metrics.auc(mask.ravel(), one.heatmap.ravel()) for one in (after, before)]
            rows.append((str(quality or "none"), mask.mean(), after.score, before.score, *places))
    table = pd.DataFrame(
        rows, columns=["quality", "area", "edited", "original", "found", "content"]
    )
    print(f"{len(pictures)} pairs, edited area {table.area.min():.0%} to {table.area.max():.0%}\n")
    print("| JPEG | AUC | above its original | pixels | pixels of the original |")
    print("|---|---|---|---|---|")
    for quality, group in table.groupby("quality", sort=False):
        scores = np.concatenate([group.edited, group.original])
        auc = metrics.auc(np.repeat([1, 0], len(group)), scores)
        above = (group.edited > group.original).mean()
        print(f"| {quality} | {auc:.3f} | {above:.2f} | {group.found.mean():.3f} "
              f"| {group.content.mean():.3f} |")  # fmt: skip


if __name__ == "__main__":
    main()

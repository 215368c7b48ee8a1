"""Does doctored damage look like the genuine damage of its twin? SSIM where the damage is.

    python scripts/twin_ssim.py runs/baseline/dataset --pairs 200

For each pair the delivered pictures are compared inside the region that was meant to change: the
two damaged twins, and, as a yardstick, the damaged with the intact one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from skimage.metrics import structural_similarity
from tqdm.auto import tqdm

from damagenet import images
from damagenet.synth import dataset


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--pairs", type=int, default=200)
    args = parser.parse_args()
    manifest = dataset.read_manifest(args.dataset)
    manifest["draw"] = dataset.draws(manifest)
    cells = manifest.pivot(index="draw", columns="cell", values="image")
    chosen = cells.dropna().sample(frac=1, random_state=0).head(args.pairs)
    facts = manifest[manifest.cell == "doctored_damage"].set_index("draw")
    rows = []
    for draw, row in tqdm(chosen.iterrows(), total=len(chosen), unit="pair"):
        shots = {cell: images.read(args.dataset / row[cell]) for cell in cells.columns}
        mask = Path(facts["mask"][draw]).name
        inside = images.read_mask(args.dataset / "intended" / mask) > 127
        if not inside.any():
            continue

        def ssim(a: str, b: str, shots: dict = shots, inside: object = inside) -> float:
            _, values = structural_similarity(shots[a], shots[b], channel_axis=2, full=True)
            return float(values[inside].mean())

        rows.append(
            {
                "topology": facts.topology[draw],
                "method": facts.method[draw],
                "twins": ssim("authentic_damaged", "doctored_damage"),
                "damaged / intact": ssim("authentic_damaged", "authentic_intact"),
            }
        )
    table = pd.DataFrame(rows)
    parts = [table.assign(topology="all"), table]
    summary = pd.concat(parts).groupby("topology")[["twins", "damaged / intact"]]
    print(summary.describe(percentiles=[0.1, 0.5]).round(3).to_string())


if __name__ == "__main__":
    main()

"""Draw the README's four cells: python scripts/readme_figure.py runs/demo/dataset."""

import argparse
from pathlib import Path

from damagenet import plots
from damagenet.synth import dataset

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path, help="such as runs/demo/dataset")
    parser.add_argument("--out", type=Path, default=Path("docs/images/twins.png"))
    parser.add_argument("--products", nargs="*", default=[], help="ids, or their beginnings")
    args = parser.parse_args()
    manifest = dataset.read_manifest(args.dataset)
    if args.products:
        manifest = manifest[manifest.product_id.str.startswith(tuple(args.products))]
    plots.save(plots.twins(manifest, args.dataset, 3), args.out, dpi=80)

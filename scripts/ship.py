"""Make an exported run the model that comes with the package.

    python scripts/ship.py runs/baseline
    python scripts/ship.py --restore runs/packaged && damagenet evaluate runs/packaged --data SET

Copies detector.onnx, detector.json, MODEL_CARD.md, the weights with their config and, where they
were made, detector.int8.* to `src/damagenet/claims/weights`, if the file is what its card says,
agreed with torch, is small enough and scores pictures of several sizes. `--restore` makes a run of
the packaged weights again, to be evaluated on other data or to be looked at in torch.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from damagenet import BadInput, images, runs
from damagenet.claims import Detector
from damagenet.claims.model import PACKAGED
from damagenet.config import load

LARGEST = 12_000_000
TORCH = {"best.safetensors": ".safetensors", "config.yaml": ".yaml"}
"""What `restore` needs of a run, and how it ends beside the packaged model."""


def ship(run: Path, target: Path = PACKAGED) -> dict[str, Any]:
    """Check an exported run and copy its files; the ONNX file comes last."""
    again = f"export it again with `damagenet export {run}`"
    card = runs.read_json(run / "detector.json", again)
    source = run / "detector.onnx"
    detector = Detector(source, recheck=False)
    gap = card["parity"]["max_difference"]
    limit = load(run / "config.yaml").export.tolerance
    results = runs.read_json(run / "metrics.json", f"evaluate first: `damagenet evaluate {run}`")
    checks = [
        (detector.sha256 == card["onnx_sha256"], "is not the file that its card describes"),
        (detector.info == {k: v for k, v in card.items() if k != "onnx_sha256"},
         "has other metadata than its card"),
        (gap <= limit, f"differs from torch by {gap:.2g}, more than {limit:.2g}"),
        (all(card[k] == results[k] for k in ("threshold", "review_threshold", "dataset_sha256")),
         "was exported before the last evaluation"),
        (runs.sha256(run / "best.safetensors") == card["weights_sha256"],
         "was exported from other weights"),
        (source.stat().st_size <= LARGEST, f"is larger than {LARGEST / 1e6:.0f} MB"),
        ((run / "MODEL_CARD.md").is_file(), "has no MODEL_CARD.md beside it"),
    ]  # fmt: skip
    failed = [why for passed, why in checks if not passed]
    if failed:
        raise BadInput(f"{source}: {'; '.join(failed)}; {again}")
    for height, width in ((64, 64), (150, 203), (1500, 1400)):  # fails with BadInput if it cannot
        detector(runs.rng_for(0, "ship").integers(0, 256, (height, width, 3)).astype(np.uint8))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)  # never a model beside the card of another
    images.write_bytes(target.with_name("MODEL_CARD.md"), (run / "MODEL_CARD.md").read_bytes())
    images.write_bytes(target.with_suffix(".json"), (run / "detector.json").read_bytes())
    for name, suffix in TORCH.items():
        images.write_bytes(target.with_suffix(suffix), (run / name).read_bytes())
    images.write_bytes(target, source.read_bytes())
    for suffix in (".json", ".onnx"):  # of 8 bits, where the run has one; never an older one
        small = target.with_name(f"{target.stem}.int8{suffix}")
        small.unlink(missing_ok=True)
        if (found := run / f"detector.int8{suffix}").is_file():
            images.write_bytes(small, found.read_bytes())
    return card


def restore(run: Path, source: Path = PACKAGED) -> dict[str, Any]:
    """Make a run folder of the packaged weights; their card."""
    if any((run / name).exists() for name in TORCH):
        raise BadInput(f"{run}: holds a run; name another folder")
    card = runs.read_json(source.with_suffix(".json"), "install the package again")
    if runs.sha256(source.with_suffix(TORCH["best.safetensors"])) != card["weights_sha256"]:
        raise BadInput(f"{source}: the weights beside it are others; install the package again")
    for name, suffix in TORCH.items():
        images.write_bytes(run / name, source.with_suffix(suffix).read_bytes())
    return card


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="an exported run, such as runs/baseline")
    parser.add_argument("--restore", action="store_true", help="the other way round")
    args = parser.parse_args()
    try:
        shipped = restore(args.run) if args.restore else ship(args.run)
    except BadInput as error:
        raise SystemExit(str(error)) from None
    if args.restore:
        print(f"{args.run}: next, `damagenet evaluate {args.run} --data DATASET`")
        raise SystemExit
    flag = shipped["certificate"]["flag"]
    print(f"{PACKAGED}: {PACKAGED.stat().st_size / 1e6:.1f} MB, commit {shipped['commit']}")
    if not flag["certified"]:
        print(f"it never flags: {flag['more_photos']} more photos of honest damage are needed")
    if "+dirty" in shipped["commit"] or shipped["commit"] == "unknown":
        print("it was trained from code that no commit holds; train again before you publish it")
    print("next: python scripts/make_vectors.py --refresh, then commit both")

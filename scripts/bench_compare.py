"""How well does `compare` tell the seller's own picture from an honest second photo?

    python scripts/bench_compare.py [--every N]

Reads the product photos below `$DAMAGENET_DATA` (clothing_dataset, vendure_npm, dreambooth,
magento_luma_gear, grocery_store, aws_lookout). Claims of the same exposure are made by pasting
damage and sending the result through crop, resize, mirror, brightness and JPEG 60-90; honest pairs
are two real photos of one object, of one sender's things before one background, or of toys that
took turns before a fixed camera. The thresholds were chosen on half 0 of the groups; half 1 is the
measurement.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from damagenet import images
from damagenet.claims.compare import compare
from damagenet.claims.heatmaps import find_regions
from damagenet.claims.signals import SMALLEST_CHANGE
from damagenet.runs import rng_for

Array = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Pair = tuple[str, Path, Path, str]


def damaged(image: Array, rng: np.random.Generator) -> tuple[Array, Mask]:
    """Paste a stain, a foreign texture or a rough patch; returns the picture and its mask."""
    height, width = image.shape[:2]
    size = np.sqrt(height * width * rng.uniform(0.004, 0.12)) / 1.8
    y, x = np.mgrid[:height, :width]
    cy, cx = rng.uniform(0.25, 0.75, 2) * (height, width)
    angle, radius = np.arctan2(y - cy, x - cx), np.hypot(y - cy, x - cx)
    waves = (rng.normal() * np.sin(k * angle + rng.uniform(0, 6.3)) / k for k in range(1, 8))
    edge = np.clip(1 + 0.25 * sum(waves), 0.2, 2)
    mask = np.clip((size * edge - radius) / 3, 0, 1)[..., None]
    rough = cv2.GaussianBlur(rng.normal(size=(height, width)).astype(np.float32), (0, 0), 3)
    patches = (
        image * 0.45 + np.array([60, 40, 25]) * rng.uniform(0.3, 1.1),
        np.roll(image, (height // 3, width // 4), (0, 1)),
        image * 0.3 + (90 + 60 * rough / rough.std())[..., None],
    )
    mixed = image * (1 - mask) + patches[rng.integers(3)] * mask
    return np.clip(mixed, 0, 255).astype(np.uint8), mask[..., 0] > 0.5


def sent(image: Array, mask: Mask, rng: np.random.Generator) -> tuple[Array, Mask]:
    """Crop, resize, mirror, brighten and recompress, as a claim photo travels."""
    height, width = image.shape[:2]
    share = rng.uniform(0.6, 1, 2)
    h, w = (share * (height, width)).astype(int)
    top, left = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
    image, mask = (a[top : top + h, left : left + w] for a in (image, mask))
    if rng.random() < 0.15:
        image, mask = image[:, ::-1], mask[:, ::-1]
    scale = max(rng.uniform(0.5, 1.2), 300 / max(h, w))
    size = (int(w * scale), int(h * scale))
    kernel = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
    small = Image.fromarray(np.ascontiguousarray(image)).resize(size, kernel[rng.integers(3)])
    tone = 255 * (np.asarray(small) / 255) ** rng.uniform(0.9, 1.1)
    tone = np.clip(tone * rng.uniform(0.85, 1.15) + rng.uniform(-8, 8), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(tone).save(buffer, "JPEG", quality=int(rng.integers(60, 91)))
    shown = cv2.resize(np.ascontiguousarray(mask, np.uint8), size, interpolation=0) > 0
    return images.read(buffer.getvalue()), shown


def crc(text: str) -> int:
    return zlib.crc32(text.encode())


def object_of(path: Path) -> str:
    return path.stem.rsplit("_", 1)[0]


def pairs(data: Path, senders: dict[str, str]) -> Iterator[Pair]:
    """(kind, claim, listing, group) in a fixed order."""
    found = {
        name: sorted((data / "products" / name).rglob("*.jpg"), key=lambda p: crc(p.name))
        for name in ("clothing_dataset", "vendure_npm", "dreambooth", "magento_luma_gear")
    }
    clothes = found["clothing_dataset"]
    sender = {p: senders.get(p.relative_to(data).as_posix(), p.stem) for p in clothes}
    groups = {p: sender.get(p, object_of(p)) for files in found.values() for p in files}
    for name, count in (("clothing_dataset", 120), ("vendure_npm", 54), ("dreambooth", 30),
                        ("magento_luma_gear", 20)):  # fmt: skip
        for path in found[name][:count]:
            yield "changed copy", path, path, groups[path]
            yield "plain copy", path, path, groups[path]
    shop = sorted((data / "products" / "grocery_store").rglob("*.jpg"))
    for kind, files, key, most in (
        ("one object", sorted(found["dreambooth"]), object_of, 6),
        ("one package", shop, object_of, 6),
        ("one background", sorted(sender), sender.__getitem__, 3),
    ):
        ordered = sorted(files, key=lambda p: (key(p), p))
        for group, members in itertools.groupby(ordered, key):
            for a, b in itertools.islice(itertools.combinations(members, 2), most):
                yield kind, a, b, group
    toys = [p for f in ("products", "damaged") for p in sorted((data / f).glob("aws_*/*/*.png"))]
    for a, b in itertools.islice(itertools.combinations(toys, 2), 0, None, 6):
        yield "one camera rig", a, b, "aws"
    mixed = [p for files in found.values() for p in files[:160]]
    mixed.sort(key=lambda p: crc(p.name[::-1]))
    for a, b in itertools.pairwise(mixed):
        if groups[a] != groups[b]:
            yield "unrelated", a, b, groups[a]


def measured(pair: Pair) -> dict[str, object]:
    kind, path, other, group = pair
    claim, listing = images.read(path), images.read(other)
    mask = np.zeros(claim.shape[:2], bool)
    if kind.endswith("copy"):
        rng = rng_for(0, kind, path.name)
        if kind == "changed copy":
            claim, mask = damaged(claim, rng)
        claim, mask = sent(claim, mask, rng)
    found = compare(claim, listing)
    row = {"kind": kind, "half": crc(group) % 2, "finding": found.finding}
    row |= vars(found.evidence) | {"claim": path.name, "listing": other.name}
    if found.changed is not None:
        changed = found.changed > 0.5
        boxes = [r for r in find_regions(found.changed) if r.area >= SMALLEST_CHANGE]
        row["changed"] = bool(boxes)
        row["iou"] = (changed & mask).sum() / max(1, (changed | mask).sum())
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=1, help="take every n-th pair only")
    parser.add_argument("--out", type=Path, help="CSV of every pair's evidence")
    arguments = parser.parse_args()
    data = Path(os.environ.get("DAMAGENET_DATA", "data"))
    table = data / "sources.csv"
    sources = pd.read_csv(table) if table.exists() else pd.DataFrame(columns=["path", "group_key"])
    senders = dict(zip(sources["path"], sources["group_key"], strict=True))
    chosen = list(pairs(data, senders))[:: arguments.every]
    if not chosen:
        raise SystemExit(f"{data}: no product photos; set DAMAGENET_DATA to a folder with them")
    rows = pd.DataFrame([measured(pair) for pair in tqdm(chosen, disable=None)])
    if arguments.out:
        rows.to_csv(arguments.out, index=False)
    for half in (0, 1):
        part = rows[rows["half"] == half]
        print(f"\nhalf {half}: {'thresholds chosen here' if half == 0 else 'measurement'}")
        print(pd.crosstab(part["kind"], part["finding"], margins=True).to_string())
        copies, same = part["kind"].str.endswith("copy"), part["finding"] == "same_exposure"
        right, wrong = int((same & copies).sum()), int((same & ~copies).sum())
        print(f"same_exposure: recall {right / copies.sum():.3f}, ", end="")
        print(f"precision {right / max(1, right + wrong):.3f}, ", end="")
        print(f"false {wrong} of {(~copies).sum()} honest or unrelated pairs")
        for kind in ("changed copy", "plain copy"):
            found = part[(part["kind"] == kind) & same]
            overlap = f", median IoU {found['iou'].median():.2f}" if "changed" in kind else ""
            share = found["changed"].astype(bool).mean()
            print(f"changed area reported in {share:.3f} of {kind} pairs found{overlap}")


if __name__ == "__main__":
    main()

"""Honest photos as people send them: how many would be asked about?

    python scripts/bench_honest.py DATASET [--model FILE]

Photos of products of the dataset's test split, at most 28 a source, at 640 pixels, damaged goods
among them, sent in many ways that doctor nothing. Prints the median and the upper
tenth of scores, and the share of photos from the thresholds of a review and of a flag on. No way of
sending should stand out: whoever uses it would be accused more often than others. Needs the extra
`heif`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
from bench_plain import photos, saved
from PIL import Image, ImageFilter
from tqdm import tqdm

from damagenet import images
from damagenet.claims import Detector
from damagenet.images import Array

ACROSS = 4
"""Photos a side of a large picture, which no source here has: side by side, cut to one size."""


def twice(picture: Array, first: int, second: int, move: tuple[int, int] = (0, 0)) -> bytes:
    y, x = move
    return saved(images.read(saved(picture, first))[y:, x:], second)


def enlarged(picture: Array, factor: float, kernel: int) -> bytes:
    height, width = (int(side / max(1, factor / 2)) for side in picture.shape[:2])
    part = picture[:height, :width]
    return saved(cv2.resize(part, None, fx=factor, fy=factor, interpolation=kernel))


def sharpened(picture: Array) -> bytes:
    filtered = Image.fromarray(picture).filter(ImageFilter.UnsharpMask(2, 150, 2))
    return saved(np.asarray(filtered))


WAYS: dict[str, Callable[[Array], bytes]] = {
    "PNG": lambda p: saved(p, kind="PNG"),
    **{f"JPEG {q}": lambda p, q=q: saved(p, q) for q in (95, 85, 75, 60)},
    "JPEG 75, then 90": lambda p: twice(p, 75, 90),
    "JPEG 60, cropped, 85": lambda p: twice(p, 60, 85, (3, 5)),
    **{f"WebP {q}": lambda p, q=q: saved(p, q, "WEBP") for q in (95, 80, 60)},
    "WebP 80, then JPEG 85": lambda p: saved(images.read(saved(p, 80, "WEBP")), 85),
    "AVIF 60": lambda p: saved(p, 60, "AVIF"),
    "HEIC 60, then JPEG 90": lambda p: saved(images.read(saved(p, 60, "HEIF"))),
    "half the size": lambda p: saved(cv2.resize(p, None, fx=0.5, fy=0.5,
                                                interpolation=cv2.INTER_AREA)),
    "1.5 times as large": lambda p: enlarged(p, 1.5, cv2.INTER_LANCZOS4),
    "twice as large": lambda p: enlarged(p, 2, cv2.INTER_CUBIC),
    "four times as large": lambda p: enlarged(p, 4, cv2.INTER_LINEAR),
    "blurred": lambda p: saved(cv2.GaussianBlur(p, (0, 0), 1.2)),
    "smoothed": lambda p: saved(cv2.bilateralFilter(p, 7, 30, 5)),
    "sharpened": sharpened,
}  # fmt: skip


def large(plain: list[Array]) -> list[Array]:
    """As many pictures of 16 photos as they fill."""
    side = min(min(one.shape[:2]) for one in plain) // 8 * 8
    parts = [one[:side, :side] for one in plain]
    number = ACROSS**2
    return [
        np.concatenate([np.concatenate(parts[row : row + ACROSS], 1)
                        for row in range(first, first + number, ACROSS)])
        for first in range(0, len(parts) - number + 1, number // 4)
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--model", type=Path)
    args = parser.parse_args()
    pillow_heif.register_heif_opener()
    detector = Detector(args.model, threads=1, recheck=False)
    review, flag = (float(detector.info[f"{name}threshold"]) for name in ("review_", ""))
    plain = [picture for _, picture in photos(args.dataset)]
    lines = {name: [way(picture) for picture in plain] for name, way in WAYS.items()}
    big = large([one for one in plain if min(one.shape[:2]) >= 360])
    lines |= {f"16 in one, JPEG {q}": [saved(one, q) for one in big] for q in (95, 75)}
    print(f"{len(plain)} photos, review from {review:.3f}, flag from {flag:.3f}\n")
    print("| sent as | photos | median | upper tenth | review | flag |")
    print("|---|---|---|---|---|---|")
    for name, files in tqdm(lines.items(), unit="way"):
        scores = np.array([detector(file).score for file in files])
        middle, high = np.quantile(scores, [0.5, 0.9])
        shares = ((scores >= limit).mean() for limit in (review, flag))
        numbers = " | ".join(f"{x:.3f}" for x in (middle, high, *shares))
        print(f"| {name} | {len(files)} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()

"""Test vectors for clients in any language: 20 pictures and what the packaged model says of them.

    python scripts/make_vectors.py              # draw pictures that are missing, then as --refresh
    python scripts/make_vectors.py --refresh    # expected values anew, for another model
    python scripts/make_vectors.py --check      # exit 1 where a picture or a value differs

Everything lies in `clients/testvectors`. A picture that exists is never written again: its bytes
are what a client must decode. `clients/README.md` says how to read `vectors.json`.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from damagenet import BadInput, images, runs
from damagenet.claims import Detector, default_model
from damagenet.claims.detector import Result
from damagenet.claims.heatmaps import find_regions

FOLDER = Path(__file__).parents[1] / "clients" / "testvectors"
SEED = 1
GRID = 8
"""Rows and columns of block means that stand for a heatmap; fewer where it has fewer pixels."""
TOLERANCE: dict[str, Any] = {
    "score": 1e-4,
    "heatmap": 1e-3,
    "rgb_mean": 1.0,
    "other_decoder": {"score": 0.02, "heatmap_mean": 0.03},  # of lossy files; see clients/README.md
}
VERDICT_CASES = [
    # score, width, height, review_threshold, threshold, verdict
    [0.0, 640, 480, 0.4, 0.8, "pass"],
    [0.399999, 640, 480, 0.4, 0.8, "pass"],
    [0.4, 640, 480, 0.4, 0.8, "review"],
    [0.799999, 640, 480, 0.4, 0.8, "review"],
    [0.8, 640, 480, 0.4, 0.8, "flag"],
    [1.0, 640, 480, 0.4, 1.000001, "review"],  # a model that may not flag
    [0.5, 640, 480, 0.5, 0.5, "flag"],
    [0.9, 64, 64, 0.4, 0.8, "flag"],
    [0.9, 63, 640, 0.4, 0.8, "review"],  # small: never flagged
    [0.9, 640, 63, 0.4, 0.8, "review"],
    [0.1, 7, 40, 0.4, 0.8, "pass"],
    [0.9, 2000, 1000, 0.4, 0.8, "flag"],
    [0.9, 2000, 1001, 0.4, 0.8, "review"],  # large: never flagged
    [0.1, 6000, 4000, 0.4, 0.8, "pass"],
]
"""Bands and their caps, which a model that never flags cannot show."""

Array = NDArray[np.uint8]


def scene(name: str, width: int, height: int, patch: bool = True) -> Array:
    """A procedural picture `[height, width, 3]`: light, texture, grain and a resampled patch."""
    rng = runs.rng_for(SEED, "vectors", name)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    light = rng.uniform(60, 200, 3) + np.outer(x.ravel() / width, rng.uniform(-60, 60, 3))
    light += np.outer(y.ravel() / height, rng.uniform(-60, 60, 3))
    weave = np.sin(x * rng.uniform(0.1, 0.9)) * np.sin(y * rng.uniform(0.1, 0.9))
    blobs = rng.normal(0, 30, (height // 12 + 2, width // 12 + 2)).astype(np.float32)
    blobs = np.asarray(Image.fromarray(blobs).resize((width, height), Image.Resampling.BICUBIC))
    picture = light.reshape(height, width, 3) + (25 * weave + blobs)[..., None]
    picture += rng.normal(0, 5, picture.shape)
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    if patch and min(width, height) >= 24:
        part = picture[: height // 3, : width // 3]
        size = (width // 2, height // 2)
        bigger = Image.fromarray(part).resize(size, Image.Resampling.BILINEAR)
        picture[height // 4 :, width // 4 :][: size[1], : size[0]] = bigger
    return picture


def file_of(picture: Image.Image | Array, name: str, **options: Any) -> bytes:  # noqa: ANN401
    """The bytes of a picture file; its format follows from the name."""
    buffer = io.BytesIO()
    kind = {"jpg": "JPEG"}.get(name.rpartition(".")[2], name.rpartition(".")[2].upper())
    whole = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    whole.save(buffer, kind, **options)
    return buffer.getvalue()


def plain(name: str, width: int, height: int, **options: Any) -> bytes:  # noqa: ANN401
    return file_of(scene(name, width, height), name, **options)


def turned(name: str, width: int, height: int, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return plain(name, width, height, exif=exif, quality=90, subsampling=0)


def with_alpha(name: str, width: int, height: int, grey: bool = False) -> bytes:
    """Alpha runs through all values; what it hides is no white."""
    alpha = np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1))
    base = Image.fromarray(scene(name, width, height)).convert("L" if grey else "RGB")
    base.putalpha(Image.fromarray(alpha))
    return file_of(base, name, optimize=True)


def palette(name: str, width: int, height: int) -> bytes:
    """64 colours, of which three are clear or half clear."""
    picture = Image.fromarray(scene(name, width, height)).quantize(64)
    clear = bytes([0, 90, 200, *[255] * 61])
    return file_of(picture, name, transparency=clear, optimize=True)


def deep_grey(name: str, width: int, height: int) -> bytes:
    """16 bits whose lower eight are not those of the upper."""
    grey = scene(name, width, height).astype(np.uint16)[..., 0] * 256
    return file_of(grey + runs.rng_for(SEED, name).integers(0, 256, grey.shape, np.uint16), name)


def cmyk(name: str, width: int, height: int) -> bytes:
    return file_of(Image.fromarray(scene(name, width, height)).convert("CMYK"), name, quality=90)


def moving(name: str, width: int, height: int, **options: Any) -> bytes:  # noqa: ANN401
    """Three frames; only the first one counts."""
    first = scene(name, width, height)
    later = [Image.fromarray(frame) for frame in (255 - first, np.ascontiguousarray(first[::-1]))]
    return file_of(first, name, save_all=True, append_images=later, duration=90, loop=0, **options)


def huge(name: str, width: int, height: int) -> bytes:
    """A repeated texture of 16 colours with darker patches, so that no two tiles are the same."""
    rng = runs.rng_for(SEED, "vectors", name)
    tile = Image.fromarray(scene(name, 64, 64, patch=False)).quantize(16)
    picture = np.tile(np.asarray(tile), (height // 64 + 1, width // 64 + 1))[:height, :width]
    for _ in range(60):
        side = int(rng.integers(100, 500))
        top, left = (int(rng.integers(0, length - side)) for length in (height, width))
        window = (slice(top, top + side), slice(left, left + side))
        picture[window] = picture[window] % 16 + 16 * rng.integers(1, 4)
    colours = np.array(tile.getpalette()[:48])
    whole = Image.fromarray(picture, "P")
    whole.putpalette(np.concatenate([colours // shade for shade in (1, 2, 3, 4)]).tolist())
    return file_of(whole, name, optimize=True)


PICTURES: dict[str, tuple[Callable[..., bytes], int, int, dict[str, Any], str]] = {
    "odd_65x97.png": (plain, 65, 97, {}, "odd sides"),
    "smallest_64x64.png": (plain, 64, 64, {}, "the smallest size that is not padded"),
    "odd_300x211.jpg": (plain, 300, 211, {"quality": 75}, "baseline JPEG 4:2:0"),
    "progressive_127x203.jpg": (
        plain, 127, 203, {"quality": 80, "subsampling": 2, "progressive": True},
        "progressive JPEG 4:2:0, odd sides"),
    "one_1x1.png": (plain, 1, 1, {}, "one pixel"),
    "tiny_7x40.png": (plain, 7, 40, {}, "below 64 pixels on both sides"),
    "thin_64x1500.png": (plain, 64, 1500, {}, "long and thin"),
    "grey_150x121.png": (
        lambda n, w, h: file_of(Image.fromarray(scene(n, w, h)).convert("L"), n), 150, 121, {},
        "8-bit grey"),
    "grey_alpha_133x90.png": (with_alpha, 133, 90, {"grey": True}, "grey with alpha"),
    "rgba_180x140.png": (with_alpha, 180, 140, {}, "colour with alpha"),
    "palette_120x160.png": (palette, 120, 160, {}, "palette with transparent entries"),
    "grey16_140x100.png": (deep_grey, 140, 100, {}, "16-bit grey"),
    "cmyk_160x120.jpg": (cmyk, 160, 120, {}, "CMYK JPEG as Adobe stores it (inverted)"),
    "exif3_160x110.jpg": (turned, 160, 110, {"orientation": 3}, "EXIF: turn by 180 degrees"),
    "exif6_160x110.jpg": (turned, 160, 110, {"orientation": 6}, "EXIF: turn clockwise"),
    "exif8_160x110.jpg": (turned, 160, 110, {"orientation": 8}, "EXIF: turn counter-clockwise"),
    "moving_130x100.gif": (moving, 130, 100, {}, "animated GIF: the first of three frames"),
    "moving_130x100.webp": (
        moving, 130, 100, {"quality": 80}, "animated lossy WebP: the first of three frames"),
    "lossless_170x130.webp": (plain, 170, 130, {"lossless": True}, "lossless WebP"),
    "huge_6000x4000.png": (huge, 6000, 4000, {}, "24 megapixels in a small file"),
}  # fmt: skip
"""File name -> how it is drawn, width and height as stored, options, what it is there for."""


def draw() -> None:
    """Write the pictures that are missing."""
    for name, (function, width, height, options, _) in PICTURES.items():
        if not (FOLDER / name).exists():
            images.write_bytes(FOLDER / name, function(name, width, height, **options))


def facts(name: str) -> dict[str, Any]:
    """What the file decodes to; the same for every model."""
    picture = images.read(FOLDER / name)
    lossy = name.endswith(".jpg") or name == "moving_130x100.webp"
    return {
        "file": name,
        "about": PICTURES[name][4],
        "sha256": runs.sha256(FOLDER / name),
        "width": picture.shape[1],
        "height": picture.shape[0],
        "lossless": not lossy,
        "rgb_sha256": hashlib.sha256(picture.tobytes()).hexdigest(),
        "rgb_mean": [round(float(v), 3) for v in picture.mean(axis=(0, 1))],
    }


def expectation(result: Result) -> dict[str, Any]:
    """What the model says, in numbers that survive another runtime's rounding."""
    return {
        "score": result.score,
        "verdict": result.verdict,
        "held_back": bool(result.note),
        "heatmap": summary(result.heatmap),
        "boxes": steady_boxes(result.heatmap),
    }


def summary(heatmap: NDArray[np.float32]) -> dict[str, Any]:
    """Mean, maximum and block means; block i of n holds rows `i * height // n` onwards."""
    edges = [
        [i * side // min(GRID, side) for i in range(min(GRID, side))] for side in heatmap.shape
    ]
    sums = np.add.reduceat(heatmap.astype(np.float64), edges[0], axis=0)
    sums = np.add.reduceat(sums, edges[1], axis=1)
    sizes = [np.diff([*e, side]) for e, side in zip(edges, heatmap.shape, strict=True)]
    grid = sums / np.outer(*sizes)
    return {
        "mean": round(float(heatmap.mean(dtype=np.float64)), 6),
        "max": round(float(heatmap.max()), 6),
        "grid": [[round(float(v), 6) for v in row] for row in grid],
    }


def steady_boxes(heatmap: NDArray[np.float32]) -> list[list[int]] | None:
    """Boxes `[x, y, width, height]` of the regions; None where 0.001 in the heatmap moves them."""
    found = [
        [[r.x, r.y, r.width, r.height] for r in find_regions(heatmap, level)]
        for level in (0.499, 0.5, 0.501)
    ]
    return found[1] if found[0] == found[1] == found[2] else None


def vectors() -> dict[str, Any]:
    """All of `vectors.json`, from the pictures as they lie there and the packaged model."""
    detector = Detector(default_model(), threads=1, recheck=False)
    rows = [
        facts(name) | expectation(detector(FOLDER / name))
        for name in tqdm(PICTURES, unit="picture", disable=None)
    ]
    return {
        "format": 1,
        "model": {key: detector.info[key] for key in ("name", "version")}
        | {"sha256": detector.sha256},
        "review_threshold": detector.review_threshold,
        "threshold": detector.threshold,
        "tolerance": TOLERANCE,
        "verdict_cases": VERDICT_CASES,
        "vectors": rows,
    }


def differences(found: Any, expected: Any, place: str = "") -> list[str]:  # noqa: ANN401
    """Where two values of `vectors.json` differ; heatmap and score numbers have their tolerance."""
    if isinstance(found, dict) and isinstance(expected, dict) and found.keys() == expected.keys():
        return [d for k in found for d in differences(found[k], expected[k], f"{place}/{k}")]
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        pairs = enumerate(zip(found, expected, strict=True))
        return [d for i, (a, b) in pairs for d in differences(a, b, f"{place}/{i}")]
    if isinstance(found, float) and isinstance(expected, float):
        slack = TOLERANCE["heatmap" if "/heatmap" in place else "score"]
        return [] if abs(found - expected) <= slack else [f"{place}: {found}, not {expected}"]
    return [] if found == expected else [f"{place}: {found}, not {expected}"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--refresh", action="store_true", help="expected values only")
    group.add_argument("--check", action="store_true", help="change nothing; exit 1 on differences")
    args = parser.parse_args()
    target = FOLDER / "vectors.json"
    try:
        if args.check:
            wrong = differences(vectors(), runs.read_json(target, "write it without --check"))
            print("\n".join(wrong) or f"{target}: all as expected")
            return int(bool(wrong))
        if not args.refresh:
            draw()
        text = json.dumps(vectors(), indent=1)
    except BadInput as error:
        raise SystemExit(str(error)) from None
    images.write_bytes(target, (text + "\n").encode())
    print(f"{target}: {len(PICTURES)} pictures")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""The whole client with onnxruntime, Pillow and NumPy alone; `clients/README.md` in code.

    python clients/python/minimal.py MODEL.onnx PHOTO...

Prints one JSON object a line. `tiled` and below are for pictures above two megapixels only.
"""

import json
import math
import sys
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

Image.init()
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", *({"AVIF"} & set(Image.OPEN)))
MAX_PIXELS, MIN_SIDE, MAX_TILE, OVERLAP, BLOCK = 89_000_000, 64, 2_000_000, 64, 16


def open_model(path: str) -> tuple[onnxruntime.InferenceSession, dict[str, Any]]:
    """The session and its metadata; refuses files of others and of a newer format."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    text = session.get_modelmeta().custom_metadata_map.get("damagenet")
    info = json.loads(text or "{}")
    if info.get("format") != 1 or "threshold" not in info:
        raise ValueError(f"{path}: not a damagenet detector, or one that needs a newer client")
    return session, info


def decode(path: str) -> np.ndarray:
    """Any picture file as uint8 `[height, width, 3]`, upright, never resized."""
    with Image.open(path, formats=FORMATS) as picture:
        if picture.width * picture.height > MAX_PIXELS:
            raise ValueError(f"{path}: more than {MAX_PIXELS // 1_000_000} megapixels")
        picture.load()
        ImageOps.exif_transpose(picture, in_place=True)
        if picture.mode.startswith("I"):
            grey = np.rint(np.asarray(picture) / 257).astype(np.uint8)
            return np.repeat(grey[..., None], 3, axis=2)
        if picture.has_transparency_data:
            white = Image.new("RGBA", picture.size, "white")
            return np.asarray(Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB"))
        return np.asarray(picture.convert("RGB"))


def score(session: onnxruntime.InferenceSession, picture: np.ndarray) -> tuple[float, np.ndarray]:
    """Score in [0, 1] and heatmap float32 `[height, width]`."""
    height, width = picture.shape[:2]
    if height * width > MAX_TILE:
        return tiled(session, picture)
    pad = ((0, max(0, MIN_SIDE - height)), (0, max(0, MIN_SIDE - width)), (0, 0))
    batch = np.pad(picture, pad, mode="edge")[None]
    scores, heatmaps = session.run(["score", "heatmap"], {"image": batch})
    return round(float(scores[0]), 6), heatmaps[0, :height, :width]


def verdict(value: float, width: int, height: int, info: dict[str, Any]) -> str:
    """'pass', 'review' or 'flag'; small and large pictures are never flagged."""
    capped = min(width, height) < MIN_SIDE or width * height > MAX_TILE
    if value >= info["threshold"] and not capped:
        return "flag"
    return "review" if value >= info["review_threshold"] else "pass"


def tiled(session: onnxruntime.InferenceSession, picture: np.ndarray) -> tuple[float, np.ndarray]:
    """The highest score of all tiles, and their heatmaps blended where they overlap."""
    height, width = picture.shape[:2]
    total, weights = np.zeros((2, height, width), np.float32)
    best = 0.0
    for top, bottom in spans(height):
        for left, right in spans(width):
            window = np.s_[top:bottom, left:right]
            value, heatmap = score(session, np.ascontiguousarray(picture[window]))
            weight = np.outer(ramp(top, bottom, height), ramp(left, right, width))
            total[window] += heatmap * weight
            weights[window] += weight
            best = max(best, value)
    return best, total / weights


def spans(length: int) -> list[tuple[int, int]]:
    """Start and end of the tiles along one side."""
    side = math.isqrt(MAX_TILE) - BLOCK
    if length <= side:
        return [(0, length)]
    count = math.ceil((length - OVERLAP) / (side - OVERLAP))
    size = math.ceil((length - OVERLAP) / count) + OVERLAP
    starts = [i * (length - size) // (count - 1) // BLOCK * BLOCK for i in range(count)]
    return [(s, min(length, s + size + BLOCK)) for s in starts[:-1]] + [(starts[-1], length)]


def ramp(start: int, end: int, length: int) -> np.ndarray:
    """Weight along one tile: rises over the overlap, except at the picture's border."""
    up = np.arange(1, end - start + 1, dtype=np.float32) / OVERLAP
    rising = np.minimum(up, 1) if start > 0 else np.ones_like(up)
    return np.minimum(rising, up[::-1]) if end < length else rising


if __name__ == "__main__":
    opened, metadata = open_model(sys.argv[1])
    for name in sys.argv[2:]:
        try:
            image = decode(name)
            found, _ = score(opened, image)
            said = verdict(found, image.shape[1], image.shape[0], metadata)
            print(json.dumps({"path": name, "score": found, "verdict": said}))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            print(json.dumps({"path": name, "error": str(error)}))

"""The whole client with onnxruntime, Pillow and NumPy alone; `clients/README.md` in code.

    python clients/python/minimal.py MODEL.onnx PHOTO...

Prints one JSON object a line.
"""

import json
import sys
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

Image.init()
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", *({"AVIF"} & set(Image.OPEN)))
MAX_PIXELS, SMALLEST, LARGEST = 89_000_000, 64, 2_000_000


def open_model(path: str) -> tuple[onnxruntime.InferenceSession, dict[str, Any]]:
    """The session and its metadata; refuses files of others and of a newer format."""
    options = onnxruntime.SessionOptions()
    options.enable_mem_pattern = False  # halves the memory that pictures of changing sizes take
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
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
            grey = (np.asarray(picture) >> 8).astype(np.uint8)
            return np.repeat(grey[..., None], 3, axis=2)
        if picture.has_transparency_data:
            white = Image.new("RGBA", picture.size, "white")
            return np.asarray(Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB"))
        return np.asarray(picture.convert("RGB"))


def score(session: onnxruntime.InferenceSession, picture: np.ndarray) -> tuple[float, np.ndarray]:
    """Score in [0, 1] and heatmap float32 `[height, width]`."""
    scores, heatmaps = session.run(["score", "heatmap"], {"image": picture[None]})
    return round(float(scores[0]), 6), heatmaps[0]


def verdict(value: float, width: int, height: int, info: dict[str, Any]) -> str:
    """'pass', 'review' or 'flag'; small and large pictures are never flagged."""
    capped = min(width, height) < SMALLEST or width * height > LARGEST
    if value >= info["threshold"] and not capped:
        return "flag"
    return "review" if value >= info["review_threshold"] else "pass"


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

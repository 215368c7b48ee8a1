"""What happens to any photo on its way to the reviewer, applied alike to every cell.

A channel is drawn once for a product and used for all of its twins, so that size, codec, quality
and chroma subsampling can never tell an authentic picture from a doctored one.
"""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
from PIL import Image

from damagenet.images import Array
from damagenet.synth.capture import jpeg

CHAINS = ("camera", "chat", "marketplace", "twice")
"""camera: as taken, one JPEG. chat: shrunk and compressed hard by a chat app. marketplace: cropped,
shrunk and compressed by an upload form. twice: forwarded through two apps, once as WebP."""


def plan(rng: np.random.Generator, chains: tuple[str, ...]) -> dict[str, Any]:
    """Draw a channel as a small JSON-able dict."""
    chain = str(rng.choice(chains))
    steps: list[dict[str, Any]] = []
    if chain == "chat":
        steps += [_resize(rng, 0.6, 0.9), _compress(rng, "JPEG", 65, 85)]
    elif chain == "marketplace":
        steps += [_crop(rng), _resize(rng, 0.7, 1.0), _compress(rng, "JPEG", 78, 92)]
    elif chain == "twice":
        steps += [_resize(rng, 0.75, 1.0), _compress(rng, "WEBP", 70, 90)]
        steps += [_crop(rng), _compress(rng, "JPEG", 65, 85)]
    else:
        steps += [_compress(rng, "JPEG", 85, 97)]
    return {"chain": chain, "steps": steps}


def _resize(rng: np.random.Generator, low: float, high: float) -> dict[str, Any]:
    kernel = str(rng.choice(["area", "linear", "lanczos"]))
    return {"op": "resize", "factor": round(float(rng.uniform(low, high)), 3), "kernel": kernel}


def _crop(rng: np.random.Generator) -> dict[str, Any]:
    # Odd offsets shift the 8x8 JPEG grid, as real uploads do.
    return {"op": "crop", "box": [round(float(v), 4) for v in rng.uniform(0, 0.06, 4)]}


def _compress(rng: np.random.Generator, codec: str, low: int, high: int) -> dict[str, Any]:
    step: dict[str, Any] = {"op": codec, "quality": int(rng.integers(low, high + 1))}
    if codec == "JPEG":
        step["subsampling"] = int(rng.choice([2, 2, 1, 0]))
    return step


def apply(image: Array, mask: Array, channel: dict[str, Any]) -> tuple[bytes, Array]:
    """Send a photo and its mask through a channel.

    Args:
        image: uint8 `[h, w, 3]`.
        mask: uint8 `[h, w]`, 0 or 255.
        channel: As `plan` gives; its last step is a JPEG.

    Returns:
        The JPEG file as the reviewer gets it, and the mask of the same size (0 or 255).
    """
    data = b""
    for step in channel["steps"]:
        height, width = mask.shape
        if step["op"] == "resize":
            size = [max(64, round(side * step["factor"])) for side in (width, height)]
            kernel = {
                "area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR, "lanczos": cv2.INTER_LANCZOS4
            }[step["kernel"]]  # fmt: skip
            image = np.asarray(cv2.resize(image, size, interpolation=kernel), np.uint8)
            soft = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
            mask = np.where(soft >= 128, 255, 0).astype(np.uint8)
        elif step["op"] == "crop":
            top, bottom, left, right = step["box"]
            rows = slice(round(top * height), height - round(bottom * height))
            columns = slice(round(left * width), width - round(right * width))
            image, mask = image[rows, columns], mask[rows, columns]
        elif step["op"] == "WEBP":
            image = _webp(image, step["quality"])
        else:
            image, data = jpeg(np.ascontiguousarray(image), step["quality"], step["subsampling"])
    return data, mask


def _webp(image: Array, quality: int) -> Array:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, "WEBP", quality=quality, method=2)
    return np.array(Image.open(buffer).convert("RGB"))

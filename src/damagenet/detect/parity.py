"""Does the exported file say what the network says? Differences between torch and ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from damagenet import runs
from damagenet.images import Array

SHAPES = ((1, 96, 96), (2, 150, 203), (3, 257, 61), (1, 1100, 1029))
"""Batch, height, width that every export is checked at; none is the traced shape, and the last is
four tiles."""
SCORE, HEATMAP = 1e-4, 1e-3
"""Largest differences that pass."""


def check_parity(deployed: nn.Module, data: bytes) -> dict[str, Any]:
    """Largest absolute differences over drawn pictures of `SHAPES`, for the model's card."""
    import onnxruntime

    table = compared(deployed, data, map(_drawn, SHAPES), batches=(1,), threads=(0,))
    score, heatmap = (float(table[name].max()) for name in ("score", "heatmap"))
    return {
        "max_difference": max(score, heatmap),
        "score": score,
        "heatmap": heatmap,
        "shapes": [list(shape) for shape in SHAPES],
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
    }


def compared(
    deployed: nn.Module,
    data: bytes,
    pictures: Iterable[Array],
    batches: Sequence[int] = (1, 2, 5),
    threads: Sequence[int] = (1, 2),
) -> pd.DataFrame:
    """Largest absolute differences of score and heatmap, by picture, copies in a batch and threads.

    Args:
        deployed: `export.Deployed`; torch sees each picture once, on its own.
        data: The ONNX file.
        pictures: uint8 `[b, h, w, 3]` each.
        batches: How often a picture is repeated in one pass; every copy is compared.
        threads: Threads of ONNX Runtime; 0 leaves them to it.
    """
    import onnxruntime

    sessions = {}
    for count in threads:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = count
        options.enable_mem_pattern = False
        sessions[count] = onnxruntime.InferenceSession(
            data, options, providers=["CPUExecutionProvider"]
        )
    rows = []
    for picture in pictures:
        with torch.no_grad():
            expected = [x.numpy() for x in deployed(torch.from_numpy(picture))]
        size = f"{picture.shape[2]}x{picture.shape[1]}"
        for count, session in sessions.items():
            for copies in batches:
                many = np.concatenate([picture] * copies)
                found = session.run(["score", "heatmap"], {"image": many})
                gaps = [
                    float(np.abs(one - np.concatenate([other] * copies)).max())
                    for one, other in zip(found, expected, strict=True)
                ]
                rows.append((size, copies * len(picture), count, *gaps))
    return pd.DataFrame(rows, columns=["size", "batch", "threads", "score", "heatmap"])


def _drawn(shape: tuple[int, int, int]) -> Array:
    """Blocks with noise: neither flat nor mere noise, uint8 `[b, h, w, 3]`."""
    batch, height, width = shape
    rng = runs.rng_for(0, "parity", *shape)
    smooth = rng.integers(0, 256, (batch, height // 8 + 1, width // 8 + 1, 3))
    image = smooth.repeat(8, 1).repeat(8, 2)[:, :height, :width]
    return np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)

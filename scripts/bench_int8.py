"""Is an 8-bit detector worth shipping? Speed and AUC of several recipes beside full precision.

    python scripts/bench_int8.py RUN DATASET

Static quantisation with ONNX Runtime, calibrated on training pictures of all channels, measured on
validation pictures. Each recipe keeps other layers in full precision: what is read in the first
ones are differences of a grey level or less.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd

from damagenet import images, runs
from damagenet.detect import export, graph, int8, metrics, model
from damagenet.synth import dataset

PICTURES = 300
RECIPES = {
    "everything": (0, "MinMax"),
    "all but residuals and stem": (2, "MinMax"),
    "the same, percentiles": (2, "Percentile"),
    "all but full resolution": (4, "MinMax"),
    "all but full and half resolution": (9, "MinMax"),
}
"""How many convolutions, counted from the picture, stay in full precision; how ranges are found."""


def session(data: bytes) -> onnxruntime.InferenceSession:
    """One thread, quiet."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def scores(one: onnxruntime.InferenceSession, paths: list[Path]) -> np.ndarray:
    """Scores of files, `[n]`."""
    return np.array([one.run(["score"], {"image": images.read(p)[None]})[0][0] for p in paths])


def speed(tools: list[onnxruntime.InferenceSession], turns: int = 5) -> np.ndarray:
    """CPU seconds of a picture of a megapixel, `[turns, tools]`; tools take turns."""
    image = np.random.default_rng(0).integers(0, 256, (1, 1000, 1000, 3), dtype=np.uint8)
    found = np.zeros((turns + 1, len(tools)))
    for turn in range(turns + 1):
        for index, tool in enumerate(tools):
            begin = time.process_time()
            tool.run(["score"], {"image": image})
            found[turn, index] = time.process_time() - begin
    return found[1:]


def main(run: Path, folder: Path) -> None:
    """Print a row per recipe."""
    network, _ = model.load(run / "best.safetensors")
    curve = runs.read_json(run / "metrics.json", "evaluate first")["calibration"]
    tile = export.traced(export.Deployed(network, curve), 20)
    rows = dataset.read_manifest(folder)
    train, val = (
        rows[rows.split == split].sample(frac=1, random_state=0) for split in ("train", "val")
    )
    photos = [folder / image for image in train.image[: 2 * int8.CROPS]]
    val = val[:PICTURES]
    paths = [folder / image for image in val.image]
    plain = session(graph.looped(tile, network, curve).SerializeToString())
    truth, expected = val.label.to_numpy(), scores(plain, paths)
    found = [{"recipe": "full precision", "auc": metrics.auc(truth, expected)}]
    tools = [plain]
    for name, (kept, method) in RECIPES.items():
        small = int8.quantised(tile, photos, kept, method)
        tools.append(session(graph.looped(small, network, curve).SerializeToString()))
        got = scores(tools[-1], paths)
        found.append({"recipe": name, "auc": metrics.auc(truth, got),
                      "largest difference": np.abs(got - expected).max()})  # fmt: skip
        print(found[-1], file=sys.stderr, flush=True)
    times = speed(tools)
    table = pd.DataFrame(found)
    table["auc lost"] = table.auc[0] - table.auc
    ratios = times[:, :1] / times
    for name, share in (("speed-up", 0.5), ("low", 0.25), ("high", 0.75)):
        table[name] = np.quantile(ratios, share, axis=0)
    print(table.round(4).to_string(index=False))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))

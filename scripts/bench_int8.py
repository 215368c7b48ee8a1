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
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pandas as pd
from onnxruntime.quantization import CalibrationMethod, QuantType, quantize_static

from damagenet import images, runs
from damagenet.detect import export, graph, metrics, model
from damagenet.synth import dataset

CALIBRATION, PICTURES, SIDE = 96, 300, 192
RECIPES: dict[str, tuple[int, CalibrationMethod]] = {
    "everything": (0, CalibrationMethod.MinMax),
    "all but residuals and stem": (2, CalibrationMethod.MinMax),
    "the same, percentiles": (2, CalibrationMethod.Percentile),
    "all but full resolution": (4, CalibrationMethod.MinMax),
    "all but full and half resolution": (9, CalibrationMethod.MinMax),
}
"""How many convolutions, counted from the picture, stay in full precision; how ranges are found."""


class Photos:
    """Crops of photos one by one, as ONNX Runtime's calibration wants them."""

    def __init__(self, paths: list[Path]) -> None:
        """From these files."""
        self.crops = self._crops(paths)

    def _crops(self, paths: list[Path]) -> Iterator[dict[str, np.ndarray]]:
        for path in paths:
            picture = images.read(path)
            if min(picture.shape[:2]) >= SIDE:  # histograms want crops of one size
                yield {"crop": picture[None, :SIDE, :SIDE]}

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next crop, None after the last."""
        return next(self.crops, None)


def quantised(tile: Any, kept: int, method: CalibrationMethod, photos: list[Path]) -> Any:  # noqa: ANN401
    """A tile's model with 8-bit convolutions but for the first few."""
    convolutions = [node.name for node in tile.graph.node if node.op_type == "Conv"]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "tile.onnx", Path(folder) / "int8.onnx"
        onnx.save(tile, source)
        quantize_static(
            source, target, Photos(photos), per_channel=True, calibrate_method=method,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            nodes_to_quantize=convolutions[kept:],
        )  # fmt: skip
        return onnx.load(target)


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
    del tile.graph.value_info[:]  # stale shapes stop the quantiser
    rows = dataset.read_manifest(folder)
    train, val = (
        rows[rows.split == split].sample(frac=1, random_state=0) for split in ("train", "val")
    )
    photos = [folder / image for image in train.image[:CALIBRATION]]
    val = val[:PICTURES]
    paths = [folder / image for image in val.image]
    plain = session(graph.looped(tile, network, curve).SerializeToString())
    truth, expected = val.label.to_numpy(), scores(plain, paths)
    found = [{"recipe": "full precision", "auc": metrics.auc(truth, expected)}]
    tools = [plain]
    for name, (kept, method) in RECIPES.items():
        small = quantised(tile, kept, method, photos)
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

"""The detector in 8 bits: a second ONNX file, faster on a CPU, with numbers of its own.

Static quantisation with ONNX Runtime. The first convolutions, which read differences of a grey
level or less, stay in full precision (`scripts/bench_int8.py` compares recipes). Scores differ a
little from those of `detector.onnx`, so thresholds and metrics are taken anew.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import special
from tqdm.auto import tqdm

from damagenet import BadInput, images, runs
from damagenet.config import load
from damagenet.detect import certify, export, graph, measure, metrics, model, model_card
from damagenet.detect.evaluate import COLUMNS, finite
from damagenet.synth import dataset

KEPT = 4
"""Convolutions in full precision: residuals and all of full resolution but one."""
CROPS, SIDE = 96, 192
"""Training pictures, and their side in pixels, on which ranges are found."""
LOST = 0.005
"""Validation AUC that 8 bits may cost."""


def export_int8(run: Path, folder: Path | None = None) -> dict[str, Any]:
    """Write `detector.int8.onnx`, then `detector.int8.json`, beside an exported detector.

    Raises:
        BadInput: Not exported, no dataset, or 8 bits cost more than `LOST` validation AUC
            (nothing is written then).
    """
    card = runs.read_json(run / "detector.json", f"export first: `damagenet export {run}`")
    config = load(run / "config.yaml")
    folder = folder or config.dataset_dir
    manifest = dataset.read_manifest(folder)
    network, _ = model.load(run / "best.safetensors")
    deployed = export.Deployed(network, card["calibration"]).eval()
    train = manifest[manifest.split == "train"].sample(frac=1, random_state=config.seed)
    crops = [folder / image for image in train.image[: 2 * CROPS]]
    tile = quantised(export.traced(deployed, config.export.opset), crops)
    data = bytes(graph.looped(tile, network, card["calibration"]).SerializeToString())

    before = pd.read_parquet(run / "predictions.parquet")
    scored = before.assign(**_scored(data, folder, before, config.train.threads))
    val, test = (scored[scored.split == split] for split in ("val", config.evaluate.split))
    truth = before[before.split == "val"]
    lost = metrics.auc(truth.label.to_numpy(), truth.score.to_numpy())
    lost -= metrics.auc(val.label.to_numpy(), val.score.to_numpy())
    if not lost <= LOST:
        raise BadInput(f"{run}: 8 bits cost {lost:.4f} AUC, more than {LOST}; use detector.onnx")
    fit = val[val.family != config.train.holdout_family]
    decided = certify.choose_thresholds(fit, config.evaluate)
    left_out = measure.unseen(dataset.read_card(folder), config)
    rows = measure.measure(test.reset_index(drop=True), decided["threshold"], config, left_out)
    table = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    card = {key: value for key, value in card.items() if key not in ("onnx_sha256", "parity")} | {
        **{key: value for key, value in decided.items() if key in card},
        "precision": "int8",
        "calibration_pictures": decided["authentic_pictures"],
        "more_photos": decided["certificate"]["flag"]["more_photos"],
        "metrics": measure.headline(table),
        "table": [row for row in table if row["metric"] in model_card.SHOWN],
        "auc_lost": round(lost, 5),
        "largest_difference": round(float((scored.score - before.score).abs().max()), 5),
    }
    card = finite(card)
    images.write_bytes(run / "detector.int8.onnx", export.with_metadata(data, card))
    digest = runs.sha256(run / "detector.int8.onnx")
    runs.write_json(run / "detector.int8.json", card | {"onnx_sha256": digest})
    return card


def quantised(tile: Any, photos: list[Path], kept: int = KEPT, method: str = "MinMax") -> Any:  # noqa: ANN401
    """An exported `graph.Tile` with 8-bit convolutions, but for the first `kept`.

    Args:
        tile: The ONNX model.
        photos: Files to find ranges on; those smaller than `SIDE` are passed over.
        kept: Convolutions in full precision, counted from the picture.
        method: How ranges are found, a name of ONNX Runtime's `CalibrationMethod`.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantType, quantize_static

    del tile.graph.value_info[:]  # stale shapes stop the quantiser
    convolutions = [
        node.name
        for node in tile.graph.node
        if node.op_type == "Conv" and "periodic" not in node.input[1]  # reads tenths of a level
    ]
    with tempfile.TemporaryDirectory() as place:
        source, target = Path(place) / "tile.onnx", Path(place) / "int8.onnx"
        onnx.save(tile, source)
        quantize_static(
            source, target, _Crops(photos), per_channel=True,
            calibrate_method=getattr(CalibrationMethod, method),
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            nodes_to_quantize=convolutions[kept:],
        )  # fmt: skip
        return onnx.load(target)


class _Crops:
    """Crops of one size, one by one, as ONNX Runtime's calibration asks for them."""

    def __init__(self, photos: list[Path]) -> None:
        self._crops = self._read(photos)

    def _read(self, photos: list[Path]) -> Iterator[dict[str, np.ndarray]]:
        found = 0
        for path in photos:
            picture = images.read(path)
            side = SIDE if min(picture.shape[:2]) >= SIDE else min(picture.shape[:2]) // 32 * 32
            if side >= 64 and found < CROPS:
                found += 1
                crop = picture[None, :side, :side]
                yield {"crop": crop, "near": crop}

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._crops, None)


def _scored(data: bytes, folder: Path, rows: pd.DataFrame, threads: int) -> dict[str, np.ndarray]:
    """Scores, their logits, and pixel counts of pictures, as columns."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.enable_mem_pattern = threads, False
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    lines = []
    for row in tqdm(rows.to_dict("records"), desc="8 bits", unit="picture"):
        image, mask = dataset.read_pair(folder, row)
        score, heat = (x[0] for x in session.run(["score", "heatmap"], {"image": image[None]}))
        lines.append((float(score), *metrics.pixel_counts(heat >= 0.5, mask)))
    score, *counts = (np.array(column) for column in zip(*lines, strict=True))
    logit = special.logit(np.clip(score, 1e-7, 1 - 1e-7))
    return {"score": score, "logit": logit} | dict(zip(("tp", "fp", "fn"), counts, strict=True))

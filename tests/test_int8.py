"""The detector in 8 bits."""

import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import photo

from damagenet import BadInput, cli, runs
from damagenet.claims import Detector
from damagenet.detect import int8, metrics

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def small(exported, built, tmp_path_factory):
    """A copy of the exported run with the 8-bit file beside it."""
    run = shutil.copytree(exported, tmp_path_factory.mktemp("int8") / "tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(int8, "LOST", 0.2)  # a network of six steps ranks by a hair
        assert cli.main(["export", str(run), "--int8", "--data", str(built)]) == 0
    return run


def test_it_is_a_detector_close_to_the_first_one(small):
    first, second = (Detector(small / name, threads=1, recheck=False)
                     for name in ("detector.onnx", "detector.int8.onnx"))  # fmt: skip
    one, other = first(photo()), second(photo())
    assert 0 < abs(one.score - other.score) < 0.1
    assert 0 < np.abs(one.heatmap - other.heatmap).mean() < 0.1
    assert one.heatmap.shape == other.heatmap.shape


def test_its_card_holds_its_own_numbers(small, built):
    card = runs.read_json(small / "detector.int8.json", "")
    plain = runs.read_json(small / "detector.json", "")
    assert card["precision"] == "int8" and "parity" not in card
    assert card["onnx_sha256"] == runs.sha256(small / "detector.int8.onnx")
    scored = pd.read_parquet(small / "predictions.parquet")
    detector = Detector(small / "detector.int8.onnx", threads=1, recheck=False)
    test = scored[scored.split == "test"]
    scores = [detector(built / image).score for image in test.image]
    auc = metrics.auc(test.label.to_numpy(), np.array(scores))
    assert card["metrics"]["image_auc"]["value"] == pytest.approx(auc, abs=1e-3)
    for key in ("weights_sha256", "dataset_sha256", "licence", "calibration"):
        assert card[key] == plain[key]


def test_the_first_layers_stay_as_they_are(small):
    onnx = pytest.importorskip("onnx")
    (loop,) = [
        node
        for node in onnx.load(small / "detector.int8.onnx").graph.node
        if node.op_type == "Loop"
    ]
    body = loop.attribute[0].g
    made = {node.output[0]: node.op_type for node in body.node}
    lattice = {n.output[0] for n in body.node if any("periodic" in name for name in n.input)}
    convolutions = [n for n in body.node if n.op_type == "Conv" and n.output[0] not in lattice]
    sources = [made.get(n.input[1]) for n in convolutions]
    assert sorted(made[name] for name in lattice) == ["Conv", "MatMul"]
    assert sources[: int8.KEPT] == [None] * int8.KEPT  # plain weights
    assert set(sources[int8.KEPT :]) == {"DequantizeLinear"}


def test_what_costs_too_much_is_not_written(exported, built, tmp_path, monkeypatch):
    run = shutil.copytree(exported, tmp_path / "tiny")
    monkeypatch.setattr(int8, "LOST", -1.0)
    with pytest.raises(BadInput, match=r"8 bits cost .* AUC, more than -1\.0; use detector\.onnx"):
        int8.export_int8(run, built)
    assert not list(run.glob("*int8*"))

import json
import shutil

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from conftest import SETTINGS, photo

from damagenet import BadInput, __version__, runs
from damagenet.claims import Detector
from damagenet.detect import model
from damagenet.detect.export import Deployed, export, to_onnx
from damagenet.detect.parity import SHAPES, check_parity


@pytest.fixture(scope="module")
def session(exported):
    return onnxruntime.InferenceSession(
        exported / "detector.onnx", providers=["CPUExecutionProvider"]
    )


@pytest.fixture(scope="module")
def card(exported):
    return runs.read_json(exported / "detector.json", "")


@pytest.fixture(scope="module")
def deployed(exported):
    network, _ = model.load(exported / "best.safetensors")
    return Deployed(network, runs.read_json(exported / "metrics.json", "")["calibration"]).eval()


def pictures(batch, height, width):
    shots = [photo(height, width), *np.random.default_rng(0).integers(
        0, 256, (batch - 1, height, width, 3), dtype=np.uint8)]  # fmt: skip
    return np.stack(shots).astype(np.uint8)


def test_the_interface_is_as_promised(session):
    (image,) = session.get_inputs()
    assert (image.name, image.type) == ("image", "tensor(uint8)")
    assert len(image.shape) == 4 and image.shape[3] == 3
    assert all(isinstance(side, str) for side in image.shape[:3])  # names: dynamic
    outputs = {output.name: output for output in session.get_outputs()}
    assert list(outputs) == ["score", "heatmap"]
    assert all(output.type == "tensor(float)" for output in outputs.values())
    assert [len(output.shape) for output in outputs.values()] == [1, 3]


@pytest.mark.parametrize(
    "size", [(1, 64, 64), (1, 101, 333), (4, 96, 128), (2, 240, 77), (1, 40, 7)]
)
def test_onnx_runtime_agrees_with_torch_at_any_batch_and_size(session, deployed, size):
    assert size not in SHAPES
    image = pictures(*size)
    score, heatmap = session.run(["score", "heatmap"], {"image": image})
    with torch.no_grad():
        expected = [x.numpy() for x in deployed(torch.from_numpy(image))]
    assert score.shape == size[:1] and heatmap.shape == size
    assert np.abs(score - expected[0]).max() < 1e-4 and np.abs(heatmap - expected[1]).max() < 1e-4
    for values in (score, heatmap):
        assert values.dtype == np.float32 and values.min() >= 0 and values.max() <= 1


def test_the_file_scores_as_the_evaluation_did(exported, built):
    scored = pd.read_parquet(exported / "predictions.parquet")
    detector = Detector(exported / "detector.onnx", threads=1)
    for row in scored.groupby("cell").head(2).itertuples():
        result = detector(built / row.image)
        assert result.score == pytest.approx(row.score, abs=1e-4)
        tp_and_fp = int((result.heatmap >= 0.5).sum())
        assert tp_and_fp == pytest.approx(row.tp + row.fp, abs=0.002 * result.heatmap.size)


def test_the_verdicts_follow_the_thresholds_of_the_evaluation(exported):
    results = runs.read_json(exported / "metrics.json", "")
    detector = Detector(exported / "detector.onnx", threads=1)
    assert detector.threshold == results["threshold"]
    assert detector.review_threshold == results["review_threshold"]


def test_the_metadata_is_that_of_the_json(exported, session, card):
    metadata = session.get_modelmeta().custom_metadata_map
    inside = json.loads(metadata["damagenet"])
    assert inside == {key: value for key, value in card.items() if key != "onnx_sha256"}
    for key in ("version", "threshold", "false_alarm_rate", "dataset_sha256", "licence"):
        assert metadata[key] == str(card[key])
    assert json.loads(metadata["metrics"]) == card["metrics"]
    assert card["version"] == __version__ and card["licence"] == "Apache-2.0"
    assert card["onnx_sha256"] == runs.sha256(exported / "detector.onnx")


def test_the_card_repeats_the_evaluation(exported, card):
    results = runs.read_json(exported / "metrics.json", "")
    for key in ("threshold", "review_threshold", "false_alarm_rate", "dataset_sha256"):
        assert card[key] == results[key]
    assert card["metrics"] == results["headline"] and card["seed"] == SETTINGS["seed"]
    assert card["parity"]["max_difference"] <= 1e-3
    assert len(card["parity"]["shapes"]) >= 3


def test_the_card_names_what_the_file_was_made_from(exported, card):
    assert card["weights_sha256"] == runs.sha256(exported / "best.safetensors")
    assert card["export_code_sha256"] == runs.code_sha256()
    assert len(card["dataset_sha256"]) == 64 and card["calibration_pictures"] > 0
    assert card["intended_use"] and card["input"].startswith("image uint8 [batch,height,width,3]")


def test_the_model_is_valid_and_holds_its_weights(exported):
    proto = onnx.load(exported / "detector.onnx")
    onnx.checker.check_model(proto, full_check=True)
    assert {path.name for path in exported.glob("detector*")} == {"detector.onnx", "detector.json"}
    assert proto.producer_name == "damagenet" and proto.ir_version <= 10


@pytest.mark.slow
def test_a_bent_calibration_curve_is_part_of_the_graph(exported):
    network, _ = model.load(exported / "best.safetensors")
    curves = [{"slope": 0.3, "offset": -0.1, "knots": [-0.2, 0.1], "bends": bends}
              for bends in ([0.9, 1.2], [0.0, 0.0])]  # fmt: skip
    bent, plain = (Deployed(network, curve).eval() for curve in curves)
    graph = to_onnx(bent, 20)
    assert check_parity(bent, graph)["max_difference"] < 1e-4
    assert check_parity(plain, graph)["score"] > 1e-3  # the bends are in there


def test_the_card_says_what_was_certified(exported, card):
    results = runs.read_json(exported / "metrics.json", "")
    assert card["certificate"] == results["certificate"]
    assert card["more_photos"] == results["certificate"]["flag"]["more_photos"] > 0
    assert card["threshold"] > 1  # a tiny run can promise nothing, so nothing is ever flagged
    assert {"table", "calibration", "damaged_pictures", "really_damaged_pictures"} <= set(card)


def test_a_difference_beyond_the_tolerance_lets_nothing_out(
    evaluated, exported, tmp_path, monkeypatch
):
    data = (exported / "detector.onnx").read_bytes()
    monkeypatch.setattr("damagenet.detect.export.to_onnx", lambda *given: data)
    run = shutil.copytree(evaluated, tmp_path / "run")
    text = (run / "config.yaml").read_text()
    assert "tolerance: 0.001" in text
    (run / "config.yaml").write_text(text.replace("tolerance: 0.001", "tolerance: -1.0"))
    with pytest.raises(BadInput, match=r"differs from torch by .*, more than -1; try another"):
        export(run)
    assert not list(run.glob("detector*"))


def test_a_run_that_was_not_evaluated_is_bad_input(trained):
    with pytest.raises(BadInput, match=r"metrics\.json: not found; evaluate first"):
        export(trained)


def test_a_run_without_weights_is_bad_input(evaluated, tmp_path):
    run = shutil.copytree(evaluated, tmp_path / "run")
    (run / "best.safetensors").unlink()
    with pytest.raises(BadInput, match=r"best\.safetensors: not found"):
        export(run)


def test_the_file_names_no_place_on_the_machine_that_wrote_it(exported):
    data = (exported / "detector.onnx").read_bytes()
    assert b"site-packages" not in data and b"stack_trace" not in data and b".py" not in data

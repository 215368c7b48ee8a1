"""The exported file against torch, over the test vectors of the clients."""

import numpy as np
import onnxruntime
import pytest
import torch
from conftest import ROOT

from damagenet import images, runs
from damagenet.detect import export, model
from damagenet.detect.parity import HEATMAP, SCORE, SHAPES, check_parity, compared

VECTORS = sorted((ROOT / "clients" / "testvectors").glob("*_*"))


@pytest.fixture(scope="module")
def deployed(exported):
    network, _ = model.load(exported / "best.safetensors")
    curve = runs.read_json(exported / "metrics.json", "")["calibration"]
    return export.Deployed(network, curve).eval()


@pytest.fixture(scope="module")
def data(exported):
    return (exported / "detector.onnx").read_bytes()


def within(table):
    return table.score.max() <= SCORE and table.heatmap.max() <= HEATMAP


def test_every_vector_in_any_batch_on_one_and_two_threads(deployed, data):
    small = [path for path in VECTORS if not path.name.startswith("huge")]
    table = compared(deployed, data, (images.read(path)[None] for path in small))
    assert len(table) == 19 * 3 * 2 and within(table)


@pytest.mark.slow
def test_a_wrong_file_is_noticed(exported, deployed, data):
    network, _ = model.load(exported / "best.safetensors")
    torch.nn.init.normal_(network.map.weight)
    other = export.Deployed(network, deployed.calibration).eval()
    table = compared(other, data, [images.read(VECTORS[0])[None]], (1,), (1,))
    assert not within(table)
    assert check_parity(other, data)["max_difference"] > HEATMAP


def test_the_packaged_file_does_not_depend_on_threads_and_batch():
    from damagenet.claims import default_model

    picture = images.read(next(path for path in VECTORS if path.name.startswith("odd_300")))[None]
    found = []
    for threads, copies in ((1, 1), (2, 1), (1, 2), (2, 5)):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(default_model(), options)
        found.append(session.run(["score", "heatmap"], {"image": np.repeat(picture, copies, 0)}))
    for score, heatmap in found[1:]:
        assert np.abs(score - found[0][0]).max() <= SCORE
        assert np.abs(heatmap - found[0][1]).max() <= HEATMAP


def test_the_drawn_shapes_are_those_of_the_card(deployed, data):
    card = check_parity(deployed, data)
    assert card["shapes"] == [list(shape) for shape in SHAPES]
    assert 0 < card["max_difference"] < 1e-4

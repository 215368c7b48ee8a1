"""The server of docs/serving.md, run as the document says."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import hostile
import pytest
from conftest import ROOT, encoded, photo
from toy_model import write_model

from damagenet.claims import Detector

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
sys.path.insert(0, str(ROOT / "scripts"))
from bench_serving import send, server


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "detector.onnx")


@pytest.fixture(scope="module")
def served(model, tmp_path_factory):
    """The port, and the folder in which the server runs, which holds nothing but its source."""
    folder = tmp_path_factory.mktemp("empty")
    with server(folder, model) as port:
        yield port, folder


@pytest.fixture(autouse=True)
def nothing_is_written(served):
    yield
    assert [path.name for path in served[1].rglob("*")] == ["serve.py"]


def test_a_photo_gets_the_score_that_the_detector_gives(served, model):
    data = encoded(photo(), "JPEG", quality=90)
    status, answer = send(served[0], data)
    result = Detector(model, threads=1)(data)
    expected = {"score": result.score, "verdict": result.verdict, "note": result.note}
    assert (status, json.loads(answer)) == (200, expected)


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"x" * 10_000_001, 413, "bytes"),
        (hostile.png(6000, 5000, 1, 0), 413, "25,000,000 pixels"),
        (hostile.png(30_000, 30_000, 1, 0, rows=9), 422, "bomb"),
        (b"hello", 422, "not a picture"),
        (b"", 422, "empty"),
        (encoded(photo(), "JPEG")[:3000], 422, "damaged"),
    ],
    ids=["bytes", "pixels", "bomb", "text", "empty", "cut"],
)
def test_what_cannot_be_scored_is_refused_in_json(served, body, status, reason):
    found, answer = send(served[0], body)
    assert found == status and reason in json.loads(answer)["detail"]


def test_many_at_once_are_scored_rightly_or_told_to_come_back(served, model):
    bodies = [hostile.png(3000, 2000 + i, 1, 0) for i in range(12)]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda body: send(served[0], body), bodies))
    statuses = [status for status, _ in answers]
    assert set(statuses) == {200, 429} and statuses.count(200) >= 2
    for body, (status, answer) in zip(bodies, answers, strict=True):
        said = json.loads(answer)
        if status == 429:
            assert said == {"detail": "busy; try again"}
        else:
            assert said["score"] == Detector(model, threads=1, recheck=False)(body).score
    assert send(served[0], bodies[0])[0] == 200  # and afterwards all is well

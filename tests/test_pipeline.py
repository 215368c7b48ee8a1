"""The whole way twice, as a user goes it: equal bytes at the end, whatever the machine's load."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import FAMILIES, ROOT, encoded, photo
from safetensors.torch import load_file

from damagenet.synth import regenerate

pytestmark = pytest.mark.slow


def go(folder, workers):
    """Run every stage in an empty folder; the run that came out."""
    folder.mkdir()
    (folder / "claim.jpg").write_bytes(encoded(photo(300, 420), "JPEG", quality=92))
    (folder / "listing.jpg").write_bytes(encoded(photo(360, 504), "JPEG", quality=88))
    environment = dict(os.environ) | {"OMP_NUM_THREADS": "1"}
    smoke, run = ROOT / "configs" / "smoke.yaml", Path("runs") / "smoke"

    def stage(*arguments):
        line = [sys.executable, "-m", "damagenet", *map(str, arguments)]
        done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{arguments}: {done.stderr[-2000:]}"
        return done.stdout

    stage("products", "--out", "products.parquet", "--workers", workers)
    stage("build", smoke, "products.table=products.parquet", "--workers", workers)
    stage("audit", run / "dataset")
    stage("train", smoke)
    stage("evaluate", run)
    stage("export", run)
    scores = stage("predict", "claim.jpg", "listing.jpg", "--model", run / "detector.onnx")
    stage("review", "claim.jpg", "--listing", "listing.jpg", "--model", run / "detector.onnx",
          "--out", "report.html")  # fmt: skip
    (folder / "scores.jsonl").write_text(scores)
    return folder / run


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    if not set(FAMILIES) <= set(regenerate.available()):
        pytest.skip("needs damagenet[decoders]")
    place = tmp_path_factory.mktemp("pipeline")
    return go(place / "one", 1), go(place / "two", 2)


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_every_picture_has_the_same_bytes(both, kind):
    names = [sorted(p.name for p in (run / "dataset" / kind).iterdir()) for run in both]
    assert names[0] == names[1] and len(names[0]) > 40
    for name in names[0]:
        one, other = ((run / "dataset" / kind / name).read_bytes() for run in both)
        assert one == other, name


@pytest.mark.parametrize(
    "name",
    ["dataset/manifest.parquet", "dataset/audit.json", "predictions.parquet"],
)
def test_every_table_has_the_same_bytes(both, name):
    one, other = ((run / name).read_bytes() for run in both)
    assert one == other


def test_the_metrics_have_the_same_bytes(both):
    one, other = ((run / "metrics.json").read_bytes() for run in both)
    commits = [json.loads(text)["trained"]["commit"] for text in (one, other)]
    if commits[0] != commits[1]:
        pytest.skip("the checkout changed between the two runs")
    assert one == other


def test_the_weights_are_the_same(both):
    one, other = (load_file(run / "best.safetensors") for run in both)
    assert one.keys() == other.keys()
    assert all(one[key].numpy().tobytes() == other[key].numpy().tobytes() for key in one)


def test_a_user_gets_the_same_scores_and_a_report(both):
    records = [(run.parents[1] / "scores.jsonl").read_text().splitlines() for run in both]
    assert records[0] == records[1] and len(records[0]) == 2
    assert all(0 <= json.loads(line)["score"] <= 1 for line in records[0])
    reports = [json.loads((run.parents[1] / "report.json").read_text()) for run in both]
    assert reports[0]["verdict"] == reports[1]["verdict"]
    assert {"verdict", "threshold", "signals", "labels"} <= set(reports[0])
    assert (both[0].parents[1] / "report.html").stat().st_size > 1000


def test_nothing_is_written_outside_the_run(both):
    names = {path.name for path in both[0].parents[1].iterdir()}
    assert names == {
        "runs", "products.parquet", "claim.jpg", "listing.jpg", "report.html", "report.json",
        "scores.jsonl",
    }  # fmt: skip

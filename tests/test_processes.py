import subprocess
import sys

import pandas as pd
import pytest
import torch
from conftest import ROOT, settings, train_in
from safetensors.torch import load_file
from train_grouped import Grouped

from damagenet import config
from damagenet.config import Train
from damagenet.detect import model
from damagenet.detect.processes import precision, shares


def torchrun(place, built, experiment, *arguments):
    """Two processes of this machine that train together, over gloo."""
    (place / "tiny.yaml").write_text(config.dump(experiment))
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2",
        str(ROOT / "tests" / "train_grouped.py"), "tiny.yaml", str(built), *arguments,
    ]  # fmt: skip
    return subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=240)


def difference(one, other):
    """The largest difference of weights, against their largest change in training."""
    first, second = (load_file(run / "best.safetensors") for run in (one, other))
    assert first.keys() == second.keys()
    return max(float((first[key] - second[key]).abs().max()) for key in first)


AFTER_OPENCV = """
import sys
from pathlib import Path
import cv2
import numpy as np
from damagenet import config
from damagenet.detect.train import train

cv2.setNumThreads(3)
cv2.GaussianBlur(np.zeros((2000, 2000, 3), np.uint8), (0, 0), 3)
train(config.load("tiny.yaml"), Path(sys.argv[1]))
assert cv2.getNumThreads() == 3
"""


def test_loader_processes_start_after_opencv_had_threads(built, tmp_path):
    # A process that is forked beside OpenCV's threads waits for them forever.
    experiment = settings(train={"workers": 1, "steps": 2, "eval_every": 2})
    (tmp_path / "tiny.yaml").write_text(config.dump(experiment))
    command = [sys.executable, "-c", AFTER_OPENCV, str(built)]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    assert (tmp_path / "runs" / "tiny" / "best.safetensors").is_file()


@pytest.fixture(scope="module")
def whole(built, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "Network", Grouped)
        return train_in(tmp_path_factory.mktemp("whole"), settings(), built)


def test_every_step_has_the_same_pairs_however_it_is_cut():
    for accumulate, ranks in ((1, 1), (2, 1), (1, 2), (2, 3)):
        cut = Train(pairs=12, accumulate=accumulate, steps=5)
        parts = [shares(cut, 2, rank, ranks) for rank in range(ranks)]
        for step in range(3):
            mine = slice(step * accumulate, (step + 1) * accumulate)
            items = sorted(i for each in parts for part in each[mine] for i in part)
            assert items == list(range((2 + step) * 12, (3 + step) * 12))
        assert all(len(each) == 3 * accumulate for each in parts)


def test_parts_of_a_batch_add_up_to_the_batch(whole, built, tmp_path, monkeypatch):
    monkeypatch.setattr(model, "Network", Grouped)
    parts = train_in(tmp_path, settings(train={"accumulate": 4}), built)
    # Sums in another order; Adam turns the rounding of tiny gradients into parts of a step (2e-3).
    assert difference(parts, whole) < 2e-4
    logs = [pd.read_csv(run / "train.csv") for run in (parts, whole)]
    assert logs[0].loss.to_numpy() == pytest.approx(logs[1].loss.to_numpy(), abs=2e-5)


def test_batch_statistics_see_the_parts(trained, built, tmp_path):
    parts = train_in(tmp_path, settings(train={"accumulate": 4}), built)
    assert difference(parts, trained) > 1e-4


@pytest.mark.slow
def test_two_processes_train_what_one_does(whole, built, tmp_path):
    done = torchrun(tmp_path, built, settings())
    assert done.returncode == 0, done.stderr[-2000:]
    run = tmp_path / "runs" / "tiny"
    assert difference(run, whole) < 2e-4
    logs = [pd.read_csv(path / "train.csv").drop(columns=["wait", "pairs_per_s"])
            for path in (run, whole)]  # fmt: skip
    assert logs[0].to_numpy() == pytest.approx(logs[1].to_numpy(), abs=2e-4)
    assert {p.name for p in run.iterdir()} == {p.name for p in whole.iterdir()}
    assert done.stdout.count("2 x cpu") == done.stdout.count("next, `damagenet evaluate") == 1


@pytest.mark.slow
def test_a_process_that_fails_ends_the_others_with_a_message(built, tmp_path):
    done = torchrun(tmp_path, built, settings(), "1")
    assert done.returncode != 0
    assert "photo.jpg: damaged" in done.stderr
    assert "another process of this training failed, see its message" in done.stderr


@pytest.mark.slow
def test_pairs_must_be_shared_evenly(built, tmp_path):
    done = torchrun(tmp_path, built, settings(train={"pairs": 3}))
    assert done.returncode != 0
    assert "train.pairs=3 cannot be shared by 2 processes" in done.stderr


def test_precision_follows_the_device():
    cpu = torch.device("cpu")
    assert precision(Train(), cpu) == torch.float32
    assert precision(Train(precision="bfloat16"), cpu) == torch.bfloat16
    assert precision(Train(precision="float32"), torch.device("cuda")) == torch.float32

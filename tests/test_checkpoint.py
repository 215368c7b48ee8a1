import json
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import safetensors
import torch
from conftest import settings, train_in
from safetensors.torch import load_file
from torch import nn

from damagenet import BadInput, config
from damagenet.detect import checkpoint, model
from damagenet.detect import train as loop
from damagenet.detect.train import train


class Forgetful(model.Network):
    """A network with dropout: what it learns depends on random draws of every step."""

    def __init__(self, config):
        super().__init__(config)
        self.fuse.append(nn.Dropout(0.3))


def content(run):
    """Weights and state as bytes, the log without its times."""
    tensors = {
        (name, key): tensor.numpy().tobytes()
        for name in ("best", "last")
        for key, tensor in load_file(run / f"{name}.safetensors").items()
    }
    log = pd.read_csv(run / "train.csv").drop(columns=["wait", "pairs_per_s"])
    return tensors, log.to_dict("list")


def progress(run):
    with safetensors.safe_open(run / checkpoint.NAME, "pt") as handle:
        return json.loads(handle.metadata()["state"])


@pytest.fixture(scope="module")
def forgetful(built, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "Network", Forgetful)
        return train_in(tmp_path_factory.mktemp("forgetful"), settings(), built)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_run_that_was_ended_goes_on_to_the_same_weights(trained, built, tmp_path, number):
    experiment = settings(train={"save_every": 1, "workers": 1})
    (tmp_path / "tiny.yaml").write_text(config.dump(experiment))
    command = [sys.executable, "-m", "damagenet", "train", "tiny.yaml", "--data", str(built)]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    run = tmp_path / "runs" / "tiny"
    deadline = time.monotonic() + 120
    while not (run / checkpoint.NAME).is_file() and time.monotonic() < deadline:
        assert process.poll() is None, "training ended before it could be killed"
        time.sleep(0.002)
    process.send_signal(number)
    _, said = process.communicate()
    if number != signal.SIGKILL:
        assert process.returncode == 130 and "run the same command again" in said
    assert progress(run)["step"] < 6 and not progress(run)["finished"], "it was too late"
    assert train(experiment, built, run) == run
    assert content(run) == content(trained)


@pytest.mark.parametrize("step", [1, 4])
def test_a_signal_loses_no_step_and_no_random_draw(forgetful, built, tmp_path, monkeypatch, step):
    monkeypatch.setattr(model, "Network", Forgetful)
    calls = []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == step:
            signal.raise_signal(signal.SIGTERM)
        real(*arguments)

    real = loop.update_average
    monkeypatch.setattr(loop, "update_average", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_in(tmp_path, settings(), built)
    run = tmp_path / "runs" / "tiny"
    assert progress(run)["step"] == step + 1  # asked for after the step had told the others
    train(settings(), built, run)
    assert content(run) == content(forgetful)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.parametrize("call", [1, 3])
def test_an_end_between_best_weights_and_state_changes_nothing(
    trained, built, tmp_path, monkeypatch, call
):
    calls = []

    def ends(*arguments):
        calls.append(1)
        if len(calls) == call:
            raise OSError("no space left")
        real(*arguments)

    real = checkpoint.write
    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
        patch.setattr(checkpoint, "write", ends)
        train_in(tmp_path, settings(), built)
    assert train_in(tmp_path, settings(), built).is_dir()
    assert content(tmp_path / "runs" / "tiny") == content(trained)


@pytest.mark.parametrize("data", [b"", b"garbage" * 40])
def test_a_damaged_state_is_named_with_its_remedy(trained, built, tmp_path, data):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    (run / checkpoint.NAME).write_bytes(data)
    with pytest.raises(BadInput, match=r"last\.safetensors: damaged.*delete"):
        train(settings(), built, run)


def test_the_state_holds_every_tensor_of_network_average_and_optimizer(tmp_path):
    network, average = nn.Linear(3, 2), nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    now = checkpoint.Progress("me", step=7, losses=[0.1, 1 / 3], scaler={"scale": 2.0})
    checkpoint.write(tmp_path, network, average, optimizer, now)
    assert checkpoint.read(tmp_path, "me") == now
    others = nn.Linear(3, 2), nn.Linear(3, 2)
    fresh = torch.optim.AdamW(others[0].parameters())
    checkpoint.restore(tmp_path, *others, fresh)
    for one, other in zip((network, average), others, strict=True):
        assert all(
            torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True)
        )
    for one, other in zip(
        optimizer.state_dict()["state"].values(), fresh.state_dict()["state"].values(), strict=True
    ):
        assert one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)

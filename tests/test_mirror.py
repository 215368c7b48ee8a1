import sys

import pandas as pd
import pytest
from conftest import settings, train_in
from safetensors.torch import load_file

from damagenet import BadInput, runs
from damagenet.detect import mirror, train

READER = "tensorboard.backend.event_processing.event_accumulator"


def told(run):
    """What event files say, as train.csv would have it."""
    reader = pytest.importorskip(READER).EventAccumulator(str(run / mirror.FOLDER))
    reader.Reload()
    columns = {}
    for tag in reader.Tags()["scalars"]:
        events = reader.Scalars(tag)
        columns |= {"step": [e.step for e in events], tag.partition("/")[2]: [
            e.value for e in events]}  # fmt: skip
    return pd.DataFrame(columns)


def test_events_mirror_the_log_also_after_an_interruption(trained, built, tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    asked = settings(train={"tensorboard": True, "save_every": 1})
    real, calls = train.validate, []

    def ends(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(train, "validate", ends)
        train_in(tmp_path, asked, built)
    run = train_in(tmp_path, asked, built)
    log = pd.read_csv(run / "train.csv")
    found = told(run)
    assert log.step.tolist() == [2, 4, 6]
    pd.testing.assert_frame_equal(found[list(log)], log, check_dtype=False, rtol=1e-6)

    mine, plain = (load_file(one / "best.safetensors") for one in (run, trained))
    assert all(mine[key].equal(plain[key]) for key in plain)  # looking on changes nothing
    assert not (trained / mirror.FOLDER).exists()
    (again,) = runs.read_json(run / "environment.json", "")["resumed"]
    assert again["step"] == 3 and {"at", "commit"} < set(again)


def test_the_mirror_makes_no_other_run(trained, built):
    asked = settings(train={"tensorboard": True})
    assert train.train(asked, built, trained) == trained  # finished, so left alone


def test_without_tensorboard_there_is_one_clear_error(built, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(BadInput, match=r"pip install 'damagenet\[tensorboard\]'"):
        train_in(tmp_path, settings(train={"tensorboard": True}), built)

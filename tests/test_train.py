import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors
import torch
from conftest import FAMILIES, SETTINGS, rewrite, settings, train_in
from safetensors.torch import load_file

from damagenet import BadInput, config, images, runs
from damagenet.detect import model
from damagenet.detect.train import schedule, train, update_average
from damagenet.synth import dataset


def weights(run, name="best"):
    """The weights of a run as bytes, whatever its metadata says about commits."""
    return {
        key: tensor.numpy().tobytes()
        for key, tensor in load_file(run / f"{name}.safetensors").items()
    }


def times(run):
    return {path: path.stat().st_mtime_ns for path in run.rglob("*")}


def test_a_run_holds_what_the_house_promises(trained, built):
    names = {path.name for path in trained.iterdir()}
    assert names == {
        "config.yaml", "environment.json", "train.csv", "last.safetensors", "best.safetensors"
    }  # fmt: skip
    assert config.load(trained / "config.yaml") == settings()
    facts = runs.read_json(trained / "environment.json", "")
    assert (facts["seed"], facts["threads"], facts["device"]) == (SETTINGS["seed"], 1, "cpu")
    assert facts["dataset"] == dataset.read_card(built)["manifest_sha256"]
    assert {"commit", "versions", "machine", "python"} <= set(facts)


def test_the_log_has_a_row_for_every_evaluation(trained):
    log = pd.read_csv(trained / "train.csv")
    assert list(log.columns) == [
        "step", "loss", "auc", "tpr_at_5", "pixel_f1", "wait", "pairs_per_s"
    ]  # fmt: skip
    assert log.step.tolist() == [2, 4, 6]
    assert np.isfinite(log.to_numpy()).all()
    assert log.auc.between(0, 1).all() and (log.loss > 0).all()
    assert log.wait.between(0, 1, inclusive="neither").all() and (log.pairs_per_s > 0).all()


def test_the_best_weights_are_those_of_the_best_evaluation(trained, built):
    log = pd.read_csv(trained / "train.csv")
    best = log.loc[log.auc.idxmax()]
    _, facts = model.load(trained / "best.safetensors")
    assert facts["step"] == best.step and facts["val"]["auc"] == best.auc
    assert facts["seed"] == SETTINGS["seed"]
    assert facts["dataset"] == dataset.read_card(built)["manifest_sha256"]


def test_no_file_of_a_run_is_a_pickle(trained):
    for path in trained.glob("*.safetensors"):
        with safetensors.safe_open(path, "pt") as handle:
            assert handle.metadata()


def test_the_same_seed_gives_the_same_weights(trained, built, tmp_path):
    again = train_in(tmp_path, settings(), built)
    assert weights(again) == weights(trained) and weights(again, "last") == weights(trained, "last")
    logs = [pd.read_csv(run / "train.csv").iloc[:, :5] for run in (again, trained)]
    pd.testing.assert_frame_equal(*logs, check_exact=True)


def test_another_seed_gives_other_weights(trained, built, tmp_path):
    other = train_in(tmp_path, settings(seed=4), built)
    assert weights(other) != weights(trained)


def test_a_finished_run_is_left_alone(trained, built):
    before = times(trained)
    assert train(settings(), built, trained) == trained
    assert times(trained) == before


@pytest.mark.parametrize("change", [{"seed": 9}, {"train": {"lr": 0.001}}])
def test_a_run_of_another_config_is_not_overwritten(trained, built, change):
    before = times(trained)
    with pytest.raises(BadInput, match="holds a run of another config or dataset; delete it"):
        train(settings(**change), built, trained)
    assert times(trained) == before


def test_a_run_of_another_dataset_is_not_continued(trained, copied, manifest):
    rewrite(copied, manifest.iloc[::-1])
    with pytest.raises(BadInput, match="another config or dataset"):
        train(settings(), copied, trained)


def test_training_stops_when_validation_no_longer_improves(built, tmp_path):
    change = {"steps": 40, "eval_every": 1, "patience": 1}
    run = train_in(tmp_path, settings(train=change), built)
    log = pd.read_csv(run / "train.csv")
    assert len(log) < 40
    assert log.auc.iloc[-1] <= log.auc.iloc[:-1].max()
    assert log.auc.iloc[:-1].is_monotonic_increasing
    assert train(settings(train=change), built, run) == run  # and it counts as finished


def test_a_loss_that_is_not_finite_is_reported_with_its_batch(built, tmp_path):
    with pytest.raises(
        BadInput, match=r"bad-batch-\d+\.safetensors: the loss is .* lower train\.lr"
    ):
        train_in(tmp_path, settings(train={"lr": 1e30}), built)
    (batch,) = tmp_path.glob("runs/tiny/bad-batch-*.safetensors")
    assert load_file(batch)["image"].dtype == torch.uint8


def test_half_precision_trains_float32_weights_that_differ(trained, built, tmp_path):
    half = train_in(tmp_path, settings(train={"precision": "bfloat16"}), built)
    assert runs.read_json(half / "environment.json", "")["precision"] == "bfloat16"
    assert runs.read_json(trained / "environment.json", "")["precision"] == "float32"
    one, other = (load_file(run / "best.safetensors") for run in (half, trained))
    assert all(tensor.dtype == other[key].dtype for key, tensor in one.items())
    assert weights(half) != weights(trained)
    logs = [pd.read_csv(run / "train.csv") for run in (half, trained)]
    assert logs[0].loss.to_numpy() == pytest.approx(logs[1].loss.to_numpy(), rel=0.05)


def test_it_says_what_it_does_and_what_comes_next(built, tmp_path, capsys):
    train_in(tmp_path, settings(), built)
    first, last = capsys.readouterr().out.strip().splitlines()
    assert "1 x cpu, float32" in first and "parameters, steps 1 to 6 of 4 pairs" in first
    assert "best.safetensors: validation AUC 0." in last
    assert last.endswith("next, `damagenet evaluate runs/tiny`")


def test_there_must_be_something_to_resume(built, tmp_path):
    with pytest.raises(BadInput, match="gone: nothing to resume there"):
        train(settings(), built, tmp_path / "gone")


def test_no_dataset_is_bad_input_before_anything_is_written(tmp_path):
    with pytest.raises(BadInput, match="no such dataset"):
        train_in(tmp_path, settings(), tmp_path / "gone")
    assert not (tmp_path / "runs").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_bad_input_before_anything_is_written(built, tmp_path):
    with pytest.raises(BadInput, match=r"train\.device=cuda"):
        train_in(tmp_path, settings(train={"device": "cuda"}), built)
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_trace_that_is_there_is_learnt(copied, manifest, tmp_path):
    # Coarse noise in the doctored pixels instead of a decoder's trace: nobody could miss it.
    for row in manifest[manifest.label == 1].to_dict("records"):
        image, mask = dataset.read_pair(copied, row)
        noise = runs.rng_for(0, row["image"]).choice([-40, 40], image.shape)
        loud = np.where(mask[..., None], np.clip(image + noise, 0, 255), image).astype(np.uint8)
        images.write(copied / row["image"], loud, quality=95)
    change = {"steps": 80, "eval_every": 40, "lr": 0.005, "ema": 0.9, "augment": 0.0}
    run = train_in(tmp_path, settings(train=change), copied)
    log = pd.read_csv(run / "train.csv")
    assert log.loss.iloc[-1] < 0.75 * log.loss.iloc[0]
    assert log.auc.max() > 0.9 and log.pixel_f1.max() > 0.5


def test_the_learning_rate_warms_up_and_falls_to_zero():
    rates = [schedule(step, 200) for step in range(1, 201)]
    assert rates[9] == 1 == max(rates) and rates[-1] == pytest.approx(0, abs=1e-12)
    assert rates[:10] == sorted(rates[:10]) and rates[9:] == sorted(rates[9:], reverse=True)
    assert schedule(1, 1) == 1


def test_the_average_follows_weights_and_copies_statistics():
    slow, fast = torch.nn.BatchNorm1d(3), torch.nn.BatchNorm1d(3)
    with torch.no_grad():
        fast.weight.fill_(2.0)
        fast.running_mean.fill_(5.0)
    update_average(slow, fast, 0.9)
    assert torch.allclose(slow.weight, torch.full((3,), 1.1))
    assert torch.equal(slow.running_mean, fast.running_mean)
    assert torch.equal(fast.weight, torch.full((3,), 2.0))


def test_a_family_to_leave_out_must_be_there(built, tmp_path):
    wrong = settings(train={"holdout_family": FAMILIES[0] + "x"})
    with pytest.raises(BadInput, match=f"holdout_family: .*did you mean {FAMILIES[0]}"):
        train_in(tmp_path, wrong, built)


def test_a_validation_without_doctored_pictures_is_refused(copied, manifest, tmp_path):
    val = (manifest.split == "val") & (manifest.label == 1)
    rewrite(copied, manifest.assign(family=manifest.family.where(~val, FAMILIES[0])))
    with pytest.raises(BadInput, match="validation has no doctored picture left"):
        train_in(tmp_path, settings(train={"holdout_family": FAMILIES[0]}), copied)


def test_a_finished_run_whose_weights_are_gone_says_so(trained, built, tmp_path):
    run = Path(shutil.copytree(trained, tmp_path / "runs" / trained.name))
    (run / "best.safetensors").unlink()
    with pytest.raises(BadInput, match=r"best\.safetensors: gone"):
        train_in(tmp_path, settings(), built)

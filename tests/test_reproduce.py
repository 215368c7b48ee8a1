"""Reproducing a training: what is compared, what is let pass, and (slow) the real thing twice."""

import contextlib
import importlib.util
import os
import shutil
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import ROOT, SETTINGS

from damagenet import config, runs
from damagenet.claims.model import PACKAGED
from damagenet.detect import model
from damagenet.detect.evaluate import evaluate

CONFIG = ROOT / "configs" / "reproduce.yaml"
spec = importlib.util.spec_from_file_location("reproduce", ROOT / "scripts" / "reproduce.py")
reproduce = importlib.util.module_from_spec(spec)
sys.modules["reproduce"] = reproduce
spec.loader.exec_module(reproduce)

FOUND = {
    "products": {"sha256": "p" * 64},
    "build": {"sha256": "b" * 64},
    "train": {"sha256": "t" * 64, "validation_auc": 0.8},
    "evaluate": {"sha256": "e" * 64, "image_auc": 0.85, "ece": 0.1},
}


@pytest.fixture
def expected():
    """A committed expectation, as a plain value."""
    return runs.read_json(CONFIG.with_suffix(".expected.json"), "accept one")


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """A config with an expectation, and stages that give whatever is put into `found`."""
    monkeypatch.chdir(tmp_path)
    path, found, ran = tmp_path / "mine.yaml", {k: dict(v) for k, v in FOUND.items()}, []

    def stages(settings, workers=1):
        for name, values in found.items():
            ran.append(name)
            yield name, values

    monkeypatch.setattr(reproduce, "stages", stages)
    monkeypatch.setattr(reproduce, "learnt", lambda *a: list(stages(*a))[2:])
    path.write_text(yaml.safe_dump(SETTINGS))
    assert reproduce.main([str(path), "--accept", "--seeds", "3"]) == 0
    ran.clear()
    return path, found, ran


def test_what_was_accepted_is_reproduced(bench, capsys):
    path, _, ran = bench
    assert reproduce.main([str(path)]) == 0
    assert ran == list(reproduce.STAGES) and "reproduced:" in capsys.readouterr().out


def test_a_hash_that_is_not_expected_is_not_compared(bench, capsys):
    path, found, _ = bench
    marks = runs.read_json(path.with_suffix(".expected.json"), "accept one")
    del marks["stages"]["train"]["sha256"]
    runs.write_json(path.with_suffix(".expected.json"), marks)
    found["train"]["sha256"] = "x" * 64
    assert reproduce.main([str(path)]) == 0 and "not compared" in capsys.readouterr().out
    found["train"]["validation_auc"] = 0.1
    assert reproduce.main([str(path)]) == 1


@pytest.mark.parametrize("stage", reproduce.STAGES)
def test_the_first_stage_that_differs_is_named_and_ends_it(bench, capsys, stage):
    path, found, ran = bench
    found[stage]["sha256"] = "x" * 64
    assert reproduce.main([str(path)]) == 1
    assert f"FIRST STAGE THAT DIFFERS: {stage} (sha256)" in capsys.readouterr().out
    assert ran[-1] == stage


def elsewhere(path):
    """Pretend that the expectation was made with another OpenCV."""
    marks = path.with_suffix(".expected.json")
    values = runs.read_json(marks, "")
    values["place"]["opencv-python-headless"] = "0.1"
    runs.write_json(marks, values)


@pytest.mark.parametrize("stage", reproduce.STAGES[1:])
def test_with_other_versions_bytes_may_differ_and_that_is_said(bench, capsys, stage):
    path, found, _ = bench
    elsewhere(path)
    found[stage]["sha256"] = "x" * 64
    assert reproduce.main([str(path)]) == 0
    said = capsys.readouterr().out
    assert "other place, other bytes" in said and "opencv-python-headless 0.1 -> " in said


@pytest.mark.parametrize("change", [{"image_auc": 0.5}, {"image_auc": 0.99}, {"new": 0.1}])
def test_numbers_must_lie_in_their_bands_everywhere(bench, capsys, change):
    path, found, _ = bench
    elsewhere(path)
    found["evaluate"] |= change
    assert reproduce.main([str(path)]) == 1
    assert f"evaluate ({next(iter(change))})" in capsys.readouterr().out


def test_other_photos_are_another_experiment_whatever_the_versions(bench):
    path, found, ran = bench
    elsewhere(path)
    found["products"]["sha256"] = "x" * 64
    assert reproduce.main([str(path)]) == 1 and ran == ["products"]


def test_a_changed_config_asks_for_a_new_expectation(bench, capsys):
    path, _, ran = bench
    path.write_text(yaml.safe_dump(SETTINGS | {"seed": 6}))
    assert reproduce.main([str(path)]) == 1
    assert "use --accept" in capsys.readouterr().err and not ran


def test_the_project_s_photos_are_used_even_where_others_are_named(bench, monkeypatch):
    monkeypatch.setenv("DAMAGENET_DATA", "elsewhere")
    assert reproduce.main([str(bench[0])]) == 0
    assert "DAMAGENET_DATA" not in os.environ


def test_photos_of_your_own_must_be_named(bench, monkeypatch, capsys):
    path, _, ran = bench
    path.with_suffix(".expected.json").unlink()
    monkeypatch.setenv("DAMAGENET_DATA", "mine")
    assert reproduce.main([str(path), "--accept"]) == 0
    ran.clear()
    assert reproduce.main([str(path)]) == 0
    monkeypatch.delenv("DAMAGENET_DATA")
    assert reproduce.main([str(path)]) == 1
    assert "set DAMAGENET_DATA" in capsys.readouterr().err and ran == list(reproduce.STAGES)


def test_only_its_own_folder_is_emptied(bench, tmp_path):
    for name in ("tiny", "reproduced/tiny"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "work").write_text("hours")
    reproduce.prepared(bench[0], resume=True)
    assert (tmp_path / "runs/reproduced/tiny/work").is_file()
    reproduce.prepared(bench[0], resume=False)
    assert not (tmp_path / "runs/reproduced/tiny").exists()
    assert (tmp_path / "runs/tiny/work").is_file()


def test_a_band_holds_one_more_training_99_times_in_100():
    rng = np.random.default_rng(0)
    hits = []
    for draws in rng.normal(0.7, 0.05, (3000, 6)):
        band = reproduce.band(list(draws[:5]))
        assert band["low"] <= min(draws[:5]) and band["value"] == draws[0]
        hits.append(band["low"] <= draws[5] <= band["high"])
    assert 0.985 < np.mean(hits) < 0.997
    assert reproduce.band([0.7, 0.7, 0.7]) == {"value": 0.7, "low": 0.69, "high": 0.71}


def test_one_training_has_the_bands_of_its_bootstrap(evaluated):
    head = runs.read_json(evaluated / "metrics.json", "")["headline"]
    spread = reproduce.resampled(evaluated)
    assert {*spread} == {*head, "validation_auc"}
    assert spread["image_auc"] == (head["image_auc"]["low"], head["image_auc"]["high"])
    low, high = spread["validation_auc"]
    best = pd.read_csv(evaluated / "train.csv").auc.max()
    assert low < best <= high < 1.01 and high - low > 0.05
    assert reproduce.band([0.8], (0.7, 0.85)) == {"value": 0.8, "low": 0.7, "high": 0.85}


def test_the_committed_bands_are_far_above_chance(expected):
    assert expected["photos"] == "project"
    settings = replace(config.load(CONFIG), name="")
    assert expected["config"] == config.digest(config.to_dict(settings))
    numbers = expected["stages"]["evaluate"]
    assert numbers["image_auc"]["low"] >= 0.7 and numbers["pixel_false_alarms"]["high"] < 0.8
    for stage in reproduce.STAGES:
        for mark in expected["stages"][stage].values():
            assert isinstance(mark["value"], str) or mark["low"] <= mark["value"] <= mark["high"]


def test_the_shipped_detector_has_an_expectation_that_is_its_own_table():
    path = CONFIG.with_name("baseline.yaml")
    marks = runs.read_json(path.with_suffix(".expected.json"), "accept one")
    card = runs.read_json(PACKAGED.with_suffix(".json"), "ship one")
    settings = replace(config.load(path), name="")
    assert marks["config"] == config.digest(config.to_dict(settings))
    assert marks["photos"] == "DAMAGENET_DATA" and marks["commit"] == card["commit"]
    assert marks["stages"]["build"]["sha256"]["value"] == card["dataset_sha256"]
    numbers = {k: v for k, v in marks["stages"]["evaluate"].items() if k != "sha256"}
    assert {k: v["value"] for k, v in numbers.items()} == {
        k: round(v["value"], 6) for k, v in card["metrics"].items()
    }
    assert all(one["low"] <= one["value"] <= one["high"] for one in numbers.values())


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """The real thing, as CI runs it, in an empty folder; the run."""
    place = tmp_path_factory.mktemp("reproduce")
    with contextlib.chdir(place):
        assert reproduce.main([str(CONFIG)]) == 0
    return place / "runs" / "reproduced" / "reproduce"


@pytest.mark.slow
def test_a_second_training_gives_the_same_bytes(once, tmp_path):
    with contextlib.chdir(tmp_path):
        settings, _ = reproduce.prepared(CONFIG, resume=False)
        table = str(settings.run_dir / "products.parquet")
        settings = replace(settings, products=replace(settings.products, table=table))
        shutil.copytree(once / "dataset", settings.dataset_dir)
        shutil.copy(once / "products.parquet", table)
        list(reproduce.learnt(settings, settings.dataset_dir))
    for name in ("metrics.json", "predictions.parquet"):
        again = tmp_path / "runs" / "reproduced" / "reproduce" / name
        assert again.read_bytes() == (once / name).read_bytes(), name


@pytest.mark.slow
def test_a_network_that_was_not_trained_falls_out_of_the_bands(once, tmp_path, expected):
    run = tmp_path / "run"
    shutil.copytree(once, run, ignore=shutil.ignore_patterns("dataset"))
    settings = config.load(run / "config.yaml")
    torch.manual_seed(0)
    facts = {"step": 0, "val": {"auc": 0.5}, "seed": 0, "commit": ""}
    model.save(run / "best.safetensors", model.Network(settings.train), **facts)
    headline = evaluate(run, once / "dataset", settings)["headline"]
    numbers = {name: one["value"] for name, one in headline.items()}
    lines = reproduce.compare("evaluate", expected["stages"]["evaluate"], numbers, "elsewhere")
    outside = {line.name for line in lines if line.verdict == "OUTSIDE"}
    assert {"image_auc", "average_precision", "brier"} <= outside

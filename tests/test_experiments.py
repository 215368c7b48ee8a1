import json
import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import settings

from damagenet import BadInput, cli, config, experiments, runs
from damagenet.config import to_dict


def a_run(place, auc=0.7, data="a" * 64, began="2026-01-02T03:04:05+00:00", **change):
    """A run folder with everything that the table reads, but for weights."""
    asked = settings(name=place.name, **change)
    place.mkdir(parents=True)
    (place / "config.yaml").write_text(config.dump(asked))
    facts = {"commit": "c" * 40, "dataset": data, "began": began}
    runs.write_json(place / "environment.json", facts)
    pd.DataFrame({"step": [2, 4], "loss": [2.0, 1.0], "auc": [0.5, 0.6]}).to_csv(
        place / "train.csv", index=False
    )
    if auc is not None:
        (place / "best.safetensors").touch()
        number = {"value": auc, "low": auc - 0.1, "high": auc + 0.1}
        unknown = {"value": None, "low": None, "high": None}
        runs.write_json(place / "metrics.json", {
            "headline": {"image_auc": number, "ece": number, "tpr_at_5_fpr": unknown},
            "config": to_dict(asked), "trained": {"step": 4},
        })  # fmt: skip
    return place


def test_a_real_run_is_told_as_its_files_have_it(evaluated):
    found = experiments.table(evaluated)
    (row,) = found.to_dict("records")
    told = runs.read_json(evaluated / "metrics.json", "")["headline"]
    for name, number in told.items():
        for key, end in (("value", ""), ("low", "_low"), ("high", "_high")):
            here = row[name + end]
            assert here == number[key] or (number[key] is None and np.isnan(here))
    facts = runs.read_json(evaluated / "environment.json", "")
    assert (row["commit"], row["dataset"]) == (facts["commit"], facts["dataset"])
    assert (row["state"], row["step"], row["steps"]) == ("finished", 6, 6)
    assert row["began"] == pd.Timestamp(facts["began"])
    assert row["train.encoder"] == "test_byobnet" and row["seed"] == 5
    assert row["build.families"] == ("ae_shuffle", "ae_transposed")
    assert found.attrs["skipped"] == []
    assert f"{told['image_auc']['value']:.3f} [{told['image_auc']['low']:.3f}, " in (
        experiments.text(found, 300)
    )


def test_a_run_that_was_not_evaluated_or_not_finished_says_so(trained, tmp_path):
    half = shutil.copytree(trained, tmp_path / "half")
    (half / "best.safetensors").rename(half / "candidate.safetensors")
    found = experiments.table(trained, half)
    assert found.state.tolist() == ["trained", "interrupted"]
    assert found.step.tolist() == [6, 6]
    assert experiments.metrics(found) == []
    experiments.text(found)


def test_damaged_and_foreign_folders_are_named_and_the_others_listed(tmp_path, capsys):
    a_run(tmp_path / "good")
    (tmp_path / "notes").mkdir()
    a_run(tmp_path / "cut")
    (tmp_path / "cut" / "metrics.json").write_text('{"headline": {"image')
    a_run(tmp_path / "odd")
    (tmp_path / "odd" / "metrics.json").write_text('{"headline": [1], "config": 3}')
    a_run(tmp_path / "old")
    (tmp_path / "old" / "config.yaml").write_text("name: old\ntrain: {sharpness: 3}\n")
    a_run(tmp_path / "bare")
    (tmp_path / "bare" / "config.yaml").unlink()
    a_run(tmp_path / "weights")
    (tmp_path / "weights" / "last.safetensors").write_bytes(b"\x00" * 40)
    dataset = tmp_path / "good" / "dataset"
    a_run(dataset / "images" / "hidden")  # never looked for among a million pictures
    (dataset / "dataset.json").touch()

    found = experiments.table(tmp_path)
    assert list(found.index) == [(tmp_path / "good").as_posix()]
    named = {place.rsplit("/", 1)[1]: why for place, why in found.attrs["skipped"]}
    assert set(named) == {"notes", "cut", "odd", "old", "bare", "weights"}
    assert "no run in there" in named["notes"] and "damaged" in named["cut"]
    assert "unknown key train.sharpness" in named["old"] and "no config.yaml" in named["bare"]
    assert "damaged" in named["odd"] and "last.safetensors: damaged" in named["weights"]
    assert cli.main(["runs", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("skipped ") for line in lines) == 6


def test_only_settings_that_differ_are_shown(tmp_path):
    a_run(tmp_path / "a", build={"out": "x"})
    a_run(tmp_path / "b", train={"width": 24}, build={"out": "y"}, seed=6)
    found = experiments.table(tmp_path)
    differing = experiments.differences(found)
    assert set(differing) == {"train.width", "seed"}
    assert differing["train.width"].tolist() == [16, 24]
    told = experiments.text(found).partition("what differs")[2]
    assert "train.width" in told and "train.crop" not in told


def test_seeds_are_mean_and_range_and_other_settings_stay_apart(tmp_path):
    for seed, auc in ((1, 0.6), (2, 0.7), (3, 0.95)):
        a_run(tmp_path / f"x-seed{seed}", auc, seed=seed)
    a_run(tmp_path / "wide", 0.99, seed=4, train={"width": 24})
    a_run(tmp_path / "unfinished", None, seed=4)
    found = experiments.table(tmp_path)
    (row,) = experiments.seeds(found).reset_index().to_dict("records")
    assert row["runs"] == (tmp_path / "x-seed*").as_posix() and row["seeds"] == "1 2 3"
    assert row["image_auc"] == pytest.approx(0.75)
    assert (row["image_auc_low"], row["image_auc_high"]) == (0.6, 0.95)
    assert np.isnan(row["tpr_at_5_fpr"])  # a mean of what is unknown is unknown
    told = experiments.text(found, 200)
    assert "mean [least, largest]" in told and "0.750 [0.600, 0.950]" in told
    assert " - " not in told.partition("mean [least")[0].splitlines()[1]


def test_repeats_of_a_seed_count_once_and_datasets_are_not_mixed(tmp_path):
    for name, seed, auc in (("a", 1, 0.6), ("b", 1, 0.6), ("c", 2, 0.9)):
        a_run(tmp_path / "same" / name, auc, seed=seed)
    (row,) = experiments.seeds(experiments.table(tmp_path)).to_dict("records")
    assert row["image_auc"] == pytest.approx(0.75) and row["datasets"] == 1
    for name, seed, auc in (("d", 1, 0.1), ("e", 2, 0.3)):
        a_run(tmp_path / "other" / name, auc, data="b" * 64, seed=seed)
    both = experiments.seeds(experiments.table(tmp_path))
    assert sorted(both.image_auc) == pytest.approx([0.2, 0.75])


def test_datasets_built_from_each_seed_are_one_experiment_and_counted(tmp_path):
    for seed in (1, 2):
        a_run(tmp_path / f"s{seed}", 0.5 + seed / 10, data=str(seed) * 64, seed=seed)
    found = experiments.table(tmp_path)
    (row,) = experiments.seeds(found).to_dict("records")
    assert row["datasets"] == 2 and row["image_auc"] == pytest.approx(0.65)
    assert "datasets" in experiments.text(found).partition("several seeds")[2]


def test_runs_are_sorted_with_the_best_first(tmp_path, capsys):
    for name, auc in (("a", 0.6), ("b", None), ("c", 0.8)):
        a_run(tmp_path / name, auc)
    found = experiments.table(tmp_path)
    names = [run[-1] for run in experiments.ordered(found, "image_auc").index]
    assert names == ["c", "a", "b"]
    assert [run[-1] for run in experiments.ordered(found, "ece").index] == ["a", "c", "b"]
    assert cli.main(["runs", str(tmp_path), "--sort", "auc"]) == 1
    assert "no run has this number; known: image_auc, ece" in capsys.readouterr().err


def test_json_has_everything_and_is_json(tmp_path, capsys):
    for seed in (1, 2):
        a_run(tmp_path / f"s{seed}", seed=seed)
    (tmp_path / "odd\nname").mkdir()
    assert cli.main(["runs", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert [row["seed"] for row in found["runs"]] == [1, 2] and found["differ"] == ["seed"]
    assert found["runs"][0]["tpr_at_5_fpr"] is None
    assert found["runs"][0]["began"] == "2026-01-02T03:04:05Z"
    assert found["seeds"][0]["image_auc"] == pytest.approx(0.7)
    assert found["skipped"][0]["reason"] == "no run in there"


def test_curves_are_drawn_of_every_run(tmp_path, capsys):
    a_run(tmp_path / "a")
    a_run(tmp_path / "b", None)
    logs = experiments.logs(tmp_path)
    assert [name[-1] for name in logs] == ["a", "b"] and next(iter(logs.values())).auc.tolist() == [
        0.5,
        0.6,
    ]
    out = tmp_path / "curves.png"
    assert cli.main(["runs", str(tmp_path), "--curves", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")


def test_a_folder_that_is_not_there_or_empty(tmp_path, capsys):
    with pytest.raises(BadInput, match="no such folder; runs/ is made by"):
        experiments.table(tmp_path / "gone")
    assert experiments.text(experiments.table(tmp_path)) == "no runs"
    assert len(experiments.logs(tmp_path)) == 0
    assert cli.main(["runs", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"] == []

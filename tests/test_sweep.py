import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import settings
from safetensors.torch import load_file

from damagenet import BadInput, cli, cluster, config, experiments, runs
from damagenet.detect import sweep
from damagenet.synth import dataset

SMALL = {"steps": 2, "eval_every": 1}


def asked(**change):
    return settings(name="grid", train=SMALL, evaluate={"resamples": 10}, **change)


def test_a_grid_is_every_combination_with_a_readable_name():
    planned = sweep.plan(asked(), ["train.lr=1e-3,0.002", "train.width=16,24", "build.native=0.5"],
                         [1, 2])  # fmt: skip
    names = [one.name for one in planned]
    assert len(set(names)) == len(names) == 2 * 2 * 2
    assert (
        names[0] == "grid/lr=0.001,width=16,seed=1" and names[-1] == "grid/lr=0.002,width=24,seed=2"
    )
    last = planned[-1]
    assert (last.train.lr, last.train.width, last.seed, last.build.native) == (0.002, 24, 2, 0.5)
    assert {one.build.out for one in planned} == {"runs/grid/dataset"}


def test_the_seed_of_the_config_is_the_default_and_names_may_be_set():
    (one,) = sweep.plan(asked(), ["name=other"])
    assert one.name == "other/seed=5" and one.build.out == "runs/other/dataset"


def test_lists_and_long_values_have_names_of_their_own():
    planned = sweep.plan(asked(), ["build.kinds=[crack],[tear, stain]", "train.encoder=a/b,a b"])
    assert len({one.name for one in planned}) == len({one.build.out for one in planned}) * 2 == 4
    assert {one.build.kinds for one in planned} == {("crack",), ("tear", "stain")}
    assert all(set(one.name) <= set("abcdefghijklmnopqrstuvwxyz0123456789=-,/") for one in planned)


def test_only_what_changes_pictures_makes_another_dataset():
    planned = sweep.plan(asked(), ["build.long_side=128,160", "train.width=16,24"], [1, 2])
    assert {one.build.out for one in planned} == {
        "runs/grid/dataset,long_side=128", "runs/grid/dataset,long_side=160"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (["train.lr=0.1,0.1"], "asked for twice"),
        (["train.lr="], "a grid looks like"),
        (["train.lr=[1"], "a grid looks like"),
        (["train.lr=1,fast"], "train.lr must be float"),
        (["train.crop=32,33"], "train.crop must be a multiple of 16"),
        (["build.out=a,b"], "no axis of a grid"),
        (["train.lr=1,2", "train.lr=3,4"], "named twice"),
        (["name=a,b"], "one name"),
    ],
)  # fmt: skip
def test_a_grid_that_cannot_be_is_refused(grid, message):
    with pytest.raises(BadInput, match=message):
        sweep.plan(asked(), grid)


def test_one_dataset_for_a_sweep_over_pictures_is_refused(built):
    planned = sweep.plan(asked(), ["build.long_side=128,160"])
    with pytest.raises(BadInput, match="makes its own datasets"):
        sweep.sweep(planned, 5, built)


@pytest.fixture(scope="module")
def swept(built, tmp_path_factory):
    """A sweep of a run that went well and one that could not, and what it said."""
    place = tmp_path_factory.mktemp("swept")
    (place / "grid.yaml").write_text(config.dump(asked()))
    line = ["sweep", "grid.yaml", "--data", str(built), "--seeds", "1"]
    line += ["train.encoder=test_byobnet,no_such"]
    done = subprocess.run(
        [sys.executable, "-m", "damagenet", *line], cwd=place, capture_output=True, text=True
    )
    return place, done


@pytest.mark.slow
def test_one_failed_run_is_reported_and_the_rest_goes_on(swept, built):
    place, done = swept
    assert done.returncode == 1, done.stderr
    assert "1 of 2 runs are finished" in done.stdout
    (wrong,) = (line for line in done.stderr.splitlines() if line.startswith("failed  "))
    assert "encoder=no_such,seed=1: " in wrong and "log.txt" in wrong
    found = experiments.table(place / "runs")
    (good,) = found[found["train.encoder"] == "test_byobnet"].to_dict("records")
    assert (good["state"], good["seed"], good["name"]) == (
        "finished", 1, "grid/encoder=test_byobnet,seed=1"
    )  # fmt: skip
    assert good["dataset"] == dataset.read_card(built)["manifest_sha256"]
    assert f"{good['image_auc']:.3f} [" in done.stdout


def in_this_process(place, config, folder):
    sweep.finish(config, folder)
    return config.name, ""


def never(*arguments):
    raise AssertionError("a finished run is not started again")


@pytest.mark.slow
def test_finished_runs_are_left_alone_and_others_go_on(swept, built, tmp_path, monkeypatch):
    shutil.copytree(swept[0] / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    (one,) = sweep.plan(asked(), ["train.encoder=test_byobnet,no_such"], [1])[:1]
    sha = dataset.read_card(built)["manifest_sha256"]
    before = {path: path.stat().st_mtime_ns for path in one.run_dir.iterdir()}
    monkeypatch.setattr(sweep, "_apart", never)
    assert sweep.measured(one, sha) and sweep.sweep([one], 5, built) == {}
    assert {path: path.stat().st_mtime_ns for path in one.run_dir.iterdir()} == before

    other = settings(name=one.name, train=SMALL, evaluate={"resamples": 11}, seed=1)
    assert not sweep.measured(other, sha) and not sweep.measured(one, "0" * 64)
    (one.run_dir / "metrics.json").write_text("{")
    assert not sweep.measured(one, sha)
    (one.run_dir / "metrics.json").unlink()
    began = runs.read_json(one.run_dir / "environment.json", "")["began"]
    monkeypatch.setattr(sweep, "_apart", in_this_process)
    assert sweep.sweep([one], 5, built) == {} and sweep.measured(one, sha)
    assert runs.read_json(one.run_dir / "environment.json", "")["began"] == began


def test_a_dataset_that_cannot_be_built_fails_its_runs_only(built, tmp_path, monkeypatch, table):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweep, "_apart", lambda place, config, folder: (config.name, ""))
    made = []

    def build(config, out, workers):
        if "camera" in config.build.chains:
            raise BadInput("no photos")
        made.append((config.seed, out))
        shutil.copytree(built, out)

    monkeypatch.setattr(dataset, "build", build)
    planned = sweep.plan(asked(), ["build.chains=[camera],[chat]"], [1, 2])
    failed = sweep.sweep(planned, 5)
    assert len(failed) == 2 and set(failed.values()) == {"no photos"}
    assert [seed for seed, _ in made] == [5]  # once for both seeds, with that of the config


def test_a_run_that_was_killed_is_told_and_stops_no_other(tmp_path, monkeypatch):
    (tmp_path / "runs").mkdir()
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    real = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda line, **rest: real([sys.executable, "-c", code], **rest)
    )
    sweep._stopped.clear()
    name, wrong = sweep._apart(tmp_path, asked(), tmp_path)
    assert name == "grid" and "ended by signal 9 (out of memory?)" in wrong


@pytest.mark.slow
def test_a_sweep_that_was_interrupted_goes_on(built, tmp_path):
    (tmp_path / "grid.yaml").write_text(config.dump(settings(
        name="grid", train={"steps": 60, "eval_every": 60, "save_every": 1},
        evaluate={"resamples": 10},
    )))  # fmt: skip
    line = [sys.executable, "-m", "damagenet", "sweep", "grid.yaml", "--seeds", "1,2",
            "--data", str(built)]  # fmt: skip
    process = subprocess.Popen(line, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    state = tmp_path / "runs" / "grid" / "seed=1" / "last.safetensors"
    deadline = time.monotonic() + 240
    while not state.is_file() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert "run the same command again" in process.communicate()[1] and process.returncode == 130
    assert (
        not (state.parent / "best.safetensors").exists()
        and not (tmp_path / "runs" / "grid" / "seed=2").exists()
    ), "it was too late"
    step = experiments.read(state.parent)["step"]
    assert 0 < step < 60
    assert subprocess.run(line, cwd=tmp_path).returncode == 0
    assert experiments.table(tmp_path / "runs").state.tolist() == ["finished"] * 2
    (again,) = runs.read_json(state.parent / "environment.json", "")["resumed"]
    assert again["step"] == step


@pytest.mark.slow
def test_a_dask_cluster_and_two_jobs_give_the_same(built, tmp_path, monkeypatch, capsys):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setenv("PYTHONPATH", str(Path(sweep.__file__).parents[2]))
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=":0"
    ) as machines:
        ways = {"here": ["--jobs", "2"], "there": ["--dask", machines.scheduler_address]}
        for place, way in ways.items():
            (tmp_path / place).mkdir()
            monkeypatch.chdir(tmp_path / place)
            Path("grid.yaml").write_text(config.dump(asked()))
            line = ["sweep", "grid.yaml", "--data", str(built), "--seeds", "1,2", *way]
            assert cli.main(line) == 0, capsys.readouterr()
    assert len(re.findall(r"runs/grid/seed=\* +1 2 ", capsys.readouterr().out)) == 2
    weights = [
        [load_file(tmp_path / place / f"runs/grid/seed={n}/best.safetensors") for n in (1, 2)]
        for place in ways
    ]
    for mine, other in zip(*weights, strict=True):
        assert all(mine[key].equal(other[key]) for key in mine)
    assert not all(weights[0][0][key].equal(weights[0][1][key]) for key in weights[0][0])


def test_a_cluster_is_given_every_run(built, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sweep, "_apart", lambda *job: (job[1].name, threading.current_thread().name)
    )
    planned = sweep.plan(asked(), ["train.lr=0.001,0.002"], [1, 2])
    with distributed.LocalCluster(1, threads_per_worker=2, processes=False,
                                  dashboard_address=None) as machine:  # fmt: skip
        told = sweep.sweep(planned, 5, built, address=machine.scheduler_address)
    assert list(told) == [one.name for one in planned]
    assert all("Dask" in name for name in told.values())


def test_without_dask_or_scheduler_there_is_one_clear_error(monkeypatch, built, tmp_path):
    pytest.importorskip("distributed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cluster, "WAIT", 0.3)
    with pytest.raises(BadInput, match="no Dask scheduler answers"):
        sweep.sweep([asked()], 5, built, address="tcp://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(BadInput, match=r"damagenet\[dask\]"):
        sweep.sweep([asked()], 5, built, address="tcp://127.0.0.1:9")
    assert not list(tmp_path.iterdir())

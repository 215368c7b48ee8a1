import os
import signal
import sys
import threading
import time
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import pytest
from conftest import encoded, photo
from toy_model import INFO, write_model

from damagenet import BadInput, cli
from damagenet.claims import Detector, cluster, predict
from damagenet.claims.scores import made_by


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "detector.onnx")


def photos(folder, count):
    folder.mkdir()
    for i in range(count):
        (folder / f"{i:03}.jpg").write_bytes(encoded(photo(60 + i % 7, 90), "JPEG"))
    (folder / "bad.jpg").write_text("no picture")
    return sorted(folder.iterdir())


def test_a_worker_opens_its_detector_once_and_reads_relative_paths(model, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(cluster, "Detector", lambda *a: opened.append(a) or Detector(*a))
    paths = photos(tmp_path / "in", 3)
    detector = Detector(model, threads=1)
    expected = list(predict(paths, detector))
    call = partial(
        cluster.score_batch, model=model, threads=1, made=made_by(detector), folder=tmp_path
    )
    for path, record in zip(paths, expected, strict=True):
        (found,) = call([(str(path.relative_to(tmp_path)), None)])
        assert found.pop("path") == str(path.relative_to(tmp_path))
        assert found.get("score") == record.get("score") and ("error" in found) == (
            "error" in record
        )
    assert len(opened) == 1


def test_a_worker_with_another_model_is_refused(model, tmp_path):
    made = made_by(Detector(model, threads=1))
    write_model(model, INFO | {"threshold": 0.9})
    with pytest.raises(BadInput, match="another model_sha256, threshold than asked for"):
        cluster.score_batch([], model, 1, made, tmp_path)


def test_only_the_photo_that_kills_workers_fails():
    class Killed(Exception):
        pass

    def submit(batch):
        future = Future()
        if any(path == "bomb" for path, _ in batch):
            future.set_exception(Killed())
        else:
            future.set_result([{"path": path} for path, _ in batch])
        return future

    batch = [("a", None), ("bomb", None), ("b", None)]
    found = list(cluster._one_by_one(submit, batch, Killed))
    assert [r["path"] for r in found] == ["a", "bomb", "b"]
    assert ["error" in r for r in found] == [False, True, False] and "bomb: " in found[1]["error"]


def test_without_dask_or_scheduler_there_is_one_clear_error(model, monkeypatch):
    detector = Detector(model, threads=1)
    monkeypatch.setattr("damagenet.cluster.WAIT", 0.3)
    pytest.importorskip("distributed")
    for address in ("tcp://127.0.0.1:9", "nonsense://x"):
        with pytest.raises(BadInput, match="no Dask scheduler answers"):
            list(cluster.predict_on(address, ["a.jpg"], detector))
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(BadInput, match=r"damagenet\[dask\]"):
        list(cluster.predict_on("tcp://127.0.0.1:9", ["a.jpg"], detector))


@pytest.mark.slow
def test_a_worker_killed_midway_costs_and_doubles_nothing(model, tmp_path, capsys, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setenv("PYTHONPATH", str(Path(cluster.__file__).parents[2]))
    paths = photos(tmp_path / "in", 900)
    here, there = tmp_path / "here.jsonl", tmp_path / "there.jsonl"
    arguments = ["predict", str(tmp_path / "in"), "--model", str(model)]
    assert cli.main([*arguments, "--out", str(here)]) == 1
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=":0"
    ) as machines:
        victim = next(iter(machines.workers.values())).pid
        seen = []

        def kill():
            while not (there.exists() and there.read_bytes().count(b"\n") > 40):
                time.sleep(0.002)
            os.kill(victim, signal.SIGKILL)
            seen.append(there.read_bytes().count(b"\n"))

        threading.Thread(target=kill, daemon=True).start()
        assert (
            cli.main([*arguments, "--out", str(there), "--dask", machines.scheduler_address]) == 1
        )
        assert victim not in {worker.pid for worker in machines.workers.values()}
    assert seen and 40 < seen[0] < len(paths), "killed too late to prove anything"
    assert there.read_bytes() == here.read_bytes()  # each photo once, same numbers, same order
    assert there.read_bytes().count(b"\n") == len(paths)
    assert "901 photos, 901 of them scored now, 1 failed" in capsys.readouterr().out


@pytest.mark.slow
def test_a_photo_that_kills_every_worker_gets_a_record(model, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setenv("PYTHONPATH", str(Path(cluster.__file__).parents[2]))
    preload = tmp_path / "bomb.py"
    preload.write_text(
        "import os\nfrom damagenet import images\n"
        "if images.read.__name__ == 'read':  # Dask loads this twice\n"
        "    read = images.read\n"
        "    images.read = lambda p, n=None: os._exit(1) if '002' in str(p) else read(p, n)\n"
    )
    import dask

    paths = photos(tmp_path / "in", 5)
    with dask.config.set({"distributed.scheduler.allowed-failures": 1}), distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=":0",
        preload=str(preload),
    ) as machines:  # fmt: skip
        detector = Detector(model, threads=1)
        found = list(cluster.predict_on(machines.scheduler_address, paths, detector))
    assert [r["path"] for r in found] == [str(p) for p in paths]
    assert [Path(r["path"]).name for r in found if "error" in r] == ["002.jpg", "bad.jpg"]
    assert "ended every worker" in found[2]["error"]

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, encoded, photo
from toy_model import write_model

from damagenet import BadInput, cli, images
from damagenet.claims import Detector, predict, scoring


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "detector.onnx")


@pytest.fixture(scope="module")
def detector(model):
    return Detector(model, threads=1)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """300 photos with two bad ones among them, in a folder; read only."""
    folder = tmp_path_factory.mktemp("crowd") / "in"
    folder.mkdir()
    rng = np.random.default_rng(0)
    kinds = [encoded(photo(*rng.integers(40, 180, 2)), "JPEG") for _ in range(9)]
    for i in range(300):
        data = b"no picture" if i in (3, 270) else kinds[i % 9]
        (folder / f"{i:03}.jpg").write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def expected(crowd, detector):
    """The records of the crowd, one photo after the other."""
    records = list(predict(sorted(crowd.iterdir()), detector, workers=1))
    return json.loads(json.dumps(records))  # as a file has them: lists for tuples


def test_any_number_of_workers_gives_the_same_records_in_the_same_order(crowd, expected, detector):
    paths = sorted(crowd.iterdir())[:60]
    serial = expected[:60]
    assert [r["path"] for r in serial] == [str(p) for p in paths]
    assert [i for i, r in enumerate(serial) if "error" in r] == [3]
    assert len({r.get("score") for r in serial}) > 8
    assert json.loads(json.dumps(list(predict(paths, detector, workers=8)))) == serial


def test_one_photo_is_read_while_another_is_in_the_model(crowd, detector, monkeypatch):
    both = threading.Barrier(2, timeout=20)
    read = images.read
    monkeypatch.setattr(scoring.images, "read", lambda *a: (both.wait(), read(*a))[1])
    assert all("score" in r for r in predict(sorted(crowd.iterdir())[4:8], detector, workers=2))


def test_paths_are_taken_a_few_ahead_and_stopping_ends_the_work(detector, monkeypatch):
    taken, scored = [], []
    monkeypatch.setattr(scoring, "score", lambda job, **_: scored.append(job[0]) or {"p": job[0]})
    paths = (taken.append(i) or i for i in range(10_000))
    with contextlib.closing(predict(paths, detector, workers=3)) as records:
        assert next(records) == {"p": "0"}
        assert len(taken) <= 7
    assert len(scored) <= len(taken) <= 7
    assert threading.active_count() < 10


def test_heatmaps_of_an_earlier_run_keep_their_names(crowd, detector, tmp_path):
    paths = [crowd / "000.jpg", crowd / "003.jpg", crowd / "001.jpg"]
    found = list(predict(paths, detector, tmp_path, taken=["elsewhere/000.png", "X.png"]))
    names = [Path(r["heatmap"]).name for r in found if "heatmap" in r]
    assert names == ["000-2.png", "001.png"] == sorted(p.name for p in tmp_path.iterdir())


def test_too_little_memory_for_one_photo_is_its_own_error(crowd):
    def full(_):
        raise MemoryError

    record = scoring.score((str(crowd / "000.jpg"), None), full)
    assert set(record) == {"path", "error"} and "not enough memory" in record["error"]


def test_names_that_are_not_utf8_are_told_in_utf8(detector, tmp_path):
    name = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    Path(os.fsdecode(name)).write_bytes(encoded(photo(), "JPEG"))
    records = list(predict([os.fsdecode(name), os.fsdecode(name + b"x")], detector))
    assert [r["path"].rpartition("/")[2] for r in records] == ["caf\\xe9.jpg", "caf\\xe9.jpgx"]
    assert "score" in records[0] and "no such file" in records[1]["error"]
    json.dumps(records, ensure_ascii=False).encode()


def run(crowd, model, out, *more):
    return [sys.executable, "-m", "damagenet", "predict", str(crowd), "--model", str(model),
            "--out", str(out), "--workers", "2", *more]  # fmt: skip


def read(out):
    if out.suffix == ".jsonl":
        return [json.loads(line) for line in out.read_text().splitlines()]
    rows = pd.read_parquet(out, columns=["path", "score", "error"]).to_dict("records")
    return [{k: v for k, v in row.items() if v == v and v is not None} for row in rows]


@pytest.mark.parametrize(
    ("name", "how", "code"),
    [("s.jsonl", signal.SIGKILL, -9), ("s.parquet", signal.SIGKILL, -9),
     ("s.jsonl", signal.SIGINT, 130)],
)  # fmt: skip
def test_an_interrupted_run_goes_on_without_loss_or_double(
    name, how, code, crowd, expected, model, tmp_path, capsys
):
    out = tmp_path / name
    lines = out if out.suffix == ".jsonl" else tmp_path / f"{name}.jsonl"
    started = subprocess.Popen(
        run(crowd, model, out), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (lines.exists() and lines.read_bytes().count(b"\n") >= 5):
        assert started.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    started.send_signal(how)
    errors = started.communicate(timeout=60)[1]
    assert started.returncode == code and "Traceback" not in errors
    before = lines.read_bytes()
    whole = before.count(b"\n")
    assert 5 <= whole < 300, "too fast to interrupt"
    lines.write_bytes(before + b'{"path": "/x')  # what a cut write looks like
    assert cli.main(run(crowd, model, out)[3:]) == 1
    text, errors = capsys.readouterr()
    assert f"300 photos, {300 - whole} of them scored now, 2 failed" in text
    assert "2 of 300 files could not be scored" in errors
    found = read(out)
    assert [r["path"] for r in found] == [r["path"] for r in expected]
    assert [r.get("score") for r in found] == [r.get("score") for r in expected]
    if out.suffix == ".jsonl":
        assert found == expected and out.read_bytes().startswith(before)
    assert cli.main(run(crowd, model, out)[3:]) == 1  # nothing left; the failures are still told
    assert "0 of them scored now, 2 failed" in capsys.readouterr().out


def test_further_photos_are_added_and_another_setting_is_refused(crowd, model, tmp_path, capsys):
    out, table = tmp_path / "s.jsonl", tmp_path / "t.csv"
    arguments = ["predict", str(table), "--model", str(model), "--out", str(out)]
    for count in (2, 3):
        names = [str(crowd / f"{i:03}.jpg") for i in range(count)]
        pd.DataFrame({"path": names}).to_csv(table, index=False)
        assert cli.main(arguments) == 0
    assert "3 photos, 1 of them scored now, 0 failed" in capsys.readouterr().out
    before = out.read_bytes()
    assert cli.main([*arguments, "--no-recheck"]) == 1
    assert "another model or setting (recheck was True, is False)" in capsys.readouterr().err
    assert out.read_bytes() == before


def test_a_list_on_standard_input_is_scored(crowd, model):
    names = "\0".join(str(crowd / f"{i:03}.jpg") for i in (0, 2, 3))
    line = [sys.executable, "-m", "damagenet", "predict", "-", "-0", "--model", str(model)]
    found = subprocess.run(line, input=names, capture_output=True, text=True, timeout=60)
    records = [json.loads(line) for line in found.stdout.splitlines()]
    assert [Path(r["path"]).name for r in records] == ["000.jpg", "002.jpg", "003.jpg"]
    assert found.returncode == 1 and found.stderr == "1 of 3 files could not be scored\n"


def test_commands_in_the_guide_parse():
    text = (ROOT / "docs" / "scoring.md").read_text()
    lines = re.findall(r"damagenet (predict [^\n<>|]+)", "".join(text.split("```")[1::2]))
    assert len(lines) >= 4
    for line in lines:
        assert cli.parser().parse_args(shlex.split(line, comments=True)).photos, line


def test_heatmaps_never_replace_photos_and_a_full_disk_ends_the_run(
    detector, tmp_path, monkeypatch
):
    path = tmp_path / "claim.png"
    path.write_bytes(encoded(photo(70, 90), "PNG"))
    with pytest.raises(BadInput, match="holds photos to score"):
        list(predict([path], detector, heatmaps=tmp_path))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(images, "write_bytes", full)
    with pytest.raises(BadInput, match=r"claim\.png: cannot be written \(No space left"):
        list(predict([path], detector, heatmaps=tmp_path / "maps"))

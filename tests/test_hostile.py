import io
import json
import os
import subprocess
import sys

import hostile
import pytest
from conftest import ROOT, encoded, smooth
from toy_model import write_model

from damagenet import BadInput, images
from damagenet.claims import Detector, read_labels
from damagenet.claims.scoring import utf8
from damagenet.incoming import MAX_SCANS, scans, shown

SECONDS = 10
"""CPU time of one file; more is a hang."""
MEGABYTES = 2000


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "detector.onnx")


def program(*arguments, **options):
    line = [sys.executable, *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, cwd=ROOT, timeout=900, **options)


def fed(*arguments):
    """The report of `tests/hostile.py`, after checking what holds for all of them."""
    done = program("tests/hostile.py", *arguments)
    assert done.returncode == 0 and done.stderr == "", (done.returncode, done.stderr[-2000:])
    report = json.loads(done.stdout)
    assert report["escaped"] == []
    assert report["slowest"][0] < SECONDS and report["peak_mb"] < MEGABYTES, report
    return report


def test_spoilt_files_are_read_or_refused_in_one_line(model):
    count = fed(1, 600, model)["count"]
    assert count["read"] > 100 and count["refused"] > 200


@pytest.mark.slow
def test_thousands_of_spoilt_files_are_read_or_refused(model):
    count = fed(2, 6000, model)["count"]
    assert count["read"] > 1000 and count["refused"] > 2000


def test_bombs_cost_neither_time_nor_memory():
    count = fed(0, 0)["count"]
    refused = sum(not readable for _, readable in hostile.bombs().values())
    assert count == {"refused": refused, "read": 2 * len(hostile.bombs()) - refused}


@pytest.mark.slow
@pytest.mark.parametrize("options", [(8, 6), (16, 0), (16, 2), (1, 3)], ids=str)
def test_the_largest_pictures_that_are_read_fit_into_memory(options, tmp_path):
    (tmp_path / "large.png").write_bytes(hostile.png(9400, 9400, *options))
    code = (
        "import sys; sys.path.insert(0, 'tests'); import hostile; from damagenet import images;"
        "images.read(sys.argv[1]); print(hostile.peak_mb())"
    )
    done = program("-c", code, tmp_path / "large.png")
    assert done.stderr == "" and int(done.stdout) < 1000


ODD = hostile.sound_oddities()


@pytest.mark.parametrize("name", ODD)
def test_unusual_files_are_scored(name, model, tmp_path):
    data, height, width = ODD[name]
    path = tmp_path / "wrong extension.bmp"
    path.write_bytes(data)
    assert images.read(path).shape == (height, width, 3)
    result = Detector(model, threads=1)(io.BytesIO(data))
    assert 0 <= result.score <= 1 and result.heatmap.shape == (height, width)


@pytest.fixture
def places(tmp_path):
    """Things in a file system that are no picture: path -> a part of the message."""
    pixels = encoded(smooth(), "JPEG")
    found = {"folder.jpg": "folder", "pipe.jpg": "pipe", "device.jpg": "device",
             "loop.jpg": "cannot be read", "gone.jpg": "no such file", "empty.jpg": "empty",
             "x" * 300: "cannot be read", "empty.jpg/x": "no such file",
             "text.jpg": "not a picture", "endless.jpg": "larger than"}  # fmt: skip
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "device.jpg").symlink_to("/dev/zero")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("\x1b[2Jhello\n")
    with (tmp_path / "endless.jpg").open("wb") as sparse:
        sparse.truncate(10**11)
    for name in ("\n\x1b[2J.jpg", os.fsdecode(b"caf\xe9.jpg")):
        (tmp_path / name).write_bytes(pixels[: len(pixels) // 2])
        found[name] = "damaged"
    return {tmp_path / name: reason for name, reason in found.items()}


def test_what_is_no_file_is_refused_at_once(places, model):
    for path, reason in places.items():
        for act in (images.read, Detector(model, threads=1)):
            with pytest.raises(BadInput) as caught:
                act(path)
            text = str(caught.value)
            assert text.startswith(f"{shown(path)}: ") and reason in text and text.isprintable()
        if reason not in ("damaged", "not a picture"):
            with pytest.raises(BadInput):
                read_labels(path)


def test_no_permission_is_said(tmp_path):
    path = tmp_path / "locked.jpg"
    path.write_bytes(encoded(smooth(), "JPEG"))
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user, such as root, may read every file")
    with pytest.raises(BadInput, match="no permission"):
        images.read(path)


def test_the_command_line_reports_each_and_goes_on(places, model, tmp_path):
    good = tmp_path / os.fsdecode(b"gr\xfcn.jpg")  # Latin-1, as old cameras and archives have it
    good.write_bytes(encoded(smooth(70, 90), "JPEG"))
    files = [p for p in places if p.name != "folder.jpg"]
    done = program("-m", "damagenet", "predict", *files, good, "--model", model, "--threads", 1)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [r["path"] for r in records] == [utf8(str(p)) for p in (*files, good)]
    assert all(places[p] in r["error"] for p, r in zip(files, records, strict=False))
    assert 0 <= records[-1]["score"] <= 1 and done.returncode == 1
    count = len(files)
    assert done.stderr.splitlines() == [f"{count} of {count + 1} files could not be scored"]


def test_a_folder_of_spoilt_files_gives_a_record_each(model, tmp_path):
    folder = tmp_path / "inbox"
    folder.mkdir()
    for i, (name, data) in enumerate(hostile.spoilt(3, 120)):
        (folder / f"{i:03d}.{name.split()[1]}.jpg").write_bytes(data)
    done = program("-m", "damagenet", "predict", folder, "--model", model, "--threads", 1)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    bad = [record for record in records if "error" in record]
    assert len(records) == 120 and 20 < len(bad) < 120 and done.returncode == 1
    assert all(set(record) == {"path", "error"} for record in bad)
    assert done.stderr.splitlines() == [f"{len(bad)} of 120 files could not be scored"]


def test_a_wrong_pattern_is_refused_in_one_line(model):
    done = program("-m", "damagenet", "predict", "in\x1bbox/**.jpg", "--model", model)
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "not a pattern of file names" in line and line.isprintable()


def test_sources_that_are_no_binary_files_are_refused(tmp_path):
    (tmp_path / "x.txt").write_text("text")
    with (tmp_path / "x.txt").open() as text, pytest.raises(BadInput, match="cannot be read"):
        images.read(text)
    closed = io.BytesIO(b"x")
    closed.close()
    with pytest.raises(BadInput, match="cannot be read"):
        images.read(closed)


def test_a_stream_that_cannot_go_back_is_read():
    data = encoded(smooth(), "PNG")
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as pipe:
        pipe.stdin.write(data)
        pipe.stdin.close()
        assert (images.read(pipe.stdout) == smooth()).all()


def test_scans_are_counted_up_to_the_end_of_the_first_picture():
    base = encoded(smooth(), "JPEG")
    assert scans(base) == scans(base + base) == scans(base + b"\xff\xda\0\2" * 999) == 1
    layered = encoded(smooth(), "JPEG", progressive=True)
    assert 5 < scans(layered) < 15
    assert scans(layered[:-2] + b"\xff\xda\0\2" * 999) > MAX_SCANS
    assert scans(b"\xff\xd8" + b"\xff\xe5\0\2" * 99_999) > MAX_SCANS


def test_a_library_user_hears_nothing_from_pillow_or_libtiff(tmp_path):
    broken = [data for name, data in hostile.spoilt(4, 400) if "tiff" in name or "mpo" in name]
    for i, data in enumerate(broken):
        (tmp_path / str(i)).write_bytes(data)
    (tmp_path / "large").write_bytes(hostile.png(9700, 9700, 1, 0, rows=2))  # Pillow would warn
    code = (
        "import pathlib, sys; from damagenet import BadInput, images\n"
        "for path in pathlib.Path(sys.argv[1]).iterdir():\n"
        "    try: images.read(path)\n"
        "    except BadInput: pass\n"
    )
    done = program("-W", "always", "-c", code, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_names_are_printable_and_keep_what_can_be_read():
    assert shown("杯子 café.jpg") == "杯子 café.jpg"
    assert shown("a\n\x1b[31m\udce9\u202e") == r"a\n\x1b[31m\udce9\u202e"

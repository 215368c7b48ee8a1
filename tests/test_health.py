import importlib.metadata
import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
from conftest import ROOT

from damagenet import cli, health

CORE = ("torch", "numpy", "pandas", "cv2", "yaml", "onnxruntime", "PIL", "joblib", "packaging")


def found(check):
    return {one.name: one for one in check()}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What the command says as JSON here, and its exit code."""
    line = [sys.executable, "-m", "damagenet", "doctor", "--json"]
    done = subprocess.run(
        line, capture_output=True, text=True, cwd=tmp_path_factory.mktemp("elsewhere")
    )
    return json.loads(done.stdout), done.returncode


def test_this_machine_can_do_what_the_tests_do(told):
    answer, code = told
    assert (answer["healthy"], code) == (True, 0), answer
    names = {one["name"] for one in answer["checks"]}
    assert names >= {"python", "damagenet", "packages", "extras", "disk", "DAMAGENET_DATA",
                     "DAMAGENET_MODELS", "decoders", "model", "processor", "gpu"}  # fmt: skip
    assert {one["state"] for one in answer["checks"]} <= {"ok", "note"}
    assert all(one["remedy"] for one in answer["checks"] if one["state"] == "note")


@pytest.mark.parametrize("names", [("torch",), CORE], ids=["torch", "everything"])
def test_missing_libraries_are_named_with_their_command_and_nothing_crashes(names, tmp_path):
    code = (
        f"import sys\nfor name in {names!r}:\n    sys.modules[name] = None\n"
        "from damagenet.cli import main\nsys.exit(main(['doctor']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    lines = done.stdout.splitlines()
    (at,) = (i for i, line in enumerate(lines) if line.startswith("broken  torch: "))
    assert "cannot be imported: " in lines[at] and "-m pip install" in lines[at + 1]
    assert lines[-1].startswith("broken: ") and "torch" in lines[-1]


def test_packages_that_are_missing_or_too_old_are_told_apart(monkeypatch):
    needed = ["there>=2", "old>=2", "gone[extra]>=1"]

    def version(name):
        if name == "gone":
            raise importlib.metadata.PackageNotFoundError(name)
        return {"there": "2.1.dev1", "old": "1.9"}[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(health, "_requirements", lambda: (">=3.11", needed, {"heif": ["gone"]}))
    (packages,) = found(health._packages).values()
    assert packages.state == "broken"
    assert packages.text == "old 1.9 where old>=2 is needed; gone is missing"
    extra = found(health._extras)["extra heif"]
    assert extra.state == "note" and "[heif]" in extra.remedy and "pip install" in extra.remedy


def test_every_extra_of_the_project_is_looked_at_also_when_installed(monkeypatch):
    assert {"tensorboard", "completion", "dask", "dev"} <= set(health._requirements()[2])
    monkeypatch.setattr(health, "ROOT", ROOT / "nowhere")  # as in a wheel
    python, needed, extras = health._requirements()
    assert python.startswith(">=3") and any(line.startswith("torch") for line in needed)
    assert "heif" in extras and not any(";" in line for line in needed)
    assert health._install("heif").endswith("-m pip install 'damagenet[heif]'")


def test_folders_are_looked_into(tmp_path, monkeypatch):
    (tmp_path / "products" / "a").mkdir(parents=True)
    (tmp_path / "products" / "a" / "b.jpg").touch()
    monkeypatch.setenv("DAMAGENET_DATA", str(tmp_path))
    monkeypatch.setenv("DAMAGENET_MODELS", str(tmp_path / "gone"))
    photos = found(health._photos)["DAMAGENET_DATA"]
    assert photos.state == "ok" and photos.text.endswith("products 1 files")
    models = found(health._decoders)
    assert models["DAMAGENET_MODELS"].state == "broken"
    assert models["DAMAGENET_MODELS"].remedy == "unset DAMAGENET_MODELS"
    assert models["decoders"].state == "ok" and "taef2" in models["more decoders"].text
    monkeypatch.setenv("DAMAGENET_DATA", str(tmp_path / "products"))
    wrong = found(health._photos)["DAMAGENET_DATA"]
    assert wrong.state == "broken" and "has no folder products" in wrong.text
    monkeypatch.setattr(health, "MANY", 0)
    monkeypatch.setenv("DAMAGENET_DATA", str(tmp_path))
    assert "more than 0 files" in found(health._photos)["DAMAGENET_DATA"].text


def test_a_model_that_does_not_open_is_broken(tmp_path, monkeypatch):
    (tmp_path / "bad.onnx").write_text("no model")
    monkeypatch.setenv("DAMAGENET_MODEL", str(tmp_path / "bad.onnx"))
    (model,) = found(health._model).values()
    assert model.state == "broken" and "not a model that can be opened" in model.text
    assert model.remedy == "unset DAMAGENET_MODEL"


def test_little_room_is_no_reason_to_fail(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(health.shutil, "disk_usage", lambda place: SimpleNamespace(free=3e9))
    monkeypatch.setattr(health, "checks", health._disk)
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("note    disk: 3.0 GB free") and "make room" in out


def gpu(cuda, mps=False):
    return health._gpu(
        SimpleNamespace(
            cuda=SimpleNamespace(
                is_available=lambda: cuda, device_count=lambda: 1,
                get_device_name=lambda i: "NVIDIA T4", mem_get_info=lambda i: (14e9, 16e9),
            ),
            backends=SimpleNamespace(mps=SimpleNamespace(is_available=lambda: mps)),
        )
    )  # fmt: skip


def test_the_gpu_that_trainings_use_is_named(monkeypatch):
    assert gpu(True).text == "CUDA: NVIDIA T4 (14 GB free); trainings use it"
    monkeypatch.setattr(health.shutil, "which", lambda name: None)
    assert gpu(False).text == "none; trainings use the CPU" and "MPS" in gpu(False, True).text
    monkeypatch.setattr(health.shutil, "which", lambda name: "/bin/nvidia-smi")
    assert gpu(False).state == "note" and gpu(False).remedy


def test_a_check_that_fails_itself_is_a_finding(monkeypatch):
    def _odd():
        raise RuntimeError("a disk on fire")
        yield

    monkeypatch.setattr(health, "_program", _odd)
    first = next(health.checks())
    assert (first.name, first.state) == ("odd", "broken") and "a disk on fire" in first.text

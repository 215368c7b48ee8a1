"""The first cell of the notebooks, on hosts that are faked: no GPU and no network is needed."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from conftest import settings, train_in
from test_checkpoint import content, progress

from damagenet import BadInput, config, host
from damagenet.detect import checkpoint, model


@pytest.fixture(autouse=True)
def home(monkeypatch):
    """Whatever runs these tests, they begin at home."""
    for name in ("KAGGLE_KERNEL_RUN_TYPE", "COLAB_RELEASE_TAG", "DAMAGENET_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A hosted machine with a checkout and a disk that outlives it."""
    monkeypatch.setattr(host, "ROOT", tmp_path / "machine" / "damagenet-lab")
    monkeypatch.setattr(host, "DRIVE", tmp_path / "drive")
    monkeypatch.setattr(host, "KAGGLE", tmp_path / "kaggle")
    monkeypatch.setattr(host, "install", lambda: None)
    monkeypatch.setitem(sys.modules, "google", ModuleType("google"))
    drive = SimpleNamespace(mount=lambda place: (tmp_path / "mounted").write_text(place))
    colab = ModuleType("google.colab")
    colab.drive = drive
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    host.ROOT.mkdir(parents=True)
    monkeypatch.chdir(host.ROOT.parent)
    return tmp_path


def test_at_home_nothing_is_installed_and_notebooks_are_left(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(host, "install", lambda: pytest.fail("installed at home"))
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    for _ in range(2):  # the cell may be run again
        host.start()
        assert Path.cwd() == tmp_path and not (tmp_path / "runs").exists()
    said = capsys.readouterr().out
    assert f"local | Python {sys.version.split()[0]}, torch 2." in said
    assert f"runs:   {tmp_path / 'runs'}\n" in said and "device: CPU" in said


def test_at_home_an_environment_without_the_package_is_told_how(monkeypatch):
    monkeypatch.setattr(host, "_versions", dict)
    with pytest.raises(BadInput, match=r"not installed in .*make setup"):
        host.start()


@pytest.mark.parametrize("drive", [True, False])
def test_on_colab_runs_lie_in_the_drive_if_the_user_says_so(machine, monkeypatch, capsys, drive):
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release")
    (machine / "drive" / "MyDrive" / "damagenet" / "data" / "products").mkdir(parents=True)
    host.start(drive=drive)
    said = capsys.readouterr().out
    runs = host.ROOT / "runs"
    assert Path.cwd() == host.ROOT and "Runtime > Change runtime type" in said
    assert (machine / "mounted").exists() == runs.is_symlink() == drive
    if drive:
        assert runs.resolve() == machine / "drive" / "MyDrive" / "damagenet" / "runs"
        assert os.environ.pop("DAMAGENET_DATA") == str(runs.resolve().parent / "data")
        assert "kept in your Drive" in said
    else:
        assert "lost with the machine; drive=True" in said and "project's samples" in said


def test_on_kaggle_runs_lie_in_the_output_though_its_image_is_that_of_colab(
    machine, monkeypatch, capsys
):
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release")
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    host.start()
    host.start()
    assert (host.ROOT / "runs").resolve() == machine / "kaggle" / "working" / "runs"
    assert "| Kaggle |" in capsys.readouterr().out


def test_work_that_is_there_is_never_hidden(machine, monkeypatch):
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release")
    (host.ROOT / "runs").mkdir()
    host.start(drive=True)  # an empty folder is in nobody's way
    (host.ROOT / "runs").unlink()
    (host.ROOT / "runs" / "mine").mkdir(parents=True)
    with pytest.raises(BadInput, match="holds work; move it first"):
        host.start(drive=True)
    assert (host.ROOT / "runs" / "mine").is_dir()


@pytest.fixture
def pip(monkeypatch):
    """pip that records what it is asked; `after`: the versions it leaves."""
    asked = SimpleNamespace(commands=[], pins="", code=0, after={})
    before = {"torch": "2.8.0+cu126", "torchvision": "0.23.0+cu126", "numpy": "2.0.2", "rich": "1"}

    def run(command, **_):
        asked.commands.append(command)
        asked.pins = Path(command[command.index("-c") + 1]).read_text().split()
        monkeypatch.setattr(host, "_versions", lambda: {**before, **asked.after})
        return SimpleNamespace(returncode=asked.code, stdout="ERROR: ResolutionImpossible")

    monkeypatch.setattr(host, "_versions", lambda: before)
    monkeypatch.setattr(host, "subprocess", SimpleNamespace(run=run, PIPE=-1, STDOUT=-2))
    return asked


def test_the_hosts_torch_is_pinned_and_a_second_call_costs_nothing(pip):
    pip.after = {"damagenet": "0.1.0", "timm": "1.0.20"}
    host.install()
    host.install()
    (command,) = pip.commands
    assert command[:4] == [sys.executable, "-m", "pip", "install"] and "--upgrade" not in command
    assert command[-1] == f"{host.ROOT}[{host.EXTRAS}]" and command[-2] == "-e"
    assert pip.pins == ["torch==2.8.0+cu126", "torchvision==0.23.0+cu126", "numpy==2.0.2"]


def test_the_extras_of_a_host_are_the_projects():
    import tomllib

    known = tomllib.loads((host.ROOT / "pyproject.toml").read_text())["project"]
    assert set(host.EXTRAS.split(",")) <= set(known["optional-dependencies"])


def test_what_does_not_fit_the_host_is_said_with_a_remedy(pip):
    pip.code = 1
    with pytest.raises(BadInput, match=r"beside this host's torch==2\.8\.0\+cu126.*\n.*Resolution"):
        host.install()


def test_a_loaded_module_that_was_replaced_asks_for_a_restart(pip, monkeypatch):
    monkeypatch.setattr(host.metadata, "packages_distributions", lambda: {"sys": ["Rich"]})
    pip.after = {"damagenet": "0.1.0", "rich": "2"}
    with pytest.raises(BadInput, match="restart the session and run again: rich was replaced"):
        host.install()


BACKEND = """
from pathlib import Path
def prepare_metadata_for_build_editable(folder, settings=None):
    info = Path(folder) / "toy-1.dist-info"
    info.mkdir()
    extras = [f"Provides-Extra: {name}" for name in "EXTRAS".split(",")]
    lines = ["Metadata-Version: 2.1", "Name: toy", "Version: 1", "Requires-Dist: torchNEED"]
    (info / "METADATA").write_text("\\n".join([*lines, *extras]) + "\\n")
    return info.name
def build_editable(folder, settings=None, metadata=None):
    raise SystemExit("a dry run builds nothing")
"""


@pytest.mark.slow
@pytest.mark.parametrize("need, fits", [(">=2.6", True), (">=9999", False)])
def test_pip_itself_refuses_rather_than_replace(tmp_path, monkeypatch, need, fits):
    backend = BACKEND.replace("EXTRAS", host.EXTRAS).replace("NEED", need)
    (tmp_path / "backend.py").write_text(backend)
    (tmp_path / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    here = host._versions()
    monkeypatch.setattr(host, "ROOT", tmp_path)
    monkeypatch.setattr(host, "_versions", lambda: {k: here[k] for k in ("torch", "numpy")})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_DRY_RUN", "1")
    if fits:
        host.install()
    else:
        with pytest.raises(BadInput, match=r"beside this host's torch==[\s\S]*torch>=9999"):
            host.install()


class Card:
    """A GPU of a host; `broken`: torch was not built for it."""

    def __init__(self, monkeypatch, broken):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla P100")
        facts = SimpleNamespace(total_memory=16 * 2**30)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: facts)
        self.broken, self.real = broken, torch.ones
        monkeypatch.setattr(torch, "ones", self.ones)

    def ones(self, n, device):
        assert device == "cuda"
        if self.broken:
            raise RuntimeError("CUDA error: no kernel image is available\nmore")
        return self.real(n)


def test_a_gpu_is_named_after_it_was_tried(monkeypatch):
    Card(monkeypatch, broken=False)
    assert host.device("Kaggle").startswith("Tesla P100, 16 GiB")


def test_a_gpu_that_torch_cannot_use_is_no_silent_cpu(monkeypatch):
    Card(monkeypatch, broken=True)
    with pytest.raises(BadInput, match=r"Tesla P100: torch .* \(CUDA error: no kernel image is av"):
        host.device("Kaggle")


@pytest.mark.parametrize("variable, remedy", [
    ("COLAB_RELEASE_TAG", "Runtime > Change"), ("KAGGLE_KERNEL_RUN_TYPE", "Settings > Accelerator"),
])  # fmt: skip
def test_asking_for_a_gpu_where_none_is_names_the_way_to_one(monkeypatch, variable, remedy):
    monkeypatch.setenv(variable, "x")
    with pytest.raises(BadInput, match=f"train.device=cuda but torch finds no GPU.*{remedy}"):
        model.device_for("cuda")


def test_the_first_cell_finds_the_checkout_where_nothing_is_installed(tmp_path):
    """With a bare Python, no torch: the cell itself, as a script, from `notebooks/`."""
    from conftest import ROOT

    spec = importlib.util.spec_from_file_location("b", ROOT / "scripts" / "build_notebooks.py")
    builder = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(builder)
    lines = ["    pass" if line.lstrip().startswith("!") else line
             for line in builder.FIRST.splitlines()]  # fmt: skip
    run = subprocess.run(
        [sys.executable, "-S", "-I", "-c", "\n".join(lines)],
        cwd=ROOT / "notebooks", capture_output=True, text=True,
    )  # fmt: skip
    assert "BadInput: the package is not installed" in run.stderr, run.stderr


MACHINE = """
import sys, types
from pathlib import Path
from damagenet import config, host
from damagenet.detect.train import train
host.ROOT, host.DRIVE, host.install = Path.cwd() / "damagenet-lab", Path(sys.argv[1]), lambda: None
colab = types.ModuleType("google.colab")
colab.drive = types.SimpleNamespace(mount=lambda place: None)
sys.modules |= {"google": types.ModuleType("google"), "google.colab": colab}
host.start(drive=True)                             # the first cell of notebook 4 ...
settings = config.load(sys.argv[2])
train(settings, Path(sys.argv[3]))                 # ... and the one that trains
"""


@pytest.mark.slow
def test_a_machine_that_was_lost_is_followed_by_another_to_the_same_weights(
    trained, built, tmp_path, monkeypatch
):
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release")
    experiment = settings(train={"save_every": 1})
    (tmp_path / "tiny.yaml").write_text(config.dump(experiment))
    run = tmp_path / "drive" / "MyDrive" / "damagenet" / "runs" / "tiny"

    def begun(name):
        (tmp_path / name / "damagenet-lab").mkdir(parents=True)
        return subprocess.Popen(
            [sys.executable, "-c", MACHINE, tmp_path / "drive", tmp_path / "tiny.yaml", built],
            cwd=tmp_path / name, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    first, deadline = begun("first"), time.monotonic() + 120
    while not (run / checkpoint.NAME).is_file() and time.monotonic() < deadline:
        assert first.poll() is None, first.communicate()[0]
        time.sleep(0.002)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    step = progress(run)["step"]
    assert 0 < step < 6 and not progress(run)["finished"], "it was too late"
    second = begun("second")
    said = second.communicate(timeout=120)[0]
    assert second.returncode == 0 and f"steps {step + 1} to 6" in said, said
    assert content(run) == content(trained)
    assert not list((tmp_path / "second" / "damagenet-lab").glob("runs/tiny/*.tmp"))
    assert train_in(tmp_path, experiment, built, run) == tmp_path / run  # finished: left alone

"""What this machine has and lacks, and the command that mends it.

Nothing but the standard library is imported at the top: it must work where others are missing.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from damagenet import __version__

ROOT = Path(__file__).parents[2]
MANY = 100_000
"""Files of a folder that are counted at most."""
LITTLE = 5_000_000_000
"""Free bytes below which a dataset and its runs may not fit."""


@dataclass(frozen=True)
class Check:
    """One finding. `state` is ok, note (works without it), or broken (something needed)."""

    name: str
    state: str
    text: str
    remedy: str = ""


def checks() -> Iterator[Check]:
    """Every check in turn, slow ones last; one that fails itself is a finding, too."""
    for check in (_program, _packages, _extras, _disk, _photos, _decoders, _model, _device):
        try:
            yield from check()
        except Exception as error:  # noqa: BLE001 - a doctor must not fall ill
            name = check.__name__.strip("_")
            yield Check(name, "broken", f"cannot be looked at: {type(error).__name__}: {error}",
                        _install())  # fmt: skip


def _install(extra: str = "") -> str:
    """The command that installs this package anew, with one extra."""
    pip = f"{shlex.quote(sys.executable)} -m pip install"
    mark = f"[{extra}]" if extra else ""
    if (ROOT / "pyproject.toml").is_file():
        limits = f"-c {shlex.quote(str(ROOT / 'constraints.txt'))}"
        return f"{pip} {limits} -e {shlex.quote(str(ROOT) + mark)}"
    return f"{pip} {shlex.quote('damagenet' + mark)}"


def _requirements() -> tuple[str, list[str], dict[str, list[str]]]:
    """Python and packages that this version needs, and those of each extra."""
    try:  # an editable install does not notice what a newer pyproject.toml asks for
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        return project["requires-python"], project["dependencies"], project["optional-dependencies"]
    except OSError:
        about = importlib.metadata.metadata("damagenet")
    needed: list[str] = []
    extras: dict[str, list[str]] = {}
    for line in about.get_all("Requires-Dist") or []:
        extra = re.search(r"extra == ['\"]([\w-]+)", line)
        (extras.setdefault(extra[1], []) if extra else needed).append(line.partition(";")[0])
    return str(about["Requires-Python"]), needed, extras


def _unmet(lines: list[str]) -> list[str]:
    """Which of some requirements are not met, each with what is there instead."""
    found = []
    for line in lines:
        name = re.sub(r"[^\w.-].*", "", line)
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{name} is missing")
            continue
        if not _fits(line, version):
            found.append(f"{name} {version} where {line} is needed")
    return found


def _fits(line: str, version: str) -> bool:
    try:
        from packaging.requirements import Requirement
    except ImportError:  # then it is reported itself, and versions are not compared
        return True
    return Requirement(line).specifier.contains(version, prereleases=True)


def _program() -> Iterator[Check]:
    wanted, version = _requirements()[0], platform.python_version()
    least = tuple(map(int, re.findall(r"\d+", wanted)[:2]))
    fits = sys.version_info >= least
    yield Check("python", "ok" if fits else "broken", f"{version} in {sys.prefix}, {wanted} needed",
                "" if fits else "make setup PYTHON=python3.11")  # fmt: skip
    origin = f"checkout in {ROOT}" if (ROOT / "pyproject.toml").is_file() else "installed"
    yield Check("damagenet", "ok", f"{__version__}, {origin}")


def _packages() -> Iterator[Check]:
    needed = _requirements()[1]
    if wrong := _unmet(needed):
        yield Check("packages", "broken", "; ".join(wrong), _install())
    else:
        told = ("torch", "onnxruntime", "numpy", "pandas", "opencv-python-headless")
        versions = [f"{name} {importlib.metadata.version(name)}" for name in told]
        yield Check("packages", "ok", f"all {len(needed)} are there, {', '.join(versions)}")


def _extras() -> Iterator[Check]:
    for extra, lines in _requirements()[2].items():
        wrong = _unmet(lines)
        if wrong:
            yield Check(f"extra {extra}", "note", "; ".join(wrong), _install(extra))
    whole = [extra for extra, lines in _requirements()[2].items() if not _unmet(lines)]
    yield Check("extras", "ok", f"complete: {', '.join(whole) or 'none'}")


def _disk() -> Iterator[Check]:
    place = Path("runs") if Path("runs").is_dir() else Path()
    free = shutil.disk_usage(place).free
    text = f"{free / 1e9:.1f} GB free in {place.resolve()}"
    short = free < LITTLE
    yield Check("disk", "note" if short else "ok", text,
                "make room, or work in a folder on another disk" if short else "")  # fmt: skip


def _files(folder: Path) -> str:
    """How many files a folder holds, as words."""
    count = 0
    for _, _, names in os.walk(folder):
        count += len(names)
        if count > MANY:
            return f"more than {MANY:,} files"
    return f"{count:,} files"


def _variable(name: str, parts: tuple[str, ...], without: str) -> Check | None:
    """The folder that an environment variable names; None: it holds something."""
    place = os.environ.get(name)
    if not place:
        return Check(name, "ok", f"not set: {without}", "")
    if not Path(place).is_dir():
        return Check(name, "broken", f"{place} is no folder", f"unset {name}")
    if not any((Path(place) / part).is_dir() for part in parts):
        return Check(name, "broken", f"{place} has no folder {' or '.join(parts)}", f"unset {name}")
    return None


def _photos() -> Iterator[Check]:
    samples = ROOT / "data" / "samples"
    without = f"the project's samples, {_files(samples)}" if samples.is_dir() else (
        "no samples here; name folders, as in `damagenet products DIR`")  # fmt: skip
    name = "DAMAGENET_DATA"
    if wrong := _variable(name, ("products",), without):
        yield wrong
        return
    root = Path(os.environ[name])
    parts = [part for part in ("products", "damaged", "textures") if (root / part).is_dir()]
    held = ", ".join(f"{part} {_files(root / part)}" for part in parts)
    yield Check(name, "ok", f"{root}: {held}")


def _decoders() -> Iterator[Check]:
    from damagenet.synth import regenerate

    name = "DAMAGENET_MODELS"
    folders = tuple(sorted({f.folders[0] for f in regenerate.FAMILIES.values()}))
    wrong = _variable(name, folders, "decoders of the project and of installed packages")
    yield wrong or Check(name, "ok", os.environ[name])
    lacking = regenerate.missing()
    found = [family for family in regenerate.FAMILIES if family not in lacking]
    state = "ok" if found else "broken"
    yield Check("decoders", state, ", ".join(found) or "none", "" if found else _install())
    if lacking:
        ways = "\n".join(lacking.values())
        yield Check("more decoders", "note", f"without weights: {', '.join(lacking)}", ways)


def _model() -> Iterator[Check]:
    from damagenet import BadInput
    from damagenet.claims import model

    try:
        path = model.find_model(None)
        info = model.read_info(model.open_session(path, 1), path)
    except BadInput as error:
        named = "DAMAGENET_MODEL" in os.environ
        yield Check("model", "broken", str(error), "unset DAMAGENET_MODEL" if named else _install())
        return
    yield Check("model", "ok", f"{path.name} opens, threshold {info['threshold']:.3g}")


def _device() -> Iterator[Check]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Check("processor", "ok", f"{platform.machine()}, {cores} cores for this process")
    for name in ("cv2", "torch"):
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - libraries raise anything when broken
            text = f"cannot be imported: {type(error).__name__}: {error}"
            yield Check(name, "broken", text, _install())
    if "torch" in sys.modules:
        yield _gpu(sys.modules["torch"])


def _gpu(torch: ModuleType) -> Check:
    cuda = torch.cuda
    if cuda.is_available():
        names = [cuda.get_device_name(i) for i in range(cuda.device_count())]
        free = [f"{cuda.mem_get_info(i)[0] / 1e9:.0f} GB free" for i in range(len(names))]
        text = ", ".join(f"{n} ({f})" for n, f in zip(names, free, strict=True))
        return Check("gpu", "ok", f"CUDA: {text}; trainings use it")
    if shutil.which("nvidia-smi"):
        remedy = "install the torch build that fits the driver `nvidia-smi` names"
        return Check("gpu", "note", "this torch cannot use it; trainings use the CPU", remedy)
    mps = "MPS, which is not used" if torch.backends.mps.is_available() else "none"
    return Check("gpu", "ok", f"{mps}; trainings use the CPU")

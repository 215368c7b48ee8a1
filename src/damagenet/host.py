"""Where a notebook runs: at home, on Colab or on Kaggle; what is missing there, where runs go.

The first cell of every notebook calls `start`, before anything is installed: this module needs the
standard library alone. What a host brings is used as it is, above all its torch.
"""

from __future__ import annotations

import importlib
import importlib.metadata as metadata
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from damagenet import BadInput, __version__

ROOT = Path(__file__).parents[2]
DRIVE = Path("/content/drive")
KAGGLE = Path("/kaggle")
KEPT = ("torch", "torchvision", "torchaudio", "numpy")
"""Never replaced: another torch may not know the host's card, and these hang together."""
EXTRAS = "backbone,decoders,export"
GPU = {
    "Colab": "Runtime > Change runtime type > T4 GPU, then run the notebook again",
    "Kaggle": "Settings > Accelerator > GPU, then run the notebook again",
    "local": "on a machine that has one, install its driver and a CUDA build of torch",
}
"""How to get one, by host."""
FATE = {
    "Colab": "lost with the machine; drive=True keeps them",
    "Kaggle": "kept by Save Version, or with Settings > Persistence",
    "local": "",
}
"""What becomes of runs, by host."""


def name() -> str:
    """`Colab`, `Kaggle` or `local`; Kaggle first, as its image is built on that of Colab."""
    if "KAGGLE_KERNEL_RUN_TYPE" in os.environ:
        return "Kaggle"
    return "Colab" if "COLAB_RELEASE_TAG" in os.environ else "local"


def start(drive: bool = False) -> None:
    """Make the package ready, go to the project's folder, and say what was found.

    At home nothing is installed; from `notebooks/` it goes one folder up, so that paths are as on
    the command line. On Colab and Kaggle the checkout's `runs` becomes a link to where files
    outlive the machine, and photos lying there in `data/products` become `DAMAGENET_DATA`.

    Args:
        drive: On Colab, ask for the user's Google Drive and keep runs there.

    Raises:
        BadInput: The package is not installed (at home), cannot be beside the host's torch, or
            changed a module that is loaded; runs would be hidden; a GPU that torch cannot use.
    """
    host, here = name(), Path.cwd()
    if host == "local":
        _installed_or_remedy()
        root = here.parent if here.name == "notebooks" else here
    else:
        install()
        root = ROOT
    os.chdir(root)
    lasting = place(host, drive)
    if lasting:
        link(root / "runs", lasting / "runs")
        if (lasting / "data" / "products").is_dir():
            os.environ.setdefault("DAMAGENET_DATA", str(lasting / "data"))
    kept = "kept in your Drive" if drive and host == "Colab" else FATE[host]
    print(f"damagenet {__version__} | {host} | Python {platform.python_version()}, {_torch()}")
    print(f"device: {device(host)}")
    print(f"runs:   {(root / 'runs').resolve()}{kept and f' ({kept})'}")
    photos = os.environ.get("DAMAGENET_DATA") or "the project's samples"
    print(f"photos: {photos}, where neither notebook nor config names others")


def place(host: str, drive: bool) -> Path | None:
    """The folder of a host that outlives the machine; None: the checkout is all there is."""
    if host == "Kaggle":
        return KAGGLE / "working"
    if host == "Colab" and drive:
        importlib.import_module("google.colab").drive.mount(str(DRIVE))  # Colab brings it
        return DRIVE / "MyDrive" / "damagenet"
    return None


def link(runs: Path, target: Path) -> None:
    """Make `runs` a link to `target`, which is made; work that lies in `runs` is never hidden.

    Raises:
        BadInput: `runs` is a folder that holds something.
    """
    target.mkdir(parents=True, exist_ok=True)
    if runs.is_symlink():
        runs.unlink()
    elif runs.is_dir() and any(runs.iterdir()):
        raise BadInput(f"{runs}: holds work; move it first: mv {runs}/* {target}")
    elif runs.exists():
        runs.rmdir()
    runs.symlink_to(target, target_is_directory=True)


def install() -> None:
    """Install the checkout with what is missing, beside the host's torch and numpy.

    Raises:
        BadInput: pip refuses, as the host's versions do not fit; or a loaded module has changed.
    """
    before = _versions()
    if "damagenet" in before:
        return
    pins = [f"{package}=={before[package]}" for package in KEPT if package in before]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kept.txt"
        file.write_text("\n".join(pins) + "\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "-c", str(file)]
        run = subprocess.run(
            [*command, "-e", f"{ROOT}[{EXTRAS}]"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
    if run.returncode:
        said = "\n".join(run.stdout.strip().splitlines()[-12:])
        raise BadInput(
            f"pip cannot install the project beside this host's {', '.join(pins)}:\n{said}\n"
            "without network: switch it on (Kaggle: Settings > Internet); where versions do not "
            "fit: choose a newer runtime of the host"
        )
    after, modules = _versions(), metadata.packages_distributions()
    loaded = {owner.lower() for top in sys.modules for owner in modules.get(top, ())}
    changed = sorted(k for k in before if after.get(k) != before[k] and k in loaded)
    if changed:
        raise BadInput(f"restart the session and run again: {', '.join(changed)} was replaced")


def device(host: str) -> str:
    """The GPU that torch finds, tried out, or the CPU with the way to a GPU.

    Raises:
        BadInput: There is a GPU and torch cannot use it.
    """
    import torch

    if not torch.cuda.is_available():
        return f"CPU, {os.cpu_count()} cores (a GPU: {GPU[host]})"
    card = torch.cuda.get_device_name(0)
    try:
        torch.ones(1, device="cuda").add(1).item()
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise BadInput(f"{card}: torch {torch.__version__} cannot use it ({reason}); "
                       "choose another accelerator") from None  # fmt: skip
    size = torch.cuda.get_device_properties(0).total_memory / 2**30
    return f"{card}, {size:.0f} GiB; configs with train.device auto or cuda use it"


def _installed_or_remedy() -> None:
    if "damagenet" not in _versions():
        raise BadInput(
            f"the package is not installed in {sys.executable}: `make setup`, then `make lab`; "
            "or in an environment of your own `pip install -e .` in the project's folder"
        )


def _versions() -> dict[str, str]:
    found = metadata.distributions()
    return {one.metadata["Name"].lower(): one.version for one in found if one.metadata["Name"]}


def _torch() -> str:
    return f"torch {_versions().get('torch', 'missing')}"

"""Seeds, hashes, and the record of what produced a result."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from damagenet import BadInput, images

PACKAGES = (
    "damagenet albumentations ncnn numpy onnxruntime opencv-python-headless pandas pillow "
    "pyarrow scikit-image scikit-learn scipy timm torch torchvision"
).split()


def rng_for(seed: int, *ids: object) -> np.random.Generator:
    """A random generator that depends only on the seed and on stable ids.

    Every random draw of the project comes from one of these, so that the order of work and the
    number of workers never matter.
    """
    text = json.dumps([seed, *map(str, ids)])
    return np.random.default_rng(np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint32))


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def commit() -> str:
    """The code's git commit, with `+dirty` for uncommitted changes; `unknown` outside git."""
    root = Path(__file__).parents[2]
    try:
        run = [
            subprocess.run(["git", "-C", str(root), *args], capture_output=True, text=True)
            for args in (["rev-parse", "HEAD"], ["status", "--porcelain", "--", "src"])
        ]
    except OSError:
        return "unknown"
    if run[0].returncode != 0:
        return "unknown"
    return run[0].stdout.strip() + ("+dirty" if run[1].stdout.strip() else "")


def code_sha256() -> str:
    """Hash over names and bytes of the package's Python files: names code that no commit holds."""
    whole = hashlib.sha256()
    root = Path(__file__).parent
    for path in sorted(root.rglob("*.py"), key=lambda p: p.relative_to(root).as_posix()):
        whole.update(f"{path.relative_to(root).as_posix()} {sha256(path)}\n".encode())
    return whole.hexdigest()


def now() -> str:
    """This second in UTC, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def environment(**facts: object) -> dict[str, Any]:
    """What produced a result: commit, versions, machine, and the facts given (seed, threads …)."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "commit": commit(),
        "code_sha256": code_sha256(),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": versions,
        **facts,
    }


def write_json(path: str | Path, value: object) -> None:
    """Write JSON whole or not at all; non-finite numbers are refused."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    images.write_bytes(path, (text + "\n").encode())


def read_json(path: str | Path, remedy: str) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        BadInput: Missing or damaged; the message ends with the remedy.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"{path}: not found; {remedy}")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: damaged ({error}); {remedy}") from None
    if not isinstance(value, dict):
        raise BadInput(f"{path}: not a JSON object; {remedy}")
    return value

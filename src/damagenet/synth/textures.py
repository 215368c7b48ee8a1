"""Real textures that give damage its shape: cracked glaze, brush scratches, dried coffee.

They lie in `$DAMAGENET_DATA/textures`; without that folder there are none, and damage is drawn
from its recipe alone.
"""

from __future__ import annotations

import hashlib
import os
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from damagenet import BadInput, images

LONGEST = 512
"""Longer side of a loaded texture, in pixels: more than a damage covers in most photos."""

_PATTERNS = {
    "crack": ("ceramic_crack_masks/*", "*/crack/*spines*", "*craqules*", "*/splat_stain/*scales*"),
    "scratch": ("*LJF_Water_Brush_02*", "*spike_eroded*", "*Oil*_?.gbr*"),
    "stain": (
        *("coffee_stains/*", "*rough_lightgrey*", "*watercolor*"),
        *("*Splats-02*", "*smear_paint*"),
    ),
    "water": ("*coffee_DDD*", "*watercolor*", "*rough_lightgrey*", "*smear_paint*"),
    "rust": ("*Acrylic-05*", "*smear_paint*"),
}
"""Which files suit which kind; a folder named like the kind suits it too."""
_TILES = ("*/pat_*", "*/surface/*")
"""Pictures filled to the border: they have no background to tell marks from."""


def names(kind: str) -> tuple[str, ...]:
    """Sorted names, relative to the folder, of the textures a kind of damage can use.

    `()` for a kind that uses none, and without `$DAMAGENET_DATA/textures`.
    """
    return _suiting(_listing(_folder()), kind)


@lru_cache(maxsize=128)
def _suiting(listing: tuple[str, ...], kind: str) -> tuple[str, ...]:
    patterns = (*_PATTERNS.get(kind, ()), f"{kind}/*")
    return tuple(
        name
        for name in listing
        if any(fnmatchcase(name, pattern) for pattern in patterns)
        and not any(fnmatchcase(name, pattern) for pattern in _TILES)
    )


def load(name: str) -> NDArray[np.float32]:
    """Read one texture as the coverage of its marks.

    The corners are taken for background, so dark marks on white and white ones on black come out
    alike; the result is trimmed to its marks and at most `LONGEST` pixels long.

    Args:
        name: From `names`.

    Returns:
        float32 `[h, w]` in [0, 1], 1 = fully marked; cached, hence read-only.

    Raises:
        BadInput: No such texture, a damaged picture, or a picture without marks.
    """
    folder = _folder()
    if name not in _listing(folder):
        where = folder or "$DAMAGENET_DATA (unset)"
        raise BadInput(
            f"{name}: no such texture in {where}; set DAMAGENET_DATA to the folder "
            "this recipe was planned with"
        )
    return _load(folder, name)


def digest() -> str:
    """SHA-256 (hex) over the names and bytes of all textures; `""` when there are none.

    Raises:
        BadInput: A texture cannot be read.
    """
    return _digest(_folder())


def _folder() -> str:
    place = os.environ.get("DAMAGENET_DATA")
    return str(Path(place) / "textures") if place else ""


@lru_cache(maxsize=4)
def _listing(folder: str) -> tuple[str, ...]:
    if not folder:
        return ()
    root = Path(folder)
    return tuple(
        sorted(
            path.relative_to(root).as_posix() for path in images.files_in([root]) if path.is_file()
        )
    )


@lru_cache(maxsize=4)
def _digest(folder: str) -> str:
    listing = _listing(folder)
    total = hashlib.sha256()
    for name in listing:
        path = Path(folder) / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise BadInput(f"{path}: {error.strerror or error}; mend or remove it") from None
        total.update(f"{len(name)} {name} {len(content)} ".encode())
        total.update(content)
    return total.hexdigest() if listing else ""


@lru_cache(maxsize=64)
def _load(folder: str, name: str) -> NDArray[np.float32]:
    path = Path(folder) / name
    picture = images.read(path).astype(np.float32) / 255
    side = max(1, min(picture.shape[:2]) // 16)
    corners = (
        picture[rows, columns].reshape(-1, 3).mean(0)
        for rows in (slice(side), slice(-side, None))
        for columns in (slice(side), slice(-side, None))
    )
    ground = np.median(np.stack(list(corners)), axis=0).astype(np.float32)
    mark = (ground - picture if ground.mean() > 0.5 else picture - ground).mean(-1)
    peak = float(np.quantile(mark[mark > 0.02], 0.99)) if (mark > 0.02).any() else 0.0
    if peak < 0.1:
        raise BadInput(f"{path}: shows no marks on its background; remove it")
    mark = np.clip(mark / np.float32(peak), 0, 1)
    rows, columns = (np.flatnonzero((mark > 0.08).any(axis)) for axis in (1, 0))
    mark = mark[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    shrink = LONGEST / max(mark.shape)
    if shrink < 1:
        size = max(1, round(mark.shape[1] * shrink)), max(1, round(mark.shape[0] * shrink))
        mark = cv2.resize(mark, size, interpolation=cv2.INTER_AREA)
    mark = np.ascontiguousarray(mark, np.float32)
    mark.setflags(write=False)
    return mark

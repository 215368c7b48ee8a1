"""Register photos: check each one, drop duplicates, group shots of one item -> products.parquet.

Folder layouts understood: `<source>/<category>/file`, `<category>/file`, a flat folder, and the
layouts of the usual defect datasets (`good`/`normal`/`test/<defect>`/`Anomaly`; mask folders are
left out). A `sources.csv` in the folder or up to two levels above it (columns `path`, and any of
`group_key`, `licence`, `category`) tells what the pictures themselves cannot.
"""

from __future__ import annotations

import importlib.util
import io
import os
import re
from collections.abc import Sequence
from pathlib import Path

import imagehash
import joblib
import numpy as np
import pandas as pd
from PIL import Image
from tqdm.auto import tqdm

from damagenet import BadInput, images, runs
from damagenet.config import Products
from damagenet.incoming import shown
from damagenet.synth import groups
from damagenet.synth.groups import Refused, Seen

COLUMNS = ("product_id group_id path condition category source licence width height sha256").split()
MIN_SIDE = 96
"""Smaller pictures cannot hold damage a person would recognise."""
SKIPPED_FOLDERS = frozenset("mask masks ground_truth groundtruth annotations original".split())
INTACT_FOLDERS = frozenset("good normal intact ok".split())
DAMAGED_FOLDERS = frozenset("anomaly bad damaged defect defective".split())
STRUCTURE = INTACT_FOLDERS | DAMAGED_FOLDERS | set("train test val data images image".split())
"""Folder names that tell nothing about the product."""
PACKAGE_PHOTOS = {
    "skimage/data/coffee.png": {"category": "mug", "licence": "CC0-1.0"},
    "skimage/data/motorcycle_left.png": {
        "category": "motorcycle",
        "licence": "see skimage.data",
    },
    "skimage/data/motorcycle_right.png": {
        "category": "motorcycle",
        "licence": "see skimage.data",
    },
    "sklearn/datasets/images/flower.jpg": {"category": "flower", "licence": "CC-BY-2.0"},
}
"""Real photos that installed packages carry anyway, and what their makers say of them."""


def default_folders() -> tuple[list[Path], list[Path]]:
    """Intact and damaged photo folders: `$DAMAGENET_DATA`, or the project's own samples.

    Raises:
        BadInput: `$DAMAGENET_DATA` does not exist, or the samples are not installed.
    """
    place = os.environ.get("DAMAGENET_DATA")
    if place:
        root = Path(place)
        if not (root / "products").is_dir():
            raise BadInput(f"DAMAGENET_DATA={place}: has no folder `products`; unset or mend it")
        return [root / "products"], [p for p in [root / "damaged"] if p.is_dir()]
    samples = Path(__file__).parents[3] / "data" / "samples"
    if not samples.is_dir():
        raise BadInput(
            "no photos: name folders (`damagenet products DIR`), set DAMAGENET_DATA, or run from "
            "a checkout of the project, which carries samples in data/samples"
        )
    return [samples, *package_photos()], []


def damage_mask(path: str | Path) -> images.Array | None:
    """The hand-drawn mask of a really damaged photo: `masks/<name>.png` beside it or its folder.

    Returns:
        uint8 `[h, w]` of the photo's size, above 127 on the damage; None where there is none.

    Raises:
        BadInput: Unreadable, or of another size than the photo.
    """
    photo = Path(path)
    for folder in (photo.parent, photo.parent.parent):
        place = folder / "masks" / f"{photo.stem}.png"
        if place.is_file():
            mask = images.read_mask(place)
            with images.opened(photo) as picture:
                if mask.shape != picture.size[::-1]:
                    raise BadInput(f"{place}: not of the size of {photo}; mend or remove it")
            return mask
    return None


def package_photos() -> list[Path]:
    """Real photos inside the wheels of scikit-image and scikit-learn."""
    found = []
    for name in PACKAGE_PHOTOS:
        spec = importlib.util.find_spec(name.split("/")[0])
        if spec and spec.origin:
            found.append(Path(spec.origin).parents[1] / name)
    return [path for path in found if path.is_file()]


def resolve(config: Products, out: Path, workers: int = 2) -> pd.DataFrame:
    """The product table a config asks for; registers folders into `out` when it names no table.

    Raises:
        BadInput: As `registered`.
    """
    table, refused = registered(config, workers)
    if not config.table:
        save(table, refused, out)
    return limited(table, config.limit)


def registered(config: Products, workers: int = 2) -> tuple[pd.DataFrame, list[Refused]]:
    """The whole table that a config asks for, and the files that were refused.

    Raises:
        BadInput: Missing table or columns, missing folder, zero products.
    """
    if config.table:
        return load(config.table), []
    intact, damaged = list(map(Path, config.folders)), list(map(Path, config.damaged))
    if not intact and not damaged:
        intact, damaged = default_folders()
    table, refused = register(intact, damaged, workers)
    for item in refused:
        tqdm.write(f"refused {item.path}: {item.reason}")
    return table, refused


def limited(table: pd.DataFrame, limit: int) -> pd.DataFrame:
    """At most `limit` products of each condition, spread evenly over the groups."""
    if limit <= 0:
        return table
    turn = table.groupby(["condition", "group_id"]).cumcount()
    spread = table.group_id.map(lambda g: int(runs.rng_for(0, g).integers(1 << 62)))
    order = table.assign(turn=turn, spread=spread).sort_values(["turn", "spread", "product_id"])
    kept = order.groupby("condition").head(limit).index
    return table.loc[sorted(kept)].reset_index(drop=True)


def load(path: str | Path) -> pd.DataFrame:
    """Read products.parquet.

    Raises:
        BadInput: Missing, unreadable, empty, or lacking columns.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"{path}: no such product table; make it with `damagenet products DIR`")
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: not a Parquet file ({error}); make it again") from None
    lacking = [column for column in COLUMNS if column not in table]
    if lacking:
        raise BadInput(f"{path}: lacks the columns {', '.join(lacking)}; make it again")
    if table.empty:
        raise BadInput(f"{path}: holds zero products; run `damagenet products` on other folders")
    return table


def save(table: pd.DataFrame, refused: Sequence[Refused], out: Path) -> None:
    """Write products.parquet and, beside it, why files were refused."""
    if refused:
        lines = pd.DataFrame(refused).to_csv(index=False).encode()
        images.write_bytes(out.with_suffix(".refused.csv"), lines)
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    images.write_bytes(out, buffer.getvalue())


def register(
    intact: Sequence[Path], damaged: Sequence[Path] = (), workers: int = 2
) -> tuple[pd.DataFrame, list[Refused]]:
    """Check, de-duplicate and group the photos of folders (or single files).

    Returns:
        The table with `COLUMNS`, sorted by product_id, and the refused files with reasons.

    Raises:
        BadInput: A folder is missing, or not one photo is usable.
    """
    jobs: list[tuple[Path, Path, str]] = []
    for place, condition in [(p, "intact") for p in intact] + [(p, "damaged") for p in damaged]:
        if not place.exists():
            raise BadInput(f"{place}: no such folder; check the path")
        jobs += [(path, place, condition) for path in images.files_in([place])]
    jobs = [job for job in jobs if not SKIPPED_FOLDERS & {f.lower() for f in _folders(*job[:2])}]
    notes = {place: _sidecar(place) for _, place, _ in jobs}
    checked = joblib.Parallel(n_jobs=workers, return_as="generator")(
        joblib.delayed(_check)(path, place, condition, notes[place].get(str(path.resolve()), {}))
        for path, place, condition in jobs
    )
    seen: list[Seen] = []
    refused: list[Refused] = []
    for result in tqdm(checked, total=len(jobs), desc="products", unit="photo"):
        (seen if isinstance(result, Seen) else refused).append(result)
    seen.sort(key=lambda s: str(s.row["product_id"]))
    seen, group_ids, duplicates = groups.group(seen)
    refused += duplicates
    if not seen:
        why = f"; for example {refused[0].path}: {refused[0].reason}" if refused else ""
        places = ", ".join(map(str, [*intact, *damaged]))
        raise BadInput(f"{places}: zero products among {len(jobs)} picture files{why}")
    table = pd.DataFrame([s.row | {"group_id": g} for s, g in zip(seen, group_ids, strict=True)])
    return table[COLUMNS], sorted(refused, key=lambda r: r.path)


def _folders(path: Path, place: Path) -> tuple[str, ...]:
    return path.relative_to(place).parts[:-1] if place.is_dir() else ()


def _sidecar(place: Path) -> dict[str, dict[str, str]]:
    """What a `sources.csv` in or above a folder says, by absolute path."""
    for name, note in PACKAGE_PHOTOS.items():
        if place.as_posix().endswith(name):
            return {str(place.resolve()): note | {"package": name.split("/")[0]}}
    folder = (place if place.is_dir() else place.parent).resolve()
    for root in [folder, *folder.parents[:2]]:
        if (root / "sources.csv").is_file():
            table = pd.read_csv(root / "sources.csv", dtype=str, keep_default_na=False)
            if "path" in table:
                return {str(root / row["path"]): row for row in table.to_dict("records")}  # type: ignore[misc]
    return {}


def _check(path: Path, place: Path, condition: str, note: dict[str, str]) -> Seen | Refused:
    try:
        str(path.resolve()).encode()
    except UnicodeEncodeError:  # no table could hold it
        return Refused(shown(path), "its name is not UTF-8; rename it")
    try:
        pixels = images.read(path)
    except BadInput as error:
        return Refused(str(path), str(error).removeprefix(f"{path}: "))
    height, width = pixels.shape[:2]
    if min(height, width) < MIN_SIDE:
        return Refused(str(path), f"{width}x{height} is too small; at least {MIN_SIDE} px a side")
    if pixels.std() < 2:
        return Refused(str(path), "a blank picture (one colour)")
    lower = [folder.lower() for folder in _folders(path, place)]
    told = lower[: lower.index("test")] if "test" in lower else lower  # below it: defect names
    named = [folder for folder in told if folder not in STRUCTURE]
    root = (place.absolute() if place.is_dir() else path.absolute().parent.parent).name
    if DAMAGED_FOLDERS & set(lower) or ("test" in lower and not INTACT_FOLDERS & set(lower)):
        condition = "damaged"
    elif INTACT_FOLDERS & set(lower):
        condition = "intact"
    digest = runs.sha256(path)
    slug = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")[:24] or "photo"
    key = f"key:{note['group_key']}" if note.get("group_key") else groups.item_key(path)
    picture = Image.fromarray(pixels)
    return Seen(
        row={
            "product_id": f"{slug}-{digest[:8]}",
            "path": str(path.resolve()),
            "condition": condition,
            "category": note.get("category") or (named[-1] if named else "unknown"),
            "source": note.get("package") or (named[0] if len(named) >= 2 else root),
            "licence": note.get("licence") or "unknown",
            "width": width,
            "height": height,
            "sha256": digest,
        },
        key=key,
        bits=np.packbits(imagehash.phash(picture).hash),
        thumbnail=np.asarray(picture.convert("L").resize((48, 48)), dtype=np.int16),
    )

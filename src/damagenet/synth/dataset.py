"""Build a four-cell dataset: parallel, resumable, the same bytes for any number of workers.

    images/ masks/ intended/ manifest.parquet timing.json dataset.json   (last: "complete")

`masks/` holds what was changed, `intended/` under the same names what was meant to change.

Every finished product leaves a part in `.parts/`; an interrupted build goes on from these.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import joblib
import numpy as np
import pandas as pd
from joblib.externals.loky import process_executor
from tqdm.auto import tqdm

from damagenet import BadInput, aigc, images, runs
from damagenet.config import Build, Config, digest, to_dict
from damagenet.synth import doctor, inpaint, products, regenerate, textures
from damagenet.synth.damage import KINDS
from damagenet.synth.groups import SPLITS, split_groups
from damagenet.synth.shot import Shot, plan_frame

FORMAT = 2
COLUMNS = (
    "image mask label cell split product_id group_id category kind method topology family "
    "severity area recipe channel width height sha256"
).split()
MIN_MASK = 32
"""Doctored pixels a picture must show at least; plans with fewer are drawn again."""
ATTEMPTS = 5
TEST_CHAIN = 0.2
"""Share of the test split's draws that go through a reserved channel."""


def build(config: Config, out: Path | None = None, workers: int = 1) -> Path:
    """Build the dataset of a config; finished work is kept, a complete dataset is left alone.

    Returns:
        The dataset folder.

    Raises:
        BadInput: No products, no decoder, a split without both classes, or `out` holds another
            dataset.
    """
    out = out or config.dataset_dir
    out.mkdir(parents=True, exist_ok=True)
    table = products.resolve(config.products, out / "products.parquet", workers)
    found = regenerate.available()
    families = config.build.families or tuple(sorted(found))
    lacking = [name for name in families if name not in found]
    if lacking or not families:
        ways = regenerate.missing()
        lines = "; ".join(ways.get(n, f"{n}: unknown, known: {', '.join(ways)}") for n in lacking)
        raise BadInput(f"no weights for a decoder family: {lines or '; '.join(ways.values())}")
    doctor.check_names(config.build, families, tuple(sorted(set(table.source))))
    built = replace(config.build, families=families)
    allowed = {split: _allowed(built, split) for split in SPLITS}
    splits = split_groups(table, config)
    identity = digest(
        FORMAT, to_dict(config.build) | {"out": ""}, config.seed, {f: found[f] for f in families},
        textures.digest(),
        table[["product_id", "group_id", "condition", "sha256"]].to_dict("list"),
    )  # fmt: skip
    if (out / "dataset.json").is_file():
        if read_card(out).get("identity") == identity:
            tqdm.write(f"{out}: already complete")
            return out
        raise BadInput(f"{out}: holds a dataset of another config; delete it or choose --out")
    parts = out / ".parts"
    mark = parts / "identity"
    if mark.is_file() and mark.read_text() != identity:
        raise BadInput(f"{out}: holds a half-built dataset of another config; delete it")
    images.write_bytes(mark, identity.encode())

    rows = table.sort_values("product_id").to_dict("records")
    todo = [(row, variant) for row in rows for variant in range(config.build.variants)]
    left = [(r, v) for r, v in todo if not _part(out, r, v).is_file()]
    if len(left) < len(todo):
        tqdm.write(f"resuming: {len(todo) - len(left)} of {len(todo)} products are done")
    jobs = (
        joblib.delayed(_unit)(out, row, variant, config.seed, split, allowed[split])
        for row, variant in left
        for split in (splits[row["group_id"]],)
    )
    with tqdm(total=len(todo), initial=len(todo) - len(left), desc="build", unit="product") as bar:
        for _ in joblib.Parallel(n_jobs=workers, return_as="generator_unordered")(jobs):
            bar.update()

    done = [runs.read_json(_part(out, *unit), "run the same build again") for unit in todo]
    skipped = [part["skipped"] for part in done if part["skipped"]]
    for reason in skipped:
        tqdm.write(f"skipped {reason}")
    manifest = pd.DataFrame([line for part in done for line in part["rows"]], columns=COLUMNS)
    check_classes(manifest)
    buffer = io.BytesIO()
    manifest.to_parquet(buffer, index=False)
    images.write_bytes(out / "manifest.parquet", buffer.getvalue())
    _clean(out)
    weight = sum((out / line["image"]).stat().st_size for part in done for line in part["rows"])
    cost = {"cpu_s": sum(part["cpu_s"] for part in done), "bytes": weight, "workers": workers}
    runs.write_json(out / "timing.json", cost | {"pictures": len(manifest)})
    runs.write_json(
        out / "dataset.json",
        {
            "format": FORMAT,
            "identity": identity,
            "manifest_sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
            "counts": manifest.groupby(["split", "cell"]).size().unstack(fill_value=0).T.to_dict(),
            "families": {f: found[f] for f in families},
            "missing_families": regenerate.missing(),
            "inpaint": {name: inpaint.describe(name) for name in config.build.inpaint},
            "textures": textures.digest(),
            "holdout_family": config.build.holdout_family,
            "skipped": skipped,
            "ai_labels": config.build.label_files,
            "licences": table.groupby("source").licence.agg(lambda x: sorted(set(x))).to_dict(),
            "config": to_dict(config),
            **runs.environment(seed=config.seed),
        },
    )
    shutil.rmtree(parts)
    return out


def _part(out: Path, row: Mapping[Any, Any], variant: int) -> Path:
    return out / ".parts" / f"{row['product_id']}_{variant}.json"


def _allowed(config: Build, split: str) -> Build:
    """What a split may use: held-out families, kinds and channels belong to the test alone."""
    if split == "test":
        return config
    families = tuple(f for f in config.families if f != config.holdout_family)
    kinds = tuple(k for k in config.kinds or tuple(KINDS) if k != config.holdout_kind)
    config = replace(config, families=families, kinds=kinds, test_chains=())
    if split == "train":
        config = replace(
            config,
            chains=config.train_chains or config.chains,
            topologies=config.train_topologies or config.topologies,
        )
    return config


def _clean(out: Path) -> None:
    """Remove what killed processes left half-written."""
    for folder in ("images", "masks", "intended"):
        for stray in (out / folder).glob(".*.tmp"):
            stray.unlink()


def _unit(
    out: Path, row: dict[str, Any], variant: int, seed: int, split: str, config: Build
) -> None:
    """All pictures of one product and variant; the part file is written last."""
    cv2.setNumThreads(1)  # workers share the cores already
    # Beside psutil, joblib takes 300 MB of decoders for a leak, and starts the worker anew.
    process_executor._MAX_MEMORY_LEAK_SIZE = 1 << 62
    start = time.process_time()
    try:
        lines, skipped = _render(out, row, variant, seed, split, config), ""
    except BadInput as error:
        lines, skipped = [], str(error)  # one bad photo must not stop a long build
    part = {"rows": lines, "skipped": skipped, "cpu_s": round(time.process_time() - start, 4)}
    images.write_bytes(_part(out, row, variant), json.dumps(part).encode())


def _render(
    out: Path, row: dict[str, Any], variant: int, seed: int, split: str, config: Build
) -> list[dict[str, Any]]:
    photo = images.read(row["path"])
    if runs.sha256(row["path"]) != row["sha256"]:
        raise BadInput(f"{row['path']}: changed since it was registered; run `damagenet products`")
    marks = products.damage_mask(row["path"]) if row["condition"] == "damaged" else None
    for attempt in range(ATTEMPTS):
        rng = runs.rng_for(seed, row["product_id"], variant, attempt)
        chosen = config
        if config.test_chains and rng.random() < TEST_CHAIN:
            chosen = replace(config, chains=config.test_chains)
        shot = Shot(photo, plan_frame(rng, config.long_side), marks)
        recipes = doctor.plan(rng, shot, row["condition"], row["category"], chosen)
        samples = [doctor.render(shot, recipe | {"attempt": attempt}) for recipe in recipes]
        if all(s.recipe["edit"] is None or (s.mask > 0).sum() >= MIN_MASK for s in samples):
            break
    else:
        raise BadInput(f"{row['path']}: no visible damage in {ATTEMPTS} draws; leave it out")
    return [_save(out, row, variant, split, sample, config) for sample in samples]


def _save(
    out: Path, row: dict[str, Any], variant: int, split: str, sample: doctor.Sample, config: Build
) -> dict[str, Any]:
    recipe = sample.recipe
    edit = recipe["edit"] or {}
    name = f"{row['product_id']}_{variant}_{recipe['cell']}"
    data = sample.file
    if config.label_files and sample.label:
        data = aigc.label_bytes(data)
    images.write_bytes(out / "masks" / f"{name}.png", images.mask_bytes(sample.mask))
    images.write_bytes(out / "intended" / f"{name}.png", images.mask_bytes(sample.intended))
    images.write_bytes(out / "images" / f"{name}.jpg", data)
    height, width = sample.mask.shape
    return {
        "image": f"images/{name}.jpg", "mask": f"masks/{name}.png", "label": sample.label,
        "cell": recipe["cell"], "split": split, "product_id": row["product_id"],
        "group_id": row["group_id"], "category": row["category"],
        "kind": recipe["kind"],
        "method": edit.get("method", "none"),
        "topology": edit.get("topology", "none"),
        "family": edit.get("family", "none"),
        "severity": recipe["severity"],
        "area": round(float((sample.mask > 0).mean()), 6),
        "recipe": json.dumps(recipe, sort_keys=True),
        "channel": json.dumps(recipe["channel"], sort_keys=True),
        "width": width, "height": height,
        "sha256": hashlib.sha256(data).hexdigest(),
    }  # fmt: skip


def check_classes(manifest: pd.DataFrame) -> None:
    """Every split needs authentic and doctored pictures.

    Raises:
        BadInput: Naming the split and the class it lacks.
    """
    for split in SPLITS:
        labels = set(manifest[manifest.split == split].label)
        for label, name in ((0, "authentic"), (1, "doctored")):
            if label not in labels:
                raise BadInput(
                    f"manifest: split {split} has no {name} pictures; a detector cannot be "
                    "trained or measured on one class; add products or change the shares"
                )


def read_card(dataset: str | Path) -> dict[str, Any]:
    """Read dataset.json.

    Raises:
        BadInput: No dataset there, an interrupted build, or a newer format.
    """
    dataset = Path(dataset)
    if not dataset.is_dir():
        raise BadInput(f"{dataset}: no such dataset; make it with `damagenet build CONFIG`")
    if (dataset / ".parts").is_dir() and not (dataset / "dataset.json").is_file():
        raise BadInput(f"{dataset}: the build was interrupted; run the same build again")
    card = runs.read_json(dataset / "dataset.json", "make it with `damagenet build CONFIG`")
    if card.get("format") != FORMAT:
        raise BadInput(f"{dataset}: format {card.get('format')}, this version reads {FORMAT}")
    return card


def read_manifest(dataset: str | Path) -> pd.DataFrame:
    """Read and check a dataset's manifest.

    Raises:
        BadInput: As `read_card`, changed since it was built, or one class only in a split.
    """
    dataset = Path(dataset)
    card = read_card(dataset)
    path = dataset / "manifest.parquet"
    if not path.is_file() or runs.sha256(path) != card["manifest_sha256"]:
        raise BadInput(f"{path}: missing or changed since the build; delete {dataset} and rebuild")
    manifest = pd.read_parquet(path)
    check_classes(manifest)
    return manifest


def draws(manifest: pd.DataFrame) -> pd.Series:
    """For each row the draw (product and variant) it belongs to; rows of one draw are twins."""
    return manifest.image.str.replace(r"_(authentic|doctored)_[a-z]+\.[a-z]+$", "", regex=True)


def read_pair(dataset: Path, row: Mapping[Any, Any]) -> tuple[np.ndarray, np.ndarray]:
    """One picture uint8 `[h, w, 3]` and its mask bool `[h, w]`.

    Raises:
        BadInput: Unreadable, or picture and mask of different size.
    """
    image = images.read(dataset / row["image"])
    mask = images.read_mask(dataset / row["mask"])
    if image.shape[:2] != mask.shape:
        raise BadInput(
            f"{dataset / row['mask']}: mask is {mask.shape[1]}x{mask.shape[0]} but its picture "
            f"{row['image']} is {image.shape[1]}x{image.shape[0]}; rebuild the dataset"
        )
    return image, mask > 127

"""One unit of a build: all pictures of one product and variant, on whatever machine.

Folders hold few files: a large set is cut into shards, `images/0a/…`, by product group. A unit
writes its pictures itself and its part file, which says that it is done, last. Every file is
written whole, under a name and with bytes that depend on the unit alone, so that doing a unit
twice, even at once, changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import pandas as pd
from joblib.externals.loky import process_executor

from damagenet import BadInput, aigc, images, runs
from damagenet.config import Build, Config
from damagenet.synth import doctor, products, regenerate, textures
from damagenet.synth.damage import KINDS
from damagenet.synth.shot import Shot, plan_frame

MIN_MASK = 32
"""Doctored pixels a picture must show at least; plans with fewer are drawn again."""
ATTEMPTS = 5
TEST_CHAIN = 0.2
"""Share of the test split's draws that go through a reserved channel."""
FLAT = 5000
"""Units up to which a set has no shards: at most 20,000 pictures in a folder."""
SHARD = 1000
"""Units of a shard in larger sets, on average: some 4,000 pictures."""


@dataclass(frozen=True)
class Unit:
    """A product (a row of products.parquet) and variant, and what its split may use."""

    row: dict[Any, Any]
    variant: int
    shard: str
    split: str
    seed: int
    config: Build

    @property
    def name(self) -> str:
        """Shard, product and variant, as in `0a/mug-1f2e3d4c_0`; no shard in a small set."""
        name = f"{self.row['product_id']}_{self.variant}"
        return f"{self.shard}/{name}" if self.shard else name

    def part(self, out: Path) -> Path:
        """The file that says that this unit is done."""
        return out / ".parts" / f"{self.name}.json"


def shard_of(group_id: str, units: int) -> str:
    """The shard of a product group in a set of so many units: hexadecimal, empty in a small one.

    A group is never divided, so that twins and all photos of an item lie together.
    """
    if units <= FLAT:
        return ""
    count = -(-units // SHARD)
    number = int.from_bytes(hashlib.sha256(group_id.encode()).digest()[:8]) % count
    return f"{number:0{len(f'{count - 1:x}')}x}"


def allowed(config: Build, split: str) -> Build:
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


def planned(
    table: pd.DataFrame, config: Config, splits: dict[str, str], may: dict[str, Build]
) -> list[Unit]:
    """All there is to do, sorted by shard, product and variant."""
    variants = config.build.variants
    shards = {group: shard_of(group, len(table) * variants) for group in splits}
    rows = table.assign(shard=table.group_id.map(shards)).sort_values(["shard", "product_id"])
    found = []
    for shard, row in zip(rows["shard"], rows[table.columns].to_dict("records"), strict=True):
        split = splits[row["group_id"]]
        found += [Unit(row, v, shard, split, config.seed, may[split]) for v in range(variants)]
    return found


def finished(out: Path) -> set[str]:
    """Names of the units that are done: one listing a shard."""
    parts = out / ".parts"
    return {path.relative_to(parts).with_suffix("").as_posix() for path in parts.rglob("*.json")}


def surroundings(families: tuple[str, ...]) -> dict[str, str]:
    """What the bytes of a picture depend on besides its unit: code, versions, weights."""
    found = regenerate.available()
    about = runs.environment()
    here = {"the code of damagenet": runs.code_sha256(), "python": about["python"]}
    here |= {f"decoder {name}": found.get(name, "none") for name in families}
    drawing = ("ncnn", "numpy", "opencv-python-headless", "pillow", "scikit-image", "scipy")
    here |= {name: about["versions"].get(name, "none") for name in (*drawing, "torch")}
    return here | {"DAMAGENET_DATA's textures": textures.digest()}


@cache
def _agree(out: Path, identity: str, wanted: tuple[tuple[str, str], ...]) -> None:
    """Refuse to work where the result would be another one; once in a process."""
    mark = out / ".parts" / "identity"
    if not mark.is_file() or mark.read_text() != identity:
        raise BadInput(f"{out}: a worker sees another folder there; share it under this path")
    families = tuple(n.removeprefix("decoder ") for n, _ in wanted if n.startswith("decoder "))
    here = surroundings(families)
    wrong = [f"{name} ({here[name][:12]}, not {value[:12]})" for name, value in wanted
             if here[name] != value]  # fmt: skip
    if wrong:
        raise BadInput(
            f"a worker has another {', '.join(wrong)} than the machine that builds; install the "
            "same there and start the worker anew"
        )


def make_there(out: Path, identity: str, wanted: tuple[tuple[str, str], ...], unit: Unit) -> None:
    """`make`, on a worker of a cluster.

    Args:
        out: The dataset folder, shared under the same path.
        identity: Of the dataset.
        wanted: `surroundings` where the build was started.
        unit: What to make.

    Raises:
        BadInput: The worker does not see the folder, or would draw other bytes.
    """
    _agree(out, identity, wanted)
    make(out, unit)


def make(out: Path, unit: Unit) -> None:
    """All pictures of one unit; the part file is written last."""
    cv2.setNumThreads(1)  # workers share the cores already
    # Beside psutil, joblib takes 300 MB of decoders for a leak, and starts the worker anew.
    process_executor._MAX_MEMORY_LEAK_SIZE = 1 << 62
    if not Path(unit.row["path"]).is_file():  # not a bad photo, which would be skipped for good
        raise BadInput(f"{unit.row['path']}: no such photo any more; put it back (workers of a "
                       "cluster need it under this path) and run the same build again")  # fmt: skip
    start = time.process_time()
    part: dict[str, Any] = {"rows": [], "skipped": "", "bytes": 0, "disk": 0}
    try:
        for sample in _render(unit):
            _save(out, unit, sample, part)
    except BadInput as error:  # one bad photo must not stop a long build
        part |= {"rows": [], "skipped": str(error)}
    part["cpu_s"] = round(time.process_time() - start, 4)
    images.write_bytes(unit.part(out), json.dumps(part).encode())


def _render(unit: Unit) -> list[doctor.Sample]:
    row, config = unit.row, unit.config
    photo = images.read(row["path"])
    if runs.sha256(row["path"]) != row["sha256"]:
        raise BadInput(f"{row['path']}: changed since it was registered; run `damagenet products`")
    marks = products.damage_mask(row["path"]) if row["condition"] == "damaged" else None
    for attempt in range(ATTEMPTS):
        rng = runs.rng_for(unit.seed, row["product_id"], unit.variant, attempt)
        chosen = config
        if config.test_chains and rng.random() < TEST_CHAIN:
            chosen = replace(config, chains=config.test_chains)
        shot = Shot(photo, plan_frame(rng, config.long_side), marks)
        recipes = doctor.plan(rng, shot, row["condition"], row["category"], chosen)
        samples = [doctor.render(shot, recipe | {"attempt": attempt}) for recipe in recipes]
        if all(s.recipe["edit"] is None or (s.mask > 0).sum() >= MIN_MASK for s in samples):
            return samples
    raise BadInput(f"{row['path']}: no visible damage in {ATTEMPTS} draws; leave it out")


def _save(out: Path, unit: Unit, sample: doctor.Sample, part: dict[str, Any]) -> None:
    """Write a picture and its masks; add its row and its bytes to the part."""
    recipe, row = sample.recipe, unit.row
    edit = recipe["edit"] or {}
    name = f"{unit.name}_{recipe['cell']}"
    data = sample.file
    if unit.config.label_files and sample.label:
        data = aigc.label_bytes(data)
    mask, intended = images.mask_bytes(sample.mask), images.mask_bytes(sample.intended)
    images.write_bytes(out / "masks" / f"{name}.png", mask)
    images.write_bytes(out / "intended" / f"{name}.png", intended)
    images.write_bytes(out / "images" / f"{name}.jpg", data)
    height, width = sample.mask.shape
    part["bytes"] += len(data)
    part["disk"] += len(data) + len(mask) + len(intended)
    part["rows"].append({
        "image": f"images/{name}.jpg", "mask": f"masks/{name}.png", "label": sample.label,
        "cell": recipe["cell"], "split": unit.split, "product_id": row["product_id"],
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
    })  # fmt: skip

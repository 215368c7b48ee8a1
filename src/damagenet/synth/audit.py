"""Shortcut probes: can anything but the pixels' origin tell doctored from authentic?

Each probe is a small classifier on header facts of the delivered files, cross-validated over
product groups. One that beats chance shows a way to cheat that a detector would find first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from damagenet import BadInput, images, runs
from damagenet.config import Audit
from damagenet.synth import dataset, doctor

PROBES: dict[str, tuple[str, ...]] = {
    "size": ("width", "height"),
    "aspect": ("aspect",),
    "bytes_per_pixel": ("bytes_per_pixel",),
    "jpeg_quality": ("quality",),
    "jpeg_tables": ("tables",),
    "subsampling": ("subsampling",),
    "format": ("format", "suffix", "progressive"),
    "exif": ("exif", "metadata_bytes"),
    "damage": ("damaged",),
}
"""Probe name -> the facts it may use."""

REMEDIES = {
    "size": "frame and crop all cells alike",
    "aspect": "frame and crop all cells alike",
    "bytes_per_pixel": "use one encoder setting per product; vary the cameras' noise and sharpness",
    "jpeg_quality": "draw the quality once per product and use it for all of its cells",
    "jpeg_tables": "write all cells with the same encoder",
    "subsampling": "draw the subsampling once per product and use it for all of its cells",
    "format": "write all cells in the same format",
    "exif": "strip all files alike (build.label_files=false for training sets)",
    "damage": "add really damaged or rendered-damage photos to the authentic cells",
    "split": "keep one group_id in one split",
}


def audit(folder: str | Path, limits: Audit | None = None) -> dict[str, Any]:
    """Probe a dataset and write `audit.json` into it.

    Returns:
        `passed`, and under `probes` one record each: name, auc (out of fold, 0.5 = nothing to
        find), limit, passed, and a remedy where it failed.

    Raises:
        BadInput: No complete dataset, or an unreadable picture.
    """
    limits = limits or Audit()
    folder = Path(folder)
    manifest = dataset.read_manifest(folder)
    facts = pd.DataFrame(
        [read_facts(folder / image) for image in tqdm(manifest.image, desc="audit", unit="file")]
    )
    facts["damaged"] = manifest.cell.isin(doctor.DAMAGED) | _keeps_damage(manifest)
    records = [
        _record(name, probe(facts[list(columns)], manifest.label, manifest.group_id, limits.folds),
                limits.limit)
        for name, columns in PROBES.items()
    ]  # fmt: skip
    shared = manifest.groupby("group_id").split.nunique()
    leaks = sorted(shared[shared > 1].index)
    records.append(_record("split", 1.0 if leaks else 0.5, limits.limit))
    result = {
        "passed": all(record["passed"] for record in records),
        "pictures": len(manifest),
        "groups": int(manifest.group_id.nunique()),
        "groups_in_two_splits": leaks,
        "probes": records,
    }
    runs.write_json(folder / "audit.json", result)
    return result


def _keeps_damage(manifest: pd.DataFrame) -> pd.Series:
    """Other edits of damaged pictures show damage too, unless they repair it."""
    shows = manifest.recipe.map(lambda r: '"damage": null' not in r or '"kind": "real"' in r)
    twin = manifest.groupby(dataset.draws(manifest)).kind.transform(lambda k: (k == "real").any())
    return (manifest.cell == "doctored_other") & (shows | twin) & (manifest.kind != "repair")


def _record(name: str, auc: float, limit: float) -> dict[str, Any]:
    passed = auc <= limit
    record = {"name": name, "auc": round(auc, 4), "limit": limit, "passed": passed}
    return record if passed else record | {"remedy": REMEDIES[name]}


def read_facts(path: Path) -> dict[str, Any]:
    """Header facts of one picture file; no pixel is decoded."""
    with images.opened(path) as picture:
        tables = getattr(picture, "quantization", None) or {}
        width, height = picture.size
        layers = getattr(picture, "layer", None) or []
        first = np.array(tables[0], float) if tables else np.zeros(64)
        facts = {
            "width": width,
            "height": height,
            "aspect": width / height,
            "quality": float(first.mean()),
            "tables": hash(tuple(map(tuple, tables.values()))) % 1_000_003 if tables else -1,
            "subsampling": layers[0][1] * 10 + layers[0][2] if layers else -1,
            "format": sum(map(ord, picture.format or "")),
            "suffix": sum(map(ord, path.suffix.lower())),
            "progressive": int(bool(picture.info.get("progressive"))),
            "exif": int(bool(picture.info.get("exif"))),
        }
    data = path.read_bytes()
    metadata = metadata_size(data)
    return facts | {
        "metadata_bytes": metadata,
        "bytes_per_pixel": (len(data) - metadata) / (width * height),
    }


def metadata_size(data: bytes) -> int:
    """Bytes of a JPEG's APP1–APP15 and comment segments (JFIF's own APP0 left out); 0 otherwise."""
    total, at = 0, 2
    while data[:2] == b"\xff\xd8" and at + 4 <= len(data) and data[at] == 0xFF:
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA:  # start of scan: entropy-coded data follows
            break
        if 0xE1 <= marker <= 0xEF or marker == 0xFE:
            total += size + 2
        at += size + 2
    return total


def probe(facts: pd.DataFrame, labels: pd.Series, groups: pd.Series, folds: int) -> float:
    """Out-of-fold ROC AUC of a shallow boosted tree on facts; 0.5 when they never vary.

    Raises:
        BadInput: Fewer groups than folds.
    """
    if groups.nunique() < folds:
        raise BadInput(f"audit: {groups.nunique()} product groups are fewer than {folds} folds")
    values = facts.to_numpy(float)
    if (values == values[0]).all():
        return 0.5
    scores = np.full(len(values), 0.5)
    for train, held in GroupKFold(folds).split(values, labels, groups):
        if labels.iloc[train].nunique() < 2:
            continue
        leaf = max(3, min(20, len(train) // 8))  # 20 would be blind on small datasets
        tree = HistGradientBoostingClassifier(
            max_depth=3, max_iter=40, min_samples_leaf=leaf, random_state=0
        )
        with threadpool_limits(1):  # more threads only wait for each other on so small a table
            tree.fit(values[train], labels.iloc[train])
        # Ranks within a fold: folds differ in class balance, which is not the probe's doing.
        scores[held] = pd.Series(tree.predict_proba(values[held])[:, 1]).rank(pct=True)
    return float(roc_auc_score(labels, scores))


def table(result: dict[str, Any]) -> str:
    """The probes as text, for the terminal."""
    lines = [f"{'probe':<17}{'AUC':>7}{'limit':>7}"]
    for record in result["probes"]:
        verdict = "ok" if record["passed"] else f"LEAK: {record['remedy']}"
        lines.append(f"{record['name']:<17}{record['auc']:>7.3f}{record['limit']:>7.2f}  {verdict}")
    return "\n".join(lines)

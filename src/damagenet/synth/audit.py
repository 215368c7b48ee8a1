"""Shortcut probes: can anything but the pixels' origin tell doctored from authentic?

Each probe is a small classifier on a few facts of the delivered files (`probes.read_facts`),
cross-validated over product groups. One that beats chance shows a way to cheat that a detector
would find first. Besides, files are compared inside each draw (twins must be equal in all that a
channel sets) and pictures across splits (no photo may be on both sides).

The probes of pixel statistics look at the same pixels as a detector. A picture that went through a
decoder as a whole may differ there a little, and that is its trace, not a fault of the dataset; so
they are linear and have a limit of their own, `audit.pixel_limit`. Far beyond it, the decoder's
smoothing or a shift of colour would be all that a detector learns.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from damagenet import BadInput, config, runs
from damagenet.config import Audit
from damagenet.synth import dataset, doctor, duplicates, products
from damagenet.synth.probes import CHECKS, HEADER, PROBES, read_facts


def audit(folder: str | Path, limits: Audit | None = None, workers: int = 1) -> dict[str, Any]:
    """Probe a dataset and write `audit.json` into it.

    Args:
        folder: The dataset.
        limits: What may be found; by default what the dataset's own config says.
        workers: Processes that read pictures.

    Returns:
        `passed`, and under `probes` one record each: name, auc (out of fold, 0.5 = nothing to
        find; 1.0 where a count is above 0), limit in force, passed, meaning, columns (the telling
        ones first where it failed), and where it failed a remedy and the AUC per slice. Checks
        have a count, and name what they found.

    Raises:
        BadInput: No complete dataset, an unreadable picture, or fewer groups than folds.
    """
    folder = Path(folder)
    manifest = dataset.read_manifest(folder)
    limits = limits or configured(folder)
    facts = pd.DataFrame(_each(read_facts, [folder / i for i in manifest.image], workers, "facts"))
    facts["damaged"] = manifest.cell.isin(doctor.DAMAGED) | _keeps_damage(manifest)
    with threadpool_limits(1):  # more threads only wait for each other on so small a table
        records = [_probed(name, facts, manifest, limits) for name in PROBES]
    shared = manifest.groupby("group_id").split.nunique()
    leaks = sorted(shared[shared > 1].index)
    records.append(_counted("split", limits, len(leaks), ("group_id", "split"), found=leaks[:20]))
    same = _same_photo(folder, manifest, workers)
    columns = ("perceptual hash", "layout", "detail")
    records.append(_counted("near_duplicates", limits, len(same), columns, found=same[:20]))
    unequal = facts[HEADER].groupby(dataset.draws(manifest).to_numpy()).nunique(dropna=False) > 1
    odd = unequal.index[unequal.any(axis=1)].tolist()
    telling = unequal.sum().sort_values(ascending=False, kind="stable")
    columns = tuple(telling[telling > 0].index) or tuple(HEADER)
    records.append(_counted("twins", limits, len(odd), columns, found=odd[:20]))
    result = {
        "passed": all(record["passed"] for record in records),
        "pictures": len(manifest),
        "groups": int(manifest.group_id.nunique()),
        "groups_in_two_splits": leaks,
        "probes": records,
    }
    runs.write_json(folder / "audit.json", result)
    return result


def configured(folder: str | Path) -> Audit:
    """The limits in the config that a dataset was built from."""
    values = dataset.read_card(folder).get("config", {}).get("audit", {})
    limits: Audit = config.from_dict(Audit, values, str(Path(folder) / "dataset.json"), "audit.")
    return limits


def _each(call: Any, items: list[Any], workers: int, name: str) -> list[Any]:  # noqa: ANN401
    jobs = joblib.Parallel(workers, return_as="generator", batch_size=16)(
        joblib.delayed(call)(item) for item in items
    )
    return list(tqdm(jobs, total=len(items), desc=f"audit: {name}", unit="file"))


def _keeps_damage(manifest: pd.DataFrame) -> pd.Series:
    """Other edits of damaged pictures show damage too, unless they repair it."""
    shows = manifest.recipe.map(lambda r: '"damage": null' not in r or '"kind": "real"' in r)
    twin = manifest.groupby(dataset.draws(manifest)).kind.transform(lambda k: (k == "real").any())
    return (manifest.cell == "doctored_other") & (shows | twin) & (manifest.kind != "repair")


def _same_photo(folder: Path, manifest: pd.DataFrame, workers: int) -> list[list[Any]]:
    """Products in different splits whose photos are one photo; at worst one product in two splits.

    A product whose registered photo is gone is known by its least changed picture: a screenshot's
    frame, for one, looks the same around all products.
    """
    order = {cell: i for i, cell in enumerate(doctor.CELLS)}  # undoctored and intact if possible
    table = manifest.assign(
        order=manifest.cell.map(order), framed=manifest.channel.str.contains('"chain": "screen')
    ).sort_values(["framed", "order", "image"])
    first = table.drop_duplicates(["product_id", "split"])
    photos = _photos(folder)
    names, splits = first.product_id.tolist(), first.split.tolist()
    paths = [photos.get(n, folder / i) for n, i in zip(names, first.image, strict=True)]
    looks = _each(duplicates.look, paths, workers, "duplicates")
    apart = pd.factorize(first.split)[0]
    return [
        [f"{names[i]} ({splits[i]})", f"{names[j]} ({splits[j]})", same]
        for i, j, same in duplicates.pairs(looks, apart)
    ]


def _photos(folder: Path) -> dict[str, Path]:
    """Product -> its registered photo, where that still lies unchanged in its place."""
    named = dataset.read_card(folder)["config"].get("products", {}).get("table", "")
    found = [p for p in (folder / "products.parquet", Path(named)) if p.is_file()]
    if not found:
        return {}
    rows = products.load(found[0])[["product_id", "path", "sha256"]].itertuples(index=False)
    paths = ((product, Path(path), digest) for product, path, digest in rows)
    return {name: p for name, p, digest in paths if p.is_file() and runs.sha256(p) == digest}


def _probed(
    name: str, facts: pd.DataFrame, manifest: pd.DataFrame, limits: Audit
) -> dict[str, Any]:
    one, labels, groups = PROBES[name], manifest.label, manifest.group_id
    scores = held_out(facts[list(one.columns)], labels, groups, limits.folds, one.pixels)
    auc = round(float(roc_auc_score(labels, scores)), 4)
    # In small datasets noise alone passes a fixed limit: three standard errors of a chance AUC
    # (Mann and Whitney 1947) are no finding.
    n = labels.value_counts()
    chance = 0.5 + 3 * float(np.sqrt((len(labels) + 1) / (12 * n[0] * n[1])))
    limit = round(max(limits.pixel_limit if one.pixels else limits.limit, chance), 4)
    record = {
        "name": name, "auc": auc, "limit": limit, "passed": auc <= limit,
        "meaning": one.meaning, "columns": list(one.columns),
    }  # fmt: skip
    if record["passed"]:
        return record
    if one.pixels:  # a linear probe turns up what a single fact tells at once
        alone = {c: abs(float(roc_auc_score(labels, facts[c])) - 0.5) for c in one.columns}
    else:
        alone = {c: probe(facts[[c]], labels, groups, limits.folds) for c in one.columns}
    record["columns"] = sorted(alone, key=lambda c: -alone[c])
    record["slices"] = {
        column: {
            str(value): round(float(roc_auc_score(labels[rows], scores[rows])), 4)
            for value in sorted(set(manifest[column][labels == 1]))
            for rows in [(labels == 0) | (manifest[column] == value)]
        }
        for column in ("cell", "topology", "family")
    }
    return record | {"remedy": one.remedy}


def _counted(
    name: str, limits: Audit, count: int, columns: tuple[str, ...], found: list[Any]
) -> dict[str, Any]:
    meaning, remedy = CHECKS[name]
    record = {
        "name": name, "auc": 1.0 if count else 0.5, "count": count, "limit": limits.limit,
        "passed": not count, "meaning": meaning, "columns": list(columns),
    }  # fmt: skip
    return record | {"found": found, "remedy": remedy} if count else record


def probe(
    facts: pd.DataFrame, labels: pd.Series, groups: pd.Series, folds: int, linear: bool = False
) -> float:
    """Out-of-fold ROC AUC of a small classifier on facts; 0.5 when they never vary.

    Raises:
        BadInput: Fewer groups than folds.
    """
    return float(roc_auc_score(labels, held_out(facts, labels, groups, folds, linear)))


def held_out(
    facts: pd.DataFrame, labels: pd.Series, groups: pd.Series, folds: int, linear: bool
) -> NDArray[np.float64]:
    """Scores `[n]` in [0, 1] of rows by a classifier that saw none of their group.

    A shallow boosted tree, or a logistic regression on standardised facts if `linear`.
    """
    if groups.nunique() < folds:
        raise BadInput(f"audit: {groups.nunique()} product groups are fewer than {folds} folds")
    values = facts.to_numpy(float)
    scores = np.full(len(values), 0.5)
    if (values == values[0]).all():
        return scores
    for train, held in GroupKFold(folds).split(values, labels, groups):
        if labels.iloc[train].nunique() < 2:
            continue
        leaf = max(3, min(20, len(train) // 8))  # 20 would be blind on small datasets
        model = make_pipeline(StandardScaler(), LogisticRegression()) if linear else (
            HistGradientBoostingClassifier(
                max_depth=3, max_iter=20, min_samples_leaf=leaf, random_state=0)
        )  # fmt: skip
        model.fit(values[train], labels.iloc[train])
        # Ranks within a fold: folds differ in class balance, which is not the probe's doing.
        scores[held] = pd.Series(model.predict_proba(values[held])[:, 1]).rank(pct=True)
    return scores


def table(result: dict[str, Any]) -> str:
    """The probes as text, for the terminal."""
    lines = [f"{'probe':<17}{'AUC':>7}{'limit':>7}"]
    for record in result["probes"]:
        verdict = "ok" if record["passed"] else f"LEAK: {record['remedy']}"
        lines.append(f"{record['name']:<17}{record['auc']:>7.3f}{record['limit']:>7.2f}  {verdict}")
        if not record["passed"]:
            lines.append(f"{'':<33}{telling(record)}")
    return "\n".join(lines)


def telling(record: dict[str, Any]) -> str:
    """What gave it away in a failed probe or check, in one line."""
    facts = "by " + ", ".join(record["columns"][:4])
    if "found" in record:
        return f"{facts}; {record['count']} found, such as {record['found'][0]}"
    worst = [(auc, f"{column} {value}") for column in record["slices"]
             for value, auc in record["slices"][column].items()]  # fmt: skip
    return "{0}; most in {2}, AUC {1:.3f}".format(facts, *max(worst))

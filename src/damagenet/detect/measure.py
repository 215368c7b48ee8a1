"""The numbers of a scored test split, slice by slice, each with its interval.

A row is (slice, metric, value, low, high, n). Intervals are 95 % bootstrap intervals over product
groups, or over photos where one class of a slice has fewer than `FEW` groups: drawn from those, it
would seem not to vary. `tnr_at_threshold` is measured on one picture of each photo, as its
Clopper-Pearson bounds are for independent ones. A slice of doctored pictures keeps all authentic
ones, so that slices can be compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm.auto import tqdm

from damagenet import runs
from damagenet.config import Config
from damagenet.detect import bootstrap, certify, metrics

Bools = NDArray[np.bool_]
Floats = NDArray[np.floating[Any]]
Row = tuple[str, str, float, float, float, int]
Unseen = Mapping[str, tuple[str, ...]]
"""What training never saw: names by manifest column (family, kind, channel, source)."""

FEW = 5
"""Groups of a class below which resamples draw photos."""
SPARED = 0.95
"""Share of really damaged photos that must pass where families are compared."""
AREAS = (0, 0.01, 0.05, 0.2, 0.999, 1.01)
AREA_NAMES = ("below 1 %", "1-5 %", "5-20 %", "above 20 %", "full")
"""Bands of the edited share of a picture."""


def described(manifest: pd.DataFrame, folder: Path, config: Mapping[str, Any]) -> pd.DataFrame:
    """A manifest with what slices need: chain, markup, source, and restored high frequencies.

    `cut` above 0 says that only a decoder's low frequencies were kept, so that the edit may hold
    no trace. `source` is empty where the product table is gone.
    """
    channels = manifest.channel.map(json.loads)
    edits = manifest.recipe.map(lambda recipe: json.loads(recipe)["edit"] or {})
    return manifest.drop(columns="recipe").assign(
        channel=channels.map(lambda c: c["chain"]),
        markup=channels.map(lambda c: any(step["op"] == "markup" for step in c["steps"])),
        cut=edits.map(lambda edit: int(edit.get("align", {}).get("cut", 0))),
        source=_sources(manifest, folder, config),
    )


def _sources(manifest: pd.DataFrame, folder: Path, config: Mapping[str, Any]) -> pd.Series:
    for path in (folder / "products.parquet", Path(config["products"]["table"] or ".")):
        if path.is_file():
            table = pd.read_parquet(path, columns=["product_id", "source"])
            return manifest.product_id.map(table.set_index("product_id").source).fillna("")
    return pd.Series("", index=manifest.index)


def unseen(card: Mapping[str, Any], config: Config) -> dict[str, tuple[str, ...]]:
    """What the dataset kept for its test split, and what the run left out of its training."""
    build = card["config"]["build"]
    families = dict.fromkeys([build["holdout_family"], config.train.holdout_family])
    return {
        "family": tuple(filter(None, families)),
        "kind": tuple(filter(None, [build["holdout_kind"]])),
        "channel": tuple(build["test_chains"]),
        "source": tuple(build["test_sources"]),
    }


def damaged(t: pd.DataFrame) -> tuple[str, Bools]:
    """The honest buyers: really damaged authentic photos, or rendered damage without any."""
    authentic = (t.label == 0).to_numpy()
    real = authentic & (t.kind == "real").to_numpy()
    if real.any():
        return "real_damage", real
    return "authentic_damaged", authentic & (t.cell == "authentic_damaged").to_numpy()


def regenerated(t: pd.DataFrame) -> Bools:
    """Doctored by a neural decoder, not painted."""
    return np.asarray((t.label == 1) & (t.method != "overlay"))


def slices(t: pd.DataFrame, left_out: Unseen) -> Iterator[tuple[str, Bools]]:
    """Names and members of the subsets that hold both classes."""
    doctored, ai = (t.label == 1).to_numpy(), regenerated(t)
    yield "all", np.ones(len(t), bool)
    for cell in ("authentic_intact", "authentic_damaged"):
        yield f"negatives={cell}", doctored | (t.cell == cell).to_numpy()
    name, honest = damaged(t)
    if name == "real_damage":
        yield "negatives=real_damage", doctored | honest
    for column in ("cell", "method", "topology", "family", "kind"):
        pool = doctored if column in ("cell", "method") else ai
        for value in sorted(t[column][pool].unique()):
            yield f"{column}={value}", ~doctored | (pool & (t[column] == value).to_numpy())
    bands = np.digitize(t.area, AREAS) - 1
    for band, name in enumerate(AREA_NAMES):
        if (ai & (bands == band)).any():
            yield f"area={name}", ~doctored | (ai & (bands == band))
    for name, some in (("kept", t.cut == 0), ("restored", t.cut > 0)):
        if (ai & some).any():
            yield f"high_frequencies={name}", ~doctored | (ai & some.to_numpy())
    for chain in sorted(t.channel.unique()):
        yield f"channel={chain}", (t.channel == chain).to_numpy()
    strange = np.zeros(len(t), bool)
    for column, names in left_out.items():
        new = t[column].isin(names).to_numpy()
        strange |= new
        if column in ("family", "kind"):  # a property of the edit
            new = ~doctored | (ai & new)
        if new.any() and t[column].isin(names).any():
            yield f"unseen={column}", new
    if strange.any():
        yield "unseen=nothing", ~strange


def honest(t: pd.DataFrame, left_out: Unseen) -> Iterator[tuple[str, Bools]]:
    """Names and members of the authentic pictures that must not be accused."""
    authentic = (t.label == 0).to_numpy()
    kinds = t.kind.isin(left_out["kind"])
    for name, some in {
        "all": t.label == 0, "intact": t.cell == "authentic_intact",
        "damaged": t.cell == "authentic_damaged", "real_damage": t.kind == "real",
        "markup": t.markup, "softened": t.channel == "softened", "unseen_kind": kinds,
        "unseen_source": t.source.isin(left_out["source"]),
        "unseen_channel": t.channel.isin(left_out["channel"]),
    }.items():  # fmt: skip
        if (authentic & some).any():
            yield f"authentic={name}", authentic & some.to_numpy()


def measure(t: pd.DataFrame, threshold: float, config: Config, left_out: Unseen) -> Iterator[Row]:
    """All rows of a scored split; `t` as `evaluate.predict` gives it, with `score`."""
    rng = runs.rng_for(config.seed, "bootstrap")
    by_group, by_photo = (
        bootstrap.weights(t[unit].to_numpy(), rng, config.evaluate.resamples)
        for unit in ("group_id", "product_id")
    )

    def weight(some: Bools) -> Floats:
        few = t[some].groupby("label").group_id.nunique().min() < FEW
        return by_photo if few else by_group

    for name, some in tqdm(list(slices(t, left_out)), desc="measure", unit="slice", leave=False):
        whole = name == "all" or name.startswith(("channel=", "unseen=channel", "unseen=source"))
        for metric, values in figures(t[some], weight(some)[:, some], threshold, whole).items():
            yield name, metric, *bootstrap.interval(values), int(some.sum())
    for name, metric, values, n in families(t, weight(damaged(t)[1])):
        yield name, metric, *bootstrap.interval(values), n
    lit = metrics.lit_share(*(t[name].to_numpy() for name in ("fp", "width", "height")))
    for name, some in honest(t, left_out):
        photos = certify.one_per_photo(t[some])
        passed, n = int((photos.score < threshold).sum()), len(photos)
        yield name, "tnr_at_threshold", passed / n, *metrics.clopper_pearson(passed, n), n
        share = bootstrap.mean(lit[some], weight(some)[:, some])
        yield name, "pixel_false_alarms", *bootstrap.interval(share), int(some.sum())


def figures(t: pd.DataFrame, weight: Floats, threshold: float, whole: bool) -> dict[str, Floats]:
    """Metrics of a subset over all resamples; gaps and calibration need complete classes."""
    labels, logits, scores = (t[name].to_numpy() for name in ("label", "logit", "score"))
    doctored = labels == 1
    found, counts = weight[:, doctored], t.loc[doctored, ["tp", "fp", "fn"]].to_numpy().T
    pair = bootstrap.ranked(labels, logits, weight)
    result = {
        "auc": bootstrap.auc(pair),
        "average_precision": bootstrap.average_precision(pair),
        "tpr_at_1": bootstrap.tpr_at(pair, 0.01),
        "tpr_at_5": bootstrap.tpr_at(pair, 0.05),
        "tpr_at_threshold": bootstrap.mean(scores[doctored] >= threshold, found),
        "fpr_at_threshold": bootstrap.mean(scores[~doctored] >= threshold, weight[:, ~doctored]),
        # Over doctored pictures only: authentic ones have none, see `pixel_false_alarms`.
        "pixel_f1": bootstrap.mean(metrics.f1(*counts), found),
        "pixel_iou": bootstrap.mean(metrics.iou(*counts), found),
    }
    if whole:
        result |= {
            "ece": bootstrap.expected_calibration_error(labels, scores, weight),
            "brier": bootstrap.mean((scores - labels) ** 2, weight),
            "exchange_gap": exchange_gap(t, weight),
            "damage_bias_gap": damage_bias_gap(t, weight),
        }
    return result


def exchange_gap(t: pd.DataFrame, weight: Floats) -> Floats:
    """AUC of full-frame edits minus AUC of pasted-back edits."""
    authentic, ai = (t.label == 0).to_numpy(), regenerated(t)
    full, pasted = (authentic | (ai & (t.topology == n)) for n in ("full", "exchange"))
    return np.asarray(_auc(t, weight, full) - _auc(t, weight, pasted))


def damage_bias_gap(t: pd.DataFrame, weight: Floats) -> Floats:
    """|AUC(doctored_other vs authentic_intact) - AUC(doctored_damage vs authentic_damaged)|.

    A detector of damage, rather than of doctoring, scores the second pair lower.
    """
    pairs = (("doctored_other", "authentic_intact"), ("doctored_damage", "authentic_damaged"))
    other, damage = (_auc(t, weight, t.cell.isin(pair).to_numpy()) for pair in pairs)
    return np.asarray(np.abs(other - damage))


def families(t: pd.DataFrame, weight: Floats) -> Iterator[tuple[str, str, Floats, int]]:
    """What is found of each family while 95 % of the honest buyers pass; then mean and worst."""
    (name, spared), ai = damaged(t), regenerated(t)
    found, metric = [], f"tpr_at_tnr_{SPARED * 100:.0f}"
    for family in sorted(t.family[ai].unique()):
        some = spared | (ai & (t.family == family).to_numpy())
        pair = bootstrap.ranked(t.label[some].to_numpy(), t.logit[some].to_numpy(), weight[:, some])
        found.append(bootstrap.tpr_at(pair, 1 - SPARED))
        yield f"family={family} vs {name}", metric, found[-1], int(some.sum())
    if found:
        n = int((spared | ai).sum())
        yield f"mean family vs {name}", metric, np.mean(found, axis=0), n
        yield f"worst family vs {name}", metric, np.min(found, axis=0), n


def _auc(t: pd.DataFrame, weight: Floats, some: Bools) -> Floats:
    labels, logits = t.label.to_numpy()[some], t.logit.to_numpy()[some]
    return bootstrap.auc(bootstrap.ranked(labels, logits, weight[:, some]))


def headline(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The numbers that matter, with intervals; what a dataset cannot tell is left out."""
    index = {(row["slice"], row["metric"]): row for row in rows}
    worst = next((name for name, _ in index if name.startswith("worst family vs ")), "")
    negatives = worst.removeprefix("worst family vs ") or "authentic_damaged"
    wanted = {
        "image_auc": ("all", "auc"),
        "average_precision": ("all", "average_precision"),
        "tpr_at_1_fpr": ("all", "tpr_at_1"),
        "tpr_at_5_fpr": ("all", "tpr_at_5"),
        "unseen_family_auc": ("unseen=family", "auc"),
        "tpr_at_5_fpr_on_damaged": (f"negatives={negatives}", "tpr_at_5"),
        "worst_family_tpr_on_damaged": (worst, "tpr_at_tnr_95"),
        "tnr_real_damage": ("authentic=real_damage", "tnr_at_threshold"),
        "tnr_markup": ("authentic=markup", "tnr_at_threshold"),
        "tnr_softened": ("authentic=softened", "tnr_at_threshold"),
        "pixel_f1": ("all", "pixel_f1"),
        "pixel_f1_exchange": ("topology=exchange", "pixel_f1"),
        "pixel_false_alarms": ("authentic=all", "pixel_false_alarms"),
        "exchange_gap": ("all", "exchange_gap"),
        "damage_bias_gap": ("all", "damage_bias_gap"),
        "ece": ("all", "ece"),
        "brier": ("all", "brier"),
    }
    result: dict[str, dict[str, Any]] = {
        name: {key: index[where][key] for key in ("value", "low", "high")}
        for name, where in wanted.items()
        if where in index and np.isfinite(index[where]["value"])
    }
    for name in ("tpr_at_5_fpr_on_damaged", "worst_family_tpr_on_damaged"):
        if name in result:
            result[name]["negatives"] = negatives
    return result

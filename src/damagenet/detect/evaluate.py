"""Score whole pictures of a dataset, then measure: predictions.parquet, figures, metrics.json.

Calibration and thresholds come from the validation split; every figure of merit from the test
split. Intervals are 95 % bootstrap intervals over product groups.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from tqdm.auto import tqdm

from damagenet import BadInput, images, plots, runs
from damagenet.config import Config, load, to_dict
from damagenet.detect import certify, metrics, model
from damagenet.detect.train import infer
from damagenet.synth import dataset

Columns = dict[str, NDArray[Any]]
Values = dict[str, float]
_USED = ("label", "logit", "score", "cell", "method", "topology", "group_id", "tp", "fp", "fn")


def evaluate(run: Path, folder: Path | None = None, config: Config | None = None) -> dict[str, Any]:
    """Evaluate a trained run and write its results beside it; metrics.json last.

    Raises:
        BadInput: No trained run, no dataset, or not a finite score.
    """
    if not (run / "config.yaml").is_file():
        raise BadInput(f"{run}: not a run folder; train first with `damagenet train CONFIG`")
    config = config or load(run / "config.yaml")
    folder = folder or config.dataset_dir
    card = dataset.read_card(folder)
    manifest = dataset.read_manifest(folder)
    network, facts = model.load(run / "best.safetensors")
    device = model.device_for(config.train.device)
    torch.set_num_threads(config.train.threads)
    network.to(device)
    (run / "metrics.json").unlink(missing_ok=True)  # a half-done evaluation must not look done

    wanted = manifest[manifest.split.isin(["val", config.evaluate.split])].reset_index(drop=True)
    scored, heatmaps = predict(network, folder, wanted, device, config.evaluate.split)
    validation = scored[scored.split == "val"]
    calibration = certify.fit_calibration(
        *(validation[name].to_numpy() for name in ("logit", "label", "group_id"))
    )
    scored["score"] = certify.calibrated(scored.logit.to_numpy(), calibration)
    validation = scored[scored.split == "val"]
    thresholds = certify.choose_thresholds(validation, config.evaluate)
    buffer = io.BytesIO()
    scored.to_parquet(buffer, index=False)
    images.write_bytes(run / "predictions.parquet", buffer.getvalue())

    test = scored[scored.split == config.evaluate.split]
    table = [
        {"slice": name, "metric": metric, "value": value, "low": low, "high": high, "n": n}
        for name, metric, value, low, high, n in measure(test, thresholds["threshold"], config)
    ]
    picks = gallery(test, heatmaps)
    for name, figure in {
        "roc": plots.roc(test),
        "scores": plots.score_histograms(test, thresholds),
        "reliability": plots.reliability(test),
        "slices": plots.slices(pd.DataFrame(table)),
        "gallery": plots.heatmap_gallery(folder, picks),
    }.items():
        plots.save(figure, run / "figures" / f"{name}.png")
    result = {
        "headline": headline(table),
        "calibration": calibration,
        **thresholds,
        "split": config.evaluate.split,
        "holdout_family": card["holdout_family"],
        "metrics": table,
        "config": to_dict(config),
        "trained": {key: facts[key] for key in ("step", "val", "seed", "commit")},
        "dataset_sha256": card["manifest_sha256"],
        "threads": config.train.threads,
    }
    runs.write_json(run / "metrics.json", _finite(result))
    return result


def predict(
    network: model.Network,
    folder: Path,
    manifest: pd.DataFrame,
    device: torch.device,
    keep: str,
) -> tuple[pd.DataFrame, dict[str, NDArray[np.float32]]]:
    """Logits and pixel counts of whole pictures; heatmaps (halved, for figures) of one split."""
    lines, heatmaps = [], {}
    for row in tqdm(manifest.to_dict("records"), desc="evaluate", unit="picture"):
        image, mask = dataset.read_pair(folder, row)
        logit, heat = infer(network, image, device)
        if not np.isfinite(logit):
            raise BadInput(f"{folder / row['image']}: the score is {logit}; train again")
        tp, fp, fn = metrics.pixel_counts(heat >= 0.5, mask)
        lines.append({"logit": logit, "tp": tp, "fp": fp, "fn": fn})
        if row["split"] == keep:
            heatmaps[row["image"]] = heat[::2, ::2].astype(np.float16).astype(np.float32)
    columns = manifest.drop(columns=["recipe"])
    columns["channel"] = columns.channel.map(lambda c: json.loads(c)["chain"])
    return pd.concat([columns, pd.DataFrame(lines)], axis=1), heatmaps


def slices(test: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Named subsets; those of doctored pictures keep all authentic ones as negatives."""
    authentic, doctored = test[test.label == 0], test[test.label == 1]
    yield "all", test
    for cell in ("authentic_intact", "authentic_damaged"):
        yield f"negatives={cell}", pd.concat([authentic[authentic.cell == cell], doctored])
    real = authentic[authentic.kind == "real"]
    if len(real):
        yield "negatives=real_damage", pd.concat([real, doctored])
    ai = doctored[doctored.method != "overlay"]
    for column in ("cell", "method", "topology", "family", "kind"):
        pool = doctored if column in ("cell", "method") else ai
        for value in sorted(pool[column].unique()):
            yield f"{column}={value}", pd.concat([authentic, pool[pool[column] == value]])
    edges = [0, 0.01, 0.05, 0.2, 0.999, 1.01]
    names = ["below 1 %", "1-5 %", "5-20 %", "above 20 %", "full"]
    bands = pd.cut(ai.area, edges, labels=names, right=False)
    for name in names:
        if (bands == name).any():
            yield f"area={name}", pd.concat([authentic, ai[bands == name]])
    for chain in sorted(test.channel.unique()):
        yield f"channel={chain}", test[test.channel == chain]


def measure(
    test: pd.DataFrame, threshold: float, config: Config
) -> Iterator[tuple[str, str, float, float, float, int]]:
    """Yield (slice, metric, value, low, high, pictures)."""
    for name, subset in tqdm(list(slices(test)), desc="measure", unit="slice"):
        columns = {key: subset[key].to_numpy() for key in _USED}
        whole = name == "all" or name.startswith("channel=")

        def values(at: NDArray[np.intp], columns: Columns = columns, whole: bool = whole) -> Values:
            drawn = {key: column[at] for key, column in columns.items()}
            return figures(drawn, threshold, config.evaluate.false_alarm_rate, whole)

        found = values(np.arange(len(subset)))
        rng = runs.rng_for(config.seed, "bootstrap", name)
        drawn = [
            values(at)
            for at in metrics.resample(columns["group_id"], rng, config.evaluate.resamples)
        ]
        for metric, value in found.items():
            low, high = metrics.interval([again[metric] for again in drawn])
            yield name, metric, value, low, high, len(subset)


def figures(t: Columns, threshold: float, rate: float, whole: bool) -> Values:
    """All metrics of one set of pictures; the last four only where both classes are complete."""
    doctored = t["label"] == 1
    result = {
        "auc": metrics.auc(t["label"], t["logit"]),
        "average_precision": metrics.average_precision(t["label"], t["logit"]),
        "tpr_at_fpr": metrics.tpr_at(t["label"], t["logit"], rate),
        "tpr_at_threshold": metrics.rate_at(t["score"][doctored], threshold),
        "fpr_at_threshold": metrics.rate_at(t["score"][~doctored], threshold),
        # Over doctored pictures at heatmap 0.5; authentic ones have no F1 to average.
        "pixel_f1": _mean(metrics.f1(t["tp"], t["fp"], t["fn"])[doctored]),
    }
    if whole:
        result |= {
            "ece": metrics.expected_calibration_error(t["label"], t["score"]),
            "brier": metrics.brier(t["label"], t["score"]),
            "exchange_gap": exchange_gap(t),
            "damage_bias_gap": damage_bias_gap(t),
        }
    return result


def exchange_gap(t: Columns) -> float:
    """AUC of full-frame edits minus AUC of pasted-back edits."""
    authentic, ai = t["label"] == 0, (t["label"] == 1) & (t["method"] != "overlay")
    full, pasted = (authentic | (ai & (t["topology"] == name)) for name in ("full", "exchange"))
    return _auc(t, full) - _auc(t, pasted)


def damage_bias_gap(t: Columns) -> float:
    """|AUC(doctored_other vs authentic_intact) - AUC(doctored_damage vs authentic_damaged)|.

    A detector of damage, rather than of doctoring, scores the second pair lower.
    """
    pairs = (("doctored_other", "authentic_intact"), ("doctored_damage", "authentic_damaged"))
    other, damage = (_auc(t, np.isin(t["cell"], pair)) for pair in pairs)
    return abs(other - damage)


def _auc(t: Columns, wanted: NDArray[np.bool_]) -> float:
    return metrics.auc(t["label"][wanted], t["logit"][wanted])


def _mean(values: NDArray[np.floating[Any]]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def headline(table: list[dict[str, Any]]) -> dict[str, Any]:
    """The numbers that matter, with intervals."""
    index = {(row["slice"], row["metric"]): row for row in table}
    damaged = "negatives=real_damage"
    if (damaged, "tpr_at_fpr") not in index:
        damaged = "negatives=authentic_damaged"
    wanted = {
        "image_auc": ("all", "auc"),
        "tpr_at_5_fpr_on_damaged": (damaged, "tpr_at_fpr"),
        "pixel_f1": ("all", "pixel_f1"),
    }
    result: dict[str, Any] = {
        name: {key: index[where][key] for key in ("value", "low", "high")}
        for name, where in wanted.items()
    }
    result["tpr_at_5_fpr_on_damaged"]["negatives"] = damaged.partition("=")[2]
    return result


def gallery(test: pd.DataFrame, heatmaps: dict[str, Any], each: int = 3) -> list[dict[Any, Any]]:
    """Best and worst of both classes, for the eye: rows with their heatmaps and a title."""
    picked = []
    ai = test[(test.label == 1)].sort_values("score")
    real = test[test.label == 0].sort_values("score")
    for title, rows in (
        ("found", ai.tail(each)), ("missed", ai.head(each)),
        ("false alarm", real.tail(each)), ("rightly passed", real.head(each)),
    ):  # fmt: skip
        for row in rows.to_dict("records"):
            picked.append(row | {"title": title, "heatmap": heatmaps[row["image"]]})
    return picked


def _finite(value: Any) -> Any:  # noqa: ANN401
    """Undefined numbers become null; JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float | np.floating):
        return round(float(value), 6) if np.isfinite(value) else None
    return value

"""Score whole pictures of a dataset, then measure: predictions.parquet, figures, metrics.json.

Calibration and thresholds come from the validation split; every figure of merit from the test
split, as `measure` defines it.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import special
from tqdm.auto import tqdm

from damagenet import BadInput, images, plots, runs
from damagenet.config import Config, load, to_dict
from damagenet.detect import certify, measure, metrics, model
from damagenet.detect.train import infer
from damagenet.synth import dataset

COLUMNS = ("slice", "metric", "value", "low", "high", "n")
LIT, HONEST = 0.05, 300
"""Share of authentic pixels that heatmaps may light up (0.5 or more), and pictures to set it on."""


def evaluate(run: Path, folder: Path | None = None, config: Config | None = None) -> dict[str, Any]:
    """Evaluate a trained run and write its results beside it; metrics.json last.

    Raises:
        BadInput: No trained run, no dataset, or not a finite score.
    """
    config = config or settings_of(run)
    folder = folder or config.dataset_dir
    card = dataset.read_card(folder)
    manifest = dataset.read_manifest(folder)
    network, facts, device = ready(run, config)
    (run / "metrics.json").unlink(missing_ok=True)  # a half-done evaluation must not look done

    wanted = manifest[manifest.split.isin(["val", config.evaluate.split])].reset_index(drop=True)
    honest = wanted[(wanted.split == "val") & (wanted.label == 0)]
    offset = heat_offset(network, folder, honest, device)
    counted, heatmaps = predict(network, folder, wanted, device, config.evaluate.split, offset)
    scored = pd.concat([measure.described(wanted, folder, card["config"]), counted], axis=1)
    scored["score"], decisions = certified(scored, config)
    decisions["calibration"]["heat_offset"] = offset
    buffer = io.BytesIO()
    scored.to_parquet(buffer, index=False)
    images.write_bytes(run / "predictions.parquet", buffer.getvalue())

    test = scored[scored.split == config.evaluate.split].reset_index(drop=True)
    promised = certify.promises(scored[scored.split == "val"], test, config.evaluate)
    left_out = measure.unseen(card, config)
    rows = measure.measure(test, decisions["threshold"], config, left_out)
    table = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    measured = pd.DataFrame(table)
    for name, figure in {
        "roc": plots.roc(test),
        "scores": plots.score_histograms(test, decisions),
        "reliability": plots.reliability(test),
        "slices": plots.slices(measured),
        "areas": plots.areas(measured),
        "risk_coverage": plots.risk_coverage(certify.risk_coverage(test), promised),
        "gallery": plots.heatmap_gallery(folder, gallery(test, heatmaps)),
        "mistakes": plots.heatmap_gallery(folder, mistakes(test, heatmaps)),
    }.items():
        plots.save(figure, run / "figures" / f"{name}.png")
    result = {
        "headline": measure.headline(table),
        **decisions,
        "split": config.evaluate.split,
        "holdout_family": card["holdout_family"],
        "unseen": left_out,
        "metrics": table,
        "config": to_dict(config),
        "trained": {key: facts[key] for key in ("step", "val", "seed", "commit")},
        "lattice_dataset": facts.get("lattice_dataset"),
        "evaluated": {"commit": runs.commit(), "code_sha256": runs.code_sha256()},
        "dataset_sha256": card["manifest_sha256"],
        "threads": config.train.threads,
    }
    runs.write_json(run / "metrics.json", finite(result))
    return result


def settings_of(run: Path) -> Config:
    """The config of a run.

    Raises:
        BadInput: No run folder.
    """
    if not (run / "config.yaml").is_file():
        raise BadInput(f"{run}: not a run folder; train first with `damagenet train CONFIG`")
    return load(run / "config.yaml")


def ready(run: Path, config: Config) -> tuple[model.Network, dict[str, Any], torch.device]:
    """A trained network on its device, and the facts saved with it."""
    network, facts = model.load(run / "best.safetensors")
    device = model.device_for(config.train.device)
    torch.set_num_threads(config.train.threads)
    return network.to(device), facts, device


def certified(scored: pd.DataFrame, config: Config) -> tuple[NDArray[Any], dict[str, Any]]:
    """Scores of all pictures, and the calibration and thresholds that validation gives.

    A family that training left out has no part in them either.
    """
    fit = (scored.split == "val") & (scored.family != config.train.holdout_family)
    calibration = certify.fit_calibration(
        *(scored[fit][name].to_numpy() for name in ("logit", "label", "group_id"))
    )
    scores = certify.calibrated(scored.logit.to_numpy(), calibration)
    thresholds = certify.choose_thresholds(scored.assign(score=scores)[fit], config.evaluate)
    return scores, {"calibration": calibration, **thresholds}


def heat_offset(
    network: model.Network, folder: Path, honest: pd.DataFrame, device: torch.device
) -> float:
    """The logit that `LIT` of the pixels of authentic validation pictures exceed.

    Taken off the heatmap's logits, it makes 0.5 mean the same for every model. Trained on crops of
    which half are doctored all over, a network lights up most of any picture otherwise.
    """
    places = np.linspace(0, len(honest) - 1, min(len(honest), HONEST)).astype(int)
    logits = []
    for row in tqdm(honest.iloc[places].to_dict("records"), desc="heatmaps", unit="picture"):
        image, _ = dataset.read_pair(folder, row)
        _, heat = infer(network, image, device)
        spread = np.linspace(0, heat.size - 1, 2000).astype(int)
        logits.append(special.logit(np.clip(heat.ravel()[spread].astype(float), 1e-7, 1 - 1e-7)))
    return round(float(np.quantile(np.concatenate(logits), 1 - LIT)), 6) if logits else 0.0


def predict(
    network: model.Network,
    folder: Path,
    manifest: pd.DataFrame,
    device: torch.device,
    keep: str,
    offset: float,
) -> tuple[pd.DataFrame, dict[str, NDArray[np.float16]]]:
    """Logits and pixel counts of whole pictures; heatmaps (halved, for figures) of one split."""
    lines, heatmaps = [], {}
    for row in tqdm(manifest.to_dict("records"), desc="evaluate", unit="picture"):
        image, mask = dataset.read_pair(folder, row)
        logit, heat = infer(network, image, device, offset)
        if not np.isfinite(logit):
            raise BadInput(f"{folder / row['image']}: the score is {logit}; train again")
        tp, fp, fn = metrics.pixel_counts(heat >= 0.5, mask)
        lines.append({"logit": logit, "tp": tp, "fp": fp, "fn": fn})
        if row["split"] == keep:
            heatmaps[row["image"]] = heat[::2, ::2].astype(np.float16)
    return pd.DataFrame(lines), heatmaps


def gallery(test: pd.DataFrame, heatmaps: dict[str, Any], each: int = 3) -> list[dict[Any, Any]]:
    """Best and worst of both classes, for the eye: rows with their heatmaps and a title."""
    doctored = test[test.label == 1].sort_values("score")
    authentic = test[test.label == 0].sort_values("score")
    return _titled(heatmaps, [
        ("found", doctored.tail(each)), ("missed", doctored.head(each)),
        ("false alarm", authentic.tail(each)), ("rightly passed", authentic.head(each)),
    ])  # fmt: skip


def mistakes(test: pd.DataFrame, heatmaps: dict[str, Any], each: int = 7) -> list[dict[Any, Any]]:
    """The worst misses, then as many of the worst false alarms; one of each product."""
    missed = test[measure.regenerated(test)].sort_values("score")
    alarms = test[test.label == 0].sort_values("score", ascending=False)
    worst = [rows.drop_duplicates("product_id") for rows in (missed, alarms)]
    each = min(each, *map(len, worst))
    return _titled(
        heatmaps, [("missed", worst[0].head(each)), ("false alarm", worst[1].head(each))]
    )


def _titled(
    heatmaps: dict[str, Any], parts: Sequence[tuple[str, pd.DataFrame]]
) -> list[dict[Any, Any]]:
    return [
        row | {"title": title, "heatmap": heatmaps[row["image"]].astype(np.float32)}
        for title, rows in parts
        for row in rows.to_dict("records")
    ]


def finite(value: Any) -> Any:  # noqa: ANN401
    """Undefined numbers become null; JSON has no NaN."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float | np.floating):
        return round(float(value), 6) if np.isfinite(value) else None
    return value

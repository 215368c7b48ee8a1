"""Baselines on the pictures of a run: what simpler and older methods make of the same test split.

Hand-made maps are fitted on validation only. Learnt baselines see the training pictures the run
saw (its held-out family is dropped) and choose nothing by the test split. `baselines.json` holds
rows (method, slice, metric, value, low, high, n) and `baselines.md` the same as a table.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from tqdm.auto import tqdm

from damagenet import BadInput, images, plots, runs
from damagenet.config import Config
from damagenet.detect import backbone, bootstrap, handmade, learnt, measure, metrics, model
from damagenet.detect.evaluate import finite, settings_of
from damagenet.images import Array
from damagenet.synth import dataset

Floats = NDArray[np.floating[Any]]

COLUMNS = ("method", "slice", "metric", "value", "low", "high", "n")
RUN = "this run"


def compare(
    run: Path, folder: Path | None = None, config: Config | None = None, cache: Path | None = None
) -> dict[str, Any]:
    """Compare an evaluated run with the baselines -> baselines.json, baselines.md, a figure.

    Args:
        run: Evaluated; its predictions are taken as they are.
        folder: The dataset; default: that of the run's config.
        config: Default: that of the run.
        cache: Folder for what does not depend on the run, shared by runs of one dataset.

    Raises:
        BadInput: No evaluated run, or no dataset.
    """
    config = config or settings_of(run)
    folder = folder or config.dataset_dir
    card = dataset.read_card(folder)
    runs.read_json(run / "metrics.json", f"run `damagenet evaluate {run}` first")
    own = pd.read_parquet(run / "predictions.parquet").set_index("image")
    device = model.device_for(config.train.device)
    torch.set_num_threads(config.train.threads)

    manifest = dataset.read_manifest(folder)
    wanted = manifest[manifest.split.isin(["val", config.evaluate.split])]
    train = sampled(manifest, config)
    rows = pd.concat([train, wanted]).drop_duplicates("image").reset_index(drop=True)
    store = (cache or run) / f"baselines-{card['manifest_sha256'][:12]}.npz"
    features, small = described(folder, rows, store, device)

    labels = rows.label.to_numpy()
    known = (rows.family != config.train.holdout_family).to_numpy()
    at = {name: (rows.split == name).to_numpy() & known for name in ("train", "val")}
    test = (rows.split == config.evaluate.split).to_numpy()
    scores = {RUN: own.logit.reindex(rows.image).to_numpy()}
    for name in handmade.MAPS:
        scores[name] = learnt.fitted(features[name], labels, at["val"])
    if "frozen" in features:
        scores["frozen ImageNet"] = learnt.best_linear(
            features["frozen"], labels, at["train"], at["val"]
        )
    logits, name = learnt.classify(small, labels, at["train"], config, device)
    scores[name] = logits

    part = rows[test].reset_index(drop=True)
    table = list(
        measured(part, {k: v[test] for k, v in scores.items()}, parts(part, card, config),
                 {k: threshold(v[at["val"]], labels[at["val"]]) for k, v in scores.items()},
                 config)
    )  # fmt: skip
    result = {
        "rows": [dict(zip(COLUMNS, row, strict=True)) for row in table],
        "training_pictures": int(at["train"].sum()),
        "unseen": measure.unseen(card, config)["family"],
        "dataset_sha256": card["manifest_sha256"],
    }
    frame = pd.DataFrame(table, columns=COLUMNS)
    plots.save(plots.margins(frame), run / "figures" / "baselines.png")
    images.write_bytes(run / "baselines.md", markdown(frame).encode())
    runs.write_json(run / "baselines.json", finite(result))
    return result


def sampled(manifest: pd.DataFrame, config: Config) -> pd.DataFrame:
    """Training pictures as the run saw them, half doctored: `evaluate.baseline_pictures` at most.

    Painted and regenerated edits are drawn as they come. The draw does not depend on the held-out
    family, so that runs of one dataset share most of it.
    """
    train = manifest[manifest.split == "train"].sort_values("image")
    mixed = train.iloc[runs.rng_for(config.seed, "baselines").permutation(len(train))]
    mixed = mixed[mixed.family != config.train.holdout_family]
    each = min(config.evaluate.baseline_pictures // 2, *mixed.label.value_counts())
    return mixed.groupby("label").head(each).sort_values("image")


def described(
    folder: Path, rows: pd.DataFrame, store: Path, device: torch.device
) -> tuple[dict[str, Floats], Array]:
    """Features by name `[n, f]`, and the pictures resized, uint8 `[n, 224, 224, 3]`.

    What the store holds of a dataset is not computed again.
    """
    fresh: dict[str, list[Any]] = {name: [] for name in (*handmade.MAPS, "small")}
    try:
        network = backbone.frozen().to(device)
        fresh["frozen"] = []
    except BadInput as error:
        tqdm.write(f"frozen ImageNet features are skipped: {error}")
    known: dict[str, Any] = {}
    names: list[str] = []
    if store.is_file():
        with np.load(store) as held:
            known = dict(held)
        names = known.pop("image").tolist()
        if set(known) != set(fresh):  # made with a backbone that is gone, or without this one
            known, names = {}, []
    left = rows[~rows.image.isin(names)]
    for path in tqdm(left.image, desc="baselines", unit="picture"):
        image = images.read(folder / path)
        for name, make in handmade.MAPS.items():
            fresh[name].append(handmade.summary(make(image)))
        fresh["small"].append(learnt.resized(image))
        if "frozen" in fresh:
            fresh["frozen"].append(learnt.pooled(network, image, device))
    whole = {
        name: np.concatenate([*([known[name]] if names else []), *([np.stack(new)] if new else [])])
        for name, new in fresh.items()
    }
    names += list(left.image)
    if len(left):
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, image=np.array(names), **whole)
        images.write_bytes(store, buffer.getvalue())
    place = pd.Series(range(len(names)), index=names)[rows.image].to_numpy()
    small = whole.pop("small")
    return {name: values[place] for name, values in whole.items()}, small[place]


def threshold(scores: Floats, labels: NDArray[Any]) -> float:
    """The score of 5 % false alarms on validation."""
    return metrics.threshold_at(scores[labels == 0], 0.05)


def parts(
    part: pd.DataFrame, card: Mapping[str, Any], config: Config
) -> dict[str, NDArray[np.bool_]]:
    """Slices of the comparison: all pictures, and edits of families that training never saw."""
    names = measure.unseen(card, config)["family"]
    doctored = (part.label == 1).to_numpy()
    new = doctored & part.family.isin(names).to_numpy()
    slices = {"all": np.ones(len(part), bool)}
    return slices | ({"unseen family": ~doctored | new} if new.any() else {})


def measured(
    part: pd.DataFrame, scores: Mapping[str, Floats], slices: Mapping[str, NDArray[np.bool_]],
    thresholds: Mapping[str, float], config: Config,
) -> Any:  # fmt: skip  # noqa: ANN401
    """Rows of the comparison; `margin` is the run's AUC minus that of the best baseline.

    Yields:
        method, slice, metric, value, low, high, pictures.
    """
    rng = runs.rng_for(config.seed, "bootstrap")
    weight = bootstrap.weights(part.group_id.to_numpy(), rng, config.evaluate.resamples)
    labels = part.label.to_numpy()
    for name, some in slices.items():
        areas = {}
        for method, values in scores.items():
            pair = bootstrap.ranked(labels[some], values[some], weight[:, some])
            areas[method] = bootstrap.auc(pair)
            reported = values[some] >= thresholds[method]
            for metric, found in {
                "auc": areas[method],
                "average_precision": bootstrap.average_precision(pair),
                "tpr_at_5": bootstrap.tpr_at(pair, 0.05),
                "balanced_accuracy": bootstrap.balanced_accuracy(
                    labels[some], reported, weight[:, some]
                ),
            }.items():
                yield method, name, metric, *bootstrap.interval(found), int(some.sum())
        best = max((m for m in areas if m != RUN), key=lambda m: areas[m][0])
        margin = bootstrap.interval(areas[RUN] - areas[best])
        yield f"{RUN} - {best}", name, "margin", *margin, int(some.sum())


def markdown(table: pd.DataFrame) -> str:
    """The comparison as a table, value and interval in each field."""
    lines = []
    for part, rows in table.groupby("slice", sort=False):
        names = {"auc": "AUC", "average_precision": "AP", "tpr_at_5": "TPR at 5 % false alarms",
                 "balanced_accuracy": "balanced accuracy"}  # fmt: skip
        lines += [f"## {part}: {rows.n.iloc[0]} pictures", "", "| method | "
                  + " | ".join(names.values()) + " |", "|---" * (len(names) + 1) + "|"]  # fmt: skip
        for method, own in rows[rows.metric != "margin"].groupby("method", sort=False):
            cells = own.set_index("metric").loc[list(names)].itertuples()
            lines.append(f"| {method} | " + " | ".join(field(c) for c in cells) + " |")
        gap = rows[rows.metric == "margin"].iloc[0]
        lines += ["", f"AUC of {gap.method}: {field(gap)}", ""]
    return "\n".join(lines)


def field(number: Any) -> str:  # noqa: ANN401
    """`0.812 [0.750, 0.866]`."""
    return f"{number.value:.3f} [{number.low:.3f}, {number.high:.3f}]"

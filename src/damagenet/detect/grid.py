"""The channel grid: the same pictures sent on through other channels, both classes alike.

What a detector finds in delivered pictures, it may lose in the next app. `grid.json` holds rows
(family, channel, metric, value, low, high, n), `grid.parquet` the score of every picture sent.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm.auto import tqdm

from damagenet import BadInput, images, plots, runs
from damagenet.config import Config
from damagenet.detect import bootstrap, certify, measure, metrics
from damagenet.detect.evaluate import finite, ready, settings_of
from damagenet.detect.train import infer
from damagenet.images import Array
from damagenet.synth import channel, dataset, regenerate, screens

Step = dict[str, Any]
Bools = NDArray[np.bool_]

COLUMNS = ("family", "channel", "metric", "value", "low", "high", "n")
DEVIATION = 4.0
"""Of the noise, in grey levels."""


def _jpeg(quality: int) -> Step:
    return {"op": "JPEG", "quality": quality, "tables": "ijg", "subsampling": 2}


def _resize(factor: float, kernel: str) -> Step:
    return {"op": "resize", "factor": factor, "kernel": kernel}


CHANNELS: dict[str, list[Step]] = {
    "clean": [],
    **{f"JPEG {q}": [_jpeg(q)] for q in (95, 90, 80, 70, 60, 50)},
    **{f"WebP {q}": [{"op": "WEBP", "quality": q}] for q in (80, 60)},
    **{f"{kernel} {factor:g}": [_resize(factor, kernel)]
       for kernel in ("linear", "lanczos") for factor in (0.75, 0.5, 0.25)},
    "chat app": [_resize(0.7, "area"), _jpeg(75)],
    "screenshot": [{"op": "screenshot"}, _jpeg(85)],
    # An odd crop shifts the second grid against the first.
    "JPEG twice": [_jpeg(85), {"op": "crop", "box": [0.02] * 4}, _jpeg(75)],
    "noise": [{"op": "noise"}],
    "blur": [{"op": "defocus", "radius": 1.2}],
    "AI upscaling": [{"op": "upscale"}],
}  # fmt: skip
"""Channels by name; all start from the delivered file, so that `clean` is the file itself."""


def grid(run: Path, folder: Path | None = None, config: Config | None = None) -> dict[str, Any]:
    """Measure an evaluated run over the channel grid -> grid.json, grid.parquet, two figures.

    Calibration and threshold are those of `metrics.json`, hence of validation.

    Raises:
        BadInput: No evaluated run, no dataset, or no test picture of the camera's chain.
    """
    config = config or settings_of(run)
    folder = folder or config.dataset_dir
    decided = runs.read_json(run / "metrics.json", f"run `damagenet evaluate {run}` first")
    card = dataset.read_card(folder)
    left_out = measure.unseen(card, config)
    manifest = dataset.read_manifest(folder)
    manifest = manifest[manifest.split == config.evaluate.split]
    test = measure.described(manifest, folder, card["config"])
    picked = pick(test, config.evaluate.grid_pictures, config.seed)
    if set(picked.label) != {0, 1}:
        raise BadInput(f"{folder}: the test split has no camera pictures of both classes")
    upscaler = find_upscaler(left_out["family"])
    if not upscaler:
        tqdm.write("grid: AI upscaling is skipped: no super-resolution weights are found")
    names = [name for name in CHANNELS if upscaler or name != "AI upscaling"]

    network, _, device = ready(run, config)
    offset = decided["calibration"]["heat_offset"]
    lines = []
    for row in tqdm(picked.to_dict("records"), desc="grid", unit="picture"):
        image, mask = dataset.read_pair(folder, row)
        for name in names:
            rng = runs.rng_for(config.seed, "grid", row["draw"], name)  # the same for all twins
            sent, kept = send(image, mask, CHANNELS[name], rng, upscaler)
            logit, heat = infer(network, sent, device, offset)
            tp, fp, fn = metrics.pixel_counts(heat >= 0.5, kept)
            lines.append({
                "image": row["image"], "channel": name, "logit": logit,
                "tp": tp, "fp": fp, "fn": fn,
            })  # fmt: skip
    about = picked[["image", "label", "family", "topology", "group_id"]]
    scored = pd.DataFrame(lines).merge(about, on="image")
    scored["score"] = certify.calibrated(scored.logit.to_numpy(), decided["calibration"])
    buffer = io.BytesIO()
    scored.to_parquet(buffer, index=False)
    images.write_bytes(run / "grid.parquet", buffer.getvalue())

    rows = list(measure_grid(scored, decided["threshold"], config))
    table = pd.DataFrame(rows, columns=COLUMNS)
    plots.save(plots.channel_curves(table), run / "figures" / "channels.png")
    heat_table = plots.family_channel(table, marked=left_out["family"])
    plots.save(heat_table, run / "figures" / "family_channel.png")
    result = {
        "pictures": len(picked),
        "threshold": decided["threshold"],
        "upscaler": upscaler,
        "unseen": left_out,
        "rows": [dict(zip(COLUMNS, row, strict=True)) for row in rows],
        "dataset_sha256": card["manifest_sha256"],
    }
    runs.write_json(run / "grid.json", finite(result))
    return result


def pick(test: pd.DataFrame, most: int, seed: int) -> pd.DataFrame:
    """Half authentic, half regenerated pictures of the camera's chain, spread over what there is.

    Authentic pictures are spread over intact, damaged and really damaged, doctored ones over
    families and topologies. Column `draw` names the product draw.
    """
    camera = test[(test.channel == "camera") & ((test.label == 0) | measure.regenerated(test))]
    camera = camera.assign(draw=dataset.draws(camera))
    order = runs.rng_for(seed, "grid").permutation(len(camera))
    mixed = camera.sort_values("image").iloc[order]
    honest = mixed.cell + (mixed.kind == "real").astype(str)
    sort = honest.where(mixed.label == 0, mixed.family + mixed.topology)
    turn = mixed.groupby([mixed.label, sort]).cumcount()
    mixed = mixed.assign(turn=turn).sort_values("turn", kind="stable")
    smaller = mixed.label.value_counts().reindex([0, 1], fill_value=0).min()
    return mixed.groupby("label").head(min(most // 2, smaller)).sort_values("image")


def find_upscaler(left_out: tuple[str, ...]) -> str:
    """A super-resolution family whose weights are found: best one that training never saw."""
    found = [name for name in regenerate.available() if regenerate.is_upscaler(name)]
    unseen = [name for name in found if name in left_out]
    return (unseen + found + [""])[0]


def send(
    image: Array, mask: Bools, steps: list[Step], rng: np.random.Generator, upscaler: str = ""
) -> tuple[Array, Bools]:
    """Send a picture `[h, w, 3]` uint8 and its mask `[h, w]` bool through a channel of the grid."""
    planes = [mask.astype(np.uint8) * 255]
    for step in steps:
        if step["op"] == "noise":
            noisy = image + rng.normal(0, DEVIATION, image.shape)
            image = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
        elif step["op"] == "upscale":
            image = regenerate.regenerate(image, upscaler)
        else:
            planned = screens.plan_screenshot(rng) if step["op"] == "screenshot" else step
            image, planes = channel.send(image, planes, planned)
    return np.ascontiguousarray(image), planes[0] >= 128


def measure_grid(
    scored: pd.DataFrame, threshold: float, config: Config
) -> Iterator[tuple[str, str, str, float, float, float, int]]:
    """Rows of `grid.json`; the drop is in points of balanced accuracy, clean minus channel."""
    first = scored[scored.channel == "clean"]
    rng = runs.rng_for(config.seed, "bootstrap")
    weight = bootstrap.weights(first.group_id.to_numpy(), rng, config.evaluate.resamples)
    labels = first.label.to_numpy()
    pasted = ((first.topology == "exchange") & (first.label == 1)).to_numpy()
    clean = None
    for name, t in scored.groupby("channel", sort=False):
        logits, reported = t.logit.to_numpy(), (t.score >= threshold).to_numpy()
        pair = bootstrap.ranked(labels, logits, weight)
        balanced = bootstrap.balanced_accuracy(labels, reported, weight)
        clean = balanced if clean is None else clean
        counts = t[pasted][["tp", "fp", "fn"]].to_numpy().T
        values = {
            "auc": bootstrap.auc(pair),
            "tpr_at_5": bootstrap.tpr_at(pair, 0.05),
            "pixel_f1_exchange": bootstrap.mean(metrics.f1(*counts), weight[:, pasted]),
        }
        if threshold <= 1:  # what is never flagged cannot get worse
            values |= {"balanced_accuracy": balanced, "drop": 100 * (clean - balanced)}
        for metric, value in values.items():
            yield "all", str(name), metric, *bootstrap.interval(value), len(t)
        for family in sorted(set(first.family[labels == 1])):
            some = (labels == 0) | (first.family == family).to_numpy()
            pair = bootstrap.ranked(labels[some], logits[some], weight[:, some])
            n = int(some.sum())
            yield family, str(name), "auc", *bootstrap.interval(bootstrap.auc(pair)), n

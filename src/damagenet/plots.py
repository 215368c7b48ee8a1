"""Figures from arrays and tables. Every function returns a Figure and shows nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from damagenet import images
from damagenet.images import Array

CELL_COLOURS = {
    "authentic_intact": "#1b9e77",
    "authentic_damaged": "#66a61e",
    "doctored_damage": "#d95f02",
    "doctored_other": "#e7298a",
}
"""One colour per cell in every figure: greens are authentic, warm colours doctored."""


def save(figure: Figure, path: str | Path, dpi: int = 110) -> Path:
    """Write a figure as PNG (no date inside, so equal figures are equal files)."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    figure.savefig(temporary, format="png", dpi=dpi, metadata={"Software": None})
    temporary.replace(path)
    return path


def tiles(
    pictures: Sequence[Array | NDArray[np.floating[Any]]],
    titles: Sequence[str] = (),
    columns: int = 4,
    size: float = 2.6,
) -> Figure:
    """Pictures in a grid; two-dimensional arrays in [0, 1] are drawn as heatmaps."""
    shapes = [picture.shape[0] / picture.shape[1] for picture in pictures] or [1.0]
    tall = [max(shapes[i : i + columns]) for i in range(0, len(shapes), columns)]
    inches = (columns * size, sum(tall) * size + 0.35 * len(tall))
    figure = Figure(figsize=inches, layout="constrained")
    axes = figure.subplots(len(tall), columns, squeeze=False, height_ratios=tall).ravel()
    for axis in axes:
        axis.axis("off")
    for i, (axis, picture) in enumerate(zip(axes, pictures, strict=False)):
        if picture.ndim == 2 and picture.dtype != np.uint8:
            axis.imshow(picture, cmap="inferno", vmin=0, vmax=1)
        else:
            axis.imshow(picture, cmap="gray", vmin=0, vmax=255)
        if i < len(titles):
            axis.set_title(titles[i], fontsize=8)
    return figure


def contact_sheet(table: pd.DataFrame, n: int = 40, columns: int = 10) -> Figure:
    """An even sample of a product table, titled by condition and category."""
    picked = table.iloc[np.linspace(0, len(table) - 1, min(n, len(table))).astype(int)]
    thumbnails = [_thumbnail(path) for path in picked.path]
    titles = [f"{c}\n{s}" for c, s in zip(picked.category, picked.condition, strict=True)]
    return tiles(thumbnails, titles, columns, size=1.4)


def twins(manifest: pd.DataFrame, dataset: str | Path, products: int = 4) -> Figure:
    """The four cells of a few products side by side, the doctored region outlined."""
    draws = manifest.groupby(manifest.image.str.replace(r"_[a-z]+_[a-z]+\.jpg$", "", regex=True))
    complete = [unit for _, unit in draws if set(unit.cell) == set(CELL_COLOURS)]
    pictures, titles = [], []
    for unit in complete[:products]:
        for cell, row in unit.set_index("cell").loc[list(CELL_COLOURS)].iterrows():
            image = images.read(Path(dataset) / str(row["image"]))
            mask = images.read_mask(Path(dataset) / str(row["mask"])) > 127
            pictures.append(outlined(image, mask))
            detail = "" if row.label == 0 else f", {row.topology}, {row.family}"
            titles.append(f"{cell}\n{row.kind}{detail}")
    return tiles(pictures, titles, 4)


def outlined(
    image: Array, mask: NDArray[np.bool_], colour: tuple[int, ...] = (255, 0, 80)
) -> Array:
    """A picture with the border of a region drawn on it."""
    inner = mask.copy()
    for axis in (0, 1):
        for step in (-2, 2):
            inner &= np.roll(mask, step, axis)
    result = image.copy()
    result[mask & ~inner] = colour
    return result


def _thumbnail(path: str, side: int = 200) -> Array:
    image = images.read(path)
    step = max(1, max(image.shape[:2]) // side)
    return np.ascontiguousarray(image[::step, ::step])


def training_curve(log: pd.DataFrame) -> Figure:
    """Training loss and validation metrics over steps, from train.csv."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(log.step, log.loss, marker="o", color="#444")
    left.set(xlabel="step", ylabel="training loss", ylim=(0, None))
    names = {"auc": "image AUC", "tpr_at_5": "TPR at 5 %", "pixel_f1": "pixel F1"}
    for column, name in names.items():
        right.plot(log.step, log[column], marker="o", label=name)
    right.set(xlabel="step", ylabel="validation", ylim=(0, 1))
    right.legend()
    return figure


def roc(scored: pd.DataFrame) -> Figure:
    """ROC curves: doctored against each authentic cell; the honest buyers' is the one that counts.

    The shaded band is the 5 % of false alarms a queue might stand.
    """
    figure = Figure(figsize=(5, 4.6), layout="constrained")
    axis = figure.subplots()
    doctored = scored[scored.label == 1].logit.to_numpy()
    subsets = [(cell, scored.cell == cell) for cell in ("authentic_intact", "authentic_damaged")]
    subsets.append(("real damage", (scored.kind == "real") & (scored.label == 0)))
    for (name, wanted), style in zip(subsets, ("-", "-", "--"), strict=True):
        authentic = scored[wanted].logit.to_numpy()
        if not len(authentic) or not len(doctored):
            continue
        cuts = np.sort(np.concatenate([authentic, doctored, [np.inf]]))[::-1]
        false = (authentic[None] >= cuts[:, None]).mean(axis=1)
        true = (doctored[None] >= cuts[:, None]).mean(axis=1)
        area = float(np.trapezoid(true, false))
        colour = CELL_COLOURS.get(name, "#000000")
        axis.plot(false, true, style, color=colour, label=f"vs {name}: AUC {area:.3f}")
    axis.axvspan(0, 0.05, color="#cccccc", alpha=0.5, lw=0)
    axis.plot([0, 1], [0, 1], color="#999999", lw=0.8)
    axis.set(xlabel="false alarms on authentic pictures", ylabel="doctored pictures found")
    axis.legend(loc="lower right", fontsize=8)
    return figure


def score_histograms(scored: pd.DataFrame, thresholds: Mapping[str, Any]) -> Figure:
    """Scores per cell, with the review and flag thresholds."""
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots(len(CELL_COLOURS), 1, sharex=True)
    for axis, (cell, colour) in zip(axes, CELL_COLOURS.items(), strict=True):
        values = scored[scored.cell == cell].score
        axis.hist(values, bins=np.linspace(0, 1, 41), color=colour)
        axis.axvline(thresholds["review_threshold"], color="#888888", ls="--", lw=1)
        axis.axvline(thresholds["threshold"], color="black", ls="--", lw=1)
        flagged = float((values >= thresholds["threshold"]).mean()) if len(values) else 0.0
        axis.set_title(f"{cell}: {flagged:.0%} flagged of {len(values)}", fontsize=9, loc="left")
    axes[-1].set_xlabel("score (dashed: review, flag)")
    return figure


def reliability(scored: pd.DataFrame, bins: int = 10) -> Figure:
    """Share of doctored pictures against their score; on the diagonal a score is a probability."""
    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    axis = figure.subplots()
    index = np.minimum((scored.score * bins).astype(int), bins - 1)
    grouped = scored.groupby(index)
    axis.plot([0, 1], [0, 1], color="#999999", lw=0.8)
    axis.plot(grouped.score.mean(), grouped.label.mean(), marker="o", color="#d95f02")
    for x, y, n in zip(grouped.score.mean(), grouped.label.mean(), grouped.size(), strict=True):
        axis.annotate(str(n), (x, y), textcoords="offset points", xytext=(6, -8), fontsize=7)
    axis.set(xlabel="score", ylabel="share doctored", xlim=(0, 1), ylim=(0, 1))
    return figure


def slices(table: pd.DataFrame, metric: str = "auc") -> Figure:
    """One metric over all slices with its interval; what lies left is where the detector fails."""
    rows = table[(table.metric == metric) & table.value.notna()].iloc[::-1]
    figure = Figure(figsize=(6.5, 0.24 * len(rows) + 1), layout="constrained")
    axis = figure.subplots()
    place = np.arange(len(rows))
    axis.errorbar(
        rows.value, place, fmt="o", ms=4, color="#d95f02", ecolor="#bbbbbb",
        xerr=[(rows.value - rows.low).clip(lower=0), (rows.high - rows.value).clip(lower=0)],
    )  # fmt: skip
    axis.axvline(0.5, color="#999999", lw=0.8)
    axis.set_yticks(place, [f"{s}  (n={n})" for s, n in zip(rows.slice, rows.n, strict=True)])
    axis.tick_params(axis="y", labelsize=7)
    axis.set(xlabel=metric, xlim=(0, 1.02), ylim=(-1, len(rows)))
    return figure


def heatmap_gallery(dataset: str | Path, picks: Sequence[Mapping[str, Any]]) -> Figure:
    """Pictures above their heatmaps; the truth is outlined on the picture."""
    columns = max(1, len(picks) // 2)
    shown: list[Any] = []
    titles: list[str] = []
    for row in (picks[:columns], picks[columns:]):
        for pick in row:
            image = images.read(Path(dataset) / str(pick["image"]))
            mask = images.read_mask(Path(dataset) / str(pick["mask"])) > 127
            shown.append(image if mask.all() else outlined(image, mask))
            titles.append("{title}  {score:.2f}\n{cell}\n{kind}, {family}".format(**pick))
        shown += [pick["heatmap"] for pick in row]
        titles += [""] * len(row)
    return tiles(shown, titles, columns, size=2)


def samples(
    rendered: Sequence[Any],
    titles: Sequence[str] = (),
    columns: int = 4,
    around: Array | None = None,
) -> Figure:
    """Rendered `doctor.Sample`s, doctored regions outlined; or plain, cut to the box of a mask."""
    shown = [images.read(one.file) for one in rendered]
    if around is None:
        shown = [outlined(x, one.mask > 127) for x, one in zip(shown, rendered, strict=True)]
    else:
        y, x = np.nonzero(around > 127)
        room = 8 + max(np.ptp(y), np.ptp(x)) // 3
        rows, across = (slice(max(0, v.min() - room), v.max() + room) for v in (y, x))
        shown = [picture[rows, across] for picture in shown]
    return tiles(shown, titles, columns, size=13 / columns)


def differences(rendered: Sequence[Any], titles: Sequence[str] = (), gain: float = 12) -> Figure:
    """Rendered samples above what changed in each against the first one, `gain` times enlarged."""
    before, *after = [images.read(one.file) for one in rendered]
    masks = [one.mask > 127 for one in rendered[1:]]
    shown = [outlined(image, mask) for image, mask in zip(after, masks, strict=True)]
    gaps = [np.abs(image.astype(np.float32) - before).mean(axis=2) for image in after]
    changed = [np.clip(gap * gain / 255, 0, 1) for gap in gaps]
    named = [*titles, *[f"difference x {gain:g}"] * len(after)]
    return tiles([*shown, *changed], named, len(after), size=13 / max(3, len(after)))


def picture_sizes(table: pd.DataFrame) -> Figure:
    """Width against height of a product table, one colour per source and condition."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axis = figure.subplots()
    for (source, condition), rows in table.groupby(["source", "condition"]):
        mark = "o" if condition == "intact" else "x"
        label = f"{source}, {condition} ({len(rows)})"
        axis.scatter(rows.width, rows.height, marker=mark, alpha=0.6, label=label)
    axis.set(xlabel="width, pixels", ylabel="height, pixels")
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure


def probes(audit: Mapping[str, Any]) -> Figure:
    """Every shortcut probe of an audit against its limit; right of the line is a leak."""
    records = audit["probes"][::-1]
    figure = Figure(figsize=(6, 0.3 * len(records) + 1), layout="constrained")
    axis = figure.subplots()
    colours = ["#1b9e77" if record["passed"] else "#d95f02" for record in records]
    places = range(len(records))
    axis.scatter([record["auc"] for record in records], places, color=colours)
    axis.axvline(0.5, color="#999999", lw=0.8)
    axis.axvline(records[0]["limit"], color="black", ls="--", lw=1)
    axis.set_yticks(places, [record["name"] for record in records])
    axis.set(xlabel="AUC out of fold (0.5 = knows nothing; dashed: limit)", xlim=(0.3, 1.02))
    return figure


def crops(items: Sequence[Mapping[str, Any]]) -> Figure:
    """Training items as columns: authentic twin, doctored twin, doctored pixels."""
    twins = [[np.asarray(item["image"][which]) for item in items] for which in (0, 1)]
    masks = [np.asarray(item["mask"][1] * 255).astype(np.uint8) for item in items]
    titles = [name for name in ("authentic", "doctored", "its mask") for _ in items]
    return tiles([*twins[0], *twins[1], *masks], titles, len(items), size=13 / len(items))


def base_rates(found: float, accused: float) -> Figure:
    """Share of flagged pictures that are honest, against how common fraud is (Bayes' rule)."""
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axis = figure.subplots()
    fraud = np.geomspace(0.001, 0.5, 200)
    flagged = found * fraud + accused * (1 - fraud)
    honest = np.divide(accused * (1 - fraud), flagged, out=np.zeros(200), where=flagged > 0)
    axis.semilogx(fraud, honest, color="#66a61e")
    axis.set_xticks([0.001, 0.01, 0.1, 0.5], ["0.1 %", "1 %", "10 %", "50 %"])
    axis.set(xlabel="share of fraud among claims", ylabel="honest among the flagged", ylim=(0, 1))
    axis.set_title(f"finds {found:.0%} of fraud, accuses {accused:.0%} of honest", fontsize=9)
    return figure


def agreement(
    first: Sequence[float], second: Sequence[float], names: tuple[str, str], cells: Sequence[str]
) -> Figure:
    """Two scores of the same pictures; on the diagonal both say the same."""
    figure = Figure(figsize=(4.8, 4.4), layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color="#999999", lw=0.8)
    for cell, colour in CELL_COLOURS.items():
        wanted = np.array(cells) == cell
        axis.scatter(np.array(first)[wanted], np.array(second)[wanted], 16, colour, label=cell)
    axis.set(xlabel=names[0], ylabel=names[1], xlim=(0, 1), ylim=(0, 1))
    axis.legend(fontsize=7, loc="lower right")
    return figure

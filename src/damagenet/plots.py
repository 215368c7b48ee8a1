"""Figures from arrays and tables. Every function returns a Figure and shows nothing.

Here are the figures made of numbers; those of a detector's reach come from `plots_robustness`, and
those made of pictures from `sheets`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray

from damagenet.plots_robustness import areas as areas
from damagenet.plots_robustness import channel_curves as channel_curves
from damagenet.plots_robustness import costs as costs
from damagenet.plots_robustness import family_channel as family_channel
from damagenet.plots_robustness import margins as margins
from damagenet.plots_robustness import pixels as pixels
from damagenet.plots_robustness import workload as workload
from damagenet.plots_training import curves as curves
from damagenet.plots_training import training_curve as training_curve
from damagenet.sheets import CELL_COLOURS as CELL_COLOURS
from damagenet.sheets import contact_sheet as contact_sheet
from damagenet.sheets import crops as crops
from damagenet.sheets import differences as differences
from damagenet.sheets import heatmap_gallery as heatmap_gallery
from damagenet.sheets import noise as noise
from damagenet.sheets import outlined as outlined
from damagenet.sheets import planes as planes
from damagenet.sheets import samples as samples
from damagenet.sheets import tiles as tiles
from damagenet.sheets import twins as twins

GOOD, BAD, GREY = "#1b9e77", "#d95f02", "#999999"


def save(figure: Figure, path: str | Path, dpi: int = 110) -> Path:
    """Write a figure as PNG (no date inside, so equal figures are equal files)."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    figure.savefig(temporary, format="png", dpi=dpi, metadata={"Software": None})
    temporary.replace(path)
    return path


def picture_sizes(table: pd.DataFrame) -> Figure:
    """Width against height of a product table, one colour per source and condition."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    axis = figure.subplots()
    axis.set_prop_cycle(color=[colormaps["tab20"](i) for i in range(20)])
    for (source, condition), rows in table.groupby(["source", "condition"]):
        mark = "o" if condition == "intact" else "x"
        label = f"{source}, {condition} ({len(rows)})"
        axis.scatter(rows.width, rows.height, marker=mark, alpha=0.6, label=label)
    axis.set(xlabel="width, pixels", ylabel="height, pixels")
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure


def counts(
    manifest: pd.DataFrame,
    columns: Sequence[str] = ("cell", "topology", "family", "severity", "kind"),
) -> Figure:
    """How often each value of a dataset's columns was drawn, authentic and doctored apart."""
    figure = Figure(figsize=(12, 4), layout="constrained")
    axes = figure.subplots(1, len(columns), squeeze=False)[0]
    for axis, column in zip(axes, columns, strict=True):
        shown = manifest[~manifest[column].isin(["none", 0])]
        table = shown.groupby([column, "label"]).size().unstack(fill_value=0)
        table = table.reindex(columns=[0, 1], fill_value=0).iloc[::-1]
        places = np.arange(len(table))
        axis.barh(places, table[0], color=GOOD, label="authentic")
        axis.barh(places, table[1], left=table[0], color=BAD, label="doctored")
        axis.set_yticks(places, [str(value).replace("_", " ") for value in table.index])
        axis.tick_params(labelsize=8)
        axis.set_title(column, fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return figure


def probes(audit: Mapping[str, Any], spoilt: Mapping[str, Any] | None = None) -> Figure:
    """Every shortcut probe of an audit against its limit; right of the line is a leak.

    Args:
        audit: As `audit.audit` returns.
        spoilt: The audit of another version of the same dataset, drawn beside it.
    """
    records = audit["probes"][::-1]
    figure = Figure(figsize=(7.5, 0.28 * len(records) + 1.1), layout="constrained")
    axis = figure.subplots()
    places = np.arange(len(records))
    for x in (0.5, 1.0):
        axis.axvline(x, color="#dddddd", lw=0.8, zorder=0)
    limits = [record["limit"] for record in records]
    axis.scatter(limits, places, marker="|", s=130, color="black", label="limit")
    if spoilt is not None:
        now = {record["name"]: record for record in spoilt["probes"]}
        for place, record in zip(places, records, strict=True):
            there = now[record["name"]]["auc"]
            colour = GOOD if now[record["name"]]["passed"] else BAD
            axis.plot([record["auc"], there], [place, place], color=colour, lw=1, zorder=1)
            axis.scatter(there, place, marker="D", s=28, color=colour, zorder=3)
        axis.scatter([], [], marker="D", s=28, color=BAD, label="spoilt, caught")
    colours = [GOOD if record["passed"] else BAD for record in records]
    axis.scatter([record["auc"] for record in records], places, color=colours, zorder=2)
    axis.scatter([], [], color=GOOD, label="passed")
    if not all(record["passed"] for record in records):
        axis.scatter([], [], color=BAD, label="leak")
    axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8, frameon=False)
    axis.set_yticks(places, [record["name"].replace("_", " ") for record in records])
    axis.set(xlabel="AUC on unseen products: 0.5 knows nothing, 1 knows all", xlim=(0.3, 1.04))
    return figure


def ranked_twins(stages: Mapping[str, NDArray[np.floating[Any]]]) -> Figure:
    """Logits of doctored crops against those of their authentic twins; above the line is right.

    Args:
        stages: Logits `[n, 2]` (authentic, doctored) of the same pairs by name of the network.
    """
    figure = Figure(figsize=(3.6 * len(stages), 3.7), layout="constrained")
    axes = figure.subplots(1, len(stages), squeeze=False)[0]
    for axis, (name, logits) in zip(axes, stages.items(), strict=True):
        low, high = float(logits.min()), float(logits.max())
        margin = 0.08 * max(high - low, 1e-3)
        span = (low - margin, high + margin)
        right = logits[:, 1] > logits[:, 0]
        axis.plot(span, span, color=GREY, lw=0.8)
        axis.scatter(*logits.T, s=18, alpha=0.7, color=np.where(right, GOOD, BAD))
        axis.set_title(f"{name}: {right.mean():.0%} of {len(right)} pairs right", fontsize=9)
        axis.set(xlabel="logit of the authentic twin", xlim=span, ylim=span, aspect="equal")
    axes[0].set_ylabel("logit of the doctored twin")
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


def risk_coverage(curve: pd.DataFrame, promises: pd.DataFrame, rate: float = 0.05) -> Figure:
    """What abstaining buys, and whether thresholds keep their promise on unseen pictures.

    Args:
        curve: As `certify.risk_coverage` returns.
        promises: As `certify.promises` returns.
        rate: The promise whose bands are marked on the curve.
    """
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(curve.coverage, curve.risk, color="#444444", lw=1, label="surest first")
    right.plot([0, 0.22], [0, 0.22], color=GREY, lw=0.8)
    for (rule, rows), colour in zip(promises.groupby("rule"), (GOOD, BAD), strict=True):
        at = rows[np.isclose(rows.rate, rate)]
        left.scatter(at.coverage, at.risk, color=colour, zorder=3, label=f"{rule}, {rate:.0%}")
        spread = [rows.measured - rows.low, rows.high - rows.measured]
        right.errorbar(rows.rate, rows.measured, spread, fmt="o-", ms=4, capsize=2,
                       color=colour, label=rule)  # fmt: skip
    left.set(xlabel="share decided without a person", ylabel="errors among them", xlim=(0, 1.02))
    right.set(
        xlabel="promised false-alarm rate", ylabel="measured on damaged photos", ylim=(0, None)
    )
    for axis in (left, right):
        axis.legend(fontsize=8)
    return figure

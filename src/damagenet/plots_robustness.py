"""Figures of how far a detector holds: by edited area, by channel, by family, against others.

Every function returns a Figure and shows nothing; `plots` gives access to all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

LINES = ("#1b6ca8", "#d95f02", "#7570b3", "#444444")


def areas(table: pd.DataFrame) -> Figure:
    """AUC, share found and pixel F1 against the edited share of a picture, with intervals."""
    names = [name for name in dict.fromkeys(table.slice) if name.startswith("area=")]
    figure = Figure(figsize=(7, 3.8), layout="constrained")
    axis = figure.subplots()
    places = np.arange(len(names))
    shown = {
        "auc": "AUC", "tpr_at_threshold": "found at the flag threshold", "pixel_f1": "pixel F1",
    }  # fmt: skip
    for shift, ((metric, label), colour) in enumerate(zip(shown.items(), LINES, strict=False)):
        rows = table[table.metric == metric].set_index("slice").loc[names]
        spread = [rows.value - rows.low, rows.high - rows.value]
        axis.errorbar(
            places + 0.06 * (shift - 1), rows.value, yerr=np.clip(spread, 0, None), fmt="o-",
            ms=4, lw=1.3, capsize=2, color=colour, label=label,
        )  # fmt: skip
    authentic = table.loc[table.slice == "authentic=all", "n"].max()
    counts = table[table.metric == "auc"].set_index("slice").loc[names].n - authentic
    labels = [f"{name[5:]}\n{n} edits" for name, n in zip(names, counts, strict=True)]
    axis.axhline(0.5, color="#bbbbbb", lw=0.8, zorder=0)
    axis.set_xticks(places, labels)
    axis.set(xlabel="edited share of the picture", ylim=(0, 1.02))
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=3, fontsize=8, frameon=False)
    return figure


def family_channel(table: pd.DataFrame, metric: str = "auc", marked: Sequence[str] = ()) -> Figure:
    """Table of one metric: decoder families down, channels across; `marked` families were unseen.

    Args:
        table: Rows of `grid.json`: family, channel, metric, value.
        metric: Which of its metrics.
        marked: Families to be starred.
    """
    rows = table[table.metric == metric]
    wide = rows.pivot(index="family", columns="channel", values="value")
    order = [name for name in dict.fromkeys(rows.family) if name != "all"]
    wide = wide.loc[["all", *order], list(dict.fromkeys(rows.channel))].astype(float)
    figure = Figure(
        figsize=(2.2 + 0.48 * wide.shape[1], 1.9 + 0.34 * len(wide)), layout="constrained"
    )
    axis = figure.subplots()
    shade = axis.imshow(wide.to_numpy(), cmap="RdYlGn", vmin=0.4, vmax=1, aspect="auto")
    for (y, x), value in np.ndenumerate(wide.to_numpy()):
        if np.isfinite(value):
            colour = "black" if 0.5 < value < 0.95 else "white"
            text = f"{value:.2f}".lstrip("0")
            axis.text(x, y, text, ha="center", va="center", fontsize=7, color=colour)
    names = [f"{name} *" if name in marked else name for name in wide.index]
    axis.set_yticks(range(len(wide)), names, fontsize=8)
    axis.set_xticks(range(wide.shape[1]), wide.columns, rotation=55, ha="right", fontsize=8)
    axis.axhline(0.5, color="white", lw=2)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    figure.colorbar(shade, label=metric.upper(), fraction=0.03, pad=0.01)
    if set(marked) & set(wide.index):
        axis.set_xlabel("* never seen in training", fontsize=8, loc="left")
    return figure


def channel_curves(table: pd.DataFrame) -> Figure:
    """What compression and shrinking cost: AUC, TPR at 5 % and balanced accuracy, with bands."""
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    rows = table[table.family == "all"]
    scales = {
        "JPEG": "JPEG quality",
        "WebP": "WebP quality",
        "linear": "resize, linear (solid) and Lanczos (dashed)",
    }
    metrics = {
        "auc": "AUC", "tpr_at_5": "TPR at 5 % false alarms",
        "balanced_accuracy": "balanced accuracy", "pixel_f1_exchange": "pixel F1, exchange",
    }  # fmt: skip
    for axis, (series, label) in zip(axes, scales.items(), strict=True):
        for (metric, name), colour in zip(metrics.items(), LINES, strict=True):
            some = _series(rows[rows.metric == metric], series)
            places = np.arange(len(some))
            axis.plot(places, some.value, "-o", ms=3, color=colour, label=name)
            axis.fill_between(places, some.low, some.high, color=colour, alpha=0.12, lw=0)
            if series == "linear":
                other = _series(rows[rows.metric == metric], "lanczos")
                axis.plot(places, other.value, "--", color=colour)
            axis.set_xticks(places, [str(name).split()[-1] for name in some.channel])
        axis.set_xlabel(label)
        axis.axhline(0.5, color="#bbbbbb", lw=0.8, zorder=0)
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_ylim(0, 1.02)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, fontsize=8, frameon=False)
    return figure


def _series(rows: pd.DataFrame, series: str) -> pd.DataFrame:
    """The clean row, then those of channels such as `JPEG 80` or `linear 0.5`, as they come."""
    wanted = (rows.channel == "clean") | rows.channel.str.fullmatch(rf"{series} [\d.]+")
    return rows[wanted].astype({"value": float, "low": float, "high": float})


def margins(rows: pd.DataFrame) -> Figure:
    """AUC of a run and of the baselines, with intervals: all edits, and those of unseen families.

    Args:
        rows: Of `baselines.json`: method, slice, metric, value, low, high.
    """
    rows = rows[(rows.metric == "auc") & rows.value.notna()]
    names = list(dict.fromkeys(rows.method))[::-1]
    figure = Figure(figsize=(6.5, 0.42 * len(names) + 1.1), layout="constrained")
    axis = figure.subplots()
    for shift, (part, colour) in enumerate(zip(dict.fromkeys(rows.slice), LINES, strict=False)):
        some = rows[rows.slice == part].astype({"value": float, "low": float, "high": float})
        places = np.array([names.index(name) for name in some.method]) + 0.12 - 0.24 * shift
        spread = np.clip([some.value - some.low, some.high - some.value], 0, None)
        axis.errorbar(some.value, places, xerr=spread, fmt="o", ms=4, color=colour, label=part)
    axis.axvline(0.5, color="#bbbbbb", lw=0.8, zorder=0)
    axis.set_yticks(range(len(names)), names)
    axis.set(xlabel="AUC", xlim=(0.3, 1.02), ylim=(-0.6, len(names) - 0.4))
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def pixels(table: pd.DataFrame) -> Figure:
    """The heatmap at 0.5: overlap with the edit on doctored pictures, false light on authentic.

    Two panels, never one mean: F1 is not defined where nothing is doctored.

    Args:
        table: Rows of `metrics.json`.
    """
    figure = Figure(figsize=(10, 2.6), layout="constrained")
    for axis, metric, start, colour, label in zip(
        figure.subplots(1, 2),
        ("pixel_f1", "pixel_false_alarms"),
        (("all", "topology="), ("authentic=",)),
        LINES,
        ("pixel F1 on doctored pictures", "share of pixels lit on authentic pictures"),
        strict=False,
    ):
        rows = table[(table.metric == metric) & table.slice.str.startswith(start)].iloc[::-1]
        value, low, high = (rows[name].astype(float) for name in ("value", "low", "high"))
        places = np.arange(len(rows))
        axis.barh(places, value, color=colour, alpha=0.75, height=0.6)
        spread = np.clip([value - low, high - value], 0, None)
        axis.errorbar(value, places, xerr=spread, fmt="none", ecolor="#444444", capsize=2)
        axis.set_yticks(places, [name.partition("=")[2] or name for name in rows.slice])
        axis.set(xlabel=label, xlim=(0, 1))
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def costs(curve: pd.DataFrame, threshold: float) -> Figure:
    """What errors cost at every threshold, stacked, and the ones chosen and cheapest.

    Args:
        curve: Rows of rising `threshold` with the cost of `missed` frauds and of `accused` buyers.
        threshold: The chosen one.
    """
    figure = Figure(figsize=(7.5, 3), layout="constrained")
    axis = figure.subplots()
    axis.stackplot(
        curve.threshold, curve.missed, curve.accused, colors=("#f2c14e", "#d95f02"), alpha=0.85,
        labels=("frauds that were paid", "honest buyers who were accused"),
    )  # fmt: skip
    total = curve.missed + curve.accused
    best = float(curve.threshold.iloc[int(total.argmin())])
    axis.axvline(threshold, color="black", lw=1.4, label=f"your threshold, {threshold:.2f}")
    axis.axvline(best, color="#1b6ca8", lw=1.4, ls="--", label=f"the cheapest, {best:.2f}")
    axis.set(xlabel="flag from this score on", ylabel="cost of 1,000 claims", xlim=(0, 1.01))
    axis.set_ylim(0, 2.5 * max(float(total.iloc[-1]), 1e-9))  # accusing all would dwarf the rest
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure


def workload(curve: pd.DataFrame, threshold: float, risk: float) -> Figure:
    """What passes by itself at every threshold, and what is known of its risk.

    Args:
        curve: Rows of `claims.decisions.measured` with rising `threshold`.
        threshold: The chosen one.
        risk: The accepted share of wrongly passed claims, in [0, 1].
    """
    figure = Figure(figsize=(7.5, 3), layout="constrained")
    axis = figure.subplots()
    axis.fill_between(curve.threshold, curve.passed, color="#cfe3d6", label="pass by themselves")
    axis.fill_between(
        curve.threshold, curve.risk, curve.risk_bound, color="#f0b98d", alpha=0.6,
        label="risk up to its 95 % bound",
    )  # fmt: skip
    axis.plot(curve.threshold, curve.risk, color="#d95f02", lw=1.6, label="refused among passed")
    axis.plot(curve.threshold, curve.agreement, color="#1b6ca8", lw=1.2, label="agreement")
    axis.plot(curve.threshold, curve.precision, color="#7b5ea7", lw=1.2, label="precision of looks")
    axis.axhline(risk, color="#d95f02", lw=1, ls=":", label=f"accepted risk, {risk:.1%}")
    axis.axvline(threshold, color="black", lw=1.4, label=f"your threshold, {threshold:.2f}")
    axis.set(xlabel="claims below this score pass", ylabel="share", xlim=(0, 1), ylim=(0, 1.02))
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure

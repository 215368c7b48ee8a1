"""Figures of the logs that trainings leave; `plots` hands them on."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib import colormaps
from matplotlib.figure import Figure

GREY = "#999999"
NAMES = {"auc": "image AUC", "tpr_at_5": "TPR at 5 %", "pixel_f1": "pixel F1"}


def training_curve(log: pd.DataFrame) -> Figure:
    """Training loss and validation metrics over steps, from train.csv."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(log.step, log.loss, marker="o", color="#444")
    left.set(xlabel="step", ylabel="training loss", ylim=(0, None))
    right.axhline(0.5, color=GREY, lw=0.8, ls=":", label="AUC of a coin")
    for column, name in NAMES.items():
        right.plot(log.step, log[column], marker="o", label=name)
    right.set(xlabel="step", ylabel="validation", ylim=(0, 1))
    right.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure


def curves(logs: Mapping[str, pd.DataFrame], metric: str = "auc") -> Figure:
    """Training loss and one validation metric of several runs, a colour each.

    Args:
        logs: train.csv by name of the run, as `experiments.logs` returns.
        metric: A column of it: `auc`, `tpr_at_5` or `pixel_f1`.
    """
    figure = Figure(figsize=(10, max(3.4, 0.24 * len(logs) + 1)), layout="constrained")
    left, right = figure.subplots(1, 2)
    few = colormaps["tab10"].colors if len(logs) <= 10 else colormaps["tab20"].colors  # type: ignore[attr-defined]
    for turn, (name, log) in enumerate(logs.items()):
        colour, style = few[turn % len(few)], ("-", "--", ":")[turn // len(few) % 3]
        for axis, column in ((left, "loss"), (right, metric)):
            axis.plot(log.step, log[column], style, marker="o", ms=4, color=colour, label=name)
    right.axhline(0.5, color=GREY, lw=0.8, ls=":") if metric == "auc" else None
    left.set(xlabel="step", ylabel="training loss", ylim=(0, None))
    right.set(xlabel="step", ylabel=f"{NAMES[metric]} in validation", ylim=(0, 1))
    right.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    return figure

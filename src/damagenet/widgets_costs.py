"""A slider for notebooks: move the threshold, and see who pays for it.

Like `widgets`, which gives access to it, this needs `ipywidgets` and works without a browser, too.
"""

from __future__ import annotations

import io
from html import escape
from typing import Any

import ipywidgets as ui  # type: ignore[import-untyped]
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from damagenet import BadInput, plots

BUSY = '<div role="status" style="line-height:1.4;opacity:0.6">drawing …</div>'
"""Status while a panel follows a control; a browser shows it before the work is done."""
CLAIMS = 1000
STEPS = np.linspace(0, 1.01, 102)
"""Thresholds that are priced; the last one is above every score: nothing is flagged."""
HONEST = {"damaged goods only": ("authentic_damaged",),
          "all authentic photos": ("authentic_damaged", "authentic_intact")}  # fmt: skip
"""Cells that stand for honest buyers."""
SHARES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)

Floats = NDArray[np.floating[Any]]


def priced(
    honest: Floats,
    doctored: Floats,
    thresholds: Floats,
    fraud: float,
    missed: float,
    accused: float,
) -> pd.DataFrame:
    """What flagging from each threshold on does to 1,000 claims.

    Args:
        honest: Scores of authentic photos, `[n]` in [0, 1].
        doctored: Scores of doctored ones.
        thresholds: Rising; flagged means `score >= threshold`.
        fraud: Share of frauds among the claims, in [0, 1].
        missed: Cost of a fraud that is paid.
        accused: Cost of an honest buyer who is accused.

    Returns:
        threshold, claims by outcome (caught, paid, suspects, spared), costs `missed` and `accused`.

    Raises:
        BadInput: No score of one of both.
    """
    if not len(honest) or not len(doctored):
        raise BadInput("a cost needs scores of honest and of doctored pictures; evaluate first")
    caught = CLAIMS * fraud * (doctored[:, None] >= thresholds).mean(0)
    suspects = CLAIMS * (1 - fraud) * (honest[:, None] >= thresholds).mean(0)
    paid, spared = CLAIMS * fraud - caught, CLAIMS * (1 - fraud) - suspects
    return pd.DataFrame({
        "threshold": thresholds, "caught": caught, "paid": paid, "suspects": suspects,
        "spared": spared, "missed": paid * missed, "accused": suspects * accused,
    })  # fmt: skip


class Deciding:
    """Scores of a test split, a threshold to choose, and what either error costs.

    Attributes:
        threshold, fraud, missed, accused, honest: The controls, `ipywidgets` whose `.value` may be
            set by hand or by code.
        chosen: The row of `priced` at the threshold; `curve`: those of all thresholds.
        picture, status, panel: What is shown: `ui.Image`, `ui.HTML`, and all of it.
    """

    def __init__(self, scored: pd.DataFrame, threshold: float) -> None:
        """As for `deciding`."""
        self.scored = scored
        wide = {"style": {"description_width": "11em"}, "layout": ui.Layout(width="29em")}
        self.threshold = ui.FloatSlider(
            value=min(threshold, STEPS[-1]), min=0, max=STEPS[-1], step=0.01,
            description="flag from score", continuous_update=False, **wide,
        )  # fmt: skip
        shares = [(f"{share:.1%}".replace(".0", ""), share) for share in SHARES]
        self.fraud = ui.SelectionSlider(
            options=shares, value=0.01, description="fraud among claims", **wide
        )
        self.missed, self.accused = (
            ui.BoundedFloatText(value=value, min=0, max=1e9, description=words, **wide)
            for value, words in ((30, "a paid fraud costs"), (100, "an accusation costs"))
        )
        self.honest = ui.Dropdown(options=tuple(HONEST), description="honest buyers", **wide)
        self.picture, self.status = ui.Image(format="png"), ui.HTML()
        controls = (self.threshold, self.fraud, self.honest, self.missed, self.accused)
        box = ui.Box(controls, layout=ui.Layout(flex_flow="row wrap"))
        self.panel = ui.VBox([box, self.status, self.picture])
        for control in controls:
            control.observe(self.refresh, names="value")
        self.refresh()

    def _repr_mimebundle_(self, **kwargs: object) -> dict[str, Any]:
        """The widget, and its picture for readers without widgets."""
        bundle: dict[str, Any] = self.panel._repr_mimebundle_(**kwargs) or {}
        return bundle | {"image/png": bytes(self.picture.value)}

    def refresh(self, change: object = None) -> None:
        """Price all thresholds anew and show them."""
        self.status.value = BUSY
        honest = self.scored.cell.isin(HONEST[self.honest.value])
        score, doctored = self.scored.score.to_numpy(), self.scored.label.to_numpy() == 1
        pair = score[honest.to_numpy()], score[doctored]
        prices = self.fraud.value, self.missed.value, self.accused.value
        self.curve = priced(*pair, STEPS, *prices)
        self.chosen = priced(*pair, np.array([self.threshold.value]), *prices).iloc[0]
        figure, buffer = plots.costs(self.curve, self.threshold.value), io.BytesIO()
        figure.savefig(buffer, format="png", dpi=90)
        self.picture.value = buffer.getvalue()
        self.status.value = (
            f'<div role="status" style="line-height:1.4">{self._facts(*map(len, pair))}</div>'
        )

    def _facts(self, honest: int, doctored: int) -> str:
        one, total = self.chosen, self.curve.missed + self.curve.accused
        flagged = one.caught + one.suspects
        facts = [
            f"Of {CLAIMS:,} claims {one.caught:.1f} frauds are flagged and {one.paid:.1f} paid",
            f"{one.suspects:.1f} honest buyers are accused, {one.spared:.1f} left in peace",
            f"{one.suspects / flagged:.0%} of the flagged are honest" if flagged else "no flags",
            f"cost {one.missed + one.accused:,.0f}; the cheapest threshold, "
            f"{self.curve.threshold.iloc[int(total.argmin())]:.2f}, costs {total.min():,.0f}, "
            f"flagging nothing {total.iloc[-1]:,.0f}",
            f"rates from {honest} honest and {doctored} doctored pictures",
        ]
        return escape(" | ".join(facts))


def deciding(scored: pd.DataFrame, threshold: float) -> Deciding:
    """Controls to choose a threshold by what its errors cost; show the result of the call.

    Args:
        scored: Test pictures with `cell`, `label` and `score`, as in `predictions.parquet`.
        threshold: To start from; values above 1 flag nothing.

    Raises:
        BadInput: As `priced`.
    """
    return Deciding(scored, threshold)

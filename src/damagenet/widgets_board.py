"""A board for notebooks: go through a queue of claims, decide, and see what a threshold would do.

Needs `ipywidgets`. Where no browser listens the same code runs, and the notebook shows the picture
of the moment instead. What counts is in `claims.decisions`; here are only the controls.
"""

from __future__ import annotations

import io
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as ui  # type: ignore[import-untyped]
import pandas as pd

from damagenet import BadInput, plots
from damagenet.claims import decisions, queue
from damagenet.claims.detector import VERDICTS
from damagenet.runs import rng_for
from damagenet.widgets_costs import BUSY

ORDERS = ("most concern first", "shuffled")
COLOURS = {"pass": "#2f7d4f", "review": "#a86400", "flag": "#b3261e"}


class Board:
    """The reports of a folder, one at a time, and what the decisions so far say.

    Attributes:
        order, claim: What comes next: `ui.Dropdown`. Shuffled claims are what rates should rest
            on: who looks at concern alone never learns what passes unseen.
        note, reviewer, buttons: To decide; a decision is appended to the file at once.
        threshold, risk, minutes, hourly, loss: To price a threshold.
        evidence, progress, status, picture, panel: What is shown.
        summary: The rows of the queue; `decided`: the latest decision by claim.
        claims: `decisions.joined` of both; `curve`: `decisions.measured` over all thresholds;
            `chosen`: its row at the threshold.
    """

    def __init__(self, folder: str | Path, file: str | Path, threshold: float) -> None:
        """As for `board`."""
        self.folder, self.file = Path(folder), Path(file)
        self.summary = [row for row in queue.read_summary(folder) if not row["error"]]
        if not self.summary:
            raise BadInput(f"{folder}: no claim there has a report; see summary.csv")
        self.decided = decisions.read(file)
        wide = {"style": {"description_width": "10em"}, "layout": ui.Layout(width="26em")}
        self.order = ui.Dropdown(options=ORDERS, description="order", **wide)
        self.claim = ui.Dropdown(description="claim", **wide)
        self.reviewer = ui.Text(description="reviewer", **wide)
        self.note = ui.Text(description="note", **wide)
        self.buttons = {name: ui.Button(description=name, tooltip=words)
                        for name, words in decisions.DECISIONS.items()}  # fmt: skip
        self.threshold = ui.FloatSlider(
            value=min(threshold, 1.0), min=0, max=1, step=0.02, continuous_update=False,
            description="pass below", **wide,
        )  # fmt: skip
        self.risk, self.minutes, self.hourly, self.loss = (
            ui.BoundedFloatText(value=value, min=0, max=1e6, description=words, **wide)
            for value, words in ((0.05, "accepted risk"), (4, "minutes a claim"),
                                 (30, "an hour costs"), (25, "a wrong pass costs"))
        )  # fmt: skip
        self.evidence, self.progress, self.status = ui.HTML(), ui.HTML(), ui.HTML()
        self.picture = ui.Image(format="png")
        prices = (self.threshold, self.risk, self.minutes, self.hourly, self.loss)
        rows = ((self.order, self.claim), (self.reviewer, self.note), [*self.buttons.values()])
        boxes = [ui.Box(row, layout=ui.Layout(flex_flow="row wrap")) for row in (*rows, prices)]
        self.panel = ui.VBox([boxes[0], self.progress, self.evidence, *boxes[1:],
                              self.status, self.picture])  # fmt: skip
        for name, button in self.buttons.items():
            button.on_click(lambda _, name=name: self.decide(name))
        self.order.observe(self._sort, names="value")
        self.claim.observe(self._show, names="value")
        for control in prices:
            control.observe(self.refresh, names="value")
        self._sort()
        self.refresh()

    def _repr_mimebundle_(self, **kwargs: object) -> dict[str, Any]:
        """The widget, and its picture for readers without widgets."""
        bundle: dict[str, Any] = self.panel._repr_mimebundle_(**kwargs) or {}
        return bundle | {"image/png": bytes(self.picture.value)}

    @property
    def row(self) -> dict[str, Any]:
        """The claim on the board."""
        return next(row for row in self.summary if row["claim_id"] == self.claim.value)

    def decide(self, decision: str) -> None:
        """Keep a decision on the claim shown, and go on to the next open one."""
        row = self.row
        try:
            decisions.record(self.file, row, decision, self.reviewer.value, self.note.value)
        except BadInput as error:
            self.progress.value = f'<p role="alert"><b>{escape(str(error))}</b></p>'
            return
        self.decided = decisions.read(self.file)
        self.note.value = ""
        self.refresh()
        self._next()

    def _sort(self, change: object = None) -> None:
        """Put the claims into the chosen order and show the first open one."""
        rows = sorted(self.summary, key=lambda r: (-VERDICTS.index(r["verdict"]), -r["score"]))
        if self.order.value == "shuffled":
            mixed = rng_for(0, "board").permutation(len(rows))
            rows = [rows[i] for i in mixed]
        self.claim.options = [row["claim_id"] for row in rows]
        self._next()

    def _next(self) -> None:
        undecided = [name for name in self.claim.options if name not in self.decided]
        # A list that was filled later has nothing chosen; when all are decided, stay.
        self.claim.value = (undecided or [self.claim.value or self.claim.options[0]])[0]
        self._show()

    def _show(self, change: object = None) -> None:
        """The evidence of the claim, with its report."""
        if self.claim.value is None:  # while the list is being filled
            return
        row, settled = self.row, self.decided.get(self.claim.value)
        bars = "".join(
            f"<tr><td><b>{escape(s['name'])}</b></td><td>{escape(s['finding'])}</td>"
            f'<td><div style="width:{100 * s["strength"]:.0f}px;height:10px;'
            f'background:{COLOURS[s["verdict"]]}"></div></td></tr>'
            for s in row["signals"]
        )  # fmt: skip
        self.evidence.value = (
            f'<p><b style="color:{COLOURS[row["verdict"]]}">{row["verdict"]}</b> '
            f"{escape(row['claim_id'])}</p><table>{bars}</table>"
            + framed(self.folder / row["report"])
        )
        count = sum(r["claim_id"] in self.decided for r in self.summary)
        before = f" | decided before: {settled['decision']}" if settled else ""
        self.progress.value = f"<p>{count} of {len(self.summary)} decided{escape(before)}</p>"

    def refresh(self, change: object = None) -> None:
        """Measure all thresholds anew and show them."""
        self.status.value = BUSY
        self.claims = decisions.joined(self.summary, self.decided)
        self.curve = decisions.measured(self.claims, decisions.STEPS.tolist())
        self.chosen = decisions.measured(self.claims, [self.threshold.value]).iloc[0]
        best = decisions.widest(self.claims, self.risk.value)
        figure, buffer = (
            plots.workload(self.curve, self.threshold.value, self.risk.value),
            io.BytesIO(),
        )
        figure.savefig(buffer, format="png", dpi=90)
        self.picture.value = buffer.getvalue()
        facts = escape(" | ".join(self._facts(best)))
        self.status.value = f'<div role="status" style="line-height:1.4">{facts}</div>'

    def _facts(self, best: pd.Series | None) -> list[str]:
        one = self.chosen
        money = decisions.saved(one, self.minutes.value, self.hourly.value, self.loss.value)
        return [
            f"pass below {one.threshold:.2f}: {one.passed:.0%} of claims pass by themselves, "
            f"{1 - one.passed:.0%} go to a person",
            f"refused among the {one.settled:.0f} of them settled: {_share(one.risk)}, at most "
            f"{one.risk_bound:.0%} (95 %)",
            f"precision of what a person sees: {_share(one.precision)}",
            f"agreement: {_share(one.agreement)}",
            f"over 1,000 claims: work saved {money['work']:,.0f}, wrongly passed "
            f"{money['lost']:,.0f} (at most {money['lost_bound']:,.0f}), net {money['net']:,.0f} "
            f"(at least {money['net_bound']:,.0f})",
            f"at a risk of at most {self.risk.value:.1%}: "
            + ("none can pass by itself yet; settle more claims" if best is None else
               f"{best.passed:.0%} can pass by themselves, those below {best.threshold:.2f}"),
        ]  # fmt: skip


def _share(value: float) -> str:
    return "unknown" if pd.isna(value) else f"{value:.0%}"


def framed(page: Path, height: int = 520) -> str:
    """A report as HTML for a notebook, in a frame that may touch nothing outside."""
    try:
        report = page.read_text("utf-8")
    except OSError as error:
        report = f"{page}: {error.strerror}"
    return (
        f'<div><iframe sandbox="allow-scripts" srcdoc="{escape(report)}" width="100%" '
        f'height="{height}" style="border:1px solid #ccc"></iframe></div>'
    )


def board(folder: str | Path, file: str | Path, threshold: float = 0.5) -> Board:
    """Controls to review a queue; show the result of the call.

    Args:
        folder: Reports and `summary.jsonl`, as `damagenet review --claims` writes them.
        file: CSV of decisions, appended to; work goes on where it ended.
        threshold: To start from: claims pass by themselves below this score.

    Raises:
        BadInput: No reports there, or `file` is something else.
    """
    return Board(folder, file, threshold)

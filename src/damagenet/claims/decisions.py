"""What reviewers decided, kept in a file, and what that says about deciding by a threshold."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from damagenet import BadInput
from damagenet.claims.queue import cell, text

DECISIONS = {"accept": "nothing speaks against it", "refuse": "the evidence holds",
             "ask": "ask for more"}  # fmt: skip
"""What a reviewer may decide; 'ask' leaves the claim open and counts for no rate."""
FIELDS = ("time", "claim_id", "decision", "reviewer", "note", "verdict", "score")
CONFIDENCE = 0.95
STEPS = np.linspace(0, 1, 51)
"""Thresholds that are compared; a claim passes by itself where its score is below."""


def record(
    path: str | Path, row: Mapping[str, Any], decision: str, reviewer: str = "", note: str = ""
) -> None:
    """Append one decision to a CSV file; earlier lines are never touched, the latest one counts.

    The line goes out in one write and onto the disk before this returns. A last line that a crash
    cut short was never confirmed to anybody; it is removed.

    Args:
        path: The file; made with its first line when missing.
        row: Of the summary that `queue.review_all` wrote.
        decision: One of `DECISIONS`.
        reviewer: Who decides.
        note: Anything worth keeping.

    Raises:
        BadInput: An unknown decision, a file that cannot be written, or one of something else.
    """
    if decision not in DECISIONS:
        raise BadInput(f"{decision}: no decision; take one of {', '.join(DECISIONS)}")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    told = (now, row["claim_id"], decision, reviewer, note, row["verdict"], row["score"])
    line = io.StringIO(newline="")
    csv.writer(line).writerow([cell(" ".join(str(value).split())) for value in told])
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+", buffering=0) as handle:
            _lock(handle)
            handle.seek(0)
            data = handle.read()
            kept, first = data.rfind(b"\n") + 1, ",".join(FIELDS)
            start = data.removeprefix(codecs.BOM_UTF8)[: len(first)]
            if not first.encode().startswith(start) or (kept and len(start) < len(first)):
                raise BadInput(f"{path}: is no table of decisions; name another file")
            if kept < len(data):
                handle.truncate(kept)
            head = "" if kept else first + "\r\n"
            handle.write((head + line.getvalue()).encode("utf-8", "replace"))
            os.fsync(handle.fileno())
    except OSError as error:
        raise BadInput(f"{path}: the decision was not kept ({error.strerror})") from None


def _lock(handle: IO[bytes]) -> None:
    """Wait until no other reviewer is writing, where the system and the disk can tell."""
    if sys.platform != "win32":
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)


def read(path: str | Path) -> dict[str, dict[str, str]]:
    """The latest decision of each claim by its id; nothing where there is no file yet.

    Raises:
        BadInput: The file is no table of decisions.
    """
    path = Path(path)
    if not path.exists():
        return {}
    try:
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1].decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(whole, newline="")))
    except (OSError, ValueError, csv.Error) as error:
        raise BadInput(f"{path}: cannot be read ({error}); name another file") from None
    if not rows or rows[0] != list(FIELDS):
        raise BadInput(f"{path}: is no table of decisions; name another file")
    kept = [dict(zip(FIELDS, map(text, row), strict=True)) for row in rows[1:]
            if len(row) == len(FIELDS) and row[2] in DECISIONS]  # fmt: skip
    return {row["claim_id"]: row for row in kept}


def joined(
    summary: Sequence[Mapping[str, Any]], decided: Mapping[str, Mapping[str, str]]
) -> pd.DataFrame:
    """Claims that have a report as a table: claim_id, verdict, score, held, refused.

    `held` says that a signal other than the pixels asks for a person, whatever the score;
    `refused` is 1.0 for refused, 0.0 for accepted, NaN for claims that nobody has settled.
    """
    marks = {"accept": 0.0, "refuse": 1.0}
    return pd.DataFrame(
        [
            {
                "claim_id": row["claim_id"],
                "verdict": row["verdict"],
                "score": row["score"],
                "held": any(
                    s["verdict"] != "pass" for s in row["signals"] if s["name"] != "pixels"
                ),
                "refused": marks.get(
                    decided.get(row["claim_id"], {}).get("decision", ""), float("nan")
                ),
            }
            for row in summary
            if not row["error"]
        ],
        columns=["claim_id", "verdict", "score", "held", "refused"],
    )


def measured(claims: pd.DataFrame, thresholds: Sequence[float], tests: int = 1) -> pd.DataFrame:
    """What a threshold does to the claims, judged by those that are settled.

    Args:
        claims: As `joined` gives.
        thresholds: A claim passes by itself where nothing holds it and its score is below.
        tests: Among how many thresholds one is picked by its risk: the bound is made wider
            (Bonferroni), so that it holds for the one that was picked.

    Returns:
        One row per threshold: `passed`, share of all claims that pass by themselves; `settled`,
        number of these that were settled; `risk`, share refused among them; `risk_bound`, its
        upper 95 % Clopper-Pearson bound; `precision`, share refused among settled claims that a
        person sees; `agreement`, share of settled claims where threshold and person agree.
    """
    from scipy.stats import beta

    rows = []
    known = claims.refused.notna()
    for threshold in thresholds:
        passes = ~claims.held.astype(bool) & (claims.score < threshold)
        n, k = int((passes & known).sum()), int(claims.refused[passes & known].sum())
        seen = claims.refused[~passes & known]
        agreed = (claims.refused[known] == 1) != passes[known]
        level = 1 - (1 - CONFIDENCE) / tests
        rows.append({
            "threshold": float(threshold),
            "passed": float(passes.mean()) if len(claims) else 0.0,
            "settled": n,
            "risk": k / n if n else float("nan"),
            "risk_bound": float(beta.ppf(level, k + 1, n - k)) if k < n else 1.0,
            "precision": float(seen.mean()) if len(seen) else float("nan"),
            "agreement": float(agreed.mean()) if len(agreed) else float("nan"),
        })  # fmt: skip
    return pd.DataFrame(rows)


def widest(claims: pd.DataFrame, risk: float) -> pd.Series | None:
    """The row of `measured` that passes most claims with a risk bound of at most `risk`, or None.

    The bound counts all `STEPS` that are compared, so it holds for the one that is picked.
    """
    table = measured(claims, STEPS.tolist(), tests=len(STEPS))
    good = table[(table.risk_bound <= risk) & (table.passed > 0)]
    return None if good.empty else good.sort_values("passed", kind="stable").iloc[-1]


def saved(
    row: Mapping[str, Any] | pd.Series, minutes: float, hourly: float, loss: float
) -> dict[str, float]:
    """What passing by itself saves and loses over 1,000 claims, in the currency of the costs.

    Args:
        row: Of `measured`.
        minutes: A person needs for one claim.
        hourly: What an hour of that person costs.
        loss: What a wrongly paid claim costs.

    Returns:
        `work`, saved; `lost`, by the risk seen so far, and `lost_bound`, by its bound; `net` and
        `net_bound`, what remains. Unknown risk counts as its bound.
    """
    passed = 1000 * row["passed"]
    work = passed * minutes / 60 * hourly
    risk = row["risk_bound"] if np.isnan(row["risk"]) else row["risk"]
    lost, bound = passed * risk * loss, passed * row["risk_bound"] * loss
    return {"work": work, "lost": lost, "lost_bound": bound, "net": work - lost,
            "net_bound": work - bound}  # fmt: skip

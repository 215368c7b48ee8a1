"""The table of scripts/bench_compare.py: shares with Clopper-Pearson bounds, as Markdown."""

from __future__ import annotations

import pandas as pd
from scipy.stats import beta


def bounds(hits: int, n: int) -> tuple[float, float]:
    """Two-sided 95 % Clopper-Pearson interval of a share."""
    low = beta.ppf(0.025, hits, n - hits + 1) if hits else 0.0
    high = beta.ppf(0.975, hits + 1, n - hits) if hits < n else 1.0
    return float(low), float(high)


def share(hits: int, n: int) -> str:
    """`12 of 500 = .024 [.012, .042]`."""
    if n == 0:
        return "none"
    text = "{:.3f} [{:.3f}, {:.3f}]".format(hits / n, *bounds(hits, n))
    return f"{hits} of {n} = {text}"


def table(rows: pd.DataFrame) -> str:
    """All questions that have rows."""
    makers = {"find": _find, "exposure": _exposure, "damage": _damage, "reuse": _reuse}
    parts = [
        make(rows[rows.question == question].dropna(axis=1, how="all"))
        for question, make in makers.items()
        if (rows.question == question).any()
    ]
    return "\n".join(parts)


def _heading(title: str) -> str:
    return f"### {title}\n\n| | |\n|---|---|\n"


def _line(name: str, hits: pd.Series) -> str:
    return f"| {name} | {share(int(hits.sum()), len(hits))} |\n"


def _by_chain(rows: pd.DataFrame, hits: pd.Series) -> str:
    parts = (f"{chain} {part.mean():.2f}" for chain, part in hits.groupby(rows.chain))
    return f"| by channel | {', '.join(parts)} |\n"


def _find(rows: pd.DataFrame) -> str:
    text = _heading("The listing photo in a catalogue of 100,000")
    for kind, part in rows.groupby("kind"):
        text += _line(f"{kind}: first of the candidates", part["first"].astype(bool))
        text += _line(f"{kind}: among five", part["five"].astype(bool))
    text += _by_chain(rows, rows["five"].astype(float))
    times = rows[["describe", "search"]].quantile([0.5, 0.99]) * 1000
    for name in ("search", "describe"):
        median, most = (f"{times[name][q]:.0f}" for q in (0.5, 0.99))
        text += f"| time to {name}, ms | median {median}, 99 % {most} |\n"
    return text


def _exposure(rows: pd.DataFrame) -> str:
    text = _heading("Claim and listing photo: `compare`")
    copies, same = rows.kind == "changed copy", rows.finding == "same_exposure"
    flat = rows.flat.astype(bool)
    for half in (0, 1):
        name, mine = ("chosen on", "measured on")[half], rows.half == half
        right, wrong = int((same & copies & mine).sum()), int((same & ~copies & mine).sum())
        text += _line(f"half {half} ({name}): copies found", same[copies & mine])
        text += f"| half {half}: precision | {share(right, right + wrong)} |\n"
    text += _by_chain(rows[copies], same[copies].astype(float))
    text += _line(
        "copies on a photographed screen: `flat`", flat[copies & (rows.chain == "screen")]
    )
    found = rows[copies & same]
    text += _line("copies found: changed area reported", found.changed.astype(bool))
    text += f"| its overlap (IoU), median | {found.iou.median():.2f} |\n"
    for kind, part in rows[~copies].groupby("kind"):
        text += _line(f"{kind}: falsely `same_exposure`", same[part.index])
    honest = ~copies & (rows.kind != "unrelated")
    text += _line("**all honest pairs: falsely `same_exposure`**", same[honest])
    real = honest & ~rows.kind.isin(["two rendered views", "flat scene, moved camera"])
    text += _line("of these, two real photos", same[real])
    text += _line("two real photos: `flat`", flat[real])
    return text


def _damage(rows: pd.DataFrame) -> str:
    text = _heading("Two photos of the damage: `same_damage`")
    for kind, part in rows.groupby("kind"):
        for finding in ("same_pattern", "another_pattern"):
            text += _line(f"{kind}: `{finding}`", part.finding == finding)
    one = rows.kind == "one damage"
    for finding, right in (("same_pattern", one), ("another_pattern", ~one)):
        said = rows.finding == finding
        text += _line(f"precision of `{finding}`", right[said])
    return text + _by_chain(rows[one], (rows.finding[one] == "same_pattern").astype(float))


def _reuse(rows: pd.DataFrame) -> str:
    text = _heading("Claim and earlier claim: `compare_parts`")
    said = rows.finding.isin(["same_photo", "same_part"])
    true = rows.kind.isin(["piece", "photo"])
    for kind in ("photo", "piece"):
        part = rows[rows.kind == kind]
        text += _line(f"{kind} used again: found", said[part.index])
        text += _by_chain(part, said[part.index].astype(float))
    overlap = rows[(rows.kind == "piece") & said].iou.median()
    text += f"| overlap of the piece (IoU), median | {overlap:.2f} |\n"
    for kind, part in rows[~true].groupby("kind"):
        text += _line(f"{kind}: falsely found", said[part.index])
    return text + _line("precision", true[said])

"""Thresholds whose false-alarm rate on honest photos is certified, and what they cost.

Everything here is fitted on the validation split and only there.

A threshold is certified by testing candidates from strict to loose, each with the binomial tail of
Clopper and Pearson at 5 %, up to the first that fails. In a fixed order this may look at the same
pictures again and again at no charge: fixed-sequence testing in Angelopoulos et al., "Learn then
Test", arXiv 2110.01052. Alarms only grow on the way, so where it stops has a closed form, the
tolerance limit of Wilks (Annals of Mathematical Statistics 1941): just above the score of rank
k + 1, where k is the largest count with P(Bin(n, rate) <= k) <= 5 %.

One file has one threshold, the strictest of all channels. It holds for all of them at once without
a correction: it can only be too loose if the one channel that needs the highest threshold got too
low a one (Berger, Technometrics 1982, intersection-union tests).
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from damagenet.config import Evaluate
from damagenet.detect import metrics
from damagenet.detect.calibrate import calibrated as calibrated
from damagenet.detect.calibrate import fit_calibration as fit_calibration

DIGITS = 6
"""Scores are reported with so many digits, so thresholds are chosen on such scores."""
CONFIDENCE = 0.95
NEVER = 1 + 10.0**-DIGITS
"""A threshold that no score reaches: nothing is flagged where nothing can be promised."""

RATES = (0.01, 0.02, 0.05, 0.1, 0.2)

Floats = NDArray[np.floating[Any]]
Parts = dict[str, tuple[pd.DataFrame, pd.DataFrame]]
"""Scope to all of its pictures, and to one of each original photo."""


@cache
def needed(rate: float, alarms: int = 0) -> int:
    """How many photos, with so many alarms among them, certify a false-alarm rate at 95 %."""
    sizes = itertools.count(alarms + 1)
    return next(n for n in sizes if stats.binom.cdf(alarms, n, rate) <= 1 - CONFIDENCE)


def bound(alarms: int, n: int) -> float:
    """One-sided 95 % upper bound of a rate (Clopper & Pearson, 1934); 1 without photos."""
    return metrics.clopper_pearson(alarms, n, 2 * CONFIDENCE - 1)[1] if n else 1.0


def certified_threshold(scores: Floats, rate: float) -> float | None:
    """The smallest threshold whose false-alarm rate is at most `rate`, wrong in 5 % of all draws.

    Args:
        scores: Of independent authentic photos, `[n]` in [0, 1].
        rate: The promise, in (0, 1).

    Returns:
        None when there are fewer photos than `needed(rate)`.
    """
    if len(scores) < needed(rate):
        return None
    allowed = int(stats.binom.ppf(1 - CONFIDENCE, len(scores), rate))
    if stats.binom.cdf(allowed, len(scores), rate) > 1 - CONFIDENCE:
        allowed -= 1
    return _above(float(np.sort(scores)[::-1][allowed]))


def naive_threshold(scores: Floats, rate: float) -> float:
    """The smallest threshold that at most that share of the photos at hand reaches: no promise."""
    return _above(metrics.threshold_at(scores, rate)) if len(scores) else NEVER


def _above(score: float) -> float:
    """The next reported score up: rounding down would report the very photos that must pass."""
    return (round(score * 10**DIGITS) + 1) / 10**DIGITS


def scopes(validation: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Sets of authentic pictures for which the promise is checked one by one.

    Damaged photos speak for honest buyers: all together, the really damaged alone (the others are
    renderings), and by channel; photos of intact goods follow.
    """
    damaged = validation[validation.cell == "authentic_damaged"]
    found = {"damaged": damaged, "really damaged": damaged[damaged.kind == "real"]}
    found |= {f"channel={name}": damaged[damaged.channel == name]
              for name in sorted(damaged.channel.unique())}  # fmt: skip
    return found | {"intact": validation[validation.cell == "authentic_intact"]}


def one_per_photo(pictures: pd.DataFrame) -> pd.DataFrame:
    """One picture of each original photo: pictures made from one photo are not independent.

    Drawn by lot, from the picture's name alone: the same data give the same thresholds.
    """
    lots = pictures.image.map(lambda name: hashlib.sha256(name.encode()).hexdigest())
    return pictures.loc[lots.sort_values().index].drop_duplicates("product_id")


def choose_thresholds(validation: pd.DataFrame, config: Evaluate) -> dict[str, Any]:
    """Review and flag thresholds with their certificates.

    Each is the strictest that the scopes ask for: the certified one of every scope with enough
    photos, and the plain quantile of every scope, which promises nothing but keeps a channel
    with few photos from being forgotten. If all damaged photos together are too few for the
    promise of the flag, nothing is ever flagged.

    Args:
        validation: One row a picture with score, label, cell, kind, channel, product_id, group_id
            and image.
        config: The two promised rates.

    Returns:
        threshold, review_threshold, the rates they were chosen for, how many pictures they rest on,
        the bound of the flag rate, and `certificate` with a table for each of both.
    """
    validation = validation.assign(score=validation.score.round(DIGITS))
    parts = {name: (rows, one_per_photo(rows)) for name, rows in scopes(validation).items()}
    authentic = validation[validation.label == 0]

    def strictest(rate: float) -> float:
        sets = [authentic, *(rows for rows, _ in parts.values())]
        # A set in which such a rate would not even show as one alarm has no say.
        found = [naive_threshold(s.score.to_numpy(), rate) for s in sets if len(s) * rate >= 1]
        sure = [certified_threshold(drawn.score.to_numpy(), rate) for _, drawn in parts.values()]
        found += [value for value in sure if value is not None]
        return max(found, default=0.0)  # knowing nothing, a person looks at every picture

    review = strictest(config.review_rate)
    # A small set may have a say about the review only: what it asks for holds for the flag, too.
    flag = max(strictest(config.false_alarm_rate), review)
    if len(parts["damaged"][1]) < needed(config.false_alarm_rate):
        flag = NEVER
    certificate = {
        "flag": certify(parts, flag, config.false_alarm_rate),
        "review": certify(parts, review, config.review_rate),
    }
    damaged = certificate["flag"]["table"][0]
    return {
        "threshold": flag,
        "review_threshold": review,
        "false_alarm_rate": config.false_alarm_rate,
        "review_false_alarm_rate": config.review_rate,
        "authentic_pictures": len(authentic),
        "damaged_pictures": damaged["pictures"],
        "really_damaged_pictures": certificate["flag"]["table"][1]["pictures"],
        "false_alarm_bound_95": damaged["bound"],
        "certificate": certificate,
    }


def certify(parts: Parts, threshold: float, rate: float) -> dict[str, Any]:
    """What can be promised about a threshold, scope by scope.

    Returns:
        rate, confidence, whether it is certified for damaged photos as a whole, how many more
        damaged photos that takes, and a table of every scope: pictures, the original photos they
        were made from, groups of photos that look alike (few groups: a narrow promise), alarms
        among one picture of each photo, their upper bound, and how many more photos are needed.
    """
    table = []
    for scope, (rows, drawn) in parts.items():
        alarms, n = int((drawn.score >= threshold).sum()), len(drawn)
        table.append({
            "scope": scope, "pictures": len(rows), "photos": n,
            "groups": rows.group_id.nunique(), "alarms": alarms,
            "bound": round(bound(alarms, n), 4), "certified": n >= needed(rate),
            "more_photos": max(0, needed(rate) - n),
        })  # fmt: skip
    whole = table[0]
    return {
        "rate": rate, "confidence": CONFIDENCE, "certified": whole["certified"],
        "more_photos": whole["more_photos"], "table": table,
    }  # fmt: skip


def risk_coverage(test: pd.DataFrame) -> pd.DataFrame:
    """Share of pictures decided (coverage) and of errors among them (risk), surest first.

    El-Yaniv & Wiener, "On the Foundations of Noise-free Selective Classification", JMLR 2010.
    """
    score, label = test.score.to_numpy(), test.label.to_numpy()
    order = np.argsort(-np.abs(score - 0.5), kind="stable")
    wrong = np.cumsum((score >= 0.5)[order] != (label == 1)[order])
    count = np.arange(1, len(test) + 1)
    return pd.DataFrame({"coverage": count / len(test), "risk": wrong / count})


def promises(validation: pd.DataFrame, test: pd.DataFrame, config: Evaluate) -> pd.DataFrame:
    """What naive and certified thresholds keep of several promises on unseen pictures.

    Returns:
        rule, rate (promised), measured with low and high (false alarms on damaged authentic test
        pictures), found (doctored ones flagged), coverage and risk of what needs no person.
    """
    damaged = validation[validation.cell == "authentic_damaged"].score.round(DIGITS).to_numpy()
    honest = test[test.cell == "authentic_damaged"].score.round(DIGITS).to_numpy()
    score, doctored = test.score.round(DIGITS).to_numpy(), test.label.to_numpy() == 1
    lines = []
    for rate in sorted({*RATES, config.false_alarm_rate}):
        wanted = replace(config, false_alarm_rate=rate, review_rate=max(rate, config.review_rate))
        found = choose_thresholds(validation, wanted)
        plain = naive_threshold(damaged, rate), naive_threshold(damaged, wanted.review_rate)
        for rule, flag, review in (
            ("naive", *plain), ("certified", found["threshold"], found["review_threshold"])
        ):  # fmt: skip
            alarms, n = int((honest >= flag).sum()), len(honest)
            low, high = metrics.clopper_pearson(alarms, n) if n else (0.0, 1.0)
            decided = (score >= flag) | (score < min(review, flag))
            wrong = (score >= flag) != doctored
            lines.append({
                "rule": rule, "rate": rate, "measured": alarms / max(1, n), "low": low,
                "high": high, "found": metrics.rate_at(score[doctored], flag),
                "coverage": float(decided.mean()),
                "risk": float(wrong[decided].mean()) if decided.any() else 0.0,
            })  # fmt: skip
    return pd.DataFrame(lines)

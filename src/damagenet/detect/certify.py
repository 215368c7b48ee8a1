"""From raw logits to a probability and to thresholds with a stated false-alarm rate.

Everything here is fitted on the validation split and only there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from damagenet.config import Evaluate
from damagenet.detect import metrics

DIGITS = 6
"""Scores are reported with so many digits, so thresholds are chosen on such scores."""

Floats = NDArray[np.floating[Any]]


def fit_calibration(logits: Floats, labels: NDArray[np.integer[Any]]) -> dict[str, float]:
    """Slope and offset of a logistic curve on the logit.

    Platt, "Probabilistic Outputs for Support Vector Machines", 1999; classes are weighted alike,
    so that the score means the same whatever the share of doctored pictures in validation.
    """
    fit = LogisticRegression(C=10.0, class_weight="balanced")
    fit.fit(logits.reshape(-1, 1).astype(float), labels)
    # A negative slope would turn the detector round; near zero says "no evidence" instead.
    return {"slope": max(float(fit.coef_[0, 0]), 1e-3), "offset": float(fit.intercept_[0])}


def calibrated(logits: Floats, calibration: dict[str, float]) -> Floats:
    """Score in [0, 1]."""
    value = np.asarray(logits, np.float64) * calibration["slope"] + calibration["offset"]
    return np.asarray(1 / (1 + np.exp(-np.clip(value, -50, 50))))


def choose_thresholds(scores: Floats, cells: NDArray[Any], config: Evaluate) -> dict[str, Any]:
    """Review and flag thresholds on authentic validation pictures.

    Each is the stricter of two: that of all authentic pictures, and that of damaged ones alone,
    so that the promise also holds for honest buyers with broken goods.

    Returns:
        threshold, review_threshold, the false-alarm rates they were chosen for, and how many
        pictures they rest on, with the upper Clopper-Pearson bound of the flag rate.
    """
    scores = np.round(scores, DIGITS)
    authentic = np.char.startswith(cells.astype(str), "authentic")
    damaged = cells == "authentic_damaged"

    def strict(rate: float) -> float:
        chosen = [metrics.threshold_at(scores[authentic], rate)]
        if damaged.sum() >= 20:
            chosen.append(metrics.threshold_at(scores[damaged], rate))
        # The next score up: rounding down would report the very pictures that must pass. A
        # threshold just above 1 reports nothing, which is right where honest pictures score 1.
        return (round(max(chosen) * 10**DIGITS) + 1) / 10**DIGITS

    flag, review = strict(config.false_alarm_rate), strict(config.review_rate)
    alarms = int((scores[authentic] >= flag).sum())
    return {
        "threshold": flag,
        "review_threshold": min(review, flag),
        "false_alarm_rate": config.false_alarm_rate,
        "review_false_alarm_rate": config.review_rate,
        "authentic_pictures": int(authentic.sum()),
        "damaged_pictures": int(damaged.sum()),
        "false_alarm_bound_95": round(metrics.clopper_pearson(alarms, int(authentic.sum()))[1], 4),
    }

"""Pure metrics on arrays: counts first, then scores. Label and mask: 1 = doctored.

`bootstrap` holds the same metrics for many resamples at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]


def auc(labels: Ints, scores: Floats) -> float:
    """Area under the ROC curve (Mann-Whitney U, ties count half); NaN with one class only."""
    doctored, authentic = scores[labels == 1], np.sort(scores[labels == 0])
    if not len(doctored) or not len(authentic):
        return float("nan")
    below = np.searchsorted(authentic, doctored, "left")
    through = np.searchsorted(authentic, doctored, "right")
    return float((below + through).sum() / (2 * len(doctored) * len(authentic)))


def average_precision(labels: Ints, scores: Floats) -> float:
    """Area under the precision-recall steps; NaN without doctored pictures."""
    if not labels.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(labels[order])
    last = np.append(ranked[1:] != ranked[:-1], True)  # equal scores share one threshold
    hits, reported = hits[last], np.flatnonzero(last) + 1
    return float((np.diff(hits, prepend=0) / hits[-1] * hits / reported).sum())


def threshold_at(authentic_scores: Floats, false_alarm_rate: float) -> float:
    """The smallest threshold that reports at most that share of authentic pictures.

    Reported means `score >= threshold`.
    """
    if len(authentic_scores) == 0:
        return float("nan")
    ordered = np.sort(authentic_scores)[::-1]
    allowed = int(np.floor(false_alarm_rate * len(ordered)))
    worst = ordered[allowed] if allowed < len(ordered) else -np.inf
    return float(np.nextafter(worst, np.inf, dtype=np.float64))


def rate_at(scores: Floats, threshold: float) -> float:
    """Share of pictures reported at a threshold; NaN without pictures."""
    return float((scores >= threshold).mean()) if len(scores) else float("nan")


def tpr_at(labels: Ints, scores: Floats, false_alarm_rate: float) -> float:
    """Share of doctored pictures found while at most that share of authentic ones is reported."""
    if not (labels == 1).any() or not (labels == 0).any():
        return float("nan")
    return rate_at(scores[labels == 1], threshold_at(scores[labels == 0], false_alarm_rate))


def pixel_counts(predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> tuple[int, int, int]:
    """True positive, false positive and false negative pixels."""
    return (
        int((predicted & truth).sum()),
        int((predicted & ~truth).sum()),
        int((~predicted & truth).sum()),
    )


def f1(tp: Ints, fp: Ints, fn: Ints) -> Floats:
    """F1 per picture from pixel counts; NaN where nothing is doctored (never averaged in)."""
    tp, fp, fn = (np.asarray(x, float) for x in (tp, fp, fn))
    return np.where(tp + fn > 0, 2 * tp / np.maximum(2 * tp + fp + fn, 1), np.nan)


def iou(tp: Ints, fp: Ints, fn: Ints) -> Floats:
    """Intersection over union per picture; NaN where nothing is doctored."""
    tp, fp, fn = (np.asarray(x, float) for x in (tp, fp, fn))
    return np.where(tp + fn > 0, tp / np.maximum(tp + fp + fn, 1), np.nan)


def lit_share(fp: Ints, width: Ints, height: Ints) -> Floats:
    """Share of an authentic picture's pixels that the heatmap calls doctored.

    The other half of `f1`, which knows doctored pictures only: a map that is bright everywhere has
    a good F1 on whole-frame edits, and 1 here.
    """
    fp, width, height = (np.asarray(x, float) for x in (fp, width, height))
    return np.asarray(fp / (width * height))


def expected_calibration_error(labels: Ints, scores: Floats, bins: int = 15) -> float:
    """Mean gap between score and frequency over equal-width bins, weighted by count.

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equation 3, for the
    probability of the class doctored.
    """
    index = np.minimum((scores * bins).astype(int), bins - 1)
    gaps = [
        (index == b).mean() * abs(labels[index == b].mean() - scores[index == b].mean())
        for b in range(bins)
        if (index == b).any()
    ]
    return float(sum(gaps))


def brier(labels: Ints, scores: Floats) -> float:
    """Mean squared difference between score and label."""
    return float(np.mean((scores - labels) ** 2))


def clopper_pearson(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact two-sided binomial interval (Clopper & Pearson, Biometrika 1934)."""
    tail = (1 - confidence) / 2
    low = 0.0 if hits == 0 else float(stats.beta.ppf(tail, hits, n - hits + 1))
    high = 1.0 if hits == n else float(stats.beta.ppf(1 - tail, hits + 1, n - hits))
    return low, high

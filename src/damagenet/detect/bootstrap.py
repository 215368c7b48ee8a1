"""Metrics of many resamples at once: weights `[resamples + 1, n]` in, one number per row out.

A resample draws whole product groups with replacement; a picture weighs as often as its group was
drawn. Row 0 weighs every picture once, so the first number is the value and the rest its spread.
All slices share one draw, so that differences of results are differences on the same pictures.
An undefined number is NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Ranked = tuple[Floats, Floats]
"""Weight of doctored and of authentic pictures at each distinct score, highest score first."""


def weights(groups: NDArray[Any], rng: np.random.Generator, resamples: int) -> Floats:
    """Weights float64 `[resamples + 1, n]` of pictures in product groups `[n]`."""
    _, inverse = np.unique(groups, return_inverse=True)
    n = int(inverse.max()) + 1
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=resamples)
    return np.vstack([np.ones((1, n)), drawn])[:, inverse]


def ranked(labels: NDArray[np.integer[Any]], scores: Floats, weight: Floats) -> Ranked:
    """Sort once for `auc`, `average_precision` and `tpr_at`; equal scores share a place."""
    if not len(scores):
        return weight, weight
    order = np.argsort(-scores, kind="stable")
    sorted_scores, sorted_labels = scores[order], labels[order]
    places = np.flatnonzero(np.append(True, sorted_scores[1:] != sorted_scores[:-1]))
    doctored, authentic = (
        np.add.reduceat(weight[:, order] * (sorted_labels == label), places, axis=1)
        for label in (1, 0)
    )
    return doctored, authentic


def auc(pair: Ranked) -> Floats:
    """Area under the ROC curve, ties counting half."""
    doctored, authentic = pair
    total = authentic.sum(1, keepdims=True)
    beaten = total - np.cumsum(authentic, axis=1) + authentic / 2
    return _ratio((doctored * beaten).sum(1), doctored.sum(1) * total[:, 0])


def average_precision(pair: Ranked) -> Floats:
    """Area under the precision-recall steps."""
    doctored, authentic = pair
    hits = np.cumsum(doctored, axis=1)
    precision = hits / np.maximum(hits + np.cumsum(authentic, axis=1), 1e-12)
    return _ratio((doctored * precision).sum(1), doctored.sum(1))


def tpr_at(pair: Ranked, false_alarm_rate: float) -> Floats:
    """Share of doctored pictures found while at most that share of authentic ones is reported."""
    doctored, authentic = pair
    total = authentic.sum(1)
    allowed = np.floor(false_alarm_rate * total)[:, None]
    kept = np.cumsum(authentic, axis=1) <= allowed
    return _ratio(np.where(total > 0, (doctored * kept).sum(1), np.nan), doctored.sum(1))


def mean(values: Floats | NDArray[np.bool_], weight: Floats) -> Floats:
    """Weighted mean of values `[n]`."""
    return _ratio(weight @ np.asarray(values, float), weight.sum(1))


def balanced_accuracy(
    labels: NDArray[np.integer[Any]], reported: NDArray[np.bool_], weight: Floats
) -> Floats:
    """Mean of the share of doctored pictures reported and of authentic ones passed."""
    doctored = labels == 1
    found = mean(reported[doctored], weight[:, doctored])
    return np.asarray((found + mean(~reported[~doctored], weight[:, ~doctored])) / 2)


def expected_calibration_error(
    labels: NDArray[np.integer[Any]], scores: Floats, weight: Floats, bins: int = 15
) -> Floats:
    """As `metrics.expected_calibration_error`."""
    inside = np.eye(bins)[np.minimum((scores * bins).astype(int), bins - 1)]
    gaps = np.abs(weight @ (inside * (labels - scores)[:, None]))
    return _ratio(gaps.sum(1), weight.sum(1))


def interval(values: Floats) -> tuple[float, float, float]:
    """The value, and the ends of the 95 % percentile interval of its defined resamples."""
    drawn = values[1:][np.isfinite(values[1:])]
    low, high = np.quantile(drawn, [0.025, 0.975]) if len(drawn) else (np.nan, np.nan)
    return float(values[0]), float(low), float(high)


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0)

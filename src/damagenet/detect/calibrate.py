"""From a raw logit to a probability: a logistic curve, bent where validation asks for it.

A straight logistic curve (Platt) fits when both classes have the same shape of logits. A detector
that finds some edits and misses others gives doctored pictures two humps, and a straight curve
is then wrong by up to 9 points. Isotonic regression bends, but in steps: pictures that the detector
ranks differently would get one score, and small sets are overfitted. The bent curve is a
logistic regression on a line with three knots, whose slopes stay positive: it keeps every rank and
exports as three hinges. Which of both is used is decided by cross-validation over products.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

KNOTS = 3
ENOUGH = 200
"""Pictures from which a bent curve is tried."""
FLATTEST = 1e-3
"""A detector that is wrong gets almost no slope ("no evidence"), never a turned one."""
STEEPEST = 3.0
"""Times the straight slope: where the few pictures of a segment happen to be separable, scores must
not saturate, as thresholds tell the surest pictures apart."""

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
Curve = dict[str, Any]


def fit_calibration(logits: Floats, labels: Ints, groups: NDArray[Any] | None = None) -> Curve:
    """Choose and fit the curve; classes weigh alike, whatever their shares.

    Args:
        logits: `[n]`.
        labels: `[n]`, 1 = doctored; both classes must be there.
        groups: Product of each picture `[n]`; None: each its own.

    Returns:
        slope and offset; knots and bends, too, where the bent curve has the lower log loss on
        products that it was not fitted on (both losses are given then).
    """
    logits = np.asarray(logits, np.float64)
    groups = np.arange(len(logits)) if groups is None else groups
    if len(logits) < ENOUGH or len(np.unique(groups)) < 5:
        return straight(logits, labels)
    losses = {"straight": 0.0, "bent": 0.0}
    for train, test in GroupKFold(5).split(logits, groups=groups):
        for name, fit in (("straight", straight), ("bent", bent)):
            curve = fit(logits[train], labels[train])
            losses[name] += log_loss(logits[test], labels[test], curve) * len(test) / len(logits)
    chosen = bent if losses["bent"] < losses["straight"] else straight
    return chosen(logits, labels) | {f"log_loss_{name}": loss for name, loss in losses.items()}


def straight(logits: Floats, labels: Ints) -> Curve:
    """Platt, "Probabilistic Outputs for Support Vector Machines", 1999."""
    fit = LogisticRegression(C=10.0, class_weight="balanced").fit(logits.reshape(-1, 1), labels)
    return {"slope": max(float(fit.coef_[0, 0]), FLATTEST), "offset": float(fit.intercept_[0])}


def bent(logits: Floats, labels: Ints) -> Curve:
    """The same on a line with knots at the quartiles, by bounded quasi-Newton steps."""
    centre, scale = float(logits.mean()), float(logits.std()) or 1.0
    x = (logits - centre) / scale
    knots = np.unique(np.quantile(x, np.linspace(0, 1, KNOTS + 2)[1:-1]))
    edges = np.concatenate([[-np.inf], knots, [np.inf]])
    parts = [  # how far x has come in each segment, from the first knot
        np.clip(x, low, high) - (high if low == -np.inf else low)
        for low, high in itertools.pairwise(edges)
    ]
    design = np.stack([*parts, np.ones_like(x)], axis=1)
    weights = _weights(labels)

    def loss(p: Floats) -> tuple[float, Floats]:
        z = design @ p
        error = weights * (1 / (1 + np.exp(-np.clip(z, -50, 50))) - labels)
        return float((weights * (np.logaddexp(0, z) - labels * z)).sum()), design.T @ error

    plain = straight(logits, labels)["slope"] * scale
    start = np.append(np.full(len(parts), plain), 0.0)
    limits = [(FLATTEST * scale, STEEPEST * plain)] * len(parts) + [(None, None)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=limits).x
    slopes = found[:-1] / scale
    places = knots * scale + centre
    return {
        "slope": float(slopes[0]),
        "offset": float(found[-1] - slopes[0] * places[0]),
        "knots": places.tolist(),
        "bends": np.diff(slopes).tolist(),
    }


def line(logits: Floats, curve: Curve) -> Floats:
    """The calibrated logit."""
    logits = np.asarray(logits, np.float64)
    value = logits * curve["slope"] + curve["offset"]
    for knot, bend in zip(curve.get("knots", ()), curve.get("bends", ()), strict=True):
        value = value + bend * np.maximum(logits - knot, 0)
    return value


def calibrated(logits: Floats, curve: Curve) -> Floats:
    """Score in [0, 1]."""
    return np.asarray(1 / (1 + np.exp(-np.clip(line(logits, curve), -50, 50))))


def log_loss(logits: Floats, labels: Ints, curve: Curve) -> float:
    """Mean negative log-likelihood, both classes weighing alike."""
    z = line(logits, curve)
    return float((_weights(labels) * (np.logaddexp(0, z) - labels * z)).sum())


def _weights(labels: Ints) -> Floats:
    """One weight a picture; each class that is there sums to a half, or to one when alone."""
    shares = [np.mean(labels == c) for c in (0, 1)]
    weights = np.where(labels == 1, 1 / max(shares[1], 1e-9), 1 / max(shares[0], 1e-9))
    return np.asarray(weights / weights.sum())

import numpy as np
import pytest
import torch
from torch import nn

from damagenet.detect import metrics
from damagenet.detect.calibrate import bent, calibrated, fit_calibration, line, log_loss, straight
from damagenet.detect.export import Deployed


def logits_of(shape, n, seed=0):
    """Logits and labels; `humps`: a detector that finds half of what is doctored."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    if shape == "humps":
        return rng.normal(np.where((labels == 1) & (rng.random(n) < 0.5), 3.0, 0.0), 1), labels
    return rng.normal(1.2 * labels, 1.0), labels


@pytest.mark.parametrize("fit", [straight, bent, fit_calibration])
@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("shape", ["normal", "humps"])
def test_calibration_keeps_the_order_of_logits(fit, direction, shape):
    logits, labels = logits_of(shape, 400)
    curve = fit(direction * logits, labels)
    scores = calibrated(np.linspace(-5, 7, 500), curve)
    assert 0 <= scores.min() and scores.max() <= 1
    assert (np.diff(scores) > 0).all()  # a wrong detector gets no slope, never a turned one
    assert (direction > 0) == (scores[-1] - scores[0] > 0.1)


@pytest.mark.parametrize("shape", ["normal", "humps"])
def test_calibrated_scores_are_probabilities_of_unseen_pictures(shape):
    logits, labels = logits_of(shape, 1000)
    fresh, truth = logits_of(shape, 20_000, seed=1)
    curve = fit_calibration(logits, labels)
    scores = calibrated(fresh, curve)
    assert metrics.expected_calibration_error(truth, scores) < 0.03
    assert metrics.auc(truth, scores) == pytest.approx(metrics.auc(truth, fresh))


def test_two_humps_bend_the_curve_and_a_straight_one_would_be_wrong():
    logits, labels = logits_of("humps", 1000)
    fresh, truth = logits_of("humps", 20_000, seed=1)
    curve, plain = fit_calibration(logits, labels), straight(logits, labels)
    assert len(curve["knots"]) == len(curve["bends"]) == 3
    assert curve["log_loss_bent"] < curve["log_loss_straight"]
    assert metrics.expected_calibration_error(truth, calibrated(fresh, plain)) > 0.06
    assert log_loss(fresh, truth, curve) < log_loss(fresh, truth, plain) - 0.02


def test_few_pictures_or_few_products_get_the_straight_curve():
    logits, labels = logits_of("humps", 1000)
    assert set(fit_calibration(logits[:150], labels[:150])) == {"slope", "offset"}
    assert set(fit_calibration(logits, labels, np.arange(1000) % 4)) == {"slope", "offset"}


def test_pictures_of_one_product_do_not_vouch_for_each_other():
    """Copies of few pictures: only losses over unseen products show that nothing was learnt."""
    rng = np.random.default_rng(3)
    logits, labels = np.repeat(rng.normal(0, 1, 20), 20), np.repeat(np.arange(20) % 2, 20)
    apart = fit_calibration(logits, labels)
    together = fit_calibration(logits, labels, np.repeat(np.arange(20), 20))
    assert together["log_loss_bent"] > apart["log_loss_bent"] + 0.01


def test_the_share_of_doctored_pictures_does_not_shift_the_score():
    logits, labels = logits_of("humps", 4000)
    few = (labels == 0) | (np.arange(len(labels)) % 10 == 1)
    for fit in (straight, bent):
        one, other = (calibrated(np.array([1.5]), fit(logits[at], labels[at]))[0]
                      for at in (few, np.ones_like(few)))  # fmt: skip
        assert one == pytest.approx(other, abs=0.06)


def test_extreme_logits_stay_finite():
    scores = calibrated(np.array([-1e9, 1e9]), {"slope": 5.0, "offset": 0.0})
    assert np.isfinite(scores).all() and scores[0] < 1e-9 and scores[1] > 1 - 1e-9
    same = np.zeros(300)
    assert np.isfinite(calibrated(same, fit_calibration(same, np.arange(300) % 2))).all()


class Echo(nn.Module):
    """A network whose logit is the first pixel of a picture, from -8 to 8."""

    def forward(self, image):
        return image[:, 0, 0, 0].float() / 16 - 8, image[..., 0].float()


@pytest.mark.parametrize("shape", ["normal", "humps"])
def test_the_exported_graph_has_the_same_curve(shape):
    curve = fit_calibration(*logits_of(shape, 1000))
    deployed = Deployed(Echo(), curve)
    pictures = torch.arange(256, dtype=torch.uint8)[:, None, None, None].expand(256, 8, 8, 3)
    with torch.no_grad():
        scores = deployed(pictures)[0].numpy()
    assert scores == pytest.approx(calibrated(np.arange(256) / 16 - 8, curve), abs=1e-5)
    assert ("knots" in curve) == (shape == "humps") and line(np.zeros(1), curve).shape == (1,)

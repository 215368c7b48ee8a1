import numpy as np
import pytest
from conftest import settings

from damagenet.detect import metrics
from damagenet.detect.certify import calibrated, choose_thresholds, fit_calibration

CELLS = ("authentic_intact", "authentic_damaged", "doctored_damage", "doctored_other")


def validation(seed=0, n=200, bias=0.0):
    """Logits, labels and cells; `bias` lets damage alone raise the logit, as it must not."""
    rng = np.random.default_rng(seed)
    cells = np.array(CELLS)[rng.integers(0, 4, n)]
    labels = np.char.startswith(cells, "doctored").astype(int)
    damaged = np.isin(cells, ["authentic_damaged", "doctored_damage"])
    return rng.normal(1.5 * labels + bias * damaged, 1.0), labels, cells


@pytest.mark.parametrize("direction", [1, -1])
def test_calibration_keeps_the_order_of_logits(direction):
    logits, labels, _ = validation()
    fit = fit_calibration(direction * logits, labels)
    grid = np.linspace(-8, 8, 400)
    scores = calibrated(grid, fit)
    assert (np.diff(scores) > 0).all() and 0 <= scores.min() and scores.max() <= 1
    assert fit["slope"] > 0  # a detector that is wrong gets no slope, never a turned one


def test_calibrated_scores_are_probabilities():
    logits, labels, _ = validation(n=4000)
    scores = calibrated(logits, fit_calibration(logits, labels))
    assert metrics.expected_calibration_error(labels, scores) < 0.05
    assert metrics.auc(labels, scores) == pytest.approx(metrics.auc(labels, logits))


def test_the_share_of_doctored_pictures_does_not_shift_the_score():
    logits, labels, _ = validation(n=4000)
    few = (labels == 0) | (np.arange(len(labels)) % 10 == 0)
    scores = [calibrated(np.array([0.75]), fit_calibration(logits[at], labels[at]))[0]
              for at in (few, np.ones_like(few))]  # fmt: skip
    assert scores[0] == pytest.approx(scores[1], abs=0.06)


def test_extreme_logits_stay_finite():
    scores = calibrated(np.array([-1e9, 1e9]), {"slope": 5.0, "offset": 0.0})
    assert np.isfinite(scores).all() and scores[0] < 1e-9 and scores[1] > 1 - 1e-9


@pytest.mark.parametrize("bias", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("digits", [1, 9])
def test_thresholds_keep_their_promise_for_honest_buyers_too(seed, bias, digits):
    logits, labels, cells = validation(seed, bias=bias)
    scores = np.round(calibrated(logits, fit_calibration(logits, labels)), digits)
    config = settings().evaluate
    found = choose_thresholds(scores, cells, config)
    for key, rate in (("threshold", 0.05), ("review_threshold", 0.2)):
        for honest in (labels == 0, cells == "authentic_damaged"):
            assert metrics.rate_at(scores[honest], found[key]) <= rate
    assert found["review_threshold"] <= found["threshold"] <= 1 + 1e-6
    assert found["false_alarm_rate"] == 0.05 and found["review_false_alarm_rate"] == 0.2
    assert found["authentic_pictures"] == (labels == 0).sum()
    assert found["damaged_pictures"] == (cells == "authentic_damaged").sum()


def test_damaged_goods_alone_raise_the_threshold():
    plain = validation(1)
    biased = validation(1, bias=2.0)
    found = []
    for logits, _, cells in (plain, biased):
        found.append(choose_thresholds(calibrated(logits, {"slope": 1, "offset": 0}), cells,
                                       settings().evaluate)["threshold"])  # fmt: skip
    assert found[1] > found[0]


def test_few_damaged_pictures_do_not_decide_alone():
    scores = np.concatenate([np.linspace(0, 0.5, 100), [0.99], [0.9]])
    cells = np.array(["authentic_intact"] * 100 + ["authentic_damaged", "doctored_damage"])
    assert choose_thresholds(scores, cells, settings().evaluate)["threshold"] < 0.6


def test_the_bound_is_that_of_the_alarms_that_were_seen():
    logits, labels, cells = validation(2)
    scores = calibrated(logits, fit_calibration(logits, labels))
    found = choose_thresholds(scores, cells, settings().evaluate)
    alarms = int((scores[labels == 0] >= found["threshold"]).sum())
    upper = metrics.clopper_pearson(alarms, int((labels == 0).sum()))[1]
    assert found["false_alarm_bound_95"] == pytest.approx(upper, abs=1e-4)
    assert found["false_alarm_bound_95"] > alarms / (labels == 0).sum()


def test_scores_that_saturate_raise_no_alarm_beyond_the_promise():
    scores = np.ones(100)
    cells = np.array(["authentic_intact", "doctored_other"] * 50)
    found = choose_thresholds(scores, cells, settings().evaluate)
    assert metrics.rate_at(scores[::2], found["threshold"]) <= 0.05

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from damagenet.detect import metrics


def drawn(seed, n=80, ties=True):
    """Labels and scores; ties as coarse detectors have them."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    labels[:2] = 0, 1
    scores = np.clip(rng.normal(0.4 + 0.2 * labels, 0.25), 0, 1)
    return labels, np.round(scores, 1) if ties else scores


@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("seed", range(10))
def test_auc_and_average_precision_are_those_of_scikit_learn(seed, ties):
    labels, scores = drawn(seed, ties=ties)
    assert metrics.auc(labels, scores) == pytest.approx(reference.roc_auc_score(labels, scores))
    expected = reference.average_precision_score(labels, scores)
    assert metrics.average_precision(labels, scores) == pytest.approx(expected)


def test_auc_counts_pairs():
    labels, scores = drawn(3)
    won = [
        (d > a) + 0.5 * (d == a) for d in scores[labels == 1] for a in scores[labels == 0]
    ]  # fmt: skip
    assert metrics.auc(labels, scores) == pytest.approx(np.mean(won))
    assert metrics.auc(labels, np.zeros(len(labels))) == 0.5
    assert (
        metrics.auc(labels, labels.astype(float)) == 1 and metrics.auc(labels, -1.0 * labels) == 0
    )


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_alone_has_no_auc(label):
    labels, scores = np.full(5, label), np.linspace(0, 1, 5)
    assert np.isnan(metrics.auc(labels, scores)) and np.isnan(metrics.tpr_at(labels, scores, 0.1))
    assert np.isnan(metrics.average_precision(labels, scores)) == (label == 0)


@pytest.mark.parametrize("n", [1, 7, 19, 20, 21, 100])
@pytest.mark.parametrize("rate", [0.0, 0.05, 0.2, 0.5, 0.99])
def test_a_threshold_never_exceeds_its_false_alarm_rate_and_is_the_smallest(n, rate):
    for seed in range(5):
        for scores in (drawn(seed, n)[1] if n > 1 else np.array([0.5]), np.full(n, 0.7)):
            threshold = metrics.threshold_at(scores, rate)
            assert metrics.rate_at(scores, threshold) <= rate
            lower = np.nextafter(threshold, -np.inf)
            assert metrics.rate_at(scores, lower) > rate


def test_a_threshold_needs_pictures_and_a_rate_of_one_reports_all():
    assert np.isnan(metrics.threshold_at(np.array([]), 0.1))
    assert np.isnan(metrics.rate_at(np.array([]), 0.1))
    assert metrics.rate_at(np.array([0.1, 0.9]), metrics.threshold_at(np.array([0.1, 0.9]), 1)) == 1


@pytest.mark.parametrize("seed", range(5))
def test_tpr_at_a_rate_is_the_best_that_keeps_the_rate(seed):
    labels, scores = drawn(seed)
    found = metrics.tpr_at(labels, scores, 0.1)
    false, true, _ = reference.roc_curve(labels, scores, drop_intermediate=False)
    assert found == pytest.approx(true[false <= 0.1].max())


def test_pixel_counts_and_f1_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    counts, expected = [], []
    for share in (0.02, 0.3, 0.9):
        truth, predicted = rng.random((20, 31)) < share, rng.random((20, 31)) < 0.4
        counts.append(metrics.pixel_counts(predicted, truth))
        expected.append(reference.f1_score(truth.ravel(), predicted.ravel()))
        assert sum(counts[-1]) == (predicted | truth).sum()
    assert metrics.f1(*np.array(counts).T) == pytest.approx(expected)


def test_iou_is_f1_over_two_minus_f1_and_undefined_on_authentic_pictures():
    tp, fp, fn = np.array([[3, 2, 1], [0, 4, 5], [7, 0, 0], [0, 9, 0]]).T
    found = metrics.iou(tp, fp, fn)
    f1 = metrics.f1(tp, fp, fn)[:3]
    assert found[:3] == pytest.approx(f1 / (2 - f1)) and found[0] == 0.5 and np.isnan(found[3])


def test_f1_is_undefined_on_authentic_pictures_and_zero_on_missed_ones():
    # tp, fp, fn of: authentic and quiet, authentic with alarms, missed, perfect
    tp, fp, fn = np.array([[0, 0, 0], [0, 9, 0], [0, 0, 5], [5, 0, 0]]).T
    found = metrics.f1(tp, fp, fn)
    assert np.isnan(found[:2]).all() and found[2:].tolist() == [0, 1]


def test_a_map_that_is_bright_everywhere_has_a_good_f1_on_whole_frames_and_shows_here():
    bright, truth = np.ones((4, 6), bool), np.zeros((4, 6), bool)
    assert metrics.f1(*metrics.pixel_counts(bright, ~truth)) == 1
    _, fp, _ = metrics.pixel_counts(bright, truth)
    assert metrics.lit_share(np.array([fp, 6, 0]), 6, 4).tolist() == [1, 0.25, 0]


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (0, 20), (1, 20), (7, 30), (30, 30), (99, 1000)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_clopper_pearson_is_that_of_scipy(hits, n, confidence):
    expected = stats.binomtest(hits, n).proportion_ci(confidence, "exact")
    assert metrics.clopper_pearson(hits, n, confidence) == pytest.approx(tuple(expected))


def test_calibration_error_by_hand():
    # Bin [0, 1/15): score 0, one of four doctored; last bin: score 1, two of two doctored.
    scores, labels = np.array([0, 0, 0, 0, 1.0, 1.0]), np.array([0, 0, 0, 1, 1, 1])
    expected = 4 / 6 * abs(0.25 - 0)
    assert metrics.expected_calibration_error(labels, scores) == pytest.approx(expected)
    assert metrics.expected_calibration_error(np.array([0, 1]), np.array([0.5, 0.5])) == 0


def test_a_score_that_is_a_probability_is_calibrated():
    rng = np.random.default_rng(0)
    scores = rng.random(20_000)
    labels = (rng.random(20_000) < scores).astype(int)
    assert metrics.expected_calibration_error(labels, scores) < 0.02
    assert metrics.expected_calibration_error(labels, scores**3) > 0.1


@pytest.mark.parametrize("seed", range(3))
def test_brier_is_that_of_scikit_learn(seed):
    labels, scores = drawn(seed)
    assert metrics.brier(labels, scores) == pytest.approx(
        reference.brier_score_loss(labels, scores)
    )

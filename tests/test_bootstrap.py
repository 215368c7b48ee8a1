import numpy as np
import pytest
from test_metrics import drawn

from damagenet.detect import bootstrap, metrics


def worlds(seed, n=80):
    """Labels, scores, weights of 20 resamples, and the rows that each of them stands for."""
    labels, scores = drawn(seed, n)
    rng = np.random.default_rng(seed)
    weight = bootstrap.weights(rng.integers(0, 20, n), rng, 20)
    return labels, scores, weight, [np.repeat(np.arange(n), w.astype(int)) for w in weight]


def test_the_first_row_is_the_sample_itself_and_the_others_keep_groups_whole():
    groups = np.array(["b", "a", "b", "c", "a", "b"])
    weight = bootstrap.weights(groups, np.random.default_rng(0), 300)
    assert weight.shape == (301, 6) and (weight[0] == 1).all()
    for name in "abc":
        same = weight[:, groups == name]
        assert (same == same[:, :1]).all()
    assert (weight[:, [1, 0, 3]].sum(1) == 3).all()  # as many groups as there are
    assert len({tuple(row) for row in weight}) > 5
    assert np.array_equal(weight, bootstrap.weights(groups, np.random.default_rng(0), 300))


@pytest.mark.parametrize("seed", range(4))
def test_every_row_is_the_plain_metric_of_the_rows_drawn(seed):
    labels, scores, weight, at = worlds(seed)
    pair = bootstrap.ranked(labels, scores, weight)
    for found, plain in (
        (bootstrap.auc(pair), lambda y, s: metrics.auc(y, s)),
        (bootstrap.average_precision(pair), metrics.average_precision),
        (bootstrap.tpr_at(pair, 0.05), lambda y, s: metrics.tpr_at(y, s, 0.05)),
        (bootstrap.tpr_at(pair, 0.3), lambda y, s: metrics.tpr_at(y, s, 0.3)),
        (bootstrap.expected_calibration_error(labels, scores, weight),
         metrics.expected_calibration_error),
        (bootstrap.mean((scores - labels) ** 2, weight), metrics.brier),
    ):  # fmt: skip
        expected = [plain(labels[rows], scores[rows]) for rows in at]
        assert found == pytest.approx(expected)


def test_balanced_accuracy_is_the_mean_of_both_rates():
    labels, scores, weight, at = worlds(7)
    found = bootstrap.balanced_accuracy(labels, scores >= 0.5, weight)
    for value, rows in zip(found, at, strict=True):
        y, reported = labels[rows], scores[rows] >= 0.5
        assert value == pytest.approx((reported[y == 1].mean() + (~reported)[y == 0].mean()) / 2)


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_alone_is_undefined(label):
    labels, scores, weight = np.full(4, label), np.arange(4.0), np.ones((3, 4))
    pair = bootstrap.ranked(labels, scores, weight)
    for found in (bootstrap.auc(pair), bootstrap.tpr_at(pair, 0.1)):
        assert np.isnan(found).all()
    empty = bootstrap.ranked(labels[:0], scores[:0], weight[:, :0])
    assert np.isnan(bootstrap.auc(empty)).all()


def test_an_interval_covers_95_percent_of_the_defined_resamples():
    values = np.array([0.4, *np.linspace(0, 1, 1001), np.nan])
    assert bootstrap.interval(values) == pytest.approx((0.4, 0.025, 0.975))
    assert np.isnan(bootstrap.interval(np.array([0.5, np.nan]))[1:]).all()


def test_intervals_cover_the_truth():
    # 200 worlds of 30 products: the interval of a mean must hold 0.5 about 95 times of 100.
    covered = 0
    for world in range(200):
        rng = np.random.default_rng(world)
        values, groups = rng.random(60), np.arange(60) // 2
        means = bootstrap.mean(values, bootstrap.weights(groups, rng, 200))
        _, low, high = bootstrap.interval(means)
        covered += low <= 0.5 <= high
    assert 175 <= covered <= 199

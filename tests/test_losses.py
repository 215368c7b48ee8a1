import pytest
import torch
from conftest import settings

from damagenet.detect import losses

TRAIN = settings(train={"map_weight": 1.0}).train


def batch():
    mask = torch.zeros(4, 10, 14)
    mask[2, 3:6, 2:9] = 1
    mask[3] = 1
    return mask, mask.amax((1, 2))


def test_right_answers_cost_nothing_and_wrong_ones_much():
    mask, label = batch()
    right = losses.detection(40 * label - 20, 40 * mask - 20, mask, label, TRAIN, label.sum())
    wrong = losses.detection(20 - 40 * label, 20 - 40 * mask, mask, label, TRAIN, label.sum())
    assert right < 1e-3 and wrong > 20


def test_a_batch_without_doctored_pixels_has_a_finite_loss():
    nothing = torch.zeros(2, 8, 8)
    loss = losses.detection(torch.zeros(2), nothing, nothing, torch.zeros(2), TRAIN, torch.ones(()))
    assert loss == pytest.approx(2 * 0.6931, abs=1e-3)


def test_the_weight_of_the_map_counts():
    mask, label = batch()
    none = settings(train={"map_weight": 0.0}).train
    logit = torch.zeros(4)
    assert losses.detection(logit, 9 * mask, mask, label, none, label.sum()) == pytest.approx(
        0.6931, abs=1e-3
    )
    assert losses.detection(logit, -9 * mask, mask, label, TRAIN, label.sum()) > 2


def test_twins_are_ranked_whatever_both_look_like():
    mask, label = torch.zeros(4, 6, 8), torch.tensor([0.0, 1, 0, 1])
    mask[1, :3] = mask[3, 2:5] = 1
    heat = 9 * mask
    for offset in (-20, 0, 20):  # what both show cancels
        apart = losses.twins(10 * label + offset, heat + offset, mask, label, label.sum())
        swapped = losses.twins(offset - 10 * label, offset - heat, mask, label, label.sum())
        assert apart < 1e-3 and swapped > 15
    assert losses.twins(label, heat, mask * 0, label * 0, torch.ones(())) == 0

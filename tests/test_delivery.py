import cv2
import numpy as np
import pytest
from conftest import photo

from damagenet.detect import delivery
from damagenet.runs import rng_for
from damagenet.synth import channel


def drawn(share, crop=64, compress=False, count=300):
    return [delivery.plan(rng_for(i, "delivery"), share, crop, compress) for i in range(count)]


def test_nothing_happens_at_share_zero():
    assert drawn(0.0, compress=True) == [([], 64)] * 300


def test_pasted_pixels_are_always_compressed():
    assert all(steps and steps[-1]["op"] == "JPEG" for steps, _ in drawn(0.5, compress=True))
    free = [bool(steps) and steps[-1]["op"] == "JPEG" for steps, _ in drawn(0.3)]
    assert 0.2 < np.mean(free) < 0.8


def test_every_kind_of_step_is_drawn_and_none_is_reserved():
    ops = {step["op"] for steps, _ in drawn(0.9) for step in steps}
    assert {"resize", "JPEG", "WEBP", "sharpen", "defocus", "beauty"} <= ops
    assert ops <= set(channel.OPS) and not channel.reserved(tuple(ops))


@pytest.mark.parametrize("crop", [64, 96])
def test_enough_is_cut_for_the_crop_to_be_left(crop):
    for steps, cut in drawn(0.8, crop, count=60):
        piece = np.resize(photo(300, 300), (cut, cut, 3))
        mask = np.zeros((cut, cut), np.uint8)
        mask[cut // 3 :] = 255
        pictures, moved = delivery.send([piece, piece.copy()], mask, steps)
        assert min(pictures[0].shape[:2]) >= crop + (2 * delivery.EDGE if steps else 0) - 1
        assert pictures[0].shape[:2] == moved.shape
        assert np.array_equal(*pictures)  # twins go the same way
        assert abs((moved > 127).mean() - 2 / 3) < 0.05


def test_decoys_keep_their_size_and_lose_detail():
    picture = photo(96, 112)
    soft = [delivery.softened(rng_for(i, "decoy"), picture) for i in range(40)]
    assert {x.shape for x in soft} == {picture.shape} and soft[0].dtype == np.uint8

    def detail(image):
        return float(cv2.Laplacian(image, cv2.CV_32F).var())

    assert np.mean([detail(x) < detail(picture) for x in soft]) > 0.9

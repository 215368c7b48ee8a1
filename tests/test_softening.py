import json

import cv2
import numpy as np
import pytest
from conftest import photo

from damagenet.runs import rng_for
from damagenet.synth.softening import FILTERS, plan

DRAWS = [(op, seed) for op in FILTERS for seed in range(3)]


def run(op, seed, image):
    return FILTERS[op](image, plan(rng_for(seed, op), op))


def detail(image):
    return cv2.Laplacian(image, cv2.CV_32F).std()


@pytest.mark.parametrize(("op", "seed"), DRAWS)
def test_a_filter_keeps_size_type_and_mean(op, seed):
    image = photo(151, 213)
    before = image.copy()
    soft = run(op, seed, image)
    assert soft.shape == image.shape and soft.dtype == np.uint8
    assert np.abs(soft.astype(float).mean((0, 1)) - image.mean((0, 1))).max() < 2.5
    assert np.array_equal(image, before) and not np.array_equal(soft, image)


@pytest.mark.parametrize(("op", "seed"), DRAWS)
def test_a_filter_moves_nothing(op, seed):
    image = photo(152, 214)
    step = plan(rng_for(seed, op), op)
    turned = image[::-1, ::-1].copy()
    apart = FILTERS[op](turned, step)[::-1, ::-1].astype(int) - FILTERS[op](image, step)
    assert np.abs(apart).max() <= 3  # the half-size picture of `beauty` rounds either way


@pytest.mark.parametrize(("op", "seed"), DRAWS)
def test_an_even_surface_stays_as_it_is(op, seed):
    even = np.full((97, 130, 3), (30, 140, 220), np.uint8)
    assert np.abs(run(op, seed, even).astype(int) - even).max() <= 2


@pytest.mark.parametrize(("op", "seed"), DRAWS)
def test_detail_falls_except_under_sharpening(op, seed):
    image = photo(151, 213)
    before = detail(image)
    if op == "sharpen":
        assert detail(run(op, seed, image)) > 1.1 * before
    elif op == "chroma":
        luma = [cv2.cvtColor(x, cv2.COLOR_RGB2GRAY) for x in (image, run(op, seed, image))]
        assert np.abs(luma[0].astype(int) - luma[1]).mean() < 1.5
        assert detail(cv2.cvtColor(run(op, seed, image), cv2.COLOR_RGB2YCrCb)[..., 1]) < detail(
            cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)[..., 1]
        )
    else:
        assert detail(run(op, seed, image)) < 0.97 * before


@pytest.mark.parametrize("op", ["bilateral", "beauty", "median"])
def test_edges_outlive_texture(op):
    rng = rng_for(1)
    image = np.full((120, 160, 3), 60, np.uint8)
    image[:, 80:] = 190
    image = np.clip(image + rng.normal(0, 5, image.shape), 0, 255).astype(np.uint8)
    soft = run(op, 0, image).astype(float)
    assert soft[:, :70].std() < 0.7 * image[:, :70].std()
    step = soft[:, 81:84].mean() - soft[:, 76:79].mean()
    assert step > 100  # of 130


def test_a_point_becomes_a_disc_of_the_radius_asked_for():
    point = np.zeros((41, 41, 3), np.uint8)
    point[20, 20] = 255
    spread = FILTERS["defocus"](cv2.multiply(point, 1), {"radius": 2.5})[..., 0]
    y, x = np.nonzero(spread)
    assert np.hypot(y - 20, x - 20).max() <= 3.0 and spread[20, 22] == spread[22, 20] > 0
    assert 255 - 25 < spread.sum() < 255 + 25


@pytest.mark.parametrize(("angle", "axis"), [(0, 1), (90, 0)])
def test_motion_blurs_along_its_angle(angle, axis):
    point = np.zeros((41, 41, 3), np.uint8)
    point[20, 20] = 255
    moved = FILTERS["motion"](point, {"length": 6.0, "angle": angle})[..., 0]
    extent = [np.ptp(places) for places in np.nonzero(moved)]
    assert extent[axis] == 6 and extent[1 - axis] == 0


@pytest.mark.parametrize("op", FILTERS)
def test_a_filter_is_plain_json_and_repeats_for_any_number_of_threads(op):
    step = plan(rng_for(2, op), op)
    assert json.loads(json.dumps(step)) == step
    image = photo(300, 420)
    once = FILTERS[op](image, step)
    cv2.setNumThreads(4)
    try:
        assert np.array_equal(FILTERS[op](image, step), once)
    finally:
        cv2.setNumThreads(1)

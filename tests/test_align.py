import json

import cv2
import numpy as np
import pytest
import scipy.fft
from conftest import photo, smooth

from damagenet.synth import encoders
from damagenet.synth.align import aligned, lacking_grain, low_frequencies, plan_align

NONE = {"colour": False, "mix": 0.0, "cut": 0, "grain": 0.0, "seed": 5, "jpeg": None}


@pytest.fixture
def region():
    mask = np.zeros((150, 210), np.uint8)
    cv2.ellipse(mask, (100, 70), (50, 35), 20, 0, 360, 1, -1)
    return mask > 0


@pytest.fixture
def noisy():
    """A photo with the noise of a sensor: soft, and alike in all colours."""
    rng = np.random.default_rng(2)
    noise = cv2.GaussianBlur(rng.standard_normal((150, 210), np.float32), (0, 0), 0.6)
    values = smooth(150, 210).clip(60, 190) + 4 / noise.std() * noise[..., None]
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


@pytest.fixture
def decoded(noisy, region):
    """What a decoder makes of it: smoother, and a little darker."""
    soft = cv2.GaussianBlur(noisy, (0, 0), 3).astype(np.int16) - 7
    return np.where(region[..., None], soft.clip(0, 255), noisy).astype(np.uint8)


def deviation(image, region):
    values = image.astype(np.float32)
    residual = values - cv2.GaussianBlur(values, (0, 0), 1.0)
    core = cv2.erode(region.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    return residual[core].std()


def test_nothing_drawn_changes_nothing(decoded, noisy, region):
    assert np.array_equal(aligned(decoded, noisy, region, NONE), decoded)
    everything = NONE | {"colour": True, "mix": 0.3, "cut": 4, "grain": 1.0}
    nowhere = np.zeros_like(region)
    assert np.array_equal(aligned(decoded, noisy, nowhere, everything), decoded)


@pytest.mark.parametrize(
    "change",
    [{"colour": True}, {"mix": 0.3}, {"cut": 5}, {"grain": 1.0},
     {"jpeg": {"quality": 88, "subsampling": 2, "tables": "ijg"}}],
)  # fmt: skip
def test_each_means_stays_in_the_region_and_repeats(decoded, noisy, region, change):
    before = decoded.copy(), noisy.copy()
    result = aligned(decoded, noisy, region, NONE | change)
    assert (result.shape, result.dtype) == (decoded.shape, np.uint8)
    assert np.array_equal(result[~region], decoded[~region])
    assert (result[region] != decoded[region]).mean() > 0.1
    assert np.array_equal(aligned(decoded, noisy, region, NONE | change), result)
    assert np.array_equal(decoded, before[0]) and np.array_equal(noisy, before[1])


def test_colour_undoes_the_shift_of_the_mean(decoded, noisy, region):
    def shift(image):
        return (image.astype(float) - noisy)[region].mean(axis=0)

    assert shift(decoded).max() < -5
    assert np.abs(shift(aligned(decoded, noisy, region, NONE | {"colour": True}))).max() < 0.3


def test_a_tint_that_varies_over_the_region_leaves_no_patch(noisy, region):
    """A decoder was seen to tint the white of a cup and not the dark fruit in it."""
    tint = np.linspace(0, 14, 210)[None, :, None] * (1, 0, -1)
    tinted = np.rint((noisy + np.where(region[..., None], tint, 0)).clip(0, 255)).astype(np.uint8)
    result = aligned(tinted, noisy, region, NONE | {"colour": True})
    assert np.abs(tinted.astype(int) - noisy)[region].mean() > 4
    assert np.abs(result.astype(int) - noisy)[region].mean() < 0.8


def test_after_colour_nothing_else_sees_a_step_at_the_rim(noisy, region):
    """Masked addition once left zeros around the region, which DCT blocks took in."""
    darker = np.where(region[..., None], noisy - np.uint8(9), noisy)
    result = aligned(darker, noisy, region, NONE | {"colour": True, "cut": 5, "grain": 1.0})
    assert np.abs(result.astype(int) - noisy)[region].mean() < 1


def test_mix_is_a_share_of_the_original(decoded, noisy, region):
    result = aligned(decoded, noisy, region, NONE | {"mix": 0.25})
    wanted = 0.75 * decoded.astype(float) + 0.25 * noisy
    assert np.abs(result - wanted)[region].max() <= 0.51


def test_low_frequencies_are_those_of_the_discrete_cosine_transform():
    values = np.random.default_rng(0).normal(0, 9, (16, 24, 3)).astype(np.float32)
    index = np.arange(8)
    for cut in (0, 3, 9, 15):
        wanted = np.zeros_like(values)
        for y in range(0, 16, 8):
            for x in range(0, 24, 8):
                block = values[y : y + 8, x : x + 8].astype(float)
                coefficients = scipy.fft.dctn(block, axes=(0, 1), norm="ortho")
                coefficients[np.add.outer(index, index) >= cut] = 0
                wanted[y : y + 8, x : x + 8] = scipy.fft.idctn(
                    coefficients, axes=(0, 1), norm="ortho"
                )
        assert np.abs(low_frequencies(values, cut) - wanted).max() < 1e-4


def test_low_frequencies_take_any_size():
    values = np.random.default_rng(0).normal(0, 9, (13, 30, 3)).astype(np.float32)
    assert np.abs(low_frequencies(values, 15) - values).max() < 1e-4
    assert np.array_equal(low_frequencies(values, 3)[:8, :24], low_frequencies(values[:8, :24], 3))


def test_cut_takes_high_frequencies_from_the_original(decoded, noisy, region):
    result = aligned(decoded, noisy, region, NONE | {"cut": 4}).astype(np.float32)
    block = np.s_[64:72, 96:104]  # of the frame's grid, inside the region
    assert region[block].all()
    index = np.add.outer(np.arange(8), np.arange(8))
    planes = [
        scipy.fft.dctn(np.asarray(x, float)[block][..., 1], norm="ortho")
        for x in (result, noisy, decoded)
    ]
    assert np.abs(planes[0] - planes[1])[index >= 4].max() < 2  # rounding
    assert np.abs(planes[0] - planes[2])[index < 4].max() < 2
    assert np.abs(planes[1] - planes[2])[index >= 4].max() > 5


def test_grain_puts_the_level_of_the_surroundings_back(decoded, noisy, region):
    level = deviation(noisy, region)
    assert deviation(decoded, region) < 0.2 * level
    full = deviation(aligned(decoded, noisy, region, NONE | {"grain": 1.0}), region)
    half = deviation(aligned(decoded, noisy, region, NONE | {"grain": 0.5}), region)
    assert 0.85 * level < full < 1.15 * level
    assert 0.4 * level < half < 0.6 * level
    everywhere = np.ones_like(region)
    soft = cv2.GaussianBlur(noisy, (0, 0), 3)
    grained = aligned(soft, noisy, everywhere, NONE | {"grain": 1.0})
    assert 0.85 * level < deviation(grained, everywhere) < 1.15 * level


def test_grain_is_as_soft_and_as_grey_as_the_original(decoded, noisy, region):
    added = lacking_grain(decoded.astype(np.float32), noisy.astype(np.float32), region, 1)[region]
    assert np.corrcoef(added[:, 0], added[:, 2])[0, 1] > 0.9  # the noise was the same in all
    rng = np.random.default_rng(3)
    coloured = np.rint(smooth(150, 210).clip(60, 190) + rng.normal(0, 4, (150, 210, 3)))
    sharp = lacking_grain(
        cv2.GaussianBlur(coloured, (0, 0), 3).astype(np.float32),
        coloured.astype(np.float32), region, 1,
    )  # fmt: skip
    assert abs(np.corrcoef(sharp[region][:, 0], sharp[region][:, 2])[0, 1]) < 0.1

    def neighbours(noise):
        inner = noise[50:90, 75:125, 0]
        return np.corrcoef(inner[:, 1:].ravel(), inner[:, :-1].ravel())[0, 1]

    soft = lacking_grain(decoded.astype(np.float32), noisy.astype(np.float32), region, 1)
    assert neighbours(soft) > neighbours(sharp) + 0.2
    other = lacking_grain(decoded.astype(np.float32), noisy.astype(np.float32), region, 2)
    assert not np.array_equal(soft, other)


def test_grain_spares_what_has_none_to_lack(noisy, region):
    old = noisy.astype(np.float32)
    assert deviation(aligned(noisy, noisy, region, NONE | {"grain": 1.0}), region) < 1.1 * (
        deviation(noisy, region)
    )  # an untouched region lacks nothing
    white = np.full_like(old, 255)
    assert not lacking_grain(white, white, region, 1).any()
    clean = smooth(150, 210).clip(60, 190).astype(np.float32)
    assert np.abs(lacking_grain(clean, clean, region, 1)).mean() < 0.3


def test_texture_beside_a_clean_surface_is_no_grain(region):
    """Fruit around a white cup once made its repaired glaze coarse."""
    rng = np.random.default_rng(0)
    scene = smooth(150, 210).clip(60, 190).astype(np.float32)
    scene[:, :125] += 25 * cv2.GaussianBlur(rng.standard_normal((150, 125, 1)), (0, 0), 2)[
        ..., None
    ] / 0.14  # fmt: skip
    assert np.abs(lacking_grain(scene, scene, region, 1))[:, 140:].mean() < 0.3


def test_jpeg_gives_the_region_the_blocks_of_the_frame(region):
    """As if the edited frame had been the camera's own JPEG, wherever the region lies."""
    settings = {"quality": 60, "subsampling": 2, "tables": "ijg"}
    frame = encoders.jpeg(photo(), **settings)[0]
    new = np.where(region[..., None], cv2.GaussianBlur(frame, (0, 0), 2), frame).astype(np.uint8)
    result = aligned(new, frame, region, NONE | {"jpeg": settings})
    whole = encoders.jpeg(new, **settings)[0]
    assert np.array_equal(result[region], whole[region])


def test_shapes_must_agree(noisy, region):
    with pytest.raises(ValueError, match="shapes differ"):
        aligned(noisy[:-1], noisy, region, NONE)


def test_plans_are_small_json_and_draw_each_means_for_a_share():
    camera = {"jpeg": {"quality": 91, "subsampling": 0, "tables": "flat"}, "seed": 3}
    rng = np.random.default_rng(0)
    plans = [plan_align(rng, camera) for _ in range(600)]
    assert all(json.loads(json.dumps(plan)) == plan and set(plan) == set(NONE) for plan in plans)
    for key, low, high in (("colour", 0.8, 0.97), ("mix", 0.15, 0.35), ("cut", 0.15, 0.35),
                           ("grain", 0.3, 0.5), ("jpeg", 0.4, 0.6)):  # fmt: skip
        assert low < np.mean([bool(plan[key]) for plan in plans]) < high
    assert all(0 <= plan["mix"] <= 0.3 and 0 <= plan["cut"] <= 14 for plan in plans)
    assert all(plan["jpeg"] in (None, camera["jpeg"]) for plan in plans)
    assert not any(plan_align(rng, None)["jpeg"] for _ in range(50))
    # A camera is no reason for other draws: twins stay comparable.
    one, two = (plan_align(np.random.default_rng(4), c) for c in (camera, None))
    assert one | {"jpeg": None} == two

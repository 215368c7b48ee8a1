import cv2
import numpy as np
import pytest
from conftest import photo
from scipy import stats

from damagenet import BadInput
from damagenet.synth import sensor
from damagenet.synth.capture import process, unprocess
from damagenet.synth.sensor import DEMOSAICS, demosaic, fixed_pattern, mosaic, noise, sense

PHASES = [[0, 0], [0, 1], [1, 0], [1, 1]]
QUIET = {"id": 1, "seed": 1, "prnu": 0.0, "dark": 0.0, "shot": 0.0, "read": 0.0}


def flat(level, camera, shape=(300, 400)):
    return sense(np.full(shape, level, np.float32), camera)


def correlation(a, b):
    return np.corrcoef(a.ravel(), b.ravel())[0, 1]


@pytest.mark.parametrize("phase", PHASES, ids=str)
def test_the_mosaic_keeps_the_right_colour_of_every_pixel(phase):
    light = np.random.default_rng(0).random((7, 10, 3), dtype=np.float32)
    raw = mosaic(light, phase)
    doubled = sensor.balance(raw.copy(), phase, 2.0, 3.0)
    for y in range(7):
        for x in range(10):
            on_red_row, on_red_column = y % 2 == phase[0], x % 2 == phase[1]
            colour = {(True, True): 0, (False, False): 2}.get((on_red_row, on_red_column), 1)
            assert raw[y, x] == light[y, x, colour]
            assert doubled[y, x] == raw[y, x] * np.float32((2, 1, 3)[colour])


@pytest.mark.parametrize("method", DEMOSAICS)
@pytest.mark.parametrize("phase", PHASES, ids=str)
def test_a_constant_survives_mosaic_and_demosaic_up_to_its_border(phase, method):
    light = np.tile(np.float32([0.2, 0.5, 0.8]), (21, 31, 1))
    found = demosaic(mosaic(light, phase), phase, method)
    assert found.dtype == np.float32
    assert np.abs(found - light).max() < 3e-5


@pytest.mark.parametrize("method", DEMOSAICS)
@pytest.mark.parametrize("phase", PHASES, ids=str)
def test_a_gradient_survives_mosaic_and_demosaic(phase, method):
    y, x = np.mgrid[:30, :44].astype(np.float32)
    light = np.stack([0.2 + 0.01 * x, 0.9 - 0.012 * x, 0.1 + 0.02 * y], -1).astype(np.float32)
    found = demosaic(mosaic(light, phase), phase, method)
    inside = (slice(3, -3), slice(3, -3))
    assert np.abs(found - light)[inside].max() < 3e-5


@pytest.mark.parametrize("method", DEMOSAICS)
@pytest.mark.parametrize("phase", PHASES, ids=str)
def test_measured_colours_are_kept_where_they_were_measured(phase, method):
    light = unprocess(photo(41, 62))
    found = demosaic(mosaic(light, phase), phase, method)
    row, column = phase
    for colour, (y, x) in {
        0: (row, column),
        2: (1 - row, 1 - column),
        1: (row, 1 - column),
    }.items():
        assert np.allclose(found[y::2, x::2, colour], light[y::2, x::2, colour], atol=2e-5)


def test_better_methods_reproduce_a_photo_better():
    light = unprocess(photo(120, 170))
    error = {}
    for method in DEMOSAICS:
        found = process(demosaic(mosaic(light, [0, 1]), [0, 1], method))
        error[method] = np.square(found - process(light)).mean()
    assert error["hamilton"] < 0.9 * error["malvar"] < 0.8 * error["bilinear"]
    assert error["edge"] < 1.1 * error["bilinear"]


def test_hamilton_runs_along_edges():
    light = np.full((40, 60, 3), 0.2, np.float32)
    light[:, 31:] = 0.7
    assert np.abs(demosaic(mosaic(light, [0, 0]), [0, 0], "hamilton") - light).max() < 1e-5
    assert np.abs(demosaic(mosaic(light, [0, 0]), [0, 0], "malvar") - light).max() > 0.05


def test_unknown_methods_are_refused():
    with pytest.raises(BadInput, match="known: bilinear"):
        demosaic(np.zeros((8, 8), np.float32), [0, 0], "nearest")


@pytest.mark.parametrize(("shot", "read"), [(1e-3, 1e-5), (1e-4, 1e-6), (2e-3, 2e-4)])
def test_noise_variance_grows_linearly_with_the_signal(shot, read):
    camera = QUIET | {"shot": shot, "read": read}
    levels = np.arange(0.1, 0.85, 0.1, dtype=np.float32)
    patches = [flat(level, camera | {"seed": k}) for k, level in enumerate(levels)]
    means, variances = ([float(f(patch)) for patch in patches] for f in (np.mean, np.var))
    line = stats.linregress(means, variances)
    assert np.allclose(means, levels, atol=1e-3)
    assert line.rvalue > 0.999
    assert line.slope == pytest.approx(shot, rel=0.03)
    assert line.intercept == pytest.approx(read, abs=0.03 * shot)


def test_in_the_dark_read_noise_is_left_with_both_its_sides():
    dark = flat(0, QUIET | {"shot": 1e-3, "read": 1e-5})
    assert abs(dark.mean()) < 1e-4  # no light is added by cutting noise off at black
    # Shot noise of the read noise's own upper half is all that comes on top.
    assert 1e-5 < dark.var() < 1.2e-5


def test_the_converter_saturates_and_has_twelve_bits():
    assert flat(1.3, QUIET).max() == 1
    ramp = sense(np.linspace(0, 1, 40000, dtype=np.float32).reshape(100, 400), QUIET)
    assert len(np.unique(ramp)) == 4096


def test_noise_is_normal_white_and_drawn_from_its_seed():
    values = noise((200, 301), 5)
    assert values.dtype == np.float32 and values.shape == (200, 301)
    assert stats.kstest(values.ravel(), "norm").pvalue > 0.01
    assert stats.kurtosis(values.ravel()) == pytest.approx(0, abs=0.06)
    for shifted in (values[1:], values[:, 1:]):
        assert abs(correlation(shifted, values[: shifted.shape[0], : shifted.shape[1]])) < 0.02
    assert np.array_equal(values, noise((200, 301), 5))
    assert abs(correlation(values, noise((200, 301), 6))) < 0.02


def test_old_and_new_opencv_look_the_same_values_up(monkeypatch):
    codes = np.random.default_rng(0).integers(0, 65536, (30, 41, 3), np.uint16)
    for table in (np.arange(65536, dtype=np.uint16)[::-1].copy(), sensor._NORMAL):
        here = sensor.look_up(codes, table)
        with monkeypatch.context() as patch:
            patch.setattr(cv2, "__version__", "4.10.0")
            there = sensor.look_up(codes, table)
        assert here.dtype == there.dtype == table.dtype
        assert np.array_equal(here, there) and np.array_equal(here, table[codes])


def test_the_fixed_pattern_belongs_to_the_body_and_continues_in_larger_pictures():
    body = QUIET | {"prnu": 0.006, "dark": 3e-4}
    gain, dark = fixed_pattern(body, (90, 131))
    larger = fixed_pattern(body, (600, 700))
    assert larger[0].shape == (600, 700)
    assert np.array_equal(gain, larger[0][:90, :131])
    assert np.array_equal(dark, larger[1][:90, :131])
    assert gain.std() == pytest.approx(0.006, rel=0.03) and abs(gain.mean() - 1) < 3e-4
    assert dark.std() == pytest.approx(3e-4, rel=0.03)
    assert abs(correlation(gain, dark)) < 0.03
    assert abs(correlation(gain, fixed_pattern(body | {"id": 2}, (90, 131))[0])) < 0.03
    tile = larger[0]
    assert abs(correlation(tile[:80, :180], tile[512:592, 512:692])) < 0.03  # never repeats


def test_the_fixed_pattern_is_multiplicative_and_the_dark_signal_is_not():
    body = QUIET | {"prnu": 0.008, "dark": 4e-4, "shot": 1e-4, "read": 1e-6}
    shape = (160, 200)

    def mean_of_many(level):
        shots = [flat(level, body | {"seed": k}, shape) for k in range(60)]
        return np.mean(shots, axis=0) - level

    gain, dark = fixed_pattern(body, shape)
    bright, dim, none = (mean_of_many(level) for level in (0.8, 0.2, 0.0))
    assert correlation(bright, gain) > 0.95
    assert correlation(none, dark) > 0.9 and abs(correlation(none, gain)) < 0.03
    slope = [stats.linregress(gain.ravel() - 1, field.ravel()).slope for field in (bright, dim)]
    assert slope == pytest.approx([0.8, 0.2], rel=0.05)

import numpy as np
import pytest
from conftest import photo, smooth
from scipy import stats

from damagenet.runs import rng_for
from damagenet.synth import capture
from damagenet.synth.capture import DEMOSAICS, demosaic, expose, mosaic, plan, process, unprocess

PHASES = [[0, 0], [0, 1], [1, 0], [1, 1]]


def camera(**change):
    """A camera without optics, denoising or sharpening, whose JPEG is as fine as it gets."""
    neutral = {
        "seed": 1, "phase": [0, 0], "red": 1.0, "blue": 1.0, "blur": 0.3, "shot": 1e-4,
        "read": 1e-6, "demosaic": "bilinear", "denoise": 0.0, "sharpen": 0.0, "quality": 100,
    }  # fmt: skip
    return neutral | change


def test_processing_undoes_unprocessing_for_every_grey_level_and_a_photo():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    for image in (levels, photo()):
        back = process(unprocess(image))
        assert back.dtype == np.float32
        assert np.abs(back * 255 - image).max() < 0.1


def test_scene_light_is_linear_light():
    light = unprocess(np.array([[[0, 128, 255]]], np.uint8)).ravel()
    assert light[0] == pytest.approx(0, abs=1e-6) and light[2] == pytest.approx(1, abs=1e-5)
    assert 0.18 < light[1] < 0.25  # mid grey reflects about a fifth
    rising = unprocess(np.arange(256, dtype=np.uint8).reshape(-1, 1, 1).repeat(3, 2))[:, 0, 0]
    assert (np.diff(rising) > 0).all()


@pytest.mark.parametrize("phase", PHASES, ids=str)
def test_the_mosaic_keeps_the_right_colour_of_every_pixel(phase):
    light = np.random.default_rng(0).random((7, 10, 3), dtype=np.float32)
    raw = mosaic(light, phase)
    for y in range(7):
        for x in range(10):
            on_red_row, on_red_column = y % 2 == phase[0], x % 2 == phase[1]
            colour = {(True, True): 0, (False, False): 2}.get((on_red_row, on_red_column), 1)
            assert raw[y, x] == light[y, x, colour]


@pytest.mark.parametrize("method", DEMOSAICS)
@pytest.mark.parametrize("phase", PHASES, ids=str)
def test_a_constant_survives_mosaic_and_demosaic_up_to_its_border(phase, method):
    light = np.tile(np.float32([0.2, 0.5, 0.8]), (21, 30, 1))
    assert np.abs(demosaic(mosaic(light, phase), phase, method) - light).max() < 1e-5


@pytest.mark.parametrize("method", DEMOSAICS)
@pytest.mark.parametrize("phase", PHASES, ids=str)
def test_a_gradient_survives_mosaic_and_demosaic(phase, method):
    y, x = np.mgrid[:30, :44].astype(np.float32)
    light = np.stack([0.2 + 0.01 * x, 0.9 - 0.012 * x, 0.1 + 0.02 * y], -1).astype(np.float32)
    found = demosaic(mosaic(light, phase), phase, method)
    inside = (slice(3, -3), slice(3, -3))
    assert np.abs(found - light)[inside].max() < 1e-5


@pytest.mark.parametrize("method", DEMOSAICS)
@pytest.mark.parametrize("phase", PHASES, ids=str)
def test_measured_colours_are_kept_where_they_were_measured(phase, method):
    light = unprocess(photo(40, 62))
    found = demosaic(mosaic(light, phase), phase, method)
    row, column = phase
    for colour, (y, x) in {
        0: (row, column),
        2: (1 - row, 1 - column),
        1: (row, 1 - column),
    }.items():
        assert np.allclose(found[y::2, x::2, colour], light[y::2, x::2, colour], atol=1e-6)


def test_malvar_reproduces_a_photo_better_than_bilinear():
    light = unprocess(photo(120, 170))
    errors = [
        np.square(demosaic(mosaic(light, [0, 1]), [0, 1], method) - light).mean()
        for method in ("bilinear", "malvar")
    ]
    assert errors[1] < 0.8 * errors[0]


@pytest.mark.parametrize(("shot", "read"), [(1e-3, 1e-5), (1e-4, 1e-6), (2e-3, 2e-4)])
def test_noise_variance_grows_linearly_with_the_signal(shot, read):
    levels = np.arange(0.1, 0.85, 0.1, dtype=np.float32)
    seen = camera(shot=shot, read=read)
    patches = [capture.sense(np.full((300, 400), level, np.float32), seen) for level in levels]
    means, variances = ([float(f(patch)) for patch in patches] for f in (np.mean, np.var))
    line = stats.linregress(means, variances)
    assert np.allclose(means, levels, atol=1e-3)
    assert line.rvalue > 0.999
    assert line.slope == pytest.approx(shot, rel=0.03)
    assert line.intercept == pytest.approx(read, abs=0.03 * shot)


def test_without_light_only_read_noise_is_left():
    dark = [np.zeros((96, 96, 3), np.float32), np.full((96, 96, 3), 0.4, np.float32)]
    noise = [unprocess(expose(scene, camera(shot=2e-3, read=1e-6))).std() for scene in dark]
    assert noise[0] < 0.1 * noise[1]


def test_the_same_camera_takes_the_same_bytes_and_another_seed_does_not():
    scene = unprocess(photo())
    first = expose(scene, camera())
    assert first.shape == scene.shape and first.dtype == np.uint8
    assert np.array_equal(first, expose(scene, camera()))
    assert not np.array_equal(first, expose(scene, camera(seed=2)))


@pytest.mark.parametrize("seed", range(4))
def test_a_drawn_camera_takes_a_recognisable_photo_without_colour_cast(seed):
    drawn = plan(rng_for(seed, "camera"))
    taken = expose(unprocess(photo()), drawn).astype(float)
    error = np.square(taken - photo()).mean()
    assert 10 * np.log10(255**2 / error) > 22
    assert np.abs((taken - photo()).mean((0, 1))).max() < 4


def test_white_balance_cancels_out():
    scene = unprocess(smooth(64, 90))
    quiet = {"shot": 1e-9, "read": 1e-12}
    plain = expose(scene, camera(**quiet)).astype(int)
    balanced = expose(scene, camera(**quiet, red=2.2, blue=1.8)).astype(int)
    assert np.abs(balanced - plain).mean() < 1


def test_plans_are_drawn_from_the_generator_alone_and_stay_in_range():
    drawn = [plan(rng_for(seed, "x")) for seed in range(60)]
    assert drawn == [plan(rng_for(seed, "x")) for seed in range(60)]
    assert {tuple(p["phase"]) for p in drawn} == {tuple(phase) for phase in PHASES}
    assert {p["demosaic"] for p in drawn} == set(DEMOSAICS)
    for p in drawn:
        assert 88 <= p["quality"] <= 97 and 1e-4 <= p["shot"] <= 10**-2.9 and p["read"] < p["shot"]


@pytest.mark.parametrize(("subsampling", "layers"), [(0, (1, 1)), (1, (2, 1)), (2, (2, 2))])
def test_the_camera_jpeg_has_the_subsampling_asked_for(subsampling, layers):
    from conftest import jpeg_facts

    pixels, data = capture.jpeg(photo(), 90, subsampling)
    assert jpeg_facts(data)[3][0] == layers
    assert pixels.shape == photo().shape

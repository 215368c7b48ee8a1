import cv2
import numpy as np
import pytest
from conftest import photo

from damagenet.runs import rng_for
from damagenet.synth.screens import plan_screen, plan_screenshot, rephotograph, screenshot

PLAIN = {
    "op": "screen", "inset": [[0, 0]] * 4, "factor": 1.0, "pitch": 1.0, "bulge": 0.0, "moire": 0.0,
    "rows": 0.0, "shift": 0.3, "tint": [1, 1, 1], "gamma": 1.0, "veil": 0.0,
    "glare": [0, 0, 0.3, 0.0], "slope": [0, -8], "blur": 0.3, "noise": 0.0, "seed": 1,
}  # fmt: skip


def even(value=150, height=240, width=321):
    return np.full((height, width, 3), value, np.uint8)


def test_a_flawless_screen_photo_only_adds_the_reflected_light():
    image = photo(240, 321)
    shot, (mask,) = rephotograph(image, [np.full((240, 321), 255, np.uint8)], PLAIN)
    added = shot.astype(int) - image
    assert shot.shape == image.shape and (mask == 255).all()
    assert 5 < np.median(added) < 12


@pytest.mark.parametrize("pitch", [1.05, 0.95, 2.05])
def test_the_moire_beats_at_the_difference_of_the_two_grids(pitch):
    shot, _ = rephotograph(even(), [], PLAIN | {"pitch": pitch, "moire": 0.1})
    lines = shot[..., 0].astype(float).mean(0)
    spectrum = np.abs(np.fft.rfft(lines - lines.mean()))
    frequency = np.argmax(spectrum) / len(lines)
    assert abs(frequency - 0.05) < 0.004
    # The sub-pixels of the three colours lie side by side, and so do their beats.
    assert np.corrcoef(lines, shot[..., 2].astype(float).mean(0))[0, 1] < 0.6


def test_rows_beat_down_and_columns_across():
    down, _ = rephotograph(even(), [], PLAIN | {"pitch": 1.05, "rows": 0.1})
    profile = down[..., 1].astype(float)
    assert profile.mean(1).std() > 5 > 1 > profile.mean(0).std()


def test_a_perspective_moves_picture_and_mask_alike():
    image, mask = even(40), np.zeros((240, 321), np.uint8)
    cv2.rectangle(mask, (60, 50), (250, 190), 255, -1)
    image[mask > 0] = 220
    inset = [[0.05, 0.0], [0.0, 0.04], [0.02, 0.05], [0.01, 0.01]]
    for factor in (0.8, 1.1):
        shot, (moved,) = rephotograph(image, [mask], PLAIN | {"inset": inset, "factor": factor})
        assert moved.shape == (round(240 * factor), round(321 * factor))
        seen, masked = shot[..., 0] > 137, moved >= 128
        assert (seen & masked).sum() / (seen | masked).sum() > 0.99


def test_beyond_the_picture_lies_the_dark_edge_and_no_mask():
    full = np.full((240, 321), 255, np.uint8)
    beyond, within = ({"inset": [[inset, inset]] * 4} for inset in (-0.05, 0.05))
    shot, (moved,) = rephotograph(even(220), [full], PLAIN | beyond)
    assert shot[:8].max() < 40 and not moved[:8].any() and not moved[:, :10].any()
    assert (moved[40:200, 40:280] == 255).all()
    shot, (moved,) = rephotograph(even(220), [full], PLAIN | within)
    assert (moved == 255).all() and shot.min() > 180


def test_noise_has_the_deviation_asked_for_and_its_own_seed():
    shots = [
        rephotograph(even(), [], PLAIN | {"noise": 4.0, "seed": seed})[0].astype(float)
        for seed in (1, 1, 2)
    ]
    assert np.array_equal(shots[0], shots[1]) and not np.array_equal(shots[0], shots[2])
    assert 3.6 < (shots[0] - cv2.blur(shots[0], (25, 25))).std() < 4.4


def test_veil_tint_and_gamma_act_as_named():
    grey = rephotograph(even(0), [], PLAIN | {"veil": 20.0})[0]
    assert 20 <= grey.min()
    red, _, blue = (
        rephotograph(even(), [], PLAIN | {"tint": [0.88, 0.95, 1.05]})[0].mean((0, 1)).tolist()
    )
    assert red < blue - 15
    assert rephotograph(even(), [], PLAIN | {"gamma": 1.2})[0].mean() < even().mean()


@pytest.mark.parametrize("seed", range(14))
def test_a_screenshot_holds_the_picture_between_its_bars(seed):
    image = photo(241, 333)
    step = plan_screenshot(rng_for(seed))
    canvas, (moved,) = screenshot(image, [np.full((241, 333), 255, np.uint8)], step)
    assert canvas.shape[:2] == moved.shape and canvas.shape[1] == round(333 * step["factor"])
    rows, columns = np.flatnonzero(moved.any(1)), np.flatnonzero(moved.any(0))
    shown = canvas[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert (moved[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] == 255).all()
    assert abs(shown.shape[1] / shown.shape[0] - 333 / 241) < 0.03
    back = cv2.resize(shown, (60, 43), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(back - cv2.resize(image, (60, 43), interpolation=cv2.INTER_AREA)).mean() < 6
    # Around it the phone draws on an even ground.
    ground = canvas[:, 0][moved[:, 0] == 0] if columns[0] else canvas[: rows[0]].reshape(-1, 3)
    if len(ground):
        assert (ground == np.median(ground, 0)).all(-1).mean() > 0.8


def test_a_screenshot_shows_the_bars_unless_they_were_cut_off():
    image, tall = photo(241, 333), []
    for seed in range(30):
        step = plan_screenshot(rng_for(seed))
        for cropped in (False, True):
            canvas, _ = screenshot(image, [], step | {"cropped": cropped})
            tall.append(canvas.shape[0])
            head = canvas[: round(60 * canvas.shape[1] / 390)]
            if not cropped:
                assert len(np.unique(head.reshape(-1, 3), axis=0)) > 8  # time, signal, battery
        assert tall[-2] > tall[-1]


@pytest.mark.parametrize("shape", [(64, 64), (300, 64), (64, 400)])
def test_screens_take_pictures_of_any_shape(shape):
    image, mask = cv2.resize(photo(), shape[::-1]), np.full(shape, 255, np.uint8)
    for seed in range(8):
        for draw, plan in ((screenshot, plan_screenshot), (rephotograph, plan_screen)):
            pixels, (moved,) = draw(image, [mask], plan(rng_for(seed)))
            assert pixels.shape == (*moved.shape, 3) and min(moved.shape) >= 64 and moved.any()
            assert pixels.dtype == np.uint8

import json

import cv2
import numpy as np
import pytest
from conftest import photo, smooth
from scipy import stats

from damagenet import BadInput
from damagenet.runs import rng_for
from damagenet.synth import capture
from damagenet.synth.capture import develop, expose, plan, process, unprocess
from damagenet.synth.sensor import DEMOSAICS

PHASES = [[0, 0], [0, 1], [1, 0], [1, 1]]
LOOKS = [None, {"contrast": 0.0, "gamma": 1.0}, {"contrast": 1.0, "gamma": 0.95},
         {"contrast": 0.65, "gamma": 1.04}]  # fmt: skip
GREY = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
MATRIX = [[1.45, -0.35, -0.1], [-0.2, 1.45, -0.25], [-0.05, -0.4, 1.45]]


def camera(**change):
    """A quiet camera without denoising or sharpening, whose JPEG is as fine as it gets."""
    neutral = {
        "id": 1, "seed": 1, "phase": [0, 0], "prnu": 0.0, "dark": 0.0, "shot": 1e-6, "read": 1e-9,
        "red": 1.0, "blue": 1.0, "matrix": GREY, "blur": 0.45, "demosaic": "hamilton",
        "look": capture.NEUTRAL, "denoise": {"style": "none", "luma": 0.0, "chroma": 0.0},
        "sharpen": {"amount": 0.0, "radius": 1.0, "limit": 10.0},
        "jpeg": {"tables": "ijg", "quality": 100, "subsampling": 0},
    }  # fmt: skip
    return neutral | change


def cameras(count, name="camera"):
    return [plan(rng_for(seed, name)) for seed in range(count)]


def correlation(a, b):
    return np.corrcoef(a.ravel(), b.ravel())[0, 1]


def mosaic_trace(pixels):
    """How much the bend of green differs between measured and interpolated pixels, in deviations.

    Gallagher & Chen, "Image authentication by detecting traces of demosaicing", CVPR workshops
    2008: green is measured on a chessboard, so the trace is the energy of the second derivative at
    the chessboard's frequency. Its sign tells on which squares.
    """
    bend = np.abs(cv2.Laplacian(pixels[..., 1].astype(np.float32), -1))[2:-2, 2:-2]
    y, x = np.indices(bend.shape)
    board = np.where((x + y) % 2, 1.0, -1.0)
    return (bend * board).mean() / bend.std() * np.sqrt(bend.size)


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_processing_undoes_unprocessing_for_every_grey_level_and_a_photo(look):
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    for image in (levels, photo(61, 83), photo(61, 83)[:, ::-1]):
        light = unprocess(image, look)
        back = process(light, look)
        assert light.dtype == back.dtype == np.float32
        assert light.shape == back.shape == image.shape
        assert np.abs(back * 255 - image).max() < 0.1


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_unprocessing_undoes_processing_up_to_the_rounding_of_a_photo(look):
    light = np.random.default_rng(0).random((30, 41, 3), dtype=np.float32)
    codes = np.rint(process(light, look) * 255).astype(np.uint8)
    off = np.abs(process(unprocess(codes, look), look) - process(light, look)).max()
    assert off < 0.51 / 255 + 1e-3


def test_scene_light_is_linear_light():
    light = unprocess(np.array([[[0, 128, 255]]], np.uint8)).ravel()
    assert light[0] == 0 and light[2] == 1
    assert light[1] == pytest.approx(0.2153, abs=2e-4)  # mid grey reflects about a fifth
    rising = unprocess(np.arange(256, dtype=np.uint8).reshape(-1, 1, 1).repeat(3, 2))[:, 0, 0]
    assert (np.diff(rising) > 0).all()


def test_looks_differ_in_contrast_and_brightness():
    light = np.linspace(0, 1, 101, dtype=np.float32).reshape(1, -1)
    flat, steep = (process(light, {"contrast": c, "gamma": 1.0}) for c in (0.2, 0.9))
    dark, bright = light < 0.18, light > 0.25
    assert (steep[dark][1:] < flat[dark][1:]).all()
    assert (steep[bright][:-1] > flat[bright][:-1]).all()
    darker = process(light, {"contrast": 0.8, "gamma": 1.05})
    assert (darker[0, 1:-1] < process(light)[0, 1:-1]).all()
    plain = process(light, {"contrast": 0.0, "gamma": 1.0})  # sRGB alone
    assert plain[0, 18] == pytest.approx(0.4613, abs=1e-3)


@pytest.mark.parametrize("look", [{"contrast": 1.2, "gamma": 1.0}, {"contrast": 0.5, "gamma": 0.0}])
def test_looks_that_cannot_be_undone_are_refused(look):
    with pytest.raises(BadInput, match="contrast"):
        unprocess(photo(8, 9), look)


def test_light_outside_the_range_is_clipped():
    light = np.array([[[-0.5, 0.0, 0.5], [1.0, 1.5, 9.0]]], np.float32)
    toned = process(light).ravel()
    assert toned[0] == toned[1] == 0 and (toned[3:] == 1).all()


def test_any_patch_and_view_of_a_scene_is_processed_like_the_whole():
    scene = unprocess(photo(40, 61))
    whole = process(scene)
    assert np.array_equal(process(scene[5:9, 7:30]), whole[5:9, 7:30])
    assert np.array_equal(process(scene[::-1, ::-2]), whole[::-1, ::-2])
    assert np.array_equal(process(scene[..., 1]), whole[..., 1])


@pytest.mark.parametrize("shape", [(64, 90), (67, 91), (90, 65), (530, 71)])
def test_every_camera_takes_pictures_of_any_shape(shape):
    for drawn in cameras(6):
        taken = expose(unprocess(photo(*shape)), drawn)
        assert taken.shape == (*shape, 3) and taken.dtype == np.uint8


def test_the_same_camera_takes_the_same_bytes_on_any_number_of_threads():
    scene = unprocess(photo(150, 211))
    for drawn in cameras(8):
        again = json.loads(json.dumps(drawn))
        assert again == drawn
        first = expose(scene, drawn)
        try:
            cv2.setNumThreads(3)
            assert np.array_equal(first, expose(scene.copy(), again))
        finally:
            cv2.setNumThreads(1)
        assert not np.array_equal(first, expose(scene, drawn | {"seed": drawn["seed"] + 1}))
        assert not np.array_equal(first, expose(scene, drawn | {"id": drawn["id"] + 1}))


@pytest.mark.parametrize("drawn", cameras(12), ids=lambda c: f"{c['demosaic']}-{c['iso']}")
def test_a_drawn_camera_takes_a_recognisable_photo_without_colour_cast(drawn):
    image = photo(200, 281)
    taken = expose(unprocess(image, drawn["look"]), drawn).astype(float)
    assert 10 * np.log10(255**2 / np.square(taken - image).mean()) > 23
    shift = (taken - image).mean((0, 1))
    assert np.abs(shift).max() < 2.5
    assert np.ptp(shift) < 2


def test_white_balance_and_colour_matrix_cancel_out():
    scene = unprocess(smooth(64, 91))
    plain = expose(scene, camera()).astype(int)
    balanced = expose(scene, camera(red=2.2, blue=1.8, matrix=MATRIX)).astype(int)
    off = np.abs(balanced - plain)
    assert off.mean() < 0.5 and np.quantile(off, 0.995) <= 4


def test_the_colour_matrix_and_white_balance_shape_the_noise():
    scene = np.full((120, 161, 3), 0.2, np.float32)

    def noise(**change):
        light = develop(scene, camera(shot=1e-4, demosaic="bilinear", **change)).astype(float)
        return light.std((0, 1)) / 65535, np.corrcoef(light.reshape(-1, 3).T)

    plain, apart = noise()
    mixed, together = noise(matrix=MATRIX)
    assert (mixed > 1.15 * plain).all()
    assert together[0, 1] < apart[0, 1] - 0.1  # what one channel gains the other loses
    red, _ = noise(red=2.4)
    assert red[0] > 1.4 * plain[0] and red[1] == pytest.approx(plain[1], rel=0.02)


@pytest.mark.parametrize("method", DEMOSAICS)
@pytest.mark.parametrize("phase", PHASES, ids=str)
def test_demosaicing_leaves_a_periodic_trace_that_tells_the_phase(method, phase):
    image = photo(240, 331)
    assert abs(mosaic_trace(image)) < 4
    fine = {"demosaic": method, "phase": phase, "shot": 1e-4, "red": 1.8, "matrix": MATRIX}
    for jpeg, least in ((100, 9), (92, 5)):
        shot = camera(**fine, jpeg={"tables": "ijg", "quality": jpeg, "subsampling": 2})
        trace = mosaic_trace(expose(unprocess(image), shot))
        assert abs(trace) > least
        # Interpolated green is smoother under bilinear and edge-aware methods; correcting by
        # another colour's bend makes it rougher.
        assert (trace > 0) == ((sum(phase) % 2 == 0) == (method in ("bilinear", "edge")))


def test_the_trace_is_broken_where_something_was_pasted_after_the_camera():
    image = photo(300, 411)
    scene = unprocess(image)
    for method in DEMOSAICS:
        taken = expose(scene, camera(demosaic=method, shot=1e-4))
        before, after = taken.copy(), taken.copy()
        inside = (slice(80, 220), slice(100, 300))
        # The same content: once out of a picture that the camera took, once straight into it.
        before[inside] = expose(scene, camera(demosaic=method, shot=1e-4, seed=9))[inside]
        after[inside] = np.rint(process(scene)[inside] * 255)
        assert abs(mosaic_trace(before[inside])) > 6
        assert abs(mosaic_trace(after[inside])) < 4


def test_most_drawn_cameras_leave_a_trace_in_their_jpeg():
    scene = unprocess(photo(240, 331))
    traces = [abs(mosaic_trace(expose(scene, drawn))) for drawn in cameras(30)]
    assert np.median(traces) > 8 and np.mean(np.array(traces) > 4) > 0.8


def test_the_fixed_pattern_ties_different_scenes_to_one_camera():
    def fingerprint(body, scenes):
        """Mean of what a smoothing filter takes away (Lukáš, Fridrich & Goljan 2006)."""
        residuals = []
        for k, scene in enumerate(scenes):
            taken = expose(scene, drawn[body] | {"seed": 100 * body + k}).astype(np.float32)
            residuals.append(taken - cv2.GaussianBlur(taken, (0, 0), 1.5))
        mean = np.mean(residuals, axis=0)[..., 1]
        # What lies on rows, columns or the mosaic's lattice belongs to the model, not the body.
        for y, x in np.ndindex(2, 2):
            mean[y::2, x::2] -= mean[y::2, x::2].mean()
        return mean

    plain = {"style": "none", "luma": 0.0, "chroma": 0.0}
    shot = {"red": 1.8, "blue": 1.6, "shot": 8e-5, "read": 1e-6, "prnu": 0.008, "denoise": plain}
    shot["jpeg"] = {"tables": "ijg", "quality": 95, "subsampling": 2}
    drawn = {number: capture.body(number) | shot for number in (3, 8)}
    shape = (128, 161)
    y = np.linspace(0.3, 0.7, shape[0], dtype=np.float32)[:, None, None]
    walls = [np.broadcast_to(y + 0.004 * k, (*shape, 3)).astype(np.float32) for k in range(24)]
    papers = [wall[::-1] * np.float32([0.9, 0.8, 0.7]) for wall in walls]
    first, again = fingerprint(3, walls), fingerprint(3, papers)
    other = fingerprint(8, papers)
    assert correlation(first, again) > 0.4
    assert abs(correlation(first, other)) < 0.05


def test_noise_of_one_body_grows_with_iso(monkeypatch):
    monkeypatch.setattr(capture, "BODIES", 1)
    shots = cameras(12)
    assert {shot["id"] for shot in shots} == {0}
    isos = np.array([shot["iso"] for shot in shots])
    assert isos.max() > 4 * isos.min()
    slopes = [shot["shot"] / shot["iso"] for shot in shots]
    assert np.ptp(slopes) < 0.02 * np.mean(slopes)
    reads = stats.linregress(isos**2, [shot["read"] for shot in shots])
    assert reads.rvalue > 0.999 and reads.slope > 0 and reads.intercept > 0
    scene = np.full((120, 161, 3), 0.3, np.float32)
    seen = [
        develop(scene, camera(shot=s["shot"], read=s["read"])).astype(float).var() for s in shots
    ]
    assert stats.linregress(isos, seen).rvalue > 0.995


def test_a_body_keeps_what_belongs_to_it():
    shots = {}
    for drawn in cameras(900):
        shots.setdefault(drawn["id"], []).append(drawn)
    assert len(shots) > 0.8 * capture.BODIES
    several = [group for group in shots.values() if len(group) > 2]
    fixed = ("phase", "prnu", "dark", "demosaic", "matrix", "look")
    for group in several:
        assert all(shot[key] == group[0][key] for shot in group for key in fixed)
        assert len({(s["jpeg"]["tables"], s["jpeg"]["subsampling"]) for s in group}) == 1
        assert np.ptp([shot["jpeg"]["quality"] for shot in group]) <= 4
        assert len({shot["seed"] for shot in group}) == len(group)
    assert len({json.dumps([group[0][key] for key in fixed]) for group in several}) == len(several)


def test_plans_are_drawn_from_the_generator_alone_are_plain_json_and_stay_in_range():
    drawn = cameras(300)
    assert drawn == cameras(300)
    assert {tuple(p["phase"]) for p in drawn} == {tuple(phase) for phase in PHASES}
    assert {p["demosaic"] for p in drawn} == set(DEMOSAICS)
    assert {p["denoise"]["style"] for p in drawn} == set(capture.STYLES)
    assert {p["jpeg"]["subsampling"] for p in drawn} == {0, 1, 2}
    assert len({p["jpeg"]["tables"] for p in drawn}) >= 5

    def plain(value):
        if isinstance(value, dict):
            return all(type(key) is str and plain(inner) for key, inner in value.items())
        if isinstance(value, list):
            return all(plain(inner) for inner in value)
        return type(value) in (int, float, str)  # a NumPy float would make other bytes

    for p in drawn:
        assert plain(p)
        assert 50 <= p["iso"] <= 2000 and 1e-5 < p["shot"] < 4e-3 and p["read"] < p["shot"]
        assert 86 <= p["jpeg"]["quality"] <= 98
        assert np.allclose(np.sum(p["matrix"], axis=1), 1)


def test_damage_before_the_lens_goes_through_the_camera_and_changes_nothing_far_away():
    scene = unprocess(photo(120, 161))
    hurt = scene.copy()
    hurt[50:60, 70:90] *= np.float32(0.2)
    for drawn in cameras(16):
        whole, broken = expose(scene, drawn), expose(hurt, drawn)
        changed = np.abs(whole.astype(int) - broken).max(-1)
        assert changed[52:58, 73:87].mean() > 25
        changed[8:112, 24:136] = 0  # as far as filters and JPEG blocks reach
        assert changed.max() == 0  # the same noise, the same pattern, the same JPEG grid


@pytest.mark.parametrize("shape", [(240, 321), (203, 306)])
@pytest.mark.parametrize("window", [np.s_[90:112, 140:171], np.s_[0:30, 275:306]], ids=str)
def test_a_part_taken_anew_is_what_the_whole_would_be(shape, window):
    scene = unprocess(photo(*shape))
    hurt = scene.copy()
    hurt[window] *= np.float32(0.3)
    for drawn in cameras(12):
        before, whole = capture.taken(scene, drawn), capture.taken(hurt, drawn)
        kept = before.copy()
        part = capture.retaken(before, hurt, drawn, window)
        off = np.abs(part.astype(int) - whole)
        assert off.max() <= 2 and (off > 0).mean() < 1e-3
        assert np.abs(part.astype(int) - before).max() > 20 and np.array_equal(before, kept)

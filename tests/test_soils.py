"""What the soils add to the properties tested for every kind: dyes, drops, colonies, coats."""

import cv2
import numpy as np
import pytest

from damagenet.synth import damage, soils
from damagenet.synth.spot import Canvas


def draw(kind, shade, colour, seed, severity=4, size=(200, 240)):
    """The layer of one damage in the middle of an evenly lit wall of goods."""
    linear = np.empty((*size, 3), np.float32)
    linear[:] = shade * np.array(colour)
    linear[:20] = 0.6  # something bright, as in most photos, tells how strong the light is
    inside = np.ones(size, np.float32)
    inside[:20] = 0
    recipe = {
        "seed": seed, "severity": severity, "x": 0.5, "y": 0.55, "angle": 0.4, "scale": 0.8,
        "light": -1.2,
    }  # fmt: skip
    function = {f.__name__: f for f in soils.KINDS}[kind]
    return linear, function(Canvas(linear, inside, recipe), severity)


def test_absorbed_is_the_beer_lambert_law():
    density = np.array([[0.0, 0.5], [1.0, 2.0]], np.float32)
    passed = soils.absorbed(density, (0.1, 0.7, 1.5))
    assert passed.dtype == np.float32
    np.testing.assert_allclose(passed[1, 1], np.exp([-0.2, -1.4, -3.0]), rtol=1e-5)
    assert (passed[0, 0] == 1).all()


def test_tinted_broadcasts():
    grey = np.linspace(0, 1, 15, dtype=np.float32).reshape(3, 5)
    colour = np.array([0.2, 0.5, 0.9], np.float32)
    assert np.array_equal(soils.tinted(grey, colour), grey[..., None] * colour)


@pytest.mark.parametrize("colour", [(1, 0.06, 0.04), (1, 0.8, 0.05), (0.9, 0.85, 0.8)])
def test_a_stain_shows_in_its_dye(colour):
    for seed in range(12):
        linear, layer = draw("stain", 0.5, colour, seed)
        damaged = damage.composite(linear, layer)
        loss = 1 - damaged[layer.mask] @ [0.3, 0.6, 0.1] / (linear[layer.mask] @ [0.3, 0.6, 0.1])
        assert np.median(loss) > 0.08, seed


def test_a_stain_only_ever_darkens_a_pale_surface():
    for seed in range(8):
        linear, layer = draw("stain", 0.7, (1, 1, 1), seed)
        assert (damage.composite(linear, layer) <= linear + 1e-6).all()


def test_no_boxes_around_drops():
    # Each drop is drawn in a window of its own, whose frame must not show.
    for seed in range(10):
        _, layer = draw("stain", 0.5, (1, 0.9, 0.7), seed)
        mask = layer.mask.astype(np.uint8)
        thin = mask - cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        lines = cv2.morphologyEx(thin, cv2.MORPH_OPEN, np.ones((1, 9), np.uint8))
        assert not lines.any(), seed


def test_a_coat_peels_and_cracks_around_one_place_only():
    # Plates are drawn in windows of a patch that is larger than all of them together.
    for seed in range(12):
        _, layer = draw("peeling", 0.5, (1, 0.9, 0.7), seed, 5)
        rows, columns = np.nonzero(layer.mask)
        size = 0.8 * np.sqrt(180 * 240)
        far = np.hypot(columns - 120, rows - 110) / size
        assert far.max() < 0.23 * soils.LOOSE * 1.35, seed
        # Straight plates, not blobs: some of the coat is left within the hull of what is gone.
        gone = (layer.opacity > 0.9).astype(np.uint8)
        outlines, _ = cv2.findContours(gone, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        hull = cv2.contourArea(cv2.convexHull(np.concatenate(outlines)))
        assert 0.2 * hull < gone.sum() < 0.93 * hull, seed


@pytest.mark.parametrize("colour", [(1, 1, 1), (1, 0.25, 0.1)])
def test_what_lies_under_a_dark_coat_does_not_glare(colour):
    for seed in range(12):
        _, layer = draw("peeling", 0.02, colour, seed)
        bare = layer.colour[layer.opacity > 0.9].mean()
        assert 0.02 < bare < 0.2, (seed, bare)  # the wall beside it is at 0.6


@pytest.mark.parametrize("shade", [0.02, 0.5])
def test_mould_is_spots_and_not_a_haze(shade):
    for seed in range(8):
        _, layer = draw("mould", shade, (1, 0.9, 0.8), seed, size=(400, 480))
        seen = layer.opacity[layer.touched]
        assert (seen > 0.15).mean() > 0.55, seed
        count, _ = cv2.connectedComponents((layer.opacity > 0.25).astype(np.uint8))
        assert count > 15, seed


@pytest.mark.parametrize("shade", [0.01, 0.05, 0.2, 0.6])
def test_mould_never_takes_the_colour_of_the_goods(shade):
    for seed in range(8):
        _, layer = draw("mould", shade, (1, 0.95, 0.9), seed)
        grown = layer.colour[layer.opacity > 0.4].mean()
        assert abs(np.log(grown / shade)) > 0.4, seed


def test_a_burn_is_darkest_where_it_is_hottest():
    for seed in range(6):
        linear, layer = draw("burn", 0.6, (1, 0.9, 0.8), seed, 5)
        damaged = damage.composite(linear, layer).mean(-1)
        core = layer.opacity > 0.8
        assert core.any()
        full = np.zeros(linear.shape[:2], bool)
        full[layer.window] = core
        scorched = layer.mask & ~cv2.dilate(full.astype(np.uint8), np.ones((5, 5))).astype(bool)
        assert damaged[full].mean() < 0.5 * damaged[scorched].mean()


@pytest.mark.parametrize("shade", [0.02, 0.2, 0.7])
def test_the_under_coat_stands_out(shade):
    for seed in range(10):
        _, layer = draw("peeling", shade, (1, 1, 1), seed)
        bare = np.median(layer.colour[layer.opacity > 0.9])
        assert abs(np.log(bare / shade)) > 0.3, seed

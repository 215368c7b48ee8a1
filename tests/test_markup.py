import json

import cv2
import numpy as np
import pytest
from conftest import photo

from damagenet.runs import rng_for
from damagenet.synth import markup
from damagenet.synth.markup import INKS, draw, plan

FOCUS = (0.4, 0.55, 0.12)
NAMES = ("ring", "box", "arrow", "words", "cover", "stamp")
COVERS = ("brush", "pixels", "blur", "bar")


def marks(name, count=6, focus=FOCUS, **wanted):
    """Steps that draw one mark of a name, with the settings wanted."""
    found = []
    for seed in range(4000):
        for mark in plan(rng_for(seed), focus)["marks"]:
            if mark["mark"] == name and all(mark[key] == wanted[key] for key in wanted):
                found.append({"op": "markup", "marks": [mark]})
        if len(found) >= count:
            return found[:count]
    raise AssertionError(f"no {name} with {wanted}")


def changed(step, image=None):
    """Which pixels a step changes, and what is left of a full mask."""
    image = photo(330, 471) if image is None else image
    pixels, (mask,) = draw(image, [np.full(image.shape[:2], 255, np.uint8)], step)
    return (pixels != image).any(-1), mask, pixels


@pytest.mark.parametrize("name", NAMES)
def test_a_mark_leaves_the_rest_of_the_picture_alone(name):
    for step in marks(name):
        touched, mask, _ = changed(step)
        other = changed(step, np.full((330, 471, 3), 128, np.uint8))[0]
        assert 0.0005 < (touched | other).mean() < 0.2
        # A mask only loses pixels that were drawn on; two pictures show all of the ink.
        assert set(np.unique(mask)) <= {0, 255} and not ((mask == 0) & ~(touched | other)).any()


@pytest.mark.parametrize("name", ["ring", "box", "arrow", "words"])
def test_opaque_ink_takes_what_it_hides_out_of_the_mask(name):
    wanted = {"opacity": 1.0} if name == "ring" else {}
    for step in marks(name, **wanted):
        _, mask, pixels = changed(step)
        hidden = mask == 0
        assert hidden.any()
        inner = cv2.erode(hidden.astype(np.uint8), np.ones((3, 3))) > 0
        colour = np.array(INKS[step["marks"][0]["ink"]])
        own = (pixels == colour).all(-1)
        # The heart of the ink shows its own colour; a label or an edge adds black or white.
        assert not inner.any() or own[inner].mean() > 0.4
        assert (own & ~hidden).sum() <= 2  # a photo may hold the colour by chance


def test_a_highlighter_and_a_mosaic_leave_the_mask_as_it_was():
    steps = marks("ring", opacity=0.45)
    for style in COVERS[:3]:
        steps += marks("cover", 2, style=style)
    for step in steps:
        touched, mask, _ = changed(step)
        assert touched.any() and (mask == 255).all()


def test_a_bar_hides_all_and_counts_as_ink():
    for step in marks("cover", 3, style="bar"):
        touched, mask, pixels = changed(step)
        assert (pixels[mask == 0] == INKS["black"]).all()
        assert (mask == 0).mean() > 0.01 and not (touched & (mask == 255)).any()


def test_a_mosaic_is_made_of_blocks_of_one_colour():
    for step in marks("cover", 3, style="pixels"):
        touched, _, pixels = changed(step)
        rows, columns = np.flatnonzero(touched.any(1)), np.flatnonzero(touched.any(0))
        block = max(3, round(step["marks"][0]["block"] * 471))
        top, left = rows[0] // block * block, columns[0] // block * block
        first = pixels[top : top + block, left : left + block].reshape(-1, 3)
        assert (first == first[0]).all()
        within = np.abs(
            np.diff(pixels[rows[0] : rows[-1], columns[0] : columns[-1]].astype(int), axis=1)
        )
        assert (within.sum(-1) == 0).mean() > 0.6


def test_a_mosaic_of_a_brush_changes_less_than_its_rectangle():
    for step in marks("cover", 3, style="brush"):
        whole = {"op": "markup", "marks": [step["marks"][0] | {"style": "pixels"}]}
        brushed, full = changed(step)[0], changed(whole)[0]
        assert 0.2 < brushed.sum() / full.sum() < 0.95 and not (brushed & ~full).any()


def test_what_is_hidden_is_not_the_damage():
    for step in marks("cover", 40):
        mark = step["marks"][0]
        assert abs(mark["x"] - FOCUS[0]) > 0.08 or abs(mark["y"] - FOCUS[1]) > 0.08
        assert mark["y"] < FOCUS[1]


@pytest.mark.parametrize("focus", [(0.3, 0.35, 0.1), (0.72, 0.6, 0.05), (0.5, 0.5, 0.25)])
def test_a_ring_goes_around_the_damage(focus):
    height, width = 330, 471
    for step in marks("ring", 12, focus):
        touched = changed(step, np.full((height, width, 3), 90, np.uint8))[0]
        y, x = np.argwhere(touched).mean(0)
        apart = abs(x - focus[0] * width), abs(y - focus[1] * height)
        assert max(apart) < 0.07 * width
        # The middle is left free, and the line surrounds it on all sides.
        filled = touched.astype(np.uint8)
        centre = round(focus[0] * width), round(focus[1] * height)
        assert not filled[centre[1] - 4 : centre[1] + 5, centre[0] - 4 : centre[0] + 5].any()
        angles = np.arctan2(*(np.argwhere(touched) - centre[::-1]).T)
        covered = np.histogram(angles, 24, (-np.pi, np.pi))[0] > 0
        assert covered.mean() > 0.9


def test_an_arrow_points_at_the_damage_from_inside_of_the_picture():
    for step in marks("arrow", 12, (0.1, 0.85, 0.06)):
        touched = changed(step, np.full((330, 471, 3), 90, np.uint8))[0]
        y, x = np.argwhere(touched).mean(0)
        assert x > 0.06 * 471 and y < 0.85 * 330
        assert np.hypot(*(np.argwhere(touched) - (0.85 * 330, 0.1 * 471)).T).min() < 0.12 * 471


@pytest.mark.parametrize("shape", [(64, 64), (65, 203), (900, 640)])
def test_every_mark_can_be_drawn_on_any_size(shape):
    image = cv2.resize(photo(), shape[::-1])
    for seed in range(40):
        pixels, masks = draw(image, [np.full(shape, 255, np.uint8)], plan(rng_for(seed), FOCUS))
        assert pixels.shape == image.shape and masks[0].shape == shape
        assert pixels.dtype == masks[0].dtype == np.uint8


def test_a_mark_grows_with_the_picture():
    for name in ("ring", "box", "arrow"):
        for step in marks(name, 4):
            small = changed(step, np.full((240, 330, 3), 90, np.uint8))[0].mean()
            large = changed(step, np.full((960, 1320, 3), 90, np.uint8))[0].mean()
            assert 0.5 < small / large < 2.2


def test_a_step_is_plain_json_and_draws_the_same_again():
    image, mask = photo(), np.full((150, 210), 255, np.uint8)
    before = image.copy()
    for seed in range(30):
        step = plan(rng_for(seed))
        assert json.loads(json.dumps(step)) == step == plan(rng_for(seed))
        first, second = (draw(image, [mask], step) for _ in range(2))
        assert np.array_equal(first[0], second[0]) and np.array_equal(first[1][0], second[1][0])
    assert np.array_equal(image, before) and (mask == 255).all()


def test_every_mark_and_style_is_drawn():
    steps = [plan(rng_for(seed), FOCUS) for seed in range(500)]
    drawn = [mark for step in steps for mark in step["marks"]]
    assert {mark["mark"] for mark in drawn} == set(NAMES)
    assert {mark["style"] for mark in drawn if mark["mark"] == "cover"} == set(COVERS)
    rings = [mark for mark in drawn if mark["mark"] == "ring"]
    assert {mark["wobble"] > 0 for mark in rings} == {True, False}
    assert np.mean([mark["ink"] in ("red", "crimson") for mark in rings]) > 0.5
    assert all(word.isascii() for word in markup.WORDS)  # the typeface has no other letters

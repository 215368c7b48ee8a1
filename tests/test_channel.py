import json

import cv2
import numpy as np
import pytest
from conftest import jpeg_facts, photo

from damagenet import images
from damagenet.runs import rng_for
from damagenet.synth import channel
from damagenet.synth.channel import CHAINS, apply, plan

DRAWS = [(chain, seed) for chain in CHAINS for seed in range(3)]


def drawn(chain, seed):
    return plan(rng_for(seed, chain), (chain,))


def twins():
    """Two finished photos of one scene that differ in their pixels, not in their size."""
    one = photo()
    other = np.clip(one.astype(int) + rng_for(0).normal(0, 12, one.shape), 0, 255)
    return one, other.astype(np.uint8)


def marked(colour=(255, 0, 255)):
    """A photo with a coloured rectangle, and the mask of that rectangle."""
    image, mask = photo(180, 260), np.zeros((180, 260), np.uint8)
    image[60:130, 90:200] = colour
    mask[60:130, 90:200] = 255
    return image, mask


@pytest.mark.parametrize(("chain", "seed"), DRAWS)
def test_one_draw_gives_twins_the_same_file_facts(chain, seed):
    empty = np.zeros(photo().shape[:2], np.uint8)
    facts = [jpeg_facts(apply(image, empty, drawn(chain, seed))[0]) for image in twins()]
    assert facts[0] == facts[1]
    assert facts[0][0] == "JPEG"


@pytest.mark.parametrize(("chain", "seed"), DRAWS)
def test_the_file_holds_what_the_last_step_asked_for(chain, seed):
    steps = drawn(chain, seed)["steps"]
    assert steps[-1]["op"] == "JPEG"
    data, mask = apply(*marked(), drawn(chain, seed))
    reference = jpeg_facts(
        channel.jpeg(images.read(data), steps[-1]["quality"], steps[-1]["subsampling"])[1]
    )
    assert jpeg_facts(data) == reference
    assert mask.shape == images.read(data).shape[:2]


@pytest.mark.parametrize(("chain", "seed"), DRAWS)
def test_the_mask_stays_on_the_picture(chain, seed):
    data, mask = apply(*marked(), drawn(chain, seed))
    red, green, blue = images.read(data).astype(int).transpose(2, 0, 1)
    shown = (red > 170) & (blue > 170) & (green < 90)
    assert set(np.unique(mask)) == {0, 255}
    common = (shown & (mask > 0)).sum()
    assert common / (shown | (mask > 0)).sum() > 0.9
    # Not even half a pixel off: the centres of both agree.
    centres = [np.argwhere(region).mean(0) for region in (shown, mask > 0)]
    assert np.abs(centres[0] - centres[1]).max() < 0.6


@pytest.mark.parametrize(("chain", "seed"), DRAWS)
def test_the_same_channel_gives_the_same_bytes(chain, seed):
    step = drawn(chain, seed)
    assert json.loads(json.dumps(step)) == step
    first, second = apply(*marked(), step), apply(*marked(), json.loads(json.dumps(step)))
    assert first[0] == second[0] and np.array_equal(first[1], second[1])


def test_what_it_is_given_is_left_alone():
    image, mask = marked()
    apply(image, mask, drawn("twice", 1))
    assert np.array_equal(image, marked()[0]) and np.array_equal(mask, marked()[1])


def test_the_chains_differ_as_described():
    sizes = {chain: [s["op"] for s in drawn(chain, 0)["steps"]] for chain in CHAINS}
    assert sizes["camera"] == ["JPEG"]
    assert sizes["chat"] == ["resize", "JPEG"]
    assert sizes["marketplace"] == ["crop", "resize", "JPEG"]
    assert "WEBP" in sizes["twice"] and sizes["twice"][-1] == "JPEG"


def test_every_subsampling_and_kernel_occurs():
    steps = [s for seed in range(40) for s in drawn("marketplace", seed)["steps"]]
    assert {s["subsampling"] for s in steps if s["op"] == "JPEG"} == {0, 1, 2}
    assert {s["kernel"] for s in steps if s["op"] == "resize"} == {"area", "linear", "lanczos"}


@pytest.mark.parametrize("kernel", ["area", "linear", "lanczos"])
def test_an_empty_mask_stays_empty_and_a_full_one_full(kernel):
    step = {"op": "resize", "factor": 0.73, "kernel": kernel}
    sent = {"steps": [step, {"op": "JPEG", "quality": 90, "subsampling": 2}]}
    for value in (0, 255):
        mask = apply(photo(), np.full(photo().shape[:2], value, np.uint8), sent)[1]
        assert (mask == value).all()
        assert mask.shape == (round(150 * 0.73), round(210 * 0.73))


def test_tiny_pictures_are_not_shrunk_below_what_the_detector_takes():
    image = cv2.resize(photo(), (80, 66))
    data, mask = apply(image, np.zeros((66, 80), np.uint8), drawn("chat", 0))
    assert min(mask.shape) >= 64 and images.read(data).shape[:2] == mask.shape

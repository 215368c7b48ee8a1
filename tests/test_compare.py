import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage
from PIL import Image

from damagenet import images
from damagenet.claims.compare import compare
from damagenet.claims.heatmaps import find_regions


def sample(name):
    return images.read(Path(skimage.__file__).parent / "data" / name)


def damaged(image):
    """A dark ragged stain, and where it is."""
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width]
    angle = np.arctan2(y - 0.55 * height, x - 0.45 * width)
    radius = 0.09 * width * (1 + 0.25 * np.sin(5 * angle) + 0.1 * np.sin(11 * angle))
    mask = np.hypot(y - 0.55 * height, x - 0.45 * width) < radius
    result = image.copy()
    result[mask] = (0.3 * image[mask] + [40, 25, 15]).astype(np.uint8)
    return result, mask


def sent(image, quality=75, scale=1.0, gain=1.0):
    """After a trip through a chat app."""
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    bright = np.clip(image * gain, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(bright).resize(size, Image.Resampling.BICUBIC).save(
        buffer, "JPEG", quality=quality
    )
    return images.read(buffer.getvalue())


@pytest.mark.parametrize("name", ["coffee.png", "chelsea.png", "motorcycle_left.png"])
@pytest.mark.parametrize(
    ("crop", "options"),
    [
        ((0, 1, 0, 1), {}),
        ((0.1, 0.9, 0.15, 1.0), {"quality": 60, "scale": 0.8, "gain": 1.12}),
        ((0, 0.95, 0.05, 0.9), {"quality": 85, "scale": 1.4, "gain": 0.9}),
    ],
)
def test_a_changed_copy_is_the_same_exposure(name, crop, options):
    listing = sample(name)
    claim, mask = damaged(listing)
    height, width = mask.shape
    top, bottom, left, right = (
        round(c * s) for c, s in zip(crop, (height, height, width, width), strict=True)
    )
    claim = sent(claim[top:bottom, left:right], **options)
    mask = mask[top:bottom, left:right].astype(np.uint8)
    mask = cv2.resize(mask, claim.shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0
    found = compare(claim, listing)
    assert found.finding == "same_exposure", found
    assert found.changed.shape == claim.shape[:2] and found.changed.dtype == np.float32
    assert found.changed.min() >= 0 and found.changed.max() <= 1
    assert found.aligned.shape == claim.shape and found.aligned.dtype == np.uint8
    changed = found.changed > 0.5
    assert (changed & mask).sum() / changed.sum() > 0.8
    assert (changed & mask).sum() / mask.sum() > 0.4  # dark on dark does not show
    assert 0.5 <= found.strength <= 1


def test_a_mirrored_copy_is_the_same_exposure():
    listing = sample("coffee.png")
    found = compare(sent(damaged(listing)[0][:, ::-1]), listing)
    assert found.finding == "same_exposure" and found.evidence.mirrored


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_listing_in_another_orientation_is_found(turns, mirrored):
    listing = sample("coffee.png")
    claim, mask = damaged(listing)
    claim, mask = (np.rot90(a[:, ::-1] if mirrored else a, turns) for a in (claim, mask))
    found = compare(sent(np.ascontiguousarray(claim)), listing)
    assert found.finding == "same_exposure" and found.evidence.mirrored == mirrored
    changed = found.changed > 0.5
    assert (changed & mask).sum() / changed.sum() > 0.8


@pytest.mark.parametrize("name", ["coffee.png", "chelsea.png", "rocket.jpg"])
def test_an_unchanged_copy_shows_no_damage_sized_change(name):
    listing = sample(name)
    found = compare(sent(listing, 70, 0.9, 1.1)[5:-20, 10:-30], listing)
    assert found.finding == "same_exposure"
    assert not [r for r in find_regions(found.changed) if r.area >= 0.0005]


def test_two_exposures_of_one_thing_are_the_same_object():
    found = compare(sample("motorcycle_left.png"), sample("motorcycle_right.png"))
    assert found.finding == "same_object" and not found.flat, found
    assert found.changed is None and found.aligned is None


def test_a_photo_from_another_viewpoint_is_not_the_same_exposure():
    coffee = sample("coffee.png")
    height, width = coffee.shape[:2]
    corners = np.float32([[0, 0], [width, 0], [width, height], [0, height]])
    seen = np.float32([[60, 40], [width - 20, 90], [width - 70, height - 60], [20, height - 20]])
    turned = cv2.warpPerspective(
        coffee, cv2.getPerspectiveTransform(corners, seen), (width, height), borderValue=(90,) * 3
    )
    found = compare(sent(turned), coffee)
    assert found.finding == "same_object" and found.flat and found.changed is None


@pytest.mark.parametrize(
    ("matrix", "finding"),
    [
        ([[1, 0.02, 0], [0, 1, 0]], "same_object"),  # far away, a plane at an angle is sheared only
        ([[1, 0, 0], [0, 0.96, 9]], "same_object"),
        ([[1, 0, 0], [0, 0.996, 1]], "same_exposure"),  # sizes are rounded to whole pixels
        ([[0.99, 0.14, -20], [-0.14, 0.99, 40]], "same_exposure"),
    ],
)
def test_copies_are_turned_and_scaled_not_stretched(matrix, finding):
    coffee = sample("coffee.png")
    seen = cv2.warpAffine(coffee, np.float32(matrix), coffee.shape[1::-1], borderValue=(90,) * 3)
    found = compare(sent(seen), coffee)
    assert found.finding == finding and found.flat is (finding == "same_object"), found


@pytest.mark.parametrize(
    ("a", "b"), [("coffee.png", "chelsea.png"), ("astronaut.png", "motorcycle_left.png")]
)
def test_unrelated_photos_are_different(a, b):
    found = compare(sample(a), sample(b))
    assert found.finding == "different" and found.strength > 0
    assert found.changed is None


@pytest.mark.parametrize("shape", [(1, 1), (1, 2000), (2000, 1), (40, 30), (400, 300)])
def test_too_little_texture_is_unsure(shape):
    flat = np.full((*shape, 3), 128, np.uint8)
    for pair in ((flat, sample("coffee.png")), (sample("coffee.png"), flat), (flat, flat)):
        found = compare(*pair)
        assert (found.finding, found.strength) == ("unsure", 0.0)


def test_the_same_input_gives_the_same_answer():
    listing = sample("coffee.png")
    claim = sent(damaged(listing)[0], 70, 0.8)
    first, second = compare(claim, listing), compare(claim, listing)
    assert first == second
    np.testing.assert_array_equal(first.changed, second.changed)

import cv2
import numpy as np
import pytest
from test_compare import sample, sent

from damagenet import BadInput
from damagenet.claims.damage_match import same_damage


def cracked(image, seed):
    """Branches from one point, another course for each seed, and their mask."""
    rng, mask = np.random.default_rng(seed), np.zeros(image.shape[:2], np.uint8)
    height, width = mask.shape
    for angle in np.linspace(0, 6.2, 7) + rng.uniform(0, 1):
        point, heading = np.array([0.45 * width, 0.5 * height]), angle
        for _ in range(12):
            heading += rng.normal(0, 0.5)
            following = point + 0.02 * width * np.array([np.cos(heading), np.sin(heading)])
            cv2.line(mask, *(tuple(int(v) for v in p) for p in (point, following)), 255, 4)
            point = following
    result = image.copy()
    result[mask > 0] = (0.2 * image[mask > 0]).astype(np.uint8)
    return result, mask > 0


def seen(image):
    """From another angle, in other light."""
    height, width = image.shape[:2]
    corners = np.float32([[0, 0], [width, 0], [width, height], [0, height]])
    moved = np.float32([[40, 25], [width - 10, 60], [width - 50, height - 40], [15, height - 10]])
    view = cv2.warpPerspective(image, cv2.getPerspectiveTransform(corners, moved), (width, height))
    light = np.linspace(0.8, 1.15, width)[None, :, None]
    return np.clip(view * light * (1.05, 1.0, 0.92), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", ["coffee.png", "astronaut.png"])
def test_one_crack_seen_twice_is_the_same_pattern(name):
    first, mask = cracked(sample(name), 1)
    found = same_damage(sent(first, 85), mask, sent(seen(first), 75, 0.9))
    assert found.finding == "same_pattern" and found.strength > 0.7, found
    heat = mask.astype(np.float32) * 0.9
    assert same_damage(first, heat, seen(first)).finding == "same_pattern"


@pytest.mark.parametrize("name", ["coffee.png", "astronaut.png"])
def test_another_crack_or_none_is_another_pattern(name):
    first, mask = cracked(sample(name), 1)
    for second in (cracked(sample(name), 2)[0], sample(name)):
        found = same_damage(sent(first, 85), mask, sent(seen(second), 75, 0.9))
        assert found.finding == "another_pattern" and found.reason, found


@pytest.mark.parametrize(("kept", "finding"), [(0.0, "another_pattern"), (0.3, "unsure")])
def test_damage_that_only_the_second_photo_shows_counts_when_it_is_marked(kept, finding):
    # A hole takes the detail with it; a stain may also be a shadow, so it stays unsure.
    first, mask = cracked(sample("coffee.png"), 1)
    second = first.copy()
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
    stain = np.hypot(y - 0.5 * mask.shape[0], x - 0.62 * mask.shape[1]) < 60
    second[stain] = (kept * first[stain] + (60, 40, 10)).astype(np.uint8)
    assert same_damage(first, mask, second, mask | stain).finding == finding


def test_what_cannot_be_placed_is_unsure():
    first, mask = cracked(sample("coffee.png"), 1)
    other = same_damage(first, mask, sample("chelsea.png"))
    assert (other.finding, other.strength) == ("unsure", 0.0) and "found" in other.reason
    assert same_damage(first, np.zeros_like(mask), first).finding == "unsure"
    away = sent(first)[:, : round(0.4 * mask.shape[1])]  # the damaged part is not in the picture
    assert same_damage(first, mask, np.ascontiguousarray(away)).finding == "unsure"


@pytest.mark.parametrize("shape", [(1, 1), (1, 2000), (2000, 1), (300, 400)])
def test_plain_and_hostile_pictures_are_unsure(shape):
    flat, coffee = np.full((*shape, 3), 128, np.uint8), sample("coffee.png")
    everywhere = np.ones(shape, bool)
    for pair in ((flat, everywhere, flat), (flat, everywhere, coffee),
                 (coffee, np.ones(coffee.shape[:2], bool), flat)):  # fmt: skip
        assert same_damage(*pair).finding == "unsure"


def test_a_map_of_another_size_is_refused():
    coffee = sample("coffee.png")
    with pytest.raises(BadInput, match="damage_a"):
        same_damage(coffee, np.ones((5, 5), bool), coffee)

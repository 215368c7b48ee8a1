import cv2
import numpy as np
import pytest
from test_compare import damaged, sample, sent

from damagenet import images
from damagenet.claims import catalogue, reuse

pytest.importorskip("usearch")


def cracked(image):
    """Dark branches with rims, drawn from a fixed seed, and the box around them."""
    rng, result = np.random.default_rng(4), image.copy()
    height, width = image.shape[:2]
    for angle in np.linspace(0, 6.2, 9):
        point, heading = np.array([0.5 * width, 0.5 * height]), angle
        for _ in range(14):
            heading += rng.normal(0, 0.5)
            following = point + 0.02 * width * np.array([np.cos(heading), np.sin(heading)])
            ends = [tuple(int(v) for v in p) for p in (point, following)]
            cv2.line(result, *ends, (225, 220, 210), 5, cv2.LINE_AA)
            cv2.line(result, *ends, (25, 20, 20), 2, cv2.LINE_AA)
            point = following
    top, left, size = int(0.25 * height), int(0.3 * width), int(0.45 * height)
    return result, (slice(top, top + size), slice(left, left + size))


def pasted(piece, target, angle=20.0, scale=1.0):
    """A round piece on another photo, and where."""
    size, (height, width) = piece.shape[0], target.shape[:2]
    matrix = cv2.getRotationMatrix2D((size / 2, size / 2), angle, scale)
    matrix[:, 2] += (0.5 * width - size / 2, 0.5 * height - size / 2)
    y, x = np.mgrid[:size, :size] - size / 2
    soft = np.clip((size / 2 - 1 - np.hypot(x, y)) / 5, 0, 1).astype(np.float32)
    alpha = cv2.warpAffine(soft, matrix, (width, height))[..., None]
    moved = cv2.warpAffine(piece, matrix, (width, height), flags=cv2.INTER_CUBIC)
    return (target * (1 - alpha) + moved * alpha).astype(np.uint8), alpha[..., 0] > 0.5


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(("angle", "scale"), [(0, 1.0), (25, 0.8), (-100, 1.2)])
def test_a_pasted_piece_is_found_and_outlined(mirrored, angle, scale):
    earlier, box = cracked(sample("coffee.png"))
    piece = np.ascontiguousarray(earlier[box][:, :: -1 if mirrored else 1])
    claim, mask = pasted(piece, sample("chelsea.png"), angle, scale)
    found = reuse.compare_parts(sent(claim, 80), earlier, "before.jpg")
    assert (found.finding, found.path, found.mirrored) == ("same_part", "before.jpg", mirrored)
    assert 0.5 < found.strength <= 1 and found.area.dtype == np.float32
    area = found.area > 0.5
    assert (area & mask).sum() / (area | mask).sum() > 0.5


def test_the_whole_photo_again_is_said_so():
    earlier = damaged(sample("coffee.png"))[0]
    found = reuse.compare_parts(sent(earlier[30:, 20:-40, :][:, ::-1], 60, 0.7), earlier)
    assert found.finding == "same_photo" and found.mirrored and found.area.mean() > 0.8


def test_the_same_print_photographed_again_is_not_accused():
    found = reuse.compare_parts(sample("motorcycle_left.png"), sample("motorcycle_right.png"))
    assert (found.finding, found.strength, found.area) == ("unsure", 0.0, None)


@pytest.mark.parametrize("other", ["chelsea.png", "rocket.jpg"])
def test_photos_without_anything_in_common_share_nothing(other):
    assert reuse.compare_parts(sample("coffee.png"), sample(other)).finding == "none"


@pytest.mark.parametrize("shape", [(1, 1), (1, 2000), (2000, 1), (300, 400)])
def test_plain_and_hostile_pictures_share_nothing(shape):
    flat = np.full((*shape, 3), 128, np.uint8)
    for pair in ((flat, flat), (flat, sample("coffee.png")), (sample("coffee.png"), flat)):
        assert reuse.compare_parts(*pair).finding == "none"


@pytest.mark.slow
def test_earlier_claims_are_searched(tmp_path):
    earlier, box = cracked(sample("coffee.png"))
    images.write(tmp_path / "old" / "cracked.png", earlier)
    for name in ("rocket.jpg", "astronaut.png"):
        images.write(tmp_path / "old" / f"{name[:-4]}.png", sample(name))
    images.write(tmp_path / "old" / "gone.png", earlier[:, ::-1])
    shelf, _ = catalogue.build([tmp_path / "old"], tmp_path / "old.safetensors")
    (tmp_path / "old" / "gone.png").unlink()
    claim, _ = pasted(earlier[box], sample("chelsea.png"))
    (found,) = reuse.reused(sent(claim, 75), shelf)
    assert found.finding == "same_part" and found.path.endswith("cracked.png")
    assert reuse.reused(sample("brick.png"), shelf) == []


def test_a_strip_too_thin_to_look_at_is_nothing_found(tmp_path):
    strip = np.random.default_rng(0).integers(0, 256, (16, 2000, 3), dtype=np.uint8)
    assert reuse.compare_parts(strip, strip, "before.png").finding in reuse.ORDER
    assert reuse.compare_parts(strip[:, ::-1].copy(), strip).finding in reuse.ORDER

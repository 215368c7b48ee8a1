"""Previews: made as cameras make them, then left behind by honest and other changes."""

import io
import struct
import sys

import cv2
import numpy as np
import pytest
from conftest import ROOT, encoded, photo
from PIL import Image

from damagenet.claims import read_labels
from damagenet.claims.preview import compared

pytest.importorskip("cryptography")
sys.path.insert(0, str(ROOT / "scripts"))
from label_carriers import preview_exif, saved

PIXELS = photo(600, 800)


def preview(pixels, size=(160, 120), quality=75):
    """The picture fitted into a frame, with black bars where it does not fill it."""
    frame, small = Image.new("RGB", size), Image.fromarray(pixels)
    small.thumbnail(size, Image.Resampling.BICUBIC)
    frame.paste(small, ((size[0] - small.width) // 2, (size[1] - small.height) // 2))
    buffer = io.BytesIO()
    frame.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def toned(pixels):
    return (255 * (pixels / 255) ** 0.8 * 0.95).astype(np.uint8)


def stained(pixels, share, centre=(0.55, 0.45)):
    height, width = pixels.shape[:2]
    y, x = np.mgrid[:height, :width]
    radius = np.sqrt(share * height * width / np.pi)
    inside = np.hypot(y - centre[0] * height, x - centre[1] * width) < radius
    return np.where(inside[..., None], pixels // 5 + np.uint8([30, 20, 10]), pixels)


@pytest.mark.parametrize(
    "pixels",
    [
        PIXELS,
        toned(PIXELS),
        np.ascontiguousarray(np.rot90(PIXELS)),
        np.ascontiguousarray(np.rot90(PIXELS, 2)),
        PIXELS[60:540, 100:760],
        PIXELS[:, 100:700],
        cv2.GaussianBlur(PIXELS, (0, 0), 2),
        cv2.resize(PIXELS, (333, 250), interpolation=cv2.INTER_AREA),
    ],
    ids=["same", "tone", "turned", "upside down", "cut", "square", "soft", "small"],
)
def test_an_old_preview_of_an_honest_change_agrees(pixels):
    assert compared(preview(PIXELS), pixels) is None


def test_bars_are_no_difference():
    wide = PIXELS[100:450]
    assert compared(preview(wide), wide) is None
    assert compared(preview(PIXELS, (160, 160)), PIXELS) is None


def test_a_preview_of_something_else_is_reported():
    other = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    label = compared(preview(cv2.resize(other, (800, 600))), PIXELS)
    assert (label.standard, label.status, label.ai) == ("preview", "found-conflicting", None)
    assert "something else" in label.finding and float(label.value["correlation"]) < 0.75


def test_a_large_later_change_is_reported():
    label = compared(preview(PIXELS), stained(PIXELS, 0.06))
    assert "was changed after" in label.finding
    assert 0.02 < float(label.value["changed area"]) < 0.12


def test_pictures_that_show_nothing_are_left_alone():
    flat = np.full((300, 400, 3), 200, np.uint8)
    assert compared(preview(flat), PIXELS) is None
    assert compared(preview(PIXELS), PIXELS[:20, :20]) is None
    assert compared(preview(PIXELS[:30, :300]), PIXELS) is None


@pytest.mark.parametrize(
    "data",
    [b"x", b"\xff\xd8\xff", preview(PIXELS)[:300], saved(Image.new("L", (9000, 9000)), "PNG")],
    ids=["text", "stub", "cut off", "huge"],
)
def test_a_preview_that_cannot_be_read_is_malformed(data):
    label = compared(data, PIXELS)
    assert (label.status, label.ai) == ("found-malformed", None)


def test_only_with_pixels_is_the_preview_of_a_file_compared():
    data = saved(Image.fromarray(PIXELS), "JPEG", exif=preview_exif(preview(PIXELS[:, ::-1])))
    assert read_labels(data) == []
    assert [m.standard for m in read_labels(data, PIXELS)] == ["preview"]


@pytest.mark.parametrize(("start", "length"), [(56, 2**32 - 1), (2**31, 9), (0, 0), (9, 60_000)])
def test_wrong_places_of_a_preview_are_no_accident(start, length):
    exif = bytearray(preview_exif(preview(PIXELS)))
    exif[42:46], exif[54:58] = struct.pack("<I", start), struct.pack("<I", length)
    buffer = io.BytesIO(encoded(PIXELS[:90, :90], "JPEG"))
    Image.open(buffer).save(out := io.BytesIO(), "JPEG", exif=bytes(exif))
    for label in read_labels(out.getvalue(), PIXELS):
        assert (label.standard, label.status) == ("preview", "found-malformed")

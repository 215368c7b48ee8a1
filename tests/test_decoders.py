import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import MODELS, photo

from damagenet import BadInput
from damagenet.synth import decoders
from damagenet.synth import regenerate as module
from damagenet.synth.regenerate import FAMILIES, available, missing, regenerate

FOUND = available(Path(MODELS) if MODELS else None)
OTHER = ("taef2", "realesrgan", "esrgan_slim", "ae_bilinear")  # one of each loader


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


def copied(family, folder):
    """The weight files of a family, copied to where a user would put them."""
    known = FAMILIES[family]
    place = folder / next(f for f in known.folders if f != "synth/weights")
    place.mkdir(exist_ok=True)
    found = module._find(known, None)
    return [shutil.copy(path, place / path.name) for variant in found for path in variant]


def test_same_bytes_for_any_number_of_threads_and_a_fresh_load(family):
    import torch

    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            module._network.cache_clear()
            torch.set_num_threads(threads)
            results += [regenerate(photo(75, 98), family).tobytes() for _ in range(2)]
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert len(set(results)) == 1


def test_networks_are_told_the_planes_and_nothing_else(family):
    """What was decoded before leaves no trace: pools of memory are shared between calls."""
    first = regenerate(photo(75, 98), family)
    regenerate(255 - photo(60, 130), family)
    assert np.array_equal(regenerate(photo(75, 98), family), first)


def test_the_hash_is_that_of_the_files_wherever_they_lie(family, tmp_path):
    paths = copied(family, tmp_path)
    assert available(tmp_path)[family] == FOUND[family]
    paths[-1].write_bytes(b"other")
    assert available(tmp_path)[family] != FOUND[family]


@pytest.mark.parametrize("name", OTHER)
@pytest.mark.parametrize("which", [0, -1])
@pytest.mark.parametrize("harm", ["empty", "cut", "noise"])
def test_damaged_weights_are_named(name, tmp_path, which, harm):
    if name not in FOUND:
        pytest.skip(missing()[name])
    path = copied(name, tmp_path)[which]
    data = path.read_bytes()
    noise = np.random.default_rng(0).bytes(len(data))
    path.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "noise": noise}[harm])
    with pytest.raises(BadInput, match=path.stem):
        regenerate(photo(40, 60), name, tmp_path)


def test_weights_that_decode_to_something_else_are_refused(monkeypatch):
    for broken in (lambda planes: planes * 0, lambda planes: planes * np.nan):
        monkeypatch.setattr(decoders.autoencoder, "load", lambda path, broken=broken: broken)
        module._network.cache_clear()
        with pytest.raises(BadInput, match=r"ae_shuffle.*do not reproduce a plain picture"):
            regenerate(photo(40, 60), "ae_shuffle")
    module._network.cache_clear()


def test_memory_is_given_back():
    """ncnn's own pools keep the most that they ever held, for every network of a process."""
    if "waifu2x_cunet" not in FOUND:
        pytest.skip(missing()["waifu2x_cunet"])

    def resident():
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1e6

    if not Path("/proc/self/statm").exists():
        pytest.skip("reads Linux's account of memory")
    regenerate(photo(40, 60), "waifu2x_cunet")
    before = resident()
    regenerate(photo(384, 400), "waifu2x_cunet")
    assert resident() - before < 120  # MB; some 450 are needed on the way

"""How the weights of the lattice are fitted."""

from pathlib import Path

import numpy as np
import pytest
import safetensors
import torch
from conftest import photo, rewrite, settings, train_in

from damagenet import BadInput
from damagenet.detect import lattice, model
from damagenet.detect.periodic import NONE, Periodic
from damagenet.synth import dataset


def test_copies_are_drawn_from_the_seed_and_the_name_alone():
    picture, row = photo(200, 264), {"image": "images/a.jpg", "label": 0}
    once, again, other = (list(lattice._copies(picture, row, seed)) for seed in (1, 1, 2))
    assert len(once) == 3 + lattice.DELIVERED + 2 * lattice.DRAWN + lattice.SMOOTH
    assert np.array_equal(once[0][0], picture)
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(once, again, strict=True))
    assert not np.array_equal(once[1][0], other[1][0])
    assert sum(label for _, label, _ in once) == lattice.DRAWN
    doctored = list(lattice._copies(picture, row | {"label": 1}, 1))
    assert [label for _, label, _ in doctored] == [1, 1]  # one that was enlarged is another one


def test_a_drawn_lattice_is_all_that_tells_twins_apart():
    for seed in range(12):
        rng = np.random.default_rng(seed)
        plain, doctored = lattice.with_lattice(rng, photo(203, 270))
        assert plain.shape == doctored.shape == (192, 256, 3) and plain.dtype == doctored.dtype
        added = doctored.astype(float) - plain
        cells = added.reshape(24, 8, 32, 8, 3).mean((0, 2))
        assert 0.02 < cells.std() < 2 and abs(cells.mean()) < 0.1
        assert np.abs(added).max() < 10


def test_a_lattice_that_no_decoder_of_the_set_left_is_found(copied, manifest):
    rewrite(copied, manifest.assign(topology=np.where(manifest.label == 1, "full", "none")))
    fitted = Periodic()
    lattice.fit(fitted, copied, 1)
    rng, picture = np.random.default_rng(5), photo(200, 264)
    means = []
    for _ in range(24):
        twins = lattice.with_lattice(rng, picture)
        means.append([float(fitted.weight @ lattice.strengths(fitted, twin)) for twin in twins])
    plain, doctored = np.array(means).T
    assert (doctored > plain).sum() >= 17  # by chance in 3 of 100 cases


def test_training_ends_with_a_fitted_lattice(copied, manifest, tmp_path):
    rewrite(copied, manifest.assign(topology=np.where(manifest.label == 1, "full", "none")))
    config = settings(train={"lattice": str(copied), "steps": 2, "eval_every": 2})
    run = train_in(tmp_path, config, copied)
    network, facts = model.load(run / "best.safetensors")
    plain = train_in(tmp_path, settings(name="plain", train={"steps": 2, "eval_every": 2}), copied)
    before, _ = model.load(plain / "best.safetensors")
    image = torch.from_numpy(photo()[None])
    with torch.no_grad():
        assert float(network(image)[0]) > float(before(image)[0])  # never less
        assert (network(image)[1] >= before(image)[1]).all()  # the map neither
    assert network.periodic.gain == lattice.GAIN and network.periodic.weight.any()
    assert len(facts["lattice_dataset"]) == 64 and facts["step"] == 2
    with safetensors.safe_open(plain / "best.safetensors", "pt") as file:
        assert not file.get_tensor("periodic.gain").any()


def test_hinges_bend_where_few_honest_photos_are_left(copied, manifest):
    rewrite(copied, manifest.assign(topology=np.where(manifest.label == 1, "full", "none")))
    fitted = Periodic()
    lattice.fit(fitted, copied, 1)
    honest = manifest[(manifest.split == "val") & (manifest.label == 0)].to_dict("records")
    found = np.array([
        lattice.values(fitted, dataset.read_pair(copied, row)[0]) for row in honest
    ])  # fmt: skip
    for values, share in zip(found.T, (lattice.BEGINS, lattice.NEAR_BEGINS), strict=True):
        values = values[values > NONE / 2]  # some are too small for a window
        assert np.quantile(values, share) == pytest.approx(0, abs=1e-4)
    assert found[:, 0].std() == pytest.approx(1, abs=1e-4)


def test_a_family_left_out_is_as_if_it_had_not_been_built(copied, manifest):
    whole = manifest.assign(topology=np.where(manifest.label == 1, "full", "none"))
    families = whole.family[(whole.label == 1) & (whole.split == "train")].unique()
    # One set has a single family to train on: call half of its frames another one.
    half = (whole.label == 1) & (np.arange(len(whole)) % 2 == 0)
    rewrite(copied, whole.assign(family=whole.family.where(~half, "other")))
    fits = [Periodic() for _ in range(3)]
    for fitted, left_out in zip(fits, ("", "other", families[0]), strict=True):
        lattice.fit(fitted, copied, 1, left_out)
    assert not torch.equal(fits[0].weight, fits[1].weight)
    assert not torch.equal(fits[1].weight, fits[2].weight)
    rewrite(copied, whole[~half])
    without = Periodic()
    lattice.fit(without, copied, 1)
    assert torch.equal(without.weight, fits[1].weight) and torch.equal(without.near, fits[1].near)


def test_a_set_without_whole_frames_is_bad_input(copied, manifest):
    rewrite(copied, manifest.assign(topology=np.where(manifest.label == 1, "exchange", "none")))
    with pytest.raises(BadInput, match="whole frames"):
        lattice.fit(Periodic(), copied, 1)


def test_a_missing_set_is_said_before_training(copied, tmp_path):
    config = settings(train={"lattice": str(tmp_path / "nowhere")})
    with pytest.raises(BadInput, match="nowhere"):
        train_in(tmp_path, config, copied)
    assert not list(Path(tmp_path).glob("runs/*/best.safetensors"))


def test_the_two_datasets_of_a_training_must_agree_on_their_splits(built, copied, manifest):
    assert lattice.check(copied, built) == dataset.read_card(copied)["manifest_sha256"]
    turned = {"train": "val", "val": "train", "test": "test"}
    rewrite(copied, manifest.assign(split=manifest.split.map(turned)))
    with pytest.raises(BadInput, match=r"copied: \d+ photos are in another split than in "):
        lattice.check(copied, built)

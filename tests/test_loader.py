import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import photo, settings
from torch.utils.data import DataLoader

from damagenet import BadInput, images
from damagenet.detect.loader import Twins, choose_crop, random_region
from damagenet.detect.pairs import Pairs, original, traceless
from damagenet.runs import rng_for
from damagenet.synth import dataset

TRAIN = settings(train={"crop": 64, "exchange": 0.0}).train


def items(folder, rows, length=40, seed=0, **change):
    return Twins(folder, rows, settings(train={"crop": 64, **change}).train, seed, length)


def learnable(rows):
    """Those that hold a trace."""
    return rows[[not traceless(json.loads(recipe)) for recipe in rows.recipe]]


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.fixture(scope="module")
def rows(manifest):
    return manifest[manifest.split == "train"]


@pytest.fixture
def identical(built, tmp_path, manifest):
    """A dataset of one pair whose twins have the very same pixels; its mask is a rectangle.

    The masked pixels are painted in a colour that survives every augmentation.
    """
    pair = manifest[(manifest.cell == "doctored_damage") & (manifest.topology != "full")]
    pair = learnable(pair).head(1)
    twin = manifest[
        (manifest.product_id == pair.product_id.iloc[0]) & (manifest.cell == "authentic_intact")
    ]
    shutil.copytree(built, tmp_path / "same")
    image, mask = photo(110, 150), np.zeros((110, 150), np.uint8)
    mask[20:80, 40:120] = 255
    image[mask > 0] = (255, 0, 255)
    for name in (*pair.image, *twin.image):
        images.write(tmp_path / "same" / name, image, quality=98)
    images.write(tmp_path / "same" / pair["mask"].iloc[0], mask)
    images.write(tmp_path / "same" / twin["mask"].iloc[0], np.zeros_like(mask))
    return tmp_path / "same", pd.concat([pair, twin])


def test_an_item_is_as_promised(built, rows):
    item = items(built, rows)[0]
    assert item["image"].dtype == torch.uint8 and item["image"].shape == (2, 64, 64, 3)
    assert item["mask"].dtype == torch.float32 and item["mask"].shape == (2, 64, 64)
    assert set(item["mask"].unique().tolist()) <= {0.0, 1.0}
    assert item["label"].dtype == torch.float32 and item["label"][0] == 0


def test_the_mask_decides_the_label(built, rows):
    seen = [items(built, rows)[i] for i in range(40)]
    for item in seen:
        assert torch.equal(item["label"], item["mask"].amax((1, 2)))
    assert sum(float(item["label"][1]) for item in seen) > 25  # mostly doctored, not always


def test_twins_get_the_same_draw(identical):
    folder, pair = identical
    twins = items(folder, pair, augment=1.0)
    for i in range(12):
        image = twins[i]["image"]
        assert torch.equal(image[0], image[1])


def test_draws_differ_from_item_to_item(identical):
    folder, pair = identical
    twins = items(folder, pair, augment=1.0)
    seen = {twins[i]["image"][0].numpy().tobytes() for i in range(12)}
    assert len(seen) == 12


def test_the_mask_follows_the_geometry(identical):
    folder, pair = identical
    twins = items(folder, pair, augment=0.0)
    overlaps = []
    for i in range(20):
        red, green, blue = (twins[i]["image"][1, ..., c].int() for c in range(3))
        shown, mask = (red > 200) & (blue > 200) & (green < 60), twins[i]["mask"][1] > 0
        overlaps.append(float((shown & mask).sum() / (shown | mask).sum().clamp(min=1)))
        assert not twins[i]["mask"][0].any()
    assert min(o for o in overlaps if o) > 0.9 and np.mean(overlaps) > 0.7


def test_an_item_depends_on_its_number_alone(built, rows):
    forward = [items(built, rows)[i] for i in range(6)]
    backward = items(built, rows)
    assert all(same(backward[i], forward[i]) for i in reversed(range(6)))
    shuffled = items(built, rows.sample(frac=1, random_state=0))
    assert all(same(shuffled[i], forward[i]) for i in range(6))
    assert not same(items(built, rows, seed=1)[0], forward[0])


def test_the_number_of_loader_processes_changes_nothing(built, rows):
    batches = [
        list(DataLoader(items(built, rows, 6), batch_size=3, num_workers=workers))
        for workers in (0, 2)
    ]
    assert all(same(one, other) for one, other in zip(*batches, strict=True))


@pytest.mark.parametrize("size", [(40, 90), (90, 40), (30, 30), (64, 64), (200, 65)])
def test_crops_have_the_right_size_even_of_small_pictures(identical, size):
    folder, pair = identical
    height, width = size
    for name in pair.image:
        images.write(folder / name, photo(height, width))
    for name, label in zip(pair["mask"], pair.label, strict=True):
        mask = np.zeros(size, np.uint8)
        mask[5:9, 7:20] = 255 * label
        images.write(folder / name, mask)
    twins = items(folder, pair)
    for i in range(4):
        assert twins[i]["image"].shape == (2, 64, 64, 3)
        assert twins[i]["mask"].shape == (2, 64, 64)


def test_a_twin_of_another_size_is_named(identical):
    folder, pair = identical
    name = pair[pair.label == 0].image.iloc[0]
    images.write(folder / name, photo(100, 150))
    images.write(folder / pair[pair.label == 0]["mask"].iloc[0], np.zeros((100, 150), np.uint8))
    with pytest.raises(BadInput, match=f"{name}: its twin has another size"):
        items(folder, pair)[0]


def test_pairs_are_of_one_product_and_one_channel(rows):
    pairs, named = Pairs(rows), rows.set_index("image")
    assert len(pairs) == len(learnable(rows[rows.label == 1])) < (rows.label == 1).sum()
    for doctored, twins in pairs:
        assert doctored["label"] == 1 and twins
        for twin in twins:
            assert twin["label"] == 0
            one, other = (named.loc[row["image"]] for row in (doctored, twin))
            for key in ("product_id", "channel", "width", "height"):
                assert one[key] == other[key]


def test_two_draws_of_a_product_are_not_twins_even_with_equal_channels(rows):
    """Two variants may draw the same channel; their framing, and so their size, still differs."""
    again = rows.assign(image=rows.image.str.replace("_0_", "_1_", regex=False))
    for doctored, twins in Pairs(pd.concat([rows, again])):
        draw = doctored["image"].removesuffix(f"_{doctored['cell']}.jpg")
        assert all(twin["image"].startswith(f"{draw}_authentic_") for twin in twins)


def test_without_twins_there_is_nothing_to_learn_from(built, rows):
    with pytest.raises(BadInput, match="no doctored picture has an authentic twin"):
        items(built, rows[rows.label == 1])


def test_a_full_edit_becomes_a_local_one_by_exchange(built, manifest):
    full = manifest[(manifest.topology == "full") & (manifest.cell == "doctored_damage")]
    full = learnable(full[full.area > 0.98]).head(1)
    assert len(full), "the tiny dataset needs a full-frame edit"
    whole = manifest[manifest.product_id == full.product_id.iloc[0]]
    chosen = pd.concat([full, whole[whole.label == 0]])
    always, never = (
        items(built, chosen, exchange=share, augment=0.0, crop=160) for share in (1.0, 0.0)
    )
    shares = [float(always[i]["mask"][1].mean()) for i in range(10)]
    assert max(shares) < 0.9 and any(0 < share for share in shares)
    assert all(float(never[i]["mask"][1].mean()) > 0.95 for i in range(3))


def test_outside_the_exchanged_region_lie_the_original_pixels(built, manifest):
    full = manifest[(manifest.topology == "full") & (manifest.cell == "doctored_damage")]
    full = learnable(full).head(1)
    row = full.iloc[0].to_dict()
    intact = manifest[
        (manifest.product_id == row["product_id"]) & (manifest.cell == "authentic_intact")
    ]
    twins = items(built, pd.concat([full, intact]), exchange=1.0, augment=0.0, crop=160)
    for i in range(5):
        image, mask = twins[i]["image"], twins[i]["mask"][1] > 0
        assert torch.equal(image[0][~mask], image[1][~mask])
        assert not torch.equal(image[0][mask], image[1][mask])


@pytest.mark.parametrize(
    ("cell", "damage", "twins", "wanted"),
    [
        ("doctored_damage", {"kind": "crack"}, ["intact", "damaged"], "intact"),
        ("doctored_other", None, ["intact", "damaged"], "intact"),
        ("doctored_other", {"kind": "crack"}, ["intact", "damaged"], "damaged"),
        ("doctored_other", None, ["damaged"], "damaged"),
        ("doctored_other", None, ["intact"], "intact"),
    ],
)
def test_the_original_of_an_edit_is_the_twin_that_was_edited(cell, damage, twins, wanted):
    doctored = {"cell": cell, "damaged": bool(damage)}
    found = original(doctored, [{"cell": f"authentic_{name}"} for name in twins])
    assert found["cell"] == f"authentic_{wanted}"


@pytest.mark.parametrize("shape", [(64, 64), (65, 200), (300, 90)])
def test_a_random_region_is_never_empty_and_never_everything(shape):
    shares = []
    for seed in range(200):
        region = random_region(rng_for(seed, "region"), shape)
        assert region.shape == shape and region.dtype == bool
        shares.append(region.mean())
    assert min(shares) > 0 and max(shares) < 0.7
    assert min(shares) < 0.03 < 0.15 < max(shares)  # thin strokes and wide blobs


def test_crops_mostly_hold_doctored_pixels():
    mask = np.zeros((300, 420), bool)
    mask[10:14, 30:60] = True
    hits = 0
    for seed in range(200):
        rows, columns = choose_crop(rng_for(seed, "crop"), mask, 64)
        assert mask[rows, columns].shape == (64, 64)
        hits += mask[rows, columns].any()
    assert 0.8 * 200 < hits < 200


def test_reading_checks_what_it_reads(copied, manifest):
    row = manifest.iloc[0].to_dict()
    (copied / row["image"]).write_bytes(b"")
    with pytest.raises(BadInput, match="empty"):
        dataset.read_pair(copied, row)

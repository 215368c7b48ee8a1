import hashlib
import json
from collections import Counter

import numpy as np
import pytest
from conftest import FAMILIES, jpeg_facts, photo, settings

from damagenet import BadInput, aigc, images
from damagenet.runs import rng_for
from damagenet.synth import channel, dataset, doctor, regenerate
from damagenet.synth.damage import KINDS
from damagenet.synth.doctor import CELLS, plan, render

BUILD = settings().build
needs_decoders = pytest.mark.skipif(
    not set(FAMILIES) <= set(regenerate.available()), reason="needs damagenet[decoders]"
)


def planned(seed, condition="intact", **change):
    config = settings(build={"native": 0.0, "overlay": 0.0, **change}).build
    return plan(rng_for(seed, "plan"), photo(), condition, config, FAMILIES)


def by_cell(recipes):
    return {recipe["cell"]: recipe for recipe in recipes}


@pytest.fixture(scope="module")
def many():
    """Plans of many products, drawn as a build would draw them."""
    config = settings(build={"native": 0.25}).build
    return [
        plan(rng_for(seed, "many"), photo(), condition, config, FAMILIES)
        for seed in range(60)
        for condition in ("intact", "damaged")
    ]


def test_an_intact_product_gives_all_four_cells():
    assert tuple(recipe["cell"] for recipe in planned(0)) == CELLS


def test_native_and_really_damaged_photos_give_a_pair(many):
    native = planned(0, native=0.999)
    assert [r["cell"] for r in native] == ["authentic_intact", "doctored_other"]
    assert all(r["camera"] is None and r["damage"] is None for r in native)
    real = planned(0, "damaged")
    assert [r["cell"] for r in real] == ["authentic_damaged", "doctored_other"]
    assert real[0]["kind"] == "real" and all(r["camera"] is None for r in real)
    sizes = Counter(len(recipes) for recipes in many[::2])
    assert 5 < sizes[2] < 26 and sizes[2] + sizes[4] == 60


def test_recipes_are_plain_json_and_the_same_for_the_same_draw(many):
    for recipes in many:
        assert json.loads(json.dumps(recipes, allow_nan=False)) == recipes
    assert planned(3) == planned(3) != planned(4)


def test_twins_share_frame_camera_channel_and_damage(many):
    for recipes in many:
        for key in ("frame", "camera", "channel"):
            assert all(r[key] == recipes[0][key] for r in recipes)
        drawn = [r["damage"] for r in recipes if r["damage"]]
        assert all(damage == drawn[0] for damage in drawn)
        if len(recipes) == 4:
            cells = by_cell(recipes)
            assert cells["authentic_damaged"]["damage"] == cells["doctored_damage"]["damage"]
            assert cells["authentic_intact"]["damage"] is None


def shows_damage(recipe):
    """Whether a picture shows damage, whatever its cell is called."""
    damaged = recipe["damage"] is not None or recipe["real"]
    return damaged and not (recipe["edit"] and recipe["edit"]["what"] == "repair")


def test_damage_says_nothing_about_the_label(many):
    for recipes in many:
        real = recipes[0]["kind"] == "real"
        shown = [(bool(r["edit"]), shows_damage(r | {"real": real})) for r in recipes]
        shares = [np.mean([damage for edited, damage in shown if edited == e]) for e in (0, 1)]
        assert shares[0] == shares[1], [(r["cell"], r["kind"]) for r in recipes]


def test_everything_a_config_offers_is_drawn(many):
    edits = [r["edit"] for recipes in many for r in recipes if r["edit"]]
    recipes = [r for some in many for r in some]
    assert {e["topology"] for e in edits} == {"full", "exchange", "blend"}
    assert {e["family"] for e in edits} == {*FAMILIES, "none"}  # none: painted, not regenerated
    assert {e["what"] for e in edits} == {"damage", "roundtrip", "recolour", "repair"}
    assert {r["channel"]["chain"] for r in recipes} == set(BUILD.chains)
    assert {r["kind"] for r in recipes if r["cell"] == "doctored_damage"} == set(KINDS)
    assert {r["severity"] for r in recipes} == set(range(6))


def test_a_config_narrows_what_is_drawn():
    recipes = [
        r
        for seed in range(10)
        for r in planned(seed, kinds=["crack"], topologies=["exchange"], chains=["chat"])
    ]
    assert {r["kind"] for r in recipes if r["cell"] == "authentic_damaged"} == {"crack"}
    assert {r["edit"]["topology"] for r in recipes if r["edit"]} == {"exchange"}
    assert {r["channel"]["chain"] for r in recipes} == {"chat"}


@pytest.mark.parametrize(
    ("key", "name", "hint"),
    [
        ("kinds", "crak", "did you mean crack"),
        ("topologies", "ful", "did you mean full"),
        ("chains", "chatt", "did you mean chat"),
        ("chains", "", "known: camera"),
        ("test_sources", "elsewhere", "known: "),
        ("holdout_family", "taef2", "known: realesrgan, waifu2x"),
    ],
)
def test_an_unknown_name_in_the_config_is_answered_with_the_nearest(
    table, tmp_path, key, name, hint
):
    value = name if key == "holdout_family" else [name] if name else []
    config = settings(products={"table": str(table)}, build={key: value})
    with pytest.raises(BadInput, match=rf"build\.{key}: .*{name}.* {hint}"):
        dataset.build(config, tmp_path / "dataset")


@needs_decoders
def test_rendering_is_pure_and_the_mask_decides_the_label():
    image = photo()
    for recipe in planned(1):
        before = json.dumps(recipe)
        first, second = render(image, recipe), render(image, json.loads(before))
        assert first.file == second.file and np.array_equal(first.mask, second.mask)
        assert json.dumps(recipe) == before and np.array_equal(image, photo())
        assert first.label == int(first.mask.any()) == int(recipe["cell"].startswith("doctored"))
        assert set(np.unique(first.mask)) <= {0, 255}
        assert first.mask.shape == images.read(first.file).shape[:2]


@needs_decoders
def test_twins_cannot_be_told_apart_by_their_files():
    for seed in range(3):
        facts = [jpeg_facts(render(photo(), recipe).file) for recipe in planned(seed)]
        assert all(fact == facts[0] for fact in facts)


@needs_decoders
def test_authentic_masks_are_empty_and_full_ones_cover_everything():
    cells = by_cell(planned(2, topologies=["full"]))
    masks = {cell: render(photo(), recipe).mask for cell, recipe in cells.items()}
    assert not masks["authentic_intact"].any() and not masks["authentic_damaged"].any()
    assert (masks["doctored_damage"] == 255).all() and (masks["doctored_other"] == 255).all()


def test_damage_shows_in_both_damaged_twins_at_the_same_place():
    config = settings(build={"native": 0.0, "overlay": 1.0}).build
    recipes = plan(rng_for(5), photo(), "intact", config, FAMILIES)
    still = {"chain": "camera", "steps": [{"op": "JPEG", "quality": 97, "subsampling": 0}]}
    cells = {cell: recipe | {"channel": still} for cell, recipe in by_cell(recipes).items()}
    shots = {
        cell: images.read(render(photo(), cells[cell]).file).astype(float)
        for cell in ("authentic_intact", "authentic_damaged", "doctored_damage")
    }
    inside = render(photo(), cells["doctored_damage"]).mask > 0
    changes = [
        np.abs(shots[cell] - shots["authentic_intact"]).mean(-1)
        for cell in ("authentic_damaged", "doctored_damage")
    ]
    for change in changes:
        assert change[inside].mean() > 5 * change[~inside].mean()


def edited(recipe):
    """The picture before and after the edit, before any channel; and the mask."""
    base = doctor.framed(photo(), recipe["frame"])
    region = {"what": "roundtrip", **recipe["edit"]}
    return base, *doctor._doctored(base, region, None, base)


@needs_decoders
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(3))
def test_exchange_leaves_every_pixel_outside_the_mask_as_it_was(family, seed):
    edit = {"topology": "exchange", "family": family, "area": 0.1, "seed": seed, "feather": 2.0}
    base, new, mask = edited({"frame": planned(seed)[0]["frame"], "edit": edit})
    outside = mask == 0
    assert outside.any() and np.array_equal(new[outside], base[outside])
    assert (new[~outside] != base[~outside]).any(-1).mean() > 0.5
    assert 0.05 < (mask > 0).mean() < 0.15


@needs_decoders
def test_blend_fades_out_and_full_touches_everything():
    edit = {"family": "realesrgan", "area": 0.1, "seed": 3, "feather": 3.0}
    frame = planned(0)[0]["frame"]
    base, new, mask = edited({"frame": frame, "edit": edit | {"topology": "blend"}})
    change = np.abs(new.astype(int) - base).max(-1)
    assert change[mask > 0].mean() > 3 * change[mask == 0].mean()
    assert np.count_nonzero(change) < 0.3 * change.size
    base, new, mask = edited({"frame": frame, "edit": edit | {"topology": "full"}})
    assert (mask == 255).all() and (new != base).any(-1).mean() > 0.5


@needs_decoders
@pytest.mark.parametrize("topology", ["full", "exchange"])
def test_an_edit_does_not_shift_the_brightness_of_its_region(topology):
    edit = {"topology": topology, "family": "waifu2x", "area": 0.2, "seed": 1, "feather": 1.0}
    base, new, mask = edited({"frame": planned(0)[0]["frame"], "edit": edit})
    inside = mask > 0
    assert np.abs(new[inside].mean(0) - base[inside].mean(0)).max() < 1


def test_recolouring_turns_the_hue_inside_the_mask_only():
    base = doctor.framed(photo(), planned(0)[0]["frame"])
    region = np.zeros(base.shape[:2], bool)
    region[20:60, 30:90] = True
    found = doctor._recoloured(base, region, 120.0)
    assert np.array_equal(found[~region], base[~region])
    inside = base[region].astype(int)
    colourful = np.ptp(inside, axis=1) > 30
    assert (found[region][colourful] != inside[colourful]).any(1).all()
    assert np.abs(found[region].max(1).astype(int) - inside.max(1)).max() <= 1  # HSV value kept


@pytest.mark.parametrize("size", [(150, 210), (210, 150), (90, 400)])
def test_frames_keep_the_shape_and_shrink_to_the_long_side(size):
    frame = {"box": [0.0, 0.0, 0.0, 0.0], "long_side": 128, "flip": False}
    image = photo(*size)
    found = doctor.framed(image, frame)
    assert max(found.shape[:2]) == 128
    assert found.shape[0] / found.shape[1] == pytest.approx(
        size[0] / size[1] if min(found.shape[:2]) > 64 else 64 / 128, rel=0.05
    )
    flipped = doctor.framed(image, frame | {"flip": True})
    assert np.abs(flipped[:, ::-1].astype(int) - found).max() <= 1
    assert np.array_equal(doctor.framed(image, frame | {"long_side": 9999}), image)


def test_every_row_of_a_manifest_renders_again_to_its_bytes(built, manifest, table):
    paths = dataset.products.load(table).set_index("product_id").path
    for row in manifest.groupby("cell").head(3).itertuples():
        sample = render(images.read(paths[row.product_id]), json.loads(row.recipe))
        assert hashlib.sha256(sample.file).hexdigest() == row.sha256
        assert sample.file == (built / row.image).read_bytes()
        assert np.array_equal(sample.mask, images.read_mask(built / row.mask))
        assert sample.label == row.label


def test_the_mask_survives_the_channel_with_the_picture():
    # The label after the channel is that of the mask the reviewer's picture has.
    crop = {"chain": "x", "steps": [
        {"op": "crop", "box": [0.5, 0.0, 0.0, 0.0]},
        {"op": "JPEG", "quality": 90, "subsampling": 2},
    ]}  # fmt: skip
    mask = np.zeros((150, 210), np.uint8)
    mask[:60] = 255
    data, left = channel.apply(photo(), mask, crop)
    assert doctor.Sample(data, left, {}).label == 0
    assert doctor.Sample(data, mask, {}).label == 1


def test_labels_do_not_touch_the_pixels():
    data = render(photo(), planned(0)[0]).file
    assert np.array_equal(images.read(aigc.label_bytes(data)), images.read(data))

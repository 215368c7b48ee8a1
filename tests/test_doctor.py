import hashlib
import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import FAMILIES, jpeg_facts, photo, settings

from damagenet import BadInput, aigc, images
from damagenet.runs import rng_for
from damagenet.synth import channel, dataset, doctor, edits, regenerate
from damagenet.synth.doctor import CELLS, plan, render
from damagenet.synth.shot import Shot, framed, plan_frame

BUILD = settings().build
STILL = {"chain": "camera", "steps": [{"op": "JPEG", "quality": 97, "subsampling": 0}]}
"""A channel that changes next to nothing."""


def planned(seed, condition="intact", category="", marks=None, **change):
    config = settings(build={"native": 0.0, "overlay": 0.0, **change}).build
    rng = rng_for(seed, "plan")
    shot = Shot(photo(), plan_frame(rng, config.long_side), marks)
    return plan(rng, shot, condition, category, config)


def rendered(recipe, marks=None):
    return render(Shot(photo(), recipe["frame"], marks), recipe)


def by_cell(recipes):
    return {recipe["cell"]: recipe for recipe in recipes}


@pytest.fixture(scope="module")
def many():
    """Plans of many products, drawn as a build would draw them."""
    categories = ("mug", "shirt", "toy", "carton", "")
    return [
        planned(seed, condition, categories[seed % 5], native=0.25, overlay=0.1)
        for seed in range(100)
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
    assert 12 < sizes[2] < 40 and sizes[2] + sizes[4] == 100


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
    assert {e["seam"] for e in edits} == {True, False}
    assert {r["channel"]["chain"] for r in recipes} == set(BUILD.chains)
    assert len({r["kind"] for r in recipes if r["cell"] == "doctored_damage"}) >= 14
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
        ("test_chains", "twic", "did you mean twice"),
        ("test_sources", "elsewhere", "known: "),
        ("holdout_kind", "crak", "did you mean crack"),
        ("holdout_family", "taef2", "known: ae_"),
    ],
)
def test_an_unknown_name_in_the_config_is_answered_with_the_nearest(
    table, tmp_path, key, name, hint
):
    value = name if key.startswith("holdout") else [name] if name else []
    config = settings(products={"table": str(table)}, build={key: value})
    with pytest.raises(BadInput, match=rf"build\.{key}: .*{name}.* {hint}"):
        dataset.build(config, tmp_path / "dataset")


def test_a_reserved_channel_is_refused_in_training(table, tmp_path):
    config = settings(products={"table": str(table)}, build={"chains": ["camera", "twice"]})
    with pytest.raises(BadInput, match=r"build\.chains: twice is reserved .* build\.test_chains"):
        dataset.build(config, tmp_path / "dataset")


def test_kinds_suit_the_product():
    kinds = {r["kind"] for seed in range(40) for r in planned(seed, category="shirt")}
    assert "tear" in kinds and not kinds & {"crack", "chip", "dent", "shatter"}
    kinds = {r["kind"] for seed in range(40) for r in planned(seed, category="mug")}
    assert "crack" in kinds and not kinds & {"tear", "pulled_thread", "fraying"}


def test_rendering_is_pure_and_the_mask_decides_the_label():
    image = photo()
    for recipe in planned(1):
        before = json.dumps(recipe)
        first = render(Shot(image, recipe["frame"]), recipe)
        second = rendered(json.loads(before))
        assert first.file == second.file and np.array_equal(first.mask, second.mask)
        assert json.dumps(recipe) == before and np.array_equal(image, photo())
        assert first.label == int(first.mask.any()) == int(recipe["cell"].startswith("doctored"))
        for mask in (first.mask, first.intended):
            assert set(np.unique(mask)) <= {0, 255}
            assert mask.shape == images.read(first.file).shape[:2]


def test_twins_that_share_a_shot_get_the_bytes_of_their_own():
    recipes = planned(4)
    shot = Shot(photo(), recipes[0]["frame"])
    for recipe in recipes:
        assert render(shot, recipe).file == rendered(recipe).file


def test_twins_cannot_be_told_apart_by_their_files():
    for seed in range(6):
        facts = [jpeg_facts(rendered(recipe).file) for recipe in planned(seed)]
        assert all(fact == facts[0] for fact in facts)


def test_authentic_masks_are_empty_and_full_ones_cover_nearly_everything():
    cells = by_cell(planned(2, topologies=["full"], chains=["camera"]))
    samples = {cell: rendered(recipe | {"channel": STILL}) for cell, recipe in cells.items()}
    for cell in ("authentic_intact", "authentic_damaged"):
        assert not samples[cell].mask.any() and not samples[cell].intended.any()
    for cell in ("doctored_damage", "doctored_other"):
        assert (samples[cell].mask == 255).mean() > 0.9
    assert (samples["doctored_damage"].intended == 255).mean() < 0.7  # it meant less than it did


def test_damage_shows_in_both_damaged_twins_at_the_same_place():
    for seed in range(4):
        cells = by_cell(planned(seed, overlay=1.0))
        samples = {c: rendered(recipe | {"channel": STILL}) for c, recipe in cells.items()}
        shots = {c: images.read(s.file).astype(float) for c, s in samples.items()}
        inside = samples["doctored_damage"].mask > 0
        for cell in ("authentic_damaged", "doctored_damage"):
            change = np.abs(shots[cell] - shots["authentic_intact"]).mean(-1)
            assert change[inside].mean() > 3 * change[~inside].mean(), (seed, cell)


def test_doctored_damage_is_as_crisp_as_its_genuine_twin():
    # A lens that blurs the genuine one and not the other would tell them apart.
    slopes = []
    for seed in range(12):
        broken, doctored = planned(seed, overlay=1.0)[1:3]
        camera, shot = broken["camera"], Shot(photo(), broken["frame"])
        before = shot.finished(camera, None)
        images_of = (
            shot.finished(camera, broken["damage"]),
            doctor._wanted(shot, before, doctored)[0],
        )
        genuine, painted = (
            cv2.Laplacian((image.astype(np.float32) - before).mean(-1), cv2.CV_32F)
            for image in images_of
        )
        near = edits.grown(shot.layer(broken["damage"]).mask, 0)
        # Least squares: noise that both do not share does not count.
        slopes.append((genuine * painted)[near].sum() / (painted**2)[near].sum())
    assert 0.8 < np.median(slopes) < 1.4, slopes


def edited(**edit):
    """The picture before and after an edit, before any channel; the change and the wish."""
    frame = plan_frame(rng_for(0), 160)
    plain = {"colour": True, "mix": 0.0, "cut": 0, "grain": 0.0, "seed": 1, "jpeg": None}
    edit = {
        "what": "roundtrip", "method": "regenerate", "family": FAMILIES[0], "variant": 0,
        "area": 0.1, "seed": 3, "feather": 2.0, "seam": False, "align": plain,
    } | edit  # fmt: skip
    shot = Shot(photo(), frame)
    recipe = {"frame": frame, "camera": None, "damage": None, "edit": edit}
    new, region = doctor._doctored(shot, shot.image, recipe)
    return shot.image, new, edits.changed(new, shot.image) > 0, region


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(3))
def test_exchange_leaves_every_pixel_outside_the_region_as_it_was(family, seed):
    base, new, mask, region = edited(topology="exchange", family=family, seed=seed)
    assert np.array_equal(new[~region], base[~region])
    assert (new[region] != base[region]).any(-1).mean() > 0.5
    assert 0.08 < region.mean() < 0.12
    # The mask is what changed: hardly more than was meant, and most of it.
    assert (mask & ~edits.grown(region, 0)).sum() == 0
    assert (mask & region).sum() > 0.6 * region.sum()


def test_blend_fades_out_and_full_touches_everything():
    base, new, _, region = edited(topology="blend", feather=3.0)
    change = np.abs(new.astype(int) - base).max(-1)
    assert change[region].mean() > 3 * change[~region].mean()
    assert np.count_nonzero(change) < 0.3 * change.size
    base, new, mask, _ = edited(topology="full")
    assert mask.mean() > 0.95 and (new != base).any(-1).mean() > 0.5


def test_a_seam_carries_the_rims_colour_inwards():
    base = np.full((90, 130, 3), 100, np.uint8)
    region = edits.blob((90, 130), 0.15, 1)
    off = np.where(region[..., None], np.uint8(130), base)
    edit = {"topology": "blend", "feather": 1.0}
    plain = edits.paste(base, np.full_like(base, 130), region, edit | {"seam": False})
    gradient = edits.paste(base, np.full_like(base, 130), region, edit | {"seam": True})
    assert np.abs(plain.astype(int) - off)[region].mean() < 8
    assert np.abs(gradient.astype(int) - base).max() <= 1


def test_the_mask_is_the_cleaned_difference_and_not_the_wish():
    base = photo()
    new = base.copy()
    new[30:60, 40:90] ^= 16
    new[45, 60] = base[45, 60]  # an equal pixel among changed ones means nothing
    new[100, 150, 0] ^= 1  # a speck of one level either
    mask = edits.changed(new, base)
    assert set(np.unique(mask)) == {0, 255} and (mask[31:59, 41:89] == 255).all()
    mask[29:61, 39:91] = 0
    assert not mask.any()
    assert not edits.changed(base, base).any()


@pytest.mark.parametrize("topology", ["full", "exchange"])
def test_an_edit_does_not_shift_the_brightness_of_its_region(topology):
    base, new, _, region = edited(topology=topology, area=0.2, seed=1)
    assert np.abs(new[region].mean(0) - base[region].mean(0)).max() < 1


def test_real_damage_is_repaired_where_its_mask_says():
    marks = np.zeros(photo().shape[:2], np.uint8)
    marks[60:66, 40:160] = 255
    recipes = [planned(s, "damaged", marks=marks, topologies=["exchange"]) for s in range(30)]
    repairs = [pair[1] for pair in recipes if pair[1]["kind"] == "repair"]
    assert repairs and all(p[1]["kind"] != "repair" for p in [planned(s, "damaged")
                                                              for s in range(30)])  # fmt: skip
    recipe = repairs[0] | {"channel": STILL}
    sample, shot = rendered(recipe, marks), Shot(photo(), recipe["frame"], marks)
    assert (sample.intended > 0)[shot.marked].all() and 0 < (sample.mask > 0).mean() < 0.3


def test_recolouring_turns_the_hue_inside_the_region_only():
    base = photo()
    region = np.zeros(base.shape[:2], bool)
    region[20:60, 30:90] = True
    found = edits.recoloured(base, region, 120.0)
    assert np.array_equal(found[~region], base[~region])
    inside = base[region].astype(int)
    colourful = np.ptp(inside, axis=1) > 30
    assert (found[region][colourful] != inside[colourful]).any(1).all()
    assert np.abs(found[region].max(1).astype(int) - inside.max(1)).max() <= 1  # HSV value kept


def test_upscaling_is_done_by_decoders_that_enlarge():
    upscalers = [f for f in regenerate.available() if regenerate.is_upscaler(f)]
    if not upscalers:
        pytest.skip("needs damagenet[decoders]")
    families = [FAMILIES[0], upscalers[0]]
    recipes = [recipe for seed in range(60) for recipe in planned(seed, families=families)]
    drawn = [r["edit"] for r in recipes if r["kind"] == "upscale"]
    assert drawn and {(e["family"], e["topology"]) for e in drawn} == {(upscalers[0], "full")}


@pytest.mark.parametrize("size", [(150, 210), (210, 150), (90, 400)])
def test_frames_keep_the_shape_and_shrink_to_the_long_side(size):
    frame = {"box": [0.0, 0.0, 0.0, 0.0], "long_side": 128}
    image = photo(*size)
    found = framed(image, frame)
    assert max(found.shape[:2]) == 128
    assert found.shape[0] / found.shape[1] == pytest.approx(
        size[0] / size[1] if min(found.shape[:2]) > 64 else 64 / 128, rel=0.05
    )
    assert np.array_equal(framed(image, frame | {"long_side": 9999}), image)


def test_every_row_of_a_manifest_renders_again_to_its_bytes(built, manifest, table):
    paths = dataset.products.load(table).set_index("product_id").path
    for row in manifest.groupby("cell").head(3).itertuples():
        recipe = json.loads(row.recipe)
        sample = render(Shot(images.read(paths[row.product_id]), recipe["frame"]), recipe)
        assert hashlib.sha256(sample.file).hexdigest() == row.sha256
        assert sample.file == (built / row.image).read_bytes()
        assert np.array_equal(sample.mask, images.read_mask(built / row.mask))
        intended = images.read_mask(built / "intended" / Path(row.mask).name)
        assert np.array_equal(sample.intended, intended)
        assert sample.label == row.label


def test_the_mask_survives_the_channel_with_the_picture():
    # The label after the channel is that of the mask the reviewer's picture has.
    crop = {"chain": "x", "steps": [
        {"op": "crop", "box": [0.5, 0.0, 0.0, 0.0]},
        {"op": "JPEG", "quality": 90, "subsampling": 2},
    ]}  # fmt: skip
    mask = np.zeros((150, 210), np.uint8)
    mask[:60] = 255
    data, (left,) = channel.apply(photo(), [mask], crop)
    assert doctor.Sample(data, left, left, {}).label == 0
    assert doctor.Sample(data, mask, mask, {}).label == 1


def test_labels_do_not_touch_the_pixels():
    data = rendered(planned(0)[0]).file
    assert np.array_equal(images.read(aigc.label_bytes(data)), images.read(data))

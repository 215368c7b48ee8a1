import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from conftest import FAMILIES, SETTINGS, pictures_in, rewrite, settings, tree
from joblib.externals.loky import process_executor

from damagenet import BadInput, config, images, runs
from damagenet.claims.labels import read_labels
from damagenet.synth import dataset, groups, products, units
from damagenet.synth.dataset import COLUMNS, SPLITS, build, read_manifest, read_pair
from damagenet.synth.doctor import CELLS


def subset(table, tmp_path, rows):
    """A smaller product table; three products are the fewest that fill three splits."""
    found = products.load(table)
    found = found[found.condition == "intact"].head(rows)
    products.save(found, [], tmp_path / "few.parquet")
    return tmp_path / "few.parquet", found


def made(folder):
    """What a build promises to be the same everywhere: pictures, masks and manifest."""
    apart = ("dataset.json", "timing.json")
    return {name: data for name, data in tree(folder).items() if name not in apart}


def test_the_manifest_is_as_promised(built, manifest):
    assert (
        list(manifest.columns)
        == COLUMNS
        == (
            "image mask label cell split product_id group_id category kind method topology family "
            "severity area recipe channel width height sha256".split()
        )
    )
    assert set(manifest.cell) == set(CELLS) and set(manifest.split) == set(SPLITS)
    assert manifest.image.is_unique
    assert {str(p.relative_to(built)) for p in pictures_in(built)} == set(manifest.image)
    assert sorted(tree(built)) == sorted(
        ["dataset.json", "timing.json", "manifest.parquet", *manifest.image, *manifest["mask"]]
        + [name.replace("masks/", "intended/") for name in manifest["mask"]]
    )


def test_every_row_agrees_with_its_files(built, manifest):
    for row in manifest.to_dict("records"):
        image, mask = read_pair(built, row)
        assert runs.sha256(built / row["image"]) == row["sha256"]
        assert image.shape == (row["height"], row["width"], 3)
        assert row["label"] == int(mask.any()) == int(row["cell"].startswith("doctored"))
        assert row["area"] == pytest.approx(mask.mean(), abs=1e-6)
        assert row["label"] == 0 or mask.sum() >= 0.5 * units.MIN_MASK
        recipe = json.loads(row["recipe"])
        assert recipe["channel"] == json.loads(row["channel"])
        assert (recipe["cell"], recipe["kind"]) == (row["cell"], row["kind"])


def test_edits_are_told_apart_in_the_manifest(manifest):
    authentic, doctored = manifest[manifest.label == 0], manifest[manifest.label == 1]
    for column in ("method", "topology", "family"):
        assert (authentic[column] == "none").all()
    assert set(doctored.method) <= {"regenerate", "overlay"}
    assert set(doctored.topology) <= {"full", "exchange", "blend"}
    full = doctored[doctored.topology == "full"]
    assert len(full) and full.area.median() > 0.9
    assert doctored[doctored.topology != "full"].area.median() < 0.4


def test_groups_never_straddle_splits(manifest):
    assert (manifest.groupby("group_id").split.nunique() == 1).all()
    assert (manifest.groupby("product_id").split.nunique() == 1).all()


def test_shots_of_one_product_stay_in_one_split(table):
    found = products.load(table)
    twice = pd.concat([found, found.assign(product_id=found.product_id + "-b")])
    for seed in range(20):
        splits = groups.split_groups(twice, settings(seed=seed))
        assert set(splits) == set(found.group_id) and set(splits.values()) == set(SPLITS)
        really = found[found.condition == "damaged"].group_id.map(splits)
        assert set(really) == set(SPLITS)  # each split can measure real damage
        intact = found[found.condition == "intact"].group_id.map(splits).value_counts()
        assert intact["train"] >= intact["test"] >= intact["val"] >= 1


def test_the_split_does_not_depend_on_the_order_of_products(table):
    found = products.load(table)
    expected = groups.split_groups(found, settings())
    assert groups.split_groups(found.sample(frac=1, random_state=0), settings()) == expected


def test_too_few_groups_are_bad_input(table):
    found = products.load(table)
    with pytest.raises(BadInput, match="gets no products: 2 product groups are too few"):
        groups.split_groups(found.head(2), settings())


def test_test_sources_are_in_the_test_split_only(table):
    found = products.load(table).assign(source="shop")
    found.loc[found.index[:4], "source"] = "elsewhere"
    splits = groups.split_groups(found, settings(build={"test_sources": ["elsewhere"]}))
    assert set(found[found.source == "elsewhere"].group_id.map(splits)) == {"test"}
    assert set(found[found.source == "shop"].group_id.map(splits)) == set(SPLITS)


def test_the_holdout_family_is_in_the_test_split_only(built, manifest):
    used = manifest[manifest.method == "regenerate"].groupby("split").family.agg(set)
    assert used["train"] == used["val"] == {FAMILIES[0]}
    assert FAMILIES[1] in used["test"]
    assert dataset.read_card(built)["holdout_family"] == FAMILIES[1]


def test_the_card_tells_how_the_dataset_came_about(built, manifest, table):
    card = dataset.read_card(built)
    counts = {split: len(rows) for split, rows in manifest.groupby("split")}
    assert {split: sum(cells.values()) for split, cells in card["counts"].items()} == counts
    assert set(card["families"]) == set(FAMILIES) and card["seed"] == SETTINGS["seed"]
    assert card["manifest_sha256"] == runs.sha256(built / "manifest.parquet")
    again = config.from_dict(config.Config, card["config"], "card")
    assert again == settings(products={"table": str(table)})
    assert card["ai_labels"] is False and card["skipped"] == []


def test_two_workers_make_the_bytes_that_one_makes(built, table, tmp_path):
    again = build(settings(products={"table": str(table)}), tmp_path / "two", workers=2)
    assert made(again) == made(built)


def test_a_worker_may_hold_decoders_without_being_taken_for_a_leak(built):
    """joblib reads this limit after every job, and restarts a worker that grew by more."""
    source = inspect.getsource(process_executor._process_worker)
    assert "_MAX_MEMORY_LEAK_SIZE" in source
    assert process_executor._MAX_MEMORY_LEAK_SIZE > 1 << 40


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_a_build_that_was_killed_goes_on_where_it_stopped(built, table, tmp_path, workers):
    settings_file = tmp_path / "tiny.yaml"
    whole = settings(products={"table": str(table)})
    settings_file.write_text(config.dump(whole))
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "damagenet", "build", settings_file, "--workers", workers]
    process = subprocess.Popen(
        [*map(str, command), "--out", str(out)], cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while len(list(out.glob(".parts/*.json"))) < 3 and time.monotonic() < deadline:
        assert process.poll() is None, "the build ended before it could be killed"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    parts = {path: path.stat().st_mtime_ns for path in out.glob(".parts/*.json")}
    assert 3 <= len(parts) < 14 and not (out / "dataset.json").exists()
    with pytest.raises(BadInput, match="interrupted; run the same build again"):
        read_manifest(out)

    done = [row["image"] for path in parts for row in json.loads(path.read_text())["rows"]]
    before = {name: (out / name).stat().st_mtime_ns for name in done}
    assert build(whole, out) == out
    assert {name: (out / name).stat().st_mtime_ns for name in done} == before
    assert made(out) == made(built)
    assert not list(out.rglob("*.tmp")) and not (out / ".parts").exists()


def test_a_complete_dataset_is_left_alone_and_a_foreign_one_too(copied, table):
    whole = settings(products={"table": str(table)})
    before = {path: path.stat().st_mtime_ns for path in copied.rglob("*")}
    assert build(whole, copied) == copied
    assert {path: path.stat().st_mtime_ns for path in copied.rglob("*")} == before
    other = settings(products={"table": str(table)}, seed=4)
    with pytest.raises(BadInput, match="dataset of another config; delete it or choose --out"):
        build(other, copied)
    assert {path: path.stat().st_mtime_ns for path in copied.rglob("*")} == before


def test_a_half_built_dataset_of_another_config_is_not_continued(table, tmp_path):
    images.write_bytes(tmp_path / ".parts" / "identity", b"something else")
    with pytest.raises(BadInput, match="half-built dataset of another config"):
        build(settings(products={"table": str(table)}), tmp_path)


def test_one_bad_photo_is_skipped_and_named(table, tmp_path, sample_photos):
    path, found = subset(table, tmp_path, 4)
    # Three groups must be left for three splits.
    splits = found.group_id.map(groups.split_groups(found, settings()))
    index = splits[splits.duplicated(keep=False)].index[0]
    victim = tmp_path / "victim.jpg"
    victim.write_bytes(Path(found.path[index]).read_bytes())
    found.loc[index, "path"] = str(victim)
    found.to_parquet(path)
    victim.write_bytes(victim.read_bytes()[:2000])
    out = build(settings(products={"table": str(path)}), tmp_path / "dataset")
    card, rows = dataset.read_card(out), read_manifest(out)
    assert len(card["skipped"]) == 1 and "victim.jpg" in card["skipped"][0]
    assert rows.product_id.nunique() == 3


def test_ai_labels_are_in_doctored_files_only(table, tmp_path):
    path, _ = subset(table, tmp_path, 3)
    labelled = settings(products={"table": str(path)}, build={"label_files": True})
    out = build(labelled, tmp_path / "labelled")
    for row in read_manifest(out).itertuples():
        found = {label.standard for label in read_labels(out / row.image) if label.ai}
        assert found == ({"TC260 AIGC", "IPTC DigitalSourceType"} if row.label else set())
    assert dataset.read_card(out)["ai_labels"] is True


def test_without_ai_labels_no_file_holds_any_metadata(built, manifest):
    from damagenet.synth.probes import metadata_size

    for name in manifest.image:
        data = (built / name).read_bytes()
        assert read_labels(data) == [] and metadata_size(data) == 0
        with images.opened(data) as picture:
            assert not picture.getexif() and set(picture.info) <= {
                "jfif", "jfif_version", "jfif_unit", "jfif_density", "progressive", "progression"
            }  # fmt: skip


def test_a_missing_decoder_is_named_with_the_way_to_get_it(table, tmp_path):
    wanted = settings(
        products={"table": str(table)}, build={"families": ["taef2"], "holdout_family": ""}
    )
    with pytest.raises(BadInput, match=r"taef2: no weights; .*DAMAGENET_MODELS"):
        build(wanted, tmp_path / "dataset")
    unknown = settings(
        products={"table": str(table)}, build={"families": ["vqgan"], "holdout_family": ""}
    )
    with pytest.raises(BadInput, match="vqgan: unknown"):
        build(unknown, tmp_path / "dataset")


def spoilt(name):
    """Ways to damage a finished dataset, by name."""

    def gone(folder, rows):
        (folder / "dataset.json").unlink()
        (folder / ".parts").mkdir()

    def newer(folder, rows):
        card = runs.read_json(folder / "dataset.json", "")
        runs.write_json(folder / "dataset.json", card | {"format": 99})

    def changed(folder, rows):
        rows.assign(label=1 - rows.label).to_parquet(folder / "manifest.parquet")

    def cut(folder, rows):
        (folder / "manifest.parquet").unlink()

    def one_class(folder, rows):
        rewrite(folder, rows[(rows.split != "val") | (rows.label == 0)])

    return locals()[name]


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ("gone", "copied: the build was interrupted"),
        ("newer", "format 99, this version reads 2"),
        ("changed", r"manifest\.parquet: missing or changed since the build"),
        ("cut", r"manifest\.parquet: missing or changed since the build"),
        ("one_class", "split val has no doctored pictures"),
    ],
)
def test_a_damaged_dataset_is_named_with_its_remedy(copied, manifest, harm, message):
    spoilt(harm)(copied, manifest)
    with pytest.raises(BadInput, match=message):
        read_manifest(copied)


def test_no_dataset_at_all_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match="no such dataset; make it with"):
        read_manifest(tmp_path / "gone")
    with pytest.raises(BadInput, match=r"dataset\.json: not found; make it with"):
        read_manifest(tmp_path)


def test_a_mask_of_another_size_is_named(copied, manifest):
    row = manifest.iloc[0].to_dict()
    mask = images.read_mask(copied / row["mask"])
    images.write(copied / row["mask"], mask[:-3])
    with pytest.raises(BadInput, match=Path(row["mask"]).name):
        read_pair(copied, row)


def test_variants_multiply_the_pictures_and_differ(table, tmp_path):
    path, _ = subset(table, tmp_path, 3)
    out = build(settings(products={"table": str(path)}, build={"variants": 2}), tmp_path / "d")
    rows = read_manifest(out)
    assert rows.groupby("product_id").recipe.nunique().eq(
        rows.groupby("product_id").size()).all()  # fmt: skip
    assert rows.groupby("product_id").channel.nunique().eq(2).all()


def test_a_refused_build_leaves_the_finished_one_alone(tmp_path, sample_photos):
    out, folder = tmp_path / "dataset", tmp_path / "shop"
    folder.mkdir()
    for path in sample_photos[:4]:
        shutil.copy(path, folder)
    asked = settings(products={"table": "", "folders": [str(folder)]})
    out.mkdir()
    (out / "dataset.json").write_text(json.dumps({"format": dataset.FORMAT, "identity": "other"}))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(BadInput, match="holds a dataset of another config"):
        build(asked, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_photo_that_is_gone_stops_the_build_until_it_is_back(table, tmp_path):
    path, found = subset(table, tmp_path, 4)
    moved = tmp_path / "moved.jpg"
    moved.write_bytes(Path(found.path.iloc[0]).read_bytes())
    found.loc[found.index[0], "path"] = str(moved)
    found.to_parquet(path)
    away = moved.rename(tmp_path / "away.jpg")
    with pytest.raises(BadInput, match=r"moved\.jpg: no such photo any more; put it back"):
        build(settings(products={"table": str(path)}), tmp_path / "dataset")
    away.rename(moved)
    out = build(settings(products={"table": str(path)}), tmp_path / "dataset")
    assert dataset.read_card(out)["skipped"] == []


def test_a_model_that_is_not_there_is_told_before_anything_is_built(table, tmp_path):
    pytest.importorskip("diffusers")
    asked = settings(products={"table": str(table)}, build={"inpaint": [str(tmp_path / "gone")]})
    with pytest.raises(BadInput, match="gone: no such folder"):
        build(asked, tmp_path / "dataset")
    assert not (tmp_path / "dataset").exists()

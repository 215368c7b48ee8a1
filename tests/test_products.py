import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import RENDERS, ROOT, encoded, photo
from PIL import Image

from damagenet import BadInput, images, runs
from damagenet.config import Products
from damagenet.synth import products
from damagenet.synth.products import COLUMNS, load, register, save

SAMPLES = ROOT / "data" / "samples"


def place(folder, files):
    """Lay out copies of real photos: `{"good/a.jpg": path or array or bytes}`."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, np.ndarray):
            images.write(path, content)
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            shutil.copy(content, path)
    return folder


def registered(folder, *damaged):
    return register([folder], damaged, workers=1)


@pytest.fixture
def shots(sample_photos):
    """Photos of different products."""
    return iter(sample_photos)


def test_the_table_is_as_promised(tmp_path, shots):
    folder = place(tmp_path / "shop", {"mugs/a.jpg": next(shots), "bags/b.png": photo()})
    table, refused = registered(folder)
    assert (
        list(table.columns)
        == COLUMNS
        == (
            "product_id group_id path condition category source licence width height sha256".split()
        )
    )
    assert not refused and len(table) == 2 and table.product_id.is_unique
    row = table.set_index("category").loc["bags"]
    assert (row.width, row.height, row.condition, row.source) == (210, 150, "intact", "shop")
    assert row.sha256 == runs.sha256(row.path) and row.licence == "unknown"


def test_the_order_of_folders_does_not_matter(tmp_path, sample_photos):
    for i, path in enumerate(sample_photos[:6]):
        place(tmp_path / f"shop{i % 3}", {f"{i}-x.jpg": path})
    places = [tmp_path / f"shop{i}" for i in range(3)]
    assert register(places, workers=1)[0].equals(register(places[::-1], workers=1)[0])


def test_broken_files_are_refused_with_a_reason_while_the_rest_goes_on(tmp_path, shots):
    whole = encoded(photo(), "JPEG")
    folder = place(tmp_path, {
        "good.jpg": next(shots),
        "empty.jpg": b"",
        "cut.jpg": whole[: len(whole) // 2],
        "text.png": b"hello",
        "small.png": photo(90, 120),
        "blank.png": np.full((200, 300, 3), 250, np.uint8),
    })  # fmt: skip
    table, refused = registered(folder)
    assert len(table) == 1
    reasons = {item.path.rsplit("/", 1)[1]: item.reason for item in refused}
    for name, reason in {
        "empty.jpg": "empty", "cut.jpg": "damaged", "text.png": "not a picture",
        "small.png": "120x90 is too small", "blank.png": "blank",
    }.items():  # fmt: skip
        assert reason in reasons.pop(name)
    assert not reasons


def test_the_same_picture_counts_once(tmp_path, shots):
    one = next(shots)
    pixels = images.read(one)
    folder = place(tmp_path, {
        "mug/first.jpg": one,
        "other/copy.jpg": one,
        "other/saved-again.jpg": encoded(pixels, "JPEG", quality=70),
        "other/as-webp.webp": encoded(pixels, "WEBP", quality=80),
        "other/else.jpg": next(shots),
    })  # fmt: skip
    table, refused = registered(folder)
    assert len(table) == 2 and len(refused) == 3
    assert all("the same picture as" in item.reason for item in refused)


def test_near_duplicates_stay_but_share_a_group(tmp_path, shots):
    pixels = images.read(next(shots))
    height, width = pixels.shape[:2]
    marked = pixels.copy()
    spot = slice(height * 2 // 5, height * 2 // 5 + 30), slice(width // 2, width // 2 + 30)
    marked[spot] = 255 - marked[spot]
    folder = place(tmp_path, {
        "a.png": pixels, "b.png": marked, "c.jpg": next(shots),
    })  # fmt: skip
    table, _ = registered(folder)
    groups = table.assign(name=table.path.str[-5]).set_index("name").group_id
    assert len(table) == 3
    assert groups.a == groups.b != groups.c


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("mug-blue_01.jpg", "mug-blue_02.jpg", True),
        ("item_01.jpg", "item_02.jpg", True),
        ("teapot front.jpg", "teapot back.jpg", True),
        ("vase (1).jpg", "vase (2).jpg", True),
        ("mug-blue_01.jpg", "mug-red_01.jpg", False),
        ("IMG_01.jpg", "IMG_02.jpg", False),
        ("001.jpg", "002.jpg", False),
    ],
)
def test_file_names_tell_shots_of_one_item(tmp_path, shots, one, other, together):
    table, _ = registered(place(tmp_path, {one: next(shots), other: next(shots)}))
    assert len(table) == 2
    assert (table.group_id.nunique() == 1) == together


def test_a_long_numbered_series_is_not_one_item(tmp_path, sample_photos):
    files = {f"frame_{i:02}.jpg": path for i, path in enumerate(sample_photos)}
    table, _ = registered(place(tmp_path, files))
    assert len(table) == table.group_id.nunique() == len(sample_photos) > 12


def test_sources_csv_tells_group_licence_and_category(tmp_path, shots):
    folder = place(tmp_path, {f"photos/{name}.jpg": next(shots) for name in "abc"})
    lines = ["path,group_key,licence,category"]
    lines += ["photos/a.jpg,one,CC0-1.0,mug", "photos/b.jpg,one,CC0-1.0,mug", "photos/c.jpg,,,"]
    (folder / "sources.csv").write_text("\n".join(lines))
    for start in (folder, folder / "photos"):
        table = registered(start)[0]
        table = table.assign(name=table.path.str[-5]).set_index("name")
        assert table.group_id.a == table.group_id.b != table.group_id.c
        assert (table.licence.a, table.category.a) == ("CC0-1.0", "mug")
        assert table.licence.c == "unknown"


def test_layouts_give_source_category_and_condition(tmp_path, shots):
    names = {
        "shop/mugs/a.jpg": ("shop", "mugs", "intact"),
        "plates/b.jpg": ("pile", "plates", "intact"),
        "c.jpg": ("pile", "unknown", "intact"),
        "bottle/train/good/d.png": ("pile", "bottle", "intact"),
        "bottle/test/good/e.png": ("pile", "bottle", "intact"),
        "bottle/test/broken_large/f.png": ("pile", "bottle", "damaged"),
        "rig/tiles/Normal/g.jpg": ("rig", "tiles", "intact"),
        "rig/tiles/Anomaly/h.jpg": ("rig", "tiles", "damaged"),
    }
    folder = place(tmp_path / "pile", {name: next(shots) for name in names})
    masks = ("bottle/ground_truth/broken_large/f_mask.png", "tiles/masks/h.png", "tiles/Mask/h.png")
    place(folder, {name: next(shots) for name in masks})
    table, refused = registered(folder)
    assert len(table) == len(names) and not refused  # masks are not even looked at
    for row in table.itertuples():
        found = (row.source, row.category, row.condition)
        assert found == names[row.path.partition("/pile/")[2]]


def test_damaged_folders_and_single_files_are_taken_as_named(tmp_path, shots, monkeypatch):
    place(tmp_path, {"shop/a.jpg": next(shots), "back/b.jpg": next(shots), "c.jpg": next(shots)})
    monkeypatch.chdir(tmp_path)
    table, _ = register([Path("shop"), Path("c.jpg")], [Path("back")], workers=1)
    table = table.assign(name=table.path.str[-5]).set_index("name")
    assert table.condition.to_dict() == {"a": "intact", "b": "damaged", "c": "intact"}
    assert table.path.map(os.path.isabs).all()
    assert table.source.c == tmp_path.parent.name


def test_the_folder_one_stands_in_has_a_name(tmp_path, shots, monkeypatch):
    place(tmp_path / "shop", {"a.jpg": next(shots)})
    monkeypatch.chdir(tmp_path / "shop")
    assert registered(Path())[0].source.tolist() == ["shop"]


def test_a_missing_folder_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match="gone: no such folder"):
        registered(tmp_path / "gone")


def test_zero_products_are_bad_input_with_an_example(tmp_path):
    with pytest.raises(BadInput, match="zero products among 0"):
        registered(tmp_path)
    place(tmp_path, {"x.jpg": b"text"})
    with pytest.raises(BadInput, match=r"zero products among 1 picture files; .*x\.jpg: not a"):
        registered(tmp_path)


def test_one_and_two_workers_register_the_same(tmp_path, sample_photos):
    one = register(sample_photos[:5], workers=1)
    two = register(sample_photos[:5], workers=2)
    assert one[0].equals(two[0]) and one[1] == two[1]


def test_the_table_survives_a_round_trip_and_refusals_are_listed(tmp_path, table):
    found = load(table)
    save(found, [products.Refused("x.jpg", "why, then")], tmp_path / "p.parquet")
    assert load(tmp_path / "p.parquet").equals(found)
    listed = pd.read_csv(tmp_path / "p.refused.csv")
    assert listed.to_dict("records") == [{"path": "x.jpg", "reason": "why, then"}]


@pytest.mark.parametrize("harm", ["missing", "text", "column", "empty"])
def test_a_bad_table_is_named_with_its_remedy(tmp_path, table, harm):
    path = tmp_path / "p.parquet"
    if harm == "text":
        path.write_text("no parquet")
    elif harm == "column":
        load(table).drop(columns="group_id").to_parquet(path)
    elif harm == "empty":
        load(table).head(0).to_parquet(path)
    with pytest.raises(BadInput, match=r"p\.parquet: .*(again|damagenet products)"):
        load(path)


def test_a_limit_is_spread_over_groups_of_both_conditions(table):
    whole = load(table)
    copy = whole.assign(product_id=whole.product_id + "-b")  # a second shot of every group
    both = pd.concat([whole, copy], ignore_index=True)
    few = products.limited(both, 3)
    assert few.condition.value_counts().to_dict() == {"intact": 3, "damaged": 3}
    assert few.group_id.nunique() == 6
    assert products.limited(both, 0) is both


def test_without_folders_the_samples_and_packaged_photos_are_used(tmp_path):
    folders, damaged = products.default_folders()
    assert folders[0] == SAMPLES and not damaged
    assert {path.name for path in folders[1:]} >= {"coffee.png", "flower.jpg"}
    table = products.resolve(Products(limit=8), tmp_path / "products.parquet")
    assert len(table) == 8 and (tmp_path / "products.parquet").is_file()


def test_damagenet_data_wins_over_the_samples(tmp_path, shots, monkeypatch):
    place(tmp_path, {"products/shop/a.jpg": next(shots), "damaged/b.jpg": next(shots)})
    monkeypatch.setenv("DAMAGENET_DATA", str(tmp_path))
    assert products.default_folders() == ([tmp_path / "products"], [tmp_path / "damaged"])
    monkeypatch.setenv("DAMAGENET_DATA", str(tmp_path / "gone"))
    with pytest.raises(BadInput, match="unset or mend it"):
        products.default_folders()


def test_the_samples_are_many_small_and_all_accounted_for():
    listed = pd.read_csv(SAMPLES / "sources.csv").set_index("path")
    found = {str(path.relative_to(SAMPLES)) for path in images.files_in([RENDERS])}
    assert set(listed.index) == found and listed.index.is_unique
    assert len(found) >= 48 and listed.category.nunique() >= 8
    assert sum(path.stat().st_size for path in SAMPLES.rglob("*")) < 3_000_000
    assert (listed.licence == "Apache-2.0").all()
    for name, row in listed.iterrows():
        assert runs.sha256(SAMPLES / name) == row.sha256, name
        with Image.open(SAMPLES / name) as picture:
            assert picture.size == (row.width, row.height), name


def test_every_sample_is_a_product_and_views_of_one_share_a_group():
    table, refused = registered(SAMPLES)
    assert not refused
    item = table.path.map(lambda path: path.rsplit("_", 1)[0])
    assert (table.groupby(item).group_id.nunique() == 1).all()
    assert table.group_id.nunique() >= 0.9 * item.nunique()  # different products stay apart


def test_the_mask_of_real_damage_is_found_beside_the_photo_or_its_folder(tmp_path):
    places = {"a/1.jpg": "a/masks/1.png", "b/tile/2.jpg": "b/masks/2.png"}
    for photo_place, mask_place in places.items():
        images.write(tmp_path / photo_place, photo(90, 130))
        assert products.damage_mask(tmp_path / photo_place) is None
        mask = np.zeros((90, 130), np.uint8)
        mask[20:30] = 255
        images.write(tmp_path / mask_place, mask)
        assert np.array_equal(products.damage_mask(tmp_path / photo_place), mask)
    images.write(tmp_path / "b/masks/2.png", mask[:-1])
    with pytest.raises(BadInput, match=r"2\.png: not of the size of .*2\.jpg"):
        products.damage_mask(tmp_path / "b/tile/2.jpg")


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are text there")
def test_a_name_that_is_not_utf8_is_refused_and_the_rest_goes_on(tmp_path, sample_photos):
    folder = tmp_path / "shop"
    folder.mkdir()
    data = Path(sample_photos[0]).read_bytes()
    (folder / "good\u202fone.jpg").write_bytes(data)
    Path(os.fsdecode(os.fsencode(folder) + b"/x\xe9.jpg")).write_bytes(data)
    table, refused = products.register([folder])
    assert len(table) == 1 and "not UTF-8" in refused[0].reason
    products.save(table, refused, tmp_path / "products.parquet")

import json

import numpy as np
import pandas as pd
import pytest
from conftest import encoded, rewrite
from PIL import Image, ImageFilter, ImageOps

from damagenet import BadInput, cli, runs
from damagenet.config import Audit
from damagenet.synth import audit as stage
from damagenet.synth.audit import audit, probe
from damagenet.synth.probes import CHECKS, PROBES


def saved_again(path, **options):
    with Image.open(path) as picture:
        picture.load()
        path.write_bytes(encoded(picture, "JPEG", **options))


def quality(folder, row):
    saved_again(folder / row["image"], quality=55, subsampling=2)


def tables(folder, row):
    """Tables of an encoder that treats all frequencies alike, as coarse on average."""
    with Image.open(folder / row["image"]) as picture:
        picture.load()
        flat = {k: [round(np.mean(t))] * 64 for k, t in picture.quantization.items()}
        (folder / row["image"]).write_bytes(encoded(picture, "JPEG", qtables=flat))


def size(folder, row):
    with Image.open(folder / row["image"]) as picture:
        smaller = picture.resize((picture.width // 2, picture.height // 2))
        (folder / row["image"]).write_bytes(encoded(smaller, "JPEG", qtables=picture.quantization))


def aspect(folder, row):
    with Image.open(folder / row["image"]) as picture:
        taller = picture.resize((picture.width * 2 // 3, picture.height))
        (folder / row["image"]).write_bytes(encoded(taller, "JPEG", qtables=picture.quantization))


def subsampling(folder, row):
    with Image.open(folder / row["image"]) as picture:
        picture.load()
        path = folder / row["image"]
        path.write_bytes(encoded(picture, "JPEG", qtables=picture.quantization, subsampling=1))


def same_settings(folder, row, change):
    """Change pixels and nothing else about a JPEG file."""
    path = folder / row["image"]
    with Image.open(path) as picture:
        own = {"qtables": picture.quantization, "subsampling": SUBSAMPLING[picture.layer[0][1:3]]}
        own["progressive"] = bool(picture.info.get("progressive"))
        path.write_bytes(encoded(change(picture), "JPEG", **own))


def brighter(folder, row):
    same_settings(folder, row, lambda picture: picture.point(lambda v: min(255, 60 + v)))


def blurred(folder, row):
    same_settings(folder, row, lambda picture: picture.filter(ImageFilter.GaussianBlur(1.2)))


def empty(folder, row):
    same_settings(folder, row, lambda picture: picture.filter(ImageFilter.GaussianBlur(8)))


def flatter(folder, row):
    same_settings(folder, row, lambda p: Image.blend(p, Image.new("RGB", p.size, (128,) * 3), 0.5))


def png(folder, row):
    path = folder / row["image"]
    with Image.open(path) as picture:
        path.with_suffix(".png").write_bytes(encoded(picture, "PNG"))
    path.unlink()
    return {"image": str(path.with_suffix(".png").relative_to(folder))}


def progressive(folder, row):
    saved_again(folder / row["image"], quality=90, progressive=True)


def exif(folder, row):
    path = folder / row["image"]
    data, block = path.read_bytes(), Image.Exif()
    block[0x0110] = "a phone"
    body = block.tobytes()
    segment = b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body
    path.write_bytes(data[:2] + segment + data[2:])


SUBSAMPLING = {(1, 1): 0, (2, 1): 1, (2, 2): 2}
LEAKS = [
    (quality, 1, "jpeg_quality byte_statistics"), (tables, 1, "jpeg_tables"), (size, 1, "size"),
    (aspect, 1, "aspect"), (subsampling, 1, "subsampling"), (png, 1, "format"),
    (progressive, 1, "format"), (exif, 0, "exif"), (brighter, 1, "brightness"),
    (blurred, 1, "sharpness spectrum coefficients"),
    (flatter, 1, "contrast colour"), (empty, 1, "bytes_per_pixel"),
]  # fmt: skip
QUICK = {quality, png, exif, brighter}  # of these the fast tests see that it bites
TOLD_BY_TWINS = {quality, tables, size, aspect, subsampling, png, progressive, exif}


def records(result):
    return {record["name"]: record for record in result["probes"]}


def test_the_clean_dataset_passes_every_probe_with_any_number_of_workers(copied):
    result = audit(copied)
    found = records(result)
    assert result["passed"] and set(found) == {*PROBES, *CHECKS}
    labels = pd.read_parquet(copied / "manifest.parquet").label
    n = labels.value_counts()
    noise = 0.5 + 3 * np.sqrt((len(labels) + 1) / 12 / n[0] / n[1])
    for name, record in found.items():
        assert record["passed"] and record["auc"] <= record["limit"] and record["meaning"]
        assert "remedy" not in record and record["columns"]
        configured = Audit().pixel_limit if name in PROBES and PROBES[name].pixels else 0.6
        least = configured if name in CHECKS else max(configured, noise)
        assert record["limit"] == pytest.approx(least, abs=1e-4)
    assert all(found[name]["count"] == 0 for name in CHECKS)
    assert runs.read_json(copied / "audit.json", "") == result
    assert result["pictures"] == len(labels)
    assert audit(copied, workers=2) == result
    lines = stage.table(result).splitlines()
    assert lines[0].split() == ["probe", "AUC", "limit"]
    assert len(lines) == 1 + len(PROBES) + len(CHECKS) and "LEAK" not in "".join(lines)


@pytest.mark.parametrize(
    ("plant", "label", "names"),
    [
        pytest.param(*leak, id=leak[0].__name__, marks=[] if leak[0] in QUICK else pytest.mark.slow)
        for leak in LEAKS
    ],
)
def test_a_planted_leak_is_caught_and_comes_with_a_remedy(copied, manifest, plant, label, names):
    rows = manifest.to_dict("records")
    for row in rows:
        if row["label"] == label:
            row |= plant(copied, row) or {}
    rewrite(copied, pd.DataFrame(rows))
    result = audit(copied)
    found = records(result)
    assert not result["passed"]
    for name in names.split():
        record = found[name]
        assert not record["passed"] and record["auc"] > record["limit"], record
        assert record["remedy"] == PROBES[name].remedy
        assert sorted(record["columns"]) == sorted(PROBES[name].columns)
    assert found["twins"]["passed"] == (plant not in TOLD_BY_TWINS)


def test_damage_in_doctored_pictures_only_is_a_leak(copied, manifest):
    rewrite(copied, manifest[manifest.cell.isin(["authentic_intact", "doctored_damage"])])
    result = audit(copied)
    assert records(result)["damage"]["auc"] > 0.9 and not result["passed"]


def test_one_group_in_two_splits_is_a_leak(copied, manifest):
    group = manifest[manifest.split == "train"].group_id.iloc[0]
    first = manifest.index[manifest.group_id == group][:1]
    rewrite(copied, manifest.assign(split=manifest.split.mask(manifest.index.isin(first), "test")))
    result = audit(copied)
    assert result["groups_in_two_splits"] == [group]
    assert not records(result)["split"]["passed"] and not result["passed"]


def test_the_command_fails_on_a_leak_and_passes_without(copied, manifest, capsys):
    assert cli.main(["audit", str(copied), "--workers", "1"]) == 0
    assert "LEAK" not in capsys.readouterr().out
    for row in manifest[manifest.label == 1].to_dict("records"):
        exif(copied, row)
    assert cli.main(["audit", str(copied), "--workers", "1"]) == 1
    out, err = capsys.readouterr()
    assert f"LEAK: {PROBES['exif'].remedy}" in out
    assert "could cheat" in err.splitlines()[-1]
    assert json.loads((copied / "audit.json").read_text())["passed"] is False


def test_slices_and_columns_name_the_culprit(copied, manifest):
    culprit = manifest[manifest.label == 1].family.mode()[0]
    for row in manifest[manifest.family == culprit].to_dict("records"):
        same_settings(copied, row, lambda picture: picture.filter(ImageFilter.GaussianBlur(3)))
    result = audit(copied, Audit(pixel_limit=0.55))
    record = records(result)["sharpness"]
    assert max(record["slices"]["family"], key=record["slices"]["family"].get) == culprit
    assert set(record["slices"]) == {"cell", "topology", "family"}
    assert record["columns"][0] in ("laplacian", "laplacian_ratio", "noise")
    assert record["columns"][0] in stage.table(result)


def planted_copy(folder, manifest, photos):
    """A photo cut, mirrored and saved again, as another product of another group and split.

    From `photos` (product -> path) or, without them, from the dataset's own picture.
    """
    chain = manifest.channel.map(lambda c: json.loads(c)["chain"])
    plain = (manifest.split == "train") & (manifest.cell == "authentic_intact")
    row = manifest[plain & ~chain.str.startswith("screen")].iloc[0]
    name = "images/copy-00000000_0_authentic_intact.jpg"
    with Image.open(photos.get(row.product_id, folder / row.image)) as picture:
        w, h = picture.size
        cut = ImageOps.mirror(picture).crop((w // 20, h // 30, w, h - h // 25))
        (folder / name).write_bytes(encoded(cut, "JPEG", quality=80))
    other = {"image": name, "split": "test", "group_id": "g-copy", "product_id": "copy"}
    rewrite(folder, pd.concat([manifest, pd.DataFrame([row.to_dict() | other])]))
    return row.product_id


@pytest.mark.parametrize("photos", ["there", "changed"])
def test_one_photo_under_two_names_in_two_splits_is_found(copied, manifest, table, photos):
    rows = pd.read_parquet(table)
    known = rows.set_index("product_id").path.to_dict() if photos == "there" else {}
    product = planted_copy(copied, manifest, known)
    if photos == "changed":
        rows["sha256"] = "0" * 64
    rows.to_parquet(copied / "products.parquet")
    result = audit(copied)
    record = records(result)["near_duplicates"]
    assert record["count"] == 1 and not record["passed"] and not result["passed"]
    assert set(record["found"][0][:2]) == {"copy (test)", f"{product} (train)"}
    assert record["found"][0][2] >= 0.6
    assert record["remedy"] == CHECKS["near_duplicates"][1]
    assert not result["groups_in_two_splits"]


def test_one_product_in_two_splits_is_found_whatever_its_groups_are_called(copied, manifest):
    product = manifest[manifest.split == "train"].product_id.iloc[0]
    moved = (manifest.product_id == product) & (manifest.cell == "authentic_damaged")
    split, group = (manifest[c].mask(moved, v) for c, v in (("split", "val"), ("group_id", "g-x")))
    rewrite(copied, manifest.assign(split=split, group_id=group))
    record = records(audit(copied))["near_duplicates"]
    assert record["count"] == 1 and record["found"][0][2] == 1
    assert set(record["found"][0][:2]) == {f"{product} (train)", f"{product} (val)"}


def test_one_odd_twin_is_named(copied, manifest):
    row = manifest[manifest.label == 1].iloc[2].to_dict()
    progressive(copied, row)
    record = records(audit(copied))["twins"]
    assert record["count"] == 1 and not record["passed"]
    assert row["image"].startswith(record["found"][0])
    assert "progressive" in record["columns"] and "width" not in record["columns"]


def test_the_limits_can_be_set(copied, manifest):
    for row in manifest[manifest.label == 1].to_dict("records"):
        flatter(copied, row)
    assert cli.main(["audit", str(copied), "--workers", "1"]) == 1
    wide = ["--limit", "1", "--pixel-limit", "1"]
    assert cli.main(["audit", str(copied), *wide, "--workers", "1"]) == 0


def test_the_limits_of_the_datasets_own_config_hold(copied, monkeypatch):
    card = runs.read_json(copied / "dataset.json", "")
    card["config"]["audit"] = {"limit": 0.9, "pixel_limit": 0.8, "folds": 4}
    runs.write_json(copied / "dataset.json", card)
    assert stage.configured(copied) == Audit(limit=0.9, pixel_limit=0.8, folds=4)
    used = []
    monkeypatch.setattr(stage, "audit", lambda folder, limits, workers: used.append(limits) or {})
    with pytest.raises(KeyError):
        cli.main(["audit", str(copied), "--pixel-limit", "0.7"])
    assert used == [Audit(limit=0.9, pixel_limit=0.7, folds=4)]


@pytest.mark.parametrize("flag", ["--limit", "--pixel-limit"])
def test_a_limit_at_chance_is_refused(copied, capsys, flag):
    assert cli.main(["audit", str(copied), flag, "0.5"]) == 1
    assert f"audit.{flag[2:].replace('-', '_')} must be above 0.5" in capsys.readouterr().err


def test_too_few_groups_for_the_folds_are_bad_input(copied, manifest):
    groups = manifest.groupby("split").group_id.first()
    rewrite(copied, manifest[manifest.group_id.isin(groups)])
    with pytest.raises(BadInput, match="3 product groups are fewer than 5 folds"):
        audit(copied)


def test_an_unreadable_picture_is_named(copied, manifest):
    name = manifest.image.iloc[3]
    (copied / name).write_bytes(b"no picture")
    with pytest.raises(BadInput, match=name):
        audit(copied)


def groups_of(n):
    return pd.Series(np.arange(n) // 4)


def test_a_probe_finds_what_is_there_and_nothing_in_noise():
    rng = np.random.default_rng(0)
    labels = pd.Series(np.arange(400) % 2)
    telling = pd.DataFrame({"x": labels + rng.normal(0, 0.1, 400)})
    noise = pd.DataFrame({"x": rng.normal(0, 1, 400)})
    constant = pd.DataFrame({"x": np.ones(400)})
    assert probe(telling, labels, groups_of(400), 5) > 0.99
    assert 0.42 < probe(noise, labels, groups_of(400), 5) < 0.58
    assert probe(constant, labels, groups_of(400), 5) == 0.5


def test_a_probe_does_not_learn_products_by_heart():
    rng = np.random.default_rng(1)
    labels = pd.Series(rng.integers(0, 2, 100).repeat(4))  # whole groups of one class
    facts = pd.DataFrame({"x": (np.arange(400) // 4).astype(float)})  # tells the group, no more
    assert 0.3 < probe(facts, labels, groups_of(400), 5) < 0.65
    assert 0.3 < probe(facts, labels, groups_of(400), 5, linear=True) < 0.65


def test_a_linear_probe_sees_lines_only():
    rng = np.random.default_rng(0)
    labels = pd.Series(np.arange(400) % 2)
    side = pd.DataFrame({"x": 5 + labels + rng.normal(0, 0.1, 400)})
    ring = pd.DataFrame({"x": np.where(labels == 1, rng.choice([-1, 1], 400), 0.0)})
    assert probe(side, labels, groups_of(400), 5, linear=True) > 0.99
    assert probe(ring, labels, groups_of(400), 5) > 0.99
    assert probe(ring, labels, groups_of(400), 5, linear=True) < 0.65

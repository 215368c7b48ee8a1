import json

import numpy as np
import pandas as pd
import pytest
from conftest import encoded, photo, rewrite
from PIL import Image

from damagenet import BadInput, cli, runs
from damagenet.config import Audit
from damagenet.synth import audit as stage
from damagenet.synth.audit import PROBES, REMEDIES, audit, metadata_size, probe, read_facts


def saved_again(path, **options):
    with Image.open(path) as picture:
        picture.load()
        path.write_bytes(encoded(picture, "JPEG", **options))


def quality(folder, row):
    saved_again(folder / row["image"], quality=55, subsampling=2)


def tables(folder, row):
    with Image.open(folder / row["image"]) as picture:
        picture.load()
        odd = {key: [t + 1 for t in table] for key, table in picture.quantization.items()}
        (folder / row["image"]).write_bytes(encoded(picture, "JPEG", qtables=odd))


def size(folder, row):
    with Image.open(folder / row["image"]) as picture:
        smaller = picture.resize((picture.width * 3 // 4, picture.height * 3 // 4))
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


def detail(folder, row):
    with Image.open(folder / row["image"]) as picture:
        soft = picture.reduce(4).resize(picture.size)
        path, own = folder / row["image"], picture.quantization
        path.write_bytes(encoded(soft, "JPEG", qtables=own, subsampling=2))


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


LEAKS = [
    ("jpeg_quality", quality, 1), ("jpeg_tables", tables, 1), ("size", size, 1),
    ("aspect", aspect, 1), ("subsampling", subsampling, 1), ("bytes_per_pixel", detail, 1),
    ("format", png, 1), ("format", progressive, 1), ("exif", exif, 0),
]  # fmt: skip


def records(result):
    return {record["name"]: record for record in result["probes"]}


def test_the_clean_dataset_passes_every_probe(copied):
    result = audit(copied)
    assert result["passed"] and set(records(result)) == {*PROBES, "split"} == set(REMEDIES)
    for record in result["probes"]:
        assert record["passed"] and record["auc"] <= record["limit"] == Audit().limit
        assert "remedy" not in record
    assert runs.read_json(copied / "audit.json", "") == result
    assert result["pictures"] == len(pd.read_parquet(copied / "manifest.parquet"))


@pytest.mark.parametrize(
    ("name", "plant", "label"), LEAKS, ids=[plant.__name__ for _, plant, _ in LEAKS]
)
def test_a_planted_leak_is_caught_and_comes_with_a_remedy(copied, manifest, name, plant, label):
    rows = manifest.to_dict("records")
    for row in rows:
        if row["label"] == label:
            row |= plant(copied, row) or {}
    rewrite(copied, pd.DataFrame(rows))
    result = audit(copied)
    record = records(result)[name]
    assert not result["passed"] and not record["passed"]
    assert record["auc"] > Audit().limit and record["remedy"] == REMEDIES[name]


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
    assert cli.main(["audit", str(copied)]) == 0
    assert "LEAK" not in capsys.readouterr().out
    for row in manifest[manifest.label == 1].to_dict("records"):
        exif(copied, row)
    assert cli.main(["audit", str(copied)]) == 1
    out, err = capsys.readouterr()
    assert f"LEAK: {REMEDIES['exif']}" in out
    assert "could cheat" in err.splitlines()[-1]
    assert json.loads((copied / "audit.json").read_text())["passed"] is False


def test_the_limit_can_be_set(copied):
    assert not audit(copied, Audit(limit=0.4))["passed"]
    assert cli.main(["audit", str(copied), "--limit", "0.4"]) == 1


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


def test_facts_come_from_the_header(tmp_path):
    path = tmp_path / "x.JPG"
    path.write_bytes(encoded(photo(), "JPEG", quality=70, subsampling=1, comment=b"hello"))
    facts = read_facts(path)
    assert (facts["width"], facts["height"], facts["aspect"]) == (210, 150, 1.4)
    assert facts["exif"] == 0 and facts["progressive"] == 0
    assert facts["metadata_bytes"] == 2 + 2 + len("hello")
    body = path.stat().st_size - facts["metadata_bytes"]
    assert facts["bytes_per_pixel"] == pytest.approx(body / (210 * 150))
    path.write_bytes(encoded(photo(), "JPEG", quality=70, subsampling=2))
    other = read_facts(path)
    assert other["subsampling"] != facts["subsampling"] and other["quality"] == facts["quality"]


def test_metadata_is_counted_and_the_frame_around_it_is_not():
    plain = encoded(photo(), "JPEG")
    assert metadata_size(plain) == 0 == metadata_size(encoded(photo(), "PNG"))
    exif_block = Image.Exif()
    exif_block[0x0110] = "a phone"
    tagged = encoded(photo(), "JPEG", exif=exif_block)
    assert metadata_size(tagged) == len(tagged) - len(plain)
    assert metadata_size(plain[:20]) == 0 == metadata_size(b"")


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


def test_the_table_is_for_people(copied):
    text = stage.table(audit(copied))
    assert text.splitlines()[0].split() == ["probe", "AUC", "limit"]
    assert len(text.splitlines()) == 1 + len(REMEDIES) and "LEAK" not in text

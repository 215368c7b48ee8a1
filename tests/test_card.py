import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import FAMILIES, rewrite

from damagenet import BadInput, cli, images, runs
from damagenet.synth import card, contact_sheet, dataset, doctor
from damagenet.synth.audit import audit

EVIL = "</td><script>alert('x')</script>\N{RIGHT-TO-LEFT OVERRIDE}&\"'"


class Page(HTMLParser):
    """Tags, attributes and text of a page; every opened tag must be closed."""

    VOID = frozenset("meta img br wbr path circle polygon".split())

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def named(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def audited_once(built, tmp_path_factory):
    folder = Path(shutil.copytree(built, tmp_path_factory.mktemp("audited") / "tiny"))
    audit(folder)
    return folder


@pytest.fixture
def audited(audited_once, tmp_path):
    return Path(shutil.copytree(audited_once, tmp_path / "audited"))


def page_of(folder):
    return Page(card.write(folder).read_text("utf-8"))


def edited(folder, **values):
    path = folder / "dataset.json"
    runs.write_json(path, runs.read_json(path, "") | values)


def test_the_command_writes_the_card_last(copied, capsys):
    assert cli.main(["audit", str(copied), "--workers", "1"]) == 0
    assert str(copied / "dataset_card.html") in capsys.readouterr().out
    page = Page((copied / "dataset_card.html").read_text("utf-8"))
    made = (copied / "dataset_card.html").stat().st_mtime_ns
    assert made >= (copied / "audit.json").stat().st_mtime_ns
    assert "audit passed" in page.text and page.named("html")[0]["lang"] == "en"


def test_the_same_folder_gives_the_same_page(audited):
    first = card.write(audited).read_bytes()
    assert card.write(audited).read_bytes() == first


def test_nothing_is_loaded_or_run(audited):
    html = card.write(audited).read_text("utf-8")
    page = Page(html)
    policy = page.named("meta")[1]["content"]
    assert "default-src 'none'" in policy and "script" not in policy
    assert not page.named("script") and not page.named("link") and "url(" not in html
    assert all(img["src"].startswith("data:image/jpeg;base64,") for img in page.named("img"))
    assert not re.search(r'(src|href)="(?!data:)', html)


def test_all_counts_are_there(audited, manifest):
    page = page_of(audited)
    text = " ".join(page.text.split())
    for cell in doctor.CELLS:
        rows = manifest[manifest.cell == cell]
        counts = [(rows.split == split).sum() for split in ("train", "val", "test")]
        assert "".join(map(str, [contact_sheet.words(cell), *counts, len(rows)])) in text
    bars = [attrs["aria-label"] for attrs in page.named("div") if attrs.get("class") == "bar"]
    expected = []
    for column in ("family", "topology", "method"):
        counts = manifest[manifest.label == 1][column].value_counts()
        expected += [f"0 authentic, {n} doctored" for n in counts]
    chains = manifest.channel.map(lambda c: json.loads(c)["chain"])
    for _, rows in manifest.groupby(chains):
        authentic = (rows.label == 0).sum()
        expected.append(f"{authentic} authentic, {len(rows) - authentic} doctored")
    assert set(expected) <= set(bars)


def test_every_bar_table_adds_up(manifest):
    doctored = (manifest.label == 1).sum()
    severe = (manifest.severity > 0).sum()
    totals = []
    for part in card._distributions(manifest):
        labels = [a.get("aria-label", "") for a in Page(part).named("div")]
        numbers = [[int(n) for n in re.findall(r"\d+", text)] for text in labels if text]
        totals.append(sum(map(sum, numbers)))
    n = len(manifest)
    assert totals == [n, n, severe, doctored, doctored, doctored, n, doctored]


def test_areas_fall_into_their_bins(manifest):
    row = manifest[manifest.label == 1].iloc[0].to_dict()
    areas = (0.0029, 0.003, 0.02, 0.5, 0.998, 0.9995, 1.0)
    part = card._distributions(pd.DataFrame([row | {"area": a} for a in areas]))[-1]
    counts = [int(n) for n in re.findall(r"0 authentic, (\d+) doctored", part)]
    assert counts == [1, 1, 1, 0, 0, 2, 2]


def test_rare_values_are_summed_up():
    values = pd.Series(np.repeat([f"kind {i:02}" for i in range(20)], np.arange(20, 0, -1)))
    part = card._counts("kinds", values, pd.Series(np.zeros(len(values), int)))
    assert "5 others" in part and "kind 14" in part and "kind 15" not in part
    assert "15 authentic, 0 doctored" in part  # 5 + 4 + 3 + 2 + 1


def test_the_audit_is_told_in_words(audited, manifest):
    page = page_of(audited)
    assert "leak" not in page.text.split("Sources and licences")[0].split("Question")[1]
    rewrite(audited, manifest[manifest.cell.isin(["authentic_intact", "doctored_damage"])])
    result = audit(audited)
    page = page_of(audited)
    assert "audit failed" in page.text
    for record in result["probes"]:
        assert record["meaning"] in page.text
        assert record["passed"] or record["remedy"] in page.text
    meters = [a["aria-label"] for a in page.named("svg") if a.get("class") == "meter"]
    assert len(meters) == sum("count" not in record for record in result["probes"])


def test_whatever_comes_from_files_is_escaped(audited, manifest):
    clean = page_of(audited)
    known = runs.read_json(audited / "dataset.json", "")
    config = known["config"] | {"name": EVIL}
    odd = {
        "config": config, "licences": {EVIL: [EVIL]}, "missing_families": {EVIL: EVIL},
        "machine": EVIL, "families": known["families"] | {EVIL: EVIL}, "versions": {EVIL: EVIL},
    }  # fmt: skip
    edited(audited, **odd)
    bad = manifest.assign(category=EVIL, kind=EVIL, family=EVIL)
    rewrite(audited, bad.assign(method=EVIL, topology=EVIL, product_id=EVIL))
    record = runs.read_json(audited / "audit.json", "")
    for probe in record["probes"]:
        found = {"slices": {EVIL: {EVIL: 0.9}}} if "count" not in probe else {"found": [EVIL]}
        probe |= {"passed": False, "meaning": EVIL, "remedy": EVIL, "columns": [EVIL], **found}
    runs.write_json(audited / "audit.json", record)
    (audited / "products.parquet").unlink(missing_ok=True)
    page = page_of(audited)
    assert not page.named("script") and "<script>alert" in page.text
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in clean.tags} | {"br", "small"}


def test_twins_cover_the_topologies(manifest):
    picked = contact_sheet.pick(manifest)
    names = [dataset.draws(rows).iloc[0] for rows in picked]
    assert (
        len(names) == len(set(names)) == min(contact_sheet.DRAWS, dataset.draws(manifest).nunique())
    )
    assert {t for rows in picked for t in rows.topology} == set(manifest.topology)
    again = [dataset.draws(rows).iloc[0] for rows in contact_sheet.pick(manifest.iloc[::-1])]
    assert again == names
    if (manifest.kind == "real").any():
        assert any((rows.kind == "real").any() for rows in picked)


def test_pictures_have_descriptions_and_only_fakes_an_outline(audited):
    page = page_of(audited)
    alts = [img["alt"] for img in page.named("img")]
    assert len(alts) == sum(
        len(rows) for rows in contact_sheet.pick(dataset.read_manifest(audited))
    )
    assert all(alts)
    shown = [attrs for attrs in page.named("svg") if attrs.get("class") == ""]
    assert len(shown) == sum(alt.startswith("doctored") for alt in alts)


def test_the_outline_follows_the_mask():
    mask = np.zeros((100, 200), np.uint8)
    mask[20:60, 100:180] = 255
    points = re.findall(r"(\d+),(\d+)", contact_sheet.outline(mask, (100, 50)))
    x, y = np.array(points, int).T
    assert abs(x.min() - 50) <= 1 and abs(x.max() - 89) <= 1
    assert abs(y.min() - 10) <= 1 and abs(y.max() - 29) <= 1
    assert "polygon" not in contact_sheet.outline(np.zeros((50, 70), np.uint8), (70, 50))


def test_intended_masks_are_drawn_where_they_exist(audited, manifest):
    for name in manifest[manifest.label == 1]["mask"]:
        place = audited / "intended" / name.removeprefix("masks/")
        images.write(place, images.read_mask(audited / name))
    page = page_of(audited)
    dashed = [attrs for attrs in page.named("svg") if attrs.get("class") == "meant"]
    assert dashed and "Dashed" in page.text


def test_the_cost_is_computed_only_from_what_was_measured(audited, manifest):
    (audited / "timing.json").unlink(missing_ok=True)
    assert "time was not measured" in page_of(audited).text
    timing = {"cpu_s": 0.072 * 50, "pictures": 50, "bytes": 1, "workers": 2}
    runs.write_json(audited / "timing.json", timing)
    text = page_of(audited).text
    files = [audited / name for column in ("image", "mask") for name in manifest[column]]
    files += (audited / "intended").glob("*.png")
    disk = sum(path.stat().st_size for path in files) / len(manifest) * 1e6 / 1e9
    assert "20 core-hours" in text and f"{disk:,.0f} GB" in text


def test_sources_without_pictures_are_left_out(audited, manifest):
    edited(audited, licences={"shop": ["CC0-1.0"], "unused": ["secret"]})
    table = pd.DataFrame({"product_id": manifest.product_id.unique(), "source": "shop"})
    table.to_parquet(audited / "products.parquet")
    text = page_of(audited).text
    assert "shopCC0-1.0" in text and "secret" not in text
    (audited / "products.parquet").unlink()
    assert "not recorded" in page_of(audited).text


def test_all_families_are_listed_known_missing_or_named(audited, manifest):
    edited(audited, missing_families={"lost": "lost: put it there"}, holdout_family=FAMILIES[1])
    first = manifest.index[manifest.label == 1][:2]
    rewrite(
        audited, manifest.assign(family=manifest.family.mask(manifest.index.isin(first), "hub/x"))
    )
    text = page_of(audited).text
    assert "hub/x2 pictures; named in the config" in text and "lost (missing)put it there" in text
    assert re.search(
        FAMILIES[1] + r"\d+ pictures; in the test split only; weights [0-9a-f]{64}", text
    )


def test_a_dataset_needs_its_audit_first(copied):
    (copied / "audit.json").unlink(missing_ok=True)
    with pytest.raises(BadInput, match="damagenet audit"):
        card.write(copied)

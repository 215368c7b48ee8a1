import csv
import json
import shutil

import pytest
from conftest import photo
from PIL import Image
from toy_model import write_model

from damagenet import BadInput, cli
from damagenet.claims import Detector, queue
from damagenet.claims import review as review_module


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "m.onnx", constant=0.1)


@pytest.fixture
def inbox(tmp_path):
    for name, turn in (("a", 0), ("b", 90), ("shop", 180)):
        picture = Image.fromarray(photo()).rotate(turn, expand=True)
        picture.save(tmp_path / f"{name}.png")
    return tmp_path


def table(folder, *rows, head="claim_id,photos,listing,note"):
    path = folder / "claims.csv"
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


def done(folder, model, *rows, **more):
    claims = queue.read_claims(table(folder, *rows, **more))
    return queue.review_all(claims, Detector(model, threads=1), folder / "out")


def test_one_report_per_claim_and_a_summary_of_all(inbox, model):
    rows = done(inbox, model, "A-1,a.png;b.png,shop.png,fragile", "A-2, shop.png ,,")
    assert [row["claim_id"] for row in rows] == ["A-1", "A-2"]
    assert rows == queue.read_summary(inbox / "out")
    assert rows[0]["verdict"] == "review" and rows[0]["other"] == {"note": "fragile"}  # turned
    assert [s["name"] for s in rows[0]["signals"]] == ["pixels", "listing", "labels"]
    assert rows[1]["verdict"] == "pass" and rows[1]["notices"] == ["notice_listing_absent"]
    assert (inbox / "out" / "A-1.html").is_file() and (inbox / "out" / "A-1.json").is_file()
    with (inbox / "out" / "summary.csv").open(encoding="utf-8-sig", newline="") as handle:
        told = list(csv.DictReader(handle))
    assert [(t["claim_id"], t["verdict"], t["note"]) for t in told] == [
        ("A-1", "review", "fragile"), ("A-2", "pass", ""),
    ]  # fmt: skip
    assert told[0]["listing"] == "same_exposure" and told[0]["report"] == "A-1.html"


def test_bad_rows_are_named_and_the_rest_goes_on(inbox, model, capsys):
    (inbox / "bad.png").write_bytes(b"")
    path = table(
        inbox, "1,a.png,,", ",a.png,,", "2,,,", "1,b.png,,", "3,gone.png;bad.png,,",
        "4,a.png,,x,y,z", "5,b.png;bad.png,gone.png,",
    )  # fmt: skip
    args = ["review", "--claims", str(path), "--out", str(inbox / "out"), "--model", str(model)]
    assert cli.main(args) == 1
    said = capsys.readouterr()
    assert "5 of 7 claims without a report" in said.out
    for words in ("claims.csv:3: has no claim_id", "claims.csv:4: claim 2 names no photos",
                  "claims.csv:5: the claim_id 1 was used before", "gone.png: no such file",
                  "claims.csv:7: has more cells"):  # fmt: skip
        assert words in said.err
    rows = queue.read_summary(inbox / "out")
    assert [bool(row["error"]) for row in rows] == [False, True, True, True, True, True, False]
    assert rows[6]["notices"] == ["notice_photo_unreadable", "notice_listing_unreadable"]
    page = (inbox / "out" / "5.html").read_text("utf-8")
    assert "The listing photo cannot be used" in page and "商品图无法使用" in page


def test_photos_of_other_claims_are_named_in_both_reports(inbox, model):
    shutil.copy(inbox / "a.png", inbox / "again.png")
    rows = done(inbox, model, "1,a.png,,", "2,b.png;again.png,,", "3,b.png;b.png,,")
    assert [row["verdict"] for row in rows] == ["review"] * 3
    report = json.loads((inbox / "out" / "2.json").read_text())
    assert report["reused"] == [
        {"number": 1, "claims": ["3"], "finding": "same_file", "strength": 1.0},
        {"number": 2, "claims": ["1"], "finding": "same_file", "strength": 1.0},
    ]
    assert report["signals"][-1]["name"] == "reuse"
    assert "notice_twice" in rows[2]["notices"]
    assert "not mixed up" in (inbox / "out" / "1.html").read_text("utf-8")
    assert any(a["code"] == "ask_mixed" for a in report["advice"])


def test_finished_reports_are_left_alone_until_something_changes(inbox, model, monkeypatch):
    reviewed = []

    def noted(*args, **kwargs):
        reviewed.append(kwargs["claim_id"])
        return review_module.review(*args, **kwargs)

    monkeypatch.setattr(queue, "review", noted)
    rows = ["1,a.png,shop.png,", "2,b.png,,"]
    first = done(inbox, model, *rows)
    assert done(inbox, model, *rows) == first and reviewed == ["1", "2"]
    done(inbox, model, *rows, "3,a.png,,")  # claim 1 now shares its photo
    assert reviewed == ["1", "2", "1", "3"]
    shutil.copy(inbox / "shop.png", inbox / "b.png")
    (inbox / "out" / "3.json").write_text("{")
    done(inbox, model, *rows, "3,a.png,,")
    assert reviewed[4:] == ["2", "3"]
    (inbox / "out" / "1.html").unlink()
    done(inbox, model, *rows, "3,a.png,,")
    assert reviewed[6:] == ["1"]


def test_an_interrupted_queue_keeps_its_summary(inbox, model, monkeypatch):
    def interrupted(*args, **kwargs):
        if kwargs["claim_id"] == "2":
            raise KeyboardInterrupt
        return review_module.review(*args, **kwargs)

    monkeypatch.setattr(queue, "review", interrupted)
    with pytest.raises(KeyboardInterrupt):
        done(inbox, model, "1,a.png,,", "2,b.png,,")
    assert [row["claim_id"] for row in queue.read_summary(inbox / "out")] == ["1"]


def test_names_of_claims_become_files_of_their_own_inside_the_folder(inbox, model):
    ids = ["../up", "a/b", "a_b", "A_B", "..", "summary", "件号 1", "=1+1", "x" * 300]
    rows = done(inbox, model, *(f"{name},a.png,," for name in ids))
    reports = [row["report"] for row in rows]
    assert len({name.casefold() for name in reports}) == len(ids)
    written = {path.name for path in (inbox / "out").iterdir()}
    assert set(reports) <= written and len(written) == 2 * len(ids) + 2
    text = (inbox / "out" / "summary.csv").read_text("utf-8-sig")
    assert "'=1+1" in text and [row["claim_id"] for row in rows] == ids


@pytest.mark.parametrize("value", ["=1", "'=1", "-2", "@x", "a", "", "\tx", "'"])
def test_cells_come_back(value):
    assert queue.text(queue.cell(value)) == value
    assert queue.cell(value)[:1] not in tuple("=+-@\t\r")


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"", "empty"), (b"id,photos\n1,a\n", "no column claim_id"),
     (b"claim_id\n1\n", "no column photos"), (b"\xff\xfe\x00", "is no text"),
     (b"claim_id,photos\n1," + b"x" * 200_000, "is no CSV")],
)  # fmt: skip
def test_what_is_no_table_is_refused(tmp_path, data, words):
    (tmp_path / "c.csv").write_bytes(data)
    with pytest.raises(BadInput, match=words):
        queue.read_claims(tmp_path / "c.csv")


def test_a_table_of_a_chinese_spreadsheet(tmp_path):
    (tmp_path / "c.csv").write_bytes("claim_id,photos\r\n申请一,图.jpg\r\n".encode("gb18030"))
    (claim,) = queue.read_claims(tmp_path / "c.csv")
    assert (claim.claim_id, claim.photos[0].name) == ("申请一", "图.jpg")


def test_where_no_summary_can_be_read_or_written(inbox, model):
    with pytest.raises(BadInput, match="--claims"):
        queue.read_summary(inbox)
    (inbox / "out").write_text("")
    with pytest.raises(BadInput, match="name a folder"):
        done(inbox, model, "1,a.png,,")


@pytest.mark.parametrize("words", [[], ["a.jpg", "--claims", "c.csv"],
                                   ["--listing", "l.jpg", "--claims", "c.csv"]])  # fmt: skip
def test_the_command_takes_photos_or_a_table(words):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["review", *words, "--out", "r.html"])
    assert stopped.value.code == 2


def test_long_names_and_a_full_memory_do_not_end_the_queue(inbox, model, monkeypatch):
    long = ["\U00020000" * 90, "险" * 100, "x" * 300]
    rows = done(inbox, model, *(f"{name},a.png,," for name in long), "A-2,b.png,,")
    assert [row["error"] for row in rows] == [""] * 4
    assert len({row["report"] for row in rows}) == 4
    assert all((inbox / "out" / row["report"]).is_file() for row in rows)

    def full(*_, claim_id, **__):
        raise MemoryError

    monkeypatch.setattr(queue, "review", full)
    (inbox / "out").rename(inbox / "before")
    rows = done(inbox, model, "A-1,a.png,,", "A-2,b.png,,")
    assert [row["error"] for row in rows] == ["MemoryError"] * 2


def test_claims_with_unreadable_photos_are_named(inbox, model, capsys):
    path = table(inbox, "1,a.png,,", "2,a.png;gone.png,,", "3,b.png,gone.png,")
    line = ["review", "--claims", str(path), "--model", str(model), "--out", str(inbox / "out")]
    assert cli.main(line) == 1
    said = capsys.readouterr().err
    assert "2: not all of its photos can be read; 2.html" in said and "3: not all" in said
    assert "1: not all" not in said

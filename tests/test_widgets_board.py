import json
import re

import pytest

from damagenet import BadInput, images, widgets_board
from damagenet.claims import decisions

SIGNS = [("pixels", "pass", "pass", 0.1), ("listing", "same_exposure", "flag", 0.9)]


def row(name, score, *signals, error=""):
    told = [{"name": n, "finding": f, "verdict": v, "strength": s} for n, f, v, s in signals]
    verdict = "flag" if len(signals) > 1 else "review" if score > 0.5 else "pass"
    return {"claim_id": name, "verdict": verdict, "score": score, "signals": told, "notices": [],
            "report": f"{name}.html", "error": error, "other": {}}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    rows = [row(f"c{i}", i / 20, SIGNS[0]) for i in range(12)]
    rows += [row("<b>x</b>", 0.1, *SIGNS), row("gone", 0, error="no photo")]
    for one in rows:
        if not one["error"] and "<" not in one["report"]:
            (tmp_path / one["report"]).write_text(f'<p title="a">report of {one["claim_id"]}</p>')
    lines = "\n".join(json.dumps(one) for one in rows)
    (tmp_path / "summary.jsonl").write_text(lines + "\n")
    return tmp_path


@pytest.fixture
def desk(folder):
    return widgets_board.board(folder, folder / "decisions.csv")


def text(widget):
    return re.sub("<[^>]+>", "", widget.value)


def test_the_claim_of_most_concern_comes_first_and_is_escaped(desk):
    assert desk.claim.value == "<b>x</b>" and len(desk.claim.options) == 13
    assert "<b>x</b>" not in desk.evidence.value and "&lt;b&gt;x&lt;/b&gt;" in desk.evidence.value
    assert "same_exposure" in desk.evidence.value and "No such file" in desk.evidence.value
    desk.claim.value = "c3"
    frame = re.search(r'<iframe sandbox="allow-scripts" srcdoc="([^"]*)"', desk.evidence.value)
    assert "report of c3" in frame[1] and "&quot;a&quot;" in frame[1]


def test_decisions_are_kept_and_the_next_open_claim_comes(desk, folder):
    desk.reviewer.value, desk.note.value = "Li", "same picture"
    desk.buttons["refuse"].click()
    assert desk.claim.value == "c11" and desk.note.value == ""
    desk.buttons["accept"].click()
    assert "2 of 13 decided" in text(desk.progress)
    found = decisions.read(folder / "decisions.csv")
    assert found["<b>x</b>"]["decision"] == "refuse" and found["<b>x</b>"]["note"] == "same picture"
    again = widgets_board.board(folder, folder / "decisions.csv")
    assert again.claim.value == desk.claim.value == "c10"
    again.claim.value = "c11"
    assert "decided before: accept" in text(again.progress)
    again.buttons["refuse"].click()  # somebody changed their mind: the latest counts
    assert again.claims.set_index("claim_id").refused["c11"] == 1


@pytest.mark.slow
def test_deciding_all_of_them_ends_well(desk):
    for _ in desk.claim.options:
        desk.decide("accept")
    assert "13 of 13 decided" in text(desk.progress)
    assert desk.claims.refused.eq(0).all()
    again = widgets_board.board(desk.folder, desk.file)
    assert again.claim.value == "<b>x</b>" and "13 of 13 decided" in text(again.progress)


def test_a_decision_that_cannot_be_kept_is_said_and_nothing_moves(desk, folder):
    (folder / "decisions.csv").mkdir()
    desk.decide("accept")
    assert "not kept" in text(desk.progress) and desk.claim.value == "<b>x</b>"


@pytest.mark.slow
def test_the_status_follows_decisions_and_costs(desk):
    assert "settle more claims" in text(desk.status) and "agreement: unknown" in text(desk.status)
    desk.threshold.value = 0.3
    assert "46% of claims pass by themselves, 54% go to a person" in text(desk.status)
    for name in [f"c{i}" for i in range(12)]:
        desk.claim.value = name
        desk.decide("refuse" if name in ("c5", "c11") else "accept")
    assert "refused among the 6 of them settled: 17%, at most 58% (95 %)" in text(desk.status)
    assert "agreement: 50%" in text(desk.status)
    before = desk.picture.value
    desk.minutes.value, desk.hourly.value, desk.loss.value = 6, 10, 3
    assert "work saved 462, wrongly passed 231" in text(desk.status)
    desk.risk.value = 0.9
    assert "can pass by themselves, those below" in text(desk.status)
    assert desk.picture.value != before and images.read(bytes(desk.picture.value)).std() > 5


def test_shuffled_claims_come_in_an_order_without_concern(desk):
    straight = list(desk.claim.options)
    desk.order.value = "shuffled"
    assert sorted(desk.claim.options) == sorted(straight) and list(desk.claim.options) != straight
    assert desk.claim.value == desk.claim.options[0]


def test_a_folder_without_reports_is_refused(tmp_path):
    with pytest.raises(BadInput, match="--claims"):
        widgets_board.board(tmp_path, tmp_path / "d.csv")
    (tmp_path / "summary.jsonl").write_text(json.dumps(row("1", 0, error="bad")) + "\n")
    with pytest.raises(BadInput, match=r"summary\.csv"):
        widgets_board.board(tmp_path, tmp_path / "d.csv")


def test_the_board_shows_a_picture_where_no_browser_listens(desk):
    bundle = desk._repr_mimebundle_()
    assert bundle["image/png"] == desk.picture.value
    assert "application/vnd.jupyter.widget-view+json" in bundle

import json
import shutil

import pytest
from conftest import ROOT

from damagenet import BadInput, images, runs
from damagenet.claims import Detector
from damagenet.detect import model_card
from damagenet.detect.model_card import promise


@pytest.fixture(scope="module")
def results(exported):
    return runs.read_json(exported / "metrics.json", "")


@pytest.fixture(scope="module")
def card(exported):
    return runs.read_json(exported / "detector.json", "")


def rows_of(text, first):
    """The table whose first column is called `first`, as lists of cells."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first} |"))
    found = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            return found
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def test_the_card_lies_beside_the_model_and_names_what_made_it(exported, card):
    text = (exported / "MODEL_CARD.md").read_text("utf-8")
    for key in ("dataset_sha256", "commit", "licence", "version", "encoder"):
        assert str(card[key]) in text
    assert "It must not be used" in text and "## Intended use" in text and "## Limits" in text
    assert "None" not in text and "nan" not in text.lower().split()


def test_the_numbers_are_those_of_the_evaluation(exported, results):
    text = (exported / "MODEL_CARD.md").read_text("utf-8")
    whole = {row[0]: row for row in rows_of(text, "metric")}
    auc = results["headline"]["image_auc"]
    expected = [f"{auc['value']:.3f}", f"[{auc['low']:.3f}, {auc['high']:.3f}]"]
    assert whole["image_auc"][1:3] == expected
    by_slice = {row[0]: row for row in rows_of(text, "slice")}
    shown = {row["slice"] for row in results["metrics"] if row["metric"] in model_card.SHOWN}
    assert set(by_slice) == shown
    (value,) = (r["value"] for r in results["metrics"]
                if (r["slice"], r["metric"]) == ("all", "auc"))  # fmt: skip
    assert by_slice["all"][2] == f"{value:.3f}"
    scopes = {row[0]: row for row in rows_of(text, "scope")}
    first = results["certificate"]["flag"]["table"][0]
    assert scopes["damaged"][1:3] == [str(first["pictures"]), str(first["photos"])]


@pytest.mark.parametrize("certified", [True, False])
def test_a_promise_is_only_made_when_it_is_certified(certified):
    row = {"scope": "damaged", "pictures": 80, "photos": 58, "groups": 9, "alarms": 0,
           "bound": 0.05, "certified": certified, "more_photos": 0 if certified else 1}  # fmt: skip
    record = {"rate": 0.05, "confidence": 0.95, "certified": certified, "table": [row],
              "more_photos": row["more_photos"]}  # fmt: skip
    said = promise(record, 0.9, "flag")
    assert ("at most 5.0% of honest photos" in said) == certified
    assert ("1 more photos" in said and "No flag" in said) != certified
    assert ("promises nothing" in promise(record, 0.4, "review")) != certified


def test_results_of_the_protocol_are_appended_whatever_their_shape(
    exported, card, results, tmp_path
):
    found = {
        "commit": "abc",
        "rows": [{"slice": "a|b", "auc": {"value": 0.91, "low": 0.88, "high": 0.93}, "n": 7},
                 {"slice": "c", "tnr": None}],
        "unseen": {"auc": 0.5, "seeds": [1, 2]},
    }  # fmt: skip
    assert "abc" not in model_card.text(card, results, tmp_path)
    (tmp_path / "protocol.json").write_text(json.dumps(found))
    text = model_card.text(card, results, tmp_path)
    assert "| a/b | 0.910 [0.880, 0.930] | 7 |  |" in text and "| commit | abc |" in text
    assert "**unseen**" in text and "| seeds | 1, 2 |" in text and "## Protocol" in text


@pytest.fixture(scope="module")
def ship():
    code = (ROOT / "scripts" / "ship.py").read_text(encoding="utf-8")
    names = {"__name__": "ship", "__doc__": ""}
    exec(compile(code, "ship.py", "exec"), names)
    return names["ship"]


@pytest.fixture(scope="module")
def restore(ship):
    return ship.__globals__["restore"]


def test_packaged_weights_become_a_run_again(ship, restore, exported, tmp_path):
    source, run = tmp_path / "weights" / "m.onnx", tmp_path / "run"
    ship(exported, source)
    restore(run, source)
    for name in ("best.safetensors", "config.yaml"):
        assert (run / name).read_bytes() == (exported / name).read_bytes()
    with pytest.raises(BadInput, match="holds a run"):
        restore(run, source)
    source.with_suffix(".safetensors").write_bytes(b"others")
    with pytest.raises(BadInput, match="others"):
        restore(tmp_path / "again", source)


def test_an_exported_run_is_shipped_whole(ship, exported, tmp_path):
    target = tmp_path / "weights" / "damagenet-s.onnx"
    ship(exported, target)
    assert {path.name for path in target.parent.iterdir()} == {
        "MODEL_CARD.md", *(f"damagenet-s.{end}" for end in ("onnx", "json", "safetensors", "yaml"))
    }  # fmt: skip
    assert target.read_bytes() == (exported / "detector.onnx").read_bytes()
    assert Detector(target).sha256 == runs.read_json(target.with_suffix(".json"), "")["onnx_sha256"]


SPOILT = {
    "parity": r"differs from torch by 0\.5",
    "hash": "not the file that its card describes",
    "evaluated again": "before the last evaluation",
    "card": "no MODEL_CARD.md",
    "size": "larger than 0 MB",
}


def test_a_file_of_8_bits_goes_along_and_an_old_one_goes(ship, exported, tmp_path):
    run, target = shutil.copytree(exported, tmp_path / "run"), tmp_path / "weights" / "m.onnx"
    (run / "detector.int8.onnx").write_bytes(b"small")
    (run / "detector.int8.json").write_bytes(b"{}")
    ship(run, target)
    assert target.with_name("m.int8.onnx").read_bytes() == b"small"
    ship(exported, target)
    assert not list(target.parent.glob("*int8*"))


@pytest.mark.parametrize("what", SPOILT)
def test_a_run_whose_checks_fail_is_not_shipped(ship, exported, tmp_path, what):
    run = shutil.copytree(exported, tmp_path / "run")
    card = runs.read_json(run / "detector.json", "")
    if what == "parity":
        card["parity"]["max_difference"] = 0.5
    elif what == "hash":
        card["onnx_sha256"] = "0" * 64
    elif what == "evaluated again":
        later = runs.read_json(run / "metrics.json", "")
        runs.write_json(run / "metrics.json", later | {"review_threshold": 0.123})
    elif what == "card":
        (run / "MODEL_CARD.md").unlink()
    else:
        before, ship.__globals__["LARGEST"] = ship.__globals__["LARGEST"], 1000
    runs.write_json(run / "detector.json", card)
    target = tmp_path / "weights" / "damagenet-s.onnx"
    images.write_bytes(target, b"the one before")
    try:
        with pytest.raises(BadInput, match=SPOILT[what]) as refused:
            ship(run, target)
    finally:
        if what == "size":
            ship.__globals__["LARGEST"] = before
    assert "damagenet export" in str(refused.value)
    assert target.read_bytes() == b"the one before"

import json

import pytest
from toy_model import INFO, write_model

from damagenet import BadInput, cli, runs
from damagenet.claims import Detector, default_model
from damagenet.claims.inspect import WIDTH, inspect, text


def printed(capsys, *arguments):
    assert cli.main(["inspect", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_the_packaged_model_is_the_default_and_told_in_full(capsys):
    card = runs.read_json(default_model().with_suffix(".json"), "")
    assert json.loads(printed(capsys, "--json")) == card
    shown = printed(capsys)
    for key in ("dataset_sha256", "onnx_sha256", "commit", "licence", "version"):
        assert card[key] in shown, key
    assert f"{card['review_threshold']:.6f}" in shown
    assert f"{card['calibration_pictures']} authentic" in shown
    for name, number in card["metrics"].items():
        (line,) = [row for row in shown.splitlines() if row.split()[:1] == [name]]
        assert f"{number['value']:.3f}" in line and f"{number['low']:.3f}" in line
    assert max(map(len, shown.splitlines())) <= WIDTH


def test_an_exported_run_names_code_weights_and_promises(exported, capsys):
    card = runs.read_json(exported / "detector.json", "")
    assert json.loads(printed(capsys, exported / "detector.onnx", "--json")) == card
    shown = printed(capsys, exported / "detector.onnx")
    for key in ("weights_sha256", "export_code_sha256", "dataset_sha256", "onnx_sha256"):
        assert card[key] in shown, key
    assert "never" in shown and f"{card['more_photos']} more photos" in shown


def test_a_model_that_flags_says_from_where_and_with_what_promise(tmp_path):
    certificate = {"flag": {"certified": True}, "review": {"certified": False}}
    path = write_model(tmp_path / "m.onnx", INFO | {"certificate": certificate})
    shown = text(*inspect(path))
    assert "from 0.830000: at most 5.0% of honest photos, certified" in shown
    assert "from 0.410000: at most 20.0% of honest photos, not certified" in shown
    assert "auroc" in shown and "0.900" in shown


@pytest.mark.parametrize(
    "change",
    [
        {"metrics": [1, 2], "outputs": "x", "certificate": 3, "parity": None},
        {"metrics": {"auc": {"value": None}}, "false_alarm_rate": "low", "licence": None},
        {"task": "\x1b[2J\x07\ud800 cleared", "licence": ["a"], "metrics": {"\x1b[1m": "\x1b"}},
        {"version": "1" * 5000, "input": "word " * 5000},
    ],
)
def test_odd_metadata_is_shown_without_harm(tmp_path, change, capsys):
    path = write_model(tmp_path / "m.onnx", INFO | change)
    shown = printed(capsys, path)
    assert "verdicts" in shown and "\x1b" not in shown and "\x07" not in shown
    assert len(shown) < 5000
    assert json.loads(printed(capsys, path, "--json"))["threshold"] == 0.83


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": 2}, r"format 2 is newer .*; update damagenet or use an older model"),
        ({"format": 10**40}, "is newer"),
        ({"format": None}, "damaged .*format must be a whole number"),
        ({"format": True}, "format must be"),
        ({"format": "1"}, "format must be"),
        ({"format": 0}, "format must be"),
        ({"threshold": None}, "damaged"),
        ({"threshold": float("nan")}, "damaged"),
        ({"threshold": 10**400}, "damaged"),
        ({"threshold": "high\nup"}, "damaged"),
        ({"review_threshold": 0.9}, "review_threshold"),
        ({"review_threshold": -0.1}, "review_threshold"),
    ],
)
def test_metadata_that_is_damaged_or_newer_is_refused(tmp_path, change, reason):
    path = write_model(tmp_path / "m.onnx", INFO | change)
    for reader in (inspect, Detector):
        with pytest.raises(BadInput, match=reason) as caught:
            reader(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    for broken in ([1], {"format": 1}, {k: v for k, v in INFO.items() if k != "format"}):
        with pytest.raises(BadInput, match="damaged"):
            inspect(write_model(tmp_path / "b.onnx", broken))


def test_files_that_are_no_detectors_are_refused_in_one_line(tmp_path, capsys):
    (tmp_path / "text.onnx").write_text("not a model")
    for name, reason in (("text.onnx", "not a model"), ("gone.onnx", "no such model file")):
        assert cli.main(["inspect", str(tmp_path / name)]) == 1
        out, err = capsys.readouterr()
        assert not out and len(err.splitlines()) == 1
        assert err.startswith("damagenet inspect: ") and name in err and reason in err

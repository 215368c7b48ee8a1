import contextlib

import pytest
from conftest import FAMILIES, settings

from damagenet import BadInput, runs
from damagenet.config import from_dict
from damagenet.detect import protocol
from damagenet.detect.protocol import Cell, cells, collect, markdown

SMALL = {
    "evaluate": {
        "resamples": 10,
        "grid_pictures": 4,
        "baseline_pictures": 4,
        "baseline_steps": 1,
        "false_alarm_rate": 0.6,
        "review_rate": 0.7,
    },  # what few photos can promise
    "train": {"steps": 2, "eval_every": 1},
}


def asked(**section):
    return settings(name="proto", **SMALL, protocol={"seeds": [1], **section})


def test_every_arm_seed_and_family_is_a_cell_with_a_folder_of_its_own(built):
    config = asked(seeds=[1, 2], arms=["", "wide train.width=24"])
    planned = cells(config, built)
    assert len(planned) == 2 * 2 * len(FAMILIES) == len({cell.run for cell in planned})
    first, last = planned[0], planned[-1]
    assert str(first.run) == f"runs/proto/seed1-{FAMILIES[0]}" and first.arm == "as configured"
    assert last.run.name == f"wide-seed2-{FAMILIES[1]}"
    assert (last.config.train.width, last.config.seed) == (24, 2)
    assert last.config.train.holdout_family == FAMILIES[1] and first.config.train.width == 16


def test_a_family_that_is_not_there_is_named(built):
    with pytest.raises(BadInput, match=r"protocol\.families: taef2 is not in .*ae_shuffle"):
        cells(asked(families=["taef2"]), built)
    with pytest.raises(BadInput, match=r"did you mean train\.width"):
        cells(asked(arms=["wide train.widht=24"]), built)
    with pytest.raises(BadInput, match=r"build\.long_side=96: all arms share one dataset"):
        cells(asked(arms=["small build.long_side=96"]), built)


NEW = FAMILIES[1]  # the other one is all that the tiny training split holds


@pytest.fixture(scope="module")
def done(built, tmp_path_factory):
    """Two cells: one finished whole, one without grid and baselines."""
    place = tmp_path_factory.mktemp("protocol")
    with contextlib.chdir(place):
        protocol.protocol(asked(families=[NEW]), built)
        part = asked(seeds=[1, 2], families=[NEW], grid=False, baselines=False)
        summary = protocol.protocol(part, built)
    return place / "runs" / "proto", summary


@pytest.mark.slow
def test_cells_are_trained_without_their_family_and_measured(done):
    root, _ = done
    marks = []
    for seed in (1, 2):
        run = root / f"seed{seed}-{NEW}"
        text = (run / "config.yaml").read_text()
        assert f"holdout_family: {NEW}" in text.partition("train:")[2] and f"seed: {seed}" in text
        assert (run / "metrics.json").is_file()
        marks.append(runs.read_json(run / "measured.json", "")["done"])
    assert marks == [["metrics", "grid", "baselines"], ["metrics"]]
    assert len(list(root.glob("baselines-*.npz"))) == 1  # shared by the cells


@pytest.mark.slow
def test_the_summary_holds_the_numbers_of_the_cells(done):
    root, summary = done
    assert not summary["missing"] and len(summary["cells"]) == 2
    for cell in summary["cells"]:
        table = runs.read_json(root / cell["run"] / "metrics.json", "")["metrics"]
        value = {(row["slice"], row["metric"]): row["value"] for row in table}
        assert cell["auc"] == value[f"family={NEW}", "auc"]
        assert cell["tpr"] == value[f"family={NEW} vs real_damage", "tpr_at_tnr_95"]
        assert cell["auc_all"] == value["all", "auc"]
    sent = runs.read_json(root / f"seed1-{NEW}" / "grid.json", "")["rows"]
    (drop,) = (r["value"] for r in sent if (r["family"], r["channel"], r["metric"])
               == ("all", "chat app", "drop"))  # fmt: skip
    assert summary["cells"][0]["drop_chat"] == pytest.approx(drop)
    assert (root / "protocol.md").read_text() == markdown(summary)
    assert runs.read_json(root / "protocol.json", "") == summary


@pytest.mark.slow
def test_finished_cells_are_left_alone(done, built, monkeypatch):
    root, _ = done
    for name in ("evaluate", "compare", "grid"):
        monkeypatch.setattr(protocol, name, None)  # calling one is an error
    before = {path: path.stat().st_mtime_ns for path in root.glob("seed*/*.json")}
    monkeypatch.chdir(root.parents[1])
    protocol.protocol(asked(seeds=[1, 2], families=[NEW], grid=False, baselines=False), built)
    assert {path: path.stat().st_mtime_ns for path in root.glob("seed*/*.json")} == before
    with pytest.raises(TypeError):  # other settings of the measurement count as not measured
        protocol.protocol(
            settings(name="proto", **{**SMALL, "evaluate": {"resamples": 11}},
                     protocol={"seeds": [1], "families": [NEW]}), built,
        )  # fmt: skip


def world(monkeypatch, found, **section):
    """A summary of cells whose numbers are given by seed and family."""
    config = asked(seeds=[1, 2], **section)
    planned = [
        Cell("cnn", seed, family, from_dict(type(config), {"name": f"p/{seed}{family}"}, "test"))
        for seed in (1, 2) for family in ("a", "b")
    ]  # fmt: skip
    monkeypatch.setattr(protocol, "numbers", lambda cell: found.get((cell.seed, cell.family)))
    return collect(planned, config)


def test_means_ranges_and_the_worst_family(monkeypatch):
    found = {
        (1, "a"): {"auc": 0.9, "exchange_gap": 0.1}, (1, "b"): {"auc": 0.7, "exchange_gap": 0.3},
        (2, "a"): {"auc": 0.8, "exchange_gap": 0.1}, (2, "b"): {"auc": 0.5, "exchange_gap": 0.2},
    }  # fmt: skip
    targets = {"auc_mean": [0.93, 0.97], "auc_worst": [0.88, 0.93], "exchange_gap": [0.12, 0.05]}
    summary = world(monkeypatch, found, targets=targets)
    auc, gap = summary["arms"]["cnn"]
    assert auc["mean"] == pytest.approx(0.725) and auc["worst"] == pytest.approx(0.6)
    assert (auc["seed_low"], auc["seed_high"]) == pytest.approx((0.65, 0.8))
    assert auc["worst_family"] == gap["worst_family"] == "b"  # a large gap is the worse one
    assert (auc["target_mean"], auc["target_worst"]) == ([0.93, 0.97], [0.88, 0.93])
    assert gap["worst"] == pytest.approx(0.25) and gap["target_mean"] == [0.12, 0.05]
    text = markdown(summary)
    assert "| 0.725 | 0.650 to 0.800 | 0.93 / 0.97 | 0.600 (b) | 0.88 / 0.93 |" in text
    assert "Not finished" not in text


def test_what_is_missing_is_said(monkeypatch):
    summary = world(monkeypatch, {(1, "a"): {"auc": 0.9}})
    assert summary["missing"] == ["1b", "2a", "2b"] and len(summary["cells"]) == 1
    assert "Not finished: 1b, 2a, 2b." in markdown(summary)
    assert world(monkeypatch, {})["arms"] == {}

import json
import math
import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import FAMILIES, SETTINGS, rewrite, settings
from sklearn.metrics import average_precision_score, roc_auc_score

from damagenet import BadInput, runs
from damagenet.detect import certify, metrics
from damagenet.detect.evaluate import LIT, certified, evaluate, mistakes
from damagenet.synth import dataset

FIGURES = {
    f"{name}.png"
    for name in "roc scores reliability slices areas risk_coverage gallery mistakes".split()
}


@pytest.fixture(scope="module")
def results(evaluated):
    return runs.read_json(evaluated / "metrics.json", "")


@pytest.fixture(scope="module")
def scored(evaluated):
    return pd.read_parquet(evaluated / "predictions.parquet")


def copy_of(run, tmp_path):
    """A trained run, results removed, that a test may evaluate again."""
    return shutil.copytree(run, tmp_path / "run")


def table(results):
    return pd.DataFrame(results["metrics"]).set_index(["slice", "metric"])


def test_the_results_are_all_there_and_the_numbers_come_last(evaluated):
    assert {path.name for path in (evaluated / "figures").iterdir()} == FIGURES
    written = evaluated / "metrics.json"
    others = [evaluated / "predictions.parquet", *(evaluated / "figures").iterdir()]
    assert all(path.stat().st_mtime_ns <= written.stat().st_mtime_ns for path in others)


def test_every_number_is_finite_or_null(evaluated):
    def refuse(text):
        raise AssertionError(f"{text} is not JSON")

    whole = json.loads((evaluated / "metrics.json").read_text(), parse_constant=refuse)
    numbers = pd.DataFrame(whole["metrics"])[["value", "low", "high"]].to_numpy(float)
    assert np.isfinite(numbers).mean() > 0.7  # null is the exception
    assert all(math.isfinite(whole[key]) for key in ("threshold", "review_threshold"))


def test_there_is_one_prediction_for_every_picture_of_val_and_test(scored, manifest):
    wanted = manifest[manifest.split.isin(["val", "test"])]
    assert scored.image.tolist() == wanted.image.tolist()
    assert scored.score.between(0, 1).all() and np.isfinite(scored.logit).all()
    assert {"label", "cell", "split", "group_id", "tp", "fp", "fn"} <= set(scored.columns)
    area = scored.tp + scored.fn
    assert (area == (wanted.area * wanted.width * wanted.height).round().to_numpy()).all()


def test_the_results_follow_from_the_predictions(results, scored):
    test = scored[scored.split == "test"]
    found = table(results).value
    assert found["all", "auc"] == pytest.approx(roc_auc_score(test.label, test.logit), abs=1e-6)
    expected = average_precision_score(test.label, test.logit)
    assert found["all", "average_precision"] == pytest.approx(expected, abs=1e-6)
    flagged = test[test.label == 0].score >= results["threshold"]
    assert found["all", "fpr_at_threshold"] == pytest.approx(flagged.mean(), abs=1e-6)
    doctored = test[test.label == 1]
    overlap = metrics.f1(doctored.tp, doctored.fp, doctored.fn)
    assert found["all", "pixel_f1"] == pytest.approx(overlap.mean(), abs=1e-6)


def test_calibration_and_thresholds_are_those_of_validation(results, scored):
    val = scored[scored.split == "val"]
    fit = certify.fit_calibration(val.logit.to_numpy(), val.label.to_numpy())
    offset = {"heat_offset": results["calibration"]["heat_offset"]}
    assert results["calibration"] == pytest.approx(fit | offset, abs=1e-6)
    assert val.score.to_numpy() == pytest.approx(certify.calibrated(val.logit.to_numpy(), fit))
    honest = val[val.label == 0].score.to_numpy()
    assert metrics.rate_at(honest, results["threshold"]) <= 0.05
    assert metrics.rate_at(honest, results["review_threshold"]) <= 0.2


def test_a_heatmap_lights_up_few_authentic_pixels_of_validation(results, scored):
    honest = scored[(scored.split == "val") & (scored.label == 0)]
    share = honest.fp.sum() / (honest.width * honest.height).sum()
    assert share == pytest.approx(LIT, abs=0.03)  # pictures count alike there, pixels here


def test_other_test_pictures_do_not_move_a_threshold(trained, copied, manifest, results, tmp_path):
    test = manifest[manifest.split == "test"]
    dropped = test.groupby("cell").head(1).index
    rewrite(copied, manifest.drop(index=dropped))
    again = evaluate(copy_of(trained, tmp_path), copied)
    for key in ("threshold", "review_threshold", "false_alarm_bound_95", "authentic_pictures"):
        assert again[key] == results[key]
    assert again["calibration"] == pytest.approx(results["calibration"], abs=1e-6)
    assert len(test) - len(dropped) == table(again).n["all", "auc"]


def test_intervals_hold_their_value_and_lie_in_range(results):
    rows = table(results).dropna()
    assert len(rows) > 40
    assert ((rows.low <= rows.value) & (rows.value <= rows.high)).mean() > 0.9
    assert (rows.low <= rows.high).all()
    inside = rows.drop("exchange_gap", level="metric")
    assert inside.low.min() >= 0 and inside.high.max() <= 1


def test_every_slice_is_reported_with_its_size(results, scored):
    test = scored[scored.split == "test"]
    sizes = table(results).n.groupby(level=0).first()
    assert sizes["all"] == len(test)
    doctored = test[test.label == 1]
    regenerated = doctored[doctored.method == "regenerate"]
    for column, rows in (
        ("cell", doctored), ("method", doctored), ("topology", regenerated),
        ("family", regenerated), ("kind", regenerated),
    ):  # fmt: skip
        for value, count in rows[column].value_counts().items():
            assert sizes[f"{column}={value}"] == count + (test.label == 0).sum()
    assert f"family={FAMILIES[1]}" in sizes.index  # the family that training never saw
    assert {"negatives=authentic_intact", "negatives=authentic_damaged"} <= set(sizes.index)
    assert sizes["negatives=real_damage"] == (test.kind.eq("real") & ~test.label.eq(1)).sum() + len(
        doctored
    )
    bands = [name for name in sizes.index if name.startswith("area=")]
    assert sum(sizes[name] - (test.label == 0).sum() for name in bands) == len(regenerated)


def test_a_family_left_out_has_no_part_in_calibration(scored):
    left = settings(train={"holdout_family": "new"})
    mixed = scored.copy()
    mixed.loc[mixed[(mixed.split == "val") & (mixed.label == 1)].index[::2], "family"] = "new"
    spoilt = mixed.copy()
    spoilt.loc[spoilt.family == "new", "logit"] += 50
    assert certified(spoilt, left)[1] == certified(mixed, left)[1]
    assert certified(spoilt, settings())[1] != certified(mixed, settings())[1]


def test_the_worst_mistakes_are_of_different_products(scored):
    test = scored[scored.split == "test"]
    picked = mistakes(test, dict.fromkeys(test.image, np.zeros((4, 4))), each=3)
    assert [p["title"] for p in picked] == ["missed"] * 3 + ["false alarm"] * 3
    missed, alarms = picked[:3], picked[3:]
    assert missed[0]["score"] == test[(test.label == 1) & (test.method != "overlay")].score.min()
    assert alarms[0]["score"] == test[test.label == 0].score.max()
    assert all(len({p["product_id"] for p in part}) == 3 for part in (missed, alarms))


def test_the_headline_names_what_it_was_measured_against(results):
    index = table(results)
    headline = results["headline"]
    assert headline["image_auc"]["value"] == index.value["all", "auc"]
    damaged = headline["tpr_at_5_fpr_on_damaged"]
    assert damaged["negatives"] == "real_damage"
    assert damaged["value"] == index.value["negatives=real_damage", "tpr_at_5"]


def test_the_record_says_what_was_measured(results, built):
    assert results["split"] == "test" and results["holdout_family"] == FAMILIES[1]
    assert results["dataset_sha256"] == dataset.read_card(built)["manifest_sha256"]
    assert results["config"]["name"] == "tiny" and results["trained"]["seed"] == SETTINGS["seed"]
    assert results["threads"] == 1


def test_evaluating_twice_gives_the_same_bytes(evaluated, trained, built, tmp_path):
    again = copy_of(trained, tmp_path)
    evaluate(again, built)
    for name in ("metrics.json", "predictions.parquet", *(f"figures/{name}" for name in FIGURES)):
        assert (again / name).read_bytes() == (evaluated / name).read_bytes(), name


def test_a_failed_evaluation_does_not_look_done(evaluated, copied, manifest, tmp_path):
    run = copy_of(evaluated, tmp_path)
    name = manifest[manifest.split == "test"].image.iloc[-1]
    (copied / name).write_bytes(b"no picture")
    with pytest.raises(BadInput, match=name):
        evaluate(run, copied)
    assert not (run / "metrics.json").exists()


def test_another_split_can_be_measured(trained, built, manifest, tmp_path):
    asked = settings(evaluate={"split": "val", "resamples": 5})
    again = evaluate(copy_of(trained, tmp_path), built, asked)
    val = manifest[manifest.split == "val"]
    assert again["split"] == "val" and table(again).n["all", "auc"] == len(val)
    scored = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    assert scored.image.tolist() == val.image.tolist()


def test_a_folder_that_is_no_run_is_bad_input(tmp_path, trained, built):
    with pytest.raises(BadInput, match="not a run folder; train first"):
        evaluate(tmp_path, built)
    run = copy_of(trained, tmp_path)
    (run / "best.safetensors").unlink()
    with pytest.raises(BadInput, match=r"best\.safetensors: not found; train first"):
        evaluate(run, built)


def test_a_run_whose_dataset_is_gone_is_bad_input(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match="no such dataset"):
        evaluate(trained)

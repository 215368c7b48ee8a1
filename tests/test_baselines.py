import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
from conftest import FAMILIES, photo, settings, smooth

from damagenet import BadInput, runs
from damagenet.detect import backbone, baselines, handmade, learnt, metrics
from damagenet.synth import encoders

QUICK = settings(evaluate={"baseline_pictures": 8, "baseline_steps": 2, "resamples": 30})


@pytest.fixture(scope="module")
def compared(evaluated, built, tmp_path_factory):
    """The tiny run compared once, without a backbone: that must work everywhere."""
    place = tmp_path_factory.mktemp("compared")
    run = shutil.copytree(evaluated, place / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backbone, "WEIGHTS", {})
        baselines.compare(run, built, QUICK, cache=place / "cache")
    return run


@pytest.fixture(scope="module")
def rows(compared):
    return pd.DataFrame(runs.read_json(compared / "baselines.json", "")["rows"])


@pytest.mark.slow
def test_all_methods_are_measured_on_the_same_test_pictures(rows, manifest):
    names = {"this run", "ELA", "noise level", "JPEG ghost", "classifier at 224, from scratch"}
    assert set(rows.method[rows.metric == "auc"]) == names
    assert set(rows.n[rows.slice == "all"]) == {(manifest.split == "test").sum()}
    some = rows[rows.slice == "unseen family"].n.unique()
    test = manifest[manifest.split == "test"]
    assert some == [((test.label == 0) | (test.family == FAMILIES[1])).sum()]


@pytest.mark.slow
def test_the_run_has_the_numbers_of_its_evaluation(rows, compared):
    found = rows.set_index(["method", "slice", "metric"]).value
    table = pd.DataFrame(runs.read_json(compared / "metrics.json", "")["metrics"])
    own = table.set_index(["slice", "metric"]).value
    for metric in ("auc", "average_precision", "tpr_at_5"):
        assert found["this run", "all", metric] == own["all", metric]


@pytest.mark.slow
def test_the_margin_is_over_the_best_baseline(rows):
    for part, some in rows.groupby("slice"):
        auc = some[some.metric == "auc"].set_index("method").value
        (gap,) = some[some.metric == "margin"].to_dict("records")
        best = auc.drop("this run").idxmax()
        assert gap["method"] == f"this run - {best}", part
        assert gap["value"] == pytest.approx(auc["this run"] - auc[best], abs=1e-5)
        assert gap["low"] <= gap["value"] <= gap["high"]


@pytest.mark.slow
def test_the_table_says_the_same(compared, rows):
    text = (compared / "baselines.md").read_text()
    for row in rows[rows.metric == "auc"].itertuples():
        assert f"| {row.method} | {row.value:.3f} [{row.low:.3f}, {row.high:.3f}]" in text
    assert (compared / "figures" / "baselines.png").is_file()


@pytest.mark.slow
def test_what_is_stored_is_not_computed_again(compared, built, monkeypatch):
    monkeypatch.setattr(backbone, "WEIGHTS", {})
    monkeypatch.setattr(handmade, "MAPS", dict.fromkeys(handmade.MAPS))  # calling one is an error
    before = (compared / "baselines.json").read_bytes()
    baselines.compare(compared, built, QUICK, cache=compared.parent / "cache")
    assert (compared / "baselines.json").read_bytes() == before


def test_learnt_baselines_never_see_the_family_left_out(manifest):
    left = settings(train={"holdout_family": FAMILIES[0]}, evaluate={"baseline_pictures": 10_000})
    drawn = baselines.sampled(manifest, left)
    assert set(drawn.split) == {"train"} and FAMILIES[0] not in set(drawn.family)
    assert drawn.label.value_counts().nunique() == 1  # as many doctored as authentic
    assert len(baselines.sampled(manifest, settings(evaluate={"baseline_pictures": 6}))) == 6


def test_a_run_without_results_is_bad_input(trained, built):
    with pytest.raises(BadInput, match=r"metrics\.json: not found; run `damagenet evaluate"):
        baselines.compare(trained, built)


def spliced():
    """A photo at JPEG 90 whose middle was saved at 60 before; and where that is, in blocks."""
    whole = cv2.resize(photo(), (320, 240), interpolation=cv2.INTER_CUBIC)
    image = whole.copy()
    image[80:160, 96:208] = encoders.jpeg(whole, 60, 2)[0][80:160, 96:208]
    where = np.zeros((15, 20), bool)
    where[5:10, 6:13] = True
    return encoders.jpeg(image, 95, 2)[0], where


def test_ghosts_show_what_was_compressed_before():
    image, where = spliced()
    found = handmade.jpeg_ghost(image)
    assert found.shape == where.shape
    assert metrics.auc(where.ravel().astype(int), found.ravel()) > 0.7


def test_the_error_level_is_low_where_a_picture_was_compressed_harder():
    image, where = spliced()
    assert handmade.ela(image)[where].mean() < handmade.ela(photo(240, 320))[where].mean()
    assert handmade.ela(np.full((40, 50, 3), 90, np.uint8)).max() < 1


@pytest.mark.parametrize("deviation", [2.0, 6.0, 15.0])
def test_the_noise_level_is_the_deviation_of_the_noise(deviation):
    rng = np.random.default_rng(0)
    grey = np.repeat(smooth(240, 320).mean(axis=2, keepdims=True), 3, axis=2)
    noisy = grey * 0.3 + 90 + rng.normal(0, deviation, (240, 320, 1))
    found = np.exp(handmade.noise_level(np.clip(np.rint(noisy), 0, 255).astype(np.uint8)))
    assert np.median(found) == pytest.approx(deviation, rel=0.2)


@pytest.mark.parametrize("name", sorted(handmade.MAPS))
@pytest.mark.parametrize("size", [(12, 9), (97, 131)])
def test_every_map_of_any_picture_gives_four_finite_numbers(name, size):
    found = handmade.summary(handmade.MAPS[name](photo(*size)))
    assert found.shape == (4,) and np.isfinite(found).all()


def test_a_linear_baseline_finds_its_direction_where_it_is_fitted():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300)
    features = rng.normal(0, 1, (300, 5)) - 2.0 * labels[:, None] * [1, 0, 0, 0, 0]
    fit = np.arange(300) < 150
    for scores in (learnt.fitted(features, labels, fit),
                   learnt.best_linear(features, labels, fit, ~fit)):  # fmt: skip
        assert metrics.auc(labels[~fit], scores[~fit]) > 0.85
    wrong = np.where(fit, labels, 1 - labels)  # rows that are not fitted have no say
    assert np.array_equal(learnt.fitted(features, wrong, fit), learnt.fitted(features, labels, fit))

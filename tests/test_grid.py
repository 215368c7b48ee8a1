import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import FAMILIES, photo, rewrite, settings

from damagenet import BadInput, runs
from damagenet.detect import certify, grid, measure, metrics
from damagenet.detect.grid import CHANNELS, send

QUICK = settings(evaluate={"grid_pictures": 6, "resamples": 30})


@pytest.fixture(scope="module")
def measured(evaluated, built, tmp_path_factory):
    run = shutil.copytree(evaluated, tmp_path_factory.mktemp("grid") / "run")
    grid.grid(run, built, QUICK)
    return run


@pytest.fixture(scope="module")
def scored(measured):
    return pd.read_parquet(measured / "grid.parquet")


@pytest.fixture(scope="module")
def rows(measured):
    table = pd.DataFrame(runs.read_json(measured / "grid.json", "")["rows"])
    return table.set_index(["family", "channel", "metric"])


def test_every_picture_went_through_every_channel(scored, manifest):
    names = [name for name in CHANNELS if name != "AI upscaling" or grid.find_upscaler(())]
    assert list(dict.fromkeys(scored.channel)) == names
    assert (scored.groupby("channel").image.apply(set) == set(scored.image)).all()
    clean = scored[scored.channel == "clean"]
    assert clean.label.mean() == 0.5 and len(clean) <= 6
    of = manifest.set_index("image").loc[clean.image]
    assert set(of.split) == {"test"} and all('"camera"' in channel for channel in of.channel)


def test_untouched_pictures_score_as_in_the_evaluation(scored, evaluated):
    known = pd.read_parquet(evaluated / "predictions.parquet").set_index("image")
    clean = scored[scored.channel == "clean"].set_index("image")
    assert clean.logit.to_numpy() == pytest.approx(known.logit[clean.index].to_numpy(), abs=1e-5)
    assert clean.tp.tolist() == known.tp[clean.index].tolist()
    sent = scored[scored.channel == "JPEG 50"].set_index("image")
    assert (sent.logit != clean.logit[sent.index]).any()


def test_numbers_follow_from_the_scores(rows, scored):
    t = scored[scored.channel == "chat app"]
    assert rows.value["all", "chat app", "auc"] == pytest.approx(
        metrics.auc(t.label.to_numpy(), t.logit.to_numpy()), abs=1e-5
    )
    assert {family for family, *_ in rows.index} <= {"all", *FAMILIES}
    found = pd.DataFrame(grid.measure_grid(scored, 0.5, settings()), columns=grid.COLUMNS)
    rows = found.set_index(["family", "channel", "metric"])
    flagged = t.score >= 0.5
    balanced = (flagged[t.label == 1].mean() + (~flagged)[t.label == 0].mean()) / 2
    assert rows.value["all", "chat app", "balanced_accuracy"] == pytest.approx(balanced)
    drop = rows.loc["all", "chat app", "drop"]
    clean = rows.value["all", "clean", "balanced_accuracy"]
    assert drop.value == pytest.approx(100 * (clean - balanced), abs=1e-4)
    assert rows.value["all", "clean", "drop"] == 0


def test_what_is_never_flagged_has_nothing_to_lose(scored):
    found = [row[2] for row in grid.measure_grid(scored, certify.NEVER, settings())]
    assert "auc" in found and not {"drop", "balanced_accuracy"} & set(found)


def test_figures_are_written(measured):
    names = {path.name for path in (measured / "figures").iterdir()}
    assert {"channels.png", "family_channel.png"} <= names


@pytest.mark.parametrize("name", [name for name in CHANNELS if name != "AI upscaling"])
def test_a_channel_treats_twins_alike_and_moves_the_mask_along(name):
    twin = photo(180, 240)
    mask = np.zeros((180, 240), bool)
    mask[60:120, 80:160] = True
    fake = np.where(mask[..., None], 255 - twin, twin)
    sent = [send(x, m, CHANNELS[name], np.random.default_rng(3))
            for x, m in ((twin, mask & False), (fake, mask))]  # fmt: skip
    (one, nothing), (other, moved) = sent
    assert one.shape == other.shape and one.shape[:2] == moved.shape and one.dtype == np.uint8
    assert not nothing.any()
    apart = np.abs(one.astype(int) - other).mean(axis=2) > 40
    assert (apart & moved).sum() / (apart | moved).sum() > 0.8  # the edit is where the mask is
    if name != "clean":
        assert one.shape != twin.shape or not np.array_equal(one, twin)


def test_a_pick_is_balanced_spread_and_repeats(scored, manifest, built):
    test = measure.described(manifest, built, {"products": {"table": ""}})
    one, again = (grid.pick(test, 8, 1) for _ in range(2))
    assert one.image.tolist() == again.image.tolist()
    assert set(one.channel) == {"camera"} and one.label.mean() == 0.5
    assert (one.method != "overlay").all()
    assert set(one.family[one.label == 1]) == set(FAMILIES)


def test_an_unseen_upscaler_is_preferred(monkeypatch):
    monkeypatch.setattr(
        grid.regenerate, "available", lambda: ["ae_shuffle", "realesrgan", "waifu2x"]
    )
    assert grid.find_upscaler(()) == "realesrgan"
    assert grid.find_upscaler(("waifu2x", "ae_shuffle")) == "waifu2x"
    monkeypatch.setattr(grid.regenerate, "available", lambda: ["ae_shuffle"])
    assert grid.find_upscaler(()) == ""


def test_without_evaluation_or_camera_pictures_there_is_no_grid(trained, evaluated, copied,
                                                                manifest, tmp_path):  # fmt: skip
    with pytest.raises(BadInput, match=r"metrics\.json: not found; run `damagenet evaluate"):
        grid.grid(trained, copied)
    rewrite(copied, manifest[~manifest.channel.str.contains('"camera"')])
    with pytest.raises(BadInput, match="no camera pictures of both classes"):
        grid.grid(shutil.copytree(evaluated, tmp_path / "run"), copied, QUICK)

import json

import numpy as np
import pandas as pd
import pytest
from conftest import FAMILIES, settings
from sklearn.metrics import roc_auc_score

from damagenet.detect import certify, measure, metrics
from damagenet.synth import dataset

LEFT_OUT = {"family": ("b",), "kind": ("tear",), "channel": ("twice",), "source": ("shelf",)}


def world(n=240, seed=0):
    """A scored split of four cells, two families, four channels, that is easy to see through."""
    rng = np.random.default_rng(seed)
    cells = ("authentic_intact", "authentic_damaged", "doctored_damage", "doctored_other")
    t = pd.DataFrame({"cell": rng.choice(cells, n), "group_id": rng.integers(0, 60, n)})
    t["product_id"] = [f"{group}-{rng.integers(0, 3)}" for group in t.group_id]
    t["image"] = [f"{i}.jpg" for i in range(n)]
    t["label"] = t.cell.str.startswith("doctored").astype(int)
    t["kind"] = np.where(t.cell == "authentic_intact", "none", rng.choice(["real", "tear"], n))
    t["method"] = np.where(t.label == 1, rng.choice(["regenerate", "overlay"], n, p=[0.9, 0.1]), "")
    ai = measure.regenerated(t)
    t["family"] = np.where(ai, rng.choice(["a", "b"], n), "none")
    t["topology"] = np.where(ai, rng.choice(["full", "exchange", "blend"], n), "none")
    t["area"] = np.where(t.topology == "full", 1.0, np.where(ai, rng.uniform(0, 0.6, n), 0))
    t["channel"] = rng.choice(["camera", "chat", "softened", "twice"], n)
    t["markup"] = rng.random(n) < 0.2
    t["cut"] = np.where(ai & (rng.random(n) < 0.3), 6, 0)
    t["source"] = rng.choice(["shop", "shelf"], n)
    t["logit"] = rng.normal(1.5 * t.label * np.where(t.family == "b", 0.3, 1), 1)
    t["score"] = 1 / (1 + np.exp(-t.logit))
    for name in ("tp", "fp", "fn"):
        t[name] = rng.integers(1, 90, n) * np.where((t.label == 1) | (name == "fp"), 1, 0)
    t["width"], t["height"] = 40, rng.integers(20, 60, n)
    return t


@pytest.fixture(scope="module")
def t():
    return world()


@pytest.fixture(scope="module")
def rows(t):
    settled = settings(evaluate={"resamples": 200})
    found = measure.measure(t, 0.8, settled, LEFT_OUT)
    names = ["slice", "metric", "value", "low", "high", "n"]
    return pd.DataFrame(found, columns=names).set_index(["slice", "metric"])


def test_numbers_are_those_of_the_plain_metrics(rows, t):
    assert rows.value["all", "auc"] == pytest.approx(roc_auc_score(t.label, t.logit))
    assert rows.value["all", "tpr_at_1"] == metrics.tpr_at(t.label, t.logit.to_numpy(), 0.01)
    some = t[(t.label == 0) | (measure.regenerated(t) & (t.topology == "exchange"))]
    assert rows.value["topology=exchange", "auc"] == pytest.approx(
        roc_auc_score(some.label, some.logit)
    )
    only = some[some.label == 1]
    assert rows.value["topology=exchange", "pixel_iou"] == pytest.approx(
        metrics.iou(only.tp, only.fp, only.fn).mean()
    )
    assert rows.value["all", "brier"] == pytest.approx(metrics.brier(t.label, t.score))


def test_bright_pixels_count_on_authentic_pictures_alone(rows, t):
    for name, some in (("all", t.label == 0), ("damaged", t.cell == "authentic_damaged")):
        honest = t[some]
        share = (honest.fp / (40 * honest.height)).mean()
        row = rows.loc[(f"authentic={name}", "pixel_false_alarms")]
        assert row.value == pytest.approx(share) and row.low < share < row.high
        assert row.n == len(honest)
    doctored = t[t.label == 1]
    f1 = metrics.f1(doctored.tp, doctored.fp, doctored.fn).mean()
    assert rows.value["all", "pixel_f1"] == pytest.approx(f1)


def test_every_family_is_held_against_really_damaged_photos(rows, t):
    real = t[(t.label == 0) & (t.kind == "real")]
    found = {}
    for family in "ab":
        some = pd.concat([real, t[measure.regenerated(t) & (t.family == family)]])
        found[family] = metrics.tpr_at(some.label.to_numpy(), some.logit.to_numpy(), 0.05)
        row = rows.loc[f"family={family} vs real_damage", "tpr_at_tnr_95"]
        assert row.value == pytest.approx(found[family]) and row.n == len(some)
    worst = rows.loc["worst family vs real_damage", "tpr_at_tnr_95"]
    assert worst.value == pytest.approx(min(found.values())) and worst.low <= worst.value
    mean = rows.value["mean family vs real_damage", "tpr_at_tnr_95"]
    assert mean == pytest.approx(np.mean(list(found.values())))


def test_without_real_damage_the_rendered_one_is_named(t):
    calm = t.assign(kind=t.kind.replace("real", "tear"))
    name, some = measure.damaged(calm)
    assert name == "authentic_damaged"
    assert some.tolist() == (calm.cell == "authentic_damaged").tolist()
    names = {row[0] for row in measure.measure(calm, 0.8, settings(), LEFT_OUT)}
    assert "worst family vs authentic_damaged" in names and "negatives=real_damage" not in names


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("real_damage", lambda t: t.kind == "real"), ("markup", lambda t: t.markup),
        ("softened", lambda t: t.channel == "softened"), ("all", lambda t: t.label == 0),
        ("unseen_source", lambda t: t.source == "shelf"),
        ("unseen_kind", lambda t: t.kind == "tear"),
        ("unseen_channel", lambda t: t.channel == "twice"),
    ],
)  # fmt: skip
def test_spared_photos_come_with_exact_bounds(rows, t, name, wanted):
    some = certify.one_per_photo(t[(t.label == 0) & wanted(t)])  # others say the same again
    passed = int((some.score < 0.8).sum())
    row = rows.loc[f"authentic={name}", "tnr_at_threshold"]
    assert (row.value, row.n) == (passed / len(some), len(some))
    assert (row.low, row.high) == metrics.clopper_pearson(passed, len(some))


def test_photos_of_few_groups_vary_all_the_same(t):
    alike = t.assign(group_id=np.where(t.kind == "real", 0, t.group_id))
    names = ["slice", "metric", "value", "low", "high", "n"]
    settled = settings(evaluate={"resamples": 200})
    found = pd.DataFrame(measure.measure(alike, 0.8, settled, LEFT_OUT), columns=names)
    found = found.set_index(["slice", "metric"])
    spared = found.loc["authentic=real_damage", "pixel_false_alarms"]
    assert spared.low < spared.value < spared.high
    row = found.loc["negatives=real_damage", "auc"]
    assert row.low < row.value < row.high


def test_what_training_never_saw_stands_apart(t):
    found = dict(measure.slices(t, LEFT_OUT))
    ai = measure.regenerated(t)
    assert (found["unseen=family"] == ((t.label == 0) | (ai & (t.family == "b")))).all()
    assert (found["unseen=kind"] == ((t.label == 0) | (ai & (t.kind == "tear")))).all()
    assert (found["unseen=source"] == (t.source == "shelf")).all()
    assert (found["unseen=channel"] == (t.channel == "twice")).all()
    seen = t[found["unseen=nothing"]]
    assert not seen.family.eq("b").any() and not seen.channel.eq("twice").any()
    restored = t[found["high_frequencies=restored"]]
    assert (restored[restored.label == 1].cut > 0).all()


def test_areas_and_topologies_share_out_the_regenerated_pictures(t):
    found = dict(measure.slices(t, LEFT_OUT))
    doctored = (t.label == 1).to_numpy()
    for start in ("area=", "topology=", "family=", "high_frequencies="):
        parts = [some & doctored for name, some in found.items() if name.startswith(start)]
        assert (np.sum(parts, axis=0) == measure.regenerated(t)).all(), start


def test_intervals_are_paired_and_hold_their_value(rows):
    known = rows.dropna()
    assert ((known.low <= known.value) & (known.value <= known.high)).mean() > 0.95
    assert rows.value["all", "exchange_gap"] == pytest.approx(
        rows.value["topology=full", "auc"] - rows.value["topology=exchange", "auc"]
    )


def test_a_manifest_is_described_by_its_recipes(manifest, built):
    config = dataset.read_card(built)["config"]
    found = measure.described(manifest, built, config)
    recipes = manifest.recipe.map(json.loads)
    assert found.channel.tolist() == [r["channel"]["chain"] for r in recipes]
    marked = [any(s["op"] == "markup" for s in r["channel"]["steps"]) for r in recipes]
    assert found.markup.tolist() == marked and any(marked)
    assert set(found.source) and "" not in set(found.source) and "recipe" not in found
    lost = measure.described(manifest, built, config | {"products": {"table": ""}})
    assert set(lost.source) == {""}


def test_what_was_left_out_is_read_from_dataset_and_run(built):
    card = dataset.read_card(built)
    run = settings(train={"holdout_family": FAMILIES[0]})
    found = measure.unseen(card, run)
    assert found["family"] == (FAMILIES[1], FAMILIES[0]) and found["channel"] == ("twice",)


def test_the_headline_leaves_out_what_is_not_known(t):
    names = ("slice", "metric", "value", "low", "high", "n")
    few = t[t.channel != "softened"].reset_index(drop=True)
    made = measure.measure(few, 0.8, settings(), LEFT_OUT)
    found = measure.headline([dict(zip(names, row, strict=True)) for row in made])
    assert "tnr_softened" not in found and {"image_auc", "unseen_family_auc", "ece"} <= set(found)
    assert found["worst_family_tpr_on_damaged"]["negatives"] == "real_damage"

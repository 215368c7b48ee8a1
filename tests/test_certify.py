import numpy as np
import pandas as pd
import pytest
from conftest import settings
from scipy import stats

from damagenet import plots
from damagenet.detect import metrics
from damagenet.detect.certify import (
    NEVER,
    bound,
    certified_threshold,
    choose_thresholds,
    naive_threshold,
    needed,
    one_per_photo,
    promises,
    risk_coverage,
    scopes,
)

CONFIG = settings().evaluate
CELLS = ("authentic_intact", "authentic_damaged", "doctored_damage", "doctored_other")
CHANNELS = {"camera": 0.0, "chat": 0.8, "screen": -0.5}
"""How much a channel raises the logit of every picture, as it must not."""


def draw(seed=0, n=1200, bias=0.0, real=0.3, copies=1):
    """Pictures through three channels; `bias` lets damage alone raise the score, as it must not."""
    rng = np.random.default_rng(seed)
    cell = np.array(CELLS)[rng.integers(0, 4, n)]
    label = np.char.startswith(cell, "doctored").astype(int)
    damaged = np.isin(cell, ["authentic_damaged", "doctored_damage"])
    channel = rng.choice(list(CHANNELS), n)
    shift = np.array([CHANNELS[name] for name in channel])
    logit = rng.normal(2.0 * label + bias * damaged + shift, 1.0)
    kind = np.where(damaged, np.where(rng.random(n) < real, "real", "crack"), "none")
    table = pd.DataFrame({"label": label, "cell": cell, "channel": channel, "kind": kind,
                          "score": 1 / (1 + np.exp(-logit)), "logit": logit})  # fmt: skip
    table["product_id"] = [f"p{i}" for i in range(n)]
    table = table.loc[table.index.repeat(copies)].reset_index(drop=True)
    table["group_id"] = table.product_id
    table["image"] = [f"{i}.jpg" for i in range(len(table))]
    return table


def true_rate(threshold, shift=0.0):
    """False-alarm rate of an authentic picture of `draw` at a threshold on the score."""
    if threshold >= 1:
        return 0.0
    return float(stats.norm.sf(np.log(threshold / (1 - threshold)) - shift))


@pytest.mark.parametrize(
    ("rate", "alarms", "photos"),
    [(0.01, 0, 299), (0.01, 1, 473), (0.01, 5, 1049), (0.02, 0, 149), (0.02, 2, 313),
     (0.05, 0, 59), (0.05, 1, 93), (0.05, 2, 124), (0.05, 5, 208), (0.2, 0, 14)],
)  # fmt: skip
def test_how_many_photos_a_promise_takes(rate, alarms, photos):
    assert needed(rate, alarms) == photos
    assert bound(alarms, photos) <= rate < bound(alarms, photos - 1)


def test_no_photos_bound_nothing():
    assert bound(0, 0) == bound(3, 3) == 1.0


@pytest.mark.parametrize("rate", [0.05, 0.1])
@pytest.mark.parametrize("n", [59, 60, 93, 300])
def test_the_certified_threshold_is_the_smallest_that_the_bound_allows(n, rate):
    scores = np.random.default_rng(n).random(n).round(6)
    found = certified_threshold(scores, rate)
    assert bound(int((scores >= found).sum()), n) <= rate
    looser = np.sort(scores[scores < found])[-1]
    assert bound(int((scores >= looser).sum()), n) > rate


def test_too_few_photos_certify_no_threshold():
    assert certified_threshold(np.zeros(58), 0.05) is None
    assert certified_threshold(np.zeros(59), 0.05) == 1e-6
    assert certified_threshold(np.zeros(0), 0.05) is None


@pytest.mark.parametrize(("n", "rate"), [(59, 0.05), (120, 0.05), (400, 0.05), (80, 0.1)])
def test_over_many_draws_certified_thresholds_keep_their_promise_and_naive_ones_do_not(n, rate):
    trials = 1500
    rng = np.random.default_rng(n)
    draws = (1 / (1 + np.exp(-rng.normal(size=(trials, n))))).round(6)
    sure = np.mean([true_rate(certified_threshold(s, rate)) > rate for s in draws])
    naive = np.mean([true_rate(naive_threshold(s, rate)) > rate for s in draws])
    assert sure <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / trials)
    assert naive > 0.3


@pytest.mark.slow
def test_over_many_draws_no_channel_breaks_the_promise():
    """One threshold, all channels at once, several pictures of each photo."""
    trials, broken, naive = 80, 0, 0
    worst = max(CHANNELS.values())
    for seed in range(trials):
        validation = draw(seed, n=900, copies=2)
        found = choose_thresholds(validation, CONFIG)
        assert found["certificate"]["flag"]["certified"]
        broken += true_rate(found["threshold"], worst) > 0.05
        damaged = validation[validation.cell == "authentic_damaged"]
        naive += true_rate(naive_threshold(damaged.score.to_numpy(), 0.05), worst) > 0.05
    assert broken / trials <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / trials)
    assert naive / trials > 0.6


def test_the_threshold_is_the_strictest_that_a_channel_needs():
    found = choose_thresholds(draw(), CONFIG)
    table = pd.DataFrame(found["certificate"]["flag"]["table"]).set_index("scope")
    assert table.certified[["damaged", "channel=chat", "channel=camera", "intact"]].all()
    assert (table.bound[table.certified] <= 0.05).all()
    chat = draw()[lambda t: (t.channel == "chat") & (t.cell == "authentic_damaged")]
    assert found["threshold"] >= certified_threshold(chat.score.round(6).to_numpy(), 0.05)


def test_few_photos_flag_nothing_and_say_how_many_more_it_takes():
    few = draw(n=160)
    damaged = few[few.cell == "authentic_damaged"]
    assert 20 < len(damaged) < 59
    found = choose_thresholds(few, CONFIG)
    record = found["certificate"]["flag"]
    assert not record["certified"] and record["more_photos"] == 59 - len(damaged)
    assert found["threshold"] == NEVER > few.score.max()
    assert found["review_threshold"] < 1  # people still look
    one = {row["scope"]: row for row in record["table"]}["channel=chat"]
    chat = damaged[damaged.channel == "chat"]
    assert (one["photos"], one["more_photos"]) == (len(chat), 59 - len(chat))
    assert one["alarms"] == 0 and one["bound"] == pytest.approx(bound(0, len(chat)), abs=1e-4)


def test_copies_of_a_photo_certify_nothing():
    copied = draw(n=160, copies=5)
    found = choose_thresholds(copied, CONFIG)["certificate"]["flag"]
    damaged = copied[copied.cell == "authentic_damaged"]
    assert not found["certified"] and found["table"][0]["pictures"] == len(damaged) > 100
    assert found["table"][0]["photos"] == damaged.product_id.nunique() == len(damaged) / 5


def test_really_damaged_photos_are_counted_apart():
    validation = draw(real=0.1)
    record = choose_thresholds(validation, CONFIG)["certificate"]["flag"]
    real = {row["scope"]: row for row in record["table"]}["really damaged"]
    expected = ((validation.cell == "authentic_damaged") & (validation.kind == "real")).sum()
    assert real["pictures"] == expected < 59 and not real["certified"] and record["certified"]


def test_channels_that_nobody_certified_still_raise_the_threshold():
    validation = draw(n=1200)
    validation.loc[validation.channel == "chat", "score"] **= 0.3
    rare = (validation.channel == "chat") & (validation.index > 500)
    without = choose_thresholds(validation[validation.channel != "chat"], CONFIG)
    with_few = choose_thresholds(validation[~rare], CONFIG)
    row = {r["scope"]: r for r in with_few["certificate"]["flag"]["table"]}["channel=chat"]
    assert 20 <= row["photos"] < 59 and not row["certified"]
    assert with_few["threshold"] > without["threshold"]


@pytest.mark.parametrize("bias", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("digits", [1, 9])
def test_thresholds_hold_on_the_pictures_they_were_chosen_on(bias, digits):
    validation = draw(3, n=800, bias=bias)
    validation["score"] = validation.score.round(digits)
    found = choose_thresholds(validation, CONFIG)
    for key, rate in (("threshold", 0.05), ("review_threshold", 0.2)):
        honest = validation[validation.label == 0]
        for rows in (honest, honest[honest.cell == "authentic_damaged"]):
            assert metrics.rate_at(rows.score.to_numpy(), found[key]) <= rate
    assert found["review_threshold"] <= found["threshold"] <= NEVER
    assert found["authentic_pictures"] == (validation.label == 0).sum()
    assert found["false_alarm_bound_95"] <= 0.05


def test_damaged_goods_alone_raise_the_threshold():
    plain, biased = (choose_thresholds(draw(1, bias=b), CONFIG)["threshold"] for b in (0.0, 2.0))
    assert biased > plain


def test_scores_that_saturate_raise_no_alarm():
    validation = draw().assign(score=1.0)
    found = choose_thresholds(validation, CONFIG)
    assert found["threshold"] == NEVER and found["certificate"]["flag"]["certified"]


def test_without_any_authentic_picture_a_person_looks_at_all():
    found = choose_thresholds(draw()[lambda t: t.label == 1], CONFIG)
    assert (found["threshold"], found["review_threshold"]) == (NEVER, 0.0)
    assert found["certificate"]["flag"]["more_photos"] == 59


def test_the_lot_does_not_depend_on_scores_or_order():
    table = draw(n=50, copies=4)
    mixed = table.sample(frac=1, random_state=1).assign(score=0.5)
    assert set(one_per_photo(table).image) == set(one_per_photo(mixed).image)
    assert len(one_per_photo(table)) == 50
    assert set(scopes(table)) == {
        "damaged", "really damaged", "intact", *(f"channel={name}" for name in CHANNELS)
    }  # fmt: skip


def test_risk_grows_with_coverage_where_scores_mean_something():
    curve = risk_coverage(draw(n=4000))
    assert curve.coverage.iloc[-1] == 1 and (np.diff(curve.coverage) > 0).all()
    everything = draw(n=4000)
    wrong = ((everything.score >= 0.5) != (everything.label == 1)).mean()
    assert curve.risk.iloc[-1] == pytest.approx(wrong)
    assert curve.risk.iloc[400] < 0.5 * wrong


def test_promises_are_measured_on_other_pictures_than_they_were_made_on():
    test = draw(1, n=3000)
    table = promises(draw(0, n=1500), test, CONFIG).set_index(["rule", "rate"])
    sure, naive = table.loc["certified", 0.05], table.loc["naive", 0.05]
    honest = test[test.cell == "authentic_damaged"].score
    threshold = choose_thresholds(draw(0, n=1500), CONFIG)["threshold"]
    assert sure.measured == pytest.approx((honest >= threshold).mean(), abs=1e-9)
    assert sure.measured < naive.measured and sure.found < naive.found
    assert 0 < sure.coverage < 1 and sure.low <= sure.measured <= sure.high
    few = promises(draw(0, n=100), test, CONFIG).set_index(["rule", "rate"])
    assert few.loc["certified", 0.01].found == 0 < few.loc["naive", 0.01].found  # never flagged


def test_the_figure_shows_both_rules_beside_the_promise():
    test = draw(1)
    figure = plots.risk_coverage(risk_coverage(test), promises(draw(), test, CONFIG))
    labels = {text.get_text() for axis in figure.axes for text in axis.get_legend().get_texts()}
    assert any("naive" in label for label in labels) and any("certified" in t for t in labels)


def test_a_small_channel_that_only_the_review_heeds_is_not_flagged_either():
    rng = np.random.default_rng(0)
    honest = pd.DataFrame({"score": np.r_[rng.uniform(0, 0.5, 400), rng.uniform(0.9, 0.95, 12)]})
    honest["channel"] = ["camera"] * 400 + ["chat"] * 12
    honest = honest.assign(label=0, cell="authentic_damaged", kind="real", logit=honest.score)
    honest["product_id"] = honest["group_id"] = [f"p{i}" for i in range(412)]
    honest["image"] = honest.product_id
    config = settings(evaluate={"false_alarm_rate": 0.05, "review_rate": 0.2}).evaluate
    found = choose_thresholds(honest, config)
    assert found["threshold"] >= found["review_threshold"] > 0.9
    for name, key in (("flag", "threshold"), ("review", "review_threshold")):
        for line in found["certificate"][name]["table"]:
            rows = one_per_photo(scopes(honest)[line["scope"]])
            assert line["alarms"] == (rows.score.round(6) >= found[key]).sum()

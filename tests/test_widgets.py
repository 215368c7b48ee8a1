import re
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest
from conftest import FAMILIES, photo, settings

from damagenet import BadInput, images, sheets, widgets, widgets_costs
from damagenet.synth import channel, damage, doctor, regenerate

BUILD = replace(settings().build, families=FAMILIES, long_side=200)


@pytest.fixture(scope="module")
def shown():
    return widgets.doctoring(photo(), "mug", BUILD, seed=3)


@pytest.fixture
def bench(shown):
    """The same panel, put back to where it started."""
    start = {"kind": "crack", "severity": 4, "topology": "exchange", "family": FAMILIES[0],
             "chain": "camera", "seed": 3, "outline": False, "zoom": False}  # fmt: skip
    for name, value in start.items():
        getattr(shown, name).value = value
    return shown


def controls(bench):
    names = ("kind", "severity", "topology", "family", "chain", "seed")
    return [getattr(bench, name) for name in names]


def text(bench):
    return re.sub("<[^>]+>", "", bench.status.value)


def seen(widget):
    return images.read(bytes(widget.value))


def without_time(bench):
    return re.sub(r"[\d.]+ s\b", "", text(bench))


def test_the_pictures_are_the_twins_files_and_the_status_says_their_facts(bench):
    authentic, doctored = bench.samples
    assert (bench.authentic.value, bench.doctored.value) == (authentic.file, doctored.file)
    assert (authentic.label, doctored.label) == (0, 1)
    height, width = images.read(doctored.file).shape[:2]
    area = (doctored.mask > 0).mean()
    assert f"authentic: label 0, {len(authentic.file) / 1000:.1f} kB" in text(bench)
    assert f"doctored: label 1, {len(doctored.file) / 1000:.1f} kB" in text(bench)
    assert f"{area:.1%} of the area changed" in text(bench)
    assert f"{width} x {height} pixels" in text(bench)


@pytest.mark.parametrize("change", [
    {"kind": "stain"}, {"severity": 1}, {"topology": "full"}, {"family": FAMILIES[1]},
    {"chain": "chat"}, {"seed": 4},
])  # fmt: skip
def test_every_control_changes_the_picture_and_the_status(bench, change):
    before, said = bench.doctored.value, without_time(bench)
    ((name, value),) = change.items()
    getattr(bench, name).value = value
    assert bench.doctored.value != before
    # Another decoder may leave a file of the same size.
    assert without_time(bench) != said or name == "family"


def test_a_change_leaves_all_else_as_it_was(bench):
    first = bench.samples[1].recipe
    bench.topology.value, bench.severity.value = "full", 2
    bench.chain.value = "chat"
    later = bench.samples[1].recipe
    assert later["camera"] == first["camera"] and later["frame"] == first["frame"]
    assert later["damage"] == first["damage"] | {"severity": 2}
    assert later["edit"] == first["edit"] | {"topology": "full"}
    assert later["channel"]["chain"] == "chat"


def test_the_same_values_give_the_same_bytes(bench):
    again = widgets.doctoring(photo(), "mug", BUILD, seed=3)
    again.topology.value = "exchange"
    assert [one.file for one in again.samples] == [one.file for one in bench.samples]


def test_the_authentic_twin_knows_nothing_of_the_edit(bench):
    before = bench.authentic.value
    bench.topology.value, bench.family.value = "full", FAMILIES[1]
    assert bench.authentic.value == before


def test_the_outline_is_drawn_on_the_doctored_twin_alone_and_renders_nothing(bench):
    samples, plain = bench.samples, seen(bench.doctored)
    bench.outline.value = True
    assert bench.samples is samples
    drawn = seen(bench.doctored)
    ink = (drawn == sheets.CHANGED).all(-1)
    assert ink.any() and not ink[samples[1].mask == 0].any()
    assert np.array_equal(seen(bench.authentic), images.read(samples[0].file))
    bench.outline.value = False
    assert np.array_equal(seen(bench.doctored), plain)


def test_a_panel_says_that_it_is_at_work_before_it_works(bench, desk):
    for panel, control, value in ((bench, "severity", 2), (desk, "threshold", 0.3)):
        said = []
        panel.status.observe(lambda change, said=said: said.append(change["new"]), names="value")
        getattr(panel, control).value = value
        assert "drawing" in said[0] and "drawing" not in said[1] and len(said) == 2


def test_zooming_enlarges_all_three_alike(bench):
    bench.zoom.value = True
    pictures = [seen(w) for w in (bench.authentic, bench.doctored, bench.changed)]
    assert len({picture.shape for picture in pictures}) == 1
    rows, columns = sheets.close_up(bench.samples[1].intended, most=sheets.CLOSE)
    cut = images.read(bench.samples[0].file)[rows, columns]
    factor = pictures[0].shape[0] // cut.shape[0]
    assert factor > 1 and np.array_equal(pictures[0][::factor, ::factor], cut)


def test_the_difference_is_dark_outside_of_the_edit(bench):
    gap = seen(bench.changed).max(-1)
    edited = cv2.dilate(bench.samples[1].mask, np.ones((33, 33), np.uint8)) > 0
    assert gap[edited].max() > 60 and gap[~edited].max() < 60


def test_all_kinds_are_offered_those_that_suit_the_product_first(bench):
    offered = [value for _, value in bench.kind.options]
    suited = damage.suitable("mug", tuple(damage.KINDS))
    assert set(offered) == set(damage.KINDS) and tuple(offered[: len(suited)]) == suited
    assert [value for _, value in bench.chain.options] == list(channel.CHAINS)
    assert bench.topology.options == doctor.TOPOLOGIES


def test_own_decoders_come_first_when_the_config_names_none():
    bench = widgets.doctoring(photo(90, 120), "mug", replace(BUILD, families=()))
    assert set(bench.family.options) == set(regenerate.available())
    assert bench.family.value.startswith("ae_")


def test_an_error_is_said_in_place_and_mended_by_the_next_choice(bench):
    bench.family.options = (*FAMILIES, "taef2", "<b>none</b>")
    bench.family.value = "taef2"  # its weights are in no package
    assert "taef2" in text(bench) and "not possible" in text(bench)
    assert bench.samples == () and "image/png" not in bench._repr_mimebundle_()
    pictures = bench.panel.children[-1]
    assert pictures.layout.visibility == "hidden"  # old ones would belie the controls
    bench.outline.value = True  # redrawing has nothing to draw, and says so too
    assert "not possible" in text(bench)
    bench.family.value = "<b>none</b>"
    assert "<b>" not in bench.status.value and "unknown decoder family" in text(bench)
    bench.family.value = FAMILIES[0]
    assert "label 1" in text(bench) and pictures.layout.visibility == "visible"
    bench.family.options = FAMILIES


@pytest.mark.parametrize("wrong", [photo()[..., 0], photo() / 255.0, np.zeros((0, 0, 3), np.uint8)])
def test_a_photo_that_is_none_is_refused_in_place(wrong):
    bench = widgets.doctoring(wrong, "mug", BUILD)
    assert "not possible" in text(bench) and not bench.samples


def test_readers_without_widgets_get_the_picture(bench):
    bundle = bench._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    whole = images.read(bundle["image/png"])
    height, width = images.read(bench.samples[0].file).shape[:2]
    assert whole.shape == (height, 3 * (width + 8), 3)
    assert np.array_equal(whole[:, :width], images.read(bench.samples[0].file))


def test_an_edit_of_which_nothing_is_left_is_called_authentic(bench, monkeypatch):
    monkeypatch.setattr(doctor.edits, "changed", lambda new, old: np.zeros(old.shape[:2], np.uint8))
    bench.severity.value = 5
    assert "doctored: label 0" in text(bench) and "its label is authentic" in text(bench)


def test_every_control_can_be_reached_and_has_a_name(bench):
    named = [control.description for control in (*controls(bench), bench.outline, bench.zoom)]
    assert all(named) and len(set(named)) == len(named)
    assert 'role="status"' in bench.status.value


HONEST, DOCTORED = np.array([0.1, 0.2, 0.3, 0.9]), np.array([0.25, 0.8, 0.95, 1.0])


def test_prices_by_hand():
    # 20 frauds and 980 honest buyers; at 0.5 a quarter of either group is on the wrong side.
    (row,) = widgets_costs.priced(
        HONEST, DOCTORED, np.array([0.5]), fraud=0.02, missed=30, accused=100
    ).itertuples()
    assert (row.caught, row.paid, row.suspects, row.spared) == (15, 5, 245, 735)
    assert (row.missed, row.accused) == (150, 24_500)


def test_a_score_equal_to_the_threshold_is_flagged_and_the_last_threshold_flags_nothing():
    curve = widgets_costs.priced(HONEST, DOCTORED, widgets_costs.STEPS, 0.5, 1, 1)
    assert curve.iloc[0][["paid", "spared"]].tolist() == [0, 0]
    assert curve.iloc[-1][["caught", "suspects"]].tolist() == [0, 0]
    assert widgets_costs.priced(HONEST, DOCTORED, np.array([1.0]), 0.5, 1, 1).caught[0] == 125
    assert (np.diff(curve.missed) >= 0).all() and (np.diff(curve.accused) <= 0).all()


@pytest.mark.parametrize("scores", [(HONEST, HONEST[:0]), (HONEST[:0], DOCTORED)])
def test_prices_need_both_kinds_of_pictures(scores):
    with pytest.raises(BadInput, match="evaluate first"):
        widgets_costs.priced(*scores, np.array([0.5]), 0.5, 1, 1)


@pytest.fixture
def desk():
    cells = ["authentic_damaged"] * 3 + ["authentic_intact"] + ["doctored_damage"] * 4
    scored = pd.DataFrame({"cell": cells, "score": [*HONEST, *DOCTORED]})
    scored["label"] = scored.cell.str.startswith("doctored").astype(int)
    return widgets.deciding(scored, 0.5)


def test_the_status_says_what_the_chosen_threshold_does(desk):
    desk.fraud.value, desk.missed.value, desk.accused.value = 0.02, 30, 100
    assert "15.0 frauds are flagged and 5.0 paid" in text(desk)
    assert "0.0 honest buyers are accused, 980.0 left in peace" in text(desk)
    assert "rates from 3 honest and 4 doctored pictures" in text(desk)
    desk.honest.value = "all authentic photos"
    assert "245.0 honest buyers are accused" in text(desk)
    assert "94% of the flagged are honest" in text(desk) and "cost 24,650;" in text(desk)


@pytest.mark.parametrize(
    "change", [{"threshold": 0.9}, {"fraud": 0.5}, {"missed": 500}, {"accused": 1},
               {"honest": "damaged goods only"}],
)  # fmt: skip
def test_every_control_of_the_desk_changes_picture_and_status(desk, change):
    desk.honest.value = "all authentic photos"
    before, said = desk.picture.value, text(desk)
    ((name, value),) = change.items()
    getattr(desk, name).value = value
    assert desk.picture.value != before and text(desk) != said
    assert seen(desk.picture).std() > 5


def test_a_threshold_above_every_score_flags_nothing(desk):
    scored = desk.scored
    never = widgets.deciding(scored, 1.000001)
    assert never.chosen.caught == never.chosen.suspects == 0 and "no flags" in text(never)


def test_the_desk_shows_a_picture_where_no_browser_listens(desk):
    bundle = desk._repr_mimebundle_()
    assert isinstance(bundle["image/png"], bytes) and bundle["image/png"] == desk.picture.value
    assert "application/vnd.jupyter.widget-view+json" in bundle

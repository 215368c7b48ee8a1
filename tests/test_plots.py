import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import photo, settings
from matplotlib.figure import Figure

from damagenet import images, plots, runs, sheets
from damagenet.runs import rng_for
from damagenet.synth import dataset, doctor
from damagenet.synth.shot import Shot, plan_frame


@pytest.fixture(scope="module")
def scored(evaluated):
    return pd.read_parquet(evaluated / "predictions.parquet")


@pytest.fixture(scope="module")
def rendered():
    build = settings(build={"native": 0.0, "overlay": 1.0, "chains": ["camera"]}).build
    rng = rng_for(1)
    shot = Shot(photo(), plan_frame(rng, 200))
    recipes = doctor.plan(rng, shot, "intact", "mug", build)
    return [doctor.render(shot, recipe) for recipe in recipes[:3]]


@pytest.fixture(scope="module")
def drawn(built, manifest, evaluated, table, scored, rendered):
    """Every figure of the module as a function that draws it from the tiny run."""
    results = runs.read_json(evaluated / "metrics.json", "")
    picks = [
        row | {"title": "found", "heatmap": np.zeros((row["height"] // 2, row["width"] // 2))}
        for row in scored.head(6).to_dict("records")
    ]
    items = [{"image": np.stack([photo(64, 64)] * 2), "mask": np.zeros((2, 64, 64))}] * 3
    audit = {"probes": [{"name": "size", "auc": 0.5, "limit": 0.6, "passed": True},
                        {"name": "exif", "auc": 0.9, "limit": 0.6, "passed": False}]}  # fmt: skip
    products = dataset.products.load(table)
    return {
        "tiles": lambda: plots.tiles([photo(), np.zeros((9, 9)), photo(40, 90)], ["a", "b"], 2),
        "contact_sheet": lambda: plots.contact_sheet(products, 4, 2),
        "twins": lambda: plots.twins(manifest, built, 2),
        "training_curve": lambda: plots.training_curve(pd.read_csv(evaluated / "train.csv")),
        "roc": lambda: plots.roc(scored),
        "score_histograms": lambda: plots.score_histograms(scored, results),
        "reliability": lambda: plots.reliability(scored),
        "slices": lambda: plots.slices(pd.DataFrame(results["metrics"])),
        "heatmap_gallery": lambda: plots.heatmap_gallery(built, picks),
        "samples": lambda: plots.samples(rendered),
        "differences": lambda: plots.differences(rendered),
        "noise": lambda: plots.noise(rendered, "abc", around=rendered[-1].intended),
        "counts": lambda: plots.counts(manifest),
        "picture_sizes": lambda: plots.picture_sizes(products),
        "probes": lambda: plots.probes(audit),
        "crops": lambda: plots.crops(items),
        "base_rates": lambda: plots.base_rates(0.7, 0.05),
        "agreement": lambda: plots.agreement(scored.score, scored.score, ("a", "b"), scored.cell),
    }


def public_figures():
    return {
        name for name, value in vars(plots).items()
        if callable(value) and getattr(value, "__module__", "") in (plots.__name__, sheets.__name__)
        and value.__annotations__.get("return") == "Figure" and not name.startswith("_")
    }  # fmt: skip


def test_every_figure_of_the_module_is_drawn_here(drawn):
    assert set(drawn) == public_figures()


@pytest.mark.parametrize("name", sorted(public_figures()))
def test_a_figure_is_drawn_and_saved_to_equal_bytes(drawn, name, tmp_path):
    figure = drawn[name]()
    assert isinstance(figure, Figure) and figure.axes
    one = plots.save(figure, tmp_path / "new" / "one.png", dpi=40)
    other = plots.save(drawn[name](), tmp_path / "other.png", dpi=40)
    assert one.read_bytes() == other.read_bytes()
    picture = images.read(one)
    assert min(picture.shape[:2]) > 30 and picture.std() > 5  # something is on it
    assert {path.name for path in tmp_path.rglob("*.*")} == {"one.png", "other.png"}


def test_nothing_is_shown_and_no_window_system_is_asked_for():
    for module in (plots, sheets):
        text = Path(module.__file__).read_text(encoding="utf-8")
        assert "pyplot" not in text and ".show(" not in text


def test_every_figure_of_pictures_is_reached_from_plots():
    made = {name for name, value in vars(sheets).items()
            if getattr(value, "__module__", "") == sheets.__name__ and not name.startswith("_")
            and value.__annotations__.get("return") == "Figure"}  # fmt: skip
    assert len(made) > 6 and all(getattr(plots, name) is getattr(sheets, name) for name in made)


def test_the_roc_curve_reports_the_auc_of_the_metrics(scored):
    from damagenet.detect import metrics

    legend = {text.get_text() for text in plots.roc(scored).axes[0].get_legend().get_texts()}
    rows = scored[scored.cell.isin(["authentic_damaged"]) | (scored.label == 1)]
    expected = metrics.auc(rows.label.to_numpy(), rows.logit.to_numpy())
    assert f"vs authentic_damaged: AUC {expected:.3f}" in legend


def test_the_outline_lies_on_the_border_of_the_region():
    image, mask = photo(), np.zeros((150, 210), bool)
    mask[40:90, 60:160] = True
    found = plots.outlined(image, mask)
    changed = (found != image).any(-1)
    assert changed.any() and not changed[~mask].any() and not changed[46:84, 66:154].any()
    assert np.array_equal(image, photo())


def test_a_region_that_is_the_whole_picture_is_framed():
    changed = (plots.outlined(photo(), np.ones((150, 210), bool)) == sheets.CHANGED).all(-1)
    assert changed[0].all() and changed[:, -1].all() and not changed[5:-5, 5:-5].any()


@pytest.mark.parametrize("place", [(10, 12, 10, 12), (40, 90, 60, 160), (0, 150, 0, 210),
                                   (147, 150, 0, 9), (70, 71, 0, 210)])  # fmt: skip
def test_a_close_up_holds_the_region_and_keeps_to_its_limits(place):
    mask = np.zeros((150, 210), np.uint8)
    mask[place[0] : place[1], place[2] : place[3]] = 255
    whole = sheets.close_up(mask, least=40)
    assert (mask[whole] > 0).sum() == (mask > 0).sum() and min(mask[whole].shape) >= 40
    assert whole == sheets.close_up(mask > 0, least=40)
    cut = mask[sheets.close_up(mask, most=64)]
    assert cut.any() and max(cut.shape) <= 64


def test_a_close_up_of_nothing_is_everything():
    assert np.zeros((30, 50))[sheets.close_up(np.zeros((30, 50), np.uint8))].shape == (30, 50)


def test_the_difference_is_the_mean_over_colours_enlarged():
    before, after = np.zeros((2, 3, 3), np.uint8), np.zeros((2, 3, 3), np.uint8)
    after[0, 0] = (3, 0, 6)
    after[1, 2] = 255
    gap = sheets.difference(after, before, gain=10)
    assert gap[0, 0] == pytest.approx(30 / 255) and gap[1, 2] == 1 and np.count_nonzero(gap) == 2
    assert np.array_equal(gap, sheets.difference(before, after, gain=10))


def test_the_residual_shows_noise_and_no_slope():
    slope = np.repeat(np.add.outer(np.arange(40), np.arange(60))[..., None], 3, 2).astype(np.uint8)
    plain = sheets.residual(slope)[8:-8, 8:-8]
    noisy = slope + np.random.default_rng(0).integers(0, 9, (40, 60, 1), np.uint8)
    assert np.abs(plain.astype(int) - 128).max() <= 4
    assert sheets.residual(noisy).std() > 10 and sheets.residual(noisy).shape == (40, 60)


def test_the_twins_shown_have_all_four_cells(manifest, built):
    titles = [axis.get_title() for axis in plots.twins(manifest, built, 2).axes]
    assert [t.split("\n")[0] for t in titles] == 2 * list(plots.CELL_COLOURS)


def bars(axis):
    """Lengths by label and name of bar, doctored second."""
    names = [tick.get_text() for tick in axis.get_yticklabels()]
    return [dict(zip(names, (p.get_width() for p in c), strict=True)) for c in axis.containers]


def test_counts_count_both_labels_of_every_value(manifest):
    (axis,) = plots.counts(manifest, ["kind"]).axes
    authentic, doctored = bars(axis)
    drawn = manifest[manifest.kind != "none"]
    for kind, rows in drawn.groupby("kind"):
        name = str(kind).replace("_", " ")
        assert (authentic[name], doctored[name]) == ((rows.label == 0).sum(), rows.label.sum())
    assert set(authentic) == {k.replace("_", " ") for k in drawn.kind}


def test_probes_show_what_spoiling_did():
    good = {
        "probes": [
            {"name": "size", "auc": 0.5, "limit": 0.6, "passed": True},
            {"name": "jpeg_quality", "auc": 0.51, "limit": 0.65, "passed": True},
        ]
    }
    bad = {"probes": [good["probes"][0], {"name": "jpeg_quality", "auc": 0.97, "limit": 0.65,
                                          "passed": False}]}  # fmt: skip
    axis = plots.probes(good, bad).axes[0]
    names = [tick.get_text() for tick in axis.get_yticklabels()]
    assert names == ["jpeg quality", "size"]  # drawn upwards
    moved = {tuple(line.get_xdata()) for line in axis.lines if len(set(line.get_xdata())) == 2}
    assert moved == {(0.51, 0.97)}
    limits = axis.collections[0].get_offsets()[:, 0].tolist()
    assert limits == [0.65, 0.6]


def test_figures_survive_a_run_without_one_of_the_cells(scored):
    few = scored[scored.cell != "authentic_damaged"]
    plots.roc(few)
    plots.score_histograms(few, {"review_threshold": 0.4, "threshold": 0.8})
    plots.reliability(few)


def test_the_gallery_reads_what_the_evaluation_picked(built, evaluated):
    picked = images.read(evaluated / "figures" / "gallery.png")
    assert picked.shape[0] > 400 and picked.std() > 20
    assert json.loads((evaluated / "metrics.json").read_text())["split"] == "test"

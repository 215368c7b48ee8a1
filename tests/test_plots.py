import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import photo, settings
from matplotlib.figure import Figure

from damagenet import images, plots, plots_robustness, plots_training, runs, sheets
from damagenet.detect import certify
from damagenet.detect.grid import CHANNELS
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
    shade = np.random.default_rng(0).normal(0, 0.5, (2, 9, 64, 64))
    logits = np.array([[-1.0, 2], [0, -1], [3, 4]])
    audit = {"probes": [{"name": "size", "auc": 0.5, "limit": 0.6, "passed": True},
                        {"name": "exif", "auc": 0.9, "limit": 0.6, "passed": False}]}  # fmt: skip
    products = dataset.products.load(table)
    promised = certify.promises(scored[scored.split == "val"], scored, settings().evaluate)
    return {
        "risk_coverage": lambda: plots.risk_coverage(certify.risk_coverage(scored), promised),
        "tiles": lambda: plots.tiles([photo(), np.zeros((9, 9)), photo(40, 90)], ["a", "b"], 2),
        "contact_sheet": lambda: plots.contact_sheet(products, 4, 2),
        "twins": lambda: plots.twins(manifest, built, 2),
        "curves": lambda: plots.curves(dict.fromkeys("ab", pd.read_csv(evaluated / "train.csv"))),
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
        "areas": lambda: plots.areas(pd.DataFrame(results["metrics"])),
        "channel_curves": lambda: plots.channel_curves(sent()),
        "family_channel": lambda: plots.family_channel(sent(), marked=["taef2"]),
        "margins": lambda: plots.margins(compared()),
        "crops": lambda: plots.crops(items),
        "base_rates": lambda: plots.base_rates(0.7, 0.05),
        "planes": lambda: plots.planes(items[0]["image"], shade),
        "ranked_twins": lambda: plots.ranked_twins({"a": shade[0, 0, :9, :2], "b": logits}),
        "pixels": lambda: plots.pixels(pd.DataFrame(results["metrics"])),
        "workload": lambda: plots.workload(
            pd.DataFrame(
                {
                    "threshold": [0, 0.5, 1],
                    "passed": [0, 0.4, 1],
                    "risk": [0, 0.02, 0.2],
                    "risk_bound": [0.1, 0.06, 0.3],
                    "agreement": [0.3, 0.8, 0.6],
                    "precision": [0.3, 0.7, 1],
                }
            ),
            0.5,
            0.05,
        ),
        "costs": lambda: plots.costs(
            pd.DataFrame({"threshold": [0, 0.5, 1], "missed": [0, 1, 3], "accused": [9, 2, 0]}), 0.7
        ),
        "agreement": lambda: plots.agreement(scored.score, scored.score, ("a", "b"), scored.cell),
    }


MODULES = [module.__name__ for module in (plots, plots_robustness, plots_training, sheets)]


def sent():
    """Rows of a channel grid."""
    metrics = ("auc", "tpr_at_5", "balanced_accuracy", "pixel_f1_exchange")
    kinds = [("all", metric) for metric in metrics] + [("taef2", "auc"), ("waifu2x", "auc")]
    return pd.DataFrame([
        {"family": family, "channel": name, "metric": metric, "value": 0.9 - 0.01 * i - 0.03 * j,
         "low": 0.5, "high": 0.95}
        for i, name in enumerate(CHANNELS) for j, (family, metric) in enumerate(kinds)
    ])  # fmt: skip


def compared():
    """Rows of a comparison with baselines."""
    return pd.DataFrame([
        {"method": method, "slice": part, "metric": "auc", "value": value, "low": value - 0.1,
         "high": value + 0.05}
        for method, value in (("this run", 0.9), ("ELA", 0.55)) for part in ("all", "unseen")
    ])  # fmt: skip


def test_the_table_of_families_shows_every_number_and_stars_the_unseen():
    axis = plots.family_channel(sent(), marked=["taef2"]).axes[0]
    assert [t.get_text() for t in axis.get_yticklabels()] == ["all", "taef2 *", "waifu2x"]
    assert [t.get_text() for t in axis.get_xticklabels()] == list(CHANNELS)
    wide = sent()[sent().metric == "auc"].pivot(index="family", columns="channel", values="value")
    written = [t.get_text() for t in axis.texts]
    expected = wide.loc[["all", "taef2", "waifu2x"], list(CHANNELS)].to_numpy().ravel()
    assert written == [f"{v:.2f}".lstrip("0") for v in expected]


def test_curves_begin_with_the_untouched_picture():
    axes = plots.channel_curves(sent()).axes
    ticks = [[t.get_text() for t in axis.get_xticklabels()] for axis in axes]
    assert ticks[0] == ["clean", "95", "90", "80", "70", "60", "50"]
    assert ticks[1:] == [["clean", "80", "60"], ["clean", "0.75", "0.5", "0.25"]]


def public_figures():
    return {
        name for name, value in vars(plots).items()
        if callable(value) and getattr(value, "__module__", "") in MODULES
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


def test_the_roc_curve_reports_the_auc_of_the_metrics(scored):
    from damagenet.detect import metrics

    legend = {text.get_text() for text in plots.roc(scored).axes[0].get_legend().get_texts()}
    rows = scored[scored.cell.isin(["authentic_damaged"]) | (scored.label == 1)]
    expected = metrics.auc(rows.label.to_numpy(), rows.logit.to_numpy())
    assert f"vs authentic_damaged: AUC {expected:.3f}" in legend


def bars(axis):
    """Lengths by label and name of bar, doctored second."""
    names = [tick.get_text() for tick in axis.get_yticklabels()]
    return [dict(zip(names, (p.get_width() for p in c), strict=True)) for c in axis.containers]


def test_twins_are_counted_and_coloured_by_their_order():
    axis = plots.ranked_twins({"net": np.array([[-1.0, 2], [0, -1], [3, 4], [1, 1]])}).axes[0]
    assert axis.get_title() == "net: 50% of 4 pairs right"  # a tie is no success
    colours = axis.collections[0].get_facecolors()[:, :3]
    assert (colours[0] == colours[2]).all() and (colours[1] == colours[3]).all()
    assert (colours[0] != colours[1]).any()


def test_pixels_of_doctored_and_authentic_pictures_are_never_in_one_panel(evaluated):
    rows = pd.DataFrame(runs.read_json(evaluated / "metrics.json", "")["metrics"])
    left, right = plots.pixels(rows).axes
    names = [[tick.get_text() for tick in axis.get_yticklabels()] for axis in (left, right)]
    assert "all" in names[0] and "full" in names[0] and {"intact", "damaged"} <= set(names[1])
    value = rows.set_index(["slice", "metric"]).value["authentic=damaged", "pixel_false_alarms"]
    widths = [bar.get_width() for bar in right.patches]
    assert widths[names[1].index("damaged")] == pytest.approx(value)


def test_areas_count_doctored_pictures_alone():
    rows = [("authentic=all", "tnr_at_threshold", 40), ("authentic=all", "pixel_false_alarms", 40)]
    rows += [("area=full", m, 45) for m in ("auc", "tpr_at_threshold", "pixel_f1")]
    table = pd.DataFrame(rows, columns=["slice", "metric", "n"]).assign(value=0.5, low=0.4, high=1)
    (axis,) = plots.areas(table).axes
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["full\n5 edits"]


def test_the_cheapest_threshold_is_marked():
    curve = pd.DataFrame({"threshold": [0, 0.5, 1], "missed": [0, 1, 9], "accused": [9, 2, 0]})
    legend = [t.get_text() for t in plots.costs(curve, 0.7).axes[0].get_legend().get_texts()]
    assert "the cheapest, 0.50" in legend and "your threshold, 0.70" in legend


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

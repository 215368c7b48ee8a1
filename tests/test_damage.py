"""Properties every kind of damage holds at every severity, and the measurements it rests on."""

import json
import subprocess
import sys
from itertools import product

import cv2
import numpy as np
import pytest
from conftest import ROOT

from damagenet.synth import brittle, damage, raster
from damagenet.synth.spot import Canvas
from damagenet.synth.strokes import area, split

SEVERITIES = (1, 2, 3, 4, 5)
CASES = list(product(damage.KINDS, SEVERITIES))


def scene(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A shaded, lightly textured ellipse before a darker wall, and its foreground."""
    y = (np.arange(height)[:, None] + 0.5) / height * 2 - 1
    x = (np.arange(width)[None] + 0.5) / width * 2 - 1
    inside = np.clip((0.75 - np.hypot(x, y)) * min(height, width) / 2 + 0.5, 0, 1)
    shade = 0.45 - 0.12 * y + 0.02 * np.sin(23 * x) * np.sin(19 * y)
    colour = np.array([1.0, 0.8, 0.6])
    linear = np.where(inside[..., None] > 0.5, shade[..., None] * colour, 0.06)
    return linear.astype(np.float32), inside.astype(np.float32)


def recipe(kind: str, severity: int, seed: int, inside: np.ndarray) -> dict:
    return damage.plan_damage(np.random.default_rng(seed), inside, kind, severity)


def test_required_kinds_exist():
    kinds = """
        crack crazing chip shatter tear hole pulled_thread fraying dent scratch rust crushed_corner
        crease puncture water stain mould burn peeling
    """
    assert set(damage.KINDS) == set(kinds.split())
    assert all(name == function.__name__ for name, function in damage.KINDS.items())


@pytest.mark.parametrize(("kind", "severity"), CASES)
def test_layer_contract(kind, severity):
    for seed, (height, width) in enumerate([(144, 201), (233, 120)]):
        linear, inside = scene(height, width)
        before = linear.copy()
        plan = recipe(kind, severity, seed, inside)
        layer = damage.draw(kind, linear, inside, plan)
        patch = layer.mask[layer.window].shape
        assert layer.shape == (height, width)
        assert layer.opacity.shape == layer.touched.shape == patch
        assert layer.colour.shape == (*patch, 3) and layer.gain.shape in ((*patch, 1), (*patch, 3))
        for array in (layer.gain, layer.colour, layer.opacity):
            assert array.dtype == np.float32
            assert np.isfinite(array).all()
        assert layer.gain.min() >= 0
        assert 0 <= layer.colour.min() and layer.colour.max() <= 1
        assert 0 <= layer.opacity.min() and layer.opacity.max() <= 1
        assert layer.mask.dtype == bool and layer.mask.any()
        assert not layer.mask[inside == 0].any(), "damage floats over the background"

        damaged = damage.composite(linear, layer)
        assert damaged.dtype == np.float32 and damaged.shape == linear.shape
        assert np.array_equal(damaged[~layer.mask], linear[~layer.mask])
        assert 0 <= damaged.min() and damaged.max() <= 1
        assert np.array_equal(linear, before), "draw or composite changed its input"

        # Elsewhere in memory: some vector code rounds by the address of its arrays.
        elsewhere = np.frombuffer(bytes(20) + inside.tobytes(), np.float32)[5:].reshape(
            inside.shape
        )
        again = damage.draw(kind, linear, elsewhere, json.loads(json.dumps(plan)))
        for name in ("gain", "colour", "opacity"):
            assert getattr(again, name).tobytes() == getattr(layer, name).tobytes()


@pytest.mark.parametrize("kind", damage.KINDS)
def test_larger_severity_changes_more_pixels(kind):
    linear, inside = scene(192, 240)
    areas = np.zeros((12, len(SEVERITIES)))
    for seed in range(len(areas)):
        plan = recipe(kind, 1, seed, inside)
        for column, severity in enumerate(SEVERITIES):
            layer = damage.draw(kind, linear, inside, plan | {"severity": severity})
            areas[seed, column] = layer.mask.sum()
    assert (np.diff(areas.mean(0)) > 0).all(), areas.mean(0)
    # A damage that spreads over the edge of the object may lose a little of its growth.
    assert (areas[:, 1:] >= 0.9 * areas[:, :-1]).mean() > 0.95, areas


@pytest.mark.parametrize("kind", damage.KINDS)
def test_seed_changes_the_damage(kind):
    linear, inside = scene(160, 200)
    plan = recipe(kind, 3, 0, inside)
    first, second = (damage.draw(kind, linear, inside, plan | {"seed": seed}) for seed in (1, 2))
    assert (first.mask ^ second.mask).sum() > 0.1 * first.mask.sum()


@pytest.mark.parametrize("kind", damage.KINDS)
def test_same_damage_at_twice_the_resolution(kind):
    small, large = scene(256, 320), scene(512, 640)
    for seed in range(3):
        plan = recipe(kind, 4, seed, small[1])
        changes = []
        for linear, inside in (small, large):
            change = damage.composite(linear, damage.draw(kind, linear, inside, plan)) - linear
            change = cv2.resize(change, (320, 256), interpolation=cv2.INTER_AREA)
            # Layers have the sharpness of their own pixels; one blur makes both equally sharp.
            changes.append(cv2.GaussianBlur(change, (0, 0), 1.0))
        coarse, fine = changes
        assert np.abs(coarse - fine).sum() < 0.2 * np.abs(coarse).sum()


def test_twins_look_the_same_in_light_of_another_exposure():
    linear, inside = scene(160, 200)
    layer = damage.draw("stain", linear, inside, recipe("stain", 3, 0, inside))
    halved = damage.composite(linear * np.float32(0.5), layer)
    np.testing.assert_allclose(halved, damage.composite(linear, layer) * 0.5, atol=1e-6)


@pytest.mark.parametrize("kind", damage.KINDS)
def test_planned_centre_lies_on_the_object(kind):
    _, inside = scene(150, 220)
    for seed in range(20):
        plan = recipe(kind, 3, seed, inside)
        assert inside[int(plan["y"] * 150), int(plan["x"] * 220)] > 0.5
        assert plan == recipe(kind, 3, seed, inside)
        assert json.loads(json.dumps(plan)) == plan


def test_planning_survives_an_empty_foreground():
    nothing = np.zeros((60, 80), np.float32)
    plan = recipe("crack", 2, 0, nothing)
    layer = damage.draw("crack", np.full((60, 80, 3), 0.5, np.float32), nothing, plan)
    assert not layer.mask.any()


@pytest.mark.parametrize("kind", damage.KINDS)
def test_a_layer_is_no_larger_than_the_damage(kind):
    linear, inside = scene(300, 260)
    layer = damage.draw(kind, linear, inside, recipe(kind, 1, 3, inside))
    for axis in (0, 1):
        assert layer.touched.any(axis)[[0, -1]].all()
    assert layer.touched.size < 0.15 * inside.size


@pytest.mark.parametrize("kind", damage.KINDS)
def test_light_turns_the_relief(kind):
    """Lit from the other side, the damage is shaded otherwise; what only colours, hardly."""
    linear, inside = scene(200, 240)
    plan = recipe(kind, 4, 5, inside) | {"texture": ""}
    pictures = [
        damage.composite(linear, damage.draw(kind, linear, inside, plan | {"light": light}))
        for light in (-np.pi / 2, np.pi / 2)
    ]
    turned = np.abs(pictures[0] - pictures[1]).sum()
    changed = np.abs(pictures[0] - linear).sum()
    if kind in ("crack", "chip", "shatter", "tear", "hole", "pulled_thread", "fraying", "dent"):
        assert turned > 0.08 * changed


def test_relief_is_lit_from_where_the_light_is():
    """The side of a bump that faces the light is bright, the other dark; flat ground is 1."""
    linear, inside = scene(160, 200)
    for light in np.radians([-135, -90, 20, 90]):
        spot = Canvas(linear, inside, recipe("crack", 3, 0, inside) | {"light": light}).crop(0.2)
        bump = 0.03 * np.exp(-(spot.x**2 + spot.y**2) / 0.05**2)
        shade = spot.relief(bump.astype(np.float32)) - 1
        towards = spot.x * np.cos(light) + spot.y * np.sin(light)
        assert (shade * np.sign(towards)).sum() > 0.5 * np.abs(shade).sum()
        assert abs(spot.relief(np.zeros_like(bump)).mean() - 1) < 1e-6


@pytest.mark.parametrize("shape", [(40, 90), (700, 300)])
def test_a_texture_is_stamped_where_and_as_large_as_asked(shape):
    linear, inside = scene(210, 260)
    texture = np.ones(shape, np.float32)
    for angle in (0.0, 0.5, -2.0):
        plan = recipe("crack", 3, 1, inside) | {"angle": angle, "x": 0.5, "y": 0.5}
        spot = Canvas(linear, inside, plan).crop(0.4)
        cover = spot.stamped(texture, 0.2)
        assert cover.dtype == np.float32 and cover.shape == spot.inside.shape
        assert 0 <= cover.min() and cover.max() <= 1 and cover[0].max() == 0
        area = cover.sum() * spot.pixel**2
        assert area == pytest.approx(0.4 * 0.4 * min(shape) / max(shape), rel=0.06)
        longer = 1 if shape[1] > shape[0] else 0
        along, across = spot.rotated() if longer else spot.rotated()[::-1]
        assert np.abs(along[cover > 0.6]).max() == pytest.approx(0.2, abs=2 * spot.pixel)
        assert abs((cover * across).sum() / cover.sum()) < spot.pixel


def test_a_texture_gives_a_crack_its_shape(tmp_path, monkeypatch):
    folder = tmp_path / "textures" / "crack"
    folder.mkdir(parents=True)
    cross = np.full((90, 120), 255, np.uint8)
    cross[42:48] = cross[:, 58:63] = 0
    cv2.imwrite(str(folder / "cross.png"), cross)
    linear, inside = scene(220, 260)
    plans = []
    for place in (None, tmp_path):
        monkeypatch.delenv("DAMAGENET_DATA", raising=False)
        if place:
            monkeypatch.setenv("DAMAGENET_DATA", str(place))
        plans.append([recipe("crack", 4, seed, inside) for seed in range(24)])
    bare, dressed = plans
    assert {plan["texture"] for plan in bare} == {""}
    used = [plan for plan in dressed if plan["texture"]]
    assert 5 <= len(used) <= 19
    # All else is drawn alike with and without textures.
    assert [plan | {"texture": ""} for plan in dressed] == bare
    plan = used[0] | {"x": 0.5, "y": 0.5, "angle": 0.0, "scale": 1.0}
    layer = damage.draw("crack", linear, inside, plan)
    rows, columns = layer.opacity.sum(1), layer.opacity.sum(0)
    assert rows.max() > 5 * np.median(rows) and columns.max() > 3 * np.median(columns)
    assert layer.opacity.tobytes() == damage.draw("crack", linear, inside, plan).opacity.tobytes()


def test_a_texture_never_breaks_a_crack_into_dashes():
    """A thick line thinned to a hair, a thin one drawn small, and one that is dashes itself."""
    line = np.zeros((200, 260), np.float32)
    points = np.array([[8, 150], [90, 60], [170, 120], [250, 30]], np.int32)
    for thick in (9, 5):
        cv2.polylines(line, [points], False, 1.0, thick, cv2.LINE_AA)
        for seed, width in product(range(6), (0.002, 0.006, 0.012)):
            thinned = brittle._thinned(line, width, np.random.default_rng(seed))
            assert thinned is not None and thinned.dtype == np.float32
            count, _ = cv2.connectedComponents((thinned > 0.3).astype(np.uint8))
            assert count == 2, (thick, seed, width)
            assert thinned.sum() < line.sum()
    dashes = line.copy()
    dashes[:, ::20] = dashes[:, 1::20] = dashes[:, 2::20] = 0
    assert brittle._thinned(dashes, 0.01, np.random.default_rng(0)) is None
    hair = np.zeros((200, 260), np.float32)
    hair[100] = 1
    assert brittle._thinned(hair, 0.03, np.random.default_rng(0)) is None


def test_screens_break_into_webs_and_china_loses_few_shards():
    linear, inside = scene(260, 300)
    for shade, glass in ((0.012, True), (1.0, False)):
        goods = np.where(inside[..., None] > 0.5, np.float32(shade) * linear, np.float32(0.5))
        for seed in range(6):
            plan = recipe("shatter", 5, seed, inside) | {"x": 0.5, "y": 0.5}
            layer = damage.draw("shatter", goods, inside, plan)
            full = np.zeros(inside.shape, np.float32)
            full[layer.window] = layer.opacity
            solid = cv2.erode((full > 0.8).astype(np.uint8), np.ones((5, 5)))
            share = solid.sum() / layer.mask.sum()
            if glass:
                bright = layer.colour[layer.opacity > 0.3].mean()
                assert share < 0.05 and bright > 5 * shade * 0.45, seed
            else:
                assert share < 0.35, (seed, share)
                # What is seen in a gap is matt material in shade, not blackness.
                assert np.median(layer.colour[layer.opacity > 0.9]) > 0.01, seed


@pytest.mark.parametrize("kind", ["tear", "hole"])
def test_a_gap_in_cloth_shows_shade_and_not_blackness(kind):
    linear, inside = scene(260, 300)
    for seed in range(10):
        plan = recipe(kind, 5, seed, inside) | {"x": 0.5, "y": 0.5}
        layer = damage.draw(kind, linear, inside, plan)
        seen = layer.colour.mean(-1)[layer.opacity > 0.97]
        assert 0.02 < np.median(seen) / 0.36 < 0.6, seed
        # The side under the edge that faces the light is darker than the rest.
        assert np.quantile(seen, 0.9) > 1.5 * np.quantile(seen, 0.1), seed


def test_a_hole_is_worn_round():
    linear, inside = scene(260, 300)
    for seed in range(10):
        plan = recipe("hole", 5, seed, inside) | {"x": 0.5, "y": 0.5}
        gap = (damage.draw("hole", linear, inside, plan).opacity > 0.9).astype(np.uint8)
        gap = cv2.morphologyEx(gap, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
        outlines, _ = cv2.findContours(gap, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        largest = max(outlines, key=cv2.contourArea)
        assert cv2.contourArea(largest) > 0.85 * cv2.contourArea(cv2.convexHull(largest)), seed


def test_a_snag_on_a_print_is_drawn_in_the_colours_of_the_print():
    linear, inside = scene(260, 300)
    red, blue = np.float32([0.5, 0.1, 0.1]), np.float32([0.1, 0.1, 0.5])
    halves = np.where(np.arange(300)[None, :, None] < 150, red, blue)
    printed = np.where(inside[..., None] > 0.5, halves, linear)
    for seed in range(6):
        plan = recipe("pulled_thread", 5, seed, inside) | {"x": 0.5, "y": 0.5}
        layer = damage.draw("pulled_thread", printed, inside, plan)
        full = np.zeros((*inside.shape, 4), np.float32)
        full[layer.window] = np.dstack([layer.colour, layer.opacity])
        for side, own, other in ((np.s_[:, :142], 0, 2), (np.s_[:, 158:], 2, 0)):
            yarn = full[side][full[side][..., 3] > 0.5]
            if len(yarn) > 20:
                assert (yarn[:, own] > yarn[:, other]).mean() > 0.95, seed


def test_noise_is_the_same_at_any_resolution():
    draw = [
        raster.noise(
            np.random.default_rng(3),
            (np.arange(0, 60 * n) / n - 7).astype(np.float32),
            (np.arange(0, 45 * n) / n + 3).astype(np.float32),
            1 / n, 30.0, 4, 0.6,
        )
        for n in (1, 2)
    ]  # fmt: skip
    np.testing.assert_allclose(draw[0], draw[1][::2, ::2], atol=1e-5)
    large = raster.noise(
        np.random.default_rng(0), *(np.arange(600, dtype=np.float32),) * 2, 1.0, 20.0, 4, 0.6
    )
    assert abs(large.mean()) < 0.1 and abs(large.std() - 1) < 0.1


def test_noise_at_a_knot_is_the_spline_of_its_neighbours():
    """One octave against the cubic B-spline's own weights: 1/6, 4/6, 1/6 at a knot."""
    knots = np.random.default_rng(5).standard_normal((64, 64), np.float32)
    at = np.array([4.0, 5.0], np.float32)
    got = raster.noise(np.random.default_rng(5), at, at, 1e-3, 1.0, 1, 0.5)
    weight = np.array([1, 4, 1]) / 6
    wanted = [[(weight[:, None] * weight * knots[r - 1 : r + 2, c - 1 : c + 2]).sum()
               for c in (4, 5)] for r in (4, 5)]  # fmt: skip
    np.testing.assert_allclose(got * 0.48, wanted, atol=1e-5)


def test_a_stroke_covers_its_area():
    """Length times width, wide or thinner than a pixel, however its polyline is cut."""
    x, y = np.arange(300, dtype=np.float32), np.arange(200, dtype=np.float32)
    for width in (0.3, 1.0, 2.5, 20.0):
        ends = np.array([[40.3, 60.2], [230.9, 141.7]])
        many = np.linspace(*ends, 57)
        once, often = (
            raster.strokes([(points, np.full(len(points), width))], x, y, 1.0)
            for points in (ends, many)
        )
        np.testing.assert_allclose(once, often, atol=0.02)
        area = np.hypot(*(ends[1] - ends[0])) * width
        round_ends = np.pi / 4 * width**2
        assert once.sum() == pytest.approx(area + round_ends, rel=0.05 if width > 0.5 else 0.2)
    outside = raster.strokes([(ends + 5000, np.ones(2))], x, y, 1.0)
    assert outside.shape == (200, 300) and not outside.any()


def test_splitting_a_polygon_keeps_its_area():
    rng = np.random.default_rng(0)
    pieces = [[(0.0, 0.0), (4.0, 0.0), (4.0, 3.0), (0.0, 3.0)]]
    for _ in range(40):
        pieces.sort(key=area)
        halves, (start, end) = split(pieces.pop(), *rng.normal(0, 0.15, 2).tolist())
        assert start in halves[0] and end in halves[1]
        pieces += halves
    areas = np.array([area(piece) for piece in pieces])
    assert areas.sum() == pytest.approx(12) and areas.min() > 0
    assert areas.max() < 6 * np.median(areas)


def test_rims_and_corners_break_at_rims_and_corners():
    inside = np.zeros((180, 260), np.float32)
    inside[40:150, 50:220] = 1
    corners = np.array([[50, 40], [220, 40], [50, 150], [220, 150]])

    def places(kind):
        plans = [recipe(kind, 3, seed, inside) for seed in range(40)]
        return np.array([[plan["x"] * 260, plan["y"] * 180] for plan in plans])

    def depth(points):
        x, y = points.T
        return np.minimum.reduce([x - 50, 220 - x, y - 40, 150 - y])

    for kind in ("chip", "fraying", "crushed_corner"):
        assert (depth(places(kind)) < 12).all(), kind
    assert (depth(places("crack")) > 15).all()
    corner = np.hypot(*(places("crushed_corner")[:, None] - corners).transpose(2, 0, 1)).min(1)
    assert (corner < 35).all()
    assert (depth(places("shatter")) < 12).any() and (depth(places("shatter")) > 15).any()


def test_kinds_fit_the_material():
    every = tuple(damage.KINDS)
    for soft in ("t-shirt", "shoes", "fabric", "sock", "bag", "Dress"):
        assert not {"chip", "crack", "crazing", "dent", "shatter"} & set(
            damage.suitable(soft, every)
        )
        assert "tear" in damage.suitable(soft, every)
    for hard in ("cup", "plate", "phone", "lamp", "furniture", "toy", "electronics_clock"):
        assert not {"tear", "fraying", "pulled_thread", "hole"} & set(damage.suitable(hard, every))
    for category in ("mug", "carton", "hoodie", "shoe", "bottle", "unheard-of"):
        assert {"stain", "mould", "burn"} <= set(damage.suitable(category, every))
    assert {"crease", "puncture", "crushed_corner"} <= set(damage.suitable("food_package", every))
    assert damage.suitable("unheard-of", every) == every
    assert damage.suitable("mug", ("tear", "fraying")) == ("tear", "fraying")
    assert damage.suitable("mug", ("stain", "tear", "chip")) == ("stain", "chip")
    assert damage.material("mug") == "ceramic" and damage.material("unheard-of") == ""
    # Every kind befalls something, and no table names a kind that does not exist.
    named = {kind for kinds in damage._FITTING.values() for kind in kinds}
    assert named == set(every)


def test_errors_tell_the_fix():
    linear, inside = scene(60, 80)
    plan = recipe("crack", 1, 0, inside)
    with pytest.raises(ValueError, match='did you mean "crack"'):
        damage.draw("crak", linear, inside, plan)
    with pytest.raises(ValueError, match="1-5"):
        damage.plan_damage(np.random.default_rng(0), inside, "crack", 6)
    with pytest.raises(ValueError, match="foreground"):
        damage.draw("crack", linear, inside.T, plan)


def test_srgb_round_trip_is_exact():
    codes = np.arange(256, dtype=np.uint8)
    linear = damage.srgb_to_linear(codes)
    assert linear.dtype == np.float32
    assert np.array_equal(damage.linear_to_srgb(linear), codes)
    from_floats = damage.srgb_to_linear(codes.astype(np.float32) / 255)
    np.testing.assert_allclose(from_floats, linear, atol=1e-6)
    assert linear[0] == 0 and linear[255] == 1
    np.testing.assert_allclose(linear[188], 0.5029, atol=1e-4)  # IEC 61966-2-1


@pytest.mark.parametrize("shape", [(240, 320), (400, 256)])
def test_foreground_finds_an_object(shape):
    height, width = shape
    y, x = np.mgrid[:height, :width]
    truth = np.hypot((x - 0.45 * width) / (0.3 * width), (y - 0.55 * height) / (0.25 * height)) < 1
    rng = np.random.default_rng(0)
    image = np.where(truth[..., None], (180, 60, 50), (190, 195, 200)) - 30 * (x / width)[..., None]
    image = np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)
    found = damage.foreground(image)
    assert found.dtype == np.float32 and found.shape == shape
    assert 0 <= found.min() and found.max() <= 1
    assert overlap(found, truth) > 0.8
    assert found.tobytes() == damage.foreground(image).tobytes()


@pytest.mark.parametrize("fill", ["flat", "noise"])
def test_foreground_falls_back_to_the_centre(fill):
    rng = np.random.default_rng(0)
    image = np.full((90, 140, 3), 128, np.uint8)
    if fill == "noise":
        image = rng.integers(0, 256, image.shape, dtype=np.uint8)
    found = damage.foreground(image)
    assert found[45, 70] == 1 and found[0, 0] == 0
    assert 0.1 < found.mean() < 0.7


@pytest.mark.parametrize("degrees", range(-180, 180, 45))
def test_light_angle_on_a_sphere(degrees):
    y, x = np.mgrid[-1:1:160j, -1.25:1.25:200j]
    inside = (np.hypot(x, y) < 0.8).astype(np.float32)
    depth = np.sqrt(np.maximum(0.64 - x**2 - y**2, 0))
    light = np.radians(degrees)
    lambert = 0.6 * (np.cos(light) * x + np.sin(light) * y) + 0.8 * depth
    linear = 0.1 + 0.8 * np.maximum(lambert, 0) * inside
    linear = np.repeat(linear[..., None], 3, 2).astype(np.float32)
    turn = damage.light_angle(linear, inside) - light
    assert abs(np.angle(np.exp(1j * turn), deg=True)) < 30


def test_gallery_shows_every_fitting_kind(tmp_path):
    photo = ROOT / "data" / "samples" / "renders" / "carton" / "carton_01_a.jpg"
    code = [sys.executable, ROOT / "scripts" / "gallery.py", photo, "--tile", "64"]
    subprocess.run([*code, "--out", tmp_path], check=True)
    (sheet,) = tmp_path.iterdir()
    assert sheet.name == "cardboard_carton_01_a.png"
    picture = cv2.imread(str(sheet))
    fitting = damage.suitable("carton", tuple(damage.KINDS))
    assert picture.shape == (len(fitting) * (64 + 22), 5 * 64, 3)
    tiles = picture.reshape(len(fitting), 86, 5, 64, 3)[:, :64]
    for first, last in zip(tiles[:, :, 0], tiles[:, :, 4], strict=True):
        assert np.abs(first.astype(int) - last).max() > 8


def overlap(found: np.ndarray, truth: np.ndarray) -> float:
    return ((found > 0.5) & truth).sum() / ((found > 0.5) | truth).sum()


def test_foreground_finds_white_on_white_by_its_outline():
    """A white box on a white wall shows by a thin grey edge alone."""
    image = np.full((300, 360, 3), 238, np.uint8)
    cv2.rectangle(image, (110, 80), (240, 230), (244, 244, 242), -1)
    cv2.rectangle(image, (110, 80), (240, 230), (205, 205, 205), 3)
    truth = np.zeros((300, 360), bool)
    truth[80:231, 110:241] = True
    assert overlap(damage.foreground(image), truth) > 0.85


def test_foreground_leaves_out_what_shows_through_a_handle():
    image = np.full((320, 300, 3), 250, np.uint8)
    cv2.ellipse(image, (150, 120), (70, 80), 0, 0, 360, (120, 80, 60), 16)
    cv2.rectangle(image, (50, 130), (250, 280), (120, 80, 60), -1)
    found = damage.foreground(image)
    assert found[200, 150] == 1 and found[45, 150] > 0.5 and found[90, 150] < 0.1


def test_foreground_keeps_an_object_cut_off_by_the_picture():
    rng = np.random.default_rng(0)
    image = np.full((280, 360, 3), (90, 120, 170), np.uint8)
    truth = np.zeros((280, 360), bool)
    truth[60:, 90:290] = True
    image[truth] = (215, 205, 190)
    image = np.clip(image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8)
    assert overlap(damage.foreground(image), truth) > 0.85


def test_foreground_leaves_out_the_shadow():
    y, x = np.mgrid[:300, :300]
    shadow = np.clip(1.3 - np.hypot((x - 190) / 90, (y - 200) / 50), 0, 1)[..., None]
    image = (225 - 0 * x)[..., None] * (1 - 0.25 * shadow) * (1, 0.97, 0.93)
    truth = np.hypot(x - 130, y - 150) < 70
    image[truth] = (60, 90, 150)
    found = damage.foreground(image.astype(np.uint8))
    assert overlap(found, truth) > 0.9

"""Properties every kind of damage holds at every severity, and the measurements it rests on."""

import json
from itertools import product

import cv2
import numpy as np
import pytest

from damagenet.synth import damage

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
    assert {"crack", "chip", "scratch", "tear", "hole", "stain", "burn"} <= set(damage.KINDS)
    assert all(name == function.__name__ for name, function in damage.KINDS.items())


@pytest.mark.parametrize(("kind", "severity"), CASES)
def test_layer_contract(kind, severity):
    for seed, (height, width) in enumerate([(144, 201), (233, 120)]):
        linear, inside = scene(height, width)
        before = linear.copy()
        plan = recipe(kind, severity, seed, inside)
        layer = damage.draw(kind, linear, inside, plan)
        for array, shape in ((layer.gain, 3), (layer.colour, 3), (layer.opacity, None)):
            assert array.dtype == np.float32
            assert array.shape == ((height, width, 3) if shape else (height, width))
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

        again = damage.draw(kind, linear, inside, json.loads(json.dumps(plan)))
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
        assert inside[int(plan["y"] * 150), int(plan["x"] * 220)] == 1
        assert plan == recipe(kind, 3, seed, inside)
        assert json.loads(json.dumps(plan)) == plan


def test_planning_survives_an_empty_foreground():
    nothing = np.zeros((60, 80), np.float32)
    plan = recipe("crack", 2, 0, nothing)
    layer = damage.draw("crack", np.full((60, 80, 3), 0.5, np.float32), nothing, plan)
    assert not layer.mask.any()


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
    assert ((found > 0.5) & truth).sum() / ((found > 0.5) | truth).sum() > 0.8
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

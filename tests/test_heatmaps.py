import json
from dataclasses import asdict

import cv2
import numpy as np
import pytest

from damagenet.claims.heatmaps import MAX_POINTS, find_regions, overlay


def test_at_most_twenty_regions():
    heatmap = np.zeros((100, 100), np.float32)
    for i in range(25):
        heatmap[i // 5 * 20 : i // 5 * 20 + 10, i % 5 * 20 : i % 5 * 20 + 10] = 1
    assert len(find_regions(heatmap)) == 20


def outlines(name):
    """A part of a heatmap `[120, 160]`, boolean."""
    y, x = np.mgrid[:120, :160]
    ellipse = ((x - 80) / 50) ** 2 + ((y - 60) / 30) ** 2
    shapes = {
        "corner": ((x >= 20) & (x < 120) & (y >= 10) & (y < 30))
        | ((x >= 20) & (x < 50) & (y >= 10) & (y < 100)),
        "ellipse": ellipse <= 1,
        "ring": (ellipse <= 1) & (ellipse > 0.4),
        "star": np.hypot(x - 80, y - 60) < 40 + 12 * np.cos(6 * np.arctan2(y - 60, x - 80)),
        "diagonal": (x == y) & (x < 100),
        "border": (x >= 0),
    }
    return shapes[name]


@pytest.mark.parametrize("name", ["corner", "ellipse", "ring", "star", "diagonal", "border"])
def test_a_region_has_an_outline_of_few_points(name):
    inside = outlines(name)
    (region,) = find_regions(np.where(inside, 0.9, 0.1).astype(np.float32))
    points = np.array(region.polygon, np.int32)
    assert 3 <= len(points) <= MAX_POINTS
    box = (region.x, region.y, region.x + region.width - 1, region.y + region.height - 1)
    assert np.abs(np.subtract((*points.min(axis=0), *points.max(axis=0)), box)).max() <= 2
    if name == "diagonal":  # one pixel wide: its box stands in
        return
    drawn = cv2.fillPoly(np.zeros(inside.shape, np.uint8), [points], 1) > 0
    whole = outlines("ellipse") if name == "ring" else inside  # holes are ignored
    assert (drawn & whole).sum() / (drawn | whole).sum() > 0.95


def test_simple_outlines_are_exact():
    (region,) = find_regions(outlines("corner").astype(np.float32))
    assert region.polygon == ((20, 99), (49, 99), (50, 29), (119, 29), (119, 10), (20, 10))
    json.dumps(asdict(region))


def test_overlay_keeps_calm_areas_and_colours_hot_ones():
    image = np.full((20, 30, 3), 100, np.uint8)
    heatmap = np.zeros((20, 30), np.float32)
    heatmap[:, 20:] = 1
    shown = overlay(image, heatmap)
    assert shown.dtype == np.uint8 and shown.shape == image.shape
    assert (shown[:, :20] == 100).all()
    assert (shown[:, 20:, 0] > shown[:, 20:, 1]).all()


def test_bands_of_an_overlay_have_no_seams(monkeypatch):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (50, 30, 3), dtype=np.uint8)
    heatmap = rng.random((50, 30), np.float32)
    whole = overlay(image, heatmap)
    monkeypatch.setattr("damagenet.claims.heatmaps.BAND", 7)
    assert (overlay(image, heatmap) == whole).all()

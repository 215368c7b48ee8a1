"""Draw damage: one pure function per kind, each at severity 1-5.

A drawing is a `Layer`: a gain on linear light, and a colour that covers the surface. It does not
know where it will be composited: into the light of a scene before a camera model (genuine
damage) or onto a finished photo (doctored damage), and looks the same in both.

Severity means the same for every kind, in the eyes of a buyer who holds the product:

1. seen at arm's length only by one who looks for it; kept without a thought
2. seen at once, but small; accepted with a discount
3. plain; a reason to ask for an exchange
4. the first thing seen; sold only as damaged
5. spoilt; unusable or unsaleable

The changed share of the object grows with it for every kind: in the median from about 0.5 % to
3-7 % for lines, chips and snags, from about 1 % to 10-30 % for all that spreads.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from damagenet.synth import board, brittle, cloth, soils, stiff, textures
from damagenet.synth.foreground import (
    Floats,
    foreground,
    light_angle,
    linear_to_srgb,
    srgb_to_linear,
)
from damagenet.synth.layer import Layer, composite
from damagenet.synth.scaling import resized
from damagenet.synth.spot import Canvas

__all__ = [
    "KINDS",
    "Layer",
    "composite",
    "draw",
    "foreground",
    "light_angle",
    "linear_to_srgb",
    "material",
    "plan_damage",
    "srgb_to_linear",
    "suitable",
]

KINDS: dict[str, Callable[[Canvas, int], Layer]] = {
    f.__name__: f for room in (brittle, cloth, stiff, board, soils) for f in room.KINDS
}

_SOILS = ("stain", "mould", "burn")
_FITTING = {
    "ceramic": ("crack", "crazing", "chip", "shatter", *_SOILS),
    "fabric": ("tear", "hole", "pulled_thread", "fraying", *_SOILS),
    "leather": ("tear", "hole", "fraying", "scratch", "crease", "peeling", *_SOILS),
    "plastic": ("crack", "scratch", "dent", "shatter", "peeling", *_SOILS),
    "metal": ("scratch", "dent", "rust", "peeling", *_SOILS),
    "cardboard": ("crushed_corner", "crease", "puncture", "water", "tear", *_SOILS),
    "wood": ("scratch", "dent", "crack", "water", "peeling", *_SOILS),
}
"""Kinds of damage that a material can take; stains, mould and burns befall all of them."""

_MATERIALS = {
    "ceramic": "ceramics_glass cup mug plate bowl vase",
    "fabric": "blazer blouse body dress hat hoodie longsleeve outwear pants polo shirt shorts "
    "skirt t-shirt top undershirt fabric sock",
    "leather": "shoes shoe bag accessory",
    "plastic": "electronics electronics_clock toy watch_fitness phone bottle sports",
    "metal": "lamp",
    "cardboard": "food_package carton book",
    "wood": "furniture",
}
_MATERIAL_OF = {word: made for made, words in _MATERIALS.items() for word in words.split()}


def material(category: str) -> str:
    """What products of a category are mostly made of, or "" when the category does not tell."""
    return _MATERIAL_OF.get(category.lower(), "")


def suitable(category: str, kinds: tuple[str, ...]) -> tuple[str, ...]:
    """Those of `kinds` that can befall a product; all of them when none fits or nobody knows.

    Args:
        category: Of the product, as in `products.parquet`.
        kinds: Keys of `KINDS`, in any order, which is kept.
    """
    fitting = _FITTING.get(material(category), kinds)
    return tuple(kind for kind in kinds if kind in fitting) or kinds


_PLACES = {
    "chip": (0.03, 0.16),
    "fraying": (0.0, 0.08),
    "crushed_corner": (0.0, 0.12),
}
"""Depth of the centre in the object, from 0 on its outline to 1: rims and corners break first."""


def _checked(kind: str) -> str:
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, 1)
        hint = f'did you mean "{near[0]}"?' if near else f"known kinds: {', '.join(KINDS)}"
        raise ValueError(f'unknown damage kind "{kind}"; {hint}')
    return kind


def draw(kind: str, linear: Floats, inside: Floats, recipe: dict[str, Any]) -> Layer:
    """Draw one damage; the same arguments give the same bytes.

    Args:
        kind: A key of `KINDS`.
        linear: float32 `[h, w, 3]` linear light in [0, 1]; only colours are measured on it.
        inside: float32 `[h, w]` foreground in [0, 1]; the damage stays on it.
        recipe: From `plan_damage`.
    """
    if linear.shape[:2] != inside.shape:
        raise ValueError(f"picture is {linear.shape[:2]}, but its foreground is {inside.shape}")
    return KINDS[_checked(kind)](Canvas(linear, inside, recipe), int(recipe["severity"]))


def plan_damage(
    rng: np.random.Generator,
    inside: Floats,
    kind: str,
    severity: int,
    light: float | None = None,
) -> dict[str, Any]:
    """Draw the recipe of one damage.

    The centre lies well inside the object, except for what happens to rims and corners.

    Args:
        rng: Source of all draws.
        inside: float32 `[h, w]` foreground in [0, 1].
        kind: A key of `KINDS`.
        severity: 1-5.
        light: Direction of the light, from `light_angle`; by default drawn around "from above".

    Returns:
        JSON-able dict: `seed`, `severity`, centre `x` and `y` as fractions of the picture, `angle`
        in radians, `scale` relative to the object, `light` in radians (y down), `texture` (name of
        a real texture that gives the shape, or "").
    """
    if not 1 <= severity <= 5:
        raise ValueError(f"severity must be 1-5, not {severity}")
    low, high = _PLACES.get(_checked(kind), (0.35, 1.0))
    if kind == "shatter" and rng.uniform() < 0.3:
        low, high = 0.03, 0.2
    x, y = _place(rng, inside, low, high, corner=kind == "crushed_corner")
    drawn = rng.normal(-np.pi / 2, 0.5)
    recipe = {
        "seed": int(rng.integers(2**31)),
        "severity": int(severity),
        "x": x,
        "y": y,
        "angle": float(rng.uniform(-np.pi, np.pi)),
        "scale": float(np.exp(rng.normal(0, 0.15))),
        "light": float(drawn if light is None else light),
    }
    # Drawn with or without textures, so that all else stays the same where there are none.
    shapes, wanted, turn = textures.names(kind), rng.uniform() < 0.5, int(rng.integers(2**31))
    return recipe | {"texture": shapes[turn % len(shapes)] if wanted and shapes else ""}


def _place(
    rng: np.random.Generator, inside: Floats, low: float, high: float, corner: bool
) -> tuple[float, float]:
    """A point of the object, as fractions of the picture, at a depth between `low` and `high`."""
    height, width = inside.shape
    shrink = max(1.0, max(height, width) / 256)
    size = max(8, round(width / shrink)), max(8, round(height / shrink))
    solid = resized(inside, size)
    padded = np.pad((solid > 0.5).astype(np.uint8), 1)
    depth = np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1], np.float32)
    deepest = max(float(depth.max()), 1e-6)
    # On an object as thin as a few pixels the rim is its first pixel.
    high = max(high, 1.5 / deepest)
    places = np.flatnonzero((depth > 0) & (depth >= low * deepest) & (depth <= high * deepest))
    if corner and places.size:
        # Around a corner there is less of the object than along a straight rim.
        sigma = 0.12 * float(np.sqrt(solid.sum(dtype=np.float64)))
        around = cv2.GaussianBlur(solid, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        share = around.ravel()[places]
        places = places[share <= np.quantile(share, 0.06)]
    place = int(rng.choice(places)) if places.size else int(depth.argmax())
    row, column = divmod(place, size[0])
    return (column + 0.5) / size[0], (row + 0.5) / size[1]

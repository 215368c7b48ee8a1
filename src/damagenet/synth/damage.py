"""Draw damage: one pure function per kind, each at severity 1-5.

A drawing is a `Layer`: a gain on linear light, and a colour that covers the surface. It does not
know where it will be composited: into the light of a scene before a camera model (genuine
damage) or onto a finished photo (doctored damage), and looks the same in both.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from damagenet.synth import brittle, cloth, soils, stiff
from damagenet.synth.foreground import (
    Floats,
    foreground,
    light_angle,
    linear_to_srgb,
    srgb_to_linear,
)
from damagenet.synth.spot import Canvas, Layer

__all__ = [
    "KINDS",
    "Layer",
    "composite",
    "draw",
    "foreground",
    "light_angle",
    "linear_to_srgb",
    "plan_damage",
    "srgb_to_linear",
]

KINDS: dict[str, Callable[[Canvas, int], Layer]] = {
    f.__name__: f for room in (brittle, cloth, stiff, soils) for f in room.KINDS
}


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


def composite(linear: Floats, layer: Layer) -> Floats:
    """Apply a layer in linear light; pixels outside `layer.mask` keep every bit.

    Args:
        linear: float32 `[h, w, 3]` linear light in [0, 1].
        layer: Of the same size.

    Returns:
        float32 `[h, w, 3]` in [0, 1].
    """
    mask = layer.mask
    solid = layer.opacity[mask][:, None]
    changed = linear[mask] * layer.gain[mask] * (1 - solid) + layer.colour[mask] * solid
    damaged = linear.copy()
    damaged[mask] = np.clip(changed, 0, 1)
    return damaged


def plan_damage(
    rng: np.random.Generator,
    inside: Floats,
    kind: str,
    severity: int,
    light: float | None = None,
) -> dict[str, Any]:
    """Draw the recipe of one damage.

    The centre lies well inside the object; a chip sits near its outline, where things break.

    Args:
        rng: Source of all draws.
        inside: float32 `[h, w]` foreground in [0, 1].
        kind: A key of `KINDS`.
        severity: 1-5.
        light: Direction of the light, from `light_angle`; by default drawn around "from above".

    Returns:
        JSON-able dict: `seed`, `severity`, centre `x` and `y` as fractions of the picture, `angle`
        in radians, `scale` relative to the object, `light` in radians (y down).
    """
    if not 1 <= severity <= 5:
        raise ValueError(f"severity must be 1-5, not {severity}")
    solid = np.pad((inside > 0.5).astype(np.uint8), 1)
    depth = np.asarray(cv2.distanceTransform(solid, cv2.DIST_L2, 3)[1:-1, 1:-1], np.float32)
    depth = depth / max(float(depth.max()), 1e-6)
    low, high = (0.06, 0.2) if _checked(kind) == "chip" else (0.35, 1.0)
    places = np.flatnonzero((depth >= low) & (depth <= high))
    place = int(rng.choice(places)) if places.size else int(depth.argmax())
    row, column = divmod(place, inside.shape[1])
    drawn = rng.normal(-np.pi / 2, 0.5)
    return {
        "seed": int(rng.integers(2**31)),
        "severity": int(severity),
        "x": (column + 0.5) / inside.shape[1],
        "y": (row + 0.5) / inside.shape[0],
        "angle": float(rng.uniform(-np.pi, np.pi)),
        "scale": float(np.exp(rng.normal(0, 0.15))),
        "light": float(drawn if light is None else light),
    }

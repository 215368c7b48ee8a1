"""Do two photos of a claim show the same damage? A crack keeps its course when the camera moves.

The surroundings of the damage are registered from photo to photo; then the damage must lie there
as well. Two pictures made by a generator rarely agree on the course of a crack. What cannot be
decided: places seen too obliquely or too plain to register, and deep or folded damage, which
changes its outline with the view. A copy of the first photo agrees, too: ask `compare` whether the
second is another exposure at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from damagenet import BadInput
from damagenet.claims.align import (
    EVERY,
    Array,
    Map,
    Mask,
    Matrix,
    Points,
    agreement,
    fit_colours,
    keypoints,
    matches,
    refined,
    shrunk,
    warped,
)

MIN_POINTS = 10
"""Details around the damage that must lie alike."""
MIN_PIXELS = 60
"""Of damage, at the compared size, below which nothing is said."""
MIN_PLACES = 12
"""Textured places around the damage that must be there to say that it differs."""
AGREES = 0.7
"""Correlation of fine detail from which a place agrees across a change of view."""


@dataclass(frozen=True)
class DamageMatch:
    """Whether the damage of one photo is found again in another.

    Attributes:
        finding: 'same_pattern', 'another_pattern' or 'unsure'.
        strength: How clearly, in [0, 1]; 0 when unsure.
        reason: One sentence for a reader.
        points: Details that register the surroundings.
        damage: Share of the textured places on the damage that agree, in [0, 1].
        around: The same for its surroundings.
        differs: Share of the damage whose colour differs, in [0, 1].
    """

    finding: str
    strength: float
    reason: str
    points: int = 0
    damage: float = 0.0
    around: float = 0.0
    differs: float = 0.0


def same_damage(
    photo_a: Array,
    damage_a: Map | Mask,
    photo_b: Array,
    damage_b: Map | Mask | None = None,
) -> DamageMatch:
    """Compare the damage of photo A with the same place of photo B.

    Args:
        photo_a: uint8 `[h, w, 3]`.
        damage_a: `[h, w]` bool, or float32 in [0, 1] of which 0.5 and more is damage, such as a
            heatmap or `Comparison.changed`.
        photo_b: uint8 `[h, w, 3]` of any size, from another angle.
        damage_b: The same for photo B, if known; then damage that only B shows counts as well.

    Raises:
        BadInput: A damage map of another size than its photo.
    """
    marked = _marked(photo_a, damage_a, "damage_a")
    ours, theirs = shrunk(photo_a), shrunk(photo_b)
    mask = _resized(marked, ours.shape[:2])
    if mask.sum() < MIN_PIXELS:
        return DamageMatch("unsure", 0.0, "No damage is marked that is large enough to compare.")
    near = _grown(mask, max(40, int(0.7 * np.sqrt(mask.sum()))))
    placed = _placed(ours, theirs, near)
    if placed is None:
        reason = "The place of the damage cannot be found in the second photo."
        return DamageMatch("unsure", 0.0, reason)
    matrix, count = placed
    moved, covered = warped(theirs, matrix, ours.shape[:2])
    matrix = refined(ours, moved, near & covered) @ matrix
    moved, covered = warped(theirs, matrix, ours.shape[:2])
    if (mask & covered).sum() < 0.7 * mask.sum():
        reason = "The second photo does not show the whole place of the damage."
        return DamageMatch("unsure", 0.0, reason, count)
    if damage_b is not None:
        other = _resized(_marked(photo_b, damage_b, "damage_b"), theirs.shape[:2])
        mask = mask | (near & _moved(other, matrix, ours.shape[:2]))
    return _judged(ours, moved, mask, near & covered, count)


def _judged(ours: Array, theirs: Array, mask: Mask, near: Mask, count: int) -> DamageMatch:
    """Compare aligned pictures on the damage and around it."""
    import cv2

    ring = near & ~_grown(mask, 13)  # places look 12 pixels far
    fitted = fit_colours(theirs, ours, near & ~_grown(mask, 3))
    textured, correlation = agreement(ours, fitted, near)
    every = slice(EVERY, None, EVERY)
    on = textured & _grown(mask, 5)[every, every]
    off = textured & ring[every, every]
    damage, around = (
        float((part & (correlation > AGREES)).sum() / max(1, part.sum())) for part in (on, off)
    )
    soft = [cv2.GaussianBlur(p, (0, 0), 2.0).astype(np.float32) for p in (ours, fitted)]
    difference = np.abs(soft[0] - soft[1]).max(axis=2)
    usual = float(np.median(difference[ring])) if ring.any() else 10.0
    inside = mask & near
    differs = float((difference[inside] > 10 + 2.5 * usual).mean()) if inside.any() else 0.0
    numbers = (count, round(damage, 3), round(around, 3), round(differs, 3))
    if on.sum() >= 4 and damage >= 0.6 and differs <= 0.15:
        reason = "The damage follows the same course in both photos."
        return DamageMatch("same_pattern", round(0.5 + 0.5 * damage, 3), reason, *numbers)
    seen = off.sum() >= MIN_PLACES and around >= 0.6
    # Colour alone never says 'another': light and filters change it, detail they leave.
    if seen and (damage <= around - 0.4 or (differs >= 0.4 and damage <= 0.8)):
        reason = "The place is the same in both photos, but the damage there is not."
        return DamageMatch("another_pattern", round(0.5 + 0.5 * around, 3), reason, *numbers)
    reason = "The place of the damage is too plain, too soft or seen too differently to tell."
    return DamageMatch("unsure", 0.0, reason, *numbers)


def _placed(ours: Array, theirs: Array, near: Mask) -> tuple[Matrix, int] | None:
    """Homography from `theirs` to `ours` around the damage, and how many details carry it."""
    left, right = matches(keypoints(ours), keypoints(theirs))
    at = np.rint(left).astype(int).clip(0, [near.shape[1] - 1, near.shape[0] - 1])
    close = near[at[:, 1], at[:, 0]]
    return _homography(left[close], right[close]) or _homography(left, right)


def _homography(left: Points, right: Points) -> tuple[Matrix, int] | None:
    import cv2

    if len(left) < MIN_POINTS:
        return None
    matrix, inside = cv2.findHomography(right, left, cv2.USAC_MAGSAC, 3.0, maxIters=5000)
    count = 0 if inside is None else int(inside.sum())
    if matrix is None or count < MIN_POINTS or np.linalg.det(matrix[:2, :2]) <= 0.01:
        return None
    return matrix, count


def _marked(photo: Array, damage: Map | Mask, name: str) -> Mask:
    if damage.shape != photo.shape[:2]:
        raise BadInput(f"{name}: its shape {damage.shape} is not that of its photo; resize it")
    return np.asarray(damage if damage.dtype == bool else damage >= 0.5)


def _resized(mask: Mask, shape: tuple[int, ...]) -> Mask:
    import cv2

    small = cv2.resize(mask.astype(np.float32), (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(small > 0.3)  # thin cracks must not vanish


def _moved(mask: Mask, matrix: Matrix, shape: tuple[int, int]) -> Mask:
    import cv2

    moved = cv2.warpPerspective(mask.astype(np.uint8), matrix, (shape[1], shape[0]))
    return np.asarray(moved > 0)


def _grown(mask: Mask, by: int) -> Mask:
    import cv2

    size = 2 * by + 1
    kernel: NDArray[np.uint8] = np.ones((size, size), np.uint8)
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel) > 0)

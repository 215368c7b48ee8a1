"""Was a photo, or a piece of one, sent before? A claim against earlier claims.

The whole picture again is the *same exposure* of `compare`. A piece, such as a crack cut from one
claim and pasted on another product, agrees to the pixel with the earlier photo inside its outline
and nowhere else. The same print or object photographed twice agrees less well: perspective, light
and focus differ. What lies between is 'unsure'.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

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
from damagenet.claims.catalogue import Catalogue, looked_at
from damagenet.claims.compare import compare

MIN_POINTS = 6
"""Details that must lie alike, from which a piece is looked at."""
MIN_PLACES = 14
"""Textured places of 8 x 8 pixels in a piece, below which it is too small to judge."""
MIN_SHARE = 0.85
"""Of the textured places of a piece that must agree."""
CLOSE = 0.85
"""Correlation of fine detail from which a place agrees."""
TYPICAL = 0.95
"""Median correlation over a pasted piece; a print photographed twice stays below."""
MAX_SHAPE = 0.025
"""How far turning and scaling alone may miss the geometry; a second photo adds perspective."""


@dataclass(frozen=True)
class Reuse:
    """What a claim photo shares with an earlier photo.

    Attributes:
        path: The earlier photo; empty when it was given as pixels.
        finding: 'same_photo', 'same_part', 'unsure' or 'none'.
        strength: How clearly, in [0, 1]; 0 for 'unsure' and 'none'.
        inliers: Local details that lie alike in both.
        agreeing: Share of the textured places of the common piece that agree, in [0, 1].
        mirrored: The earlier photo had to be mirrored.
        area: float32 `[height, width]` of the claim, 1 where it agrees with the earlier photo,
            else 0; None for 'unsure' and 'none'.
    """

    path: str
    finding: str
    strength: float = 0.0
    inliers: int = 0
    agreeing: float = 0.0
    mirrored: bool = False
    area: Map | None = field(default=None, repr=False, compare=False)


ORDER = ("same_photo", "same_part", "unsure", "none")


def reused(claim: Array, catalogue: Catalogue, k: int = 10) -> list[Reuse]:
    """Earlier photos of a catalogue that a claim photo repeats, whole or in part, clearest first.

    Args:
        claim: uint8 `[h, w, 3]`.
        catalogue: Of earlier claims.
        k: Candidates that are looked at, each for about half a second.

    Raises:
        BadInput: As `catalogue.looked_at`.
    """
    found = [
        compare_parts(claim, picture, path) for path, picture in looked_at(claim, catalogue, k)
    ]
    found = [f for f in found if f.finding != "none"]
    return sorted(found, key=lambda f: (ORDER.index(f.finding), -f.strength, f.path))


def compare_parts(claim: Array, earlier: Array, path: str = "") -> Reuse:
    """What two photos, uint8 `[h, w, 3]` of any sizes, share to the pixel."""
    whole = compare(claim, earlier)
    evidence = whole.evidence
    if whole.aligned is not None and whole.changed is not None:
        area = (whole.aligned.any(axis=2) & (whole.changed < 0.5)).astype(np.float32)
        return Reuse(
            path, "same_photo", whole.strength, whole.inliers, evidence.agreement,
            evidence.mirrored, area,
        )  # fmt: skip
    ours, theirs = shrunk(claim), shrunk(earlier)
    details = keypoints(ours)
    pieces = [_piece(ours, details, side, path, mirrored) for mirrored, side in (
        (False, theirs), (True, np.ascontiguousarray(theirs[:, ::-1]))
    )]  # fmt: skip
    best = min(pieces, key=lambda p: (ORDER.index(p.finding), -p.strength, -p.inliers))
    if best.area is not None:
        return _sized(best, claim)
    if whole.finding == "same_object":
        return Reuse(path, "unsure", inliers=whole.inliers, mirrored=evidence.mirrored)
    return best


def _piece(
    ours: Array, details: tuple[Points, Map], theirs: Array, path: str, mirrored: bool
) -> Reuse:
    """The largest piece of `theirs` found again in `ours`."""
    placed = _placed(details, keypoints(theirs))
    if placed is None:
        return Reuse(path, "none", mirrored=mirrored)
    matrix, points = placed
    count = len(np.unique(np.rint(points), axis=0))
    if count < MIN_POINTS or min(ours.shape[:2]) <= EVERY:  # a strip has no place to look at
        return Reuse(path, "none", inliers=count, mirrored=mirrored)
    hull = _hull(points, ours.shape[:2])
    moved, covered = warped(theirs, matrix, ours.shape[:2])
    matrix = refined(ours, moved, hull & covered) @ matrix
    moved, covered = warped(theirs, matrix, ours.shape[:2])
    textured, correlation = agreement(ours, fit_colours(moved, ours, hull & covered), covered)
    agrees = _joined(textured & (correlation > CLOSE), hull)
    inside = _filled(agrees) & textured
    places = int(inside.sum())
    share = float((inside & agrees).sum() / max(1, places))
    if places < MIN_PLACES or share < MIN_SHARE:
        return Reuse(path, "unsure", 0.0, count, round(share, 3), mirrored)
    typical = float(np.median(correlation[inside]))
    large, little = np.linalg.svd(matrix[:2, :2], compute_uv=False)
    if typical < TYPICAL or large / little - 1 > MAX_SHAPE:
        return Reuse(path, "unsure", 0.0, count, round(share, 3), mirrored)
    strength = min(1.0, 0.5 + 0.25 * count / 40 + 0.25 * places / 150)
    area = _pixels(_filled(agrees), ours.shape[:2])
    return Reuse(path, "same_part", round(strength, 3), count, round(share, 3), mirrored, area)


def _placed(ours: tuple[Points, Map], theirs: tuple[Points, Map]) -> tuple[Matrix, Points] | None:
    """Turn, scale and shift on which most details agree, made affine, and where they lie."""
    import cv2

    left, right = matches(ours, theirs)
    if len(left) < MIN_POINTS:
        return None
    matrix, fits = cv2.estimateAffinePartial2D(
        right, left, ransacReprojThreshold=3.0, maxIters=5000, confidence=0.999
    )
    if matrix is None or fits.sum() < MIN_POINTS:
        return None
    fits = fits.ravel() > 0
    free, _ = cv2.estimateAffine2D(right[fits], left[fits], ransacReprojThreshold=2.0)
    matrix = matrix if free is None else free
    large, little = np.linalg.svd(matrix[:, :2], compute_uv=False)
    if np.linalg.det(matrix[:, :2]) <= 0 or little < 0.1 or large > 10 or large > 1.5 * little:
        return None
    return np.vstack([matrix, [0, 0, 1]]), left[fits]


def _hull(points: Points, shape: tuple[int, int]) -> Mask:
    """Around the points, and a little further."""
    import cv2

    canvas = np.zeros(shape, np.uint8)
    cv2.fillConvexPoly(canvas, cv2.convexHull(np.rint(points).astype(np.int32)), 1)
    return np.asarray(cv2.dilate(canvas, np.ones((25, 25), np.uint8)) > 0)


def _joined(agrees: Mask, hull: Mask) -> Mask:
    """The agreeing places that hang together with those among the points."""
    import cv2

    every = slice(EVERY, None, EVERY)
    near = cv2.dilate(agrees.astype(np.uint8), np.ones((3, 3), np.uint8))
    _, labels = cv2.connectedComponents(near, connectivity=8)
    seeds = np.unique(labels[agrees & hull[every, every]])
    return np.asarray(agrees & np.isin(labels, seeds[seeds > 0]))


def _filled(agrees: Mask) -> Mask:
    """The places enclosed by agreeing ones, whether they agree or not."""
    import cv2

    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    padded = np.pad(agrees.astype(np.uint8), 3)
    return np.asarray(cv2.morphologyEx(padded, cv2.MORPH_CLOSE, kernel)[3:-3, 3:-3] > 0)


def _pixels(places: Mask, shape: tuple[int, int]) -> Map:
    """Places as pixels: each stands for the `EVERY` pixels around it."""
    import cv2

    canvas = np.zeros(shape, np.float32)
    canvas[EVERY::EVERY, EVERY::EVERY] = places
    return np.asarray(cv2.dilate(canvas, np.ones((EVERY + 1, EVERY + 1), np.uint8)), np.float32)


def _sized(found: Reuse, claim: Array) -> Reuse:
    """With the area in pixels of the claim as sent."""
    from dataclasses import replace

    import cv2

    size = (claim.shape[1], claim.shape[0])
    area = cv2.resize(found.area, size, interpolation=cv2.INTER_NEAREST)
    return replace(found, area=np.asarray(area, np.float32))

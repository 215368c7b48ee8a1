"""Claim photo against listing photo: the same exposure, the same object, or something else.

A buyer who doctors the seller's own picture sends the *same exposure*: apart from crop, size,
codec and brightness, all of it agrees with the listing, except where damage was put in. An honest
photo of the same object never does: viewpoint, light and surroundings differ.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from damagenet.claims.align import (
    MIN_AFFINE,
    MIN_INLIERS,
    Evidence,
    Mask,
    agreement,
    fit_colours,
    grey,
    register,
    shrunk,
    warped,
)

Array = NDArray[np.uint8]
Map = NDArray[np.float32]

MIN_KEYPOINTS = 60
"""Fewer in either picture is too little texture to say 'different'."""
CHANCE = 6
"""Matches that unrelated pictures reach by chance; a few more leave the case open."""
MIN_PLACES = 30
"""Textured places below which fine detail says nothing."""
MIN_AGREEMENT = 0.5
"""Share of the textured places whose fine detail must correlate in one exposure."""
MAX_SHAPE = 0.01
"""How far copies may be from turned and scaled; of 413 sent as files none was stretched by .7 %."""
MIN_ON_SCREEN = 0.65
"""The same for one plane seen in perspective, such as a screen that shows the listing."""
MAX_RESIDUAL = 15.0
"""Grey levels; median difference of one exposure after recompression."""


@dataclass(frozen=True)
class Comparison:
    """How a claim photo relates to a listing photo.

    Attributes:
        finding: 'same_exposure', 'same_object', 'different' or 'unsure'.
        strength: How clearly, in [0, 1]; 0 when unsure.
        inliers: Matches that agree on one geometry.
        residual: Median difference in grey levels after alignment, 255 without alignment.
        changed: float32 `[height, width]` of the claim in [0, 1], 1 where it differs from the
            listing; only for the same exposure.
        aligned: The listing in claim pixels, uint8 `[height, width, 3]`, black outside; only
            for the same exposure.
        flat: A plane seen at an angle explains all common detail. That is a photo of a screen or
            print with the listing photo on it, or an honest photo of something flat, such as a
            book: pixels cannot tell, so the finding stays 'same_object'.
        evidence: The numbers behind the finding.
    """

    finding: str
    strength: float
    inliers: int
    residual: float
    changed: Map | None = field(repr=False, compare=False)
    aligned: Array | None = field(repr=False, compare=False)
    evidence: Evidence
    flat: bool = False


def compare(claim: Array, listing: Array) -> Comparison:
    """Compare two pictures, both uint8 `[height, width, 3]` RGB of any sizes.

    The listing may be cropped, resized, turned, mirrored, recompressed or brightened in the claim.
    """
    small_claim, small_listing = shrunk(claim), shrunk(listing)
    evidence, forward = register(small_claim, small_listing)
    if forward is None:
        return _decided(evidence, None, None)
    if evidence.mirrored:
        small_listing = np.ascontiguousarray(small_listing[:, ::-1])
    aligned, covered = warped(small_listing, forward, small_claim.shape[:2])
    fitted = fit_colours(aligned, small_claim, covered)
    evidence, changed = _judge(evidence, small_claim, fitted, covered)
    return _decided(evidence, _resized(changed, claim), _full_size(fitted, covered, claim))


def _decided(evidence: Evidence, changed: Map | None, aligned: Array | None) -> Comparison:
    """Turn the evidence into a finding; the rule in one place."""
    e = evidence
    aligned_well = (
        e.inliers >= MIN_INLIERS and e.textured >= MIN_PLACES and e.residual <= MAX_RESIDUAL
    )
    square = e.affine >= MIN_AFFINE and e.shape <= MAX_SHAPE
    same = aligned_well and square and e.agreement >= MIN_AGREEMENT
    flat = aligned_well and not square and e.agreement >= MIN_ON_SCREEN
    if same:
        finding = "same_exposure"
        strength = min(1.0, 0.5 + 0.5 * (e.agreement - MIN_AGREEMENT) / (1 - MIN_AGREEMENT))
    elif e.inliers >= MIN_INLIERS:
        finding, strength = "same_object", min(1.0, e.inliers / 100)
    elif e.keypoints < MIN_KEYPOINTS or e.inliers > CHANCE:
        finding, strength = "unsure", 0.0
    else:
        finding, strength = "different", min(1.0, e.keypoints / 500)
    if not same:
        changed = aligned = None
    return Comparison(
        finding, round(strength, 3), e.inliers, round(e.residual, 2), changed, aligned, e, flat
    )


def _judge(evidence: Evidence, claim: Array, listing: Array, covered: Mask) -> tuple[Evidence, Map]:
    """Compare aligned pictures place by place; adds to the evidence and maps what changed."""
    import cv2

    textured, correlation = agreement(claim, listing, covered)
    soft = [cv2.GaussianBlur(p, (0, 0), 1.0).astype(np.float32) for p in (claim, listing)]
    difference = np.abs(soft[0] - soft[1]).max(axis=2)
    places = int(textured.sum())
    evidence = replace(
        evidence,
        overlap=float(covered.mean()),
        textured=places,
        agreement=float((textured & (correlation > 0.8)).sum() / max(1, places)),
        residual=float(np.median(difference[covered])) if covered.any() else 255.0,
    )
    return evidence, _changed(difference, listing, evidence.residual, covered)


def _changed(difference: Map, listing: Array, residual: float, covered: Mask) -> Map:
    """Where aligned pictures differ by more than noise and a small misalignment explain."""
    import cv2

    theirs = grey(listing).astype(np.float32)
    across, down = (cv2.Sobel(theirs, -1, *axis, scale=0.125) for axis in ((1, 0), (0, 1)))
    slope = cv2.dilate(cv2.magnitude(across, down), np.ones((3, 3), np.uint8))
    tolerance = 6.0 + 2.5 * residual + 0.6 * slope
    changed = np.clip((difference - tolerance) / tolerance, 0, 1) * covered
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    changed = cv2.morphologyEx(changed.astype(np.float32), cv2.MORPH_OPEN, kernel)
    return np.asarray(cv2.morphologyEx(changed, cv2.MORPH_CLOSE, kernel), np.float32)


def _resized(values: Map, like: Array) -> Map:
    import cv2

    size = (like.shape[1], like.shape[0])
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _full_size(fitted: Array, covered: Mask, like: Array) -> Array:
    import cv2

    shown = np.where(covered[..., None], fitted, 0).astype(np.uint8)
    size = (like.shape[1], like.shape[0])
    return np.asarray(cv2.resize(shown, size, interpolation=cv2.INTER_LINEAR), np.uint8)

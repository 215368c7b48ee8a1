"""Lay one photo over another: matching details, geometry, colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.uint8]
Map = NDArray[np.float32]
Mask = NDArray[np.bool_]
Matrix = NDArray[np.float64]
Points = NDArray[np.float32]

SIDE = 1024
"""Pictures are compared with their long side at most this many pixels."""
MIN_INLIERS = 15
"""Matches that agree on one geometry, from which two pictures show the same object."""


@dataclass(frozen=True)
class Evidence:
    """What was measured before deciding; the numbers behind a `Comparison`.

    Attributes:
        keypoints: The smaller keypoint count of the two pictures.
        inliers: Matches that agree on one homography.
        affine: Share of them that an affine map explains as well, in [0, 1].
        shape: How far the affine map is from turning and scaling alone (0 is none).
        overlap: Share of the claim that the aligned listing covers, in [0, 1].
        textured: Number of places in the overlap with texture in both pictures.
        agreement: Share of those whose fine detail correlates, in [0, 1].
        residual: Median difference in grey levels over the overlap.
        mirrored: The listing had to be mirrored.
    """

    keypoints: int
    inliers: int = 0
    affine: float = 0.0
    shape: float = 1.0
    overlap: float = 0.0
    textured: int = 0
    agreement: float = 0.0
    residual: float = 255.0
    mirrored: bool = False


def shrunk(image: Array, side: int = SIDE) -> Array:
    """The picture `[h, w, 3]` with its long side at most `side` pixels."""
    import cv2

    scale = side / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def grey(image: Array) -> Array:
    """Luminance `[h, w]` of a picture `[h, w, 3]`."""
    import cv2

    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


def keypoints(image: Array, most: int = 3000) -> tuple[Points, Map]:
    """SIFT positions `[n, 2]` and root-normalised descriptors `[n, 128]`, about `most` at most."""
    import cv2

    sift = cv2.SIFT_create(  # type: ignore[attr-defined] # missing from OpenCV's stubs
        nfeatures=most, contrastThreshold=0.02
    )
    found, descriptors = sift.detectAndCompute(grey(image), None)
    if descriptors is None or len(found) == 0:
        return np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32)
    total = np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-6)
    return np.array([k.pt for k in found], np.float32), np.sqrt(descriptors / total)


def _matches(a: tuple[Points, Map], b: tuple[Points, Map]) -> tuple[Points, Points]:
    """Positions in `a` and `b` of descriptors that match clearly better than the runner-up."""
    import cv2

    if min(len(a[0]), len(b[0])) < 2:
        return np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32)
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(a[1], b[1], k=2)
    good = [m for m, n in pairs if m.distance < 0.8 * n.distance]
    best: dict[int, Any] = {}
    for m in sorted(good, key=lambda m: -m.distance):  # one claim point per listing point
        best[m.trainIdx] = m
    left = np.array([a[0][m.queryIdx] for m in best.values()], np.float32).reshape(-1, 2)
    right = np.array([b[0][m.trainIdx] for m in best.values()], np.float32).reshape(-1, 2)
    return left, right


def register(claim: Array, listing: Array) -> tuple[Evidence, Matrix | None]:
    """Geometry that maps listing pixels to claim pixels, as a 2x3 affine matrix or None."""
    ours, theirs = keypoints(claim), keypoints(listing)
    count = min(len(ours[0]), len(theirs[0]))
    best, matrix = _geometry(ours, theirs, count)
    if best.inliers < 2 * MIN_INLIERS:
        flipped = keypoints(np.ascontiguousarray(listing[:, ::-1]))
        other, other_matrix = _geometry(ours, flipped, count, mirrored=True)
        if other.inliers > max(best.inliers, MIN_INLIERS):
            return other, other_matrix
    return best, matrix


def _geometry(
    ours: tuple[Points, Map], theirs: tuple[Points, Map], count: int, mirrored: bool = False
) -> tuple[Evidence, Matrix | None]:
    import cv2

    left, right = _matches(ours, theirs)
    if len(left) < 8:
        return Evidence(count, mirrored=mirrored), None
    _, inside = cv2.findHomography(right, left, cv2.USAC_MAGSAC, 3.0, maxIters=5000)
    inside = np.zeros(len(left), bool) if inside is None else inside.ravel().astype(bool)
    inliers = int(inside.sum())
    if inliers < 6:
        return Evidence(count, inliers, mirrored=mirrored), None
    matrix, fits = cv2.estimateAffine2D(
        right[inside], left[inside], ransacReprojThreshold=2.0, maxIters=5000, refineIters=20
    )
    if matrix is None:
        return Evidence(count, inliers, mirrored=mirrored), None
    large, little = np.linalg.svd(matrix[:, :2], compute_uv=False)
    if np.linalg.det(matrix[:, :2]) <= 0 or little < 0.05 or large > 20:
        return Evidence(count, inliers, mirrored=mirrored), None
    shape = float(large / little - 1)
    return Evidence(count, inliers, float(fits.mean()), shape, mirrored=mirrored), matrix


def warped(listing: Array, matrix: Matrix, shape: tuple[int, int]) -> tuple[Array, Mask]:
    """The listing in claim pixels, and where it covers the claim."""
    import cv2

    height, width = shape
    scale = float(np.sqrt(np.linalg.det(matrix[:, :2])))
    if scale < 0.8:  # blur before shrinking, or fine detail aliases
        listing = np.asarray(cv2.GaussianBlur(listing, (0, 0), 0.5 / scale), np.uint8)
    moved = cv2.warpAffine(listing, matrix, (width, height), flags=cv2.INTER_CUBIC)
    ones = np.full(listing.shape[:2], 255, np.uint8)
    covered = cv2.warpAffine(ones, matrix, (width, height), flags=cv2.INTER_NEAREST) > 0
    covered = cv2.erode(covered.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return np.asarray(moved, np.uint8), covered


def fit_colours(source: Array, target: Array, inside: Mask) -> Array:
    """`source` with the gain, offset and channel mix that bring it closest to `target`.

    Least squares on at most 20 000 blurred pixels, repeated without the worst, so that a changed
    part does not pull the fit.
    """
    import cv2

    a = cv2.GaussianBlur(source, (0, 0), 1.5)[inside].astype(np.float64) / 255
    b = cv2.GaussianBlur(target, (0, 0), 1.5)[inside].astype(np.float64) / 255
    if len(a) < 100:
        return source
    step = max(1, len(a) // 20_000)
    a, b = np.c_[a[::step], np.ones(len(a[::step]))], b[::step]
    keep = np.ones(len(a), bool)
    for _ in range(6):
        mix = np.linalg.lstsq(a[keep], b[keep], rcond=None)[0]
        error = np.abs(a @ mix - b).max(axis=1)
        keep = error <= max(0.02, 2.5 * float(np.median(error[keep])))
    flat = np.c_[source.reshape(-1, 3) / 255.0, np.ones(source.shape[0] * source.shape[1])]
    fitted = np.rint(flat @ mix * 255).reshape(source.shape)
    return np.asarray(np.clip(fitted, 0, 255), np.uint8)

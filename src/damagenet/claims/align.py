"""Lay one photo over another: matching details, geometry, colours."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
MIN_AFFINE = 0.88
"""Share of the matches that fit without perspective in one exposure."""


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


def matches(a: tuple[Points, Map], b: tuple[Points, Map]) -> tuple[Points, Points]:
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
    """Geometry that maps listing pixels to claim pixels, as a 3x3 matrix or None.

    An affine map where it explains nearly all matches (`MIN_AFFINE`), as it holds still better
    than a homography; else the homography, which the photo of a screen needs.
    """
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

    left, right = matches(ours, theirs)
    if len(left) < 8:
        return Evidence(count, mirrored=mirrored), None
    homography, inside = cv2.findHomography(right, left, cv2.USAC_MAGSAC, 3.0, maxIters=5000)
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
    evidence = Evidence(count, inliers, float(fits.mean()), float(large / little - 1))
    evidence = replace(evidence, mirrored=mirrored)
    if evidence.affine >= MIN_AFFINE:
        return evidence, np.vstack([matrix, [0, 0, 1]])
    return evidence, homography if _upright(homography, right[inside]) else None


def _upright(matrix: Matrix, points: Points) -> bool:
    """Whether a homography keeps points, and what surrounds them, on one side of the horizon."""
    low, high = points.min(axis=0), points.max(axis=0)
    corners = np.array([low, [high[0], low[1]], high, [low[0], high[1]]], np.float64)
    depth = np.c_[corners, np.ones(4)] @ matrix[2]
    return bool(depth.min() > 0.2 * depth.max() and np.linalg.det(matrix[:2, :2]) > 0)


def warped(listing: Array, matrix: Matrix, shape: tuple[int, int]) -> tuple[Array, Mask]:
    """The listing in claim pixels by a 3x3 matrix, and where it covers the claim."""
    import cv2

    height, width = shape
    rows, columns = listing.shape[:2]
    centre = np.array([columns / 2, rows / 2, 1])
    scale = float(np.sqrt(max(np.linalg.det(matrix), 0) / max(centre @ matrix[2], 1e-6) ** 3))
    if scale < 0.8:  # blur before shrinking, or fine detail aliases
        listing = np.asarray(cv2.GaussianBlur(listing, (0, 0), 0.5 / scale), np.uint8)
    moved = cv2.warpPerspective(listing, matrix, (width, height), flags=cv2.INTER_CUBIC)
    ones = np.full(listing.shape[:2], 255, np.uint8)
    covered = cv2.warpPerspective(ones, matrix, (width, height), flags=cv2.INTER_NEAREST) > 0
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


def refined(ours: Array, theirs: Array, inside: Mask) -> Matrix:
    """Sub-pixel correction of a rough alignment, as a 3x3 matrix from `theirs` to `ours`.

    Maximises the correlation of fine detail (Evangelidis and Psarakis 2008, ECC); the identity
    where that does not converge or runs away by more than 3 pixels at a corner.
    """
    import cv2

    identity = np.eye(3)
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    if len(rows) < 24 or len(columns) < 24:
        return identity
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    until = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 1e-4)
    try:
        _, found = cv2.findTransformECC(
            detail(ours[box]), detail(theirs[box]), np.eye(2, 3, dtype=np.float32),
            cv2.MOTION_AFFINE, until, inside[box].astype(np.uint8), 3,
        )  # fmt: skip
    except cv2.error:  # no detail, or no overlap left
        return identity
    height, width = inside[box].shape
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]], np.float64)
    if np.abs(corners @ (found - identity[:2]).T).max() > 3:
        return identity
    # `found` maps points of the box in `ours` to `theirs`; wanted is the way back, in the picture.
    shift = np.array([[1, 0, columns[0]], [0, 1, rows[0]], [0, 0, 1]], np.float64)
    back = np.linalg.inv(np.vstack([found, [0, 0, 1]]))
    return np.asarray(shift @ back @ np.linalg.inv(shift))


def detail(image: Array) -> Map:
    """Fine detail that survives recompression: structure of about 3 to 18 pixels, `[h, w]`."""
    import cv2

    luma = grey(image).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(luma, (0, 0), 1.5) - cv2.GaussianBlur(luma, (0, 0), 6.0))


EVERY = 8
"""Pixels between places."""


def agreement(ours: Array, theirs: Array, inside: Mask) -> tuple[Mask, Map]:
    """Compare the fine detail of aligned pictures `[h, w, 3]`, place by place.

    Returns:
        Where both have texture stronger than codec noise, and the correlation there, each
        `[(h - 1) // EVERY, (w - 1) // EVERY]`.
    """
    import cv2

    a, b = detail(ours), detail(theirs)
    window, every = (25, 25), (slice(EVERY, None, EVERY), slice(EVERY, None, EVERY))
    power = [np.maximum(cv2.blur(v * v, window)[every], 1e-3) for v in (a, b)]
    typical = np.sqrt(power[0] * power[1])
    correlation = np.asarray(cv2.blur(a * b, window)[every] / typical, np.float32)
    return np.asarray(inside[every] & (typical > 9.0)), correlation

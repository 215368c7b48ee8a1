"""Anti-aliased drawing on a grid of pixels: noise, strokes and slopes that no resolution changes.

Written without matrix products, whose last bits depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from damagenet.synth.foreground import Floats

Path = tuple[NDArray[np.float64], NDArray[np.float64]]
"""A stroke: vertices `[n, 2]` as (x, y) and widths `[n]`, in object sizes."""

LATTICE = 64
"""Noise repeats after this many periods, far more than a patch shows of any visible octave."""

PIECE = 8
"""Strokes are drawn in pieces of about this many pixels, all of one box size at once."""


def slopes(field: Floats) -> tuple[Floats, Floats]:
    """Central differences `[h, w]` of a field down and to the right, per pixel."""
    down, right = (
        cv2.Sobel(field, cv2.CV_32F, *axis, ksize=1, scale=0.5, borderType=cv2.BORDER_REPLICATE)
        for axis in ((0, 1), (1, 0))
    )
    return down, right


def length(x: Floats, y: Floats) -> Floats:
    """Length `[h, w]` of vectors, several times faster than `np.hypot`.

    Not `cv2.magnitude`: its last bits depend on where in memory the arrays lie.
    """
    square = x * x
    square += y * y
    return np.sqrt(square, out=square)


def noise(
    rng: np.random.Generator,
    x: Floats,
    y: Floats,
    pixel: float,
    period: float,
    octaves: int,
    rough: float,
) -> Floats:
    """Fractal noise `[h, w]` of mean 0 and standard deviation about 1.

    Each octave is a uniform cubic B-spline over random knots. A coarse octave is rewritten as a
    finer spline by subdivision (Lane and Riesenfeld, IEEE PAMI 1980) and the next octave added to
    its knots, so that only the finest visible spline is evaluated at the pixels.

    Args:
        rng: Source of the knots; a call draws equally much at any resolution.
        x: float32 `[w]` positions of the columns, evenly spaced.
        y: float32 `[h]` positions of the rows.
        pixel: Distance of pixels; octaves too fine for it fade out.
        period: Of the coarsest octave.
        octaves: Each has half the period of the one before.
        rough: Amplitude of an octave relative to the one before.
    """
    steps = [period / 2**octave for octave in range(octaves)]
    fades = [float(np.clip(step / pixel - 1, 0, 1)) for step in steps]
    lattices = [rng.standard_normal((LATTICE, LATTICE), np.float32) for _ in steps]
    # Averaged over positions, a cubic B-spline keeps 0.48 of the knots' variance per direction.
    power = 0.48 * float(np.sqrt(sum(rough ** (2 * octave) for octave in range(octaves))))
    last = sum(fade > 0 for fade in fades) - 1
    if last < 0:
        return np.zeros((y.size, x.size), np.float32)
    across, down = x.astype(np.float64) / steps[last], y.astype(np.float64) / steps[last]
    spans = [[_span(down), _span(across)]]
    for _ in range(last):
        spans.insert(0, [(low // 2 - 1, -(-high // 2) + 1) for low, high in spans[0]])
    knots: Floats | None = None
    for octave, ((top, bottom), (left, right)) in enumerate(spans):
        rows, columns = np.arange(top, bottom + 1) % LATTICE, np.arange(left, right + 1) % LATTICE
        fresh = lattices[octave][rows[:, None], columns[None]]
        fresh = fresh * np.float32(fades[octave] * rough**octave / power)
        if knots is not None:
            (above, _), (before, _) = spans[octave - 1]
            knots = _finer(knots, top - 2 * above, bottom - top + 1)
            knots = _finer(knots.T, left - 2 * before, right - left + 1).T
            fresh = fresh + knots
        knots = fresh
    assert knots is not None
    wide = _spline(np.ascontiguousarray(knots.T), across - spans[-1][1][0])
    return _spline(np.ascontiguousarray(wide.T), down - spans[-1][0][0])


def _span(position: NDArray[np.float64]) -> tuple[int, int]:
    """First and last knot that a cubic spline at these positions needs."""
    return int(np.floor(position[0])) - 1, int(np.floor(position[-1])) + 2


def _finer(knots: Floats, first: int, count: int) -> Floats:
    """Rows `first` to `first + count` of the same spline's knots at half the distance."""
    finer = np.empty((2 * len(knots), knots.shape[1]), np.float32)
    finer[::2] = 0.75 * knots
    finer[2::2] += 0.125 * knots[:-1]
    finer[:-2:2] += 0.125 * knots[1:]
    finer[1:-1:2] = 0.5 * (knots[:-1] + knots[1:])
    finer[-1] = knots[-1]
    return finer[first : first + count]


def _spline(knots: Floats, position: NDArray[np.float64]) -> Floats:
    """Uniform cubic B-spline `[n, m]` at `position` `[n]` over `knots` `[k, m]`."""
    cell = np.floor(position)
    t = (position - cell).astype(np.float32)[:, None]
    basis = (
        (1 - t) ** 3 / 6,
        (3 * t**3 - 6 * t**2 + 4) / 6,
        (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
        t**3 / 6,
    )
    first = cell.astype(int) - 1
    total = np.zeros((position.size, knots.shape[1]), np.float32)
    for shift, weight in enumerate(basis):
        term = knots[first + shift]
        term *= weight
        total += term
    return total


def strokes(paths: Sequence[Path], x: Floats, y: Floats, pixel: float) -> Floats:
    """Coverage `[h, w]` in [0, 1] of polylines; strokes thinner than a pixel turn faint.

    Args:
        paths: The polylines.
        x: float32 `[w]` positions of the columns, `pixel` apart.
        y: float32 `[h]` positions of the rows.
        pixel: Edge of a pixel.
    """
    cover = np.zeros((y.size, x.size), np.float32)
    if not paths:
        return cover
    ends = _pieces(paths, (float(x[0]), float(y[0])), pixel)
    pad = np.maximum(ends[:, 2], ends[:, 5]) / 2 + 1
    low = np.floor(np.minimum(ends[:, :2], ends[:, 3:5]) - pad[:, None]).astype(np.int64)
    high = np.ceil(np.maximum(ends[:, :2], ends[:, 3:5]) + pad[:, None]).astype(np.int64)
    seen = (high >= 0).all(1) & (low < (x.size, y.size)).all(1)
    # Boxes of one size are drawn together: 8, 16, 32 … pixels.
    sizes = 2 ** np.ceil(np.log2(np.maximum((high - low).max(1) + 1, 8))).astype(np.int64)
    for size in np.unique(sizes[seen]):
        chosen = seen & (sizes == size)
        _draw(cover, ends[chosen].astype(np.float32), low[chosen], int(size))
    return cover


def _pieces(
    paths: Sequence[Path], origin: tuple[float, float], pixel: float
) -> NDArray[np.float64]:
    """Polylines as short segments `[n, 6]`: x, y and width of both ends, in pixels."""
    points = (np.concatenate([points for points, _ in paths]) - origin) / pixel
    widths = np.concatenate([widths for _, widths in paths]) / pixel
    corners = np.column_stack([points, widths])
    joined = np.ones(len(corners), bool)
    joined[np.cumsum([len(widths) for _, widths in paths]) - 1] = False
    start = np.flatnonzero(joined)
    step = corners[start + 1] - corners[start]
    reach = np.sqrt(step[:, 0] ** 2 + step[:, 1] ** 2)
    cuts = np.ceil(reach / np.maximum(PIECE, corners[start, 2])).astype(int).clip(1)
    which = np.repeat(np.arange(len(start)), cuts)
    turn = np.arange(len(which)) - np.repeat(np.cumsum(cuts) - cuts, cuts)
    first, step = corners[start[which]], step[which] / cuts[which, None]
    return np.hstack([first + turn[:, None] * step, first + (turn + 1)[:, None] * step])


def _draw(cover: Floats, ends: Floats, low: NDArray[np.int64], size: int) -> None:
    """Add tapering segments to `cover`, each within a box of `size` pixels from `low`."""
    ax, ay, aw, bx, by, bw = (column[:, None, None] for column in ends.T)
    columns = low[:, 0, None, None] + np.arange(size)[None, None]
    rows = low[:, 1, None, None] + np.arange(size)[None, :, None]
    dx, dy = columns.astype(np.float32) - ax, rows.astype(np.float32) - ay
    ux, uy = bx - ax, by - ay
    along = (dx * ux + dy * uy) / np.maximum(ux * ux + uy * uy, np.float32(1e-9))
    np.clip(along, 0, 1, out=along)
    distance = np.sqrt((dx - along * ux) ** 2 + (dy - along * uy) ** 2)
    width = aw + (bw - aw) * along
    part = np.clip(width / 2 - distance + 0.5, 0, np.minimum(1, width))
    height, breadth = cover.shape
    shown = (part > 0) & (rows >= 0) & (rows < height) & (columns >= 0) & (columns < breadth)
    np.maximum.at(cover.reshape(-1), (rows * breadth + columns)[shown], part[shown])


def stamp(
    texture: Floats,
    reach: float,
    angle: float,
    origin: tuple[float, float],
    pixel: float,
    shape: tuple[int, int],
) -> Floats:
    """A texture laid on the pixels, centred on position (0, 0): float32 `[h, w]`, 0 outside it.

    Args:
        texture: float32 `[th, tw]`; anti-aliased when shrunk.
        reach: Half of its longer side.
        angle: It is turned by, in radians.
        origin: Position (x, y) of the first pixel.
        pixel: Distance of pixels.
        shape: Height and width of the result.
    """
    scale = 2 * reach / pixel / max(texture.shape)
    if scale < 1:
        shrunk = [max(1, round(side * scale)) for side in texture.shape[::-1]]
        texture = cv2.resize(texture, shrunk, interpolation=cv2.INTER_AREA)
    height, width = texture.shape
    # Pixels of the texture per unit of position, after the rounding of its size.
    grid = max(height, width) / (2 * reach)
    cos, sin = grid * np.cos(angle), grid * np.sin(angle)
    x, y = origin
    matrix = np.array(
        [
            [cos * pixel, sin * pixel, cos * x + sin * y + (width - 1) / 2],
            [-sin * pixel, cos * pixel, cos * y - sin * x + (height - 1) / 2],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(texture, matrix, shape[::-1], flags=flags), np.float32)

"""What breaks have in common: jagged lines, loose threads, the colour of bare material."""

from __future__ import annotations

import heapq
import math

import numpy as np
from numpy.typing import NDArray

from damagenet.synth.foreground import Floats
from damagenet.synth.spot import Path, Spot

Points = NDArray[np.float64]
Corner = tuple[float, float]
Corners = list[Corner]
TURN = np.linspace(0, 2 * np.pi, 257)


def jagged(
    rng: np.random.Generator, start: Points, angle: float, length: float, rough: float
) -> Points:
    """Polyline `[65, 2]`: midpoint displacement (Fournier et al., CACM 1982) of a straight line."""
    along = np.linspace(0, 1, 65)
    across = np.zeros(65)
    for level in range(1, 7):
        knots = rng.standard_normal(2**level + 1) * rough * 0.46 ** (level - 1)
        # Most knots hardly move: long smooth stretches between a few kinks.
        knots *= rng.uniform(size=knots.size) ** 1.5
        across += np.interp(along, np.linspace(0, 1, 2**level + 1), knots)
    across -= across[0]
    direction = np.array([np.cos(angle), np.sin(angle)])
    normal = np.array([-direction[1], direction[0]])
    return start + length * (along[:, None] * direction + across[:, None] * normal)


def threads(
    rng: np.random.Generator, roots: Points, inward: Points, length: float, width: float
) -> list[Path]:
    """Curved, tapering threads from `roots` `[n, 2]` along the unit vectors `inward` `[n, 2]`."""
    count = len(roots)
    t = np.linspace(0, 1, 6)[:, None]
    lean = inward + rng.normal(0, 0.6, (count, 2))
    curl = rng.normal(0, 0.7, (count, 2))
    reach = length * rng.uniform(0.15, 1.0, count)[:, None, None] ** 1.5
    thick = width * rng.uniform(0.5, 1.1, count)[:, None] * (1 - 0.6 * t[:, 0])
    points = roots[:, None] + reach * (t * lean[:, None] + t**2 * curl[:, None])
    return list(zip(points, thick, strict=True))


def line(spot: Spot, distance: Floats, width: float) -> Floats:
    """Coverage `[h, w]` of a line at `distance` `[h, w]`, faint where thinner than a pixel."""
    edge = (np.float32(width / 2) - np.abs(distance)) / np.float32(spot.pixel) + np.float32(0.5)
    return np.clip(edge, 0, min(1.0, width / spot.pixel))


def inner_colour(spot: Spot, rng: np.random.Generator, paleness: float) -> Floats:
    """Matt colour `[3]` of the material under the surface: paler and less saturated.

    Mixed in logarithms, so that a dark surface does not open into a glowing one.
    """
    warm = np.array([1.0, 0.95, 0.86], np.float32) ** rng.uniform(0, 1.2)
    own = np.maximum(0.5 * spot.base + 0.5 * spot.base.mean(), 0.006)
    pale = np.maximum(spot.white * warm * rng.uniform(0.55, 0.8), own)
    return np.asarray(own ** (1 - paleness) * pale**paleness, np.float32)


def craquelure(rng: np.random.Generator, radius: float, cells: int) -> Points:
    """Cracks `[cells, 9, 2]` that part a disc into cells, the largest first.

    Old cracks stop new ones, so that they meet in T-junctions as in glaze and dried mud.
    """
    turn = np.linspace(0, 2 * np.pi, 17)[:-1] + rng.uniform(0, 1)
    disc = 1.25 * radius * np.column_stack([np.cos(turn), np.sin(turn)])
    heap = [(-1.0, 0, [(float(x), float(y)) for x, y in disc])]
    ends = []
    for cell, (slant, shift) in enumerate(rng.normal(0, (0.3, 0.12), (cells, 2)).tolist()):
        halves, cut = split(heapq.heappop(heap)[2], slant, shift)
        ends.append(cut)
        for half, polygon in enumerate(halves):
            heapq.heappush(heap, (-area(polygon), 2 * cell + half + 1, polygon))
    start, end = (np.array([cut[k] for cut in ends])[:, None] for k in (0, 1))
    t = np.linspace(0, 1, 9)[:, None]
    walk = np.cumsum(rng.normal(0, 0.05, (cells, 9, 1)), axis=1)
    bend = walk - walk[:, :1] - t * (walk[:, -1:] - walk[:, :1])
    across = np.concatenate([start[..., 1:] - end[..., 1:], end[..., :1] - start[..., :1]], -1)
    return start + t * (end - start) + bend * across


def split(
    polygon: Corners, slant: float, shift: float
) -> tuple[tuple[Corners, Corners], tuple[Corner, Corner]]:
    """Cut a convex polygon in two across its longer extent.

    Args:
        polygon: Its corners in order.
        slant: Angle in radians by which the cut is off the shortest way.
        shift: Of the cut from the middle, relative to the polygon's size.

    Returns:
        Both halves, and both ends of the cut.
    """
    count = len(polygon)
    x0, y0 = (sum(corner[k] for corner in polygon) / count for k in (0, 1))
    xx = sum((x - x0) ** 2 for x, _ in polygon)
    yy = sum((y - y0) ** 2 for _, y in polygon)
    xy = sum((x - x0) * (y - y0) for x, y in polygon)
    # The principal axis of the corners; the cut is at a right angle to it.
    axis = 0.5 * math.atan2(2 * xy, xx - yy) + slant
    cos, sin = math.cos(axis), math.sin(axis)
    level = shift * math.sqrt((xx + yy) / count)
    side = [(x - x0) * cos + (y - y0) * sin - level for x, y in polygon]
    halves: tuple[Corners, Corners] = ([], [])
    cut: Corners = []
    for k, (x, y) in enumerate(polygon):
        after = (k + 1) % count
        halves[side[k] > 0].append((x, y))
        if (side[k] > 0) != (side[after] > 0):
            share = side[k] / (side[k] - side[after])
            far_x, far_y = polygon[after]
            cut.append((x + (far_x - x) * share, y + (far_y - y) * share))
            halves[0].append(cut[-1])
            halves[1].append(cut[-1])
    return halves, (cut[0], cut[1])


def area(polygon: Corners) -> float:
    """Of a polygon given by its corners in order."""
    pairs = zip(polygon, [*polygon[1:], polygon[0]], strict=True)
    return 0.5 * abs(sum(x * far_y - y * far_x for (x, y), (far_x, far_y) in pairs))


def lookup(position: Floats, low: float, high: float, values: Points) -> Floats:
    """`values` `[n]`, evenly spaced from `low` to `high`, at every `position` `[h, w]`; clamped.

    A table with as many steps as a patch has pixels, many times faster than interpolation.
    """
    fine = np.interp(np.linspace(0, values.size - 1, 4097), np.arange(values.size), values)
    index = (position - np.float32(low)) * np.float32(4096 / (high - low)) + np.float32(0.5)
    return fine.astype(np.float32)[np.clip(index, 0, 4096).astype(np.int32)]

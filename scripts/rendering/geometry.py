"""Signed distance fields: primitives, ways to join them, and turned (lathe) shapes.

Primitives and the smooth minimum follow Inigo Quilez's published articles on distance functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
from scipy.ndimage import map_coordinates

from rendering.maths import Array, Field, P, R, X, Y, Z, clip, interp, length, lift, vec, where

Point = tuple[float, float, float]
Path = Sequence[Sequence[float]]  # (radius, height) pairs
HERE: Point = (0, 0, 0)


@lift
def turn(p: Array, axis: int, degrees: float) -> Array:
    """Rotate the object by `degrees` about axis 0, 1 or 2 (the points go the other way)."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    q, i, j = p.copy(), (axis + 1) % 3, (axis + 2) % 3
    q[i], q[j] = c * p[i] + s * p[j], c * p[j] - s * p[i]
    return q


def moved(field: Field, pos: Point) -> Field:
    return field.on(P - vec(*pos))


def turned(field: Field, axis: int, degrees: float, pos: Point = HERE) -> Field:
    return field.on(turn(P - vec(*pos), axis, degrees))


def twin(field: Field, axis: int = 0) -> Field:
    sides = np.ones((3, 1), bool)
    sides[axis] = False
    return field.on(where(sides, P, abs(P)))


@lift
def smin(a: Array, b: Array, k: float) -> Array:
    h = np.maximum(k - np.abs(a - b), 0) / k
    return np.minimum(a, b) - h * h * k * 0.25


def smax(a: Field, b: Field, k: float) -> Field:
    return -smin(-a, -b, k)


def union(*fields: Field, k: float = 0.0) -> Field:
    """Whichever is nearest; `k` rounds the joints."""
    return reduce((lambda a, b: smin(a, b, k)) if k else np.minimum, fields)


def overlap(*fields: Field) -> Field:
    return reduce(np.maximum, fields)


@lift
def bevel(u: Array, v: Array, edge: float) -> Array:
    return np.minimum(np.maximum(u, v), 0) + length(np.maximum(u, 0), np.maximum(v, 0)) - edge


def outline(x: Field, y: Field, half: Sequence[float], corner: float) -> Field:
    """Signed distance to a rounded rectangle in the plane."""
    return bevel(abs(x) - half[0] + corner, abs(y) - half[1] + corner, corner)


def box(half: Point, r: float = 0.01, pos: Point = HERE) -> Field:
    q = [abs(a) - h + r for a, h in zip((X, Y, Z), half, strict=True)]
    inside = np.minimum(overlap(*q), 0)
    return moved(length(*(np.maximum(a, 0) for a in q)) + inside - r, pos)


def ball(r: Point | float, pos: Point = HERE) -> Field:
    r = r if isinstance(r, tuple) else (r, r, r)
    k0 = length(*(a / b for a, b in zip((X, Y, Z), r, strict=True)))
    k1 = length(*(a / b**2 for a, b in zip((X, Y, Z), r, strict=True)))
    return moved(k0 * (k0 - 1) / np.maximum(k1, 1e-4), pos)


def limb(a: Sequence[float], b: Sequence[float], ra: float, rb: float) -> Field:
    """Capsule from `a` to `b` whose radius goes from `ra` to `rb`; in plan (x, z) or in space."""
    axes = (X, Y, Z) if len(a) == 3 else (X, Z)
    d = [y - x for x, y in zip(a, b, strict=True)]
    w = [axis - x for axis, x in zip(axes, a, strict=True)]
    h = clip(sum(x * y for x, y in zip(w, d, strict=True)) / sum(x * x for x in d), 0, 1)
    return length(*(x - y * h for x, y in zip(w, d, strict=True))) - (ra + (rb - ra) * h)


def disc(r: float, half: float, edge: float = 0.01, pos: Point = HERE, axis: int = 1) -> Field:
    u, v, along = *(a for i, a in enumerate((X, Y, Z)) if i != axis), (X, Y, Z)[axis]
    return moved(bevel(length(u, v) - r + edge, abs(along) - half + edge, edge), pos)


def rise(radii: Array, low: float, high: float) -> list[tuple[float, float]]:
    """Outline through evenly spaced heights."""
    return list(zip(radii, low + np.linspace(0, 1, len(radii)) * (high - low), strict=True))


def lathe(points: Path, rounds: int = 3) -> Field:
    """Turn a closed (radius, height) outline about the y axis.

    The outline is smoothed by Chaikin's corner cutting (1974); its distance is tabulated once.
    """
    q = np.asarray(points, float)
    for _ in range(rounds):
        n = np.roll(q, -1, 0)
        q = np.stack([0.75 * q + 0.25 * n, 0.25 * q + 0.75 * n], 1).reshape(-1, 2)
    lo, hi = np.array([0, q[:, 1].min() - 0.25]), q.max(0) + 0.25
    step = (hi - lo).max() / 420
    r, y = (np.arange(a, b, step, dtype="f4") for a, b in zip(lo, hi, strict=True))
    rr, yy = np.meshgrid(r, y, indexing="ij")
    best, inside = np.full(rr.shape, 9e9, "f4"), np.zeros(rr.shape, bool)
    for (ax, ay), (bx, by) in zip(q.astype("f4"), np.roll(q, -1, 0).astype("f4"), strict=True):
        dx, dy = bx - ax, by - ay
        h = np.clip(((rr - ax) * dx + (yy - ay) * dy) / (dx * dx + dy * dy + 1e-12), 0, 1)
        best = np.minimum(best, (rr - ax - dx * h) ** 2 + (yy - ay - dy * h) ** 2)
        inside ^= ((ay > yy) != (by > yy)) & (rr < dx * (yy - ay) / (dy + 1e-12) + ax)
    table = np.sqrt(best) * np.where(inside, -1, 1)

    @Field
    def distance(p: Array) -> Array:
        rad = length(p[0], p[2])
        cr, cy = np.clip(rad, 0, r[-1]), np.clip(p[1], y[0], y[-1])
        grid = np.stack([cr / step, (cy - y[0]) / step])
        near = map_coordinates(table, grid, order=1, mode="nearest", output=np.float32)
        out = length(rad - cr, p[1] - cy)
        return np.where(out > 0, length(near, out), near)

    return distance


def solid(outer: Path) -> Field:
    return lathe([(-0.3, outer[0][1]), *outer, (-0.3, outer[-1][1])], 2)


def vessel(outer: Path, wall: float, well: float = 0.0) -> tuple[Field, Field]:
    """Hollow lathe: a wall along `outer` (foot to rim), and a test for points on its inner side."""
    o = np.asarray(outer, float)
    t = np.gradient(o, axis=0)
    normal = np.stack([-t[:, 1], t[:, 0]], 1) / np.hypot(*t.T)[:, None]
    inner = o + normal * wall
    inner[:, 1] = np.maximum(inner[:, 1], max(o[:, 1].min() + wall * 1.3, well))
    inner = inner[inner[:, 0] > 0.02]
    r, y = (o + normal * wall * 0.55)[np.argsort(o[:, 1], kind="stable")].T
    ring = [(-0.3, o[0, 1]), *o, *inner[::-1], (-0.3, inner[0, 1])]
    return lathe(ring), (R < interp(Y, y, r)) & (Y > o[0, 1] + wall * 0.8)

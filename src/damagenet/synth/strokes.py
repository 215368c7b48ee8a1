"""What breaks have in common: jagged lines, loose threads, the colour of bare material."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from damagenet.synth.foreground import Floats
from damagenet.synth.spot import Path, Spot

Points = NDArray[np.float64]
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
    t = np.linspace(0, 1, 6)[:, None]
    paths = []
    for root, direction in zip(roots, inward, strict=True):
        lean = direction + rng.normal(0, 0.6, 2)
        curl = rng.normal(0, 0.7, 2)
        reach = length * rng.uniform(0.15, 1.0) ** 1.5
        thick = width * rng.uniform(0.5, 1.1)
        paths.append((root + reach * (t * lean + t**2 * curl), thick * (1 - 0.6 * t[:, 0])))
    return paths


def inner_colour(spot: Spot, rng: np.random.Generator, paleness: float) -> Floats:
    """Matt colour `[3]` of the material under the surface: paler and less saturated.

    Mixed in logarithms, so that a dark surface does not open into a glowing one.
    """
    warm = np.array([1.0, 0.95, 0.86], np.float32) ** rng.uniform(0, 1.2)
    own = np.maximum(0.5 * spot.base + 0.5 * spot.base.mean(), 0.006)
    pale = np.maximum(spot.white * warm * rng.uniform(0.55, 0.8), own)
    return np.asarray(own ** (1 - paleness) * pale**paleness, np.float32)

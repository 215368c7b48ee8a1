"""The studio: floor, fillet and wall behind a product, and the lamps around it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rendering.geometry import Point
from rendering.materials import LEVEL, Material, cloth, marble, plaster, wood
from rendering.maths import Array, Rng, X, Y, Z, ink, mix, smooth, unit, vec
from rendering.product import Part, Product

TONES = "#ece9e4 #d8d5cf #c9d4da #e6d3c6 #d3dccd #b9bcc0 #8e979e #d9c7a4 #4a5157"
LINENS = "#d9d3c6 #93a2a8 #b9a38c #59656f"
UP = vec(0, 1, 0)


@dataclass(frozen=True)
class Stage:
    """A floor that curves (fillet) into a wall; `ahead` leads level from the camera to it."""

    floor: Material
    wall: Material
    fillet: float
    depth: float
    ahead: Array

    def meet(self, o: Array, d: Array) -> tuple[Array, Array, Array, Array]:
        """Distance, normal, texture point and is-floor where rays meet floor, fillet or wall."""
        fillet, ahead, oy, dy = self.fillet, self.ahead, o[1], d[1]
        so, sd = (ahead * o).sum(0), (ahead * d).sum(0)
        down, on = np.minimum(dy, -1e-6), np.maximum(sd, 1e-6)
        tf, edge = np.where(dy < 0, -oy / down, np.inf), self.depth - fillet
        tw = np.where(sd > 0, (self.depth - so) / on, np.inf)
        b = (so - edge) * sd + (oy - fillet) * dy
        a = sd * sd + dy * dy + 1e-9
        c = (so - edge) ** 2 + (oy - fillet) ** 2 - fillet**2
        tc = (-b + np.sqrt(np.maximum(b * b - a * c, 0))) / a
        floor = (tf < np.inf) & (so + sd * np.where(tf < np.inf, tf, 0) < edge)
        curve = ~floor & (sd > 0) & (oy + dy * np.where(tw < np.inf, tw, 0) < fillet)
        t = np.where(floor, tf, np.where(curve, tc, tw))
        t = np.minimum(t, 60).astype("f4")
        p = o + d * t
        away, rise = ((ahead * p).sum(0) - edge) / fillet, (fillet - p[1]) / fillet
        n = np.where(floor, UP, np.where(curve, unit(UP * rise - ahead * away), -ahead))
        across = np.cross(ahead[:, 0], [0, 1, 0]).astype("f4")[:, None]
        unrolled = ((across * p).sum(0), p[1] + fillet * np.maximum(away, 0), 0 * p[1])
        q = np.where(floor, p, np.stack(unrolled))
        return t, n.astype("f4"), q.astype("f4"), floor


@dataclass(frozen=True)
class Lamps:
    """Main lamp, sky and what they light up. Directions are unit (3, 1)."""

    sun: Array
    key: Array
    sky: Array
    panels: list[tuple[Array, float, float, float]]  # direction, half width, half height, power
    bounce: Array  # mean colour of the floor
    hard: float  # larger: harder shadow edge
    bulb: Point | None


@dataclass(frozen=True)
class Scene:
    """A product with its bounding box, its stage and its lamps."""

    parts: list[Part]
    cloud: Array  # points on and in the product, for framing
    lo: Array
    hi: Array
    stage: Stage
    lamps: Lamps

    def distance(self, p: Array) -> Array:
        """Distance to the nearest part."""
        return np.minimum.reduce([part.distance(p) for part in self.parts])

    def surroundings(self, p: Array, d: Array, rough: float) -> Array:
        """What a mirror sees: studio dark-to-light, lamp panels, and the floor near by."""
        lamps = self.lamps
        light = lamps.sky * (0.35 + 0.75 * smooth(-0.25 - rough, 0.7 + rough, d[1]))
        soft = 0.03 + 0.7 * rough
        for c, wide, tall, power in lamps.panels:
            right = unit(np.cross(c[:, 0], UP[:, 0]).astype("f4")[:, None])
            over = np.cross(right[:, 0], c[:, 0]).astype("f4")[:, None]
            z = (c * d).sum(0)
            u, v = (np.abs((axis * d).sum(0) / np.maximum(z, 1e-3)) for axis in (right, over))
            lit = smooth(wide + soft, wide - soft, u) * smooth(tall + soft, tall - soft, v)
            spread = 1 + 9 * rough * rough / (wide * tall)
            light = light + lamps.key * power * lit * (z > 0) / spread
        t = p[1] / np.maximum(-d[1], 1e-3)
        near = p + d * np.minimum(t, 4)
        seen = self.stage.floor.colour(near) if rough < 0.4 else lamps.bounce + 0 * p
        ground = seen * (lamps.sky * 0.5 + lamps.key * 0.45) * (0.25 + 0.75 * smooth(0, 0.35, t))
        return mix(light, ground, smooth(0.02 + 0.3 * rough, -0.06 - 0.3 * rough, d[1]))


def aim(azimuth: float, elevation: float) -> Array:
    """Unit vector towards a direction in radians."""
    c = np.cos(elevation)
    return vec(np.sin(azimuth) * c, np.sin(elevation), np.cos(azimuth) * c)


def occupied(parts: list[Part]) -> Array:
    """Points of a coarse grid that lie in or near the product."""
    axes = [np.linspace(a, b, 72, dtype="f4") for a, b in ((-1.2, 1.2), (-0.1, 1.6), (-1.2, 1.2))]
    p = np.stack(np.meshgrid(*axes, indexing="ij")).reshape(3, -1)
    return p[:, np.minimum.reduce([part.distance(p) for part in parts]) < 0.018]


def furnish(rng: Rng) -> tuple[Material, Material, float]:
    """Draw floor, wall and the radius of the fillet between them."""
    tone = ink(str(rng.choice(TONES.split())))
    angle = np.radians(rng.uniform(-25, 25))
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    tilted = (c * X - s * Z + 3, s * X + c * Z + 2)
    sweep = replace(plaster(tone, LEVEL, 0.7), bump=None)
    wall = plaster(tone, (X + 1, Y))
    n = int(rng.choice(8, p=[0.3, 0.17, 0.12, 0.1, 0.1, 0.07, 0.07, 0.07]))
    linen = ink(str(rng.choice(LINENS.split()))) if n == 3 else tone
    floors = (
        sweep,
        wood(ink("#8a5c36"), ink("#c39a68"), tilted, 0.42),
        wood(ink("#33231a"), ink("#6d4a33"), tilted, 0.5, 0.28),
        cloth(linen, tilted, 48, 0.09),
        marble(ink("#e6e4e0"), ink("#7d8288"), tilted),
        marble(ink("#2c3033"), ink("#aab0b3"), tilted),
        plaster(ink("#8f8d88"), tilted, 0.5),
        sweep,
    )
    walls = {0: replace(wall, bump=None), 7: wood(ink("#6d4b30"), ink("#a67d54"), (Y, X), 0.5)}
    return floors[n], walls.get(n, wall), {0: 1.1, 3: 0.6}.get(n, 0.02)


def studio(rng: Rng, product: Product, azimuth: float) -> Scene:
    """Draw backdrop and lamps; the camera's azimuth only turns them along with it."""
    floor, wall, fillet = furnish(rng)
    depth = rng.uniform(1.5, 2.6) + fillet * 0.6
    yaw = np.radians(azimuth + rng.uniform(-9, 9))
    stage = Stage(floor, wall, fillet, depth, -aim(yaw, 0.0))
    side = np.radians(azimuth + rng.choice([-1, 1]) * rng.uniform(28, 80))
    sun = aim(side, np.radians(rng.uniform(36, 62)))
    warm, power = rng.uniform(-1, 1), rng.uniform(0.72, 1.0)
    key = power * vec(1 + 0.07 * warm, 1.0, 1 - 0.09 * warm)
    sky = rng.uniform(0.3, 0.46) * vec(1 - 0.05 * warm, 1.0, 1 + 0.07 * warm)
    fill = aim(2 * np.radians(azimuth) - side + rng.uniform(-0.3, 0.3), 0.3)
    panels = [(sun, 0.5, 0.36, 6.0), (fill, rng.uniform(0.12, 0.35), rng.uniform(0.5, 0.9), 2.2)]
    cloud = occupied(product.parts)
    lo, hi = (f(cloud, 1, keepdims=True) + d for f, d in ((np.min, -0.04), (np.max, 0.04)))
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 9, dtype="f4")] * 3)).reshape(3, -1)
    bounce = floor.colour(grid).mean(1, keepdims=True)
    lamps = Lamps(sun, key, sky, panels, bounce, rng.uniform(4, 13), product.bulb)
    return Scene(product.parts, cloud, lo, hi, stage, lamps)

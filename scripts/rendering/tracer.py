"""Light along rays: sphere tracing (Hart 1996, "Sphere tracing"), shading, clear goods.

Soft shadows, ambient occlusion and tetrahedron normals follow Inigo Quilez's published articles.
"""

from __future__ import annotations

import numpy as np

from rendering.materials import Material
from rendering.maths import Array, Field, ink, mix, smooth, unit
from rendering.product import Part
from rendering.scene import Scene


def span(o: Array, d: Array, lo: Array, hi: Array) -> tuple[Array, Array]:
    """Entry and exit of rays through a box (slab test)."""
    safe = np.where(np.abs(d) < 1e-6, 1e-6, d)
    a, b = (lo - o) / safe, (hi - o) / safe
    return np.maximum(np.minimum(a, b).max(0), 0), np.maximum(a, b).min(0)


def march(field: Field, o: Array, d: Array, t: Array, stop: Array, steps: int = 110) -> Array:
    """Sphere tracing; infinity where nothing is met."""
    t, live = t.copy(), np.flatnonzero(t < stop)
    met = np.zeros(t.size, bool)
    for _ in range(steps):
        if not live.size:
            break
        h = field(o[:, live] + d[:, live] * t[live])
        met[live] = h < 6e-4
        t[live] += 0.85 * np.where(h < 6e-4, 0, h)
        live = live[(h >= 6e-4) & (t[live] < stop[live])]
    return np.where(met, t, np.inf).astype("f4")


def gradient(field: Field, p: Array, e: float = 1.5e-3) -> Array:
    corners = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], "f4")[..., None]
    return unit(sum(c * field(p + c * e) for c in corners))


def shadow(s: Scene, p: Array) -> Array:
    """Share of the main lamp that arrives: wide penumbra far from what casts it, none near it."""
    d = s.lamps.sun + 0 * p
    t, stop = span(p, d, s.lo - 0.3, s.hi + 0.3)
    t, res = np.maximum(t, 0.012), np.ones(p.shape[1], "f4")
    live = np.flatnonzero(t < stop)
    for _ in range(90):
        if not live.size:
            break
        h = s.distance(p[:, live] + d[:, live] * t[live])
        res[live] = np.minimum(res[live], s.lamps.hard * h / t[live])
        t[live] += np.clip(0.6 * h, 0.008, 0.08)
        live = live[(res[live] > 0.004) & (t[live] < stop[live])]
    return smooth(0, 1, res)


def openness(s: Scene, p: Array, n: Array) -> Array:
    """Ambient occlusion from five probes along the normal; the floor counts too."""
    total = np.zeros(p.shape[1], "f4")
    near = np.flatnonzero(((p > s.lo - 0.45) & (p < s.hi + 0.45)).all(0))
    for reach, weight in ((0.02, 0.22), (0.06, 0.24), (0.13, 0.22), (0.25, 0.18), (0.42, 0.14)):
        q = p[:, near] + n[:, near] * reach
        free = np.minimum(s.distance(q), q[1] + 0.004)
        total[near] += weight * np.clip(1 - free / reach, 0, 1)
    return 1 - 0.92 * total


def roughen(m: Material, q: Array, n: Array, flat: bool) -> Array:
    """Tilt normals by the gradient of the relief; `flat`: only where they point straight up."""
    e, h = 0.002, m.bump(q)
    g = np.stack([m.bump(q + np.eye(3, dtype="f4")[i][:, None] * e) - h for i in range(3)]) / e
    g = g * (np.abs(n[1]) > 0.99) if flat else g
    return unit(n - np.clip(g - n * (g * n).sum(0), -1.5, 1.5))


def shade(
    s: Scene, m: Material, p: Array, q: Array, n: Array, d: Array, bounce: int, stage: bool
) -> Array:
    """Light leaving points `p` (texture points `q`) against the ray direction `d`."""
    lamps = s.lamps
    if m.bump:  # wall and fillet carry their texture in another frame
        n = roughen(m, q, n, stage)
    albedo = np.clip(m.colour(q), 0, 1)
    nl, nv = (n * lamps.sun).sum(0), np.clip(-(n * d).sum(0), 0.02, 1)
    ao, sun = openness(s, p, n), np.zeros(p.shape[1], "f4")
    lit = np.flatnonzero(nl > -0.15)
    sun[lit] = shadow(s, p[:, lit] + n[:, lit] * 0.004)
    pool = 1 / (1 + 0.05 * (p * p).sum(0)) if stage else 1
    wrapped = np.clip((nl + 0.35 * m.sheen) / (1 + 0.35 * m.sheen), 0, 1)
    ground = lamps.bounce * (lamps.sky * 0.5 + lamps.key * 0.4)
    around = mix(ground, lamps.sky, 0.5 + 0.5 * n[1]) * ao
    light = lamps.key * (wrapped * sun * pool) + around
    if lamps.bulb:
        w = np.array(lamps.bulb, "f4")[:, None] - p
        facing = np.clip((n * unit(w)).sum(0), 0, 1) if stage else 0.1
        light = light + ink("#ffd9a0") * 0.5 * facing / (0.25 + (w * w).sum(0))
    fresnel = m.f0 + (1 - m.f0) * (1 - nv) ** 5 * (1 - m.rough) ** 1.5
    r = d - 2 * n * (n * d).sum(0)
    if stage:
        r[1] = np.maximum(r[1], 0.02)
    mirror = s.surroundings(p, r, m.rough)
    if stage and bounce and m.rough < 0.3:
        seen, hit, _ = radiance(s, p + n * 0.003, unit(r), 0)
        mirror = np.where(hit, seen, mirror)
    gloss = mirror * (0.25 + 0.75 * ao) * (0.45 + 0.55 * np.minimum(sun + 0.3, 1))
    if m.metal:
        return albedo * gloss * mix(1, 1 / np.maximum(m.f0, 0.3), 0.4)
    sheen = m.sheen * (1 - nv) ** 3 * mix(albedo, np.float32(1), 0.3) * around
    return albedo * (light * (1 - fresnel) + m.glow * (0.8 + 1.4 * nv)) + gloss * fresnel + sheen


def bend(d: Array, n: Array, eta: float) -> Array:
    """Refract (Snell), or turn back where light cannot get out."""
    c = -(n * d).sum(0)
    k = 1 - eta * eta * (1 - c * c)
    through = eta * d + (eta * c - np.sqrt(np.maximum(k, 0))) * n
    return unit(np.where(k > 0, through, d + 2 * c * n * 0.5))


def clear(s: Scene, part: Part, p: Array, n: Array, d: Array, bounce: int) -> Array:
    """Clear goods: refract in, absorb on the way (Beer-Lambert), refract out, look on."""
    m, many = part.material, p.shape[1]
    inner = bend(d, n, 1 / m.index)
    near, stop = np.full(many, 0.002, "f4"), np.full(many, 3, "f4")
    t = march(-part.distance, p - n * 0.004, inner, near, stop)
    t = np.where(np.isfinite(t), t, 0.05).astype("f4")
    q = p - n * 0.004 + inner * t
    leave = bend(inner, -gradient(part.distance, q), m.index)
    behind, _, _ = radiance(s, q + leave * 0.006, leave, bounce - 1)
    nv = np.clip(-(n * d).sum(0), 0.02, 1)
    fresnel = m.f0 + (1 - m.f0) * (1 - nv) ** 5
    mirror = s.surroundings(p, d - 2 * n * (n * d).sum(0), 0.03)
    return behind * np.exp(-m.glass((p + q) / 2) * t) * (1 - fresnel) + mirror * fresnel


def radiance(s: Scene, o: Array, d: Array, bounce: int = 4) -> tuple[Array, Array, Array]:
    """Colour, is-product and distance along rays."""
    t0, t1 = span(o, d, s.lo, s.hi)
    t = march(s.distance, o, d, t0, t1)
    far, n, q, floor = s.stage.meet(o, d)
    hit = t < far
    out = np.zeros_like(o)
    for ground, m in ((True, s.stage.floor), (False, s.stage.wall)):
        i = np.flatnonzero(~hit & (floor == ground))
        if i.size:
            p = o[:, i] + d[:, i] * far[i]
            out[:, i] = shade(s, m, p, q[:, i], n[:, i], d[:, i], bounce, True)
    where = np.flatnonzero(hit)
    if where.size:
        p = o[:, where] + d[:, where] * t[where]
        which = np.argmin([part.distance(p) for part in s.parts], 0)
        for j in np.unique(which):
            part, k = s.parts[j], np.flatnonzero(which == j)
            i, pk = where[k], p[:, k]
            nk = gradient(part.distance, pk)
            if part.material.glass and bounce:
                out[:, i] = clear(s, part, pk, nk, d[:, i], bounce)
            elif part.material.glass:
                out[:, i] = s.surroundings(pk, d[:, i], 0.1)
            else:
                out[:, i] = shade(s, part.material, pk, pk, nk, d[:, i], bounce, False)
    return out, hit, np.minimum(t, far)

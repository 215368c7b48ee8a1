"""Table lamps and telephones, tablets, readers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rendering import artwork as art
from rendering import geometry as g
from rendering import materials as mat
from rendering.maths import Field, P, Rng, X, Y, Z, fbm, ink, smooth, table
from rendering.product import Part, Product

LAMPS = table("""
    wide narrow low high stem edge
    .4   .27    .56 .98  .5   #b9935a
    .34  .34    .68 1.08 .62  #6b4a32
    .38  .1     .74 1.02 .72  #7c2d1c
""")
PHONES = table("""
    width height corner thick shell   rough first   second
    .245  .5     .075   .026  #b9bcc2 .25   #1d3557 #e07a5f
    .24   .5     .06    .026  #46647d .22   -       -
    .38   .52    .05    .02   #9aa0a6 .3    #264653 #e9c46a
    .36   .48    .04    .026  #2a2b2e .5    -       -
    .25   .52    .085   .028  #d8c1a4 .25   #3d2c5c #5fb0b7
""")


def lamp(rng: Rng, k: int) -> Product:
    stem, shade = mushroom() if k == 3 else shaded(k)
    first = g.limb((0.02, 0.016, -0.1), (0.12, 0.016, -0.34), 0.012, 0.012)
    cord = g.union(first, g.limb((0.12, 0.016, -0.34), (0.36, 0.016, -0.5), 0.012, 0.012), k=0.02)
    azimuth, bulb = (-180, 180) if k == 3 else (-30, 30), None if k == 2 else (0, 0.72, 0)
    return Product([stem, shade, Part(cord, mat.RUBBER)], (4, 16), azimuth, bulb)


def mushroom() -> tuple[Part, Part]:
    foot = [(0.18, 0), (0.19, 0.015), (0.17, 0.05), (0.07, 0.16), (0.06, 0.4), (0.1, 0.6)]
    a = np.linspace(0.0, 1.5, 9)
    over = ((0.4 * np.sin(x + 0.07), 0.55 + 0.33 * np.cos(x)) for x in a)
    under = ((0.37 * np.sin(x + 0.05), 0.55 + 0.3 * np.cos(x)) for x in a[::-1])
    dome = g.lathe([(-0.3, 0.88), *over, (0.38, 0.55), *under, (-0.3, 0.85)], 1)
    glass = replace(mat.plastic(ink("#f4e6cf"), 0.2), glow=0.25)
    return Part(g.solid(foot), mat.metal(mat.BRASS, 0.2)), Part(dome, glass)


def shaded(k: int) -> tuple[Part, Part]:
    v, t = LAMPS[k], np.linspace(0, 1, 12)
    if k == 0:
        foot, base = 0.14 + 0.12 * np.sin(np.pi * t**0.75), mat.ceramic(ink("#47707c"), 0.3)
        base = mat.tint(base, np.mod(Y * 13 + 0.15 * fbm(X, Z), 1) < 0.12, ink("#dfe5dc"))
        cone = mat.cloth(ink("#f3e7cf"), mat.wrap(0.4), 70, 0)
    elif k == 1:
        foot, base = 0.05 + 0.13 * (1 - t) ** 4, mat.wood(*mat.OAK, mat.UPRIGHT, rough=0.35)
        cone = mat.cloth(ink("#e9dcc3"), mat.wrap(0.4), 50, 0)
    else:
        foot, base = 0.06 + 0.14 * (1 - smooth(0, 0.12, t)), mat.metal(ink("#2b2d31"), 0.3)
        cone = replace(mat.metal(ink("#b5482f"), 0.35), metal=False, f0=0.06)
    rod = [(0.022, v.stem + 0.03), (0.022, v.stem + 0.14)]
    stem = g.solid([(foot[0] * 0.9, 0.0), *g.rise(foot, 0.012, v.stem), *rod])
    rim = [(v.wide, v.low), (v.wide + 0.005, v.low), (v.narrow, v.high)]
    shade = g.lathe([*rim, (v.narrow - 0.014, v.high), (v.wide - 0.014, v.low)], 1)
    edge = (Y < v.low + 0.02) | (Y > v.high - 0.02)
    cone = mat.tint(replace(cone, glow=0.3 if k != 2 else 0.0), edge, ink(v.edge))
    return Part(stem, base), Part(shade, cone)


def slab(w: float, h: float, corner: float, half: float) -> Field:
    return g.smax(g.outline(X, Y, (w, h), corner), abs(Z) - half, 0.012)


def phone(rng: Rng, k: int) -> Product:
    v, lean = PHONES[k], 20 if k > 1 else 14
    w, h, t, lying, reader = v.width, v.height, v.thick, k in (1, 4), k == 3
    raised = 0.09 + h * np.cos(np.radians(lean))  # leaning in a stand
    pose = g.turned(P, 0, -lean, (0, raised, -0.18 if k > 1 else -0.08))
    if lying:
        pose = g.turned(P, 0, -90, (0, t, 0))
    uv = (X.on(pose), Y.on(pose))
    shell = mat.plastic if reader or k == 1 else mat.metal
    shell = shell(ink(v.shell), v.rough)
    if k == 1:  # on its face
        shell = replace(shell, f0=0.06)
        shell = mat.stamp(shell, art.maker_mark(), uv, (-0.09, -0.14, 0.09, 0.04))
        parts = [Part(f.on(pose), m) for f, m in lenses(t, shell)]
    else:
        a, b = (side - (0.05 if reader else 0.022) for side in (w, h))
        size = (480, round(480 * h / w))
        picture = art.page(rng) if reader else art.screen(rng, size, v.first, v.second)
        black = mat.Material(mat.plain(ink("#08090b")), None, 0.4 if reader else 0.05, 0.045)
        window = g.outline(*uv, (a, b), v.corner * 0.7) < 0
        face = mat.stamp(black, picture, uv, (-a, -b, a, b), window)
        glass = g.moved(slab(w - 0.008, h - 0.008, v.corner, 0.004), (0, 0, t - 0.002))
        parts = [Part(glass.on(pose), replace(face, glow=0.0 if reader else 0.55))]
    parts.append(Part(slab(w, h, v.corner, t).on(pose), shell))
    if not lying:
        keys = g.box((0.006, 0.07, 0.008), 0.004, (w + 0.002, 0.16, 0)).on(pose)
        groove = g.box((w, 0.09, t + 0.02), 0.004)
        groove = g.turned(groove, 0, -lean, (0, 0.12 + 0.09 * 0.5, 0.075))
        ledge = g.smax(g.box((w * 0.62, 0.06, 0.15), 0.02, (0, 0.06, 0.02)), -groove, 0.008)
        rest = g.turned(g.box((w * 0.4, 0.2, 0.02), 0.018), 0, -lean, (0, 0.2, -0.1))
        stand = mat.wood(*(mat.WALNUT if k % 2 else mat.OAK), mat.SKEW)
        parts += [Part(keys, shell), Part(g.union(ledge, rest), stand)]
    return Product(parts, (48, 70) if lying else (10, 24), (-40, 40))


def lenses(t: float, shell: mat.Material) -> list[tuple[Field, mat.Material]]:
    """Camera island, rings and lenses on the back of a telephone, in its own space."""
    island = g.outline(X + 0.11, Y - 0.35, (0.1, 0.115), 0.04)
    island = g.smax(island, abs(Z - t - 0.006) - 0.01, 0.008)
    spots = [(x, y, t + 0.014) for x, y in ((-0.155, 0.4), (-0.155, 0.3), (-0.065, 0.35))]
    rings, eyes = (
        g.union(*(g.disc(r, half, 0.004, spot, 2) for spot in spots))
        for r, half in ((0.043, 0.012), (0.033, 0.0145))
    )
    dark = mat.Material(mat.plain(ink("#0b1016")), None, 0.03, 0.08)
    return [(island, shell), (rings, mat.metal(ink("#aab4bc"), 0.2)), (eyes, dark)]

"""Mugs, bowls, plates, vases and bottles: mostly turned shapes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from rendering import artwork as art
from rendering import geometry as g
from rendering import materials as mat
from rendering.maths import BEARING, R, Rng, X, Y, Z, fbm, ink, smooth, table
from rendering.product import Part, Product

MUGS = table("""
    radius height foot belly outside inside  speck print   first   second
    .34    .78    .9   0     #f4efe6 #f4efe6 0     label   #20324a #d0603f
    .31    .92    .78  0     #2f5d73 #efe9dd 0     -       -       -
    .33    .66    .62  .07   #c9a58b #f1ece2 .8    -       -       -
    .37    .72    1    0     #f3f1ea #f3f1ea 0     stripes #274690 #c8553d
    .27    .98    .95  .03   #7d9179 #e9e4d6 0     leaves  #f0ead9 #e9dcb8
""")
BOWLS = table("""
    radius height bend wall outside inside  speck
    .55    .36    1    .028 #e9e2d3 #6f9aa6 .7
    .5     .42    .8   .05  -       -       -
    .62    .3     1.2  .028 #28303c #3c6e71 0
    .48    .34    .7   .028 #f2f0ea #f2f0ea 0
    .58    .38    1    .028 #dfc9b0 #e8dcc9 .7
""")
PLATES = table("""
    radius lip glaze   speck edge
    .62    .09 #f4f2ec 0     #c9a14a
    .58    .14 #7f9a8c .8    #6b5a48
    .65    .07 #f1ede2 0     #27548a
    .6     .1  #2c3440 .15   #8a6a4c
""")
VASES = table("""
    height glaze   speck rough
    .95    #3d6f7c .2    .08
    .75    #eee8dc 0     .12
    .85    -       -     -
    .6     #d98f6c .9    .5
    1.05   #f3f0e8 0     .1
""")
BOTTLES = table("""
    fill    full thick faint brand       what         size   paper   ink     accent  low high half
    #2a4a1e .86  16    .9    ROSALBA     vino_rosso   75_cl  #efe6cf #3a1d22 #a4813f .2  .56  .2
    -       -    -     -     fern_&_sage shampoo      400_ml #dfe7d8 #2f4a3a #7fa37a .16 .58  .2
    -       -    -     -     PEAK        _            _      -       #e9eef0 #f0a45c .3  .66  .15
    #f0962a .84  5     .06   Citrona     orange_juice 0.5_l  #fff6e0 #a4480f #2f7d4f .24 .52  .19
    #8c1626 .5   9     .06   Oma's       cherry_jam   320_g  #fdf3ea #5b1020 #b5475a .1  .4   .3
""")
OUTLINES = (  # radius height, from the foot to the mouth
    ".15 0 .165 .02 .165 .03 .165 .68 .15 .78 .07 .9 .056 .95 .056 1.2 .066 1.2 .066 1.24",
    ".19 0 .21 .02 .21 .04 .21 .7 .2 .74 .09 .79 .07 .82 .07 .84",
    ".14 0 .16 .02 .16 .05 .16 .78 .15 .84 .1 .92 .09 .95 .09 .97",
    ".15 0 .17 .02 .18 .1 .16 .35 .18 .6 .15 .75 .08 .86 .075 .9 .075 .98",
    ".24 0 .27 .02 .27 .05 .27 .44 .25 .5 .22 .53 .22 .58",
)


def frieze(
    m: mat.Material, picture: Image.Image, low: float, high: float, where: g.Field | bool = True
) -> mat.Material:
    return mat.stamp(m, picture, mat.wrap(1), (-np.pi, low, np.pi, high), where)


def mug(rng: Rng, k: int) -> Product:
    v = MUGS[k]
    r, h, t = v.radius, v.height, np.linspace(0, 1, 10)
    side = r * (v.foot + (1 - v.foot) * t) + v.belly * np.sin(np.pi * t)
    foot = [(side[0] * 0.55, 0.0), (side[0] - 0.04, 0.0)]
    body, inside = g.vessel([*foot, *g.rise(side, 0.02, h)], 0.03)
    loop = g.length(g.outline(X, Y, (0.16, h * 0.29), 0.15), Z * 0.75) - 0.036
    loop = g.moved(loop, (r * (0.5 + v.foot / 2) + v.belly + 0.08, h * 0.52, 0))
    handle = g.smax(loop, g.interp(Y, t * h, side) - 0.015 - R, 0.01)
    m = mat.ceramic(ink(v.outside), v.speck)
    if v.print == "label":
        motto = art.label(rng, ("good", "MORNING", ""), None, v.first, v.second, (420, 420))
        m = mat.stamp(m, motto, mat.wrap(r), (-0.24, 0.16, 0.24, 0.66), (Z > 0) & ~inside)
    elif v.print:
        picture = art.pattern(rng, v.print, v.first, v.second, (900, 320))
        m = frieze(m, picture, h * 0.2, h * 0.85, R > r * 0.8)
    if k == 3:
        m = mat.tint(m, Y > h - 0.025, ink("#23386f"))
    bare = Y < (0.17 + 0.03 * fbm(X, Z) if v.speck else 0.025)
    m = mat.tint(mat.tint(m, inside, ink(v.inside)), bare, mat.ceramic(ink("#b98a63")))
    return Product([Part(g.union(body, handle, k=0.05), m)], (14, 36), (-50, 35))


def bowl(rng: Rng, k: int) -> Product:
    v = BOWLS[k]
    r, h = v.radius, v.height
    outer = [(r * 0.26, 0.0), (r * 0.42, 0.0), (r * 0.42, 0.03)]
    for x in np.linspace(0.12, 1.0, 10) * np.pi / 2:
        outer.append((r * (0.3 + 0.7 * np.sin(x) ** v.bend), 0.06 + (h - 0.06) * (1 - np.cos(x))))
    body, inside = g.vessel(outer, v.wall, 0.1)
    if k == 1:
        m = mat.wood(*mat.WALNUT, (X, Y + 0.35 * Z), rough=0.3)
    else:
        m = mat.ceramic(ink(v.outside), v.speck)
        m = mat.tint(m, inside, mat.ceramic(ink(v.inside), 0.3))
    if k == 2:
        m = mat.tint(m, Y > h - 0.012, ink("#b98b4d"))
    elif k == 3:
        picture = art.pattern(rng, "peaks", "#1f3f8a", "#3567b5", (1100, 160))
        m = frieze(m, picture, h * 0.5, h * 0.88, ~inside)
        m = mat.tint(m, Y > h - 0.012, ink("#1f3f8a"))
    elif k == 4:
        m = mat.tint(m, Y > h * (0.62 + 0.06 * fbm(X * 2, Z * 2)), mat.ceramic(ink("#8f4a34")))
    return Product([Part(body, m)], (20, 46), (-180, 180) if k != 3 else (-40, 40))


def plate(rng: Rng, k: int) -> Product:
    v = PLATES[k]
    r, lip, blue = v.radius, v.lip, "#27548a"
    foot = [(0.12, 0.0), (r * 0.55, 0.0), (r * 0.6, 0.02), (r * 0.68, 0.045)]
    body, _ = g.vessel([*foot, (r * 0.75, lip * 0.7), (r * 0.88, lip * 0.85), (r, lip)], 0.024)
    m = mat.ceramic(ink(v.glaze), v.speck)
    if k == 0:
        picture = art.pattern(rng, "leaves", "#4d7a58", "#8fae6b", (1500, 130))
        m = mat.stamp(m, picture, (BEARING, R), (-np.pi, r * 0.76, np.pi, r * 0.97))
    elif k == 1:
        m = mat.tint(m, smooth(0.6, 0.95, R / r + 0.12 * fbm(X, Z)), ink("#d9d3bd"))
    elif k == 2:
        picture = art.pattern(rng, "waves", blue, "#6f9ac4", (600, 600))
        m = mat.stamp(m, picture, mat.XZ, (-0.3, -0.3, 0.3, 0.3), R < 0.29)
        m = mat.tint(m, abs(R - r * 0.82) < 0.02, ink(blue))
    else:
        swirl = abs(np.mod(R * 16 + 0.3 * fbm(X, Z), 1) - 0.5) < 0.06
        m = mat.tint(m, swirl, ink("#566276"))
    return Product([Part(body, mat.tint(m, R > r - 0.012, ink(v.edge)))], (32, 62), (-180, 180))


def vase(rng: Rng, k: int) -> Product:
    v, t = VASES[k], np.linspace(0, 1, 14)
    r = (
        0.2 + 0.14 * np.sin(np.pi * t**0.8) - 0.1 * smooth(0.6, 1, t),
        0.13 + 0.2 * np.sin(np.pi * t**1.6) ** 2,
        0.15 + 0.12 * t**2,
        0.3 * np.sin(np.pi * (0.12 + 0.78 * t)) ** 0.7,
        0.1 + 0.22 * np.exp(-(((t - 0.3) / 0.22) ** 2)) + 0.05 * t**6,
    )[k]
    foot = [(r[0] * 0.5, 0.0), (r[0] - 0.02, 0.0)]
    body, inside = g.vessel([*foot, *g.rise(r, 0.015, v.height)], 0.026)
    if k == 2:
        absorb, ribs = mat.plain(np.array([[5.0], [1.6], [1.2]])), 0.003 * np.cos(BEARING * 18)
        m = mat.Material(mat.plain(0), ribs, 0.04, 0.045, glass=absorb)
        return Product([Part(body, m)], (8, 24), (-180, 180))
    m = mat.ceramic(ink(v.glaze), v.speck, v.rough)
    if k == 0:  # a second glaze that ran down
        run = Y - 0.6 - 0.22 * fbm(BEARING * 0.5, Y * 0.1) - 0.05 * np.sin(BEARING * 9)
        m = mat.tint(m, smooth(-0.03, 0.03, run), ink("#d9cfb4"))
    elif k == 1:
        m = replace(m, bump=0.012 * abs(np.cos(BEARING * 10)))
    elif k == 3:
        m = mat.tint(m, np.mod(Y * 9, 1) < 0.35 + 0.1 * fbm(X, Z), ink("#f0e3cf"))
    else:
        m = frieze(m, art.pattern(rng, "leaves", "#274690", "#4f74b8", (900, 420)), 0.12, 0.7)
        m = mat.tint(m, (abs(Y - 0.06) < 0.014) | (abs(Y - 0.76) < 0.012), ink("#274690"))
    return Product([Part(body, mat.tint(m, inside, ink("#4d4238")))], (6, 26), (-180, 180))


def cap(rng: Rng, k: int, top: float) -> Part:
    if k == 0:
        foil = replace(mat.metal(ink("#7d1f2b"), 0.3), f0=0.4)
        return Part(g.disc(0.069, 0.135, 0.012, (0, 1.12, 0)), foil)
    grip = 0.006 * np.cos(BEARING * 44)
    if k == 1:
        collar, stem = g.disc(0.085, 0.05, 0.012, (0, 0.86, 0)), g.disc(0.025, 0.08)
        nozzle = g.box((0.15, 0.026, 0.045), 0.024, (-0.07, 1.03, 0))
        m = replace(mat.plastic(ink("#2f3b36"), 0.25), bump=grip * (Y < 0.9))
        return Part(g.union(collar, g.moved(stem, (0, 0.95, 0)), nozzle), m)
    if k == 4:
        dots = art.pattern(rng, "dots", "#ffffff", "#b5475a", (256, 256))
        brass, square = mat.metal(mat.BRASS, 0.3), (-0.25, -0.25, 0.25, 0.25)
        m = mat.stamp(brass, dots, mat.XZ, square, Y > 0.67)
        m = replace(m, bump=0.004 * np.cos(BEARING * 70) * (R > 0.24))
        return Part(g.disc(0.255, 0.055, 0.015, (0, 0.62, 0)), m)
    m = mat.metal(mat.STEEL, 0.3) if k == 2 else mat.plastic(ink("#2f7d4f"), 0.35)
    m = replace(m, bump=grip * (Y < top + 0.08))
    return Part(g.disc(0.105 if k == 2 else 0.095, 0.075, 0.015, (0, top + 0.035, 0)), m)


def bottle(rng: Rng, k: int) -> Product:
    v = BOTTLES[k]
    profile = np.array(OUTLINES[k].split(), float).reshape(-1, 2)
    body, top, r = g.solid(profile), profile[-1][1], profile[3][0]
    if v.fill:  # coloured up to the level, fainter above
        share = g.where(Y < v.full, 0.45, 0.45 * v.faint)
        absorb = v.thick * -np.log(np.clip(ink(v.fill), 0.02, 0.95)) * share
        bubble = 0.002 * fbm(X, Y, 30)
        m = mat.Material(mat.plain(0), bubble, 0.04, 0.045, glass=absorb, index=1.33)
    elif k == 1:
        m = mat.plastic(ink("#e9e1d6"), 0.25)
    else:
        m = mat.tint(mat.metal(ink("#c3cbd2")), Y > 0.12, mat.plastic(ink("#31566b")))
        m = replace(m, metal=False, f0=0.06, rough=0.2)
    size = (round(640 * 2 * v.half), round(640 * (v.high - v.low)))
    paper = art.label(rng, (v.brand, v.what, v.size), v.paper, v.ink, v.accent, size)
    rect, uv, parts = (-v.half, v.low, v.half, v.high), mat.wrap(r), []
    if v.fill:
        tall = abs(Y - (v.low + v.high) / 2) - (v.high - v.low) / 2
        sleeve = g.overlap(tall, abs(BEARING) * r - v.half, body - 0.003)
        parts.append(Part(sleeve, mat.stamp(mat.card(ink(v.paper)), paper, uv, rect)))
    else:
        m = mat.stamp(m, paper, uv, rect, Z > 0)
    return Product([*parts, cap(rng, k, top), Part(body, m)], (4, 18), (-25, 25))

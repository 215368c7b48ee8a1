"""Socks, shoes and bags."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rendering import artwork as art
from rendering import geometry as g
from rendering import materials as mat
from rendering.maths import Rng, X, Y, Z, ink, mix, smooth, stack, swell, table
from rendering.product import Part, Product

SOCKS = table("""
    leg main    accent  gauge
    .62 #c9c3b5 #b5483a 40
    .35 #2d4a63 #e5b567 46
    .8  #5f7f5a #ede4cf 34
    .6  #e8e0d4 #4a6fa5 44
    .5  #7b4b6b #e3b7c0 40
""")
SHOES = table("""
    low high drop main    accent  sole    laces
    .16 .4   -.03 #e9e6df #2f6f73 #f4f2ec #f7f5f0
    .17 .6   0    #7a4a28 #c9a06a #2b211b #d9b36a
    .15 .33  0    #2c3646 #c98a4a #e8ddc8 -
    .17 .44  -.02 #b8442f #f1ede4 #f4f2ec #f7f5f0
    .15 .38  -.03 #33353a #9ad04c #e8e8e6 #9ad04c
""")
BAGS = table("""
    width height depth colour  seam    round fold full thin power taper curve
    .4    .42    .1    #e6dcc6 #b8a888 .04   .03  1.05 .5   1.3   .06   1
    .32   .42    .15   #bf9566 #8d6a43 .006  0    1    0    1     0     1
    .46   .3     .15   #8a3f2b #d9a06a .08   0    1.05 .6   1     .2    1.5
    .4    .44    .12   #34495e #e0a458 .04   .03  1.05 .45  1.5   .05   1
""")
TRIMS = table("""
    gap  reach wide thick flat back tuck brand  what       ink     accent
    .02  .28   .17  .024  .008 0    .05  slow   MARKET     #2f4a3a #c8553d
    .09  .15   .1   .01   .01  0    .1   maison BOULANGER  #4a2f1a #a83c2a
    .02  .17   .2   .024  .008 .02  .05  -      -          -       -
    .025 .26   .16  .024  .008 0    .05  NORD   supply_co. #f0e6d0 #e0a458
""")


def sock(rng: Rng, k: int) -> Product:
    v = SOCKS[k]
    heel, toe, cuff = (0.0, 0.12), (0.44, 0.2), (-0.04, 0.12 - v.leg)
    flat = g.union(g.limb(cuff, heel, 0.15, 0.155), g.limb(heel, toe, 0.155, 0.125), k=0.12)
    one = g.smax(g.smax(flat, cuff[1] - Z, 0.03), abs(Y - 0.045) - 0.045, 0.1)
    bend = smooth(-0.12, 0.14, Z * 0.7 + X - 0.1)
    across, along = mix(X, -Z + 0.18 * X, bend), mix(Z - cuff[1], X + 0.1 + v.leg, bend)
    ends = (g.length(X + 0.06, Z - 0.22) < 0.15) | (X > 0.38) | (along < 0.13 * (k != 2))
    striped = int(rng.integers(2)) or k
    if k in (3, 4):
        dots = (np.mod(along * 8, 1) - 0.5) ** 2 + (np.mod(across * 8, 1) - 0.5) ** 2 < 0.07
        ends = ends | dots
    elif striped:
        ends = ends | (np.mod(along, 0.16) < 0.05 if k != 1 else abs(along - 0.2) < 0.03)
    colour = mix(ink(v.main), ink(v.accent), ends)
    yarn = mat.knit(colour, (across, along), v.gauge)
    rib = yarn.bump + 0.012 * np.cos(across * 130) * (along < 0.16)
    pair = []
    for degrees, pos in ((8, (-0.45, 0, 0.12)), (-5, (0.3, 0, -0.04))):
        where, c, bump = (g.turned(f, 1, degrees, pos) for f in (one, yarn.colour, rib))
        pair.append(Part(where, replace(yarn, colour=c, bump=bump)))
    return Product(pair, (52, 76), (-35, 35))


def shoe(rng: Rng, k: int) -> Product:
    v = SHOES[k]
    low, high, drop, main, accent = v.low, v.high, v.drop, ink(v.main), ink(v.accent)
    toes = g.limb((0.16, 0.02), (0.34, -0.01), 0.165, 0.13)
    foot = g.union(g.limb((-0.34, 0), (0.16, 0.02), 0.125, 0.165), toes, k=0.1)
    neck = g.limb((-0.26, high + 0.02, 0), (-0.1, high + 0.03, 0), 0.066, 0.07)
    mouth = g.union(neck, g.limb((-0.24, high, 0), (-0.22, 0.2, 0), 0.068, 0.06), k=0.05)
    lift = Y - 0.06 * smooth(0.15, 0.55, X)  # above a sole that curls up at the toes

    def ramp(x: mat.Field) -> mat.Field:
        step = (high - low) / (1 + np.exp((x - drop) / 0.06))
        return low + step + 0.02 * smooth(-0.3, -0.5, x)

    upper = foot + 0.006 + 0.11 * np.maximum(lift - 0.1, 0)
    upper = g.smax(g.smax(upper, (lift - ramp(X)) * 0.72, 0.16), 0.05 - lift, 0.02)
    heel = 0.015 * smooth(0, -0.3, X)
    base = g.smax(foot - 0.004, abs(lift - 0.05 - heel) - 0.05 - heel, 0.025) * 0.9
    m = (
        mat.cloth(main, mat.XY, 70, 0.008),
        mat.leather(main),
        mat.leather(main, 0.5),
        mat.cloth(main, mat.XY, 60, 0.006),
        mat.knit(mat.plain(main), mat.XY, 44),
    )[k]
    if k in (0, 4):
        swoop = abs(np.mod(X * 1.4 + Y * 1.1 + 0.05, 0.18) - 0.07) < 0.03
        m = mat.tint(m, swoop & (X > -0.2) & (X < 0.17) & (abs(Z) > 0.07), accent)
    patch = (X < -0.33) | ((X > 0.33) & (k in (0, 3)))
    m = mat.tint(m, patch, accent if k != 1 else ink("#5b3519"))
    seam = abs(g.length(X + 0.02, Y - 0.02) - 0.33) < 0.004
    stitch = seam & (np.mod(np.arctan2(Y, X + 0.02) * 40, 1) < 0.65)
    lining = mat.cloth(ink("#d8cfc0" if k else "#2f6f73"), mat.SKEW, 80, 0)
    m = mat.tint(m, stitch, ink("#d9cfbb"))
    m = mat.tint(m, (mouth < 0.012) & (Y < high + 0.05), lining)
    sole = mat.tint(mat.plastic(ink(v.sole), 0.55), abs(lift - 0.075) < 0.006, accent)
    sole = replace(sole, bump=0.0005 * np.cos(X * 170) * (lift < 0.055))
    parts = [Part(g.smax(upper, -mouth, 0.025), m), Part(base, sole)]
    if v.laces:
        lo, hi, n = drop - 0.01, drop + 0.2, 5
        s = np.mod((X - lo) / (hi - lo) * n + 0.25 * abs(Z) / 0.05 * 0.4, 1) - 0.5
        slab = (abs(s) * (hi - lo) / n - 0.012) * 0.8
        laces = g.overlap(slab, abs(Z) - 0.075, lo - X, X - hi)
        laces = g.smax(g.smax(laces, abs(upper - 0.006) - 0.01, 0.012), 0.18 - Y, 0.01) * 0.8
        top = (drop - 0.01, float(ramp(np.float64(drop))) + 0.02, 0)
        tongue = g.turned(g.box((0.018, 0.12, 0.064), 0.017), 2, 38, top)
        inner = replace(m, colour=mat.cloth(main, mat.XY, 70, 0).colour)
        parts += [Part(laces, mat.cloth(ink(v.laces), mat.SKEW, 90, 0)), Part(tongue, inner)]
    else:
        strap = g.smax(abs(upper - 0.004) - 0.009, abs(X - 0.12) - 0.05, 0.008) * 0.9
        buckle = g.overlap(strap - 0.006, abs(Z) - 0.05, abs(X - 0.12) - 0.035)
        strap = Part(g.overlap(strap, 0.1 - Y), mat.leather(accent))
        parts += [strap, Part(buckle, mat.metal(mat.BRASS, 0.2))]
    return Product(parts, (12, 32), (-28, 22) if k % 2 else (18, 50))


def bag(rng: Rng, k: int) -> Product:
    v, trim = BAGS[k], TRIMS[k]
    w, h, d, c = v.width, v.height, v.depth, ink(v.colour)
    y = g.clip(Y / (2 * h), 0, 1)
    full, side = d * (v.full - v.thin * y**v.power), w * (1 - v.taper * y**v.curve)
    fold = v.fold * 0.5 * swell(X * 0.5 + 0.2 * Z, Y * 0.4, 31) * smooth(0, 0.2, Y)
    hull = g.box((w, h, d), v.round).on(stack(X / side * w, Y - h, (Z + fold) / full * d)) * 0.5
    m, handle, seam = (
        mat.cloth(c, mat.XY, 60 if k else 52, v.fold),
        mat.leather(ink("#6d2f1f" if k == 2 else "#7a4a28")),
        (abs(Y - 2 * h + 0.07) < 0.004) & (np.mod(X * 30, 1) < 0.6),
    )
    if k == 0:
        handle = mat.cloth(c * 0.92, mat.XY, 60, 0)
    elif k == 1:
        dents = 0.008 * abs(swell(X + Z, Y, 32)) + 0.01 * abs(Z) * (abs(X) > w - 0.02)
        m = replace(mat.card(c), bump=dents + 0.004 * smooth(0.02, 0, abs(Y - 0.2)))
        handle, seam = mat.card(ink("#a67c4f")), abs(Y - 0.2) < 0.003
    elif k == 2:
        m = mat.leather(c)
    if trim.brand:
        words, rect = (trim.brand, trim.what, ""), (-0.25, h - 0.28, 0.25, h + 0.22)
        label = art.label(rng, words, None, trim.ink, trim.accent, (420, 420))
        m = mat.stamp(m, label, mat.XY, rect, Z > 0)
    arc = abs(g.outline(X, Y - 2 * h + 0.05, (trim.wide, trim.reach), trim.wide * 0.95))
    flat = np.maximum(arc - trim.thick, abs(abs(Z) - trim.gap + trim.back) - trim.flat) - 0.003
    strap = np.maximum(flat, 2 * h - trim.tuck - Y)
    parts = [Part(hull, mat.tint(m, seam, ink(v.seam))), Part(strap, handle)]
    if k == 2:
        flap = g.smax(abs(hull - 0.004) - 0.006, h + 0.1 * (X / w) ** 2 - Y, 0.006)
        clasp = g.box((0.06, 0.045, 0.03), 0.012, (0, h + 0.03, d * 0.75))
        parts.append(Part(np.maximum(flap, -Z - 0.02), mat.leather(ink("#94462f"))))
        parts.append(Part(clasp, mat.metal(mat.BRASS, 0.18)))
    return Product(parts, (6, 22), (-38, 38))

"""Socks, shoes and bags."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rendering import artwork as art
from rendering import geometry as g
from rendering import materials as mat
from rendering.maths import Array, Rng, ink, length, mix, smooth, swell, table
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
    width height depth colour  seam    round fold full thin power taper curve words              ink     accent
    .4    .42    .1    #e6dcc6 #b8a888 .04   .03  1.05 .5   1.3   .06   1     slow|MARKET        #2f4a3a #c8553d
    .32   .42    .15   #bf9566 #8d6a43 .006  0    1    0    1     0     1     maison|BOULANGER   #4a2f1a #a83c2a
    .46   .3     .15   #8a3f2b #d9a06a .08   0    1.05 .6   1     .2    1.5   -                  -       -
    .4    .44    .12   #34495e #e0a458 .04   .03  1.05 .45  1.5   .05   1     NORD|supply_co.    #f0e6d0 #e0a458
""")
STRAPS = table("""
    gap  reach wide thick flat back tuck
    .02  .28   .17  .024  .008 0    .05
    .09  .15   .1   .01   .01  0    .1
    .02  .17   .2   .024  .008 .02  .05
    .025 .26   .16  .024  .008 0    .05
""")


def sock(rng: Rng, k: int) -> Product:
    v = SOCKS[k]
    heel, toe, cuff = (0.0, 0.12), (0.44, 0.2), (-0.04, 0.12 - v.leg)
    leg, foot = g.limb(cuff, heel, 0.15, 0.155), g.limb(heel, toe, 0.155, 0.125)

    def one(p: Array) -> Array:
        q = (p[0], p[2])
        flat = g.smax(g.smin(leg(q), foot(q), 0.12), cuff[1] - p[2], 0.03)
        return g.smax(flat, np.abs(p[1] - 0.045) - 0.045, 0.1)

    def along(p: Array) -> tuple[Array, Array]:
        t = smooth(-0.12, 0.14, p[2] * 0.7 + p[0] - 0.1)
        return mix(p[0], -p[2] + 0.18 * p[0], t), mix(p[2] - cuff[1], p[0] + 0.1 + v.leg, t)

    stripe = int(rng.integers(2))

    def colour(p: Array) -> Array:
        u, v_ = along(p)
        ends = (length(p[0] + 0.06, p[2] - 0.22) < 0.15) | (p[0] > 0.38) | (v_ < 0.13 * (k != 2))
        if k in (3, 4):
            ends |= (np.mod(v_ * 8, 1) - 0.5) ** 2 + (np.mod(u * 8, 1) - 0.5) ** 2 < 0.07
        elif k + stripe > 0:
            ends |= (np.mod(v_, 0.16) < 0.05) if k != 1 else (np.abs(v_ - 0.2) < 0.03)
        return mix(ink(v.main), ink(v.accent), ends.astype("f4"))

    yarn = mat.knit(colour, along, v.gauge)

    def ribbed(p: Array) -> Array:
        u, v_ = along(p)
        return yarn.bump(p) + 0.012 * np.cos(u * 130) * (v_ < 0.16)

    def laid(degrees: float, pos: g.Point) -> Part:
        there = [g.turned(f, 1, degrees, pos) for f in (one, yarn.colour, ribbed)]
        return Part(there[0], replace(yarn, colour=there[1], bump=there[2]))

    return Product([laid(8, (-0.45, 0, 0.12)), laid(-5, (0.3, 0, -0.04))], (52, 76), (-35, 35))

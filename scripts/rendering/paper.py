"""Cartons and books."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rendering import artwork as art
from rendering import geometry as g
from rendering import materials as mat
from rendering.maths import Field, P, Rng, X, Y, Z, fbm, ink, length, table, vec
from rendering.product import Part, Product

CARTONS = table("""
    width height depth kind    paper   ink     accent  brand      what           size
    .55   .36    .42   parcel  #b98d5c -       -       -          -              -
    .38   .55    .13   printed #f0b23c #5b2c14 #c8451f OAT_CRUNCH honey_&_almond 500_g
    .56   .2     .34   shoes   #33586b #f2ede0 #e8a04c STRIDE     everyday_shoes size_42
    .33   .33    .33   gift    #e7e2d8 #c9463d #d98a80 -          -              -
    .2    .46    .2    printed #f3e3df #51314a #c58a72 lumi       night_cream    50_ml
""")
BOOKS = table("""
    brand    what            size         paper   ink     accent
    THE_LONG winter_road     A._Halvorsen #23395b #f0e3c4 #d98a4f
    Soup     forty_recipes   Mira_Oda     #e8dfcc #a83c2a #4d7a58
    RIVERS   of_glass        T._Lindqvist #d9e2e0 #2f6f73 #e0a458
    ORBIT    a_short_history J._Okoye     #1d1f29 #e9c46a #c8553d
""")


def carton(rng: Rng, k: int) -> Product:
    v = CARTONS[k]
    w, h, d = v.width, v.height, v.depth
    solid = g.box((w, h, d), 0.012, (0, h, 0))
    front, right, top, side = Z > d - 0.02, X > w - 0.02, Y > 2 * h - 0.02, (-Z, Y)
    face, flank, words = (-w, 0, w, 2 * h), (-d, 0, d, 2 * h), (v.brand, v.what, v.size)
    m, parts = mat.card(ink(v.paper)), []
    if v.kind == "parcel":
        m = mat.stamp(m, art.parcel_print(), mat.XY, face, front)
        m = mat.stamp(m, art.parcel_label(rng), mat.XZ, (-0.1, -0.3, 0.42, 0.05), top)
        m = mat.tint(m, top & (abs(Z) < 0.004), ink("#3d2d1c"))
        m = mat.tint(m, top & (abs(abs(X) - w * 0.98) < 0.004), ink("#5b4630"))
        strip = np.maximum(abs(Z) - 0.07, 2 * h - 0.2 - Y)
        gloss = replace(mat.plastic(ink("#c79f63"), 0.2), bump=0.003 * fbm(X, Z * 0.4 + Y))
        parts.append(Part(g.overlap(solid - 0.003, strip), gloss))
    elif v.kind == "shoes":
        label = art.label(rng, words, None, v.ink, v.accent, (420, 260))
        m = mat.stamp(m, label, mat.XY, (-0.3, 0.02, 0.3, 0.26), front)
        brand = art.label(rng, (v.brand, "", ""), None, v.paper, v.accent, (500, 400))
        cream, rect = mat.card(ink("#e8e1d2")), (-0.34, -0.26, 0.34, 0.26)
        lid = g.box((w + 0.014, 0.065, d + 0.014), 0.012, (0, 2 * h - 0.05, 0))
        parts.append(Part(lid, mat.stamp(cream, brand, mat.XZ, rect, Y > 2 * h)))
    elif v.kind == "gift":
        for uv, rect, there in ((mat.XY, face, front), (side, flank, right)):
            dots = art.pattern(rng, "dots", v.ink, v.accent, (512, 512))
            m = mat.stamp(m, dots, uv, rect, there)
        band = np.maximum(solid - 0.006, np.minimum(abs(X), abs(Z)) - 0.05)
        edge = g.outline(X, Y, (0.12, 0.06), 0.059)
        loop = length(edge, np.maximum(abs(Z) - 0.045, 0)) - 0.008
        loops = (g.turned(loop, 2, s * 25, (s * 0.13, 0.02, 0)) for s in (1, -1))
        bow = g.union(*loops, g.ball((0.05, 0.04, 0.06), (0, -0.01, 0)))
        ribbon = replace(mat.cloth(ink("#b22234"), mat.SKEW, 90, 0.004), rough=0.35)
        parts.append(Part(g.union(band, g.moved(bow, (0, 2 * h + 0.06, 0))), ribbon))
    else:
        label = art.label(rng, words, v.paper, v.ink, v.accent, (400, round(400 * h / w)))
        m = mat.stamp(mat.plastic(ink(v.paper), 0.45), label, mat.XY, face, front)
        m = mat.stamp(m, art.small_print(rng, v.accent), side, flank, right)
    return Product([*parts, Part(solid, m)], (14, 36), (18, 52))


def volume(i: int, half: g.Point, pose: Field) -> list[Part]:
    """A book lying on its back cover: spine at -x, cover up."""
    v, (w, h, d) = BOOKS[i], half
    words, place = (v.brand, v.what, v.size), (P - vec(0, h, 0)).on(pose)
    x, y, z = (axis.on(place) for axis in (X, Y, Z))
    hollow = g.box((w, h - 0.014, d + 0.1), 0.004, (0.02, 0, 0))
    boards = g.smax(g.box((w, h, d), 0.008), -hollow, 0.004)
    block = g.box((w - 0.018, h - 0.012, d - 0.015), 0.006, (0.002, 0, 0))
    cover, spine = art.cover(words, v.paper, v.ink, v.accent, i), art.spine(words, v.ink, v.accent)
    m = mat.cloth(ink(v.paper), (x, -z), 110, 0.0)
    m = replace(m, rough=0.4 if i % 2 else 0.7, f0=0.04)
    m = mat.stamp(m, cover, (x, -z), (-w * 0.93, -d, w, d), y > h - 0.01)
    m = mat.stamp(m, spine, (z, y), (-d, -h, d, h), x < 0.01 - w)
    leaves = ink("#efe6d2") * (0.9 + 0.1 * np.sin(y * 700) + 0.1 * fbm(y * 9, y * 3))
    return [Part(boards.on(place), m), Part(block.on(place), mat.Material(leaves, None, 0.9))]


def book(rng: Rng, k: int) -> Product:
    if k == 3:  # a pile
        parts, y = [], 0.0
        pile = ((1, (0.36, 0.055, 0.5), 4), (2, (0.34, 0.04, 0.47), -7), (3, (0.3, 0.05, 0.42), 9))
        for i, half, angle in pile:
            parts += volume(i, half, g.turned(P, 1, angle, (0.01, y, 0)))
            y += 2 * half[1]
        return Product(parts, (20, 40), (-75, -50))
    if k == 2:  # standing on its lower edge, front towards the camera
        standing = volume(2, (0.36, 0.06, 0.5), g.turned(P, 0, 90, (0, 0.5, 0)))
        return Product(standing, (8, 22), (-48, -25))
    lying = volume(k, (0.37, 0.05 + 0.02 * k, 0.5), P)
    return Product(lying, (36, 60), (-40, -12) if k else (15, 40))

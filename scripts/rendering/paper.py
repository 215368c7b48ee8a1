"""Cartons and books."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rendering import artwork as art
from rendering import geometry as g
from rendering import materials as mat
from rendering.maths import Array, Field, Rng, fbm, ink, length, table
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
    front, right, top = g.beyond(2, d - 0.02), g.beyond(0, w - 0.02), g.above(2 * h - 0.02)
    face, flank, words = (-w, 0, w, 2 * h), (-d, 0, d, 2 * h), (v.brand, v.what, v.size)
    parts = []

    def side(p: Array) -> tuple[Array, Array]:
        return -p[2], p[1]

    def tape(p: Array) -> Array:
        strip = np.maximum(np.abs(p[2]) - 0.07, 2 * h - 0.2 - p[1])
        return np.maximum(solid(p) - 0.003, strip)

    def band(p: Array) -> Array:
        return np.maximum(solid(p) - 0.006, np.minimum(np.abs(p[0]), np.abs(p[2])) - 0.05)

    if v.kind == "parcel":
        m = mat.stamp(mat.card(ink(v.paper)), art.parcel_print(), mat.xy, face, front)
        m = mat.stamp(m, art.parcel_label(rng), mat.xz, (-0.1, -0.3, 0.42, 0.05), top)
        m = mat.tint(m, lambda p: top(p) & (np.abs(p[2]) < 0.004), ink("#3d2d1c"))
        gloss = mat.plastic(ink("#c79f63"), 0.2)
        gloss = replace(gloss, bump=lambda p: 0.003 * fbm(p[0], p[2] * 0.4 + p[1]))
        parts.append(Part(tape, gloss))
        flaps = lambda p: top(p) & (np.abs(np.abs(p[0]) - w * 0.98) < 0.004)
        m = mat.tint(m, flaps, ink("#5b4630"))
    elif v.kind == "shoes":
        label = art.label(rng, words, None, v.ink, v.accent, (420, 260))
        m = mat.stamp(mat.card(ink(v.paper)), label, mat.xy, (-0.3, 0.02, 0.3, 0.26), front)
        brand = art.label(rng, (v.brand, "", ""), None, v.paper, v.accent, (500, 400))
        cream, rect = mat.card(ink("#e8e1d2")), (-0.34, -0.26, 0.34, 0.26)
        lid = g.box((w + 0.014, 0.065, d + 0.014), 0.012, (0, 2 * h - 0.05, 0))
        parts.append(Part(lid, mat.stamp(cream, brand, mat.xz, rect, g.above(2 * h))))
    elif v.kind == "gift":
        m = mat.card(ink(v.paper))
        for uv, rect, where in ((mat.xy, face, front), (side, flank, right)):
            dots = art.pattern(rng, "dots", v.ink, v.accent, (512, 512))
            m = mat.stamp(m, dots, uv, rect, where)
        ribbon = replace(mat.cloth(ink("#b22234"), mat.skew, 90, 0.004), rough=0.35)
        parts.append(Part(g.union(band, g.moved(bow(), (0, 2 * h + 0.06, 0))), ribbon))
    else:
        label = art.label(rng, words, v.paper, v.ink, v.accent, (400, round(400 * h / w)))
        m = mat.stamp(mat.plastic(ink(v.paper), 0.45), label, mat.xy, face, front)
        m = mat.stamp(m, art.small_print(rng, v.accent), side, flank, right)
    return Product([*parts, Part(solid, m)], (14, 36), (18, 52))


def bow() -> Field:
    def loop(p: Array) -> Array:
        edge = g.outline(p[0], p[1], (0.12, 0.06), 0.059)
        return length(edge, np.maximum(np.abs(p[2]) - 0.045, 0)) - 0.008

    loops = (g.turned(loop, 2, s * 25, (s * 0.13, 0.02, 0)) for s in (1, -1))
    return g.union(*loops, g.ball((0.05, 0.04, 0.06), (0, -0.01, 0)))


def volume(i: int, half: g.Point, pose: Field) -> list[Part]:
    """A book lying on its back cover: spine at -x, cover up."""
    v, (w, h, d) = BOOKS[i], half
    words = (v.brand, v.what, v.size)

    def place(p: Array) -> Array:
        return g.at(pose(p), 0, h, 0)

    def placed(field: Field) -> Field:
        return lambda p: field(place(p))

    def leaves(p: Array) -> Array:
        q = place(p)
        return ink("#efe6d2") * (0.9 + 0.1 * np.sin(q[1] * 700) + 0.1 * fbm(q[1] * 9, q[1] * 3))

    hollow = g.box((w, h - 0.014, d + 0.1), 0.004, (0.02, 0, 0))
    boards = g.cut(g.box((w, h, d), 0.008), hollow, 0.004)
    block = g.box((w - 0.018, h - 0.012, d - 0.015), 0.006, (0.002, 0, 0))
    m = mat.cloth(ink(v.paper), placed(mat.xz), 110, 0.0)
    m = replace(m, rough=0.4 if i % 2 else 0.7, f0=0.04)
    cover, spine = art.cover(words, v.paper, v.ink, v.accent, i), art.spine(words, v.ink, v.accent)
    rect, up = (-w * 0.93, -d, w, d), placed(g.above(h - 0.01))
    m = mat.stamp(m, cover, placed(mat.xz), rect, up)
    m = mat.stamp(
        m, spine, placed(lambda q: (q[2], q[1])), (-d, -h, d, h), placed(lambda q: q[0] < 0.01 - w)
    )
    return [Part(placed(boards), m), Part(placed(block), mat.Material(leaves, None, 0.9))]


def book(rng: Rng, k: int) -> Product:
    if k == 3:  # a pile
        parts, y = [], 0.0
        pile = ((1, (0.36, 0.055, 0.5), 4), (2, (0.34, 0.04, 0.47), -7), (3, (0.3, 0.05, 0.42), 9))
        for i, half, angle in pile:
            parts += volume(i, half, lambda p, y=y, a=angle: g.turn(g.at(p, 0.01, y, 0), 1, a))
            y += 2 * half[1]
        return Product(parts, (20, 40), (-75, -50))
    if k == 2:  # standing on its lower edge, front towards the camera
        stand = g.turned(lambda p: p, 0, 90, (0, 0.5, 0))
        return Product(volume(2, (0.36, 0.06, 0.5), stand), (8, 22), (-48, -25))
    flat = volume(k, (0.37, 0.05 + 0.02 * k, 0.5), lambda p: p)
    return Product(flat, (36, 60), (-40, -12) if k else (15, 40))

"""Toys: teddy bears, a duck, a car, stacking rings and a robot."""

from __future__ import annotations

import numpy as np

from rendering import artwork as art
from rendering import geometry as g
from rendering import materials as mat
from rendering.maths import R, Rng, X, Y, Z, ink, length
from rendering.product import Part, Product


def toy(rng: Rng, k: int) -> Product:
    return (bear, bear, duck, car, rings, robot)[k](rng, k)


def bear(rng: Rng, k: int) -> Product:
    coat, light, silk = (("#a8743f", "#e0c398", "#b5323a"), ("#cfc6bd", "#f2ece4", "#39608f"))[k]
    trunk = g.ball((0.25, 0.31, 0.22), (0, 0.33, 0))
    trunk = g.union(trunk, g.ball((0.24, 0.215, 0.21), (0, 0.8, 0.03)), k=0.06)
    arm = g.limb((0.2, 0.5, 0.04), (0.34, 0.27, 0.16), 0.085, 0.085)
    leg = g.limb((0.15, 0.13, 0.06), (0.25, 0.13, 0.36), 0.125, 0.12)
    trunk = g.union(trunk, g.twin(g.union(arm, leg, k=0.03)), k=0.05)
    trunk = g.union(trunk, g.twin(g.ball((0.085, 0.085, 0.045), (0.19, 0.97, 0.0))), k=0.03)
    trunk = trunk + 0.006 * np.sin(31 * X) * np.sin(29 * Y) * np.sin(33 * Z)
    paw = g.ball((0.07, 0.08, 0.03), (0.265, 0.13, 0.465))
    pads = g.twin(g.union(paw, g.ball((0.05, 0.05, 0.03), (0.19, 0.97, 0.03)), k=0.01))
    muzzle = g.ball((0.1, 0.078, 0.085), (0, 0.745, 0.205))
    nose = g.ball((0.036, 0.026, 0.024), (0, 0.785, 0.285))
    eyes = g.twin(g.ball(0.027, (0.085, 0.86, 0.212)))
    wings = g.twin(g.turned(g.ball((0.085, 0.06, 0.03), (0.1, 0.585, 0.2)), 2, 8))
    bow = g.union(wings, g.ball(0.035, (0, 0.595, 0.215)), k=0.01)
    dots = art.pattern(rng, "dots", "#ffffff", "#ffffff", (256, 256))
    silk = mat.stamp(mat.cloth(ink(silk), mat.XY, 80, 0.01), dots, mat.XY, (-0.2, 0.45, 0.2, 0.75))
    parts = [
        Part(trunk, mat.fur(ink(coat))),
        Part(g.union(muzzle, pads), mat.fur(ink(light))),
        Part(g.union(nose, eyes), mat.plastic(mat.BLACK, 0.08)),
        Part(bow, silk),
    ]
    return Product(parts, (8, 24), (-32, 32))


def duck(rng: Rng, k: int) -> Product:
    tail = g.turned(g.ball((0.12, 0.08, 0.16)), 0, -35, (0, 0.42, -0.38))
    trunk = g.union(g.ball((0.3, 0.28, 0.42), (0, 0.28, 0)), tail, k=0.15)
    trunk = g.union(trunk, g.ball(0.23, (0, 0.7, 0.2)), k=0.14)
    trunk = g.union(trunk, g.twin(g.ball((0.06, 0.13, 0.22), (0.27, 0.32, -0.05))), k=0.05)
    upper = g.ball((0.11, 0.028, 0.1), (0, 0.67, 0.43))
    beak = g.union(upper, g.ball((0.085, 0.022, 0.075), (0, 0.64, 0.42)), k=0.02)
    eyes = g.twin(g.ball((0.032, 0.042, 0.02), (0.095, 0.77, 0.395)))
    parts = [
        Part(g.overlap(trunk, -Y), mat.plastic(ink("#f2c21b"), 0.22)),
        Part(beak, mat.plastic(ink("#e2641d"), 0.25)),
        Part(eyes, mat.plastic(mat.BLACK, 0.05)),
    ]
    return Product(parts, (8, 26), (25, 65))


def wheel(r: float, out: float) -> g.Field:
    one = g.disc(r, 0.05, 0.02, (0, 0, out), 2)
    return g.twin(g.twin(g.moved(one, (0.36, 0.15, 0.22))), 2)


def car(rng: Rng, k: int) -> Product:
    hull = g.box((0.6, 0.13, 0.26), 0.09, (0, 0.25, 0))
    hull = g.union(hull, g.box((0.3, 0.15, 0.22), 0.1, (-0.06, 0.42, 0)), k=0.08)
    hull = g.smax(hull, -g.twin(g.disc(0.175, 0.4, 0.01, (0.36, 0.15, 0), 2)), 0.02)
    x = abs(X + 0.06)
    glazed = (Y > 0.4) & (Y < 0.53) & (x > 0.03) & ((x < 0.24) | (abs(Z) < 0.16))
    m = mat.tint(mat.plastic(ink("#c23a2e"), 0.12), glazed, ink("#22303a"))
    m = mat.tint(m, abs(Y - 0.26) < 0.018, ink(art.CREAM))
    m = mat.stamp(m, art.roundel(), mat.XY, (-0.16, 0.14, 0.06, 0.36), Z > 0.2)
    lamps = g.twin(g.ball((0.03, 0.05, 0.05), (0.585, 0.28, 0.16)), 2)
    parts = [
        Part(hull, m),
        Part(wheel(0.15, 0), mat.RUBBER),
        Part(wheel(0.085, 0.012), mat.metal(mat.STEEL)),
        Part(lamps, mat.plastic(ink("#f6edc8"), 0.05)),
    ]
    return Product(parts, (12, 30), (22, 55))


def rings(rng: Rng, k: int) -> Product:
    parts, y = [], 0.08
    for i, c in enumerate(("#c8453b", "#e38b2c", "#ecc94b", "#5d9e5f", "#3f78a8")):
        t = 0.088 - 0.006 * i
        y += t
        paint = mat.wood(ink(c) * 0.82, ink(c), (X, Y * 0.4 + Z), rough=0.25)
        parts.append(Part(length(R - (0.36 - 0.045 * i) + t, Y - y) - t, paint))
        y += t * 0.93
    pole = g.union(g.disc(0.4, 0.04, 0.03, (0, 0.04, 0)), g.disc(0.07, y / 2, 0.01, (0, y / 2, 0)))
    red = mat.wood(ink("#a3343a"), ink("#c8453b"), mat.SKEW, rough=0.2)
    parts.append(Part(pole, mat.wood(*mat.OAK, mat.LEVEL, rough=0.35)))
    return Product([*parts, Part(g.ball(0.11, (0, y + 0.08, 0)), red)], (10, 28), (-180, 180))


def painted(dark: str, light: str) -> mat.Material:
    return mat.wood(ink(dark), ink(light), mat.UPRIGHT)


def robot(rng: Rng, k: int) -> Product:
    leg = g.box((0.09, 0.16, 0.1), 0.02, (0.13, 0.16, 0))
    legs = g.twin(g.union(leg, g.box((0.11, 0.04, 0.17), 0.02, (0.13, 0.04, 0.05))))
    neck, aerial = g.disc(0.09, 0.04, 0.01, (0, 0.75, 0)), g.disc(0.015, 0.08, 0.005, (0, 1.08, 0))
    shoulders = g.twin(g.disc(0.07, 0.05, 0.02, (0.28, 0.62, 0), 0))
    arms = g.twin(g.box((0.06, 0.19, 0.07), 0.03, (0.355, 0.48, 0.02)))
    eyes = g.twin(g.ball((0.05, 0.05, 0.03), (0.09, 0.93, 0.15)))
    chest, dials = painted("#3f7f88", "#5fa0a5"), (-0.18, 0.38, 0.18, 0.66)
    face, mouth = mat.wood(*mat.OAK, mat.UPRIGHT), (-0.11, 0.8, 0.11, 0.86)
    chest = mat.stamp(chest, art.dials(), mat.XY, dials, Z > 0.14)
    face = mat.stamp(face, art.grille(), mat.XY, mouth, Z > 0.12)
    parts = [
        Part(legs, painted("#c9503c", "#db6f56")),
        Part(g.box((0.26, 0.22, 0.17), 0.04, (0, 0.52, 0)), chest),
        Part(g.box((0.2, 0.14, 0.15), 0.05, (0, 0.9, 0)), face),
        Part(g.union(neck, shoulders, aerial), mat.metal(mat.STEEL)),
        Part(arms, painted("#d79a33", "#e8b85a")),
        Part(g.union(g.ball(0.045, (0, 1.17, 0)), eyes), mat.plastic(ink("#22262b"), 0.08)),
    ]
    return Product(parts, (8, 24), (-35, 35))

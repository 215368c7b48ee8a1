"""Prints: patterns, labels, screens and book covers, drawn with Pillow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rendering.maths import Rng

Size = tuple[int, int]
Pen = ImageDraw.ImageDraw
EARTH, CREAM, SLATE = "#3b2a1d", "#f3e7c9", "#1a1a1a"


def write(d: Pen, x: float, y: float, text: str, size: float, fill: str, fit: float = 1e9) -> None:
    wide = ImageFont.load_default(size).getlength(text)
    font = ImageFont.load_default(size * min(1, fit / max(wide, 1)))
    d.text((x, y), text, fill, font, anchor="mm")


def canvas(size: Size, ground: str | None = None) -> tuple[Image.Image, Pen]:
    image = Image.new("RGBA", size, ground or (0, 0, 0, 0))
    return image, ImageDraw.Draw(image)


def around(x: float, y: float, r: float) -> tuple[float, float, float, float]:
    return x - r, y - r, x + r, y + r


def peak(x: float, y: float, r: float) -> list[tuple[float, float]]:
    return [(x - r, y + r), (x, y - r), (x + r, y + r)]


def motif(d: Pen, kind: str, x: float, y: float, step: int, fill: str, stem: str) -> None:
    r = step * 0.24
    if kind == "dots":
        d.ellipse(around(x, y, r), fill=fill)
    elif kind == "peaks":
        d.polygon(peak(x, y, r), fill=fill)
    else:  # leaves
        for s in (-1, 1):
            tip, back = (x + s * r * 1.5, y + r * 0.2), (x + s * r * 0.9, y - r)
            d.polygon([(x, y + r), tip, back], fill=fill)
        d.line((x, y + r * 1.7, x, y - r), fill=stem, width=max(2, step // 24))


def pattern(rng: Rng, kind: str, a: str, b: str, size: Size) -> Image.Image:
    """All-over decoration in two inks on a clear ground."""
    w, h = size
    image, d = canvas(size)
    step = h // int(rng.integers(4, 7))
    if kind == "stripes":
        for i, y in enumerate(range(step // 2, h, step)):
            d.rectangle((0, y, w, y + step * rng.uniform(0.12, 0.55)), fill=(a, b)[i % 2])
    elif kind == "waves":
        xs = np.arange(0, w + 8, 8)
        for j, y in enumerate(range(-step, h + step, step // 2)):
            ys = y + step * 0.2 * np.sin(xs * 12 * np.pi / w * 2)
            crest = list(zip(xs.tolist(), ys.tolist(), strict=True))
            d.line(crest, fill=(a, b)[j % 2], width=step // 8)
    else:
        cols = max(3, round(w / step))
        for i in range(cols):
            for j in range(h // step + 1):
                x, y = (i + 0.5 * (j % 2)) * w / cols, (j + 0.5) * step
                motif(d, kind, x, y, step, (a, b)[int(rng.integers(2))], a)
    return image


def barcode(d: Pen, rng: Rng, x: float, y: float, w: float, h: float) -> None:
    d.rectangle((x - 6, y - 6, x + w + 6, y + h + 6), fill="#ffffff")
    while w > 0:
        bar = int(rng.integers(2, 6))
        d.rectangle((x, y, x + bar - 1, y + h), fill="#15161a")
        x, w = x + 2 * bar, w - 2 * bar


def label(
    rng: Rng, words: Sequence[str], paper: str | None, a: str, b: str, size: Size
) -> Image.Image:
    """A product label: emblem, brand, what it is and, on paper, a frame and small print."""
    w, h = size
    image, d = canvas(size)
    if paper:
        d.rounded_rectangle((2, 2, w - 3, h - 3), min(w, h) // 18, fill=paper)
        d.rounded_rectangle((16, 16, w - 17, h - 17), min(w, h) // 24, outline=a, width=3)
    r, x, y = min(w, h) * 0.13, w / 2, h * 0.2
    emblem = int(rng.integers(3))
    if emblem == 0:
        d.ellipse(around(x, y, r), fill=b)
        d.pieslice(around(x, y, r), 20, 160, fill=a)
    elif emblem == 1:
        for s in (-1, 0, 1):
            d.ellipse((x + s * r - r / 2, y - r, x + s * r + r / 2, y + r), outline=b, width=6)
    else:
        d.polygon(peak(x, y, r), fill=b)
        d.polygon([(x, y + r), (x + r * 0.8, y - r * 0.1), (x + r * 1.6, y + r)], fill=a)
    big = min(h * 0.17, w * 0.3)
    write(d, w / 2, h * 0.47, words[0], big, a, w * 0.78)
    d.line((w * 0.25, h * 0.58, w * 0.75, h * 0.58), fill=b, width=4)
    write(d, w / 2, h * 0.66, words[1], big * 0.5, a, w * 0.66)
    if paper:
        for i in range(4):
            half, y = w * rng.uniform(0.18, 0.36), h * (0.76 + 0.035 * i)
            d.line((w / 2 - half, y, w / 2 + half, y), a, 3)
        write(d, w / 2, h * 0.92, words[2], big * 0.34, b)
    return image


def parcel_label(rng: Rng) -> Image.Image:
    image, d = canvas((420, 280), "#fbfbf8")
    d.rectangle((4, 4, 415, 275), outline=SLATE, width=3)
    d.rectangle((4, 4, 120, 84), fill=SLATE)
    write(d, 62, 44, "P2", 54, "#ffffff")
    for i, y in enumerate(range(26, 120, 19)):
        d.line((140, y, 140 + int(rng.integers(90, 250)), y), fill="#333333", width=8 - 3 * (i % 2))
    barcode(d, rng, 40, 150, 330, 84)
    write(d, 205, 256, f"{rng.integers(10**9, 10**10)}", 22, SLATE)
    return image


def parcel_print() -> Image.Image:
    image, d = canvas((600, 400))
    arrow = ((0, 330), (0, 270), (-20, 270), (16, 225), (52, 270), (32, 270), (32, 330))
    for left in (60, 130):
        d.polygon([(left + x, y) for x, y in arrow], fill=EARTH)
    d.line((40, 345, 190, 345), fill=EARTH, width=8)
    write(d, 430, 300, "FRAGILE", 60, "#7a2f22")
    return image


def small_print(rng: Rng, ground: str) -> Image.Image:
    image, d = canvas((200, 700), ground)
    for y in range(120, 480, 22):
        d.line((30, y, int(rng.integers(110, 170)), y), fill="#ffffff", width=5)
    barcode(d, rng, 30, 560, 140, 90)
    return image


def screen(rng: Rng, size: Size, a: str, b: str) -> Image.Image:
    """A home screen: gradient wallpaper, clock, status marks, rounded app tiles."""
    w, h = size
    y, x = np.mgrid[0:h, 0:w]
    t = np.clip(y / h * 0.8 + 0.2 * np.sin(x / w * 3 + y / h * 5), 0, 1)[..., None]
    ca, cb = (np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in (a, b))
    image = Image.fromarray((ca + (cb - ca) * t).astype(np.uint8)).convert("RGBA")
    d = ImageDraw.Draw(image)
    write(d, w / 2, h * 0.16, f"{rng.integers(7, 20)}:{rng.integers(10, 60)}", w * 0.2, "#ffffff")
    write(d, w / 2, h * 0.25, "Tuesday, 14 May", w * 0.06, "#ffffff")
    write(d, w * 0.12, h * 0.03, "9:41", w * 0.045, "#ffffff")
    d.rounded_rectangle((w * 0.85, h * 0.02, w * 0.93, h * 0.04), 4, fill="#ffffff")
    s = w * 0.15
    for j in range(5):
        for i in range(4):
            px, py = w * (0.08 + 0.23 * i), h * (0.36 + 0.115 * j) + (h * 0.03 if j == 4 else 0)
            c = tuple(int(v) for v in rng.integers(60, 250, 3))
            d.rounded_rectangle((px, py, px + s, py + s), s * 0.24, fill=c)
            d.ellipse((px + s * 0.3, py + s * 0.3, px + s * 0.7, py + s * 0.7), fill="#ffffff")
    return image


def page(rng: Rng) -> Image.Image:
    image, d = canvas((480, 640), "#d8d6cc")
    write(d, 240, 60, "Chapter 4", 40, "#33332f")
    for j in range(26):
        end = 440 if j % 7 != 6 else int(rng.integers(120, 380))
        d.line((40, 120 + 19 * j, end, 120 + 19 * j), "#5b5a54", 7)
    return image


def cover(words: Sequence[str], ground: str, a: str, b: str, style: int) -> Image.Image:
    image, d = canvas((480, 660), ground)
    inks = (a, b)
    if style == 0:
        for i in range(7):
            d.ellipse(around(240, 380, 36 * i), outline=inks[i % 2], width=12)
    elif style == 1:
        d.ellipse(around(330, 250, 60), fill=b)
        hills = [(0, 560), (150, 330), (290, 520), (380, 410), (480, 560), (480, 660), (0, 660)]
        d.polygon(hills, fill=a)
    elif style == 2:
        for i in range(6):
            for j in range(5):
                x, y, turn = 63 + 72 * i, 263 + 72 * j, 90 * (i * j % 4)
                d.pieslice(around(x, y, 33), turn, turn + 180, inks[(i + j) % 2])
    else:
        for i in range(9):
            d.line((30, 240 + 40 * i, 450, 200 + 46 * i), fill=inks[i % 2], width=10)
    write(d, 240, 80, words[0], 58, a)
    write(d, 240, 142, words[1], 34, a)
    write(d, 240, 628, words[2], 28, "#ffffff" if style == 1 else b)
    return image


def spine(words: Sequence[str], a: str, b: str) -> Image.Image:
    image, d = canvas((600, 90))
    write(d, 250, 44, " ".join(words[:2]), 46, a)
    for x in (20, 580):
        d.line((x, 8, x, 82), b, 8)
    return image


def roundel() -> Image.Image:
    image, d = canvas((200, 200))
    d.ellipse((10, 10, 190, 190), fill=CREAM)
    write(d, 100, 100, "7", 150, "#1d1f24")
    return image


def dials() -> Image.Image:
    image, d = canvas((300, 250), "#e9e4d4")
    d.rectangle((10, 10, 290, 240), outline="#3a3a3a", width=8)
    for i, c in enumerate(("#d14b3a", "#e8b33c", "#3f8a6a")):
        d.ellipse((40 + 80 * i, 40, 95 + 80 * i, 95), fill=c)
    d.arc((60, 110, 240, 290), 180, 360, fill="#3a3a3a", width=8)
    d.line((150, 200, 195, 140), fill="#d14b3a", width=8)
    return image


def grille() -> Image.Image:
    image, d = canvas((200, 60))
    for x in range(5, 200, 32):
        d.rectangle((x, 5, x + 22, 55), fill="#2b2b2b")
    return image


def maker_mark() -> Image.Image:
    image, d = canvas((200, 200))
    d.ellipse((60, 40, 140, 120), outline="#c7d3dc", width=10)
    d.line((100, 80, 100, 150), "#c7d3dc", 10)
    return image

"""Two ways of sending a picture that a screen shows: a screenshot, and a photo of the screen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import cv2
import numpy as np

from damagenet.images import Array
from damagenet.synth.ink import letters, paint
from damagenet.synth.scaling import resized

Step = dict[str, Any]

_TITLES = {
    "viewer": ("Today", "Yesterday", "Monday", "12 March", "Camera roll", "2 of 5", "IMG_2041"),
    "chat": ("Support", "Customer service", "Seller", "Home & Living shop", "Anna", "Help desk"),
    "order": ("Return request", "Order details", "Refund", "Report a problem", "Write a review"),
}
_LINES = (
    "Item arrived like this", "Please see the photo", "Order 4471 2089 115", "Qty 1",
    "Photo 1 of 3", "Received yesterday", "Thank you for your patience", "Submitted",
    "Reason for return", "Seller replies within 24 h", "Is this normal?", "Good morning",
    "As described", "Size M, grey", "Hello, I have a question", "It was well packed",
)  # fmt: skip
_DARK, _LIGHT = (14, 14, 16), (247, 247, 249)
_ACCENTS = ((7, 193, 96), (255, 80, 0), (0, 122, 255), (255, 153, 0), (225, 37, 27))

_SAMPLES = np.array([NormalDist().inv_cdf((i + 0.5) / 256) for i in range(256)])
"""Standard normal values by random byte."""


def plan_screenshot(rng: np.random.Generator) -> Step:
    """Draw the screen around the picture and its size on that screen."""
    layout = str(rng.choice(list(_TITLES)))
    lines = {"viewer": 0, "chat": int(rng.integers(1, 3)), "order": int(rng.integers(1, 4))}[layout]
    return {
        "op": "screenshot", "layout": layout,
        "factor": round(float(rng.uniform(0.65, 1.2)), 3),
        "kernel": str(rng.choice(["linear", "linear", "cubic", "area"])),
        "dark": bool(rng.random() < (0.75 if layout == "viewer" else 0.3)),
        "margin": 0.0 if layout == "viewer" else round(float(rng.choice([0.0, 0.04, 0.06])), 3),
        "gap": [round(float(v), 3) for v in rng.uniform(0.0, 0.16, 2)],
        "clock": f"{rng.integers(7, 24)}:{rng.integers(60):02d}",
        "battery": int(rng.integers(8, 101)), "signal": int(rng.integers(1, 5)),
        "title": str(rng.choice(_TITLES[layout])),
        "lines": [str(line) for line in rng.choice(_LINES, lines, replace=False)],
        "accent": [int(v) for v in _ACCENTS[int(rng.integers(len(_ACCENTS)))]],
        "cropped": bool(rng.random() < 0.3),
    }  # fmt: skip


def screenshot(image: Array, masks: Sequence[Array], step: Step) -> tuple[Array, list[Array]]:
    """Show a picture on a phone: resampled to screen pixels, with bars and captions around it.

    Masks move with the picture and are 0 on what the phone drew.
    """
    canvas, place = _screen(json.dumps(step), *image.shape[:2])
    size = [side.stop - side.start for side in place[::-1]]
    canvas = canvas.copy()
    canvas[place] = resized(image, size, step["kernel"])
    moved = []
    for mask in masks:
        moved.append(np.zeros(canvas.shape[:2], np.uint8))
        moved[-1][place] = resized(mask, size)
    return canvas, moved


@lru_cache(maxsize=1)
def _screen(drawn: str, high: int, wide: int) -> tuple[Array, tuple[slice, slice]]:
    """The screen around a picture of `high` x `wide` pixels, and where on it the picture goes."""
    step = json.loads(drawn)
    width = max(64, round(wide * step["factor"]))
    shown = max(48, round(width * (1 - 2 * step["margin"])))
    tall = max(48, round(high * shown / wide))
    u = width / 390  # the point, the unit in which phones lay out
    above, below = (round(gap * width) for gap in step["gap"])
    bars = {"viewer": (44, 84), "chat": (44, 76), "order": (44, 92)}[step["layout"]]
    # Some people cut the phone's own bars off before sending.
    head = 0 if step["cropped"] else round((46 + bars[0]) * u)
    foot = 0 if step["cropped"] else round(bars[1] * u)
    text = round(30 * u) * len(step["lines"])
    top, left = head + above, (width - shown) // 2
    ground, front = (_DARK, _LIGHT) if step["dark"] else (_LIGHT, _DARK)
    canvas = np.full((top + tall + text + below + foot, width, 3), ground, np.uint8)
    grey = tuple((2 * a + 3 * b) // 5 for a, b in zip(front, ground, strict=True))
    for i, line in enumerate(step["lines"]):
        y = top + tall + (i + 0.5) * round(30 * u) + 2 * u
        _text(canvas, line, 16 * u, y, (15 if i == 0 else 13) * u, front if i == 0 else grey)
    if not step["cropped"]:
        _status(canvas, step, u, front)
        _text(canvas, step["title"], width / 2, 68 * u, 17 * u, front, 0.5)
        for end in (-1, 1):  # the chevron that leads back
            _line(canvas, (15 * u, 68 * u), (23 * u, (68 + 8 * end) * u), 2 * u, front)
        _foot(canvas, step, u, front, grey)
    return canvas, np.s_[top : top + tall, left : left + shown]


def _status(canvas: Array, step: Step, u: float, front: tuple[int, ...]) -> None:
    """The bar of the phone: time, signal, battery."""
    width = canvas.shape[1]
    _text(canvas, step["clock"], 30 * u, 24 * u, 15 * u, front)
    for i in range(4):
        shade = front if i < step["signal"] else tuple((v + 128) // 2 for v in front)
        x = width - (108 - 6 * i) * u
        _box(canvas, x, (27 - 3 * i) * u, 4 * u, (3 + 3 * i) * u, shade, u)
    _text(canvas, str(step["battery"]), width - 44 * u, 24 * u, 12 * u, front, 1.0)
    _box(canvas, width - 38 * u, 18 * u, 24 * u, 12 * u, front, 3 * u)
    inner = tuple(255 - v for v in front)
    _box(canvas, width - 36.5 * u, 19.5 * u, 21 * u, 9 * u, inner, 2 * u)
    _box(canvas, width - 36 * u, 20 * u, 0.2 * step["battery"] * u, 8 * u, front, 1.5 * u)


def _foot(
    canvas: Array, step: Step, u: float, front: tuple[int, ...], grey: tuple[int, ...]
) -> None:
    """The bar of the app, and the home indicator."""
    height, width = canvas.shape[:2]
    if step["layout"] == "chat":
        field = tuple(
            (12 * b + f) // 13 for b, f in zip(canvas[-1, 0].tolist(), front, strict=True)
        )
        _box(canvas, 14 * u, height - 66 * u, width - 70 * u, 34 * u, field, 17 * u)
        _text(canvas, "Message", 30 * u, height - 49 * u, 14 * u, grey)
        _box(canvas, width - 46 * u, height - 66 * u, 34 * u, 34 * u, step["accent"], 17 * u)
    elif step["layout"] == "order":
        _box(canvas, 16 * u, height - 78 * u, width - 32 * u, 44 * u, step["accent"], 22 * u)
        _text(canvas, "Submit", width / 2, height - 56 * u, 16 * u, (255, 255, 255), 0.5)
    else:
        for i in range(4):  # share, mark, edit, delete: rings stand for the icons
            x = (i + 0.5) * width / 4
            _box(canvas, x - 9 * u, height - 66 * u, 18 * u, 18 * u, front, (9, 4, 2, 6)[i] * u)
            _box(canvas, x - 7 * u, height - 64 * u, 14 * u, 14 * u, canvas[-1, 0], 5 * u)
    _box(canvas, width / 2 - 67 * u, height - 13 * u, 134 * u, 5 * u, front, 2.5 * u)


def _text(
    canvas: Array, text: str, x: float, y: float, size: float, colour: Sequence[int],
    anchor: float = 0.0,
) -> None:  # fmt: skip
    ink = letters(text, size)
    paint(canvas, (), ink, colour, round(x - anchor * ink.shape[1]), round(y - 0.56 * len(ink)))


def _line(
    canvas: Array, start: tuple[float, float], end: tuple[float, float], width: float,
    colour: Sequence[int],
) -> None:  # fmt: skip
    first, last = (tuple(round(16 * v) for v in point) for point in (start, end))
    shade = [int(v) for v in colour]
    cv2.line(canvas, first, last, shade, max(1, round(width)), cv2.LINE_AA, 4)


def _box(
    canvas: Array, x: float, y: float, width: float, height: float, colour: Sequence[int],
    radius: float,
) -> None:  # fmt: skip
    """A filled rectangle with round corners."""
    radius = min(radius, width / 2, height / 2)
    turn = np.linspace(0, np.pi / 2, 9)
    arc = np.stack([np.cos(turn), np.sin(turn)], 1) * radius
    corners = []
    for right, low in ((1, 1), (0, 1), (0, 0), (1, 0)):
        room = np.array([right * (width - 2 * radius), low * (height - 2 * radius)])
        corners.append(np.array([x, y]) + radius + room + arc)
        arc = np.stack([-arc[:, 1], arc[:, 0]], 1)
    points = np.rint(np.concatenate(corners) * 16).astype(np.int32)
    cv2.fillPoly(canvas, [points], [int(v) for v in colour], cv2.LINE_AA, 4)


def plan_screen(rng: np.random.Generator) -> Step:
    """Draw how a screen is photographed: stance, pixel pitch, glare, colours, focus, noise."""

    def between(low: float, high: float, digits: int = 3) -> float:
        return round(float(rng.uniform(low, high)), digits)

    low = -0.05 if rng.random() < 0.3 else 0.0
    return {
        "op": "screen",
        # Corners of what the photo shows, inwards from the corners of the screen's picture;
        # outwards of them lies its dark edge.
        "inset": [[between(low, 0.05, 4), between(low, 0.05, 4)] for _ in range(4)],
        "factor": between(0.8, 1.1),
        # Screen pixels per photo pixel: near a whole number the two grids beat visibly.
        "pitch": round(float(rng.choice([1, 1, 2]) + rng.uniform(-0.06, 0.06)), 4),
        "bulge": between(-0.01, 0.01, 4),
        "moire": round(0.008 + 0.07 * float(rng.random() ** 2), 4),
        "rows": round(0.03 * float(rng.random() ** 2), 4), "shift": between(0.08, 0.33),
        "tint": [between(0.88, 1.0), between(0.94, 1.0), between(0.95, 1.06)],
        "gamma": between(0.9, 1.2), "veil": between(4, 26, 1),
        "glare": [between(-0.1, 1.1), between(-0.1, 1.1), between(0.15, 0.5), between(0, 50, 1)],
        "slope": [between(-22, 22, 1), between(-22, 22, 1)],
        "blur": between(0.45, 1.0), "noise": between(1.2, 5.0, 2),
        "seed": int(rng.integers(1 << 31)),
    }  # fmt: skip


def rephotograph(image: Array, masks: Sequence[Array], step: Step) -> tuple[Array, list[Array]]:
    """Photograph a picture off a screen: perspective, moiré, glare, soft focus, sensor noise.

    The moiré is the first harmonic of the sub-pixel grid, sampled at the pixels of the photo: a
    grid of `pitch` cycles a pixel aliases to the beat between the two, whose phase differs between
    the stripes of the three colours.
    """
    height, width = image.shape[:2]
    matrix, light, glare, noise = _stance(json.dumps(step), height, width)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = noise.shape[1::-1]
    photo, *moved = (
        cv2.warpPerspective(plane, matrix, size, flags=flags) for plane in (image, *masks)
    )
    photo = cv2.multiply(cv2.LUT(photo, _tone(step)[None]), light, scale=1 / 128)
    photo = cv2.GaussianBlur(cv2.add(photo, glare), (0, 0), step["blur"])
    return cv2.addWeighted(photo, 1, noise, 1, -128), moved


@lru_cache(maxsize=1)  # twins are sent one after another
def _stance(drawn: str, height: int, width: int) -> tuple[Any, Array, Array, Array]:
    """What a step does to any picture: its perspective, and moiré, glare and noise `[h, w, 3]`."""
    step = json.loads(drawn)
    size = [max(64, round(side * step["factor"])) for side in (width, height)]
    outward = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    inset = np.array(step["inset"], np.float32) * (1 - 2 * outward)
    source = ((outward + inset) * (width, height) - 0.5).astype(np.float32)
    target = (outward * size - 0.5).astype(np.float32)
    matrix = cv2.getPerspectiveTransform(target, source)
    across, down = _beats(matrix / matrix[2, 2], size, step)
    turn = np.arange(256) / 256
    stripes = [_wave(step["moire"], turn + c * step["shift"]) for c in range(3)]
    rows = cv2.LUT(down, _wave(step["rows"], turn))
    light = cv2.merge(
        [cv2.multiply(cv2.LUT(across, stripe), rows, scale=1 / 128) for stripe in stripes]
    )
    codes = np.random.default_rng(step["seed"]).integers(0, 256, light.shape, np.uint8)
    table = np.clip(np.rint(128 + step["noise"] * _SAMPLES), 0, 255).astype(np.uint8)
    return matrix, light, cv2.merge([_glare(size, step)] * 3), cv2.LUT(codes, table)


def _beats(matrix: Any, size: list[int], step: Step) -> tuple[Array, Array]:  # noqa: ANN401
    """Phase of the beat across columns and down rows, uint8 `[h, w]` each; 256 is a full turn."""
    x = np.arange(size[0], dtype=np.float32)[None]
    y = np.arange(size[1], dtype=np.float32)[:, None]
    m = matrix.astype(np.float32)
    below = 1 / (m[2, 0] * x + m[2, 1] * y + 1)
    centre = np.array(size, np.float32) / 2
    bulge = 1 + np.float32(step["bulge"]) * (
        ((x - centre[0]) / centre[0]) ** 2 + ((y - centre[1]) / centre[1]) ** 2
    )
    pitch = np.float32(step["pitch"] * step["factor"]) * bulge * below
    phases = []
    for row in (0, 1):
        turns = (m[row, 0] * x + m[row, 1] * y + m[row, 2]) * pitch
        phases.append(np.floor(turns * 256).astype(np.int32).astype(np.uint8))
    return phases[0], phases[1]


def _wave(depth: float, turn: Any) -> Array:  # noqa: ANN401
    return np.rint(128 * (1 - depth + depth * np.cos(2 * np.pi * turn))).astype(np.uint8)


def _tone(step: Step) -> Array:
    """Colour and contrast of the screen as the camera sees it, uint8 `[256, 3]`."""
    light = (np.arange(256) / 255)[:, None] ** step["gamma"] * np.array(step["tint"])
    return np.clip(np.rint(step["veil"] + (255 - step["veil"]) * light), 0, 255).astype(np.uint8)


def _glare(size: list[int], step: Step) -> Array:
    """Light that the glass reflects: a slope and a soft lamp, uint8 `[h, w]`."""
    y, x = (np.mgrid[:24, :24] + 0.5) / 24
    left, top, reach, strength = step["glare"]
    lamp = strength * np.exp(-((x - left) ** 2 + (y - top) ** 2) / (2 * reach**2))
    slope = step["slope"][0] * (x - 0.5) + step["slope"][1] * (y - 0.5)
    coarse = np.maximum(lamp + slope + 8, 0).astype(np.float32)
    return np.rint(np.clip(cv2.resize(coarse, size), 0, 255)).astype(np.uint8)

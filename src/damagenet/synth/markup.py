"""What honest buyers draw on their photos: circles, arrows, a few words, a hidden address, a date.

Markup is no doctoring: it is drawn alike on all twins of a draw. A mask only loses the pixels that
opaque ink covers, because nothing of the doctored surface is left to see there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from damagenet.images import Array
from damagenet.synth.ink import Points, letters, paint, stroke

Mark = dict[str, Any]
Focus = tuple[float, float, float]

INKS = {
    "red": (232, 32, 30), "crimson": (200, 10, 40), "orange": (255, 128, 16),
    "yellow": (255, 221, 25), "green": (40, 190, 60), "blue": (25, 110, 245),
    "black": (16, 16, 18), "white": (250, 250, 250),
}  # fmt: skip
PEN = ("red",) * 9 + ("crimson", "crimson", "yellow", "green", "blue", "black", "white")
COMBINATIONS = (
    ("ring",), ("ring",), ("ring",), ("box",), ("arrow",), ("arrow",), ("ring", "arrow"),
    ("ring", "words"), ("arrow", "words"), ("words",), ("cover",), ("cover", "ring"), ("stamp",),
    ("stamp",), ("stamp", "ring"),
)  # fmt: skip
WORDS = (
    "broken", "Broken here", "damaged", "DAMAGED", "crack!", "see here", "look", "here", "defect",
    "arrived like this", "this part", "what is this?", "not ok", "???", "!!", "1", "2", "No. 3",
    "side A", "new, unused", "bottom", "front",
)  # fmt: skip


def plan(rng: np.random.Generator, focus: Focus | None = None) -> dict[str, Any]:
    """Draw one or two marks as a small JSON-able step.

    Args:
        rng: Makes every choice.
        focus: Where the damage sits or would sit: x and y as fractions of width and height, radius
            as a fraction of the longer side. None: anywhere.
    """
    x, y, radius = focus or (*rng.uniform(0.3, 0.7, 2), rng.uniform(0.06, 0.2))
    names = COMBINATIONS[int(rng.integers(len(COMBINATIONS)))]
    common = {
        "x": _rounded(np.clip(x + rng.normal(0, 0.012), 0.02, 0.98)),
        "y": _rounded(np.clip(y + rng.normal(0, 0.012), 0.02, 0.98)),
        "radius": _rounded(np.clip(radius * rng.uniform(1.1, 1.7), 0.055, 0.4)),
        "ink": str(rng.choice(PEN)),
        "width": _rounded(rng.uniform(0.006, 0.016)),
    }
    return {"op": "markup", "marks": [_PLANS[name](rng, dict(common)) for name in names]}


def draw(image: Array, masks: Sequence[Array], step: dict[str, Any]) -> tuple[Array, list[Array]]:
    """Draw the marks of a step.

    Args:
        image: uint8 `[h, w, 3]`; left alone.
        masks: uint8 `[h, w]` each; left alone.
        step: As `plan` gives.

    Returns:
        The picture with its marks, and the masks with 0 where ink hides the picture.
    """
    image, masks = image.copy(), [mask.copy() for mask in masks]
    for mark in step["marks"]:
        _DRAWERS[mark["mark"]](image, masks, mark)
    return image, masks


def _rounded(value: float) -> float:
    return round(float(value), 4)


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(1 << 31))


def _plan_ring(rng: np.random.Generator, mark: Mark) -> Mark:
    # Two in three are drawn with a finger; the others are the editor's own ellipse.
    wobble = float(rng.uniform(0.02, 0.07)) if rng.random() < 0.67 else 0.0
    return mark | {
        "mark": "ring", "aspect": _rounded(np.exp(rng.normal(0, 0.25))),
        "tilt": _rounded(rng.uniform(-0.6, 0.6)), "wobble": _rounded(wobble),
        "opacity": float(rng.choice([1.0, 1.0, 1.0, 0.45])), "seed": _seed(rng),
    }  # fmt: skip


def _ring(image: Array, masks: list[Array], mark: Mark) -> None:
    rng = np.random.default_rng(mark["seed"])
    centre, radius, long_side = _place(image, mark)
    turns = 2 * np.pi + (rng.uniform(-0.25, 0.7) if mark["wobble"] else 0)
    t = np.linspace(0, turns, 90) + rng.uniform(0, 2 * np.pi)
    reach = np.ones(t.size)
    for k in (1, 2, 3, 5):
        reach += mark["wobble"] * rng.normal() / k**0.5 * np.cos(k * t + rng.uniform(0, 6.28))
    reach += np.linspace(-1, 1, t.size) * mark["wobble"] * 1.6 * rng.normal()  # ends miss
    room = 0.46 * np.array(image.shape[1::-1])  # nobody draws beyond the edge of the screen
    half = np.minimum(radius * np.array([mark["aspect"] ** 0.5, mark["aspect"] ** -0.5]), room)
    x, y = half[0] * reach * np.cos(t), half[1] * reach * np.sin(t)
    tilt = mark["tilt"]
    points = np.stack([x * np.cos(tilt) - y * np.sin(tilt), x * np.sin(tilt) + y * np.cos(tilt)])
    ink = stroke(image.shape, centre + points.T, mark["width"] * long_side)
    if mark["opacity"] < 1:  # a highlighter: wider, and the picture shows through
        ink = stroke(image.shape, centre + points.T, 2.2 * mark["width"] * long_side)
        ink = cv2.convertScaleAbs(ink, alpha=mark["opacity"])
    paint(image, masks, ink, INKS[mark["ink"]])


def _plan_box(rng: np.random.Generator, mark: Mark) -> Mark:
    return mark | {"mark": "box", "aspect": _rounded(np.exp(rng.normal(0, 0.3)))}


def _box(image: Array, masks: list[Array], mark: Mark) -> None:
    centre, radius, long_side = _place(image, mark)
    half = radius * np.array([mark["aspect"] ** 0.5, mark["aspect"] ** -0.5])
    corners = centre + half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    ink = stroke(image.shape, corners, mark["width"] * long_side, closed=True)
    paint(image, masks, ink, INKS[mark["ink"]])


def _plan_arrow(rng: np.random.Generator, mark: Mark) -> Mark:
    # The tail lies towards the middle of the picture, where there is room for it.
    inward = np.arctan2(0.5 - mark["y"], 0.5 - mark["x"]) + rng.normal(0, 0.4)
    return mark | {
        "mark": "arrow", "style": str(rng.choice(["pen", "pen", "solid"])),
        "angle": _rounded(inward), "length": _rounded(rng.uniform(0.12, 0.3)),
        "bend": _rounded(rng.normal(0, 0.12)), "seed": _seed(rng),
    }  # fmt: skip


def _arrow(image: Array, masks: list[Array], mark: Mark) -> None:
    rng = np.random.default_rng(mark["seed"])
    centre, radius, long_side = _place(image, mark)
    along = np.array([np.cos(mark["angle"]), np.sin(mark["angle"])])
    across = np.array([-along[1], along[0]])
    tip = centre + along * radius * rng.uniform(0.35, 0.9)
    length, width = mark["length"] * long_side, mark["width"] * long_side
    if mark["style"] == "solid":
        head, shaft = max(0.3 * length, 4 * width), 0.9 * width
        outline = [(0, 0), (head, 0.55 * head), (0.82 * head, shaft), (length, 0.35 * shaft)]
        outline += [(a, -b) for a, b in outline[:0:-1]]
        points = np.array([tip + a * along + b * across for a, b in outline])
        ink = np.zeros(image.shape[:2], np.uint8)
        cv2.fillPoly(ink, [np.rint(points * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    else:
        t = np.linspace(0, 1, 24)[:, None]
        sway = mark["bend"] * length * np.sin(np.pi * t)
        ink = stroke(image.shape, tip + t * length * along + sway * across, width)
        for side in (-1, 1):
            turn = side * rng.uniform(0.4, 0.75) + mark["bend"] * 2
            wing = along * np.cos(turn) + across * np.sin(turn)
            ends = np.array([tip, tip + wing * length * rng.uniform(0.25, 0.36)])
            ink = np.maximum(ink, stroke(image.shape, ends, width))
    paint(image, masks, ink, INKS[mark["ink"]])


def _plan_words(rng: np.random.Generator, mark: Mark) -> Mark:
    return mark | {
        "mark": "words", "text": str(rng.choice(WORDS)), "size": _rounded(rng.uniform(0.045, 0.09)),
        "style": str(rng.choice(["plain", "plain", "edged", "label"])),
        "above": bool(rng.random() < 0.5), "bold": _rounded(rng.choice([0.0, 0.04, 0.07])),
    }  # fmt: skip


def _words(image: Array, masks: list[Array], mark: Mark) -> None:
    height, width = image.shape[:2]
    centre, radius, long_side = _place(image, mark)
    size = min(mark["size"] * long_side, 1.6 * width / max(4, len(mark["text"])))
    ink = letters(mark["text"], size, mark["bold"] * size)
    pad = max(2, round(0.35 * size))
    ink = np.pad(ink, pad)
    top = centre[1] + (-radius - ink.shape[0] if mark["above"] else radius)
    left = int(np.clip(centre[0] - ink.shape[1] / 2, 0, max(0, width - ink.shape[1])))
    top = int(np.clip(top, 0, max(0, height - ink.shape[0])))
    colour = INKS[mark["ink"]]
    light = sum(colour) > 420
    if mark["style"] == "label":
        plate = np.full(ink.shape, 255, np.uint8)
        paint(image, masks, plate, colour, left, top)
        colour = INKS["black" if light else "white"]
    elif mark["style"] == "edged":
        ring = cv2.dilate(ink, np.ones((3, 3), np.uint8), iterations=max(1, round(size / 20)))
        paint(image, masks, ring, INKS["black" if light else "white"], left, top)
    paint(image, masks, ink, colour, left, top)


def _plan_cover(rng: np.random.Generator, mark: Mark) -> Mark:
    # An address or a face is hidden, not the damage: the far side of the picture.
    width, height = rng.uniform(0.2, 0.42), rng.uniform(0.07, 0.18)
    x = rng.uniform(0.5, 0.95) if mark["x"] < 0.5 else rng.uniform(0.05, 0.5)
    y = rng.uniform(0.6, 0.95) if mark["y"] < 0.5 else rng.uniform(0.05, 0.4)
    return {
        "mark": "cover", "style": str(rng.choice(["brush", "brush", "pixels", "blur", "bar"])),
        "x": _rounded(np.clip(x, width / 2, 1 - width / 2)),
        "y": _rounded(np.clip(y, height / 2, 1 - height / 2)),
        "size": [_rounded(width), _rounded(height)],
        "block": _rounded(rng.uniform(0.014, 0.03)), "seed": _seed(rng),
    }  # fmt: skip


def _cover(image: Array, masks: list[Array], mark: Mark) -> None:
    height, width = image.shape[:2]
    centre = np.array([mark["x"] * width, mark["y"] * height])
    half = np.array([mark["size"][0] * width, mark["size"][1] * height]) / 2
    block = max(3, round(mark["block"] * max(height, width)))
    left, top = (np.maximum(0, centre - half) // block * block).astype(int)
    right, bottom = np.minimum((width, height), centre + half).astype(int)
    under = image[top:bottom, left:right]
    if mark["style"] == "bar":
        paint(image, masks, np.full(under.shape[:2], 255, np.uint8), INKS["black"], left, top)
        return
    if mark["style"] == "blur":
        hidden = cv2.GaussianBlur(under, (0, 0), 0.8 * block)
    else:
        cells = [-(-side // block) for side in under.shape[1::-1]]
        whole = [cell * block for cell in cells]
        edge = cv2.copyMakeBorder(
            under, 0, whole[1] - under.shape[0], 0, whole[0] - under.shape[1], cv2.BORDER_REPLICATE
        )
        small = cv2.resize(edge, cells, interpolation=cv2.INTER_AREA)
        hidden = cv2.resize(small, whole, interpolation=cv2.INTER_NEAREST)
        hidden = hidden[: under.shape[0], : under.shape[1]]
    if mark["style"] == "brush":  # a finger rubbed to and fro; whole blocks change
        rng = np.random.default_rng(mark["seed"])
        spread = 0.3 * min(under.shape[:2])
        x = np.linspace(0.1, 0.9, 9) * under.shape[1]
        y = (0.5 + 0.22 * np.array([1, -1] * 4 + [1])) * under.shape[0] + rng.normal(0, 2, 9)
        rubbed = stroke(under.shape, np.stack([x, y], 1), 2 * spread)
        hidden = np.where(rubbed[..., None] >= 128, hidden, under)
    image[top:bottom, left:right] = hidden


def _plan_stamp(rng: np.random.Generator, mark: Mark) -> Mark:
    day, month, year = rng.integers(1, 29), rng.integers(1, 13), rng.integers(2021, 2027)
    clock = f"{rng.integers(7, 24):02d}:{rng.integers(60):02d}"
    date = (
        f"{year}/{month:02d}/{day:02d}", f"{year}-{month:02d}-{day:02d}",
        f"{day:02d}.{month:02d}.{year}", f"{month}/{day}/{year}",
    )[int(rng.integers(4))]  # fmt: skip
    lines = [[f"{date} {clock}"], [date], [clock, date]][int(rng.integers(3))]
    return {
        "mark": "stamp", "lines": lines, "ink": str(rng.choice(["orange", "yellow", "white"])),
        "size": _rounded(rng.uniform(0.028, 0.045)), "right": bool(rng.random() < 0.7),
        "bottom": bool(rng.random() < 0.85),
    }  # fmt: skip


def _stamp(image: Array, masks: list[Array], mark: Mark) -> None:
    height, width = image.shape[:2]
    size = mark["size"] * max(height, width)
    sizes = [size * (1.7 if len(mark["lines"]) > 1 and i == 0 else 1) for i in range(3)]
    inks = [letters(line, s) for line, s in zip(mark["lines"], sizes, strict=False)]
    gap = round(0.8 * size)
    top = height - gap - sum(len(ink) for ink in inks) if mark["bottom"] else gap
    for ink in inks:
        left = width - gap - ink.shape[1] if mark["right"] else gap
        shadow = cv2.GaussianBlur(np.pad(ink, 3), (0, 0), 1.2)
        paint(image, masks, cv2.convertScaleAbs(shadow, alpha=0.7), (20, 16, 12), left - 2, top - 2)
        paint(image, masks, ink, INKS[mark["ink"]], left, top)
        top += len(ink)


def _place(image: Array, mark: Mark) -> tuple[Points, float, int]:
    """Centre in pixels, radius in pixels, longer side."""
    height, width = image.shape[:2]
    long_side = max(height, width)
    centre = np.array([mark["x"] * width - 0.5, mark["y"] * height - 0.5])
    return centre, mark["radius"] * long_side, long_side


_PLANS: dict[str, Callable[[np.random.Generator, Mark], Mark]] = {
    "ring": _plan_ring, "box": _plan_box, "arrow": _plan_arrow, "words": _plan_words,
    "cover": _plan_cover, "stamp": _plan_stamp,
}  # fmt: skip
_DRAWERS: dict[str, Callable[[Array, list[Array], Mark], None]] = {
    "ring": _ring, "box": _box, "arrow": _arrow, "words": _words, "cover": _cover, "stamp": _stamp,
}  # fmt: skip

"""What happens to any photo on its way to the reviewer, applied alike to every cell.

A channel is drawn once for a product and used for all of its twins, so that size, codec, quality,
tables, softness and markup can never tell an authentic picture from a doctored one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from damagenet import BadInput
from damagenet.images import Array
from damagenet.synth import encoders, markup, screens, softening
from damagenet.synth.scaling import KERNELS, resized

Step = dict[str, Any]
Planes = tuple[Array, list[Array]]
"""A picture, and its masks while they move: uint8, between 0 and 255 at their edges."""

CHAINS: tuple[str, ...] = (
    "camera", "chat", "marketplace", "screenshot", "screen", "softened", "twice",
)  # fmt: skip
"""camera: as taken. chat: shrunk and compressed hard by a chat app. marketplace: straightened,
cropped, shrunk and compressed by an upload form. screenshot: a phone showing the picture. screen:
a photo of a screen showing it. softened: denoised, blurred, smoothed or enlarged by interpolation,
as soft as a neural decoder leaves a picture. twice: forwarded through two apps, once as AVIF."""

RESERVED_CHAINS: tuple[str, ...] = ("twice",)
"""For testing only: how a detector fares on a way that it never saw."""

RESERVED_CODEC = "AVIF"
"""Only reserved chains use it."""

SMALLEST = 64
"""No step makes a side shorter than this."""

MARKUP = 0.15
"""Share of draws with something drawn on the photo."""


def reserved(chains: Sequence[str]) -> tuple[str, ...]:
    """Those of `chains` that no training may see."""
    return tuple(name for name in chains if name in (*RESERVED_CHAINS, RESERVED_CODEC))


def plan(
    rng: np.random.Generator, chains: tuple[str, ...], focus: markup.Focus | None = None
) -> dict[str, Any]:
    """Draw a channel as a small JSON-able dict.

    Args:
        rng: Makes every choice.
        chains: Some of `CHAINS`; one of them is drawn.
        focus: Where the damage sits or would sit, for who points at it: x and y as fractions of
            width and height, radius as a fraction of the longer side.

    Raises:
        BadInput: An unknown chain.
    """
    if unknown := [name for name in chains if name not in CHAINS]:
        raise BadInput(f"chains: {unknown[0]} is not known; known: {', '.join(CHAINS)}")
    chain = str(rng.choice(chains))
    marked = [markup.plan(rng, focus)] if rng.random() < MARKUP else []
    steps = marked + _STEPS[chain](rng)
    # Only the last: more scans change the file and not the pixels.
    steps[-1]["progressive"] = bool(rng.random() < 0.2)
    return {"chain": chain, "steps": steps}


def apply(
    image: Array, masks: Sequence[Array], channel: dict[str, Any]
) -> tuple[bytes, list[Array]]:
    """Send a photo and its masks through a channel.

    Args:
        image: uint8 `[h, w, 3]`; left alone.
        masks: uint8 `[h, w]` each, 0 or 255; left alone.
        channel: As `plan` gives; its last step is a JPEG.

    Returns:
        The JPEG file as the reviewer gets it, and the masks of the same size (0 or 255): 255 where
        at least half of a pixel is masked.

    Raises:
        BadInput: The last step is no JPEG, a step is unknown, or a codec is not installed.
    """
    *steps, last = channel["steps"] or [{"op": ""}]
    if last["op"] != "JPEG":
        raise BadInput(f"channel {channel.get('chain')}: its last step must be a JPEG")
    used = [bool(mask.any()) for mask in masks]
    moved = [mask for mask, any_of_it in zip(masks, used, strict=True) if any_of_it]
    for step in steps:
        image, moved = send(image, moved, step)
    data = encoders.jpeg_file(image, **_jpeg_options(last))
    arrived = iter(moved)
    empty = np.zeros(image.shape[:2], np.uint8)  # an empty mask stays empty, whatever the way
    return data, [
        cv2.threshold(next(arrived), 127, 255, cv2.THRESH_BINARY)[1] if any_of_it else empty.copy()
        for any_of_it in used
    ]


def send(image: Array, masks: Sequence[Array], step: Step) -> Planes:
    """One step of a channel; masks keep soft edges, so that many steps cost them no detail."""
    op = step["op"]
    if op in _MOVES:
        return _MOVES[op](image, masks, step)
    if op in softening.FILTERS:
        return softening.FILTERS[op](image, step), list(masks)
    if op == "JPEG":
        return encoders.jpeg(image, **_jpeg_options(step))[0], list(masks)
    codec = {"WEBP": encoders.webp, "AVIF": encoders.avif, "HEIF": encoders.heif}.get(op)
    if codec is None:
        raise BadInput(f"channel: step {op} is not known; plan the channel again")
    return codec(np.ascontiguousarray(image), step["quality"]), list(masks)


def _jpeg_options(step: Step) -> dict[str, Any]:
    return {key: value for key, value in step.items() if key != "op"}


def _resize(image: Array, masks: Sequence[Array], step: Step) -> Planes:
    height, width = image.shape[:2]
    factor = max(step["factor"], SMALLEST / min(height, width))
    size = [max(SMALLEST, round(side * factor)) for side in (width, height)]
    return resized(image, size, step["kernel"]), [resized(mask, size) for mask in masks]


def _crop(image: Array, masks: Sequence[Array], step: Step) -> Planes:
    height, width = image.shape[:2]
    top, bottom, left, right = step["box"]
    # Odd offsets shift the 8x8 grid of an earlier JPEG, and the 2x2 grid of its chroma.
    rows = slice(round(top * height) | 1, height - round(bottom * height))
    columns = slice(round(left * width) | 1, width - round(right * width))
    if min(rows.stop - rows.start, columns.stop - columns.start) < SMALLEST:
        return image, list(masks)
    return image[rows, columns], [mask[rows, columns] for mask in masks]


def _rotate(image: Array, masks: Sequence[Array], step: Step) -> Planes:
    """Turn about the centre, and keep the largest rectangle of the same shape without corners."""
    height, width = image.shape[:2]
    turn = np.radians(step["degrees"])
    cos, sin = float(np.cos(turn)), float(np.sin(turn))
    across, down = width * cos + height * abs(sin), width * abs(sin) + height * cos
    scale = min(width / across, height / down)
    size = [int(width * scale), int(height * scale)]
    if min(size) < SMALLEST:
        return image, list(masks)
    x, y = (size[0] - 1) / 2, (size[1] - 1) / 2
    matrix = np.array([
        [cos, -sin, (width - 1) / 2 - cos * x + sin * y],
        [sin, cos, (height - 1) / 2 - sin * x - cos * y],
    ])  # fmt: skip
    photo = cv2.warpAffine(
        image, matrix, size, borderMode=cv2.BORDER_REFLECT_101,
        flags=KERNELS[step["kernel"]] | cv2.WARP_INVERSE_MAP,
    )  # fmt: skip
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return photo, [cv2.warpAffine(mask, matrix, size, flags=flags) for mask in masks]


_MOVES: dict[str, Callable[[Array, Sequence[Array], Step], Planes]] = {
    "resize": _resize, "crop": _crop, "rotate": _rotate, "markup": markup.draw,
    "screenshot": screens.screenshot, "screen": screens.rephotograph,
}  # fmt: skip
OPS: tuple[str, ...] = (*_MOVES, *softening.FILTERS, "JPEG", "WEBP", "AVIF", "HEIF")
"""Every step that `send` knows."""


def _between(rng: np.random.Generator, low: float, high: float, digits: int = 3) -> float:
    return round(float(rng.uniform(low, high)), digits)


def plan_jpeg(rng: np.random.Generator, low: int, high: int) -> Step:
    """Draw a JPEG step of a quality from `low` to `high`."""
    # Most services run libjpeg or a descendant with its tables; the rest is anybody's guess.
    tables = "ijg" if rng.random() < 0.5 else str(rng.choice(encoders.TABLES))
    return {
        "op": "JPEG", "quality": int(rng.integers(low, high + 1)), "tables": tables,
        "subsampling": int(rng.choice([2, 2, 2, 1, 0])),
    }  # fmt: skip


def _plan_codec(rng: np.random.Generator, codec: str, low: int, high: int) -> Step:
    if codec not in encoders.CODECS:
        return plan_jpeg(rng, low, high)
    return {"op": codec, "quality": int(rng.integers(low, high + 1))}


def _plan_resize(rng: np.random.Generator, low: float, high: float) -> Step:
    kernels = ["linear", "cubic", "lanczos"] + ["area"] * (high <= 1)
    return {"op": "resize", "factor": _between(rng, low, high), "kernel": str(rng.choice(kernels))}


def _plan_crop(rng: np.random.Generator, most: float) -> Step:
    return {"op": "crop", "box": [_between(rng, 0, most, 4) for _ in range(4)]}


def _plan_rotate(rng: np.random.Generator) -> Step:
    kernel = str(rng.choice(["linear", "linear", "linear", "cubic"]))
    return {"op": "rotate", "degrees": _between(rng, -4, 4), "kernel": kernel}


def _camera(rng: np.random.Generator) -> list[Step]:
    steps = []
    if rng.random() < 0.2:
        steps.append(softening.plan(rng, str(rng.choice(["sharpen", "chroma", "median"]))))
    if rng.random() < 0.06:  # phones that keep HEIC and convert on sending
        steps.append(_plan_codec(rng, "HEIF", 60, 90))
    return [*steps, plan_jpeg(rng, 85, 97)]


def _chat(rng: np.random.Generator) -> list[Step]:
    steps = [plan_jpeg(rng, 85, 95)] if rng.random() < 0.3 else []
    steps.append(_plan_resize(rng, 0.5, 0.9))
    if rng.random() < 0.2:
        steps.append(softening.plan(rng, "sharpen"))
    if rng.random() < 0.15:
        steps.append(_plan_codec(rng, "WEBP", 60, 85))
    return [*steps, plan_jpeg(rng, 62, 86)]


def _marketplace(rng: np.random.Generator) -> list[Step]:
    steps = [_plan_rotate(rng)] if rng.random() < 0.25 else []
    steps.append(_plan_crop(rng, 0.06))
    steps.append(_plan_resize(rng, *((1.05, 1.35) if rng.random() < 0.2 else (0.65, 1.0))))
    if rng.random() < 0.3:
        steps.append(softening.plan(rng, "sharpen"))
    if rng.random() < 0.2:
        steps.append(_plan_codec(rng, "WEBP", 70, 92))
    return [*steps, plan_jpeg(rng, 75, 92)]


def _screenshot(rng: np.random.Generator) -> list[Step]:
    steps = [plan_jpeg(rng, 75, 92)] if rng.random() < 0.5 else []  # what the phone was sent
    return [*steps, screens.plan_screenshot(rng), plan_jpeg(rng, 75, 93)]


def _screen(rng: np.random.Generator) -> list[Step]:
    steps = [screens.plan_screen(rng)]
    if rng.random() < 0.4:
        steps.append(_plan_resize(rng, 0.7, 0.95))
    return [*steps, plan_jpeg(rng, 74, 93)]


def _softened(rng: np.random.Generator) -> list[Step]:
    names = ["defocus", "motion", "median", "bilateral", "beauty", "beauty", "enlarge", "enlarge"]
    steps: list[Step] = []
    for name in dict.fromkeys(rng.choice(names, int(rng.integers(1, 3)))):
        if name == "enlarge":
            shrink = _plan_resize(rng, 0.45, 0.8)
            grow = round(_between(rng, 0.9, 1.2) / shrink["factor"], 3)
            steps += [shrink, _plan_resize(rng, grow, grow) | {"factor": grow}]
        else:
            steps.append(softening.plan(rng, str(name)))
    if rng.random() < 0.25:  # enhancers sharpen what they smoothed
        steps.append(softening.plan(rng, "sharpen"))
    return [*steps, plan_jpeg(rng, 75, 95)]


def _twice(rng: np.random.Generator) -> list[Step]:
    first = [plan_jpeg(rng, 70, 90), _plan_crop(rng, 0.03), _plan_resize(rng, 0.75, 1.0)]
    codec = RESERVED_CODEC if RESERVED_CODEC in encoders.CODECS else "WEBP"
    second = [_plan_codec(rng, codec, 50, 80), _plan_crop(rng, 0.03)]
    return [*first, *second, plan_jpeg(rng, 65, 85)]


_STEPS: dict[str, Callable[[np.random.Generator], list[Step]]] = {
    "camera": _camera, "chat": _chat, "marketplace": _marketplace, "screenshot": _screenshot,
    "screen": _screen, "softened": _softened, "twice": _twice,
}  # fmt: skip

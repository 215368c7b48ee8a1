"""Claims with a known answer for scripts/bench_compare.py: drawn, pasted, seen anew, sent."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from damagenet import images
from damagenet.synth import channel, damage
from damagenet.synth.foreground import foreground, linear_to_srgb, srgb_to_linear

Array = NDArray[np.uint8]
Mask = NDArray[np.bool_]
KINDS = ("crack", "tear", "hole", "stain", "scratch", "shatter", "burn", "water")


def drawn(image: Array, rng: np.random.Generator, kind: str | None = None) -> tuple[Array, Mask]:
    """The picture with one of the project's damages in the light of the scene.

    With the mask of what changed by more than 12 grey levels: what a reader would outline.
    """
    linear, inside = srgb_to_linear(image), foreground(image)
    for _ in range(8):
        name = kind or str(rng.choice(KINDS))
        recipe = damage.plan_damage(rng, inside, name, int(rng.integers(3, 6)))
        layer = damage.draw(name, linear, inside, recipe)
        result = linear_to_srgb(damage.composite(linear, layer))
        mask = (np.abs(result.astype(np.int16) - image) > 12).any(axis=2)
        if mask.sum() >= 400:
            break
    return result, mask


def sent(
    image: Array, masks: list[Mask], rng: np.random.Generator, chain: str
) -> tuple[Array, list[Mask]]:
    """Through one of the project's channels; masks move along."""
    data, moved = channel.apply(
        image, [m.astype(np.uint8) * 255 for m in masks], channel.plan(rng, (chain,))
    )
    return images.read(data), [m > 0 for m in moved]


def cropped(
    image: Array, masks: list[Mask], rng: np.random.Generator, least: float = 0.6
) -> tuple[Array, list[Mask]]:
    """Cut down to `least` or more of each side, and mirrored one time in five."""
    height, width = image.shape[:2]
    h, w = (rng.uniform(least, 1, 2) * (height, width)).astype(int)
    top, left = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
    step = -1 if rng.random() < 0.2 else 1
    cut = [np.ascontiguousarray(a[top : top + h, left : left + w][:, ::step])
           for a in (image, *masks)]  # fmt: skip
    return cut[0], cut[1:]


def pasted(
    source: Array, mask: Mask, target: Array, rng: np.random.Generator
) -> tuple[Array, Mask]:
    """The damage of one photo, with its surroundings, on another: turned, scaled, blended."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    centre = (columns.mean(), rows.mean())
    side = max(np.ptp(rows), np.ptp(columns), 48) * 1.3
    height, width = target.shape[:2]
    scale = min(height, width) * rng.uniform(0.3, 0.6) / side
    matrix = cv2.getRotationMatrix2D(centre, rng.uniform(-30, 30), float(np.clip(scale, 0.5, 1.6)))
    place = rng.uniform(0.35, 0.65, 2) * (width, height)
    matrix[:, 2] += place - centre
    if rng.random() < 0.25:
        matrix[:, 0], matrix[:, 2] = -matrix[:, 0], matrix[:, 2] + 2 * centre[0] * matrix[:, 0]
    y, x = np.mgrid[: source.shape[0], : source.shape[1]]
    radius = np.hypot(x - centre[0], y - centre[1])
    soft = np.clip((side / 2 - radius) / 6, 0, 1).astype(np.float32)
    moved = cv2.warpAffine(source, matrix, (width, height), flags=cv2.INTER_CUBIC)
    alpha = cv2.warpAffine(soft, matrix, (width, height))[..., None]
    return np.rint(target * (1 - alpha) + moved * alpha).astype(np.uint8), alpha[..., 0] > 0.5


def seen(image: Array, mask: Mask, rng: np.random.Generator) -> tuple[Array, Mask]:
    """From another angle, in other light: perspective, turn, scale, gain, cast and a shadow."""
    height, width = image.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    turn = np.radians(rng.uniform(-20, 20))
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    moved = (corners - corners.mean(axis=0)) @ spin.T * rng.uniform(0.8, 1.05)
    moved += corners.mean(axis=0) + rng.uniform(-0.09, 0.09, (4, 2)) * (width, height)
    matrix = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
    view = cv2.warpPerspective(image, matrix, (width, height), flags=cv2.INTER_CUBIC,
                               borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    linear = srgb_to_linear(view) * rng.uniform(0.7, 1.3) * rng.uniform(0.93, 1.07, 3)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    slope = rng.uniform(-0.25, 0.25, 2)
    linear = linear * (1 + slope[0] * x + slope[1] * y)[..., None]
    shown = cv2.warpPerspective(mask.astype(np.uint8), matrix, (width, height)) > 0
    return linear_to_srgb(np.clip(linear, 0, 1).astype(np.float32)), shown

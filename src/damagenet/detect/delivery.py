"""What a training crop goes through after it was cut: the channel of `synth`, drawn anew each time.

Twins and their mask go together, so that nothing here tells them apart.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np

from damagenet.images import Array
from damagenet.synth import channel, softening
from damagenet.synth.scaling import KERNELS

Step = dict[str, Any]

SMALLER, LARGER = 0.45, 1.9
"""Range of resize factors; photos enlarged by a phone or an upload form are soft and honest."""
UP = ("linear", "cubic", "lanczos")
EDGE = 4
"""Pixels around a crop that filters may spoil; cut off at the end."""


def plan(
    rng: np.random.Generator, share: float, crop: int, compress: bool = False
) -> tuple[list[Step], int]:
    """Draw the steps, and the side (px) that has to be cut so that `crop` is left of it.

    Args:
        rng: The item's generator.
        share: Probability of each kind of step, in [0, 1].
        crop: Side of what is left (px).
        compress: Always end with a JPEG, unless `share` is 0: nobody gets to see pasted pixels
            uncompressed.
    """
    steps: list[Step] = []
    factor = 1.0
    if rng.random() < share / 3:
        names = ["defocus", "motion", "median", "bilateral", "beauty", "chroma", "sharpen"]
        steps.append(softening.plan(rng, str(rng.choice(names))))
    if rng.random() < share / 2:
        steps.append(channel.plan_jpeg(rng, 70, 97))
    if rng.random() < share:
        ends = (SMALLER, 1.0) if rng.random() < 0.65 else (1.0, LARGER)
        factor = math.exp(rng.uniform(*np.log(ends)))
        kernels = [name for name in KERNELS if factor < 1 or name != "area"]
        steps.append({"op": "resize", "factor": factor, "kernel": str(rng.choice(kernels))})
        if rng.random() < share / 3:
            steps.append(softening.plan(rng, "sharpen"))
    if rng.random() < share / 6:
        steps.append({"op": "WEBP", "quality": int(rng.integers(55, 95))})
    if (compress and share) or rng.random() < share * 1.5:
        steps.append(channel.plan_jpeg(rng, 58, 98))
    side = crop + 2 * EDGE if steps else crop
    return steps, math.ceil(side / factor)


def softened(rng: np.random.Generator, picture: Array) -> Array:
    """A picture (uint8 `[h, w, 3]`) as soft as a decoder would leave it, by honest means.

    A phone's denoising, a beauty filter, a lens out of focus, or shrinking and enlarging.
    """
    name = str(rng.choice(["defocus", "median", "bilateral", "beauty", *["enlarge"] * 3]))
    if name != "enlarge":
        step = softening.plan(rng, name)
        if name == "defocus":
            step["radius"] *= 0.6
        return softening.FILTERS[name](picture, step)
    height, width = picture.shape[:2]
    factor = float(rng.uniform(0.5, 0.95))
    down, up = (KERNELS[str(rng.choice(names))] for names in (("area", "linear", "cubic"), UP))
    small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=down)
    return np.asarray(cv2.resize(small, (width, height), interpolation=up), np.uint8)


def send(pictures: list[Array], mask: Array, steps: list[Step]) -> tuple[list[Array], Array]:
    """Send twins (uint8 `[h, w, 3]`) and a mask (uint8 `[h, w]`, soft edges) the same way."""
    for step in steps:
        moved = [channel.send(picture, [mask], step) for picture in pictures]
        pictures, mask = [picture for picture, _ in moved], moved[0][1][0]
    return pictures, mask

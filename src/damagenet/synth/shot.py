"""One framed product photo and what all of its twins share: scene light, outline, exposures."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from damagenet.images import Array
from damagenet.synth import capture, damage
from damagenet.synth.edits import Region
from damagenet.synth.foreground import Floats, foreground
from damagenet.synth.scaling import resized

Recipe = dict[str, Any]
"""cell, kind, severity, frame, camera, damage, edit, channel; all plain JSON."""


@dataclass(frozen=True, eq=False)
class Shot:
    """One framed product; what its twins share is computed once.

    Attributes:
        photo: The product, uint8 `[h, w, 3]`.
        frame: From `plan_frame`.
        marks: uint8 `[h, w]`, above 127 where really damaged goods are damaged, if that is known.
    """

    photo: Array
    frame: dict[str, Any]
    marks: Array | None = None
    _made: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def image(self) -> Array:
        """The framed photo, uint8 `[h, w, 3]`."""
        return framed(self.photo, self.frame)

    @cached_property
    def scene(self) -> Floats:
        """Its scene light, float32 `[h, w, 3]` in [0, 1]."""
        return capture.unprocess(self.image)

    @cached_property
    def inside(self) -> Floats:
        """Where the object is, float32 `[h, w]` in [0, 1]."""
        return foreground(self.image)

    @cached_property
    def marked(self) -> Region | None:
        """Where it is really damaged, framed like the photo, if that is known."""
        if self.marks is None:
            return None
        return np.asarray(framed(self.marks[..., None], self.frame) > 96)

    def layer(self, drawn: Recipe) -> damage.Layer:
        """The damage of a recipe, drawn on this shot."""
        key = json.dumps(drawn)
        if key not in self._made:
            self._made[key] = damage.draw(drawn["kind"], self.scene, self.inside, drawn)
        layer: damage.Layer = self._made[key]
        return layer

    def finished(self, camera: Recipe | None, drawn: Recipe | None) -> Array:
        """The photo as taken, with damage that was there before the lens; uint8 `[h, w, 3]`."""
        if camera is None:
            return self.image
        key = json.dumps([camera, drawn])
        if key not in self._made:
            self._made[key] = capture.stored(self._taken(camera, drawn), camera)
        photo: Array = self._made[key]
        return photo

    def _taken(self, camera: Recipe, drawn: Recipe | None) -> Array:
        """The same before the camera's JPEG; damage is taken anew within its surroundings only."""
        key = f"taken {json.dumps(camera)}"
        if key not in self._made:
            self._made[key] = capture.taken(self.scene, camera)
        photo: Array = self._made[key]
        if drawn is None:
            return photo
        layer = self.layer(drawn)
        return capture.retaken(photo, damage.composite(self.scene, layer), camera, layer.window)


def plan_frame(rng: np.random.Generator, long_side: int) -> dict[str, Any]:
    """Draw how a photo is cropped and shrunk."""
    return {
        "box": [round(float(v), 4) for v in rng.uniform(0, 0.08, 4)],
        "long_side": long_side,
    }


def framed(photo: Array, frame: dict[str, Any]) -> Array:
    """Crop and shrink a photo; shrinking lets the source's own traces die."""
    height, width = photo.shape[:2]
    top, bottom, left, right = frame["box"]
    photo = photo[
        round(top * height) : height - round(bottom * height),
        round(left * width) : width - round(right * width),
    ]
    height, width = photo.shape[:2]
    factor = frame["long_side"] / max(height, width)
    if factor < 1:
        size = (max(64, round(width * factor)), max(64, round(height * factor)))
        photo = resized(photo, size)
    return np.ascontiguousarray(photo)

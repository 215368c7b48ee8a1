"""What one damage does to the light of a picture, and how it is applied."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from damagenet.synth.foreground import Floats

VISIBLE = 0.01
"""Smallest opacity or change of gain that counts: about one 8-bit level of a mid tone."""


@dataclass(frozen=True)
class Layer:
    """What one damage does to the light of a picture, within a patch of it.

    Attributes:
        gain: float32 `[ph, pw, 3]`, or `[ph, pw, 1]` for all colours alike, that multiplies
            linear light; 1 leaves it unchanged.
        colour: float32 `[ph, pw, 3]` linear RGB in [0, 1] that covers the surface.
        opacity: float32 `[ph, pw]` in [0, 1] of `colour`.
        window: Rows and columns of the patch in the picture.
        shape: Height and width of the picture.
    """

    gain: Floats
    colour: Floats
    opacity: Floats
    window: tuple[slice, slice]
    shape: tuple[int, int]

    @cached_property
    def touched(self) -> NDArray[np.bool_]:
        """Bool `[ph, pw]`: pixels of the patch that change visibly."""
        changed = (np.abs(self.gain - np.float32(1)) > VISIBLE).any(-1)
        return np.asarray((self.opacity > VISIBLE) | changed)

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Bool `[h, w]`: pixels of the picture that change visibly."""
        full = np.zeros(self.shape, bool)
        full[self.window] = self.touched
        return full

    def trimmed(self) -> Layer:
        """The same layer on the smallest patch that holds all it changes."""
        rows, columns = _extent(self.touched, 1), _extent(self.touched, 0)
        top, left = (side.start for side in self.window)
        return Layer(
            self.gain[rows, columns],
            self.colour[rows, columns],
            self.opacity[rows, columns],
            (
                slice(top + rows.start, top + rows.stop),
                slice(left + columns.start, left + columns.stop),
            ),
            self.shape,
        )


def _extent(used: NDArray[np.bool_], axis: int) -> slice:
    """From the first to the last line with a True; empty when there is none."""
    places = np.flatnonzero(used.any(axis))
    return slice(int(places[0]), int(places[-1]) + 1) if places.size else slice(0, 0)


def composite(linear: Floats, layer: Layer) -> Floats:
    """Apply a layer in linear light; pixels outside `layer.mask` keep every bit.

    Args:
        linear: float32 `[h, w, 3]` linear light in [0, 1].
        layer: Of the same size.

    Returns:
        float32 `[h, w, 3]` in [0, 1].
    """
    damaged = linear.copy()
    patch = damaged[layer.window]
    solid = layer.opacity[..., None]
    changed = patch * layer.gain
    changed += (layer.colour - changed) * solid
    np.copyto(patch, np.clip(changed, 0, 1), where=layer.touched[..., None])
    return damaged

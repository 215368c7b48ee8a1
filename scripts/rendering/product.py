"""What a product is: parts standing on the floor, and the angles that suit them."""

from __future__ import annotations

from dataclasses import dataclass

from rendering.geometry import Point
from rendering.materials import Material
from rendering.maths import Field

Span = tuple[float, float]


@dataclass(frozen=True)
class Part:
    """A distance field and what it is made of."""

    distance: Field
    material: Material


@dataclass(frozen=True)
class Product:
    """Parts standing on y = 0 and looking along +z, with the camera angles that suit them."""

    parts: list[Part]
    elevation: Span = (12, 34)
    azimuth: Span = (-40, 40)
    bulb: Point | None = None

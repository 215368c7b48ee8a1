"""Whether the photos of one claim show one damage, where its place is known."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, permutations

import numpy as np

from damagenet.claims.align import Mask
from damagenet.claims.compare import compare
from damagenet.claims.damage_match import same_damage
from damagenet.claims.heatmaps import Region
from damagenet.claims.signals import Matched, Photo

MOST = 8
"""Pairs of photos that are looked at, each for a second or two."""


def matched(photos: Sequence[Photo]) -> list[Matched]:
    """Pairs of claim photos of which something can be said, in the order of the photos.

    The place of the damage is what was changed in the listing photo or, where the pixels ask for
    attention, the marked areas; a heatmap below that marks noise. A copy of a photo agrees with it
    and is no second photo, nor is the listing photo itself.
    """
    own = [p for p in photos if p.image is not None]
    places = {p.number: place(p) for p in own}
    pairs = (
        (a, b) for a, b in permutations(own, 2)
        if places[a.number] is not None and not _listing(b) and a.sha256 != b.sha256
    )  # fmt: skip
    found = []
    for a, b in islice(pairs, MOST):
        damage = places[a.number]
        assert a.image is not None and b.image is not None and damage is not None
        match = same_damage(a.image, damage, b.image)
        if match.finding == "unsure":
            continue
        if compare(b.image, a.image).finding != "same_exposure":
            found.append(Matched(a.number, b.number, match.finding, match.strength))
    return found


def place(photo: Photo) -> Mask | None:
    """Where the damage of a photo is, `[h, w]`, or None where that is not known."""
    regions = photo.changes
    if not regions and photo.result is not None and photo.result.verdict != "pass":
        regions = photo.result.regions
    if not regions or photo.image is None:
        return None
    return _filled(regions, photo.image.shape[:2])


def _listing(photo: Photo) -> bool:
    return photo.comparison is not None and photo.comparison.finding == "same_exposure"


def _filled(regions: Sequence[Region], shape: tuple[int, ...]) -> Mask:
    import cv2

    canvas = np.zeros(shape, np.uint8)
    for region in regions:
        cv2.fillPoly(canvas, [np.array(region.polygon, np.int32)], 1)
    return np.asarray(canvas > 0)

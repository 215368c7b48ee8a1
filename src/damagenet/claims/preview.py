"""Hold the small preview picture in a file against the picture itself.

Cameras store a preview; programs that change the picture should renew it, and some do not. An
honest crop, turn or tone change also leaves an old preview, so those are searched for first.
"""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np

from damagenet import BadInput, images
from damagenet.claims.heatmaps import Array
from damagenet.claims.statements import Label

SIDE = 160
"""Pixels of the preview's longer side in the comparison; cameras write 160 x 120."""
SMALLEST = 40
"""Pixels; shorter sides show too little."""
LARGEST = 4_000_000
"""Pixels of a preview that is decoded."""
SCALES = np.geomspace(0.4, 1.6, 29)
"""Size of the picture relative to one that just fits into the preview."""
UNLIKE = 0.75
"""Correlation below which the two show different things."""
CHANGED = 16.0
"""Grey levels, beyond what edges explain, from which a spot counts as changed: of 150 honest
copies of 50 product photos (re-saved, cut, sharpened) one had such a spot."""
LEAST = 0.001
"""Share of the preview from which changed spots are reported."""


def compared(preview: bytes, pixels: Array) -> Label | None:
    """A label when preview and picture disagree, None when they agree or cannot be told apart.

    Args:
        preview: The bytes of the preview, a picture file.
        pixels: The picture, uint8 RGB `[h, w, 3]`, upright.
    """
    try:
        with images.opened(preview) as picture:
            if picture.width * picture.height > LARGEST:
                raise BadInput("preview: not a small picture")
            small = images.to_rgb(picture)
    except (BadInput, *images.DAMAGE):
        finding = "The file holds a preview picture that cannot be read."
        return Label("preview", "EXIF preview", "found-malformed", None, finding, {})
    shown = _grey(small, SIDE / max(small.shape[:2]))
    shown = _without_bars(shown)
    if min(shown.shape) < SMALLEST or min(pixels.shape[:2]) < SMALLEST or shown.std() < 4:
        return None
    likeness, ours, theirs = _aligned(shown, pixels)
    value = {"correlation": f"{likeness:.2f}", "size": f"{small.shape[1]}x{small.shape[0]}"}
    if likeness < UNLIKE:
        finding = "The small preview in the file shows something else than the picture."
        return Label("preview", "EXIF preview", "found-conflicting", None, finding, value)
    area = float(_changed(ours, theirs).mean())
    if area < LEAST:
        return None
    value["changed area"] = f"{area:.3f}"
    finding = f"The small preview in the file differs from the picture on {area:.1%} of its area: "
    finding += "the picture was changed after the preview was made."
    return Label("preview", "EXIF preview", "found-conflicting", None, finding, value)


def _grey(rgb: Array, scale: float) -> np.ndarray:
    """Luma as float32, shrunk by `scale` (never enlarged)."""
    import cv2

    height, width = rgb.shape[:2]
    size = (max(1, round(width * min(1, scale))), max(1, round(height * min(1, scale))))
    return cv2.cvtColor(cv2.resize(rgb, size, interpolation=3), cv2.COLOR_RGB2GRAY).astype("f4")


def _without_bars(grey: np.ndarray) -> np.ndarray:
    """Without black bars, which fill a preview up to 4:3."""
    for _ in range(2):
        lit = np.flatnonzero(grey.max(1) > 24)
        if len(lit) and len(lit) < len(grey):
            grey = grey[lit[0] + (lit[0] > 0) : lit[-1] + 1 - (lit[-1] < len(grey) - 1)]
        grey = grey.T
    return grey


def _aligned(shown: np.ndarray, pixels: Array) -> tuple[float, np.ndarray, np.ndarray]:
    """Highest correlation over turns, sizes and places, and the two cuttings that gave it."""
    big = _grey(pixels, 4 * SIDE / max(pixels.shape[:2]))
    turned = [np.ascontiguousarray(np.rot90(big, k)) for k in range(4)]
    best = max((_match(shown, turned[k], s)[0], k, s) for k, s in product(range(4), SCALES))
    near = best[2] * np.geomspace(0.97, 1.03, 13)
    _, k, scale = max((_match(shown, turned[best[1]], s)[0], best[1], s) for s in near)
    return _match(shown, turned[k], scale)


def _match(
    shown: np.ndarray, big: np.ndarray, scale: float
) -> tuple[float, np.ndarray, np.ndarray]:
    """The picture at one size, laid over the preview where it fits best."""
    import cv2

    fit = scale * min(np.divide(shown.shape, big.shape))
    size = [max(8, round(side * fit)) for side in big.shape]
    ours = cv2.resize(big, size[::-1], interpolation=cv2.INTER_AREA)
    height, width = np.minimum(ours.shape, shown.shape)
    if height * width < 0.3 * shown.size:
        return -1.0, ours, ours
    # One lies inside the other, or, where they overlap crosswise, their middles do.
    parts = []
    for whole in (ours, shown):
        spare_y, spare_x = whole.shape[0] - height, whole.shape[1] - width
        crosswise = (ours.shape[0] > shown.shape[0]) != (ours.shape[1] > shown.shape[1])
        if crosswise:
            whole = whole[spare_y // 2 :][:height, spare_x // 2 :][:, :width]
        parts.append(whole)
    template = min(parts, key=lambda part: part.size)
    scene = max(parts[::-1], key=lambda part: part.size)
    found = cv2.matchTemplate(scene, template, cv2.TM_CCOEFF_NORMED)
    _, likeness, _, (x, y) = cv2.minMaxLoc(found)
    inside = scene[y : y + template.shape[0], x : x + template.shape[1]]
    ours, theirs = (template, inside) if scene is parts[1] else (inside, template)
    return float(likeness), ours, theirs


def _changed(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Where two aligned cuttings differ by more than tone, sharpness and a pixel of shift."""
    import cv2

    mapped = _toned(ours, theirs)
    kernel = np.ones((3, 3), np.uint8)
    low, high = cv2.erode(theirs, kernel), cv2.dilate(theirs, kernel)
    beyond = np.maximum(mapped - high, 0) + np.maximum(low - mapped, 0)
    return cv2.GaussianBlur(beyond, (0, 0), 2.5) > CHANGED


def _toned(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """`ours` with the tone curve of `theirs`: the median of what each grey level became."""
    levels = np.quantile(ours, np.linspace(0, 1, 9))
    pairs = []
    for low, high in pairwise(levels):
        inside = (ours >= low) & (ours <= high)
        pairs.append((np.median(ours[inside]), np.median(theirs[inside])))
    x, y = np.array(sorted(pairs)).T
    x, first = np.unique(x, return_index=True)
    y = y[first]
    x, y = np.array([x[0] - 99, *x, x[-1] + 99]), np.array([y[0] - 99, *y, y[-1] + 99])
    return np.interp(ours, x, y).astype(np.float32)  # beyond the outer levels by a shift

"""Where the object is and where its light comes from, by plain and fast image measurement."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from damagenet.synth.scaling import resized

Floats = NDArray[np.float32]

WORKING_SIZE = 80
"""Longer side, in pixels, at which the object is searched: outlines survive, minutes do not."""

GUIDE_SIZE = 256
"""Longer side, in pixels, at which outlines are found; the picture itself sharpens them."""

SHADES = ((0.8, 4.0),)
"""Shadows of the background: how dark, and how far such a colour is from the background still."""

CLOSE = 8.0
"""Distance in Lab, lightness halved, up to which colours pass for one under uneven light."""

PLAIN = 14.0
"""Distance beyond that of the border's own variation that counts in full."""

ENCLOSED = 2.5
"""Weight of closed outlines against differences of colour."""

_CODES = np.arange(256, dtype=np.float64) / 255
_LINEAR: Floats = np.where(
    _CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4
).astype(np.float32)


def srgb_to_linear(image: NDArray[np.uint8] | Floats) -> Floats:
    """Decode sRGB into linear light (IEC 61966-2-1).

    Args:
        image: Any shape; uint8, or floats in [0, 1].

    Returns:
        float32 in [0, 1] of the same shape.
    """
    if image.dtype == np.uint8:
        return _LINEAR[image]
    value = np.clip(image, 0, 1).astype(np.float32)
    curved = ((value + np.float32(0.055)) / np.float32(1.055)) ** np.float32(2.4)
    return np.where(value <= 0.04045, value / np.float32(12.92), curved).astype(np.float32)


def linear_to_srgb(linear: Floats) -> NDArray[np.uint8]:
    """Encode linear light as 8-bit sRGB (IEC 61966-2-1), the inverse of `srgb_to_linear`.

    Args:
        linear: float32 of any shape; values outside [0, 1] are clipped.

    Returns:
        uint8 of the same shape, rounded to the nearest code.
    """
    return np.rint(srgb_curve(linear) * 255).astype(np.uint8)


def srgb_curve(linear: Floats) -> Floats:
    """`linear_to_srgb` before rounding: float32 in [0, 1]."""
    value = np.clip(linear, 0, 1).astype(np.float32)
    curved = np.float32(1.055) * value ** np.float32(1 / 2.4) - np.float32(0.055)
    return np.where(value <= 0.0031308, value * np.float32(12.92), curved)


def foreground(image: NDArray[np.uint8]) -> Floats:
    """Find the object by contrast with the border of the picture.

    What differs from every colour of the border, or is closed off from it by edges, seeds a
    GrabCut (Rother et al., SIGGRAPH 2004) on a small copy, and the component that fills the
    centre best is kept, holes filled. When the result is implausible (a busy background, an
    object as large as the picture) a central ellipse stands in.

    Args:
        image: RGB uint8 `[h, w, 3]`.

    Returns:
        float32 `[h, w]` in [0, 1] with soft edges, 1 on the object.
    """
    height, width = image.shape[:2]
    medium = _shrunk(image, GUIDE_SIZE)
    small = _shrunk(medium, WORKING_SIZE)
    found = _object(small)
    if found is None:
        found = (_centrality(small.shape[:2]) > 0.5).astype(np.uint8)
    soft = cv2.GaussianBlur(found.astype(np.float32), (0, 0), 1.0)
    soft = cv2.resize(soft, medium.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    radius = round(1.5 * max(medium.shape) / max(small.shape)) + 1
    # 0.5 stays on the outline; the factor narrows what is left of the blur.
    slope, offset = (2 * part for part in _guided(soft, _grey(medium), radius))
    offset -= np.float32(0.5)
    slope, offset = (cv2.resize(part, (width, height)) for part in (slope, offset))
    snapped = cv2.add(cv2.multiply(slope, _grey(image)), offset)
    return np.asarray(np.clip(snapped, 0, 1, out=snapped), np.float32)


def _shrunk(image: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    scale = min(1.0, longest / max(image.shape))
    size = [max(8, round(side * scale)) for side in image.shape[1::-1]]
    return resized(image, size)


def _grey(image: NDArray[np.uint8]) -> Floats:
    return cv2.multiply(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), 1 / 255, dtype=cv2.CV_32F)


def _guided(field: Floats, guide: Floats, radius: int) -> tuple[Floats, Floats]:
    """Slope and offset that turn `guide` into `field` with the guide's edges.

    The guided filter (He et al., ECCV 2010); both may be enlarged before they are applied to a
    larger guide (He and Sun, "Fast Guided Filter", 2015).
    """

    def mean(values: Floats) -> Floats:
        return np.asarray(cv2.boxFilter(values, -1, (2 * radius + 1, 2 * radius + 1)), np.float32)

    average, level = mean(guide), mean(field)
    spread = mean(guide * guide) - average * average
    slope = np.asarray((mean(guide * field) - average * level) / (spread + 1e-3), np.float32)
    return mean(slope), mean(np.asarray(level - slope * average, np.float32))


def _centrality(shape: tuple[int, int]) -> Floats:
    """Elliptic bump: 1 in the centre, 0.5 on the fallback ellipse (0.7 of each half side)."""
    y = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, shape[1], dtype=np.float32)[None]
    return (0.5 ** ((x * x + y * y) / 0.49)).astype(np.float32)


def _object(small: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """0/1 mask `[h, w]` of the object, or None when nothing plausible was found."""
    height, width = small.shape[:2]
    smooth = cv2.GaussianBlur(small, (0, 0), 0.8)
    lab = cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB).astype(np.float32)
    # Lightness counts half: shadows on the background are not the object.
    lab = (lab - np.array([0, 128, 128], np.float32)) * np.array([0.5, 1, 1], np.float32)
    rim = max(2, min(height, width) // 25)
    border = np.ones((height, width), bool)
    border[rim:-rim, rim:-rim] = False
    distance, cut_off = _contrast(lab, rim)
    around = border & ~cut_off if (border & ~cut_off).any() else border
    busy = quantile(distance[around], 0.9)
    # More than plainly different does not make it more of an object: prints outshine shirts.
    contrast = np.clip(distance - busy, 0, PLAIN)
    # What looks through a handle is enclosed as well, but has the very colour of the background.
    enclosed = _enclosed(lab) * np.minimum(distance / 2, 1)
    enclosed = np.maximum(enclosed - np.float32(quantile(enclosed[around], 0.9)), 0)
    raw = contrast + ENCLOSED * np.minimum(enclosed, 8)
    evidence = np.clip(4 * raw * np.sqrt(_centrality((height, width))), 0, 255)
    level, _ = cv2.threshold(evidence.astype(np.uint8), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    labels = np.where(evidence > level, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[evidence > 2.5 * level + 8] = cv2.GC_FGD
    labels[border & (labels != cv2.GC_FGD)] = cv2.GC_BGD
    if not (labels & 1).any() or (labels & 1).all():
        return None
    cv2.setRNGSeed(0)  # GrabCut starts from k-means, which draws from OpenCV's own generator
    cv2.grabCut(small, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), 1, cv2.GC_INIT_WITH_MASK)
    found = _central_component((labels & 1).astype(np.uint8), distance < 2)
    if found is None:
        return None
    # Before a busy background a small find is a scrap of print, and noise is found anywhere.
    scrap = busy > 8 and found.mean() < 0.08
    return None if scrap or (raw[found > 0] > 1).mean() < 0.4 else found


def _contrast(lab: Floats, rim: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Distance `[h, w]` of every colour to the nearest one of the background, and what is cut off.

    The border shows the background, but for colours that fill the centre of the picture and
    little of the border: those belong to an object cut off by it (bool `[h, w]`).
    """
    edges = (lab[:rim], lab[-rim:], lab[:, :rim].swapaxes(0, 1), lab[:, -rim:].swapaxes(0, 1))
    stretches = [part.reshape(-1, 3) for edge in edges for part in np.array_split(edge, 6, axis=1)]
    around = np.array([np.sort(stretch, axis=0)[len(stretch) // 2] for stretch in stretches])
    height, width = lab.shape[:2]
    centre = (slice(height * 3 // 10, height * 7 // 10), slice(width * 3 // 10, width * 7 // 10))
    nearest = np.full((height, width), np.inf, np.float32)
    cut_off = np.zeros((height, width), bool)
    squares = cv2.transform(lab * lab, np.ones((1, 3), np.float32))

    def apart_from(colour: Floats) -> Floats:
        """Squared distance `[h, w]` of every colour from one, by the binomial formula."""
        mixed = cv2.transform(lab, np.array([[*(-2 * colour), colour @ colour]], np.float32))
        return np.maximum(squares + mixed, 0)

    apart = np.abs(around[:, None] - around).max(-1)
    shares = (((around[:, None] - around) ** 2).sum(-1) < CLOSE**2).mean(-1)
    seen: list[int] = []
    for index, colour in enumerate(around):
        if seen and apart[index, seen].min() < 3:
            continue
        seen.append(index)
        plain = apart_from(colour)
        if shares[index] < 0.3 and (plain[centre] < CLOSE**2).mean() > 0.5:
            cut_off |= plain < CLOSE**2
            continue
        cv2.min(nearest, plain, nearest)
        for shade, penalty in SHADES:
            cv2.min(nearest, apart_from(colour * shade) + np.float32(penalty**2), nearest)
    return np.sqrt(nearest), cut_off


def quantile(values: Floats, share: float) -> float:
    """The value below which a share of all values lies; a tenth of the time of NumPy's."""
    rank = round(share * (values.size - 1))
    return float(np.partition(values, rank, axis=None)[rank])


def _enclosed(lab: Floats) -> Floats:
    """Strength `[h, w]` of the edges that part a pixel from the border of the picture.

    The smallest, over all paths to the border, of a path's steepest step: a morphological
    reconstruction (Vincent, IEEE TIP 1993) of the gradient from the border inwards.
    """
    kernel = np.ones((3, 3), np.uint8)
    steps = cv2.morphologyEx(lab, cv2.MORPH_GRADIENT, kernel).max(-1)
    level = np.full(steps.shape, np.inf, np.float32)
    level[[0, -1]], level[:, [0, -1]] = steps[[0, -1]], steps[:, [0, -1]]
    for turn in range(sum(steps.shape)):
        lower = cv2.max(cv2.erode(level, kernel), steps)
        if turn % 8 == 7 and np.array_equal(lower, level):
            break
        level = lower
    return np.asarray(level)


def _central_component(
    mask: NDArray[np.uint8], background: NDArray[np.bool_]
) -> NDArray[np.uint8] | None:
    """The part of `mask` that fills the centre best; holes are filled unless they show background.

    None when it is implausible as an object.
    """
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, labels = cv2.connectedComponents(mask)
    if count < 2:
        return None
    centrality = _centrality(mask.shape)
    votes = np.bincount(labels.ravel(), weights=centrality.ravel() ** 2, minlength=count)
    votes[0] = 0
    best = int(votes.argmax())
    chosen = np.isin(labels, [i for i in range(1, count) if votes[i] >= 0.25 * votes[best]])
    contours, _ = cv2.findContours(
        chosen.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    filled = cv2.drawContours(np.zeros_like(mask), contours, -1, 1, cv2.FILLED)
    through = cv2.morphologyEx(
        (filled & background).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)
    )
    if through.sum() < 0.35 * filled.sum():  # else the object itself is white on white
        filled -= through
    on_border = np.concatenate([filled[0], filled[-1], filled[:, 0], filled[:, -1]]).mean()
    inside = float((filled * centrality).sum() / centrality.sum())
    plausible = 0.02 <= filled.mean() <= 0.9 and on_border < 0.5 and inside > 0.06
    return np.asarray(filled, np.uint8) if plausible else None


def light_angle(linear: Floats, inside: Floats) -> float:
    """Estimate where the light comes from, in the image plane, from shading on the object.

    The mean gradient of log luminance over a convex, evenly coloured object points to the light.
    Steep gradients are paint rather than shading, so each counts at most as much as a typical one;
    a weak pull upwards decides flat pictures, since light mostly comes from above.

    Args:
        linear: float32 `[h, w, 3]` linear light in [0, 1].
        inside: float32 `[h, w]` foreground in [0, 1].

    Returns:
        Angle in radians of the vector towards the light, x to the right and y *down*:
        -pi/2 is light from above.
    """
    shrink = min(1.0, WORKING_SIZE / max(inside.shape))
    size = max(8, round(inside.shape[1] * shrink)), max(8, round(inside.shape[0] * shrink))
    small = resized(linear, size)
    weight = resized(inside, size)
    radius = max(1.0, float(np.sqrt(weight.sum() / np.pi)))
    # Normalised blur: the background must not bleed into the object.
    blurred = cv2.GaussianBlur(small.mean(-1) * weight, (0, 0), radius / 10)
    mass = cv2.GaussianBlur(weight, (0, 0), radius / 10)
    log = np.log(np.maximum(blurred, 0) / np.maximum(mass, 1e-3) + 0.02)
    down, right = np.gradient(log.astype(np.float32) * radius)
    steep = np.hypot(down, right)
    core = np.where(weight > 0.9, weight, 0)
    typical = float(np.median(steep[core > 0])) if (core > 0).any() else 1.0
    core = core * np.minimum(1, 2 * typical / np.maximum(steep, 1e-6))
    total = max(float(core.sum()), 1e-6)
    x, y = float((right * core).sum()) / total, float((down * core).sum()) / total
    return float(np.arctan2(y - 0.05, x))

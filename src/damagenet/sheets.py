"""Figures made of pictures: grids, twins, close-ups, differences, noise.

Figures made of numbers are in `plots`, which also gives access to all of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from damagenet import images
from damagenet.images import Array
from damagenet.synth.contact_sheet import pick as varied
from damagenet.synth.dataset import draws

CELL_COLOURS = {
    "authentic_intact": "#1b9e77",
    "authentic_damaged": "#66a61e",
    "doctored_damage": "#d95f02",
    "doctored_other": "#e7298a",
}
"""One colour per cell in every figure: greens are authentic, warm colours doctored."""
CHANGED = (255, 0, 80)
"""Outline of what was changed (the stored mask)."""
INTENDED = (0, 140, 255)
"""Outline of what was meant to change."""
CLOSE = 160
"""Longest side of a close-up in which noise is to be seen (px)."""

Heat = NDArray[np.floating[Any]]
Box = tuple[slice, slice]


def tiles(
    pictures: Sequence[Array | Heat],
    titles: Sequence[str] = (),
    columns: int = 4,
    size: float = 2.6,
) -> Figure:
    """Pictures in a grid; two-dimensional arrays in [0, 1] are drawn as heatmaps."""
    shapes = [picture.shape[0] / picture.shape[1] for picture in pictures] or [1.0]
    tall = [max(shapes[i : i + columns]) for i in range(0, len(shapes), columns)]
    lines = max((title.count("\n") + 1 for title in titles), default=0)
    inches = (columns * size, sum(tall) * size + (0.05 + 0.15 * lines) * len(tall))
    figure = Figure(figsize=inches, layout="constrained")
    axes = figure.subplots(len(tall), columns, squeeze=False, height_ratios=tall).ravel()
    for axis in axes:
        axis.axis("off")
    for i, (axis, picture) in enumerate(zip(axes, pictures, strict=False)):
        if picture.ndim == 2 and picture.dtype != np.uint8:
            axis.imshow(picture, cmap="inferno", vmin=0, vmax=1)
        else:
            axis.imshow(picture, cmap="gray", vmin=0, vmax=255)
        if i < len(titles):
            axis.set_title(titles[i], fontsize=8)
    return figure


def outlined(image: Array, mask: NDArray[np.bool_], colour: tuple[int, ...] = CHANGED) -> Array:
    """A picture with the border of a region drawn on it, inside the region.

    Args:
        image: uint8 `[h, w, 3]`; left alone.
        mask: bool `[h, w]`; where it reaches the edge of the picture, the edge is its border.
        colour: RGB of the line, which is as thick as shows at any size.
    """
    side = 2 * max(1, round(max(mask.shape) / 240)) + 1
    inner = cv2.erode(
        mask.astype(np.uint8), np.ones((side, side), np.uint8),
        borderType=cv2.BORDER_CONSTANT, borderValue=0,
    )  # fmt: skip
    result = image.copy()
    result[mask & (inner == 0)] = colour
    return result


def close_up(mask: Array | NDArray[np.bool_], least: int = 40, most: int = 1 << 30) -> Box:
    """Rows and columns of a box around a region; the whole picture where there is none.

    Args:
        mask: bool `[h, w]`, or uint8 that is above 127 in the region.
        least: Shortest side of the box in pixels, as far as the picture reaches.
        most: Longest side; a larger region is cut about its centre of gravity.
    """
    y, x = np.nonzero(mask if mask.dtype == bool else mask > 127)
    if not len(y):
        return slice(0, mask.shape[0]), slice(0, mask.shape[1])
    margin = 8 + round(0.33 * max(np.ptp(y), np.ptp(x)))

    def side(places: NDArray[np.intp], size: int) -> slice:
        start, stop = int(places.min()) - margin, int(places.max()) + 1 + margin
        wanted = min(max(stop - start, least), most, size)
        centre = (start + stop) / 2 if stop - start <= most else float(places.mean())
        start = min(max(0, round(centre - wanted / 2)), size - wanted)
        return slice(start, start + wanted)

    return side(y, mask.shape[0]), side(x, mask.shape[1])


def difference(image: Array, before: Array, gain: float = 12) -> Heat:
    """How far two pictures are apart, float32 `[h, w]` in [0, 1], `gain` times enlarged."""
    gap = cv2.absdiff(image, before).mean(axis=2, dtype=np.float32)
    return np.clip(gap * np.float32(gain / 255), 0, 1)


def residual(image: Array, gain: float = 8) -> Array:
    """The finest detail around mid grey: what is left after subtracting a blurred copy.

    Args:
        image: uint8 `[h, w, 3]`.
        gain: How much the detail is enlarged.

    Returns:
        uint8 `[h, w]` of the luma; 128 where there is none.
    """
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = luma - cv2.GaussianBlur(luma, (0, 0), 1.5)
    return np.clip(np.rint(128 + np.float32(gain) * fine), 0, 255).astype(np.uint8)


def contact_sheet(table: pd.DataFrame, n: int = 40, columns: int = 10) -> Figure:
    """An even sample of a product table, titled by category; damaged products say so."""
    picked = table.iloc[np.linspace(0, len(table) - 1, min(n, len(table))).astype(int)]
    titles = [
        category.replace("_", " ") + ("\n(damaged)" if condition == "damaged" else "")
        for category, condition in zip(picked.category, picked.condition, strict=True)
    ]
    return tiles([_thumbnail(path) for path in picked.path], titles, columns, size=1.4)


def _thumbnail(path: str, side: int = 200) -> Array:
    image = images.read(path)
    height, width = image.shape[:2]
    factor = min(1.0, side / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def twins(manifest: pd.DataFrame, dataset: str | Path, products: int = 4) -> Figure:
    """The four cells of a few products, as unlike as can be; what was changed is outlined."""
    complete = manifest.groupby(draws(manifest)).cell.transform("nunique") == len(CELL_COLOURS)
    pictures, titles = [], []
    for unit in varied(manifest[complete], products):
        for cell, row in unit.set_index("cell").loc[list(CELL_COLOURS)].iterrows():
            image = images.read(Path(dataset) / str(row["image"]))
            mask = images.read_mask(Path(dataset) / str(row["mask"])) > 127
            pictures.append(outlined(image, mask))
            facts = (row.kind, row.topology, row.family)
            titles.append(f"{cell}\n{', '.join(f for f in facts if f != 'none')}")
    return tiles(pictures, titles, 4)


def samples(
    rendered: Sequence[Any],
    titles: Sequence[str] = (),
    columns: int = 4,
    around: Array | NDArray[np.bool_] | None = None,
) -> Figure:
    """Rendered `doctor.Sample`s with what was changed outlined; or plain, close around a mask."""
    if around is None:
        shown = [outlined(images.read(one.file), one.mask > 127) for one in rendered]
    else:
        shown = [images.read(one.file)[close_up(around)] for one in rendered]
    return tiles(shown, titles, columns, size=13 / columns)


def differences(
    rendered: Sequence[Any],
    titles: Sequence[str] = (),
    gain: float = 12,
    columns: int = 4,
    around: Array | NDArray[np.bool_] | None = None,
) -> Figure:
    """Rendered samples above what changed in each against the first one, `gain` times enlarged.

    Outlined are what was meant to change (blue) and what was changed (red); close around a mask
    nothing is outlined.
    """
    before, *after = [images.read(one.file) for one in rendered]
    place = ... if around is None else close_up(around, most=CLOSE)
    pairs = []
    for image, one in zip(after, rendered[1:], strict=True):
        shown = image
        if around is None:
            shown = outlined(outlined(image, one.intended > 127, INTENDED), one.mask > 127)
        pairs.append((shown[place], difference(image, before, gain)[place]))
    return _stacked(pairs, titles, f"difference x {gain:g}", columns)


def noise(
    rendered: Sequence[Any],
    titles: Sequence[str] = (),
    gain: float = 8,
    columns: int = 4,
    around: Array | NDArray[np.bool_] | None = None,
) -> Figure:
    """Rendered samples above their finest detail, enlarged around grey; close around a mask."""
    read = [images.read(one.file) for one in rendered]
    place = ... if around is None else close_up(around, most=CLOSE)
    pairs = [(image[place], residual(image, gain)[place]) for image in read]
    return _stacked(pairs, titles, f"finest detail x {gain:g}", columns)


def _stacked(
    pairs: Sequence[tuple[Array, Array | Heat]], titles: Sequence[str], below: str, columns: int
) -> Figure:
    """Pairs on top of each other, `columns` in a row."""
    columns = min(columns, len(pairs))
    blank = np.full_like(pairs[0][0], 255)
    shown: list[Array | Heat] = []
    named: list[str] = []
    for start in range(0, len(pairs), columns):
        part = pairs[start : start + columns]
        gaps = columns - len(part)
        for which, words in ((0, list(titles[start : start + columns])), (1, [below] * len(part))):
            shown += [*(pair[which] for pair in part), *[blank] * gaps]
            named += [*words, *[""] * (columns - len(words))]
    return tiles(shown, named, columns, size=13 / max(3, columns))


def crops(items: Sequence[Mapping[str, Any]]) -> Figure:
    """Training items as columns: authentic twin, doctored twin, doctored pixels (light)."""
    twin = [[np.asarray(item["image"][which]) for item in items] for which in (0, 1)]
    # Greys: a frame that is doctored all over would be white on a white page.
    masks = [np.asarray(60 + item["mask"][1] * 140).astype(np.uint8) for item in items]
    titles = [name for name in ("authentic", "doctored", "its mask (light)") for _ in items]
    return tiles([*twin[0], *twin[1], *masks], titles, len(items), size=13 / len(items))


def planes(pair: Array, residuals: Heat) -> Figure:
    """What a network sees of two twins: colours and residuals of green, and how the twins differ.

    Args:
        pair: uint8 `[2, h, w, 3]`, authentic and doctored.
        residuals: float `[2, 9, h, w]` as `model.Network.residuals` gives them, in [-2, 2]: three
            filters of red, of green, of blue.
    """
    green = residuals[:, 3:6]
    rows = [[twin, *(0.5 + seen / 4)] for twin, seen in zip(pair, green, strict=True)]
    gaps = np.abs(green[1] - green[0]) / 2
    names = ["colours", "line", "square 3 x 3", "square 5 x 5"]
    titles = [f"{who}: {name}" for who in ("authentic", "doctored") for name in names]
    figure = tiles(
        [*(np.asarray(np.stack([one] * 3, 2) * 255 if one.ndim == 2 else one, np.uint8)
           for row in rows for one in row), difference(pair[1], pair[0]), *gaps],
        [*titles, *("difference" + (" x 12" if not i else "") for i in range(4))],
    )  # fmt: skip
    return figure


def heatmap_gallery(dataset: str | Path, picks: Sequence[Mapping[str, Any]]) -> Figure:
    """Pictures above their heatmaps; the truth is outlined on the picture."""
    columns = max(1, len(picks) // 2)
    shown: list[Any] = []
    titles: list[str] = []
    for row in (picks[:columns], picks[columns:]):
        for pick in row:
            image = images.read(Path(dataset) / str(pick["image"]))
            mask = images.read_mask(Path(dataset) / str(pick["mask"])) > 127
            shown.append(outlined(image, mask))
            titles.append("{title}  {score:.2f}\n{cell}\n{kind}, {family}".format(**pick))
        shown += [pick["heatmap"] for pick in row]
        titles += [""] * len(row)
    return tiles(shown, titles, columns, size=2)

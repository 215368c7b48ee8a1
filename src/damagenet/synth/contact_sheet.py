"""Twins side by side: thumbnails of a few draws of a dataset, as HTML."""

from __future__ import annotations

import base64
import io
import json
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from damagenet import images, runs
from damagenet.images import Array
from damagenet.synth import dataset, doctor

SHOWN = 264
"""Longest side of thumbnails in pixels."""
DRAWS = 6
"""Rows of twins."""


def esc(text: object) -> str:
    """Text for HTML; characters that are invisible or change the reading direction are shown."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))
    return escape(shown, quote=True)


def words(cell: str) -> str:
    """A cell's name for people."""
    return cell.replace("_", ", ")


def chains(manifest: pd.DataFrame) -> pd.Series:
    """The channel of each row by name."""
    return manifest.channel.map(lambda text: str(json.loads(text).get("chain", "unknown")))


def pick(manifest: pd.DataFrame, n: int = DRAWS) -> list[pd.DataFrame]:
    """Draws to show, the rows of each: complete ones if possible, each as new as can be.

    New are topologies above all, then families, kinds of damage, channels and categories. The last
    place is for a photo of real damage, if there is one.
    """
    manifest = manifest.assign(chain=chains(manifest))
    left = {str(name): rows for name, rows in manifest.groupby(dataset.draws(manifest))}
    order = sorted(left, key=lambda name: runs.rng_for(0, "card", name).random())
    seen: set[tuple[str, str]] = set()
    shown: list[pd.DataFrame] = []
    real = [name for name in order if (left[name].kind == "real").any()]

    def worth(name: str) -> tuple[int, int, int]:
        fresh = {
            (column, str(value))
            for column in ("topology", "family", "kind", "chain", "category")
            for value in left[name][column]
        } - seen
        return (
            int(left[name].cell.nunique() == len(doctor.CELLS)),
            sum(column == "topology" for column, _ in fresh),
            len(fresh),
        )

    while order and len(shown) < n:
        last = len(shown) == n - 1 and real
        name = real[0] if last else max(order, key=worth)
        order.remove(name)
        real = [other for other in real if other != name]
        shown.append(left[name])
        for column in ("topology", "family", "kind", "chain", "category"):
            seen |= {(column, str(value)) for value in left[name][column]}
    return shown


def twins(folder: Path, rows: pd.DataFrame) -> str:
    """One draw, its four cells beside each other; `rows` as `pick` gives them."""
    by_cell = {row["cell"]: row for row in rows.to_dict("records")}
    first = rows.iloc[0]
    figures = [
        _figure(folder, by_cell[cell]) if cell in by_cell
        else f'<figure><div class="none">not drawn</div><figcaption><b>{esc(words(cell))}</b>'
             "</figcaption></figure>"
        for cell in doctor.CELLS
    ]  # fmt: skip
    return (
        f'<section class="card draw"><h3>{esc(first.category)} · channel {esc(first.chain)} '
        f'<span class="file">{esc(first.product_id)}, {esc(first.split)}</span></h3>'
        f'<div class="cells">{"".join(figures)}</div></section>'
    )


def _figure(folder: Path, row: dict[Any, Any]) -> str:
    """One picture with the outline of its mask, and of the intended one where there is any."""
    image = images.read(folder / row["image"])
    height, width = image.shape[:2]
    factor = min(1.0, SHOWN / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(small).save(buffer, "JPEG", quality=84)
    data = base64.b64encode(buffer.getvalue()).decode()
    outlines = ""
    intended = folder / "intended" / row["mask"].partition("/")[2]
    for kind, path in (("", folder / row["mask"]), ("meant", intended)):
        if row["label"] and path.is_file():
            outlines += outline(images.read_mask(path), size, kind)
    severity = f", severity {row['severity']}" if row["severity"] else ""
    detail = f"{row['kind']}{severity}" if row["kind"] != "none" else "as it was"
    if row["label"]:
        how = [row[key] for key in ("method", "topology", "family") if row[key] != "none"]
        detail += f"; {', '.join(how)}"
    text = f"{words(row['cell'])}: {detail}"
    return (
        f'<figure><div class="stack"><img alt="{esc(text)}" width="{size[0]}" height="{size[1]}" '
        f'src="data:image/jpeg;base64,{data}">{outlines}</div>'
        f"<figcaption><b>{esc(words(row['cell']))}</b>{esc(detail)}</figcaption></figure>"
    )


def outline(mask: Array, size: tuple[int, int], kind: str = "") -> str:
    """The borders of a mask as an SVG drawing over a thumbnail of `size` (width, height)."""
    small = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
    wide = cv2.dilate((small > 31).astype(np.uint8), np.ones((3, 3), np.uint8))
    shapes, _ = cv2.findContours(wide, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    largest = sorted(shapes, key=lambda s: -float(cv2.contourArea(s)))[:24]
    lines = "".join(
        "<polygon points='" + " ".join(f"{x},{y}" for x, y in shape[:, 0]) + "'/>"
        for shape in largest
    )
    return (
        f'<svg class="{kind}" viewBox="0 0 {size[0]} {size[1]}" preserveAspectRatio="none" '
        f'stroke-width="1.5" aria-hidden="true">{lines}</svg>'
    )

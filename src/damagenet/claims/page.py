"""The evidence report as one self-contained HTML page, in English and Chinese at once.

The template escapes everything; a content policy forbids whatever slips through from loading or
running anything.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from damagenet.claims.detector import VERDICTS
from damagenet.claims.heatmaps import Array, Map, overlay
from damagenet.claims.labels import unchecked
from damagenet.claims.messages import LANGUAGES, Message, known, say
from damagenet.claims.signals import SMALLEST_CHANGE, Photo, Signal, label_says

SHOWN, THUMB = 900, 240
"""Longest side in pixels of pictures inside the page, and of those beside a signal."""
TAGS = {"en": "en", "zh": "zh-Hans"}
"""How the page marks its languages."""


def clean(value: object) -> object:
    """Text whose characters that are invisible or change the reading direction are shown."""
    if value is None or isinstance(value, Markup | int | float):
        return value
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value))


def both(text: Message | Mapping[str, str]) -> Markup:
    """A message, or a text by language, in every language; the page shows one of them."""
    said = {la: text.text(la) if isinstance(text, Message) else text[la] for la in LANGUAGES}
    return Markup("").join(
        Markup('<span lang="{}">{}</span>').format(TAGS[la], clean(said[la])) for la in LANGUAGES
    )


def plain(message: Message) -> str:
    """A message for places that take no markup, such as the description of a picture."""
    return " / ".join(message.text(language) for language in LANGUAGES)


def render(
    report: Mapping[str, Any],
    signals: Sequence[Signal],
    said: Mapping[str, Sequence[Message]],
    photos: Sequence[Photo],
    listing: Photo | None,
    language: str,
) -> str:
    """The whole page.

    Args:
        report: What the JSON file holds.
        signals: Its signals.
        said: Messages of the `promise`, the `notices` and the `advice`.
        photos: The claim photos with pixels, results and comparisons.
        listing: The listing photo, if one was given.
        language: 'en', 'zh' or 'auto'.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = Path(__file__).parent
    script = (folder / "page.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(
        loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined,
        finalize=clean, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.globals |= {
        "t": lambda code, **params: both(say(code, **params)),
        "alt": lambda code, **params: plain(say(code, **params)),
        "name": lambda kind, name: both(m) if (m := known(kind, name)) else str(name),
        "both": both, "thumb": lambda signal: _thumb(signal, photos),
    }  # fmt: skip
    readable = [p for p in photos if not p.error]
    return environment.get_template("page.html").render(
        report=report,
        signals=sorted(signals, key=lambda s: -VERDICTS.index(s.verdict)),
        said=said,
        verdicts=VERDICTS,
        auto=language == "auto",
        chosen="en" if language == "auto" else language,
        languages=[("en", "English"), ("zh", "中文")],
        count=len(photos),
        compared=listing is not None and not listing.error,
        photos=[_photo(p) for p in readable],
        pairs=[_pair(p, listing) for p in readable if p.comparison is not None],
        labels=[(label, both(label_says(label)), p.path) for p in readable for label in p.labels],
        unchecked=[(label, both(label_says(label))) for label in unchecked()],
        hashes=[p for p in (*photos, listing) if p is not None and p.sha256],
        style=Markup((folder / "page.css").read_text("utf-8")),
        script=Markup(script),
        script_hash=digest,
    )


def _thumb(signal: Signal, photos: Sequence[Photo]) -> dict[str, Any] | None:
    """The picture beside a signal: what it speaks of, marked where it can be."""
    photo = next((p for p in photos if p.number == signal.photo), None)
    if photo is None or photo.image is None or photo.result is None:
        return None
    small = _small(photo.image, THUMB)
    changed = photo.comparison.changed if photo.comparison is not None else None
    shapes = []
    if signal.name in ("listing", "damage") and changed is not None:
        shapes = _shapes(_counted(changed))
    elif signal.name in ("pixels", "damage"):
        small = overlay(small, _small_map(photo.result.heatmap, small))
    return {"number": photo.number, "src": _data(small), "shapes": shapes} | _size(photo.image)


def _photo(photo: Photo) -> dict[str, Any]:
    assert photo.image is not None and photo.result is not None
    small = _small(photo.image)
    warm = overlay(small, _small_map(photo.result.heatmap, small))
    return {
        "photo": photo, "src": _data(small), "warm": _data(warm), "held": photo.held(),
    } | _size(photo.image)  # fmt: skip


def _pair(photo: Photo, listing: Photo | None) -> dict[str, Any]:
    """Claim and listing photo, laid over each other where they are one exposure."""
    found = photo.comparison
    assert found is not None and photo.image is not None
    assert listing is not None and listing.image is not None
    aligned = found.aligned is not None and found.changed is not None
    theirs = found.aligned if found.aligned is not None else listing.image
    changed = _counted(found.changed) if found.changed is not None else np.zeros((1, 1), bool)
    return {
        "photo": photo, "listing": listing.path, "found": found, "aligned": aligned,
        "claim": _data(_small(photo.image)), "theirs": _data(_small(theirs)),
        "shapes": _shapes(changed), "area": float(changed.mean()),
    } | _size(photo.image)  # fmt: skip


def _size(image: Array) -> dict[str, Any]:
    """Of a picture, with the width of a line that can be seen on it."""
    height, width = image.shape[:2]
    return {"width": width, "height": height, "line": f"{max(width, height) / 300:.1f}"}


def _counted(changed: Map) -> NDArray[np.bool_]:
    """The changed areas that are large enough for a finding; specks are not shown either."""
    import cv2

    _, names, stats, _ = cv2.connectedComponentsWithStats((changed > 0.5).astype(np.uint8))
    large = stats[:, cv2.CC_STAT_AREA] >= SMALLEST_CHANGE * changed.size
    large[0] = False  # the background
    return np.asarray(large[names], bool)


def _shapes(changed: NDArray[np.bool_]) -> list[str]:
    """Outlines of the changed areas as points of SVG polygons, in pixels of the claim."""
    import cv2

    size = max(3, round(max(changed.shape) / 150)) | 1  # a little room around the change
    room = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    wide = cv2.dilate(changed.astype(np.uint8), room)
    shapes, _ = cv2.findContours(wide, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    largest = sorted(shapes, key=lambda s: -float(cv2.contourArea(s)))[:20]
    return [" ".join(f"{x},{y}" for x, y in shape[:, 0]) for shape in largest]


def _small(image: Array, side: int = SHOWN) -> Array:
    picture = Image.fromarray(image)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def _small_map(heatmap: Map, like: Array) -> Map:
    size = (like.shape[1], like.shape[0])
    return np.asarray(Image.fromarray(heatmap).resize(size, Image.Resampling.BILINEAR))


def _data(image: Array) -> str:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()

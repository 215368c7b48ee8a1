"""The evidence report as one self-contained HTML page.

Everything that comes from files or arguments goes through `esc`; a content policy forbids
whatever slips through from loading or running anything.
"""

from __future__ import annotations

import base64
import hashlib
import io
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from PIL import Image

from damagenet.claims.heatmaps import Array, Map, Region, overlay
from damagenet.claims.signals import Photo

SHOWN = 900
"""Longest side in pixels of pictures inside the page."""
CAVEAT = (
    "A score is a reason to look, never proof. Authentic photos reach the threshold at the stated "
    "false-alarm rate, and an edit can stay below it. Decide with a person, and hear the buyer."
)
HEADLINE = {
    "pass": "Nothing stands out",
    "review": "Worth a second look",
    "flag": "Look at this claim closely",
}
NAMES = {"pixels": "Pixels", "listing": "Listing photo", "labels": "AI labels"}
FINDINGS = {
    "same_exposure": "same exposure",
    "same_object": "same object",
    "possible_ai": "possible AI",
    "ai": "AI named",
    "camera": "camera named",
}


def esc(text: object) -> str:
    """Text for HTML; characters that are invisible or change the reading direction are shown."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))
    return escape(shown, quote=True)


def render(report: dict[str, Any], photos: list[Photo], listing: Photo | None) -> str:
    """The whole page.

    Args:
        report: What the JSON file holds.
        photos: The claim photos with pixels, results and comparisons.
        listing: The listing photo, if one was given.
    """
    folder = Path(__file__).parent
    script = (folder / "page.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    errors = [p for p in (*photos, listing) if p is not None and p.error]
    return Template((folder / "page.html").read_text("utf-8")).substitute(
        style=(folder / "page.css").read_text("utf-8"),
        script=script,
        script_hash=digest,
        verdict=esc(report["verdict"]),
        headline=esc(HEADLINE[report["verdict"]]),
        created=esc(report["created"].replace("T", " ").replace("+00:00", " UTC")),
        count=esc(_counted(photos, listing)),
        caveat=esc(CAVEAT),
        signals="\n".join(_signal(s) for s in report["signals"]),
        errors="\n".join(f'<p class="error">{esc(p.error)}</p>' for p in errors),
        photos="\n".join(_photo(p, i) for i, p in enumerate(photos, 1) if not p.error),
        comparisons=_comparisons(photos, listing),
        labels=_labels(report["labels"]),
        advice="\n".join(f"<li>{esc(step)}</li>" for step in report["advice"]),
        facts=_facts(report),
    )


def _counted(photos: list[Photo], listing: Photo | None) -> str:
    text = f"{len(photos)} claim photo" + ("s" if len(photos) != 1 else "")
    return text + (", compared with the listing photo" if listing is not None else "")


def _signal(signal: dict[str, Any]) -> str:
    percent = round(100 * signal["strength"])
    finding = FINDINGS.get(signal["finding"], signal["finding"])
    return (
        f'<div class="signal {esc(signal["verdict"])}">'
        f'<div class="name">{esc(NAMES[signal["name"]])}</div>'
        f'<div class="finding">{esc(finding)}</div>'
        f'<div class="bar" role="img" aria-label="strength {percent} of 100">'
        f'<i style="width:{percent}%"></i></div><div class="number">{percent}</div>'
        f"<p>{esc(signal['explanation'])}</p></div>"
    )


def _photo(photo: Photo, number: int) -> str:
    if photo.image is None or photo.result is None:
        return ""
    result, (height, width) = photo.result, photo.image.shape[:2]
    small = _small(photo.image)
    heat = _small_map(result.heatmap, small)
    boxes = _boxes(result.regions, width, height)
    spots = f"{len(result.regions)} marked area" + ("s" if len(result.regions) != 1 else "")
    note = f'<p class="note">{esc(result.note)}</p>' if result.note else ""
    return (
        f'<section class="card"><h3>Photo {number} <span class="file">{esc(photo.path)}</span></h3>'
        f'<p class="score"><b>{result.score:.3f}</b> {esc(result.verdict)} · {spots}</p>{note}'
        f'<div class="pair"><figure><img alt="photo {number}" src="{_data(small)}">'
        f"<figcaption>as received, {width} × {height}</figcaption></figure>"
        f'<figure><div class="stack"><img alt="heatmap of photo {number}" '
        f'src="{_data(overlay(small, heat))}">{boxes}</div>'
        "<figcaption>where the pixels look edited (warm) and marked areas</figcaption>"
        "</figure></div></section>"
    )


def _boxes(regions: list[Region], width: int, height: int) -> str:
    """Marked areas as an SVG drawing over the picture."""
    line = max(width, height) / 300
    boxes = "".join(
        f'<rect x="{r.x}" y="{r.y}" width="{r.width}" height="{r.height}"/>' for r in regions
    )
    return (
        f'<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none" '
        f'stroke-width="{line:.1f}" aria-hidden="true">{boxes}</svg>'
    )


def _comparisons(photos: list[Photo], listing: Photo | None) -> str:
    cards = "\n".join(_comparison(p, i, listing) for i, p in enumerate(photos, 1))
    return f"<h2>Beside the listing photo</h2>{cards}" if cards.strip() else ""


def _comparison(photo: Photo, number: int, listing: Photo | None) -> str:
    """Listing and claim under a slider when they are one exposure, else side by side."""
    found = photo.comparison
    if found is None or photo.image is None or listing is None or listing.image is None:
        return ""
    finding = esc(FINDINGS.get(found.finding, found.finding))
    claim = _data(_small(photo.image))
    head = (
        f'<section class="card"><h3>Photo {number} and the listing photo '
        f'<span class="file">{esc(listing.path)}</span></h3>'
        f'<p class="score"><b>{finding}</b> · {found.inliers} common details</p>'
    )
    if found.aligned is None or found.changed is None:
        return (
            f'{head}<div class="pair"><figure><img alt="claim photo {number}" src="{claim}">'
            "<figcaption>claim</figcaption></figure><figure>"
            f'<img alt="listing photo" src="{_data(_small(listing.image))}">'
            "<figcaption>listing</figcaption></figure></div></section>"
        )
    height, width = photo.image.shape[:2]
    aligned = _data(_small(found.aligned))
    outline = _outline(found.changed, width, height)
    area = sum(r.area for r in photo.changes)
    return (
        f'{head}<div class="slider"><div class="stack">'
        f'<img alt="claim photo {number}" src="{claim}">'
        f'<img class="under" alt="listing photo, aligned" src="{aligned}">{outline}'
        '<b class="edge"></b></div><input type="range" min="0" max="100" value="50" '
        'aria-label="show more of the listing or of the claim">'
        "<p>left: listing, aligned · right: claim · "
        f"outlined: changed area, {area:.1%} of the photo</p></div>"
        f'<div class="pair paper"><figure><div class="stack"><img alt="" src="{claim}">'
        f"{outline}</div><figcaption>claim, changed area outlined</figcaption></figure><figure>"
        f'<img alt="" src="{aligned}"><figcaption>listing, aligned</figcaption></figure></div>'
        "</section>"
    )


def _outline(changed: Map, width: int, height: int) -> str:
    """Outline of the changed areas as an SVG drawing over the picture."""
    import cv2

    size = max(3, round(max(width, height) / 150)) | 1  # a little room around the change
    room = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    wide = cv2.dilate((changed > 0.5).astype(np.uint8), room)
    shapes, _ = cv2.findContours(wide, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    largest = sorted(shapes, key=lambda s: -float(cv2.contourArea(s)))[:20]
    paths = "".join(
        "<polygon points='" + " ".join(f"{x},{y}" for x, y in shape[:, 0]) + "'/>"
        for shape in largest
    )
    return (
        f'<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none" '
        f'stroke-width="{max(width, height) / 300:.1f}" aria-hidden="true">{paths}</svg>'
    )


def _labels(labels: list[dict[str, Any]]) -> str:
    if not labels:
        return "<p>None found. That says nothing about the origin of the photos.</p>"
    rows = "".join(
        f"<tr><td>{esc(label['standard'])}<br><small>{esc(label['carrier'])}</small></td>"
        f"<td>{esc(label['status'].replace('-', ' '))}</td><td>{esc(label['finding'])}"
        f"<div class='value'>{_value(label['value'])}</div>"
        f"<small>{esc(label['path'])}</small></td></tr>"
        for label in labels
    )
    return (
        "<table><thead><tr><th>Standard</th><th>Status</th><th>What it says</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def _value(value: dict[str, str]) -> str:
    return "<br>".join(f"{esc(k)}: {esc(v)}" for k, v in value.items() if v)


def _facts(report: dict[str, Any]) -> str:
    """Hashes, thresholds and versions, for whoever wants to check the report."""
    model = report["model"]
    rows: list[tuple[str, object]] = [
        ("Flag at or above", report["threshold"]),
        ("Review at or above", report["review_threshold"]),
        ("False-alarm rate of flag", report["false_alarm_rate"]),
        ("Model", f"{model['file']}, version {model.get('version', 'unknown')}"),
        ("Model SHA-256", model["sha256"]),
        ("Training data SHA-256", model.get("dataset_sha256", "unknown")),
    ]
    given = [*report["photos"], report["listing"]] if report["listing"] else report["photos"]
    rows += [(f"SHA-256 of {p['path']}", p["sha256"]) for p in given if "sha256" in p]
    rows.append(("Versions", ", ".join(f"{k} {v}" for k, v in report["versions"].items())))
    return "".join(f"<tr><th>{esc(k)}</th><td>{esc(v)}</td></tr>" for k, v in rows)


def _small(image: Array) -> Array:
    picture = Image.fromarray(image)
    picture.thumbnail((SHOWN, SHOWN), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def _small_map(heatmap: Map, like: Array) -> Map:
    size = (like.shape[1], like.shape[0])
    return np.asarray(Image.fromarray(heatmap).resize(size, Image.Resampling.BILINEAR))


def _data(image: Array) -> str:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()

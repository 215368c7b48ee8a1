"""All signals of one claim in one evidence report: an HTML page, and JSON beside it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from damagenet import BadInput, __version__, images
from damagenet.claims import page
from damagenet.claims.compare import compare
from damagenet.claims.detector import Detector
from damagenet.claims.heatmaps import find_regions
from damagenet.claims.labels import read_labels
from damagenet.claims.signals import (
    SMALLEST_CHANGE,
    Photo,
    advice,
    highest,
    label_signal,
    listing_signal,
    pixel_signal,
)
from damagenet.incoming import content

PACKAGES = ("numpy", "onnxruntime", "opencv-python-headless", "pillow")


def review(
    photos: Sequence[str | Path],
    listing: str | Path | None,
    detector: Detector,
    out: str | Path,
) -> dict[str, Any]:
    """Write the evidence report of one claim: HTML, then, as done marker, JSON.

    Args:
        photos: The claim's photos; unreadable ones are named in the report.
        listing: The seller's photo of the product, if there is one.
        detector: An open detector.
        out: The HTML file; the JSON file lies beside it with the same stem.

    Returns:
        What the JSON file holds.

    Raises:
        BadInput: No photo can be read, or the report cannot be written.
    """
    out = Path(out)
    if out.suffix.lower() == ".json" or out.is_dir():
        raise BadInput(f"{out}: name the report's HTML file, such as report.html")
    theirs = _open_photo(listing) if listing is not None else None
    looked = [_examine(path, theirs, detector) for path in photos]
    readable = [p for p in looked if not p.error]
    if not readable:
        reasons = "; ".join(p.error for p in looked) or "none was given"
        raise BadInput(f"no claim photo can be read: {reasons}")
    signals = [pixel_signal(readable, detector)]
    if theirs is not None:
        signals.append(listing_signal(readable, theirs))
    signals.append(label_signal([label for p in readable for label in p.labels]))
    report = {
        "verdict": highest(s.verdict for s in signals),
        "threshold": detector.threshold,
        "review_threshold": detector.review_threshold,
        "false_alarm_rate": detector.info.get("false_alarm_rate"),
        "recheck": detector.recheck,
        "signals": [asdict(s) for s in signals],
        "labels": [{"path": p.path, **asdict(label)} for p in readable for label in p.labels],
        "photos": [p.record() for p in looked],
        "listing": _listing_record(theirs),
        "advice": advice(signals, looked, theirs is not None),
        "model": {"file": detector.path.name, "sha256": detector.sha256, **_model(detector.info)},
        "versions": _versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    text = json.dumps(report, indent=2, allow_nan=False)
    html = page.render(report, looked, theirs)
    marker = out.with_suffix(".json")
    try:
        marker.unlink(missing_ok=True)  # an old marker must not vouch for a new page
        images.write_bytes(out, html.encode("utf-8", "replace"))
        images.write_bytes(marker, text.encode() + b"\n")
    except OSError as error:
        raise BadInput(f"{out}: the report cannot be written ({error.strerror})") from None
    return dict(json.loads(text))


def _open_photo(path: str | Path) -> Photo:
    try:
        data = content(path)
        image = images.read(data, str(path))
    except BadInput as error:
        return Photo(str(path), error=str(error))
    return Photo(str(path), sha256=hashlib.sha256(data).hexdigest(), image=image)


def _examine(path: str | Path, listing: Photo | None, detector: Detector) -> Photo:
    """Run every check on one claim photo."""
    photo = _open_photo(path)
    if photo.image is None:
        return photo
    try:
        photo.result = detector(photo.image)
        photo.labels = read_labels(path)
    except BadInput as error:
        return Photo(photo.path, error=str(error))
    if listing is not None and listing.image is not None:
        photo.comparison = compare(photo.image, listing.image)
        if photo.comparison.changed is not None:
            found = find_regions(photo.comparison.changed)
            photo.changes = [r for r in found if r.area >= SMALLEST_CHANGE]
    return photo


def _listing_record(listing: Photo | None) -> dict[str, Any] | None:
    if listing is None:
        return None
    if listing.image is None:
        return {"path": listing.path, "error": listing.error}
    height, width = listing.image.shape[:2]
    return {"path": listing.path, "sha256": listing.sha256, "width": width, "height": height}


def _model(info: dict[str, Any]) -> dict[str, Any]:
    wanted = (
        "version", "licence", "dataset_sha256", "metrics", "review_false_alarm_rate", "certificate"
    )  # fmt: skip
    return {k: info[k] for k in wanted if k in info}


def _versions() -> dict[str, str]:
    versions = {"damagenet": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # such as another build of OpenCV
            versions[package] = "unknown"
    return versions

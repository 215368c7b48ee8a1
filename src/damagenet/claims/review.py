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
from damagenet.claims import advice, page
from damagenet.claims.compare import compare
from damagenet.claims.detector import Detector
from damagenet.claims.heatmaps import find_regions
from damagenet.claims.labels import read_labels, unchecked
from damagenet.claims.photo_pairs import matched
from damagenet.claims.signals import (
    SMALLEST_CHANGE,
    Photo,
    Reused,
    damage_signal,
    highest,
    label_signal,
    listing_signal,
    pixel_signal,
    reuse_signal,
)
from damagenet.incoming import content

FORMAT = 3
"""Of the JSON file; 2 keeps a code beside each English sentence, 3 holds photos against each
other."""
PACKAGES = ("numpy", "onnxruntime", "opencv-python-headless", "pillow")


def review(
    photos: Sequence[str | Path],
    listing: str | Path | None,
    detector: Detector,
    out: str | Path,
    *,
    language: str = "auto",
    claim_id: str = "",
    reused: Sequence[Reused] = (),
) -> dict[str, Any]:
    """Write the evidence report of one claim: HTML, then, as done marker, JSON.

    Args:
        photos: The claim's photos; unreadable ones are named in the report.
        listing: The seller's photo of the product, if there is one.
        detector: An open detector.
        out: The HTML file; the JSON file lies beside it with the same stem.
        language: What the page opens in: 'en', 'zh', or 'auto' for the reader's browser. Either
            way it holds both.
        claim_id: Shown in the report.
        reused: Photos that other claims hold, too.

    Returns:
        What the JSON file holds.

    Raises:
        BadInput: No photo can be read, or the report cannot be written.
    """
    out = Path(out)
    if out.suffix.lower() not in (".html", ".htm") or out.is_dir():
        raise BadInput(f"{out}: name the report's HTML file, such as report.html")
    theirs = _opened(listing, 0)[0] if listing is not None else None
    looked = [_examine(path, i, theirs, detector) for i, path in enumerate(photos, 1)]
    readable = [p for p in looked if not p.error]
    if not readable:
        reasons = "; ".join(p.error for p in looked) or "none was given"
        raise BadInput(f"no claim photo can be read: {reasons}")
    found = (
        pixel_signal(readable, detector),
        listing_signal(readable, theirs) if theirs is not None else None,
        label_signal(readable),
        damage_signal(matches := matched(readable)),
        reuse_signal(reused),
    )
    signals = [signal for signal in found if signal is not None]
    said = {
        "promise": advice.promise(detector.info, detector.threshold, len(readable)),
        "notices": advice.notices(looked, theirs, reused),
        "advice": advice.advice(signals, looked, theirs),
    }
    report = {
        "format": FORMAT,
        "claim_id": claim_id,
        "language": language,
        "verdict": highest(s.verdict for s in signals),
        "threshold": detector.threshold,
        "review_threshold": detector.review_threshold,
        "false_alarm_rate": detector.info.get("false_alarm_rate"),
        "recheck": detector.recheck,
        "signals": [s.record() for s in signals],
        "labels": [{"path": p.path, **asdict(label)} for p in readable for label in p.labels],
        "unchecked": [asdict(label) for label in unchecked()],
        "photos": [p.record() for p in looked],
        "listing": _listing_record(theirs),
        "matched": [asdict(one) for one in matches],
        "reused": [asdict(one) for one in reused],
        **{kind: [m.record() for m in messages] for kind, messages in said.items()},
        "model": {"file": detector.path.name, "sha256": detector.sha256, **_model(detector.info)},
        "versions": _versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    text = json.dumps(report, indent=2, allow_nan=False)
    html = page.render(report, signals, said, looked, theirs, language)
    marker = out.with_suffix(".json")
    try:
        marker.unlink(missing_ok=True)  # an old marker must not vouch for a new page
        images.write_bytes(out, html.encode("utf-8", "replace"))
        images.write_bytes(marker, text.encode() + b"\n")
    except OSError as error:
        raise BadInput(f"{out}: the report cannot be written ({error.strerror})") from None
    return dict(json.loads(text))


def _opened(path: str | Path, number: int) -> tuple[Photo, bytes]:
    """A picture and its file, read once, so that hash, pixels and labels are those of one file."""
    try:
        data = content(path)
        image = images.read(data, str(path))
    except BadInput as error:
        return Photo(str(path), number, error=str(error)), b""
    return Photo(str(path), number, sha256=hashlib.sha256(data).hexdigest(), image=image), data


def _examine(path: str | Path, number: int, listing: Photo | None, detector: Detector) -> Photo:
    """Run every check on one claim photo."""
    photo, data = _opened(path, number)
    if photo.image is None:
        return photo
    try:
        photo.result = detector(photo.image)
        photo.labels = read_labels(data, photo.image)
    except BadInput as error:
        return Photo(photo.path, number, error=f"{photo.path}: {error}")
    if listing is not None and listing.image is not None:
        from damagenet.claims.marks import undrawn  # brings OpenCV

        photo.comparison = compare(photo.image, listing.image)
        changed, aligned = photo.comparison.changed, photo.comparison.aligned
        if changed is not None and aligned is not None:
            everything, rest = (
                [r for r in find_regions(values) if r.area >= SMALLEST_CHANGE]
                for values in (changed, undrawn(photo.image, aligned, changed))
            )
            photo.changes, photo.drawn = rest, bool(everything) and not rest
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

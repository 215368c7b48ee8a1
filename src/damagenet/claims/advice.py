"""What a report promises, what it notices about the files, and what it would ask for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from damagenet.claims.messages import Message, say
from damagenet.claims.signals import Photo, Reused, Signal

SMALL_SIDE = 500
"""Pixels of the shorter side below which the original file is asked for."""


def promise(info: dict[str, Any], threshold: float, count: int) -> list[Message]:
    """The false-alarm rate promised for a claim with `count` photos, or why there is none.

    Each photo may raise a false alarm, so a claim of n photos has at most n times the rate.
    """
    rate, certificate = info.get("false_alarm_rate"), info.get("certificate")
    flag = certificate["flag"] if certificate else {}
    more = flag.get("more_photos")
    if not isinstance(rate, int | float):
        first = say("promise_unknown")
    elif threshold > 1:
        first = say("promise_none_more", more=more, rate=rate) if more else say("promise_none")
    elif not flag.get("certified"):
        first = say("promise_expected", rate=rate)
    elif count > 1:
        share = min(1.0, count * rate)
        first = say("promise_flag_many", rate=rate, share=share, count=count)
    else:
        first = say("promise_flag", rate=rate)
    review = info.get("review_false_alarm_rate")
    second = [say("promise_review", rate=review)] if isinstance(review, int | float) else []
    return [first, *second, say("promise_scope")]


def notices(
    photos: Sequence[Photo], listing: Photo | None, reused: Sequence[Reused]
) -> list[Message]:
    """What a reader should know about the files before trusting the rest."""
    said = [say("notice_photo_unreadable", error=p.error) for p in photos if p.error]
    if listing is None:
        said.append(say("notice_listing_absent"))
    elif listing.error:
        said.append(say("notice_listing_unreadable", error=listing.error))
    for photo in photos:
        if photo.comparison is not None and photo.comparison.evidence.mirrored:
            said.append(say("notice_mirrored", number=photo.number))
    for one in reused:
        said.append(say("notice_reused", number=one.number, claims=", ".join(one.claims[:5])))
    same = defaultdict(list)
    for photo in photos:
        same[photo.sha256 or photo.path].append(photo.number)
    for numbers in same.values():
        if len(numbers) > 1:
            said.append(say("notice_twice", numbers=", ".join(map(str, numbers))))
    cameras = {name for photo in photos if (name := _camera(photo))}
    if len(cameras) > 1:
        said.append(say("notice_cameras", cameras=", ".join(sorted(cameras)[:5])))
    return said


def _camera(photo: Photo) -> str:
    """Maker and model as the file names them, or nothing."""
    fields = {k: v for label in photo.labels for k, v in label.value.items()}
    return " ".join(fields[k].strip() for k in ("Make", "Model") if fields.get(k)).strip()


def advice(
    signals: Sequence[Signal], photos: Sequence[Photo], listing: Photo | None
) -> list[Message]:
    """What would make the case clearer, most useful first."""
    findings = {s.name: s.finding for s in signals}
    codes = []
    if findings.get("listing") == "same_exposure":
        codes.append("ask_new_photo")
    if "reuse" in findings:
        codes.append("ask_mixed")
    if any(s.verdict != "pass" for s in signals):
        codes += ["ask_angle", "ask_video"]
    if any(p.error for p in photos):
        codes.append("ask_unreadable")
    if any(p.image is not None and min(p.image.shape[:2]) < SMALL_SIDE for p in photos):
        codes.append("ask_original")
    if listing is None or listing.error:
        codes.append("ask_listing")
    if findings.get("listing") == "different":
        codes.append("ask_side")
    return [say(code) for code in (*codes, "ask_packing")]

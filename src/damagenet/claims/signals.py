"""What each check of a claim says, and the rule that joins them.

Every check is one function that returns a `Signal`; the verdict of a claim is the highest that any
signal asks for, and each signal takes the highest of its parts. So further evidence never lowers
concern, and a check can be added without a look at the others:

| evidence | verdict |
|---|---|
| pixels of any photo | the detector's verdict |
| AI label, well formed, that says AI made or edited the photo | flag |
| AI label that says so unverified, malformed, or only as possible or suspected | review |
| a preview in the file that shows something else than the picture | review |
| the seller's own exposure with a changed area | flag |
| the seller's own exposure without one, or with ink, margins and hidden parts | review |
| a marked damage that another photo of the claim shows in another shape, or not | review |
| a photo, or a part of one, that was sent with another claim | review |
| anything else: one damage in two photos, another side or light, no label, a camera named | pass |
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from damagenet.claims.compare import Comparison
from damagenet.claims.detector import LARGEST, SMALLEST, VERDICTS, Detector, Result
from damagenet.claims.heatmaps import Array, Region
from damagenet.claims.labels import Label
from damagenet.claims.messages import Message, known, say

SMALLEST_CHANGE = 0.0005
"""Share of the photo from which a changed area counts as damage-sized."""
CONCERN = {"same_exposure": 3, "different": 2, "same_object": 1, "unsure": 0}
"""Which photo speaks for the listing signal when there are several."""
REUSED = ("same_part", "same_photo", "same_file")
"""How a photo may be shared with another claim, the surest last."""
HINTS = {"2": "maybe", "3": "suspected"}
"""Label codes of TC260 that name AI as possible only."""


@dataclass(frozen=True)
class Signal:
    """One line of evidence.

    Attributes:
        name: 'pixels', 'listing', 'labels', 'damage' or 'reuse'.
        finding: What was found, one word.
        strength: How clearly, in [0, 1].
        verdict: What this signal alone would lead to: 'pass', 'review' or 'flag'.
        messages: Plain sentences that explain it.
        photo: Number of the claim photo that speaks, from 1; 0 when none does.
    """

    name: str
    finding: str
    strength: float
    verdict: str
    messages: tuple[Message, ...]
    photo: int = 0

    @property
    def explanation(self) -> str:
        """The sentences in English."""
        return " ".join(m.text() for m in self.messages)

    def record(self) -> dict[str, Any]:
        """As JSON."""
        said = [m.record() for m in self.messages]
        return asdict(self) | {"messages": said, "explanation": self.explanation}


@dataclass
class Photo:
    """One claim photo and everything learnt from it; `error` is set when it cannot be read.

    `number` counts the claim's photos from 1; the listing photo has 0. `changes` are what differs
    from the listing, `drawn` that this is marks alone (see `marks`), which `changes` leaves out.
    """

    path: str
    number: int = 0
    error: str = ""
    sha256: str = ""
    image: Array | None = None
    result: Result | None = None
    labels: list[Label] = field(default_factory=list)
    comparison: Comparison | None = None
    changes: list[Region] = field(default_factory=list)
    drawn: bool = False

    def record(self) -> dict[str, Any]:
        """This photo as JSON."""
        if self.error or self.image is None or self.result is None:
            return {"path": self.path, "error": self.error}
        height, width = self.image.shape[:2]
        record = {
            "path": self.path,
            "sha256": self.sha256,
            "width": width,
            "height": height,
            "score": self.result.score,
            "verdict": self.result.verdict,
            "regions": [asdict(r) for r in self.result.regions],
        }
        record |= self.result.remarks()
        if self.comparison is not None:
            record["listing"] = {
                "finding": self.comparison.finding,
                "strength": self.comparison.strength,
                "inliers": self.comparison.inliers,
                "residual": self.comparison.residual,
                "changes": [asdict(r) for r in self.changes],
                "drawn": self.drawn,
            }
        return record

    def held(self) -> list[Message]:
        """Why the pixels of this photo stop at 'review', if they do."""
        if self.image is None or self.result is None:
            return []
        height, width = self.image.shape[:2]
        said = []
        if height * width > LARGEST:
            said.append(say("held_large", megapixels=LARGEST // 1_000_000))
        elif min(height, width) < SMALLEST:
            said.append(say("held_small", side=SMALLEST))
        if self.result.unstable:
            said.append(say("unstable"))
        return said


@dataclass(frozen=True)
class Reused:
    """A photo of this claim that another claim holds, too.

    Attributes:
        number: Of the photo in this claim, from 1.
        claims: Ids of the other claims.
        finding: One of `REUSED`.
        strength: How clearly, in [0, 1].
    """

    number: int
    claims: tuple[str, ...]
    finding: str = "same_file"
    strength: float = 1.0


@dataclass(frozen=True)
class Matched:
    """What a second photo of a claim says about the damage of a first.

    Attributes:
        first, second: Numbers of the photos, from 1; the place of the damage is that of the first.
        finding: 'same_pattern' or 'another_pattern'.
        strength: How clearly, in [0, 1].
    """

    first: int
    second: int
    finding: str
    strength: float


def highest(verdicts: Iterable[str]) -> str:
    """The verdict of most concern."""
    return max(verdicts, key=VERDICTS.index)


def pixel_signal(photos: Sequence[Photo], detector: Detector) -> Signal:
    """What the detector says; the highest verdict, and of equal ones the highest score, speaks."""
    seen = [(p, p.result) for p in photos if p.result is not None]
    photo, top = max(seen, key=lambda s: (VERDICTS.index(s[1].verdict), s[1].score))
    score = max(result.score for _, result in seen)
    said = [say(f"pixels_{top.verdict}"), _meaning(score, detector)]
    said += [say("pixels_many")] * (len(seen) > 1)
    said += photo.held()
    return Signal("pixels", top.verdict, score, top.verdict, tuple(said), photo.number)


def _meaning(score: float, detector: Detector) -> Message:
    """The score beside what flagging means for this model."""
    rate, certificate = (detector.info.get(k) for k in ("false_alarm_rate", "certificate"))
    flag = certificate["flag"] if certificate else {}
    shown: dict[str, Any] = {"score": score}
    named = isinstance(rate, int | float)
    if detector.threshold > 1:
        more = flag.get("more_photos")
        if named and more:
            return say("pixels_never_more", more=more, rate=rate, **shown)
        return say("pixels_never", **shown)
    shown["threshold"] = detector.threshold
    if not named:
        return say("pixels_unknown", **shown)
    code = "pixels_certified" if flag.get("certified") else "pixels_expected"
    return say(code, rate=rate, **shown)


def listing_signal(photos: Sequence[Photo], listing: Photo) -> Signal:
    """How the claim photos relate to the listing photo; the most telling photo speaks."""
    if listing.error:
        return Signal("listing", "unsure", 0.0, "pass", (say("listing_unread"),))
    compared = [(p, p.comparison) for p in photos if p.comparison is not None]
    photo, found = max(
        compared, key=lambda pc: (CONCERN[pc[1].finding], bool(pc[0].changes), pc[1].strength)
    )
    said, verdict = say(f"listing_{found.finding}"), "pass"
    if found.finding == "same_exposure" and photo.changes:
        said, verdict = say("listing_changed", area=sum(r.area for r in photo.changes)), "flag"
    elif found.finding == "same_exposure":
        said, verdict = say("listing_drawn" if photo.drawn else "listing_same"), "review"
    return Signal("listing", found.finding, found.strength, verdict, (said,), photo.number)


def label_signal(photos: Sequence[Photo]) -> Signal:
    """What the metadata says about AI; the strongest label speaks."""
    labels = [(label, p.number) for p in photos for label in p.labels]
    graded = [(_label_verdict(label), label, number) for label, number in labels]
    for verdict, finding, strength in (("flag", "ai", 1.0), ("review", "possible_ai", 0.5)):
        for found, label, number in graded:
            if found == verdict:
                said = (label_message(label),)
                finding = "preview" if label.standard == "preview" else finding
                return Signal("labels", finding, strength, verdict, said, number)
    for label, number in labels:
        if label.ai is False:
            return Signal("labels", "camera", 0.0, "pass", (say("labels_camera"),), number)
    return Signal("labels", "none", 0.0, "pass", (say("labels_none"),))


def label_message(label: Label) -> Message:
    """What one label says: its own sentence in English, put together from its fields in Chinese."""
    return say("label_text", standard=label.standard, carrier=label.carrier, says=label_says(label))


def label_says(label: Label) -> dict[str, str]:
    """The same without its place."""
    meaning = {True: "ai", False: "camera", None: _hint(label) or "neither"}[label.ai]
    parts = known("status", label.status), known("says", meaning)
    return {"en": label.finding, "zh": "；".join(m.text("zh") for m in parts if m) + "。"}


def _hint(label: Label) -> str:
    return HINTS.get(label.value.get("Label", "").strip(), "") if "AIGC" in label.standard else ""


def _label_verdict(label: Label) -> str:
    if label.ai and label.status in ("found-valid", "found-conflicting"):
        return "flag"
    other = label.standard == "preview" and label.status == "found-conflicting"
    return "review" if label.ai or _hint(label) or other else "pass"


def reuse_signal(found: Sequence[Reused]) -> Signal | None:
    """Photos that other claims hold, too; the surest speaks, and nothing when there is none.

    Two claims for two items of one parcel may rightly share a photo, so this asks for a review
    and never for more.
    """
    if not found:
        return None
    top = max(found, key=lambda r: (REUSED.index(r.finding), r.strength))
    said = say(f"reuse_{top.finding}", number=top.number, claims=", ".join(top.claims[:5]))
    return Signal("reuse", top.finding, top.strength, "review", (said,), top.number)


def damage_signal(found: Sequence[Matched]) -> Signal | None:
    """Whether two photos show one damage; a difference speaks before an agreement.

    Agreement reassures and lowers nothing: a crack may also be put into two photos.
    """
    if not found:
        return None
    top = max(found, key=lambda m: (m.finding == "another_pattern", m.strength))
    said = say(f"damage_{top.finding}", first=top.first, second=top.second)
    verdict = "review" if top.finding == "another_pattern" else "pass"
    return Signal("damage", top.finding, top.strength, verdict, (said,), top.first)

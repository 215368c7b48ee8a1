"""What each check of a claim says, and the rule that joins them.

The rule is the highest of its parts, so that more evidence never lowers concern:

| evidence | verdict |
|---|---|
| pixels of any photo | the detector's verdict |
| AI label, well formed, that says AI made or edited the photo | flag |
| AI label that says so unverified, malformed, or only as possible or suspected | review |
| the seller's own exposure with a changed area | flag |
| the seller's own exposure without one | review |
| nothing in common with the listing photo | review |
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from damagenet.claims.compare import Comparison
from damagenet.claims.detector import VERDICTS, Detector, Result
from damagenet.claims.heatmaps import Array, Region
from damagenet.claims.labels import Label

SMALLEST_CHANGE = 0.0005
"""Share of the photo from which a changed area counts as damage-sized."""
CONCERN = {"same_exposure": 3, "different": 2, "same_object": 1, "unsure": 0}
"""Which photo speaks for the listing signal when there are several."""


@dataclass(frozen=True)
class Signal:
    """One line of evidence.

    Attributes:
        name: 'pixels', 'listing' or 'labels'.
        finding: What was found, one word.
        strength: How clearly, in [0, 1].
        explanation: One or two plain sentences.
        verdict: What this signal alone would lead to: 'pass', 'review' or 'flag'.
    """

    name: str
    finding: str
    strength: float
    explanation: str
    verdict: str


@dataclass
class Photo:
    """One claim photo and everything learnt from it; `error` is set when it cannot be read."""

    path: str
    error: str = ""
    sha256: str = ""
    image: Array | None = None
    result: Result | None = None
    labels: list[Label] = field(default_factory=list)
    comparison: Comparison | None = None
    changes: list[Region] = field(default_factory=list)

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
            }
        return record


def highest(verdicts: Iterable[str]) -> str:
    """The verdict of most concern."""
    return max(verdicts, key=VERDICTS.index)


def pixel_signal(photos: Sequence[Photo], detector: Detector) -> Signal:
    """What the detector says; the highest score speaks."""
    results = [p.result for p in photos if p.result is not None]
    top = max(results, key=lambda r: (VERDICTS.index(r.verdict), r.score))
    meaning = {
        "pass": "The pixels show no trace of editing that stands out.",
        "review": "The pixels show weak or partial traces of editing.",
        "flag": "The pixels show the traces that editing after capture leaves.",
    }[top.verdict]
    text = f"{meaning} Highest score {top.score:.2f}; {_promise(detector)}"
    text += "; each further photo is one more chance of a false alarm." if results[1:] else "."
    if top.note:
        text += f" {top.note}"
    return Signal("pixels", top.verdict, max(r.score for r in results), text, top.verdict)


def _promise(detector: Detector) -> str:
    """What flagging means for this model, as the end of a sentence."""
    rate, certificate = (detector.info.get(k) for k in ("false_alarm_rate", "certificate"))
    share = f"{rate:.1%}" if isinstance(rate, int | float) else "an unknown share"
    flag = certificate["flag"] if certificate else {}
    if detector.threshold > 1:
        text = "pixels alone flag nothing with this model"
        if flag.get("more_photos"):
            text += f", as {flag['more_photos']} more photos of honest damage are needed to promise"
            text += f" at most {share} false alarms"
        return text
    text = f"flagged from {detector.threshold:.2f}"
    if flag.get("certified"):
        return f"{text}, which at most {share} of honest photos like those measured reach"
    return f"{text}, which {share} of authentic photos are expected to reach"


def listing_signal(photos: Sequence[Photo], listing: Photo) -> Signal:
    """How the claim photos relate to the listing photo; the most telling photo speaks."""
    if listing.error:
        text = "The listing photo cannot be read, so nothing was compared."
        return Signal("listing", "unsure", 0.0, text, "pass")
    compared = [(p, p.comparison) for p in photos if p.comparison is not None]
    photo, found = max(
        compared, key=lambda pc: (CONCERN[pc[1].finding], bool(pc[0].changes), pc[1].strength)
    )
    text, verdict = {
        "same_exposure": (
            "A claim photo is the listing photo itself, not a second photo of the product",
            "review",
        ),
        "same_object": (
            "The photos share details of one object, seen in two different exposures.",
            "pass",
        ),
        "different": (
            # Two thirds of honest second photos end here (another side, another background), so
            # by itself it must not cost a buyer anything.
            "No common detail was found: another product, or the same one from another side.",
            "pass",
        ),
        "unsure": ("Too little common detail to tell whether this is the listed product.", "pass"),
    }[found.finding]
    if found.finding == "same_exposure" and photo.changes:
        area = sum(r.area for r in photo.changes)
        text, verdict = f"{text}, and {area:.1%} of it was changed.", "flag"
    elif found.finding == "same_exposure":
        text += "; no changed area was found."
    return Signal("listing", found.finding, found.strength, text, verdict)


def label_signal(labels: Sequence[Label]) -> Signal:
    """What the metadata says about AI; the strongest label speaks."""
    graded = [(_label_verdict(label), label) for label in labels]
    for verdict, finding, strength in (("flag", "ai", 1.0), ("review", "possible_ai", 0.5)):
        said = [label for v, label in graded if v == verdict]
        if said:
            return Signal("labels", finding, strength, said[0].finding, verdict)
    if any(label.ai is False for label in labels):
        text = "The metadata names a camera; anyone can write that, so it proves nothing."
        return Signal("labels", "camera", 0.0, text, "pass")
    text = "No AI label was found. Screenshots and chat apps strip labels, so this proves nothing."
    return Signal("labels", "none", 0.0, text, "pass")


def _label_verdict(label: Label) -> str:
    if label.ai and label.status in ("found-valid", "found-conflicting"):
        return "flag"
    hinted = label.standard == "TC260 AIGC" and label.value.get("Label", "").strip() in ("2", "3")
    return "review" if label.ai or hinted else "pass"


def advice(signals: Sequence[Signal], photos: Sequence[Photo], has_listing: bool) -> list[str]:
    """What would make the case clearer, most useful first."""
    findings = {s.name: s.finding for s in signals}
    steps = []
    if findings.get("listing") == "same_exposure":
        steps.append("Ask for a new photo of the received item beside today's parcel label.")
    if any(s.verdict != "pass" for s in signals):
        steps.append("Ask for a second photo of the same spot from another angle.")
        steps.append("Ask for a short video that moves from the whole item to the damaged spot.")
    if any(p.error for p in photos):
        steps.append("Ask for the unreadable files again.")
    if any(p.image is not None and min(p.image.shape[:2]) < 500 for p in photos):
        steps.append("Ask for the original files: small or forwarded copies have lost detail.")
    if not has_listing:
        steps.append("Compare with the listing photo: the seller's own picture may be the source.")
    if findings.get("listing") == "different":
        steps.append("Ask for a photo from the same side as the listing photo.")
    steps.append("Compare with the packing photo or the weight record, where there is one.")
    return steps

"""The exported model: pictures in; score, verdict, regions and heatmap out."""

from __future__ import annotations

import hashlib
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from damagenet import BadInput, images
from damagenet.claims.heatmaps import Map, Region, find_regions
from damagenet.claims.model import find_model, open_session, ort_errors, read_info

Array = NDArray[np.uint8]
Source = Array | str | Path | bytes | BinaryIO

SMALLEST, LARGEST = 64, 2_000_000
"""Pixels of a side, and of a picture: beyond them no false-alarm rate was measured."""
VERDICTS = ("pass", "review", "flag")
"""From least to most concern."""

SMALL = f"The picture is smaller than {SMALLEST} pixels on a side"
LARGE = f"The picture is larger than {LARGEST // 1_000_000} megapixels"
CAPPED = "; the false-alarm rate was not measured for that, so the verdict stops at review."
UNSTABLE = (
    "Light re-compression alone changes the score from {:.2f} to {:.2f} and with it the verdict."
)
QUALITY = 90
"""JPEG quality of the second look: what any app does to a photo without anybody noticing."""


@dataclass(frozen=True)
class Result:
    """What the model says about one picture.

    Attributes:
        score: In [0, 1], rounded to 6 digits; higher is more doctored.
        verdict: 'pass', 'review' or 'flag'.
        threshold: The score at or above which a picture is flagged.
        regions: Largest `score * area` first, at most 20.
        heatmap: float32 `[height, width]` in [0, 1].
        note: Why the verdict was held back, else empty.
        unstable: A light re-encode would have had another verdict, so this one is 'review'.
    """

    score: float
    verdict: str
    threshold: float
    regions: list[Region]
    heatmap: Map = field(repr=False, compare=False)
    note: str = ""
    unstable: bool = False

    def remarks(self) -> dict[str, Any]:
        """`note` and `unstable` for a record, where there is something to remark."""
        said = {"note": self.note, "unstable": self.unstable}
        return {key: value for key, value in said.items() if value}


class Detector:
    """A detector opened from `detector.onnx`; safe to share between threads.

    Args:
        model: The file; None takes `$DAMAGENET_MODEL`, else the packaged model.
        threads: Threads for one picture; 0 leaves it to onnxruntime.
        recheck: Score every picture that would pass or be flagged a second time, lightly
            re-compressed, and answer 'review' where the verdicts differ. Twice the time.

    Attributes:
        path: The model file.
        info: Its metadata: threshold, false_alarm_rate, version, metrics, licence and more.

    Raises:
        BadInput: No model, or not a damagenet detector; the message says what to do.
    """

    def __init__(
        self, model: str | Path | None = None, threads: int = 0, recheck: bool = True
    ) -> None:
        """Open the model; arguments and errors as for the class."""
        self.path = find_model(model)
        self._session = open_session(self.path, threads)
        self.info = read_info(self._session, self.path)
        self.threshold: float = self.info["threshold"]
        self.review_threshold: float = self.info["review_threshold"]
        self.recheck = recheck

    @cached_property
    def sha256(self) -> str:
        """Hash of the model file, for reports."""
        with self.path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()

    def __call__(self, source: Source) -> Result:
        """Score one picture.

        Args:
            source: uint8 `[height, width, 3]` RGB, or a path, bytes or binary file of a picture.

        Raises:
            BadInput: Not a readable picture, or the model failed on it.
        """
        return self.batch([source])[0]

    def batch(self, sources: Sequence[Source]) -> list[Result]:
        """Score pictures in the given order; equal sizes share one pass through the model.

        Raises:
            BadInput: As for one picture, for the first bad one.
        """
        pictures = [_picture(s) for s in sources]
        results = [self._result(*found) for found in self._scored(pictures)]
        decided = [i for i, r in enumerate(results) if self.recheck and r.verdict != "review"]
        again = self._scored([_recompressed(pictures[i]) for i in decided])
        for i, (score, heatmap) in zip(decided, again, strict=True):
            first = results[i]
            if self._verdict(score, heatmap.shape)[0] != first.verdict:
                note = f"{first.note} {UNSTABLE.format(first.score, score)}".strip()
                results[i] = replace(first, verdict="review", note=note, unstable=True)
        return results

    def _scored(self, pictures: Sequence[Array]) -> list[tuple[float, Map]]:
        """Score and heatmap of each picture, in the given order."""
        found: dict[int, tuple[float, Map]] = {}
        groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for i, picture in enumerate(pictures):
            groups[picture.shape].append(i)
        for (height, width, _), members in groups.items():
            # The model pads the smaller ones, so many of them take no more memory than a large one.
            step = max(1, LARGEST // (max(height, SMALLEST) * max(width, SMALLEST)))
            for start in range(0, len(members), step):
                part = members[start : start + step]
                scores, heatmaps = self._run(np.stack([pictures[i] for i in part]))
                for i, score, heatmap in zip(part, scores, heatmaps, strict=True):
                    found[i] = (round(min(1.0, max(0.0, float(score))), 6), heatmap)
        return [found[i] for i in range(len(pictures))]

    def _run(self, batch: Array) -> tuple[Map, Map]:
        """Scores `[batch]` and heatmaps `[batch, height, width]` for pictures of one size."""
        count, height, width, _ = batch.shape
        try:
            scores, heatmaps = self._session.run(["score", "heatmap"], {"image": batch})
        except ort_errors() as error:
            reason = " ".join(str(error).split())[:200]
            raise BadInput(f"the model failed on a {width}x{height} picture ({reason})") from None
        if scores.shape != (count,) or heatmaps.shape != batch.shape[:3]:
            raise BadInput(
                f"{self.path}: expected score [{count}] and heatmap {list(batch.shape[:3])}, "
                f"got {list(scores.shape)} and {list(heatmaps.shape)}; export the model again"
            )
        if not (np.isfinite(scores).all() and np.isfinite(heatmaps).all()):
            raise BadInput(f"{self.path}: the model returned numbers that are not finite")
        return scores, heatmaps

    def _result(self, score: float, heatmap: Map) -> Result:
        heatmap = np.clip(heatmap, 0.0, 1.0).astype(np.float32, copy=False)
        verdict, note = self._verdict(score, heatmap.shape)
        return Result(score, verdict, self.threshold, find_regions(heatmap), heatmap, note)

    def _verdict(self, score: float, shape: tuple[int, ...]) -> tuple[str, str]:
        """The verdict on a picture `[height, width]`, and why it was held back if it was."""
        rank = int(score >= self.review_threshold) + int(score >= self.threshold)
        note = ""
        if shape[0] * shape[1] > LARGEST:
            note = LARGE + CAPPED
        elif min(shape) < SMALLEST:
            note = SMALL + CAPPED
        return VERDICTS[min(rank, 1) if note else rank], note


def _picture(source: Source) -> Array:
    """Any source as RGB uint8 `[height, width, 3]`."""
    if not isinstance(source, np.ndarray):
        return images.read(source)
    if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3 or not source.size:
        raise BadInput(
            "a picture array must be uint8 [height, width, 3] (RGB), "
            f"this one is {source.dtype} {list(source.shape)}"
        )
    return source


def _recompressed(picture: Array) -> Array:
    """The picture after a JPEG file of good quality."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=QUALITY)
    with Image.open(buffer) as again:
        return np.asarray(again.convert("RGB"))

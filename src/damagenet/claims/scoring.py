"""Score many photos: some at once, their records in the order of the photos."""

from __future__ import annotations

import io
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from PIL import Image

from damagenet import BadInput, images
from damagenet.claims.detector import Detector
from damagenet.claims.heatmaps import overlay

Item = TypeVar("Item")
Record = dict[str, Any]
Job = tuple[str, Path | None]
"""A photo, and the file for its heatmap if one is wanted."""


def predict(
    paths: Iterable[str | Path],
    detector: Detector,
    heatmaps: str | Path | None = None,
    workers: int = 2,
    taken: Iterable[str] = (),
) -> Iterator[Record]:
    """Score files; a bad file gives a record with `error` and stops nothing.

    Each of the workers reads and scores a photo of its own, so that one is decoded while another
    is in the model. Memory is bounded by what so many photos need; see `docs/scoring.md`.

    Args:
        paths: Picture files; taken a few ahead of their turn.
        detector: An open detector.
        heatmaps: Folder for one overlay PNG per picture, named after its stem; equal stems get
            a number, in the order of the paths.
        workers: Threads that score a photo each; at least 1.
        taken: Files in that folder which belong to other photos.

    Raises:
        BadInput: The folder for heatmaps cannot be made.

    Yields:
        In the order of the paths: `{path, score, verdict, threshold, regions}`, with `note` where
        the verdict was held back, `unstable: true` where re-compression would change it, and
        `heatmap` where one was written; or `{path, error}`.
    """
    jobs = plan(paths, heatmaps, taken)
    with ThreadPoolExecutor(workers) as pool:
        submit = partial(pool.submit, partial(score, detector=detector))
        for _, future in in_order(submit, jobs, 2 * workers):
            yield future.result()


def plan(
    paths: Iterable[str | Path], heatmaps: str | Path | None = None, taken: Iterable[str] = ()
) -> Iterator[Job]:
    """The work of `predict`, one photo after the other; arguments and errors as there."""
    if heatmaps is None:
        yield from ((str(path), None) for path in paths)
        return
    try:
        Path(heatmaps).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{heatmaps}: not a folder for heatmaps ({error.strerror})") from None
    paths = list(paths)
    if any(Path(folder).samefile(heatmaps) for folder in {Path(path).parent for path in paths}
           if folder.is_dir()):  # fmt: skip
        raise BadInput(f"{heatmaps}: holds photos to score, which heatmaps could replace; name "
                       "another folder")  # fmt: skip
    names = {Path(name).stem.casefold() for name in taken}
    for path in paths:
        yield str(path), Path(heatmaps) / f"{_unused(Path(path).stem, names)}.png"


def score(job: Job, detector: Detector, folder: str | Path = "") -> Record:
    """The record of one photo, as `predict` yields it; relative files lie in `folder`."""
    path, target = job
    try:
        image = images.read(Path(folder, path), path)
        result = detector(image)
        record: Record = {"path": utf8(path)}
        record |= {k: getattr(result, k) for k in ("score", "verdict", "threshold")}
        record["regions"] = [asdict(r) for r in result.regions]
        record |= result.remarks()
        picture = io.BytesIO()
        if target is not None:
            Image.fromarray(overlay(image, result.heatmap)).save(picture, "PNG")
    except (BadInput, OSError) as error:
        return {"path": utf8(path), "error": utf8(str(error))}
    except MemoryError:
        return {"path": utf8(path), "error": utf8(f"{path}: not enough memory to score it")}
    if target is not None:
        try:
            images.write_bytes(Path(folder, target), picture.getvalue())
        except OSError as error:  # the next one would fail, too; what is scored stays scored
            raise BadInput(
                f"{target}: cannot be written ({error.strerror}); make room or name another folder"
            ) from None
        record["heatmap"] = utf8(str(target))
    return record


class Pending(Protocol):
    """A future, of a thread pool or of Dask."""

    def result(self) -> Any:  # noqa: ANN401 - of whatever was begun
        """Wait for the result."""

    def cancel(self) -> object:
        """Drop the work if it has not begun."""


def in_order(
    submit: Callable[[Item], Pending], items: Iterable[Item], ahead: int
) -> Iterator[tuple[Item, Pending]]:
    """Each item with `submit(item)`; up to `ahead` more are submitted before their turn.

    Whoever stops early, by an error or Ctrl-C, cancels what has not begun.
    """
    waiting: deque[tuple[Item, Pending]] = deque()
    items = iter(items)
    try:
        while True:
            for item in itertools.islice(items, ahead + 1 - len(waiting)):
                waiting.append((item, submit(item)))
            if not waiting:
                return
            yield waiting.popleft()
    finally:
        for _, future in waiting:
            future.cancel()


def utf8(text: str) -> str:
    r"""The text itself, or with `\x..` for the bytes of a file name that is not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return text


def _unused(stem: str, taken: set[str]) -> str:
    """A name not yet in `taken` (compared without case, as some file systems do); adds it."""
    if len(stem.encode("utf-8", "replace")) > 200:  # file names end at 255 bytes
        stem = stem[:60]
    name, number = stem, 1
    while name.casefold() in taken:
        number += 1
        name = f"{stem}-{number}"
    taken.add(name.casefold())
    return name

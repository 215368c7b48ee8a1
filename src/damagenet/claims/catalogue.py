"""Find the listing photo of a claim, or earlier claims, in a catalogue of pictures.

A catalogue is one file of descriptions (`describe.py`), about 1.1 kB a picture; the pictures stay
where they are. A search compares a claim with all of them exactly, which takes 100,000 pictures
a few hundredths of a second, so there is no graph to build, to keep in step or to miss something.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from damagenet import BadInput, images
from damagenet.claims.compare import Comparison, compare
from damagenet.claims.describe import LAYOUT, Description, centres, describe, queries
from damagenet.images import Array
from damagenet.incoming import shown

if TYPE_CHECKING:
    from scipy.sparse import csr_array

FORMAT = 2
SAVE_EVERY = 60.0
"""Seconds of work that an interruption may lose."""
VOCABULARY = 65_536
CONCLUSIVE = {"same_exposure": 2, "same_object": 1}
"""Findings that speak for a candidate."""


class Refused(NamedTuple):
    """A file that is not in the catalogue, and why."""

    path: str
    reason: str


class Match(NamedTuple):
    """A picture of the catalogue in which the claim was found again."""

    path: str
    comparison: Comparison


@dataclass(frozen=True)
class Catalogue:
    """Descriptions of n pictures, in the order of their paths.

    Attributes:
        paths: Where the pictures lie; the file keeps relative ones as seen from its own folder.
        stamps: Bytes and time of change of each file, int64 `[n, 2]`.
        bits: Perceptual hashes, uint8 `[n, 8]`.
        layouts: float16 `[n, LAYOUT]`.
        words: Visual words of all pictures one after another, uint16.
        counts: How many of them each picture has, int32 `[n]`.
    """

    paths: tuple[str, ...]
    stamps: NDArray[np.int64]
    bits: Array
    layouts: NDArray[np.float16]
    words: NDArray[np.uint16]
    counts: NDArray[np.int32]

    @cached_property
    def _weights(self) -> csr_array:
        """Sparse `[VOCABULARY, n]`: rare words weigh more, pictures of many words less."""
        from scipy.sparse import csr_array

        starts = np.concatenate([[0], np.cumsum(self.counts, dtype=np.int64)])
        shape = (len(self.paths), VOCABULARY)
        found = np.bincount(self.words, minlength=VOCABULARY)
        rarity = np.log1p(len(self.paths) / np.maximum(found, 1)).astype(np.float32)
        fair = np.repeat(1 / np.sqrt(self.counts + 30), self.counts).astype(np.float32)
        values = rarity[self.words] * fair
        return csr_array((values, self.words.astype(np.int32), starts), shape).T.tocsr()

    def candidates(self, image: Array, k: int = 5) -> list[int]:
        """The pictures most worth a closer look, best first: their numbers, at most `k`.

        Args:
            image: uint8 `[h, w, 3]`; it may be a crop, turned by quarters, mirrored, recompressed.
            k: How many.
        """
        return self.nearest(queries(image), k)

    def nearest(self, asked: list[Description], k: int) -> list[int]:
        """As `candidates`, for a picture described by `queries`."""
        if not self.paths or k < 1:
            return []
        score = np.zeros(len(self.paths), np.float32)
        lists = [(1, ranked) for ranked in self._whole(asked, 2 * k)]
        lists += [(2, ranked) for ranked in self._parts(asked, 2 * k)]  # words are surest
        for weight, ranked in lists:  # leading one list counts more than standing low in several
            score[ranked] += weight / np.arange(1, len(ranked) + 1, dtype=np.float32)
        order = np.argsort(-score, kind="stable")[:k]
        return [int(i) for i in order if score[i] > 0]

    def _whole(self, asked: list[Description], k: int) -> Iterator[NDArray[np.intp]]:
        """By layout and by hash, whichever way the picture is turned."""
        try:
            from usearch.compiled import MetricKind
            from usearch.index import search
        except ImportError:
            raise BadInput("searching needs usearch: pip install 'damagenet[catalogue]'") from None
        layouts = np.stack([q.layout for q in asked]).astype(np.float16)
        bits = np.stack([q.bits for q in asked])
        for stored, mine, metric in (
            (self.layouts, layouts, MetricKind.IP),
            (self.bits, bits, MetricKind.Hamming),
        ):
            found = search(stored, mine, min(k, len(stored)), metric, exact=True, threads=1)
            keys, distances = np.ravel(found.keys), np.ravel(found.distances)
            order = np.argsort(distances, kind="stable")
            _, first = np.unique(keys[order], return_index=True)
            yield keys[order][np.sort(first)][:k].astype(np.intp)

    def _parts(self, asked: list[Description], k: int) -> Iterator[NDArray[np.intp]]:
        """By words, of the picture and of its mirror image."""
        for words in (q.words for q in asked if len(q.words)):
            votes = self._weights[words].sum(axis=0)
            best = np.argpartition(-votes, min(k, len(votes) - 1))[:k]
            best = best[np.argsort(-votes[best], kind="stable")]
            yield best[votes[best] > 0]


def find(claim: Array, catalogue: Catalogue, k: int = 5) -> list[Match]:
    """Pictures of a catalogue that show what a claim shows, the most telling first.

    Nothing found: the catalogue does not show it, or from another side. Raises as `looked_at`.
    """
    found = []
    for path, picture in looked_at(claim, catalogue, k):
        comparison = compare(claim, picture)
        if comparison.finding in CONCLUSIVE:
            found.append(Match(path, comparison))
    return sorted(
        found, key=lambda m: (CONCLUSIVE[m.comparison.finding], m.comparison.strength), reverse=True
    )


def looked_at(claim: Array, catalogue: Catalogue, k: int) -> Iterator[tuple[str, Array]]:
    """Paths and pictures of candidates that are still there, the best first.

    Raises:
        BadInput: None is there: nothing was looked at, which is not the same as nothing found.
    """
    paths, gone = [catalogue.paths[number] for number in catalogue.candidates(claim, k)], []
    for path in paths:
        try:
            yield path, images.read(path)
        except BadInput as error:
            gone.append(str(error))
    if gone and len(gone) == len(paths):
        raise BadInput(f"no picture worth a look can be read ({gone[0]}); catalogue them anew")


def build(
    places: Iterable[str | Path], out: Path, workers: int = 1
) -> tuple[Catalogue, list[Refused]]:
    """Describe all pictures of folders, globs or files into the catalogue `out`.

    Pictures that `out` already holds unchanged (size and time) are not read again, those no longer
    found are dropped, so the same call brings a catalogue up to date or goes on after an
    interruption. The file is written whole or not at all.

    Returns:
        The catalogue, and the files that could not be read.

    Raises:
        BadInput: No pictures at all, or `out` exists and is no catalogue.
    """
    from joblib import Parallel, delayed
    from tqdm import tqdm

    paths = [str(path) for path in images.files_in(places)]
    if not paths:
        raise BadInput("no pictures to catalogue; check the folders")
    old = _rows(load(out)) if out.exists() else {}
    known = {os.path.abspath(path): row for path, row in old.items()}  # noqa: PTH100 - no links
    stamps = {path: _stamp(path) for path in paths}
    found = {path: known.get(os.path.abspath(path)) for path in paths}  # noqa: PTH100
    rows = {path: row for path, row in found.items() if row and row[0] == stamps[path]}
    refused, saved = [], time.monotonic()
    todo = [path for path in paths if path not in rows]
    jobs = Parallel(n_jobs=workers, return_as="generator")(delayed(_described)(p) for p in todo)
    bar = tqdm(total=len(todo), unit="picture", disable=None)
    with closing(jobs), bar:
        for path, result in zip(todo, jobs, strict=True):
            bar.update()
            if isinstance(result, Refused):
                refused.append(result)
                continue
            rows[path] = (stamps[path], result)
            if time.monotonic() - saved > SAVE_EVERY:
                _save(_joined(rows), out)
                saved = time.monotonic()
    catalogue = _joined(rows)
    _save(catalogue, out)
    return catalogue, refused


def _stamp(path: str) -> tuple[int, int]:
    try:
        found = Path(path).stat()
    except OSError:  # reading it will say what is wrong
        return (-1, -1)
    return (found.st_size, found.st_mtime_ns)


def _described(path: str) -> Description | Refused:
    try:
        return describe(images.read(path))
    except BadInput as error:
        return Refused(path, str(error))


Row = tuple[tuple[int, int], Description]


def _rows(catalogue: Catalogue) -> dict[str, Row]:
    words = np.split(catalogue.words, np.cumsum(catalogue.counts)[:-1])
    described = map(Description, catalogue.bits, catalogue.layouts, words)
    stamps = map(tuple, catalogue.stamps.tolist())
    return dict(zip(catalogue.paths, zip(stamps, described, strict=True), strict=True))


def _joined(rows: dict[str, Row]) -> Catalogue:
    order = sorted(rows)
    described = [rows[path][1] for path in order]
    return Catalogue(
        tuple(order),
        np.array([rows[path][0] for path in order], np.int64).reshape(-1, 2),
        np.array([d.bits for d in described], np.uint8).reshape(-1, 8),
        np.array([d.layout for d in described], np.float16).reshape(-1, LAYOUT),
        np.concatenate([np.zeros(0, np.uint16), *(d.words for d in described)]),
        np.array([len(d.words) for d in described], np.int32),
    )


def _save(catalogue: Catalogue, out: Path) -> None:
    from safetensors.numpy import save

    paths = (
        p if Path(p).is_absolute() else os.path.relpath(p, out.parent) for p in catalogue.paths
    )
    names = json.dumps(list(paths)).encode()
    tensors = {"paths": np.frombuffer(names, np.uint8)}
    tensors |= {k: np.ascontiguousarray(getattr(catalogue, k)) for k in _SHAPES}
    images.write_bytes(out, save(tensors, {"catalogue": _version()}))


_SHAPES = {
    "stamps": (np.int64, (2,)), "bits": (np.uint8, (8,)), "layouts": (np.float16, (LAYOUT,)),
    "words": (np.uint16, ()), "counts": (np.int32, ()),
}  # fmt: skip


def _version() -> str:
    """Of the format and of the words, which mean nothing in another vocabulary."""
    return f"{FORMAT} {zlib.crc32(centres().tobytes()):08x}"


def load(path: str | Path) -> Catalogue:
    """Read a catalogue that `build` wrote.

    Raises:
        BadInput: Missing, no catalogue, damaged, or made with other words.
    """
    from safetensors import SafetensorError, safe_open

    name = shown(path)
    try:
        with safe_open(path, "numpy") as file:
            made = (file.metadata() or {}).get("catalogue")
            if made != _version():
                raise BadInput(f"{name}: no catalogue of this version; build it anew elsewhere")
            arrays = {key: file.get_tensor(key) for key in (*_SHAPES, "paths")}
        stored = json.loads(arrays.pop("paths").tobytes())
        paths = tuple(os.path.normpath(Path(path).parent / one) for one in stored)
    except (OSError, SafetensorError, ValueError) as error:
        hint = "make one with `damagenet catalogue`"
        raise BadInput(f"{name}: not a catalogue ({shown(error)[:200]}); {hint}") from None
    for key, (dtype, tail) in _SHAPES.items():
        length = len(arrays[key]) if key == "words" else len(paths)
        if arrays[key].dtype != dtype or arrays[key].shape != (length, *tail):
            raise BadInput(f"{name}: damaged catalogue ({key}); build it again")
    if arrays["counts"].min(initial=0) < 0 or arrays["counts"].sum() != len(arrays["words"]):
        raise BadInput(f"{name}: damaged catalogue (counts); build it again")
    return Catalogue(paths, **arrays)

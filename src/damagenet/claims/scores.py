"""Scores in a file that outlives any interruption: JSON lines, or Parquet once all are there."""

from __future__ import annotations

import json
import os
import sys
import typing
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

from damagenet import BadInput, __version__, images
from damagenet.claims.detector import Detector
from damagenet.claims.heatmaps import Region

Record = dict[str, Any]
SUFFIXES = (".jsonl", ".parquet")
ROWS = 20_000
"""Rows that are held in memory while Parquet is written."""


def made_by(detector: Detector) -> Record:
    """What scores depend on besides the photo."""
    return {
        "damagenet": __version__,
        "model_sha256": detector.sha256,
        "threshold": detector.threshold,
        "review_threshold": detector.review_threshold,
        "recheck": detector.recheck,
    }


class Scores:
    """Records on their way into `scores.jsonl` or `scores.parquet`; a context manager.

    Every record is on disk, as a JSON line, before the next one is taken. Parquet is written from
    the lines in `NAME.parquet.jsonl`, which `finish` replaces by it. What made the scores lies
    beside them in `NAME.run.json`.

    Args:
        out: The file; its suffix decides on the format.
        made: What the scores depend on, as `made_by` tells.

    Raises:
        BadInput: Another suffix, another process at work on the file, a damaged file, or scores
            that something else made.
    """

    def __init__(self, out: str | Path, made: Mapping[str, object]) -> None:
        """Open or create the file; arguments and errors as for the class."""
        self.out = Path(out)
        if self.out.suffix not in SUFFIXES:
            raise BadInput(f"{out}: scores are written to {' or '.join(SUFFIXES)} files only")
        self._table = self.out.suffix == ".parquet"
        self._lines = self.out.with_name(self.out.name + ".jsonl") if self._table else self.out
        self._card = self.out.with_name(self.out.name + ".run.json")
        try:
            self.out.parent.mkdir(parents=True, exist_ok=True)
            if self._table and self.out.exists() and not self._lines.exists():
                self._before()  # never take a table of another origin apart
                self._restore()
            self._file = self._lines.open("ab+")
        except (OSError, ValueError) as error:
            raise BadInput(f"{self.out}: cannot go on with this file ({error})") from None
        try:
            self._lock()
            self._compare(dict(made))
            self._drop_half_a_line()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Scores:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        """Close the file, whether finished or not."""
        self._file.close()

    def __iter__(self) -> Iterator[Record]:
        """The records so far, in the order in which they were added.

        Raises:
            BadInput: A damaged line.
        """
        with self._lines.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    record = json.loads(line)
                    record["path"]
                except (ValueError, TypeError, KeyError):
                    raise BadInput(
                        f"{self._lines}: line {number} is damaged; remove the line, and its photo "
                        "is scored again"
                    ) from None
                yield record

    def add(self, record: Record) -> None:
        """Write one record through to the operating system.

        Raises:
            BadInput: The disk is full, for example.
        """
        line = json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"
        try:
            self._file.write(line.encode())
            self._file.flush()
        except OSError as error:
            raise BadInput(
                f"{self._lines}: cannot be written ({error.strerror}); make room and run the same "
                "command again"
            ) from None

    def finish(self) -> None:
        """All photos are scored: with Parquet, turn the lines into it."""
        if not self._table:
            return
        import pyarrow as pa
        import pyarrow.parquet as pq

        temporary = self.out.with_name(f".{self.out.name}.tmp")
        records = iter(self)
        try:
            with pq.ParquetWriter(temporary, schema()) as writer:
                while rows := list(islice(records, ROWS)):
                    writer.write_table(pa.Table.from_pylist(rows, schema()))
            temporary.replace(self.out)
        except OSError as error:
            raise BadInput(
                f"{self.out}: cannot be written ({error}); the scores are in {self._lines.name}; "
                "make room and run the same command again"
            ) from None
        self._lines.unlink()

    def _restore(self) -> None:
        """The lines that a finished Parquet file was made of."""
        import pyarrow.parquet as pq

        temporary = self._lines.with_name(f".{self._lines.name}.tmp")
        with pq.ParquetFile(self.out) as table, temporary.open("wb") as lines:
            for batch in table.iter_batches(ROWS):
                for row in batch.to_pylist():
                    record = {key: value for key, value in row.items() if value is not None}
                    lines.write((json.dumps(record, ensure_ascii=False) + "\n").encode())
        temporary.replace(self._lines)

    def _lock(self) -> None:
        """Keep a second process off; the lock goes with this process, however it ends."""
        if sys.platform == "win32":
            return
        import fcntl

        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            same = os.path.samestat(os.fstat(self._file.fileno()), self._lines.stat())
        except OSError:
            same = False
        if not same:  # or it has finished and removed the lines since they were opened
            raise BadInput(f"{self.out}: another process is writing to it")

    def _drop_half_a_line(self) -> None:
        """Cut off what was being written when the last run was killed."""
        end = self._file.seek(0, os.SEEK_END)
        tail = b""
        while end and b"\n" not in tail:
            start = max(0, end - 65_536)
            self._file.seek(start)
            tail = self._file.read(end - start)
            end = start
        self._file.truncate(end + tail.rfind(b"\n") + 1)

    def _compare(self, made: Record) -> None:
        """Refuse to mix scores; a new file gets its card first."""
        if self._file.seek(0, os.SEEK_END) == 0:
            images.write_bytes(self._card, (json.dumps(made, indent=2) + "\n").encode())
            return
        before = self._before()
        changed = [
            f"{key} was {before.get(key)!s:.12}, is {made.get(key)!s:.12}"
            for key in made | before
            if before.get(key) != made.get(key)
        ]
        if changed:
            raise BadInput(
                f"{self.out}: was begun with another model or setting ({'; '.join(changed)}); "
                "name another --out, or remove it to score everything again"
            )

    def _before(self) -> Record:
        """The card of scores that are there already."""
        try:
            return dict(json.loads(self._card.read_bytes()))
        except (OSError, ValueError, TypeError):
            raise BadInput(
                f"{self.out}: holds something already, and {self._card.name} does not tell what "
                "made it; name another --out"
            ) from None


def schema() -> Any:  # noqa: ANN401 - pyarrow has no types
    """The columns of Parquet: those of a record, `regions` as a list of structures."""
    import pyarrow as pa

    region = typing.get_type_hints(Region).items()
    text, number = pa.string(), pa.float64()
    columns = {
        "path": text, "score": number, "verdict": text, "threshold": number,
        "regions": pa.list_(pa.struct([(name, _arrow(hint)) for name, hint in region])),
        "note": text, "unstable": pa.bool_(), "heatmap": text, "error": text,
    }  # fmt: skip
    return pa.schema(list(columns.items()))


def _arrow(hint: Any) -> Any:  # noqa: ANN401
    """The Arrow type for a field's annotation: a number, text, or a list of one of these."""
    import pyarrow as pa

    if typing.get_origin(hint) in (list, tuple):
        return pa.list_(_arrow(typing.get_args(hint)[0]))
    return {int: pa.int32(), float: pa.float64(), str: pa.string()}[hint]

"""Which photos to score: files, folders, globs, a column of a table, a list on standard input."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from damagenet import BadInput, images

TABLES = (".csv", ".parquet")


def photos(places: Iterable[str], column: str | None = None, separator: bytes = b"\n") -> list[str]:
    """The photos that places name, in their order, each once.

    Args:
        places: Files, folders and globs as for `images.files_in`; CSV and Parquet files, whose
            paths are relative to the table's folder; `-` for a list on standard input.
        column: Column with the paths in tables; None takes `path`.
        separator: What ends a path on standard input: a newline, or NUL as `find -print0` does.

    A folder or glob in which there is nothing is listed itself, so that its error is reported;
    if there is nothing anywhere, the list is empty.

    Raises:
        BadInput: A table of another format, damaged, without that column, or with an empty cell.
    """
    found, empty = dict[str, None](), dict[str, None]()
    for place in places:
        if not place:
            raise BadInput("an empty name among the photos; is a variable of the shell unset?")
        path = Path(place)
        suffix = path.suffix.lower()
        if place == "-":
            paths: Iterable[str] = _listed(sys.stdin.buffer, separator)
        elif suffix in TABLES and not path.is_dir():
            paths = _column(path, column or "path")
        elif column and suffix not in images.SUFFIXES and path.is_file():
            raise BadInput(
                f"{place}: a column is read from {' and '.join(TABLES)} files only; convert the "
                "file, or send one path a line to `damagenet predict -`"
            )
        else:
            paths = list(map(str, images.files_in([place])))
            empty |= {} if paths else {place: None}
        found.update(dict.fromkeys(paths))
    return list(found | empty) if found else []


def _listed(stream: BinaryIO, separator: bytes) -> Iterator[str]:
    """Paths on a stream; bytes that are no text stay what they are, as in any file name."""
    if separator == b"\n":
        lines: Iterable[bytes] = (line.rstrip(b"\r\n") for line in stream)
    else:
        lines = stream.read().split(separator)
    return (str(Path(os.fsdecode(line))) for line in lines if line)


def _column(path: Path, name: str) -> Iterator[str]:
    """The paths of a table's column, with the table's folder in front of relative ones."""
    try:
        cells = _parquet(path, name) if path.suffix.lower() == ".parquet" else _csv(path, name)
        for number, cell in enumerate(cells, 1):
            if not isinstance(cell, str) or not cell:
                raise BadInput(
                    f"{path}: row {number} of column {name!r} holds no path but {cell!r}; "
                    "remove the row or mend it"
                )
            yield str(path.parent / cell)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror or error})") from None
    except (csv.Error, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise BadInput(f"{path}: not a readable table ({reason}); write it again") from None


def _csv(path: Path, name: str) -> Iterator[object]:
    with path.open(encoding="utf-8-sig", newline="") as handle:
        rows = csv.DictReader(handle)
        _check(path, name, rows.fieldnames or [])
        for row in rows:
            yield row[name]


def _parquet(path: Path, name: str) -> Iterator[object]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as table:
        _check(path, name, table.schema_arrow.names)
        for batch in table.iter_batches(columns=[name]):
            yield from batch.column(0).to_pylist()


def _check(path: Path, name: str, columns: Iterable[str]) -> None:
    if name not in (columns := list(columns)):
        raise BadInput(
            f"{path}: no column {name!r} among {', '.join(columns) or 'none'}; "
            "name the one with the paths, as in --column photo"
        )

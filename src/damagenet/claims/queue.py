"""Thousands of claims from one table: a report each, and a summary of all of them.

    claim_id,photos,listing
    A-17,inbox/17a.jpg;inbox/17b.jpg,shop/cup.jpg

Further columns are kept in the summary. A bad row is named there and stops nothing; a report that
is there already, of the same files by the same model, is left alone.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from damagenet import BadInput, images
from damagenet.claims.detector import Detector
from damagenet.claims.review import FORMAT, review
from damagenet.claims.signals import Reused
from damagenet.incoming import content, shown

COLUMNS = ("claim_id", "photos", "listing")
SUMMARY = (
    "claim_id",
    "verdict",
    "score",
    "pixels",
    "listing",
    "labels",
    "damage",
    "reuse",
    "report",
    "error",
)
"""Columns of `summary.csv`; signals show their finding."""
LONGEST = 150
"""Bytes (UTF-8) of a claim id that a file name takes over; file systems allow 255 with the rest."""


@dataclass(frozen=True)
class Claim:
    """One row of the table; paths count from the table's folder. `error` says why it is none."""

    claim_id: str
    photos: tuple[Path, ...] = ()
    listing: Path | None = None
    other: Mapping[str, str] = field(default_factory=dict)
    error: str = ""


def read_claims(table: str | Path) -> list[Claim]:
    """The rows of a CSV file, UTF-8 or GB 18030, bad ones with their `error`.

    Raises:
        BadInput: No such file, no text, or no column `claim_id` or `photos`.
    """
    table = Path(table)
    data = content(table)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        try:
            text = data.decode("gb18030")  # what spreadsheets in China write
        except UnicodeDecodeError:
            raise BadInput(f"{table}: is no text; save it as CSV in UTF-8") from None
    reader = csv.DictReader(io.StringIO(text, newline=""))
    claims: list[Claim] = []
    taken: set[str] = set()
    try:
        missing = [name for name in COLUMNS[:2] if name not in (reader.fieldnames or ())]
        if missing:
            raise BadInput(
                f"{table}: has no column {' or '.join(missing)}; its first line must name the "
                f"columns {', '.join(COLUMNS)}"
            )
        for row in reader:
            claims.append(_claim(row, table.parent, f"{shown(table)}:{reader.line_num}", taken))
            taken.add(claims[-1].claim_id)
    except csv.Error as error:
        raise BadInput(f"{table}:{reader.line_num}: is no CSV ({error}); save it again") from None
    return claims


def _claim(row: dict[Any, Any], folder: Path, where: str, taken: set[str]) -> Claim:
    surplus = row.pop(None, None)
    cells = {name: (value or "").strip() for name, value in row.items()}
    claim_id, photos, listing = (cells.pop(name, "") for name in COLUMNS)
    paths = tuple(folder / name.strip() for name in photos.split(";") if name.strip())
    error = ""
    if surplus:
        error = f"{where}: has more cells than the first line; put those with commas into quotes"
    elif not claim_id:
        error = f"{where}: has no claim_id; give every claim one"
    elif claim_id in taken:
        error = f"{where}: the claim_id {shown(claim_id)} was used before; give every claim its own"
    elif not paths:
        error = f"{where}: claim {shown(claim_id)} names no photos; separate them by ;"
    return Claim(claim_id, paths, folder / listing if listing else None, cells, error)


def review_all(
    claims: Sequence[Claim], detector: Detector, out: str | Path, language: str = "auto"
) -> list[dict[str, Any]]:
    """A report for each claim, then `summary.jsonl` and `summary.csv`, also when interrupted.

    Args:
        claims: From `read_claims`.
        detector: An open detector.
        out: Folder for the reports.
        language: As for `review`.

    Returns:
        The rows of `summary.jsonl`: claim_id, verdict, score, signals, notices, report, error,
        other; verdict and report are empty where there is an error.

    Raises:
        BadInput: The folder or the summary cannot be written.
    """
    from tqdm import tqdm

    out = Path(out)
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out}: is a file; name a folder for the reports")
    good = [claim for claim in claims if not claim.error]
    files = {path for claim in good for path in (*claim.photos, claim.listing) if path}
    hashes = {path: _hash(path) for path in tqdm(sorted(files), desc="files", disable=None)}
    holders: dict[str, list[str]] = defaultdict(list)
    for claim in good:
        for digest in dict.fromkeys(hashes[path] for path in claim.photos):
            holders[digest].append(claim.claim_id)
    holders.pop("", None)  # of files that cannot be read
    names: set[str] = set()
    rows = []
    try:
        for claim in tqdm(claims, desc="review", unit="claim", disable=None):
            try:
                report = out / f"{_file_name(claim.claim_id, names)}.html"
                found = _reviewed(claim, hashes, holders, detector, report, language)
            except (BadInput, OSError, MemoryError) as error:  # the other claims go on
                rows.append(_row(claim, error=str(error) or type(error).__name__))
            else:
                rows.append(_row(claim, found, report.name))
    finally:
        write_summary(rows, out)
    return rows


def _reviewed(
    claim: Claim, hashes: Mapping[Path, str], holders: Mapping[str, Sequence[str]],
    detector: Detector, report: Path, language: str,
) -> dict[str, Any]:  # fmt: skip
    """The report of one claim: the one that is there, if nothing has changed."""
    if claim.error:
        raise BadInput(claim.error)
    reused = []
    for number, path in enumerate(claim.photos, 1):
        others = tuple(i for i in holders.get(hashes[path], ()) if i != claim.claim_id)
        reused += [Reused(number, others)] if others else []
    expected = {
        "format": FORMAT, "claim_id": claim.claim_id, "language": language,
        "recheck": detector.recheck, "model": detector.sha256,
        "reused": json.loads(json.dumps([asdict(one) for one in reused])),
        "photos": [(str(path), hashes[path]) for path in claim.photos],
        "listing": (str(claim.listing), hashes[claim.listing]) if claim.listing else None,
    }  # fmt: skip
    old = _old(report)
    if old is not None and report.exists():
        seen = {
            key: old.get(key) for key in ("format", "claim_id", "language", "recheck", "reused")
        }
        seen["model"] = old["model"]["sha256"]
        seen["photos"] = [(p["path"], p.get("sha256", "")) for p in old["photos"]]
        theirs = old["listing"]
        seen["listing"] = (theirs["path"], theirs.get("sha256", "")) if theirs else None
        if seen == expected:
            return old
    return review(
        claim.photos, claim.listing, detector, report,
        language=language, claim_id=claim.claim_id, reused=reused,
    )  # fmt: skip


def _old(report: Path) -> dict[str, Any] | None:
    """What the JSON beside a report holds, if it is one of ours."""
    try:
        old = json.loads(report.with_suffix(".json").read_bytes())
        return old if old["format"] == FORMAT else None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _hash(path: Path) -> str:
    """SHA-256 of a file; nothing where it cannot be read, which its report will say."""
    try:
        return hashlib.sha256(content(path)).hexdigest()
    except BadInput:
        return ""


def _file_name(claim_id: str, taken: set[str]) -> str:
    """A file name for a claim, its own on every file system; adds it to `taken`."""
    plain = re.sub(r"[^\w.-]", "_", claim_id).encode()
    name = plain[:LONGEST].decode(errors="ignore").lstrip(".")
    if name != claim_id or name.casefold() in taken or name.casefold() == "summary":
        name += "-" + hashlib.sha256(claim_id.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    taken.add(name.casefold())
    return name


def _row(
    claim: Claim, report: Mapping[str, Any] | None = None, name: str = "", error: str = ""
) -> dict[str, Any]:
    wanted = ("name", "finding", "strength", "verdict")
    scores = [p["score"] for p in report["photos"] if "score" in p] if report else []
    return {
        "claim_id": claim.claim_id,
        "verdict": report["verdict"] if report else "",
        "score": max(scores, default=None),
        "signals": [{k: s[k] for k in wanted} for s in report["signals"]] if report else [],
        "notices": [n["code"] for n in report["notices"]] if report else [],
        "report": name,
        "error": error,
        "other": dict(claim.other),
    }


def write_summary(rows: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Write `summary.jsonl`, exact, and `summary.csv`, for spreadsheets."""
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    # A column of the table must not take the place of one of the summary.
    other = dict.fromkeys(name for row in rows for name in row["other"] if name not in SUMMARY)
    sheet = io.StringIO(newline="")
    writer = csv.writer(sheet)
    writer.writerow([*SUMMARY, *map(cell, other)])
    for row in rows:
        findings = {s["name"]: s["finding"] for s in row["signals"]}
        told = [row[n] if n in row else findings.get(n, "") for n in SUMMARY]
        kept = [row["other"].get(name, "") for name in other]
        writer.writerow(["" if v is None else cell(v) for v in (*told, *kept)])
    try:
        images.write_bytes(out / "summary.jsonl", lines.encode("utf-8", "replace"))
        images.write_bytes(out / "summary.csv", sheet.getvalue().encode("utf-8-sig", "replace"))
    except OSError as error:
        raise BadInput(f"{out}: the summary cannot be written ({error.strerror})") from None


def read_summary(folder: str | Path) -> list[dict[str, Any]]:
    """The rows of `summary.jsonl` in a folder of reports.

    Raises:
        BadInput: There is none, or it is damaged.
    """
    path = Path(folder) / "summary.jsonl"
    hint = "run `damagenet review --claims claims.csv --out FOLDER` first"
    if not path.is_file():
        raise BadInput(f"{path}: no such file; {hint}")
    try:
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    except (ValueError, RecursionError):
        raise BadInput(f"{path}: is damaged; {hint}") from None


def cell(value: object) -> str:
    """A cell that no spreadsheet takes for a formula; `text` gives back what went in."""
    words = str(value)
    return f"'{words}" if words[:1] in ("=", "+", "-", "@", "\t", "\r", "'") else words


def text(words: str) -> str:
    """What `cell` was made from."""
    return words.removeprefix("'")


def errors(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """What went wrong, a line each."""
    return [row["error"] for row in rows if row["error"]]


def incomplete(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Claims with a photo, or a listing photo, that could not be read, a line each."""
    return [
        f"{row['claim_id']}: not all of its photos can be read; {row['report']} names them"
        for row in rows
        if {"notice_photo_unreadable", "notice_listing_unreadable"} & set(row["notices"])
    ]

"""What a model file says of itself, checked, for a person or as JSON."""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from damagenet.claims.model import find_model, open_session, read_info

WIDTH, LABEL = 88, 16
Row = tuple[str, object]


def inspect(model: str | Path | None = None) -> tuple[Path, dict[str, Any]]:
    """The file and its metadata, with `onnx_sha256` added: what `detector.json` holds beside it.

    Args:
        model: The file; None takes `$DAMAGENET_MODEL`, else the packaged model.

    Raises:
        BadInput: No such file, no ONNX file, not a detector, or metadata that are missing, damaged
            or of a newer format.
    """
    path = find_model(model)
    info = read_info(open_session(path, 1), path)
    with path.open("rb") as handle:
        return path, info | {"onnx_sha256": hashlib.file_digest(handle, "sha256").hexdigest()}


def text(path: Path, info: Mapping[str, Any]) -> str:
    """The metadata in words, `WIDTH` columns wide; what an older file lacks is left out."""
    lines = [_clean(f"{info.get('name', 'model')} {info.get('version', '?')}: {info.get('task')}")]
    sections = {
        "file": _file(path, info),
        "takes and gives": _interface(info),
        "verdicts": _verdicts(info),
        "made from": [(key.replace("_", " "), info.get(key)) for key in (
            "dataset_sha256", "weights_sha256", "commit", "export_code_sha256", "encoder", "seed")],
        "results on the test split, with 95 % intervals": _metrics(info),
    }  # fmt: skip
    for title, rows in sections.items():
        shown = [(label, _clean(value)) for label, value in rows if value is not None]
        width = max([LABEL, *(len(label) + 2 for label, _ in shown)])
        lines += ["", title] * bool(shown)
        for label, value in shown:
            lines += textwrap.wrap(
                value, WIDTH, initial_indent=f"  {label:<{width}}",
                subsequent_indent=" " * (width + 2), break_on_hyphens=False,
            )  # fmt: skip
    return "\n".join(lines)


def _file(path: Path, info: Mapping[str, Any]) -> Iterator[Row]:
    yield "path", path
    yield "size", f"{path.stat().st_size / 1e6:.1f} MB, metadata format {info['format']}"
    yield "sha256", info["onnx_sha256"]
    yield "licence", info.get("licence")
    yield "intended use", info.get("intended_use")


def _interface(info: Mapping[str, Any]) -> Iterator[Row]:
    yield "input", info.get("input")
    outputs = info.get("outputs")
    yield from outputs.items() if isinstance(outputs, Mapping) else ()
    gap = _inside(info, "parity", "max_difference")
    yield "torch and ONNX", f"differ by at most {gap:.1e}" if isinstance(gap, float) else None


def _verdicts(info: Mapping[str, Any]) -> Iterator[Row]:
    review, flag = info["review_threshold"], info["threshold"]
    yield "pass", f"score below {review:.6f}"
    yield "review", f"from {review:.6f}: {_promise(info, 'review', 'review_false_alarm_rate')}"
    missing = _inside(info, "certificate", "flag", "more_photos")
    if flag > 1:
        more = f"; a promise takes {missing} more photos of honest damage" if missing else ""
        yield "flag", f"never; wanted: {_promise(info, 'flag', 'false_alarm_rate')}{more}"
    else:
        yield "flag", f"from {flag:.6f}: {_promise(info, 'flag', 'false_alarm_rate')}"
    counts = {
        "authentic": "calibration_pictures",
        "damaged": "damaged_pictures",
        "really damaged": "really_damaged_pictures",
    }
    told = [f"{info[key]} {name}" for name, key in counts.items() if key in info]
    yield "calibrated on", f"pictures: {', '.join(told)}" if told else None


def _promise(info: Mapping[str, Any], band: str, rate: str) -> str:
    """The false-alarm rate that a threshold was chosen for, and whether it is certified."""
    chosen = info.get(rate)
    if not isinstance(chosen, float):
        return "no false-alarm rate is named"
    kept = "certified" if _inside(info, "certificate", band, "certified") else "not certified"
    return f"at most {chosen:.1%} of honest photos, {kept}"


def _metrics(info: Mapping[str, Any]) -> Iterator[Row]:
    metrics = info.get("metrics")
    for name, number in metrics.items() if isinstance(metrics, Mapping) else ():
        if not isinstance(number, Mapping):
            number = {"value": number}
        low, high, against = (number.get(key) for key in ("low", "high", "negatives"))
        interval = "" if low is None else f"  [{_short(low)}, {_short(high)}]"
        beside = f"  against {against}" if against else ""
        yield _clean(name)[:40], _short(number.get("value")) + interval + beside


def _short(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _inside(value: object, *keys: str) -> object:
    """An entry deep in nested mappings; None where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _clean(value: object) -> str:
    """One printable line: a model file may come from a stranger, and a terminal obeys codes."""
    return "".join(c if c.isprintable() else "?" for c in str(value))[:500]

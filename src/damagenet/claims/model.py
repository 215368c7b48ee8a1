"""Find a model file, open it, and check that it is a detector of ours."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from damagenet import BadInput

FORMAT = 1
"""Newest layout of the model's metadata that this code understands."""
INTERFACE = "'image' tensor(uint8) 4-d -> 'heatmap' tensor(float) 3-d, 'score' tensor(float) 1-d"
"""Inputs and outputs of a detector, by name."""
PACKAGED = Path(__file__).parent / "weights" / "damagenet-s.onnx"


def default_model() -> Path:
    """The model that comes with the package.

    Raises:
        BadInput: This checkout or wheel has none.
    """
    if not PACKAGED.is_file():
        raise BadInput("no model: train one with `make demo`, or name one with --model FILE")
    return PACKAGED


def find_model(model: str | Path | None) -> Path:
    """The model file to use: the one named, `$DAMAGENET_MODEL`, or the packaged one.

    Raises:
        BadInput: None of these exists.
    """
    named = model or os.environ.get("DAMAGENET_MODEL")
    if not named:
        return default_model()
    if not Path(named).is_file():
        origin = "--model" if model else "DAMAGENET_MODEL"
        raise BadInput(f"{named}: no such model file; {origin} must name a detector.onnx")
    return Path(named)


def open_session(path: Path, threads: int) -> Any:  # noqa: ANN401 - onnxruntime has no types
    """An onnxruntime session on the CPU; `threads` as for `Detector`.

    Raises:
        BadInput: Not an ONNX file, or one that this onnxruntime cannot run.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = max(0, min(threads, os.cpu_count() or 1))  # more only wait
    # A plan of buffers for every picture size that was ever seen grows memory without end.
    options.enable_mem_pattern = False
    options.log_severity_level = 4  # failures come back as exceptions with the same text
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except ort_errors() as error:
        reason = " ".join(str(error).split())[:200]
        raise BadInput(
            f"{path}: not a model that can be opened ({reason}); "
            "export one with `damagenet export RUN`"
        ) from None


def ort_errors() -> tuple[type[Exception], ...]:
    """What onnxruntime may raise; its exceptions share no base class of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    found = (v for v in vars(state).values() if isinstance(v, type) and issubclass(v, Exception))
    return (*found, RuntimeError)


def read_info(session: Any, path: Path) -> dict[str, Any]:  # noqa: ANN401
    """The metadata of an open model, after checking that it is one of ours.

    Raises:
        BadInput: Other inputs or outputs than `INTERFACE`; metadata missing, damaged, or of a newer
            format.
    """
    again = "; export it again with `damagenet export RUN`"
    found = f"{_listed(session.get_inputs())} -> {_listed(session.get_outputs())}"
    if found != INTERFACE:
        raise BadInput(f"{path}: a detector maps {INTERFACE}; this one maps {found[:200]}{again}")
    text = session.get_modelmeta().custom_metadata_map.get("damagenet")
    if text is None:
        raise BadInput(f"{path}: the model lacks the 'damagenet' metadata{again}")
    try:
        info = json.loads(text, parse_constant=lambda _: None, parse_float=_finite)
        layout = info["format"]
        if type(layout) is not int or layout < 1:
            raise ValueError("format must be a whole number from 1")
        if layout <= FORMAT:
            info["threshold"] = float(info["threshold"])
            info["review_threshold"] = float(info.get("review_threshold", info["threshold"]))
            if not 0 <= info["review_threshold"] <= info["threshold"] < math.inf:  # false for NaN
                raise ValueError("review_threshold must lie between 0 and threshold")
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        reason = " ".join(repr(error).split())[:200]
        raise BadInput(f"{path}: damaged 'damagenet' metadata ({reason}){again}") from None
    if layout > FORMAT:
        raise BadInput(
            f"{path}: metadata format {str(layout)[:20]} is newer than this damagenet understands "
            f"({FORMAT}); update damagenet or use an older model"
        )
    return dict(info)


def _finite(text: str) -> float | None:
    """A number of the metadata; neither NaN nor 1e999 is JSON that others could read."""
    return number if math.isfinite(number := float(text)) else None


def _listed(tensors: Any) -> str:  # noqa: ANN401
    return ", ".join(sorted(f"{t.name!r} {t.type} {len(t.shape)}-d" for t in tensors))

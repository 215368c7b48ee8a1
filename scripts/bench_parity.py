"""Parity of an exported run over the test vectors, as docs/parity.md.

    python scripts/bench_parity.py runs/baseline

torch against ONNX Runtime: batches of 1, 2 and 5, one and two threads. The picture of 24 megapixels
goes alone, against torch on the whole picture at once, which takes 8 GB.
"""

from __future__ import annotations

import sys
from pathlib import Path

import onnxruntime
import pandas as pd
import torch

from damagenet import images, runs
from damagenet.detect import export, model
from damagenet.detect.parity import HEATMAP, SCORE, compared

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "parity.md"


def main(run: Path) -> None:
    """Write the page; exit 1 where a difference is too large."""
    network, _ = model.load(run / "best.safetensors")
    curve = runs.read_json(run / "metrics.json", "evaluate first")["calibration"]
    deployed = export.Deployed(network, curve).eval()
    data = (run / "detector.onnx").read_bytes()
    parts = []
    for path in sorted((ROOT / "clients" / "testvectors").glob("*_*")):
        huge = path.name.startswith("huge")
        shapes = {"batches": (1,), "threads": (2,)} if huge else {}
        part = compared(deployed, data, [images.read(path)[None]], **shapes)
        parts.append(part.assign(picture=path.name))
        print(path.name, f"{part.score.max():.1e} {part.heatmap.max():.1e}", flush=True)
    table = pd.concat(parts)
    by_way = table.groupby(["threads", "batch"])[["score", "heatmap"]].max().reset_index()
    by_picture = table.groupby("picture")[["score", "heatmap"]].max().reset_index()
    torch_version = torch.__version__.partition("+")[0]
    lines = [
        "# Parity: torch and ONNX Runtime",
        "",
        "`python scripts/bench_parity.py RUN`: largest absolute differences over the test vectors",
        f"of [the clients](../clients/README.md), torch {torch_version}, ONNX Runtime "
        f"{onnxruntime.__version__}.",
        f"Allowed: {SCORE:g} in scores, {HEATMAP:g} in heatmaps.",
        "",
        *_markdown(by_way),
        "",
        *_markdown(by_picture),
        "",
    ]
    PAGE.write_text("\n".join(lines), encoding="utf-8")
    if table.score.max() > SCORE or table.heatmap.max() > HEATMAP:
        raise SystemExit(f"{run}: differs from torch by more than allowed; see {PAGE.name}")


def _markdown(table: pd.DataFrame) -> list[str]:
    rows = [
        [f"{v:.1e}" if isinstance(v, float) else str(v) for v in row]
        for row in table.itertuples(index=False)
    ]
    head = [list(table.columns), ["---"] * len(table.columns)]
    return ["| " + " | ".join(row) + " |" for row in (*head, *rows)]


if __name__ == "__main__":
    main(Path(sys.argv[1]))

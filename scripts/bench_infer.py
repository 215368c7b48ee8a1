"""Inference: one photo through torch, ONNX Runtime and a network of the size the field publishes.

`python scripts/bench.py infer [RUN]`; without a run the baseline's network with random weights.
The 8-bit file is the packaged one. CPU seconds on one core; engines take turns, so that a busy
machine slows all of them alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
import transformers

from damagenet import claims, config, runs
from damagenet.detect import export, model

TURNS = 5
SIZES = ((256, 256), (512, 512), (1000, 1000), (1732, 2309))
"""Height and width: the last is a photo of four megapixels, in six tiles."""
LARGE = 600_000
"""Pixels above which the large network is left out: it would take a minute."""
EAGER, FULL, EIGHT_BITS = "torch eager", "ONNX Runtime", "ONNX Runtime INT8"
SMALL = Path(claims.__file__).parent / "weights" / "damagenet-s.int8.onnx"
Engine = Callable[[np.ndarray], object]


def deployed(run: Path | None) -> export.Deployed:
    """What is exported: a trained run, or random weights, which cost the same."""
    if run:
        network, _ = model.load(run / "best.safetensors")
        curve = runs.read_json(run / "metrics.json", "evaluate first")["calibration"]
    else:
        network = model.Network(config.load("configs/baseline.yaml").train).eval()
        curve = {"slope": 1.0, "offset": 0.0}
    return export.Deployed(network, curve).eval()


def engines(detector: export.Deployed) -> dict[str, Engine]:
    """Named functions of uint8 `[1, h, w, 3]`."""
    published = transformers.SegformerForSemanticSegmentation(
        transformers.SegformerConfig(  # B2: Xie et al., "SegFormer", NeurIPS 2021, table 6
            depths=[3, 4, 6, 3], hidden_sizes=[64, 128, 320, 512], decoder_hidden_size=768,
            num_labels=1,
        )
    ).eval()  # fmt: skip
    weights = sum(p.numel() for p in published.parameters())
    compiled = torch.compile(detector, dynamic=True)

    def torch_on(module: torch.nn.Module) -> Engine:
        return lambda image: module(torch.from_numpy(image))

    def onnx_on(model: bytes) -> Engine:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.enable_mem_pattern = False
        session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
        return lambda image: session.run(None, {"image": image})

    return {
        EAGER: torch_on(detector),
        "torch.compile": torch_on(compiled),
        FULL: onnx_on(export.to_onnx(detector, 20)),
        EIGHT_BITS: onnx_on(SMALL.read_bytes()),
        f"SegFormer-B2, {weights / 1e6:.0f} M, torch": lambda image: published(
            torch.from_numpy(image).permute(0, 3, 1, 2).float() / 255
        ),
    }


def measure(row: Callable[..., dict[str, object]], arguments: list[str]) -> list[dict[str, object]]:
    """Rows for docs/bench.csv: seconds by engine and size, and their ratios within a turn."""
    torch.set_num_threads(1)
    tools = engines(deployed(Path(arguments[0]) if arguments else None))
    found = []
    for height, width in SIZES:
        image = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
        times: dict[str, list[float]] = {name: [] for name in tools}
        for turn in range(-1, TURNS):  # the first warms up
            for name, run in tools.items():
                if name.startswith("SegFormer") and height * width > LARGE:
                    continue
                begin = time.process_time()
                with torch.no_grad():
                    run(image)
                if turn >= 0:
                    times[name].append(time.process_time() - begin)
        pixels = f"{width}x{height}"
        for name, values in times.items():
            if not values:
                continue
            goal = "<= 0.5" if (name, height) == (FULL, 1000) else ""
            found.append(row("infer", f"{name}, {pixels}", values, "s", goal))
        pairs = [(EAGER, name, ">= 1.5" if name == FULL else "") for name in times if name != EAGER]
        for slow, quick, goal in [*pairs, (FULL, EIGHT_BITS, ">= 1.3")]:
            if ratios := [a / b for a, b in zip(times[slow], times[quick], strict=False)]:
                name = f"{slow} / {quick}, {pixels}"
                found.append(row("infer", name, ratios, "speed-up", goal))
        per = [value / (height * width / 1e6) for value in times[FULL]]
        found.append(row("infer", f"{FULL} per megapixel, {pixels}", per, "s/MP"))
    return found

"""Training: the real loop against a bare forward, backward and step on the same tensors.

`python scripts/bench.py train [CONFIG [DATASET]]`; without a dataset a small one is built.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pandas as pd
import torch

from damagenet import config
from damagenet.detect import checkpoint, model, processes
from damagenet.detect import train as loop
from damagenet.detect.loader import Twins
from damagenet.synth import dataset

STEPS = 30  # of one turn, start-up included
TURNS = 4


def bare(settings: config.Train, items: Twins) -> float:
    """Pairs a second of forward, backward and step; the batches lie in memory."""
    device = model.device_for(settings.device)
    torch.manual_seed(0)
    network = model.Network(settings).to(device).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.lr)
    dtype = processes.precision(settings, device)
    size = settings.pairs
    batches = [
        torch.utils.data.default_collate([items[step * size + i] for i in range(size)])
        for step in range(STEPS)
    ]
    start = time.perf_counter()
    for batch in batches:
        optimizer.zero_grad(set_to_none=True)
        doctored = batch["label"].sum().clamp(min=1).to(device)
        loop._loss(network, batch, settings, device, dtype, doctored).backward()
        optimizer.step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return STEPS * size / (time.perf_counter() - start)


def real(experiment: config.Config, folder: Path, run: Path) -> tuple[float, float]:
    """Pairs a second of `damagenet train` before its evaluation, and its share of waiting."""
    (run / checkpoint.NAME).unlink(missing_ok=True)
    loop.train(replace(experiment, name=f"{run.parent.name}/{run.name}"), folder)
    (row,) = pd.read_csv(run / "train.csv").to_dict("records")
    return row["pairs_per_s"], row["wait"]


def measure(row: Callable[..., dict[str, object]], arguments: list[str]) -> list[dict[str, object]]:
    """Rows for docs/bench.csv.

    The machine may be busy with other work: each turn of the loop is held against the mean of the
    bare ones before and after it.
    """
    experiment = config.load(arguments[0] if arguments else "configs/baseline.yaml")
    settings = replace(experiment.train, steps=STEPS, eval_every=STEPS)
    experiment = replace(experiment, train=settings)
    floors, loops, waits = [], [], []
    Path("runs").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir="runs") as place:
        folder = Path(arguments[1]) if len(arguments) > 1 else Path(place) / "dataset"
        if len(arguments) < 2:
            dataset.build(config.load("configs/smoke.yaml", [f"build.out={folder}"]), folder, 1)
        manifest = dataset.read_manifest(folder)
        rows = manifest[manifest.split == "train"]
        rows = rows[rows.family != settings.holdout_family]
        items = Twins(folder, rows, settings, experiment.seed, STEPS * settings.pairs)
        torch.set_num_threads(settings.threads)
        floors.append(bare(settings, items))
        for _ in range(TURNS):
            speed, wait = real(experiment, folder, Path(place) / "run")
            loops.append(speed)
            waits.append(wait)
            floors.append(bare(settings, items))
    around = [(one + other) / 2 for one, other in pairwise(floors)]
    ratios = [one / floor for one, floor in zip(loops, around, strict=True)]
    print(f"{experiment.name}: {settings.encoder}, {settings.pairs} pairs of {settings.crop} px",
          file=sys.stderr)  # fmt: skip
    return [
        row("train", "bare loop", floors, "pairs/s"),
        row("train", "training loop", loops, "pairs/s"),
        row("train", "training loop / bare loop", ratios, "ratio", ">= 0.9"),
        row("train", "share of waiting for data", waits, "share", "<= 0.1"),
    ]

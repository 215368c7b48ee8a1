"""Measure speed and memory against floors taken in the same run; rows go to docs/bench.csv.

    python scripts/bench.py synth              # all of it, about 10 minutes on a quiet machine
    python scripts/bench.py synth --only path  # path, decoders, memory or workers
    python scripts/bench.py train              # the training loop, 5 minutes
    python scripts/bench.py infer              # one photo through the detector, 5 minutes

Machines are noisy: every time is a median with the quartiles beside it, and what counts are the
ratios.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # one core: before NumPy and torch read it

import argparse
import csv
import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import bench_infer
import bench_train
import cv2
import numpy as np
from PIL import Image

from damagenet import config, images, runs
from damagenet.synth import align, dataset, doctor, edits, encoders, products, regenerate
from damagenet.synth.shot import Shot, framed, plan_frame

TABLE = Path(__file__).parents[1] / "docs" / "bench.csv"
SIDE = 512
Row = dict[str, object]


def row(stage: str, metric: str, values: list[float], unit: str, goal: str = "") -> Row:
    """One measurement with its spread."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    print(f"{metric:<34}{middle:>9.3f} [{low:.3f}, {high:.3f}] {unit:<10} {goal}", flush=True)
    return {"stage": stage, "metric": metric, "median": round(middle, 4), "q25": round(low, 4),
            "q75": round(high, 4), "unit": unit, "goal": goal, "n": len(values)}  # fmt: skip


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of one call: other work on the machine does not count."""
    start = time.process_time()
    work()
    return time.process_time() - start


def photos(count: int) -> list[Path]:
    """Product photos, those of the data folder or the project's own."""
    folders, _ = products.default_folders()
    found = images.files_in(folders)
    picks = np.random.default_rng(0).permutation(len(found))[: count * 2]
    return [found[i] for i in picks if min(images.read(found[i]).shape[:2]) >= 300][:count]


def sources(folder: Path, count: int) -> Iterator[Path]:
    """The same as JPEG files of 600 px: decoding a larger source is the source's cost, not ours."""
    for index, path in enumerate(photos(count)):
        photo = images.read(path)
        scale = 600 / max(photo.shape[:2])
        photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        place = folder / f"{index:03}.jpg"
        images.write(place, photo, quality=92)
        yield place


def draw(source: Path, rng: np.random.Generator, settings: config.Build) -> list[doctor.Sample]:
    """Intact, damaged and overlaid picture of one draw, photo file to files."""
    shot = Shot(images.read(source), plan_frame(rng, SIDE))
    samples = []
    for recipe in doctor.plan(rng, shot, "intact", "", settings)[:3]:
        samples.append(doctor.render(shot, recipe))
        images.mask_bytes(samples[-1].mask)
        images.mask_bytes(samples[-1].intended)
    return samples


def recode(data: bytes) -> None:
    """The floor: decode and encode a JPEG once."""
    with Image.open(io.BytesIO(data)) as picture:
        picture.convert("RGB").save(io.BytesIO(), "JPEG", quality=90)


def path() -> list[Row]:
    """The non-neural path against the floor, one picture of about 512 px."""
    settings = config.Build(long_side=SIDE, native=0.0, overlay=1.0, families=("none",))
    floors, ratios, costs = [], [], []
    with tempfile.TemporaryDirectory() as place:
        for index, source in enumerate(sources(Path(place), 60)):
            start = time.process_time()
            samples = draw(source, runs.rng_for(0, index), settings)
            costs.append(1000 * (time.process_time() - start) / len(samples))
            data = encoders.jpeg_file(
                framed(images.read(source), {"box": [0] * 4, "long_side": SIDE}), 92, 2
            )
            floors.append(1000 * np.median([seconds(partial(recode, data)) for _ in range(9)]))
            ratios.append(costs[-1] / floors[-1])
    return [
        row("synth", "floor: decode and encode once", floors, "ms"),
        row("synth", "non-neural path, one picture", costs, "ms"),
        row("synth", "non-neural path / floor", ratios, "ratio", "<= 6"),
    ]


def pasted(new: np.ndarray, photo: np.ndarray, region: np.ndarray, means: dict) -> None:
    """Align a decoder's output with the photo and put it in."""
    edits.paste(photo, align.aligned(new, photo, region, means), region, {"topology": "exchange"})


def decoders() -> list[Row]:
    """A 2 % region through every decoder, against the decoder's own time on that area."""
    rows, forward = [], [0.0]
    network_of = regenerate._network

    def timed(*args: object) -> Callable[..., object]:
        network = network_of(*args)

        def run(planes: np.ndarray) -> np.ndarray:
            start = time.process_time()
            result = network(planes)
            forward[0] += time.process_time() - start
            return result

        return run

    regenerate._network = timed
    for family in regenerate.available():
        alone, whole, costs = [], [], []
        for index, source in enumerate(photos(12)):
            photo = cv2.resize(images.read(source), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
            region = edits.blob((SIDE, SIDE), 0.02, index)
            means = align.plan_align(runs.rng_for(index), None)
            decode = partial(regenerate.regenerate_region, photo, region, family)
            if index == 0:
                decode()  # loads the weights
            forward[0] = 0.0
            cost = seconds(decode)
            alone.append(cost / forward[0])
            finish = partial(pasted, decode(), photo, region, means)
            whole.append((cost + seconds(finish)) / (forward[0] / 2))  # decoded twice by now
            costs.append(1000 * cost)
        rows += [
            row("synth", f"{family}: 2 % region", costs, "ms"),
            row("synth", f"{family}: region / forward", alone, "ratio", "<= 1.2"),
            row("synth", f"{family}: with alignment / forward", whole, "ratio"),
        ]
    regenerate._network = network_of
    return rows


def one(family: str) -> None:
    """Render one draw of four pictures, or three without a decoder; prints the peak memory."""
    settings = config.Build(
        long_side=SIDE, native=0.0, overlay=0.0 if family else 1.0, families=(family or "none",),
        topologies=("full",),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        for index, source in enumerate(sources(Path(place), 6)):
            rng = runs.rng_for(1, index)
            shot = Shot(images.read(source), plan_frame(rng, SIDE))
            for recipe in doctor.plan(rng, shot, "intact", "", settings)[: 4 if family else 3]:
                doctor.render(shot, recipe)
    # Not getrusage: a child inherits its parent's peak there.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    print(int(status.split("VmHWM:")[1].split()[0]) / 1024)


def memory() -> list[Row]:
    """Peak resident memory of one worker process."""
    rows = []
    for family in ("", *regenerate.available()):
        run = [sys.executable, __file__, "synth", "--one", family]
        done = subprocess.run(run, capture_output=True, text=True, check=True)
        name, goal = (f"memory with {family}", "<= 1536") if family else ("memory", "<= 600")
        rows.append(row("synth", name, [float(done.stdout.split()[-1])], "MiB", goal))
    return rows


def workers() -> list[Row]:
    """The same build with one and with two workers, in turn.

    The wall time needs a quiet machine; what two workers burn together against one does not.
    """
    ratios, burnt = [], []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        table = f"products.table={folder / 'products.parquet'}"
        settings = config.load("configs/baseline.yaml", [table, "products.limit=60"])
        settings = replace(settings, build=replace(settings.build, variants=1, test_sources=()))
        intact, damaged = products.default_folders()
        found, refused = products.register(images.files_in(intact), images.files_in(damaged))
        products.save(found, refused, folder / "products.parquet")
        few = replace(settings, products=replace(settings.products, limit=4))
        for turn in range(3):
            took, cpu = {}, {}
            for count in (1, 2):
                # Workers stay: what is timed is work, not the start of Python and of decoders.
                dataset.build(few, folder / f"few-{turn}-{count}", count)
                start = time.perf_counter()
                dataset.build(settings, folder / f"{turn}-{count}", count)
                took[count] = time.perf_counter() - start
                timing = runs.read_json(folder / f"{turn}-{count}" / "timing.json", "build it")
                cpu[count] = timing["cpu_s"]
            print(f"turn {turn}: {took[1]:.1f} s, {took[2]:.1f} s, load {os.getloadavg()[0]:.1f}")
            ratios.append(took[1] / took[2])
            burnt.append(cpu[2] / cpu[1])
            cards = [dataset.read_card(folder / f"{turn}-{count}") for count in (1, 2)]
            assert cards[0]["manifest_sha256"] == cards[1]["manifest_sha256"]
    return [
        row("synth", "two workers / one", ratios, "speed-up", ">= 1.8"),
        row("synth", "two workers / one: CPU seconds", burnt, "ratio", "<= 1.1"),
    ]


PARTS = {"path": path, "decoders": decoders, "memory": memory, "workers": workers}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stage", choices=["synth", "train", "infer"])
    parser.add_argument("files", nargs="*", help="train: a config and a dataset; infer: a run")
    parser.add_argument("--only", choices=PARTS, help="one part; the other rows stay")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    if args.one is not None:
        one(args.one)
        return
    if args.stage == "train":
        rows = bench_train.measure(row, args.files)
    elif args.stage == "infer":
        rows = bench_infer.measure(row, args.files)
    else:
        parts = [PARTS[args.only]] if args.only else PARTS.values()
        rows = [line for part in parts for line in part()]
    facts = runs.environment()
    new = {(line["stage"], line["metric"]) for line in rows}
    kept = []
    if TABLE.is_file():
        with TABLE.open(newline="") as handle:
            kept = [r for r in csv.DictReader(handle) if (r["stage"], r["metric"]) not in new]
    for line in rows:
        line |= {"machine": facts["machine"], "commit": facts["commit"][:12]}
    with TABLE.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows([*kept, *rows])
    print(f"{TABLE.name}: {len(rows)} rows")


if __name__ == "__main__":
    main()

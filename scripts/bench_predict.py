"""Measure what scoring many photos costs and how it scales.

    python scripts/bench_predict.py                       # 3 minutes on a quiet machine
    python scripts/bench_predict.py --photos 6 --repeats 7 --model runs/mine/detector.onnx

Photos are copies of a photo of scikit-image at the sizes that claims have, so that everybody gets
the same ones. The ways are measured in turn, several times over, as other work on the machine comes
and goes; what counts are ratios and the CPU seconds. Needs damagenet[dask].
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy reads it

import cv2
import numpy as np
import skimage.data
from distributed import LocalCluster

from damagenet import images
from damagenet.claims import Detector, cluster, predict, sources
from damagenet.claims.scores import Scores, made_by

SIDES = (480, 640, 800)
"""Long sides, pixels: pictures as marketplaces hand them out."""
MILLIONS = 10


def photos(folder: Path, count: int) -> list[Path]:
    """Upright and lying JPEG files, each a little different."""
    paths = [folder / f"{i:04}.jpg" for i in range(count)]
    for i, path in enumerate(paths):
        long = SIDES[i % len(SIDES)]
        size = (long, long * 3 // 4) if i % 2 else (long * 3 // 4, long)
        picture = cv2.resize(skimage.data.coffee(), size, interpolation=cv2.INTER_AREA)
        images.write(path, np.roll(picture, i, axis=1), quality=88)
    return paths


def shown(name: str, values: list[float], unit: str) -> None:
    low, middle, high = min(values), statistics.median(values), max(values)
    print(f"{name:<44}{middle:>9.3f} [{low:.3f}, {high:.3f}] {unit}", flush=True)


def rates(
    ways: dict[str, Callable[[], Iterable[object]]], count: int, repeats: int
) -> dict[str, list[float]]:
    """Photos a second of each way, measured in turn."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            start = time.perf_counter()
            assert sum(1 for _ in way()) == count
            found[name].append(count / (time.perf_counter() - start))
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--photos", type=int, default=12)
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--model", type=Path)
    args = options.parse_args()
    warnings.filterwarnings("ignore", module=r"distributed\.")
    with tempfile.TemporaryDirectory() as name:
        measure(Path(name), args.photos, args.repeats, args.model)


def measure(folder: Path, count: int, repeats: int, model: Path | None) -> None:
    paths = photos(folder, count)
    one, two = Detector(model, threads=1), Detector(model, threads=2)
    list(predict(paths[: len(SIDES) * 2], one))  # the largest buffers exist now
    begun, seconds = time.process_time(), []
    for path in paths:
        one(path)
        seconds.append(time.process_time() - begun)
        begun = time.process_time()
    pixels = statistics.mean(images.read(p).size / 3e6 for p in paths)
    shown(f"CPU of one photo of {pixels:.2f} megapixels", seconds, "s")
    begun = time.process_time()
    for path in paths:
        images.read(path)
    share = (time.process_time() - begun) / sum(seconds)
    print(f"{'share of it that is reading and decoding':<44}{share:>9.1%}")

    cluster.BATCH = 4  # a few photos must still make many tasks
    with ExitStack() as stack:
        single, double = (stack.enter_context(machines(workers)) for workers in (1, 2))
        for each in (single, double):  # every worker has opened its detector
            list(cluster.predict_on(each.scheduler_address, paths, one))
        found = rates(
            {
                "one photo at a time, 1 thread": lambda: predict(paths, one, workers=1),
                "one photo at a time, 2 threads": lambda: predict(paths, two, workers=1),
                "two photos at a time, 1 thread each": lambda: predict(paths, one, workers=2),
                "Dask, 1 worker process": lambda: cluster.predict_on(
                    single.scheduler_address, paths, one
                ),
                "Dask, 2 worker processes": lambda: cluster.predict_on(
                    double.scheduler_address, paths, one
                ),
            },
            count,
            repeats,
        )
    print(f"{'memory, at most 2 photos at a time':<44}{peak():>9.0f} MB")
    for name, values in found.items():
        shown(name, values, "photos/s")
    base, threads, overlap, alone, both = found.values()
    for name, above, below in (
        ("two photos at a time / one, 1 thread", overlap, base),
        ("two photos at a time / one, 2 threads", overlap, threads),
        ("Dask 1 worker / one photo, 1 thread", alone, base),
        ("Dask 2 workers / 1 worker", both, alone),
    ):
        shown(name, [a / b for a, b in zip(above, below, strict=True)], "x")
    bookkeeping(folder, one, next(iter(predict(paths[:1], one))), statistics.median(seconds))


def machines(workers: int) -> LocalCluster:
    return LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=True, host="127.0.0.1",
        dashboard_address=":0", silence_logs=50,
    )  # fmt: skip


def bookkeeping(folder: Path, detector: Detector, record: dict[str, Any], cpu: float) -> None:
    """What a long list costs, from 100,000 records; then 10 million photos."""
    count, listed, rng = 100_000, folder / "list.csv", np.random.default_rng(0)
    listed.write_text("path\n" + "".join(f"shop/2026/{i:08}/photo.jpg\n" for i in range(count)))
    region = {"x": 0, "y": 0, "width": 0, "height": 0, "area": 0.0, "score": 0.0}
    boxes, shares = (
        rng.integers(0, 800, (count, 4)).tolist(),
        rng.random((count, 3)).round(6).tolist(),
    )
    before, start = resident(), time.process_time()
    paths = sources.photos([str(listed)])
    missing = {path: path for path in paths}
    memory = (resident() - before) * 1e6 / count
    with Scores(folder / "s.parquet", made_by(detector)) as kept:
        for path, box, (score, *two) in zip(paths, boxes, shares, strict=True):
            made = dict(zip(region, (*box, *two), strict=True))
            many = [made | {"x": x} for x in range(len(record["regions"]))]
            kept.add(record | {"path": path, "score": score, "regions": many})
        lines = (folder / "s.parquet.jsonl").stat().st_size / count
        assert len(missing) == sum(1 for _ in kept)
        kept.finish()
    each = (time.process_time() - start) / count
    table = (folder / "s.parquet").stat().st_size / count
    print(f"{'list, journal and Parquet, a photo':<44}{each * 1e3:>9.3f} ms")
    print(f"{'a line of JSON; a row of Parquet':<44}{lines:>9.0f} B; {table:.0f} B")
    print(f"{'memory of the list, a path':<44}{memory:>9.0f} B")
    hours = MILLIONS * 1e6 * cpu / 3600
    told = ", ".join(f"{hours / cores:.0f} h on {cores} cores" for cores in (16, 64, 256))
    print(f"{MILLIONS} million such photos: {hours:,.0f} core-hours ({told})")
    for what, size in (("JSON lines", lines), ("Parquet", table), ("memory of the list", memory)):
        print(f"  {what}: {size * MILLIONS / 1e3:.1f} GB")
    print(f"  list, journal and Parquet: {each * MILLIONS * 1e6 / 3600:.1f} h of one core")


def resident() -> float:
    """Megabytes of this process that are in memory (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def peak() -> float:
    """The most memory that this process ever had, in MB."""
    scale = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


if __name__ == "__main__":
    main()

"""Call one detector many times on pictures of many sizes and watch its memory.

    python scripts/soak.py                        # 10,000 calls on 96-160 pixels, from 4 threads
    python scripts/soak.py --calls 500 --high 640 --model runs/mine/detector.onnx

The first tenth of the calls warms up: onnxruntime keeps the largest buffers it ever needed.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from damagenet import runs
from damagenet.claims import Detector


def resident() -> float:
    """Megabytes of this process that are in memory (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--calls", type=int, default=10_000)
    options.add_argument("--low", type=int, default=96, help="shortest side, pixels")
    options.add_argument("--high", type=int, default=160, help="longest side, pixels")
    options.add_argument("--callers", type=int, default=4, help="threads that call at a time")
    options.add_argument("--model", type=Path)
    args = options.parse_args()
    detector = Detector(args.model, threads=1)

    def call(number: int) -> float:
        rng = runs.rng_for(7, number)
        height, width = rng.integers(args.low, args.high, 2, endpoint=True)
        return detector(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).score

    print(f"opened: {resident():.1f} MB", flush=True)
    tenth = max(1, args.calls // 10)
    readings = []
    with ThreadPoolExecutor(args.callers) as pool:
        for start in range(0, args.calls, tenth):
            list(pool.map(call, range(start, min(args.calls, start + tenth))))
            readings.append(resident())
            print(f"{min(args.calls, start + tenth)} calls: {readings[-1]:.1f} MB", flush=True)
    print(f"growth after the first tenth: {readings[-1] - readings[0]:+.1f} MB")


if __name__ == "__main__":
    main()

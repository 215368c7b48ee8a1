"""What training takes to start on a large dataset: seconds and memory, from a made-up manifest.

    python scripts/bench_manifest.py                    # a million pictures, some minutes
    python scripts/bench_manifest.py --pictures 100000

Rows are those of a small real build, repeated under other product names, in shards as a build
writes them; there are no pictures. The start is measured in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from damagenet import config, runs
from damagenet.detect.loader import Twins
from damagenet.detect.pairs import COLUMNS
from damagenet.synth import dataset, units


def written(folder: Path, pictures: int) -> Path:
    """A dataset without pictures."""
    small = dataset.build(config.load("configs/smoke.yaml", [f"build.out={folder / 'small'}"]))
    rows = dataset.read_manifest(small)
    times, count = -(-pictures // len(rows)), rows.product_id.nunique()
    big = folder / "big"
    big.mkdir()
    writer, path = None, big / "manifest.parquet"
    # One shard of the real thing holds whole groups; here, whole copies of the small set.
    each = max(1, units.SHARD // count)
    for first in range(0, times, each):
        shard, copies = f"{first // each:04x}", []
        for turn in range(first, min(times, first + each)):
            copy = rows.assign(
                product_id=rows.product_id + f"-{turn}", group_id=rows.group_id + f"-{turn}"
            )
            for column in ("image", "mask"):
                copy[column] = rows[column].str.replace("/", f"/{shard}/{turn}-", n=1, regex=False)
            copies.append(pa.Table.from_pandas(copy, preserve_index=False))
        table = pa.concat_tables(copies).replace_schema_metadata(copies[0].schema.metadata)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    writer.close()
    card = dataset.read_card(small) | {"manifest_sha256": runs.sha256(path)}
    runs.write_json(big / "dataset.json", card)
    return big


def start(folder: Path) -> None:
    """What `damagenet train` does before its first step; prints seconds and peak memory."""
    begun, idle, before = time.perf_counter(), time.process_time(), memory("VmRSS")
    settings = config.load("configs/baseline.yaml")
    twins = Twins(folder, dataset.pieces(folder, COLUMNS, "train"), settings.train, 1, 128_000)
    ready, cpu = time.perf_counter() - begun, time.process_time()
    for index in range(1000):
        twins.pairs[index * 7919 % len(twins.pairs)]
    found = {
        "pairs": len(twins.pairs), "start_s": round(ready, 1),
        "cpu_s": round(cpu - idle, 1), "before_MB": before,
        "held_MB": memory("VmRSS"), "peak_MB": memory("VmHWM"),
        "pair_ms": round(time.process_time() - cpu, 3),
    }  # fmt: skip
    print(json.dumps(found))


def memory(name: str) -> int:
    """Megabytes that Linux says of this process."""
    return int(Path("/proc/self/status").read_text().split(f"{name}:")[1].split()[0]) // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=1_000_000)
    parser.add_argument("--start", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--keep", type=Path, help="folder for the manifest, which is kept")
    args = parser.parse_args()
    if args.start:
        start(args.start)
        return
    with tempfile.TemporaryDirectory() as place:
        begun = time.perf_counter()
        folder = written(args.keep or Path(place), args.pictures)
        size = (folder / "manifest.parquet").stat().st_size
        print(f"manifest: {size / 1e6:.0f} MB, written in {time.perf_counter() - begun:.0f} s")
        subprocess.run([sys.executable, __file__, "--start", str(folder)], check=True)


if __name__ == "__main__":
    main()

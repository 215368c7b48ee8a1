"""Where does a build on many machines stop getting faster? Table and figure from measured costs.

    python scripts/simulate_scale.py               # seconds; writes docs/images/scale.png
    python scripts/simulate_scale.py --tasks       # measures Dask's cost of a task on this machine

A closed queueing network, solved exactly by mean-value analysis (Reiser and Lavenberg 1980): N
workers draw a unit (four pictures of one product), then pass three servers that they all share, in
turn: the scheduler, the metadata of the shared storage, and its bandwidth. A server that is asked
for more than it can do is where they wait.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

FIGURE = Path(__file__).parents[1] / "docs" / "images" / "scale.png"
PICTURES = 3.3
"""Pictures of a unit, as the packaged detector's set has them (6,082 of 1,864 units)."""


@dataclass(frozen=True)
class Costs:
    """What one unit asks of everybody. Measured values; those of the storage are assumptions."""

    cpu_s: float = 0.18 * PICTURES  # timing.json of that set
    task_s: float = 2.0e-3  # CPU of scheduler and client; --tasks measures it
    files: float = 3 * PICTURES + 1  # picture, two masks each; the part file
    operations: float = 3.0  # create, rename, close, as the storage counts them
    file_bytes: float = 30.4e3 * PICTURES + 12e3  # that set's files and masks; part
    read_bytes: float = 150e3  # the product's photo
    metadata_per_s: float = 2000.0  # assumed: one NFS server
    bandwidth: float = 110e6  # assumed: 1 Gbit/s

    def demands(self) -> dict[str, float]:
        """Seconds of each shared server a unit takes."""
        return {
            "scheduler": self.task_s,
            "metadata": self.files * self.operations / self.metadata_per_s,
            "bandwidth": (self.file_bytes + self.read_bytes) / self.bandwidth,
        }


def throughput(costs: Costs, most: int) -> np.ndarray:
    """Units a second for 1 to `most` workers."""
    demand = np.array(list(costs.demands().values()))
    waiting, rates = np.zeros(len(demand)), []
    for workers in range(1, most + 1):
        stay = demand * (1 + waiting)
        rate = workers / (costs.cpu_s + stay.sum())
        waiting = rate * stay
        rates.append(rate)
    return np.array(rates)


def figure(cases: dict[str, Costs], most: int) -> None:
    """Pictures a second over workers."""
    canvas, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    workers = np.arange(1, most + 1)
    for name, costs in cases.items():
        axes.loglog(workers, PICTURES * throughput(costs, most), label=name)
    axes.loglog(workers, PICTURES * workers / cases["one NFS server"].cpu_s, "k:", lw=1,
                label="nobody waits")  # fmt: skip
    axes.set(xlabel="worker processes, one core each", ylabel="pictures a second")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    canvas.savefig(FIGURE, dpi=110)


def report(cases: dict[str, Costs], most: int) -> None:
    """Speed and bottleneck of each case, then hours."""
    print("| storage | first bottleneck | its limit, pictures/s | workers at 80 % of linear "
          "| 1 M pictures, 64 workers | 100 M, 1,024 workers |")  # fmt: skip
    print("|---|---|---|---|---|---|")
    for name, costs in cases.items():
        rates = throughput(costs, most)
        linear = np.arange(1, most + 1) / (costs.cpu_s + sum(costs.demands().values()))
        enough = int(np.flatnonzero(rates >= 0.8 * linear)[-1]) + 1
        slow = max(costs.demands(), key=costs.demands().__getitem__)
        hours = [n / PICTURES / rates[w - 1] / 3600 for n, w in ((1e6, 64), (1e8, 1024))]
        print(
            f"| {name} | {slow} | {PICTURES / costs.demands()[slow]:,.0f} | "
            f"{enough if enough < most else f'above {most:,}'} | "
            f"{hours[0]:.1f} h | {hours[1]:,.0f} h |"
        )
    one = next(iter(cases.values()))
    for count in (1e6, 1e8):
        disk = count / PICTURES * (one.file_bytes - 12e3) / 1e9
        print(f"{count:,.0f} pictures: {count * one.cpu_s / PICTURES / 3600:,.0f} core-hours, "
              f"{disk:,.0f} GB, {3 * count:,.0f} files")  # fmt: skip


def measured_tasks(count: int = 2000) -> None:
    """Dask's own time for a task that does nothing, on two local worker processes."""
    from distributed import LocalCluster

    from damagenet import cluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=":0"
    ) as machines, cluster.connect(machines.scheduler_address) as client:  # fmt: skip
        list(cluster.finished(client, abs, range(200)))
        begun, cpu = time.perf_counter(), time.process_time()
        assert sum(1 for _ in cluster.finished(client, abs, range(count))) == count
        wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
    print(f"{count} empty tasks: {1e3 * wall / count:.2f} ms each by the clock, "
          f"{1e3 * cpu / count:.2f} ms of CPU of scheduler and client together")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", action="store_true", help="measure the cost of a task")
    parser.add_argument("--most", type=int, default=4096, help="workers of the largest cluster")
    args = parser.parse_args()
    if args.tasks:
        measured_tasks()
        return
    cases = {
        "one NFS server": Costs(),
        "NFS on flash, 10 Gbit/s": Costs(metadata_per_s=10_000, bandwidth=1.1e9),
        "parallel file system": Costs(metadata_per_s=50_000, bandwidth=10e9),
    }
    report(cases, args.most)
    figure(cases, args.most)


if __name__ == "__main__":
    main()

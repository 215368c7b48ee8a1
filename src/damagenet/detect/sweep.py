"""Train and evaluate a grid of settings and seeds, each in a run folder of its own.

Runs lie below `runs/<name>/` and are called after what was varied, as in `lr=0.001,seed=2`. Each is
a process of its own, whose words go to `log.txt` there: whatever ends it ends no other run.
Finished runs are left alone, interrupted ones go on. All seeds share one dataset.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import joblib
import yaml
from tqdm.auto import tqdm

from damagenet import BadInput, cluster, runs
from damagenet.config import Config, digest, dump, from_dict, override, to_dict
from damagenet.synth import dataset

LOG = "log.txt"
_DATA = ("products.", "build.")
_running: set[subprocess.Popen[str]] = set()
_stopped = threading.Event()
_lock = threading.RLock()  # a signal's handler may need it while the main thread holds it


def plan(config: Config, grid: Sequence[str], seeds: Sequence[int] = ()) -> list[Config]:
    """The configs of a sweep, each with a name and, in `build.out`, a dataset of its own.

    Args:
        config: What all have in common.
        grid: `section.key=a,b,c`, values as in YAML (`build.kinds=[crack],[tear]`); a single value
            is no part of names.
        seeds: Of the trainings; empty: that of the config.

    Raises:
        BadInput: An unknown key, a wrong value, or one named twice.
    """
    axes = dict(_axis(item) for item in grid)
    if len(axes) < len(grid):
        raise BadInput(f"{' '.join(grid)}: a key is named twice")
    config = override(config, [f"{key}={_text(v[0])}" for key, v in axes.items() if len(v) == 1])
    varied = {key: values for key, values in axes.items() if len(values) > 1}
    ends = [key.rpartition(".")[2] for key in varied]
    short = {k: end if ends.count(end) == 1 else k for k, end in zip(varied, ends, strict=True)}
    planned: dict[str, Config] = {}
    for values in product(*varied.values()):
        one = override(config, [f"{k}={_text(v)}" for k, v in zip(varied, values, strict=True)])
        parts = {key: f"{short[key]}={_name(_value(one, key))}" for key in varied}
        data = [part for key, part in parts.items() if key.startswith(_DATA)]
        place = str(config.run_dir / ",".join(["dataset", *data])) if data else ""
        for seed in seeds or (config.seed,):
            name = f"{config.name}/{','.join([*parts.values(), f'seed={seed}'])}"
            if name in planned:
                raise BadInput(f"{name}: asked for twice")
            out = place or str(config.dataset_dir)
            planned[name] = replace(one, name=name, seed=seed, build=replace(one.build, out=out))
    return list(planned.values())


def _axis(item: str) -> tuple[str, list[Any]]:
    key, mark, text = item.partition("=")
    if key.strip() in ("seed", "build.out"):
        raise BadInput(f"{item!r}: no axis of a grid; --seeds names seeds")
    try:
        values = yaml.safe_load(f"[{text}]")
    except yaml.YAMLError:
        values = []
    if key.strip() == "name" and len(values) > 1:
        raise BadInput(f"{item!r}: a sweep has one name")
    if not mark or not values:
        raise BadInput(f"{item!r}: a grid looks like train.lr=0.001,0.002")
    return key.strip(), values


def _text(value: object) -> str:
    return json.dumps(value, default=str)  # YAML has dates


def _value(config: Config, key: str) -> object:
    found: Any = to_dict(config)
    for part in key.split("."):
        found = found[part]
    return found


def _name(value: object) -> str:
    """A value as part of a folder's name; what was lost of it is told apart by a hash."""
    text = str(value)
    plain = re.sub(r"[^\w.+-]+", "-", text).strip("-.")[:40]
    return plain if plain == text else f"{plain}-{digest(value)[:6]}".lstrip("-")


def sweep(
    planned: Sequence[Config],
    seed: int,
    folder: Path | None = None,
    jobs: int = 1,
    address: str | None = None,
    workers: int = 1,
) -> dict[str, str]:
    """Build the datasets that are missing, then train and evaluate what is missing.

    Args:
        planned: As `plan` returns.
        seed: That of the datasets.
        folder: One dataset for all instead.
        jobs: Runs at a time; each computes on `train.threads` cores.
        address: Of a Dask scheduler; its workers see this folder under the same path, and run as
            many trainings as they have threads. What runs there goes on when this process ends.
        workers: Processes of a build.

    Returns:
        What went wrong, by name of the run; empty where all are done.

    Raises:
        BadInput: Dask is not installed, or nobody answers.
    """
    failed: dict[str, str] = {}
    todo = []
    for place, sharing in _by_dataset(planned, folder).items():
        try:
            if folder is None:
                dataset.build(replace(sharing[0], seed=seed), place, workers)
            manifest = dataset.read_card(place)["manifest_sha256"]
        except BadInput as error:
            failed |= {config.name: str(error) for config in sharing}
            continue
        todo += [(c, place) for c in sharing if not measured(c, manifest)]
    call = joblib.delayed(partial(_apart, Path.cwd()))
    bar = tqdm(total=len(planned), initial=len(planned) - len(todo) - len(failed),
               desc="sweep", unit="run")  # fmt: skip
    _stopped.clear()
    with bar, _stopping(), _backend(address):
        found = joblib.Parallel(
            n_jobs=-1 if address else jobs, prefer="threads",
            return_as="list" if address else "generator_unordered",
        )(call(config, place) for config, place in todo)  # fmt: skip
        for name, wrong in found:
            if wrong:
                failed[name] = wrong
                tqdm.write(f"{name}: {wrong}", file=sys.stderr)
            bar.update()
    return failed


def _by_dataset(planned: Sequence[Config], folder: Path | None) -> dict[Path, list[Config]]:
    found: dict[Path, list[Config]] = {}
    for config in planned:
        found.setdefault(folder or config.dataset_dir, []).append(config)
    if folder and len({digest(c.products, c.build) for c in planned}) > 1:
        raise BadInput(f"{folder}: a sweep over products or build makes its own datasets")
    return found


def measured(config: Config, manifest: str) -> bool:
    """Whether the results of a run are there, of these settings and the dataset of this hash."""
    from damagenet.detect.checkpoint import identity

    try:
        made = runs.read_json(config.run_dir / "metrics.json", "")
        was: Config = from_dict(Config, made["config"], "metrics.json")
        now, then = [manifest], [made["dataset_sha256"]]
        if config.train.lattice:
            now.append(dataset.read_card(Path(config.train.lattice))["manifest_sha256"])
            then.append(made["lattice_dataset"])
        same = identity(was, *then) == identity(config, *now)
    except (BadInput, KeyError, TypeError, AttributeError):
        return False  # then they are made again
    return same and was.evaluate == config.evaluate


def _apart(place: Path, config: Config, folder: Path) -> tuple[str, str]:
    """Train and evaluate in another process; name of the run and what went wrong, or nothing."""
    log = place / config.run_dir / LOG
    line = [sys.executable, "-m", "damagenet.detect.sweep", str(folder)]
    quiet = os.environ | {"TQDM_DISABLE": "1"}
    with _lock:
        if _stopped.is_set():
            return config.name, "not started"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            process = subprocess.Popen(
                line, cwd=place, env=quiet, stdin=subprocess.PIPE, stdout=out, stderr=out, text=True
            )
        _running.add(process)
    process.communicate(dump(config))
    _running.discard(process)
    if process.returncode == 0:
        return config.name, ""
    if process.returncode < 0:
        return config.name, f"ended by signal {-process.returncode} (out of memory?); see {log}"
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return config.name, f"{said[-1] if said else process.returncode} ({log})"


@contextmanager
def _stopping() -> Iterator[None]:
    """Whatever ends this process lets its trainings save their state first."""

    def stop() -> None:
        with _lock:
            _stopped.set()
            for process in list(_running):
                process.terminate()

    def ask(number: int, frame: object) -> None:
        stop()
        raise KeyboardInterrupt

    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, ask) if main else None
    try:
        yield
    finally:
        stop()
        for process in list(_running):
            process.wait()
        _running.clear()
        if main:
            signal.signal(signal.SIGTERM, before)


@contextmanager
def _backend(address: str | None) -> Iterator[None]:
    """Where joblib runs things: threads of this process, or a Dask cluster."""
    if not address:
        yield
        return
    with (
        cluster.connect(address) as client,
        joblib.parallel_config("dask", client=client, wait_for_workers_timeout=cluster.WAIT),
    ):
        from distributed import KilledWorker

        try:
            yield
        except KilledWorker as error:
            raise BadInput(f"{address}: workers were lost ({error}); run it again") from None


def finish(config: Config, folder: Path) -> None:
    """Train and evaluate one run; errors as of the two stages."""
    from damagenet.detect.evaluate import evaluate
    from damagenet.detect.train import train

    evaluate(train(config, folder), folder, config)


def _main() -> int:
    values: Mapping[str, Any] = yaml.safe_load(sys.stdin)
    with contextlib.suppress(KeyboardInterrupt):
        try:
            finish(from_dict(Config, values, "sweep"), Path(sys.argv[1]))
            return 0
        except BadInput as error:
            print(error, file=sys.stderr)
            return 1
    print("interrupted", file=sys.stderr)
    return 130


if __name__ == "__main__":
    sys.exit(_main())

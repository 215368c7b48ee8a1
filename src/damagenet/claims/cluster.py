"""The work of `predict` on a Dask cluster, whose workers read the photos themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Lock

from damagenet import BadInput, cluster
from damagenet.claims.detector import Detector
from damagenet.claims.model import PACKAGED
from damagenet.claims.scores import made_by
from damagenet.claims.scoring import Job, Pending, Record, in_order, plan, score, utf8

BATCH = 16
"""Photos in one task: seconds of work, so that handing it out costs nothing."""

_open: dict[tuple[object, ...], Detector] = {}
_opening = Lock()


def predict_on(
    address: str,
    paths: Iterable[str | Path],
    detector: Detector,
    heatmaps: str | Path | None = None,
    threads: int = 1,
    taken: Iterable[str] = (),
) -> Iterator[Record]:
    """Score files as `predict` does, with the same records in the same order.

    Workers see the photos, the model file and the folder for heatmaps under the same paths. A
    task whose worker dies runs again on another; a photo that kills every worker it meets gets a
    record with `error`.

    Args:
        address: Of the scheduler, as in `tcp://10.0.0.1:8786`.
        paths: Picture files, relative to the current folder or absolute.
        detector: The detector that the workers must have, too.
        heatmaps: As for `predict`.
        threads: Threads of a worker for one photo.
        taken: As for `predict`.

    Raises:
        BadInput: Dask is not installed, nobody answers, or workers differ in model or version.
    """
    with cluster.connect(address) as client:
        model = None if detector.path == PACKAGED else detector.path.resolve()
        call = partial(
            score_batch, model=model, threads=threads, made=made_by(detector), folder=Path.cwd()
        )
        jobs = plan(paths, heatmaps, taken)
        batches = iter(lambda: list(islice(jobs, BATCH)), [])
        submit = partial(client.submit, call, pure=False)  # a failed task must run again
        for batch, future in in_order(submit, batches, cluster.AHEAD):
            try:
                yield from future.result()
            except cluster.killed():
                yield from _one_by_one(submit, batch, cluster.killed())


def score_batch(
    batch: list[Job], model: Path | None, threads: int, made: Record, folder: Path
) -> list[Record]:
    """On a worker: the records of some photos, by a detector that is opened once per process.

    Raises:
        BadInput: The worker has another model or another version of damagenet.
    """
    key = (model, threads, made["recheck"], made["model_sha256"])
    with _opening:
        if key not in _open:
            _open[key] = Detector(model, threads, made["recheck"])
        detector = _open[key]
    mine = made_by(detector)
    if mine != made:
        wrong = [name for name in made if made[name] != mine.get(name)]
        raise BadInput(f"{detector.path}: a worker has another {', '.join(wrong)} than asked for")
    return [score(job, detector, folder) for job in batch]


def _one_by_one(
    submit: Callable[[list[Job]], Pending], batch: list[Job], killed: type[Exception]
) -> Iterator[Record]:
    """The records of a batch that killed its workers, so that only the guilty photo fails."""
    for job in batch:
        try:
            yield from submit([job]).result()
        except killed:
            text = f"{job[0]}: scoring it ended every worker that tried (out of memory?)"
            yield {"path": utf8(job[0]), "error": utf8(text)}

"""A Dask cluster to work on: reached, or refused with the remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from damagenet import BadInput

if TYPE_CHECKING:
    from distributed import Client, Future

WAIT = 60
"""Seconds until the scheduler and the first worker must have answered."""
AHEAD = 1000
"""Tasks at the scheduler: enough for some hundred workers, little for its memory."""

Item = TypeVar("Item")


@contextmanager
def connect(address: str) -> Iterator[Client]:
    """A client of the scheduler at an address such as `tcp://10.0.0.1:8786`, closed afterwards.

    Raises:
        BadInput: Dask is not installed, no scheduler or worker answers, or a worker lacks a module
            that its work needs.
    """
    try:
        from distributed import Client
    except ImportError:
        raise BadInput("--dask needs Dask: pip install 'damagenet[dask]'") from None
    try:
        client = Client(address, timeout=WAIT)
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{address}: no Dask scheduler answers ({error}); start one with `dask scheduler`"
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=WAIT)
        except TimeoutError:
            raise BadInput(
                f"{address}: no worker within {WAIT} s; start one with `dask worker {address}`"
            ) from None
        try:
            yield client
        except ModuleNotFoundError as error:
            raise BadInput(
                f"{address}: a worker lacks {error.name}; install damagenet there"
            ) from None


def finished(
    client: Client, call: Callable[[Item], object], items: Iterable[Item]
) -> Iterator[tuple[Item, Future[object]]]:
    """Each item with its future, as soon as `call(item)` is done on some worker.

    A task whose worker dies runs again on another. Not joblib's backend for Dask: that one asks for
    the number of workers once, computes here if it is one, and leaves later ones idle.
    """
    from distributed import as_completed

    items, waiting = iter(items), {}

    def submitted(count: int) -> list[Future[object]]:
        futures = []
        for item in islice(items, count):
            future = client.submit(call, item, pure=False)  # a failed task must run again
            waiting[future.key] = item
            futures.append(future)
        return futures

    running = as_completed(submitted(AHEAD))
    for future in running:
        yield waiting.pop(future.key), future
        running.update(submitted(1))


def killed() -> type[Exception]:
    """What a task raises that ended every worker it met."""
    from distributed import KilledWorker

    return KilledWorker

"""A Dask cluster to work on: reached, or refused with the remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from damagenet import BadInput

if TYPE_CHECKING:
    from distributed import Client

WAIT = 60
"""Seconds until the scheduler and the first worker must have answered."""


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

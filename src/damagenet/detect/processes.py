"""Processes of one training: those that share its steps, those that load, and who may stop it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import cv2
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.data import DataLoader

from damagenet import BadInput
from damagenet.config import Train
from damagenet.detect import model


def join(settings: Train) -> tuple[torch.device, int, int]:
    """Where this process computes, its rank, and how many there are; joins those of `torchrun`.

    Raises:
        BadInput: No GPU where one is asked for, or pairs that cannot be shared evenly.
    """
    device = model.device_for(settings.device)
    if not dist.is_torchelastic_launched():
        return device, 0, 1
    rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if settings.pairs % (settings.accumulate * ranks):
        raise BadInput(
            f"train.pairs={settings.pairs} cannot be shared by {ranks} processes in "
            f"{settings.accumulate} parts each; take a multiple of {ranks * settings.accumulate}"
        )
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    if ranks > 1:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return device, rank, ranks


def precision(settings: Train, device: torch.device) -> torch.dtype:
    """What convolutions and products of training compute in; weights stay float32.

    `auto` is float32 on a CPU, bfloat16 on a GPU that computes in it, else float16.
    """
    if settings.precision != "auto":
        return torch.bfloat16 if settings.precision == "bfloat16" else torch.float32
    if device.type != "cuda":
        return torch.float32
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else torch.float16


def shares(settings: Train, done: int, rank: int, ranks: int) -> list[range]:
    """Items of each part that one process learns from, after `done` steps, in order.

    Item `i` belongs to step `i // pairs` whatever the number of parts and processes.
    """
    size = settings.pairs // (settings.accumulate * ranks)
    first, last = (step * settings.pairs for step in (done, settings.steps))
    return [range(i, i + size) for i in range(first + rank * size, last, size * ranks)]


def average(tensors: Sequence[Tensor], ranks: int) -> None:
    """Replace tensors by their means over all processes, in one message.

    Raises:
        BadInput: Another process is gone.
    """
    if ranks == 1:
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    try:
        dist.all_reduce(flat)
    except RuntimeError as error:
        raise BadInput(
            "another process of this training failed, see its message; "
            "run the same command again to go on"
        ) from error
    means = torch.split(flat / ranks, [tensor.numel() for tensor in tensors])
    for tensor, mean in zip(tensors, means, strict=True):
        tensor.copy_(mean.view_as(tensor))


def running_statistics(network: nn.Module) -> list[Tensor]:
    """Running means and variances of batch normalisation."""
    return [b for name, b in network.named_buffers() if name.endswith(("_mean", "_var"))]


@contextmanager
def signals() -> Iterator[list[float]]:
    """When SIGINT or SIGTERM arrived; the loop stops between two steps, a second one at once."""
    asked: list[float] = []

    def note(number: int, frame: object) -> None:
        # torchrun passes on what the terminal sent to everybody: repeats within a second are one.
        if asked and time.monotonic() - asked[0] > 1:
            raise KeyboardInterrupt
        asked.append(time.monotonic())

    if threading.current_thread() is not threading.main_thread():
        yield asked  # Python leaves signals to the main thread
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def batches_of(loader: DataLoader[dict[str, Tensor]]) -> Iterator[dict[str, Tensor]]:
    """Start a loader's processes, and go through its batches.

    OpenCV's threads end before and come back after: a process that is forked beside them waits for
    them forever as soon as it wants another number of its own.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        return iter(loader)
    finally:
        cv2.setNumThreads(threads)


def loader_process(_: int) -> None:
    """One core each; what the terminal sends is the training process's business."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

"""State of an unfinished training run: one file, written whole or not at all, without pickles."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor, nn
from torch.optim import Optimizer

from damagenet import BadInput, images
from damagenet.config import Config, digest, to_dict

NAME = "last.safetensors"


@dataclass
class Progress:
    """Where a run stands: everything the next step depends on that is not a tensor.

    Batches and random draws of a step are functions of (seed, step), so no generator is kept.
    """

    identity: str  # hash of config and dataset
    step: int = 0  # the last one that is done
    best: float = -1.0  # validation AUC
    stale: int = 0  # evaluations since then
    rows: list[dict[str, Any]] = field(default_factory=list)  # train.csv
    losses: list[float] = field(default_factory=list)  # of each step since the last row
    waited: float = 0.0  # seconds for data since the last row
    worked: float = 0.0  # seconds of whole steps since the last row
    scaler: dict[str, Any] = field(default_factory=dict)  # float16 only
    finished: bool = False


def identity(config: Config, *datasets: str) -> str:
    """Hash of all that a run's weights depend on, with the hashes of its datasets' manifests."""
    same = to_dict(replace(config.train, workers=0, save_every=1))
    del same["tensorboard"]  # which runs made before did not know
    return digest(same, config.seed, *datasets)


def read(run: Path, identity: str) -> Progress:
    """The progress of a run; that of a new one where nothing was saved.

    Raises:
        BadInput: The file is damaged, or belongs to another config or dataset.
    """
    path = run / NAME
    if not path.is_file():
        return Progress(identity)
    try:
        with safetensors.safe_open(path, "pt") as handle:
            progress = Progress(**json.loads(handle.metadata()["state"]))
    except (safetensors.SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path}: damaged ({error}); delete {run} and train again") from None
    if progress.identity != identity:
        raise BadInput(
            f"{run}: holds a run of another config or dataset; "
            "delete it, or train under another name (name=NAME)"
        )
    return progress


def write(
    run: Path, network: nn.Module, average: nn.Module, optimizer: Optimizer, progress: Progress
) -> None:
    """Save all that an exact continuation needs to `last.safetensors`."""
    tensors = {f"network.{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.state_dict().items()}
    for index, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in slots.items()}
    tensors = {key: value.detach().contiguous().cpu().clone() for key, value in tensors.items()}
    data = safetensors.torch.save(tensors, {"state": json.dumps(asdict(progress))})
    images.write_bytes(run / NAME, data)


def restore(run: Path, network: nn.Module, average: nn.Module, optimizer: Optimizer) -> None:
    """Put the saved tensors back, in place."""
    tensors = safetensors.torch.load_file(run / NAME)
    for name, module in (("network", network), ("average", average)):
        start = f"{name}."
        module.load_state_dict(
            {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
        )
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, index, slot = key.split(".")
            state.setdefault(int(index), {})[slot] = value
    optimizer.load_state_dict(
        {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
    )

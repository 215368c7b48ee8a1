"""TensorBoard event files that mirror train.csv; nothing reads them back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from damagenet import BadInput

FOLDER = "tensorboard"
Rows = Sequence[Mapping[str, Any]]


def events(run: Path, rows: Rows) -> Callable[[Rows], None]:
    """Begin an event file in a run folder; what is returned adds further rows to it.

    Args:
        run: The run folder; event files lie in its folder `tensorboard`.
        rows: Rows of train.csv so far; whatever older event files hold is void, so that a run
            that went on has every row once.

    Raises:
        BadInput: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise BadInput(
            "train.tensorboard needs TensorBoard: pip install 'damagenet[tensorboard]'"
        ) from None
    writer = SummaryWriter(run / FOLDER, purge_step=0)

    def add(new: Rows) -> None:
        for row in new:
            for name, value in row.items():
                if name != "step":
                    writer.add_scalar(f"train/{name}", value, row["step"])
        writer.flush()

    add(rows)
    return add

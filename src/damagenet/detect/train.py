"""Training: one visible loop. Order of a step: learn, average, log, evaluate, save, stop?

A run folder holds config.yaml, environment.json, train.csv, last.safetensors (to resume from) and
candidate.safetensors (best so far), which becomes best.safetensors when training is done.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from damagenet import BadInput, images, runs
from damagenet.config import Config, Train, digest, dump
from damagenet.detect import losses, metrics, model
from damagenet.detect.loader import Twins
from damagenet.synth import dataset


def train(config: Config, folder: Path | None = None, resume: Path | None = None) -> Path:
    """Train a detector and return its run folder.

    An interrupted run of the same config goes on where it stopped; a finished one is left alone.

    Raises:
        BadInput: No dataset, a run of another config in the way, no GPU where one is asked for,
            or a loss that is not finite (the batch is saved beside the run).
    """
    folder = folder or config.dataset_dir
    card = dataset.read_card(folder)
    manifest = dataset.read_manifest(folder)
    run = resume or config.run_dir
    if resume and not (resume / "last.safetensors").is_file():
        raise BadInput(f"{resume}: nothing to resume there; name a folder below runs/")
    identity = digest(config.train, config.seed, card["manifest_sha256"])
    log = run / "train.csv"
    state = _resume(run, identity)
    if state and state["finished"]:
        tqdm.write(f"{run}: already trained")
        return publish(run)

    settings = config.train
    device = model.device_for(settings.device)
    code = runs.commit()  # that of the start: the checkout may move on while this runs
    torch.set_num_threads(settings.threads)
    torch.manual_seed(config.seed)
    torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
    network = model.Network(settings).to(device).to(memory_format=torch.channels_last)
    average = copy.deepcopy(network).eval()
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay
    )
    scaler = torch.amp.GradScaler(device.type, enabled=_half(device) == torch.float16)
    rows: list[dict[str, Any]] = []
    start, best, stale = 0, -math.inf, 0
    if state:
        start, best, stale, rows = (state[k] for k in ("step", "best", "stale", "rows"))
        _restore(run, network, average, optimizer)
        tqdm.write(f"{run}: resuming at step {start} of {settings.steps}")
    else:
        images.write_bytes(run / "config.yaml", dump(config).encode())
        facts = runs.environment(
            seed=config.seed, threads=settings.threads, device=str(device),
            dataset=card["manifest_sha256"],
        )  # fmt: skip
        runs.write_json(run / "environment.json", facts)

    manifest = manifest[manifest.family != settings.holdout_family]
    train_rows = manifest[manifest.split == "train"]
    val_rows = manifest[manifest.split == "val"].to_dict("records")
    items = Twins(folder, train_rows, settings, config.seed, settings.steps * settings.pairs)
    batches = torch.utils.data.DataLoader(
        torch.utils.data.Subset(items, range(start * settings.pairs, len(items))),
        batch_size=settings.pairs,
        num_workers=settings.workers,
        persistent_workers=settings.workers > 0,
    )
    network.train()
    recent: list[float] = []
    bar = tqdm(batches, total=settings.steps, initial=start, desc="train", unit="step")
    for step, batch in enumerate(bar, start=start + 1):
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * schedule(step, settings.steps)
        loss = _loss(network, batch, settings, device)
        if not torch.isfinite(loss):
            bad = run / f"bad-batch-{step}.safetensors"
            safetensors.torch.save_file({k: v.contiguous() for k, v in batch.items()}, bad)
            raise BadInput(f"{bad}: the loss is {loss.item()} on this batch; lower train.lr")
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        scaler.step(optimizer)
        scaler.update()
        update_average(average, network, min(settings.ema, step / (step + 10)))
        recent.append(loss.item())
        auc = f"{best:.3f}" if rows else "not yet"
        bar.set_postfix(loss=f"{np.mean(recent[-50:]):.3f}", val_auc=auc, refresh=False)

        if step % settings.eval_every == 0 or step == settings.steps:
            figures = validate(average, folder, val_rows, device)
            stale = 0 if figures["auc"] > best else stale + 1
            rows.append({"step": step, "loss": round(float(np.mean(recent)), 5), **figures})
            recent = []
            if stale == 0:
                best = figures["auc"]
                model.save(
                    run / "candidate.safetensors", average, step=step, val=figures,
                    seed=config.seed, dataset=card["manifest_sha256"], commit=code,
                )  # fmt: skip
            images.write_bytes(log, pd.DataFrame(rows).to_csv(index=False).encode())
            finished = stale >= settings.patience or step == settings.steps
            facts = {
                "identity": identity, "step": step, "best": best, "stale": stale, "rows": rows,
                "finished": finished,
            }  # fmt: skip
            _save_state(run, network, average, optimizer, facts)
            tqdm.write(f"step {step}: loss {rows[-1]['loss']:.3f}, val AUC {figures['auc']:.3f}")
            if finished:
                break
    bar.close()
    return publish(run)


def publish(run: Path) -> Path:
    """Give the best weights their final name, which says that training is done."""
    candidate = run / "candidate.safetensors"
    if candidate.is_file():
        candidate.replace(run / "best.safetensors")
    return run


def schedule(step: int, steps: int) -> float:
    """Share of the full learning rate: linear warm-up over 5 %, then a cosine to zero."""
    warm = max(1, steps // 20)
    if step <= warm:
        return step / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _half(device: torch.device) -> torch.dtype | None:
    """bfloat16 where the GPU has it, else float16; full precision on a CPU."""
    if device.type != "cuda":
        return None
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def _loss(
    network: nn.Module, batch: dict[str, Tensor], settings: Train, device: torch.device
) -> Tensor:
    image = batch["image"].flatten(0, 1).to(device)
    mask = batch["mask"].flatten(0, 1).to(device)
    label = batch["label"].flatten().to(device)
    half = _half(device)
    with torch.autocast(device.type, half) if half else nullcontext():
        logit, heat = network(image)
    return losses.detection(logit, heat, mask, label, settings)


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Exponential moving average of weights; running statistics are copied."""
    for slow, fast in zip(average.parameters(), network.parameters(), strict=True):
        slow.lerp_(fast, 1 - decay)
    for kept, running in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(running)


@torch.no_grad()
def infer(network: nn.Module, image: np.ndarray, device: torch.device) -> tuple[float, np.ndarray]:
    """Logit and heatmap float32 `[h, w]` in [0, 1] of one whole picture."""
    half = _half(device)
    with torch.autocast(device.type, half) if half else nullcontext():
        logit, heat = network(torch.from_numpy(image)[None].to(device))
    return float(logit[0]), heat[0].float().sigmoid().cpu().numpy()


def validate(
    network: nn.Module, folder: Path, rows: Sequence[Mapping[Any, Any]], device: torch.device
) -> dict[str, float]:
    """Image AUC, true-positive rate at 5 % false alarms and pixel F1 on whole pictures."""
    logits, counts = [], []
    for row in tqdm(rows, desc="validate", unit="picture", leave=False):
        image, mask = dataset.read_pair(folder, row)
        logit, heat = infer(network, image, device)
        logits.append(logit)
        counts.append(metrics.pixel_counts(heat >= 0.5, mask))
    labels = np.array([row["label"] for row in rows])
    scores = np.array(logits)
    return {
        "auc": round(metrics.auc(labels, scores), 5),
        "tpr_at_5": round(metrics.tpr_at(labels, scores, 0.05), 5),
        "pixel_f1": round(float(np.nanmean(metrics.f1(*np.array(counts).T))), 5),
    }


def _save_state(
    run: Path,
    network: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
    facts: dict[str, Any],
) -> None:
    tensors = {f"network.{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.state_dict().items()}
    for index, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in slots.items()}
    tensors = {key: value.detach().contiguous().cpu().clone() for key, value in tensors.items()}
    data = safetensors.torch.save(tensors, {"state": json.dumps(facts)})
    images.write_bytes(run / "last.safetensors", data)


def _resume(run: Path, identity: str) -> dict[str, Any] | None:
    path = run / "last.safetensors"
    if not path.is_file():
        return None
    try:
        with safetensors.safe_open(path, "pt") as handle:
            state: dict[str, Any] = json.loads(handle.metadata()["state"])
    except (safetensors.SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path}: damaged ({error}); delete {run} and train again") from None
    if state["identity"] != identity:
        raise BadInput(
            f"{run}: holds a run of another config or dataset; "
            "delete it, or train under another name (name=NAME)"
        )
    return state


def _restore(
    run: Path, network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    tensors = safetensors.torch.load_file(run / "last.safetensors")
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

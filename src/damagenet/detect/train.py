"""Training: one visible loop. Order of a step: learn, average, log, evaluate, save, stop?

A run folder holds config.yaml, environment.json, train.csv, last.safetensors (to resume from) and
candidate.safetensors (best so far), which becomes best.safetensors when training is done. With
`train.tensorboard`, event files in tensorboard/ mirror train.csv.

Under `torchrun --nproc_per_node=N -m damagenet train CONFIG` N processes share each step's pairs
and average their gradients; the first one writes. Only batch normalisation sees how a step was cut:
parts of `train.accumulate` and processes on CPUs normalise by their own share (running statistics
are averaged over processes), processes on GPUs by that of all processes.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors.torch
import torch
import torch.distributed as dist
from timm.layers.norm_act import convert_sync_batchnorm
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from damagenet import BadInput, images, runs
from damagenet.config import Config, Train, dump
from damagenet.detect import checkpoint, lattice, losses, metrics, mirror, model, pairs, processes
from damagenet.detect.loader import Twins
from damagenet.synth import dataset

Batch = dict[str, Tensor]


def train(config: Config, folder: Path | None = None, resume: Path | None = None) -> Path:
    """Train a detector and return its run folder.

    An interrupted run of the same config goes on where it stopped, to the same weights bit for bit
    on a CPU; a finished one is left alone. SIGINT and SIGTERM wait for the end of the step.

    Raises:
        BadInput: No dataset, a run of another config in the way, no GPU where one is asked for,
            pairs that the processes cannot share evenly, another process that failed, or a loss
            that is not finite (the batch is saved beside the run).
        KeyboardInterrupt: Stopped by a signal, state saved.
    """
    folder = folder or config.dataset_dir
    card = dataset.read_card(folder)
    run = resume or config.run_dir
    if resume and not (resume / checkpoint.NAME).is_file():
        raise BadInput(f"{resume}: nothing to resume there; name a folder below runs/")
    settings = config.train
    hashes = [card["manifest_sha256"]]
    hashes += [lattice.check(Path(settings.lattice), folder)] if settings.lattice else []
    device, rank, ranks = processes.join(settings)
    now = checkpoint.read(run, checkpoint.identity(config, *hashes))
    if now.finished:
        return finish(config, run, now, rank, ranks)

    code = runs.commit()  # that of the start: the checkout may move on while this runs
    torch.set_num_threads(settings.threads)
    torch.manual_seed(config.seed)
    torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
    dtype = processes.precision(settings, device)
    kind = str(dtype).removeprefix("torch.")
    network = model.Network(settings)
    if ranks > 1 and device.type == "cuda":
        network = convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    network = network.to(device).to(memory_format=torch.channels_last)
    average = copy.deepcopy(network).eval()
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay
    )
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
    if now.step:
        checkpoint.restore(run, network, average, optimizer)
        scaler.load_state_dict(now.scaler)
    if now.step and rank == 0:
        facts = runs.read_json(run / "environment.json", f"delete {run} and train again")
        resumed = {"step": now.step, "at": runs.now(), "commit": code}
        facts["resumed"] = [*facts.get("resumed", []), resumed]
        runs.write_json(run / "environment.json", facts)
    elif rank == 0:
        images.write_bytes(run / "config.yaml", dump(config).encode())
        facts = runs.environment(
            seed=config.seed, threads=settings.threads, device=str(device), processes=ranks,
            precision=kind, dataset=card["manifest_sha256"], began=runs.now(),
        )  # fmt: skip
        runs.write_json(run / "environment.json", facts)

    val_rows = pairs.validation(folder, settings.holdout_family)
    pieces = pairs.kept(folder, pairs.COLUMNS, "train", settings.holdout_family)
    items = Twins(folder, pieces, settings, config.seed, settings.steps * settings.pairs)
    batches = processes.batches_of(
        DataLoader(
            items,
            batch_sampler=processes.shares(settings, now.step, rank, ranks),  # type: ignore[arg-type]
            num_workers=settings.workers,
            prefetch_factor=4 if settings.workers else None,
            pin_memory=device.type == "cuda",
            worker_init_fn=processes.loader_process,
        )
    )
    events = mirror.events(run, now.rows) if settings.tensorboard and rank == 0 else None
    if rank == 0:
        weights = sum(parameter.numel() for parameter in network.parameters())
        tqdm.write(
            f"{run}: {ranks} x {device.type}, {kind}, {weights:,} parameters, steps {now.step + 1} "
            f"to {settings.steps} of {settings.pairs} pairs, {len(items.pairs):,} edits with twins"
        )
    network.train()
    bar = tqdm(total=settings.steps, initial=now.step, desc="train", unit="step", disable=rank > 0)
    with processes.signals() as asked:
        while not now.finished:
            began = time.perf_counter()
            parts = [next(batches) for _ in range(settings.accumulate)]
            waited = time.perf_counter() - began
            now.step += 1
            # Dropout, too, is a function of the step: nothing to save, nothing to restore.
            torch.manual_seed(int(runs.rng_for(config.seed, now.step, rank).integers(1 << 62)))
            for group in optimizer.param_groups:
                group["lr"] = settings.lr * schedule(now.step, settings.steps)
            optimizer.zero_grad(set_to_none=True)
            doctored = sum((part["label"].sum() for part in parts), torch.zeros(())).to(device)
            processes.average([doctored], ranks)
            doctored = doctored.clamp(min=1 / ranks) / settings.accumulate
            own = torch.zeros((), device=device)
            for part in parts:
                loss = _loss(network, part, settings, device, dtype, doctored) / settings.accumulate
                scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
                own += loss.detach()
            told = torch.stack([own, own.new_tensor(len(asked)), own.new_tensor(waited)])
            shared = [p.grad for p in network.parameters() if p.grad is not None]
            processes.average([*shared, *processes.running_statistics(network), told], ranks)
            mean_loss, stop, waited = told.tolist()
            if not math.isfinite(mean_loss):
                raise _not_finite(run, now.step, parts, float(own), rank)
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            scaler.step(optimizer)
            scaler.update()
            update_average(average, network, min(settings.ema, now.step / (now.step + 10)))
            now.losses.append(mean_loss)
            now.waited += waited
            now.worked += time.perf_counter() - began
            bar.set_postfix(
                loss=f"{np.mean(now.losses[-50:]):.3f}", wait=f"{now.waited / now.worked:.0%}",
                val_auc=f"{now.best:.3f}" if now.rows else "not yet", refresh=False,
            )  # fmt: skip
            bar.update()

            due = now.step == settings.steps or now.step % settings.eval_every == 0
            if due:
                figures = validate(average, folder, val_rows, device, rank, ranks)
                now.stale = 0 if figures["auc"] > now.best else now.stale + 1
                now.finished = now.step == settings.steps or now.stale >= settings.patience
                speed = len(now.losses) * settings.pairs / now.worked
                now.rows.append(
                    {"step": now.step, "loss": round(float(np.mean(now.losses)), 5), **figures,
                     "wait": round(now.waited / now.worked, 4), "pairs_per_s": round(speed, 2)}
                )  # fmt: skip
                now.losses, now.waited, now.worked = [], 0.0, 0.0
                if now.stale == 0:
                    now.best = figures["auc"]
                if now.stale == 0 and rank == 0:
                    model.save(
                        run / "candidate.safetensors", average, step=now.step, val=figures,
                        seed=config.seed, dataset=card["manifest_sha256"], commit=code,
                    )  # fmt: skip
                if rank == 0:
                    table = pd.DataFrame(now.rows).to_csv(index=False)
                    images.write_bytes(run / "train.csv", table.encode())
                if events:
                    events(now.rows[-1:])
            if rank == 0 and (due or stop or now.step % settings.save_every == 0):
                now.scaler = scaler.state_dict()
                checkpoint.write(run, network, average, optimizer, now)
            if stop and not now.finished:
                raise KeyboardInterrupt
    bar.close()
    return finish(config, run, now, rank, ranks)


def finish(config: Config, run: Path, now: checkpoint.Progress, rank: int, ranks: int) -> Path:
    """Fit the lattice, give the best weights their final name, which says that all is done."""
    candidate, best = run / "candidate.safetensors", run / "best.safetensors"
    if rank == 0:
        if candidate.is_file():
            if config.train.lattice:
                network, facts = model.load(candidate)
                place = Path(config.train.lattice)
                lattice.fit(network.periodic, place, config.seed, config.train.holdout_family)
                facts["lattice_dataset"] = dataset.read_card(place)["manifest_sha256"]
                model.save(candidate, network, **facts)
            candidate.replace(best)
        elif not best.is_file():
            raise BadInput(f"{best}: gone, but the run is finished; delete {run} and train again")
        tqdm.write(f"{best}: validation AUC {now.best:.3f}; next, `damagenet evaluate {run}`")
    if ranks > 1:
        dist.destroy_process_group()
    return run


def _not_finite(run: Path, step: int, parts: list[Batch], loss: float, rank: int) -> BadInput:
    """Keep the batch that did it; what to raise."""
    if math.isfinite(loss):
        return BadInput(f"{run}: the loss of another process is not finite; see its message")
    bad = run / f"bad-batch-{step}{f'-of-{rank}' if rank else ''}.safetensors"
    batch = {name: torch.cat([part[name] for part in parts]).contiguous() for name in parts[0]}
    images.write_bytes(bad, safetensors.torch.save(batch))
    return BadInput(f"{bad}: the loss is {loss} on this batch; lower train.lr")


def schedule(step: int, steps: int) -> float:
    """Share of the full learning rate: linear warm-up over 5 %, then a cosine to zero."""
    warm = max(1, steps // 20)
    if step <= warm:
        return step / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _loss(
    network: nn.Module,
    batch: Batch,
    settings: Train,
    device: torch.device,
    dtype: torch.dtype,
    doctored: Tensor,
) -> Tensor:
    image = batch["image"].flatten(0, 1).to(device, non_blocking=True)
    mask = batch["mask"].flatten(0, 1).to(device, non_blocking=True)
    label = batch["label"].flatten().to(device, non_blocking=True)
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        logit, heat = network(image)
    return losses.detection(logit, heat, mask, label, settings, doctored)


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Exponential moving average of weights; running statistics are copied."""
    for slow, fast in zip(average.parameters(), network.parameters(), strict=True):
        slow.lerp_(fast, 1 - decay)
    for kept, running in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(running)


@torch.no_grad()
def infer(
    network: nn.Module, image: np.ndarray, device: torch.device, heat_offset: float = 0.0
) -> tuple[float, np.ndarray]:
    """Logit and heatmap float32 `[h, w]` in [0, 1] of one whole picture, as the ONNX file has them.

    Always in full precision: thresholds must hold for what is shipped.
    """
    logit, heat = network(torch.from_numpy(image)[None].to(device))
    return float(logit[0]), (heat[0].float() - heat_offset).sigmoid().cpu().numpy()


def validate(
    network: nn.Module,
    folder: Path,
    rows: Sequence[Mapping[Any, Any]],
    device: torch.device,
    rank: int = 0,
    ranks: int = 1,
) -> dict[str, float]:
    """Image AUC, true-positive rate at 5 % false alarms and pixel F1 on whole pictures.

    Processes share the pictures; all of them return the same figures.
    """
    found = []
    mine = range(rank, len(rows), ranks)
    for index in tqdm(mine, desc="validate", unit="picture", leave=False, disable=rank > 0):
        image, mask = dataset.read_pair(folder, rows[index])
        logit, heat = infer(network, image, device)
        found.append((index, logit, metrics.pixel_counts(heat >= 0.5, mask)))
    if ranks > 1:
        shared: list[Any] = [None] * ranks
        dist.all_gather_object(shared, found)
        found = sorted(one for part in shared for one in part)
    labels = np.array([row["label"] for row in rows])
    scores = np.array([logit for _, logit, _ in found])
    counts = np.array([count for *_, count in found])
    return {
        "auc": round(metrics.auc(labels, scores), 5),
        "tpr_at_5": round(metrics.tpr_at(labels, scores, 0.05), 5),
        "pixel_f1": round(float(np.nanmean(metrics.f1(*counts.T))), 5),
    }

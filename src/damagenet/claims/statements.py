"""What one piece of metadata says about a picture's origin: AI labels, settings, names.

Formats: GB 45438-2025, appendix E, and TC260-PG-20259A (AIGC); IPTC's NewsCodes
(DigitalSourceType); the text that picture generators leave behind.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

STANDARDS = (
    "TC260 AIGC", "C2PA", "IPTC DigitalSourceType", "generator text", "software", "camera",
    "preview", "visible mark", "SynthID",
)  # fmt: skip
LONGEST = 500
"""Characters of a metadata value that are kept."""

CERTAINTY = {"1": "is", "2": "may be", "3": "is suspected to be"}
SOURCE_TYPES: dict[str, tuple[bool | None, str]] = {
    "trainedalgorithmicmedia": (True, "made by generative AI"),
    "compositewithtrainedalgorithmicmedia": (True, "edited with generative AI"),
    "compositedwithtrainedalgorithmicmedia": (True, "edited with generative AI"),  # seen misspelt
    "compositesynthetic": (True, "a composite with synthetic parts"),
    "algorithmicmedia": (None, "made by an algorithm"),
    "algorithmicallyenhanced": (None, "enhanced by an algorithm"),
    "datadrivenmedia": (None, "drawn from data"),
    "digitalart": (None, "drawn by hand"),
    "digitalcreation": (None, "drawn by hand"),
    "humanedits": (None, "edited by hand"),
    "minorhumanedits": (None, "slightly edited by hand"),
    "composite": (None, "a composite"),
    "compositecapture": (None, "a composite of photos"),
    "screencapture": (None, "a screenshot"),
    "virtualrecording": (None, "a recording of a virtual scene"),
    "digitalcapture": (False, "taken with a camera"),
    "computationalcapture": (False, "taken with a camera from several frames"),
    "negativefilm": (False, "scanned from film"),
    "positivefilm": (False, "scanned from film"),
    "print": (False, "scanned from a print"),
}
GENERATOR_KEYS = ("parameters", "prompt", "workflow", "invokeai_metadata", "sd-metadata")
GENERATORS = (
    r"Midjourney|DALL[·-]?E|Stable Diffusion|ComfyUI|InvokeAI|Fooocus|NovelAI|DreamStudio|"
    r"(?:Adobe )?Firefly|Google AI|Google Gemini|OpenAI|ChatGPT|GPT-?4o|Ideogram|Leonardo\.Ai|"
    r"Recraft|FLUX\.[12]|Black Forest Labs|豆包|Doubao|Seedream|即梦|Jimeng|Dreamina|通义万相|"
    r"Tongyi Wanxiang|文心一格|混元|Hunyuan|可灵|Kling"
)
"""Programs and services whose only purpose is to make or edit pictures by AI."""
EDITORS = (
    r"(?:Adobe )?Photoshop|Lightroom|Meitu|美图秀秀|Picsart|Snapseed|Facetune|Remini|YouCam|"
    r"FaceApp|Canva|Photoroom|Pixlr|Fotor|Luminar|Topaz|醒图"
)
"""Editors that offer AI among other tools; honest people use them, too."""


@dataclass(frozen=True)
class Label:
    """One statement about a picture's origin, found in its metadata.

    Attributes:
        standard: One of `STANDARDS`.
        carrier: Where it lay: 'XMP', 'PNG text', 'EXIF', 'EXIF UserComment', 'EXIF preview',
            'JPEG comment', a place of C2PA ('JPEG APP11', 'PNG caBX', 'WebP C2PA', 'HEIF C2PA',
            'TIFF C2PA'), or 'pixels'.
        status: 'found-valid'; 'found-conflicting', valid but contradicted by another label;
            'found-malformed'; 'found-invalid', a signature that does not fit; 'shell-empty';
            'hint', said where it must not decide alone; 'present-unverified', there, but not
            checked; 'not-checked' and 'not-checkable' for what was not looked for.
        ai: True if it says that AI made or edited the picture, False if it says that a camera
            did, None if it settles neither.
        finding: One plain sentence or two.
        value: What was read, texts cut to 500 characters.
    """

    standard: str
    carrier: str
    status: str
    ai: bool | None
    finding: str
    value: dict[str, str]


def tc260(text: str, carrier: str) -> Label:
    """A TC260 AIGC label from its JSON, bare or wrapped in `{"AIGC": ...}`."""
    fields = json_object(text)
    inner = fields.get("AIGC", fields) if fields is not None else None
    if isinstance(inner, str):
        inner = json_object(inner)
    if not isinstance(inner, dict):
        finding = "The TC260 AIGC label cannot be parsed."
        value = {"text": cut(text)}
        return Label("TC260 AIGC", carrier, "found-malformed", None, finding, value)
    return tc260_fields(inner, carrier)


def tc260_fields(fields: Mapping[str, Any], carrier: str) -> Label:
    """A TC260 AIGC label from its fields; `ContentProducer` and `ProduceID` are required."""
    value = {cut(str(k)): cut(plain(v)) for k, v in list(fields.items())[:20]}
    code = value.get("Label", "").strip()
    filled = [k for k in ("ContentProducer", "ProduceID") if value.get(k, "").strip()]
    if not any(v.strip() for v in value.values()):
        status, finding = "shell-empty", "The TC260 AIGC label is there, but its fields are empty."
    elif code not in CERTAINTY:
        status, finding = "found-malformed", "The TC260 AIGC label has no valid Label code."
    else:
        status = "found-valid" if len(filled) == 2 else "found-malformed"
        finding = f"The TC260 AIGC label says the picture {CERTAINTY[code]} AI-generated or edited."
        if status == "found-malformed":
            finding += " Required fields are missing."
    return Label("TC260 AIGC", carrier, status, True if code == "1" else None, finding, value)


def source_type(uri: str, carrier: str) -> Label:
    """IPTC's DigitalSourceType from its URI, of which only the last segment counts."""
    name = re.split(r"[/#:]", uri.strip().rstrip("/"))[-1]
    value = {"DigitalSourceType": cut(uri)}
    standard = "IPTC DigitalSourceType"
    if not name:
        finding = "The IPTC source type is there, but empty."
        return Label(standard, carrier, "shell-empty", None, finding, value)
    if name.lower() not in SOURCE_TYPES:
        finding = "The IPTC source type is not one of the published values."
        return Label(standard, carrier, "found-malformed", None, finding, value)
    ai, meaning = SOURCE_TYPES[name.lower()]
    finding = f"The IPTC source type says the picture was {meaning}."
    return Label(standard, carrier, "found-valid", ai, finding, value)


def generator(key: str, text: str, carrier: str) -> Label:
    """Settings that picture generators leave behind: web UIs as text, the others as JSON."""
    if key == "parameters":
        maker, good = "a Stable Diffusion web UI", re.search(r"\bSteps: \d+", text) is not None
    else:
        maker = {"prompt": "ComfyUI", "workflow": "ComfyUI", "Comment": "NovelAI"}.get(
            key, "InvokeAI"
        )
        good = json_object(text) is not None
    status = "found-valid" if good else "found-malformed"
    finding = f"The file carries settings as {maker} writes them."
    if not good:
        finding = f"The text field '{key}' is one that {maker} writes, but its content is not."
    return Label("generator text", carrier, status, good or None, finding, {key: cut(text)})


def program(field: str, text: str, carrier: str) -> Label:
    """The program that a field names; the name of a picture generator is a hint, no more."""
    value = {field: cut(text)}
    named = _named(GENERATORS, text)
    if named:
        finding = f"The file names {named}, which makes or edits pictures by AI; "
        finding += "anyone can write this field."
        return Label("software", carrier, "hint", True, finding, value)
    finding = "The file names the program that saved it; anyone can write this field."
    editor = _named(EDITORS, text)
    if editor:
        finding = f"The file names {editor}, an editor with and without AI tools; "
        finding += "which of them were used, this field does not say."
    return Label("software", carrier, "found-valid", None, finding, value)


def _named(names: str, text: str) -> str:
    found = re.search(rf"(?i)(?<![a-z])(?:{names})(?![a-z])", text[:LONGEST])
    return found[0] if found else ""


def camera(fields: Mapping[str, str]) -> Label:
    """What EXIF says about the camera and the time: a statement, never evidence."""
    name = " ".join(fields[k] for k in ("Make", "Model") if fields.get(k))
    said = f"a camera ({cut(name)[:80]})" if name else "a time"
    finding = f"The file names {said}; anyone can write this, so it proves nothing."
    taken, saved = fields.get("DateTimeOriginal", ""), fields.get("DateTime", "")
    if taken and saved > taken:
        finding += " By its own dates it was saved again after it was taken."
    value = {key: cut(text) for key, text in fields.items()}
    return Label("camera", "EXIF", "found-valid", None, finding, value)


def json_object(text: str) -> dict[str, Any] | None:
    """The JSON object that a text holds, or None."""
    try:
        value = json.loads(text.strip("\ufeff\x00 \t\r\n"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def plain(value: object) -> str:
    """A JSON value as text."""
    if isinstance(value, str):
        return value
    try:
        return "" if value is None else json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return "(unreadable)"


def cut(text: str) -> str:
    """At most `LONGEST` characters, without control characters."""
    clean = "".join(c if c.isprintable() else " " for c in text[: LONGEST + 1])
    return clean if len(clean) <= LONGEST else clean[:LONGEST] + "…"

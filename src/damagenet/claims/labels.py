"""Read AI labels: TC260 AIGC, IPTC DigitalSourceType, C2PA presence, generator text.

A label that is found says much; a label that is not found says nothing: screenshots and chat
apps strip all of them, and SynthID cannot be checked offline.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from damagenet.aigc import IPTC_EXT, TC260
from damagenet.claims.metadata import C2PA_CARRIERS, Block, blocks
from damagenet.incoming import content

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
LONGEST = 500
"""Characters of a metadata value that are kept."""
MAX_LABELS = 500
"""Of one file; each is compared with every other."""

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


@dataclass(frozen=True)
class Label:
    """One statement about a picture's origin, found in its metadata.

    Attributes:
        standard: 'TC260 AIGC', 'IPTC DigitalSourceType', 'C2PA', 'generator text' or 'software'.
        carrier: Where it lay: 'XMP', 'PNG text', 'EXIF', 'EXIF UserComment', 'JPEG APP11',
            'PNG caBX' or 'WebP C2PA'.
        status: 'found-valid', 'found-malformed', 'found-conflicting', 'shell-empty' or
            'present-unverified'.
        ai: True if it says that AI made or edited the picture, False if it says that a camera
            did, None if it settles neither.
        finding: One plain sentence.
        value: What was read, texts cut to 500 characters.
    """

    standard: str
    carrier: str
    status: str
    ai: bool | None
    finding: str
    value: dict[str, str]


def read_labels(source: str | Path | bytes) -> list[Label]:
    """Every label of a picture file; an empty list says nothing about its origin.

    Args:
        source: A path or the bytes of the file. Its pixels are not decoded.

    Raises:
        BadInput: As for `incoming.content`. Hostile content raises nothing: a block that cannot
            be parsed gives a 'found-malformed' label.
    """
    data = source if isinstance(source, bytes) else content(source)
    every = (label for block in blocks(data) for label in _interpret(block))
    found = list(islice(every, MAX_LABELS))
    merged = list({(m.standard, m.carrier, m.status, str(m.value)): m for m in found}.values())
    return _mark_conflicts(merged)


def _interpret(block: Block) -> Iterator[Label]:
    """The labels of one block, by its carrier and key."""
    if block.problem:
        standard = "TC260 AIGC" if block.key == "AIGC" else "software"
        where = f"{block.carrier} {block.key}".strip()
        finding = f"The {where} metadata {block.problem}."
        yield Label(standard, block.carrier, "found-malformed", None, finding, {})
    elif block.carrier == "XMP":
        yield from _xmp(block.data)
    elif block.carrier in C2PA_CARRIERS:
        yield from _c2pa(block)
    else:
        yield from _text(block)


def _text(block: Block) -> Iterator[Label]:
    """Labels in PNG text chunks and EXIF fields."""
    text = block.data.decode("utf-8", "replace")
    # ComfyUI puts "prompt:{...}" and "workflow:{...}" into EXIF fields of WebP files.
    head, _, tail = text.partition(":")
    key = block.key
    if block.carrier == "EXIF" and head.lower() in GENERATOR_KEYS and tail.startswith("{"):
        key, text = head.lower(), tail
    lead = text.lstrip("\ufeff \t\r\n")
    if key == "AIGC" or (block.carrier == "EXIF UserComment" and _mentions_aigc(lead)):
        yield _tc260(text, block.carrier)
    elif key in GENERATOR_KEYS or (not key and re.search(r"\bSteps: \d+, Sampler: ", text)):
        yield _generator(key or "parameters", text, block.carrier)
    elif key == "Software" and text.startswith("NovelAI"):
        finding = "The file names NovelAI, a picture generator, as its software."
        value = {"Software": _cut(text)}
        yield Label("generator text", block.carrier, "found-valid", True, finding, value)
    elif key in ("Software", "Make", "Model") and text:
        finding = f"The file names its {key.lower()}; anyone can write this field."
        yield Label("software", block.carrier, "found-valid", None, finding, {key: _cut(text)})


def _mentions_aigc(text: str) -> bool:
    return text.startswith("{") and ('"AIGC"' in text or '"ContentProducer"' in text)


def _tc260(text: str, carrier: str) -> Label:
    """A TC260 AIGC label from its JSON, bare or wrapped in `{"AIGC": ...}`."""
    fields = _json_object(text)
    inner = fields.get("AIGC", fields) if fields is not None else None
    if isinstance(inner, str):
        inner = _json_object(inner)
    if not isinstance(inner, dict):
        finding = "The TC260 AIGC label cannot be parsed."
        value = {"text": _cut(text)}
        return Label("TC260 AIGC", carrier, "found-malformed", None, finding, value)
    return _tc260_fields(inner, carrier)


def _tc260_fields(fields: dict[str, Any], carrier: str) -> Label:
    value = {_cut(str(k)): _cut(_plain(v)) for k, v in list(fields.items())[:20]}
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


def _source_type(uri: str, carrier: str) -> Label:
    name = re.split(r"[/#:]", uri.strip().rstrip("/"))[-1]
    value = {"DigitalSourceType": _cut(uri)}
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


def _generator(key: str, text: str, carrier: str) -> Label:
    """Settings that picture generators leave behind: web UIs as text, ComfyUI as JSON."""
    if key == "parameters":
        maker, good = "a Stable Diffusion web UI", re.search(r"\bSteps: \d+", text) is not None
    else:
        maker = "ComfyUI" if key in ("prompt", "workflow") else "InvokeAI"
        good = _json_object(text) is not None
    status = "found-valid" if good else "found-malformed"
    finding = f"The file carries settings as {maker} writes them."
    if not good:
        finding = f"The text field '{key}' is one that {maker} writes, but its content is not."
    return Label("generator text", carrier, status, good or None, finding, {key: _cut(text)})


def _c2pa(block: Block) -> Iterator[Label]:
    if b"c2pa" not in block.data:
        return
    value: dict[str, str] = {"bytes": str(len(block.data))}
    ai = None
    finding = "C2PA content credentials are there; their signature was not checked."
    if re.search(rb"(?i)trainedAlgorithmicMedia", block.data):
        ai, value["mentions"] = True, "trainedAlgorithmicMedia"
        finding = "C2PA content credentials mention generative AI; their signature was not checked."
    yield Label("C2PA", block.carrier, "present-unverified", ai, finding, value)


def _xmp(data: bytes) -> Iterator[Label]:
    """The labels of one XMP packet; no entities, no document types, no recursion into files."""
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser

    try:
        parser = DefusedXMLParser(target=_Builder(), forbid_dtd=True)
        parser.feed(data.strip(b"\x00 \t\r\n"))
        root: Element = parser.close()
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        standard = "software"
        if b"AIGC" in data:
            standard = "TC260 AIGC"
        elif b"DigitalSourceType" in data:
            standard = "IPTC DigitalSourceType"
        finding = f"The XMP packet cannot be parsed ({type(error).__name__})."
        yield Label(standard, "XMP", "found-malformed", None, finding, {})
        return
    split: dict[str, str] = {}
    for name, text in _properties(root):
        if name == f"{{{TC260}}}AIGC":
            yield _tc260(text, "XMP")
        elif name.startswith(f"{{{TC260}}}"):
            split[name.removeprefix(f"{{{TC260}}}")] = text
        elif name == f"{{{IPTC_EXT}}}DigitalSourceType":
            yield _source_type(text, "XMP")
        elif name == "{http://ns.adobe.com/xap/1.0/}CreatorTool" and text:
            finding = "The file names the tool that made it; anyone can write this field."
            value = {"CreatorTool": _cut(text)}
            yield Label("software", "XMP", "found-valid", None, finding, value)
    if split:  # the older form: one property per field
        yield _tc260_fields(split, "XMP")


class _Builder(TreeBuilder):
    """Refuses endless namespaces, which every name would repeat in memory."""

    def start_ns(self, prefix: str, uri: str) -> None:
        if len(uri) > LONGEST:
            raise ValueError(f"a namespace of {len(uri)} characters for {prefix[:9]}")


def _properties(root: Element) -> Iterator[tuple[str, str]]:
    """Names and texts of all XMP properties, written as attributes, elements, links or lists."""
    for element in root.iter():
        yield from element.attrib.items()
        if not isinstance(element.tag, str) or element.tag.startswith(RDF):
            continue
        holders = (element, *element)  # a list hangs below rdf:Bag, Seq or Alt
        for part in [li for held in holders for li in held.findall(f"{RDF}li")] or [element]:
            text = (part.text or "").strip() or part.get(f"{RDF}resource") or ""
            yield element.tag, text.strip()


def _mark_conflicts(labels: list[Label]) -> list[Label]:
    """Mark labels that contradict each other; what each one says stays as it is."""
    return [
        replace(label, status="found-conflicting")
        if label.status == "found-valid" and any(_contradict(label, other) for other in labels)
        else label
        for label in labels
    ]


def _contradict(a: Label, b: Label) -> bool:
    """One says AI and the other camera, or two AIGC labels fill one field differently."""
    if {a.ai, b.ai} == {True, False}:
        return True
    if not a.standard == b.standard == "TC260 AIGC":
        return False
    return any(len({a.value[k], b.value[k], ""}) == 3 for k in a.value.keys() & b.value.keys())


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text.strip("\ufeff\x00 \t\r\n"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _plain(value: object) -> str:
    if isinstance(value, str):
        return value
    try:
        return "" if value is None else json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return "(unreadable)"


def _cut(text: str) -> str:
    """At most `LONGEST` characters, without control characters."""
    clean = "".join(c if c.isprintable() else " " for c in text[: LONGEST + 1])
    return clean if len(clean) <= LONGEST else clean[:LONGEST] + "…"

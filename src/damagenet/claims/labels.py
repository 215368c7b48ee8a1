"""Read what a picture file says about its origin: AI labels, settings, programs, cameras.

A label that is found says much; a label that is not found says nothing: screenshots and chat
apps strip all of them, and SynthID cannot be checked offline.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from damagenet.aigc import IPTC_EXT, TC260
from damagenet.claims import credentials, preview, statements, visible
from damagenet.claims.heatmaps import Array
from damagenet.claims.metadata import C2PA_CARRIERS, Block, blocks
from damagenet.claims.statements import GENERATOR_KEYS, LONGEST, STANDARDS, Label
from damagenet.incoming import content

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
__all__ = ["Label", "read_labels", "status_of", "unchecked"]

MAX_LABELS = 500
"""Of one file; each is compared with every other."""
PROGRAMS = {
    "{http://ns.adobe.com/xap/1.0/}CreatorTool": "CreatorTool",
    "{http://ns.adobe.com/photoshop/1.0/}Credit": "Credit",
    "{http://ns.adobe.com/xap/1.0/sType/ResourceEvent#}softwareAgent": "softwareAgent",
}
"""XMP properties that name a program."""
SOFTWARE_KEYS = ("Software", "ProcessingSoftware")
CAMERA_KEYS = ("Make", "Model", "LensModel", "DateTimeOriginal", "DateTime")
ORDER = (
    "found-valid", "found-conflicting", "found-invalid", "hint", "found-malformed", "shell-empty",
    "present-unverified", "not-checkable", "not-checked",
)  # fmt: skip
"""Statuses, the one that says most first."""


def read_labels(
    source: str | Path | bytes, pixels: Array | None = None, trust: str | None = None
) -> list[Label]:
    """Every label of a picture file; an empty list says nothing about its origin.

    Nothing is fetched from a network: neither manifests nor revocation lists nor models.

    Args:
        source: A path or the bytes of the file. Its pixels are not decoded.
        pixels: What `images.read` makes of the file, uint8 `[h, w, 3]`. With it the preview in
            the file is held against the picture, and a visible mark is looked for.
        trust: Certificates (PEM) of the C2PA signers that count as trusted; nobody else does.

    Raises:
        BadInput: As for `incoming.content`. Hostile content raises nothing: a block that cannot
            be parsed gives a 'found-malformed' label.
    """
    data = source if isinstance(source, bytes) else content(source)
    parts = blocks(data)
    every = (label for part in parts for label in _interpret(part, partial(_checked, data, trust)))
    found = list(islice(every, MAX_LABELS))
    fields = {b.key: b.data.decode("utf-8", "replace") for b in parts if b.key in CAMERA_KEYS}
    fields = {k: text for k, text in fields.items() if text and not _hidden_settings(text)[0]}
    if fields.keys() - {"DateTime", "LensModel"}:
        found.append(statements.camera(fields))
    if pixels is not None:
        previews = [part.data for part in parts if part.carrier == "EXIF preview"]
        found += [m for data in previews[:2] if (m := preview.compared(data, pixels)) is not None]
        found += visible.marks(pixels)
    merged = list({(m.standard, m.carrier, m.status, str(m.value)): m for m in found}.values())
    return _mark_conflicts(merged)


def unchecked() -> list[Label]:
    """What `read_labels` cannot look for here, as labels for a report: one is always there."""
    finding = "Google's SynthID watermark cannot be checked offline; Google's own service can."
    found = [Label("SynthID", "pixels", "not-checkable", None, finding, {})]
    if find_spec("c2pa") is None:
        finding = f"Signatures of C2PA content credentials are not checked: {credentials.REMEDY}."
        found.append(Label("C2PA", "file", "not-checked", None, finding, {}))
    if find_spec("rapidocr") is None:
        finding = f"Visible marks such as “AI生成” are not looked for: {visible.REMEDY}."
        found.append(Label("visible mark", "pixels", "not-checked", None, finding, {}))
    return found


def status_of(standard: str, labels: Iterable[Label]) -> str:
    """The status that says most among the labels of one standard, or 'not-found'.

    Raises:
        ValueError: Not one of `STANDARDS`.
    """
    if standard not in STANDARDS:
        raise ValueError(f"{standard!r} is none of {', '.join(STANDARDS)}")
    found = [label.status for label in labels if label.standard == standard]
    return min(found, key=ORDER.index, default="not-found")


def _checked(data: bytes, trust: str | None, block: Block) -> Label:
    return credentials.check(data, block.carrier, block.data, trust)


def _interpret(block: Block, check: Callable[[Block], Label]) -> Iterator[Label]:
    """The labels of one block, by its carrier and key."""
    if block.problem:
        standard = "TC260 AIGC" if block.key == "AIGC" else "software"
        where = f"{block.carrier} {block.key}".strip()
        finding = f"The {where} metadata {block.problem}."
        yield Label(standard, block.carrier, "found-malformed", None, finding, {})
    elif block.carrier == "XMP":
        yield from _xmp(block.data)
    elif block.carrier in C2PA_CARRIERS:
        if b"c2pa" in block.data or b"c2ma" in block.data:  # other standards use such boxes, too
            yield check(block)
    elif block.carrier != "EXIF preview":
        yield from _text(block)


def _hidden_settings(text: str) -> tuple[str, str]:
    """Key and JSON where ComfyUI puts "prompt:{...}" or "workflow:{...}" into an EXIF field."""
    head, _, tail = text.partition(":")
    return (head.lower(), tail) if head.lower() in GENERATOR_KEYS and tail[:1] == "{" else ("", "")


def _text(block: Block) -> Iterator[Label]:
    """Labels in PNG text chunks, JPEG comments and EXIF fields."""
    key, text = block.key, block.data.decode("utf-8", "replace")
    if block.carrier.startswith("EXIF") and (hidden := _hidden_settings(text))[0]:
        key, text = hidden
    lead = text.lstrip("\ufeff \t\r\n")
    if key == "AIGC" or (not key and _mentions_aigc(lead)):
        yield statements.tc260(text, block.carrier)
    elif key in GENERATOR_KEYS:
        yield statements.generator(key, text, block.carrier)
    elif key in ("", "ImageDescription") and re.search(r"\bSteps: \d+, Sampler: ", text):
        yield statements.generator("parameters", text, block.carrier)
    elif key == "Comment" and lead.startswith("{") and '"sampler"' in text and '"steps"' in text:
        yield statements.generator(key, text, block.carrier)
    elif key in SOFTWARE_KEYS and text:
        yield statements.program(key, text, block.carrier)


def _mentions_aigc(text: str) -> bool:
    return text.startswith("{") and ('"AIGC"' in text or '"ContentProducer"' in text)


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
            yield statements.tc260(text, "XMP")
        elif name.startswith(f"{{{TC260}}}"):
            split[name.removeprefix(f"{{{TC260}}}")] = text
        elif name == f"{{{IPTC_EXT}}}DigitalSourceType":
            yield statements.source_type(text, "XMP")
        elif name in PROGRAMS and text:
            yield statements.program(PROGRAMS[name], text, "XMP")
        elif name == "{http://purl.org/dc/terms/}provenance" and text.startswith("http"):
            yield credentials.elsewhere(text)
    if split:  # the older form: one property per field
        yield statements.tc260_fields(split, "XMP")


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

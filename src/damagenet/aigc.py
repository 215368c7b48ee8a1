"""Write AI labels into synthetic files: GB 45438-2025 (TC260 AIGC) and IPTC, pixels untouched.

Every doctored picture this project hands out says so in its own metadata.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import zlib
from collections.abc import Iterator
from xml.sax.saxutils import escape

from damagenet import BadInput

TC260 = "http://www.tc260.org.cn/ns/AIGC/1.0/"
IPTC_EXT = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
XMP_JPEG = b"http://ns.adobe.com/xap/1.0/\x00"
XMP_PNG = b"XML:com.adobe.xmp\x00"
FILL = re.compile(rb"\xff+(?=\xff)")
PNG = b"\x89PNG\r\n\x1a\n"


def label_bytes(data: bytes, producer: str = "damagenet") -> bytes:
    """Return a JPEG or PNG file with both labels; pixel data stays byte for byte the same.

    An XMP packet that is already there is replaced, so labelling twice changes nothing.

    Args:
        data: The whole file.
        producer: Value of `ContentProducer`.

    Raises:
        BadInput: Neither JPEG nor PNG, or cut off before its pixels.
    """
    if data.startswith(b"\xff\xd8"):
        return _label_jpeg(data, producer)
    if data.startswith(PNG):
        return _label_png(data, producer)
    raise BadInput("AI labels can be written into JPEG and PNG files only")


def packet(produce_id: str, producer: str = "damagenet") -> bytes:
    """The XMP packet: Label 1 (AI-generated) and 'edited with generative AI'."""
    fields = {
        "Label": "1",
        "ContentProducer": producer,
        "ProduceID": produce_id,
        "ReservedCode1": "",
        "ContentPropagator": "",
        "PropagateID": "",
        "ReservedCode2": "",
    }
    text = escape(json.dumps(fields, ensure_ascii=False, separators=(",", ":")))
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:TC260="{TC260}" xmlns:Iptc4xmpExt="{IPTC_EXT}">'
        f"<TC260:AIGC>{text}</TC260:AIGC>"
        "<Iptc4xmpExt:DigitalSourceType>"
        f"{SOURCE_TYPE}compositeWithTrainedAlgorithmicMedia"
        "</Iptc4xmpExt:DigitalSourceType>"
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
        '<?xpacket end="w"?>'
    ).encode()


def _produce_id(data: bytes) -> str:
    """A content number that depends on the file alone, so that builds stay byte-identical."""
    return hashlib.sha256(data).hexdigest()[:32]


def _label_jpeg(data: bytes, producer: str) -> bytes:
    kept, first = [b"\xff\xd8"], b""
    end = 2
    for marker, start, stop in jpeg_segments(data):
        end = stop
        segment = data[start:stop]
        if marker == 0xE0 and len(kept) == 1 and not first:
            first = segment  # JFIF asks to be the first segment
        elif not (marker == 0xE1 and segment[4:].startswith(XMP_JPEG)):
            kept.append(segment)
    if data[end : end + 2] != b"\xff\xda":
        raise BadInput("cannot label a JPEG file that ends before its pixels")
    rest = b"".join(kept[1:]) + data[end:]
    body = XMP_JPEG + packet(_produce_id(first + rest), producer)
    xmp = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    return kept[0] + first + xmp + rest


def _label_png(data: bytes, producer: str) -> bytes:
    chunks = [
        (kind, data[start:stop])
        for kind, start, stop in png_chunks(data)
        if not (kind == b"iTXt" and data[start + 8 :].startswith(XMP_PNG))
    ]
    if not chunks or chunks[0][0] != b"IHDR" or chunks[-1][0] != b"IEND":
        raise BadInput("cannot label a PNG file that is cut off")
    plain = b"".join(chunk for _, chunk in chunks)
    # keyword, no compression (flag, method), no language, no translated keyword
    body = b"iTXt" + XMP_PNG + b"\x00\x00\x00\x00" + packet(_produce_id(plain), producer)
    xmp = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    header = chunks[0][1]
    return PNG + header + xmp + plain[len(header) :]


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start, stop) of the header segments of a JPEG file, up to the first scan."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill bytes
            at = FILL.match(data, at).end()  # type: ignore[union-attr] # matches at least one
            continue
        if marker == 0xDA or 0xD0 <= marker <= 0xD9:
            return
        stop = at + 2 + int(struct.unpack(">H", data[at + 2 : at + 4])[0])
        if stop < at + 4 or stop > len(data):
            return
        yield marker, at, stop
        at = stop


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(type, start, stop) of the chunks of a PNG file, length and checksum included."""
    at = len(PNG)
    while at + 12 <= len(data):
        stop = at + 12 + int(struct.unpack(">I", data[at : at + 4])[0])
        if stop > len(data):
            return
        yield data[at + 4 : at + 8], at, stop
        at = stop


def gif_extensions(data: bytes) -> Iterator[tuple[int, int]]:
    """(start, stop) of the extensions of a GIF file, between its pictures (GIF89a, 23 to 26)."""

    def colours(at: int) -> int:
        return 3 << (data[at] & 7) + 1 if data[at] & 0x80 else 0

    at = 13 + colours(10) if len(data) > 13 else len(data)
    while at + 10 < len(data) and data[at] in b"!,":
        start = at
        at += 2 if data[at] == 0x21 else 11 + colours(at + 9)
        while at < len(data) and data[at]:
            at += data[at] + 1
        at += 1
        if data[start] == 0x21:
            yield start, min(at, len(data))

"""Collect the metadata blocks of a picture file without decoding its pixels.

Files come from strangers: every block is capped in number and size, and a block that cannot be
unpacked is handed on with empty content and a reason, never as an exception.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from PIL import ExifTags, Image

from damagenet import BadInput, images
from damagenet.aigc import PNG, XMP_JPEG, gif_extensions, jpeg_segments, png_chunks

MAX_BLOCK = 1_000_000
"""Bytes; larger blocks are reported and not read."""
MAX_BLOCKS = 200
"""Blocks of one file that are looked at."""
MAX_TOTAL = 4_000_000
"""Bytes of all blocks together, C2PA aside; what comes later is reported and not read."""
MAX_PREVIEW = 200_000
"""Bytes of a preview picture in EXIF, which has 64 KB in a JPEG file."""
MAX_PIECES = 100_000
"""Segments or chunks of one file, pixels included, that are walked through."""


@dataclass(frozen=True)
class Block:
    """One piece of metadata.

    Attributes:
        carrier: Where it lies, such as 'XMP', 'PNG text', 'EXIF UserComment', 'JPEG APP11'.
        key: Keyword or tag name, empty where the carrier has none.
        data: Content; empty when `problem` is set.
        problem: Why the content could not be unpacked.
    """

    carrier: str
    key: str
    data: bytes
    problem: str = ""


def blocks(data: bytes) -> list[Block]:
    """The XMP, EXIF, text and C2PA blocks of a JPEG, PNG, WebP, TIFF, AVIF, HEIF or GIF file."""
    if data.startswith(b"\xff\xd8"):
        found = _jpeg(data)
    elif data.startswith(PNG):
        found = _png(data)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        found = _webp(data)
    elif data[:6] in (b"GIF87a", b"GIF89a"):
        found = _gif(data)
    else:
        found = _pillow(data)
    result: list[Block] = []
    left = MAX_TOTAL
    for block in found:
        if len(result) >= MAX_BLOCKS:
            break
        problem = ""
        if block.carrier not in C2PA_CARRIERS:
            left -= len(block.data)
            if len(block.data) > MAX_BLOCK:
                problem = f"larger than {MAX_BLOCK // 1_000_000} MB and was not read"
            elif left < 0:
                problem = f"beyond the first {MAX_TOTAL // 1_000_000} MB and was not read"
        if problem:
            result.append(Block(block.carrier, block.key, b"", f"is {problem}"))
        elif block.carrier == "EXIF" and not block.key and not block.problem:
            result += _exif(block.data)
        else:
            result.append(block)
    return result


C2PA_CARRIERS = ("JPEG APP11", "PNG caBX", "WebP C2PA", "HEIF C2PA", "TIFF C2PA")
C2PA_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
"""The box that holds C2PA in files of the ISO base media format (C2PA 2.1, A.5.1)."""
XMP_MORE = b"http://ns.adobe.com/xmp/extension/\x00"
"""What does not fit into one JPEG segment follows in these (XMP specification, part 3, 1.1.3.1)."""
EXIF_TEXTS = {
    0x010E: "ImageDescription",
    0x010F: "Make",
    0x0110: "Model",
    0x0131: "Software",
    0x0132: "DateTime",
    0x000B: "ProcessingSoftware",
}
PHOTO_TEXTS = {0x9003: "DateTimeOriginal", 0xA434: "LensModel"}


def _jpeg(data: bytes) -> Iterator[Block]:
    boxes, more = bytearray(), bytearray()
    for marker, start, stop in islice(jpeg_segments(data), MAX_PIECES):
        body = data[start + 4 : stop]
        if marker == 0xE1 and body.startswith(XMP_JPEG):
            yield Block("XMP", "", body[len(XMP_JPEG) :])
        elif marker == 0xE1 and body.startswith(b"Exif\x00\x00"):
            yield Block("EXIF", "", body)
        elif marker == 0xEB and body.startswith(b"JP"):
            boxes += body
        elif marker == 0xE1 and body.startswith(XMP_MORE):
            more += body[len(XMP_MORE) + 40 :]  # 32 of a digest, 4 of length, 4 of offset
        elif marker == 0xFE:
            yield Block("JPEG comment", "", body)
    if more:
        yield Block("XMP", "", bytes(more))
    if boxes:
        yield Block("JPEG APP11", "", bytes(boxes))


def _png(data: bytes) -> Iterator[Block]:
    for kind, start, stop in islice(png_chunks(data), MAX_PIECES):
        body = data[start + 8 : stop - 4]
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            yield _png_text(kind, body)
        elif kind == b"eXIf":
            yield Block("EXIF", "", b"Exif\x00\x00" + body)
        elif kind == b"caBX":
            yield Block("PNG caBX", "", body)


def _gif(data: bytes) -> Iterator[Block]:
    """What Pillow finds, and XMP, which is no chain of blocks (XMP specification 3, 1.1.2)."""
    yield from _pillow(data)
    for start, stop in islice(gif_extensions(data), MAX_PIECES):
        body = data[start + 2 : stop]
        if body.startswith(b"\x0bXMP DataXMP"):  # 258 bytes follow that let readers skip it
            yield Block("XMP", "", body[12 : body.rfind(b">") + 1])


def _png_text(kind: bytes, body: bytes) -> Block:
    """A text chunk as UTF-8, decompressed up to `MAX_BLOCK`."""
    keyword, _, rest = body.partition(b"\x00")
    key = keyword[:79].decode("latin-1")
    carrier = "XMP" if key in ("XML:com.adobe.xmp", "xmp") else "PNG text"
    packed = kind == b"zTXt"
    if kind == b"iTXt":
        packed = rest[:1] == b"\x01"
        parts = rest[2:].split(b"\x00", 2)  # language, translated keyword, text
        rest = parts[2] if len(parts) == 3 else b""
    elif packed:
        rest = rest[1:]  # compression method
    if packed:
        try:
            rest = zlib.decompressobj().decompress(rest, MAX_BLOCK + 1)
        except zlib.error:
            return Block(carrier, key, b"", "cannot be decompressed")
    if kind != b"iTXt" and carrier != "XMP":
        try:
            rest.decode("utf-8")  # many writers put UTF-8 where the standard wants Latin-1
        except UnicodeDecodeError:
            rest = rest.decode("latin-1").encode("utf-8")
    return Block(carrier, key, rest)


def _webp(data: bytes) -> Iterator[Block]:
    at = 12
    for _ in range(MAX_PIECES):
        if at + 8 > len(data):
            return
        kind, size = data[at : at + 4], int(struct.unpack("<I", data[at + 4 : at + 8])[0])
        body = data[at + 8 : at + 8 + size]
        if kind == b"XMP ":
            yield Block("XMP", "", body)
        elif kind == b"EXIF":
            yield Block("EXIF", "", body if body[:4] == b"Exif" else b"Exif\x00\x00" + body)
        elif kind == b"C2PA":
            yield Block("WebP C2PA", "", body)
        at += 8 + size + size % 2


def _pillow(data: bytes) -> Iterator[Block]:
    """XMP and EXIF of the other formats, as Pillow finds them in the header."""
    try:
        with images.opened(data) as picture:
            xmp = picture.info.get("xmp")
            exif = picture.info.get("exif")
            tags = getattr(picture, "tag_v2", {})
            xmp = xmp or tags.get(700)
            if isinstance(xmp, str | bytes):
                yield Block("XMP", "", xmp.encode() if isinstance(xmp, str) else xmp)
            if isinstance(exif, bytes):
                yield Block("EXIF", "", exif)
            elif tags:
                yield from _tags(picture.getexif())
            if isinstance(boxes := tags.get(0xCD41), bytes):
                yield Block("TIFF C2PA", "", boxes)
            yield from _boxes(data)
    except BadInput:  # no metadata to be had from it
        return


def _boxes(data: bytes) -> Iterator[Block]:
    """C2PA among the outer boxes of an AVIF or HEIF file."""
    at = 0
    for _ in range(MAX_PIECES if data[4:8] == b"ftyp" else 0):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        head = 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        stop = at + size if size else len(data)
        if stop < at + head or stop > len(data):
            return
        if kind == b"uuid" and data[at + head : at + head + 16] == C2PA_BOX:
            yield Block("HEIF C2PA", "", data[at + head + 16 : stop])
        at = stop


def _exif(body: bytes) -> list[Block]:
    try:
        exif = Image.Exif()
        exif.load(body)
        return [*_tags(exif), *_preview(exif, body[6:])]
    except images.DAMAGE as error:
        return [Block("EXIF", "", b"", f"cannot be parsed ({type(error).__name__})")]


def _tags(exif: Image.Exif) -> Iterator[Block]:
    photo = exif.get_ifd(ExifTags.IFD.Exif)
    for texts, table in ((EXIF_TEXTS, exif), (PHOTO_TEXTS, photo)):
        for tag, key in texts.items():
            if (value := table.get(tag)) is not None:
                yield Block("EXIF", key, _text(value))
    comment = photo.get(0x9286) or exif.get(0x9286)
    if comment is not None:
        yield Block("EXIF UserComment", "", _user_comment(comment))


def _preview(exif: Image.Exif, body: bytes) -> Iterator[Block]:
    """The preview picture (JPEG) in EXIF, as bytes of a file."""
    table = exif.get_ifd(ExifTags.IFD.IFD1)
    start, length = table.get(0x0201), table.get(0x0202)
    if isinstance(start, int) and isinstance(length, int) and 0 < length <= MAX_PREVIEW:
        yield Block("EXIF preview", "", body[start : start + length])


def _text(value: object) -> bytes:
    raw = value if isinstance(value, bytes) else _utf8(str(value))
    return raw.strip(b"\x00 \t\r\n")


def _utf8(text: str) -> bytes:
    """A field as UTF-8: Pillow reads all as Latin-1, and many writers put UTF-8 there."""
    try:
        raw = text.encode("latin-1")
        raw.decode("utf-8")
    except UnicodeError:
        return text.encode("utf-8", "replace")
    return raw


def _user_comment(value: object) -> bytes:
    """A UserComment as UTF-8; the 8-byte prefix names its character set."""
    if not isinstance(value, bytes):
        return _text(value)
    prefix, rest = value[:8], value[8:]
    if prefix == b"UNICODE\x00":
        # The standard leaves the byte order open: take the reading with more plain letters.
        readings = [rest.decode(order, "replace") for order in ("utf-16-be", "utf-16-le")]
        likely = max(readings, key=lambda text: sum(" " <= c <= "~" for c in text))
        rest = likely.encode("utf-8", "replace")
    elif prefix not in (b"ASCII\x00\x00\x00", b"\x00" * 8, b"JIS\x00\x00\x00\x00\x00"):
        rest = value
    return _text(rest)

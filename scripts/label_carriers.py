"""Write every label that `claims.read_labels` reads into JPEG, PNG and WebP files.

Used by `bench_labels.py` and by the tests; nothing here is meant to be run.
"""

from __future__ import annotations

import io
import json
import struct
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageDraw, ImageFont, PngImagePlugin

from damagenet.aigc import IPTC_EXT, SOURCE_TYPE, TC260

Array = NDArray[np.uint8]
CONTAINERS = ("JPEG", "PNG", "WEBP")
MIME = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "AVIF": "image/avif",
        "HEIF": "image/heif", "TIFF": "image/tiff"}  # fmt: skip
AIGC = {
    "Label": "1",
    "ContentProducer": "maker",
    "ProduceID": "42",
    "ReservedCode1": "",
    "ContentPropagator": "",
    "PropagateID": "",
    "ReservedCode2": "",
}
SETTINGS = "a cup\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1"
GRAPH = json.dumps({"3": {"class_type": "KSampler", "inputs": {"seed": 1}}})
ACTION: dict[str, object] = {
    "action": "c2pa.created",
    "softwareAgent": "Painter 3",
    "digitalSourceType": f"{SOURCE_TYPE}trainedAlgorithmicMedia",
}
OPENED: dict[str, object] = {
    "action": "c2pa.opened",
    "parameters": {"ingredientIds": ["before"]},
}
Writer = Callable[[Image.Image, str], bytes]


def saved(
    picture: Image.Image,
    container: str,
    xmp: bytes = b"",
    exif: bytes | None = None,
    texts: dict[str, str] | None = None,
) -> bytes:
    """A file with the metadata where the container keeps it."""
    buffer = io.BytesIO()
    options: dict[str, object] = {} if exif is None else {"exif": exif}
    if container == "PNG":
        info = PngImagePlugin.PngInfo()
        for key, text in (texts or {}).items():
            info.add_text(key, text)
        if xmp:
            info.add_itxt("XML:com.adobe.xmp", xmp.decode())
        options["pnginfo"] = info
    elif xmp:
        options["xmp"] = xmp
    picture.save(buffer, container, **options)
    return buffer.getvalue()


def packet(properties: dict[tuple[str, str], str]) -> bytes:
    """An XMP packet of simple properties, (namespace, name) -> text."""
    rdf = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
    root = ElementTree.Element("{adobe:ns:meta/}xmpmeta")
    about = ElementTree.SubElement(ElementTree.SubElement(root, f"{rdf}RDF"), f"{rdf}Description")
    for (space, name), text in properties.items():
        ElementTree.SubElement(about, f"{{{space}}}{name}").text = text
    return ElementTree.tostring(root)


def with_xmp(picture: Image.Image, container: str, properties: dict[tuple[str, str], str]) -> bytes:
    return saved(picture, container, xmp=packet(properties))


def with_exif(picture: Image.Image, container: str, tags: dict[int, str | bytes]) -> bytes:
    """Tags of the first directory; 0x9003 and 0x9286 go to the photo's own."""
    exif = Image.Exif()
    for tag, text in tags.items():
        table = exif.get_ifd(ExifTags.IFD.Exif) if tag in (0x9003, 0x9286) else exif
        table[tag] = text
    return saved(picture, container, exif=exif.tobytes())


def settings_text(picture: Image.Image, container: str) -> bytes:
    if container == "PNG":
        return saved(picture, container, texts={"parameters": SETTINGS})
    return with_exif(picture, container, {0x9286: b"UNICODE\x00" + SETTINGS.encode("utf-16-be")})


def settings_graph(picture: Image.Image, container: str) -> bytes:
    if container == "PNG":
        return saved(picture, container, texts={"prompt": GRAPH, "workflow": '{"nodes": []}'})
    return with_exif(picture, container, {0x010F: f"workflow:{GRAPH}", 0x0110: f"prompt:{GRAPH}"})


def preview_exif(preview: bytes) -> bytes:
    """EXIF that holds nothing but a preview picture, itself a JPEG file."""
    second = struct.pack("<H", 2) + struct.pack("<HHII", 0x0201, 4, 1, 56)
    second += struct.pack("<HHII", 0x0202, 4, 1, len(preview)) + struct.pack("<I", 0)
    first = struct.pack("<HHHIII", 1, 0x0112, 3, 1, 1, 26)  # the orientation; then the second
    return b"Exif\x00\x00II*\x00" + struct.pack("<I", 8) + first + second + preview


def preview_of_another(picture: Image.Image, container: str) -> bytes:
    rough = np.random.default_rng(1).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    other = Image.fromarray(rough).resize((160, 120), Image.Resampling.BICUBIC)
    return saved(picture, container, exif=preview_exif(saved(other, "JPEG")))


@cache
def certificates() -> tuple[bytes, bytes, str]:
    """Chain and key of a test signer (PEM), and the certificate of who vouches for it."""
    start, end = datetime(2024, 1, 1, tzinfo=UTC), datetime(2044, 1, 1, tzinfo=UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [
        x509.Name([
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Test maker"),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, common),
        ])
        for common in ("Test root", "Test signer")
    ]  # fmt: skip
    made = []
    for i, (key, name) in enumerate(zip(keys, names, strict=True)):
        use = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "encipher_only", "decipher_only"), False
        )  # fmt: skip
        use |= {"digital_signature": True, "key_cert_sign": i == 0, "crl_sign": i == 0}
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(names[0])
            .public_key(key.public_key())
            .serial_number(i + 1)
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(i == 0, None), True)
            .add_extension(x509.KeyUsage(**use), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        )
        if i:
            vouching = x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key())
            purpose = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.EMAIL_PROTECTION])
            server = x509.UniformResourceIdentifier("http://127.0.0.1:9/")
            asked = x509.AccessDescription(x509.AuthorityInformationAccessOID.OCSP, server)
            builder = builder.add_extension(vouching, False).add_extension(purpose, False)
            builder = builder.add_extension(x509.AuthorityInformationAccess([asked]), False)
        made.append(builder.sign(keys[0], hashes.SHA256()))
    root, leaf = (m.public_bytes(serialization.Encoding.PEM) for m in made)
    key = keys[1].private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return leaf + root, key, root.decode()


def signed(
    data: bytes,
    mime: str,
    actions: tuple[dict[str, object], ...] = (ACTION,),
    parent: tuple[bytes, str] | None = None,
    thumbnail: bytes = b"",
    elsewhere: str = "",
) -> bytes:
    """The file with content credentials by the test signer.

    Args:
        data: The file to sign.
        mime: Its type.
        actions: Of the manifest.
        parent: File and type of the picture it was made from, with credentials of its own.
        thumbnail: Put into the manifest, which is then packed.
        elsewhere: Address; the manifest is then not put into the file, only its address.
    """
    import c2pa

    chain, key, _ = certificates()
    manifest = {
        "claim_generator_info": [{"name": "Test tool", "version": "1"}],
        "assertions": [{"label": "c2pa.actions", "data": {"actions": list(actions)}}],
    }
    if thumbnail:
        manifest["thumbnail"] = {"format": "image/jpeg", "identifier": "thumbnail.jpg"}
    settings = {
        "builder": {"thumbnail": {"enabled": False}},
        "core": {"prefer_compress_manifests": bool(thumbnail)},
    }
    context = c2pa.Context(c2pa.Settings.from_dict(settings))
    builder = c2pa.Builder(json.dumps(manifest), context)
    if thumbnail:
        builder.add_resource("thumbnail.jpg", io.BytesIO(thumbnail))
    if parent:
        role = {"title": "before", "relationship": "parentOf", "instance_id": "before"}
        builder.add_ingredient(json.dumps(role), parent[1], io.BytesIO(parent[0]))
    if elsewhere:
        builder.set_no_embed()
        builder.set_remote_url(elsewhere)
    signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", chain, key, None))
    out = io.BytesIO()
    builder.sign(signer, mime, io.BytesIO(data), out)
    return out.getvalue()


def with_credentials(picture: Image.Image, container: str) -> bytes:
    return signed(saved(picture, container), MIME[container])


def text_only(picture: Image.Image, container: str) -> bytes:
    return saved(picture, container, texts={"AIGC": json.dumps(AIGC)})


FONTS = [
    path
    for folder in (Path(sys.prefix) / "share", Path("/usr/share"))
    for name in ("wqy-microhei.ttc", "wqy-zenhei.ttc", "NotoSansCJK-Regular.ttc")
    for path in sorted((folder / "fonts").rglob(name))
]
"""Fonts with Chinese letters that are installed here."""
STYLES = ("outlined", "boxed", "faint")


def marked(
    pixels: Array,
    text: str,
    share: float,
    place: tuple[float, float],
    style: str = "outlined",
) -> Array:
    """A copy of a picture with a text laid over it.

    Args:
        pixels: uint8 RGB `[h, w, 3]`.
        text: The text.
        share: Its height, as a share of the shorter side.
        place: (x, y) in [0, 1], from left to right and from top to bottom, within margins.
        style: White letters, 'outlined' in black, 'boxed' in a dark field, or 'faint'.
    """
    picture = Image.fromarray(pixels)
    short = min(picture.size)
    font = ImageFont.truetype(str(FONTS[0]), max(8, round(short * share / 0.8)))
    pen = ImageDraw.Draw(picture, "RGBA")
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    margin = short * 0.02
    free = (picture.width - right - 2 * margin, picture.height - bottom - 2 * margin)
    x, y = (margin + part * room for part, room in zip(place, free, strict=True))
    if style == "boxed":
        pen.rectangle((x + left - 4, y + top - 4, x + right + 4, y + bottom + 4), (0, 0, 0, 110))
    pen.text(
        (x, y),
        text,
        (255, 255, 255, 150 if style == "faint" else 220),
        font,
        stroke_width=int(style == "outlined"),
        stroke_fill=(0, 0, 0, 120),
    )
    return np.asarray(picture)


_json = json.dumps(AIGC)
_spread = {(TC260, key): text for key, text in AIGC.items()}
_source = f"{SOURCE_TYPE}compositeWithTrainedAlgorithmicMedia"
_comment = b"ASCII\x00\x00\x00" + json.dumps({"AIGC": AIGC}).encode()
_photo = {0x010F: "Maker", 0x0110: "Phone 3", 0x9003: "2026:01:02 03:04:05"}
CARRIERS: dict[str, tuple[str, str, tuple[str, ...], Writer]] = {
    "AIGC in XMP": ("TC260 AIGC", "found-valid", CONTAINERS,
                    partial(with_xmp, properties={(TC260, "AIGC"): _json})),
    "AIGC in XMP, one property a field": ("TC260 AIGC", "found-valid", CONTAINERS,
                                          partial(with_xmp, properties=_spread)),
    "AIGC in EXIF UserComment": ("TC260 AIGC", "found-valid", CONTAINERS,
                                 partial(with_exif, tags={0x9286: _comment})),
    "AIGC as PNG text": ("TC260 AIGC", "found-valid", ("PNG",), text_only),
    "DigitalSourceType in XMP": ("IPTC DigitalSourceType", "found-valid", CONTAINERS,
                                 partial(with_xmp,
                                         properties={(IPTC_EXT, "DigitalSourceType"): _source})),
    "C2PA, signed": ("C2PA", "found-valid", CONTAINERS, with_credentials),
    "Stable Diffusion web UI": ("generator text", "found-valid", CONTAINERS, settings_text),
    "ComfyUI": ("generator text", "found-valid", CONTAINERS, settings_graph),
    "generator's name in EXIF": ("software", "hint", CONTAINERS,
                                 partial(with_exif, tags={0x0131: "Midjourney 7"})),
    "camera in EXIF": ("camera", "found-valid", CONTAINERS, partial(with_exif, tags=_photo)),
    "preview of another picture": ("preview", "found-conflicting", CONTAINERS,
                                   preview_of_another),
}  # fmt: skip
"""Name -> (standard, status it is read with, containers, writer)."""


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """A file with some bytes changed, mostly in front, where metadata lies; a third cut off."""
    changed = bytearray(data)
    for at in rng.integers(0, min(len(data), rng.choice([400, 4000])), rng.integers(1, 16)):
        changed[at] = rng.integers(256)
    return bytes(changed[: rng.integers(1, len(data))] if rng.random() < 1 / 3 else changed)

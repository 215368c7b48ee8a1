"""Hostile picture files: seeded, in memory; run as a program it feeds them to the readers.

    python tests/hostile.py SEED COUNT [MODEL]

reports on one line of JSON how many were read or refused, what escaped, the slowest case (CPU
seconds) and the peak of memory. It is a process of its own so that limits hold and a crash shows.
"""

import faulthandler
import io
import json
import re
import resource
import struct
import sys
import time
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

HEIGHT, WIDTH = 48, 68
XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\x00"
SOURCE = b"http://iptc.org/std/Iptc4xmpExt/2008-02-29/"


def file_of(picture, name, **options):
    buffer = io.BytesIO()
    picture.save(buffer, name, **options)
    return buffer.getvalue()


def sources():
    """Sound small files by name: what cameras, apps and printers write."""
    from damagenet import images

    y, x = np.mgrid[:HEIGHT, :WIDTH]
    grain = np.random.default_rng(0).integers(-9, 10, (HEIGHT, WIDTH, 3))
    pixels = np.stack([40 + 3 * y, 60 + 2 * x, 200 - y - x], -1) + grain
    plain = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    deep = Image.fromarray((np.arange(HEIGHT * WIDTH) * 20 % 65536).astype(np.uint16).reshape(
        HEIGHT, WIDTH))  # fmt: skip
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x011A] = 6, "maker", 72.0
    exif.get_ifd(0x8769)[0x9286] = b'ASCII\x00\x00\x00{"AIGC": {"Label": "1"}}'
    said = {
        "exif": exif,
        "xmp": xmp(b"<e:DigitalSourceType>a/digitalCapture</e:DigitalSourceType>"),
    }
    texts = PngImagePlugin.PngInfo()
    texts.add_text("parameters", "Steps: 20, Sampler: x" * 9, zip=True)
    texts.add_itxt("XML:com.adobe.xmp", said["xmp"].decode())
    frames = [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("red", "green", "blue")]
    film = {"save_all": True, "append_images": frames[1:], "duration": 50}
    profile = bytes(range(256)) * 3
    found = {
        "jpeg": file_of(plain, "JPEG", **said, icc_profile=profile),
        "jpeg progressive": file_of(plain, "JPEG", progressive=True, **said),
        "jpeg cmyk": file_of(plain.convert("CMYK"), "JPEG"),
        "jpeg grey": file_of(plain.convert("L"), "JPEG", restart_marker_rows=1),
        "mpo": file_of(frames[0], "MPO", **film),
        "png": file_of(plain, "PNG", pnginfo=texts, exif=exif, icc_profile=profile),
        "png palette": file_of(plain.quantize(30), "PNG", transparency=1),
        "png alpha": file_of(plain.convert("RGBA"), "PNG"),
        "png 16 bit": file_of(deep, "PNG"),
        "png interlaced": png(WIDTH, HEIGHT, interlaced=1),
        "png animated": file_of(frames[0], "PNG", **film),
        "webp": file_of(plain, "WEBP", **said),
        "webp lossless": file_of(plain.convert("RGBA"), "WEBP", lossless=True),
        "webp animated": file_of(frames[0], "WEBP", **film),
        "gif": file_of(plain, "GIF", comment=b"hello", interlace=1),
        "gif animated": file_of(frames[0], "GIF", **film),
        "tiff": file_of(plain, "TIFF", exif=exif),
        "tiff lzw": file_of(plain, "TIFF", compression="tiff_lzw"),
        "tiff deflate": file_of(plain, "TIFF", compression="tiff_deflate"),
        "tiff jpeg": file_of(plain, "TIFF", compression="jpeg"),
        "tiff 16 bit": file_of(deep, "TIFF"),
        "tiff float": file_of(plain.convert("F"), "TIFF"),
        "bmp": file_of(plain, "BMP"),
        "bmp palette": file_of(plain.quantize(9), "BMP"),
    }
    for name in sorted(set(images._formats()) & {"AVIF", "HEIF"}):
        found[name.lower()] = file_of(plain, name, exif=exif)
    return found


def spoilt(seed, count):
    """`count` (name, bytes): sources cut off, with other bytes, flipped bits or foreign pieces."""
    rng = np.random.default_rng(seed)
    sound = sources()
    names = sorted(sound)
    for i in range(count):
        name = names[i % len(names)]
        data = bytearray(sound[name])
        how = ("cut", "head", "bits", "splice")[i // len(names) % 4]
        if how == "cut":
            data = data[: rng.integers(1, len(data))]
        elif how == "head":  # where sizes and tables are
            for place in rng.integers(min(len(data), 600), size=rng.integers(1, 6)):
                data[place] = rng.integers(256)
        elif how == "bits":
            for place in rng.integers(len(data), size=rng.integers(1, 20)):
                data[place] ^= 1 << rng.integers(8)
        else:
            other = sound[names[rng.integers(len(names))]]
            here, there, length = rng.integers(len(data)), rng.integers(len(other)), 200
            data[here : here + rng.integers(length)] = other[there : there + rng.integers(length)]
        yield f"{i} {name} {how}", bytes(data)


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, bits=8, colour=2, before=b"", interlaced=0, rows=None):
    """A black PNG; with fewer `rows` than its height it promises more than it holds."""
    planes = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    packer, line = zlib.compressobj(9), b"\0" * ((width * planes * bits + 7) // 8 + 1)
    count = height * (2 if interlaced else 1) if rows is None else rows
    pixels = b"".join(packer.compress(line) for _ in range(count)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + before + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def xmp(body, spaces=b""):
    rdf = b"http://www.w3.org/1999/02/22-rdf-syntax-ns#"
    head = b'<rdf:RDF xmlns:rdf="' + rdf + b'" xmlns:e="' + SOURCE + b'" ' + spaces
    return head + b"><rdf:Description>" + body + b"</rdf:Description></rdf:RDF>"


def with_xmp(packet):
    """A sound PNG with a large XMP packet, packed as far as it goes."""
    body = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(packet, 9)
    return png(WIDTH, HEIGHT, before=chunk(b"iTXt", body))


def tiff(entries, tail=b""):
    """A TIFF file of one directory: (tag, type, count, value) and what follows it."""
    table = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + b"\0\0\0\0" + tail


def webp(kind, body):
    whole = kind + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(whole) + 4) + b"WEBP" + whole


def bombs():
    """Small files that ask for much memory or time: name -> (bytes, whether they can be read)."""
    sound = sources()
    jpeg, gif = sound["jpeg"], sound["gif"]
    flat = file_of(Image.new("RGB", (3000, 3000)), "JPEG", progressive=True)
    scan = flat[flat.rfind(b"\xff\xda") : -2]
    zeros = zlib.compress(b"\0" * 60_000_000, 9)
    segment = b"\xff\xe1" + struct.pack(">H", 65_000) + b"Exif\0\0" + b"x" * 64_992
    at = gif.find(b"\x21\xfe")
    size = [(256, 4, 1, 9000), (257, 4, 1, 9000), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1)]
    tiles = [(258, 3, 1, 8), (322, 3, 1, 1), (323, 3, 1, 1), (325, 4, 1, 1)]
    claim = "<e:DigitalSourceType>{}/digitalCapture</e:DigitalSourceType>".format
    claims = "".join(map(claim, range(14_000))).encode()
    names = b"".join(b"<u:b%d/>" % i for i in range(40_000))
    return {
        "png 30000x30000": (png(30_000, 30_000, 1, 0, rows=9), False),
        "png 88000000x1": (png(88_000_000, 1, 1, 0), False),
        "png 9000x9000 empty": (png(9000, 9000, rows=1), True),
        "png profile": (png(9, 9, before=chunk(b"iCCP", b"x\0\0" + zeros)), False),
        "png ztxt": (png(9, 9, before=chunk(b"zTXt", b"x\0\0" + zeros)), False),
        "png itxt": (png(9, 9, before=chunk(b"iTXt", b"x\0\1\0\0\0" + zeros)), False),
        "png chunks": (png(9, 9, before=chunk(b"aaAa", b"") * 400_000), False),
        "jpeg scans": (flat[:-2] + scan * 3000 + b"\xff\xd9", False),
        "jpeg fill": (jpeg[:2] + b"\xff" * 9_000_000 + jpeg[2:], False),
        "jpeg segments": (jpeg[:2] + b"\xff\xe5\0\2" * 1_000_000 + jpeg[2:], False),
        "jpeg exif": (jpeg[:2] + segment * 500 + jpeg[2:], False),
        "jpeg tail": (jpeg + b"\xff\xda\0\2" * 1_000_000, True),
        "gif screen": (gif[:6] + b"\xff" * 4 + gif[10:], False),
        "gif comments": (gif[:at] + b"\x21\xfe\x01x\0" * 1_000_000 + gif[at:], False),
        "bmp screen": (sound["bmp"][:18] + struct.pack("<ii", 2**31 - 1, 2**31 - 1)
                       + sound["bmp"][26:], False),
        "tiff table": (tiff([*size, *tiles, (324, 4, 2_000_000, 122)], b"\x08\0\0\0" * 2_000_000),
                       False),
        "tiff tags": (tiff([*size, (258, 3, 5_000_000, 110)], b"\x08\0" * 5_000_000), False),
        "tiff counts": (tiff([*size, (258, 3, 2**32 - 1, 110), (273, 4, 2**32 - 1, 9)]), False),
        "webp canvas": (webp(b"VP8X", b"\x02\0\0\0" + b"\xff\xff\0\xfe\xff\0"), False),
        "webp lossless": (webp(b"VP8L", b"\x2f\xff\xff\xff\x0f" + b"\0" * 99), False),
        "xmp deep": (with_xmp(xmp(b"<a>" * 120_000 + b"</a>" * 120_000)), True),
        "xmp namespace": (with_xmp(xmp(names, b'xmlns:u="' + b"u" * 400_000 + b'"')), True),
        "xmp claims": (with_xmp(xmp(claims)), True),
    }  # fmt: skip


def sound_oddities():
    """Unusual files that must be read: name -> (bytes, height, width)."""
    found = {name: (data, HEIGHT, WIDTH) for name, data in sources().items()}
    for name in ("jpeg", "jpeg progressive", "png", "webp", "tiff", "avif"):
        if name in found:  # their EXIF says: turn it; HEIF has its own way to say so
            found[name] = (found[name][0], WIDTH, HEIGHT)
    for height, width in ((1, 1), (1, 20_000), (20_000, 1), (1, 65_500)):
        found[f"png {height}x{width}"] = (png(width, height), height, width)
    found["jpeg 1x20000"] = (file_of(Image.new("RGB", (20_000, 1)), "JPEG"), 1, 20_000)
    values = np.full((HEIGHT, WIDTH), np.nan, np.float32)
    values[0] = np.inf
    found["tiff nan"] = (file_of(Image.fromarray(values), "TIFF"), HEIGHT, WIDTH)
    return found


def judged(act, *arguments):
    """'read', 'refused', or what else happened."""
    from damagenet import BadInput

    try:
        act(*arguments)
    except BadInput as error:
        text = str(error)
        return "refused" if text.isprintable() and len(text) < 400 else f"unclear: {text!r}"
    except Exception as error:  # noqa: BLE001 - which ones escape is the question
        return f"{type(error).__name__}: {error}"
    return "read"


def peak_mb():
    """Peak memory of this process in MB; `ru_maxrss` would be that of a large parent."""
    return int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) // 1024


def feed(cases, detector=None):
    """Every case to the picture reader, some to the label reader, a tenth to a detector."""
    from damagenet import images
    from damagenet.claims import read_labels

    count, escaped, slowest = Counter(), [], (0.0, "")
    for i, (name, data) in enumerate(cases):
        acts = [images.read] + [read_labels] * (i % 3 == 0 or detector is None)
        acts += [detector] * (detector is not None and i % 10 == 0)
        for act in acts:
            start = time.process_time()
            outcome = judged(act, data)
            slowest = max(slowest, (round(time.process_time() - start, 2), f"{name} {act}"[:60]))
            count[outcome] += 1
            if outcome not in ("read", "refused"):
                escaped.append(f"{name}: {outcome}")
    peak = peak_mb()
    return {"count": count, "escaped": escaped, "slowest": slowest, "peak_mb": peak}


if __name__ == "__main__":
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (4_000_000_000,) * 2)
    seed, number, *model = sys.argv[1:]
    if model:
        from damagenet.claims import Detector

        print(json.dumps(feed(spoilt(int(seed), int(number)), Detector(model[0], threads=1))))
    else:
        print(json.dumps(feed((name, data) for name, (data, _) in bombs().items())))

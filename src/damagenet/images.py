"""The only place that reads and writes pictures: RGB uint8, height x width x 3.

Pictures come from strangers, so `read` accepts a fixed list of formats by content (never by
extension), refuses oversized ones before decoding, and turns every failure into a `BadInput`
that names the file. ICC profiles are ignored.
"""

from __future__ import annotations

import ctypes
import io
import logging
import secrets
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from damagenet import BadInput
from damagenet.incoming import MAX_SCANS, Patient, content, scans, shown

Array = NDArray[np.uint8]

MAX_PIXELS = 89_000_000
"""Larger pictures are refused: they would need more than 1 GB to work on."""
MAX_SIDE = 65_500
"""Pixels, the most that JPEG encoders take; a line of 89 megapixels is no photo."""
MAX_PIECES = 100_000
"""Strips or tiles of one picture."""

SUFFIXES = frozenset(
    ".jpg .jpeg .jfif .png .webp .bmp .tif .tiff .gif .avif .heic .heif .mpo".split()
)
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF")
DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, RuntimeError, struct.error, MemoryError,
    TypeError, AttributeError, LookupError, ArithmeticError, AssertionError, zlib.error,
)  # fmt: skip
"""What Pillow raises on damaged files; the second line comes from damaged EXIF."""
_BAND = 2_000_000
"""Pixels that are converted at a time."""

# Pillow warns and logs about odd files in its own words; what matters is raised anyway.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())


def _silence_libtiff() -> None:
    """Stop libtiff from printing on its own; found only where it came with Pillow's wheel."""
    for path in Path(Image.__file__).parents[1].glob("pillow.libs/libtiff*"):
        with suppress(OSError, AttributeError):
            library = ctypes.CDLL(str(path))  # the copy that Pillow has loaded
            library.TIFFSetErrorHandler(None)
            library.TIFFSetWarningHandler(None)


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    _silence_libtiff()
    try:
        import pillow_heif
    except ImportError:
        return tuple(name for name in FORMATS if name in Image.OPEN)
    pillow_heif.register_heif_opener()
    return tuple(name for name in (*FORMATS, "HEIF") if name in Image.OPEN)


@contextmanager
def opened(source: str | Path | bytes | BinaryIO, name: str | None = None) -> Iterator[Image.Image]:
    """Open a picture without decoding its pixels.

    Args:
        source: A path, the bytes of a file, or a binary file object.
        name: What to call the source in errors; the path when there is one.

    Raises:
        BadInput: As for `content`; not a picture, too large, or damaged.
    """
    data = content(source, name)
    name = shown(name or (source if isinstance(source, str | Path) else "image data"))
    handle = Patient(data)
    try:
        with Image.open(handle, formats=_formats()) as picture:
            _check(picture, data, name)
            handle.start_pixels()
            yield picture
    except UnidentifiedImageError:
        if handle.spent():
            raise BadInput(f"{name}: too much metadata; save it as JPEG") from None
        hint = "install damagenet[heif] for HEIC" if "HEIF" not in _formats() else "not a picture"
        raise BadInput(f"{name}: not a picture this project can read ({hint})") from None
    except Image.DecompressionBombError as error:
        raise BadInput(f"{name}: refused as a decompression bomb ({error})") from None
    except DAMAGE as error:
        reason = shown(error)[:200] or type(error).__name__
        raise BadInput(f"{name}: damaged picture ({reason}); save or download it again") from None


def _check(picture: Image.Image, data: bytes, name: str) -> None:
    """Refuse what would take too much memory or time to decode."""
    width, height = picture.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise BadInput(
            f"{name}: {width}x{height} pixels exceed the limit of "
            f"{MAX_PIXELS // 1_000_000} megapixels and {MAX_SIDE:,} a side; shrink it first"
        )
    if len(getattr(picture, "tile", ())) > MAX_PIECES:
        raise BadInput(f"{name}: cut into more than {MAX_PIECES:,} tiles; save it as JPEG")
    if picture.format in ("JPEG", "MPO") and scans(data) > MAX_SCANS:
        raise BadInput(f"{name}: a JPEG file of more than {MAX_SCANS} scans; save it again")


def read(source: str | Path | bytes | BinaryIO, name: str | None = None) -> Array:
    """Read a picture as RGB uint8 of shape `[height, width, 3]`.

    EXIF rotation is applied, transparency is laid on white, the upper eight of 16 bits are kept (as
    browsers and most libraries do), CMYK, grey and palettes become RGB, and only the first frame of
    an animation is read.

    Raises:
        BadInput: See `opened`.
    """
    with opened(source, name) as picture:
        return to_rgb(picture)


def to_rgb(picture: Image.Image) -> Array:
    """Decode an open Pillow picture as `read` does."""
    picture.seek(0)
    picture.load()
    ImageOps.exif_transpose(picture, in_place=True)
    deep = picture.mode.startswith("I;16")
    if picture.mode in ("I", "F"):
        most = np.max(picture.getextrema())
        deep = bool(most > 255)
        if picture.mode == "F" and most <= 1:  # as scientific software writes them
            picture = picture.point(lambda value: value * 255 + 0)
    width, height = picture.size
    rgb = np.empty((height, width, 3), np.uint8)
    rows = max(1, _BAND // width)  # whole copies in other modes would need gigabytes
    for top in range(0, height, rows):
        band = picture.crop((0, top, width, min(height, top + rows)))
        rgb[top : top + rows] = _band(band, deep)
    return rgb


def _band(picture: Image.Image, deep: bool) -> Array:
    """A part of a decoded picture as RGB, or as grey `[h, w, 1]`; `deep` where white is 65535."""
    if picture.mode.startswith("I") or picture.mode == "F":
        with np.errstate(invalid="ignore"):  # a float file may hold any bits
            values = np.nan_to_num(np.asarray(picture, dtype=np.float64))
        values = np.floor(values / 256) if deep else np.rint(values)
        return np.clip(values, 0, 255).astype(np.uint8)[..., None]
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, picture)
    return np.asarray(picture if picture.mode == "RGB" else picture.convert("RGB"))


def read_mask(path: str | Path) -> Array:
    """Read a mask as uint8 `[height, width]`, 255 where edited.

    Raises:
        BadInput: See `opened`.
    """
    with opened(path) as picture:
        return np.array(picture.convert("L"))


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file whole or not at all: to a temporary name of its own, then rename."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    temporary.write_bytes(data)
    temporary.replace(path)


def mask_bytes(mask: Array) -> bytes:
    """A mask, uint8 `[h, w]` of 0 and 255, as a PNG of one bit a pixel.

    Written by OpenCV: a fifth of Pillow's time, and most of what saving a small picture costs.
    """
    import cv2  # whoever only reads photos needs no OpenCV

    return cv2.imencode(".png", mask, [cv2.IMWRITE_PNG_BILEVEL, 1])[1].tobytes()


def write(path: str | Path, image: Array, **options: object) -> None:
    """Write RGB `[h, w, 3]` or grey `[h, w]` uint8; the format follows the suffix."""
    buffer = io.BytesIO()
    suffix = Path(path).suffix.lower().lstrip(".")
    name = {"jpg": "JPEG", "jpeg": "JPEG"}.get(suffix, suffix.upper())
    Image.fromarray(image).save(buffer, format=name, **options)
    write_bytes(path, buffer.getvalue())


def files_in(places: Iterable[str | Path]) -> list[Path]:
    """Picture files in folders (searched deep, sorted), glob patterns, and files named outright.

    A file named outright is returned whatever its extension, so that its error can be reported.

    Raises:
        BadInput: A pattern that cannot be one, such as `**.jpg`.
    """
    found: list[Path] = []
    for place in places:
        try:
            found += _files_at(Path(place))
        except OSError:  # such as a name that is too long: reading it will say so
            found.append(Path(place))
        except ValueError as error:
            raise BadInput(f"{shown(place)}: not a pattern of file names ({error})") from None
    return list(dict.fromkeys(found))


def _files_at(path: Path) -> list[Path]:
    if path.is_dir():
        inside = (p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        return sorted(p for p in inside if not p.name.startswith("."))
    if any(c in str(path) for c in "*?[") and not path.exists():
        anchor = Path(path.anchor) if path.is_absolute() else Path()
        pattern = str(path.relative_to(path.anchor)) if path.is_absolute() else str(path)
        return sorted(p for p in anchor.glob(pattern) if p.is_file())
    return [path]

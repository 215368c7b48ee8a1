"""Codecs, and the quantisation tables by which JPEG makers differ; pixels in, decoded pixels out.

`TABLES` names families of JPEG tables, all scaled by libjpeg's quality rule (`quantisation`):

- `ijg`: ITU-T T.81 (1992), Annex K; libjpeg, most phones and web sites.
- `flat`: one step for all frequencies.
- `robidoux`: N. Robidoux's table for ImageMagick, luma and chroma alike.
- `psnr_hvs`: tuned for PSNR-HVS, as libjpeg's descendants offer it.
- `klein`: Klein, Silverstein & Carney, "Relevance of human vision to JPEG-DCT compression", 1992.
- `peterson`: Peterson, Ahumada & Watson, "An improved detection model for DCT coefficient
  quantization", 1993; much flatter than Annex K.
- `editor`: symmetric and cut off at high frequencies, as photo editors save "for the web"; the
  shape was read from the headers of published product photos.
- `phone_even`, `phone_fine`, `phone_coarse`: what makers' own encoders do to Annex K: the luma
  table for both planes, steps rounded down; chroma at half the step, rounded up; chroma at one and
  a half times the step.
"""

from __future__ import annotations

import io
from functools import lru_cache
from importlib.util import find_spec

import cv2
import numpy as np
from PIL import Image, features

from damagenet import BadInput
from damagenet.images import Array


def _square(text: str) -> tuple[int, ...]:
    values = tuple(int(word) for word in text.split())
    return values if len(values) == 64 else values + (values[-1],) * (64 - len(values))


_ANNEX_K = _square("""
    16 11 10 16 24 40 51 61     12 12 14 19 26 58 60 55
    14 13 16 24 40 57 69 56     14 17 22 29 51 87 80 62
    18 22 37 56 68 109 103 77   24 35 55 64 81 104 113 92
    49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99""")
_ANNEX_K_CHROMA = _square("""
    17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99""")
_ROBIDOUX = _square("""
    16 16 16 18 25 37 56 85      16 17 20 27 34 40 53 75
    16 20 24 31 43 62 91 135     18 27 31 40 53 74 106 156
    25 34 43 53 69 94 131 189    37 40 62 74 94 124 169 238
    56 53 91 106 131 169 226 311 85 75 135 156 189 238 311 418""")
_PSNR_HVS = _square("""
    9 10 12 14 27 32 51 62       11 12 14 19 27 44 59 73
    12 14 18 25 42 59 79 78      17 18 25 42 61 92 87 92
    23 28 42 75 79 112 112 99    40 42 59 84 88 124 132 111
    42 64 78 95 105 126 125 99   70 75 100 102 116 100 107 98""")
_PSNR_HVS_CHROMA = _square("""
    9 10 17 19 62 89 91 97       12 13 18 29 84 91 88 98
    14 19 29 93 95 95 98 97      20 26 84 88 95 95 98 94
    26 86 91 93 97 99 98 99      99 100 98 99 99 99 99 99
    99 99 99 99 99 99 99 99      97 97 99 99 99 99 97 99""")
_KLEIN = _square("""
    10 12 14 19 26 38 57 86      12 18 21 28 35 41 54 76
    14 21 25 32 44 63 92 136     19 28 32 41 54 75 107 157
    26 35 44 54 70 95 132 190    38 41 63 75 95 125 170 239
    57 54 92 107 132 170 227 312 86 76 136 157 190 239 312 419""")
_PETERSON = _square("""
    14 10 11 14 19 25 34 45 10 11 11 12 15 20 26 33 11 11 15 18 21 25 31 38 14 12 18 24 28 33 39 47
    19 15 21 28 36 43 51 59 25 20 25 33 43 54 64 74 34 26 31 39 51 64 77 91 45 33 38 47 59 74 91
    108""")
_EDITOR = _square("""
    16 11 11 16 23 27 31 30 11 12 12 15 20 23 23 30 11 12 13 16 23 26 35 47 16 15 16 23 26 37 47 64
    23 20 23 26 39 51 64 64 27 23 26 37 51 64 64 64 31 23 35 47 64 64 64 64 30 30 47 64""")
_EDITOR_CHROMA = _square("""
    17 15 17 21 20 26 38 48 15 19 18 17 20 26 35 43 17 18 20 22 26 30 46 53 21 17 22 28 30 39 53 64
    20 20 26 30 39 48 64 64 26 26 30 39 48 63 64 64 38 35 46 53 64 64 64 64 48 43 53 64""")

# Luma, chroma, chroma's step relative to luma's in percent, and what is added before the division
# by 100: 50 rounds to the nearest step, 0 down, 99 up.
_FAMILIES: dict[str, tuple[tuple[int, ...], tuple[int, ...], int, int]] = {
    "ijg": (_ANNEX_K, _ANNEX_K_CHROMA, 100, 50),
    "flat": (_square("16"), _square("16"), 100, 50),
    "robidoux": (_ROBIDOUX, _ROBIDOUX, 100, 50),
    "psnr_hvs": (_PSNR_HVS, _PSNR_HVS_CHROMA, 100, 50),
    "klein": (_KLEIN, _KLEIN, 100, 50),
    "peterson": (_PETERSON, _PETERSON, 100, 50),
    "editor": (_EDITOR, _EDITOR_CHROMA, 100, 50),
    "phone_even": (_ANNEX_K, _ANNEX_K, 100, 0),
    "phone_fine": (_ANNEX_K, _ANNEX_K_CHROMA, 50, 99),
    "phone_coarse": (_ANNEX_K, _ANNEX_K_CHROMA, 150, 50),
}

TABLES: tuple[str, ...] = tuple(_FAMILIES)
"""Families of JPEG quantisation tables."""

CODECS: tuple[str, ...] = (
    "JPEG",
    *(name for name in ("WEBP", "AVIF") if features.check(name.lower())),
    *(("HEIF",) if find_spec("pillow_heif") else ()),
)
"""Codecs that can be encoded here."""


def quantisation(tables: str, quality: int) -> list[list[int]]:
    """Quantisation steps of luma and of chroma, 64 each in rows, every step in 1-255.

    Args:
        tables: One of `TABLES`.
        quality: 1-100; a base table is scaled by 5000 / quality percent below 50 and by
            200 - 2 quality percent from there on (libjpeg).

    Raises:
        BadInput: No such family, or a quality out of range.
    """
    return [list(table) for table in _quantisation(tables, quality)]


@lru_cache(maxsize=256)
def _quantisation(tables: str, quality: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if tables not in _FAMILIES:
        raise BadInput(f"JPEG tables: {tables} is not known; known: {', '.join(TABLES)}")
    if not 1 <= quality <= 100:
        raise BadInput(f"JPEG quality: {quality} is outside 1-100")
    luma, chroma, share, rounding = _FAMILIES[tables]
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    parts = ((luma, scale), (chroma, scale * share // 100))
    first, second = (
        tuple(min(255, max(1, (step * percent + rounding) // 100)) for step in table)
        for table, percent in parts
    )
    return first, second


def jpeg(
    pixels: Array,
    quality: int,
    subsampling: int,
    tables: str = "ijg",
    progressive: bool = False,
) -> tuple[Array, bytes]:
    """Compress once, as `jpeg_file`: the decoded pixels and the file."""
    data = jpeg_file(pixels, quality, subsampling, tables, progressive)
    # The same pixels as Pillow decodes, sooner.
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)), data


def jpeg_file(
    pixels: Array,
    quality: int,
    subsampling: int,
    tables: str = "ijg",
    progressive: bool = False,
) -> bytes:
    """The bytes of a JPEG file.

    Args:
        pixels: uint8 `[h, w, 3]`.
        quality: 1-100, on libjpeg's scale.
        subsampling: 0 = 4:4:4, 1 = 4:2:2, 2 = 4:2:0.
        tables: One of `TABLES`.
        progressive: Several scans instead of one; the pixels stay the same.

    Raises:
        BadInput: Unknown tables, or a quality out of range.
    """
    steps = quantisation(tables, quality)
    return _saved(pixels, "JPEG", qtables=steps, subsampling=subsampling, progressive=progressive)


def webp(pixels: Array, quality: int) -> Array:
    """Send uint8 `[h, w, 3]` through lossy WebP; quality 0-100."""
    return _loaded(_saved(pixels, "WEBP", quality=quality, method=2))


def avif(pixels: Array, quality: int) -> Array:
    """Send uint8 `[h, w, 3]` through AVIF, 4:2:0; quality 0-100.

    Raises:
        BadInput: Pillow was built without AVIF.
    """
    if "AVIF" not in CODECS:
        raise BadInput("AVIF: this Pillow cannot write it; install pillow>=11.3 from its wheel")
    return _loaded(_saved(pixels, "AVIF", quality=quality, speed=8, max_threads=1))


def heif(pixels: Array, quality: int) -> Array:
    """Send uint8 `[h, w, 3]` through HEIC (H.265), 4:2:0; quality 0-100.

    Raises:
        BadInput: pillow-heif is not installed.
    """
    if "HEIF" not in CODECS:
        raise BadInput("HEIF: pillow-heif is missing; pip install 'damagenet[heif]'")
    import pillow_heif

    height, width = pixels.shape[:2]
    buffer = io.BytesIO()
    picture = pillow_heif.from_bytes("RGB", (width, height), np.ascontiguousarray(pixels).tobytes())
    # One thread and no frame threads: x265's decisions may follow the number of cores otherwise.
    single = {"preset": "ultrafast", "x265:pools": "none", "x265:frame-threads": "1"}
    picture.save(buffer, quality=quality, enc_params=single)
    return np.array(pillow_heif.open_heif(buffer).to_pillow().convert("RGB"))


def _saved(pixels: Array, name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, name, **options)
    return buffer.getvalue()


def _loaded(data: bytes) -> Array:
    with Image.open(io.BytesIO(data)) as picture:
        return np.array(picture.convert("RGB"))

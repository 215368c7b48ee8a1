"""What might give a label away without any forensics: how it is read, and the questions asked.

Three kinds of facts: the header (size, tables, format, metadata), the compressed data (bytes per
pixel, byte statistics, quantised DCT coefficients), and global statistics of the pixels (colour,
brightness, contrast, sharpness, spectrum). Nothing here looks at where in the picture something
is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import scipy.fft
from numpy.typing import NDArray
from PIL import Image

from damagenet import images
from damagenet.images import Array

Facts = dict[str, float]

HEADER = (
    "width height aspect quality tables subsampling format suffix progressive exif metadata_bytes"
).split()
"""What the channel sets: equal in all twins of one draw."""


@dataclass(frozen=True)
class Probe:
    """One question to the files.

    Attributes:
        columns: The facts it may use.
        meaning: The question in plain words.
        remedy: What to change when it finds something.
        pixels: It measures pixels; linear, under `Audit.pixel_limit`.
    """

    columns: tuple[str, ...]
    meaning: str
    remedy: str
    pixels: bool = False


_FRAMED = "frame and crop all cells alike"
_DECODED = "use more topologies than full, or other decoder families"
PROBES: dict[str, Probe] = {
    "size": Probe(("width", "height"), "Do width and height tell?", _FRAMED),
    "aspect": Probe(("aspect",), "Does the shape of the picture tell?", _FRAMED),
    "bytes_per_pixel": Probe(
        ("bytes_per_pixel",), "Does the size of the file tell?",
        "use one encoder setting per product; vary the cameras' noise and sharpness",
    ),
    "jpeg_quality": Probe(
        ("quality",), "Does the JPEG quality tell?",
        "draw the quality once per product and use it for all of its cells",
    ),
    "jpeg_tables": Probe(
        ("table_first", "table_slope", "table_chroma", "table_count"),
        "Do the JPEG's quantisation tables tell?",
        "write all cells with the same encoder",
    ),
    "subsampling": Probe(
        ("subsampling",), "Does the JPEG's colour resolution tell?",
        "draw the subsampling once per product and use it for all of its cells",
    ),
    "format": Probe(
        ("format", "suffix", "progressive"), "Does the type of file tell?",
        "write all cells in the same format",
    ),
    "exif": Probe(
        ("exif", "metadata_bytes"), "Do notes inside the file tell (camera, AI label)?",
        "strip all files alike (build.label_files=false for training sets)",
    ),
    "damage": Probe(
        ("damaged",), "Does a picture's showing damage tell?",
        "add really damaged or rendered-damage photos to the authentic cells",
    ),
    "byte_statistics": Probe(
        ("byte_entropy", "byte_00", "byte_ff", *(f"bytes_{i:x}x" for i in range(16))),
        "Do the compressed bytes, taken as mere numbers, tell?",
        "write all cells with the same encoder and settings", pixels=True,
    ),
    "coefficients": Probe(
        ("zeros_low", "zeros_middle", "zeros_high", "ones", "ac_size", "table_mean"),
        "Does the share of detail that JPEG dropped tell, given the quality?",
        f"compress all cells alike; {_DECODED}", pixels=True,
    ),
    "brightness": Probe(
        ("luma_mean", "luma_dark", "luma_middle", "luma_bright", "black", "white"),
        "Does overall brightness tell?",
        "match the mean of edited pixels to the original's; clip all cells alike", pixels=True,
    ),
    "contrast": Probe(
        ("luma_std", "luma_quartiles", "luma_range", "layout_std"), "Does overall contrast tell?",
        "edit in the photo's own tone curve; process all cells alike", pixels=True,
    ),
    "colour": Probe(
        ("blue", "red", "blue_std", "red_std", "colourfulness"), "Does overall colour tell?",
        "match the mean colour of edited pixels to the original's", pixels=True,
    ),
    "sharpness": Probe(
        ("laplacian", "laplacian_ratio", "gradient", "noise", "noise_median"),
        "Does overall sharpness or noise tell?",
        f"give edits the original's noise and sharpness; {_DECODED}", pixels=True,
    ),
    "spectrum": Probe(
        ("band_coarse", "band_middle", "band_fine", "band_finest"),
        "Does the share of fine detail in the spectrum tell?",
        f"give edits the original's noise and sharpness; {_DECODED}", pixels=True,
    ),
}  # fmt: skip
"""Classifiers by name."""
CHECKS: dict[str, tuple[str, str]] = {
    "split": ("Is a product group in two splits?", "keep one group_id in one split"),
    "near_duplicates": (
        "Is one photo in two splits under different names?",
        "give both products one group_id (group_key in sources.csv) and build again",
    ),
    "twins": (
        "Do twins of one draw differ in what the channel sets?",
        "draw the channel once per product and use it for all of its cells",
    ),
}
"""Counts by name: meaning and remedy; none may be above 0."""


def read_facts(path: Path) -> Facts:
    """All facts of one picture file.

    Returns:
        Fact name -> number; what a format lacks (tables of a PNG) is -1 or 0. Energies, variances
        and file sizes are logarithms (base 2), so that a linear probe can compare them.

    Raises:
        BadInput: Not a picture, or damaged.
    """
    data = path.read_bytes() if path.is_file() else b""
    with images.opened(data if data else path, str(path)) as picture:
        facts = header_facts(picture, path.suffix, data)
        tables = getattr(picture, "quantization", None) or {}
        if picture.format == "JPEG":
            picture.draft("YCbCr", None)  # the file's own planes, not yet turned into colours
        elif picture.mode != "RGB":
            picture = Image.fromarray(images.to_rgb(picture))
        y, cb, cr = np.moveaxis(np.asarray(picture.convert("YCbCr")), -1, 0)
    y = np.ascontiguousarray(y)
    facts |= scan_facts(data) | dct_facts(y, np.array(tables[0]) if tables else None)
    return facts | tone_facts(y, cb, cr) | sharpness_facts(y) | spectrum_facts(y)


def header_facts(picture: Image.Image, suffix: str, data: bytes) -> Facts:
    """Facts of the header; no pixel is decoded."""
    width, height = picture.size
    tables = getattr(picture, "quantization", None) or {}
    layers = getattr(picture, "layer", None) or []
    metadata = metadata_size(data)
    luma, chroma = (np.array(tables.get(i, tables.get(0, [1] * 64)), float) for i in (0, 1))
    order = np.add.outer(np.arange(8), np.arange(8)).ravel()
    return {
        "width": width,
        "height": height,
        "aspect": width / height,
        "quality": float(np.mean(tables[0])) if tables else 0.0,
        "tables": hash(tuple(map(tuple, tables.values()))) % 1_000_003 if tables else -1,
        # Shapes of tables, whatever the quality: a hash of each would say nothing of new ones.
        "table_count": len(tables),
        "table_first": _log(luma[0]) - _log(luma.mean()),
        "table_slope": _log(luma[order > 8].mean()) - _log(luma[order < 4].mean()),
        "table_chroma": _log(chroma.mean()) - _log(luma.mean()),
        "subsampling": layers[0][1] * 10 + layers[0][2] if layers else -1,
        "format": sum(map(ord, picture.format or "")),
        "suffix": sum(map(ord, suffix.lower())),
        "progressive": int(bool(picture.info.get("progressive"))),
        "exif": int(bool(picture.info.get("exif"))),
        "metadata_bytes": metadata,
        "bytes_per_pixel": (len(data) - metadata) / (width * height),
    }


def metadata_size(data: bytes) -> int:
    """Bytes of a JPEG's APP1–APP15 and comment segments (JFIF's own APP0 left out); 0 otherwise."""
    return sum(
        size for marker, _, size in _segments(data) if 0xE1 <= marker <= 0xEF or marker == 0xFE
    )


def _segments(data: bytes) -> list[tuple[int, int, int]]:
    """A JPEG's segments up to and with the first scan: marker, offset, length with its marker."""
    found, at = [], 2
    while data[:2] == b"\xff\xd8" and at + 4 <= len(data) and data[at] == 0xFF:
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big") + 2
        found.append((marker, at, size))
        if marker == 0xDA:  # start of scan: entropy-coded data follows
            break
        at += size
    return found


def scan_facts(data: bytes) -> Facts:
    """Statistics of the entropy-coded bytes: entropy in bits and the histogram of high nibbles."""
    segments = _segments(data)
    start = sum(segments[-1][1:]) if segments and segments[-1][0] == 0xDA else 0
    counts = np.bincount(np.frombuffer(data[start:], np.uint8), minlength=256)
    share = counts / max(1, counts.sum())
    some = share[share > 0]
    facts = {"byte_entropy": float(-(some * np.log2(some)).sum())}
    facts |= {"byte_00": float(share[0]), "byte_ff": float(share[255])}
    nibbles = share.reshape(16, 16).sum(axis=1)
    return facts | {f"bytes_{i:x}x": float(value) for i, value in enumerate(nibbles)}


def dct_facts(y: Array, table: NDArray[np.int_] | None) -> Facts:
    """Statistics of the quantised AC coefficients of luma, taken anew from the decoded plane.

    Shares of zeros depend on the quality, so a probe needs the mean of the table beside them.
    """
    names = ("zeros_low", "zeros_middle", "zeros_high", "ones", "ac_size", "table_mean")
    if table is None or min(y.shape) < 8:
        return dict.fromkeys(names, -1.0)
    height, width = (side // 8 * 8 for side in y.shape)
    blocks = y[:height, :width].reshape(height // 8, 8, width // 8, 8).astype(np.float32)
    spectrum = scipy.fft.dctn(blocks, axes=(1, 3), norm="ortho")
    levels = np.abs(np.rint(spectrum / table.reshape(8, 1, 8).astype(np.float32)))
    order = np.add.outer(np.arange(8), np.arange(8))
    zeros = (levels == 0).mean(axis=(0, 2))
    ac = order > 0
    bands = (ac & (order < 4), (order >= 4) & (order < 8), order >= 8)
    ones = (levels == 1).mean(axis=(0, 2))[ac].mean()
    size = levels.mean(axis=(0, 2))[ac].mean()
    values = [zeros[band].mean() for band in bands] + [ones, _log(size), _log(table.mean())]
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def tone_facts(y: Array, cb: Array, cr: Array) -> Facts:
    """Brightness, contrast and colour of the whole picture."""
    counts = np.bincount(y.ravel(), minlength=256)
    dark, low, middle, high, bright = np.searchsorted(
        np.cumsum(counts) / y.size, (0.01, 0.25, 0.5, 0.75, 0.99)
    )
    size = [max(1, side // 8) for side in y.shape[::-1]]
    blocks = cv2.resize(y, size, interpolation=cv2.INTER_AREA)
    u, v = cv2.meanStdDev(cb), cv2.meanStdDev(cr)
    colourful = cv2.mean(cv2.max(cv2.absdiff(cb, 128), cv2.absdiff(cr, 128)))[0]
    return {
        "luma_mean": float(y.mean()), "luma_dark": float(dark), "luma_middle": float(middle),
        "luma_bright": float(bright), "black": float(counts[:3].sum() / y.size),
        "white": float(counts[253:].sum() / y.size),
        "luma_std": float(y.std()), "luma_quartiles": float(high - low),
        "luma_range": float(bright - dark), "layout_std": float(blocks.std()),
        "blue": float(u[0][0, 0]), "red": float(v[0][0, 0]), "blue_std": float(u[1][0, 0]),
        "red_std": float(v[1][0, 0]), "colourfulness": float(colourful),
    }  # fmt: skip


def sharpness_facts(y: Array) -> Facts:
    """Laplacian variance, gradient energy, and noise; neural decoders smooth and denoise."""
    laplacian = cv2.Laplacian(y, cv2.CV_16S, ksize=1)
    half = cv2.Laplacian(cv2.pyrDown(y), cv2.CV_16S, ksize=1)
    across, down = (cv2.Sobel(y, cv2.CV_16S, dx, 1 - dx) for dx in (1, 0))
    # Immerkaer's mask (1996) sees no edges of first and second order: what it leaves is noise.
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    noise = np.abs(cv2.filter2D(y, cv2.CV_16S, mask))
    full, coarse = (cv2.meanStdDev(plane)[1][0, 0] ** 2 for plane in (laplacian, half))
    energy = sum(cv2.norm(plane) ** 2 for plane in (across, down)) / y.size
    return {
        "laplacian": _log(full), "laplacian_ratio": _log(full) - _log(coarse),
        "gradient": _log(energy), "noise": _log(float(noise.mean())),
        "noise_median": float(np.searchsorted(np.cumsum(np.bincount(noise.ravel())), y.size / 2)),
    }  # fmt: skip


def spectrum_facts(y: Array) -> Facts:
    """Shares of the power spectrum (Hann window) in four bands up to the Nyquist frequency."""
    height, width = (min(side // 16 * 16, 512) or side for side in y.shape)
    top, left = (y.shape[0] - height) // 2, (y.shape[1] - width) // 2
    plane = y[top : top + height, left : left + width].astype(np.float32)
    window = [np.hanning(side).astype(np.float32) for side in (height, width)]
    plane = (plane - plane.mean()) * np.outer(*window)
    power = np.abs(scipy.fft.rfft2(plane)) ** 2
    frequency = np.hypot.outer(np.fft.fftfreq(height), np.fft.rfftfreq(width))
    band = np.minimum((frequency * 8).astype(np.intp), 3)  # edges at 1/8, 1/4, 3/8 of a cycle
    sums = np.bincount(band.ravel(), power.ravel(), minlength=4)
    names = ("band_coarse", "band_middle", "band_fine", "band_finest")
    shares = sums / max(sums.sum(), 1e-9)
    return {name: _log(share) for name, share in zip(names, shares, strict=True)}


def _log(value: float) -> float:
    return float(np.log2(max(float(value), 1e-6)))

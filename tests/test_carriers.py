"""Every label, written into every container by other software, read back, and then spoilt."""

import io
import sys
import time

import numpy as np
import pytest
from conftest import ROOT, photo
from PIL import Image

from damagenet import images
from damagenet.claims import read_labels
from damagenet.claims.labels import MAX_LABELS, ORDER, status_of

pytest.importorskip("c2pa")
pytest.importorskip("cryptography")
sys.path.insert(0, str(ROOT / "scripts"))
from label_carriers import CARRIERS, mutated, packet, saved

PIXELS = photo()
PICTURE = Image.fromarray(PIXELS)
TABLE = [(name, kind) for name, (_, _, kinds, _) in CARRIERS.items() for kind in kinds]


def written(name, kind):
    return CARRIERS[name][3](PICTURE, kind)


@pytest.mark.parametrize(("name", "kind"), TABLE)
def test_what_is_written_is_found_and_nothing_else(name, kind):
    standard, status, _, _ = CARRIERS[name]
    data = written(name, kind)
    pixels = images.read(data) if standard == "preview" else None
    labels = read_labels(data, pixels)
    assert {m.standard for m in labels} == {standard}
    assert status_of(standard, labels) == status
    np.testing.assert_array_equal(images.read(data), images.read(saved(PICTURE, kind)))


def spoil(seed, count):
    """The statuses found in `count` spoilt files, and the slowest of them (CPU seconds)."""
    rng = np.random.default_rng(seed)
    sound = {place: written(*place) for place in TABLE}
    found, slowest = [], 0.0
    for i in range(count):
        data = mutated(sound[TABLE[i % len(TABLE)]], rng)
        start = time.process_time()
        labels = read_labels(data, PIXELS if i % 20 == 0 else None)
        slowest = max(slowest, time.process_time() - start)
        assert all(m.finding.isprintable() and len(m.finding) < 900 for m in labels)
        assert all(len(text) <= 501 for m in labels for text in m.value.values())
        found += [m.status for m in labels]
    return found, slowest


def test_spoilt_files_are_read_or_reported():
    found, slowest = spoil(1, 300)
    assert {"found-valid", "found-malformed", "found-invalid"} <= set(found) <= set(ORDER)
    assert slowest < 5


@pytest.mark.slow
def test_thousands_of_spoilt_files_are_read_or_reported():
    found, slowest = spoil(2, 3000)
    assert len(found) > 1500 and slowest < 5


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_a_huge_xmp_packet_costs_little(kind):
    huge = packet({("http://ns.adobe.com/xap/1.0/", "CreatorTool"): "x" * 10_000_000})
    start = time.process_time()
    (label,) = read_labels(saved(PICTURE, kind, xmp=huge))
    assert label.status == "found-malformed" and "not read" in label.finding
    assert time.process_time() - start < 2


def test_the_number_of_labels_has_a_bound():
    exif = Image.Exif()
    exif[0x0131] = "Editor"
    picture = io.BytesIO()
    frames = [PICTURE] * 2
    frames[0].save(picture, "TIFF", save_all=True, append_images=frames[1:], exif=exif)
    assert 0 < len(read_labels(picture.getvalue())) <= MAX_LABELS

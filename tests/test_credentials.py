"""C2PA: signed here with a test certificate, read back, changed, packed, pointed elsewhere."""

import contextlib
import http.server
import io
import struct
import sys
import threading
import time
import zlib

import pytest
from conftest import ROOT, photo
from PIL import Image

from damagenet import images
from damagenet.aigc import SOURCE_TYPE
from damagenet.claims import read_labels
from damagenet.claims.credentials import REMEDY, check

pytest.importorskip("c2pa")
pytest.importorskip("cryptography")
sys.path.insert(0, str(ROOT / "scripts"))
import c2pa
from label_carriers import MIME, OPENED, certificates, packet, saved, signed

PICTURE = Image.fromarray(photo())
TAKEN = {"action": "c2pa.created", "digitalSourceType": f"{SOURCE_TYPE}digitalCapture"}
FORMATS = [
    pytest.param(name, marks=pytest.mark.skipif(name not in images._formats(), reason="no codec"))
    for name in MIME
]


def only(data, **options):
    (label,) = read_labels(data, **options)
    assert label.standard == "C2PA"
    return label


@pytest.fixture(scope="module")
def jpeg():
    return signed(saved(PICTURE, "JPEG"), "image/jpeg")


@pytest.mark.parametrize("name", FORMATS)
def test_a_signed_statement_is_read_in_every_container(name):
    data = signed(saved(PICTURE, name), MIME[name])
    label = only(data)
    assert (label.status, label.ai, label.value["state"]) == ("found-valid", True, "Valid")
    assert label.value["signer"] == "Test maker" and label.value["actions"] == "c2pa.created"
    assert label.value["digitalSourceType"] == "trainedalgorithmicmedia"
    assert label.value["generator"] == "Test tool"
    assert "made by generative AI" in label.finding and "anyone can sign" in label.finding
    assert "signingCredential.untrusted" in label.value["failures"]


def test_whom_to_trust_is_the_callers_choice(jpeg):
    label = only(jpeg, trust=certificates()[2])
    assert (label.status, label.value["state"]) == ("found-valid", "Trusted")
    assert "trusted one" in label.finding and "failures" not in label.value


@pytest.mark.parametrize(("place", "code"), [(-100, "dataHash.mismatch"), (None, "hashedURI")])
def test_a_file_changed_after_signing_says_so(jpeg, place, code):
    data = bytearray(jpeg)
    data[jpeg.find(b"trainedAlgorithmic") + 3 if place is None else place] ^= 1
    label = only(bytes(data), trust=certificates()[2])
    assert (label.status, label.value["state"]) == ("found-invalid", "Invalid")
    assert code in label.value["failures"] and "do not rely" in label.finding


def test_what_a_picture_was_made_from_speaks_with_it(jpeg):
    edited = (OPENED, {"action": "c2pa.color_adjustments"})
    data = signed(jpeg, "image/jpeg", edited, parent=(jpeg, "image/jpeg"))
    label = only(data)
    assert label.ai is True and "c2pa.created" in label.value["actions"]
    camera = only(signed(saved(PICTURE, "JPEG"), "image/jpeg", (TAKEN,)))
    assert (camera.status, camera.ai) == ("found-valid", False)
    assert "taken with a camera" in camera.finding


def test_statements_of_two_labels_that_differ_conflict():
    space, name = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/", "DigitalSourceType"
    plain = saved(PICTURE, "PNG", xmp=packet({(space, name): f"{SOURCE_TYPE}digitalCapture"}))
    labels = read_labels(signed(plain, "image/png"))
    assert {(m.standard, m.status, m.ai) for m in labels} == {
        ("C2PA", "found-conflicting", True),
        ("IPTC DigitalSourceType", "found-conflicting", False),
    }


def test_without_the_package_its_presence_and_the_remedy_are_named(jpeg, monkeypatch):
    monkeypatch.setitem(sys.modules, "c2pa", None)
    label = only(jpeg)
    assert (label.status, label.ai) == ("present-unverified", True)
    assert REMEDY in label.finding


def test_a_store_that_is_none_is_malformed():
    boxes = b"JP\x00\x01\x00\x00\x00\x01....jumb....c2pa"
    jpeg, png, webp = (saved(PICTURE, name) for name in ("JPEG", "PNG", "WEBP"))
    segment = b"\xff\xeb" + struct.pack(">H", len(boxes) + 2) + boxes
    chunk = struct.pack(">I", len(boxes)) + b"caBX" + boxes
    chunk += struct.pack(">I", zlib.crc32(b"caBX" + boxes))
    riff = b"C2PA" + struct.pack("<I", len(boxes)) + boxes + b"\x00" * (len(boxes) % 2)
    for data in (jpeg[:2] + segment + jpeg[2:], png[:33] + chunk + png[33:], webp + riff):
        assert (only(data).status, only(data).ai) == ("found-malformed", None)


def test_packed_manifests_are_unpacked_within_bounds():
    plain = saved(PICTURE, "PNG")
    small = signed(plain, "image/png", thumbnail=b"\0" * 500_000)
    assert b"brob" in small and only(small).status == "found-valid"
    start = time.process_time()
    bomb = check(small, "PNG caBX", b"c2pa" + b"\0" * 30_000_000)
    assert bomb.status == "present-unverified" and "too large" in bomb.finding
    assert time.process_time() - start < 1


@pytest.mark.slow
def test_a_bomb_in_a_manifest_is_refused():
    bomb = signed(saved(PICTURE, "PNG"), "image/png", thumbnail=b"\0" * 40_000_000)
    assert len(bomb) < 200_000
    start = time.process_time()
    label = only(bomb)
    assert label.status == "found-malformed" and "maximum size" in label.finding
    assert time.process_time() - start < 3


@contextlib.contextmanager
def server():
    """A local web server, and the list of what it was asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    httpd = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}/", asked
    finally:
        httpd.shutdown()


def test_nothing_is_fetched():
    with server() as (address, asked):
        data = signed(saved(PICTURE, "JPEG"), "image/jpeg", elsewhere=f"{address}a.c2pa")
        label = only(data)
        assert label.status == "present-unverified" and address in label.value["provenance"]
        check(data, "JPEG APP11", b"c2pa")
        assert asked == []
        with pytest.raises(c2pa.C2paError):  # left to itself the library does ask
            c2pa.Reader("image/jpeg", io.BytesIO(data))
        assert asked == ["/a.c2pa"]

import io
import json
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from damagenet import BadInput, images
from damagenet.aigc import IPTC_EXT, SOURCE_TYPE, TC260, label_bytes
from damagenet.claims import read_labels
from damagenet.claims.labels import ORDER, status_of, unchecked

FULL = {
    "Label": "1",
    "ContentProducer": "maker",
    "ProduceID": "42",
    "ReservedCode1": "",
    "ContentPropagator": "",
    "PropagateID": "",
    "ReservedCode2": "",
}


def picture():
    return np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)


def encoded(kind="JPEG", **options):
    buffer = io.BytesIO()
    Image.fromarray(picture()).save(buffer, kind, **options)
    return buffer.getvalue()


def png(**texts):
    info = PngImagePlugin.PngInfo()
    for key, value in texts.items():
        info.add_text(key, value)
    return encoded("PNG", pnginfo=info)


def packet(body="", attributes=""):
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:TC260="{TC260}" xmlns:ext="{IPTC_EXT}" {attributes}>'
        f"{body}</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def with_xmp(body="", attributes=""):
    return encoded(xmp=packet(body, attributes))


def with_comment(text, prefix=b"ASCII\x00\x00\x00"):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = prefix + text
    return encoded(exif=exif)


def only(data):
    (label,) = read_labels(data)
    return label


def quoted(fields):
    return json.dumps(fields).replace('"', "&quot;")


@pytest.mark.parametrize(
    "data",
    [
        with_xmp(f"<TC260:AIGC>{json.dumps(FULL)}</TC260:AIGC>"),
        with_xmp(attributes=f'TC260:AIGC="{quoted(FULL)}"'),
        with_xmp(f"<TC260:AIGC>{json.dumps({'AIGC': FULL})}</TC260:AIGC>"),
        with_xmp("".join(f"<TC260:{k}>{v}</TC260:{k}>" for k, v in FULL.items())),
        png(AIGC=json.dumps(FULL)),
        png(AIGC=json.dumps({"AIGC": json.dumps(FULL)})),
        with_comment(json.dumps({"AIGC": FULL}).encode()),
        with_comment(json.dumps({"AIGC": FULL}).encode("utf-16-be"), b"UNICODE\x00"),
        with_comment(json.dumps({"AIGC": FULL}).encode("utf-16-le"), b"UNICODE\x00"),
        with_comment(json.dumps({"AIGC": FULL}).encode(), b""),
        encoded("WEBP", xmp=packet(f"<TC260:AIGC>{json.dumps(FULL)}</TC260:AIGC>")),
        png(**{"XML:com.adobe.xmp": packet(f"<TC260:AIGC>{json.dumps(FULL)}</TC260:AIGC>")}),
        encoded("AVIF", xmp=packet(f"<TC260:AIGC>{json.dumps(FULL)}</TC260:AIGC>")),
        encoded("TIFF", tiffinfo={700: packet(f"<TC260:AIGC>{json.dumps(FULL)}</TC260:AIGC>")}),
    ],
)
def test_tc260_in_every_carrier(data):
    label = only(data)
    assert (label.standard, label.status, label.ai) == ("TC260 AIGC", "found-valid", True)
    assert label.value["ContentProducer"] == "maker"


@pytest.mark.parametrize(
    ("fields", "status", "ai"),
    [
        (FULL | {"Label": "2"}, "found-valid", None),
        (FULL | {"Label": 3}, "found-valid", None),
        ({"Label": "1"}, "found-malformed", True),
        (FULL | {"Label": "9"}, "found-malformed", None),
        (dict.fromkeys(FULL, ""), "shell-empty", None),
        ({}, "shell-empty", None),
    ],
)
def test_tc260_fields(fields, status, ai):
    label = only(png(AIGC=json.dumps(fields)))
    assert (label.status, label.ai) == (status, ai)


@pytest.mark.parametrize("text", ["{", "[1]", "nonsense", "[" * 100_000, '{"AIGC": 3}'])
def test_tc260_malformed(text):
    label = only(png(AIGC=text))
    assert (label.standard, label.status) == ("TC260 AIGC", "found-malformed")


def test_labels_that_contradict_each_other():
    data = png(AIGC=json.dumps(FULL))
    data = with_text(data, b"AIGC", json.dumps(FULL | {"ProduceID": "43"}).encode())
    assert [label.status for label in read_labels(data)] == ["found-conflicting"] * 2
    body = f"<TC260:AIGC>{json.dumps(FULL)}</TC260:AIGC>"
    body += f"<ext:DigitalSourceType>{SOURCE_TYPE}digitalCapture</ext:DigitalSourceType>"
    labels = read_labels(with_xmp(body))
    assert [(m.status, m.ai) for m in labels] == [
        ("found-conflicting", True),
        ("found-conflicting", False),
    ]


@pytest.mark.parametrize(
    ("uri", "status", "ai"),
    [
        (SOURCE_TYPE + "trainedAlgorithmicMedia", "found-valid", True),
        (SOURCE_TYPE + "compositeWithTrainedAlgorithmicMedia", "found-valid", True),
        (SOURCE_TYPE.replace("http", "https") + "COMPOSITEDwithTrainedAlgorithmicMedia/",
         "found-valid", True),
        (SOURCE_TYPE + "digitalCapture", "found-valid", False),
        (SOURCE_TYPE + "algorithmicallyEnhanced", "found-valid", None),
        ("digsrctype:trainedAlgorithmicMedia", "found-valid", True),
        (SOURCE_TYPE + "somethingElse", "found-malformed", None),
        ("", "shell-empty", None),
    ],
)  # fmt: skip
def test_iptc_source_type_as_element_attribute_and_link(uri, status, ai):
    bodies = (
        with_xmp(f"<ext:DigitalSourceType>{uri}</ext:DigitalSourceType>"),
        with_xmp(attributes=f'ext:DigitalSourceType="{uri}"'),
        with_xmp(f'<ext:DigitalSourceType rdf:resource="{uri}"/>'),
        with_xmp(f"<ext:DigitalSourceType><rdf:Bag><rdf:li>{uri}</rdf:li></rdf:Bag>"
                 "</ext:DigitalSourceType>"),
    )  # fmt: skip
    for data in bodies:
        label = only(data)
        assert label.standard == "IPTC DigitalSourceType"
        assert (label.status, label.ai) == (status, ai)


@pytest.mark.parametrize(
    ("data", "ai", "status"),
    [
        (png(parameters="a cup\nSteps: 20, Sampler: Euler a, CFG scale: 7"), True, "found-valid"),
        (png(parameters="none"), None, "found-malformed"),
        (with_comment("a cup Steps: 20, Sampler: Euler".encode("utf-16-be"), b"UNICODE\x00"),
         True, "found-valid"),
        (png(prompt='{"3": {"class_type": "KSampler"}}'), True, "found-valid"),
        (png(workflow='{"nodes": []}'), True, "found-valid"),
        (png(workflow="broken"), None, "found-malformed"),
        (png(Comment='{"steps": 28, "sampler": "k_euler", "seed": 1}'), True, "found-valid"),
    ],
)  # fmt: skip
def test_generator_text(data, ai, status):
    label = only(data)
    assert (label.standard, label.ai, label.status) == ("generator text", ai, status)


def test_names_of_programs_are_statements_or_hints():
    for name, status, ai in (
        ("Editor 1.0", "found-valid", None),
        ("Adobe Photoshop 27.1", "found-valid", None),
        ("Midjourney", "hint", True),
        ("Made with Google AI", "hint", True),
        ("豆包", "hint", True),
        ("Kinfirefly", "found-valid", None),
    ):
        exif = Image.Exif()
        exif[0x0131] = name.encode()
        credit = f'xmlns:p="http://ns.adobe.com/photoshop/1.0/" p:Credit="{name}"'
        for data in (encoded(exif=exif), with_xmp(attributes=credit)):
            label = only(data)
            assert (label.standard, label.status, label.ai) == ("software", status, ai), name
            assert name in label.value.values()
    assert "used" in only(with_xmp(attributes=credit.replace(name, "Meitu"))).finding


def test_a_camera_is_one_statement_that_proves_nothing():
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0132] = "Maker", "Phone 3", "2026:02:01 00:00:00"
    exif.get_ifd(0x8769)[0x9003] = "2026:01:01 00:00:00"
    label = only(encoded(exif=exif))
    assert (label.standard, label.status, label.ai) == ("camera", "found-valid", None)
    assert label.value["Model"] == "Phone 3" and "Maker Phone 3" in label.finding
    assert "proves nothing" in label.finding and "saved again" in label.finding


def test_comments_and_the_rest_of_a_long_xmp_packet_are_read():
    comment = with_segment(encoded(), 0xFE, b"a cup Steps: 20, Sampler: Euler")
    assert only(comment).carrier == "JPEG comment"
    long = packet(f"<ext:x>{'y' * 100_000}</ext:x><TC260:AIGC>{json.dumps(FULL)}</TC260:AIGC>")
    data = encoded()
    for at in reversed(range(0, len(long), 60_000)):
        head = b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 32
        head += struct.pack(">II", len(long), at)
        data = with_segment(data, 0xE1, head + long[at : at + 60_000])
    assert (only(data).standard, only(data).status) == ("TC260 AIGC", "found-valid")


def test_credentials_kept_elsewhere_are_named_not_fetched():
    link = 'xmlns:d="http://purl.org/dc/terms/" d:provenance="https://host.invalid/a.c2pa"'
    label = only(with_xmp(attributes=link))
    assert (label.standard, label.status, label.ai) == ("C2PA", "present-unverified", None)
    assert "not fetched" in label.finding


def test_the_status_of_a_standard_and_what_is_never_checked(monkeypatch):
    labels = read_labels(png(AIGC=json.dumps(FULL), parameters="none"))
    assert status_of("TC260 AIGC", labels) == "found-valid"
    assert status_of("generator text", labels) == "found-malformed"
    assert status_of("C2PA", labels) == "not-found"
    with pytest.raises(ValueError, match="SynthID"):
        status_of("C2P", labels)
    assert {m.status for m in unchecked()} <= set(ORDER)
    for installed in (True, False):
        monkeypatch.setattr("damagenet.claims.labels.find_spec", lambda _, i=installed: i or None)
        found = {m.standard: m for m in unchecked()}
        assert found["SynthID"].status == "not-checkable"
        assert ("C2PA" in found) is ("visible mark" in found) is not installed


def with_segment(data, marker, body):
    return data[:2] + b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body + data[2:]


def with_text(data, key, text):
    body = b"tEXt" + key + b"\x00" + text
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + chunk + data[33:]


def with_chunk(kind, content):
    data = encoded("PNG")
    body = kind + content
    chunk = struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + chunk + data[33:]


def test_hostile_xmp_is_reported_not_expanded():
    bomb = b'<!DOCTYPE r [<!ENTITY a "AIGC AIGC"><!ENTITY b "&a;&a;&a;">]><r>&b;</r>'
    outside = b'<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/hostname">]><r>AIGC &a;</r>'
    for content in (bomb, outside, b"<AIGC", b"\xff\xfeAIGC", packet()[:-9] + b"AIGC"):
        label = only(encoded(xmp=content))
        assert (label.standard, label.status) == ("TC260 AIGC", "found-malformed")


def test_oversized_blocks_are_not_read():
    flood = zlib.compress(b"A" * 50_000_000)
    started = time.monotonic()
    label = only(with_chunk(b"zTXt", b"AIGC\x00\x00" + flood))
    assert label.status == "found-malformed" and "not read" in label.finding
    label = only(with_chunk(b"iTXt", b"XML:com.adobe.xmp\x00\x01\x00\x00\x00" + flood))
    assert label.status == "found-malformed"
    assert time.monotonic() - started < 2


def test_long_values_are_cut_and_control_characters_dropped():
    label = only(png(prompt=json.dumps({"x": "y" * 10_000})))
    assert len(label.value["prompt"]) == 501
    label = only(png(AIGC=json.dumps(FULL | {"ContentProducer": "a\x00b\u202ec"})))
    assert label.value["ContentProducer"] == "a b c"


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF1234WEBP", b"x" * 99]
)
def test_no_labels_no_exception(data):
    assert read_labels(data) == []


def test_plain_pictures_have_no_labels():
    for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF"):
        assert read_labels(encoded(kind)) == []


def test_missing_file(tmp_path):
    with pytest.raises(BadInput, match=r"absent\.jpg"):
        read_labels(tmp_path / "absent.jpg")
    with pytest.raises(BadInput):
        read_labels(tmp_path)


SEEDS = [
    with_xmp(f"<TC260:AIGC>{json.dumps(FULL)}</TC260:AIGC>"),
    with_comment(json.dumps({"AIGC": FULL}).encode()),
    png(AIGC=json.dumps(FULL), parameters="Steps: 2"),
    encoded("WEBP", xmp=packet(f"<TC260:AIGC>{json.dumps(FULL)}</TC260:AIGC>")),
    encoded("TIFF", tiffinfo={700: packet()}),
]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(SEEDS), st.lists(st.tuples(st.integers(0, 900), st.integers(0, 255))), st.data()
)
def test_damaged_files_raise_nothing(seed, changes, draw):
    data = bytearray(seed)
    for at, value in changes:
        data[at % len(data)] = value
    end = draw.draw(st.integers(0, len(data)))
    for label in read_labels(bytes(data[:end])):
        assert label.finding


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_written_labels_are_read_back_and_pixels_stay(kind, tmp_path):
    plain = encoded(kind)
    labelled = label_bytes(plain)
    np.testing.assert_array_equal(images.read(labelled), images.read(plain))
    found = {m.standard: m for m in read_labels(labelled)}
    assert set(found) == {"TC260 AIGC", "IPTC DigitalSourceType"}
    assert all((m.status, m.ai) == ("found-valid", True) for m in found.values())
    assert list(found["TC260 AIGC"].value) == list(FULL)
    assert found["TC260 AIGC"].value["ContentProducer"] == "damagenet"
    assert label_bytes(labelled) == labelled
    path = Path(tmp_path / "a")
    path.write_bytes(labelled)
    assert read_labels(path) == read_labels(labelled)


def test_label_keeps_other_segments_in_place():
    exif = Image.Exif()
    exif[0x0131] = "Editor"
    plain = encoded(exif=exif, xmp=packet())
    labelled = label_bytes(plain)
    assert labelled[:20] == plain[:20]  # JFIF stays first
    assert labelled.count(b"http://ns.adobe.com/xap/1.0/\x00") == 1
    assert Image.open(io.BytesIO(labelled)).getexif()[0x0131] == "Editor"


def test_label_refuses_what_it_cannot_label():
    for data in (b"", b"GIF89a", encoded()[:40], encoded("PNG")[:60]):
        with pytest.raises(BadInput):
            label_bytes(data)


@pytest.mark.parametrize("frames", [1, 3])
def test_xmp_in_a_gif_is_read(frames):
    pictures = [Image.new("RGB", (60, 40), (9 * i, 80, 120)).quantize(16) for i in range(frames)]
    buffer = io.BytesIO()
    pictures[0].save(buffer, "GIF", save_all=True, append_images=pictures[1:], comment=b"a cup")
    data = buffer.getvalue()
    label = packet(f"<TC260:AIGC>{json.dumps(FULL)}</TC260:AIGC>")
    trailer = b"\x01" + bytes(range(255, -1, -1)) + b"\x00"
    block = b"\x21\xff\x0bXMP DataXMP" + label + trailer
    assert data.endswith(b";") and only(data[:-1] + block + b";").standard == "TC260 AIGC"
    for stop in range(0, len(data), 7):
        read_labels(data[:stop])

"""Visible marks, drawn here and read by OCR after JPEG compression."""

import io
import socket
import sys

import pytest
from conftest import ROOT, photo
from PIL import Image

from damagenet import images
from damagenet.claims import read_labels, visible

pytest.importorskip("cryptography")
sys.path.insert(0, str(ROOT / "scripts"))
from label_carriers import FONTS, marked, saved

PIXELS = photo(480, 640)
needs_ocr = pytest.mark.skipif(visible._engine() is None, reason="damagenet[ocr] is not installed")
needs_font = pytest.mark.skipif(not FONTS, reason="no Chinese font: apt install fonts-wqy-microhei")


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was asked for something")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@needs_ocr
@needs_font
@pytest.mark.parametrize(
    ("text", "place", "edge"),
    [
        ("AI生成", (1, 1), "bottom"),
        ("由AI生成", (0, 0), "top"),
        ("人工智能合成", (1, 0), "top"),
        ("AI Generated", (0, 1), "bottom"),
        ("Made with AI", (1, 0.5), "right"),
    ],
)
def test_a_mark_at_an_edge_is_read(text, place, edge):
    pixels = marked(PIXELS, text, share=0.05, place=place)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=75)
    (label,) = read_labels(buffer.getvalue(), images.read(buffer.getvalue()))
    assert (label.standard, label.status, label.ai) == ("visible mark", "hint", True)
    assert label.value["edge"] == edge and text[-2:] in label.value["text"]


@needs_ocr
@needs_font
@pytest.mark.parametrize(
    "text", ["AI智能语音合成", "MAID 2 GENERATED", "生成器 A1", "AIR GENERATOR"]
)
def test_other_words_are_no_mark(text):
    assert visible.marks(marked(PIXELS, text, share=0.05, place=(1, 1))) == []


@needs_ocr
@needs_font
def test_a_mark_in_the_middle_is_not_looked_for():
    assert visible.marks(marked(PIXELS, "AI生成", share=0.05, place=(0.5, 0.5))) == []


@needs_ocr
@pytest.mark.parametrize("shape", [(1, 1), (9, 4000), (30, 30), (4000, 30)])
def test_odd_pictures_have_no_marks(shape):
    assert visible.marks(photo(*shape)) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("AI生成", True),
        ("豆包Al 生成", True),
        ("图片由AI技术生成，仅供参考", True),
        ("内容由人工智能辅助生成", True),
        ("A|合成", True),
        ("AI-generated", True),
        ("AI GENERATED IMAGE", True),
        ("Generated with AI", True),
        ("made by Al", True),
        ("AI", False),
        ("生成", False),
        ("AI语音合成", False),
        ("Made by Alice", False),
        ("Air generated", False),
        ("KAI generated", False),
        ("AI generator", False),
    ],
)
def test_what_counts_as_a_mark(text, found):
    assert bool(visible.MARK.search(text)) is found


def test_without_the_package_nothing_is_looked_for(monkeypatch):
    monkeypatch.setattr(visible, "_engine", lambda: None)
    assert read_labels(saved(Image.fromarray(PIXELS), "JPEG"), PIXELS) == []

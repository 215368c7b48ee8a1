"""The page of clients/web, in headless Chromium: same numbers as Python, no foreign request."""

import base64
import hashlib
import json
import os
import re
import subprocess
from contextlib import contextmanager
from urllib.parse import urlsplit

import numpy as np
import pytest
from conftest import RENDERS, ROOT, encoded, photo
from PIL import Image
from toy_model import INFO, write_model
from web_page import (
    BROWSER,
    LISTEN,
    OPTIONS,
    WEB,
    altered,
    assert_alike,
    given,
    needs_browser,
    pictures,
    served,
    settled,
)  # fmt: skip

from damagenet import images
from damagenet.claims import Detector, default_model


@pytest.fixture(scope="module")
def twins():
    """An authentic picture and what a decoder makes of it, as PNG files."""
    from damagenet.synth import regenerate

    book = images.read(RENDERS / "book" / "book_00_a.jpg")
    doctored = regenerate.regenerate(book, "ae_shuffle")
    return {"authentic": encoded(book, "PNG"), "doctored": encoded(doctored, "PNG")}


@pytest.fixture(scope="module")
def dist():
    subprocess.run(["make", "web"], cwd=ROOT, check=True, capture_output=True)
    return WEB / "dist"


@pytest.fixture(scope="module")
def flagging(dist, tmp_path_factory):
    """The page built around a tiny model that may flag: its score is the mean brightness."""
    folder = tmp_path_factory.mktemp("flagging")
    model = write_model(folder / "detector.onnx")
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    certificate = {"flag": {"certified": True}, "review": {"certified": False}}
    about = {**INFO, "name": "tiny", "certificate": certificate, "onnx_sha256": digest}
    model.with_suffix(".json").write_text(json.dumps({**about, "metrics": {}}))
    command = ["npm", "run", "build", "--", "--outDir", str(folder / "dist")]
    environment = {**os.environ, "DAMAGENET_MODEL": str(model)}
    subprocess.run(command, cwd=WEB, env=environment, check=True, capture_output=True)
    return folder / "dist"


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=[*OPTIONS])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, dist):
    """Open the page; afterwards, no request may have left and no script may have failed."""
    opened, asked, failures = [], [], []

    @contextmanager
    def opening(folder=dist, isolated=False, prepare=None, **options):
        with served(folder, isolated) as address:
            context = chromium.new_context(**{"locale": "en-GB", **options})
            context.set_default_timeout(120_000)  # two cores may be shared with other work
            context.on("request", lambda request: asked.append(request.url))
            context.on("weberror", lambda failure: failures.append(str(failure.error)))
            page = context.new_page()
            if prepare:
                prepare(page)
            page.goto(address)
            page.evaluate(LISTEN)
            opened.append(urlsplit(address).netloc)
            yield page
            context.close()

    opening.asked = asked
    yield opening
    hosts = {urlsplit(url.removeprefix("blob:")).netloc for url in asked}
    assert asked and hosts <= set(opened)
    assert not failures


@needs_browser
def test_scores_and_heatmaps_are_those_of_python(visit, twins):
    detector = Detector(default_model(), threads=1, recheck=False)
    with visit() as page:
        for name, data in {**twins, **pictures()}.items():
            found = given(page, data, name)
            assert not isinstance(found, str), (name, found)
            assert_alike(found, data, detector)


@needs_browser
def test_the_test_vectors_are_passed(visit):
    folder = ROOT / "clients" / "testvectors"
    vectors = json.loads((folder / "vectors.json").read_text())
    near = vectors["tolerance"]["score"]
    with visit() as page:
        page.set_default_timeout(400_000)  # one has 24 megapixels
        for vector in vectors["vectors"]:
            name = vector["file"]
            found = given(page, (folder / name).read_bytes(), name)
            assert found.score == pytest.approx(vector["score"], abs=near), name
            assert (found.band, bool(found.held)) == (vector["verdict"], vector["held_back"])
            assert found.heatmap.mean() == pytest.approx(vector["heatmap"]["mean"], abs=near)


@needs_browser
def test_the_packaged_model_says_what_it_promises(visit, twins):
    with visit() as page:
        found, info = given(page, twins["doctored"]), Detector(default_model()).info
        told = page.inner_text("#result")
        assert f"{found.score:.3f}" in told and "never proof" in told
        assert f"review from {info['review_threshold']:.3f}" in told
        assert f"AUC of {info['metrics']['image_auc']['value']:.2f}" in told
        more = info["certificate"]["flag"]["more_photos"]
        never = f"This model never flags: {more} more photos"
        assert (never in told) == (info["threshold"] > 1)


@needs_browser
def test_the_heatmap_lies_over_the_photo(visit, flagging):
    half = np.full((300, 400, 3), 20, np.uint8)
    half[:, :200] = 230
    with visit(flagging) as page:
        assert len(given(page, encoded(half, "PNG")).regions) == 1
        heat, shown = (page.locator(name).bounding_box() for name in ("#heat", "#photo"))
        assert heat == pytest.approx(shown, abs=1)
        page.locator("#outline").uncheck()
        views = []
        for opacity in (100, 0):
            page.locator("#opacity").fill(str(opacity))
            view = images.read(page.locator("#stack").screenshot()).astype(int)
            views.append(
                [
                    view[20:-20, side].mean(axis=(0, 1))
                    for side in (slice(20, 180), slice(-180, -20))
                ]
            )
        (warm, calm), (bare, dark) = views
        assert warm[0] - warm[1] > 80, "red over the bright half"
        assert np.ptp(bare) < 3 and bare.mean() == pytest.approx(230, abs=3)
        assert calm == pytest.approx(dark, abs=3)


@needs_browser
def test_a_model_that_may_flag_flags(visit, flagging):
    with visit(flagging) as page:
        for value, band in ((90, "pass"), (120, "review"), (240, "flag")):
            found = given(page, encoded(np.full((80, 90, 3), value, np.uint8), "PNG"))
            assert (found.band, found.held) == (band, "")
        told = page.inner_text("#result")
        assert "At most 5.0\u00a0% of honest photos" in told and "never flags" not in told
        small = given(page, encoded(np.full((60, 90, 3), 240, np.uint8), "PNG"))
        large = given(page, encoded(np.full((1500, 1400), 240, np.uint8), "PNG"))
        assert [(f.band, f.held) for f in (small, large)] == [
            ("review", "small"),
            ("review", "large"),
        ]


@needs_browser
def test_what_cannot_be_scored_gets_one_clear_sentence(visit, twins):
    jpeg = encoded(photo(), "JPEG", quality=85)
    bad = {
        "is not a photo": [b"not a picture", b"<svg xmlns='x'/>", b"%PDF-1.7 " + bytes(99)],
        "is empty": [b""],
        "damaged or incomplete": [jpeg[: len(jpeg) // 2], jpeg[:60], twins["doctored"][:3000]],
        "cannot open HEIC": [bytes(4) + b"ftypheic" + bytes(200), encoded(photo(), "TIFF")],
        "6001 × 4000 pixels, more than 24 megapixels": [
            encoded(Image.new("1", (6001, 4000)), "PNG"),
        ],
    }
    with visit() as page:
        for sentence, files in bad.items():
            for data in files:
                told = given(page, data, "claim.jpg")
                assert isinstance(told, str) and told.startswith("claim.jpg: "), told
                assert sentence in told
        assert given(page, jpeg).width == 210  # the page goes on


@needs_browser
def test_a_photo_may_be_dropped_pasted_cancelled_or_replaced(visit):
    small, large = (encoded(photo(*shape), "PNG") for shape in ((150, 210), (1200, 1600)))
    throw = """([data, kind]) => {
      const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0))
      const moved = new DataTransfer()
      moved.items.add(new File([bytes], 'thrown.png'))
      const about = { bubbles: true, cancelable: true, dataTransfer: moved, clipboardData: moved }
      const event = kind === 'drop' ? new DragEvent(kind, about) : new ClipboardEvent(kind, about)
      return document.getElementById('drop').dispatchEvent(event)
    }"""
    with visit() as page:
        for kind in ("drop", "paste"):
            page.evaluate(throw, [base64.b64encode(small).decode(), kind])
            assert (settled(page).width, page.get_attribute("#photo", "aria-label")[:16]) == (
                210, "Photo thrown.png",
            )  # fmt: skip
        file = {"name": "large.png", "mimeType": "", "buffer": large}
        page.set_input_files("#file", file)
        page.wait_for_selector("text=Looking at 1600 × 1200 pixels")
        page.click("#cancel")
        assert page.inner_text("#status") == "Stopped." and not page.is_visible("#cancel")
        page.set_input_files("#file", file)
        page.wait_for_selector("text=Looking at 1600 × 1200 pixels")
        assert given(page, small).width == 210
        assert len(page.evaluate("window.heard")) == 3, "a photo given up on says nothing"


@needs_browser
def test_everything_is_reached_by_keyboard(visit):
    with visit() as page:
        seen = []
        for _ in range(2):
            page.keyboard.press("Tab")
            seen.append(page.evaluate("document.activeElement.id"))
        assert seen == ["language", "file"]
        ring = page.evaluate("getComputedStyle(document.getElementById('drop')).outlineStyle")
        assert ring == "solid", "focus must be seen"
        page.evaluate("document.addEventListener('click', (e) => (window.clicked = e.target.id))")
        page.keyboard.press(
            "Enter"
        )  # a click that opens the browser's dialogue, not seen from here
        assert page.evaluate("window.clicked") == "file"
        assert given(page, encoded(photo(), "PNG")).width == 210
        assert page.evaluate("document.activeElement.id") == "result"
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowLeft")
        assert page.evaluate("getComputedStyle(document.getElementById('heat')).opacity") == "0.59"
        page.keyboard.press("Tab")
        page.keyboard.press("Space")
        assert not page.is_visible("#regions")
        page.focus("#language")
        page.keyboard.press("Enter")
        assert page.evaluate("document.documentElement.lang") == "zh-CN"
        assert re.search("通过|复核|标记", page.inner_text("#band"))


@needs_browser
def test_a_phone_shows_all_of_it_in_its_language(visit, twins):
    phone = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
    with visit(**phone, locale="zh-CN") as page:
        assert given(page, twins["doctored"]).width == 560
        assert page.inner_text("h1") == "这张照片的像素说明了什么？"
        page.click("#about summary")
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        for name in ("#drop", "#result", "#stack", "#opacity", "#facts", "#language"):
            box = page.locator(name).bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= 360, name


@needs_browser
def test_nothing_leaves_the_machine(visit):
    ask = "(url) => fetch(url).then(() => 'answered', (error) => `refused: ${error}`)"
    with visit() as page, served(ROOT / "docs") as other:
        assert given(page, encoded(photo(), "PNG")).width == 210
        (worker,) = page.workers
        for place in (page, worker):
            assert place.evaluate(ask, other + "LOG.md").startswith("refused")
            assert place.evaluate(ask, page.url + "index.html") == "answered", "own files are open"
        assert visit.asked.count(page.url + "index.html") == 2, "what workers ask for is recorded"
        page.context.set_offline(True)
        assert given(page, encoded(photo(151, 210), "PNG")).height == 151
        refused = [url for url in visit.asked if url.startswith(other)]
        visit.asked[:] = [url for url in visit.asked if url not in refused]


@needs_browser
def test_threads_are_used_where_the_site_is_isolated(visit):
    with visit(isolated=True) as page:
        data = encoded(photo(), "PNG")
        assert_alike(given(page, data), data, Detector(default_model(), threads=1, recheck=False))
        page.click("#about summary")
        assert f"threads: {min(4, os.cpu_count() or 1)}" in page.inner_text("#facts")


@needs_browser
@pytest.mark.parametrize(
    ("pattern", "answer", "sentence"),
    [
        ("**/*.onnx", lambda route: route.fulfill(status=404), "file of this page is missing"),
        ("**/*.json", lambda route: route.abort(), "file of this page is missing"),
        ("**/*.wasm", lambda route: route.fulfill(status=404), "file of this page is missing"),
        ("**/*.onnx", altered(lambda body: body[:-1] + b"x"), "do not belong together"),
        ("**/*.json", altered(lambda body: b"<!doctype html>"), "do not belong together"),
        ("**/*.json", altered(lambda body: body.replace(b'"format": 1', b'"format": 2')), "newer"),
    ],
)
def test_a_missing_or_foreign_model_is_named(visit, pattern, answer, sentence):
    with visit(prepare=lambda page: page.route(pattern, answer)) as page:
        assert sentence in settled(page)
        assert sentence in given(page, encoded(photo(), "PNG"))

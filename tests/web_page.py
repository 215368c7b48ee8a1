"""The page of clients/web from a test's side: serving, opening, asking, comparing."""

import base64
import functools
import http.server
import re
import shutil
import subprocess
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT, encoded, photo
from PIL import Image

WEB = ROOT / "clients" / "web"
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
OPTIONS = ("--no-sandbox", "--disable-background-networking", "--disable-component-update")
LISTEN = """() => {
  window.heard = []
  document.addEventListener('damagenet:result', ({ detail: { heatmap, ...rest } }) => {
    const bytes = new Uint8Array(heatmap.data.buffer)
    let text = ''
    for (let i = 0; i < bytes.length; i += 32768)
      text += String.fromCharCode(...bytes.subarray(i, i + 32768))
    const { score, band, held, exact, regions } = rest
    const { width, height } = heatmap
    window.heard.push({ score, band, held, exact, regions, width, height, heatmap: btoa(text) })
  })
}"""


def missing():
    """Why the page cannot be built and opened here, else an empty string."""
    if not BROWSER:
        return "no Chromium: apt-get install chromium"
    if not shutil.which("node") or not shutil.which("npm"):
        return "no Node: apt-get install nodejs npm"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout
    if tuple(int(n) for n in re.findall(r"\d+", version)[:2]) < (20, 19):
        return f"Node 20.19 or newer is needed to build the page, this is {version.strip()}"
    return ""


def needs_browser(test):
    return pytest.mark.slow(pytest.mark.skipif(bool(missing()), reason=missing())(test))


def exif(orientation):
    tags = Image.Exif()
    tags[0x112] = orientation
    return tags.tobytes()


def pictures():
    """Name -> file: what a page can be given, small enough to score in a second."""
    whole = photo()
    fade = np.linspace(0, 255, whole.shape[1]).astype(np.uint8)
    clear = np.dstack([whole, np.broadcast_to(fade, whole.shape[:2])])
    return {
        "plain.png": encoded(whole, "PNG"),
        "turned.jpg": encoded(whole, "JPEG", quality=85, exif=exif(6)),
        "mirrored.jpg": encoded(whole, "JPEG", quality=90, exif=exif(5), progressive=True),
        "alpha.png": encoded(clear, "PNG"),
        "grey.jpg": encoded(whole[..., 1], "JPEG", quality=80),
        "cmyk.jpg": encoded(Image.fromarray(whole).convert("CMYK"), "JPEG", quality=90),
        "palette.png": encoded(Image.fromarray(whole).quantize(40), "PNG"),
        "lossy.webp": encoded(whole, "WEBP", quality=80),
        "photo.avif": encoded(whole, "AVIF", quality=80),
        "really.png.jpg": encoded(whole, "PNG"),
        "tiny.png": encoded(whole[:40, :50], "PNG"),
        "narrow.png": encoded(np.ascontiguousarray(whole[:, :9]), "PNG"),
    }


@contextmanager
def served(folder, isolated=False):
    """The address of a folder on this machine; `isolated` sends what threads ask for."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def end_headers(self):
            if isolated:
                self.send_header("Cross-Origin-Opener-Policy", "same-origin")
                self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
            super().end_headers()

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def settled(page):
    """Wait until the page has an answer: the result or the complaint."""
    page.wait_for_selector("#result:not([hidden]), #trouble:not([hidden])")
    if page.is_visible("#trouble"):
        return page.inner_text("#trouble")
    found = page.evaluate("window.heard.at(-1)")
    heat = np.frombuffer(base64.b64decode(found.pop("heatmap")), np.float32)
    return SimpleNamespace(**found, heatmap=heat.reshape(found["height"], found["width"]))


def given(page, data, name="photo.png"):
    """Choose a file; the page's answer."""
    page.set_input_files("#file", {"name": name, "mimeType": "", "buffer": data})
    return settled(page)


def assert_alike(found, data, detector):
    wanted = detector(data)
    assert (found.band, found.exact) == (wanted.verdict, True)
    assert found.score == pytest.approx(wanted.score, abs=1e-3)
    assert found.heatmap.shape == wanted.heatmap.shape
    np.testing.assert_allclose(found.heatmap, wanted.heatmap, atol=1e-3)
    assert bool(found.held) == bool(wanted.note)
    assert len(found.regions) == len(wanted.regions)
    for one, other in zip(found.regions, wanted.regions, strict=True):
        sides = [one[side] for side in ("x", "y", "width", "height")]
        assert sides == pytest.approx([other.x, other.y, other.width, other.height], abs=2)
        assert one["score"] == pytest.approx(other.score, abs=1e-2)


def altered(change):
    """A handler that answers with `change(body)` of what the server has."""

    def answer(route):
        body = route.fetch().body()
        route.fulfill(body=change(body))

    return answer

"""JupyterLab in headless Chromium from a test's side: serving, running all cells, asking."""

import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from urllib.error import URLError
from urllib.request import urlopen

from conftest import ROOT
from web_page import BROWSER, OPTIONS

TOKEN = "a-test"
SETTINGS = {  # no questions about news, a kernel at once, and no cell that waits to be scrolled to
    "apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
    "notebook-extension/tracker": '{"autoStartDefaultKernel": true, "windowingMode": "none"}',
}
RUN_ALL = """async () => {
  const notebook = jupyterapp.shell.currentWidget
  await notebook.context.ready
  await notebook.sessionContext.ready
  await jupyterapp.commands.execute('notebook:run-all-cells')
  const cells = notebook.content.widgets.filter(cell => cell.model.type === 'code')
  return cells.map(cell => ({
    count: cell.model.executionCount,
    outputs: cell.model.outputs.toJSON().map(one => (
      {type: one.output_type, error: one.ename && `${one.ename}: ${one.evalue}`,
       mimes: Object.keys(one.data ?? {})}))}))
}"""

SHOWN = """async ([index, other]) => {
  const image = document.querySelectorAll('img.widget-image')[index]
  const bytes = new Uint8Array(await (await fetch(image.src)).arrayBuffer())
  let text = ''
  for (let i = 0; i < bytes.length; i += 32768)
    text += String.fromCharCode(...bytes.subarray(i, i + 32768))
  const told = [...document.querySelectorAll('.widget-html [role="status"]')]
  const busy = told.some(one => one.textContent.includes('drawing'))
  const idle = jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'
  return idle && !busy && btoa(text) !== other && btoa(text)
}"""


def command():
    """What `make lab` starts, with the Python of these tests."""
    said = subprocess.run(["make", "-n", "lab"], cwd=ROOT, capture_output=True, text=True).stdout
    line = next(line for line in said.splitlines() if "jupyter lab" in line)
    return [sys.executable, "-m", *line.split("/bin/")[-1].split()]


@contextmanager
def served(folder):
    """The address of a workbench started in a folder as `make lab` does, on this machine only."""
    settings = folder / "settings"
    for name, text in SETTINGS.items():
        file = settings / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [
        "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
        "--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}",
        "--LabApp.expose_app_in_browser=True", f"--LabApp.user_settings_dir={settings}",
        f"--LabApp.workspaces_dir={folder / 'workspaces'}",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    with (folder / "lab.log").open("w") as log:
        server = subprocess.Popen([*command(), *options], cwd=folder, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                urlopen(f"{address}/api?token={TOKEN}").close()
                break
            except URLError:
                said = (folder / "lab.log").read_text()
                assert server.poll() is None and time.monotonic() < deadline, said
                time.sleep(0.3)
        yield address
    finally:
        server.send_signal(signal.SIGTERM)  # ends its kernels, too
        server.wait(60)


@contextmanager
def opened():
    """A page of a browser; fails when it asked any other machine for something."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=list(OPTIONS))
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(150_000)  # a busy machine starts kernels slowly
        foreign = []
        page.on("request", lambda one: foreign.append(one.url) if not at_home(one.url) else None)
        yield page
        browser.close()
        assert not foreign


def at_home(url):
    return re.match(r"(https?|wss?)://127\.0\.0\.1[:/]|(data|blob|about):", url)


def missing():
    """Why notebooks cannot be opened here, else an empty string."""
    if not BROWSER:
        return "no Chromium: apt-get install chromium"
    return "" if shutil.which("make") else "no make: apt-get install make"


def run_all(page, address, name):
    """Open a notebook and run all cells; an error of a cell is one of the test."""
    page.goto(f"{address}/lab/tree/notebooks/{name}.ipynb?token={TOKEN}&reset")
    page.wait_for_function(
        "name => window.jupyterapp?.shell.currentWidget?.title?.label === name && "
        "jupyterapp.shell.currentWidget.sessionContext?.session?.kernel?.status === 'idle'",
        arg=f"{name}.ipynb",
    )
    cells = page.evaluate(RUN_ALL)
    outputs = [one for cell in cells for one in cell["outputs"]]
    errors = [one["error"] for one in outputs if one["type"] == "error"]
    counts = [cell["count"] for cell in cells]
    assert not errors and counts == list(range(1, len(cells) + 1)), (errors, counts)
    return [mime for one in outputs for mime in one["mimes"]]


def slider(page, label):
    """The handle of a slider, which takes keys."""
    return page.locator(f'.widget-slider:has(label:text-is("{label}")) .noUi-handle')


def dragged(page, label, share):
    """Move a slider by a share of its length."""
    handle = slider(page, label)
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    long = page.locator(f'.widget-slider:has(label:text-is("{label}")) .noUi-base').bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + share * long["width"], y, steps=4)
    page.mouse.up()


def picture(page, index, other_than=""):
    """A picture of a panel at rest, its bytes in base 64; waits until they differ from others."""
    return page.wait_for_function(SHOWN, arg=[index, other_than]).json_value()


def says(page, text):
    """Wait until the status of a panel holds a text; a panel at work says only that it is."""
    page.locator('.widget-html [role="status"]').filter(has_text=text).wait_for()


def shut(page, shot):
    """Keep a picture of the panel; end the kernel and drop the outputs."""
    page.set_viewport_size({"width": 1280, "height": 2000})
    page.locator(".jp-OutputArea-output .widget-vbox").first.screenshot(path=shot)
    page.set_viewport_size({"width": 1280, "height": 1000})
    page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    page.evaluate("jupyterapp.shell.currentWidget.context.revert()")

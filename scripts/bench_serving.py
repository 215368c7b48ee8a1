"""Load on the server of docs/serving.md: requests a second and latency, on loopback.

    python scripts/bench_serving.py

Starts the document's own example in an empty folder and sends one 512-pixel JPEG photo again and
again from 1, 2 and 4 clients, 60 requests each time; a 429 is sent again after a short wait.
"""

import contextlib
import http.client
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

ROOT = Path(__file__).parents[1]
REQUESTS = 60


@contextlib.contextmanager
def server(folder: Path, model: Path | None = None) -> Iterator[int]:
    """The document's example at work in `folder`, which is its TMPDIR, too; gives its port."""
    text = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.S)
    (folder / "serve.py").write_text(code, encoding="utf-8")
    environment = os.environ | {"TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    if model:
        environment["DAMAGENET_MODEL"] = str(model)
    line = [sys.executable, "-m", "uvicorn", "serve:app", "--host", "127.0.0.1", "--port", "0"]
    process = subprocess.Popen(
        [*line, "--limit-concurrency", "32", "--no-access-log"],
        cwd=folder, env=environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        said = ""
        for said_now in process.stderr:
            said += said_now
            if found := re.search(r"running on http://127\.0\.0\.1:(\d+)", said):
                break
        else:
            raise RuntimeError(f"the server did not start:\n{said}")
        yield int(found[1])
    finally:
        process.terminate()
        process.communicate(timeout=60)


def send(port: int, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Status and body of one answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("POST", "/score", body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def load(port: int, body: bytes, clients: int) -> str:
    """One row of the table: throughput, median and 95th percentile, refusals."""
    seconds: list[float] = []
    refused: list[int] = []

    def client() -> None:
        for _ in range(REQUESTS // clients):
            start = time.perf_counter()
            while (status := send(port, body)[0]) == 429:
                refused.append(status)
                time.sleep(0.05)
            assert status == 200, status
            seconds.append(time.perf_counter() - start)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = len(seconds) / (time.perf_counter() - start)
    middle, high = np.percentile(seconds, [50, 95])
    return f"| {clients} | {rate:.1f} | {middle:.2f} s | {high:.2f} s | {len(refused)} |"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as port:
        photo = Path(folder) / "photo.jpg"
        picture = Image.fromarray(skimage.data.coffee()).resize((512, 341))
        picture.save(photo, quality=90)
        body = photo.read_bytes()
        send(port, body)
        print("| clients | photos a second | median | 95 % | answers 429 |\n|---|---|---|---|---|")
        for clients in (1, 2, 4):
            print(load(port, body, clients), flush=True)


if __name__ == "__main__":
    main()

"""What the sources of clients/web promise, without a browser."""

import base64
import hashlib
import io
import json
import re

from web_page import WEB

from damagenet import images


def test_the_self_check_holds_what_python_reads():
    source = (WEB / "src" / "selfcheck.js").read_text()
    data = base64.b64decode("".join(re.findall(r"^  '([\w+/=]+)'", source, re.M)))
    pixels = images.read(io.BytesIO(data))
    assert hashlib.sha256(pixels.tobytes()).hexdigest() in source


def test_both_languages_say_everything_and_accuse_nobody():
    source = (WEB / "src" / "words.js").read_text("utf-8")
    english, chinese = source.split("\n  zh: {")
    keys = [re.findall(r"^ +(\w+):", part, re.M) for part in (english, chinese)]
    assert keys[0][1:] == keys[1] and len(keys[1]) > 40
    text = source + (WEB / "index.html").read_text("utf-8")
    assert not re.search("fraud|fake|forge|cheat|欺诈|造假|伪造|诈骗", text, re.I)


def test_the_lock_names_no_host_and_every_hash():
    packages = json.loads((WEB / "package-lock.json").read_text())["packages"]
    assert "://" not in (WEB / "package-lock.json").read_text()
    assert all("integrity" in about for name, about in packages.items() if name)

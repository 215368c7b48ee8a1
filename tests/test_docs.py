"""What the documents say is so: links lead somewhere, commands parse, and blocks of `sh` run.

Every fenced block whose language is `sh` is run, in the order of its page, in a folder that holds
what a reader would have: the repository's folders, `my_photos/`, `returns/`, `shop/`, `claims/`,
`inbox/`, `claim.jpg`, `shop.jpg`, `claims.csv`. Blocks of no language are illustrations; their
commands still have to parse.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT

from damagenet import cli

SKIPPED = re.compile(r"/(node_modules|dist|\.\w+)/")
PAGES = sorted(
    path for pattern in ("*.md", "docs/**/*.md", "data/*.md", "clients/**/*.md")
    for path in ROOT.glob(pattern) if not SKIPPED.search(str(path))
)  # fmt: skip
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
COMMAND = re.compile(r"(?:^|&& |\| |\$ )\s*(?:\S*/)?damagenet ([a-z][^|>&`\n]*)", re.M)
START = r"\S*(damagenet|make) "
QUICK = {
    "build": {"long_side": 160, "variants": 1},
    "train": {"steps": 12, "eval_every": 6, "workers": 0, "crop": 32, "pairs": 4, "ramp": 0},
    "evaluate": {"resamples": 20},
}
"""Laid over every config, so that a page runs in a minute; commands stay as they are written."""


def named(path):
    return str(path.relative_to(ROOT))


def blocks(path, *languages):
    text = path.read_text(encoding="utf-8")
    return [body for language, body in BLOCK.findall(text) if language in languages]


def anchor(title):
    """The name that GitHub and the site give a heading."""
    plain = re.sub(r"[`*]|\]\([^)]*\)|\[", "", title).strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_links_lead_to_files_and_headings(path):
    text = BLOCK.sub("", path.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        place, _, heading = link.partition("#")
        if "://" in link:
            continue
        target = path.parent / place if place else path
        assert target.exists(), link
        if heading and target.suffix == ".md":
            titles = target.read_text(encoding="utf-8")
            found = {anchor(title) for title in re.findall(r"^#+ (.+)$", titles, re.M)}
            assert heading in found | set(re.findall(r"^\((.+)\)=$", titles, re.M)), link


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_commands_parse(path):
    text = path.read_text(encoding="utf-8")
    inline = [span for span in re.findall(r"`(damagenet [^`\n]+)`", text) if " " in span[10:]]
    for body in [*blocks(path, "", "sh"), *inline]:
        for line in COMMAND.findall(body.replace("\\\n", " ")):
            words = shlex.split(line, comments=True)
            if {"…", "STAGE"} & set(words) or words[-1].endswith(":"):
                continue
            args, rest = cli.parser().parse_known_args(words)
            assert args.stage in cli.STAGES and all("=" in word for word in rest), line


def test_the_two_readmes_say_the_same():
    """The same commands and pictures in the same order, and the same figures in the results."""
    said = []
    for name in ("README.md", "README.zh.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        lines = "".join(blocks(ROOT / name, "", "sh")).splitlines()
        commands = [line.partition(" #")[0].strip() for line in lines if re.match(START, line)]
        table = re.findall(r"^\|.*\d.*\|$", text, re.M)
        numbers = sorted(re.findall(r"\d+(?:[.,]\d+)*", re.sub(r"\]\([^)]*\)", "", text)))
        said.append((commands, [re.findall(r"[\d.]+", row) for row in table],
                     re.findall(r"!\[[^]]*\]\((.+?)\)", text), numbers))  # fmt: skip
    english, chinese = said
    assert english[0] and english[1] and english[2]
    assert english[:3] == chinese[:3]
    assert english[3] == chinese[3], set(english[3]) ^ set(chinese[3])


@pytest.fixture
def desk(tmp_path):
    """A folder as a reader of the documents has it, and the environment to run commands in."""
    for name in ("data", "docs", "clients", "scripts", "src", "notebooks"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "configs").mkdir()
    for path in (ROOT / "configs").glob("*.yaml"):
        values = yaml.safe_load(path.read_text())
        for section, change in QUICK.items():
            values[section] = values.get(section, {}) | change
        values["build"]["families"] = ["ae_nearest", "ae_transposed", "ae_shuffle"]
        values["build"]["holdout_family"] = "ae_shuffle"
        (tmp_path / "configs" / path.name).write_text(yaml.safe_dump(values))
    renders = ROOT / "data" / "samples" / "renders"
    shots = sorted(renders.glob("*/*.jpg"))
    for folder, kept in {"my_photos": shots[6:], "returns": shots[:6], "shop": shots[:6],
                         "claims": shots[:2], "inbox": shots[2:3]}.items():  # fmt: skip
        for shot in kept:
            place = tmp_path / folder / shot.parent.name
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(shot, place if folder != "inbox" else place.parent)
    shutil.copy(renders / "mug" / "mug_01_a.jpg", tmp_path / "shop.jpg")
    shutil.copy(renders / "mug" / "mug_01_b.jpg", tmp_path / "claim.jpg")
    (tmp_path / "claims.csv").write_text("claim_id,photos,listing,photo\n"
                                         "1,claim.jpg,shop.jpg,claim.jpg\n")  # fmt: skip
    tools = tmp_path / ".venv" / "bin"
    tools.mkdir(parents=True)
    for name, line in {"damagenet": "-m damagenet", "python": ""}.items():
        (tools / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {line} "$@"\n')
        (tools / name).chmod(0o755)
    paths = os.pathsep.join([str(tools), os.environ["PATH"]])
    return tmp_path, os.environ | {"PATH": paths, "PYTHONPATH": str(ROOT / "src")}


RUN = [p for p in PAGES if blocks(p, "sh") and p.name != "README.zh.md"]  # README.md's, as tested


@pytest.mark.slow
@pytest.mark.parametrize("path", RUN, ids=named)
def test_the_blocks_of_a_page_run_in_their_order(path, desk):
    folder, environment = desk
    for number, body in enumerate(blocks(path, "sh"), 1):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", body], cwd=folder, env=environment,
            capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, f"block {number}:\n{body}\n{done.stderr[-2000:]}"


def test_the_pages_that_teach_have_blocks_that_run():
    pages = "README docs/tutorial docs/scoring docs/compare docs/review data/README CONTRIBUTING"
    assert {f"{page}.md" for page in pages.split()} <= {named(path) for path in RUN}

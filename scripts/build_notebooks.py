"""Build notebooks/*.ipynb from the .py beside each: no outputs, stable cell ids.

    python scripts/build_notebooks.py            # write them
    python scripts/build_notebooks.py --check    # exit 1 when one is not what its .py gives

The .py is the source, in percent format; edit that one. Content decides, never file times, which
mean nothing after a checkout. What all notebooks share is added here: badges below the title, and
the first cell, which makes Colab and Kaggle ready. The READMEs get the badges of the first one.
The repository's address stands in pyproject.toml alone.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
READMES = (ROOT / "README.md", ROOT / "README.zh.md")
URL = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


HOSTS = {
    "Colab": "https://colab.research.google.com/github/{}",
    "Kaggle": "https://kaggle.com/kernels/welcome?src=https://github.com/{}",
}
BADGES = re.compile(r"^\[!\[Open in .*$", re.M)
FIRST = f"""\
# Colab and Kaggle get what they lack; at home this only says where you are (docs/gpu.md).
import importlib.util, os, sys
if not importlib.util.find_spec("damagenet"):
    src = "../src" if os.path.isdir("../src/damagenet") else "damagenet-lab/src"
    ![ -d {{src}} ] || git clone -q --depth 1 {URL} damagenet-lab
    sys.path.insert(0, os.path.abspath(src))
from damagenet import host
host.start(drive=False)  # on Colab, True keeps your runs in your Google Drive"""


def badges(name: str, images: str) -> str:
    """Links that open a notebook on each host; the pictures are the project's own."""
    path = URL.removeprefix("https://github.com/") + f"/blob/main/notebooks/{name}.ipynb"
    return " ".join(
        f"[![Open in {host}]({images}/open-in-{host.lower()}.svg)]({link.format(path)})"
        for host, link in HOSTS.items()
    )


def readme(path: Path) -> str:
    """A README with the badges of the first notebook."""
    line = badges("01_products", "docs/images")
    return BADGES.sub(lambda _: line, path.read_text(encoding="utf-8"))


def built(source: Path) -> NotebookNode:
    """The notebook that a source gives; the same source gives the same notebook."""
    notebook = jupytext.read(source)
    notebook.metadata = NotebookNode(kernelspec=NotebookNode(KERNEL))
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    title, rest = notebook.cells[0].source.split("\n", 1)
    notebook.cells[0].source = f"{title}\n\n{badges(source.stem, '../docs/images')}\n{rest}"
    first = nbformat.v4.new_code_cell(FIRST, metadata={"tags": ["bootstrap"]})
    notebook.cells.insert(1, first)
    for number, cell in enumerate(notebook.cells):
        tags = cell.metadata.get("tags")
        cell.metadata = NotebookNode({"tags": tags} if tags else {})
        cell.id = f"cell-{number:02d}"
    nbformat.validate(notebook)
    return notebook


def outdated(folder: Path = FOLDER) -> list[str]:
    """What is wrong with the notebooks of a folder, one line each."""
    wrong = []
    sources = sorted(folder.glob("*.py"))
    for target in sorted(folder.glob("*.ipynb")):
        if target.with_suffix(".py") not in sources:
            wrong.append(f"{target}: has no .py beside it; delete one or write the other")
    for source in sources:
        target = source.with_suffix(".ipynb")
        if not target.is_file():
            wrong.append(f"{target}: missing")
        elif nbformat.read(target, as_version=4) != built(source):
            wrong.append(f"{target}: differs from {source.name}, or holds outputs")
    return wrong


def main() -> int:
    """Build or check; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 on differences")
    if parser.parse_args().check:
        wrong = outdated()
        wrong += [
            f"{path}: its badges name another address than pyproject.toml"
            for path in READMES
            if path.read_text(encoding="utf-8") != readme(path)
        ]
        for line in wrong:
            print(line, file=sys.stderr)
        if wrong:
            print("edit the .py, then: python scripts/build_notebooks.py", file=sys.stderr)
        return 1 if wrong else 0
    for source in sorted(FOLDER.glob("*.py")):
        nbformat.write(built(source), source.with_suffix(".ipynb"))
        print(source.with_suffix(".ipynb").relative_to(ROOT))
    for path in READMES:
        path.write_text(readme(path), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Build notebooks/*.ipynb from the .py beside each: no outputs, stable cell ids.

    python scripts/build_notebooks.py            # write them
    python scripts/build_notebooks.py --check    # exit 1 when one is not what its .py gives

The .py is the source, in percent format; edit that one. Content decides, never file times, which
mean nothing after a checkout.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

FOLDER = Path(__file__).parents[1] / "notebooks"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def built(source: Path) -> NotebookNode:
    """The notebook that a source gives; the same source gives the same notebook."""
    notebook = jupytext.read(source)
    notebook.metadata = NotebookNode(kernelspec=NotebookNode(KERNEL))
    notebook.nbformat, notebook.nbformat_minor = 4, 5
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
        for line in wrong:
            print(line, file=sys.stderr)
        if wrong:
            print("edit the .py, then: python scripts/build_notebooks.py", file=sys.stderr)
        return 1 if wrong else 0
    for source in sorted(FOLDER.glob("*.py")):
        nbformat.write(built(source), source.with_suffix(".ipynb"))
        print(source.with_suffix(".ipynb").relative_to(FOLDER.parent))
    return 0


if __name__ == "__main__":
    sys.exit(main())

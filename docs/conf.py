"""How `make docs` builds the site: the documents where they lie, and the code's own docstrings.

The source folder is the repository, so that a link works here as it does on GitHub.
"""

import argparse
import os
from typing import Any

os.environ["COLUMNS"] = "92"  # argparse wraps help texts to the terminal

import damagenet
from damagenet import cli

project = "damagenet"
author = "the damagenet authors"
copyright = author
release = version = damagenet.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md", "data/*.md", "clients/**.md"]
exclude_patterns = [".*", "runs", "site", "src", "tests", "**/node_modules", "**/weights"]

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "fieldlist"]
default_role = "code"  # docstrings put names into single backticks
highlight_language = "none"  # a block without a language is an illustration

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_type_aliases = {
    name: name for name in ("Array", "Floats", "Image", "Ints", "Map", "Mask", "Matrix", "Points")
}
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes as one list

html_theme = "furo"
html_title = "damagenet"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_additional_pages = {"index": "start.html"}
templates_path = ["templates"]


def _commands(app: Any, name: str, source: list[str]) -> None:  # noqa: ANN401 - Sphinx's own
    """The page of commands ends with what each says with `--help`."""
    if name != "docs/reference/commands":
        return
    (stages,) = (
        action for action in cli.parser()._actions if isinstance(action, argparse._SubParsersAction)
    )
    for stage, one in stages.choices.items():
        text = one.format_help().replace(cli.EXIT, "").strip()  # said once, above
        source[0] += f"\n## {stage}\n\n```text\n{text}\n```\n"


def setup(app: Any) -> None:  # noqa: ANN401
    """Hook the page of commands in."""
    app.connect("source-read", _commands)

"""Shell completion: a script made from the parser, so that it never falls behind."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

SHELLS = ("bash", "zsh")


class PrintCompletion(argparse.Action):
    """The option `--print-completion SHELL`: print the script and leave."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
        values: str | Sequence[object] | None, option_string: str | None = None,
    ) -> None:  # fmt: skip
        """Print; leave with 2 where shtab is not installed."""
        try:
            import shtab
        except ImportError:
            parser.error("--print-completion needs shtab: pip install 'damagenet[completion]'")
        for action in _actions(parser):
            if action.metavar in ("FILE", "DIR", "RUN", "DATASET", "PHOTO", "CONFIG", "RUNS_DIR"):
                action.complete = shtab.FILE  # type: ignore[attr-defined]
        print(shtab.complete(parser, str(values)))
        parser.exit()


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                yield from _actions(sub)

"""Every sentence of a report, in English and Chinese, by a stable code (`messages.yaml`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

LANGUAGES = ("en", "zh")


@dataclass(frozen=True)
class Message:
    """Something to say: a code of `messages.yaml` and what its text is filled with.

    Attributes:
        code: Stable, for programs.
        params: Numbers and texts that JSON can hold. A text that differs by language is a
            `{"en": ..., "zh": ...}`.
    """

    code: str
    params: Mapping[str, Any] = field(default_factory=dict)

    def text(self, language: str = "en") -> str:
        """The sentence in one of `LANGUAGES`, not yet escaped."""
        words = {k: v[language] if isinstance(v, Mapping) else v for k, v in self.params.items()}
        return table()[self.code][LANGUAGES.index(language)].format(**words)

    def record(self) -> dict[str, Any]:
        """As JSON, with the English text."""
        return {"code": self.code, "params": dict(self.params), "text": self.text()}


def say(code: str, **params: Any) -> Message:  # noqa: ANN401 - whatever the text is filled with
    """A message with its parameters."""
    return Message(code, params)


def known(kind: str, name: str) -> Message | None:
    """The message `KIND_NAME`, such as the name of a finding; None for a name without one."""
    code = f"{kind}_{name}"
    return Message(code) if code in table() else None


@cache
def table() -> dict[str, tuple[str, str]]:
    """English and Chinese text of every code."""
    import yaml

    path = Path(__file__).with_name("messages.yaml")
    rows = yaml.safe_load(path.read_text("utf-8"))
    return {code: (texts[0], texts[1]) for code, texts in rows.items()}

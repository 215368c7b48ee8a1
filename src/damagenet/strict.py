"""Dataclasses from plain values and back, strictly: unknown keys and wrong types are errors."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import json
import math
from collections.abc import Mapping
from typing import Any, get_args, get_origin, get_type_hints

import yaml

from damagenet import BadInput


def from_dict(kind: type, values: Mapping[str, Any], where: str, prefix: str = "") -> Any:  # noqa: ANN401
    """Build a config dataclass from nested mappings, strictly."""
    hints = get_type_hints(kind)
    result: dict[str, Any] = {}
    for key, value in values.items():
        if key not in hints:
            near = difflib.get_close_matches(str(key), list(hints), 1)
            guess = f"did you mean {prefix}{near[0]!s}?" if near else f"known: {', '.join(hints)}"
            raise BadInput(f"{where}: unknown key {prefix}{key}; {guess}")
        result[key] = _convert(hints[key], value, where, f"{prefix}{key}")
    return kind(**result)


def _convert(hint: Any, value: Any, where: str, name: str) -> Any:  # noqa: ANN401
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise BadInput(f"{where}: {name} is a section and needs keys below it")
        return from_dict(hint, value, where, f"{name}.")  # type: ignore[arg-type]
    if get_origin(hint) is tuple:
        item_hint = get_args(hint)[0]
        items = value if isinstance(value, list | tuple) else [] if value in ("", None) else [value]
        if item_hint is str:
            return tuple(str(item) for item in items)
        return tuple(_convert(item_hint, item, where, name) for item in items)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if hint is float and isinstance(value, str):  # YAML 1.1 reads 1e-3 as text
        with contextlib.suppress(ValueError):
            value = float(value)
    if type(value) is not hint or (hint is float and not math.isfinite(value)):
        raise BadInput(f"{where}: {name} must be {hint.__name__}, not {value!r}")
    return value


def to_dict(config: object) -> dict[str, Any]:
    """A config as plain JSON types."""
    result: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))  # type: ignore[call-overload]
    return result


class _Once(yaml.SafeLoader):
    """Refuses a key that stands twice, of which the first would count for nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As in YAML's own loader."""
        names = [key.value for key, _ in node.value]
        if twice := [name for name in names if names.count(name) > 1]:
            raise yaml.constructor.ConstructorError(None, None, f"{twice[0]} stands twice",
                                                    node.start_mark)  # fmt: skip
        return super().construct_mapping(node, deep)


def read_yaml(text: str) -> Any:  # noqa: ANN401 - whatever it says
    """As `yaml.safe_load`, but a key may stand once only.

    Raises:
        YAMLError: No YAML, or a key stands twice.
    """
    return yaml.load(text, _Once)

"""ONNX graphs by hand: one call, one node."""

from __future__ import annotations

from typing import Any

import numpy as np


class Nodes:
    """A growing list of ONNX nodes and constants; calling it adds a node and returns its output."""

    def __init__(self, prefix: str) -> None:
        """Names within the graph begin with a prefix."""
        self.prefix, self.nodes, self.constants = prefix, list[Any](), list[Any]()

    def __call__(self, kind: str, *inputs: str, out: str = "", **attributes: Any) -> str:  # noqa: ANN401
        """Add a node of one output, named by us or numbered."""
        from onnx import helper

        out = out or f"{self.prefix}/{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], **attributes))
        return out

    def constant(self, values: object, dtype: type = np.int64) -> str:
        """Add a constant of integers or, with `np.float32`, of numbers."""
        from onnx import numpy_helper

        name = f"{self.prefix}/constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def split(self, value: str, parts: list[str], sizes: str) -> None:
        """Split the second axis of a tensor into named parts."""
        from onnx import helper

        self.nodes.append(helper.make_node("Split", [value, sizes], parts, axis=1))

    def rounded_up(self, value: str, by: str) -> str:
        """`ceil(value / by)` of integers."""
        return self("Div", self("Sub", self("Add", value, by), self.constant([1])), by)

    def joined(self, *sides: list[str]) -> list[str]:
        """Numbers of both sides as one tensor each."""
        return [self("Concat", *each, axis=0) for each in sides]

"""Graphs by hand run as they read."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from damagenet.detect.nodes import Nodes


@pytest.mark.parametrize(("value", "by"), [(1, 8), (8, 8), (9, 8), (1000, 512)])
def test_numbers_are_rounded_up_and_joined(value, by):
    nodes = Nodes("here")
    quotient = nodes.rounded_up("value", nodes.constant([by]))
    (both,) = nodes.joined([quotient, nodes("Identity", "value")])
    nodes("Identity", both, out="all")
    shapes = (helper.make_tensor_value_info(n, TensorProto.INT64, [k]) for n, k in
              (("value", 1), ("all", 2)))  # fmt: skip
    given, found = shapes
    graph = helper.make_graph(nodes.nodes, "test", [given], [found], nodes.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (result,) = session.run(None, {"value": np.array([value])})
    assert result.tolist() == [-(-value // by), value]
    assert all(node.output[0].startswith("here/") for node in nodes.nodes[:-1])

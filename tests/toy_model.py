"""Tiny genuine ONNX detectors for tests: brightness as heatmap, its mean as score."""

import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

INFO = {
    "format": 1,
    "version": "0.1.0",
    "threshold": 0.83,
    "review_threshold": 0.41,
    "false_alarm_rate": 0.05,
    "review_false_alarm_rate": 0.2,
    "dataset_sha256": "0" * 64,
    "metrics": {"auroc": 0.9},
    "licence": "Apache-2.0",
}


def write_model(path, info=INFO, input_name="image", constant=None, input_type=TensorProto.UINT8):
    """A detector whose heatmap is brightness / 255 and whose score is the mean of the heatmap.

    `info=None` leaves the metadata out; `constant` replaces the score (may be NaN).
    """
    shape = ["batch", "height", "width"]
    image = helper.make_tensor_value_info(input_name, input_type, [*shape, 3])
    outputs = [
        helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch"]),
        helper.make_tensor_value_info("heatmap", TensorProto.FLOAT, shape),
    ]
    fixed = 0.0 if constant is None else constant
    constants = {
        "last": np.array([3], np.int64),
        "plane": np.array([1, 2], np.int64),
        "full": np.array(255, np.float32),
        "keep": np.array(1.0 if constant is None else 0.0, np.float32),
        "fixed": np.array(fixed, np.float32),
    }
    nodes = [
        helper.make_node("Cast", [input_name], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "last"], ["grey"], keepdims=0),
        helper.make_node("Div", ["grey", "full"], ["heatmap"]),
        helper.make_node("ReduceMean", ["heatmap", "plane"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "keep"], ["kept"]),
        helper.make_node("Add", ["kept", "fixed"], ["score"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [image],
        outputs,
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if info is not None:
        helper.set_model_props(model, {"damagenet": json.dumps(info)})
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path

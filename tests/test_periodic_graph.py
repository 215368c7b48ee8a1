"""The lattice in the exported graph; across tiles it is tested in test_graph.py."""

import numpy as np
import onnxruntime
import pytest
import torch
from conftest import photo
from onnx import TensorProto, helper

from damagenet.detect.model import planes
from damagenet.detect.nodes import Nodes
from damagenet.detect.periodic import HELD, Periodic
from damagenet.detect.periodic_graph import evidence


@pytest.fixture(scope="module")
def fitted():
    torch.manual_seed(0)
    made = Periodic()
    torch.nn.init.normal_(made.weight, std=0.1)
    for name, value in (("bias", 0.5), ("near", -0.4), ("gain", 1.3)):
        getattr(made, name).fill_(value)
    return made


def evaluated(fitted, sums, height, width):
    """`evidence` alone, on sums of a picture of that size."""
    nodes = Nodes("test")
    facts = {"batch": len(sums), "height": height, "width": width,
             "height/whole": max(1, height // 8), "width/whole": max(1, width // 8)}  # fmt: skip
    for name, value in facts.items():
        nodes("Identity", nodes.constant([value]), out=name)
    outputs = evidence(nodes, "sums", fitted)
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes.nodes, "test", [info("sums", TensorProto.FLOAT, ["b", HELD, "h", "w"])],
        [info(outputs[0], TensorProto.FLOAT, ["b", 1]),
         info(outputs[1], TensorProto.FLOAT, ["b", 1, "high", "wide"])], nodes.constants,
    )  # fmt: skip
    opset = [helper.make_opsetid("", 20)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"sums": sums})


@pytest.mark.parametrize("size", [(1, 1), (96, 100), (192, 193), (135, 500), (600, 449)])
@pytest.mark.parametrize("batch", [1, 3])
def test_graph_and_torch_agree(fitted, size, batch):
    side = [-(-length // 8) * 8 for length in size]
    pictures = np.stack([np.roll(photo(*side), k, 0) for k in range(batch)])
    x = planes(torch.from_numpy(pictures))
    sums, _ = fitted.blocks(x, *size)
    found, raised = evaluated(fitted, sums.numpy(), *size)
    expected, blocks = fitted(x, *size)
    assert found[:, 0] == pytest.approx(expected.numpy(), abs=1e-4) and expected.min() > 0
    assert raised.shape == blocks.shape and np.abs(raised - blocks.numpy()).max() < 1e-4


def test_what_lies_beyond_the_picture_has_no_say(fitted):
    # Tiles of equal size may reach further than it: as many blocks as cover it are looked at.
    x = planes(torch.from_numpy(photo(200, 264)[None]))
    sums = fitted.blocks(x, 200, 264)[0].numpy()
    wider = np.pad(sums, ((0, 0), (0, 0), (0, 2), (0, 1)))
    for one, other in zip(evaluated(fitted, sums, 200, 264), evaluated(fitted, wider, 200, 264),
                          strict=True):  # fmt: skip
        assert np.array_equal(one, other)

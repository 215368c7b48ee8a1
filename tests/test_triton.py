"""Triton's configuration says what the packaged model says of itself."""

import re

import onnx
import pytest
from conftest import ROOT

from damagenet.claims import default_model

CONFIG = ROOT / "clients" / "triton" / "damagenet" / "config.pbtxt"
TYPES = {"TYPE_UINT8": onnx.TensorProto.UINT8, "TYPE_FP32": onnx.TensorProto.FLOAT}


def parsed(text):
    """Protobuf's text format as far as the file uses it: a dict of lists, as fields may repeat."""
    tokens = re.findall(r'"[^"]*"|[\w.+-]+|[{}\[\]:,]', re.sub(r"#.*", "", text))

    def value():
        token = tokens.pop(0)
        if token == "{":
            return block("}")
        if token == "[":
            items = []
            while tokens[0] != "]":
                items.append(value())
                if tokens[0] == ",":
                    tokens.pop(0)
            tokens.pop(0)
            return items
        if re.fullmatch(r"-?\d+", token):
            return int(token)
        return token.strip('"')

    def block(end):
        found = {}
        while tokens and tokens[0] != end:
            key = tokens.pop(0)
            if tokens[0] == ":":
                tokens.pop(0)
            item = value()
            found.setdefault(key, []).extend(item if isinstance(item, list) else [item])
        if end:
            tokens.pop(0)
        return found

    return block("")


def declared(text):
    """Direction, name -> element type and dimensions (-1: any) that the configuration declares."""
    whole = parsed(text)
    return {
        (way, tensor["name"][0]): (TYPES[tensor["data_type"][0]], tensor["dims"])
        for way in ("input", "output")
        for tensor in whole[way]
    }


def of_model(path):
    """The same of an ONNX file."""
    graph = onnx.load(path, load_external_data=False).graph
    return {
        (way, tensor.name): (
            tensor.type.tensor_type.elem_type,
            [d.dim_value if d.HasField("dim_value") else -1
             for d in tensor.type.tensor_type.shape.dim],
        )
        for way, tensors in (("input", graph.input), ("output", graph.output))
        for tensor in tensors
    }  # fmt: skip


def test_the_configuration_is_that_of_the_model():
    assert declared(CONFIG.read_text()) == of_model(default_model())


def test_the_folder_and_what_triton_needs():
    whole = parsed(CONFIG.read_text())
    assert whole["name"] == [CONFIG.parent.name] and whole["backend"] == ["onnxruntime"]
    assert whole["max_batch_size"] == [0]  # dims name the batch themselves
    assert whole["instance_group"] == [{"count": [1], "kind": ["KIND_CPU"]}]


@pytest.mark.parametrize(
    ("old", "new"),
    [('"image"', '"picture"'), ("TYPE_UINT8", "TYPE_FP32"), ("-1, 3 ]", "3 ]"),
     ("-1, 3 ]", "-1, 4 ]"), ("-1, 3 ]", "512, 3 ]"), ('"heatmap"', '"score"')],
)  # fmt: skip
def test_a_configuration_of_another_model_is_noticed(old, new):
    text = CONFIG.read_text()
    assert old in text and declared(text.replace(old, new)) != of_model(default_model())

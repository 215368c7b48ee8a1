"""The graph that leaves the project: a loop over tiles of a picture, in one ONNX file.

A tile sees `model.HALO` pixels beyond its core, as far as the network looks. So scores and heatmaps
are those of one pass over the whole picture, and memory stays that of one tile.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn

from damagenet.detect.model import HALO, MIN_SIDE, SHARPNESS, Network, planes
from damagenet.detect.nodes import Nodes
from damagenet.detect.periodic import FLOOR, FOLDED, PERIOD, PLANES

NEAR = PERIOD
"""Pixels beyond a core from which the lattice's residuals of the core are exact; one would do."""


class Tile(nn.Module):
    """What the loop runs on each tile."""

    def __init__(self, network: Network, heat_offset: float) -> None:
        """Wrap a network; the offset is taken off the logits of its heatmap."""
        super().__init__()
        self.network, self.heat_offset = network, heat_offset

    def forward(self, image: Tensor, near: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Heatmap `[b, h, w]`, and what `Network.maps` and `Periodic.residuals` give.

        Args:
            image: uint8 `[b, h, w, 3]` whose sides `Network.multiple` divides.
            near: The same within `NEAR` pixels of its core: the lattice looks no further.
        """
        logits, fused = self.network.maps(image)
        heat = self.network.enlarge(logits) - self.heat_offset
        return heat.sigmoid(), logits, fused, self.network.periodic.residuals(planes(near))


def looped(tile: Any, network: Network, calibration: dict[str, Any]) -> Any:  # noqa: ANN401
    """An exported `Tile` (ONNX model) within the loop over tiles, and the score after it.

    Args:
        tile: The model of one tile, its four outputs as those of `Tile`.
        network: For its last layer, stride and multiple.
        calibration: As `calibrate.line` reads it.
    """
    import onnx
    from onnx import TensorProto, helper

    info, real = helper.make_tensor_value_info, TensorProto.FLOAT
    whole = Nodes("whole")
    for axis, side in ((0, "batch"), (1, "height"), (2, "width")):
        whole("Shape", "image", start=axis, end=axis + 1, out=side)
    for side in ("height", "width"):
        _cut(whole, side, network)
    sizes = {"peaks": len(SHARPNESS), "sums": 1 + network.config.width, "folds": FOLDED + PLANES}
    begin = [
        whole("Expand", whole.constant([[fill]], np.float32),
              whole("Concat", "batch", whole.constant([size]), axis=0))
        for fill, size in zip((-1e30, 0.0, 0.0), sizes.values(), strict=True)
    ]  # fmt: skip
    count = whole("Squeeze", whole("Mul", "height/tiles", "width/tiles"))

    loop, hearts = _body(tile.graph, network.stride)
    body = helper.make_graph(
        loop.nodes,
        "tiles",
        [info("turn", TensorProto.INT64, []), info("go", TensorProto.BOOL, []),
         *(info(name, real, ["batch", size]) for name, size in sizes.items())],
        [info("going", TensorProto.BOOL, []),
         *(info(f"{name}/next", real, ["batch", size]) for name, size in sizes.items()),
         info(hearts, real, ["batch", "core_height", "core_width"])],
        [*tile.graph.initializer, *loop.constants],  # within: optimisers look no further
        value_info=tile.graph.value_info,  # shapes known to be equal let additions be fused
    )  # fmt: skip
    whole.nodes.append(
        helper.make_node(
            "Loop", [count, "", *begin], [*(f"{name}/all" for name in sizes), "cores"], body=body
        )
    )
    _heatmap(whole)
    _score(whole, network, calibration)

    dims = ["batch", "height", "width"]
    graph = helper.make_graph(
        whole.nodes,
        "damagenet",
        [info("image", TensorProto.UINT8, [*dims, 3])],
        [info("score", real, ["batch"]), info("heatmap", real, dims)],
        whole.constants,
    )
    model = helper.make_model(graph, opset_imports=tile.opset_import, ir_version=tile.ir_version)
    onnx.checker.check_model(model, full_check=True)
    return model


def _cut(nodes: Nodes, side: str, network: Network) -> None:
    """How many tiles of which core cover a side, see `model.cut`; and its length in cells.

    Cells are those of maps; whole ones are those of `Periodic`.
    """
    nodes("Identity", nodes.rounded_up(side, nodes.constant([network.tile])), out=f"{side}/tiles")
    multiple = nodes.constant([network.multiple])
    shares = nodes.rounded_up(side, nodes("Mul", f"{side}/tiles", multiple))
    core = nodes("Mul", shares, multiple)
    nodes("Max", core, nodes.constant([MIN_SIDE]), out=f"{side}/core")
    nodes("Mul", f"{side}/core", f"{side}/tiles", out=f"{side}/padded")
    cells = nodes.rounded_up(side, nodes.constant([network.stride]))
    nodes("Identity", cells, out=f"{side}/cells")
    whole = nodes("Div", side, nodes.constant([PERIOD]))
    nodes("Max", whole, nodes.constant([1]), out=f"{side}/whole")


def _body(tile: Any, stride: int) -> tuple[Nodes, str]:  # noqa: ANN401
    """What happens to one tile: cut it out, look at it, add to what was found before."""
    loop = Nodes("tile")
    turn = loop("Unsqueeze", "turn", loop.constant([0]))
    loop("Div", turn, "width/tiles", out="height/turn")
    loop("Mod", turn, "width/tiles", out="width/turn")
    crop, near = (given.name for given in tile.input)
    loop("Identity", _crop(loop, "image"), out=crop)
    loop("Identity", _nearer(loop, crop), out=near)
    loop.nodes.extend(tile.node)
    heat, logits, fused, residuals = (output.name for output in tile.output)

    hearts = _core(loop, heat, 1, (1, 2))
    logits, fused = (_core(loop, value, stride, (2, 3), "cells") for value in (logits, fused))
    flat = loop("Flatten", logits, axis=1)
    steep = loop.constant(np.reshape(SHARPNESS, (1, -1, 1)), np.float32)
    steeped = loop("Mul", loop("Unsqueeze", flat, loop.constant([1])), steep)
    peak = loop("ReduceLogSumExp", steeped, loop.constant([2]), keepdims=0)
    top = loop("Max", "peaks", peak)
    parts = [loop("Exp", loop("Sub", value, top)) for value in ("peaks", peak)]
    loop("Add", loop("Log", loop("Add", *parts)), top, out="peaks/next")
    sums = [loop("ReduceSum", flat, loop.constant([1]), keepdims=1),
            loop("ReduceSum", fused, loop.constant([2, 3]), keepdims=0)]  # fmt: skip
    loop("Add", "sums", loop("Concat", *sums, axis=1), out="sums/next")
    loop("Add", "folds", _folded(loop, residuals), out="folds/next")
    loop("Identity", "go", out="going")
    return loop, hearts


def _crop(nodes: Nodes, picture: str) -> str:
    """Cut a tile with its halo out of a picture; the picture's edge is repeated beyond it."""
    halo, zero = (nodes.constant([value]) for value in (HALO, 0))
    first, last, beyond = list[str](), list[str](), list[str]()
    for side in ("height", "width"):
        start = nodes("Mul", f"{side}/turn", f"{side}/core", out=f"{side}/start")
        first.append(nodes("Max", nodes("Sub", start, halo), zero))
        nodes("Sub", start, first[-1], out=f"{side}/offset")
        end = nodes("Add", nodes("Add", start, f"{side}/core"), halo)
        last.append(nodes("Min", end, f"{side}/padded"))
        beyond.append(nodes("Max", nodes("Sub", last[-1], side), zero))
    inside = nodes("Slice", picture, *nodes.joined(first, last), nodes.constant([1, 2]))
    pads = nodes("Concat", nodes.constant([0] * 5), *beyond, zero, axis=0)
    return nodes("Pad", inside, pads, mode="edge")


def _nearer(nodes: Nodes, crop: str) -> str:
    """The crop without what lies further than `NEAR` beyond its core."""
    near, first, last = nodes.constant([NEAR]), list[str](), list[str]()
    for side in ("height", "width"):
        nodes("Min", f"{side}/offset", near, out=f"{side}/offset/near")
        first.append(nodes("Sub", f"{side}/offset", f"{side}/offset/near"))
        end = nodes("Add", f"{side}/offset", f"{side}/core")
        last.append(nodes("Add", end, near))  # slices end where the crop does
    return nodes("Slice", crop, *nodes.joined(first, last), nodes.constant([1, 2]))


def _core(nodes: Nodes, value: str, stride: int, axes: tuple[int, int], counted: str = "") -> str:
    """A tile's map without the halo; that of counted cells also without what lies beyond them."""
    by, first, last = nodes.constant([stride]), list[str](), list[str]()
    for side in ("height", "width"):
        first.append(nodes("Div", f"{side}/offset", by))
        size = nodes("Div", f"{side}/core", by)
        if counted:
            left = nodes("Sub", f"{side}/{counted}", nodes("Div", f"{side}/start", by))
            size = nodes("Min", size, left)
        last.append(nodes("Add", first[-1], size))
    return nodes("Slice", value, *nodes.joined(first, last), nodes.constant(axes))


def _folded(nodes: Nodes, residuals: str) -> str:
    """As `periodic.folded`, of the whole cells in a tile's core."""
    first, last = list[str](), list[str]()
    for side in ("height", "width"):
        left = nodes(
            "Sub", nodes("Mul", f"{side}/whole", nodes.constant([PERIOD])), f"{side}/start"
        )
        first.append(f"{side}/offset/near")
        last.append(nodes("Add", first[-1], nodes("Min", f"{side}/core", left)))
    core = nodes("Slice", residuals, *nodes.joined(first, last), nodes.constant([2, 3]))
    width = nodes("Shape", core, start=3, end=4)
    rows = nodes("Concat", nodes.constant([0, PLANES, -1, PERIOD]), width, axis=0)
    summed = nodes("ReduceSum", nodes("Reshape", core, rows), nodes.constant([2]), keepdims=0)
    columns = nodes("Reshape", summed, nodes.constant([0, PLANES, PERIOD, -1, PERIOD]))
    cells = nodes("ReduceSum", columns, nodes.constant([3]), keepdims=0)
    squares = nodes("ReduceSum", nodes("Mul", core, core), nodes.constant([2, 3]), keepdims=0)
    means = nodes("Div", squares, nodes.constant(PERIOD**2, np.float32))
    return nodes("Concat", nodes("Flatten", cells, axis=1), means, axis=1)


def _heatmap(nodes: Nodes) -> None:
    """Lay the cores `[tiles, b, h, w]` side by side and cut off what lies beyond the picture."""
    grid = ("height/tiles", "width/tiles", "batch", "height/core", "width/core")
    laid = nodes("Reshape", "cores", nodes("Concat", *grid, axis=0))
    turned = nodes("Transpose", laid, perm=[2, 0, 3, 1, 4])
    size = nodes("Concat", "batch", "height/padded", "width/padded", axis=0)
    joined = nodes("Reshape", turned, size)
    shown = nodes("Concat", "height", "width", axis=0)
    nodes("Slice", joined, nodes.constant([0, 0]), shown, nodes.constant([1, 2]), out="heatmap")


def _score(nodes: Nodes, network: Network, calibration: dict[str, Any]) -> None:
    """The last layer on what all tiles held, and its calibration."""

    def number(values: object) -> str:
        return nodes.constant(values, np.float32)

    cells = nodes("Cast", nodes("Mul", "height/cells", "width/cells"), to=1)
    lowered = nodes("Sub", "peaks/all", nodes("Log", cells))
    peaks = nodes("Div", lowered, number([SHARPNESS]))
    means = nodes("Div", "sums/all", cells)
    split = nodes.constant([1, network.config.width])
    mean, features = f"{means}/logit", f"{means}/features"
    nodes.nodes.append(_split(means, [mean, features], split))
    evidence = nodes("Concat", mean, peaks, features, axis=1)
    weight, bias = (x.detach().cpu().numpy() for x in (network.image.weight, network.image.bias))
    logit = nodes("Add", nodes("MatMul", evidence, number(weight.T)), number(bias))
    logit = nodes("Add", logit, _periodic(nodes, network))
    line = nodes("Mul", logit, number([calibration["slope"]]))
    value = nodes("Add", line, number([calibration["offset"]]))
    if len(calibration.get("knots", ())):
        above = nodes("Relu", nodes("Sub", logit, number([calibration["knots"]])))
        bent = nodes("MatMul", above, number(np.reshape(calibration["bends"], (-1, 1))))
        value = nodes("Add", value, bent)
    nodes("Squeeze", nodes("Sigmoid", value), nodes.constant([1]), out="score")


def _periodic(nodes: Nodes, network: Network) -> str:
    """What the lattice adds to the logit, `[b, 1]`: see `Periodic.strengths` and `evidence`."""

    def number(values: object) -> str:
        return nodes.constant(values, np.float32)

    fitted = network.periodic
    whole = nodes("Cast", nodes("Mul", "height/whole", "width/whole"), to=1)
    means = nodes("Div", "folds/all", whole)
    phases, squares = f"{means}/phases", f"{means}/squares"
    nodes.nodes.append(_split(means, [phases, squares], nodes.constant([FOLDED, PLANES])))
    folded = nodes("Reshape", phases, nodes.constant([0, PLANES, PERIOD**2]))
    parts = [nodes("MatMul", folded, number(wave)) for wave in fitted.waves.cpu().numpy()]
    power = nodes("Add", *(nodes("Mul", part, part) for part in parts))
    variance = nodes("Add", squares, number([FLOOR]))
    relative = nodes("Div", power, nodes("Unsqueeze", variance, nodes.constant([2])))
    cells = nodes("Mul", whole, number([PERIOD**2]))
    raised = nodes("Add", nodes("Mul", relative, cells), number([1.0]))
    strengths = nodes("Flatten", nodes("Log", raised), axis=1)
    weight, bias, gain = (x.cpu().numpy() for x in (fitted.weight, fitted.bias, fitted.gain))
    value = nodes("Add", nodes("MatMul", strengths, number(weight[:, None])), number(bias))
    return nodes("Mul", nodes("Softplus", value), number(gain))


def _split(value: str, parts: list[str], sizes: str) -> Any:  # noqa: ANN401
    from onnx import helper

    return helper.make_node("Split", [value, sizes], parts, axis=1)

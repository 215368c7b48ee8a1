"""The graph that leaves the project: a loop over tiles of a picture, in one ONNX file.

A tile sees `model.HALO` pixels beyond its core, as far as the network looks. So scores and heatmaps
are those of one pass over the whole picture, and memory stays that of one tile.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from torch import Tensor, nn

from damagenet.detect.model import HALO, MIN_SIDE, SHARPNESS, Network, planes
from damagenet.detect.nodes import Nodes
from damagenet.detect.periodic import BLOCK, HELD, PERIOD
from damagenet.detect.periodic_graph import evidence, folded

NEAR = PERIOD
"""Pixels beyond a core from which the lattice's residuals of the core are exact; one would do."""


class Tile(nn.Module):
    """What the loop runs on each tile."""

    def __init__(self, network: Network, heat_offset: float) -> None:
        """Wrap a network; the offset is taken off the logits of its heatmap."""
        super().__init__()
        self.network, self.heat_offset = network, heat_offset

    def forward(self, image: Tensor, near: Tensor) -> tuple[Tensor, ...]:
        """Logits of the heatmap `[b, h, w]`; what `Network.maps` and `Periodic.seen` give.

        Args:
            image: uint8 `[b, h, w, 3]` whose sides `Network.multiple` divides.
            near: The same within `NEAR` pixels of its core: the lattice looks no further.
        """
        logits, fused = self.network.maps(image)
        heat = self.network.enlarge(logits) - self.heat_offset
        return heat, logits, fused, *self.network.periodic.seen(planes(near))


def looped(tile: Any, network: Network, calibration: dict[str, Any]) -> Any:  # noqa: ANN401
    """An exported `Tile` (ONNX model) within the loop over tiles, and the score after it.

    Args:
        tile: The model of one tile, its five outputs as those of `Tile`.
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
    sizes = {"peaks": len(SHARPNESS), "sums": 1 + network.config.width}
    begin = [
        whole("Expand", whole.constant([[fill]], np.float32),
              whole("Concat", "batch", whole.constant([size]), axis=0))
        for fill, size in zip((-1e30, 0.0), sizes.values(), strict=True)
    ]  # fmt: skip
    count = whole("Squeeze", whole("Mul", "height/tiles", "width/tiles"))

    loop, heat, folds = _body(tile.graph, network)
    body = helper.make_graph(
        loop.nodes,
        "tiles",
        [info("turn", TensorProto.INT64, []), info("go", TensorProto.BOOL, []),
         *(info(name, real, ["batch", size]) for name, size in sizes.items())],
        [info("going", TensorProto.BOOL, []),
         *(info(f"{name}/next", real, ["batch", size]) for name, size in sizes.items()),
         info(heat, real, ["batch", "core_height", "core_width"]),
         info(folds, real, ["batch", HELD, "core_blocks_high", "core_blocks_wide"])],
        [*tile.graph.initializer, *loop.constants],  # within: optimisers look no further
        value_info=tile.graph.value_info,  # shapes known to be equal let additions be fused
    )  # fmt: skip
    whole.nodes.append(
        helper.make_node(
            "Loop", [count, "", *begin],
            [*(f"{name}/all" for name in sizes), "cores", "folds"], body=body,
        )
    )  # fmt: skip
    blocks = [whole.rounded_up(f"{side}/core", whole.constant([BLOCK]))
              for side in ("height", "width")]  # fmt: skip
    sums = _joined(whole, "folds", [whole.constant([HELD])], blocks)
    found, raised = evidence(whole, sums, network.periodic)
    _heatmap(whole, raised)
    _score(whole, network, calibration, found)

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
    more = nodes("Greater", f"{side}/tiles", nodes.constant([1]))
    coarse = nodes.constant([math.lcm(network.multiple, BLOCK)])
    multiple = nodes("Where", more, coarse, nodes.constant([network.multiple]))
    shares = nodes.rounded_up(side, nodes("Mul", f"{side}/tiles", multiple))
    core = nodes("Mul", shares, multiple)
    nodes("Max", core, nodes.constant([MIN_SIDE]), out=f"{side}/core")
    nodes("Mul", f"{side}/core", f"{side}/tiles", out=f"{side}/padded")
    cells = nodes.rounded_up(side, nodes.constant([network.stride]))
    nodes("Identity", cells, out=f"{side}/cells")
    whole = nodes("Div", side, nodes.constant([PERIOD]))
    nodes("Max", whole, nodes.constant([1]), out=f"{side}/whole")


def _body(tile: Any, network: Network) -> tuple[Nodes, str, str]:  # noqa: ANN401
    """What happens to one tile: cut it out, look at it, add to what was found before."""
    loop = Nodes("tile")
    turn = loop("Unsqueeze", "turn", loop.constant([0]))
    loop("Div", turn, "width/tiles", out="height/turn")
    loop("Mod", turn, "width/tiles", out="width/turn")
    crop, near = (given.name for given in tile.input)
    loop("Identity", _crop(loop, "image"), out=crop)
    loop("Identity", _nearer(loop, crop), out=near)
    loop.nodes.extend(tile.node)
    heat, logits, fused, residuals, slopes = (output.name for output in tile.output)

    heat = _core(loop, heat, 1, (1, 2))
    logits, fused = (
        _core(loop, value, network.stride, (2, 3), "cells") for value in (logits, fused)
    )
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
    folds = folded(loop, residuals, slopes, network.periodic)
    loop("Identity", "go", out="going")
    return loop, heat, folds


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


def _joined(nodes: Nodes, tiles: str, channels: list[str], sides: list[str]) -> str:
    """Lay maps of tiles `[tiles, b, ..., h, w]` side by side; `sides` are those of one tile."""
    extra = len(channels)
    grid = ["height/tiles", "width/tiles", "batch", *channels, *sides]
    laid = nodes("Reshape", tiles, nodes("Concat", *grid, axis=0))
    turned = nodes("Transpose", laid, perm=[*range(2, 3 + extra), 0, 3 + extra, 1, 4 + extra])
    whole = [
        nodes("Mul", f"{axis}/tiles", side)
        for axis, side in zip(("height", "width"), sides, strict=True)
    ]
    return nodes("Reshape", turned, nodes("Concat", "batch", *channels, *whole, axis=0))


def _heatmap(nodes: Nodes, blocks: str) -> None:
    """The cores side by side, raised where windows have a lattice, cut to the picture."""
    cores = _joined(nodes, "cores", [], ["height/core", "width/core"])
    scales = nodes.constant([1, 1, BLOCK, BLOCK], np.float32)
    spread = nodes("Resize", blocks, "", scales, mode="linear")
    zeros, shown = nodes.constant([0, 0]), nodes("Concat", "height", "width", axis=0)
    axes = nodes.constant([1, 2])
    raised = nodes("Slice", nodes("Squeeze", spread, nodes.constant([1])), zeros, shown, axes)
    logits = nodes("Slice", cores, zeros, shown, axes)
    nodes("Sigmoid", nodes("Add", logits, raised), out="heatmap")


def _score(nodes: Nodes, network: Network, calibration: dict[str, Any], found: str) -> None:
    """The last layer on what all tiles held, and its calibration."""

    def number(values: object) -> str:
        return nodes.constant(values, np.float32)

    cells = nodes("Cast", nodes("Mul", "height/cells", "width/cells"), to=1)
    lowered = nodes("Sub", "peaks/all", nodes("Log", cells))
    peaks = nodes("Div", lowered, number([SHARPNESS]))
    means = nodes("Div", "sums/all", cells)
    split = nodes.constant([1, network.config.width])
    mean, features = f"{means}/logit", f"{means}/features"
    nodes.split(means, [mean, features], split)
    evidence = nodes("Concat", mean, peaks, features, axis=1)
    weight, bias = (x.detach().cpu().numpy() for x in (network.image.weight, network.image.bias))
    logit = nodes("Add", nodes("MatMul", evidence, number(weight.T)), number(bias))
    logit = nodes("Add", logit, found)
    line = nodes("Mul", logit, number([calibration["slope"]]))
    value = nodes("Add", line, number([calibration["offset"]]))
    if len(calibration.get("knots", ())):
        above = nodes("Relu", nodes("Sub", logit, number([calibration["knots"]])))
        bent = nodes("MatMul", above, number(np.reshape(calibration["bends"], (-1, 1))))
        value = nodes("Add", value, bent)
    nodes("Squeeze", nodes("Sigmoid", value), nodes.constant([1]), out="score")

"""`Periodic` in the exported graph: what each tile holds of the lattice, and what that says.

Names such as `height/core` are those of the graph around, see `graph`.
"""

from __future__ import annotations

import numpy as np

from damagenet.detect.nodes import Nodes
from damagenet.detect.periodic import (
    ALIKE,
    BLOCK,
    COLOURS,
    COUNTED,
    FILLED,
    FLOOR,
    FOLDED,
    FULL,
    HELD,
    NONE,
    PERIOD,
    PLANES,
    REACH,
    RIDGE,
    SHARPNESS,
    SIZES,
    TINY,
    WAVES,
    Periodic,
    strips,
)


def folded(nodes: Nodes, residuals: str, slopes: str, fitted: Periodic) -> str:
    """As `periodic.folded`, of the whole cells in a tile's core, with nothing where it ends."""
    begin, end, beyond, high = list[str](), list[str](), list[str](), list[str]()
    block, period, zero = (nodes.constant([value]) for value in (BLOCK, PERIOD, 0))
    for axis in ("height", "width"):
        left = nodes("Sub", nodes("Mul", f"{axis}/whole", period), f"{axis}/start")
        size = nodes("Max", nodes("Min", f"{axis}/core", left), zero)
        begin.append(f"{axis}/offset/near")
        end.append(nodes("Add", begin[-1], size))
        high.append(nodes.rounded_up(f"{axis}/core", block))
        beyond.append(nodes("Sub", nodes("Mul", high[-1], block), size))

    def cut(value: str, ends: list[list[str]]) -> str:
        inside = nodes("Slice", value, *nodes.joined(*ends[:2]), nodes.constant([2, 3]))
        return nodes("Pad", inside, nodes("Concat", nodes.constant([0] * 6), *ends[2], axis=0))

    ends = [begin, end, beyond]
    filled = cut(residuals, ends)
    grid = cut(slopes, [[nodes("Div", place, period) for place in each] for each in ends])
    side, places, colours = (
        nodes.constant(size) for size in ([BLOCK // PERIOD], [PERIOD**2], [COLOURS])
    )
    three, two, one = (nodes.constant([size]) for size in (3, 2, 1))

    def turned(value: str, shape: list[str], order: list[int], *sizes: str) -> str:
        apart = nodes("Reshape", value, nodes("Concat", *shape, axis=0))
        moved = nodes("Transpose", apart, perm=order)
        return nodes("Reshape", moved, nodes("Concat", zero, *sizes, axis=0))

    def laid(value: str, order: list[int], number: int) -> str:
        last = nodes("Transpose", value, perm=order)
        shape = nodes("Concat", nodes.constant([0, number]), *high, axis=0)
        return nodes("Reshape", last, shape)

    def summed(value: str) -> str:
        return nodes("ReduceSum", value, nodes.constant([5]), keepdims=0)

    cells = turned(
        filled, [zero, colours, three, high[0], side, period, high[1], side, period],
        [0, 1, 2, 3, 6, 4, 7, 5, 8], colours, three, *high, places, places,
    )  # fmt: skip
    steep = turned(
        grid, [zero, two, colours, high[0], side, high[1], side], [0, 2, 3, 5, 1, 4, 6],
        colours, one, *high, two, places,
    )  # fmt: skip
    last = [0, 1, 2, 5, 3, 4]
    rows, columns = (
        nodes("MatMul", nodes.constant(strip.numpy(), np.float32), cells) for strip in strips()
    )
    squares = nodes("ReduceSumSquare", cells, nodes.constant([5, 6]), keepdims=0)
    squares = nodes("Reshape", squares, nodes("Concat", nodes.constant([0, PLANES]), *high, axis=0))
    nodes.split(grid, [f"{grid}/across", f"{grid}/down"], nodes.constant([COLOURS] * 2))
    across, down = f"{grid}/across", f"{grid}/down"
    products = [nodes("Mul", *pair) for pair in ((across, across), (down, down), (across, down))]
    moments = nodes("Concat", across, down, *products, axis=1)
    number = BLOCK // PERIOD
    means = nodes("AveragePool", moments, kernel_shape=[number] * 2, strides=[number] * 2)
    return nodes(
        "Concat",
        laid(summed(rows), last, FOLDED),
        laid(nodes("MatMul", steep, cells), [0, 5, 1, 2, 6, 3, 4], 2 * FOLDED),
        nodes("Div", squares, nodes.constant(PERIOD**2, np.float32)),
        *(laid(summed(_power(nodes, part, fitted)), last, PLANES * WAVES)
          for part in (rows, columns)),
        nodes("Mul", means, nodes.constant(number**2, np.float32)),
        axis=1,
    )  # fmt: skip


def evidence(nodes: Nodes, sums: str, fitted: Periodic) -> tuple[str, str]:
    """As `Periodic.forward`: what is added to the logit `[b, 1]` and to blocks `[b, 1, h, w]`.

    Args:
        nodes: The graph around the loop, with `batch`, `height` and `width` and their `/whole`.
        sums: As `periodic.folded` gives them, of all tiles side by side.
        fitted: Whose weights are written into the graph.
    """

    def number(values: object) -> str:
        return nodes.constant(values, np.float32)

    blocks = [nodes.rounded_up(side, nodes.constant([BLOCK])) for side in ("height", "width")]
    zeros, axes = nodes.constant([0, 0]), nodes.constant([2, 3])
    sums = nodes("Slice", sums, zeros, nodes("Concat", *blocks, axis=0), axes)
    cells = _counts(nodes, blocks)
    total = [nodes("ReduceSum", part, axes, keepdims=0) for part in (sums, cells)]
    whole = _line(nodes, fitted, *total)

    size = nodes("Concat", "batch", nodes.constant([COUNTED]), *blocks, axis=0)
    near = [
        nodes("Mul", number(REACH**2), nodes(
            "AveragePool", part, kernel_shape=[REACH] * 2, pads=[REACH // 2] * 4,
            count_include_pad=1))
        for part in (sums, nodes("Expand", cells, size))
    ]  # fmt: skip
    each = [
        nodes("Reshape", nodes("Transpose", part, perm=[0, 2, 3, 1]), nodes.constant([-1, held]))
        for part, held in zip(near, (HELD, COUNTED), strict=True)
    ]
    values = nodes("Sub", _line(nodes, fitted, *each), number(fitted.near.tolist()))
    inside = nodes("Slice", near[1], nodes.constant([0]), nodes.constant([1]), nodes.constant([1]))
    counts = nodes("GreaterOrEqual", inside, number(FILLED * (REACH * BLOCK // PERIOD) ** 2))
    laid = nodes("Reshape", values, nodes("Shape", inside))
    windows = nodes("Where", counts, laid, number(NONE))

    steep = nodes("Mul", nodes("Flatten", windows, axis=1), number(SHARPNESS))
    shares = nodes("ReduceLogSumExp", steep, nodes.constant([1]), keepdims=1)
    used = nodes("ReduceSum", nodes("Flatten", nodes("Cast", counts, to=1), axis=1),
                 nodes.constant([1]), keepdims=1)  # fmt: skip
    log = nodes("Log", nodes("Max", used, number(1.0)))
    pooled = nodes("Div", nodes("Sub", shares, log), number(SHARPNESS))
    gain = number(fitted.gain.tolist())
    found = nodes("Add", nodes("Softplus", whole), nodes("Softplus", pooled))
    return nodes("Mul", found, gain), nodes("Mul", nodes("Softplus", windows), gain)


def _counts(nodes: Nodes, blocks: list[str]) -> str:
    """As `periodic.counts`, of so many blocks high and wide."""
    cells, ends = nodes.constant([BLOCK // PERIOD]), list[str]()
    zero, one = nodes.constant(0), nodes.constant(1)
    for side, number in zip(("height", "width"), blocks, strict=True):
        places = nodes("Range", zero, nodes("Squeeze", number), one)
        left = nodes("Sub", f"{side}/whole", nodes("Mul", places, cells))
        ends.append(nodes("Min", nodes("Max", left, zero), cells))
    high, wide = nodes("Unsqueeze", ends[0], nodes.constant([1])), ends[1]
    square = nodes("Mul", high, wide)
    parts = [square, nodes("Mul", square, wide), nodes("Mul", square, high)]
    first = nodes.constant([0, 1])
    return nodes("Cast", nodes("Concat", *(nodes("Unsqueeze", x, first) for x in parts), axis=1),
                 to=1)  # fmt: skip


def _power(nodes: Nodes, places: str, fitted: Periodic) -> str:
    """As `periodic.power`."""
    parts = [
        nodes("MatMul", places, nodes.constant(wave, np.float32))
        for wave in fitted.waves.cpu().numpy()
    ]
    return nodes("Add", *(nodes("Mul", part, part) for part in parts))


def _line(nodes: Nodes, fitted: Periodic, sums: str, cells: str) -> str:
    """As `Periodic.line`, `[n, 1]`; arguments as of `Periodic.strengths`."""

    def number(values: object) -> str:
        return nodes.constant(values, np.float32)

    def mul(*pair: str) -> str:
        return nodes("Mul", *pair)

    def sub(*pair: str) -> str:
        return nodes("Sub", *pair)

    def shaped(value: str, *sizes: int) -> str:
        return nodes("Reshape", value, nodes.constant([-1, *sizes]))

    names = [f"{sums}/{name}" for name in SIZES]
    nodes.split(sums, names, nodes.constant(list(SIZES.values())))
    parts = dict(zip(SIZES, names, strict=True))
    sizes = [f"{cells}/{name}" for name in ("number", "long", "high")]
    nodes.split(nodes("Max", cells, number(TINY)), sizes, nodes.constant([1, 1, 1]))
    count, long, high = (shaped(size, 1, 1) for size in sizes)
    mean, across, down = (
        nodes("Div", shaped(parts[name], PLANES, PERIOD**2), count)
        for name in ("places", "across", "down")
    )
    slopes = nodes("Div", shaped(parts["slopes"], 5 * COLOURS, 1), count)
    thrice = nodes("Concat", slopes, slopes, slopes, axis=2)
    moments = [f"{thrice}/{moment}" for moment in range(5)]
    nodes.split(thrice, moments, nodes.constant([COLOURS] * 5))
    x, y, xx, yy, xy = (shaped(moment, PLANES, 1) for moment in moments)
    xx, yy, xy = sub(xx, mul(x, x)), sub(yy, mul(y, y)), sub(xy, mul(x, y))

    def solved(least: float) -> tuple[str, str]:
        a, b = (nodes("Add", variance, number(least)) for variance in (xx, yy))
        det = sub(mul(a, b), mul(xy, xy))
        first = nodes("Div", sub(mul(b, x), mul(xy, y)), det)
        return first, nodes("Div", sub(mul(a, y), mul(xy, x)), det)

    right, lower = solved(RIDGE)
    free = sub(mean, mul(right, sub(across, mul(x, mean))))
    free = sub(free, mul(lower, sub(down, mul(y, mean))))
    right, lower = solved(ALIKE)
    more = nodes("Add", nodes("Add", mul(right, x), mul(lower, y)), number(1.0))
    found, before = (_power(nodes, places, fitted) for places in (free, mean))
    squares = nodes("Div", shaped(parts["squares"], PLANES, 1), count)
    noise = nodes("Div", nodes("Add", squares, number(FLOOR)), mul(count, number(PERIOD**2)))
    strips = [
        nodes("Div", sub(shaped(parts[name], PLANES, WAVES), mul(before, size)), mul(count, count))
        for name, size in (("rows", long), ("columns", high))
    ]
    left = nodes("Max", nodes("Div", count, more), number(FULL))
    share = nodes("Div", number(FULL), left)
    strengths = []
    for variance in (noise, nodes("Max", noise, *strips)):
        excess = sub(nodes("Div", found, mul(variance, more)), number(1.0))
        raised = nodes("Add", mul(excess, share), number(2.0))
        strengths.append(nodes("Flatten", nodes("Log", raised), axis=1))
    weight, bias = (x.cpu().numpy() for x in (fitted.weight, fitted.bias))
    line = nodes("MatMul", nodes("Concat", *strengths, axis=1), number(weight[:, None]))
    return nodes("Add", line, number(bias))

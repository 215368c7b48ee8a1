"""`Periodic` in the exported graph: what each tile holds of the lattice, and what that says.

Names such as `height/core` are those of the graph around, see `graph`.
"""

from __future__ import annotations

import numpy as np

from damagenet.detect.nodes import Nodes
from damagenet.detect.periodic import (
    BLOCK,
    FILLED,
    FLOOR,
    FOLDED,
    FULL,
    NONE,
    PERIOD,
    PLANES,
    REACH,
    SHARPNESS,
    TINY,
    Periodic,
)


def folded(nodes: Nodes, residuals: str) -> str:
    """As `periodic.folded`, of the whole cells in a tile's core, with nothing where it ends."""
    first, last, beyond, high = list[str](), list[str](), list[str](), list[str]()
    block, zero = nodes.constant([BLOCK]), nodes.constant([0])
    for side in ("height", "width"):
        left = nodes(
            "Sub", nodes("Mul", f"{side}/whole", nodes.constant([PERIOD])), f"{side}/start"
        )
        size = nodes("Max", nodes("Min", f"{side}/core", left), zero)
        first.append(f"{side}/offset/near")
        last.append(nodes("Add", first[-1], size))
        high.append(nodes.rounded_up(f"{side}/core", block))
        beyond.append(nodes("Sub", nodes("Mul", high[-1], block), size))
    core = nodes("Slice", residuals, *nodes.joined(first, last), nodes.constant([2, 3]))
    pads = nodes("Concat", nodes.constant([0] * 6), *beyond, axis=0)
    filled = nodes("Pad", core, pads)
    side = nodes.constant([BLOCK // PERIOD])
    wide = nodes("Mul", high[1], block)

    def summed(value: str, shape: list[str], axis: int) -> str:
        parts = nodes("Reshape", value, nodes("Concat", *shape, axis=0))
        return nodes("ReduceSum", parts, nodes.constant([axis]), keepdims=0)

    planes, period = nodes.constant([0, PLANES]), nodes.constant([PERIOD])
    rows = summed(filled, [planes, high[0], side, period, wide], 3)
    cells = summed(rows, [planes, high[0], period, high[1], side, period], 5)
    turned = nodes("Transpose", cells, perm=[0, 1, 3, 5, 2, 4])
    shape = nodes("Concat", nodes.constant([0, FOLDED]), *high, axis=0)
    places = nodes("Reshape", turned, shape)
    across = summed(nodes("Mul", filled, filled), [planes, high[0], block, wide], 3)
    squares = summed(across, [planes, high[0], high[1], block], 4)
    means = nodes("Div", squares, nodes.constant(PERIOD**2, np.float32))
    return nodes("Concat", places, means, axis=1)


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
    total = nodes("Cast", nodes("Mul", "height/whole", "width/whole"), to=1)
    means = nodes("Div", nodes("ReduceSum", sums, nodes.constant([2, 3]), keepdims=0), total)
    whole = _values(nodes, fitted, means, total)

    cells = _counts(nodes, blocks)
    near, filled = (
        nodes("AveragePool", part, kernel_shape=[REACH] * 2, pads=[REACH // 2] * 4,
              count_include_pad=1)
        for part in (sums, cells)
    )  # fmt: skip
    means = nodes("Div", near, nodes("Max", filled, number(TINY)))
    last = nodes("Transpose", means, perm=[0, 2, 3, 1])
    lines = nodes("Reshape", last, nodes.constant([-1, FOLDED + PLANES]))
    size = nodes("Concat", "batch", nodes.constant([1]), *blocks, axis=0)
    each = nodes("Expand", nodes("Mul", filled, number(REACH**2)), size)
    values = _values(nodes, fitted, lines, nodes("Reshape", each, nodes.constant([-1, 1])))
    values = nodes("Sub", values, number(fitted.near.tolist()))
    counts = nodes("GreaterOrEqual", filled, number(FILLED * (BLOCK // PERIOD) ** 2))
    windows = nodes("Where", counts, nodes("Reshape", values, size), number(NONE))

    steep = nodes("Mul", nodes("Flatten", windows, axis=1), number(SHARPNESS))
    shares = nodes("ReduceLogSumExp", steep, nodes.constant([1]), keepdims=1)
    used = nodes("ReduceSum", nodes("Cast", counts, to=1), keepdims=0)
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
    square = nodes("Mul", nodes("Unsqueeze", ends[0], nodes.constant([1])), ends[1])
    return nodes("Cast", nodes("Unsqueeze", square, nodes.constant([0, 1])), to=1)


def _values(nodes: Nodes, fitted: Periodic, means: str, count: str) -> str:
    """`Periodic.strengths` of means `[n, 585]` and the linear layer on them, `[n, 1]`.

    Counts are `[n, 1]` or one for all.
    """

    def number(values: object) -> str:
        return nodes.constant(values, np.float32)

    phases, squares = f"{means}/phases", f"{means}/squares"
    nodes.split(means, [phases, squares], nodes.constant([FOLDED, PLANES]))
    places = nodes("Reshape", phases, nodes.constant([0, PLANES, PERIOD**2]))
    parts = [nodes("MatMul", places, number(wave)) for wave in fitted.waves.cpu().numpy()]
    power = nodes("Add", *(nodes("Mul", part, part) for part in parts))
    variance = nodes("Div", nodes("Add", squares, number([FLOOR])), count)
    relative = nodes("Div", power, nodes("Unsqueeze", variance, nodes.constant([2])))
    excess = nodes("Sub", nodes("Mul", relative, number(PERIOD**2)), number([1.0]))
    share = nodes("Div", number(FULL), nodes("Max", count, number(FULL)))
    share = nodes("Reshape", share, nodes.constant([-1, 1, 1]))
    raised = nodes("Add", nodes("Mul", excess, share), number([2.0]))
    strengths = nodes("Flatten", nodes("Log", raised), axis=1)
    weight, bias = (x.cpu().numpy() for x in (fitted.weight, fitted.bias))
    return nodes("Add", nodes("MatMul", strengths, number(weight[:, None])), number(bias))

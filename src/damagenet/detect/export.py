"""One ONNX file that does the whole job, checked against torch before it is let out.

Input `image` uint8 `[batch, height, width, 3]`; outputs `score` float32 `[batch]` (calibrated) and
`heatmap` float32 `[batch, height, width]` in [0, 1]. All preprocessing is in the graph.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from damagenet import BadInput, __version__, images, runs
from damagenet.config import load
from damagenet.detect import graph, model, model_card
from damagenet.detect.parity import check_parity
from damagenet.detect.periodic import PERIOD

FORMAT = 1
LICENCE = "Apache-2.0"


class Deployed(nn.Module):
    """The network as other systems see it: calibrated score and heatmap."""

    knots: Tensor
    bends: Tensor

    def __init__(self, network: model.Network, calibration: dict[str, Any]) -> None:
        """Wrap a network with its calibration: `calibrate.line`, and `heat_offset` for maps."""
        super().__init__()
        self.network, self.calibration = network, calibration
        self.slope, self.offset = calibration["slope"], calibration["offset"]
        self.register_buffer("knots", torch.tensor(calibration.get("knots", ())))
        self.register_buffer("bends", torch.tensor(calibration.get("bends", ())))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Uint8 `[b, h, w, 3]` to score `[b]` and heatmap `[b, h, w]`."""
        logit, heat = self.network(image)
        value = logit * self.slope + self.offset
        if len(self.knots):
            value = value + (self.bends * (logit[:, None] - self.knots).relu()).sum(1)
        return torch.sigmoid(value), torch.sigmoid(heat - self.calibration.get("heat_offset", 0.0))


def export(run: Path) -> dict[str, Any]:
    """Write `detector.onnx` and `MODEL_CARD.md`, then `detector.json`, into a run folder.

    Raises:
        BadInput: Not trained or not evaluated, the export extra is missing, or ONNX Runtime
            differs from torch by more than the config allows (nothing is written then).
    """
    results = runs.read_json(run / "metrics.json", f"evaluate first: `damagenet evaluate {run}`")
    config = load(run / "config.yaml")
    network, facts = model.load(run / "best.safetensors")
    (run / "detector.json").unlink(missing_ok=True)  # of an earlier export, if this one fails
    deployed = Deployed(network, results["calibration"]).eval()
    data = to_onnx(deployed, config.export.opset)
    parity = check_parity(deployed, data)
    if not parity["max_difference"] <= config.export.tolerance:
        raise BadInput(
            f"{run}: ONNX Runtime differs from torch by {parity['max_difference']:.2g}, more than "
            f"{config.export.tolerance:.2g}; try another train.encoder or onnx version"
        )
    card = {
        "format": FORMAT,
        "name": "damagenet",
        "version": __version__,
        "task": "tell AI-doctored product photos from authentic ones",
        "input": "image uint8 [batch,height,width,3] RGB, EXIF rotation applied, not resized",
        "outputs": {
            "score": "float32 [batch] in [0,1], higher = more doctored, calibrated",
            "heatmap": "float32 [batch,height,width] in [0,1]",
        },
        "threshold": results["threshold"],
        "review_threshold": results["review_threshold"],
        "false_alarm_rate": results["false_alarm_rate"],
        "review_false_alarm_rate": results["review_false_alarm_rate"],
        "certificate": results["certificate"],
        "calibration": results["calibration"],
        "calibration_pictures": results["authentic_pictures"],
        "damaged_pictures": results["damaged_pictures"],
        "really_damaged_pictures": results["really_damaged_pictures"],
        "more_photos": results["certificate"]["flag"]["more_photos"],
        "false_alarm_bound_95": results["false_alarm_bound_95"],
        "metrics": results["headline"],
        "table": [row for row in results["metrics"] if row["metric"] in model_card.SHOWN],
        "dataset_sha256": results["dataset_sha256"],
        "commit": facts["commit"],
        "weights_sha256": runs.sha256(run / "best.safetensors"),
        "export_code_sha256": runs.code_sha256(),
        "seed": facts["seed"],
        "encoder": config.train.encoder,
        "parity": parity,
        "licence": LICENCE,
        "intended_use": model_card.INTENDED_USE,
    }
    for old in run.glob("detector.int8.*"):
        old.unlink()  # made from an older one
    images.write_bytes(run / "detector.onnx", with_metadata(data, card))
    images.write_bytes(run / "MODEL_CARD.md", model_card.text(card, results, run).encode())
    runs.write_json(
        run / "detector.json", card | {"onnx_sha256": runs.sha256(run / "detector.onnx")}
    )
    return card


def to_onnx(deployed: Deployed, opset: int) -> bytes:
    """The whole graph: one tile traced with batch, height and width dynamic, in a loop."""
    proto = graph.looped(traced(deployed, opset), deployed.network, deployed.calibration)
    return bytes(proto.SerializeToString())


def traced(deployed: Deployed, opset: int) -> Any:  # noqa: ANN401 - onnx has no types
    """The ONNX model of one tile, see `graph.Tile`."""
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError:
        raise BadInput("export needs onnx: pip install 'damagenet[export]'") from None
    step = deployed.network.multiple
    tile = graph.Tile(deployed.network, deployed.calibration.get("heat_offset", 0.0)).eval()
    batch = torch.export.Dim("batch", min=1, max=1024)
    dims, near = (
        {0: batch} | {axis: multiple * torch.export.Dim(f"{name}{axis}", min=2, max=1024)
                      for axis in (1, 2)}
        for name, multiple in (("side", step), ("near", PERIOD))
    )  # fmt: skip
    example = torch.randint(0, 256, (2, 96, 128, 3), dtype=torch.uint8)
    noise = io.StringIO()
    level = logging.getLogger("onnxscript").level
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(noise), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            tile,
            (example, example[:, :80, :120]),
            dynamo=True,
            opset_version=opset,
            input_names=["crop", "near"],
            output_names=["heat", "logits", "fused", "residuals", "slopes"],
            dynamic_shapes={"image": dims, "near": near},
            external_data=False,
            verbose=False,
        )
    logging.getLogger("onnxscript").setLevel(level)
    assert program is not None
    proto = program.model_proto
    inner = proto.graph  # nodes carry stack traces, and with them the paths of this machine
    for part in (proto, inner, *inner.node, *inner.value_info, *inner.input, *inner.output,
                 *inner.initializer, *proto.functions):  # fmt: skip
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return proto


def with_metadata(data: bytes, card: dict[str, Any]) -> bytes:
    """Put the card into the model: whole under `damagenet`, common keys also on their own."""
    import onnx

    proto = onnx.load_from_string(data)
    proto.producer_name, proto.producer_version = "damagenet", __version__
    proto.doc_string = card["task"]
    plain = ("version", "threshold", "false_alarm_rate", "dataset_sha256", "licence")
    values = {"damagenet": json.dumps(card, sort_keys=True)}
    values |= {key: str(card[key]) for key in plain}
    values |= {
        "metrics": json.dumps(card["metrics"]),
        "Image.BitmapPixelFormat": "Rgb8",
        "Image.ColorSpaceGamma": "SRGB",
        "Image.NominalPixelRange": "NominalRange_0_255",
    }
    for key, value in values.items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, value
    return bytes(proto.SerializeToString())

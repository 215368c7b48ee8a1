"""The loop over tiles inside the exported file."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import photo, settings

from damagenet.detect import export, model
from damagenet.detect.encoder import DEPTHS
from damagenet.detect.model import HALO, cut

CURVE = {"slope": 0.7, "offset": -0.3}


@pytest.fixture(scope="module")
def network():
    """A small network of ours with weights that make its maps differ from place to place."""
    torch.manual_seed(3)
    made = model.Network(settings(train={"encoder": "nodown", "base": 4, "stages": 4}).train)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    torch.nn.init.normal_(made.image.weight)
    torch.nn.init.normal_(made.periodic.weight, std=0.1)
    made.periodic.bias.fill_(-1.0)
    made.periodic.gain.fill_(0.7)
    return made.eval()


def opened(network):
    deployed = export.Deployed(network, CURVE).eval()
    data = export.to_onnx(deployed, 20)
    return onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]), deployed, data


@pytest.fixture(scope="module")
def exported(network):
    """What `opened` gives, of tiles of 160 pixels."""
    tile, network.tile = network.tile, 160
    yield opened(network)
    network.tile = tile


def compared(session, deployed, image):
    with torch.no_grad():
        expected = [x.numpy() for x in deployed(torch.from_numpy(image))]
    found = session.run(["score", "heatmap"], {"image": image})
    return [np.abs(a - b).max() for a, b in zip(found, expected, strict=True)], found


def test_tiles_give_what_one_pass_gives(exported):
    session, deployed, _ = exported
    for batch, height, width in ((1, 161, 500), (2, 330, 150), (3, 8, 700), (1, 1, 1)):
        image = np.stack([photo(height, width)] * batch)
        gaps, (score, heatmap) = compared(session, deployed, image)
        assert max(gaps) < 1e-5
        assert score.shape == (batch,) and heatmap.shape == image.shape[:3]
        assert heatmap.std() > 1e-3 or height * width == 1  # a constant would agree, too


def test_the_halo_is_as_far_as_the_network_looks(network):
    image = torch.from_numpy(photo(320, 200)[None])
    with torch.no_grad():
        whole = network.enlarge(network.maps(image)[0])[:, :160]
        for halo, exact in ((HALO, True), (16, False)):
            cropped = network.enlarge(network.maps(image[:, : 160 + halo])[0])[:, :160]
            assert bool((cropped - whole).abs().max() < 1e-6) is exact


@pytest.mark.parametrize("size", [1, 63, 64, 65, 1024, 1025, 1999, 6000, 20_000])
def test_tiles_cover_a_side_evenly(size):
    tiles, core = cut(size, 1024, 8)
    assert core % 8 == 0 and 64 <= core <= 1024
    assert tiles * core >= size and (tiles - 1) * core < size


def test_shapes_of_what_is_added_are_known_to_be_the_same(exported):
    # Without, ONNX Runtime adds in a step of its own instead of within the convolution.
    body = (
        next(
            node for node in onnx.load_from_string(exported[2]).graph.node if node.op_type == "Loop"
        )
        .attribute[0]
        .g
    )
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in body.value_info
    }
    added = [node.input for node in body.node if node.op_type == "Add"]
    known = [shapes[a] for a, b in added if a in shapes and shapes[a] == shapes.get(b)]
    assert len(known) == sum(DEPTHS)  # one in each block

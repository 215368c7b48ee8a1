"""The lattice in the exported graph: windows across tiles, pictures of every size."""

import numpy as np
import pytest
import torch
from conftest import photo
from test_graph import compared, network, opened  # noqa: F401 - a fixture

from damagenet.detect.model import planes


@pytest.fixture(scope="module")
def exported(network):  # noqa: F811
    """Tiles of 192 pixels, and a lattice that has a say."""
    network.tile = 192
    network.periodic.bias.fill_(1.0)
    network.periodic.near.fill_(-0.4)
    return opened(network)


@pytest.mark.parametrize("size", [(190, 192), (192, 193), (135, 500), (449, 385), (70, 640)])
def test_windows_lie_across_tiles(exported, size):
    session, deployed = exported
    image = photo(*size)[None]
    gaps, (_, heatmap) = compared(session, deployed, image)
    assert max(gaps) < 1e-5 and heatmap.shape == (1, *size)
    with torch.no_grad():
        found, blocks = deployed.network.periodic(planes(deployed.network.padded(
            torch.from_numpy(image))), *size)  # fmt: skip
    assert found > 0 and blocks.max() > 0.5


def test_pictures_of_a_batch_have_windows_of_their_own(exported):
    session, deployed = exported
    rng = np.random.default_rng(0)
    batch = rng.integers(0, 256, (3, 260, 333, 3), np.uint8)
    gaps, (scores, heatmaps) = compared(session, deployed, batch)
    assert max(gaps) < 1e-5
    single = session.run(["score", "heatmap"], {"image": batch[1:2]})
    assert scores[1] == pytest.approx(single[0][0], abs=1e-6)
    assert np.abs(heatmaps[1] - single[1][0]).max() < 1e-5

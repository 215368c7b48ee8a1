import pytest
import torch
from conftest import settings

from damagenet.detect.encoder import Block, NoDown, Shortcut
from damagenet.detect.model import Network, power_mean


@pytest.mark.parametrize("stages", [1, 2, 4])
def test_maps_halve_and_channels_double(stages):
    maps = NoDown(5, 4, stages).eval()(torch.rand(2, 5, 40, 56))
    assert [tuple(m.shape) for m in maps] == [(2, 4 << i, 40 >> i, 56 >> i) for i in range(stages)]


def test_the_first_map_sees_every_pixel():
    # Whichever pixel changes, the map at full resolution changes exactly there and around it.
    torch.manual_seed(0)
    encoder = NoDown(1, 4, 1).eval()
    plain = torch.zeros(1, 1, 20, 21)
    for y, x in ((8, 9), (9, 9), (9, 10), (10, 10)):
        dotted = plain.clone()
        dotted[0, 0, y, x] = 1
        change = (encoder(dotted)[0] - encoder(plain)[0]).abs().sum(1)[0]
        assert change[y, x] > 0 and change[:4].sum() == 0 and change[:, 16:].sum() == 0


def test_a_fresh_block_is_its_shortcut():
    x = torch.rand(2, 6, 10, 12)
    assert torch.equal(Block(6, 6).eval()(x), x)


@pytest.mark.parametrize("side", [1, 2, 3])
def test_means_and_convolution_in_one_step_are_those_in_two(side):
    torch.manual_seed(0)
    shortcut, x = Shortcut(5, 7, side).eval(), torch.randn(2, 5, 12, 18)
    assert torch.allclose(shortcut(x), torch.nn.Sequential.forward(shortcut, x), atol=1e-6)


def test_every_weight_learns():
    torch.manual_seed(0)
    network = Network(settings(train={"encoder": "nodown", "base": 4, "stages": 4}).train)
    for block in network.modules():
        if isinstance(block, Block):
            torch.nn.init.ones_(block.norm2.weight)
    torch.nn.init.ones_(network.image.weight)
    logit, heat = network(torch.randint(0, 256, (2, 40, 56, 3), dtype=torch.uint8))
    (logit.sum() + heat.square().sum()).backward()
    still = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still


def test_power_means_lie_between_mean_and_maximum_and_ignore_size():
    values = torch.tensor([[0.0, 1.0, 5.0, -2.0]])
    means = [float(power_mean(values, t)) for t in (0.01, 0.5, 1, 4, 50)]
    assert means == sorted(means)
    assert means[0] == pytest.approx(1.0, abs=0.05) and means[-1] == pytest.approx(5, abs=0.05)
    brute = torch.log(torch.exp(values * 2).mean()) / 2
    assert float(power_mean(values, 2)) == pytest.approx(float(brute))
    assert torch.allclose(power_mean(values.repeat(1, 9), 2), power_mean(values, 2))
    assert power_mean(torch.full((1, 9), 500.0), 4).isfinite().all()

import json
import pickle

import numpy as np
import pytest
import safetensors
import torch
from conftest import photo, settings

from damagenet import BadInput
from damagenet.config import Train, from_dict
from damagenet.detect import model
from damagenet.detect.model import Network, residual_filters

SMALL = settings().train


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Network(SMALL).eval()


def pictures(batch, height, width):
    rng = np.random.default_rng(height)
    return torch.from_numpy(rng.integers(0, 256, (batch, height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    "size", [(1, 64, 64), (3, 65, 97), (2, 150, 71), (1, 201, 64), (5, 33, 47)]
)
def test_pictures_of_any_size_give_a_logit_and_a_map_of_their_size(network, size):
    image = pictures(*size)
    with torch.no_grad():
        logit, heat = network(image)
    assert logit.shape == (size[0],) and heat.shape == size
    assert logit.isfinite().all() and heat.isfinite().all()
    assert torch.equal(image, pictures(*size))


def test_pictures_of_a_batch_do_not_see_each_other(network):
    image = pictures(3, 70, 90)
    with torch.no_grad():
        together = network(image)
        alone = [network(one[None]) for one in image]
    for i, (logit, heat) in enumerate(alone):
        assert torch.allclose(together[0][i], logit[0], atol=1e-4)
        assert torch.allclose(together[1][i], heat[0], atol=1e-4)


def test_the_map_lies_on_the_picture():
    # With weights that answer to noise alone, a noisy corner must light up where it is.
    torch.manual_seed(0)
    fresh = Network(SMALL).eval()
    image = torch.full((1, 128, 192, 3), 128, dtype=torch.uint8)
    plain = fresh(image)[1][0]
    image[0, :48, 128:] = pictures(1, 48, 64)[0]
    change = (fresh(image)[1][0] - plain).abs().detach()
    assert change[:48, 128:].mean() > 5 * change[80:, :96].mean()


def test_residual_filters_are_high_pass(network):
    filters = residual_filters()
    assert filters.shape == (9, 1, 5, 5)
    assert filters.sum((2, 3)).abs().max() < 1e-6
    for value in (0, 0.5, 1):
        assert network.residuals(torch.full((1, 3, 40, 52), float(value))).abs().max() < 1e-4
    ramp = torch.linspace(0, 0.8, 60).expand(1, 3, 40, 60)
    assert network.residuals(ramp)[..., 4:-4].abs().max() < 1e-3  # a slope is no trace
    noise = network.residuals(torch.from_numpy(photo()).permute(2, 0, 1)[None].float())
    assert noise.shape == (1, 9, 150, 210) and 0.01 < noise.abs().mean() and noise.abs().max() <= 2


def test_residuals_stay_high_pass_in_half_precision(network):
    with torch.autocast("cpu", torch.bfloat16):
        assert network.residuals(torch.full((1, 3, 40, 52), 178.0)).abs().max() < 1e-3


def test_filters_are_those_of_the_paper():
    bank = residual_filters()[:3, 0]
    assert bank[0, 2].tolist() == [0, 0.5, -1, 0.5, 0]
    assert bank[1, 2, 2] == -1 and bank[2, 2, 2] == -1
    assert all(torch.equal(kernel, kernel.flip(1)) for kernel in bank)


def test_saving_and_loading_keeps_every_output_bit(network, tmp_path):
    model.save(tmp_path / "best.safetensors", network, step=3, seed=1, val={"auc": 0.5})
    loaded, facts = model.load(tmp_path / "best.safetensors")
    assert facts == {"step": 3, "seed": 1, "val": {"auc": 0.5}} and not loaded.training
    with torch.no_grad():
        for one, other in zip(
            network(pictures(2, 70, 90)), loaded(pictures(2, 70, 90)), strict=True
        ):
            assert torch.equal(one, other)


def test_the_file_tells_how_to_use_it(network, tmp_path):
    model.save(tmp_path / "best.safetensors", network)
    with safetensors.safe_open(tmp_path / "best.safetensors", "pt") as handle:
        metadata = handle.metadata()
    assert from_dict(Train, json.loads(metadata["train"]), "file") == SMALL
    assert json.loads(metadata["classes"]) == ["authentic", "doctored"]
    assert "uint8 RGB" in metadata["preprocessing"] and metadata["format"] == str(model.FORMAT)


class Harmful:
    """What a pickle could do; loading weights must never come that far."""

    def __reduce__(self):
        return exec, ("raise SystemExit('a pickle was run')",)


@pytest.mark.parametrize(
    "content", ["pickle", "garbage", "empty", "cut", "foreign", "newer", "gone"]
)
def test_files_that_are_not_our_weights_are_named(network, tmp_path, content):
    path = tmp_path / "best.safetensors"
    model.save(path, network)
    whole = path.read_bytes()
    if content == "gone":
        path.unlink()
    elif content in ("foreign", "newer"):
        metadata = {"format": "99"} if content == "newer" else None
        safetensors.torch.save_file({"x": torch.zeros(2)}, path, metadata)
    else:
        path.write_bytes({
            "pickle": pickle.dumps(Harmful()), "garbage": bytes(range(256)) * 9, "empty": b"",
            "cut": whole[: len(whole) // 2],
        }[content])  # fmt: skip
    with pytest.raises(BadInput, match=r"best\.safetensors: "):
        model.load(path)


@pytest.mark.parametrize(
    ("name", "hint"), [("resnet10", "resnet"), ("tset_byobnet", "none"), ("vit_tiny", "vit_")]
)
def test_an_unknown_encoder_is_bad_input_with_a_hint(name, hint):
    with pytest.raises(BadInput, match=rf"train\.encoder={name}: .*timm names like it: .*{hint}"):
        Network(settings(train={"encoder": name}).train)


def test_more_stages_than_an_encoder_has_are_bad_input():
    with pytest.raises(BadInput, match=r"train\.encoder=test_byobnet"):
        Network(settings(train={"stages": 9}).train)


def test_the_first_stride_is_removed_unless_asked_for():
    def strides(keep):
        network = Network(settings(train={"encoder": "resnet10t", "early_stride": keep}).train)
        return [m.stride[0] for m in network.encoder.modules() if isinstance(m, torch.nn.Conv2d)]

    kept, removed = strides(True), strides(False)
    assert kept[0] == 2 and removed[0] == 1 and kept[1:] == removed[1:]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_bad_input():
    with pytest.raises(BadInput, match=r"train\.device=cuda but torch finds no GPU"):
        model.device_for("cuda")
    assert model.device_for("auto").type == model.device_for("cpu").type == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_auto_takes_the_gpu():
    assert model.device_for("auto").type == model.device_for("cuda").type == "cuda"

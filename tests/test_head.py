import numpy as np
import torch
from conftest import settings
from sklearn.linear_model import LogisticRegression

from damagenet.detect import head, metrics
from damagenet.detect.model import Network

SMALL = settings().train


def test_the_fit_finds_the_direction_and_works_on_raw_numbers():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 400)
    evidence = rng.normal(0, (1, 100, 0.01), (400, 3)) + np.outer(labels, [2, 0, 0])
    weights, bias = head.fit(evidence, labels)
    logits = evidence @ weights + bias
    assert metrics.auc(labels, logits) > 0.9
    assert abs(np.mean(logits >= 0) - 0.5) < 0.1
    free = LogisticRegression(C=1e3).fit(evidence, labels).decision_function(evidence)
    assert np.corrcoef(logits, free)[0, 1] > 0.95


def test_refitting_changes_the_image_layer_and_nothing_else(built, manifest):
    torch.manual_seed(0)
    network = Network(SMALL).eval()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    rows = manifest[manifest.split == "train"].to_dict("records")
    head.refit(network, built, rows, 0, 12, torch.device("cpu"))
    changed = {k for k, v in network.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"image.weight", "image.bias"}
    again = Network(SMALL).eval()
    again.load_state_dict(before)
    head.refit(again, built, rows, 0, 12, torch.device("cpu"))
    assert torch.equal(again.image.weight, network.image.weight)


def test_evidence_and_forward_agree(built, manifest):
    network = Network(SMALL).eval()
    image = torch.randint(0, 256, (2, 60, 80, 3), dtype=torch.uint8)
    with torch.no_grad():
        evidence, heat = network.evidence(image)
        logit, again = network(image)
    assert torch.equal(network.image(evidence).squeeze(1), logit) and torch.equal(heat, again)

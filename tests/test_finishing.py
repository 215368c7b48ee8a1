import cv2
import numpy as np
import pytest

from damagenet import BadInput
from damagenet.synth.finishing import STYLES, finish


def camera(**change):
    """A camera that leaves its picture alone."""
    neutral = {
        "denoise": {"style": "none", "luma": 0.0, "chroma": 0.0},
        "sharpen": {"amount": 0.0, "radius": 1.0, "limit": 10.0},
    }
    return neutral | change


@pytest.mark.parametrize("style", [s for s in STYLES if s != "none"])
def test_denoising_takes_noise_and_leaves_edges(style):
    clean = np.full((96, 131, 3), 90, np.float32)
    clean[:, 60:] = 170
    grain = np.random.default_rng(0).normal(0, 5, (96, 131, 1))
    noisy = np.rint((clean + grain).clip(0, 255)).astype(np.uint8)
    strength = {"style": style, "luma": 5.0, "chroma": 0.0}
    smooth = finish(noisy, camera(denoise=strength)).astype(float)[..., 1]
    assert smooth[4:-4, 8:50].std() < 0.65 * 5
    step = smooth[4:-4, 64].mean() - smooth[4:-4, 55].mean()
    assert step > 0.9 * 80
    assert smooth[4:-4, 60].mean() - smooth[4:-4, 59].mean() > 0.6 * 80


def test_chroma_is_denoised_without_touching_luma():
    rng = np.random.default_rng(0)
    noisy = np.rint(rng.normal(128, 6, (97, 131, 3))).astype(np.uint8)

    def planes(chroma):
        shot = camera(denoise={"style": "none", "luma": 0.0, "chroma": chroma})
        return cv2.cvtColor(finish(noisy, shot), cv2.COLOR_RGB2YCrCb).astype(float)

    before, after = planes(0.0), planes(8.0)
    assert np.abs(after[..., 0] - before[..., 0]).mean() < 0.6
    assert (after[..., 1:].std((0, 1)) < 0.5 * before[..., 1:].std((0, 1))).all()
    assert np.abs(after.mean((0, 1)) - before.mean((0, 1))).max() < 0.5


def test_sharpening_raises_contrast_at_edges_up_to_its_limit():
    step = np.full((40, 61, 3), 80, np.uint8)
    step[:, 30:] = 160
    for amount, limit, halo in ((0.0, 9.0, 0), (1.0, 9.0, 9), (3.0, 6.0, 6)):
        sharpen = {"amount": amount, "radius": 1.0, "limit": limit}
        crisp = finish(step, camera(sharpen=sharpen))[10:30, :, 1].astype(int)
        assert crisp.max() - 160 == pytest.approx(halo, abs=1)
        assert 80 - crisp.min() == pytest.approx(halo, abs=1)
        assert np.abs(crisp[:, :20] - 80).max() <= 1


def test_unknown_denoising_is_refused():
    shot = camera(denoise={"style": "magic", "luma": 2.0, "chroma": 0.0})
    with pytest.raises(BadInput, match="known: none, guided"):
        finish(np.zeros((64, 90, 3), np.uint8), shot)

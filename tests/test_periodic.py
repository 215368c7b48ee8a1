"""The lattice that decoders leave."""

import numpy as np
import pytest
import torch
from conftest import photo

from damagenet.detect import lattice
from damagenet.detect.periodic import PERIOD, PLANES, Periodic, frequencies


def noise(height, width, seed=0):
    """Grey noise of three levels, uint8 `[h, w, 3]`."""
    drawn = np.random.default_rng(seed).normal(120, 3, (height, width, 3))
    return np.clip(np.rint(drawn), 0, 255).astype(np.uint8)


def laid(picture, period=8, strength=2):
    """The picture with one pixel of each cell a little brighter."""
    out = picture.astype(int)
    out[3::period, 5::period] += strength
    return np.clip(out, 0, 255).astype(np.uint8)


def power(picture):
    return np.expm1(lattice.strengths(Periodic(), picture))


def test_a_cell_has_every_frequency_once():
    waves = frequencies().double().numpy()
    spectrum = np.concatenate([waves[0].T, waves[1].T])
    assert np.linalg.matrix_rank(spectrum) == PERIOD**2 - 1  # all but the mean
    assert abs(spectrum.sum(1)).max() < 1e-6


@pytest.mark.parametrize("size", [(160, 232), (480, 360)])
def test_noise_has_no_lattice_at_any_size(size):
    found = power(noise(*size))
    assert 0.5 < found.mean() < 1.6 and found.max() < 20  # as of a chi-squared


def test_a_lattice_stands_out_and_the_more_the_larger_the_picture():
    small, large = (power(laid(noise(*size))).max() for size in ((160, 232), (480, 360)))
    assert small > 20 and large > 3 * small


def test_strengths_do_not_depend_on_where_a_picture_was_cut():
    whole = laid(photo(360, 480))
    cut = [power(whole[y : y + 320, x : x + 400]) for y, x in ((0, 0), (8, 16), (3, 5))]
    strong = cut[0] > 30
    assert strong.any()
    for other in cut[1:]:
        assert np.allclose(other[strong], cut[0][strong], rtol=0.35)


def test_edges_cannot_fake_a_lattice():
    striped = noise(240, 320)
    striped[:, 160:] = 255 - striped[:, 160:]
    assert power(striped).max() < 30


def test_without_weights_it_has_no_say_and_a_missing_lattice_none_either():
    strengths = torch.rand(4, PLANES * frequencies().shape[2])
    fitted = Periodic()
    assert not fitted.evidence(strengths).any()
    fitted.weight.fill_(-1.0)
    fitted.gain.fill_(2.0)
    assert (fitted.evidence(strengths) >= 0).all()

"""The lattice that decoders leave."""

import numpy as np
import pytest
import torch
from conftest import photo

from damagenet.detect import lattice
from damagenet.detect.periodic import (
    BLOCK,
    COUNTED,
    FOLDED,
    HELD,
    NONE,
    PERIOD,
    SIZES,
    Periodic,
    counts,
    folded,
    frequencies,
    pooled,
    power,
)


def noise(height, width, seed=0):
    """Grey noise of three levels, uint8 `[h, w, 3]`."""
    drawn = np.random.default_rng(seed).normal(120, 3, (height, width, 3))
    return np.clip(np.rint(drawn), 0, 255).astype(np.uint8)


def laid(picture, period=8, strength=2):
    """The picture with one pixel of each cell a little brighter."""
    out = picture.astype(int)
    out[3::period, 5::period] += strength
    return np.clip(out, 0, 255).astype(np.uint8)


def strength(picture):
    return np.expm1(lattice.strengths(Periodic(), picture))


def test_a_cell_has_every_frequency_once():
    waves = frequencies().double().numpy()
    spectrum = np.concatenate([waves[0].T, waves[1].T])
    assert np.linalg.matrix_rank(spectrum) == PERIOD**2 - 1  # all but the mean
    assert abs(spectrum.sum(1)).max() < 1e-6


@pytest.mark.parametrize("size", [(160, 232), (480, 360)])
def test_noise_has_no_lattice_at_any_size(size):
    found = strength(noise(*size))
    assert 0.5 < found.mean() < 1.6 and found.max() < 20  # as of a chi-squared


def test_a_lattice_stands_out_and_the_more_the_larger_the_picture():
    small, large = (strength(laid(noise(*size))).max() for size in ((160, 232), (480, 360)))
    assert small > 20 and large > 3 * small


def test_beyond_the_size_of_the_fit_a_lattice_counts_for_what_it_is():
    """Or else large photos of a strong JPEG compression would be accused for their own blocks."""
    full, larger = (strength(laid(noise(*size))) for size in ((512, 512), (1024, 1216)))
    assert larger.max() < 1.2 * full.max()
    assert larger.mean() == pytest.approx(full.mean(), rel=0.15)
    without = strength(noise(1024, 1216))
    assert 0.9 < without.mean() < 1.1 and without.max() < 6


def test_strengths_do_not_depend_on_where_a_picture_was_cut():
    whole = laid(photo(360, 480))
    cut = [strength(whole[y : y + 320, x : x + 400]) for y, x in ((0, 0), (8, 16), (3, 5))]
    strong = cut[0] > 30
    assert strong.any()
    for other in cut[1:]:
        assert np.allclose(other[strong], cut[0][strong], rtol=0.35)


def test_edges_cannot_fake_a_lattice():
    striped = noise(240, 320)
    striped[:, 160:] = 255 - striped[:, 160:]
    assert strength(striped).max() < 30


def planes(picture):
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float()


def eager():
    """Weights that heed every frequency alike."""
    made = Periodic()
    made.weight.fill_(0.025)
    made.bias.fill_(-12.0)
    made.gain.fill_(2.0)
    return made


def test_without_weights_it_has_no_say_and_a_missing_lattice_none_either():
    x = planes(noise(200, 264))
    assert not any(part.any() for part in Periodic()(x, 200, 264))
    fitted = eager()
    fitted.weight.mul_(-1.0)
    assert all((part >= 0).all() for part in fitted(x, 200, 264))


def test_blocks_add_up_to_the_picture():
    height, width = 150, 333
    x = planes(photo(152, 336))
    sums, cells = Periodic().blocks(x, height, width)
    assert sums.shape == (1, HELD, 3, 6) and cells.shape == (1, COUNTED, 3, 6)
    assert cells[0, 0].sum() == (height // 8) * (width // 8)
    held = dict(zip(SIZES, sums.sum((2, 3))[0].split(list(SIZES.values())), strict=True))
    residuals, slopes = Periodic().seen(x)
    whole = residuals[0, :, :144, :328].reshape(9, 18, 8, 41, 8)
    slopes = slopes[0, :, :18, :41].reshape(2, 3, 18, 41)
    assert torch.allclose(held["places"], whole.sum((1, 3)).flatten(), atol=1e-3)
    assert torch.allclose(held["squares"], whole.square().sum((1, 2, 3, 4)) / 64, rtol=1e-5)
    for name, slope in zip(("across", "down"), slopes, strict=True):
        steep = slope.repeat_interleave(3, 0)[:, :, None, :, None]
        assert torch.allclose(held[name], (whole * steep).sum((1, 3)).flatten(), atol=1e-2)
    x, y = slopes
    moments = [part.sum((1, 2)) for part in (x, y, x * x, y * y, x * y)]
    assert torch.allclose(held["slopes"], torch.cat(moments), rtol=1e-4, atol=1e-2)
    first = residuals[:, :, :BLOCK, :BLOCK]
    alone = folded(first, torch.zeros(1, 6, 8, 8), frequencies(), 1, 1)
    assert torch.allclose(alone[:, :FOLDED, 0, 0], sums[:, :FOLDED, 0, 0], atol=1e-4)


def test_strips_are_rows_and_columns_of_the_cells_of_a_block():
    height, width = 72, 136  # the last blocks hold one row and one column of cells
    residuals, slopes = Periodic().seen(planes(photo(height, width)))
    held = folded(residuals, slopes, frequencies(), 2, 3)[0]
    cells = residuals[0].reshape(9, 9, 8, 17, 8).permute(0, 1, 3, 2, 4).flatten(3)
    begin = sum(list(SIZES.values())[:4])
    for axis, number in ((2, 0), (1, 1)):
        strips = cells[:, 8:9, 8:16] if axis == 2 else cells[:, :8, 16:17]
        found = power(strips.sum(axis), frequencies()).sum(1).flatten()
        block = (1, 1) if axis == 2 else (0, 2)
        there = held[begin + 297 * number : begin + 297 * (number + 1), *block]
        assert torch.allclose(there, found, rtol=1e-3, atol=1e-3)
    assert counts(height, width)[0, :, 1, 1].tolist() == [8, 64, 8]
    assert counts(height, width)[0, :, 0, 2].tolist() == [8, 8, 64]


def halves(picture):
    """Largest strength beside noise, and beside noise and strips; of brightness."""
    return strength(picture).reshape(2, 9, 33)[:, :3].max((1, 2))


def test_lines_that_cross_a_picture_are_no_lattice():
    picture = noise(384, 512)
    for place in np.random.default_rng(0).integers(4, 380, 14):
        picture[place : place + 2] += 12
    alone, among = halves(picture)
    assert alone > 100 and among < 20
    assert halves(laid(noise(384, 512)))[1] > 30


def stairs(share, rng):
    """A soft photo in blocks: so large a share of the steps to the right goes up."""
    steps = np.where(rng.random((40, 48)) < share, 1.0, -1.0).cumsum(1)
    level = np.kron(steps, np.ones((8, 8)))[..., None] + 100
    drawn = level + rng.normal(0, 0.7, (320, 384, 3))
    return np.rint(drawn).clip(0, 255).astype(np.uint8)


def slopes_known(picture, known):
    """Largest strength of brightness."""
    made = Periodic()
    sums, cells = (x.sum((2, 3)) for x in made.blocks(planes(picture), *picture.shape[:2]))
    if not known:
        sums[:, -SIZES["slopes"] :] = 0
    return float(made.strengths(sums, cells).expm1().reshape(2, 9, 33)[:, :3].max())


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_steps_of_blocks_are_no_lattice_where_brightness_slopes(share):
    picture = stairs(share, np.random.default_rng(1))
    assert slopes_known(picture, False) > 8 * slopes_known(picture, True)


def test_a_lattice_beside_steps_is_found_unless_all_go_one_way():
    rng = np.random.default_rng(1)
    balanced, sky = stairs(0.6, rng), stairs(0.99, rng)
    assert slopes_known(laid(balanced), True) > 8 * slopes_known(balanced, True)
    assert slopes_known(laid(sky), True) < 100  # it cannot know there, and does not accuse


@pytest.mark.parametrize("size", [(1, 1), (64, 64), (71, 200), (135, 1000)])
def test_blocks_cover_a_picture_and_hold_its_whole_cells(size):
    found = counts(*size)
    assert found.shape[2:] == tuple(-(-side // BLOCK) for side in size)
    number = found[:, 0]
    assert number.sum() == max(1, size[0] // 8) * max(1, size[1] // 8) and number.max() <= 64


def test_a_window_says_where_a_lattice_was_pasted():
    picture = noise(512, 640)
    picture[128:384, 320:] = laid(picture[128:384, 320:])
    found, blocks = eager()(planes(picture), 512, 640)
    inside, outside = blocks[0, 0, 3:5, 6:9], blocks[0, 0, :, :3]
    assert blocks.shape == (1, 1, 8, 10) and inside.min() > 4 * outside.max()
    plain, calm = eager()(planes(noise(512, 640)), 512, 640)
    assert found > 5 * plain and calm.max() < inside.min()


def test_what_lies_in_a_small_part_only_is_lost_in_the_whole():
    picture = noise(640, 640)
    picture[:192, :192] = laid(picture[:192, :192])
    whole, windows = eager().values(planes(picture), 640, 640)
    assert windows.max() > whole + 1


def test_windows_that_do_not_count_have_no_say():
    whole, windows = eager().values(planes(laid(noise(96, 96))), 96, 96)
    assert (windows == NONE).all() and pooled(windows.flatten(1)) < NONE / 2  # too small for one
    assert eager()(planes(laid(noise(96, 96))), 96, 96)[0] == pytest.approx(
        2 * np.log1p(np.exp(float(whole))), rel=1e-5
    )


def test_the_mean_over_windows_heeds_their_share_and_not_their_number():
    values = torch.tensor([[0.0, 3.0, -1.0, 0.5]])
    once = pooled(values)
    assert values.mean() < once < values.max()
    assert torch.allclose(pooled(values.repeat(1, 50)), once, atol=1e-5)
    assert torch.allclose(pooled(torch.cat([values, torch.full((1, 9), NONE)], 1)), once)

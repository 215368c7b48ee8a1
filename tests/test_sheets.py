import numpy as np
import pytest
from conftest import photo

from damagenet import plots, sheets


def test_the_outline_lies_on_the_border_of_the_region():
    image, mask = photo(), np.zeros((150, 210), bool)
    mask[40:90, 60:160] = True
    found = plots.outlined(image, mask)
    changed = (found != image).any(-1)
    assert changed.any() and not changed[~mask].any() and not changed[46:84, 66:154].any()
    assert np.array_equal(image, photo())


def test_a_region_that_is_the_whole_picture_is_framed():
    changed = (plots.outlined(photo(), np.ones((150, 210), bool)) == sheets.CHANGED).all(-1)
    assert changed[0].all() and changed[:, -1].all() and not changed[5:-5, 5:-5].any()


@pytest.mark.parametrize("place", [(10, 12, 10, 12), (40, 90, 60, 160), (0, 150, 0, 210),
                                   (147, 150, 0, 9), (70, 71, 0, 210)])  # fmt: skip
def test_a_close_up_holds_the_region_and_keeps_to_its_limits(place):
    mask = np.zeros((150, 210), np.uint8)
    mask[place[0] : place[1], place[2] : place[3]] = 255
    whole = sheets.close_up(mask, least=40)
    assert (mask[whole] > 0).sum() == (mask > 0).sum() and min(mask[whole].shape) >= 40
    assert whole == sheets.close_up(mask > 0, least=40)
    cut = mask[sheets.close_up(mask, most=64)]
    assert cut.any() and max(cut.shape) <= 64


def test_a_close_up_of_nothing_is_everything():
    assert np.zeros((30, 50))[sheets.close_up(np.zeros((30, 50), np.uint8))].shape == (30, 50)


def test_the_difference_is_the_mean_over_colours_enlarged():
    before, after = np.zeros((2, 3, 3), np.uint8), np.zeros((2, 3, 3), np.uint8)
    after[0, 0] = (3, 0, 6)
    after[1, 2] = 255
    gap = sheets.difference(after, before, gain=10)
    assert gap[0, 0] == pytest.approx(30 / 255) and gap[1, 2] == 1 and np.count_nonzero(gap) == 2
    assert np.array_equal(gap, sheets.difference(before, after, gain=10))


def test_the_residual_shows_noise_and_no_slope():
    slope = np.repeat(np.add.outer(np.arange(40), np.arange(60))[..., None], 3, 2).astype(np.uint8)
    plain = sheets.residual(slope)[8:-8, 8:-8]
    noisy = slope + np.random.default_rng(0).integers(0, 9, (40, 60, 1), np.uint8)
    assert np.abs(plain.astype(int) - 128).max() <= 4
    assert sheets.residual(noisy).std() > 10 and sheets.residual(noisy).shape == (40, 60)


def test_the_twins_shown_have_all_four_cells(manifest, built):
    titles = [axis.get_title() for axis in plots.twins(manifest, built, 2).axes]
    assert [t.split("\n")[0] for t in titles] == 2 * list(plots.CELL_COLOURS)


def test_every_figure_of_pictures_is_reached_from_plots():
    made = {name for name, value in vars(sheets).items()
            if getattr(value, "__module__", "") == sheets.__name__ and not name.startswith("_")
            and value.__annotations__.get("return") == "Figure"}  # fmt: skip
    assert len(made) > 6 and all(getattr(plots, name) is getattr(sheets, name) for name in made)

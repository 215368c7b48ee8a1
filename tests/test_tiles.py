import cv2
import numpy as np

from damagenet.synth import tiles


def test_boxes_cover_the_mask_and_cost_no_more_than_one_box():
    rng = np.random.default_rng(0)
    for _ in range(40):
        mask = np.zeros((int(rng.integers(40, 400)), int(rng.integers(40, 400))), np.uint8)
        for _ in range(int(rng.integers(1, 4))):
            ends = rng.integers(0, mask.shape[::-1], (2, 2)).tolist()
            cv2.line(mask, *ends, 1, int(rng.integers(1, 30)))
        around, area = int(rng.integers(0, 64)), int(rng.integers(2000, 100_000))
        boxes = tiles.cover(mask > 0, around, area)
        covered = np.zeros_like(mask)
        for rows, columns in boxes:
            covered[slice(*rows), slice(*columns)] = 1
            assert (rows[1] - rows[0]) * (columns[1] - columns[0]) <= area
        assert not (mask & ~covered).any()
        loose = tiles.cover(mask > 0, around, 10**9)
        one = [tiles.bounds(mask > 0)]

        def cost(found, around=around):
            return sum((b - a + 2 * around) * (d - c + 2 * around) for (a, b), (c, d) in found)

        assert cost(loose) <= cost(one)


def test_a_ring_and_a_diagonal_are_worth_several_boxes():
    mask = np.zeros((400, 500), np.uint8)
    cv2.rectangle(mask, (30, 30), (460, 360), 1, 6)
    assert len(tiles.cover(mask > 0, 16, 10**9)) >= 4
    mask[:] = 0
    cv2.line(mask, (10, 10), (480, 380), 1, 4)
    assert len(tiles.cover(mask > 0, 16, 10**9)) >= 4
    assert len(tiles.cover(np.ones((400, 500), bool), 16, 10**9)) == 1


def test_fading_weights_of_neighbours_add_up_to_one():
    limits = ((0, 40), (0, 100))
    total = np.zeros((40, 100))
    for columns in ((0, 50), (50, 100)):
        grown, weight = tiles.faded(((0, 40), columns), limits, 8)
        total[slice(*grown[0]), slice(*grown[1])] += weight
        assert weight.dtype == np.float32
    inner = total[8:-8, 8:-8]
    assert np.allclose(inner, 1)
    same, ones = tiles.faded(((3, 9), (5, 50)), limits, 0)
    assert same == ((3, 9), (5, 50)) and (ones == 1).all() and ones.shape == (6, 45)

import cv2
import numpy as np
import pytest
from conftest import photo

from damagenet.synth.scaling import KERNELS, resized


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
@pytest.mark.parametrize("size", [(340, 255), (264, 198), (200, 150), (100, 75), (40, 30)])
def test_shrinking_is_the_mean_over_an_area(size, kind):
    image = photo(300, 400).astype(kind)
    fast, exact = resized(image, size), cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    assert fast.dtype == kind and fast.shape == exact.shape
    assert np.abs(fast.astype(float) - exact).mean() < 1
    detail = [cv2.Laplacian(picture, cv2.CV_32F).std() for picture in (fast, exact)]
    assert 0.9 < detail[0] / detail[1] < 1.25
    if 400 % size[0] == 0:
        assert np.abs(fast.astype(float) - exact).max() <= 1


def test_what_is_finer_than_a_pixel_of_the_result_dies():
    board = np.indices((240, 320)).sum(0) % 2 * np.uint8(255)
    for size in [(160, 120), (107, 80), (50, 37)]:
        assert np.ptp(resized(board.astype(np.uint8), size).astype(int)) <= 30
    nearest = cv2.resize(board.astype(np.uint8), (107, 80), interpolation=cv2.INTER_NEAREST)
    assert np.ptp(nearest.astype(int)) == 255


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("size", [(350, 260), (480, 361)])
def test_every_kernel_gives_what_opencv_gives(kernel, size):
    image = photo(301, 401)
    there = cv2.resize(image, size, interpolation=KERNELS[kernel]).astype(int)
    off = np.abs(resized(image, size, kernel) - there)
    assert off.mean() < 0.6 and (kernel == "area" or off.max() <= 1)


def test_nothing_moves():
    image = np.zeros((240, 330), np.uint8)
    cv2.circle(image, (165, 120), 60, 255, -1)
    for size in [(290, 211), (120, 87), (41, 30)]:
        small = resized(image, size).astype(float)
        y, x = (np.indices(small.shape) * small).sum((1, 2)) / small.sum()
        assert abs((x + 0.5) / size[0] - 165.5 / 330) < 0.5 / size[0]
        assert abs((y + 0.5) / size[1] - 120.5 / 240) < 0.5 / size[1]

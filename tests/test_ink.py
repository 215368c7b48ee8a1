import numpy as np

from damagenet.synth import ink


def test_a_stroke_has_its_width_and_smooth_edges():
    for width in (2, 3, 4.5, 6, 9):  # OpenCV's own lines are up to 2.4 pixels too wide
        line = ink.stroke((60, 80), np.array([[10.0, 30.0], [70.0, 30.0]]), width)
        assert line.shape == (60, 80) and line.dtype == np.uint8
        assert abs(line[:, 40].sum() / 255 - width) < 1.1
    slanted = ink.stroke((60, 80), np.array([[10.0, 10.0], [70.0, 47.0]]), 6)
    assert ((slanted > 0) & (slanted < 255)).sum() > 40
    closed = ink.stroke((60, 80), np.array([[10.0, 10], [70, 10], [40, 50]]), 2, closed=True)
    assert closed[28:33, 20:30].any() and not closed[20:30, 38:42].any()


def test_letters_stand_on_one_line_and_grow():
    sizes = [ink.letters(text, 40).shape for text in ("xo", "Hg", "19")]
    assert len({height for height, _ in sizes}) == 1
    assert ink.letters("broken", 60).sum() > 2 * ink.letters("broken", 30).sum()
    thin, bold = ink.letters("broken", 40), ink.letters("broken", 40, 3)
    assert bold.shape == (thin.shape[0], thin.shape[1] + 3)
    assert 1.3 < bold.sum() / thin.sum() < 3
    assert not ink.letters("", 20).any()


def test_paint_is_cut_at_the_edges_and_mixes_colours():
    image, mask = np.zeros((40, 60, 3), np.uint8), np.full((40, 60), 255, np.uint8)
    ink.paint(image, [mask], np.full((20, 30), 255, np.uint8), (200, 100, 50), -10, -5)
    assert (image[:15, :20] == (200, 100, 50)).all() and not image[15:].any()
    assert not image[:, 20:].any() and (mask == 0).sum() == 15 * 20
    ink.paint(image, [mask], np.full((4, 4), 102, np.uint8), (100, 200, 255), 30, 30)
    assert (image[30:34, 30:34] == (40, 80, 102)).all() and (mask == 0).sum() == 15 * 20
    before = image.copy()
    ink.paint(image, [mask], np.full((9, 9), 255, np.uint8), (1, 2, 3), 60, 2)  # wholly outside
    assert np.array_equal(image, before)

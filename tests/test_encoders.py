import cv2
import numpy as np
import pytest
from conftest import jpeg_facts, photo

from damagenet import BadInput, images
from damagenet.synth import encoders
from damagenet.synth.encoders import CODECS, TABLES, jpeg, quantisation

LAYERS = {0: (1, 1), 1: (2, 1), 2: (2, 2)}


def error(found, image):
    return np.abs(found.astype(float) - image).mean()


@pytest.mark.parametrize("tables", TABLES)
@pytest.mark.parametrize("quality", [35, 77, 93])
def test_the_header_carries_the_requested_tables(tables, quality):
    _, data = jpeg(photo(41, 67), quality, 1, tables)
    name, size, written, _ = jpeg_facts(data)
    assert (name, size) == ("JPEG", (67, 41))
    assert [list(written[0]), list(written[1])] == quantisation(tables, quality)


@pytest.mark.parametrize("subsampling", LAYERS)
def test_the_header_carries_the_requested_subsampling(subsampling):
    _, data = jpeg(photo(41, 67), 90, subsampling)
    assert jpeg_facts(data)[3] == (LAYERS[subsampling], (1, 1), (1, 1))


def test_the_default_is_what_libjpeg_writes():
    for quality in (1, 30, 50, 75, 92, 100):
        _, data = jpeg(photo(40, 60), quality, 2)
        _, plain = cv2.imencode(".jpg", photo(40, 60), [cv2.IMWRITE_JPEG_QUALITY, quality])
        assert jpeg_facts(data)[2] == jpeg_facts(plain.tobytes())[2]


def test_the_pixels_are_those_of_the_file():
    pixels, data = jpeg(photo(61, 83), 80, 2, "klein")
    assert pixels.dtype == np.uint8 and pixels.shape == (61, 83, 3)
    assert np.array_equal(pixels, images.read(data))
    assert np.array_equal(pixels, jpeg(photo(61, 83), 80, 2, "klein")[0])


def test_progressive_files_hold_the_same_pixels():
    plain, data = jpeg(photo(61, 83), 80, 2)
    scanned, other = jpeg(photo(61, 83), 80, 2, progressive=True)
    assert np.array_equal(plain, scanned)
    assert b"\xff\xc0" in data and b"\xff\xc2" in other and b"\xff\xc0" not in other


def test_views_are_taken_as_they_look():
    flipped = photo(61, 83)[:, ::-1]
    assert np.array_equal(jpeg(flipped, 90, 2)[0], jpeg(flipped.copy(), 90, 2)[0])


@pytest.mark.parametrize("tables", TABLES)
def test_steps_are_legal_and_shrink_with_quality(tables):
    steps = np.array([quantisation(tables, quality) for quality in range(1, 101)])
    assert steps.shape == (100, 2, 64)
    assert steps.min() == 1 and steps.max() <= 255
    assert (np.diff(steps, axis=0) <= 0).all()
    assert (steps[99] == 1).all()


def test_families_differ_in_the_way_their_names_say():
    families = {name: np.array(quantisation(name, 80)) for name in TABLES}
    assert len({table.tobytes() for table in families.values()}) == len(TABLES)
    luma, chroma = families["ijg"]
    assert luma[:4].tolist() == [6, 4, 4, 6] and chroma[:4].tolist() == [7, 7, 10, 19]
    assert np.ptp(families["flat"]) == 0
    for name in ("robidoux", "klein", "phone_even"):
        assert np.array_equal(*families[name])
    assert (families["phone_even"][0] <= luma).all()  # rounded down
    assert (families["phone_fine"][1] < chroma).all() and (families["phone_fine"][0] >= luma).all()
    assert (families["phone_coarse"][1] > chroma).all()


def test_callers_cannot_spoil_the_tables():
    quantisation("ijg", 60)[0][0] = 99
    assert quantisation("ijg", 60)[0][0] != 99


@pytest.mark.parametrize(("tables", "quality"), [("jig", 90), ("ijg", 0), ("ijg", 101)])
def test_unknown_tables_and_qualities_are_refused(tables, quality):
    with pytest.raises(BadInput, match=r"known: ijg|outside 1-100"):
        jpeg(photo(40, 60), quality, 2, tables)


@pytest.mark.parametrize("name", [name for name in CODECS if name != "JPEG"])
@pytest.mark.parametrize("shape", [(64, 90), (61, 83)])
def test_other_codecs_give_back_nearly_the_same_picture(name, shape):
    image = photo(*shape)
    encode = getattr(encoders, name.lower())
    fine, coarse = encode(image, 90), encode(image, 30)
    assert fine.shape == image.shape and fine.dtype == np.uint8
    assert 0 < error(fine, image) < error(coarse, image) < 14
    assert error(fine, image) < 6
    assert np.array_equal(coarse, encode(image, 30))


def test_codecs_name_what_is_there(monkeypatch):
    assert CODECS[:2] == ("JPEG", "WEBP")
    monkeypatch.setattr(encoders, "CODECS", ("JPEG", "WEBP"))
    for encode in (encoders.avif, encoders.heif):
        with pytest.raises(BadInput, match="install"):
            encode(photo(40, 60), 80)

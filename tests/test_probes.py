import cv2
import numpy as np
import pytest
from conftest import encoded, photo
from PIL import Image

from damagenet import BadInput
from damagenet.synth import duplicates, probes
from damagenet.synth.probes import HEADER, PROBES, metadata_size, read_facts


def facts_of(folder, image, name="x.jpg", **options):
    path = folder / name
    path.write_bytes(encoded(image, "PNG" if name.endswith("png") else "JPEG", **options))
    return read_facts(path)


def test_facts_come_from_the_header(tmp_path):
    facts = facts_of(tmp_path, photo(), "x.JPG", quality=70, subsampling=1, comment=b"hello")
    assert (facts["width"], facts["height"], facts["aspect"]) == (210, 150, 1.4)
    assert facts["exif"] == 0 and facts["progressive"] == 0
    assert facts["metadata_bytes"] == 2 + 2 + len("hello")
    body = (tmp_path / "x.JPG").stat().st_size - facts["metadata_bytes"]
    assert facts["bytes_per_pixel"] == pytest.approx(body / (210 * 150))
    other = facts_of(tmp_path, photo(), "x.JPG", quality=70, subsampling=2)
    assert other["subsampling"] != facts["subsampling"] and other["quality"] == facts["quality"]


def test_metadata_is_counted_and_the_frame_around_it_is_not():
    plain = encoded(photo(), "JPEG")
    assert metadata_size(plain) == 0 == metadata_size(encoded(photo(), "PNG"))
    exif_block = Image.Exif()
    exif_block[0x0110] = "a phone"
    tagged = encoded(photo(), "JPEG", exif=exif_block)
    assert metadata_size(tagged) == len(tagged) - len(plain)
    assert metadata_size(plain[:20]) == 0 == metadata_size(b"")


def test_every_fact_of_every_probe_is_read_from_any_format(tmp_path):
    wanted = {column for one in PROBES.values() for column in one.columns} - {"damaged"}
    for name in ("x.jpg", "x.png"):
        facts = facts_of(tmp_path, photo(), name)
        assert set(facts) == wanted | set(HEADER)
        assert all(np.isfinite(value) for value in facts.values())
    assert facts_of(tmp_path, photo(), "x.png")["zeros_low"] == -1


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (8, 300), (2000, 9)])
def test_any_size_gives_finite_facts(tmp_path, size):
    for name in ("x.jpg", "x.png"):
        facts = facts_of(tmp_path, np.full((*size, 3), 200, np.uint8), name)
        assert all(np.isfinite(value) for value in facts.values()), facts


def test_damaged_files_are_named(tmp_path):
    path = tmp_path / "cut.jpg"
    path.write_bytes(encoded(photo(), "JPEG")[:3000])
    with pytest.raises(BadInput, match=r"cut\.jpg"):
        read_facts(path)
    path.write_bytes(b"")
    with pytest.raises(BadInput, match=r"cut\.jpg.*empty"):
        read_facts(path)
    with pytest.raises(BadInput, match=r"gone\.jpg: no such file"):
        read_facts(tmp_path / "gone.jpg")


def test_bytes_are_counted_after_the_header():
    data = encoded(photo(), "JPEG", comment=b"\x00" * 5000)
    assert probes.scan_facts(data) == probes.scan_facts(encoded(photo(), "JPEG"))
    even = probes.scan_facts(bytes(range(256)) * 4)  # no JPEG: all bytes count
    assert even["byte_entropy"] == pytest.approx(8)
    assert even["byte_00"] == even["byte_ff"] == 1 / 256
    assert [even[f"bytes_{i:x}x"] for i in range(16)] == [1 / 16] * 16
    assert probes.scan_facts(b"aaaa")["byte_entropy"] == 0


def test_coefficients_are_those_of_the_file(tmp_path):
    """One cosine of amplitude 6 quantisation steps in every block, and nothing else."""
    table = np.full((8, 8), 10)
    basis = np.cos((2 * np.arange(8) + 1) * 2 * np.pi / 16) * np.sqrt(2 / 8)
    block = np.outer(basis, np.full(8, np.sqrt(1 / 8))) * 60 + 128  # second frequency, downwards
    y = np.tile(np.rint(block), (6, 9)).astype(np.uint8)
    facts = probes.dct_facts(y, table)
    assert facts["zeros_low"] == pytest.approx(8 / 9)  # nine frequencies are low, one is in use
    assert facts["zeros_middle"] == facts["zeros_high"] == 1
    assert facts["ac_size"] == pytest.approx(np.log2(6 / 63))
    assert facts["table_mean"] == pytest.approx(np.log2(10))
    lopsided = table.copy()
    lopsided[2, 0] = 1000  # the table's rows are vertical frequencies
    assert probes.dct_facts(y, lopsided)["zeros_low"] == 1
    lopsided = table.copy()
    lopsided[0, 2] = 1000
    assert probes.dct_facts(y, lopsided)["zeros_low"] < 1


def test_lower_quality_means_more_zeros(tmp_path):
    fine, coarse = (facts_of(tmp_path, photo(), quality=q) for q in (92, 60))
    for name in ("zeros_low", "zeros_middle", "zeros_high", "table_mean"):
        assert coarse[name] > fine[name]
    assert coarse["ac_size"] < fine["ac_size"]


def test_tone_facts_measure_what_they_are_called():
    y = np.repeat(np.array([0, 100, 100, 255], np.uint8), 30).reshape(12, 10)
    flat = np.full_like(y, 128)
    facts = probes.tone_facts(y, flat, np.full_like(y, 148))
    assert facts["luma_mean"] == pytest.approx((100 + 100 + 255) / 4)
    assert (facts["luma_dark"], facts["luma_middle"], facts["luma_bright"]) == (0, 100, 255)
    assert facts["black"] == facts["white"] == 0.25 and facts["luma_range"] == 255
    assert (facts["blue"], facts["red"], facts["colourfulness"]) == (128, 148, 20)
    assert facts["blue_std"] == facts["red_std"] == 0


def test_blur_lowers_and_noise_raises_sharpness():
    y = cv2.cvtColor(photo(), cv2.COLOR_RGB2GRAY)
    noise = np.random.default_rng(0).normal(0, 6, y.shape)
    soft = cv2.GaussianBlur(y, (0, 0), 1)
    grainy = np.clip(soft + noise, 0, 255).astype(np.uint8)
    plain, less, more = map(probes.sharpness_facts, (y, soft, grainy))
    for name in ("laplacian", "laplacian_ratio", "gradient", "noise"):
        assert less[name] < plain[name]
        assert less[name] < more[name]


def test_noise_is_measured_in_its_own_unit():
    """Immerkaer: the mean of the mask's answer is 6 sigma times the root of 2 / pi."""
    noise = np.random.default_rng(1).normal(128, 8, (300, 400))
    y = np.clip(np.rint(noise), 0, 255).astype(np.uint8)
    answer = 2 ** probes.sharpness_facts(y)["noise"]
    assert answer == pytest.approx(6 * 8 * np.sqrt(2 / np.pi), rel=0.03)


@pytest.mark.parametrize(
    ("cycles", "band"), [(0.06, "coarse"), (0.18, "middle"), (0.31, "fine"), (0.44, "finest")]
)
def test_a_wave_lies_in_its_band(cycles, band):
    x = np.arange(203)
    wave = np.rint(128 + 90 * np.cos(2 * np.pi * cycles * x)).astype(np.uint8)
    for y in (np.tile(wave, (150, 1)), np.tile(wave, (150, 1)).T):
        facts = probes.spectrum_facts(np.ascontiguousarray(y))
        assert max(facts, key=facts.get) == f"band_{band}" and facts[f"band_{band}"] > -0.1


def seen(folder, image, name, **options):
    path = folder / name
    path.write_bytes(encoded(image, "JPEG", **options))
    return duplicates.look(path)


def variants(image):
    h, w = image.shape[:2]
    cut = image[h // 15 : -h // 20, w // 12 : -w // 18]
    smaller = cv2.resize(cut, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    dim = np.rint(image * 0.7 + 10).astype(np.uint8)
    return {"saved": image, "cut": cut, "mirrored": cut[:, ::-1], "smaller": smaller, "dim": dim}


@pytest.mark.parametrize("how", list(variants(photo())))
def test_one_photo_is_known_again(tmp_path, how):
    own = seen(tmp_path, photo(300, 420), "a.jpg")
    again = seen(tmp_path, variants(photo(300, 420))[how].copy(), "b.jpg", quality=60)
    for pair in ([own, again], [again, own]):
        found = duplicates.pairs(pair, np.array([0, 1]))
        assert [(i, j) for i, j, _ in found] == [(0, 1)] and found[0][2] >= duplicates.SAME


def test_products_that_look_alike_are_not_one_photo(sample_photos):
    looks = [duplicates.look(path) for path in sample_photos]
    alone = np.arange(len(looks))
    assert len(duplicates.proposals(looks, alone)) > len(looks)  # they do look alike
    assert duplicates.pairs(looks, alone) == []
    twice = duplicates.pairs([*looks, looks[3]], np.append(alone, 99))
    assert [(i, j) for i, j, _ in twice] == [(3, len(looks))] and twice[0][2] == 1


def test_only_pictures_kept_apart_are_compared(tmp_path):
    one = seen(tmp_path, photo(), "a.jpg")
    assert duplicates.pairs([one, one, one], np.array([0, 0, 1])) == [(0, 2, 1.0), (1, 2, 1.0)]
    assert duplicates.pairs([one, one], np.array([0, 0])) == []
    assert duplicates.pairs([one], np.array([0])) == [] == duplicates.pairs([], np.array([], int))


@pytest.mark.parametrize("shape", [(150, 210), (8, 900), (900, 8), (2, 2)])
def test_blank_pictures_resemble_nothing(tmp_path, shape):
    white = np.full((*shape, 3), 255, np.uint8)
    spot = white.copy()
    spot[: shape[0] // 8, : shape[1] // 8] = 0  # the middle stays blank
    looks = [seen(tmp_path, image, "x.jpg", quality=95) for image in (white, spot, photo())]
    assert duplicates.pairs(looks, np.arange(3)) == []

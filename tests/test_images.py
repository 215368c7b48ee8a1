import io
import os
import struct
import threading
import zlib

import numpy as np
import pytest
from conftest import encoded, photo, smooth, tree
from PIL import Image, ImageOps

from damagenet import BadInput, images

# Shapes are never square, so that an exchange of height and width cannot hide.
HEIGHT, WIDTH = 48, 68
EXACT = ("PNG", "BMP", "TIFF")
LOSSY = ("JPEG", "WEBP", "AVIF", "MPO")


def difference(one, other):
    return np.abs(one.astype(int) - other).mean()


@pytest.mark.parametrize("name", EXACT)
def test_a_lossless_picture_is_read_as_it_is(name):
    found = images.read(encoded(smooth(), name))
    assert found.dtype == np.uint8 and found.flags.c_contiguous
    assert np.array_equal(found, smooth())


@pytest.mark.parametrize("name", LOSSY)
def test_a_lossy_picture_is_read_nearly_as_it_was(name):
    if name == "AVIF" and name not in images._formats():
        pytest.skip("this Pillow has no AVIF")
    found = images.read(encoded(smooth(), name, quality=95))
    assert found.shape == (HEIGHT, WIDTH, 3) and difference(found, smooth()) < 4


def test_a_phone_photo_is_read():
    pytest.importorskip("pillow_heif").register_heif_opener()
    found = images.read(encoded(smooth(), "HEIF", quality=95))
    assert found.shape == (HEIGHT, WIDTH, 3) and difference(found, smooth()) < 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(orientation):
    # EXIF 2.3, table 6: where row 0 and column 0 of the stored picture lie in the scene.
    upright = smooth()
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(np.ascontiguousarray(stored), "PNG", exif=exif)
    assert np.array_equal(images.read(data), upright)


def test_a_nonsense_rotation_is_ignored():
    exif = Image.Exif()
    exif[0x0112] = 99
    assert np.array_equal(images.read(encoded(smooth(), "PNG", exif=exif)), smooth())


def test_transparency_is_laid_on_white():
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    alpha[:, : WIDTH // 2] = 255
    alpha[:, -1] = 51  # a fifth
    found = images.read(encoded(np.dstack([smooth(), alpha]), "PNG"))
    assert np.array_equal(found[:, : WIDTH // 2], smooth()[:, : WIDTH // 2])
    assert (found[:, WIDTH // 2 : -1] == 255).all()
    assert np.abs(found[:, -1] - (0.2 * smooth()[:, -1] + 0.8 * 255)).max() <= 1


@pytest.mark.parametrize("mode", ["LA", "PA", "P", "RGB", "L"])
def test_every_kind_of_transparency_is_laid_on_white(mode):
    picture = Image.fromarray(np.full((HEIGHT, WIDTH, 3), 10, np.uint8))
    if mode in ("LA", "PA"):
        picture = picture.convert("RGBA")
        picture.putalpha(0)
        data = encoded(picture.convert("LA"), "PNG") if mode == "LA" else encoded(picture, "WEBP")
    else:
        picture = picture.quantize(4) if mode == "P" else picture.convert(mode)
        hidden = {"P": picture.getpixel((0, 0)), "RGB": (10, 10, 10), "L": 10}[mode]
        data = encoded(picture, "PNG", transparency=hidden)
    assert (images.read(data) == 255).all()


@pytest.mark.parametrize("peak", [65535, 40000, 200])
@pytest.mark.parametrize("name", ["PNG", "TIFF"])
def test_16_bit_keeps_its_brightness(name, peak):
    values = np.linspace(0, peak, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(np.uint16)
    found = images.read(encoded(Image.fromarray(values), name))
    assert np.array_equal(found[..., 0], values >> 8)
    assert (found == found[..., :1]).all()


def test_grey_palette_and_two_colours_become_rgb():
    grey = smooth()[..., 0]
    assert np.array_equal(images.read(encoded(grey, "PNG")), np.repeat(grey[..., None], 3, 2))
    palette = Image.fromarray(smooth()).quantize(64)
    expected = np.array(palette.convert("RGB"))
    assert np.array_equal(images.read(encoded(palette, "PNG")), expected)
    bits = grey > 100
    assert np.array_equal(images.read(encoded(Image.fromarray(bits), "PNG"))[..., 1] == 255, bits)


def test_print_colours_become_rgb():
    cmyk = Image.fromarray(smooth()).convert("CMYK")
    found = images.read(encoded(cmyk, "JPEG", quality=95))
    assert difference(found, smooth()) < 4


@pytest.mark.parametrize("name", ["GIF", "WEBP", "PNG"])
def test_only_the_first_frame_of_an_animation_is_read(name):
    frames = [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("red", "green", "blue")]
    data = encoded(frames[0], name, save_all=True, append_images=frames[1:], duration=100)
    assert difference(images.read(data), np.full((HEIGHT, WIDTH, 3), (255, 0, 0))) < 3


def test_the_content_counts_not_the_extension(tmp_path):
    path = tmp_path / "lying.png"
    path.write_bytes(encoded(smooth(), "BMP"))
    assert np.array_equal(images.read(path), smooth())
    with path.open("rb") as handle:
        assert np.array_equal(images.read(handle), smooth())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"just text", "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        (b"\xff\xd8\xff\xe0", "damaged|not a picture"),
        (b"\x89PNG\r\n\x1a\n", "damaged|not a picture"),
    ],
)
def test_a_file_that_is_no_picture_is_named(tmp_path, content, reason):
    path = tmp_path / "claim.jpg"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=rf"claim\.jpg: .*({reason})"):
        images.read(path)


def test_a_missing_file_a_folder_and_a_pipe_are_named(tmp_path):
    with pytest.raises(BadInput, match=r"gone\.jpg: no such file"):
        images.read(tmp_path / "gone.jpg")
    with pytest.raises(BadInput, match="is a folder"):
        images.read(tmp_path)
    os.mkfifo(tmp_path / "pipe.jpg")  # opening it would wait for a writer forever
    found = []
    reader = threading.Thread(target=lambda: found.append(failure(tmp_path / "pipe.jpg")))
    reader.daemon = True
    reader.start()
    reader.join(5)
    assert found and "pipe.jpg" in found[0]


def failure(source):
    with pytest.raises(BadInput) as caught:
        images.read(source)
    return str(caught.value)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_picture_is_damaged_not_grey(name, share):
    data = encoded(photo(), name)
    message = failure(data[: int(len(data) * share)])
    assert "image data: " in message and "\n" not in message


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "MPO"])
@pytest.mark.parametrize("tagged", [False, True])
def test_flipped_bytes_give_a_picture_or_bad_input_and_nothing_else(name, tagged):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x011A] = 6, "maker", 72.0
    options = {"exif": exif} if tagged and name not in ("BMP", "GIF", "MPO") else {}
    data = encoded(smooth(), name, **options)
    rng = np.random.default_rng(1)
    for _ in range(150):
        spoilt = bytearray(data)
        for place in rng.integers(min(len(data), 500), size=3):
            spoilt[place] = rng.integers(256)
        try:
            found = images.read(bytes(spoilt))
        except BadInput:
            continue
        assert found.dtype == np.uint8 and found.ndim == 3 and found.shape[2] == 3


def png_of(width, height):
    """A PNG whose header promises a size that its few bytes of pixels do not hold."""

    def chunk(kind, body):
        check = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(10_000, 9_000), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_an_oversized_header_is_refused_before_decoding(size):
    assert size[0] * size[1] > images.MAX_PIXELS
    assert "megapixels" in failure(png_of(*size)) or "bomb" in failure(png_of(*size))


def test_a_mask_is_one_plane(tmp_path):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[3:9, 5:30] = 255
    images.write(tmp_path / "mask.png", mask)
    assert np.array_equal(images.read_mask(tmp_path / "mask.png"), mask)


def test_a_written_picture_is_read_back(tmp_path):
    images.write(tmp_path / "new" / "x.png", smooth())
    assert np.array_equal(images.read(tmp_path / "new" / "x.png"), smooth())
    images.write(tmp_path / "x.JPG", smooth(), quality=95)
    with images.opened(tmp_path / "x.JPG") as picture:
        assert picture.format == "JPEG"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    images.write(tmp_path / "x.png", smooth())
    before = tree(tmp_path)
    with pytest.raises(TypeError):
        images.write(tmp_path / "x.png", smooth() / 255)
    with pytest.raises(TypeError):
        images.write_bytes(tmp_path / "x.png", "text")
    assert tree(tmp_path) == before


def test_files_are_found_deep_sorted_and_once(tmp_path):
    for name in ("b.jpg", "a/c.PNG", "a/.hidden.jpg", "a/notes.txt", "d.heic"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    found = images.files_in([tmp_path, tmp_path / "b.jpg"])
    assert [str(p.relative_to(tmp_path)) for p in found] == ["a/c.PNG", "b.jpg", "d.heic"]
    assert images.files_in([f"{tmp_path}/*.jpg"]) == [tmp_path / "b.jpg"]
    assert images.files_in([tmp_path / "a/notes.txt"]) == [tmp_path / "a/notes.txt"]
    assert images.files_in([tmp_path / "gone.jpg"]) == [tmp_path / "gone.jpg"]


def test_a_file_whose_name_looks_like_a_pattern_is_found(tmp_path):
    images.write(tmp_path / "mug[1].png", smooth())
    assert images.files_in([tmp_path / "mug[1].png"]) == [tmp_path / "mug[1].png"]


def test_reading_agrees_with_pillow_on_a_real_photo():
    data = encoded(photo(), "JPEG", quality=90)
    expected = np.array(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    assert np.array_equal(images.read(data), expected)


def test_a_mask_is_stored_in_one_bit_a_pixel_and_comes_back(tmp_path):
    mask = np.zeros((37, 53), np.uint8)
    mask[5:20, 7:50] = 255
    for stored in (mask, np.zeros_like(mask), np.full_like(mask, 255)):
        images.write_bytes(tmp_path / "mask.png", images.mask_bytes(stored))
        with images.opened(tmp_path / "mask.png") as picture:
            assert picture.mode == "1" and picture.format == "PNG"
        assert np.array_equal(images.read_mask(tmp_path / "mask.png"), stored)


def test_floats_up_to_one_are_not_black():
    ramp = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    buffer = io.BytesIO()
    Image.fromarray(ramp).save(buffer, "TIFF")
    assert images.read(buffer.getvalue())[..., 0].tolist() == np.rint(ramp * 255).tolist()

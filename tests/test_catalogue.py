import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import skimage
from test_compare import damaged, sample, sent

from damagenet import BadInput, cli, images
from damagenet.claims import catalogue, describe

pytest.importorskip("usearch")
NAMES = ("coffee.png", "chelsea.png", "rocket.jpg", "astronaut.png", "motorcycle_left.png")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    for name in NAMES:
        images.write(folder / f"{Path(name).stem}.jpg", sample(name), quality=90)
    images.write(folder / "grey.png", np.full((90, 120, 3), 128, np.uint8))
    images.write(folder / "point.png", np.zeros((1, 1, 3), np.uint8))
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def built(shop):
    out = shop.parent / "made" / "shop.safetensors"
    return (*catalogue.build([shop], out), out)


def names(found, made):
    return [Path(made.paths[i]).stem for i in found]


def test_bad_files_are_reported_and_the_rest_is_kept(built):
    made, refused, out = built
    assert [Path(r.path).name for r in refused] == ["broken.jpg"] and refused[0].reason
    assert len(made.paths) == len(NAMES) + 2 and out.is_file()


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_the_listing_photo_is_the_first_candidate_however_it_is_turned(built, turns, mirrored):
    picture = damaged(sample("chelsea.png"))[0][:, :: -1 if mirrored else 1]
    claim = sent(np.ascontiguousarray(np.rot90(picture, turns)), 60, 0.7, 1.15)
    assert names(built[0].candidates(claim, 2), built[0])[0] == "chelsea"


@pytest.mark.parametrize("name", ["coffee.png", "astronaut.png"])
def test_a_crop_is_found_by_its_details_and_a_plain_picture_by_its_whole(built, name):
    picture = sample(name)
    height, width = picture.shape[:2]
    crop = sent(picture[height // 3 :, width // 4 : -width // 5], 70, 0.9)
    assert names(built[0].candidates(crop, 1), built[0]) == [Path(name).stem]
    grey = np.full((60, 80, 3), 128, np.uint8)
    assert "grey" in names(built[0].candidates(grey, 7), built[0])


def test_what_is_found_is_verified(built):
    claim = sent(damaged(sample("coffee.png"))[0], 80)
    first, *rest = catalogue.find(claim, built[0])
    assert Path(first.path).stem == "coffee" and first.comparison.finding == "same_exposure"
    assert all(match.comparison.finding == "same_object" for match in rest)
    other = images.read(Path(skimage.__file__).parent / "data" / "brick.png")
    assert catalogue.find(other, built[0]) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 2000), (2000, 1), (7, 9)])
def test_hostile_shapes_are_described_and_searched(built, shape):
    picture = np.full((*shape, 3), 200, np.uint8)
    one = describe.describe(picture)
    assert one.bits.shape == (8,) and one.layout.shape == (describe.LAYOUT,)
    assert np.isfinite(one.layout).all() and one.words.dtype == np.uint16
    assert len(built[0].candidates(picture, 3)) <= 3


def test_a_second_build_reads_only_what_is_new_and_drops_what_is_gone(tmp_path, monkeypatch):
    folder, out = tmp_path / "shop", tmp_path / "shop.safetensors"
    for name in ("coffee", "chelsea"):
        images.write(folder / f"{name}.png", sample(f"{name}.png")[::4, ::4])
    catalogue.build([folder], out)
    images.write(folder / "rocket.png", sample("rocket.jpg")[::4, ::4])
    (folder / "coffee.png").unlink()
    os.utime(folder / "chelsea.png", ns=(1, 1))
    read = []
    monkeypatch.setattr(catalogue, "describe", lambda p: read.append(p) or describe.describe(p))
    made, _ = catalogue.build([folder], out)
    assert names(range(2), made) == ["chelsea", "rocket"] and len(read) == 2
    again, _ = catalogue.build([folder], out)
    assert len(read) == 2
    for key in ("stamps", "bits", "layouts", "words", "counts"):
        np.testing.assert_array_equal(getattr(again, key), getattr(made, key))
        np.testing.assert_array_equal(getattr(catalogue.load(out), key), getattr(made, key))


def test_an_interrupted_build_goes_on(tmp_path, monkeypatch):
    folder, out = tmp_path / "shop", tmp_path / "shop.safetensors"
    for k in range(4):
        images.write(folder / f"{k}.png", sample("coffee.png")[k::6, ::6])
    monkeypatch.setattr(catalogue, "SAVE_EVERY", -1.0)
    seen = []

    def stopping(picture):
        seen.append(picture)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return describe.describe(picture)

    monkeypatch.setattr(catalogue, "describe", stopping)
    with pytest.raises(KeyboardInterrupt):
        catalogue.build([folder], out)
    assert len(catalogue.load(out).paths) == 2
    made, _ = catalogue.build([folder], out)
    assert len(made.paths) == 4 and len(seen) == 5


def test_what_is_no_catalogue_is_refused(tmp_path, built):
    whole = built[2].read_bytes()
    other = whole.replace(b'"catalogue":"2 ', b'"catalogue":"0 ')
    assert other != whole
    for number, data in enumerate((b"", b"{}", whole[:-30], whole[: len(whole) // 2], other)):
        path = tmp_path / f"{number}.safetensors"
        path.write_bytes(data)
        with pytest.raises(BadInput, match=path.name):
            catalogue.load(path)
    with pytest.raises(BadInput, match="missing"):
        catalogue.load(tmp_path / "missing.safetensors")
    with pytest.raises(BadInput, match="no pictures"):
        catalogue.build([tmp_path / "*.jpg"], tmp_path / "out.safetensors")


def test_an_empty_catalogue_finds_nothing(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    made, refused = catalogue.build([tmp_path / "broken.jpg"], tmp_path / "out.safetensors")
    assert len(refused) == 1 and made.candidates(sample("coffee.png")) == []


@pytest.mark.slow
def test_the_commands(shop, tmp_path, capsys):
    out = tmp_path / "shop.safetensors"
    code = cli.main(["catalogue", str(shop), "--out", str(out), "--workers", "1"])
    said = capsys.readouterr()
    assert code == 1 and "broken.jpg" in said.err and "7 pictures; 1 refused" in said.out
    claim = tmp_path / "claim.jpg"
    images.write(claim, sent(damaged(sample("rocket.jpg"))[0]))
    for option, finding in (("--catalogue", "same_exposure"), ("--earlier", "same_photo")):
        assert cli.main(["find", str(claim), option, str(out)]) == 0
        line = capsys.readouterr().out
        assert "rocket.jpg" in line and f'"finding": "{finding}"' in line


def test_it_can_be_used_from_another_folder_and_says_when_its_pictures_are_gone(
    tmp_path, shop, monkeypatch
):
    photos = tmp_path / "photos"
    shutil.copytree(shop, photos)
    monkeypatch.chdir(tmp_path)
    out, claim = Path("kept/shop.safetensors"), sent(sample("coffee.png"), 80)
    made, _ = catalogue.build(["photos"], out)
    assert catalogue.load(out).paths == made.paths  # from here as they were given
    seen = []
    monkeypatch.setattr(catalogue, "describe", lambda image: seen.append(image))
    assert catalogue.build(["photos"], tmp_path / out)[0].paths == made.paths and not seen
    monkeypatch.chdir(tmp_path / "kept")
    found = catalogue.find(claim, catalogue.load("shop.safetensors"))
    assert found[0].path == str(Path("..", "photos", "coffee.jpg"))
    shutil.rmtree(photos)
    with pytest.raises(BadInput, match="no picture worth a look can be read"):
        catalogue.find(claim, catalogue.load("shop.safetensors"))

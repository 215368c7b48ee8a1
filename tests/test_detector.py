import io
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from conftest import encoded
from onnx import TensorProto
from PIL import Image
from toy_model import INFO, write_model

from damagenet import BadInput
from damagenet.claims import Detector, default_model, predict
from damagenet.claims.model import PACKAGED


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "detector.onnx")


@pytest.fixture(scope="session")
def detector(model):
    return Detector(model, threads=1)


def grey(height, width, value):
    return np.full((height, width, 3), value, np.uint8)


def saved(path, image, **options):
    Image.fromarray(image).save(path, **options)
    return path


@pytest.mark.parametrize("shape", [(80, 120), (120, 80), (64, 64), (65, 301)])
def test_score_and_heatmap_follow_the_picture(detector, shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    result = detector(image)
    assert result.heatmap.shape == shape and result.heatmap.dtype == np.float32
    np.testing.assert_allclose(result.heatmap, image.mean(axis=2) / 255, atol=1e-5)
    assert result.score == pytest.approx(image.mean() / 255, abs=1e-5)


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(0, "pass"), (104, "pass"), (106, "review"), (211, "review"), (212, "flag")],
)
def test_verdict_by_the_thresholds_of_the_metadata(detector, value, verdict):
    result = detector(grey(70, 90, value))
    assert (result.verdict, result.threshold, result.note) == (verdict, 0.83, "")


def test_a_score_at_the_threshold_is_flagged(tmp_path):
    at = write_model(tmp_path / "at.onnx", constant=0.83)
    assert Detector(at)(grey(70, 90, 9)).verdict == "flag"


def test_regions_in_pixels_largest_first(detector):
    image = grey(100, 200, 20)
    image[10:30, 150:190] = 255
    image[60:90, 20:100] = 204
    image[50, 10] = 255  # a speck
    big, small = detector(image).regions
    assert (big.x, big.y, big.width, big.height) == (20, 60, 80, 30)
    assert (small.x, small.y, small.width, small.height) == (150, 10, 40, 20)
    assert big.area == pytest.approx(80 * 30 / 20_000)
    assert (big.score, small.score) == (pytest.approx(0.8), pytest.approx(1.0))


@pytest.mark.parametrize("shape", [(1, 1), (1, 2000), (63, 64), (20, 90)])
def test_small_pictures_are_never_flagged(detector, shape):
    result = detector(grey(*shape, 255))
    assert result.heatmap.shape == shape
    assert (result.score, result.verdict) == (1.0, "review")
    assert "smaller" in result.note


def test_large_pictures_are_scored_whole_and_never_flagged(detector):
    image = grey(1500, 1400, 255)
    image[:100] = 0
    result = detector(image)
    np.testing.assert_allclose(result.heatmap, image.mean(axis=2) / 255, atol=1e-5)
    assert result.score == pytest.approx(image.mean() / 255, abs=1e-5)
    assert "megapixels" in result.note
    assert detector(grey(1500, 1400, 255)).verdict == "review"


def test_batch_equals_one_by_one(detector):
    rng = np.random.default_rng(2)
    shapes = [(80, 120), (120, 80), (80, 120), (30, 40), (120, 80)]
    pictures = [rng.integers(0, 256, (*s, 3), dtype=np.uint8) for s in shapes]
    single = [detector(p) for p in pictures]
    batched = detector.batch(pictures)
    assert batched == single
    for a, b in zip(batched, single, strict=True):
        np.testing.assert_array_equal(a.heatmap, b.heatmap)
    assert detector.batch([]) == []


def test_sources_of_every_kind_agree(detector, tmp_path):
    image = np.random.default_rng(3).integers(0, 256, (70, 110, 3), dtype=np.uint8)
    path = saved(tmp_path / "a.png", image)
    data = path.read_bytes()
    results = [detector(s) for s in (image, path, str(path), data, io.BytesIO(data))]
    assert all(r == results[0] for r in results)


def test_threads_share_one_detector(detector):
    pictures = [grey(70 + i, 90, 10 * i) for i in range(8)]
    expected = [detector(p).score for p in pictures]
    found = [0.0] * 8

    def work(i):
        for _ in range(5):
            found[i] = detector(pictures[i]).score

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert found == expected


def second_look(monkeypatch, change):
    monkeypatch.setattr("damagenet.claims.detector._recompressed", change)


@pytest.mark.parametrize(
    ("first", "second", "verdict", "unstable"),
    [(220, 220, "flag", False), (220, 200, "review", True), (220, 20, "review", True),
     (20, 20, "pass", False), (20, 120, "review", True), (20, 255, "review", True),
     (120, 255, "review", False)],
)  # fmt: skip
def test_a_verdict_that_re_compression_changes_becomes_review(
    model, monkeypatch, first, second, verdict, unstable
):
    second_look(monkeypatch, lambda picture: grey(*picture.shape[:2], second))
    result = Detector(model, threads=1)(grey(70, 90, first))
    assert (result.verdict, result.unstable) == (verdict, unstable)
    assert result.score == pytest.approx(first / 255, abs=1e-5)  # the score stays the first one
    assert bool(result.note) == unstable == bool(result.remarks())
    if unstable:
        assert f"from {first / 255:.2f} to {second / 255:.2f}" in result.note
    plain = Detector(model, threads=1, recheck=False)(grey(70, 90, first))
    assert not plain.unstable and (plain.verdict == "flag") == (first == 220)


def test_a_real_re_encode_is_what_is_scored_again(detector, tmp_path):
    """A threshold between the scores of a picture and of its JPEG file."""
    picture = grey(80, 112, 0)
    picture[np.random.default_rng(0).random((80, 112)) < 0.5, 0] = 255  # JPEG blurs red dots
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=90)
    before, after = (detector(source).score for source in (picture, buffer.getvalue()))
    assert abs(before - after) > 0.02
    between = (before + after) / 2
    info = INFO | {"threshold": between, "review_threshold": between}
    strict = write_model(tmp_path / "strict.onnx", info)
    path = saved(tmp_path / "noise.png", picture)
    (record,) = predict([path], Detector(strict, threads=1))
    assert record["unstable"] is True and record["verdict"] == "review" and record["note"]
    (record,) = predict([path], Detector(strict, threads=1, recheck=False))
    assert record["verdict"] == ("flag" if before > after else "pass")
    assert not {"unstable", "note"} & set(record)


def test_only_what_was_decided_is_scored_again_and_each_picture_keeps_its_place(model, monkeypatch):
    seen = []

    def darker(picture):
        seen.append(int(picture[0, 0, 0]))
        return grey(*picture.shape[:2], 0)

    second_look(monkeypatch, darker)
    values = [220, 120, 10, 230, 110]
    pictures = [grey(70 + i, 90, v) for i, v in enumerate(values)]
    results = Detector(model, threads=1).batch(pictures)
    assert seen == [220, 10, 230]
    assert [r.unstable for r in results] == [True, False, False, True, False]
    assert [r.score for r in results] == pytest.approx([v / 255 for v in values], abs=1e-5)


@pytest.mark.parametrize("threshold", [0.83, 1.000001])
def test_large_and_small_pictures_stop_at_review_and_can_be_unstable(
    tmp_path, monkeypatch, threshold
):
    second_look(monkeypatch, lambda picture: grey(*picture.shape[:2], 150))
    detector = Detector(write_model(tmp_path / "m.onnx", INFO | {"threshold": threshold}), 1)
    for shape in ((1500, 1400), (30, 200)):
        assert detector(grey(*shape, 255)).verdict == "review"
        result = detector(grey(*shape, 20))
        assert (result.verdict, result.unstable) == ("review", True)
        assert "stops at review" in result.note and "re-compression" in result.note


def test_a_model_without_a_promise_flags_nothing(tmp_path):
    info = INFO | {"threshold": 1.000001}
    detector = Detector(write_model(tmp_path / "m.onnx", info), threads=1)
    assert detector(grey(70, 90, 255)).verdict == "review"
    assert detector(grey(70, 90, 0)).verdict == "pass"


def test_the_packaged_model_is_the_default_where_there_is_one(model, tmp_path, monkeypatch):
    monkeypatch.setattr("damagenet.claims.model.PACKAGED", tmp_path / "damagenet-s.onnx")
    for call in (default_model, Detector):
        with pytest.raises(BadInput, match="no model: train one with `make demo`, or name one"):
            call()
    (tmp_path / "damagenet-s.onnx").write_bytes(model.read_bytes())
    assert Detector().path == default_model() == tmp_path / "damagenet-s.onnx"
    assert Detector(model).path == model


@pytest.mark.skipif(not PACKAGED.is_file(), reason="no packaged model in this checkout")
def test_the_packaged_model_works_and_knows_itself():
    detector = Detector(threads=1)
    result = detector(np.random.default_rng(0).integers(0, 256, (150, 203, 3), dtype=np.uint8))
    assert 0 <= result.score <= 1 and result.heatmap.shape == (150, 203)
    assert PACKAGED.stat().st_size <= 12_000_000
    card = json.loads(PACKAGED.with_suffix(".json").read_text())
    assert card["onnx_sha256"] == detector.sha256
    assert {key: value for key, value in card.items() if key != "onnx_sha256"} == {**detector.info}
    text = PACKAGED.with_name("MODEL_CARD.md").read_text()
    assert card["dataset_sha256"][:12] in text and "must not" in text


@pytest.mark.skipif(not PACKAGED.is_file(), reason="no packaged model in this checkout")
def test_honest_photos_are_scored_alike_however_they_were_sent():
    """What WebP leaves, and JPEG in smooth places of a large photo, is no decoder's lattice."""
    detector = Detector(threads=1, recheck=False)
    sky, cat = skimage.data.rocket(), skimage.data.chelsea()
    large = np.tile(sky[:424], (3, 2, 1))
    files = [encoded(sky, "JPEG", quality=90), encoded(sky, "WEBP", quality=60),
             encoded(cat, "WEBP", quality=60), encoded(large, "JPEG", quality=75)]  # fmt: skip
    plain, *others = (detector(file).score for file in files)
    assert max(others) < plain + 0.4


@pytest.mark.parametrize(
    "bad", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3)), np.zeros((0, 9, 3), np.uint8)]
)
def test_wrong_arrays_are_refused(detector, bad):
    with pytest.raises(BadInput, match=r"uint8 \[height, width, 3\]"):
        detector(bad)


def test_wrong_models_are_refused_with_a_way_out(tmp_path, monkeypatch):
    def refused(name, **options):
        with pytest.raises(BadInput) as caught:
            Detector(write_model(tmp_path / name, **options))
        return str(caught.value)

    junk = tmp_path / "junk.onnx"
    for content in (b"", b"not a model", b"\x08\x07" * 40):
        junk.write_bytes(content)
        with pytest.raises(BadInput, match=r"junk\.onnx.*damagenet export"):
            Detector(junk)
    assert "metadata" in refused("bare.onnx", info=None)
    assert "maps 'picture' tensor(uint8)" in refused("names.onnx", input_name="picture")
    assert "maps 'image' tensor(float)" in refused("type.onnx", input_type=TensorProto.FLOAT)
    with pytest.raises(BadInput, match="no such model"):
        Detector(tmp_path / "absent.onnx")
    monkeypatch.setenv("DAMAGENET_MODEL", str(tmp_path / "gone.onnx"))
    with pytest.raises(BadInput, match="DAMAGENET_MODEL"):
        Detector()


def test_model_from_the_environment(model, monkeypatch):
    monkeypatch.setenv("DAMAGENET_MODEL", str(model))
    assert Detector().path == model
    assert len(Detector().sha256) == 64


def test_a_model_that_returns_nan_is_refused(tmp_path):
    broken = Detector(write_model(tmp_path / "nan.onnx", constant=float("nan")))
    with pytest.raises(BadInput, match="finite"):
        broken(grey(70, 90, 9))


def test_predict_survives_every_kind_of_file(detector, tmp_path):
    rng = np.random.default_rng(4)
    image = rng.integers(0, 256, (90, 140, 3), dtype=np.uint8)
    good = {
        "plain.jpg": {},
        "really-png.jpg": {"format": "PNG"},
        "upper.JPEG": {"format": "JPEG"},
        "anim.gif": {},
        "web.webp": {},
    }
    paths = [saved(tmp_path / name, image, **options) for name, options in good.items()]
    wide = Image.fromarray(rng.integers(0, 65536, (70, 100)).astype(np.uint16))
    wide.save(tmp_path / "sixteen.png")
    Image.fromarray(image).convert("CMYK").save(tmp_path / "cmyk.jpg")
    Image.fromarray(image).quantize(16).save(tmp_path / "palette.png")
    saved(tmp_path / "one.png", grey(1, 1, 250))
    saved(tmp_path / "line.png", grey(1, 2000, 250))
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = grey(100, 200, 0)
    upright[:, 150:] = 255
    saved(tmp_path / "turned.png", upright, exif=exif)
    more = ("sixteen.png", "cmyk.jpg", "palette.png", "one.png", "line.png", "turned.png")
    paths += [tmp_path / name for name in more]
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "plain.jpg").read_bytes()[:1500])
    (tmp_path / "folder.jpg").mkdir()
    broken = ["empty.jpg", "text.jpg", "cut.jpg", "folder.jpg", "absent.jpg", "x" * 400 + ".jpg"]
    mixed = [tmp_path / name for name in broken] + paths
    records = list(predict(mixed, detector))
    assert [r["path"] for r in records] == [str(p) for p in mixed]
    assert all(set(r) == {"path", "error"} for r in records[: len(broken)])
    for record in records[len(broken) :]:
        assert {"path", "score", "verdict", "threshold", "regions"} <= set(record), record
        assert record["verdict"] in ("pass", "review", "flag")
        assert round(record["score"], 6) == record["score"]
    json.dumps(records, allow_nan=False)
    box = records[-1]["regions"][0]  # 200x100 turned clockwise is 100x200: right becomes bottom
    assert (box["x"], box["y"], box["width"], box["height"]) == (0, 150, 100, 50)


def test_heatmaps_get_unique_names(detector, tmp_path):
    out = tmp_path / "maps" / "deep"
    paths = []
    for folder, name in (("a", "x.png"), ("b", "x.jpg"), ("c", "X.png"), ("d", "x-2.png")):
        (tmp_path / folder).mkdir()
        paths.append(saved(tmp_path / folder / name, grey(70, 90, 90)))
    records = list(predict([*paths, tmp_path / "no.png"], detector, out))
    names = [Path(r["heatmap"]).name for r in records[:-1]]
    assert names == ["x.png", "x-2.png", "X-3.png", "x-2-2.png"]
    assert sorted(p.name for p in out.iterdir()) == sorted(names)
    assert Image.open(out / "x.png").size == (90, 70)
    with pytest.raises(BadInput, match="heatmaps"):
        list(predict(paths, detector, paths[0] / "sub"))


def test_import_is_light():
    code = (
        "import sys, damagenet.claims, damagenet.claims.compare, damagenet.claims.review;"
        "heavy = {'torch', 'cv2', 'onnxruntime', 'pandas', 'matplotlib', 'scipy',"
        "'damagenet.synth', 'damagenet.detect'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_use_needs_no_torch(model):
    code = (
        "import sys; sys.modules['torch'] = None; import numpy as np;"
        "from damagenet.claims import Detector;"
        f"print(Detector({str(model)!r})(np.zeros((80, 90, 3), np.uint8)).verdict)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "pass"


def test_scoring_leaves_no_file_behind(model, tmp_path):
    """The runtime's own reporting would write one at import."""
    code = (
        "import sys, numpy as np; from damagenet.claims import Detector;"
        "Detector(sys.argv[1], threads=1)(np.zeros((80, 90, 3), np.uint8))"
    )
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    environment["TMPDIR"] = str(tmp_path)
    line = [sys.executable, "-c", code, str(model)]
    subprocess.run(line, check=True, cwd=tmp_path, env=environment)
    assert not list(tmp_path.iterdir())


def test_eight_threads_find_what_one_finds():
    """The packaged model on pictures of many sizes: scores, regions and heatmaps, bit for bit."""
    detector = Detector(threads=1)
    rng = np.random.default_rng(5)
    sizes = rng.integers(40, 120, (16, 2))
    pictures = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    expected = [detector(picture) for picture in pictures]
    start = threading.Barrier(8)

    def work(offset):
        start.wait()
        order = [(offset * 2 + i) % 16 for i in range(16)]
        return [(i, detector(pictures[i])) for i in order]

    with ThreadPoolExecutor(8) as pool:
        found = [pair for pairs in pool.map(work, range(8)) for pair in pairs]
    assert len(found) == 128 and len({r.score for r in expected}) > 8
    for i, result in found:
        assert result == expected[i]
        np.testing.assert_array_equal(result.heatmap, expected[i].heatmap)


def test_calls_on_many_sizes_do_not_grow_memory():
    """After a warm-up with the largest size; one heatmap kept per call would be 7 MB in all."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("reads Linux's account of memory")

    def resident():
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    detector = Detector(threads=1)
    rng = np.random.default_rng(6)
    noise = rng.integers(0, 256, (100, 100, 3), dtype=np.uint8)
    for _ in range(30):
        detector(noise)
    before = resident()
    for height, width in rng.integers(50, 100, (300, 2)):
        detector(noise[:height, :width])
    assert resident() - before < 5


def test_pictures_that_the_model_enlarges_share_a_pass_as_if_they_were_large(detector, monkeypatch):
    sizes, run = [], Detector._run
    monkeypatch.setattr(Detector, "_run", lambda me, b: sizes.append(b.shape) or run(me, b))
    monkeypatch.setattr("damagenet.claims.detector.LARGEST", 100_000)
    detector.batch([grey(8, 8, 50)] * 60)
    assert max(shape[0] for shape in sizes) == 100_000 // 64**2

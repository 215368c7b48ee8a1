"""Every test vector, with the package's own client and with the minimal one."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image
from toy_model import INFO, write_model

from damagenet import images
from damagenet.claims import Detector, default_model

CLIENTS = ROOT / "clients"
FOLDER = CLIENTS / "testvectors"
CARD = json.loads((FOLDER / "vectors.json").read_text(encoding="utf-8"))
VECTORS = {row["file"]: row for row in CARD["vectors"]}
EACH = pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] * n.startswith("huge")) for n in VECTORS],
)


def loaded(path):
    """A script or client as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


maker = loaded(ROOT / "scripts" / "make_vectors.py")
minimal = loaded(CLIENTS / "python" / "minimal.py")


@pytest.fixture(scope="module")
def detector():
    return Detector(default_model(), threads=1, recheck=False)


@pytest.fixture(scope="module")
def opened():
    return minimal.open_model(str(default_model()))


def test_the_values_are_those_of_the_packaged_model(detector):
    refresh = "python scripts/make_vectors.py --refresh"
    assert CARD["model"]["sha256"] == detector.sha256, refresh
    for key in ("threshold", "review_threshold"):
        assert CARD[key] == detector.info[key], refresh
    assert CARD["tolerance"] == maker.TOLERANCE and CARD["verdict_cases"] == maker.VERDICT_CASES


def test_the_folder_is_complete_small_and_varied():
    files = sorted(path.name for path in FOLDER.iterdir())
    assert files == sorted([*VECTORS, "vectors.json"]) and len(VECTORS) == 20
    assert set(VECTORS) == set(maker.PICTURES)
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 4_000_000
    assert len({row["rgb_sha256"] for row in VECTORS.values()}) == 20
    scores = [row["score"] for row in VECTORS.values()]
    assert max(scores) - min(scores) > 100 * CARD["tolerance"]["score"]
    heats = [row["heatmap"]["mean"] for row in VECTORS.values()]
    assert max(heats) - min(heats) > 20 * CARD["tolerance"]["heatmap"]


@pytest.mark.parametrize("name", VECTORS)
def test_a_picture_decodes_to_the_pixels_named(name):
    row = VECTORS[name]
    found = maker.facts(name)
    assert found == {key: row[key] for key in found}
    assert np.array_equal(images.read(FOLDER / name), minimal.decode(str(FOLDER / name)))


@EACH
def test_the_detector_passes(name, detector):
    row = VECTORS[name]
    found = maker.expectation(detector(FOLDER / name))
    expected = {key: row[key] for key in found}
    assert maker.differences(found, expected) == []
    assert found["verdict"] == expected["verdict"]


@EACH
def test_the_minimal_client_passes(name, opened):
    row, (session, info) = VECTORS[name], opened
    picture = minimal.decode(str(FOLDER / name))
    score, heatmap = minimal.score(session, picture)
    assert heatmap.shape == picture.shape[:2] and heatmap.dtype == np.float32
    assert abs(score - row["score"]) <= 1e-4
    assert maker.differences(maker.summary(heatmap), row["heatmap"], "/heatmap") == []
    assert minimal.verdict(score, row["width"], row["height"], info) == row["verdict"]


def test_the_minimal_client_needs_no_package_of_ours_and_prints_lines(tmp_path):
    names = ["odd_65x97.png", "tiny_7x40.png"]
    (tmp_path / "text.jpg").write_text("not a picture")
    bad = [tmp_path / "text.jpg", tmp_path / "gone.jpg"]
    code = (
        "import runpy, sys; sys.modules['damagenet'] = sys.modules['cv2'] = None;"
        "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    line = [sys.executable, "-c", code, CLIENTS / "python" / "minimal.py", default_model()]
    line += [*bad, *(FOLDER / name for name in names)]
    done = subprocess.run(list(map(str, line)), capture_output=True, text=True, check=True)
    records = [json.loads(text) for text in done.stdout.splitlines()]
    assert [(set(r), r["path"]) for r in records[:2]] == [({"path", "error"}, str(p)) for p in bad]
    for name, record in zip(names, records[2:], strict=True):
        assert Path(record["path"]).name == name
        assert record["score"] == pytest.approx(VECTORS[name]["score"], abs=1e-4)
        assert record["verdict"] == VECTORS[name]["verdict"]


def test_the_minimal_client_refuses_models_that_it_cannot_know(tmp_path):
    for name, info in (("bare", None), ("new", INFO | {"format": 2})):
        path = write_model(tmp_path / f"{name}.onnx", info)
        with pytest.raises(ValueError, match="not a damagenet detector, or one that needs a newer"):
            minimal.open_model(str(path))


@pytest.mark.parametrize("case", CARD["verdict_cases"], ids=str)
def test_the_bands_are_those_of_both_clients(case, tmp_path):
    score, width, height, review, flag, verdict = case
    info = INFO | {"review_threshold": review, "threshold": flag}
    assert minimal.verdict(score, width, height, info) == verdict
    own = Detector(write_model(tmp_path / "m.onnx", info), threads=1)
    assert own._verdict(score, (height, width))[0] == verdict


def test_alpha_ink_and_deep_grey_follow_the_formulas_of_the_specification(tmp_path):
    values, alpha = np.mgrid[:256, :256].astype(np.uint8)
    path = tmp_path / "all.png"
    images.write(path, np.dstack([values] * 3 + [alpha]))
    exact = (values * alpha.astype(float) + 255 * (255 - alpha.astype(float))) / 255
    assert np.array_equal(minimal.decode(str(path))[..., 0], np.rint(exact))
    ink, black = np.mgrid[:256, :256].astype(np.uint8)
    printed = Image.fromarray(np.dstack([ink, ink, ink, black]), "CMYK").convert("RGB")
    left = 255 - black.astype(float)
    assert np.array_equal(np.asarray(printed)[..., 0], left - np.rint(ink * left / 255))
    deep = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    images.write(path, deep)
    assert np.array_equal(minimal.decode(str(path))[..., 0], deep >> 8)


def test_a_heatmap_is_summed_up_in_blocks():
    heatmap = np.arange(20 * 9, dtype=np.float32).reshape(20, 9) / 180
    found = maker.summary(heatmap)
    assert np.shape(found["grid"]) == (8, 8)
    assert found["grid"][1][7] == pytest.approx(heatmap[2:5, 7:9].mean(), abs=1e-6)
    assert maker.summary(np.full((1, 3), 0.25, np.float32))["grid"] == [[0.25] * 3]


def test_differences_are_found_beyond_the_tolerance_only():
    row = {"score": 0.5, "heatmap": {"max": 0.5, "grid": [[0.5]]}, "verdict": "pass"}
    near = {"score": 0.50009, "heatmap": {"max": 0.5009, "grid": [[0.4991]]}, "verdict": "pass"}
    far = {"score": 0.5002, "heatmap": {"max": 0.502, "grid": [[0.498]]}, "verdict": "flag"}
    assert maker.differences(row, near) == []
    assert len(maker.differences(row, far)) == 4
    assert maker.differences(row, {}) and maker.differences([1], [1, 2])


def test_a_refresh_leaves_pictures_alone_and_a_check_finds_what_changed(tmp_path, monkeypatch):
    small = {k: maker.PICTURES[k] for k in ("one_1x1.png", "tiny_7x40.png")}
    monkeypatch.setattr(maker, "FOLDER", tmp_path)
    monkeypatch.setattr(maker, "PICTURES", small)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["make_vectors.py", *arguments])
        return maker.main()

    assert call() == 0 and call("--check") == 0
    images.write(tmp_path / "tiny_7x40.png", np.zeros((9, 9, 3), np.uint8))
    other = (tmp_path / "tiny_7x40.png").read_bytes()
    assert call("--check") == 1
    assert call("--refresh") == 0 and call("--check") == 0
    assert (tmp_path / "tiny_7x40.png").read_bytes() == other
    assert call() == 0 and (tmp_path / "tiny_7x40.png").read_bytes() == other

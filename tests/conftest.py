"""Shared: real photos, one tiny dataset and one tiny run, built once and never written to."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy and torch read it

import contextlib
import io
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image

from damagenet import config, images, runs
from damagenet.synth import dataset, products

MODELS = os.environ.get("DAMAGENET_MODELS") or os.environ.get("DAMAGENET_TEST_MODELS")
"""Only the tests of decoders themselves use it; the second name reaches parallel test processes."""
if MODELS:
    os.environ["DAMAGENET_TEST_MODELS"] = MODELS
for _name in ("DAMAGENET_DATA", "DAMAGENET_MODELS", "DAMAGENET_MODEL"):
    os.environ.pop(_name, None)  # results must not depend on what a machine happens to hold

ROOT = Path(__file__).parents[1]
RENDERS = ROOT / "data" / "samples" / "renders"
FAMILIES = ("ae_shuffle", "ae_transposed")
"""The project's own: they need no other package."""
SETTINGS = {
    "name": "tiny",
    "seed": 5,
    "build": {
        "long_side": 160,
        "families": list(FAMILIES),
        "holdout_family": FAMILIES[1],
        "validation": 0.25,
        "test": 0.3,
        "label_files": False,
    },
    "train": {
        "encoder": "test_byobnet",
        "stages": 3,
        "fuse": 1,
        "width": 16,
        "crop": 32,
        "pairs": 4,
        "steps": 6,
        "eval_every": 2,
        "threads": 1,
        "device": "cpu",
    },
    "evaluate": {"resamples": 40},
}


def settings(**sections):
    """A small experiment; `build={…}` and the like change single values of it."""
    values = dict(SETTINGS)
    for name, change in sections.items():
        values[name] = {**values.get(name, {}), **change} if isinstance(change, dict) else change
    return config.from_dict(config.Config, values, "test")


def photo(height=150, width=210):
    """A real photo that is not square, uint8 `[height, width, 3]`."""
    return cv2.resize(skimage.data.coffee(), (width, height), interpolation=cv2.INTER_AREA)


def smooth(height=48, width=68):
    """A colour gradient that is not square, uint8 `[height, width, 3]`."""
    y, x = np.mgrid[:height, :width]
    planes = [40 + 3 * y, 60 + 2 * x, 200 - y - x]
    return np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)


def tree(folder):
    """Every file below a folder with its bytes, to compare whole results."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def rewrite(folder, manifest):
    """Replace a dataset's manifest as its builder would have written it."""
    manifest.to_parquet(folder / "manifest.parquet", index=False)
    card = runs.read_json(folder / "dataset.json", "")
    card["manifest_sha256"] = runs.sha256(folder / "manifest.parquet")
    runs.write_json(folder / "dataset.json", card)


def train_in(place, config, folder, resume=None):
    """Train with `runs/` in a folder of its own; the run."""
    from damagenet.detect.train import train

    with contextlib.chdir(place):
        return Path(place) / train(config, folder, resume)


def pictures_in(folder):
    return sorted((folder / "images").iterdir())


def encoded(image, name, **options):
    """The bytes of a picture file as Pillow writes it."""
    buffer = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(buffer, name, **options)
    return buffer.getvalue()


def jpeg_facts(data):
    """What a JPEG header gives away: size, quantisation tables, chroma subsampling."""
    with images.opened(data) as picture:
        tables = {key: tuple(table) for key, table in picture.quantization.items()}
        return picture.format, picture.size, tables, tuple(layer[1:3] for layer in picture.layer)


@pytest.fixture(scope="session", autouse=True)
def few_threads():
    cv2.setNumThreads(1)


@pytest.fixture(scope="session")
def sample_photos():
    """One picture of a dozen of the project's sample products."""
    folders = [sorted(folder.glob("*_a.jpg")) for folder in sorted(RENDERS.iterdir())]
    return [shots[turn] for turn in (0, 1) for shots in folders][:14]


@pytest.fixture(scope="session")
def table(sample_photos, tmp_path_factory):
    """products.parquet of eleven intact products and three that stand for really damaged ones."""
    path = tmp_path_factory.mktemp("products") / "products.parquet"
    found, refused = products.register(sample_photos[3:], sample_photos[:3], workers=1)
    assert len(found) == found.group_id.nunique() == 14, refused
    products.save(found, refused, path)
    return path


@pytest.fixture(scope="session")
def built(table, tmp_path_factory):
    """The tiny dataset; read only."""
    folder = tmp_path_factory.mktemp("tiny") / "dataset"
    return dataset.build(settings(products={"table": str(table)}), folder)


@pytest.fixture(scope="session")
def manifest(built):
    return dataset.read_manifest(built)


@pytest.fixture
def copied(built, tmp_path):
    """A copy of the tiny dataset that a test may spoil."""
    return Path(shutil.copytree(built, tmp_path / "copied"))


@pytest.fixture(scope="session")
def trained(built, tmp_path_factory):
    """A trained run; read only."""
    return train_in(tmp_path_factory.mktemp("trained"), settings(), built)


@pytest.fixture(scope="session")
def evaluated(trained, built, tmp_path_factory):
    """The trained run with its results; read only."""
    from damagenet.detect.evaluate import evaluate

    run = Path(shutil.copytree(trained, tmp_path_factory.mktemp("evaluated") / "tiny"))
    evaluate(run, built)
    return run


@pytest.fixture(scope="session")
def exported(evaluated, tmp_path_factory):
    """The evaluated run with its ONNX file; read only."""
    from damagenet.detect.export import export

    run = Path(shutil.copytree(evaluated, tmp_path_factory.mktemp("exported") / "tiny"))
    export(run)
    return run


@pytest.fixture
def inbox(tmp_path):
    """A folder of three photos of strangers: a good one, a cut one, and text named .jpg."""
    folder = tmp_path / "inbox"
    images.write(folder / "good.jpg", photo())
    whole = (folder / "good.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 3])
    (folder / "text.jpg").write_text("not a picture")
    return folder

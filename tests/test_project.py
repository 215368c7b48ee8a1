"""What the project promises about itself."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

PACKAGE = ROOT / "src" / "damagenet"
MODULES = sorted(PACKAGE.rglob("*.py"))
TEXT = frozenset(".py .md .yaml .yml .toml .txt .csv .css .html .js .ipynb .cfg .pbtxt".split())
FOLDERS = (
    "src", "tests", "scripts", "configs", "notebooks", "docs", "clients", ".github", ".ci",
)  # fmt: skip
BUILT = re.compile(r"/(\.\w+_(cache|checkpoints)|node_modules|dist)/")
ALLOWED = {  # room -> what it may import of the package
    "synth": {"synth"}, "detect": {"synth", "detect"}, "claims": {"claims"},
}  # fmt: skip


def shipped():
    """Every text file that belongs to the project."""
    inside = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))
    files = [*ROOT.iterdir(), *inside, *(ROOT / "data").rglob("*")]
    names = TEXT | {""}
    return [p for p in files if p.is_file() and p.suffix in names and not BUILT.search(str(p))]


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def imported(path):
    """Modules that a source imports, at once or later."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_environment_yml_says_what_pyproject_says():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    about = project()
    assert environment["name"] == about["name"] == "damagenet"
    *conda, pip = environment["dependencies"]
    (python,) = [line for line in conda if line.startswith("python=")]
    assert {line.split("=")[0] for line in conda} == {"python", "pip"}
    assert SpecifierSet(about["requires-python"]).contains(python.split("=")[1])
    (line,) = pip["pip"]
    named = re.fullmatch(r"-e \.\[([a-z,]+)\]", line)
    assert named, f"{line!r} must install this folder with extras"
    extras = set(about["optional-dependencies"])
    assert set(named[1].split(",")) == extras


def test_the_makefile_installs_the_same_extras():
    text = (ROOT / "Makefile").read_text()
    extras = re.search(r"^EXTRAS := (\S+)", text, re.M)[1].split(",")
    assert set(extras) == set(project()["optional-dependencies"])


def test_every_import_of_the_package_is_a_dependency():
    about = project()
    lines = [*about["dependencies"]]
    lines += [line for extra in about["optional-dependencies"].values() for line in extra]
    named = {Requirement(line).name.lower().replace("-", "_") for line in lines}
    known = {
        "cv2": "opencv_python_headless", "PIL": "pillow", "yaml": "pyyaml",
        "sklearn": "scikit_learn", "skimage": "scikit_image", "c2pa": "c2pa_python",
    }  # fmt: skip
    for path in MODULES:
        tops = {name.split(".")[0] for name in imported(path)} - {"damagenet"}
        foreign = {known.get(top, top) for top in tops - set(sys.stdlib_module_names)}
        assert foreign <= named, path.name


def test_the_constraints_name_every_dependency():
    pinned = {
        Requirement(line).name.lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    }
    wanted = {
        Requirement(line).name.lower().replace("_", "-") for line in project()["dependencies"]
    }
    assert wanted <= pinned


def test_the_readme_is_short_and_its_make_targets_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert 20 < len(text.splitlines()) <= 150
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"(?:^|`|\$ |&& )make ([a-z-]+)", text, re.M))
    assert named and named <= targets


@pytest.mark.parametrize("path", shipped(), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_names_a_place_on_somebodys_disk(path):
    text = path.read_text(encoding="utf-8")
    places = [f"/{name}/" for name in ("home", "root", "work", "Users", "mnt")]
    places += [f"/{name}/" for name in ("tmp",) if path.suffix != ".js"]
    assert not [place for place in places if re.search(rf"(?<![\w.}}]){place}", text)]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_modules_are_short_documented_and_free_of_traps(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    assert not re.search(r"except\s*:|except (Base)?Exception:\s*\n\s*(pass|continue)", text)
    assert not re.search(r"import \*|(np|numpy)\.random\.(seed|rand|randn|randint|choice)\b", text)
    assert not re.search(r"\brandom\.seed\(|print\(.*file=None", text)
    tree = ast.parse(text)
    assert ast.get_docstring(tree) or not tree.body, "a module says what it is for"
    assert path.stem not in {"utils", "common", "core", "base", "engine", "helpers"}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_rooms_import_only_from_their_left(path):
    room = path.relative_to(PACKAGE).parts[0]
    if room not in ALLOWED:
        return
    inside = {name.split(".")[1] for name in imported(path) if name.startswith("damagenet.")}
    assert inside & set(ALLOWED) <= ALLOWED[room]


@pytest.mark.parametrize("room", ["synth", "claims"])
def test_a_room_is_imported_without_torch(room):
    names = [
        ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
        for path in sorted((PACKAGE / room).glob("*.py")) if path.stem != "__init__"
    ]  # fmt: skip
    code = f"import sys, {', '.join(names)}\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_module_has_its_tests():
    tested = {path.stem.removeprefix("test_") for path in (ROOT / "tests").glob("test_*.py")}
    parts = {  # a stage split over several files is tested as the stage
        "brittle": "damage", "cloth": "damage", "stiff": "damage", "soils": "damage",
        "strokes": "damage", "spot": "damage", "foreground": "damage", "layer": "damage",
        "raster": "damage", "board": "stiff", "autoencoder": "decoders", "shot": "doctor",
        "edits": "doctor", "duplicates": "audit", "contact_sheet": "card",
        "groups": "products", "align": "compare", "describe": "catalogue", "metadata": "labels",
        "advice": "signals", "marks": "signals", "aigc": "labels", "strict": "config",
        "handmade": "baselines", "learnt": "baselines", "plots_robustness": "plots",
        "stages": "cli", "stages_claims": "cli", "stages_experiments": "cli",
        "plots_training": "plots", "incoming": "images", "statements": "labels",
        "widgets_costs": "widgets",
    }  # fmt: skip
    for path in MODULES:
        if path.stem not in ("__init__", "__main__"):
            assert parts.get(path.stem, path.stem) in tested, path.stem


def test_there_is_one_version():
    from damagenet import __version__

    assert project()["version"] == __version__
    assert re.match(r"\d+\.\d+\.\d+$", __version__)


def test_large_files_stay_out():
    for folder in (*FOLDERS, "data"):
        for path in (ROOT / folder).rglob("*"):
            limit = 12_000_000 if path.match("claims/weights/*.onnx") else 1_000_000
            if path.is_file() and path.suffix != ".pyc" and not BUILT.search(str(path)):
                assert path.stat().st_size < limit, Path(path).relative_to(ROOT)

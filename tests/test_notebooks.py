import ast
import importlib.util
import os
import re
from pathlib import Path

import nbformat
import papermill
import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
STAGES = "01_products 02_doctor 03_dataset 04_train 05_evaluate 06_export 07_review".split()

spec = importlib.util.spec_from_file_location("builder", ROOT / "scripts" / "build_notebooks.py")
builder = importlib.util.module_from_spec(spec)
spec.loader.exec_module(builder)


def code_cells(name):
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def parsed(cell):
    lines = cell.source.splitlines()
    return ast.parse("\n".join(line for line in lines if not line.startswith("%")))


def test_seven_notebooks_in_step_with_their_sources():
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == STAGES
    assert builder.outdated() == []


def test_build_is_reproducible():
    source = FOLDER / "01_products.py"
    assert nbformat.writes(builder.built(source)) == nbformat.writes(builder.built(source))


@pytest.mark.parametrize("change", ["output", "source", "tag", "orphan", "missing"])
def test_check_notices(tmp_path, change):
    text = '# %% [markdown]\n# # A?\n# b\n# %% tags=["parameters"]\nx = 1\n'
    (tmp_path / "a.py").write_text(text)
    notebook = builder.built(tmp_path / "a.py")
    if change == "output":
        notebook.cells[2].outputs = [nbformat.v4.new_output("stream", text="1")]
    if change == "source":
        notebook.cells[2].source = "x = 2"
    if change == "tag":
        notebook.cells[2].metadata = {}
    if change == "orphan":
        nbformat.write(builder.built(tmp_path / "a.py"), tmp_path / "b.ipynb")
    if change != "missing":
        nbformat.write(notebook, tmp_path / "a.ipynb")
    assert len(builder.outdated(tmp_path)) == 1


@pytest.mark.parametrize("name", STAGES)
def test_shape(name):
    first, *cells = code_cells(name)
    assert first.source == builder.FIRST  # the same in all of them
    assert not any(cell.outputs or cell.execution_count for cell in [first, *cells])
    assert cells[0].metadata.get("tags") == ["parameters"]
    assert len(cells[0].source.splitlines()) <= 4
    assert any(isinstance(node, ast.Assert) for node in parsed(cells[-1]).body)
    assert len(cells) <= 14
    assert sum(bool(line.strip()) for cell in cells for line in cell.source.splitlines()) <= 60


@pytest.mark.parametrize("name", STAGES)
def test_text_stands_before_every_cell(name):
    kinds = [c.cell_type for c in nbformat.read(FOLDER / f"{name}.ipynb", as_version=4).cells]
    assert kinds[1:3] == ["code", "code"]  # the first cell and the parameters
    assert not [i for i in range(3, len(kinds)) if kinds[i - 1 : i + 1] == ["code", "code"]]


@pytest.mark.parametrize("name", STAGES)
def test_badges_open_files_that_are_there(name):
    text = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4).cells[0].source
    documents = [(FOLDER, text)]
    if name == STAGES[0]:
        documents.append((ROOT, (ROOT / "README.md").read_text(encoding="utf-8")))
    for folder, words in documents:
        badges = re.findall(r"\[!\[Open in (\w+)\]\((\S+)\)\]\((\S+)\)", words)
        assert [host for host, *_ in badges] == ["Colab", "Kaggle"]
        for host, picture, link in badges:
            assert (folder / picture).is_file() and host.lower() in picture
            place = re.search(r"github(?:\.com)?/([^/]+/[^/]+)/blob/main/(\S+)$", link)
            assert builder.URL == f"https://github.com/{place[1]}"
            assert ROOT / place[2] == FOLDER / f"{name}.ipynb" and (ROOT / place[2]).is_file()
    assert builder.URL in builder.FIRST


@pytest.mark.parametrize("name", STAGES)
def test_no_logic(name):
    banned = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.While, ast.Try, ast.For)
    for cell in code_cells(name)[1:]:
        assert not [node for node in ast.walk(parsed(cell)) if isinstance(node, banned)]


@pytest.mark.parametrize("name", STAGES)
def test_header_says_what_it_needs(name):
    header = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4).cells[0].source
    assert "?" in header.splitlines()[0]  # a notebook answers one question
    assert all(f"**{word}**" in header for word in ("reads", "writes", "takes"))


def run(name, folder, **parameters):
    """Execute a notebook in a folder; unknown parameters, which papermill lets pass, are errors."""
    path = FOLDER / f"{name}.ipynb"
    assert set(parameters) <= set(papermill.inspect_notebook(path))
    papermill.execute_notebook(
        path, folder / f"{name}.ipynb", parameters, cwd=folder, progress_bar=False,
        kernel_name="python3", execution_timeout=300,
    )  # fmt: skip


@pytest.mark.slow
def test_all_run_in_order(tmp_path):
    assert not {"DAMAGENET_DATA", "DAMAGENET_MODELS"} & set(os.environ)  # conftest.py saw to it
    for name in STAGES:  # the first three show data, which smoke has more kinds of
        config = "smoke" if name < "04" else "reproduce"
        more = {"vectors": str(ROOT / "clients" / "testvectors")} if name == "06_export" else {}
        run(name, tmp_path, config=str(ROOT / "configs" / f"{config}.yaml"), **more)
    made = tmp_path / "runs" / "reproduce"
    report = (made / "claims" / "fraud.json").read_text(encoding="utf-8")
    assert '"same_exposure"' in report and '"verdict": "flag"' in report
    assert (made / "detector.onnx").is_file()
    assert (tmp_path / "runs" / "smoke" / "dataset" / "audit.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("name, hint", [("05_evaluate", "train first"), ("07_review", "detector")])
def test_missing_stage_is_one_clear_line(tmp_path, name, hint):
    with pytest.raises(papermill.PapermillExecutionError) as caught:
        run(name, tmp_path, config=str(ROOT / "configs" / "smoke.yaml"))
    assert caught.value.ename == "BadInput" and hint in caught.value.evalue

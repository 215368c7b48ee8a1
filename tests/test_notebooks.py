import ast
import importlib.util
import os
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
    (tmp_path / "a.py").write_text('# %% tags=["parameters"]\nx = 1\n')
    notebook = builder.built(tmp_path / "a.py")
    if change == "output":
        notebook.cells[0].outputs = [nbformat.v4.new_output("stream", text="1")]
    if change == "source":
        notebook.cells[0].source = "x = 2"
    if change == "tag":
        notebook.cells[0].metadata = {}
    if change == "orphan":
        nbformat.write(builder.built(tmp_path / "a.py"), tmp_path / "b.ipynb")
    if change != "missing":
        nbformat.write(notebook, tmp_path / "a.ipynb")
    assert len(builder.outdated(tmp_path)) == 1


@pytest.mark.parametrize("name", STAGES)
def test_shape(name):
    cells = code_cells(name)
    assert not any(cell.outputs or cell.execution_count for cell in cells)
    assert cells[0].metadata.get("tags") == ["parameters"]
    assert len(cells[0].source.splitlines()) <= 4
    assert any(isinstance(node, ast.Assert) for node in parsed(cells[-1]).body)
    assert len(cells) <= 15
    assert sum(bool(line.strip()) for cell in cells for line in cell.source.splitlines()) <= 60


@pytest.mark.parametrize("name", STAGES)
def test_no_logic(name):
    banned = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.While, ast.Try, ast.For)
    for cell in code_cells(name):
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

import ast
import importlib.util
import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import lab_page
import nbformat
import pandas as pd
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


def papered(name, place):
    """Execute a notebook as it is, without a browser."""
    papermill.execute_notebook(
        place / "notebooks" / f"{name}.ipynb", place / f"{name}.ipynb", progress_bar=False,
        cwd=place / "notebooks", kernel_name="python3", execution_timeout=300,
    )  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A project folder to run notebooks in: copies of what a checkout has there, no runs yet."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("configs", "notebooks", "clients/testvectors", "docs/images"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(".*"))
    shutil.copy(ROOT / "pyproject.toml", folder)  # jupytext heeds it when JupyterLab opens a file
    return folder


@pytest.fixture(scope="module")
def browsed(place):
    """A browser at a workbench; None where there is none."""
    if lab_page.missing():
        yield None
        return
    with lab_page.served(place) as address, lab_page.opened() as page:
        yield SimpleNamespace(page=page, address=address, shots=place / "screenshots")


@pytest.mark.slow
def test_the_workbench_opens_at_the_first_notebook(browsed):
    if browsed is None:
        pytest.skip(lab_page.missing())
    browsed.page.goto(f"{browsed.address}/?token={lab_page.TOKEN}")
    heading = browsed.page.locator(".jp-Notebook h1").first
    assert heading.inner_text().startswith("1 · What photos do I have?")
    assert browsed.page.locator('.jp-Notebook img[alt^="Open in"]').evaluate_all(
        "all => all.length === 2 && all.every(one => one.naturalWidth > 0)"
    )


def doctored_by_hand(page, place):
    """Severity by mouse, then by keyboard; decoder topology from its list."""
    before = lab_page.picture(page, 1)
    lab_page.dragged(page, "severity", -0.5)
    after = lab_page.picture(page, 1, other_than=before)
    lab_page.slider(page, "severity").press("ArrowRight")
    third = lab_page.picture(page, 1, other_than=after)
    page.get_by_label("topology").select_option("full")
    lab_page.picture(page, 1, other_than=third)
    lab_page.says(page, "doctored: label 1")


def priced_by_hand(page, place):
    """The threshold down to 0 flags everybody; a price changes the bill."""
    before = lab_page.picture(page, 0)
    lab_page.slider(page, "flag from score").press("Home")
    lab_page.picture(page, 0, other_than=before)
    lab_page.says(page, "990.0 honest buyers are accused, 0.0 left in peace")
    page.get_by_label("an accusation costs").fill("7")
    page.get_by_label("an accusation costs").press("Enter")
    lab_page.says(page, "cost 6,930")


def decided_by_hand(page, place):
    """Two claims that the notebook left open: one by mouse, one by keyboard."""
    kept = place / "runs" / "reproduce" / "claims" / "decisions.csv"
    left = set(pd.read_csv(kept).claim_id)
    for number, press in enumerate((lambda one: one.click(), lambda one: one.press("Space"))):
        claim = page.get_by_label("claim", exact=True).input_value()
        report = page.frame_locator("iframe").last.locator("h1").first.inner_text()
        assert claim not in left and report
        press(page.get_by_role("button", name="ask" if number else "accept", exact=True))
        page.get_by_text(f"{len(left) + number + 1} of").first.wait_for()
        decision = pd.read_csv(kept).iloc[-1]
        assert (decision.claim_id, decision.decision) == (claim, "ask" if number else "accept")


HANDS = {
    "02_doctor": doctored_by_hand, "05_evaluate": priced_by_hand, "07_review": decided_by_hand,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", STAGES)
def test_notebooks_run_in_order(place, browsed, name):
    """Top to bottom, each on what those before it left; three of them in a browser, by hand."""
    assert not {"DAMAGENET_DATA", "DAMAGENET_MODELS"} & set(os.environ)  # conftest.py saw to it
    if name not in HANDS or browsed is None:
        papered(name, place)
        if name in HANDS:
            pytest.skip(f"ran, but not by hand: {lab_page.missing()}")
        return
    mimes = lab_page.run_all(browsed.page, browsed.address, name)
    assert "application/vnd.jupyter.widget-view+json" in mimes  # progress bars are some, too
    assert mimes.count("image/png") >= 2
    HANDS[name](browsed.page, place)
    lab_page.shut(browsed.page, browsed.shots / f"{name}.png")


@pytest.mark.slow
def test_the_notebooks_left_what_they_promise(place):
    made = place / "runs" / "reproduce"
    report = (made / "claims" / "fraud.json").read_text(encoding="utf-8")
    assert '"same_exposure"' in report and '"verdict": "flag"' in report
    assert (made / "detector.onnx").is_file()
    assert (place / "runs" / "smoke" / "dataset" / "audit.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("name, hint", [("05_evaluate", "train first"), ("07_review", "detector")])
def test_missing_stage_is_one_clear_line(tmp_path, name, hint):
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    (tmp_path / "notebooks").mkdir()
    shutil.copy(FOLDER / f"{name}.ipynb", tmp_path / "notebooks")
    with pytest.raises(papermill.PapermillExecutionError) as caught:
        papered(name, tmp_path)
    assert caught.value.ename == "BadInput" and hint in caught.value.evalue

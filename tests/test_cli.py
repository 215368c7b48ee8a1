import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT, settings

from damagenet import __version__, cli, config, images

STAGES = tuple(cli.STAGES)


def command(*arguments, cwd=ROOT, **options):
    """Run the program as a user would."""
    line = [sys.executable, "-m", "damagenet", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, cwd=cwd, timeout=120, **options)


@pytest.fixture
def small(tmp_path, table):
    """A config file of the tiny experiment, in a folder of its own."""
    path = tmp_path / "tiny.yaml"
    path.write_text(config.dump(settings(products={"table": str(table)})))
    return path


def test_the_stages_are_those_of_the_house_in_their_order():
    assert STAGES == (
        "products", "build", "audit", "train", "evaluate", "grid", "compare-baselines", "protocol",
        "sweep", "runs", "export", "predict", "review", "catalogue", "find", "inspect", "doctor",
    )  # fmt: skip


@pytest.mark.parametrize("stage", STAGES)
def test_help_shows_examples_that_parse_and_the_exit_codes(stage, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main([stage, "--help"])
    text = capsys.readouterr().out
    assert left.value.code == 0
    assert "exit codes: 0 done; 1 " in text
    lines = text.partition("examples:\n")[2].splitlines()
    examples = [line for line in lines if line.startswith(f"  damagenet {stage} ")]
    assert examples
    for example in examples:
        parts = shlex.split(example.partition(" > ")[0], comments=True)[1:]
        args, rest = cli.parser().parse_known_args(parts)
        assert args.call is cli.STAGES[stage] and all("=" in r for r in rest)


def test_the_version_is_told_without_loading_anything_heavy():
    found = command("--version")
    assert (found.returncode, found.stdout.strip()) == (0, f"damagenet {__version__}")


def test_importing_the_command_line_pulls_in_no_heavy_library():
    code = (
        "import sys, damagenet.cli as c; c.parser()\n"
        "heavy = {'torch', 'timm', 'pandas', 'cv2', 'sklearn', 'onnxruntime', 'albumentations'}\n"
        "print(*heavy & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["fly"], ["build"], ["predict"], ["evaluate"], ["products"], ["audit", "a", "b"],
        ["train", "x.yaml", "--fast"], ["build", "x.yaml", "--workers", "two"],
        ["build", "x.yaml", "--workers", "0"], ["sweep", "x.yaml", "--seeds", "1,two"],
        ["products", "--out", "x", "--workers", "-1"],
    ],
)  # fmt: skip
def test_wrong_usage_exits_with_2(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == 2
    assert "usage: damagenet" in capsys.readouterr().err


BAD_INPUT = {
    "build {small} build.long_sid=200": "did you mean build.long_side?",
    "build {small} --workers 1 sed=1": "did you mean seed?",  # an override after options
    "build {small} build.topologies=ful --out {tmp}/d --workers 1": "did you mean full?",
    "train {small} train.steps=many": "train.steps must be int",
    "train {small} --data {tmp}/gone": "no such dataset; make it with",
    "train {tmp}/gone.yaml": "no such config file",
    "products {tmp}/gone --out {tmp}/p.parquet": "no such folder",
    "products {tmp}/empty --out {tmp}/p.parquet": "zero products",
    "products {tmp} --out {small}": "name the table such as products.parquet",
    "train {small} train.threads=0": "train.threads must be at least 1",
    "train {small} train.augment=5": "train.augment must be in [0, 1]",
    "audit {tmp}/gone": "no such dataset; make it with",
    "audit {tmp}/gone --folds 1": "audit.folds must be at least 2",
    "evaluate {tmp}/empty": "not a run folder; train first",
    "grid {tmp}/empty": "not a run folder; train first",
    "compare-baselines {tmp}/empty": "not a run folder; train first",
    "protocol {small} --data {tmp}/gone": "no such dataset; make it with",
    "sweep {small} train.widht=1,2": "did you mean train.width?",
    "sweep {small} train.lr": "a grid looks like train.lr=0.001,0.002",
    "sweep {small} seed=1,2": "--seeds names seeds",
    "runs {tmp}/gone": "no such folder",
    "runs {tmp}/empty --sort image_auc": "no run has this number; known: none yet",
    "runs {tmp}/empty --curves {tmp}/c.png": "no run has a train.csv yet",
    "export {tmp}/empty": "evaluate first",
    "predict {small} --model {tmp}/gone.onnx": "no such model file",
    "predict {small} --model {small}": "not a model that can be opened",
    "predict {tmp}/empty --model {model}": "no photos found",
    "predict {tmp}/*.jpg --model {model}": "no photos found",
    "inspect {tmp}/gone.onnx": "no such model file",
    "inspect {small}": "not a model that can be opened",
    "review {tmp}/gone.jpg --model {model} --out {tmp}/r.html": "no such file",
    "review {tmp}/gone.jpg --model {model} --out {tmp}/claim.png": "name the report's HTML file",
    "find {tmp}/empty --catalogue {small}": "not a catalogue",
}


@pytest.mark.parametrize("line", BAD_INPUT)
def test_bad_input_exits_with_1_and_one_line(line, tmp_path, small, exported, capsys):
    (tmp_path / "empty").mkdir()
    places = {"tmp": tmp_path, "small": small, "model": exported / "detector.onnx"}
    arguments = [part.format(**places) for part in line.split()]
    assert cli.main(arguments) == 1
    out, err = capsys.readouterr()
    lines = [text for text in err.splitlines() if text and not text.startswith("products:")]
    assert len(lines) == 1 and not out, err
    assert lines[0].startswith(f"damagenet {arguments[0]}: ") and BAD_INPUT[line] in lines[0]


def test_products_counts_what_it_kept_and_names_what_it_refused(inbox, tmp_path, capsys):
    out = tmp_path / "out" / "products.parquet"
    assert cli.main(["products", str(inbox), "--out", str(out), "--workers", "1"]) == 0
    text, errors = capsys.readouterr()
    assert "1 photos (1 intact), 1 groups, 1 sources; 2 refused" in text
    assert "refused" in errors and "cut.jpg: damaged" in errors and "text.jpg" in errors
    assert len(pd.read_parquet(out)) == 1
    assert len(pd.read_csv(out.with_suffix(".refused.csv"))) == 2


def test_build_prints_its_cells(small, copied, manifest, capsys):
    assert cli.main(["build", str(small), "--workers", "1", "--out", str(copied)]) == 0
    out, err = capsys.readouterr()
    assert "already complete" in out + err and f"{copied}: {len(manifest)} pictures" in out
    assert all(cell in out for cell in manifest.cell) and "train" in out


@pytest.mark.slow
def test_an_interrupted_build_says_how_to_go_on(small, tmp_path):
    out = tmp_path / "dataset"
    line = [sys.executable, "-m", "damagenet", "build", small, "--workers", "1", "--out", out]
    process = subprocess.Popen(
        list(map(str, line)), stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job may ignore it
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list(out.glob(".parts/*.json")) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "interrupted; run the same command again to go on"


def test_predict_gives_a_record_for_every_file_and_needs_no_torch(inbox, exported, tmp_path):
    code = (
        "import sys\n"
        "for name in ('torch', 'timm', 'albumentations', 'sklearn', 'pandas'):\n"
        "    sys.modules[name] = None  # importing it is an error now\n"
        "from damagenet.cli import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["predict", inbox, tmp_path / "gone.jpg", "--json", "--threads", "1"]
    arguments += ["--model", exported / "detector.onnx", "--heatmaps", tmp_path / "maps"]
    line = [sys.executable, "-c", code, *map(str, arguments)]
    found = subprocess.run(line, capture_output=True, text=True, timeout=120)
    assert found.returncode == 1, found.stderr
    records = {
        record["path"].rsplit("/", 1)[1]: record
        for record in map(json.loads, found.stdout.splitlines())
    }
    assert set(records) == {"cut.jpg", "good.jpg", "text.jpg", "gone.jpg"}
    good = records.pop("good.jpg")
    assert {"path", "score", "verdict", "threshold", "regions"} <= set(good) and "error" not in good
    assert 0 <= good["score"] <= 1 and good["verdict"] in ("pass", "review", "flag")
    assert images.read(good["heatmap"]).shape[2] == 3
    for name, record in records.items():
        assert set(record) == {"path", "error"} and name in record["error"]
    assert "3 of 4 files could not be scored" in found.stderr
    assert "Traceback" not in found.stderr


def test_predict_is_done_when_every_file_was_scored(inbox, exported, capsys):
    model = str(exported / "detector.onnx")
    assert cli.main(["predict", str(inbox / "good.jpg"), "--model", model]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["path"].endswith("good.jpg")


def test_a_reader_that_has_seen_enough_is_no_error(inbox, exported):
    line = [
        sys.executable,
        "-m",
        "damagenet",
        "predict",
        *[str(inbox / "good.jpg")] * 2,
        str(inbox),
    ]
    line += ["--model", str(exported / "detector.onnx")]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        run.stdout.close()
        errors = run.stderr.read()
        assert run.wait(timeout=60) == 0
    assert "Traceback" not in errors and "BrokenPipe" not in errors


def test_an_oversized_photo_gives_one_line_and_no_warning(tmp_path, exported):
    from test_images import png_of

    (tmp_path / "huge.png").write_bytes(png_of(10_000, 9_000))
    found = command("predict", tmp_path / "huge.png", "--model", exported / "detector.onnx")
    assert found.returncode == 1 and "megapixels" in json.loads(found.stdout)["error"]
    assert found.stderr.splitlines() == ["1 of 1 files could not be scored"]


def test_evaluate_prints_the_headline(trained, built, tmp_path, capsys):
    run = shutil.copytree(trained, tmp_path / "run")
    assert cli.main(["evaluate", str(run), "--data", str(built)]) == 0
    text = capsys.readouterr().out
    assert "image_auc" in text and "vs real_damage" in text
    assert str(run / "metrics.json") in text and (run / "metrics.json").is_file()


def test_review_writes_its_report_and_a_json_beside_it(inbox, exported, tmp_path, capsys):
    model, report = str(exported / "detector.onnx"), tmp_path / "report.html"
    photo = str(inbox / "good.jpg")
    assert cli.main(["review", photo, "--model", model, "--out", str(report)]) == 0
    found = json.loads(report.with_suffix(".json").read_text())
    assert (
        found["verdict"] in ("pass", "review", "flag")
        and found["verdict"] in capsys.readouterr().out
    )
    assert report.read_text().lstrip().lower().startswith("<!doctype html>")


def test_the_module_and_the_command_are_the_same():
    script = Path(sys.executable).with_name("damagenet")
    if not script.exists():
        pytest.skip("the package is not installed")
    found = subprocess.run([script, "--version"], capture_output=True, text=True)
    assert found.stdout == command("--version").stdout


def test_a_place_that_cannot_be_written_is_one_line(tmp_path, small, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device", str(tmp_path / "x"))

    monkeypatch.setattr(images, "write_bytes", full)
    assert cli.main(["products", "data/samples", "--out", str(tmp_path / "p.parquet")]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert (
        said.startswith(f"damagenet products: {tmp_path / 'x'}: No space left") and "room" in said
    )


def test_a_listing_that_is_mistyped_is_an_error_beside_the_report(tmp_path, exported, capsys):
    photo, report = next((ROOT / "data" / "samples").rglob("*.jpg")), tmp_path / "r.html"
    model = ["--model", str(exported / "detector.onnx"), "--out", str(report)]
    assert cli.main(["review", str(photo), *model]) == 0
    assert cli.main(["review", str(photo), "--listing", str(tmp_path / "typo.jpg"), *model]) == 1
    assert "typo.jpg: no such file" in capsys.readouterr().err and report.is_file()
    assert cli.main(["review", str(photo), str(tmp_path / "typo*.jpg"), *model]) == 1
    assert "typo*.jpg: no such file" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        cli.main(["review", "--listing", str(photo), *model])
    assert stopped.value.code == 2


def test_json_is_utf8_whatever_the_system_prefers(tmp_path, exported):
    photo = tmp_path / "emoji 😂 ü.jpg"
    shutil.copy(next((ROOT / "data" / "samples").rglob("*.jpg")), photo)
    line = [sys.executable, "-m", "damagenet", "predict", str(photo), "--model",
            str(exported / "detector.onnx")]  # fmt: skip
    done = subprocess.run(
        line, capture_output=True, check=True, env=os.environ | {"PYTHONIOENCODING": "cp1252"}
    )
    assert json.loads(done.stdout.decode("utf-8"))["path"] == str(photo)

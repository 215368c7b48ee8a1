import shutil
import subprocess
import sys

import pytest

from damagenet import cli

pytest.importorskip("shtab")


@pytest.fixture(scope="module")
def scripts():
    found = {}
    for shell in ("bash", "zsh"):
        line = [sys.executable, "-m", "damagenet", "--print-completion", shell]
        found[shell] = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    return found


def completed(script, words, folder):
    """What bash offers for the last of some words."""
    code = f"""
        source /dev/stdin <<'SCRIPT'\n{script}\nSCRIPT
        complete -p damagenet > /dev/null || exit 9
        COMP_WORDS=({" ".join(f"'{word}'" for word in words)})
        COMP_CWORD={len(words) - 1}
        $(complete -p damagenet | sed -E 's/.*-F ([^ ]+).*/\\1/')
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", code], capture_output=True, text=True, cwd=folder, check=True
    )
    return set(done.stdout.split())


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
def test_bash_completes_stages_options_and_files(scripts, tmp_path):
    (tmp_path / "mine.yaml").touch()
    bash = scripts["bash"]
    assert completed(bash, ["damagenet", "ev"], tmp_path) == {"evaluate"}
    assert completed(bash, ["damagenet", ""], tmp_path) >= set(cli.STAGES)
    assert completed(bash, ["damagenet", "runs", "--so"], tmp_path) == {"--sort"}
    assert completed(bash, ["damagenet", "train", "mi"], tmp_path) == {"mine.yaml"}
    assert completed(bash, ["damagenet", "review", "--lang", ""], tmp_path) >= {"en", "zh"}


def test_zsh_takes_the_script(scripts, tmp_path):
    assert scripts["zsh"].startswith("#compdef damagenet")
    if not shutil.which("zsh"):
        pytest.skip("no zsh")
    (tmp_path / "_damagenet").write_text(scripts["zsh"])
    subprocess.run(["zsh", "-n", str(tmp_path / "_damagenet")], check=True)


def test_without_shtab_the_error_names_the_extra(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(SystemExit) as left:
        cli.main(["--print-completion", "bash"])
    assert left.value.code == 2 and "damagenet[completion]" in capsys.readouterr().err

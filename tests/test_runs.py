import hashlib
import json

import numpy as np
import pytest
from conftest import tree

from damagenet import BadInput, __version__, runs
from damagenet.runs import rng_for

# Golden numbers: every recipe of every dataset depends on them, so they must never change.
GOLDEN = {
    (0,): [177, 173, 824],
    (0, "mug"): [524, 335, 58],
    (1, "mug", 2): [710, 53, 482],
}


@pytest.mark.parametrize("ids", GOLDEN, ids=str)
def test_the_draws_are_those_of_the_first_day(ids):
    assert rng_for(*ids).integers(1000, size=3).tolist() == GOLDEN[ids]


def test_the_draws_do_not_depend_on_the_order_of_work():
    names = [f"p{i}" for i in range(20)]
    forward = {name: rng_for(5, name).random() for name in names}
    backward = {name: rng_for(5, name).random() for name in reversed(names)}
    assert forward == backward
    assert len(set(forward.values())) == len(names)


@pytest.mark.parametrize(
    ("one", "other"),
    [((0, "a"), (1, "a")), ((0, "a"), (0, "b")), ((0, "a", "b"), (0, "ab")), ((0,), (0, ""))],
)
def test_other_ids_give_other_draws(one, other):
    assert rng_for(*one).random() != rng_for(*other).random()


def test_the_global_generator_is_left_alone():
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    rng_for(0, "x").random(100)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_sha256_is_that_of_the_bytes(tmp_path):
    data = np.random.default_rng(0).bytes(3_000_000)
    (tmp_path / "file").write_bytes(data)
    assert runs.sha256(tmp_path / "file") == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [1, -float("inf")]}])
def test_json_without_meaning_is_refused_and_the_old_file_kept(tmp_path, value):
    runs.write_json(tmp_path / "x.json", {"old": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        runs.write_json(tmp_path / "x.json", value)
    assert tree(tmp_path).keys() == {"x.json"}
    assert runs.read_json(tmp_path / "x.json", "") == {"old": 1}


def test_json_survives_a_round_trip(tmp_path):
    value = {"ä": [1, 2.5, None, True], "b": {"c": "破损"}}
    runs.write_json(tmp_path / "deep" / "x.json", value)
    assert runs.read_json(tmp_path / "deep" / "x.json", "") == value
    assert "破损" in (tmp_path / "deep" / "x.json").read_text(encoding="utf-8")
    assert tree(tmp_path).keys() == {"deep/x.json"}  # no temporary file stays behind


@pytest.mark.parametrize("content", [None, b"", b'{"a": ', b"[1]", b"\xff"])
def test_a_bad_json_file_is_named_with_its_remedy(tmp_path, content):
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match=r"x\.json.*do this instead"):
        runs.read_json(path, "do this instead")


def test_the_environment_says_what_produced_a_result():
    found = runs.environment(seed=4)
    assert found["seed"] == 4
    assert found["versions"]["damagenet"] == __version__
    assert found["versions"]["numpy"] == np.__version__
    json.dumps(found, allow_nan=False)


def test_the_hash_of_the_code_follows_the_code(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "__file__", str(tmp_path / "runs.py"))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.py").write_text("one")
    first = runs.code_sha256()
    (tmp_path / "notes.txt").write_text("no code")
    assert runs.code_sha256() == first
    (tmp_path / "sub" / "a.py").write_text("two")
    second = runs.code_sha256()
    (tmp_path / "sub" / "a.py").rename(tmp_path / "sub" / "b.py")
    assert len({first, second, runs.code_sha256()}) == 3

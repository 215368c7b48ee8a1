import dataclasses
from typing import get_args, get_type_hints

import pytest
from conftest import ROOT

from damagenet import BadInput, config
from damagenet.config import Config, digest, dump, load


def written(tmp_path, text):
    path = tmp_path / "some.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_empty_file_means_the_defaults(tmp_path):
    assert load(written(tmp_path, "")) == Config()


def test_values_and_overrides_arrive_with_the_right_types(tmp_path):
    path = written(tmp_path, "name: x\nbuild: {long_side: 256, families: waifu2x}\n")
    overrides = ["build.variants=3", "train.lr=1e-3", "build.topologies=[full, blend]", "seed=7"]
    found = load(path, overrides)
    assert (found.name, found.seed) == ("x", 7)
    assert (found.build.long_side, found.build.variants) == (256, 3)
    assert found.build.families == ("waifu2x",)
    assert found.build.topologies == ("full", "blend")
    assert found.train.lr == 1e-3
    assert found.build.validation == Config().build.validation


def test_whole_numbers_serve_as_fractions(tmp_path):
    assert isinstance(load(written(tmp_path, "train: {lr: 1}")).train.lr, float)


@pytest.mark.parametrize("text", ["build:\n  families:\n", "build: {families: ''}"])
def test_a_list_left_empty_is_empty(tmp_path, text):
    assert load(written(tmp_path, text)).build.families == ()
    assert load(written(tmp_path, ""), ["build.families="]).build.families == ()


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("sed: 1", "unknown key sed; did you mean seed?"),
        ("build: {long_sid: 200}", "unknown key build.long_sid; did you mean build.long_side?"),
        ("train: {encodr: x}", "did you mean train.encoder?"),
        ("zzzz: 1", "unknown key zzzz; known: name, seed"),
        ("1: 2", "unknown key 1"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest_one(tmp_path, text, hint):
    with pytest.raises(BadInput, match=r"some\.yaml") as caught:
        load(written(tmp_path, text))
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("seed: 1.5", "seed must be int"),
        ("seed: true", "seed must be int"),
        ("seed: '1'", "seed must be int"),
        ("name: 5", "name must be str"),
        ("train: {lr: fast}", "train.lr must be float"),
        ("train: {lr: true}", "train.lr must be float"),
        ("train: {pretrained: 1}", "train.pretrained must be bool"),
        ("build: 3", "build is a section"),
        ("build:", "build is a section"),
        ("protocol: {seeds: [1, x]}", "protocol.seeds must be int"),
    ],
)
def test_a_wrong_type_is_named(tmp_path, text, name):
    with pytest.raises(BadInput, match=name):
        load(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("name: ../b", "name"),
        ("name: /b", "name"),
        ("name: ''", "name"),
        ("build: {long_side: 64}", "build.long_side"),
        ("build: {variants: 0}", "build.variants"),
        ("build: {validation: 0.6, test: 0.4}", "build.test"),
        ("build: {overlay: 1.1}", "build.overlay"),
        ("train: {crop: 50}", "train.crop"),
        ("train: {device: tpu}", "train.device"),
        ("train: {lr: .nan}", "train.lr"),
        ("train: {lr: 0}", "train.lr"),
        ("evaluate: {split: all}", "evaluate.split"),
        ("evaluate: {false_alarm_rate: 0.3}", "evaluate.false_alarm_rate"),
        ("protocol: {seeds: []}", "protocol.seeds"),
    ],
)
def test_values_that_cannot_work_are_refused_at_once(tmp_path, text, name):
    with pytest.raises(BadInput, match=f"{name} must be"):
        load(written(tmp_path, text))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("build.long_side", "overrides look like"),
        ("build.long_side=big", "build.long_side must be int"),
        ("build.long_sid=200", "did you mean build.long_side"),
        ("build=3", "build is a section"),
        ("seed.x=3", "not a section"),
        ("name=[", "name="),
        ("=3", "unknown key"),
    ],
)
def test_a_bad_override_is_named(tmp_path, override, message):
    with pytest.raises(BadInput) as caught:
        load(written(tmp_path, "seed: 1"), [override])
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"a: [1", b"- 1\n- 2", b"\xff\xfe\x00", b"just words"])
def test_a_file_that_is_not_a_config_is_bad_input(tmp_path, content):
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"bad\.yaml") as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match=r"gone\.yaml: no such config file"):
        load(tmp_path / "gone.yaml")


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_config_loads_and_survives_a_round_trip(path, tmp_path):
    found = load(path)
    assert found.name == path.stem
    assert load(written(tmp_path, dump(found))) == found


def test_a_config_with_every_field_changed_survives_a_round_trip(tmp_path):
    fixed = {"device": "cpu", "split": "val", "precision": "bfloat16", "accumulate": 2}
    changed = {bool: lambda v: not v, int: lambda v: v + 16, str: lambda v: v + "x"}

    def altered(part):
        values = {}
        for field in dataclasses.fields(part):
            value = getattr(part, field.name)
            if dataclasses.is_dataclass(value):
                values[field.name] = altered(value)
            elif isinstance(value, tuple):
                hint = get_type_hints(type(part))[field.name]
                kinds = {str: ("ä", "b: c"), int: (3, 0), float: (0.1, 2.0)}
                values[field.name] = kinds[get_args(hint)[0]]
            elif field.name in fixed:
                values[field.name] = fixed[field.name]
            elif isinstance(value, float):
                values[field.name] = value * 0.9
            else:
                values[field.name] = changed[type(value)](value)
        return type(part)(**values)

    found = altered(Config())
    assert found != Config()
    assert load(written(tmp_path, dump(found))) == found


def test_the_digest_follows_the_content():
    first = Config()
    assert digest(first, 1) == digest(Config(), 1)
    assert digest(first, 1) != digest(first, 2)
    assert digest(first) != digest(dataclasses.replace(first, seed=1))


def test_configs_cannot_be_changed_by_accident():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().seed = 2


def test_the_check_accepts_what_it_documents():
    config.check(Config())


def test_a_key_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("build:\n  variants: 1\nseed: 1\nbuild:\n  long_side: 200\n")
    with pytest.raises(BadInput, match=r"c\.yaml: not valid YAML: build stands twice"):
        config.load(path)

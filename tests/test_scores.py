import json
import multiprocessing

import pandas as pd
import pyarrow.parquet as pq
import pytest

from damagenet import BadInput
from damagenet.claims import Region, scores
from damagenet.claims.scores import Scores

MADE = {"damagenet": "1", "model_sha256": "a" * 64, "threshold": 0.8, "recheck": True}
REGION = {"x": 1, "y": 2, "width": 3, "height": 4, "area": 0.25, "score": 0.6000001,
          "polygon": [[1, 2], [3, 2], [3, 5]]}  # fmt: skip


def record(number):
    return {"path": f"café-{number}.jpg", "score": number / 7, "verdict": "pass",
            "threshold": 0.8, "regions": [REGION] * (number % 3)}  # fmt: skip


RECORDS = [
    *(record(i) for i in range(5)),
    record(5) | {"note": "small", "unstable": True, "heatmap": "maps/5.png"},
    {"path": "line\nbreak.jpg", "error": "line\nbreak.jpg: no such file"},
]


@pytest.fixture(params=["s.jsonl", "deep/s.parquet"])
def out(request, tmp_path):
    return tmp_path / request.param


def lines_of(out):
    return out if out.suffix == ".jsonl" else out.with_name(out.name + ".jsonl")


def begin(out, records=RECORDS, made=MADE):
    with Scores(out, made) as kept:
        for one in records:
            kept.add(one)


def test_records_come_back_and_further_ones_are_added(out):
    begin(out, RECORDS[:3])
    with Scores(out, MADE) as kept:
        assert list(kept) == RECORDS[:3]
        kept.add(RECORDS[3])
        assert list(kept) == RECORDS[:4]  # on disk at once
        kept.finish()
    assert out.is_file() and (lines_of(out) == out or not lines_of(out).exists())
    with Scores(out, MADE) as kept:  # of a finished file, too
        assert list(kept) == RECORDS[:4]
        for one in RECORDS[4:]:
            kept.add(one)
        kept.finish()
    with Scores(out, MADE) as kept:
        assert list(kept) == RECORDS


def test_parquet_holds_regions_as_structures(tmp_path):
    begin(tmp_path / "s.parquet")
    with Scores(tmp_path / "s.parquet", MADE) as kept:
        kept.finish()
    table = pd.read_parquet(tmp_path / "s.parquet")
    assert list(table.path) == [r["path"] for r in RECORDS]
    assert pq.read_table(tmp_path / "s.parquet").to_pylist()[2]["regions"][0] == REGION
    assert table.error.isna().sum() == len(RECORDS) - 1 and table.unstable[5]
    assert not list(tmp_path.glob("*.tmp")) and not list(tmp_path.glob(".*.tmp"))


def test_parquet_has_every_field_that_a_region_has():
    fields = {f.name for f in scores.schema().field("regions").type.value_type}
    assert fields == set(Region.__dataclass_fields__)


@pytest.mark.parametrize("cut", [1, 30, 140])
def test_half_a_line_is_dropped_and_whole_ones_stay(out, cut):
    begin(out)
    lines = lines_of(out)
    lines.write_bytes(lines.read_bytes()[:-cut])
    with Scores(out, MADE) as kept:
        left = list(kept)
        assert left == RECORDS[: len(left)] and len(left) < len(RECORDS)
        kept.add(RECORDS[-1])
        assert list(kept) == [*left, RECORDS[-1]]


def test_half_a_line_longer_than_a_block_and_a_file_without_any(out):
    begin(out)
    with lines_of(out).open("ab") as handle:
        handle.write(b'{"path": "' + b"x" * 200_000)
    with Scores(out, MADE) as kept:
        assert list(kept) == RECORDS
    lines_of(out).write_bytes(b"\0" * 70_000)
    with Scores(out, MADE) as kept:
        assert list(kept) == []


def test_a_damaged_line_is_named(out):
    begin(out)
    whole = lines_of(out).read_bytes().splitlines(keepends=True)
    lines_of(out).write_bytes(b"".join([*whole[:2], whole[2][5:], *whole[3:]]))
    with Scores(out, MADE) as kept, pytest.raises(BadInput, match="line 3 is damaged"):
        list(kept)


@pytest.mark.parametrize(
    ("change", "named"),
    [({"model_sha256": "b" * 64}, "model_sha256 was aaaaaaaaaaaa, is bbbbbbbbbbbb"),
     ({"threshold": 0.9}, "threshold was 0.8, is 0.9"), ({"recheck": False}, "recheck")],
)  # fmt: skip
@pytest.mark.parametrize("finished", [False, True])
def test_scores_of_another_model_or_threshold_are_not_mixed(out, change, named, finished):
    begin(out)
    if finished:
        with Scores(out, MADE) as kept:
            kept.finish()
    for _ in range(2):
        with pytest.raises(BadInput, match="another model or setting") as caught:
            Scores(out, MADE | change)
        assert named in str(caught.value) and "another --out" in str(caught.value)
    with Scores(out, MADE) as kept:
        assert list(kept) == RECORDS


def test_a_file_of_another_origin_is_left_alone(out):
    out.parent.mkdir(exist_ok=True)
    pd.DataFrame({"path": ["a"]}).to_parquet(out)
    before = out.read_bytes()
    for _ in range(2):
        with pytest.raises(BadInput, match="does not tell what made it"):
            Scores(out, MADE)
    assert [p.name for p in out.parent.iterdir()] == [out.name] and out.read_bytes() == before


def test_an_empty_start_may_begin_anew_with_another_model(out):
    begin(out, [])
    begin(out, RECORDS, MADE | {"threshold": 0.1})
    card = json.loads(out.with_name(out.name + ".run.json").read_text())
    assert card["threshold"] == 0.1


def test_killed_between_the_table_and_the_removal_of_its_lines(tmp_path):
    out = tmp_path / "s.parquet"
    begin(out)
    lines = lines_of(out).read_bytes()
    with Scores(out, MADE) as kept:
        kept.finish()
    lines_of(out).write_bytes(lines)
    with Scores(out, MADE) as kept:
        assert list(kept) == RECORDS
        kept.finish()
    assert pq.read_table(out).num_rows == len(RECORDS) and not lines_of(out).exists()


def _try(out, answer):
    try:
        Scores(out, MADE)
    except BadInput as error:
        answer.put(str(error))


def test_a_second_process_keeps_off(out):
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    with Scores(out, MADE):
        other = context.Process(target=_try, args=(out, answer))
        other.start()
        assert "another process is writing" in answer.get(timeout=60)
        other.join()


@pytest.mark.parametrize("name", ["s.json", "s", "s.csv", "s.jsonl/deep.jsonl"])
def test_where_scores_cannot_go(tmp_path, name):
    (tmp_path / "s.jsonl").touch()
    with pytest.raises(BadInput, match=r"only|cannot go on"):
        Scores(tmp_path / name, MADE)


def test_a_full_disk_is_one_clear_error(tmp_path, monkeypatch):
    class Full:
        def write(self, data):
            raise OSError(28, "No space left on device")

    kept = Scores(tmp_path / "s.jsonl", MADE)
    kept._file.close()
    kept._file = Full()
    with pytest.raises(BadInput, match=r"s\.jsonl: cannot be written \(No space"):
        kept.add(RECORDS[0])

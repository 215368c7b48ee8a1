"""Units of a build: shards of large sets, workers of a cluster, and when these are refused."""

import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from conftest import settings, tree

from damagenet import BadInput, cli, config, images, runs
from damagenet.synth import audit, card, units
from damagenet.synth.dataset import build, read_manifest

APART = ("dataset.json", "timing.json")
"""What tells of the machine; all else is the same everywhere."""


def made(folder):
    return {name: data for name, data in tree(folder).items() if name not in APART}


@pytest.fixture(scope="module")
def sharded(table, tmp_path_factory):
    """The tiny dataset as a large one would be laid out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(units, "FLAT", 4)
        patch.setattr(units, "SHARD", 5)
        folder = tmp_path_factory.mktemp("sharded") / "dataset"
        return build(settings(products={"table": str(table)}), folder)


def test_shards_hold_the_same_pictures_in_folders_of_their_own(sharded, built):
    flat, cut = made(built), made(sharded)
    assert 2 <= len({name.split("/")[1] for name in cut if "/" in name}) <= 3
    assert not any(p.is_file() for p in (sharded / "images").iterdir())
    short = {name.split("/")[0] + "/" + name.split("/")[-1]: data
             for name, data in cut.items() if "/" in name}  # fmt: skip
    assert short == {name: data for name, data in flat.items() if "/" in name}


def test_a_row_group_of_the_manifest_is_a_shard_and_holds_whole_groups(sharded, manifest):
    file = pq.ParquetFile(sharded / "manifest.parquet")
    parts = [file.read_row_group(i).to_pandas() for i in range(file.num_row_groups)]
    shards = [set(part.image.str.split("/").str[1]) for part in parts]
    assert all(len(names) == 1 for names in shards)
    assert shards == sorted(shards, key=min) and len(shards) >= 2
    groups = [set(part.group_id) for part in parts]
    assert sum(map(len, groups)) == len(set.union(*groups))
    whole = read_manifest(sharded)
    plain = whole.assign(**{c: whole[c].str.replace(r"/\d/", "/", regex=True)
                            for c in ("image", "mask")})  # fmt: skip
    plain = plain.sort_values("image", ignore_index=True)
    pd.testing.assert_frame_equal(plain, manifest.sort_values("image", ignore_index=True))


def test_a_small_set_has_the_manifest_it_always_had(built, manifest, tmp_path):
    manifest.to_parquet(tmp_path / "m.parquet", index=False)
    assert (tmp_path / "m.parquet").read_bytes() == (built / "manifest.parquet").read_bytes()


def test_a_sharded_set_is_audited_and_described(sharded, tmp_path):
    folder = Path(shutil.copytree(sharded, tmp_path / "copy"))
    audit.audit(folder)
    page = card.write(folder).read_text()
    assert 'class="meant"' in page  # masks of intent are found in their shards


def test_an_interrupted_sharded_build_goes_on(sharded, table, tmp_path, monkeypatch):
    monkeypatch.setattr(units, "FLAT", 4)
    monkeypatch.setattr(units, "SHARD", 5)
    real, done = units.make, []

    def stopping(out, unit):
        if len(done) == 6:
            raise KeyboardInterrupt
        real(out, unit)
        done.append(unit.name)

    monkeypatch.setattr(units, "make", stopping)
    whole = settings(products={"table": str(table)})
    with pytest.raises(KeyboardInterrupt):
        build(whole, tmp_path / "d")
    assert units.finished(tmp_path / "d") == set(done) and "/" in done[0]
    images.write_bytes(tmp_path / "d" / "images" / "0" / ".killed.jpg.1.tmp", b"half")
    first = done.copy()
    done.extend([""] * 100)
    assert made(build(whole, tmp_path / "d")) == made(sharded)
    assert not set(first) & set(done[106:])


def test_folders_stay_small_and_shards_do_not_depend_on_order():
    names = [f"g-{i}" for i in range(50_000)]
    sizes = pd.Series([units.shard_of(name, 250_000) for name in names]).value_counts()
    assert len(sizes) == 250 and set(sizes.index.str.len()) == {2}
    assert sizes.max() < 1.4 * sizes.mean()
    assert units.shard_of("g-1", units.FLAT) == ""


def unit_of(table, **row):
    found = settings(products={"table": str(table)})
    first = pd.read_parquet(table).iloc[0].to_dict() | row
    return units.Unit(first, 0, "", "test", 5, found.build)


def test_a_worker_that_would_draw_other_bytes_is_refused(table, tmp_path):
    here = units.surroundings(("ae_shuffle",))
    unit, wanted = unit_of(table), tuple(here.items())
    with pytest.raises(BadInput, match="sees another folder there; share it"):
        units.make_there(tmp_path, "id", wanted, unit)
    images.write_bytes(tmp_path / ".parts" / "identity", b"id")
    for name, value in (("numpy", "0.1"), ("decoder ae_shuffle", "ab"),
                        ("the code of damagenet", "cd")):  # fmt: skip
        other = tuple((here | {name: value}).items())
        with pytest.raises(BadInput, match=f"another {name} .*, not {value}.* install the same"):
            units.make_there(tmp_path, "id", other, unit)
    with pytest.raises(BadInput, match=r"gone\.jpg: no such photo any more; put it back"):
        units.make_there(tmp_path, "id", wanted, unit_of(table, path=str(tmp_path / "gone.jpg")))
    units.make_there(tmp_path, "id", wanted, unit)
    assert units.finished(tmp_path) == {unit.name}


def test_an_unreachable_scheduler_is_bad_input(table, tmp_path, monkeypatch, capsys):
    pytest.importorskip("distributed")
    monkeypatch.setattr("damagenet.cluster.WAIT", 0.3)
    (tmp_path / "c.yaml").write_text(config.dump(settings(products={"table": str(table)})))
    arguments = ["build", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "d")]
    assert cli.main([*arguments, "--dask", "tcp://127.0.0.1:9"]) == 1
    assert "tcp://127.0.0.1:9: no Dask scheduler answers" in capsys.readouterr().err


@pytest.mark.slow
def test_a_cluster_with_a_worker_killed_builds_the_same_bytes(built, table, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setenv("PYTHONPATH", str(Path(units.__file__).parents[2]))
    options = {"processes": True, "host": "127.0.0.1", "dashboard_address": ":0"}
    out, seen = tmp_path / "there", []
    (tmp_path / "c.yaml").write_text(config.dump(settings(products={"table": str(table)})))
    arguments = ["build", str(tmp_path / "c.yaml"), "--out", str(out), "--dask"]
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, **options) as machines:
        victim = next(iter(machines.workers.values())).pid

        def kill():
            while len(list(out.glob(".parts/*.json"))) < 3:
                time.sleep(0.002)
            os.kill(victim, signal.SIGKILL)
            seen.append(len(list(out.glob(".parts/*.json"))))

        threading.Thread(target=kill, daemon=True).start()
        assert cli.main([*arguments, machines.scheduler_address]) == 0
        assert victim not in {worker.pid for worker in machines.workers.values()}
    assert seen and 3 <= seen[0] < 14, "killed too late to prove anything"
    assert made(out) == made(built)
    assert not list(out.rglob("*.tmp")) and not (out / ".parts").exists()
    assert runs.read_json(out / "timing.json", "")["workers"] == 2


@pytest.mark.slow
def test_workers_with_threads_or_other_code_are_refused(table, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setenv("PYTHONPATH", str(Path(units.__file__).parents[2]))
    options = {"processes": True, "host": "127.0.0.1", "dashboard_address": ":0"}
    whole = settings(products={"table": str(table)})
    with distributed.LocalCluster(n_workers=1, threads_per_worker=2, **options) as machines:
        with pytest.raises(BadInput, match="--nthreads 1"):
            build(whole, tmp_path / "d", dask=machines.scheduler_address)
    preload = tmp_path / "old.py"
    preload.write_text(
        "import multiprocessing\nfrom damagenet import runs\n"
        "if multiprocessing.parent_process():  # Dask loads this in the test's process, too\n"
        "    runs.code_sha256 = lambda: 'older'\n"
    )
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, preload=str(preload), **options
    ) as machines:
        with pytest.raises(BadInput, match=r"another the code of damagenet \(older, not"):
            build(whole, tmp_path / "d", dask=machines.scheduler_address)
    assert units.finished(tmp_path / "d") == set()

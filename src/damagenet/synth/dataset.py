"""Build a four-cell dataset: parallel, resumable, the same bytes for any number of workers.

    images/ masks/ intended/ manifest.parquet timing.json dataset.json   (last: "complete")

`masks/` holds what was changed, `intended/` under the same names what was meant to change.

Every finished product leaves a part in `.parts/`; an interrupted build goes on from these.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm.auto import tqdm

from damagenet import BadInput, cluster, images, runs
from damagenet.config import Config, digest, to_dict
from damagenet.synth import doctor, inpaint, products, regenerate, textures, units
from damagenet.synth.groups import SPLITS, split_groups
from damagenet.synth.units import Unit

FORMAT = 2
PIECE = 20_000
"""Rows of a manifest that are read at once where it need not be whole: some 60 MB."""
COLUMNS = (
    "image mask label cell split product_id group_id category kind method topology family "
    "severity area recipe channel width height sha256"
).split()


def build(config: Config, out: Path | None = None, workers: int = 1, dask: str = "") -> Path:
    """Build the dataset of a config; finished work is kept, a complete dataset is left alone.

    Args:
        config: What to build.
        out: The dataset folder; by default that of the config.
        workers: Processes of this machine.
        dask: Address of a Dask scheduler, as in `tcp://10.0.0.1:8786`, whose workers do the work
            instead. They see photos and `out` under the same paths.

    Returns:
        The dataset folder.

    Raises:
        BadInput: No products, no decoder, a split without both classes, or `out` holds another
            dataset; no scheduler or worker answers, or one would draw other pictures.
    """
    out = out or config.dataset_dir
    whole, refused = products.registered(config.products, workers)
    table = products.limited(whole, config.products.limit)
    found = regenerate.available()
    families = config.build.families or tuple(sorted(found))
    lacking = [name for name in families if name not in found]
    if lacking or not families:
        ways = regenerate.missing()
        lines = "; ".join(ways.get(n, f"{n}: unknown, known: {', '.join(ways)}") for n in lacking)
        raise BadInput(f"no weights for a decoder family: {lines or '; '.join(ways.values())}")
    doctor.check_names(config.build, families, tuple(sorted(set(table.source))))
    inpainting = {name: inpaint.describe(name) for name in config.build.inpaint}
    built = replace(config.build, families=families)
    allowed = {split: units.allowed(built, split) for split in SPLITS}
    splits = split_groups(table, config)
    identity = digest(
        FORMAT, to_dict(config.build) | {"out": ""}, config.seed, {f: found[f] for f in families},
        textures.digest(),
        table[["product_id", "group_id", "condition", "sha256"]].to_dict("list"),
    )  # fmt: skip
    if (out / "dataset.json").is_file():
        if read_card(out).get("identity") == identity:
            tqdm.write(f"{out}: already complete")
            return out
        raise BadInput(f"{out}: holds a dataset of another config; delete it or choose --out")
    mark = out / ".parts" / "identity"
    if mark.is_file() and mark.read_text() != identity:
        raise BadInput(f"{out}: holds a half-built dataset of another config; delete it")
    images.write_bytes(mark, identity.encode())
    if not config.products.table:
        products.save(whole, refused, out / "products.parquet")

    todo = units.planned(table, config, splits, allowed)
    done = units.finished(out)
    left = [unit for unit in todo if unit.name not in done]
    if done:
        tqdm.write(f"resuming: {len(todo) - len(left)} of {len(todo)} products are done")
    count = workers
    with tqdm(total=len(todo), initial=len(todo) - len(left), desc="build", unit="product") as bar:
        made = _there(out, left, dask, identity, families) if dask else _here(out, left, workers)
        for count in made:
            bar.set_postfix(processes=count, refresh=False)
            bar.update()

    counts, skipped, cost = _assemble(out, todo)
    for reason in skipped:
        tqdm.write(f"skipped {reason}")
    check_classes(counts)
    (out / ".parts" / "manifest.parquet").replace(out / "manifest.parquet")
    for folder in ("images", "masks", "intended"):  # what killed processes left half-written
        for stray in (out / folder).rglob(".*.tmp"):
            stray.unlink()
    pictures = int(counts["size"].sum())
    runs.write_json(out / "timing.json", cost | {"workers": count, "pictures": pictures})
    runs.write_json(
        out / "dataset.json",
        {
            "format": FORMAT,
            "identity": identity,
            "manifest_sha256": runs.sha256(out / "manifest.parquet"),
            "counts": counts.groupby(["split", "cell"])["size"]
            .sum()
            .unstack(fill_value=0)
            .T.to_dict(),
            "families": {f: found[f] for f in families},
            "missing_families": regenerate.missing(),
            "inpaint": inpainting,
            "textures": textures.digest(),
            "holdout_family": config.build.holdout_family,
            "skipped": skipped,
            "ai_labels": config.build.label_files,
            "licences": table.groupby("source").licence.agg(lambda x: sorted(set(x))).to_dict(),
            "config": to_dict(config),
            **runs.environment(seed=config.seed),
        },
    )
    shutil.rmtree(out / ".parts")
    return out


def _here(out: Path, left: list[Unit], workers: int) -> Iterator[int]:
    """Make units in processes of this machine; after each, how many processes there are."""
    jobs = (joblib.delayed(units.make)(out, unit) for unit in left)
    for _ in joblib.Parallel(n_jobs=workers, return_as="generator_unordered")(jobs):
        yield workers


def _there(
    out: Path, left: list[Unit], address: str, identity: str, families: tuple[str, ...]
) -> Iterator[int]:
    """The same on a Dask cluster, whose workers may come and go."""
    wanted = tuple(units.surroundings(families).items())
    make = partial(units.make_there, out.resolve(), identity, wanted)
    with cluster.connect(address) as client:
        if any(count > 1 for count in client.nthreads().values()):
            raise BadInput(
                f"{address}: workers have several threads, and pictures are drawn by one in each "
                f"process; start them with `dask worker {address} --nworkers N --nthreads 1`"
            )
        for unit, done in cluster.finished(client, make, left):
            try:
                done.result()
            except cluster.killed() as error:
                raise BadInput(
                    f"{unit.row['path']}: drawing it ended every worker that tried (out of "
                    "memory?); leave it out, or give the workers more"
                ) from error
            yield len(client.nthreads())


def _assemble(out: Path, todo: list[Unit]) -> tuple[pd.DataFrame, list[str], dict[str, float]]:
    """Write the manifest to `.parts`, shard by shard, each a row group.

    Returns:
        Pictures (`size`) per split, cell and label; photos that were skipped and why; the sums of
        what the parts measured.
    """
    counts, skipped, cost = [], [], {"cpu_s": 0.0, "bytes": 0, "disk": 0}
    with ExitStack() as stack:
        writer = None
        for _, shard in groupby(todo, key=attrgetter("shard")):
            parts = [runs.read_json(u.part(out), "run the same build again") for u in shard]
            skipped += [part["skipped"] for part in parts if part["skipped"]]
            cost = {name: cost[name] + sum(p.get(name, 0) for p in parts) for name in cost}
            lines = [line for part in parts for line in part["rows"]]
            rows = pd.DataFrame(lines, columns=COLUMNS)
            counts.append(rows.groupby(["split", "cell", "label"], as_index=False).size())
            rows = pa.Table.from_pandas(rows, preserve_index=False)
            if lines:
                path = out / ".parts" / "manifest.parquet"
                writer = writer or stack.enter_context(pq.ParquetWriter(path, rows.schema))
                writer.write_table(rows)
    return pd.concat(counts), skipped, cost


def check_classes(manifest: pd.DataFrame) -> None:
    """Every split needs authentic and doctored pictures.

    Raises:
        BadInput: Naming the split and the class it lacks.
    """
    for split in SPLITS:
        labels = set(manifest[manifest.split == split].label)
        for label, name in ((0, "authentic"), (1, "doctored")):
            if label not in labels:
                raise BadInput(
                    f"manifest: split {split} has no {name} pictures; a detector cannot be "
                    "trained or measured on one class; add products or change the shares"
                )


def read_card(dataset: str | Path) -> dict[str, Any]:
    """Read dataset.json.

    Raises:
        BadInput: No dataset there, an interrupted build, or a newer format.
    """
    dataset = Path(dataset)
    if not dataset.is_dir():
        raise BadInput(f"{dataset}: no such dataset; make it with `damagenet build CONFIG`")
    if (dataset / ".parts").is_dir() and not (dataset / "dataset.json").is_file():
        raise BadInput(f"{dataset}: the build was interrupted; run the same build again")
    card = runs.read_json(dataset / "dataset.json", "make it with `damagenet build CONFIG`")
    if card.get("format") != FORMAT:
        raise BadInput(f"{dataset}: format {card.get('format')}, this version reads {FORMAT}")
    return card


def read_manifest(dataset: str | Path, columns: Sequence[str] = COLUMNS) -> pd.DataFrame:
    """Read and check a dataset's manifest, or some of its columns (`recipe` is most of it).

    Raises:
        BadInput: As `read_card`, changed since it was built, or one class only in a split.
    """
    return pd.read_parquet(_checked(Path(dataset)), columns=list(columns))


def pieces(dataset: str | Path, columns: Sequence[str], split: str) -> Iterator[pd.DataFrame]:
    """The rows of a split piece by piece, so that a manifest need not fit into memory.

    Args:
        dataset: The folder.
        columns: Those wanted, `split` among them.
        split: The split.

    Raises:
        BadInput: As `read_manifest`.
    """
    with pq.ParquetFile(_checked(Path(dataset))) as file:
        for batch in file.iter_batches(PIECE, columns=list(columns), use_threads=False):
            piece = batch.to_pandas()
            yield piece[piece["split"] == split]


def _checked(dataset: Path) -> Path:
    """The manifest of a complete dataset, unchanged and with both classes in each split."""
    card, path = read_card(dataset), dataset / "manifest.parquet"
    if not path.is_file() or runs.sha256(path) != card["manifest_sha256"]:
        raise BadInput(f"{path}: missing or changed since the build; delete {dataset} and rebuild")
    check_classes(pd.read_parquet(path, columns=["split", "label"]))
    return path


def draws(manifest: pd.DataFrame) -> pd.Series:
    """For each row the draw (product and variant) it belongs to; rows of one draw are twins."""
    return manifest.image.str.replace(r"_(authentic|doctored)_[a-z]+\.[a-z]+$", "", regex=True)


def read_pair(dataset: Path, row: Mapping[Any, Any]) -> tuple[np.ndarray, np.ndarray]:
    """One picture uint8 `[h, w, 3]` and its mask bool `[h, w]`.

    Raises:
        BadInput: Unreadable, or picture and mask of different size.
    """
    image = images.read(dataset / row["image"])
    mask = images.read_mask(dataset / row["mask"])
    if image.shape[:2] != mask.shape:
        raise BadInput(
            f"{dataset / row['mask']}: mask is {mask.shape[1]}x{mask.shape[0]} but its picture "
            f"{row['image']} is {image.shape[1]}x{image.shape[0]}; rebuild the dataset"
        )
    return image, mask > 127

"""How well do the comparisons of `claims` work? Pairs with a known answer -> docs/compare.md.

    python scripts/bench_compare.py [--only find,exposure] [--minutes N] [--docs docs/compare.md]

Reads the product photos below `$DAMAGENET_DATA` (see data/README.md) and, for second views of one
product, the project's renderings. Each pair is one line of `rows.jsonl` in `--out`; a run that was
stopped goes on where it was, after a change of the code begin with an empty `--out`. Products
decide the half (`crc32 % 2`): thresholds of `exposure` were chosen on half 0, half 1 is the
measurement. Other questions report both halves.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import claim_pairs as made
import numpy as np
import pandas as pd
from compare_table import table
from tqdm import tqdm

from damagenet import images
from damagenet.claims import catalogue as shelf
from damagenet.claims.compare import compare
from damagenet.claims.damage_match import same_damage
from damagenet.claims.describe import queries
from damagenet.claims.heatmaps import find_regions
from damagenet.claims.reuse import compare_parts
from damagenet.claims.signals import SMALLEST_CHANGE
from damagenet.runs import rng_for
from damagenet.synth.channel import CHAINS

Job = tuple[str, Callable[[], dict[str, Any]]]
VOLUME = 100_000


def crc(text: str) -> int:
    return zlib.crc32(text.encode())


class Photos:
    """The photos at hand, by source, in an order that has nothing to do with their names."""

    def __init__(self, data: Path, samples: Path) -> None:
        """Find the photos."""
        names = ("clothing_dataset", "vendure_npm", "dreambooth", "grocery_store")
        self.of = {
            name: sorted((data / "products" / name).rglob("*.jpg"), key=lambda p: crc(p.name))
            for name in names
        }
        self.of["renders"] = sorted((samples / "renders").rglob("*.jpg"))
        self.rig = sorted(
            p for f in ("products", "damaged") for p in (data / f).glob("aws_*/*/*.png")
        )
        sources = pd.read_csv(data / "sources.csv").set_index("path")["group_key"]
        self.sender = {
            p: sources.get(p.relative_to(data).as_posix(), p.stem)
            for p in self.of["clothing_dataset"]
        }

    def group(self, path: Path) -> str:
        """One sender, or one object."""
        return self.sender.get(path) or path.stem.rsplit("_", 1)[0]

    def claims(self) -> list[Path]:
        """Photos that claims are made of: clothes and shoes, stock photos, some objects."""
        clothes, stock, objects = (
            self.of[name] for name in ("clothing_dataset", "vendure_npm", "dreambooth")
        )
        return clothes[:465] + stock[:30] + objects[:10]

    def honest(self) -> Iterator[tuple[str, Path, Path]]:
        """Two exposures that share an object, a print, a room or a camera stand."""

        def name(p: Path) -> str:
            return p.stem.rsplit("_", 1)[0]

        for kind, files, key, most in (
            ("one object", self.of["dreambooth"], name, 6),
            ("one package", self.of["grocery_store"], name, 6),
            ("two rendered views", self.of["renders"], name, 1),
            ("one sender's room", list(self.sender), self.sender.__getitem__, 1),
        ):
            ordered = sorted(files, key=lambda p: (key(p), p))
            for _, members in itertools.groupby(ordered, key):
                for a, b in itertools.islice(itertools.combinations(members, 2), most):
                    yield kind, a, b
        for a, b in itertools.islice(itertools.combinations(self.rig, 2), 0, None, 20):
            yield "one camera stand", a, b

    def unrelated(self, count: int) -> Iterator[tuple[Path, Path]]:
        """Photos of different groups."""
        mixed = sorted(self.claims(), key=lambda p: crc(p.name[::-1]))
        pairs = ((a, b) for a, b in itertools.pairwise(mixed) if self.group(a) != self.group(b))
        return itertools.islice(pairs, count)


def exposures(photos: Photos) -> Iterator[Job]:
    """Claim against listing photo: the seller's own exposure, or an honest second photo?"""
    for kind, a, b in photos.honest():
        yield (
            f"{kind}|{a.name}|{b.name}",
            lambda k=kind, a=a, b=b: _compared(
                k, "", photos.group(a), images.read(a), images.read(b), None
            ),
        )
    for number, path in enumerate(photos.claims()):

        def changed(path: Path = path, chain: str = CHAINS[number % len(CHAINS)]) -> dict[str, Any]:
            rng, listing = rng_for(0, "exposure", path.name), images.read(path)
            claim, mask = made.drawn(listing, rng)
            if rng.random() < 0.5:
                claim, (mask,) = made.cropped(claim, [mask], rng)
            claim, (mask,) = made.sent(claim, [mask], rng, chain)
            return _compared("changed copy", chain, photos.group(path), claim, listing, mask)

        yield f"changed copy|{path.name}", changed
    # The scene of a photo seen from elsewhere: all of it one plane, the hardest honest case.
    for number, path in enumerate(photos.claims()[1::4]):

        def moved(path: Path = path, chain: str = CHAINS[number % len(CHAINS)]) -> dict[str, Any]:
            rng, listing = rng_for(0, "moved", path.name), images.read(path)
            claim, mask = made.seen(*made.drawn(listing, rng), rng)
            claim, _ = made.sent(claim, [mask], rng, chain)
            return _compared(
                "flat scene, moved camera", chain, photos.group(path), claim, listing, None
            )

        yield f"moved|{path.name}", moved
    for a, b in photos.unrelated(100):
        yield (
            f"unrelated|{a.name}|{b.name}",
            lambda a=a, b=b: _compared(
                "unrelated", "", photos.group(a), images.read(a), images.read(b), None
            ),
        )


def _compared(
    kind: str, chain: str, group: str, claim: made.Array, listing: made.Array,
    mask: made.Mask | None,
) -> dict[str, Any]:  # fmt: skip
    found = compare(claim, listing)
    row = {"kind": kind, "chain": chain, "half": crc(group) % 2, "finding": found.finding,
           "flat": found.flat, "agreement": found.evidence.agreement}  # fmt: skip
    if found.changed is not None and mask is not None:
        changed = found.changed > 0.5
        row["changed"] = any(r.area >= SMALLEST_CHANGE for r in find_regions(found.changed))
        row["iou"] = float((changed & mask).sum() / max(1, (changed | mask).sum()))
    return row


def searches(photos: Photos, out: Path) -> Iterator[Job]:
    """A claim against a catalogue of 100,000: real photos, the rest made up of their parts."""
    places = [p for files in photos.of.values() for p in files]
    small, _ = shelf.build(places, out / "catalogue.safetensors")
    big = filled(small, VOLUME)
    big.nearest(queries(np.zeros((64, 64, 3), np.uint8)), 1)  # readies what is made once
    big.nearest(queries(images.read(places[0])), 1)
    for number, path in enumerate(photos.claims()):

        def search(path: Path = path, number: int = number) -> dict[str, Any]:
            rng, chain = rng_for(0, "find", path.name), CHAINS[number % len(CHAINS)]
            claim, mask = made.drawn(images.read(path), rng)
            cut = rng.random() < 0.5
            if cut:
                claim, (mask,) = made.cropped(claim, [mask], rng)
            claim, _ = made.sent(claim, [mask], rng, chain)
            start = time.perf_counter()
            asked = queries(claim)
            between = time.perf_counter()
            found = big.nearest(asked, 5)
            end = time.perf_counter()
            names = [big.paths[i] for i in found]
            return {"kind": "cropped" if cut else "whole", "chain": chain,
                    "first": names[:1] == [str(path)], "five": str(path) in names,
                    "describe": between - start, "search": end - between}  # fmt: skip

        yield f"find|{path.name}", search


def filled(real: shelf.Catalogue, volume: int) -> shelf.Catalogue:
    """A catalogue of that volume: layouts mixed of two real ones, hashes and words drawn anew."""
    rng, n = np.random.default_rng(0), len(real.paths)
    more = max(0, volume - n)
    a, b = rng.integers(0, n, (2, more))
    share = rng.uniform(0.2, 0.8, (more, 1)).astype(np.float32)
    mixed = real.layouts[a] * share + real.layouts[b] * (1 - share)
    mixed += rng.normal(0, 0.02, mixed.shape).astype(np.float32)
    mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
    counts = real.counts[a]
    return shelf.Catalogue(
        real.paths + tuple(f"made up {i}" for i in range(more)),
        np.zeros((n + more, 2), np.int64),
        np.concatenate([real.bits, rng.integers(0, 256, (more, 8), np.uint8)]),
        np.concatenate([real.layouts, mixed.astype(np.float16)]),
        np.concatenate([real.words, rng.choice(real.words, int(counts.sum()))]),
        np.concatenate([real.counts, counts]),
    )


def damages(photos: Photos) -> Iterator[Job]:
    """Two photos of a claim: one damage seen twice, two damages, or damage in one photo only?"""
    kinds = ("one damage", "another damage", "one damage", "damage in one photo", "another product")
    files = photos.claims()
    for number, path in enumerate(files):

        def pair(path: Path = path, number: int = number) -> dict[str, Any]:
            rng, kind = rng_for(0, "damage", path.name), kinds[number % len(kinds)]
            image = images.read(path)
            a, mask = made.drawn(image, rng)
            other = {"one damage": a, "damage in one photo": image}.get(kind)
            if kind == "another damage":
                other = made.drawn(image, rng)[0]
            elif kind == "another product":
                other = made.drawn(images.read(files[number - 7]), rng)[0]
            b, _ = made.seen(other, np.zeros(other.shape[:2], bool), rng)
            chain = CHAINS[number // len(kinds) % len(CHAINS)]
            a, (mask,) = made.sent(a, [mask], rng, chain)
            b, _ = made.sent(b, [], rng, chain)
            found = same_damage(a, mask, b)
            numbers = {k: getattr(found, k) for k in ("damage", "around", "differs")}
            return {"kind": kind, "chain": chain, "finding": found.finding} | numbers

        yield f"damage|{path.name}", pair


def reuses(photos: Photos) -> Iterator[Job]:
    """A claim against an earlier one: the photo again, its damage on another, or neither?"""
    files = photos.claims()
    for number, path in enumerate(files):

        def pair(path: Path = path, number: int = number) -> dict[str, Any]:
            kind = ("piece", "piece", "photo")[number % 3]
            rng, chain = rng_for(0, "reuse", path.name), CHAINS[number // 3 % len(CHAINS)]
            earlier, mask = made.drawn(images.read(path), rng)
            if kind == "piece":
                claim, mask = made.pasted(earlier, mask, images.read(files[number - 11]), rng)
            else:
                claim, mask = made.cropped(earlier, [mask], rng)[0], None
            masks = [] if mask is None else [mask]
            claim, masks = made.sent(claim, masks, rng, chain)
            return _reused(kind, chain, claim, earlier, masks[0] if masks else None)

        yield f"reuse|{path.name}", pair
    for kind, a, b in photos.honest():
        yield (
            f"{kind}|{a.name}|{b.name}",
            lambda k=kind, a=a, b=b: _reused(k, "", images.read(a), images.read(b), None),
        )
    for a, b in photos.unrelated(100):
        yield (
            f"unrelated|{a.name}|{b.name}",
            lambda a=a, b=b: _reused("unrelated", "", images.read(a), images.read(b), None),
        )


def _reused(
    kind: str, chain: str, claim: made.Array, earlier: made.Array, mask: made.Mask | None
) -> dict[str, Any]:
    found = compare_parts(claim, earlier)
    row: dict[str, Any] = {"kind": kind, "chain": chain, "finding": found.finding}
    if found.area is not None and mask is not None:
        area = found.area > 0.5
        row["iou"] = float((area & mask).sum() / max(1, (area | mask).sum()))
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="find,exposure,damage,reuse")
    parser.add_argument("--minutes", type=float, default=1e6, help="stop after; goes on next time")
    parser.add_argument("--out", type=Path, default=Path("runs/bench_compare"))
    parser.add_argument("--docs", type=Path, help="write the table between its markers there")
    args = parser.parse_args()
    data = Path(os.environ.get("DAMAGENET_DATA", "data"))
    if not (data / "sources.csv").exists():
        raise SystemExit(f"{data}: no product photos; set DAMAGENET_DATA to a folder with them")
    args.out.mkdir(parents=True, exist_ok=True)
    photos = Photos(data, Path(__file__).parents[1] / "data" / "samples")
    makers = {
        "find": lambda: searches(photos, args.out), "exposure": lambda: exposures(photos),
        "damage": lambda: damages(photos), "reuse": lambda: reuses(photos),
    }  # fmt: skip
    jobs = [(q, *job) for q in args.only.split(",") for job in makers[q]()]
    # In an order that has nothing to do with the answer: what was measured so far is a fair sample.
    jobs.sort(key=lambda job: hashlib.sha256(f"{job[0]} {job[1]}".encode()).digest())
    store, end = args.out / "rows.jsonl", time.monotonic() + 60 * args.minutes
    lines = store.read_text().splitlines() if store.exists() else []
    known = {(row["question"], row["id"]): row for row in map(json.loads, lines)}
    with store.open("a", encoding="utf-8") as file:
        for question, name, job in tqdm(jobs, disable=None):
            if (question, name) in known:
                continue
            if time.monotonic() > end:
                break
            row = {"question": question, "id": name} | job()
            file.write(json.dumps(row) + "\n")
            file.flush()
            known[question, name] = row
    rows = [known[job[:2]] for job in jobs if job[:2] in known]
    text = f"{len(rows)} of {len(jobs)} pairs measured.\n\n{table(pd.DataFrame(rows))}"
    print(text)
    if args.docs:
        before, _, rest = args.docs.read_text(encoding="utf-8").partition("<!-- table -->\n")
        after = rest.partition("<!-- end -->")[2]
        images.write_bytes(args.docs, f"{before}<!-- table -->\n{text}<!-- end -->{after}".encode())


if __name__ == "__main__":
    main()

"""How often does a report flag an honest claim, and how often does it let a doctored one pass?

    python scripts/bench_review.py [--every N] [--model FILE] [--out claims.csv]

Builds whole claims from the photos below `$DAMAGENET_DATA` and reviews each of them. Honest: really
damaged photos; damage rendered before the lens; intact photos; every one through camera, chat app,
marketplace, screenshot or softening, often with a circle, an arrow or words drawn on it, and held
against another photo of the object, of its source or of its sender. Doctored: damage put into the
seller's own photo (pasted back, blended, painted), the seller's photo regenerated whole, and damage
put into the buyer's own photo. Bounds are one-sided 95 % Clopper-Pearson, over claims.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import beta
from tqdm import tqdm

from damagenet import images, runs
from damagenet.claims import Detector
from damagenet.claims.review import review
from damagenet.config import Build
from damagenet.synth import channel, doctor, products, regenerate
from damagenet.synth.shot import Shot, plan_frame

Claim = tuple[str, tuple[Path, ...], Path | None]
"""Kind, photos to start from, listing photo."""
SIDE = 640
"""Long side of claim photos in pixels."""
FAMILIES = tuple(regenerate.available())
HONEST = "honest: "
SEEDED = {"exchange": "pasted back", "blend": "blended", "full": "regenerated whole"}


def order(path: Path) -> int:
    return zlib.crc32(path.name.encode())


def found(folder: Path) -> list[Path]:
    """Photos in an order that has nothing to do with their names; no masks."""
    paths = [p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png")]
    return sorted((p for p in paths if "masks" not in p.parts), key=order)


def claims(data: Path) -> Iterator[Claim]:
    """Whole claims in a fixed order."""
    for source in ("aws_lookout", "fabric_stain_cc0", "roboflow_fabric", "ceramic_cracks"):
        shop = found(data / "products" / source)
        for i, path in enumerate(found(data / "damaged" / source)):
            yield f"{HONEST}real damage", (path,), shop[i % len(shop)] if shop else None
    views: dict[str, list[Path]] = {}
    for path in sorted(found(data / "products" / "dreambooth")):
        views.setdefault(path.stem.rsplit("_", 1)[0], []).append(path)
    for several in (v for v in views.values() if len(v) > 1):
        for a, b in itertools.pairwise(several):
            third = [path for path in several if path not in (a, b)]
            sent_in, shop = ((a, b), third[0]) if third else ((a,), b)
            yield f"{HONEST}rendered damage, other views", sent_in, shop
            yield f"{HONEST}own photo and the shop's, marked", (a, b), b
            yield "doctored: own photo, other listing", (a,), b
    table = data / "sources.csv"
    keys = pd.read_csv(table).set_index("path").group_key if table.exists() else pd.Series()
    clothes = found(data / "products" / "clothing_dataset")
    sent: dict[str, list[Path]] = {}
    for path in clothes:
        sender = keys.get(path.relative_to(data).as_posix(), path.stem)
        sent.setdefault(str(sender), []).append(path)
    for several in (v for v in sent.values() if len(v) > 1):
        yield f"{HONEST}rendered damage, one sender", (several[0],), several[1]
        yield f"{HONEST}intact, one sender", (several[-1],), several[0]
    shops = [p for s in ("vendure_npm", "dreambooth", "grocery_store", "clothing_dataset")
             for p in found(data / "products" / s)[:40]]  # fmt: skip
    for i, path in enumerate(sorted(shops, key=order)):
        kind = ("exchange", "blend", "full", "overlay")[i % 4]
        yield f"doctored: listing photo {SEEDED.get(kind, 'painted')}", (path,), path


def photo(path: Path, cell: str, rng: np.random.Generator, kind: str = "exchange") -> bytes:
    """One picture of a product in one of the four cells, as a reviewer would get it."""
    painted = kind == "overlay"
    ways = ("blend",) if painted else (kind,)
    build = Build(native=0.0, overlay=float(painted), topologies=ways, families=FAMILIES)
    condition = "damaged" if "damaged" in path.parts else "intact"
    shot = Shot(images.read(path), plan_frame(rng, SIDE), products.damage_mask(path))
    for _ in range(20):  # a recipe may find no room on the object
        for recipe in doctor.plan(rng, shot, condition, "other", build):
            if recipe["cell"] == cell:
                sample = doctor.render(shot, recipe)
                if sample.label == cell.startswith("doctored"):
                    return sample.file
    raise ValueError(f"{path}: no {cell}")


def built(claim: Claim) -> list[bytes]:
    """The files that the buyer sends."""
    kind, paths, _ = claim
    rng = runs.rng_for(0, kind, paths[0].name)
    if kind == f"{HONEST}own photo and the shop's, marked":
        marked = channel.plan(rng, ("chat",), (0.5, 0.5, 0.15))
        while not any(step["op"] == "markup" for step in marked["steps"]):
            marked = channel.plan(rng, ("chat",), (0.5, 0.5, 0.15))
        shop = images.read(paths[1])
        file = channel.apply(shop, [np.zeros(shop.shape[:2], np.uint8)] * 2, marked)[0]
        return [photo(paths[0], "authentic_damaged", rng), file]
    if kind.startswith(HONEST):
        cell = "authentic_intact" if "intact" in kind else "authentic_damaged"
        return [photo(path, cell, rng) for path in paths]
    names = {words: name for name, words in SEEDED.items()} | {"painted": "overlay"}
    way = next((name for words, name in names.items() if kind.endswith(words)), "exchange")
    return [photo(paths[0], "doctored_damage", rng, way)]


def reviewed(claim: Claim, detector: Detector) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{i}.jpg" for i in range(len(claim[1]))]
        for path, data in zip(files, built(claim), strict=True):
            path.write_bytes(data)
        report = review(files, claim[2], detector, Path(folder) / "r.html")
    row = {"kind": claim[0], "photo": claim[1][0].name, "verdict": report["verdict"]}
    for signal in report["signals"]:
        row |= {signal["name"]: signal["finding"], f"{signal['name']}_verdict": signal["verdict"]}
    return row | {"score": max(p["score"] for p in report["photos"])}


def above(k: int, n: int) -> float:
    """No larger share is likely: the upper bound."""
    return 1.0 if k == n else float(beta.ppf(0.95, k + 1, n - k))


def below(k: int, n: int) -> float:
    """No smaller share is likely: the lower bound."""
    return 0.0 if k == 0 else float(beta.ppf(0.05, k, n - k + 1))


def table(rows: pd.DataFrame) -> str:
    """Markdown: verdicts by kind of claim, and the bound that matters for each."""
    lines = ["| claim | claims | pass | review | flag | |", "|---|---|---|---|---|---|"]
    groups = list(rows.groupby("kind", sort=False))
    groups += [(f"**{word}, all**", rows[rows.kind.str.startswith(word)])
               for word in ("honest", "doctored")]  # fmt: skip
    for kind, part in groups:
        n, count = len(part), part.verdict.value_counts()
        share = " | ".join(f"{count.get(v, 0)} ({count.get(v, 0) / n:.0%})" for v in
                           ("pass", "review", "flag"))  # fmt: skip
        flagged = int(count.get("flag", 0))
        bound = f"flagged at most {above(flagged, n):.1%}"
        if "doctored" in kind:
            bound = f"flagged at least {below(flagged, n):.1%}"
        lines.append(f"| {kind} | {n} | {share} | {bound} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=1, help="take every n-th claim only")
    parser.add_argument("--model", type=Path, help="default: the packaged detector")
    parser.add_argument("--out", type=Path, help="CSV of every claim")
    arguments = parser.parse_args()
    data = Path(os.environ.get("DAMAGENET_DATA", "data"))
    chosen = sorted(claims(data), key=lambda c: (not c[0].startswith(HONEST), c[0]))
    chosen = chosen[:: arguments.every]
    if not chosen:
        raise SystemExit(f"{data}: no photos; set DAMAGENET_DATA to a folder with them")
    detector = Detector(arguments.model, threads=1)
    done: list[dict[str, object]] = []
    try:
        for i in tqdm(runs.rng_for(0, "order").permutation(len(chosen)), mininterval=30):
            done.append(reviewed(chosen[i], detector))
    except KeyboardInterrupt:  # claims come shuffled, so the first ones stand for all
        print(f"interrupted after {len(done)} of {len(chosen)} claims")
    done.sort(key=lambda row: (not str(row["kind"]).startswith(HONEST), str(row["kind"])))
    rows = pd.DataFrame(done)
    if arguments.out:
        rows.to_csv(arguments.out, index=False)
    print(table(rows))
    if detector.threshold > 1:
        print("\nPixels flag nothing with this model: flags come from the listing photo.")


if __name__ == "__main__":
    main()

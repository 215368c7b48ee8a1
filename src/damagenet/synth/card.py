"""The dataset card: one self-contained page that says what a dataset holds and how sound it is.

The same folder gives the same page. Everything that comes from files goes through `esc`; a content
policy forbids whatever slips through from loading or running anything.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import pandas as pd
import yaml

from damagenet import images, runs
from damagenet.synth import dataset, doctor, groups, probes
from damagenet.synth.audit import telling
from damagenet.synth.contact_sheet import chains, esc, pick, twins, words

AREAS = (0.003, 0.01, 0.03, 0.1, 0.3, 0.999)
"""Edges of the histogram of doctored areas, as shares of the picture."""
PURPOSE = (
    "Teaching and testing detectors that tell how damage got into a photo: before the lens "
    "(authentic) or after it (doctored).",
    "Measuring topologies (full, exchange, blend), decoder families and channels apart.",
    "Comparing methods under equal conditions: twins differ in the forensic trace only.",
)
LIMITS = (
    "Deciding about people. A detector’s score is a reason to look, never proof of fraud.",
    "Estimating how common fraud is: the shares of the cells are a design, not a sample.",
    "Claims about editors that are not listed below; other decoders leave other traces.",
    "Making fakes to be sent to anyone.",
    "Passing on the photos without keeping to the licence of each source.",
)


def write(folder: str | Path) -> Path:
    """Write `dataset_card.html` into an audited dataset.

    Args:
        folder: With `dataset.json`, `manifest.parquet`, `audit.json`; `intended/`, `timing.json`
            and `products.parquet` are used where they exist.

    Raises:
        BadInput: No complete dataset, or it was not audited.
    """
    folder = Path(folder)
    manifest = dataset.read_manifest(folder)
    facts = dataset.read_card(folder)
    audit = runs.read_json(folder / "audit.json", f"run `damagenet audit {folder}`")
    recipe = {key: facts["config"][key] for key in ("name", "seed", "products", "build", "audit")}
    meant = " Dashed: where the damage was meant to be." if (folder / "intended").is_dir() else ""
    page = Template((Path(__file__).parent / "card.html").read_text("utf-8")).substitute(
        name=esc(facts["config"].get("name", folder.name)),
        summary=esc(
            f"{len(manifest):,} pictures of {manifest.product_id.nunique():,} products "
            f"({manifest.group_id.nunique():,} groups) in four cells: intact and damaged, "
            "authentic and doctored, as matched twins."
        ),
        verdict="passed" if audit["passed"] else "failed",
        purpose=_items(PURPOSE),
        limits=_items(LIMITS),
        meant=meant,
        twins="\n".join(twins(folder, rows) for rows in pick(manifest)),
        cells=_cells(manifest),
        distributions="\n".join(_distributions(manifest)),
        probes="\n".join(map(_probe, audit["probes"])),
        licences=_licences(folder, facts, manifest),
        families=_families(facts, manifest),
        cost=esc(_cost(folder, manifest)),
        rebuild=_rebuild(facts),
        config=escape(yaml.safe_dump(recipe, sort_keys=False)),
        facts=_rows(_facts(facts)),
    )
    images.write_bytes(folder / "dataset_card.html", page.encode())
    return folder / "dataset_card.html"


def _items(lines: Iterable[str]) -> str:
    return "".join(f"<li>{esc(line)}</li>" for line in lines)


def _cells(manifest: pd.DataFrame) -> str:
    counts = manifest.groupby(["cell", "split"]).size().unstack(fill_value=0)
    splits = [split for split in groups.SPLITS if split in counts]
    head = "".join(f'<th class="n" scope="col">{esc(split)}</th>' for split in splits)
    lines = [(words(cell), [int(counts[s].get(cell, 0)) for s in splits]) for cell in doctor.CELLS]
    lines.append(("all", [int(counts[s].sum()) for s in splits]))
    body = "".join(
        f'<tr><th scope="row">{esc(name)}</th>'
        + "".join(f'<td class="n">{n:,}</td>' for n in [*line, sum(line)]) + "</tr>"
        for name, line in lines
    )  # fmt: skip
    return (
        f'<table><thead><tr><th scope="col">Cell</th>{head}<th class="n" scope="col">all</th>'
        f"</tr></thead><tbody>{body}</tbody></table>"
    )


def _distributions(manifest: pd.DataFrame) -> list[str]:
    """Counts by every property that a result may depend on."""
    doctored = manifest[manifest.label == 1]
    edges = np.searchsorted(AREAS, doctored.area, side="right")
    percent = [f"{100 * a:g} %" for a in AREAS[:-1]]
    names = [f"below {percent[0]}"]
    names += [f"{a} to {b}" for a, b in itertools.pairwise(percent)]
    names += [f"above {percent[-1]}", "the whole picture"]
    areas = pd.Series(edges).value_counts()
    columns = {
        "Kind of damage or edit": manifest.kind.replace("none", "none (intact)"),
        "Category of product": manifest.category,
        "Severity of drawn damage": manifest.severity[manifest.severity > 0],
        "Method of doctoring": doctored.method,
        "Topology": doctored.topology,
        "Decoder family": doctored.family.replace("none", "none (painted)"),
        "Channel": chains(manifest),
    }
    parts = [
        _counts(title, values, manifest.label[values.index]) for title, values in columns.items()
    ]
    rows = [(name, 0, int(areas.get(i, 0))) for i, name in enumerate(names)]
    return [*parts, _bars("Doctored share of the picture", rows)]


def _counts(title: str, values: pd.Series, labels: pd.Series, most: int = 16) -> str:
    counts = pd.crosstab(values, labels).reindex(columns=[0, 1], fill_value=0)
    if values.dtype != np.int64:
        counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    rows = [(str(name), int(a), int(d)) for name, a, d in counts.itertuples()]
    if len(rows) > most:
        rest = rows[most - 1 :]
        total = (f"{len(rest)} others", sum(r[1] for r in rest), sum(r[2] for r in rest))
        rows = [*rows[: most - 1], total]
    return _bars(title, rows)


def _bars(title: str, rows: list[tuple[str, int, int]]) -> str:
    longest = max([a + d for _, a, d in rows] + [1])
    body = "".join(
        f'<tr><th scope="row">{esc(name)}</th><td><div class="bar" role="img" '
        f'aria-label="{a} authentic, {d} doctored">'
        f'<i class="a" style="width:{100 * a / longest:.1f}%"></i>'
        f'<i class="d" style="width:{100 * d / longest:.1f}%"></i></div></td>'
        f'<td class="n">{a + d:,}</td></tr>'
        for name, a, d in rows
    )
    return (
        f'<section class="card"><table class="bars"><caption>{esc(title)}</caption>'
        f"<tbody>{body}</tbody></table></section>"
    )


def _probe(record: dict[str, Any]) -> str:
    """One row of the audit; audits of older versions lack some keys."""
    name, auc, limit = record["name"], record["auc"], record["limit"]
    known = probes.PROBES.get(name)
    pixels = ", pixels" if known and known.pixels else ""
    if "count" in record:
        answer = f"{record['count']:,} found"
    else:
        place, tick = (190 * (max(x, 0.3) - 0.3) / 0.7 for x in (auc, limit))
        colour = "#2f7d4f" if record["passed"] else "#b3261e"
        answer = (
            f'<svg class="meter" viewBox="0 0 190 22" role="img" aria-label="AUC {auc:.3f}, limit '
            f'{limit:.2f}"><path d="M2 11H188" stroke="#cfd6de" stroke-width="4"/><path '
            f'd="M{tick:.1f} 2V20" stroke="#1d2430" stroke-width="2"/><circle '
            f'cx="{min(max(place, 6), 184):.1f}" cy="11" r="6" fill="{colour}"/></svg>'
            f"<small>AUC {auc:.3f}, limit {limit:.2f}</small>"
        )
    verdict = '<span class="ok">passed</span>'
    if not record["passed"]:
        verdict = (
            f'<span class="leak">leak</span> {esc(record["remedy"])}<br>'
            f"<small>{esc(telling(record))}</small>"
        )
    return (
        f"<tr><td>{esc(record.get('meaning', name))}<br><small>{esc(name)}{pixels}</small></td>"
        f"<td>{answer}</td><td>{verdict}</td></tr>"
    )


def _licences(folder: Path, facts: dict[str, Any], manifest: pd.DataFrame) -> str:
    used: dict[str, int] = {}
    table = folder / "products.parquet"
    if table.is_file():
        products = pd.read_parquet(table, columns=["product_id", "source"])
        kept = products[products.product_id.isin(manifest.product_id)]
        used = {str(source): int(n) for source, n in kept.source.value_counts().items()}
    rows = []
    for source, licences in sorted(facts["licences"].items()):
        if not used or source in used:
            count = f"{used[source]:,}" if source in used else "not recorded"
            name = esc(source).replace("_", "_<wbr>")  # where a narrow screen may break it
            rows.append(
                f"<tr><th scope='row'>{name}</th><td>{esc('; '.join(licences))}</td>"
                f'<td class="n">{count}</td></tr>'
            )
    return "".join(rows)


def _rows(pairs: Iterable[tuple[str, object]]) -> str:
    return "".join(f"<tr><th scope='row'>{esc(k)}</th><td>{esc(v)}</td></tr>" for k, v in pairs)


def _families(facts: dict[str, Any], manifest: pd.DataFrame) -> str:
    counts = manifest[manifest.label == 1].family.value_counts()
    rows: list[tuple[str, object]] = []
    for name, digest in sorted(facts["families"].items()):
        held = "; in the test split only" if name == facts.get("holdout_family") else ""
        rows.append((name, f"{int(counts.get(name, 0)):,} pictures{held}; weights {digest}"))
    rows += [
        (str(name), f"{n:,} pictures; named in the config")
        for name, n in sorted(counts.items())
        if name not in facts["families"] and name != "none"
    ]
    rows += [
        (f"{name} (missing)", str(why).removeprefix(f"{name}: "))
        for name, why in sorted(facts["missing_families"].items())
    ]
    return _rows(rows)


def _cost(folder: Path, manifest: pd.DataFrame) -> str:
    """Core-hours and disk of a million pictures, from what this build measured."""
    million = 1_000_000
    named = [column for column in ("image", "mask") if column in manifest]
    files = [folder / name for column in named for name in manifest[column]]
    size = sum(path.stat().st_size for path in [*files, *(folder / "intended").glob("*.png")])
    disk = f"{size / len(manifest) * million / 1e9:,.0f} GB of disk (pictures and masks)"
    if not (folder / "timing.json").is_file():
        return f"{disk}; the time was not measured in this build."
    timing = runs.read_json(folder / "timing.json", "build the dataset again")
    each = timing["cpu_s"] / max(1, timing["pictures"])
    machine = dataset.read_card(folder).get("machine", "unknown machine")
    return (
        f"{each * million / 3600:,.0f} core-hours and {disk}, at the {1000 * each:.0f} ms of CPU a "
        f"picture that this build took ({timing['pictures']:,} pictures; "
        f"processes: {timing['workers']}; {machine})."
    )


def _rebuild(facts: dict[str, Any]) -> str:
    return (
        "Save the config below as <code>config.yaml</code>, check out the commit, install the "
        f"versions, and run <code>damagenet build config.yaml</code>. The seed is "
        f"{esc(facts['config'].get('seed'))}; the manifest then has the same SHA-256."
    )


def _facts(facts: dict[str, Any]) -> list[tuple[str, object]]:
    return [
        ("Identity", facts["identity"]),
        ("SHA-256 of the manifest", facts["manifest_sha256"]),
        ("Commit", facts["commit"]),
        ("Python", facts["python"]),
        ("Machine", facts["machine"]),
        ("AI labels in synthetic files", "yes" if facts["ai_labels"] else "no"),
        ("Photos left out", len(facts["skipped"])),
        ("Versions", ", ".join(f"{k} {v}" for k, v in facts["versions"].items())),
    ]

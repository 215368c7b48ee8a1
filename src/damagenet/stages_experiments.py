"""What the commands about runs and the machine do: call the module, print; see `stages`."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from damagenet import BadInput
from damagenet.incoming import shown


def runs(args: argparse.Namespace) -> int:
    """List and compare runs."""
    from damagenet import experiments, plots

    found = experiments.table(*args.folders)
    if args.sort:
        found = experiments.ordered(found, args.sort)
    if args.curves:
        logs = experiments.logs(*args.folders)
        if not logs:
            raise BadInput("no run has a train.csv yet, so there are no curves")
        plots.save(plots.curves(logs), args.curves)
    if args.json:
        print(json.dumps(experiments.plain(found), indent=2, ensure_ascii=False))
    else:
        print(experiments.text(found, shutil.get_terminal_size((160, 0)).columns))
    return 0


def sweep(args: argparse.Namespace) -> int:
    """Train and evaluate a grid."""
    from damagenet import config, experiments
    from damagenet.detect import sweep as stage

    base = config.load(args.config)
    planned = stage.plan(base, args.overrides, args.seeds)
    failed = stage.sweep(planned, base.seed, args.data, args.jobs, args.dask, args.workers)
    made = [one.run_dir for one in planned if (one.run_dir / "config.yaml").is_file()]
    if made:
        found = experiments.table(*made)
        print(experiments.text(found, shutil.get_terminal_size((160, 0)).columns))
    for name, reason in failed.items():
        print(f"failed  {name}: {shown(reason)}", file=sys.stderr)
    print(
        f"{Path('runs') / base.name}: {len(planned) - len(failed)} of {len(planned)} runs are "
        f"finished{'; the same command tries the others again' if failed else ''}"
    )
    return 1 if failed else 0


def doctor(args: argparse.Namespace) -> int:
    """Say what this machine has and lacks."""
    from damagenet import health

    found = []
    for one in health.checks():
        found.append(one)
        if not args.json:
            print(f"{one.state:<7} {one.name}: {shown(one.text)}", flush=True)
            print(*[f"          {line}" for line in one.remedy.splitlines()], sep="\n", end="")
            print(end="\n" if one.remedy else "")
    broken = [one.name for one in found if one.state == "broken"]
    if args.json:
        checks = [vars(one) for one in found]
        print(json.dumps({"healthy": not broken, "checks": checks}, indent=2, ensure_ascii=False))
    elif broken:
        print(f"broken: {', '.join(broken)}; the commands above mend it")
    else:
        print("nothing that is needed is broken")
    return 1 if broken else 0

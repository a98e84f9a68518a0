"""What campaigns came to, all together: `benchmarks/nemesis.json`."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.nemesis.oracle import KINDS

STACKS = ("embedded", "celery")
GOAL = {"kills": 200, "studies": 20, "trials": 1000}
SCHEDULER_KILLS = 8
"""On each stack."""
SUMMED = (*GOAL, "pauses", "trained_again", "starts_beyond_first")


def add(path: Path, row: Mapping[str, Any]) -> None:
    """Put a campaign's row into the file, and sum up anew."""
    results = json.loads(path.read_text()) if path.exists() else {"runs": []}
    runs = [*results["runs"], row]
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps({**results, "totals": totals(runs), "runs": runs}, indent=1) + "\n")
    temporary.replace(path)


def totals(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Sums over campaigns, and what took longest."""
    sums = {name: sum(row[name] for row in runs) for name in SUMMED}
    return {
        **sums,
        "trained_again_share": round(sums["trained_again"] / max(sums["trials"], 1), 4),
        "violations": {kind: sum(len(row["violations"][kind]) for row in runs) for kind in KINDS},
        "kills_by_deed": dict(
            sorted(sum((Counter(row["kills_by_deed"]) for row in runs), Counter()).items())
        ),
        "scheduler": {stack: _scheduler([row for row in runs if row["stack"] == stack]) for stack in STACKS},
    }


def reached(sums: Mapping[str, Any]) -> bool:
    """Whether there were enough campaigns."""
    enough = all(sums[name] >= goal for name, goal in GOAL.items())
    return enough and all(sums["scheduler"][stack]["kills"] >= SCHEDULER_KILLS for stack in STACKS)


def table(results: Mapping[str, Any]) -> str:
    """For people."""
    lines = ["stack     seed kills studies trials  again  violations  scheduler back  min"]
    for row in results["runs"]:
        violations = sum(len(found) for found in row["violations"].values())
        back = row["recovery_s"].get("scheduler", {}).get("queued", 0.0)
        lines.append(
            f"{row['stack']:9} {row['seed']:4} {row['kills']:5} {row['studies']:7} {row['trials']:6} "
            f"{row['trained_again']:6} {violations:11} {back:13.1f} s {row['duration_s'] / 60:4.0f}"
        )
    sums = results["totals"]
    lines.append(
        f"all            {sums['kills']:5} {sums['studies']:7} {sums['trials']:6} {sums['trained_again']:6} "
        f"{sum(sums['violations'].values()):11}"
    )
    return "\n".join(lines)


def _scheduler(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Kills of it, and the longest recoveries in seconds."""
    found = [row["recovery_s"]["scheduler"] for row in runs if "scheduler" in row["recovery_s"]]
    return {
        "kills": sum(row["kills_by_deed"].get("scheduler", 0) for row in runs),
        "longest_until_queued_s": max((each["queued"] for each in found), default=0.0),
        "longest_until_every_run_went_on_s": max((each["every_run"] for each in found), default=0.0),
    }

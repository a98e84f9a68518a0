"""Writes the README's figures from results.json, between its two markers.

.venv/bin/python -m benchmarks.readme_table
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("results.json")
README = ROOT / "README.md"
BEGIN = "<!-- figures: made from benchmarks/results.json by benchmarks/readme_table.py -->"
END = "<!-- end of figures -->"

NONE = ""


def main() -> None:
    README.write_text(replaced(README.read_text(encoding="utf-8"), figures(RESULTS)), encoding="utf-8")


def replaced(readme: str, text: str) -> str:
    """The README with the text between its markers.

    Raises:
        ValueError: a marker is missing.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"README.md: needs the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def figures(path: Path) -> str:
    """The Markdown for a results file."""
    found = json.loads(path.read_bytes())
    machine = found["machine"]
    measured = (
        f"Measured on {found['date']} on {machine['cores']} cores ({machine['processor']}), "
        f"{machine['memory_gib']} GiB, Airflow {machine['apache-airflow']} with SQLite."
    )
    if found["quick"]:
        measured += " **Provisional: small sizes (`QUICK=1`).**"
    return "\n\n".join([measured, "\n".join(_comparison(found)), "\n".join(_figures(found))])


def _comparison(found: Mapping[str, Any]) -> Iterator[str]:
    """Ours beside others: trials that do nothing, and trials of some seconds."""
    noop = found["runs"]["noop"]
    yield f"| {noop['trials']} no-op trials, {noop['slots']} slots | seconds per trial |"
    yield "|---|---|"
    yield _row("hpo-tasks", f"{found['noop_s_per_trial']:.2f}")
    if (packed := found["noop_packed_s_per_trial"]) is not None:
        yield _row("hpo-tasks, `trials_per_task: 8`", f"{packed:.2f}")
    peers = found.get("peers") or {}
    for name, seconds in (peers.get("noop_s_per_trial") or {}).items():
        if name in PEERS:
            yield _row(PEERS[name], f"{seconds:.2f}")
    yield _row("two bare processes", f"{found['bare_noop_s_per_trial']:.2f}")
    yield NONE
    homes = found["runs"]["house_prices"]
    yield f"| `house_prices`, {homes['configurations']} configurations, 2 slots × 1 thread | over two plain Optuna processes |"
    yield "|---|---|"
    yield _row("hpo-tasks", f"{found['house_prices_ratio']:.2f} ×")
    walls = peers.get("house_prices_wall_s") or {}
    for name, seconds in walls.items():
        if name in PEERS:
            yield _row(PEERS[name], f"{seconds / walls['plain']:.2f} ×")


PEERS = {
    "syne_tune": "Syne Tune 0.16.0",
    "syne_tune_fast": "Syne Tune 0.16.0, polling sleep 0.1 s instead of 5 s",
    "ray_tune": "Ray Tune 2.60.0",
}


def _figures(found: Mapping[str, Any]) -> Iterator[str]:
    runs = found["runs"]
    homes, waits = runs["house_prices"], runs["slots"]
    first, last = waits["rows"][0], waits["rows"][-1]
    idle = ", ".join(
        f"{row['slot_idle_share']:.0%} in rounds of {batch}" for batch, row in homes["batches"].items()
    )
    one, two = homes["one_slot_two_threads"], homes["two_slots_one_thread"]
    parsing = runs["parsing"]
    yield "| what | figure |"
    yield "|---|---|"
    yield _row("slot time that waits for the round's slowest, `house_prices`, 2 slots", idle)
    yield _row(
        f"speed-up with {last['slots']} slots on trials that only wait {waits['seconds']:g} s",
        f"{first['train_s'] / last['train_s']:.1f} ×",
    )
    yield _row(
        "2 slots × 1 thread / 1 slot × 2 threads, the same trials",
        f"{two['wall_s']:.0f} s ({two['cpu_share']:.0%} CPU) / {one['wall_s']:.0f} s ({one['cpu_share']:.0%} CPU)",
    )
    yield _row(
        f"ask / tell of 100 trials after {found['recorded_trials']:,}, PostgreSQL",
        f"{found['ask_s']:.0f} s / {found['tell_s']:.1f} s",
    )
    yield _row("100 study files parsed together", f"{parsing['parse_100_files_s']:.1f} s")
    yield _row(
        "importing the DAG file: a task process, forked preloaded / a fresh process, over `airflow.sdk`",
        f"{parsing['task_start_1_file_s'] * 1000:.0f} ms / {parsing['import_over_sdk_s'] * 1000:.0f} ms",
    )
    yield _row("memory of the embedded Airflow at rest", f"{found['memory_at_rest_mib']:,} MiB")


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()

"""Tables of prices and of forecasts for the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from hpo_tasks.prices.table import NoPrice, Price, PriceTable
from hpo_tasks.report import text
from hpo_tasks.study.cost import usd_text
from hpo_tasks.study.machine_choice import Forecast, Recommendation

UNVERIFIED = "?"
"""Behind a price that nobody compared with AWS."""


def prices_table(prices: PriceTable, region: str, machine_types: Sequence[str]) -> Table:
    """What each type offers and costs in the region, in USD per hour."""
    table = _table()
    table.add_column("type", no_wrap=True)
    for name in ("vCPUs", "GiB", "GPUs", "on demand", "spot", "as of"):
        table.add_column(name, justify="right")
    for name in machine_types:
        spec = prices.spec(name)
        on_demand = prices.price(name, region, "on_demand")
        offers = ["-"] * 3 if spec is None else [str(spec.vcpus), f"{spec.memory_gib:f}", str(spec.gpus)]
        table.add_row(
            Text(text.plain(name)),
            *offers,
            _hourly(on_demand),
            _hourly(prices.price(name, region, "spot")),
            "-" if isinstance(on_demand, NoPrice) else on_demand.as_of.isoformat(),
        )
    return table


def forecasts_table(forecasts: Sequence[Forecast], chosen: Forecast | None) -> Table:
    """One row for each choice; the recommended one is marked."""
    table = _table()
    table.add_column("")
    table.add_column("machines", overflow="fold")
    for name in ("trial", "study", "idle", "cost"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("notes", ratio=1, overflow="fold")
    for one in forecasts:
        notes = "; ".join([one.problem] if one.problem else one.notes)
        table.add_row(
            Text("*" if one is chosen else "", style="green"),
            Text(text.plain(one.name), style="bold" if one is chosen else ""),
            "-" if one.trial_s is None else text.duration(one.trial_s),
            "-" if one.wall_s is None else text.duration(float(one.wall_s)),
            "-" if one.idle_share is None else f"{one.idle_share:.0%}",
            "-" if one.cost_usd is None else usd_text(one.cost_usd),
            Text(text.plain(notes), style="yellow" if one.problem else "dim"),
        )
    return table


def price_document(prices: PriceTable, region: str, machine_type: str) -> dict[str, Any]:
    """A type's row of `prices_table` as JSON."""
    spec = prices.spec(machine_type)
    return {
        "type": machine_type,
        "region": region,
        "vcpus": None if spec is None else spec.vcpus,
        "memory_gib": None if spec is None else float(spec.memory_gib),
        "gpus": None if spec is None else spec.gpus,
        "on_demand": _price_document(prices.price(machine_type, region, "on_demand")),
        "spot": _price_document(prices.price(machine_type, region, "spot")),
    }


def plan_document(
    study: Mapping[str, Any], forecasts: Sequence[Forecast], recommendation: Recommendation | None
) -> dict[str, Any]:
    """A plan as JSON: the study's size, every choice's forecast, and the recommended one (its index) with the reason."""
    chosen = None
    if recommendation is not None:
        index = next(i for i, one in enumerate(forecasts) if one is recommendation.forecast)
        chosen = {
            "choice": index,
            "machines": recommendation.forecast.name,
            "reason": recommendation.reason,
            "compared": list(recommendation.compared),
        }
    return {
        **study,
        "choices": [_forecast_document(one) for one in forecasts],
        "recommended": chosen,
    }


def _forecast_document(one: Forecast) -> dict[str, Any]:
    return {
        "machines": one.name,
        **one.choice.model_dump(),
        "trial_s": one.trial_s,
        "wall_s": None if one.wall_s is None else float(one.wall_s),
        "idle_share": None if one.idle_share is None else round(one.idle_share, 4),
        "cost_usd": None if one.cost_usd is None else round(float(one.cost_usd), 6),
        "notes": list(one.notes),
        "problem": one.problem or None,
    }


def _price_document(price: Price | NoPrice) -> dict[str, Any] | None:
    if isinstance(price, NoPrice):
        return None
    return {
        "usd_per_hour": float(price.usd_per_hour),
        "as_of": price.as_of.isoformat(),
        "verified": price.verified,
    }


def _hourly(price: Price | NoPrice) -> str:
    if isinstance(price, NoPrice):
        return "-"
    return f"{price.usd_per_hour:.4f}{'' if price.verified else UNVERIFIED}"


def _table() -> Table:
    return Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True, header_style="bold")

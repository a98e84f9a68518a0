"""Homes on sale, one table a day: 80 features and a price whose causes drift slowly with the date.

Invented from end to end, and shaped like real tables: numbers, categories, gaps, columns that say nothing, effects
that bend and depend on one another, noise in proportion to the price. So tuning pays, and tuning again after some
months pays again.
"""

import math
import os
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hpo_tasks.errors import InputError

VERSION = 1
"""Raise it when the generated tables change."""

ROWS = 100_000
"""80,000 to train on and a validation part of 20 %."""

NAME = "house_prices"
TARGET = "price"
DISTRICTS = 24

Columns = dict[str, np.ndarray]
"""Column name → one value per home; float with NaN, int, bool, or text as objects with None."""


def generate(root: Path, start: date, end: date, rows: int = ROWS) -> list[Path]:
    """Write one table per day: `<root>/house_prices/<YYYY-MM-DD>/train.parquet`.

    The same day, number of rows and VERSION give the same bytes (with the same numpy and pyarrow). A file appears
    whole or not at all; one that exists is replaced.

    Args:
        root: folder of the data sets (`HPO_DATA`); made if missing.
        start: first day.
        end: last day, included.
        rows: homes per day.

    Returns:
        The files, oldest first.

    Raises:
        InputError: the end is before the start, or no rows are asked for.
    """
    if end < start:
        raise InputError(f"end: {end} is before start {start}; give the first day first")
    if rows < 1:
        raise InputError(f"rows: must be at least 1, got {rows}")
    days = [start + timedelta(days=number) for number in range((end - start).days + 1)]
    return [_write(table_of(day, rows), root / NAME / day.isoformat() / "train.parquet") for day in days]


def table_of(day: date, rows: int = ROWS) -> pa.Table:
    """The homes on sale on one day: 80 features, then the price in euros."""
    rng = np.random.default_rng([VERSION, day.toordinal()])
    city = _city()
    homes = _building(rng, rows, day) | _rooms(rng, rows)
    homes |= _location(rng, rows, city)
    homes |= _neighbourhood(rng, homes, city) | _offer(rng, rows)
    log_price = _log_price(homes, city, day)
    noise = rng.normal(0, 0.08, rows) * (1 + 0.6 * (homes["year_built"] < 1950))
    price = np.round(np.exp(log_price + noise), -2)
    homes = _with_gaps(rng, homes)
    arrays = {name: _arrow(homes[name]) for name in homes if not name.startswith("_")}
    return pa.table({**arrays, TARGET: pa.array(price.astype("float64"))})


def _city() -> Columns:
    """What is fixed for each district, on all days."""
    rng = np.random.default_rng([VERSION])
    return {
        "name": np.array([f"district_{number:02d}" for number in range(DISTRICTS)], dtype=object),
        "x": rng.uniform(-12, 12, DISTRICTS),
        "y": rng.uniform(-12, 12, DISTRICTS),
        "level": rng.normal(0, 0.22, DISTRICTS),
        "area_slope": rng.normal(0, 0.07, DISTRICTS),
        "trend": rng.normal(0.03, 0.06, DISTRICTS),  # change of the log price per year
        "wealth": rng.normal(0, 1, DISTRICTS),
    }


def _building(rng: np.random.Generator, rows: int, day: date) -> Columns:
    age = np.minimum(rng.gamma(1.8, 26, rows), 180).astype("int16")
    renovated = rng.random(rows) < np.minimum(age / 90, 0.75)
    years_since = (rng.random(rows) * np.minimum(age, 40)).astype("int16")
    floors = rng.choice(
        [1, 2, 3, 4, 5, 6, 8, 12, 20], rows, p=[0.17, 0.2, 0.13, 0.15, 0.15, 0.08, 0.06, 0.04, 0.02]
    )
    built = day.year - age
    energy = np.clip(230 - 1.6 * (built - 1930) - 60 * renovated + rng.normal(0, 35, rows), 15, 420)
    return {
        "building_type": _pick(
            rng, rows, ["flat", "terraced", "semi_detached", "detached", "loft"], [50, 18, 14, 14, 4]
        ),
        "construction": _pick(
            rng, rows, ["brick", "concrete", "timber", "steel", "stone"], [45, 32, 12, 5, 6]
        ),
        "roof": _pick(rng, rows, ["flat", "gable", "hip", "mansard"], [30, 45, 15, 10]),
        "facade": _pick(rng, rows, ["plaster", "brick", "glass", "wood", "panel"], [42, 28, 6, 10, 14]),
        "heating": _pick(rng, rows, ["gas", "district", "heat_pump", "oil", "electric"], [38, 30, 14, 10, 8]),
        "energy_class": np.array(list("ABCDEFG"), dtype=object)[
            np.digitize(energy, [50, 75, 100, 130, 170, 220])
        ],
        "condition": _pick(rng, rows, ["new", "good", "fair", "poor"], [12, 48, 30, 10]),
        "window_glazing": _pick(rng, rows, ["single", "double", "triple"], [12, 66, 22]),
        "year_built": built.astype("int16"),
        "year_renovated": np.where(renovated, day.year - years_since, np.nan),
        "energy_kwh_m2": np.round(energy),
        "floors_total": floors.astype("int8"),
        "floor": (rng.random(rows) * floors).astype("int8"),
        "homes_in_building": np.maximum(1, rng.poisson(floors * 2.2)).astype("int16"),
        "ceiling_height_m": np.round(2.45 + 0.5 * (built < 1925) + rng.gamma(1.5, 0.06, rows), 2),
        "wall_thickness_cm": np.round(rng.normal(34, 6, rows)),
        "roof_age_years": np.round(rng.random(rows) * np.minimum(age, 45)),
        "boiler_age_years": np.round(rng.random(rows) * np.minimum(age, 25)),
        "has_elevator": rng.random(rows) < np.where(floors > 3, 0.72, 0.06),
        "has_solar": rng.random(rows) < 0.13,
        "has_alarm": rng.random(rows) < 0.16,
        "is_listed": rng.random(rows) < np.where(built < 1930, 0.2, 0.003),
    }


def _rooms(rng: np.random.Generator, rows: int) -> Columns:
    area = np.round(np.clip(np.exp(rng.normal(4.42, 0.42, rows)), 18, 480), 1)
    rooms = np.clip(np.round(area / 27 + rng.normal(0.6, 0.7, rows)), 1, 14)
    return {
        "living_area_m2": area,
        "lot_area_m2": np.round(area * rng.gamma(1.4, 1.5, rows)),
        "rooms": rooms.astype("int8"),
        "bedrooms": np.clip(np.round(rooms * 0.55 + rng.normal(0, 0.4, rows)), 1, 8).astype("int8"),
        "bathrooms": np.clip(np.round(area / 75 + rng.normal(0.3, 0.35, rows)), 1, 5).astype("int8"),
        "balcony_m2": np.round(np.maximum(0, rng.normal(4, 6, rows)), 1),
        "terrace_m2": np.round(np.maximum(0, rng.normal(-6, 16, rows)), 1),
        "basement_m2": np.round(np.maximum(0, rng.normal(3, 14, rows)), 1),
        "storage_m2": np.round(rng.gamma(1.2, 3, rows), 1),
        "garage_spaces": rng.poisson(0.45, rows).astype("int8"),
        "parking_spaces": rng.poisson(0.5, rows).astype("int8"),
        "sun_hours": np.round(rng.normal(4.8, 1.3, rows), 1),
        "kitchen": _pick(rng, rows, ["fitted", "open", "basic", "none"], [46, 31, 18, 5]),
        "flooring": _pick(rng, rows, ["parquet", "laminate", "tile", "carpet", "stone"], [34, 33, 18, 11, 4]),
        "orientation": _pick(rng, rows, ["N", "NE", "E", "SE", "S", "SW", "W", "NW"]),
        "view": _pick(rng, rows, ["street", "yard", "park", "water", "skyline"], [42, 34, 13, 5, 6]),
        "has_garden": rng.random(rows) < 0.34,
        "has_fireplace": rng.random(rows) < 0.12,
        "has_cellar": rng.random(rows) < 0.55,
        "has_air_conditioning": rng.random(rows) < 0.11,
        "is_furnished": rng.random(rows) < 0.09,
        "is_rented_out": rng.random(rows) < 0.14,
    }


def _location(rng: np.random.Generator, rows: int, city: Columns) -> Columns:
    district = rng.integers(0, DISTRICTS, rows)
    x = city["x"][district] + rng.normal(0, 1.6, rows)
    y = city["y"][district] + rng.normal(0, 1.6, rows)
    return {
        "_district": district,
        "_x": x,
        "_y": y,
        "district": city["name"][district],
        "latitude": np.round(52.0 + y / 111, 4),
        "longitude": np.round(13.0 + x / 68, 4),
        "distance_center_km": np.round(np.hypot(x, y), 2),
        "distance_station_km": np.round(rng.gamma(1.6, 0.6, rows), 2),
        "distance_school_km": np.round(rng.gamma(2, 0.45, rows), 2),
        "distance_park_km": np.round(rng.gamma(1.5, 0.5, rows), 2),
        "distance_water_km": np.round(np.abs(y - 3 * np.sin(x / 4)) + 0.05, 2),
        "distance_motorway_km": np.round(rng.gamma(2, 1.7, rows), 2),
        "distance_hospital_km": np.round(rng.gamma(2, 1.4, rows), 2),
        "elevation_m": np.round(40 + 6 * np.hypot(x - 5, y + 4) + rng.normal(0, 6, rows)),
        "slope_deg": np.round(rng.gamma(1.3, 1.6, rows), 1),
        "street_width_m": np.round(rng.gamma(9, 1.1, rows), 1),
        "street_type": _pick(rng, rows, ["residential", "side", "main", "pedestrian"], [52, 28, 15, 5]),
    }


def _neighbourhood(rng: np.random.Generator, homes: Columns, city: Columns) -> Columns:
    rows = len(homes["_district"])
    wealth = city["wealth"][homes["_district"]] + rng.normal(0, 0.4, rows)
    centrality = np.exp(-homes["distance_center_km"] / 6)
    return {
        "noise_db": np.round(
            46 + 14 * centrality + 5 * (homes["street_type"] == "main") + rng.normal(0, 4, rows), 1
        ),
        "air_quality_index": np.round(34 + 20 * centrality + rng.normal(0, 5, rows), 1),
        "crime_per_1000": np.round(
            np.clip(44 - 7 * wealth + 14 * centrality + rng.normal(0, 6, rows), 2, None), 1
        ),
        "school_score": np.round(np.clip(6.2 + 0.9 * wealth + rng.normal(0, 1, rows), 1, 10), 1),
        "median_income_eur": np.round(41_000 + 7_500 * wealth + rng.normal(0, 2_500, rows), -2),
        "unemployment_pct": np.round(np.clip(6.5 - 1.4 * wealth + rng.normal(0, 1, rows), 0.5, None), 1),
        "owner_occupied_pct": np.round(
            np.clip(48 + 6 * wealth - 15 * centrality + rng.normal(0, 8, rows), 3, 97)
        ),
        "residents_per_km2": np.round(900 + 11_000 * centrality + rng.normal(0, 500, rows), -1),
        "median_age_years": np.round(rng.normal(42, 4, rows), 1),
        "restaurants_1km": rng.poisson(2 + 40 * centrality).astype("int16"),
        "shops_1km": rng.poisson(3 + 30 * centrality).astype("int16"),
        "bus_lines_500m": rng.poisson(1 + 5 * centrality).astype("int8"),
        "broadband_mbit": rng.choice([50, 100, 250, 500, 1000], rows).astype("int16"),
        "flood_risk_pct": np.round(
            np.clip(14 * np.exp(-homes["distance_water_km"]) + rng.normal(0, 1, rows), 0, None), 1
        ),
    }


def _offer(rng: np.random.Generator, rows: int) -> Columns:
    """How the home is offered; the price does not depend on it."""
    return {
        "seller": _pick(rng, rows, ["agent", "owner", "developer", "bank"], [64, 24, 9, 3]),
        "days_online": np.round(rng.exponential(38, rows)).astype("int16"),
        "photos": rng.poisson(13, rows).astype("int8"),
        "description_words": rng.poisson(160, rows).astype("int16"),
        "views_first_week": rng.negative_binomial(3, 0.01, rows).astype("int16"),
        "previous_owners": rng.poisson(1.3, rows).astype("int8"),
        "listing_quality": np.round(rng.beta(4, 2, rows), 2),
        "agent_rating": np.round(rng.beta(6, 2, rows) * 5, 1),
    }


def _log_price(homes: Columns, city: Columns, day: date) -> np.ndarray:
    """Logarithm of the price without noise.

    Drifts with the date: the districts' levels, the cost of energy, the pull of the centre, the season.
    """
    years = (day - date(2025, 1, 1)).days / 365.25
    district = homes["_district"]
    level = 9.55 + city["level"][district] + city["trend"][district] * years
    season = 0.02 * math.sin(2 * math.pi * (years - 0.2))
    size = (0.86 + city["area_slope"][district]) * np.log(homes["living_area_m2"])
    return sum(
        [size, _worth_of_building(homes, years), _worth_of_place(homes, years)],
        start=np.asarray(level + season),
    )


def _worth_of_building(homes: Columns, years: float) -> np.ndarray:
    now = homes["year_built"].max()
    age = now - homes["year_built"].astype("float64")
    wear = np.minimum(np.nan_to_num(now - homes["year_renovated"], nan=60.0), 40)
    house = np.isin(homes["building_type"], ["terraced", "semi_detached", "detached"])
    stairs = np.maximum(homes["floor"] - 2.0, 0) * ~homes["has_elevator"] * ~house
    energy_price = (0.05 + 0.02 * years) * (1 + 0.5 * (homes["heating"] == "oil"))
    effects = [
        0.16 * (age > 95) * (homes["condition"] != "poor"),  # old and kept well is worth more again
        -0.0035 * wear * (age > 25),
        -0.01 * homes["energy_kwh_m2"] * energy_price,
        -0.045 * stairs,
        _value(homes["condition"], {"new": 0.09, "good": 0.03, "fair": -0.04, "poor": -0.17}),
        _value(homes["building_type"], {"detached": 0.17, "semi_detached": 0.07, "loft": 0.12}),
        _value(homes["kitchen"], {"fitted": 0.03, "open": 0.04, "none": -0.05}),
        0.05 * np.log1p(homes["lot_area_m2"] / 60) * house,
        0.07 * homes["has_garden"] * ~house,
        0.05 * np.minimum(homes["bathrooms"] - 1.0, 2) * (homes["bedrooms"] >= 3),
        0.03 * np.tanh((homes["ceiling_height_m"] - 2.6) * 6),
        -0.12 * homes["is_rented_out"],
    ]
    return sum(effects, start=np.asarray(-0.0045 * np.minimum(age, 70)))


def _worth_of_place(homes: Columns, years: float) -> np.ndarray:
    x, y, center_km = homes["_x"], homes["_y"], homes["distance_center_km"]
    near_station = np.exp(-homes["distance_station_km"] / 0.7)
    loud = np.maximum(homes["noise_db"] - 55, 0) * (homes["window_glazing"] != "triple")
    parking = np.minimum(homes["garage_spaces"] + 0.5 * homes["parking_spaces"], 2)
    effects = [
        0.036 * center_km * near_station,
        0.11 * np.sin(x / 2.6) * np.cos(y / 3.1),
        0.06 * np.sin((x + y) / 1.7),
        0.22 * np.exp(-homes["distance_water_km"] / 0.8) * (homes["flood_risk_pct"] < 10),
        -0.012 * loud * (1 + 0.05 * homes["balcony_m2"]),
        0.03 * (homes["school_score"] - 6) * (homes["bedrooms"] >= 3),
        -0.0035 * np.maximum(homes["crime_per_1000"] - 40, 0) * (1 - 0.5 * homes["has_alarm"]),
        0.02 * np.minimum(homes["floor"], 10.0) * np.isin(homes["view"], ["water", "skyline"]),
        0.07 * parking * np.exp(-center_km / 5),
        0.04 * np.isin(homes["orientation"], ["S", "SW"]),
    ]
    return sum(effects, start=np.asarray(-0.055 * (1 - 0.05 * years) * center_km))


def _with_gaps(rng: np.random.Generator, homes: Columns) -> Columns:
    """Leave out values as sellers do: at random, and more often in old buildings."""
    gaps = {"energy_kwh_m2": 0.2, "lot_area_m2": 0.1, "ceiling_height_m": 0.3, "wall_thickness_cm": 0.4}
    gaps |= {"roof_age_years": 0.35, "boiler_age_years": 0.3, "sun_hours": 0.25, "storage_m2": 0.15}
    gaps |= {"energy_class": 0.15, "window_glazing": 0.1, "view": 0.05, "agent_rating": 0.4}
    old = homes["year_built"] < 1960
    result = dict(homes)
    for name, share in gaps.items():
        missing = rng.random(len(old)) < share * np.where(old, 1.5, 0.8)
        gap: Any = None if homes[name].dtype == object else np.nan
        result[name] = np.where(missing, gap, homes[name])
    return result


def _pick(
    rng: np.random.Generator, rows: int, names: list[str], weights: list[int] | None = None
) -> np.ndarray:
    share = None if weights is None else np.array(weights) / sum(weights)
    return np.array(names, dtype=object)[rng.choice(len(names), rows, p=share)]


def _value(names: np.ndarray, values: Mapping[str, float]) -> np.ndarray:
    return sum((value * (names == name) for name, value in values.items()), start=np.zeros(len(names)))


def _arrow(values: np.ndarray) -> pa.Array:
    if values.dtype == object:
        return pa.array(values, type=pa.string())
    if values.dtype == np.float64:
        return pa.array(values.astype("float32"), from_pandas=True)
    return pa.array(values)


def _write(table: pa.Table, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        pq.write_table(table, temporary, compression="zstd")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path

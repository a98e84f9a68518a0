"""`hpo prices`: show the price table, and fetch today's figures from AWS."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hpo_tasks.cli.places import own_prices, price_table
from hpo_tasks.cli.terminal import print_json, say, show
from hpo_tasks.errors import HpoError, InputError, RefusedError, UnavailableError
from hpo_tasks.prices.refresh import Refreshed, known_types, refresh
from hpo_tasks.prices.table import PriceTable, document, load_prices, read_prices
from hpo_tasks.report import money

PRICING_REGION = "us-east-1"
"""The Pricing API answers in few regions, about all of them."""


def show_prices(region: str, beginning: str, *, as_json: bool) -> None:
    """Print the types whose names begin with `beginning`.

    Raises:
        InputError: there are none.
    """
    prices = price_table()
    names = [
        *prices.machines,
        *(name for name in prices.prices.get(region, {}) if name not in prices.machines),
    ]
    chosen = [name for name in names if name.startswith(beginning)]
    if not chosen:
        raise InputError(f"no machine type begins with {beginning!r}; `hpo prices show` lists all")
    if as_json:
        print_json([money.price_document(prices, region, name) for name in chosen])
        return
    show(money.prices_table(prices, region, chosen))
    say(f"USD per hour in {region}; {money.UNVERIFIED} = unverified: `hpo prices update` asks AWS")


def update(region: str, *, as_json: bool) -> None:
    """Fetch the figures of a region and write them into the user's own price file. Figures of their own stay.

    Raises:
        InputError: the file is not JSON, so that it may hold comments that would get lost.
        RefusedError, UnavailableError: what AWS says.
    """
    target = own_prices()
    if target.suffix != ".json":
        raise InputError(
            f"HPO_PRICES: {target} would be overwritten with JSON: name a file that ends in .json"
        )
    kept = read_prices(target) if target.exists() else PriceTable(version=1)
    found = _ask_aws(kept.over(load_prices()), region)
    _write(target, kept.of_source("own").over(found.table.over(kept)))
    count = len(found.table.prices[region])
    if as_json:
        print_json({"file": str(target), "region": region, "prices": count, "missing": list(found.missing)})
        return
    say(f"{target}: {count} prices of {region}")
    if found.missing:
        say(f"not offered there, older figures stay: {', '.join(found.missing)}")


def _ask_aws(prices: PriceTable, region: str) -> Refreshed:
    import boto3  # noqa: PLC0415 - seconds, for this command alone

    from hpo_tasks.trial.s3_errors import BOTO_ERRORS  # noqa: PLC0415 - see above

    try:
        return refresh(
            known_types(prices),
            region,
            pricing=boto3.client("pricing", region_name=PRICING_REGION),
            ec2=boto3.client("ec2", region_name=region),
            now=datetime.now(UTC),
        )
    except BOTO_ERRORS as error:
        raise _explained(error) from None


def _explained(error: Any) -> HpoError:
    from botocore import exceptions as boto  # noqa: PLC0415 - see above

    if isinstance(error, boto.ClientError):
        code = error.response.get("Error", {}).get("Code", "")
        needs = "pricing:GetProducts, ec2:DescribeSpotPriceHistory"
        return RefusedError(f"{error.operation_name}: AWS refuses: {code} (the command needs {needs})")
    if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError):
        return RefusedError(
            "no complete AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret"
        )
    return UnavailableError(f"AWS does not answer: {error}")


def _write(target: Path, prices: PriceTable) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.write_text(json.dumps(document(prices), indent=1) + "\n", encoding="utf-8")
    temporary.replace(target)

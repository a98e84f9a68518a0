"""The commands of `hpo` and their options. What they do is in the modules beside."""

# ruff: noqa: PLC0415 - each command imports what it needs, so that `hpo --help` and `hpo validate` are quick
# ruff: noqa: FBT002, PLR0913, PLR0917 - an option is a parameter with a default, and a flag is a bool: typer's way

import os
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from hpo_tasks.errors import InputError

app = typer.Typer(
    name="hpo",
    help="Hyperparameter studies as Airflow DAGs. Exit codes: 0 ok, 1 failed, 2 the input is wrong.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(name="data", help="Generate the input files of the examples.", no_args_is_help=True)
app.add_typer(data_app)
prices_app = typer.Typer(
    name="prices", help="What machines cost: the price table and its refresh.", no_args_is_help=True
)
app.add_typer(prices_app)
infra_app = typer.Typer(
    name="infra", help="The AWS resources of a deployment: one CloudFormation stack.", no_args_is_help=True
)
app.add_typer(infra_app)

Study = Annotated[
    str,
    typer.Argument(
        metavar="STUDY",
        help="The study: its id or the start of it, name, DAG id, DAG_ID/RUN_ID, or `latest`.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON to standard output, and nothing else there.")]
Region = Annotated[str, typer.Option(help="AWS region.", metavar="REGION")]
Deployment = Annotated[
    str, typer.Argument(metavar="DEPLOYMENT", help="The same as HPO_DEPLOYMENT of the Airflow that uses it.")
]
Prefix = Annotated[str, typer.Option(help="First part of every resource's name.")]
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD")]


@app.command()
def validate(
    specs: Annotated[list[Path], typer.Argument(metavar="SPEC...", help="Study files.")],
    as_json: Json = False,
) -> None:
    """Check study files; print every problem at once."""
    from hpo_tasks.cli.validate import validate as check

    raise typer.Exit(0 if check(specs, as_json=as_json) else 2)


@app.command()
def check(
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="The study file.")], as_json: Json = False
) -> None:
    """Ask AWS and the object store whether they will take the study; nothing is started."""
    from hpo_tasks.cli.check import check as ask

    raise typer.Exit(0 if ask(spec, as_json=as_json) else 2)


@app.command()
def run(
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="The study file.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change a field for this run: budget.trials=20. Repeatable."
        ),
    ] = None,
    epoch: Annotated[
        int | None, typer.Option(min=0, help="Number of the run's study, as in the trigger form.")
    ] = None,
    note: Annotated[str | None, typer.Option(help="Text that is kept with the study.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Wait for the end and show the result.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one line of JSON.")] = False,
) -> None:
    """Run a study and follow it to its end.

    It runs on the embedded Airflow, which is started if none runs. If a run of the study is unfinished, attaches to it.
    Ctrl-C leaves the run going and exits with 130. Exits with 0 only if the study is complete.
    """
    from hpo_tasks.cli.run import Wish, read_conf
    from hpo_tasks.cli.run import run as run_study

    wish = Wish(spec, read_conf(overrides or [], epoch, note))
    raise typer.Exit(run_study(wish, follow=follow, as_json=as_json))


@app.command()
def up(
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = None,
    as_json: Json = False,
) -> None:
    """Start the embedded Airflow with its UI."""
    from hpo_tasks.cli.terminal import print_json, say
    from hpo_tasks.flow.embedded import control
    from hpo_tasks.flow.embedded.home import embedded_home

    if port is not None:
        os.environ["HPO_PORT"] = str(port)
    running = control.start(embedded_home(), progress=say)
    if port not in (None, running.port):
        say(f"it runs already, on port {running.port}")
    if as_json:
        print_json({"url": running.url, "pid": running.pid, "port": running.port})
    else:
        typer.echo(running.url)


@app.command()
def down() -> None:
    """Stop the embedded Airflow. Unfinished runs go on with the next start."""
    from hpo_tasks.cli.terminal import say
    from hpo_tasks.flow.embedded import control
    from hpo_tasks.flow.embedded.home import embedded_home

    say("stopped" if control.stop(embedded_home()) else "no embedded Airflow runs")


@app.command()
def studies(
    dag: Annotated[str | None, typer.Option(help="Only studies of this DAG.", metavar="DAG_ID")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    as_json: Json = False,
) -> None:
    """List studies, newest first."""
    from hpo_tasks.cli import reading
    from hpo_tasks.cli.places import places

    reading.studies(places(), dag_id=dag, limit=limit, as_json=as_json)


@app.command()
def status(study: Study, as_json: Json = False) -> None:
    """Show one study: state, progress, best so far, failures."""
    from hpo_tasks.cli import reading
    from hpo_tasks.cli.places import places

    reading.status(places(), study, as_json=as_json)


@app.command()
def trials(
    study: Study,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV, one column per parameter and objective.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List all trials of a study."""
    from hpo_tasks.cli import reading
    from hpo_tasks.cli.places import places

    if as_csv and as_json:
        raise InputError("--csv, --json: give one of them")
    reading.trials(places(), study, format="csv" if as_csv else "json" if as_json else "table")


@app.command()
def best(study: Study, as_json: Json = False) -> None:
    """Show a study's best configuration and where its model lies. Exits with 1 if there is none yet."""
    from hpo_tasks.cli import reading
    from hpo_tasks.cli.places import places

    raise typer.Exit(0 if reading.best(places(), study, as_json=as_json) else 1)


@app.command()
def export(
    study: Study,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write to; made if missing.")],
    force: Annotated[
        bool, typer.Option("--force", help="Replace an earlier export there; other files stay.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a study into a folder: spec, trials, summary, best model, logs."""
    from hpo_tasks.cli.export import export as write
    from hpo_tasks.cli.places import places
    from hpo_tasks.cli.terminal import print_json, say

    written = write(places(), study, folder, force=force)
    if as_json:
        print_json(written)
    else:
        say("{folder}: {trials} trials, {model_files} model files, {logs} logs".format_map(written))


@app.command()
def prune(
    study: Annotated[str | None, typer.Option(help="Only this study.", metavar="STUDY")] = None,
    dag: Annotated[str | None, typer.Option(help="Only studies of this DAG.", metavar="DAG_ID")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; delete nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Delete what each study's `keep` lets go.

    That is models and checkpoints (`keep.models`) or the whole study (`keep.days`), of every study, one, or a DAG's.
    """
    from hpo_tasks.cli.places import places
    from hpo_tasks.cli.prune import prune as apply

    if study and dag:
        raise InputError("--study, --dag: give one of them")
    apply(places(), reference=study, dag_id=dag, dry_run=dry_run, as_json=as_json)


@app.command()
def plan(
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="The study file.")],
    options: Annotated[
        Path, typer.Option("--options", metavar="PLAN", help="Machines to compare and measured trial times.")
    ],
    as_json: Json = False,
) -> None:
    """Forecast a study's time and dollars on several choices of machines, and recommend one.

    Exits with 1 if no choice has a price.
    """
    from hpo_tasks.cli.plan import plan as compare

    raise typer.Exit(0 if compare(spec, options, as_json=as_json) else 1)


@prices_app.command("show")
def show_prices(
    beginning: Annotated[
        str, typer.Argument(metavar="[TYPE]", help="Machine type or the start of it: m5, ml.g5.")
    ] = "",
    region: Region = "us-east-1",
    as_json: Json = False,
) -> None:
    """List machine types with their prices."""
    from hpo_tasks.cli import prices

    prices.show_prices(region, beginning, as_json=as_json)


@prices_app.command("update")
def update_prices(region: Region = "us-east-1", as_json: Json = False) -> None:
    """Fetch a region's prices from AWS.

    Writes them into your own price file: HPO_PRICES, or prices.json in HPO_HOME.
    """
    from hpo_tasks.cli import prices

    prices.update(region, as_json=as_json)


@data_app.callback()
def _data() -> None:
    """Keeps `house_prices` a command of its own, though it is the only one yet."""


@data_app.command("house_prices")
def house_prices(
    start: Day = None,
    end: Day = None,
    days: Annotated[int | None, typer.Option(min=1, max=3660, help="How many days; default 3.")] = None,
    as_json: Json = False,
) -> None:
    """Write the dated tables of house_prices.

    By default those of the three days before today, which last night's data interval needs.
    """
    from hpo_tasks.cli.data import house_prices as write
    from hpo_tasks.cli.terminal import print_json

    paths = [str(path) for path in write(_day(start), _day(end), days)]
    if as_json:
        print_json(paths)
    else:
        typer.echo("\n".join(paths))


@infra_app.command("deploy")
def infra_deploy(
    deployment: Deployment,
    vpc: Annotated[str | None, typer.Option(help="Network of the machines.", metavar="VPC_ID")] = None,
    subnet: Annotated[
        list[str] | None, typer.Option(help="Subnet of the machines. Repeatable.", metavar="SUBNET_ID")
    ] = None,
    image: Annotated[str | None, typer.Option(help="Image of the trials.", metavar="URI")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="A parameter of the template: SpotMaxvCpus=512. Repeatable."
        ),
    ] = None,
    prefix: Prefix = "hpo",
    as_json: Json = False,
) -> None:
    """Create or update the stack; print what a study file needs of it.

    An update keeps what is not named. Account and region are those of the environment, as for the `aws` command.
    """
    from hpo_tasks.cli import infra

    values = infra.parameters(settings or [], vpc=vpc, subnets=subnet or [], image=image)
    infra.deploy(prefix, deployment, values, as_json=as_json)


@infra_app.command("show")
def infra_show(deployment: Deployment, prefix: Prefix = "hpo", as_json: Json = False) -> None:
    """Print what a study file needs of the stack."""
    from hpo_tasks.cli import infra

    infra.show(prefix, deployment, as_json=as_json)


@infra_app.command("destroy")
def infra_destroy(deployment: Deployment, prefix: Prefix = "hpo") -> None:
    """Delete the stack. Refuses while jobs or instances are alive, or the bucket holds something."""
    from hpo_tasks.cli import infra

    infra.destroy(prefix, deployment)


def _day(moment: datetime | None) -> date | None:
    return None if moment is None else moment.date()

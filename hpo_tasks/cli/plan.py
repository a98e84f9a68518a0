"""`hpo plan`: what a study would take and cost on each choice of machines."""

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from hpo_tasks.cli.places import Places, find_study, open_ledger, places, price_table, store_of
from hpo_tasks.cli.terminal import print_json, say, show
from hpo_tasks.errors import Problem, SpecError
from hpo_tasks.flow.steps.pin import read_pin
from hpo_tasks.report import money
from hpo_tasks.report.text import plain
from hpo_tasks.spec import StudySpec, load
from hpo_tasks.spec.plan_file import Measured, PlanFile, load_plan
from hpo_tasks.study.machine_choice import StudyPlan, forecast, recommend
from hpo_tasks.study.records import TrialRecord
from hpo_tasks.study.trial_times import MeasuredTimes


def plan(spec_file: Path, options_file: Path, *, as_json: bool) -> bool:
    """Print the forecasts and the recommendation. Returns whether there is one."""
    spec, options = load(spec_file), load_plan(options_file)
    measured = [_measured(item, index, options_file.name) for index, item in enumerate(options.measured)]
    prices = price_table()
    study = _study_plan(spec, options)
    deadline_s = spec.budget.wall_clock_s if options.deadline_s is None else options.deadline_s
    forecasts = [forecast(study, choice, measured, prices) for choice in options.machines]
    recommendation = recommend(forecasts, deadline_s)
    if as_json:
        facts = {"study": spec.name, "trials": study.trials, "batch_size": study.batch_size}
        print_json(
            money.plan_document(
                {**facts, "region": study.region, "deadline_s": deadline_s}, forecasts, recommendation
            )
        )
    else:
        show(money.forecasts_table(forecasts, recommendation.forecast if recommendation else None))
        if recommendation is not None:
            lines = [f"{recommendation.forecast.name}: {recommendation.reason}", *recommendation.compared]
            show(
                Text(""),
                Text(plain(lines[0]), style="green"),
                *(Text(f"  {plain(each)}") for each in lines[1:]),
            )
    if recommendation is None:
        say("no choice has a forecast with a price: the notes say what is missing")
    return recommendation is not None


def _study_plan(spec: StudySpec, options: PlanFile) -> StudyPlan:
    return StudyPlan(
        trials=spec.budget.trials if options.trials is None else options.trials,
        batch_size=spec.batch_size,
        resources=spec.trial.resources,
        region=options.region,
        round_overhead_s=options.round_overhead_s,
        startup_s=options.startup_s,
        parallel_share=options.parallel_share,
    )


def _measured(item: Measured, index: int, source: str) -> MeasuredTimes:
    """The measured times, looked up in the study database if they are those of an earlier study.

    Raises:
        SpecError: that study has no complete trial, or does not say with how many threads they ran.
    """
    if item.seconds is not None and item.threads is not None:
        return MeasuredTimes(item.threads, item.seconds, item.machine)
    seconds, threads = _of_study(places(), str(item.study))
    field = f"measured[{index}]"
    if not seconds:
        raise SpecError([Problem(f"{field}.study", "no trial of this study is complete")], source=source)
    if item.threads is None and (threads is None or threads < 1):
        raise SpecError(
            [
                Problem(
                    f"{field}.threads", "missing: the study does not say with how many threads its trials ran"
                )
            ],
            source=source,
        )
    return MeasuredTimes(item.threads or threads or 1, seconds, item.machine)


def _of_study(where: Places, reference: str) -> tuple[tuple[float, ...], int | None]:
    """Durations of a study's complete trials, in the order in which they started, and the threads that it asked for."""
    with open_ledger(where) as ledger:
        header = ledger.study(find_study(ledger, reference)).header
        trials = ledger.trials(header.study_id)
    pin = read_pin(store_of(header, where), header.study_id)
    return _durations_s(trials), None if pin is None else pin.spec.trial.resources.threads


def _durations_s(trials: Sequence[TrialRecord]) -> tuple[float, ...]:
    """Failed and stopped trials say little about how long a whole one takes."""
    ordered = sorted(trials, key=lambda trial: (trial.round, trial.slot))
    return tuple(
        trial.duration_s for trial in ordered if trial.state in ("complete", "pruned") and trial.duration_s
    )

"""How rounds repeat with the Airflow at hand, and how many there may be. Light: the `hpo` command uses it too."""

import os

from hpo_tasks.errors import Problem, SpecError
from hpo_tasks.spec import MAX_ROUNDS, StudySpec, planned_max_rounds

UNROLL = "HPO_UNROLL_ROUNDS"
MAX_UNROLLED_ROUNDS = 50
"""Every task process parses its DAG, and Airflow keeps a row for each task of a run: 50 rounds are 150 tasks."""


def has_loops() -> bool:
    """Whether rounds repeat in a task loop: Airflow offers it (3.4) and `HPO_UNROLL_ROUNDS=1` does not forbid it."""
    if os.environ.get(UNROLL) == "1":
        return False
    import airflow.sdk

    return hasattr(airflow.sdk, "LoopDecision")


def most_rounds() -> int:
    """How many rounds a DAG may have here: a loop costs nothing before it runs, an unrolled round does."""
    return MAX_ROUNDS if has_loops() else MAX_UNROLLED_ROUNDS


def with_rounds(spec: StudySpec, *, source: str = "") -> StudySpec:
    """The study with the number of rounds that its DAG has here made explicit.

    Raises:
        SpecError: it needs more than there may be; names `max_rounds` or `budget.trials`, and `source`.
    """
    rounds = planned_max_rounds(spec)
    if (
        rounds > MAX_UNROLLED_ROUNDS
    ):  # else it does not matter what this Airflow can do, and to ask takes a second
        most = most_rounds()
        check_rounds(spec, most, source=source)
        rounds = planned_max_rounds(spec, most=most)
    return spec.model_copy(update={"max_rounds": rounds})


def check_rounds(spec: StudySpec, most: int, *, source: str = "") -> None:
    """Refuse a study that asks for more rounds than there are.

    Args:
        spec: the study.
        most: rounds that the DAG has, or may have.
        source: name of the study's file for the message.

    Raises:
        SpecError: names `max_rounds` or `budget.trials`.
    """
    problems = []
    if spec.max_rounds is not None and spec.max_rounds > most:
        problems.append(Problem("max_rounds", f"must be at most {most}{_why(most)}, got {spec.max_rounds}"))
    trials = most * spec.batch_size
    if spec.budget.trials > trials:
        problems.append(
            Problem(
                "budget.trials",
                f"must be at most {trials} ({most} rounds of {spec.batch_size}){_why(most)}, "
                f"got {spec.budget.trials}; raise batch_size",
            )
        )
    if problems:
        raise SpecError(problems, source=source)


def _why(most: int) -> str:
    if most == MAX_UNROLLED_ROUNDS and not has_loops():
        return f" where rounds are unrolled (in a loop, from Airflow 3.4 on, {MAX_ROUNDS})"
    return " in this DAG"

"""How much is run: trials and rounds."""

from collections.abc import Iterator

from hpo_tasks.errors import Problem
from hpo_tasks.spec.form import planned_max_rounds
from hpo_tasks.spec.model import MAX_ROUNDS, StudySpec


def budget_problems(spec: StudySpec) -> Iterator[Problem]:
    """The budget fits into the rounds that the DAG has."""
    rounds = planned_max_rounds(spec)
    most = rounds * spec.batch_size
    if spec.budget.trials > most:
        remedy = "raise batch_size" if rounds == MAX_ROUNDS else "raise max_rounds or batch_size"
        yield Problem(
            "budget.trials",
            f"must be at most {most} ({rounds} rounds of batch_size {spec.batch_size}), got {spec.budget.trials}: {remedy}",
        )

"""Samplers that learn: an in-memory Optuna study built from the history, thrown away after the batch.

Imports Optuna: never import this from a DAG file.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from hpo_tasks.spec.model import FixedParameter, Objective, Parameter, Scalar, StudySpec
from hpo_tasks.study import samplers
from hpo_tasks.study.records import TrialRecord
from hpo_tasks.study.space import Configuration, Space

TEACHES: frozenset[str] = frozenset({"user_error", "oom", "timeout"})
"""Failures that the configuration itself causes, so the sampler is to keep away. `infra`, `interrupted` and `stopped`
say nothing about it."""

SAMPLER_DRAWS = 10
"""How often the sampler may redraw a slot; some (GP) would propose the same point for ever."""

MOMENT = datetime(2000, 1, 1)  # noqa: DTZ001 - Optuna wants a naive time; no sampler looks at it

CONSTRAINT_ATTR = "constraints:"
"""Prefix of the trial attributes in which Optuna keeps outcome constraints; <= 0 means kept."""


class _Shown(FrozenTrial):
    """A trial of the history. Nobody changes it, so the in-memory storage need not copy it, which takes seconds."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Shown":
        return self


class AdaptiveDraws:
    """Draws from a sampler that learns from the history; used for one batch.

    Trials handed out stay RUNNING in the in-memory study, so that samplers spread the batch (constant liar).
    """

    def __init__(
        self,
        spec: StudySpec,
        space: Space,
        seed: int,
        history: Sequence[TrialRecord],
        study_attrs: Mapping[str, Any],
    ) -> None:
        self._space = space
        self._distributions = {
            name: samplers.distribution(p)
            for name, p in spec.search.items()
            if not isinstance(p, FixedParameter)
        }
        self._before = dict(study_attrs)
        sampler = samplers.build(spec.optimizer, seed, conditional=space.conditional)
        storage = optuna.storages.InMemoryStorage()
        with samplers.quiet():
            self._study = optuna.create_study(
                directions=[objective.direction for objective in spec.objective],
                sampler=sampler,
                storage=storage,
            )
            for key, value in study_attrs.items():
                storage.set_study_system_attr(self._study._study_id, key, value)  # noqa: SLF001 - no public way
            for trial in as_sampler_sees_it(history, spec.objective, self._distributions):
                storage.create_new_trial(self._study._study_id, trial)  # noqa: SLF001 - add_trial validates again

    def draw(self, given: Configuration) -> Iterator[tuple[Configuration, dict[str, Any]]]:
        """Yield configurations with the sampler's attributes; asking for the next one rejects the last."""
        for _ in range(SAMPLER_DRAWS):
            trial, params = self._ask(given)
            yield params, self._attrs(trial)
            # A failed trial is invisible to samplers: they redraw as if it had not been.
            self._study.tell(trial, state=TrialState.FAIL)

    def adopt(self, params: Configuration) -> dict[str, Any]:
        """Let the sampler know of a configuration that it did not draw. Returns its attributes for the trial."""
        trial, _ = self._ask(params)
        return self._attrs(trial)

    def changed_study_attrs(self) -> dict[str, Any]:
        """What the sampler wrote beside the trials (NSGA-II: parents of each generation)."""
        after = self._study._storage.get_study_system_attrs(self._study._study_id)  # noqa: SLF001 - no public way
        return {key: value for key, value in after.items() if self._before.get(key) != value}

    def _ask(self, given: Configuration) -> tuple[Trial, Configuration]:
        with samplers.quiet():
            if given:
                self._study.enqueue_trial({n: v for n, v in given.items() if n in self._distributions})
            trial = self._study.ask()

            def suggest(name: str, parameter: Parameter) -> Scalar:
                del parameter
                value: Scalar = trial._suggest(name, self._distributions[name])  # noqa: SLF001 - suggest_* by type
                return value

            return trial, self._space.walk(suggest)

    def _attrs(self, trial: Trial) -> dict[str, Any]:
        stored = self._study.get_trials(deepcopy=False)[trial.number].system_attrs
        return {key: value for key, value in stored.items() if key != "fixed_params"}


def as_sampler_sees_it(
    history: Sequence[TrialRecord], objectives: Sequence[Objective], distributions: Mapping[str, Any]
) -> Iterator[FrozenTrial]:
    """The history as trials of an in-memory study, all of it, so that numbers do not shift.

    Failures that teach are shown as complete with the worst value and the worst excess over each threshold so far;
    the record keeps them as failed.
    """
    worst = worst_values(history, objectives)
    excess = worst_violations(history)
    for number, record in enumerate(history):
        params = {name: value for name, value in record.params.items() if name in distributions}
        state, values, violations = _shown(record, objectives, worst, excess)
        yield _Shown(
            number=number,
            trial_id=number,
            state=state,
            value=None,
            values=values,
            datetime_start=MOMENT,
            datetime_complete=MOMENT if state.is_finished() else None,
            params=params,
            distributions={name: distributions[name] for name in params},
            user_attrs={},
            system_attrs={
                **record.sampler_attrs,
                **{f"{CONSTRAINT_ATTR}{name}": value for name, value in violations.items()},
            },
            intermediate_values={0: values[0]} if state == TrialState.PRUNED and values else {},
        )


def _shown(
    record: TrialRecord,
    objectives: Sequence[Objective],
    worst: list[float] | None,
    excess: Mapping[str, float],
) -> tuple[TrialState, list[float] | None, Mapping[str, float]]:
    match record.state:
        case "complete" if record.values is not None:
            return TrialState.COMPLETE, [record.values[o.metric] for o in objectives], record.violations
        case "pruned":
            known = record.values and [record.values[o.metric] for o in objectives]
            return TrialState.PRUNED, known or None, record.violations
        case "failed" if record.cls in TEACHES and worst is not None:
            return TrialState.COMPLETE, worst, excess
        case "failed":
            return TrialState.FAIL, None, {}
        case _:
            return TrialState.RUNNING, None, {}


def worst_values(history: Sequence[TrialRecord], objectives: Sequence[Objective]) -> list[float] | None:
    """The worst value so far of each objective; None if no trial is complete."""
    known = [record.values for record in history if record.state == "complete" and record.values is not None]
    if not known:
        return None
    return [
        (max if o.direction == "minimize" else min)(values[o.metric] for values in known) for o in objectives
    ]


def worst_violations(history: Sequence[TrialRecord]) -> dict[str, float]:
    """The largest excess over each threshold so far."""
    excess: dict[str, float] = {}
    for record in history:
        for name, value in record.violations.items():
            excess[name] = max(value, excess.get(name, value))
    return excess

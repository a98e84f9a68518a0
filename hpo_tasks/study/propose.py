"""What to try next: a pure function of the history before the round. The same input gives the same batch.

Imports Optuna: never import this from a DAG file.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

from hpo_tasks.errors import InputError, Problem, SpecError
from hpo_tasks.spec.model import FixedParameter, FloatParameter, Scalar, StudySpec
from hpo_tasks.spec.search_space import check_point
from hpo_tasks.study import sequences
from hpo_tasks.study.adaptive import SAMPLER_DRAWS, AdaptiveDraws
from hpo_tasks.study.records import Source, TrialRecord
from hpo_tasks.study.space import Configuration, Space, key_of

RANDOM_DRAWS = 10_000
"""Random draws before a space that is too large to enumerate is said to hold nothing that satisfies the constraints."""


@dataclass(frozen=True, slots=True)
class History:
    """What earlier rounds left behind.

    Attributes:
        trials: of all earlier rounds, ordered by round and slot.
        study_attrs: what samplers kept beside the trials.
    """

    trials: Sequence[TrialRecord] = ()
    study_attrs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Proposal:
    """One configuration to try.

    Attributes:
        params: active parameters in the order of the search space, fixed ones included.
        source: where it came from.
        sampler_attrs: what the sampler wants to find with the trial later.
    """

    params: Configuration
    source: Source
    sampler_attrs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Proposals:
    """A batch.

    Attributes:
        batch: in slot order.
        study_attrs: what the sampler changed beside the trials.
        exhausted: the batch is shorter than asked for, as there is no other configuration.
    """

    batch: tuple[Proposal, ...] = ()
    study_attrs: Mapping[str, Any] = field(default_factory=dict)
    exhausted: bool = False


Found = tuple[Configuration, Mapping[str, Any]]
"""A configuration with the sampler's attributes for its trial."""


class _Draws(Protocol):
    """Where candidates for a slot come from; AdaptiveDraws learns, _Sequence does not."""

    def draw(self, given: Configuration) -> Iterator[Found]:
        """Yield a limited number of candidates that hold the given values."""

    def adopt(self, params: Configuration) -> Mapping[str, Any]:
        """Take note of a configuration from elsewhere; returns the sampler's attributes for its trial."""

    def changed_study_attrs(self) -> Mapping[str, Any]:
        """What is to be kept beside the trials."""


def propose(
    spec: StudySpec,
    seed: int,
    history: History,
    count: int,
    initial: Sequence[Mapping[str, Scalar]] = (),
) -> Proposals:
    """Propose a round's batch.

    No configuration is proposed twice. Initial configurations come first; what they leave out is sampled.

    Args:
        spec: the pinned spec.
        seed: of the round, see `identity.round_seed`.
        history: what earlier rounds left behind.
        count: how many to propose.
        initial: configurations to try first, `previous_best` already replaced by parameters.

    Raises:
        InputError: no configuration satisfies the constraints, or the sampler cannot be had.
        SpecError: an initial configuration is not in the space.
    """
    search = _search(spec, seed, history)
    source: Source = "grid" if spec.optimizer.sampler == "grid" else "sampler"
    batch: list[Proposal] = []
    for index, given in _initial_left(spec, initial, history.trials)[:count]:
        params, attrs = search.holding(given, f"initial[{index}]")
        batch.append(Proposal(params, "initial", attrs))
    while len(batch) < count and (found := search.next()) is not None:
        batch.append(Proposal(found[0], source, found[1]))
    return Proposals(tuple(batch), search.draws.changed_study_attrs(), exhausted=len(batch) < count)


def _search(spec: StudySpec, seed: int, history: History) -> "_Search":
    space = Space.of(spec)
    tried = {key_of(trial.params) for trial in history.trials}
    optimizer = spec.optimizer
    generator = random.Random(f"{seed} beside the sampler")  # noqa: S311 - a search, not a secret
    everything: list[Configuration] | None = None
    draws: _Draws
    # Grid and quasi-random sequences go on from round to round, so they take the study's seed, not the round's.
    match optimizer.sampler:
        case "grid":
            everything = sequences.grid(space, optimizer.seed)
            draws = _Sequence(space, iter(everything), len(everything), generator)
        case "qmc":
            points = sequences.qmc(space, optimizer.seed, optimizer.options)
            draws = _Sequence(space, points, len(history.trials) + RANDOM_DRAWS, generator)
        case "random":
            draws = _Sequence(space, sequences.uniform(space, seed), SAMPLER_DRAWS, generator)
        case _:
            draws = AdaptiveDraws(spec, space, seed, history.trials, history.study_attrs)
    return _Search(space, draws, tried, generator, everything)


def _initial_left(
    spec: StudySpec, initial: Sequence[Mapping[str, Scalar]], history: Sequence[TrialRecord]
) -> list[tuple[int, Configuration]]:
    """Initial configurations that earlier rounds did not hand out, with their place in the list."""
    distinct: dict[bytes, tuple[int, Configuration]] = {}
    for index, point in enumerate(initial):
        if problems := check_point(spec, point):
            raise SpecError([Problem(f"initial[{index}].{p.field}".rstrip("."), p.message) for p in problems])
        searched = {
            name: _as_searched(spec, name, value)
            for name, value in point.items()
            if not _is_fixed(spec, name)
        }
        distinct.setdefault(key_of(searched), (index, searched))
    return list(distinct.values())[sum(trial.source == "initial" for trial in history) :]


def _as_searched(spec: StudySpec, name: str, value: Scalar) -> Scalar:
    """The value in the parameter's own type: a float may be written `1`."""
    return float(value) if isinstance(spec.search[name], FloatParameter) and isinstance(value, int) else value


def _is_fixed(spec: StudySpec, name: str) -> bool:
    return isinstance(spec.search.get(name), FixedParameter)


@dataclass
class _Sequence:
    """Draws from a sequence that does not learn.

    Attributes:
        points: the sequence, consumed from slot to slot.
        limit: most candidates to look at for one slot.
        generator: for what partial configurations leave open; that does not use up the sequence.
    """

    space: Space
    points: Iterator[Configuration]
    limit: int
    generator: random.Random

    def draw(self, given: Configuration) -> Iterator[Found]:
        seed = self.generator.getrandbits(32)
        points = sequences.uniform(self.space, seed, given) if given else self.points
        return ((params, {}) for params in islice(points, self.limit))

    def adopt(self, params: Configuration) -> Mapping[str, Any]:
        del params
        return {}

    def changed_study_attrs(self) -> Mapping[str, Any]:
        return {}


@dataclass
class _Search:
    """Finds configurations that satisfy the constraints and were not tried yet.

    Attributes:
        everything: all feasible configurations, once they were needed; None if they cannot be written out.
    """

    space: Space
    draws: _Draws
    tried: set[bytes]
    generator: random.Random
    everything: list[Configuration] | None = None

    def next(self) -> Found | None:
        """The next configuration; None if the space is exhausted."""
        found = self._find({})
        # Without constraints every draw is allowed, so all that were drawn have been tried.
        if found is None and not self.everything and self.space.constraints:
            raise InputError(self._unsatisfiable())
        return found

    def holding(self, given: Configuration, name: str) -> Found:
        """A configuration that holds the given values, one that was tried before if there is no other."""
        found = self._find(given)
        if found is None and (again := self._first(self._elsewhere(given), repeat=True)) is not None:
            found = again, self.draws.adopt(again)
        if found is None:
            raise InputError(f"{name}: {self._unsatisfiable()}")
        return found

    def _find(self, given: Configuration) -> Found | None:
        for params, attrs in self.draws.draw(given):
            if self._accepts(params):
                return params, attrs
        elsewhere = self._first(self._elsewhere(given))
        return None if elsewhere is None else (elsewhere, self.draws.adopt(elsewhere))

    def _elsewhere(self, given: Configuration) -> Iterator[Configuration]:
        """Where to look when the sampler finds nothing: all that is left, if that can be written out, in random order."""
        if self.everything is None and self.space.finite:
            self.everything = self.space.enumerate()
        if self.everything is None:
            return islice(sequences.uniform(self.space, self.generator.getrandbits(32), given), RANDOM_DRAWS)
        fitting = [params for params in self.everything if given.items() <= params.items()]
        return iter(self.generator.sample(fitting, len(fitting)))

    def _first(self, candidates: Iterator[Configuration], *, repeat: bool = False) -> Configuration | None:
        return next((params for params in candidates if self._accepts(params, repeat=repeat)), None)

    def _accepts(self, params: Configuration, *, repeat: bool = False) -> bool:
        key = key_of(params)
        if not self.space.allows(params) or (key in self.tried and not repeat):
            return False
        self.tried.add(key)
        return True

    def _unsatisfiable(self) -> str:
        texts = " and ".join(constraint.text for constraint in self.space.constraints)
        looked = (
            "no configuration"
            if self.everything is not None
            else f"none of {RANDOM_DRAWS:,} random configurations"
        )
        return f"constraints: {looked} satisfies {texts}; loosen them or change the ranges in `search`"

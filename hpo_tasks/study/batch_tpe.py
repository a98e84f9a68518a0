"""Optuna's TPE for a batch: the same proposals, without looking at the whole history again for each of them.

Imports Optuna: never import this from a DAG file.

Source of the algorithm: Bergstra et al., Algorithms for Hyper-Parameter Optimization (2011), and Watanabe,
Tree-Structured Parzen Estimator (2023), as `optuna.samplers.TPESampler` has it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.samplers._tpe import _truncnorm
from optuna.samplers._tpe import sampler as optuna_tpe
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from scipy.special import log_ndtr

SearchSpace = dict[str, BaseDistribution]

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True, slots=True)
class _Observed:
    """Values that trials took, of those that have all parameters of a search space.

    Attributes:
        numbers: of the trials, ascending.
        values: parameter → internal representation, as long as `numbers`.
    """

    numbers: Sequence[int]
    values: dict[str, np.ndarray]


@dataclass(slots=True)
class _Split:
    """The finished trials, which do not change during a batch, and what was made of them.

    Attributes:
        below, above: the good ones and the others, by number.
        good: search space's names → density of the good ones.
        others: search space's names → what the others took.
    """

    below: list[FrozenTrial]
    above: list[FrozenTrial]
    good: dict[tuple[str, ...], Any] = field(default_factory=dict)
    others: dict[tuple[str, ...], _Observed] = field(default_factory=dict)


class BatchTPESampler(TPESampler):
    """Asks a study whose finished trials stay as they are: only running ones come and go.

    With 10,000 finished trials Optuna's own sampler looks at each of them a dozen times for one proposal.
    """

    _split: _Split | None = None
    _relative: SearchSpace | None = None

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> SearchSpace:
        """Optuna's port: follows from the finished trials alone."""
        if self._relative is None:
            self._relative = super().infer_relative_search_space(study, trial)
        return self._relative

    def _sample(self, study: Study, trial: FrozenTrial, search_space: SearchSpace) -> dict[str, Any]:
        with _vectorised_log_ndtr():
            good = self._good(study, search_space)
            others = self._parzen_estimator_cls(
                self._others(study, trial, search_space), search_space, self._parzen_estimator_parameters
            )
            candidates = good.sample(self._rng.rng, self._n_ei_candidates)
            merit = self._compute_acquisition_func(candidates, good, others)
        best = self._compare(candidates, merit)
        return {name: each.to_external_repr(best[name]) for name, each in search_space.items()}

    def _split_of(self, study: Study) -> _Split:
        if self._split is None:
            finished = study._get_trials(deepcopy=False, states=FINISHED)  # noqa: SLF001 - no public way without copies
            below, above = optuna_tpe._split_trials(study, finished, self._good_count(study)(len(finished)))  # noqa: SLF001
            self._split = _Split(below, above)
        return self._split

    def _good_count(self, study: Study) -> Callable[[int], int]:
        if self._gamma is not None:
            return self._gamma
        several = len(study.directions) > 1
        return optuna_tpe.default_gamma_multiobjective if several else optuna_tpe.default_gamma

    def _good(self, study: Study, search_space: SearchSpace) -> Any:
        """Density of the good trials."""
        split, names = self._split_of(study), tuple(search_space)
        if names not in split.good:
            split.good[names] = self._build_parzen_estimator(
                study, search_space, split.below, handle_below=True
            )
        return split.good[names]

    def _others(self, study: Study, trial: FrozenTrial, search_space: SearchSpace) -> dict[str, np.ndarray]:
        """What the others took, and the running trials of the batch: they count as bad, so that the batch spreads."""
        split, names = self._split_of(study), tuple(search_space)
        if names not in split.others:
            split.others[names] = self._observed(split.above, search_space, study)
        others = split.others[names]
        if not self._constant_liar:
            return others.values
        running = study._get_trials(deepcopy=False, states=(TrialState.RUNNING,))  # noqa: SLF001 - see above
        liars = self._observed([each for each in running if each.number != trial.number], search_space, study)
        # Older trials weigh less, so their order counts.
        order = np.argsort([*others.numbers, *liars.numbers], kind="stable")
        return {name: np.append(others.values[name], liars.values[name])[order] for name in names}

    def _observed(self, trials: Sequence[FrozenTrial], search_space: SearchSpace, study: Study) -> _Observed:
        complete = [each for each in trials if search_space.keys() <= self._get_params(each, study).keys()]
        return _Observed(
            [each.number for each in complete], self._get_internal_repr(complete, search_space, study)
        )


@contextmanager
def _vectorised_log_ndtr() -> Iterator[None]:
    """Optuna computes this function value by value in Python; SciPy has it for arrays, a hundred times as fast."""
    slow = _truncnorm._log_ndtr  # noqa: SLF001 - there is no other way in
    _truncnorm._log_ndtr = log_ndtr  # noqa: SLF001
    try:
        yield
    finally:
        _truncnorm._log_ndtr = slow  # noqa: SLF001

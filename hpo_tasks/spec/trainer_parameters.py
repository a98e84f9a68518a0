"""Which search parameters the built-in trainers' models take, so that a typing error is found before the night.

The names are those of the locked libraries; a test compares them.
"""

from collections.abc import Iterator, Mapping

from hpo_tasks.errors import Problem
from hpo_tasks.spec.model import CategoricalParameter, FixedParameter, FloatParameter, IntParameter, StudySpec
from hpo_tasks.spec.sentences import nearest, shown

TRAIN_SAMPLES = "train_samples"
"""A search parameter of this name is the number of training rows, not a parameter of the model."""

_XGBOOST = frozenset(
    {
        *("alpha", "base_score", "booster", "colsample_bylevel", "colsample_bynode"),
        *("colsample_bytree", "device", "early_stopping_rounds", "eta", "feature_selector"),
        *("feature_weights", "gamma", "grow_policy", "huber_slope", "importance_type"),
        *("interaction_constraints", "lambda", "learning_rate", "max_bin", "max_cached_hist_node"),
        *("max_cat_threshold", "max_cat_to_onehot", "max_delta_step", "max_depth", "max_leaves"),
        *("min_child_weight", "min_split_loss", "monotone_constraints", "multi_strategy"),
        *("n_estimators", "normalize_type", "num_parallel_tree", "objective", "one_drop"),
        *("quantile_alpha", "random_state", "rate_drop", "refresh_leaf", "reg_alpha", "reg_lambda"),
        *("sample_type", "sampling_method", "scale_pos_weight", "skip_drop", "subsample", "top_k"),
        *("tree_method", "tweedie_variance_power", "updater", "validate_parameters", "verbosity"),
    }
)
_FOREST = frozenset(
    {
        *("bootstrap", "ccp_alpha", "class_weight", "criterion", "max_depth", "max_features"),
        *("max_leaf_nodes", "max_samples", "min_impurity_decrease", "min_samples_leaf"),
        *("min_samples_split", "min_weight_fraction_leaf", "monotonic_cst", "n_estimators"),
        *("oob_score", "random_state"),
    }
)

KNOWN: Mapping[str, frozenset[str]] = {
    "xgboost": _XGBOOST,
    "random_forest": _FOREST,
}

# Set by the trainer → where the user says it instead.
TAKEN: Mapping[str, str] = {
    "n_jobs": "trial.resources.threads",
    "nthread": "trial.resources.threads",
    "eval_metric": "objective.metric",
    "enable_categorical": "text columns, which are categories",
    "feature_types": "text columns, which are categories",
    "missing": "empty cells",
    "callbacks": "trial.options.early_stopping_rounds",
    "warm_start": "n_estimators",
    "verbose": "the trial's log",
}

_MIN_ROWS = 2


def parameter_problems(spec: StudySpec) -> Iterator[Problem]:
    """Search parameters of a trainer: known to its model, and not set twice."""
    trainer = spec.trial.trainer
    if trainer is None:
        return
    known = [*sorted(KNOWN[trainer]), TRAIN_SAMPLES]
    for name in spec.search:
        if name in TAKEN:
            yield Problem(f"search.{name}", f"is set by the trainer: use {TAKEN[name]}")
        elif name not in known:
            near = nearest(name, known)
            hint = f", did you mean `{near}`?" if near else ""
            yield Problem(f"search.{name}", f"{trainer} has no parameter of this name{hint}")
        elif name in spec.trial.options:
            yield Problem(f"trial.options.{name}", "is a search parameter too: keep one of them")
    if TRAIN_SAMPLES in spec.search:
        yield from _row_problems(spec.search[TRAIN_SAMPLES])


def _row_problems(
    rows: FloatParameter | IntParameter | CategoricalParameter | FixedParameter,
) -> Iterator[Problem]:
    field = f"search.{TRAIN_SAMPLES}"
    match rows:
        case FloatParameter():
            yield Problem(f"{field}.type", "must be int: it is the number of training rows, got float")
        case IntParameter(low=low) if low < _MIN_ROWS:
            yield Problem(
                f"{field}.low", f"must be at least {_MIN_ROWS}: it is the number of training rows, got {low}"
            )
        case CategoricalParameter(choices=values):
            wrong = [value for value in values if not _is_row_count(value)]
            yield from (
                Problem(field, f"is the number of training rows, got {shown(value)}") for value in wrong[:1]
            )
        case FixedParameter(value=value) if not _is_row_count(value):
            yield Problem(field, f"is the number of training rows, got {shown(value)}")


def _is_row_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= _MIN_ROWS

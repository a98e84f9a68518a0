"""What a user writes: the study file and its one validator."""

from hpo_tasks.spec.constraint import Constraint, compile_constraint
from hpo_tasks.spec.form import RUN_FIELDS, FormField, form_fields, planned_max_rounds
from hpo_tasks.spec.identity import canonical, changed_identity, digest, identity_digest
from hpo_tasks.spec.inputs import render_inputs
from hpo_tasks.spec.model import MAX_ROUNDS, StudySpec
from hpo_tasks.spec.overrides import apply, parse_override
from hpo_tasks.spec.remarks import remarks
from hpo_tasks.spec.rules.trust import Trust
from hpo_tasks.spec.search_space import active, check_point, is_active, search_order
from hpo_tasks.spec.validate import load, parse, validate

__all__ = [
    "MAX_ROUNDS",
    "RUN_FIELDS",
    "Constraint",
    "FormField",
    "StudySpec",
    "Trust",
    "active",
    "apply",
    "canonical",
    "changed_identity",
    "check_point",
    "compile_constraint",
    "digest",
    "form_fields",
    "identity_digest",
    "is_active",
    "load",
    "parse",
    "parse_override",
    "planned_max_rounds",
    "remarks",
    "render_inputs",
    "search_order",
    "validate",
]

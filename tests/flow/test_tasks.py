"""What a run's conf may change of its study, by deployment."""

import pytest

from hpo_tasks.errors import SpecError
from hpo_tasks.flow.tasks import spec_of_run
from tests.flow.steps.conftest import SPEC, spec_with

DEFAULTS = {
    "budget.trials": 4,
    "batch_size": 2,
    "optimizer.sampler": "tpe",
    "optimizer.seed": 0,
    "epoch": 0,
    "note": "",
}


def without_rounds(spec):
    """A form may not add rounds to the DAG, so their number becomes explicit."""
    return spec.model_copy(update={"max_rounds": None})


@pytest.fixture(params=["", "1"])
def anywhere(request, monkeypatch):
    """On an Airflow that others use, and on the embedded one."""
    monkeypatch.setenv("HPO_ALLOW_LOCAL_ADHOC", request.param)


@pytest.fixture
def embedded(monkeypatch):
    monkeypatch.setenv("HPO_ALLOW_LOCAL_ADHOC", "1")


def test_the_form_as_it_is_changes_nothing(anywhere):
    """Airflow hands over every field with its default."""
    assert without_rounds(spec_of_run(spec_with(), DEFAULTS)) == spec_with()


def test_the_forms_fields_are_applied(anywhere):
    """And nothing else."""
    changed = spec_of_run(spec_with(), DEFAULTS | {"budget.trials": 6, "optimizer.seed": 9})
    assert without_rounds(changed) == spec_with(budget={"trials": 6}, optimizer={"seed": 9})


@pytest.mark.parametrize("key", ["budget.trails", "trial.command", "store", "trial.secrets"])
def test_what_is_no_field_of_the_form_is_refused(key, monkeypatch):
    """Airflow accepts unknown keys in a run's conf; the validator does not."""
    monkeypatch.delenv("HPO_ALLOW_LOCAL_ADHOC", raising=False)
    with pytest.raises(SpecError, match=key):
        spec_of_run(spec_with(), DEFAULTS | {key: "x"})


def test_an_import_path_never_comes_from_a_form(anywhere):
    """Not even where whoever triggers owns the machine."""
    with pytest.raises(SpecError, match="import paths"):
        spec_of_run(spec_with(), DEFAULTS | {"optimizer.sampler": "os:system"})


def test_on_the_embedded_airflow_other_fields_may_be_set(embedded):
    """`hpo run --set trial.attempts=1`."""
    assert spec_of_run(spec_with(), DEFAULTS | {"trial.attempts": 1}).trial.attempts == 1


def test_s3_prefixes_hold_for_overrides_too(embedded, monkeypatch):
    """HPO_ALLOWED_S3 is the deployment's word, whoever asks."""
    monkeypatch.setenv("HPO_ALLOWED_S3", "s3://good/")
    with pytest.raises(SpecError, match="s3://good"):
        spec_of_run(spec_with(), DEFAULTS | {"store": {"uri": "s3://bad/x"}})


def test_a_study_from_a_form_runs_on_the_workers_only_if_the_deployment_allows(monkeypatch):
    """hpo_adhoc with backend local."""
    monkeypatch.delenv("HPO_ALLOW_LOCAL_ADHOC", raising=False)
    with pytest.raises(SpecError, match=r"backend\.type"):
        spec_of_run(None, {"study": SPEC, "epoch": 0, "note": ""})
    monkeypatch.setenv("HPO_ALLOW_LOCAL_ADHOC", "1")
    assert spec_of_run(None, {"study": SPEC, "epoch": 0, "note": ""}) == spec_with()


def test_adhoc_takes_the_study_alone(embedded):
    """A field beside it would silently do nothing."""
    with pytest.raises(SpecError, match="budget"):
        spec_of_run(None, {"study": SPEC, "epoch": 0, "note": "", "budget.trials": 3})


def test_no_run_chooses_its_pool(anywhere):
    """The DAG's tasks have theirs already: another one in the conf would silently do nothing."""
    with pytest.raises(SpecError, match="pool"):
        spec_of_run(spec_with(), DEFAULTS | {"pool": "gpu"})
    with pytest.raises(SpecError, match="pool"):
        spec_of_run(None, {"study": {**SPEC, "pool": "gpu"}, "epoch": 0, "note": ""})

"""Where trials run: what a study on a cloud may say, and the very line for what it may not."""

import pytest
from small_study import document

from hpo_tasks.errors import SpecError
from hpo_tasks.spec import Trust, validate

BATCH = {"type": "batch", "job_queue": "hpo-queue", "job_definition": "hpo-trial:3"}
MISTAKES = [
    ({"backend": {**BATCH, "type": "bacth"}}, 'backend.type: must be one of local, batch, got "bacth", did you mean `batch`?'),
    ({"backend": {"job_queue": "q"}}, "backend.type: missing: must be one of local, batch"),
    ({"backend": "batch"}, 'backend: must be a mapping (key: value), got "batch"'),
    ({"backend": {**BATCH, "job_queu": "q"}}, "backend.job_queu: unknown field, did you mean `job_queue`?"),
    ({"backend": {"type": "batch", "job_queue": "q"}}, "backend.job_definition: missing"),
    ({"backend": {**BATCH, "job_queue": "aws_batch; drop"}}, 'backend.job_queue: must be a name or an ARN, got "aws_batch; drop"'),
    ({"backend": {**BATCH, "region": "Frankfurt"}}, 'backend.region: must be a region such as eu-west-1, got "Frankfurt"'),
    ({"backend": {**BATCH, "slots": 1001}}, "backend.slots: must be at most 1000, got 1001"),
    ({"backend": {**BATCH, "queue_timeout": "soon"}}, "backend.queue_timeout: "),
    ({"backend": BATCH, "store": "/tmp/hpo"}, "store: must be s3://bucket/prefix with backend batch: its jobs reach no folder of this machine"),
    ({"backend": BATCH, "trials_per_task": 2}, "trials_per_task: is for trials on the Airflow machine: with backend batch each has a job"),
    (
        {"backend": BATCH, "trial": {"command": ["a"], "resources": {"threads": -1}}},
        "trial.resources.threads: must be at least 1 with backend batch: it is what the job asks for",
    ),
    (
        {"backend": BATCH, "trial": {"command": ["a"], "inputs": {"train": "/data/train.csv"}}},
        'trial.inputs.train: must lie on S3 with backend batch, got "/data/train.csv"',
    ),
    (
        {"backend": BATCH, "trial": {"command": ["a"], "secrets": {"KEY": {"connection": "c"}}}},
        "trial.secrets: is for trials on the Airflow machine: with backend batch put them into the job definition",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "expected"), MISTAKES)
def test_a_mistake_is_told_in_one_line(changes, expected):
    with pytest.raises(SpecError) as raised:
        validate(document(**changes), trust=Trust.FILE)
    assert [line for line in str(raised.value).splitlines() if line.startswith(expected)], str(raised.value)


def test_a_queue_and_a_job_definition_are_enough():
    spec = validate(document(backend=BATCH, store="s3://bucket/hpo"), trust=Trust.FILE)
    assert spec.backend.slots == 1
    assert spec.backend.queue_timeout_s == 6 * 3600


def test_a_form_names_no_connection():
    """Its credentials may reach further than those of whoever triggers."""
    backend = {**BATCH, "connection": "admin"}
    with pytest.raises(
        SpecError, match=r"backend\.connection: a connection may be chosen in a study file only"
    ):
        validate(document(backend=backend), trust=Trust.FORM)


def test_a_form_may_train_on_batch():
    """What `backend: local` may not: nothing of it runs on the Airflow machine."""
    assert validate(document(backend=BATCH), trust=Trust.FORM).backend.type == "batch"

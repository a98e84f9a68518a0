"""Secrets on the local backend: they travel in the environment of the job's processes and are nowhere else."""

import hashlib
import uuid
from pathlib import Path

import pytest
from trials import holding, until

from hpo_tasks.backends.base import JobStatus
from hpo_tasks.errors import InputError
from hpo_tasks.flow.steps.connections import MAX_SECRET_BYTES
from hpo_tasks.trial.contract import encode_request

CANARY = f"canary-{uuid.uuid4().hex}"  # not that of another run of these tests on this host
DIGEST = hashlib.sha256(CANARY.encode()).hexdigest()
PROGRAM = f"""#!/bin/sh
echo "key=$API_KEY" "$(env | grep -c HPO_SECRET)"
[ -z "$WAIT" ] || {{ echo up; while [ ! -e "$WAIT" ]; do sleep 0.05; done; }}
[ "$(printf %s "$API_KEY" | sha256sum)" = "{DIGEST}  -" ] && echo '{{"loss": 1}}' > "$HPO_METRICS"
"""


class Vault:
    """Hands out the canary, and knows for what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, names):
        self.asked.append(names)
        return dict.fromkeys(names, CANARY)


@pytest.fixture
def vault():
    return Vault()


@pytest.fixture
def backend(make_backend, isolate, vault):
    return make_backend(isolate=isolate, secrets=vault)


def ended(backend, request):
    until(lambda: backend.poll([request.job])[request.job].state == "ended", "the job has ended")


def environments(text):
    """Processes of this host that have the text in their arguments, and those that have it in their environment."""
    found = {"cmdline": [], "environ": []}
    for process in Path("/proc").glob("[0-9]*"):
        for kind, pids in found.items():
            try:
                if text.encode() in (process / kind).read_bytes():
                    pids.append(int(process.name))
            except OSError:
                continue
    return found


def test_a_value_is_in_no_file_while_and_after_the_trial_runs(study, backend, isolate):
    go = study.folder / "go"
    request = study.request([study.program("t.sh", PROGRAM)], secrets=("API_KEY",), env={"WAIT": str(go)})
    backend.submit(request)
    assert CANARY.encode() not in encode_request(request)
    until(lambda: "up" in backend.log_tail(request.job), "the program is up")
    assert backend.log_tail(request.job) == "key=*** 0\nup\n"
    assert holding(study.folder, CANARY) == []
    processes = environments(CANARY)
    assert processes["cmdline"] == []
    assert len(processes["environ"]) >= 1  # its program
    go.touch()
    ended(backend, request)
    outcome = study.outcome(request)
    assert (outcome.cls, outcome.values, outcome.log_tail) == ("complete", {"loss": 1.0}, "key=*** 0\nup\n")
    assert backend.log_tail(request.job) == "key=*** 0\nup\n"
    assert holding(study.folder, CANARY) == []
    until(lambda: environments(CANARY)["environ"] == [], "no process has it any more")


def test_secrets_are_read_when_a_job_starts_and_only_then(study, backend, vault):
    """Not for a trial that names none, not by who adopts a job."""
    program = [study.program("t.sh", PROGRAM)]
    plain, request = study.request(program, slot=1), study.request(program, secrets=("API_KEY",))
    for each in (plain, request, request):
        backend.submit(each)
    for each in (plain, request):
        ended(backend, each)
    backend.submit(request)
    assert vault.asked == [("API_KEY",)]
    assert (study.outcome(plain).cls, study.outcome(request).cls) == ("user_error", "complete")


def test_a_job_whose_secrets_cannot_be_read_is_not_started(study, make_backend, isolate, vault):
    """And can be submitted again, once they can."""

    def refuse(names):
        raise InputError(f"{names[0]}: no password")

    request = study.request([study.program("t.sh", PROGRAM)], secrets=("API_KEY",))
    broken = make_backend(isolate=isolate, secrets=refuse)
    with pytest.raises(InputError, match="API_KEY: no password"):
        broken.submit(request)
    assert broken.poll([request.job])[request.job] == JobStatus("unknown")
    again = make_backend(isolate=isolate, secrets=vault)
    again.submit(request)
    ended(again, request)
    assert study.outcome(request).cls == "complete"


def test_a_job_that_got_no_value_is_worth_another_attempt(study, make_backend, isolate):
    request = study.request(["true"], secrets=("API_KEY",))
    backend = make_backend(isolate=isolate)
    backend.submit(request)
    ended(backend, request)
    outcome = study.outcome(request)
    assert (outcome.cls, outcome.reason) == ("infra", "trial.secrets: the runner was started without API_KEY")


def test_as_many_and_as_long_secrets_as_are_allowed_reach_the_program(study, make_backend, isolate):
    names = tuple(f"KEY_{number}" for number in range(100))
    backend = make_backend(
        isolate=isolate, secrets=lambda names: dict.fromkeys(names, "x" * MAX_SECRET_BYTES)
    )
    look = f"#!/bin/sh\n[ ${{#KEY_99}} = {MAX_SECRET_BYTES} ] && echo '{{\"loss\": 1}}' > $HPO_METRICS\n"
    request = study.request([study.program("t.sh", look)], secrets=names)
    backend.submit(request)
    ended(backend, request)
    assert study.outcome(request).cls == "complete"

"""What a study must have recorded, whatever was killed on the way: computed again in this process, undisturbed."""

from datetime import UTC, datetime

from hpo_tasks.spec import load
from hpo_tasks.study.ledger import Ledger
from hpo_tasks.study.plan import Finished, next_batch
from hpo_tasks.study.records import StudyHeader
from hpo_tasks.trial.contract import Outcome, params_sha256


def undisturbed(airflow, stem, study):
    """Values by (round, slot) of the same study when nothing is killed: the same spec, seed and study id."""
    spec = load(airflow.studies / f"{stem}.json")
    ledger = Ledger(f"sqlite:///{airflow.dags.parent}/{study}.db")
    ledger.create(
        StudyHeader(
            study,
            "reference",
            f"hpo_{stem}",
            "reference",
            0,
            "reference",
            "identity",
            spec.objective,
            store="",
        )
    )
    for round_ in range(10):
        plan = next_batch(spec, ledger.trials(study), round_=round_, open_elapsed_s=0.0, max_rounds=10)
        if isinstance(plan, Finished):
            break
        now = datetime.now(UTC).isoformat()
        ledger.tell(
            study,
            [
                Outcome(
                    study, round_, row.slot, 1, "complete", "digest", params_sha256(row.params),
                    values={"loss": loss(**row.params)}, started_at=now, ended_at=now, duration_s=0.1,
                )
                for row in ledger.ask(study, spec, round_, plan.count)
            ],
        )  # fmt: skip
    return values(ledger, study)


def values(ledger, study):
    """The recorded losses by (round, slot)."""
    return {(trial.round, trial.slot): trial.values["loss"] for trial in ledger.trials(study)}


def loss(x, y):
    """What programs/train.py computes."""
    return (x - 0.3) ** 2 + (y + 0.5) ** 2


def lines(airflow, study, event):
    """Lines of the trainer's ledger about one study."""
    return [line for line in airflow.trained() if line["event"] == event and line["HPO_STUDY"] == study]

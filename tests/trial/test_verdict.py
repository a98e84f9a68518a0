"""How an attempt's end is classified."""

import pytest

from hpo_tasks.trial.escalation import Escalation, Push
from hpo_tasks.trial.metrics import Reports
from hpo_tasks.trial.verdict import Ending, judge

GOOD = {"loss": 0.5, "size": 3, "extra": 1}


def judged(ending: Ending, report: dict | None = None):
    reports = Reports()
    reports.add(GOOD if report is None else report)
    return judge(ending, reports, objectives=["loss"], thresholds=["size"])


def test_complete_has_the_objectives_as_values_and_the_rest_as_metrics():
    verdict = judged(Ending(0))
    assert (verdict.cls, verdict.reason) == ("complete", "")
    assert (verdict.values, verdict.metrics) == ({"loss": 0.5}, {"size": 3.0, "extra": 1.0})


@pytest.mark.parametrize(
    ("ending", "report", "cls", "said"),
    [
        (Ending(0), {}, "user_error", "no value for metric loss"),
        (Ending(0), {"loss": 1}, "user_error", "no value for metric size"),
        (Ending(0), {"loss": float("nan"), "size": 1}, "user_error", "value of metric loss is nan"),
        (
            Ending(None, start_error="cannot start x: not found"),
            GOOD,
            "user_error",
            "cannot start x: not found",
        ),
        (Ending(3), GOOD, "user_error", "exit code 3"),
        (Ending(1, message="ValueError: no"), GOOD, "user_error", "ValueError: no"),
        (Ending(-11), GOOD, "user_error", "killed by SIGSEGV"),
        (Ending(-6), GOOD, "user_error", "killed by SIGABRT"),
        (Ending(-64), GOOD, "user_error", "killed by SIGRTMAX"),
        (Ending(139), GOOD, "user_error", "exit code 139"),
        (Ending(-9), GOOD, "infra", "killed by SIGKILL from outside"),
        (Ending(137), GOOD, "infra", "killed by SIGKILL from outside"),
        (Ending(-15), GOOD, "interrupted", "ended by SIGTERM"),
        (Ending(143), GOOD, "interrupted", "ended by SIGTERM"),
        (Ending(-9, kernel_oom_kills=1), GOOD, "oom", "the kernel killed"),
        (Ending(1, kernel_oom_kills=1), GOOD, "oom", "the kernel killed"),
        (Ending(-9, cause="oom", because="2 GiB"), GOOD, "oom", "2 GiB"),
        (Ending(-9, cause="timeout", because="30 s"), GOOD, "timeout", "30 s"),
        (Ending(0, cause="timeout", because="30 s"), GOOD, "timeout", "30 s"),
        (Ending(0, cause="stopped", because="budget"), GOOD, "stopped", "budget"),
        (Ending(0, cause="interrupted", because="SIGTERM"), GOOD, "interrupted", "SIGTERM"),
    ],
)
def test_classes(ending, report, cls, said):
    verdict = judged(ending, report)
    assert (verdict.cls, dict(verdict.values)) == (cls, {})
    assert said in verdict.reason


def test_what_a_stopped_program_reported_is_kept_as_metrics():
    assert judged(Ending(0, cause="stopped")).metrics == {"loss": 0.5, "size": 3.0, "extra": 1.0}


def test_a_kernel_oom_kill_of_a_helper_does_not_spoil_a_program_that_ended_well():
    assert judged(Ending(0, kernel_oom_kills=1)).cls == "complete"


def pushes(moments: list[tuple[float, dict]], **limits) -> tuple[list[Push], str | None]:
    watched = Escalation(
        **({"timeout_s": 100.0, "grace_s": 10.0, "memory_bytes": 1000, "started": 0.0} | limits)
    )
    calm = {"resident_bytes": 0, "stop": False, "terminated": False}
    return [watched.next_push(now, **(calm | seen)) for now, seen in moments], watched.cause


NOTHING, ASK, TERM, KILL = Push.NOTHING, Push.ASK, Push.TERM, Push.KILL
STOP, TERMINATED, FULL = {"stop": True}, {"terminated": True}, {"resident_bytes": 1001}


@pytest.mark.parametrize(
    ("moments", "expected", "cause"),
    [
        ([(1, {}), (99.9, {})], [NOTHING, NOTHING], None),
        ([(100, {}), (105, {}), (110, {})], [TERM, NOTHING, KILL], "timeout"),
        ([(1, {"resident_bytes": 1000}), (2, FULL)], [NOTHING, KILL], "oom"),
        (
            [(1, STOP), (5, STOP), (11, STOP), (15, STOP), (21, STOP)],
            [ASK, NOTHING, TERM, NOTHING, KILL],
            "stopped",
        ),
        ([(1, TERMINATED), (5, TERMINATED), (11, TERMINATED)], [TERM, NOTHING, KILL], "interrupted"),
        ([(1, STOP), (3, STOP | TERMINATED), (13, STOP | TERMINATED)], [ASK, TERM, KILL], "stopped"),
        ([(99, STOP), (100, STOP), (109, STOP)], [ASK, NOTHING, TERM], "stopped"),
        ([(100, {}), (101, STOP | TERMINATED), (110, {})], [TERM, NOTHING, KILL], "timeout"),
        ([(1, STOP), (2, STOP | FULL)], [ASK, KILL], "stopped"),
        ([(1, FULL | STOP | TERMINATED)], [KILL], "oom"),
    ],
)
def test_how_hard_a_program_is_pushed(moments, expected, cause):
    assert pushes(moments) == (expected, cause)


def test_without_a_memory_limit_no_memory_is_too_much():
    assert pushes([(1, {"resident_bytes": 1 << 50})], memory_bytes=None) == ([NOTHING], None)


def test_the_next_moment_is_known_in_advance():
    watched = Escalation(timeout_s=100.0, grace_s=10.0, memory_bytes=None, started=5.0)
    calm = {"resident_bytes": 0, "terminated": False}
    moments = [watched.next_moment()]
    for now in (50.0, 60.0, 70.0):
        watched.next_push(now, stop=True, **calm)
        moments.append(watched.next_moment())
    assert moments == [105.0, 60.0, 70.0, 70.0]

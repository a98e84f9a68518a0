"""How long and how often a call is repeated."""

import pytest

from hpo_tasks.errors import RefusedError, UnavailableError
from hpo_tasks.trial.retries import FIRST_PAUSE_S, LONGEST_PAUSE_S, Retries


class FakeTime:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, pause: float) -> None:
        self.pauses.append(pause)
        self.now += pause


def retries(time: FakeTime, patience_s: float) -> Retries:
    return Retries(patience_s, clock=time.clock, sleep=time.sleep)


def test_pauses_double_up_to_a_limit_and_vary() -> None:
    time = FakeTime()
    with pytest.raises(UnavailableError):
        retries(time, 900).run(lambda: unavailable("down"))

    longest = [min(FIRST_PAUSE_S * 2**n, LONGEST_PAUSE_S) for n in range(len(time.pauses))]
    assert all(top / 2 <= pause <= top for pause, top in zip(time.pauses, longest, strict=True))
    assert len({pause / top for pause, top in zip(time.pauses, longest, strict=True)}) > 10


def test_patience_is_kept_but_not_exceeded() -> None:
    time = FakeTime()
    with pytest.raises(UnavailableError) as raised:
        retries(time, 900).run(lambda: unavailable("store is down"))

    assert 900 - LONGEST_PAUSE_S <= time.now - 1000 <= 900
    assert str(raised.value) == f"store is down (tried {len(time.pauses) + 1} times in 900 s)"


def test_success_ends_it() -> None:
    time = FakeTime()
    answers = iter([UnavailableError("one"), UnavailableError("two"), "done"])

    def call() -> str:
        answer = next(answers)
        if isinstance(answer, str):
            return answer
        raise answer

    assert retries(time, 900).run(call) == "done"
    assert len(time.pauses) == 2


def test_a_refusal_is_not_repeated() -> None:
    time = FakeTime()

    def refused() -> None:
        raise RefusedError("no permission")

    with pytest.raises(RefusedError, match="no permission"):
        retries(time, 900).run(refused)
    assert time.pauses == []


def test_no_patience_means_one_try() -> None:
    time = FakeTime()
    with pytest.raises(UnavailableError, match="tried 1 times in 0 s"):
        retries(time, 0).run(lambda: unavailable("down"))
    assert time.pauses == []


def unavailable(message: str) -> None:
    raise UnavailableError(message)

"""When a running program has to end, and how hard it is pushed. Pure decisions: the clock is an argument."""

import math
from dataclasses import dataclass
from enum import Enum
from typing import Literal

Cause = Literal["oom", "timeout", "stopped", "interrupted"]


class Push(Enum):
    """What to do to the program now."""

    NOTHING = "nothing"
    ASK = "ask"  # the file $HPO_STOP appears; the program may look at it
    TERM = "TERM"  # to its process group; $HPO_STOP too
    KILL = "KILL"  # everything it started


@dataclass(slots=True)
class Escalation:
    """Watches one program's limits.

    Attributes:
        timeout_s: seconds after `started` at which the program is ended.
        grace_s: seconds from ASK to TERM, and from TERM to KILL.
        memory_bytes: limit of the whole tree's resident memory, None without one.
        started: time at which the program started; any monotonic clock.
        cause: why the program is being ended: the first reason wins. None while it may run.
    """

    timeout_s: float
    grace_s: float
    memory_bytes: int | None
    started: float
    cause: Cause | None = None
    _term_at: float = math.inf
    _kill_at: float = math.inf

    def next_push(self, now: float, *, resident_bytes: int, stop: bool, terminated: bool) -> Push:
        """Decide.

        Args:
            now: the clock.
            resident_bytes: the tree's resident memory, as last measured.
            stop: the control plane asked the trial to stop.
            terminated: the runner itself got SIGTERM: its host or its job is going away.
        """
        if self.memory_bytes is not None and resident_bytes > self.memory_bytes:
            self.cause = self.cause or "oom"
            return Push.KILL  # at once: while it is given time it takes the memory of others
        if terminated:
            self.cause = self.cause or "interrupted"
            self._term_at = min(self._term_at, now)
        if self.cause is None and now >= self.started + self.timeout_s:
            self.cause = "timeout"
            self._term_at = now
        if self.cause is None and stop:
            self.cause = "stopped"
            self._term_at = now + self.grace_s
            return Push.ASK
        if now >= self._kill_at:
            return Push.KILL
        if now >= self._term_at and self._kill_at == math.inf:
            self._kill_at = now + self.grace_s
            return Push.TERM
        return Push.NOTHING

    def next_moment(self) -> float:
        """The time at which `next_push` may decide otherwise although nothing new was seen."""
        if self._kill_at < math.inf:
            return self._kill_at
        return min(self._term_at, math.inf if self.cause else self.started + self.timeout_s)

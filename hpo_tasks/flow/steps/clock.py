"""Moments that two processes compare. A clock that somebody sets must not end a trial early or let it run for ever."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment on two clocks of the host that read them.

    Attributes:
        unix_s: seconds since the epoch; jumps when the host's clock is set.
        boot, up_s: which boot of which host, and seconds since; does not jump. "" and 0 where the system has no such
            clock.
    """

    unix_s: float
    boot: str = ""
    up_s: float = 0.0

    @classmethod
    def now(cls) -> Self:
        """This host's."""
        try:
            boot = _BOOT_ID.read_text().strip()
        except OSError:  # not Linux
            return cls(time.time())
        return cls(time.time(), boot, time.clock_gettime(time.CLOCK_BOOTTIME))

    def after(self, seconds: float) -> Self:
        """The moment that many seconds later."""
        return replace(self, unix_s=self.unix_s + seconds, up_s=self.up_s + seconds)

    def has_come(self, now: "Moment") -> bool:
        """Whether it is `now` or before: by the clock that does not jump if both were read on the same host."""
        if self.boot and self.boot == now.boot:
            return now.up_s >= self.up_s
        return now.unix_s >= self.unix_s

"""Signals of the runner: SIGTERM is noted, and every signal wakes the loop that waits for the program."""

import os
import signal
from contextlib import suppress
from types import FrameType


class Signals:
    """Installed once, at the start of the runner, in its main thread.

    Attributes:
        terminated: SIGTERM or SIGINT has come.
        wakeup: descriptor that becomes readable with each signal, also when a child ends.
    """

    def __init__(self) -> None:
        self.terminated = False
        self.wakeup, self._write_end = os.pipe()
        for end in (self.wakeup, self._write_end):
            os.set_blocking(end, False)
        signal.signal(signal.SIGTERM, self._note)
        signal.signal(signal.SIGINT, self._note)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # a handler of any kind, or there is no wake-up
        signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)

    def drain(self) -> None:
        """Forget the wake-ups so far."""
        with suppress(BlockingIOError):
            while os.read(self.wakeup, 4096):
                pass

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.terminated = True

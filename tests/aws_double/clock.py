"""What happens later, and limits that run out faster than on AWS."""

import heapq
import itertools
import sys
import threading
import time
import traceback
from collections.abc import Callable


class Timer:
    """One action to come; `cancel` makes it not come."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._action: Callable[[], None] | None = action

    def cancel(self) -> None:
        self._action = None

    def fire(self) -> None:
        action, self._action = self._action, None
        if action is not None:
            action()


class Clock:
    """Calls actions later, on one daemon thread: `threading.Timer` would keep a dying server alive.

    Attributes:
        factor: how many times faster than on AWS limits (timeouts, keep-alive periods, dead-man timers) run out.
    """

    def __init__(self) -> None:
        self.factor = 1.0
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = itertools.count()
        self._changed = threading.Condition()
        threading.Thread(target=self._run, name="clock", daemon=True).start()

    def limit_s(self, seconds: float) -> float:
        """Real seconds after which a limit of so many AWS seconds has run out."""
        return seconds / self.factor

    def after(self, delay_s: float, action: Callable[[], None]) -> Timer:
        """Call `action` in `delay_s` real seconds; it must be quick."""
        timer = Timer(action)
        with self._changed:
            heapq.heappush(self._heap, (time.monotonic() + delay_s, next(self._count), timer))
            self._changed.notify()
        return timer

    def clear(self) -> None:
        """Nothing of what was to come will come."""
        with self._changed:
            for _, _, timer in self._heap:
                timer.cancel()
            self._heap.clear()

    def _run(self) -> None:
        while True:
            timer = self._next_due()
            try:
                timer.fire()
            except Exception:  # noqa: BLE001 - one bad action must not stop the others
                traceback.print_exc(file=sys.stderr)

    def _next_due(self) -> Timer:
        with self._changed:
            while True:
                now = time.monotonic()
                if self._heap and self._heap[0][0] <= now:
                    return heapq.heappop(self._heap)[2]
                self._changed.wait(self._heap[0][0] - now if self._heap else None)

"""One thread, many simulated processes: a seeded scheduler decides who runs next, and what goes wrong.

A process is a greenlet that runs the product's own synchronous code. Wherever that code talks to something outside
(store, database, backend, clock), the port calls `Scheduler.call` or `Scheduler.turn`, and there another process may
go first, the clock moves on, or a fault strikes. Nothing else is random, so one seed is one history.
"""

import heapq
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, NamedTuple, Protocol

from greenlet import greenlet

from hpo_tasks.errors import UnavailableError
from tests.simulator.faults import Faults

CALL_S = 0.01
"""How long a call takes when nothing goes wrong."""
MAX_TURNS = 100_000
"""More than any history needs: beyond it the study makes no progress."""


class Killed(BaseException):
    """SIGKILL. No `except Exception` stops it, and no port does anything for a process that is unwound by it."""


class Event(NamedTuple):
    """One line of a history."""

    at_s: float
    who: str
    what: str


class Environment(Protocol):
    """What acts beside the processes: Airflow, and the person who looks after it."""

    def act(self) -> bool:
        """Do the next thing that is due. False: there is none now."""

    def next_at_s(self) -> float | None:
        """When there will be something to do; None if that takes an event."""

    def disturb(self) -> None:
        """Strike with a fault of its own, if one is left."""


class Process:
    """A simulated operating system process.

    Attributes:
        name, host: for the history, and for what dies with the host.
        wake_at_s: it does not run before (it sleeps, or was stopped).
        on_term: what its signal handler for SIGTERM does.
        alive: it has not ended.
    """

    def __init__(
        self, name: str, host: str, body: Callable[[], Any], ended: Callable[["Process"], None]
    ) -> None:
        self.name = name
        self.host = host
        self.wake_at_s = 0.0
        self.on_term: Callable[[], None] = lambda: None
        self.alive = True
        self.killed = False
        self.result: Any = None
        self.error: Exception | None = None
        self._terminated = False
        self._body = body
        self._ended = ended
        self.greenlet = greenlet(self._main)

    def terminate(self) -> None:
        """SIGTERM: the handler runs when the process runs next."""
        self._terminated = True

    def resumed(self) -> None:
        """What happens in the process when it gets its turn."""
        if self.killed:
            raise Killed
        if self._terminated:
            self._terminated = False
            self.on_term()

    def end(self) -> None:
        """It is gone; tell who started it."""
        if self.alive:
            self.alive = False
            self._ended(self)

    def _main(self) -> None:
        try:
            self.resumed()
            self.result = self._body()
        except Killed:
            pass
        except Exception as error:  # noqa: BLE001 - whoever started it decides what it means
            self.error = error
        self.end()


class Scheduler:
    """Runs the processes of one history.

    Attributes:
        now_s: simulated seconds since the start.
        current: the process whose code runs; None in the scheduler itself.
        events: the history.
    """

    def __init__(self, seed: int, faults: Faults) -> None:
        self.random = Random(seed)
        self.faults = faults
        self.now_s = 0.0
        self.current: Process | None = None
        self.processes: list[Process] = []
        self.events: list[Event] = []
        self.turns = 0
        self._hub = greenlet.getcurrent()
        self._timers: list[tuple[float, int, str, Callable[[], Any]]] = []
        self._count = 0

    # What ports and processes use.

    def say(self, what: str) -> None:
        """Add a line to the history."""
        self.events.append(Event(self.now_s, self.current.name if self.current else "world", what))

    def turn(self) -> None:
        """Let others go first, perhaps. Raises Killed in a process that was killed meanwhile."""
        process = self.current
        assert process is not None, "only a process may wait"
        if process.killed:
            raise Killed
        self.now_s += CALL_S
        if self.random.random() >= self.faults.stickiness or process.wake_at_s > self.now_s:
            self._hub.switch()
        process.resumed()

    def sleep(self, seconds: float) -> None:
        """The process waits."""
        process = self.current
        assert process is not None
        process.wake_at_s = max(process.wake_at_s, self.now_s + seconds)
        self.turn()

    def call(self, what: str, service: str, effect: Callable[[], Any], *, repeatable: bool = False) -> Any:
        """A call over the network: others may act before it and between its effect and its reply.

        Args:
            what: for the history.
            service: whose outages concern it.
            effect: what it does.
            repeatable: it changes something, so that the network may deliver it late, or twice.

        Raises:
            UnavailableError: request or reply is lost; the caller cannot tell which.
        """
        self.turn()
        fate = self.faults.of_call(service, self.now_s, repeatable=repeatable)
        if fate != "arrives":
            return self._go_wrong(fate, what, service, effect)
        result = effect()
        self.events.append(Event(self.now_s, self.current.name, what))  # type: ignore[union-attr]
        self.turn()
        return result

    def _go_wrong(self, fate: str, what: str, service: str, effect: Callable[[], Any]) -> Any:
        self.say(f"{what}: {fate}")
        process = self.current
        assert process is not None
        match fate:
            case "process dies before":
                self.kill(process)
            case "process stops before":
                self.sleep(self.faults.pause_s())
                result = effect()
                self.say(f"{what} at last")
            case "arrives late":
                self.later(self.faults.delay_s(), what, effect)
            case "arrives twice":
                result = effect()
                self.later(self.faults.delay_s(), what, effect)
            case "reply is lost" | "process dies after" | "process stops after":
                result = effect()
        if fate == "process dies after":
            self.kill(process)
        if fate == "process stops after":
            self.sleep(self.faults.pause_s())
        if fate in ("request is lost", "reply is lost", "arrives late", "is down"):
            self.turn()
            raise UnavailableError(f"{service} does not answer")
        self.turn()
        return result

    def later(self, seconds: float, what: str, effect: Callable[[], Any]) -> None:
        """Let something happen without any process."""
        self._count += 1
        heapq.heappush(self._timers, (self.now_s + seconds, self._count, what, effect))

    # Processes.

    def start(
        self, name: str, host: str, body: Callable[[], Any], ended: Callable[[Process], None] = lambda _: None
    ) -> Process:
        """Start a process."""

        def gone(process: Process) -> None:
            self.processes.remove(process)
            ended(process)

        process = Process(name, host, body, gone)
        self.processes.append(process)
        return process

    def kill(self, process: Process) -> None:
        """SIGKILL. Returns unless the caller is the process itself."""
        if not process.alive:
            return
        process.killed = True
        self.events.append(Event(self.now_s, process.name, "dies"))
        if process is self.current:
            raise Killed
        if process.greenlet:
            with self._running(process):
                process.greenlet.throw(Killed)
        process.end()

    @contextmanager
    def _running(self, process: Process) -> Iterator[None]:
        before, self.current = self.current, process
        hub, self._hub = self._hub, greenlet.getcurrent()
        process.greenlet.parent = self._hub
        try:
            yield
        finally:
            self.current, self._hub = before, hub

    # The loop.

    def run(self, environment: Environment) -> bool:
        """Run until nothing is left to do. False: there is no end to it."""
        while self.turns < MAX_TURNS:
            self.turns += 1
            self._fire()
            environment.disturb()
            ready = [process for process in self.processes if process.wake_at_s <= self.now_s]
            # Not always at once: Airflow's scheduler takes its time.
            if (not ready or self.random.random() < 0.2) and environment.act():
                continue
            if ready:
                self._run(ready[int(self.random.random() * len(ready))])
            elif not self._pass_time(environment.next_at_s()):
                return True
        return False

    def _run(self, process: Process) -> None:
        with self._running(process):
            process.greenlet.switch()

    def _fire(self) -> None:
        while self._timers and self._timers[0][0] <= self.now_s:
            *_, what, effect = heapq.heappop(self._timers)
            self.say(f"{what}: arrives")
            effect()

    def _pass_time(self, environment_at_s: float | None) -> bool:
        moments = [process.wake_at_s for process in self.processes]
        moments += [self._timers[0][0]] if self._timers else []
        moments += [environment_at_s] if environment_at_s is not None else []
        if not moments:
            return False
        self.now_s = max(self.now_s, min(moments))
        return True

"""Calls that go wrong on demand: throttled, refused, answered late, carried out and then reported as failed, or lost."""

import json
import random
import re
import threading
from dataclasses import dataclass

from aws_double.calls import AwsError, Call

HTTP_OF_CODE = {"InternalFailure": 500, "InternalError": 500, "ServiceUnavailable": 503, "SlowDown": 503}


@dataclass
class Fault:
    """What is to happen to calls, and to which.

    Attributes:
        service, action: regular expressions for the whole name; case does not matter.
        matching: regular expression to be found in the call's parameters (as JSON); "" fits all.
        access_key: only calls with this key; "" fits all. Jobs have another key than the test.
        skip: how many fitting calls pass first.
        count: how many it happens to; None: all.
        share: of those, the share that it happens to, drawn with `seed`.
        code, message, status: the error; without a code the call is answered as ever.
        after: the call is carried out first.
        drop: no reply; the connection breaks.
        delay: seconds before the reply (before the act, unless `after`).
    """

    service: str = ".*"
    action: str = ".*"
    matching: str = ""
    access_key: str = ""
    skip: int = 0
    count: int | None = 1
    share: float = 1.0
    seed: int = 0
    code: str = ""
    message: str = "injected"
    status: int = 0
    after: bool = False
    drop: bool = False
    delay: float = 0.0

    def __post_init__(self) -> None:
        self._draw = random.Random(self.seed)

    def error(self) -> AwsError | None:
        if not self.code:
            return None
        return AwsError(self.code, self.message, self.status or HTTP_OF_CODE.get(self.code, 400))

    def fits(self, call: Call) -> bool:
        """Whether it happens to this call."""
        return (
            re.fullmatch(self.service, call.service, re.IGNORECASE) is not None
            and re.fullmatch(self.action, call.action, re.IGNORECASE) is not None
            and self.access_key in {"", call.access_key}
            and (not self.matching or re.search(self.matching, json.dumps(call.parameters)) is not None)
        )

    def takes(self) -> bool:
        """Whether it happens to the next fitting call; counts it."""
        if self.count == 0:
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self._draw.random() >= self.share:
            return False
        if self.count is not None:
            self.count -= 1
        return True


class Faults:
    """Those in force; the first that takes a call decides."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, *faults: Fault) -> None:
        with self._lock:
            self._faults.extend(faults)

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def take(self, call: Call) -> Fault | None:
        """What happens to this call."""
        with self._lock:
            return next((fault for fault in self._faults if fault.fits(call) and fault.takes()), None)

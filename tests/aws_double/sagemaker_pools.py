"""SageMaker's warm pools: machines that are kept for the next training job of the same kind."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aws_double.clock import Clock, Timer

LONGEST_KEEP_ALIVE_S = 3600


def pool_key(asked: Mapping[str, Any]) -> tuple[Any, ...]:
    """What two jobs must have in common for the second to run on the first one's machines."""
    resources = asked["ResourceConfig"]
    return (
        asked["RoleArn"],
        resources.get("InstanceCount"),
        resources.get("InstanceType"),
        resources.get("VolumeSizeInGB"),
        resources.get("VolumeKmsKeyId"),
        str(asked.get("VpcConfig")),
        bool(asked.get("EnableInterContainerTrafficEncryption")),
        bool(asked.get("EnableNetworkIsolation")),
    )


@dataclass(eq=False)
class Pool:
    """The machines that one job leaves behind, from that job's point of view.

    Attributes:
        status: InUse, Available, Reused or Terminated.
    """

    key: tuple[Any, ...]
    keep_alive_s: float
    status: str = "InUse"
    reused_by: str | None = None
    kept_since: float | None = None
    kept_s: float = 0.0
    _timer: Timer | None = None

    def keep(self, clock: Clock) -> None:
        """Its job has ended: wait for the next."""
        self.status, self.kept_since = "Available", time.time()
        self._timer = clock.after(clock.limit_s(self.keep_alive_s), self.release)

    def reuse(self, job_name: str) -> None:
        self._leave("Reused")
        self.reused_by = job_name

    def release(self) -> None:
        """Nobody came in time, or it is wanted no longer."""
        if self.status == "Available":
            self._leave("Terminated")

    def shown(self) -> dict[str, Any]:
        """As DescribeTrainingJob shows it."""
        shown: dict[str, Any] = {"Status": self.status}
        if self.status in {"Reused", "Terminated"}:
            shown["ResourceRetainedBillableTimeInSeconds"] = math.ceil(self.kept_s)
        if self.reused_by:
            shown["ReusedByJob"] = self.reused_by
        return shown

    def _leave(self, status: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self.kept_since is not None:
            self.kept_s = time.time() - self.kept_since
        self.status = status

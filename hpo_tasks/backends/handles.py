"""What a cloud calls our jobs: the port to where that is kept."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Handle:
    """A job as its backend knows it.

    Attributes:
        id: the backend's own id.
        kept_at_s: when it was kept, seconds since the epoch. A cloud may not know a job yet that it has just accepted.
    """

    id: str
    kept_at_s: float


class Handles(Protocol):
    """Job name → handle."""

    def get(self, job: str) -> Handle | None:
        """The handle, None if none was kept."""

    def keep(self, job: str, handle: Handle) -> None:
        """Keep it, unless there is one."""

"""What a cloud calls our jobs: the port to where that is kept."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Handle:
    """A job as its backend knows it.

    Attributes:
        id: the backend's own id.
        ends_at_s: when it is over in any case, by its own limits; seconds since the epoch.
    """

    id: str
    ends_at_s: float


class Handles(Protocol):
    """Job name → handle."""

    def get(self, job: str) -> Handle | None:
        """The handle, None if none was kept."""

    def keep(self, job: str, handle: Handle) -> None:
        """Keep it, unless there is one."""

    def replace(self, job: str, handle: Handle) -> None:
        """Keep it instead of the one that there is."""

"""What a test may set for the whole double, and what every service needs."""

import random
import shutil
import tempfile
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from aws_double.clock import Clock
from aws_double.images import Images, base_environment
from aws_double.metadata import Metadata

JOB_ACCESS_KEY = "job-access-key"
JOB_SECRET_KEY = "job-secret-key"


@dataclass
class Settings:
    """Set by `/_exec/config`; names and defaults as here.

    Attributes:
        grace: seconds between TERM and KILL.
        light: no namespaces: for a thousand jobs at a time.
        clock: how many times faster than on AWS limits run out.
        list_lag_s: seconds that ListJobs lags behind SubmitJob.
        stay: least seconds in a Batch state, such as {"STARTING": 0.5}.
        boot_s: seconds until an EC2 instance runs.
    """

    grace: float = 2.0
    light: bool = False
    clock: float = 1.0
    list_lag_s: float = 0.0
    stay: dict[str, float] = field(default_factory=dict)
    boot_s: float = 0.05

    def update(self, values: dict[str, Any]) -> None:
        """Set some.

        Raises:
            ValueError: an unknown name.
        """
        unknown = set(values) - {each.name for each in fields(self)}
        if unknown:
            raise ValueError(
                f"config has no {sorted(unknown)}; it has {[each.name for each in fields(self)]}"
            )
        for name, value in values.items():
            setattr(self, name, value)


@dataclass
class Storm:
    """Takes the machine from under a share of the attempts, at random times.

    Attributes:
        share: of the attempts that start running; drawn with `seed`.
        within_s: it happens at a random time in the first so many seconds.
        notice_s: seconds between the notice and the end.
        count: how many at most; None: no limit.
    """

    share: float
    within_s: float = 1.0
    notice_s: float = 0.2
    seed: int = 0
    count: int | None = None

    def __post_init__(self) -> None:
        self._draw = random.Random(self.seed)

    def delay_s(self) -> float | None:
        """Seconds after which the attempt that starts now loses its machine; None: it keeps it."""
        if self.count == 0 or self._draw.random() >= self.share:
            return None
        if self.count is not None:
            self.count -= 1
        return self._draw.uniform(0, self.within_s)


class Platform:
    """What all services share.

    Attributes:
        endpoint: of this server.
        folder: for the files of everything that runs.
    """

    def __init__(self, endpoint: str, folder: Path) -> None:
        self.endpoint = endpoint
        self.folder = folder
        self.settings = Settings()
        self.clock = Clock()
        self.images = Images()
        self.metadata = Metadata()
        self.storms: dict[str, Storm] = {}

    def reset(self) -> None:
        self.settings.__init__()
        self.storms.clear()
        self.clock.clear()
        self.clock.factor = 1.0
        self.images.configure(None)
        self.metadata.clear()

    def new_folder(self, name: str) -> Path:
        """An empty folder for one container; `discard` takes it away."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))

    def discard(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)

    def environment(self, folder: Path, instance_id: str, region: str) -> dict[str, str]:
        """Variables of everything that runs here: where AWS is, as whom, and on which machine."""
        return {
            **base_environment(),
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": JOB_ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": JOB_SECRET_KEY,
            "AWS_DEFAULT_REGION": region,
            "AWS_REGION": region,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{self.endpoint}/imds/{instance_id}",
        }

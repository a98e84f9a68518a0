"""One SageMaker training job: its books, and its files under /opt/ml."""

import io
import json
import math
import re
import tarfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from aws_double import buckets
from aws_double.calls import ACCOUNT
from aws_double.metadata import Host
from aws_double.processes import ContainerProcess
from aws_double.sagemaker_pools import Pool

OPT_ML = PurePosixPath("/opt/ml")
ENDED = {"Completed", "Failed", "Stopped"}
SPOT_BILLED_SHARE = 0.5
HOST = "algo-1"


@dataclass(eq=False)
class TrainingJob:
    """A training job.

    Attributes:
        asked: the CreateTrainingJob call's parameters.
        trained_s: seconds of training so far, all attempts.
        stop_as: secondary status that it is being stopped for: Stopped, MaxRuntimeExceeded, MaxWaitTimeExceeded.
        taken: its machine has been taken away.
    """

    asked: dict[str, Any]
    region: str
    created_at: float = field(default_factory=time.time)
    status: str = "InProgress"
    transitions: list[dict[str, Any]] = field(default_factory=list)
    failure: str = ""
    training_started_at: float | None = None
    training_ended_at: float | None = None
    attempt_started_at: float | None = None
    trained_s: float = 0.0
    restarts: int = 0
    metrics: dict[str, tuple[float, float]] = field(default_factory=dict)
    pool: Pool | None = None
    host: Host | None = None
    process: ContainerProcess | None = None
    stop_as: str | None = None
    taken: bool = False
    out_of_memory: bool = False
    has_model: bool = False

    @property
    def name(self) -> str:
        return self.asked["TrainingJobName"]

    @property
    def arn(self) -> str:
        return f"arn:aws:sagemaker:{self.region}:{ACCOUNT}:training-job/{self.name}"

    @property
    def spot(self) -> bool:
        return bool(self.asked.get("EnableManagedSpotTraining"))

    @property
    def instance_type(self) -> str:
        return self.asked["ResourceConfig"].get("InstanceType", "ml.m5.large")

    @property
    def secondary(self) -> str:
        return self.transitions[-1]["Status"] if self.transitions else "Starting"

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    def move(self, secondary: str, message: str = "") -> None:
        now = time.time()
        if self.transitions:
            self.transitions[-1]["EndTime"] = now
        self.transitions.append(
            {"Status": secondary, "StartTime": now, "StatusMessage": message or secondary}
        )

    def end(self, status: str, secondary: str, failure: str = "") -> None:
        self.move(secondary, failure)
        self.transitions[-1]["EndTime"] = self.transitions[-1]["StartTime"]
        self.training_ended_at = self.training_ended_at or time.time()
        self.failure = failure
        self.status = status

    def observe(self, lines: list[str]) -> None:
        """Read metrics off the output."""
        for definition in self.asked["AlgorithmSpecification"].get("MetricDefinitions", []):
            for line in lines:
                for match in re.finditer(definition["Regex"], line):
                    self.metrics[definition["Name"]] = (float(match.group(1)), time.time())

    def command(self, entrypoint: list[str]) -> list[str]:
        """The image's entrypoint with `train`, or the job's own entrypoint and arguments."""
        algorithm = self.asked["AlgorithmSpecification"]
        arguments = algorithm.get("ContainerArguments")
        return [*(algorithm.get("ContainerEntrypoint") or entrypoint), *(arguments or ["train"])]

    def environment(self) -> dict[str, str]:
        return {
            "TRAINING_JOB_NAME": self.name,
            "TRAINING_JOB_ARN": self.arn,
            **self.asked.get("Environment", {}),
        }

    def details(self) -> dict[str, Any]:
        """As DescribeTrainingJob shows it."""
        kept = (
            *("TrainingJobName", "HyperParameters", "AlgorithmSpecification", "RoleArn", "InputDataConfig"),
            *(
                "OutputDataConfig",
                "ResourceConfig",
                "VpcConfig",
                "StoppingCondition",
                "EnableNetworkIsolation",
            ),
            *("EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining", "CheckpointConfig"),
            *("Environment", "RetryStrategy", "ExperimentConfig"),
        )
        shown = {name: self.asked[name] for name in kept if name in self.asked}
        shown.update(self.summary())
        shown["SecondaryStatusTransitions"] = [dict(each) for each in self.transitions]
        shown["FinalMetricDataList"] = [
            {"MetricName": name, "Value": value, "Timestamp": at}
            for name, (value, at) in self.metrics.items()
        ]
        if self.failure:
            shown["FailureReason"] = self.failure
        if self.training_started_at is not None:
            shown["TrainingStartTime"] = self.training_started_at
        if self.ended and self.training_started_at is not None:
            seconds = math.ceil(self.trained_s)
            shown["TrainingTimeInSeconds"] = seconds
            shown["BillableTimeInSeconds"] = math.ceil(seconds * SPOT_BILLED_SHARE) if self.spot else seconds
        if self.has_model:
            shown["ModelArtifacts"] = {"S3ModelArtifacts": f"{self._output_uri()}/model.tar.gz"}
        return shown

    def summary(self) -> dict[str, Any]:
        """As ListTrainingJobs shows it."""
        shown: dict[str, Any] = {
            "TrainingJobName": self.name,
            "TrainingJobArn": self.arn,
            "CreationTime": self.created_at,
            "LastModifiedTime": self.transitions[-1]["StartTime"] if self.transitions else self.created_at,
            "TrainingJobStatus": self.status,
            "SecondaryStatus": self.secondary,
        }
        if self.ended:
            shown["TrainingEndTime"] = self.training_ended_at
        if self.pool is not None:
            shown["WarmPoolStatus"] = self.pool.shown()
        return shown

    def lay_out(self, root: Path) -> None:
        """Make the tree that the container finds at /opt/ml, inputs and checkpoints included.

        Raises:
            buckets.MissingObjectsError: an input is not there.
        """
        for place in ("input/config", "input/data", "model", "output/data", "checkpoints"):
            (root / place).mkdir(parents=True, exist_ok=True)
        channels = self.asked.get("InputDataConfig", [])
        config = {
            "hyperparameters": self.asked.get("HyperParameters", {}),
            "resourceconfig": {
                "current_host": HOST,
                "hosts": [HOST],
                "network_interface_name": "lo",
                "current_instance_type": self.instance_type,
            },
            "inputdataconfig": {c["ChannelName"]: {"TrainingInputMode": "File"} for c in channels},
        }
        for name, document in config.items():
            (root / "input" / "config" / f"{name}.json").write_text(json.dumps(document))
        for channel in channels:
            uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
            folder = root / "input" / "data" / channel["ChannelName"]
            folder.mkdir(exist_ok=True)
            if not buckets.download(uri, folder):
                raise buckets.MissingObjectsError(f"No S3 objects found under S3 URL {uri!r}")
        if (wanted := self.checkpoints(root)) is not None:
            wanted[1].mkdir(parents=True, exist_ok=True)
            buckets.download(*wanted)

    def checkpoints(self, root: Path) -> tuple[str, Path] | None:
        """Where checkpoints are kept, in S3 and below `root`; None: nowhere."""
        wanted: Mapping[str, Any] = self.asked.get("CheckpointConfig") or {}
        if not wanted:
            return None
        local = PurePosixPath(wanted.get("LocalPath") or OPT_ML / "checkpoints")
        return wanted["S3Uri"], root / local.relative_to(OPT_ML)

    def upload_results(self, root: Path) -> None:
        """Pack the model, and the output if there is any."""
        buckets.upload(f"{self._output_uri()}/model.tar.gz", _packed(root / "model"))
        self.has_model = True
        if any((root / "output" / "data").iterdir()):
            buckets.upload(f"{self._output_uri()}/output.tar.gz", _packed(root / "output" / "data"))

    def _output_uri(self) -> str:
        return f"{self.asked['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{self.name}/output"


class CheckpointSync:
    """Copies new and changed checkpoints to S3, those that are gone not at all."""

    def __init__(self, uri: str, folder: Path) -> None:
        self._uri = uri.rstrip("/")
        self._folder = folder
        self._seen: dict[Path, tuple[int, int]] = {}

    def copy(self) -> None:
        for file in sorted(path for path in self._folder.rglob("*") if path.is_file()):
            try:
                about = file.stat()
                state = (about.st_mtime_ns, about.st_size)
                if self._seen.get(file) != state:
                    buckets.upload(f"{self._uri}/{file.relative_to(self._folder)}", file.read_bytes())
                    self._seen[file] = state
            except FileNotFoundError:
                continue


def _packed(folder: Path) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, arcname=path.name)
    return content.getvalue()

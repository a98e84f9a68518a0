"""Runs a SageMaker training job from its machine's start to its results, spot losses included."""

import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aws_double import buckets
from aws_double.images import ImageMissingError
from aws_double.log_streams import open_stream
from aws_double.metadata import Host, new_instance_id
from aws_double.processes import ContainerProcess
from aws_double.sagemaker_job import OPT_ML, CheckpointSync, TrainingJob
from aws_double.sagemaker_pools import Pool, pool_key
from aws_double.settings import Platform

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
SYNC_PAUSE_S = 0.1
OUT_OF_MEMORY = (
    "ClientError: Please use an instance type with more memory, "
    "or reduce the size of training data processed on an instance."
)
NO_CAPACITY = "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance type."
HOST_LOST = "InternalServerError: We encountered an internal error. Please try again."


@dataclass
class SageMakerSettings:
    """Set by `/_exec/sagemaker/config`.

    Attributes:
        limit: how many instances of a type may be in use at a time: a number for all types, or by type; None: any.
        cold, warm: seconds until a new, or a kept, machine is ready.
        warm_pools: whether the account's quota lets machines be kept (AWS's default is that it does not).
        no_capacity: instance types of which AWS has none.
    """

    limit: int | dict[str, int] | None = None
    cold: float = 0.1
    warm: float = 0.02
    warm_pools: bool = True
    no_capacity: list[str] = field(default_factory=list)


class TrainingRuns:
    """Every run is a thread; `changed` guards jobs and is notified at every transition."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self.settings = SageMakerSettings()
        self.changed = threading.Condition()
        self._pools: list[Pool] = []
        self._running: set[TrainingJob] = set()

    def pools_available(self, instance_type: str | None = None) -> int:
        kinds = [p for p in self._pools if p.status == "Available" and instance_type in {None, p.key[2]}]
        return len(kinds)

    def start(self, job: TrainingJob) -> None:
        with self.changed:
            self._running.add(job)
            warm = self._take_pool(job)
            job.move("Starting", "Reusing a warm pool" if warm else "Launching requested ML instances")
        name = f"training-{job.name}"
        threading.Thread(target=self._run, args=(job,), kwargs={"warm": warm}, name=name, daemon=True).start()
        clock = self._platform.clock
        longest_s = job.asked["StoppingCondition"].get("MaxWaitTimeInSeconds")
        if job.spot and longest_s:
            clock.after(clock.limit_s(longest_s), lambda: self.stop(job, "MaxWaitTimeExceeded"))

    def stop(self, job: TrainingJob, secondary: str) -> None:
        """TERM, a grace, KILL; what there is by then is uploaded."""
        with self.changed:
            if job.ended or job.stop_as:
                return
            job.stop_as = secondary
            if secondary == "Stopped":
                job.status = "Stopping"
                job.move("Stopping")
            self.changed.notify_all()
            self._end_process(job, self._platform.settings.grace)

    def take_machine(self, job: TrainingJob, notice_s: float) -> bool:
        """Its machine is taken away, with TERM and a notice before; False if it trains not just now."""
        with self.changed:
            if job.process is None:
                return False
            job.taken = True
            job.host.announce("terminate", notice_s)
            self._end_process(job, notice_s)
            return True

    def run_out_of_memory(self, job: TrainingJob) -> bool:
        with self.changed:
            if job.process is None:
                return False
            job.out_of_memory = True
            job.process.kill()
            return True

    def clear(self) -> None:
        """End and forget everything; returns when nothing runs any more."""
        with self.changed:
            for job in self._running:
                job.stop_as = "Stopped"
                self._end_process(job, 0)
            self.changed.notify_all()
            self.changed.wait_for(lambda: not self._running)
            self._pools.clear()
            self.settings = SageMakerSettings()

    def _end_process(self, job: TrainingJob, grace_s: float) -> None:
        process = job.process
        if process is None:
            return
        if not grace_s:
            process.kill()
            return
        process.stop()
        self._platform.clock.after(grace_s, process.kill)

    def _take_pool(self, job: TrainingJob) -> bool:
        """Whether the job runs on machines that an earlier one has left."""
        keep_alive_s = job.asked["ResourceConfig"].get("KeepAlivePeriodInSeconds")
        if not keep_alive_s or not self.settings.warm_pools:
            return False
        key = pool_key(job.asked)
        kept = next((p for p in self._pools if p.key == key and p.status == "Available"), None)
        if kept is not None:
            kept.reuse(job.name)
        job.pool = Pool(key, keep_alive_s)
        self._pools.append(job.pool)
        return kept is not None

    def _run(self, job: TrainingJob, *, warm: bool) -> None:
        try:
            while self._attempt(job, warm=warm):
                warm = False
        except buckets.MissingObjectsError as error:
            self._end(job, "Failed", "Failed", f"ClientError: Data download failed: {error}")
        except ImageMissingError as error:
            self._end(
                job, "Failed", "Failed", f"ClientError: Cannot find repository or image {error} in registry"
            )
        except Exception as error:  # noqa: BLE001 - the double's own fault, which the test must see
            traceback.print_exc(file=sys.stderr)
            self._end(job, "Failed", "Failed", f"the double failed: {error!r}")
        finally:
            with self.changed:
                infrastructure_failed = job.failure.startswith(("InternalServerError", "CapacityError"))
                if job.pool is not None:
                    job.pool.status = "Terminated" if infrastructure_failed else job.pool.status
                    if job.pool.status == "InUse":
                        job.pool.keep(self._platform.clock)
                self._running.discard(job)
                self.changed.notify_all()

    def _attempt(self, job: TrainingJob, *, warm: bool) -> bool:
        """One go on one machine; whether another one must follow."""
        if not self._provision(job, warm=warm):
            return False
        root = self._platform.new_folder("sagemaker")
        host = Host(new_instance_id(), job.instance_type.removeprefix("ml."), f"{job.region}a", spot=job.spot)
        job.host = self._platform.metadata.add(host)
        try:
            self._move(job, "Downloading")
            image = self._platform.images.find(job.asked["AlgorithmSpecification"]["TrainingImage"])
            job.lay_out(root)
            if job.stop_as:
                self._end(job, "Stopped", job.stop_as)
                return False
            self._move(job, "Training")
            code = self._train(job, root, list(image.entrypoint), image.environment)
            return self._conclude(job, root, code)
        finally:
            self._platform.metadata.remove(host.instance_id)
            self._platform.discard(root)

    def _provision(self, job: TrainingJob, *, warm: bool) -> bool:
        """Wait for a machine; False if the job ends before it has one."""
        ready_at = time.monotonic() + (self.settings.warm if warm else self.settings.cold)
        with self.changed:
            while not job.stop_as:
                short = job.instance_type in self.settings.no_capacity
                left_s = ready_at - time.monotonic()
                if left_s <= 0 and not short:
                    return True
                if left_s <= 0 and not job.spot:
                    break
                self.changed.wait(max(left_s, 0.02))
        if job.stop_as:
            self._end(job, "Stopped", job.stop_as)
        else:
            self._end(job, "Failed", "Failed", NO_CAPACITY)
        return False

    def _train(
        self, job: TrainingJob, root: Path, entrypoint: list[str], variables: Mapping[str, str]
    ) -> int:
        """Run the container to its end, with checkpoints copied out all the while; its exit code."""
        light = self._platform.settings.light
        write = open_stream(job.region, LOG_GROUP, f"{job.name}/algo-1-{int(time.time() * 1000)}")

        def take(lines: list[str]) -> None:
            job.observe(lines)
            write(lines)

        environment = {
            **self._platform.environment(root, job.host.instance_id, job.region),
            **variables,
            **job.environment(),
        }
        if light:  # nothing is mounted: programs find their folders as the training toolkit says
            environment["SM_MODEL_DIR"], environment["SM_OUTPUT_DIR"] = (
                str(root / "model"),
                str(root / "output"),
            )
            environment["SM_INPUT_DIR"] = str(root / "input")
            environment["SM_CHECKPOINT_DIR"] = str((job.checkpoints(root) or ("", root / "checkpoints"))[1])
        process = ContainerProcess(
            job.command(entrypoint), environment, root, take, light=light, binds={str(OPT_ML): root}
        )
        ended = threading.Event()
        copier = threading.Thread(target=self._copy_checkpoints, args=(job, root, ended), daemon=True)
        copier.start()
        started = time.time()
        try:
            self._go(job, process, started)
            return process.run()
        finally:
            with self.changed:
                job.process = None
                job.trained_s += time.time() - started
                job.training_ended_at = time.time()
            ended.set()
            copier.join()

    def _go(self, job: TrainingJob, process: ContainerProcess, started: float) -> None:
        with self.changed:
            job.process = process
            job.training_started_at = job.training_started_at or started
            if job.stop_as:
                process.kill()
            clock = self._platform.clock
            left_s = (
                clock.limit_s(job.asked["StoppingCondition"].get("MaxRuntimeInSeconds", 86_400))
                - job.trained_s
            )
            clock.after(left_s, lambda: job.process is process and self.stop(job, "MaxRuntimeExceeded"))
            storm = self._platform.storms.get("sagemaker")
            delay_s = storm.delay_s() if storm and job.spot else None
            if delay_s is not None:
                clock.after(
                    delay_s, lambda: job.process is process and self.take_machine(job, storm.notice_s)
                )

    def _copy_checkpoints(self, job: TrainingJob, root: Path, ended: threading.Event) -> None:
        wanted = job.checkpoints(root)
        if wanted is None:
            return
        sync = CheckpointSync(*wanted)
        while not ended.wait(SYNC_PAUSE_S):
            sync.copy()
        sync.copy()

    def _conclude(self, job: TrainingJob, root: Path, code: int) -> bool:
        """What follows when the container has ended; whether the job goes on, on another machine."""
        if job.taken and not job.stop_as:
            job.taken = False
            retries = (job.asked.get("RetryStrategy") or {}).get("MaximumRetryAttempts", 0)
            if not job.spot and job.restarts >= retries:
                self._end(job, "Failed", "Failed", HOST_LOST)
                return False
            job.restarts += 1
            self._move(job, "Interrupted" if job.spot else "Restarting")
            self._move(job, "Starting")
            return True
        if code == 0 or job.stop_as:
            self._move(job, "Uploading")
            job.upload_results(root)
            stopped = job.stop_as or "Completed"
            self._end(job, "Stopped" if job.stop_as else "Completed", stopped)
            return False
        reason = (
            OUT_OF_MEMORY if job.out_of_memory else f"AlgorithmError: {_failure(root)}, exit code: {code}"
        )
        self._end(job, "Failed", "Failed", reason)
        return False

    def _move(self, job: TrainingJob, secondary: str) -> None:
        with self.changed:
            job.move(secondary)
            self.changed.notify_all()

    def _end(self, job: TrainingJob, status: str, secondary: str, failure: str = "") -> None:
        with self.changed:
            job.end(status, secondary, failure)
            self.changed.notify_all()


def _failure(root: Path) -> str:
    file = root / "output" / "failure"
    return file.read_text(errors="replace").strip()[:1024] if file.is_file() else ""

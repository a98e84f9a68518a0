"""Moves Batch jobs through their states, and runs them when their queue has room."""

import sys
import threading
import time
import traceback
import uuid
from typing import Any

from aws_double.batch_jobs import BEFORE_STARTING, Attempt, Ending, Job, now_ms
from aws_double.batch_retry import tries_again
from aws_double.images import ImageMissingError
from aws_double.log_streams import open_stream
from aws_double.metadata import Host, new_instance_id
from aws_double.processes import ContainerProcess, Output
from aws_double.settings import Platform

OWN_END = "Essential container in task exited"
OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
TIMED_OUT = "Job attempt duration exceeded timeout"
NO_CAPACITY = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested"
TOO_LARGE = (
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - "
    "CE(s) associated with the job queue cannot meet the CPU requirement of the job."
)


class Scheduler:
    """First in, first out per queue, as many at a time as the compute environments' maxvCpus hold.

    Attributes:
        changed: its lock guards every job; it is notified at every transition.
        room: name of a queue: vCPUs in all that it may use just now (0: no capacity).
        stuck: name of a job: it stays RUNNABLE.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self.changed = threading.Condition()
        self.room: dict[str, float] = {}
        self.stuck: set[str] = set()
        self._waiting: dict[str, Job] = {}
        self._runnable: dict[str, dict[str, Job]] = {}
        self._used: dict[str, float] = {}
        self._used_by_queue: dict[str, float] = {}
        self._attempts: dict[Attempt, Job] = {}
        threading.Thread(target=self._run, name="batch-scheduler", daemon=True).start()

    def add(self, job: Job) -> None:
        """Take a new job; an array's parent is never run itself."""
        with self.changed:
            self._waiting[job.job_id] = job
            self.changed.notify_all()

    def kill(self, attempt: Attempt, ending: Ending, *, notice_s: float = 0) -> None:
        """End an attempt without warning, or with a notice on its machine's metadata so many seconds before."""
        if notice_s:
            attempt.host.announce("terminate", notice_s)
            self._platform.clock.after(notice_s, lambda: self.kill(attempt, ending))
            return
        with self.changed:
            attempt.ending = attempt.ending or ending
            self.changed.notify_all()
            if attempt.process is not None:
                attempt.process.kill()

    def stop(self, attempt: Attempt, ending: Ending) -> None:
        """End an attempt as Batch does when it is told to: TERM, a grace, KILL."""
        with self.changed:
            attempt.ending = attempt.ending or ending
            self.changed.notify_all()
            if attempt.process is not None:
                attempt.process.stop()
                self._platform.clock.after(self._platform.settings.grace, attempt.process.kill)

    def refuse(self, job: Job, reason: str) -> bool:
        """End a job that has not started; False if it has."""
        with self.changed:
            if job.status not in BEFORE_STARTING:
                return False
            self._waiting.pop(job.job_id, None)
            self._runnable.get(job.queue.arn, {}).pop(job.job_id, None)
            self._finish(job, "FAILED", reason)
            return True

    def clear(self) -> None:
        """End and forget everything; returns when nothing runs any more."""
        with self.changed:
            self._waiting.clear()
            self._runnable.clear()
            self.room.clear()
            self.stuck.clear()
            for attempt in self._attempts:
                self.kill(attempt, Ending("reset", final=True))
            self.changed.wait_for(lambda: not self._attempts)
            self._used.clear()
            self._used_by_queue.clear()

    def _run(self) -> None:
        with self.changed:
            while True:
                try:
                    pause_s = self._advance()
                except Exception:  # noqa: BLE001 - shown, and the others go on
                    traceback.print_exc(file=sys.stderr)
                    pause_s = 1.0
                self.changed.wait(pause_s)

    def _advance(self) -> float | None:
        """Move each job as far as it goes; seconds until the next look, None: until something changes."""
        held = False
        for job in list(self._waiting.values()):
            held |= not self._ready(job)
        for queue_jobs in list(self._runnable.values()):
            for job in list(queue_jobs.values()):
                if not self._stayed(job):
                    held = True
                elif job.name not in self.stuck and not self._start(job, queue_jobs):
                    break
        return 0.02 if held else None

    def _ready(self, job: Job) -> bool:
        """Move a job towards RUNNABLE; False while it must stay in a state for a time yet."""
        if job.status == "SUBMITTED":
            if not self._stayed(job):
                return False
            job.move("PENDING")
            self.changed.notify_all()
        if job.children:
            del self._waiting[job.job_id]
            return True
        if not self._stayed(job):
            return False
        if any(needed.status == "FAILED" for needed in job.needs):
            del self._waiting[job.job_id]
            self._finish(job, "FAILED", "Dependent Job failed")
        elif all(needed.status == "SUCCEEDED" for needed in job.needs):
            del self._waiting[job.job_id]
            self._make_runnable(job)
        return True

    def _make_runnable(self, job: Job) -> None:
        job.move("RUNNABLE")
        self._runnable.setdefault(job.queue.arn, {})[job.job_id] = job
        self.changed.notify_all()

    def _stayed(self, job: Job) -> bool:
        return time.monotonic() - job.since >= self._platform.settings.stay.get(job.status, 0)

    def _start(self, job: Job, queue_jobs: dict[str, Job]) -> bool:
        """Give a runnable job its share of a compute environment; False if there is no room for it now."""
        arn = job.queue.arn
        room = self.room.get(job.queue.name)
        if room is not None and self._used_by_queue.get(arn, 0) + job.vcpus > room:
            job.status_reason = NO_CAPACITY
            return False
        environments = [e for e in job.queue.environments if e.state != "DISABLED"]
        for environment in environments:
            if self._used.get(environment.arn, 0) + job.vcpus <= _size(environment):
                break
        else:
            if all(job.vcpus > _size(environment) for environment in environments):
                job.status_reason = TOO_LARGE
            return False
        del queue_jobs[job.job_id]
        self._reserve(job, environment.arn, job.vcpus)
        job.attempt = Attempt(self._new_host(environment), environment.arn, uuid.uuid4().hex)
        job.status_reason = ""
        job.move("STARTING")
        self._attempts[job.attempt] = job
        self.changed.notify_all()
        name = f"job-{job.job_id}"
        threading.Thread(target=self._attempt, args=(job, environment), name=name, daemon=True).start()
        return True

    def _reserve(self, job: Job, environment_arn: str, vcpus: float) -> None:
        self._used[environment_arn] = self._used.get(environment_arn, 0) + vcpus
        self._used_by_queue[job.queue.arn] = self._used_by_queue.get(job.queue.arn, 0) + vcpus

    def _new_host(self, environment: Any) -> Host:
        resources = environment.compute_resources or {}
        kind = next((t for t in resources.get("instanceTypes", []) if "." in t), "m5.large")
        zone = f"{environment.arn.split(':')[3]}a"
        return self._platform.metadata.add(
            Host(new_instance_id(), kind, zone, spot="SPOT" in resources.get("type", ""))
        )

    def _attempt(self, job: Job, environment: Any) -> None:
        attempt = job.attempt
        code: int | None = None
        try:
            code = self._execute(job, attempt, environment)
        except ImageMissingError as error:
            pull = (
                f"CannotPullContainerError: pull image manifest has been retried 5 time(s): {error} not found"
            )
            attempt.ending = attempt.ending or Ending("Task failed to start", pull)
        except Exception as error:  # noqa: BLE001 - the double's own fault, which the test must see
            attempt.ending = Ending(f"the double failed: {error!r}", final=True)
            traceback.print_exc(file=sys.stderr)
        finally:
            with self.changed:
                self._reserve(job, environment.arn, -job.vcpus)
                del self._attempts[attempt]
                self._platform.metadata.remove(attempt.host.instance_id)
                self._conclude(job, attempt, code)
                self.changed.notify_all()

    def _execute(self, job: Job, attempt: Attempt, environment: Any) -> int | None:
        """Run one attempt to its end. The program's exit code; None if it never started."""
        with self.changed:
            while attempt.ending is None and not self._stayed(job):
                self.changed.wait(0.02)
            if attempt.ending is not None:
                return None
        image = self._platform.images.find(job.container["image"])
        folder = self._platform.new_folder("batch")
        try:
            variables = {
                **self._platform.environment(folder, attempt.host.instance_id, job.region),
                **image.environment,
                **job.environment(),
                "AWS_BATCH_CE_NAME": environment.name,
            }
            process = ContainerProcess(
                [*image.entrypoint, *job.command()],
                variables,
                folder,
                self._log(job, attempt),
                light=self._platform.settings.light,
            )
            self._go(job, attempt, process)
            return process.run()
        finally:
            self._platform.discard(folder)

    def _go(self, job: Job, attempt: Attempt, process: ContainerProcess) -> None:
        with self.changed:
            attempt.process = process
            attempt.started_ms = now_ms()
            job.started_ms = job.started_ms or attempt.started_ms
            if attempt.ending is not None:
                process.kill()
            job.move("RUNNING")
            self.changed.notify_all()
            self._set_ends(job, attempt)

    def _set_ends(self, job: Job, attempt: Attempt) -> None:
        """Its timeout, and the loss of its machine if a storm wants it."""
        clock = self._platform.clock
        if job.timeout_s is not None:
            timed_out = Ending(TIMED_OUT, keeps_code=True, final=True)
            clock.after(clock.limit_s(job.timeout_s), lambda: self.stop(attempt, timed_out))
        storm = self._platform.storms.get("batch")
        delay_s = storm.delay_s() if storm else None
        if delay_s is not None:
            clock.after(delay_s, lambda: self.kill(attempt, host_gone(attempt), notice_s=storm.notice_s))

    def _log(self, job: Job, attempt: Attempt) -> Output:
        stream = f"{job.definition.name}/default/{attempt.task_id}"
        with self.changed:  # moto's groups are made one at a time
            write = open_stream(job.region, job.log_group(), stream)
            attempt.log_stream = stream
        return write

    def _conclude(self, job: Job, attempt: Attempt, code: int | None) -> None:
        """Record the attempt, and decide what follows."""
        ending = attempt.ending or Ending(OWN_END, keeps_code=True)
        shown_code = code if ending.keeps_code else ending.exit_code
        container: dict[str, Any] = {"containerInstanceArn": attempt.instance_arn, "taskArn": attempt.task_id}
        if attempt.log_stream:
            container["logStreamName"] = attempt.log_stream
        if shown_code is not None:
            container["exitCode"] = shown_code
        if ending.reason:
            container["reason"] = ending.reason
        record: dict[str, Any] = {"container": container, "statusReason": ending.status_reason}
        if attempt.started_ms is not None:
            record["startedAt"] = attempt.started_ms
        record["stoppedAt"] = now_ms()
        job.attempts.append(record)
        job.attempt = None
        if attempt.ending is None and code == 0:
            self._finish(job, "SUCCEEDED", ending.status_reason)
        elif not (ending.final or job.terminated) and tries_again(
            job.retry,
            len(job.attempts),
            exit_code=shown_code,
            reason=ending.reason,
            status_reason=ending.status_reason,
        ):
            self._make_runnable(job)
        else:
            self._finish(job, "FAILED", ending.status_reason)

    def _finish(self, job: Job, status: str, reason: str) -> None:
        job.move(status, reason)
        parent = job.parent
        if parent is not None and not parent.ended and all(child.ended for child in parent.children):
            failed = any(child.status == "FAILED" for child in parent.children)
            parent.move("FAILED" if failed else "SUCCEEDED", "Array Child Job failed" if failed else "")
        self.changed.notify_all()


def host_gone(attempt: Attempt) -> Ending:
    """The machine was taken away: a spot loss, or a broken one."""
    return Ending(f"Host EC2 (instance {attempt.host.instance_id}) terminated.")


def _size(environment: Any) -> float:
    return float((environment.compute_resources or {}).get("maxvCpus", 256))

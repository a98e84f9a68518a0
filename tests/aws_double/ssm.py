"""SSM Run Command: shell scripts that really run on the double's instances."""

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aws_double import buckets
from aws_double.calls import AwsError, Call
from aws_double.ec2 import Ec2
from aws_double.ec2_machine import Machine
from aws_double.log_streams import open_stream
from aws_double.processes import ContainerProcess
from aws_double.settings import Platform

DOCUMENT = "AWS-RunShellScript"
PLUGIN = "aws:runShellScript"
LONGEST_OUTPUT = 24_000
LONGEST_LISTED_OUTPUT = 2_500
TRUNCATED = "\n---Output truncated---"
MOST_INSTANCES = 50
ENDED = {"Success", "Failed", "TimedOut", "Cancelled"}
ERRORS_APART = 'exec "$1" 2>"$2"'


@dataclass(eq=False)
class Invocation:
    """One command on one instance.

    Attributes:
        expires_at: when SSM gives it up, whatever became of its instance (time.time()).
        stop_status: what it becomes when its process has been killed by us.
    """

    command_id: str
    instance_id: str
    asked: Mapping[str, Any]
    requested_at: float
    expires_at: float
    status: str = "Pending"
    details: str = "Pending"
    code: int = -1
    started_at: float | None = None
    ended_at: float | None = None
    output: list[str] = field(default_factory=list)
    errors: str = ""
    process: ContainerProcess | None = None
    stop_status: tuple[str, str] | None = None

    def end(self, status: str, details: str, code: int) -> None:
        self.status, self.details, self.code, self.ended_at = status, details, code, time.time()

    def shown_status(self) -> tuple[str, str]:
        """Status and details as of now: what nobody reports the end of expires."""
        if self.status not in ENDED and time.time() >= self.expires_at:
            return "TimedOut", "DeliveryTimedOut"
        return self.status, self.details


class Ssm:
    """All commands."""

    def __init__(self, platform: Platform, ec2: Ec2) -> None:
        self._platform = platform
        self._ec2 = ec2
        self._lock = threading.Lock()
        self._invocations: list[Invocation] = []

    def operations(self) -> dict[str, Callable[[Call], Any]]:
        return {
            "SendCommand": self.send_command,
            "GetCommandInvocation": self.get_command_invocation,
            "ListCommandInvocations": self.list_command_invocations,
            "CancelCommand": self.cancel_command,
            "DescribeInstanceInformation": self.describe_instance_information,
        }

    def injections(self) -> dict[str, Callable[[Mapping[str, Any]], Any]]:
        return {}

    def alive(self) -> list[str]:
        """Commands whose process runs."""
        return [
            f"{i.command_id}/{i.instance_id}"
            for i in self._invocations
            if i.status not in ENDED and self._ec2.machine(i.instance_id)
        ]

    def clear(self) -> None:
        self._invocations.clear()

    def send_command(self, call: Call) -> dict[str, Any]:
        if call.get("DocumentName", "").rpartition("/")[2] != DOCUMENT:
            raise AwsError(
                "InvalidDocument", f"the double knows {DOCUMENT} only, got {call.get('DocumentName')!r}"
            )
        machines = self._addressed(call)
        now, clock = time.time(), self._platform.clock
        limit_s = int(call.get("TimeoutSeconds", 3600)) + _execution_timeout_s(call)
        command_id = str(uuid.uuid4())
        for instance_id, machine in machines.items():
            invocation = Invocation(
                command_id, instance_id, call.parameters, now, now + clock.limit_s(limit_s)
            )
            with self._lock:
                self._invocations.append(invocation)
            name = f"ssm-{command_id}"
            threading.Thread(
                target=self._run, args=(invocation, machine, call.region), name=name, daemon=True
            ).start()
        return {"Command": self._command(call, command_id, list(machines), now, now + limit_s)}

    def get_command_invocation(self, call: Call) -> dict[str, Any]:
        lag_s = self._platform.settings.list_lag_s
        for each in self._found(call.get("CommandId"), call.get("InstanceId")):
            if time.time() - each.requested_at >= lag_s:
                return _details(each)
        raise AwsError("InvocationDoesNotExist", "")

    def list_command_invocations(self, call: Call) -> dict[str, Any]:
        found = self._found(call.get("CommandId"), call.get("InstanceId"))
        for entry in call.get("Filters", []):
            if entry["key"] == "Status":
                found = [each for each in found if each.shown_status()[0] == entry["value"]]
        most, start = int(call.get("MaxResults", 50)), int(call.get("NextToken", 0))
        page = found[start : start + most]
        reply: dict[str, Any] = {
            "CommandInvocations": [_listed(i, details=call.get("Details", False)) for i in page]
        }
        if start + most < len(found):
            reply["NextToken"] = str(start + most)
        return reply

    def cancel_command(self, call: Call) -> dict[str, Any]:
        found = self._found(call.get("CommandId"), None)
        if not found:
            raise AwsError("InvalidCommandId", f"no command {call.get('CommandId')}")
        wanted = call.get("InstanceIds") or [each.instance_id for each in found]
        for each in found:
            if each.instance_id in wanted:
                self._stop(each, "Cancelled", "Cancelled")
        return {}

    def describe_instance_information(self, call: Call) -> dict[str, Any]:
        wanted = None
        for entry in [*call.get("Filters", []), *call.get("InstanceInformationFilterList", [])]:
            if entry.get("Key", entry.get("key")) == "InstanceIds":
                wanted = set(entry.get("Values", entry.get("valueSet", [])))
        online = [i for i in self._ec2.running(call.region) if wanted is None or i in wanted]
        shown = [
            {
                "InstanceId": each,
                "PingStatus": "Online",
                "LastPingDateTime": time.time(),
                "AgentVersion": "3.3.0.0",
                "PlatformType": "Linux",
                "ResourceType": "EC2Instance",
            }
            for each in online
        ]
        most, start = int(call.get("MaxResults", 50)), int(call.get("NextToken", 0))
        reply: dict[str, Any] = {"InstanceInformationList": shown[start : start + most]}
        if start + most < len(shown):
            reply["NextToken"] = str(start + most)
        return reply

    def _addressed(self, call: Call) -> dict[str, Machine]:
        """Instances that a command is for, with their insides."""
        ids = list(call.get("InstanceIds", []))
        if len(ids) > MOST_INSTANCES:
            raise AwsError(
                "ValidationException", f"InstanceIds has at most {MOST_INSTANCES} ids, got {len(ids)}"
            )
        for target in call.get("Targets", []):
            if target["Key"].lower() == "instanceids":
                ids += target["Values"]
            else:
                ids += self._ec2.with_tag(target["Key"].removeprefix("tag:"), target["Values"], call.region)
        running = set(self._ec2.running(call.region))
        machines = {each: self._ec2.machine(each) for each in ids if each in running}
        missing = [each for each in ids if machines.get(each) is None]
        if missing:
            raise AwsError("InvalidInstanceId", f"Instances {missing} not in a valid state for account")
        return machines

    def _command(
        self, call: Call, command_id: str, ids: list[str], now: float, expires: float
    ) -> dict[str, Any]:
        return {
            "CommandId": command_id,
            "DocumentName": DOCUMENT,
            "Comment": call.get("Comment", ""),
            "Parameters": call.get("Parameters", {}),
            "InstanceIds": call.get("InstanceIds", []),
            "Targets": call.get("Targets", []),
            "RequestedDateTime": now,
            "ExpiresAfter": expires,
            "Status": "Pending",
            "StatusDetails": "Pending",
            "TargetCount": len(ids),
        }

    def _found(self, command_id: str | None, instance_id: str | None) -> list[Invocation]:
        with self._lock:
            return [
                each
                for each in self._invocations
                if command_id in {None, each.command_id} and instance_id in {None, each.instance_id}
            ]

    def _run(self, invocation: Invocation, machine: Machine, region: str) -> None:
        folder = f"commands/{invocation.command_id}"
        parameters = invocation.asked.get("Parameters", {})
        text = "\n".join(parameters.get("commands", []))
        script = machine.write_script(
            f"{folder}/script", text if text.startswith("#!") else f"#!/bin/sh\n{text}\n"
        )
        errors = script.with_name("errors")
        place = (parameters.get("workingDirectory") or [""])[0]
        command = ["sh", "-c", f"cd {place!r} && {ERRORS_APART}" if place else ERRORS_APART]
        to_log = _log_writer(invocation, region)

        def take(lines: list[str]) -> None:
            invocation.output.extend(lines)
            to_log(lines)

        with self._lock:
            if invocation.status != "Pending":
                return
            extra = {"AWS_SSM_INSTANCE_ID": invocation.instance_id, "AWS_SSM_REGION_NAME": region}
            invocation.process = machine.new_process([*command, "sh", str(script), str(errors)], take, extra)
            invocation.status = invocation.details = "InProgress"
            invocation.started_at = time.time()
        clock = self._platform.clock
        timer = clock.after(
            clock.limit_s(_execution_timeout_s(invocation.asked)),
            lambda: self._stop(invocation, "TimedOut", "ExecutionTimedOut"),
        )
        code = machine.run_process(invocation.process)
        timer.cancel()
        if machine.gone:
            return  # nobody is left to report the end
        invocation.errors = errors.read_text(errors="replace") if errors.exists() else ""
        with self._lock:
            status, details = invocation.stop_status or (("Success",) * 2 if code == 0 else ("Failed",) * 2)
            invocation.end(status, details, code)
        _upload_output(invocation)

    def _stop(self, invocation: Invocation, status: str, details: str) -> None:
        with self._lock:
            if invocation.status == "Pending":
                invocation.end(status, details, -1)
            elif invocation.status == "InProgress":
                invocation.stop_status = (status, details)
        if invocation.process is not None:
            invocation.process.kill()


def _execution_timeout_s(asked: Any) -> int:
    return int((asked.get("Parameters", {}).get("executionTimeout") or ["3600"])[0])


def _details(each: Invocation) -> dict[str, Any]:
    """As GetCommandInvocation shows it."""
    status, details = each.shown_status()
    shown: dict[str, Any] = {
        "CommandId": each.command_id,
        "InstanceId": each.instance_id,
        "Comment": each.asked.get("Comment", ""),
        "DocumentName": DOCUMENT,
        "PluginName": PLUGIN,
        "ResponseCode": each.code,
        "Status": status,
        "StatusDetails": details,
        "StandardOutputContent": _shortened("\n".join(each.output), LONGEST_OUTPUT) if each.ended_at else "",
        "StandardErrorContent": _shortened(each.errors, LONGEST_OUTPUT),
        "StandardOutputUrl": "",
        "StandardErrorUrl": "",
    }
    if each.started_at is not None:
        shown["ExecutionStartDateTime"] = _iso(each.started_at)
    if each.ended_at is not None and each.started_at is not None:
        shown["ExecutionEndDateTime"] = _iso(each.ended_at)
        shown["ExecutionElapsedTime"] = f"PT{each.ended_at - each.started_at:.3f}S"
    return shown


def _listed(each: Invocation, *, details: bool) -> dict[str, Any]:
    """As ListCommandInvocations shows it."""
    status, status_details = each.shown_status()
    plugin = {
        "Name": PLUGIN,
        "Status": status,
        "StatusDetails": status_details,
        "ResponseCode": each.code,
        "Output": _shortened("\n".join(each.output), LONGEST_LISTED_OUTPUT) if each.ended_at else "",
    }
    if each.started_at is not None:
        plugin["ResponseStartDateTime"] = each.started_at
    if each.ended_at is not None:
        plugin["ResponseFinishDateTime"] = each.ended_at
    return {
        "CommandId": each.command_id,
        "InstanceId": each.instance_id,
        "Comment": each.asked.get("Comment", ""),
        "DocumentName": DOCUMENT,
        "RequestedDateTime": each.requested_at,
        "Status": status,
        "StatusDetails": status_details,
        "CommandPlugins": [plugin] if details else [],
    }


def _log_writer(invocation: Invocation, region: str) -> Callable[[list[str]], None]:
    wanted = invocation.asked.get("CloudWatchOutputConfig") or {}
    if not wanted.get("CloudWatchOutputEnabled"):
        return lambda _: None
    group = wanted.get("CloudWatchLogGroupName", f"/aws/ssm/{DOCUMENT}")
    stream = f"{invocation.command_id}/{invocation.instance_id}/aws-runShellScript/stdout"
    return open_stream(region, group, stream)


def _upload_output(each: Invocation) -> None:
    bucket = each.asked.get("OutputS3BucketName")
    if not bucket:
        return
    prefix = "/".join(filter(None, [each.asked.get("OutputS3KeyPrefix"), each.command_id, each.instance_id]))
    base = f"s3://{bucket}/{prefix}/awsrunShellScript/0.awsrunShellScript"
    for name, text in (("stdout", "\n".join(each.output)), ("stderr", each.errors)):
        if text:
            buckets.upload(f"{base}/{name}", text.encode())


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - len(TRUNCATED)] + TRUNCATED


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"

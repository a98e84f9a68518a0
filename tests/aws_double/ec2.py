"""EC2 instances that run their user data. moto keeps the books; starting, ending and capacity are done here."""

import base64
import contextlib
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

from aws_double.calls import ACCOUNT, AwsError, Call
from aws_double.clock import Timer
from aws_double.ec2_machine import Machine, shutdown_delay_s
from aws_double.metadata import Host
from aws_double.settings import Platform

SPOT_TAKEN = ("Server.SpotInstanceTermination", "Spot instance termination")
SHUT_DOWN = ("Client.InstanceInitiatedShutdown", "Instance initiated shutdown")
HOST_LOST = ("Server.InternalError", "Internal error on launch or at run time")
PENDING, RUNNING = ("pending", 0), ("running", 16)


class Ec2:
    """All instances.

    Attributes:
        room: "m5.large" or "spot:m5.large": how many more may start; missing: any number.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._lock = threading.RLock()
        self._machines: dict[str, Machine] = {}
        self._hosts: dict[str, Host] = {}
        self._shutdowns: dict[str, Timer] = {}
        self._tokens: dict[str, tuple[str, Any]] = {}
        self._regions: dict[str, str] = {}
        self._generation = 0  # what boots while everything is cleared belongs to an earlier one
        self.room: dict[str, int] = {}
        self._install()

    def operations(self) -> dict[str, Callable[[Call], Any]]:
        return {}

    def injections(self) -> dict[str, Callable[[Mapping[str, Any]], Any]]:
        return {
            "ec2/interrupt": self._interrupt,
            "ec2/lose": self._lose,
            "ec2/capacity": self._set_capacity,
            "ec2/shutdown": self._shut_down,
            "ec2/console": lambda body: self._machines[body["instanceId"]].console(),
        }

    def alive(self) -> list[str]:
        """Ids of instances that are not terminated: a stopped one still costs its disk."""
        return [i.id for i in self._instances() if i._state.name != "terminated"]

    def clear(self) -> None:
        with self._lock:
            self._generation += 1
            for instance_id in list(self._machines):
                self._end_machine(instance_id)
            for kept in (
                self._machines,
                self._hosts,
                self._shutdowns,
                self._tokens,
                self._regions,
                self.room,
            ):
                kept.clear()

    def machine(self, instance_id: str) -> Machine | None:
        """The inside of an instance that runs and has booted; else None."""
        with self._lock:
            machine = self._machines.get(instance_id)
        return machine if machine is not None and machine.reachable else None

    def running(self, region: str) -> list[str]:
        """Ids of the instances in a region that run and have booted."""
        with self._lock:
            return [
                i
                for i, host in self._hosts.items()
                if host.zone[:-1] == region and self.machine(i) is not None
            ]

    def with_tag(self, key: str, values: list[str], region: str) -> list[str]:
        """Those of them that have a tag with one of these values."""
        return [i for i in self.running(region) if self._hosts[i].tags().get(key) in values]

    def _install(self) -> None:
        """Put our acts around moto's."""
        from moto.ec2.models.instances import Instance
        from moto.ec2.responses.instances import InstanceResponse

        moto_run, moto_terminate = InstanceResponse.run_instances, Instance.terminate
        moto_stop, moto_start = Instance.stop, Instance.start
        ec2 = self

        def run_instances(response: Any) -> Any:
            return ec2._run(response, moto_run)

        def terminate(instance: Any) -> Any:
            ec2._end_machine(instance.id)
            return moto_terminate(instance)

        def stop(instance: Any) -> Any:
            ec2._end_machine(instance.id)
            return moto_stop(instance)

        def start(instance: Any) -> Any:
            previous = moto_start(instance)
            ec2._boot(instance, with_user_data=False)
            return previous

        InstanceResponse.run_instances = run_instances
        Instance.terminate, Instance.stop, Instance.start = terminate, stop, start

    def _run(self, response: Any, moto_run: Callable[[Any], Any]) -> Any:
        """RunInstances: once per client token, as many as there is room for."""
        parameters = response.params
        token = parameters.get("ClientToken")
        others = sorted(name for name in parameters if name not in {"ClientToken", "client_token"})
        asked = json.dumps([[name, parameters[name]] for name in others], default=str)
        with self._lock:
            if token in self._tokens:
                earlier, result = self._tokens[token]
                if earlier != asked:
                    raise AwsError(
                        "IdempotentParameterMismatch", "the client token was used with other parameters"
                    )
                return result
            template = _template(response)
            spot = _wants_spot(parameters, template)
            kind = parameters.get("InstanceType") or template.get("InstanceType") or "m1.small"
            response.params["MinCount"] = str(self._take_room(kind, spot=spot, parameters=parameters))
            result = moto_run(response)
            for instance in result.result.instances:
                _complete(instance, parameters, template, spot=spot)
                self._boot(instance, with_user_data=True)
            if token:
                self._tokens[token] = (asked, result)
            return result

    def _take_room(self, kind: str, *, spot: bool, parameters: Mapping[str, Any]) -> int:
        """How many instances start."""
        least, most = int(parameters.get("MinCount", 1)), int(parameters.get("MaxCount", 1))
        key = f"spot:{kind}" if spot and f"spot:{kind}" in self.room else kind
        room = self.room.get(key, most)
        if room < least:
            what = "Spot capacity" if spot else f"{kind} capacity"
            message = f"We currently do not have sufficient {what} in the Availability Zone you requested."
            raise AwsError("InsufficientInstanceCapacity", message, 500)
        count = min(most, room)
        if key in self.room:
            self.room[key] -= count
        return count

    def _boot(self, instance: Any, *, with_user_data: bool) -> None:
        region = instance.placement.zone[:-1]
        self._regions[instance.id] = region
        instance._state.name, instance._state.code = PENDING
        host = Host(
            instance.id,
            instance.instance_type,
            instance.placement.zone,
            spot=instance.lifecycle == "spot",
            tags=lambda: {tag["key"]: tag["value"] for tag in instance.get_tags()},
            token_required=lambda: instance.metadata_options.http_tokens == "required",
        )
        self._hosts[instance.id] = self._platform.metadata.add(host)
        user_data = str(instance.user_data) if with_user_data and instance.user_data else None
        arguments = (instance, region, user_data, self._generation)
        self._platform.clock.after(
            self._platform.settings.boot_s,
            lambda: threading.Thread(target=self._bring_up, args=arguments, daemon=True).start(),
        )

    def _bring_up(self, instance: Any, region: str, user_data: str | None, generation: int) -> None:
        machine = Machine(self._platform, instance.id, region)
        with self._lock:
            if instance._state.name != "pending" or generation != self._generation:
                machine.end()
                return
            self._machines[instance.id] = machine
            instance._state.name, instance._state.code = RUNNING
        machine.boot(_decoded(user_data))
        storm = self._platform.storms.get("ec2")
        delay_s = storm.delay_s() if storm and instance.lifecycle == "spot" else None
        if delay_s is not None:
            body = {"instanceId": instance.id, "notice": storm.notice_s}
            self._platform.clock.after(delay_s, lambda: self._interrupt(body))

    def _end_machine(self, instance_id: str) -> None:
        with self._lock:
            machine = self._machines.get(instance_id)
            timer = self._shutdowns.pop(instance_id, None)
        if timer is not None:
            timer.cancel()
        if machine is not None:
            machine.end()
        self._platform.metadata.remove(instance_id)

    def _end(self, instance_id: str, reason: tuple[str, str], *, stop: bool = False) -> None:
        """The instance ends, not by a call."""
        from moto.ec2.models.instances import StateReason

        with contextlib.suppress(LookupError):
            instance = self._instance(instance_id)
            if instance._state.name not in {"pending", "running"}:
                return
            instance.stop() if stop else instance.terminate()
            code, message = reason
            instance.state_reason = StateReason(f"{code}: {message}", code)
            instance._reason = f"{code}: {message}"

    def _instances(self) -> list[Any]:
        from moto.ec2.models import ec2_backends

        regions = {"us-east-1", *self._regions.values()}
        return [instance for region in regions for instance in ec2_backends[ACCOUNT][region].all_instances()]

    def _instance(self, instance_id: str) -> Any:
        for instance in self._instances():
            if instance.id == instance_id:
                return instance
        raise LookupError(f"no instance {instance_id}")

    def _interrupt(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """{"instanceId", "notice": seconds}: a spot interruption; notice at once, the end after it."""
        instance_id, notice_s = body["instanceId"], body.get("notice", 0)
        host = self._hosts[instance_id]
        host.announce("terminate", notice_s)
        self._platform.clock.after(notice_s, lambda: self._end(instance_id, SPOT_TAKEN))
        return {"done": True}

    def _lose(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """{"instanceId", "state": "terminated" | "stopped" | "running"}: its hardware fails; EC2 then says so, or not."""
        state = body.get("state", "terminated")
        self._end_machine(body["instanceId"])
        if state != "running":
            self._end(body["instanceId"], HOST_LOST, stop=state == "stopped")
        return {"done": True}

    def _set_capacity(self, body: Mapping[str, int | None]) -> dict[str, Any]:
        """{"m5.large": 0, "spot:m5.large": 2}: how many more may start; null: any number."""
        with self._lock:
            for kind, room in body.items():
                if room is None:
                    self.room.pop(kind, None)
                else:
                    self.room[kind] = room
        return {}

    def _shut_down(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The instance's own program `shutdown`; a later one takes the place of an earlier one, or cancels it."""
        instance_id = body["instanceId"]
        delay_s = shutdown_delay_s(body["arguments"])
        instance = self._instance(instance_id)
        stop = instance.instance_initiated_shutdown_behavior != "terminate"
        clock = self._platform.clock
        with self._lock:
            earlier = self._shutdowns.pop(instance_id, None)
            if earlier is not None:
                earlier.cancel()
            if delay_s is not None:
                self._shutdowns[instance_id] = clock.after(
                    clock.limit_s(delay_s), lambda: self._end(instance_id, SHUT_DOWN, stop=stop)
                )
        return {}


def _template(response: Any) -> Mapping[str, Any]:
    """Data of the launch template that a RunInstances names; {} without one."""
    named = response._get_param("LaunchTemplate", {})
    return response.ec2_backend._get_template_from_args(named).data if named else {}


def _wants_spot(parameters: Mapping[str, Any], template: Mapping[str, Any]) -> bool:
    options = parameters.get("InstanceMarketOptions") or template.get("InstanceMarketOptions") or {}
    return options.get("MarketType") == "spot"


def _complete(
    instance: Any, parameters: Mapping[str, Any], template: Mapping[str, Any], *, spot: bool
) -> None:
    """What moto does not take over from a launch template."""
    from moto.ec2.models.instances import MetadataOptions

    if spot:
        instance.lifecycle = "spot"
    behavior = parameters.get("InstanceInitiatedShutdownBehavior") or template.get(
        "InstanceInitiatedShutdownBehavior"
    )
    instance.instance_initiated_shutdown_behavior = behavior or "stop"
    if not parameters.get("MetadataOptions") and template.get("MetadataOptions"):
        instance.metadata_options = MetadataOptions(template["MetadataOptions"])


def _decoded(user_data: str | None) -> str | None:
    return None if user_data is None else base64.b64decode(user_data).decode(errors="replace")

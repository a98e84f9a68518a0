"""The program: AWS over HTTP on 127.0.0.1. Our own services where work must really be done; moto for all else.

    python -m aws_double.server <port, 0: any> <folder for the files of what runs>

Prints its port when it listens; ends when its standard input does. `/_exec/…` is for the test, `/imds/…` for what runs.
"""

import contextlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aws_double.batch import Batch
from aws_double.calls import AskMotoError, AwsError, Call, CallLog, error_reply, read_call
from aws_double.ec2 import Ec2
from aws_double.faults import Fault, Faults
from aws_double.http_server import ReplyLostError, Server
from aws_double.pricing import Pricing
from aws_double.sagemaker import SageMaker
from aws_double.settings import Platform, Storm
from aws_double.ssm import Ssm

Reply = tuple[int, list[tuple[str, str]], bytes]
NOT_HERE = AwsError("NotImplemented", "neither the double nor moto has this action", 501)


class Application:
    """The WSGI application."""

    def __init__(self, platform: Platform) -> None:
        from moto.server import DomainDispatcherApplication, create_backend_app

        self._platform = platform
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._known: dict[str, bool] = {}
        self._log = CallLog()
        self._faults = Faults()
        ec2 = Ec2(platform)
        self._services: dict[str, Any] = {
            "batch": Batch(platform),
            "ec2": ec2,
            "ssm": Ssm(platform, ec2),
            "sagemaker": SageMaker(platform),
            "pricing": Pricing(),
        }
        self._operations = {
            (service, action): handler
            for service, each in self._services.items()
            for action, handler in each.operations().items()
        }
        self._injections: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "faults": self._add_faults,
            "faults/clear": lambda _: self._faults.clear(),
            "calls": lambda body: self._log.select(body.get("service"), body.get("action")),
            "calls/clear": lambda _: self._log.clear(),
            "config": self._configure,
            "storm": self._set_storm,
            "alive": lambda _: {name: each.alive() for name, each in self._services.items()},
            "reset": self._reset,
        }
        for each in self._services.values():
            self._injections.update(each.injections())

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        path = environ["PATH_INFO"]
        if path.startswith("/_exec/"):
            status, headers, content = self._control(path.removeprefix("/_exec/"), environ["aws_double.body"])
        elif path.startswith("/imds/"):
            status, text = self._platform.metadata.answer(environ)
            headers, content = [("Content-Type", "text/plain")], text.encode()
        else:
            status, headers, content = self._call(environ)
        start_response(f"{status} {'OK' if status < 400 else 'Error'}", headers)
        return [content]

    def _call(self, environ: dict[str, Any]) -> Reply:
        """A call to AWS, with what was injected for it."""
        call = read_call(environ)
        environ["wsgi.input"].seek(0)
        entry = self._log.add(call)
        fault = self._faults.take(call)
        reply = self._go_wrong(call, environ, fault) if fault else self._carry_out(call, environ)
        entry["status"] = reply[0]
        return reply

    def _go_wrong(self, call: Call, environ: dict[str, Any], fault: Fault) -> Reply:
        reply = None
        error = fault.error()
        if fault.after or (error is None and not fault.drop):
            if not fault.after:
                time.sleep(fault.delay)
            reply = self._carry_out(call, environ)
        if fault.after or reply is None:
            time.sleep(fault.delay)
        if fault.drop:
            raise ReplyLostError
        return error_reply(call, error) if error is not None else reply

    def _carry_out(self, call: Call, environ: dict[str, Any]) -> Reply:
        operation = self._operations.get((call.service, call.action))
        try:
            if operation is not None:
                with contextlib.suppress(AskMotoError):
                    return _json_reply(200, operation(call))
            return self._ask_moto(call, environ)
        except AwsError as error:
            return error_reply(call, error)
        except NotImplementedError:
            return error_reply(call, NOT_HERE)
        except Exception as error:  # noqa: BLE001 - the double's own fault, which the test must see
            traceback.print_exc(file=sys.stderr)
            return error_reply(call, AwsError("DoubleFailed", repr(error), 500))

    def _ask_moto(self, call: Call, environ: dict[str, Any]) -> Reply:
        from werkzeug.test import run_wsgi_app

        if not self._moto_has(call.service, environ):
            raise NotImplementedError(call.service)
        parts, status, headers = run_wsgi_app(self._moto, environ, buffered=True)
        content = b"".join(parts)
        if content[:20].lower().startswith(b"<!doctype html") and call.service not in {"", "s3"}:
            raise NotImplementedError(call.action)  # the web framework's own page: moto has no such path
        return int(status.split()[0]), headers.to_wsgi_list(), content

    def _moto_has(self, service: str, environ: dict[str, Any]) -> bool:
        """Whether moto has a service at all; "" (an unsigned request) is for moto to understand."""
        from moto.backend_index import backend_url_patterns
        from moto.backends import list_of_moto_modules

        if service and service not in self._known:
            host = self._moto.infer_service_region_host(environ, environ["PATH_INFO"])
            modules = set(list_of_moto_modules())
            patterns = (pattern for _, pattern in backend_url_patterns)
            self._known[service] = host in modules or any(p.match(f"http://{host}") for p in patterns)
        return self._known.get(service, True)

    def _control(self, path: str, body: bytes) -> Reply:
        """A test's own request."""
        injection = self._injections.get(path)
        if injection is None:
            return _json_reply(404, {"error": f"no /_exec/{path}; there are {sorted(self._injections)}"})
        try:
            return _json_reply(200, injection(json.loads(body or b"{}")))
        except Exception as error:  # noqa: BLE001 - shown to the test
            traceback.print_exc(file=sys.stderr)
            return _json_reply(400, {"error": repr(error)})

    def _add_faults(self, body: Any) -> None:
        listed = body if isinstance(body, list) else body.get("faults", [body])
        self._faults.add(*(Fault(**each) for each in listed))

    def _configure(self, body: Mapping[str, Any]) -> None:
        values = dict(body)
        if "images" in values:
            self._platform.images.configure(values.pop("images"))
        self._platform.settings.update(values)
        self._platform.clock.factor = self._platform.settings.clock

    def _set_storm(self, body: Mapping[str, Any]) -> None:
        """{"service": …, "share": 0.3, …} (see Storm); {"service": …, "share": 0} ends it."""
        values = dict(body)
        service = values.pop("service")
        self._platform.storms[service] = Storm(**values)

    def _reset(self, _: Mapping[str, Any]) -> None:
        from moto.moto_api._internal.models import moto_api_backend

        self._faults.clear()
        self._platform.reset()
        for each in self._services.values():
            each.clear()
        moto_api_backend.reset()
        self._platform.reset()
        self._log.clear()


def _json_reply(status: int, document: Any) -> Reply:
    return status, [("Content-Type", "application/json")], json.dumps(document).encode()


def serve(port: int, folder: Path) -> None:
    """Serve until standard input ends, which it does however the starter dies; all that runs dies with it."""
    # A signal that our starter ignores would be ignored by all that runs here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION"] = "1"
    server = Server(port, None)
    platform = Platform(f"http://127.0.0.1:{server.server_port}", folder)
    server.application = Application(platform)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]))

"""The REST client against a server that behaves as Airflow does on a bad day; the real one answers in tests/flow."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from hpo_tasks.cli.follow import name_of
from hpo_tasks.errors import InputError, UnavailableError
from hpo_tasks.flow.embedded import rest
from hpo_tasks.flow.embedded.rest import AirflowApi

Answer = tuple[int, Any]


class Server:
    """Answers "METHOD path" with the answers put down for it, one after the other; the last one stays."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {"GET /auth/token": [(200, {"access_token": "first"})]}
        self.seen: list[tuple[str, str, Any]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def _reply(self) -> None:
                call = f"{self.command} {self.path}"
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                server.seen.append(
                    (call, self.headers.get("Authorization", ""), json.loads(body) if body else None)
                )
                waiting = server.answers[call]
                status, document = waiting.pop(0) if len(waiting) > 1 else waiting[0]
                data = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = _reply  # noqa: N815

            def log_message(self, *_: object) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def calls(self, call: str) -> list[Any]:
        return [body for seen, _, body in self.seen if seen == call]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(rest, "RETRY_S", 0.01)
    running = Server()
    yield running
    running.http.shutdown()
    running.http.server_close()


RUNS, RUN = "POST /api/v2/dags/hpo_x/dagRuns", "GET /api/v2/dags/hpo_x/dagRuns/mine"


def test_a_locked_database_is_waited_out(server: Server) -> None:
    server.answers[RUN] = [(500, {}), (503, {}), (200, {"state": "running"})]
    assert AirflowApi(server.url).run("hpo_x", "mine") == {"state": "running"}


def test_an_outage_that_does_not_end_is_reported(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "PATIENCE_S", 0.05)
    server.answers[RUN] = [(500, {})]
    with pytest.raises(UnavailableError, match="answers 500"):
        AirflowApi(server.url).run("hpo_x", "mine")


def test_an_expired_token_is_renewed(server: Server) -> None:
    server.answers["GET /auth/token"].append((200, {"access_token": "second"}))
    server.answers[RUN] = [(401, {}), (200, {"state": "queued"})]
    assert AirflowApi(server.url).run("hpo_x", "mine") == {"state": "queued"}
    assert server.seen[-1][1] == "Bearer second"


def test_a_trigger_whose_reply_got_lost_is_not_a_second_run(server: Server) -> None:
    server.answers[RUNS] = [(500, {}), (409, {"detail": "exists"})]
    server.answers[RUN] = [(200, {"state": "queued"})]
    assert AirflowApi(server.url).trigger("hpo_x", "mine", {"epoch": 1}) is True
    assert server.calls(RUNS) == [{"dag_run_id": "mine", "logical_date": None, "conf": {"epoch": 1}}] * 2


def test_an_interval_that_has_a_run_already(server: Server) -> None:
    server.answers[RUNS] = [(409, {"detail": "exists"})]
    server.answers[RUN] = [(404, {})]
    assert AirflowApi(server.url).trigger("hpo_x", "mine", {}, interval=("a", "b")) is False
    assert server.calls(RUNS)[0] == {
        "dag_run_id": "mine", "logical_date": "a", "data_interval_start": "a", "data_interval_end": "b", "conf": {},
    }  # fmt: skip


def test_what_the_form_refuses_is_the_users_to_change(server: Server) -> None:
    server.answers[RUNS] = [
        (400, {"detail": "Invalid input for param budget.trials: 0 is less than the minimum of 1"})
    ]
    with pytest.raises(InputError, match=r"budget\.trials: 0 is less"):
        AirflowApi(server.url).trigger("hpo_x", "mine", {"budget.trials": 0})


def _dag(parsed_at: float, **changes: Any) -> Answer:
    return 200, {
        "is_stale": False,
        "last_parsed_time": datetime.fromtimestamp(parsed_at, UTC).isoformat(),
        **changes,
    }


@pytest.mark.parametrize(
    "early", [lambda: (404, {}), lambda: _dag(200, is_stale=True), lambda: _dag(50), lambda: (200, {"last_parsed_time": None})],
    ids=["unknown", "stale", "older than the edit", "never parsed"],
)  # fmt: skip
def test_a_dag_is_there_once_it_was_parsed_after_the_edit(
    server: Server, early: Callable[[], Answer]
) -> None:
    server.answers["GET /api/v2/dags/hpo_x"] = [early(), _dag(200, name="now")]
    assert AirflowApi(server.url).wait_for_dag("hpo_x", edited_at=100)["name"] == "now"


def test_a_dag_that_never_comes_shows_the_import_errors(server: Server) -> None:
    server.answers["GET /api/v2/dags/hpo_x"] = [(404, {})]
    server.answers["GET /api/v2/importErrors"] = [
        (200, {"import_errors": [{"stack_trace": "x.yaml: budget: missing\n"}]})
    ]
    with pytest.raises(InputError, match=r"no DAG hpo_x.*x\.yaml: budget: missing$"):
        AirflowApi(server.url).wait_for_dag("hpo_x", timeout_s=0.1)


def test_only_errors_of_a_log(server: Server) -> None:
    entries = [
        {"event": "Log groups"},
        {"level": "info", "event": "fine"},
        {"level": "error", "event": "no file"},
        "old style",
    ]
    path = "GET /api/v2/dags/hpo_x/dagRuns/mine/taskInstances/prepare/logs/1?map_index=-1"
    server.answers[path] = [(200, {"content": entries})]
    api = AirflowApi(server.url)
    task = {"task_id": "prepare", "try_number": 1, "map_index": -1}
    assert api.log_errors("hpo_x", "mine", task) == ["no file"]
    assert api.log("hpo_x", "mine", task) == ["Log groups", "fine", "no file", "old style"]


def test_the_log_of_a_task_in_a_loop_is_named_by_its_region(server: Server) -> None:
    """Every iteration has a task of this id and map index."""
    path = "GET /api/v2/dags/hpo_x/dagRuns/mine/taskInstances/round.train/logs/2?region_id=a-b&region_index=3"
    server.answers[path] = [(200, {"content": [{"event": "fine"}]})]
    task = {
        "task_id": "round.train", "try_number": 2, "map_index": 3, "region_id": "a-b", "region_index": 3,
        "loop_iteration": {"loop_id": "round", "iteration": 7},
    }  # fmt: skip
    assert AirflowApi(server.url).log("hpo_x", "mine", task) == ["fine"]
    assert name_of(task) == "round.train (iteration 7)"
    assert name_of({"task_id": "prepare", "loop_iteration": None}) == "prepare"

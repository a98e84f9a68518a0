"""A trial that keeps its own ledger: one line when it starts and one when it ends, whoever launched it.

The value depends on the parameters alone, so that an undisturbed run can be compared with a disturbed one.
"""

import json
import os
import time
from pathlib import Path


def note(event: str) -> None:
    keys = ("HPO_STUDY", "HPO_ROUND", "HPO_SLOT", "HPO_ATTEMPT")
    keyed = {key: os.environ[key] for key in keys}
    line = json.dumps({"event": event, "pid": os.getpid(), "at": time.time(), **keyed})
    handle = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(handle, line.encode() + b"\n")
    os.close(handle)


note("start")
params = json.loads(Path(os.environ["HPO_PARAMS"]).read_text())
time.sleep(float(os.environ["SECONDS_OF_WORK"]))
while (gate := os.environ.get("GATE")) and not Path(
    gate
).exists():  # a trial that lasts until a test opens it
    time.sleep(0.05)
value = (params["x"] - 0.3) ** 2 + (params["y"] + 0.5) ** 2
Path(os.environ["HPO_MODEL_DIR"], "model.json").write_text(json.dumps(params))
with Path(os.environ["HPO_METRICS"]).open("a") as metrics:
    metrics.write(json.dumps({"loss": value}) + "\n")
note("end")

"""What a trial may do to its runner. The first argument says which."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def report(text: str) -> None:
    with Path(os.environ["HPO_METRICS"]).open("a") as metrics:
        metrics.write(text + "\n")


def segfault() -> None:
    ctypes.string_at(0)


def no_metric() -> None:
    pass


def chatty() -> None:
    line = b"x" * 99 + b"\n"
    for _ in range(2000):
        os.write(1, line * 1000)
    report(json.dumps({"loss": 0.5}))


def deaf() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)


def daemon() -> None:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    report(json.dumps({"loss": 0.6}))


def glutton() -> None:
    held = []
    while True:
        held.append(bytearray(os.urandom(1 << 20)) * 20)
        time.sleep(0.02)


def nan() -> None:
    report('{"loss": NaN}')


def text() -> None:
    report('{"loss": "low"}')


def good() -> None:
    report(json.dumps({"loss": 0.1}))


globals()[sys.argv[1]]()

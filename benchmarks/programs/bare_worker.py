"""Runs no-op trials one after the other, each in a process of its own: what a shell loop would do.

python bare_worker.py COUNT
"""

import subprocess
import sys
from pathlib import Path

TRIAL = Path(__file__).with_name("noop_trial.py")

for number in range(int(sys.argv[1])):
    done = subprocess.run([sys.executable, TRIAL, str(number)], capture_output=True, text=True, check=True)
    if float(done.stdout) != number:
        sys.exit(f"trial {number} printed {done.stdout!r}")

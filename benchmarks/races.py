"""The ledger's race tests at full size: 4 askers and 4 tellers, 200 rounds of 8, on SQLite and PostgreSQL.

The same test as in the suite, so that what is counted is also checked. Prints how long each database took.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = "200"


def main() -> int:
    """Run the tests; returns their exit code."""
    arguments = ["-m", "races", "--durations=2", "-v", "tests/study/test_races.py"]
    environment = {"HPO_RACE_ROUNDS": ROUNDS, **os.environ}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments], cwd=ROOT, env=environment, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())

"""Install what the tests need from Debian's packages: only what is missing, only as root. Otherwise name it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path


def _has_postgres() -> bool:
    return shutil.which("postgres") is not None or any(Path("/usr/lib/postgresql").glob("*/bin/postgres"))


NEEDS: dict[str, Callable[[], bool]] = {
    "postgresql": _has_postgres,
    "redis-server": lambda: shutil.which("redis-server") is not None,
    "gcc": lambda: shutil.which("cc") is not None,
    "libc6-dev": lambda: Path("/usr/include/stdio.h").exists(),
    "util-linux": lambda: shutil.which("unshare") is not None,
}


def main() -> int:
    missing = [package for package, is_there in NEEDS.items() if not is_there()]
    if not missing:
        return 0
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        print(
            f"the tests need {', '.join(missing)}; on Debian: apt-get install {' '.join(missing)}",
            file=sys.stderr,
        )
        return 1
    # RUNLEVEL=1: Debian starts no server of its own; the tests start theirs, unprivileged.
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-qq", "--no-install-recommends", *missing],
    ):
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What runs on one EC2 instance: its user data and its SSM commands, in a container that the instance is."""

import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from aws_double.processes import ContainerProcess, Output
from aws_double.settings import Platform

# To a file: what user data leaves behind goes on writing after its end.
TO_CONSOLE = 'exec "$1" >"$2" 2>&1'
# Process 1 of the instance. What others leave behind is reaped, because it wants to hear of no child's end.
INIT = ["sh", "-c", "trap '' CHLD; exec sleep infinity"]
SHUTDOWN = """#!{python} -I
import sys, json, urllib.request
body = json.dumps({{"instanceId": {instance_id!r}, "arguments": sys.argv[1:]}}).encode()
urllib.request.build_opener(urllib.request.ProxyHandler({{}})).open({endpoint!r} + "/_exec/ec2/shutdown", body).read()
"""
POWER_OFF = "#!/bin/sh\nexec {programs}/shutdown -P now\n"


class Machine:
    """The inside of one instance, from its boot to its end."""

    def __init__(self, platform: Platform, instance_id: str, region: str) -> None:
        self._platform = platform
        self._instance_id = instance_id
        self._region = region
        self._folder = platform.new_folder(instance_id)
        self._lock = threading.Lock()
        self._processes: set[ContainerProcess] = set()
        self._init: ContainerProcess | None = None
        self._gone = threading.Event()
        self._booted = threading.Event()

    def console(self) -> str:
        """What user data has printed."""
        file = self._folder / "console"
        return file.read_text(errors="replace") if file.exists() else ""

    @property
    def gone(self) -> bool:
        return self._gone.is_set()

    @property
    def reachable(self) -> bool:
        """Whether programs can be started on it."""
        return self._booted.is_set() and not self.gone

    def boot(self, user_data: str | None) -> None:
        """Start process 1, then user data if it is a script; returns when processes can be started on it."""
        self._install_programs()
        with self._lock:
            if self.gone:
                return
            self._init = ContainerProcess(INIT, self.environment(), self._folder, lambda _: None)
        # A thread that lives as long as it does: the kernel ends a process with the thread that started it.
        threading.Thread(target=self._init.run, name=f"init-{self._instance_id}", daemon=True).start()
        while self._init.main_pid is None and not self.gone:
            self._gone.wait(0.005)
        self._booted.set()
        if user_data is not None and user_data.startswith("#!"):
            script = self.write_script("user-data", user_data)
            command = ["sh", "-c", TO_CONSOLE, "sh", str(script), str(self._folder / "console")]
            process = self.new_process(command, lambda _: None)
            name = f"user-data-{self._instance_id}"
            threading.Thread(target=self.run_process, args=(process,), name=name, daemon=True).start()

    def environment(self) -> dict[str, str]:
        variables = self._platform.environment(self._folder, self._instance_id, self._region)
        return {**variables, "PATH": f"{self._folder / 'bin'}:{variables['PATH']}"}

    def write_script(self, name: str, text: str) -> Path:
        """Write an executable file onto the instance."""
        script = self._folder / name
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(text)
        script.chmod(0o755)
        return script

    def new_process(
        self, command: Sequence[str], on_output: Output, extra: Mapping[str, str] | None = None
    ) -> ContainerProcess:
        """A process on the instance, not yet started."""
        return ContainerProcess(
            command,
            {**self.environment(), **(extra or {})},
            self._folder,
            on_output,
            inside=self._init.main_pid,
        )

    def run_process(self, process: ContainerProcess) -> int:
        """Run it to its end; its exit code."""
        with self._lock:
            if self.gone:
                process.kill()
            self._processes.add(process)
        try:
            return process.run()
        finally:
            with self._lock:
                self._processes.discard(process)

    def end(self) -> None:
        """Everything on it dies, its disk too."""
        with self._lock:
            self._gone.set()
            processes = list(self._processes)
        if self._init is not None:
            self._init.kill()
        for process in processes:
            process.kill()
        self._platform.discard(self._folder)

    def _install_programs(self) -> None:
        fields = {
            "python": sys.executable,
            "instance_id": self._instance_id,
            "endpoint": self._platform.endpoint,
        }
        self.write_script("bin/shutdown", SHUTDOWN.format(**fields))
        for name in ("poweroff", "halt"):
            self.write_script(f"bin/{name}", POWER_OFF.format(programs=self._folder / "bin"))


def shutdown_delay_s(arguments: Sequence[str]) -> float | None:
    """Seconds until a `shutdown` with these arguments takes effect; None: it cancels one.

    Raises:
        ValueError: a time that the double does not know.
    """
    if "-c" in arguments:
        return None
    times = [argument for argument in arguments if not argument.startswith("-")] or ["+1"]
    if times[0] == "now":
        return 0.0
    if times[0].removeprefix("+").isdigit():
        return float(times[0].removeprefix("+")) * 60
    raise ValueError(f"shutdown: expected now or +minutes, got {times[0]!r}")

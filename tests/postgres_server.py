"""A throw-away PostgreSQL server on 127.0.0.1, from the binaries of this machine."""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import psycopg

DEBIAN = Path("/usr/lib/postgresql")
UNPRIVILEGED = "nobody"
MAX_CONNECTIONS = 100


class PostgresServer:
    """Starts with `start`, ends with `stop`; the data folder goes with it.

    PostgreSQL refuses to run as root, so that root starts it as `nobody` in a folder that is nobody's.
    """

    def __init__(self):
        self._bin = _binaries()
        self._user = UNPRIVILEGED if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="hpo-pg-"))
        self.own_folder()
        self._data = self.folder / "data"
        self.port = _free_port()

    def own_folder(self):
        """Give the folder to the server's user; again if a file system was mounted over it."""
        if self._user:
            shutil.chown(self.folder, self._user)

    def start(self):
        # No fsync: what is tested is what the protocol promises when processes die, not when the power goes.
        self._run(
            "initdb", "--no-sync", "--auth=trust", "--username=hpo", "--encoding=UTF8", "-D", self._data
        )
        self._pg_ctl("start", "-o", self._options(), "-l", self.folder / "log")
        return self

    def restart(self):
        """Kill every server process at once, as a crash would, and start again."""
        self._pg_ctl("restart", "-m", "immediate", "-o", self._options(), "-l", self.folder / "log")

    def crash(self):
        """End every server process at once; nobody answers until `start_again`."""
        self._pg_ctl("stop", "-m", "immediate")

    def start_again(self):
        """Start a server that has crashed; nothing if it runs."""
        if self._pg_ctl_says("status") != 0:
            self._pg_ctl("start", "-o", self._options(), "-l", self.folder / "log")

    def stop(self, *, keep_folder=False):
        """End the server and remove its folder, or only what is in it."""
        if self._pg_ctl_says("status") == 0:
            self._pg_ctl("stop", "-m", "immediate")
        for entry in self.folder.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        if not keep_folder:
            self.folder.rmdir()

    def create_database(self, name):
        self._run("createdb", "--host=127.0.0.1", f"--port={self.port}", "--username=hpo", name)
        return self.url(name)

    def empty(self, url):
        """Drop everything in a database, and whoever is still connected to it."""
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")

    def url(self, name):
        return f"postgresql://hpo@127.0.0.1:{self.port}/{name}"

    def _options(self):
        return (
            f"-h 127.0.0.1 -p {self.port} -k {self.folder} -c fsync=off -c max_connections={MAX_CONNECTIONS} "
            "-c shared_buffers=32MB"
        )

    def _pg_ctl(self, action, *arguments):
        self._run("pg_ctl", action, "-w", "-D", self._data, *arguments)

    def _pg_ctl_says(self, action):
        """Exit code of a pg_ctl action."""
        return self._call("pg_ctl", action, "-D", self._data)[0]

    def _run(self, program, *arguments):
        code, output = self._call(program, *arguments)
        if code:
            raise RuntimeError(f"{program} {arguments[0]} failed: {output}")

    def _call(self, program, *arguments):
        # Output to a file: the server keeps a pipe open for as long as it lives, and a reader would wait for it.
        with (self.folder / "out").open("w+") as out:
            done = subprocess.run(
                [self._bin / program, *arguments],
                cwd=self.folder,
                user=self._user,
                group="nogroup" if self._user else None,
                extra_groups=[] if self._user else None,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                check=False,
            )
            out.seek(0)
            return done.returncode, out.read()


def _binaries():
    versions = sorted(DEBIAN.glob("*/bin"), key=lambda folder: int(folder.parent.name.split(".")[0]))
    if versions:
        return versions[-1]
    found = shutil.which("initdb")
    if found is None:
        raise RuntimeError(
            "PostgreSQL's server programs are missing; install the Debian package `postgresql`"
        )
    return Path(found).resolve().parent


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

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

    Args:
        user: the superuser.
        password: of the superuser; without it nobody needs one.
        settings: options of the server, name → value.
        port: where it listens; without it any free one.
    """

    def __init__(self, user="hpo", password="", settings=None, port=None):
        self.superuser = user
        self._password = password
        self._settings = {"max_connections": MAX_CONNECTIONS, **(settings or {})}
        self._bin = _binaries()
        self._user = UNPRIVILEGED if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="hpo-pg-"))
        self.own_folder()
        self._data = self.folder / "data"
        self.port = port or _free_port()

    def own_folder(self):
        """Give the folder to the server's user; again if a file system was mounted over it."""
        if self._user:
            shutil.chown(self.folder, self._user)

    def start(self):
        """Start it; the first time it is set up before."""
        if not self.is_set_up:
            self._set_up()
        self._pg_ctl("start", "-o", self._options(), "-l", self.folder / "log")
        return self

    @property
    def is_set_up(self):
        return (self._data / "PG_VERSION").exists()

    def _set_up(self):
        # No fsync: what is tested is what the protocol promises when processes die, not when the power goes.
        password = self.folder / "password"
        password.write_text(self._password)
        auth = ["--auth=scram-sha-256", f"--pwfile={password}"] if self._password else ["--auth=trust"]
        self._run(
            "initdb", "--no-sync", *auth, f"--username={self.superuser}", "--encoding=UTF8", "-D", self._data
        )

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
        self._run("createdb", "--host=127.0.0.1", f"--port={self.port}", f"--username={self.superuser}", name)
        return self.url(name)

    def empty(self, url):
        """Drop everything in a database, and whoever is still connected to it."""
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")

    def run_script(self, path, environment):
        """Run a shell script as the image of PostgreSQL does: `psql` finds the server, as its superuser."""
        connection = {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGPASSWORD": self._password}
        programs = {"PATH": f"{self._bin}:{os.environ['PATH']}"}
        subprocess.run(["sh", path], env={**environment, **connection, **programs}, check=True)

    def url(self, name):
        return f"postgresql://{self.superuser}@127.0.0.1:{self.port}/{name}"

    def _options(self):
        settings = "".join(f" -c {name}={value}" for name, value in self._settings.items())
        return f"-h 127.0.0.1 -p {self.port} -k {self.folder} -c fsync=off -c shared_buffers=32MB{settings}"

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
                env={
                    "PATH": os.environ["PATH"],
                    "LC_ALL": "C.UTF-8",
                    "HOME": str(self.folder),
                    "PGPASSWORD": self._password,
                },
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

"""`make env`: secrets that nobody else can read, and that are never replaced."""

import runpy
import subprocess
import sys
from pathlib import Path

from compose_file import read_env

PROGRAM = Path(__file__).parents[2] / "docker" / "make_env.py"
MAKE_ENV = runpy.run_path(str(PROGRAM))


def make_env(path):
    return subprocess.run([sys.executable, PROGRAM, path], check=True, capture_output=True, text=True).stdout


def test_the_file_is_private_and_its_secrets_are_strong(tmp_path):
    """Whatever the umask says; every secret is another one, of at least 128 bits."""
    path = tmp_path / ".env"
    make_env(path)
    assert path.stat().st_mode & 0o777 == 0o600
    secrets = [
        value for name, value in read_env(path).items() if name in (*MAKE_ENV["PASSWORDS"], "FERNET_KEY")
    ]
    assert len(secrets) == len(set(secrets)) == len(MAKE_ENV["PASSWORDS"]) + 1
    assert min(map(len, secrets)) >= 32


def test_an_existing_file_stays_as_it_is(tmp_path):
    """Its secrets are those that the databases were made with."""
    path = tmp_path / ".env"
    path.write_text("mine\n")
    assert "left as it is" in make_env(path)
    assert path.read_text() == "mine\n"


def test_no_secret_is_printed(tmp_path):
    said = make_env(tmp_path / ".env")
    assert [
        value for value in read_env(tmp_path / ".env").values() if len(value) > 16 and value in said
    ] == []


def test_git_and_the_images_leave_the_file_out():
    """A secret that was committed or built into an image is none any more."""
    root = PROGRAM.parents[1]
    assert ".env" in (root / ".gitignore").read_text().splitlines()
    ignored = (root / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert "!.env" not in ignored

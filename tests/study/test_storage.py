"""The database behind the ledger: its URL, its first opening, and one plain message for whatever it answers."""

import os
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy
from cases import STUDY, header, spec

from hpo_tasks.errors import InputError, RefusedError, UnavailableError
from hpo_tasks.study.ledger import Ledger
from hpo_tasks.study.sqlite_file import file_system_of
from hpo_tasks.study.storage import Database, display_name, parse_url

SECRET = "s3cr{t}%n"


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_postgresql_in_every_spelling(scheme):
    url = parse_url(f"{scheme}://u:p@h:5433/d")
    assert url.drivername == "postgresql+psycopg"
    assert display_name(url) == "postgresql://h:5433/d"


OTHER_URLS = [
    *["", "study.db", "/data/study.db", "sqlite://", "sqlite:///:memory:", "sqlite:///a.db?mode=memory"],
    *["mysql://root:hush@h/d", "redis://h", "postgresql+asyncpg://u:hush@h/d", "http://hush@["],
]


@pytest.mark.parametrize("text", OTHER_URLS)
def test_other_urls_are_refused_with_what_to_write(text):
    with pytest.raises(InputError, match=r"^study database: .*(sqlite:////absolute/path/study.db)") as caught:
        parse_url(text)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("/data/x", "nfs4"),
        ("/data/local/x", "ext4"),
        ("/home", "btrfs"),
        ("/mnt/my disk", "cifs"),
        ("/datax", "btrfs"),
    ],
)
def test_file_system_of(folder, expected):
    mounts = (
        "22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"
        "23 1 8:1 / / rw - btrfs /dev/sdb rw\n"
        "30 23 0:50 / /data rw,relatime shared:9 - nfs4 server:/export rw\n"
        "31 30 8:2 / /data/local rw master:1 shared:9 - ext4 /dev/sdc rw\n"
        "32 23 0:51 / /mnt/my\\040disk rw - cifs //server/share rw\n"
    )
    assert file_system_of(Path(folder), mounts) == expected


def test_sqlite_on_a_network_file_system_is_refused(tmp_path, monkeypatch):
    mounts = tmp_path / "mountinfo"
    mounts.write_text("22 1 0:50 / / rw - nfs server:/export rw\n")
    monkeypatch.setattr("hpo_tasks.study.sqlite_file.MOUNTS", mounts)
    with pytest.raises(RefusedError, match=r"network file systems \(nfs\); use a local disk or PostgreSQL"):
        Ledger(f"sqlite:///{tmp_path}/study.db")
    assert not (tmp_path / "study.db").exists()


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(RefusedError, match=f"the folder {tmp_path}/no does not exist"):
        Ledger(f"sqlite:///{tmp_path}/no/study.db")


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "study.db").write_text("hello, this is a text file, long enough to be read as a header" * 50)
    with pytest.raises(RefusedError, match=r"study\.db: file is not a database; .*another path"):
        Ledger(f"sqlite:///{tmp_path}/study.db")


OPEN = """
import sys
from cases import header, spec
from hpo_tasks.study.ledger import Ledger
sys.stdin.read()
with Ledger(sys.argv[1]) as ledger:
    ledger.create(header(spec(), study_id=sys.argv[2]))
    print(len(ledger.ask(sys.argv[2], spec(), 0, 2)))
"""


def test_several_processes_open_an_empty_database_at_once(url):
    here = str(Path(__file__).parent)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, url, f"study{number}"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([here, *sys.path])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda process: process.communicate(""), processes))
    assert results == [("2\n", "")] * 3
    with Ledger(url) as ledger:
        assert len(ledger.studies()) == 3


def test_threads_may_share_a_ledger(url):
    with Ledger(url) as ledger:
        for number in range(4):
            ledger.create(header(spec(), study_id=f"s{number}"))
        with ThreadPoolExecutor(4) as pool:
            asked = list(pool.map(lambda n: len(ledger.ask(f"s{n}", spec(), 0, 4)), range(4)))
    assert asked == [4] * 4


def test_sqlite_takes_the_write_lock_before_it_reads(file_url):
    """Two writers that both read first would overwrite each other."""
    database = Database(file_url)
    with database.writing(), sqlite3.connect(database._file, timeout=0) as other:
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        with database.reading() as connection:  # and readers do not wait for it
            assert connection.execute(sqlalchemy.text("SELECT 1")).scalar() == 1
    database.close()


def test_postgresql_settings(postgres_url):
    database = Database(postgres_url)
    with database.writing() as connection:
        settings = {
            name: connection.execute(sqlalchemy.text(f"SHOW {name}")).scalar()
            for name in ("transaction_isolation", "statement_timeout", "idle_in_transaction_session_timeout")
        }
    assert settings == {
        "transaction_isolation": "read committed",
        "statement_timeout": "1min",
        "idle_in_transaction_session_timeout": "1min",
    }
    database.close()


def test_a_password_with_every_character_works_and_is_never_shown(postgres_url):
    url = sqlalchemy.make_url(postgres_url).set(password=SECRET)
    with Ledger(url.render_as_string(hide_password=False)) as ledger:
        ledger.create(header(spec()))
    with pytest.raises(RefusedError) as caught:
        Ledger(url.set(database="nowhere").render_as_string(hide_password=False))
    assert "nowhere" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_path_with_braces_spaces_and_quotes_works(tmp_path):
    folder = tmp_path / "a {b} {0} 100% 'q'; x"
    folder.mkdir()
    with Ledger(f"sqlite:///{folder}/study.db") as ledger:
        ledger.create(header(spec()))
    assert (folder / "study.db").exists()


def test_a_wrong_role_is_refused(postgres_url):
    url = sqlalchemy.make_url(postgres_url).set(username="mallory", password=SECRET)
    with pytest.raises(RefusedError, match="mallory"):
        Ledger(url.render_as_string(hide_password=False))


def test_a_server_that_is_down_is_unavailable():
    with pytest.raises(UnavailableError) as caught:
        Ledger(f"postgresql://hpo:{SECRET.replace('%', '%25')}@127.0.0.1:1/study")
    assert str(caught.value).startswith("study database postgresql://127.0.0.1:1/study: connection")
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_read_only_postgresql_is_refused(postgres):
    url = postgres.create_database("readonly")
    with Ledger(url) as ledger:
        ledger.create(header(spec()))
        with ledger._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(
                sqlalchemy.text("ALTER DATABASE readonly SET default_transaction_read_only = on")
            )
        ledger._database.engine.dispose()
        with pytest.raises(RefusedError, match="read-only transaction"):
            ledger.check()
        assert [study.study_id for study in ledger.studies()] == [STUDY]


def test_a_read_only_file_can_be_read_but_not_written(file_url):
    with Ledger(file_url) as ledger:
        ledger.create(header(spec()))
        ledger.check()
        with ledger._database.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA query_only = on")
            connection.rollback()
        with pytest.raises(RefusedError, match="readonly database; let this user write"):
            ledger.check()
        assert len(ledger.studies()) == 1


def test_a_full_disk_is_told_and_nothing_is_half_written(file_url):
    with Ledger(file_url) as ledger:
        ledger.create(header(spec()))
        ledger.ask(STUDY, spec(), 0, 1)
        with ledger._database.engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
            connection.rollback()
        wide = spec(search={f"p{n}": {"type": "float", "low": 0.0, "high": 1.0} for n in range(100)})
        with pytest.raises(UnavailableError, match="the disk is full; free space, then run the task again"):
            ledger.ask(STUDY, wide, 1, 2)
        assert {len(trial.params) for trial in ledger.trials(STUDY)} <= {1, 100}
        ledger._database.engine.dispose()
        assert len(ledger.ask(STUDY, wide, 1, 2)) == 2


def test_tables_of_another_optuna_are_named(file_url):
    with Ledger(file_url) as ledger, ledger._database.writing() as connection:
        connection.execute(sqlalchemy.text("UPDATE alembic_version SET version_num = 'v2.6.0.a'"))
    with pytest.raises(
        RefusedError, match="belong to another Optuna version; upgrade them with `optuna storage upgrade"
    ):
        Ledger(file_url)


def test_a_lock_that_stays_taken_is_unavailable_in_time(url):
    with Ledger(url) as holder, Ledger(url, lock_timeout_s=0.2) as waiter:
        holder.create(header(spec()))
        with holder._database.lock(STUDY), pytest.raises(UnavailableError):
            waiter.ask(STUDY, spec(), 0, 1)
        assert len(waiter.ask(STUDY, spec(), 0, 1)) == 1


def test_locks_of_two_studies_do_not_meet(url):
    with Ledger(url) as one, Ledger(url, lock_timeout_s=0.2) as two:
        two.create(header(spec(), study_id="other"))
        with one._database.lock(STUDY):
            assert len(two.ask("other", spec(), 0, 1)) == 1


def test_the_database_file_is_not_made_wider_than_the_umask(file_url):
    with Ledger(file_url) as ledger:
        mode = Path(ledger._database._file).stat().st_mode
    assert not mode & stat.S_IWOTH

"""A PostgreSQL of our own: reachable by its password alone, back after a crash, gone with its owner."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from sandbox import embedded_postgres
from sandbox.account import Account, temporary_folder
from sandbox.embedded_postgres import EmbeddedPostgres
from sandbox.process import start_mark
from sandbox.readiness import accepts, database_answers, wait_until
from schemas.errors import DependencyAway


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = temporary_folder("tapeflow-unit-")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(folder / "postgres", fsync=False) as server:
        yield server


def test_only_the_password_opens_it_and_only_on_loopback(server: EmbeddedPostgres):
    password = server.url.partition("postgres:")[2].partition("@")[0]
    assert len(password) >= 32
    assert database_answers(server.url)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(server.url.replace(password, "wrong"))
    with psycopg.connect(server.url) as connection:
        shown = "select current_setting('listen_addresses'), current_setting('unix_socket_directories')"
        assert connection.execute(shown).fetchone() == ("127.0.0.1", "")
    assert (server.folder / "password").stat().st_mode & 0o777 == 0o600
    assert not (server.folder / "password.new").exists()


def test_databases_are_made_and_dropped_while_somebody_is_connected(server: EmbeddedPostgres):
    # a name that needs quoting
    name = 'odd "name/?'
    url = server.create_database(name)
    with psycopg.connect(url):
        with pytest.raises(psycopg.errors.DuplicateDatabase):
            server.create_database(name)
        server.drop_database(name)
    assert not database_answers(url)


@pytest.fixture
def further_group() -> Iterator[None]:
    """A group that we are in beside our own, as far as we may."""
    before = os.getgroups()
    if os.geteuid() == 0:
        os.setgroups([*before, 54_321])
    yield
    if os.geteuid() == 0:
        os.setgroups(before)


@pytest.mark.usefixtures("further_group")
def test_it_runs_neither_as_root_nor_in_its_groups(server: EmbeddedPostgres):
    server.stop()
    server.start()
    assert server.pid is not None
    status = Path(f"/proc/{server.pid}/status").read_text()
    ids = {line.split()[0]: line.split()[1:] for line in status.splitlines() if line[:4] in ("Uid:", "Grou")}
    assert "0" not in ids["Uid:"]
    if os.geteuid() == 0:
        assert ids["Groups:"] == []


def test_rows_survive_a_crash(server: EmbeddedPostgres):
    with psycopg.connect(server.url) as connection:
        connection.execute("create table kept as select 42 as answer")
    server.kill()
    assert not database_answers(server.url)
    server.start()
    with psycopg.connect(server.url) as connection:
        assert connection.execute("select answer from kept").fetchone() == (42,)


def test_it_comes_back_while_its_dead_process_is_not_reaped(folder: Path):
    first = EmbeddedPostgres(folder / "postgres", fsync=False, detached=True).start()
    pid = first.pid
    assert pid is not None
    second = EmbeddedPostgres(folder / "postgres", fsync=False)
    try:
        # its parent is this process, which does not look after it: as a PID 1 that reaps nothing
        os.kill(pid, signal.SIGKILL)
        assert wait_until(lambda: start_mark(pid) is None, 10)
        os.kill(pid, 0)
        second.start()
        assert second.running
    finally:
        second.stop()
        assert not first.running


def test_an_interrupted_initdb_is_begun_anew(folder: Path):
    half = folder / "postgres" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(folder / "postgres", fsync=False) as server:
        assert server.running
    assert not half.exists()


def test_it_ends_with_its_killed_owner(folder: Path):
    program = textwrap.dedent("""
        import sys, time
        from sandbox.embedded_postgres import EmbeddedPostgres
        server = EmbeddedPostgres(sys.argv[1], fsync=False).start()
        print("ready", flush=True)
        time.sleep(600)
    """)
    command = [sys.executable, "-c", program, str(folder / "postgres")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "ready\n"
        server = EmbeddedPostgres(folder / "postgres")
        pid, port = server.pid, server.ports[0]
        assert pid is not None
        owner.kill()
    assert wait_until(lambda: start_mark(pid) is None, 10)
    assert not accepts(f"127.0.0.1:{port}")


class TestUnderRoot:
    """What root needs: an account, and folders open to it."""

    @pytest.fixture(autouse=True)
    def stranger(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stranger = Account("stranger", 54_321, 54_321)
        monkeypatch.setattr(embedded_postgres, "server_account", lambda: stranger)
        monkeypatch.setattr("sandbox.postgres_server.server_account", lambda: stranger)

    def test_binaries_behind_a_closed_folder_are_copied(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        closed = folder / "home"
        binaries = closed / "package" / "bin"
        binaries.mkdir(parents=True)
        (binaries / "postgres").write_text("binary")
        (binaries / "postgres").chmod(0o755)
        monkeypatch.setattr(embedded_postgres, "packaged_binaries", lambda: binaries)
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        (folder / "cache").mkdir(mode=0o755)
        server = EmbeddedPostgres(folder / "postgres")
        closed.chmod(0o755)
        assert server._binaries() == binaries
        closed.chmod(0o700)
        copied = server._binaries()
        assert copied.is_relative_to(folder / "cache")
        assert (copied / "postgres").read_text() == "binary"
        assert (copied / "postgres").stat().st_mode & 0o777 == 0o755

    def test_a_closed_folder_for_the_data_is_told(self, folder: Path):
        closed = folder / "home"
        closed.mkdir(mode=0o700)
        with pytest.raises(DependencyAway, match=f"stranger, to whom {closed} is closed"):
            EmbeddedPostgres(closed / "postgres").start()

"""A PostgreSQL server from a folder of binaries, on loopback, with a password of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

import psycopg
from psycopg import sql
from typing_extensions import override

from sandbox.account import require_open, server_account
from sandbox.port import LOOPBACK
from sandbox.process import Command, start_mark
from sandbox.readiness import Say, database_answers, silent, tail, wait_until
from sandbox.server import Server
from schemas.errors import DependencyAway

DATABASE = "market"
MAINTENANCE = "postgres"
CONNECT_S = 3
INITDB_S = 120
#: what the backends of a killed server get to notice and end
ORPHANS_S = 20.0
PROC = Path("/proc")


class PostgresServer(Server):
    """PostgreSQL in a folder: scram on loopback only, no unix socket, so that no path is too long for it."""

    # fast: sessions are ended, a checkpoint is written
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT
    #: settings beside those that every server here has
    settings: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self, folder: Path | str, *, fsync: bool = True, detached: bool = False, say: Say = silent
    ) -> None:
        """As the other servers.

        Args:
            folder: as there.
            fsync: False: a crash of the *machine* may spoil the data; for tests.
            detached: as there.
            say: as there.
        """
        super().__init__(folder, detached=detached, say=say)
        self._account = server_account()
        self._fsync = fsync
        self._data = self.folder / "data"
        self._password = self.folder / "password"

    @property
    def url(self) -> str:
        """The database ``market``, as the superuser."""
        return self.database_url(DATABASE)

    def database_url(self, name: str) -> str:
        """Return the URL of a database of this server."""
        return self._url(self.ports[0], name)

    def create_database(self, name: str) -> str:
        """Create an empty database and return its URL.

        Raises:
            psycopg.errors.DuplicateDatabase: it is there already.
        """
        self._execute(MAINTENANCE, sql.SQL("create database {}").format(sql.Identifier(name)))
        return self.database_url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is connected to it."""
        self._execute(
            MAINTENANCE, sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
        )

    @abstractmethod
    def _binaries(self) -> Path:
        """Return the folder that holds ``postgres`` and ``initdb``; install it if it is missing."""

    @override
    def _prepare(self) -> None:
        binaries = self._binaries()
        require_open(binaries, self._account)
        require_open(self.folder, self._account)
        if not self._data.is_dir():
            self._say(f"{self.title}: making the data folder")
            self._init(binaries)
        self._wait_for_orphans()

    @override
    def _command(self, ports: list[int]) -> Command:
        self._say(f"starting {self.title}")
        settings = {
            "port": str(ports[0]),
            "listen_addresses": LOOPBACK,
            "unix_socket_directories": "",
            "max_connections": "80",
            "jit": "off",
            "fsync": "on" if self._fsync else "off",
            "logging_collector": "off",
            **self.settings,
        }
        if not os.access("/dev/shm", os.W_OK):  # noqa: S108 - asked for, not written to
            settings["dynamic_shared_memory_type"] = "mmap"
        arguments: list[str | Path] = [self._binaries() / "postgres", "-D", self._data]
        for name, value in settings.items():
            arguments += ["-c", f"{name}={value}"]
        return Command(arguments, self.folder, self._environment(), self._account)

    @override
    def _answers(self) -> bool:
        return database_answers(self.database_url(MAINTENANCE))

    @override
    def _set_up(self) -> None:
        with self._connect(MAINTENANCE) as connection:
            query = "select from pg_database where datname = %s"
            there = connection.execute(query, (DATABASE,)).fetchone() is not None
        if not there:
            self.create_database(DATABASE)

    def _init(self, binaries: Path) -> None:
        """Make the data folder: beside its place, and renamed when it is whole."""
        new = self.folder / "data.new"
        if new.exists():
            shutil.rmtree(new)
        new.mkdir(mode=0o700)
        self._password.unlink(missing_ok=True)
        self._password.touch(mode=0o600)
        self._password.write_text(secrets.token_hex(16))
        # initdb reads the password as the server's account
        handed = new.with_name("password.new")
        shutil.copy(self._password, handed)
        account = self._account
        if account is not None:
            for path in (new, handed):
                os.chown(path, account.uid, account.gid)
        arguments = [
            binaries / "initdb", "--pgdata", new, "--username", "postgres", "--pwfile", handed,
            "--auth", "scram-sha-256", "--encoding", "UTF8", "--no-instructions",
            # one order of texts on every system
            "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C",
        ]  # fmt: skip
        if not self._fsync:
            arguments.append("--no-sync")
        user = {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}
        done = subprocess.run(
            arguments,
            cwd=self.folder, env=self._environment(), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=INITDB_S, **user,  # type: ignore[call-overload]
        )  # fmt: skip
        handed.unlink()
        if done.returncode:
            raise DependencyAway(f"{self.title}: initdb failed: {done.stderr[-500:]}")
        new.rename(self._data)

    def _wait_for_orphans(self) -> None:
        """Wait until nothing of a killed server works on the data, then drop the mark of its process.

        The server's processes work in the data folder. PostgreSQL itself takes a dead process that
        nobody has reaped for a running server, and would refuse to start.
        """
        mark = self._data / "postmaster.pid"
        if not mark.exists() or not PROC.is_dir():
            return
        if not wait_until(lambda: not _works_in(self._data), ORPHANS_S):
            raise DependencyAway(
                f"another PostgreSQL works on {self._data}; {mark} names it. The log ends:\n{tail(self.log)}"
            )
        mark.unlink()

    def _environment(self) -> dict[str, str]:
        locale = "C.UTF-8" if sys.platform == "linux" else "C"
        return {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "LC_ALL": locale, "TZ": "UTC"}

    def _url(self, port: int, database: str) -> str:
        name = quote(database, safe="")
        return f"postgresql://postgres:{self._password.read_text()}@{LOOPBACK}:{port}/{name}"

    def _connect(self, database: str) -> psycopg.Connection:
        return psycopg.connect(self.database_url(database), connect_timeout=CONNECT_S, autocommit=True)

    def _execute(self, database: str, query: sql.Composed) -> None:
        with self._connect(database) as connection:
            connection.execute(query)


def _works_in(folder: Path) -> list[int]:
    """Return the numbers of the living processes whose working folder this is."""
    found = []
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            there = (entry / "cwd").readlink() == folder
        except OSError:  # it has ended, or is not ours
            continue
        if there and start_mark(int(entry.name)) is not None:
            found.append(int(entry.name))
    return found

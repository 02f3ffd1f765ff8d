"""One synchronous connection in one thread, and patience with a database that is away.

A COPY through a synchronous connection costs half the CPU of an asynchronous one, and a thread keeps
the event loop free while the server works.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg

from domain.clock import Clock
from schemas.errors import DatabaseAway, DatabaseRefused, OutageOutlasted, Reason

P = ParamSpec("P")
T = TypeVar("T")
Connection = psycopg.Connection[Any]

#: SQLSTATE classes that say "not now": connection, rollback (serialization, deadlock), resources,
#: object not ready (locks), operator intervention (shutdown, timeouts), system (I/O)
TRANSIENT_CLASSES = frozenset({"08", "40", "53", "55", "57", "58"})
#: the server ended a transaction that idled: ours, after a freeze
IDLE_IN_TRANSACTION = "25P03"
POISON_CLASSES = {"22": Reason.SINK_DATA, "23": Reason.SINK_CONSTRAINT}

#: a worker that is cut off must not hold row locks for long: its successor waits for them
SESSION = """
    set search_path = public;
    set idle_in_transaction_session_timeout = '10s';
    set lock_timeout = '5s';
    set statement_timeout = '20s'
"""
CONNECT: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


def poison_reason(exc: psycopg.Error) -> Reason | None:
    """Return why a row was refused, or None if the error is not about data."""
    if exc.sqlstate is None:  # psycopg itself refused to send the value, a NUL character for instance
        return Reason.SINK_DATA if isinstance(exc, psycopg.DataError) else None
    return POISON_CLASSES.get(exc.sqlstate[:2])


def is_transient(exc: psycopg.Error) -> bool:
    """Return whether the same attempt may succeed later."""
    if exc.sqlstate is None:
        return isinstance(exc, psycopg.OperationalError)
    return exc.sqlstate[:2] in TRANSIENT_CLASSES or exc.sqlstate == IDLE_IN_TRANSACTION


@dataclass(slots=True)
class Reachability:
    """How the database was last met; monotonic seconds."""

    up: bool = False
    since: float = 0.0
    detail: str = "not asked yet"
    last_success: float | None = None
    retries: int = 0


class Database:
    """Runs functions of a connection, one at a time."""

    def __init__(
        self,
        url: str,
        name: str,
        clock: Clock,
        prepare: Callable[[Connection], None] = lambda _: None,
    ) -> None:
        """Connect to nothing yet.

        Args:
            url: as `postgresql://...`.
            name: application name, as seen in `pg_stat_activity`.
            clock: for waiting and for `reachability`.
            prepare: run once on every new connection, for temporary tables.
        """
        self._url = url
        self._name = name
        self._clock = clock
        self._prepare = prepare
        self._thread = ThreadPoolExecutor(1, "database")
        self._connection: Connection | None = None
        self.reachability = Reachability(since=clock.monotonic())

    async def call(
        self, fun: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``fun(connection, ...)`` in the database's thread.

        Raises:
            psycopg.Error: as it came; the transaction is rolled back.
        """

        def run() -> T:
            connection = self._connected()
            try:
                return fun(connection, *args, **kwargs)
            except BaseException:  # whatever it was, the connection is not left as it is
                self._roll_back(connection)
                raise

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    async def patiently(
        self, budget_s: float, fun: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``fun`` like `call`, again and again while the database is away.

        Raises:
            OutageOutlasted: it was away for longer than ``budget_s``.
            DatabaseRefused: it said no for a reason that is neither data nor outage.
            psycopg.Error: it refused the data (see `poison_reason`).
        """
        # counted from the first failure: a process that was stopped inside a transaction finds the time gone,
        # and its session, but not the database away
        deadline, delay = math.inf, 0.05
        while True:
            try:
                result = await self.attempt(fun, *args, **kwargs)
            except DatabaseAway as exc:
                now = self._clock.monotonic()
                deadline = min(deadline, now + budget_s)
                if now + delay > deadline:
                    raise OutageOutlasted(f"the database was away for {budget_s:.0f} s: {exc}") from exc
            else:
                return result
            await asyncio.sleep(delay)
            delay = min(delay * 2, 1.0)

    async def attempt(
        self, fun: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``fun`` once and sort the outcome.

        Raises:
            DatabaseAway: try again later.
            DatabaseRefused: see `patiently`.
            psycopg.Error: see `patiently`.
        """
        try:
            result = await self.call(fun, *args, **kwargs)
        except psycopg.Error as exc:
            if poison_reason(exc) is not None:
                raise
            if not is_transient(exc):
                raise DatabaseRefused(f"the database refused: {_one_line(exc)}") from exc
            self._met(up=False, detail=_one_line(exc))
            raise DatabaseAway(_one_line(exc)) from exc
        self._met(up=True)
        return result

    async def close(self) -> None:
        """Close the connection and end the thread."""

        def close() -> None:
            if self._connection is not None:
                self._connection.close()

        await asyncio.get_running_loop().run_in_executor(self._thread, close)
        self._thread.shutdown()

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> Connection:
        connection = psycopg.connect(self._url, application_name=self._name, **CONNECT)
        try:
            connection.execute(SESSION)
            self._prepare(connection)
            connection.commit()
        except BaseException:  # whatever it was, the connection is not left as it is
            connection.close()
            raise
        return connection

    def _roll_back(self, connection: Connection) -> None:
        try:
            connection.rollback()
        except psycopg.Error:
            connection.close()

    def _met(self, *, up: bool, detail: str = "") -> None:
        now, r = self._clock.monotonic(), self.reachability
        if up != r.up:
            r.up, r.since = up, now
        r.detail = detail
        if up:
            r.last_success = now
        else:
            r.retries += 1


def _one_line(exc: psycopg.Error) -> str:
    text = " ".join(str(exc).split())
    return f"{exc.sqlstate} {text}" if exc.sqlstate else text

"""Who of several processes may act: the one whose session of the database holds an advisory lock.

The lock is on a connection of its own. Its holder proves once a second that it still has it, and stops
acting at once when it cannot. The server gives the lock to the next as soon as the holder's session ends:
when its process dies, when its connection breaks, and when it has not proved anything for some seconds, as
one does that is frozen.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Self

import psycopg

from domain.clock import Clock
from schemas.errors import DatabaseAway, DatabaseRefused
from sinks.database import CONNECT, is_transient

#: the server ends a session that has said nothing for so long; a frozen holder does not keep its lock
SILENT_S: Final = 5.0
#: a proof must be answered within this
PROOF_S: Final = 2.0
#: who has not proved for so long that it leads does not lead; less than `SILENT_S`: clocks differ
TRUST_S: Final = 3.5

SESSION: Final = f"set idle_session_timeout = '{SILENT_S:.0f}s'"
TRY: Final = "select pg_try_advisory_lock(hashtextextended('tapeflow leader ' || %s, 0))"
#: asked of the server, not remembered: the two halves of the key are how it shows them
PROVE: Final = """
    with key as (select hashtextextended('tapeflow leader ' || %s, 0) as k)
    select exists (
        select from pg_locks, key
        where locktype = 'advisory' and granted and pid = pg_backend_pid() and objsubid = 1
          and database = (select oid from pg_database where datname = current_database())
          and classid::bigint = (k >> 32) & 4294967295 and objid::bigint = k & 4294967295
    )
"""


class Leadership:
    """One candidate for one name; use it as a context manager. Not for several tasks at a time."""

    def __init__(self, url: str, name: str, clock: Clock) -> None:
        """Connect to nothing yet.

        Args:
            url: of the database, as `postgresql://...`.
            name: what is led; candidates of one name exclude each other in one database.
            clock: for `leads`.
        """
        self._url = url
        self._name = name
        self._clock = clock
        self._connection: psycopg.AsyncConnection[tuple[Any, ...]] | None = None
        self._proved_at: float | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.resign()

    def leads(self) -> bool:
        """Whether the lock was ours a moment ago: asked before everything that only the leader may do."""
        proved = self._proved_at
        return proved is not None and self._clock.monotonic() - proved < TRUST_S

    async def stand(self) -> bool:
        """Try to become the leader; return whether it worked. To be repeated about once a second.

        Raises:
            DatabaseAway: nobody can tell now.
            DatabaseRefused: nobody ever will.
        """
        asked_at = self._clock.monotonic()
        if await self._ask(TRY):
            self._proved_at = asked_at
            return True
        return False

    async def prove(self) -> bool:
        """Return whether the lock is still ours; if not, or if nobody can tell, we do not lead any more."""
        asked_at = self._clock.monotonic()
        try:
            held = self._connection is not None and await self._ask(PROVE)
        except (DatabaseAway, DatabaseRefused):
            held = False
        if held:
            self._proved_at = asked_at
        else:
            await self.resign()
        return held

    async def resign(self) -> None:
        """Give the lock back, if we have it."""
        self._proved_at = None
        connection, self._connection = self._connection, None
        if connection is not None:
            # the server lets the lock go with the session
            await connection.close()

    async def _ask(self, question: str) -> bool:
        try:
            async with asyncio.timeout(PROOF_S if self._connection else CONNECT["connect_timeout"]):
                connection = await self._connected()
                cursor = await connection.execute(question, (self._name,))
                row = await cursor.fetchone()
        except (psycopg.Error, TimeoutError) as exc:
            await self.resign()
            if isinstance(exc, psycopg.Error) and not is_transient(exc):
                raise DatabaseRefused(f"the database refused: {exc}") from exc
            raise DatabaseAway(f"{type(exc).__name__}: {exc}".strip(": \n")) from exc
        return row == (True,)

    async def _connected(self) -> psycopg.AsyncConnection[tuple[Any, ...]]:
        connection = self._connection
        if connection is None or connection.closed:
            self._connection = connection = await psycopg.AsyncConnection.connect(
                self._url, autocommit=True, application_name=f"tapeflow {self._name}"[:63], **CONNECT
            )
            await connection.execute(SESSION)
        return connection

"""One transaction: positions and rows, or nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import psycopg
from typing_extensions import override

from schemas.candle import Bar
from schemas.errors import Reason
from sinks import candles
from sinks.candles import Rank
from sinks.database import Connection, poison_reason
from sinks.offsets import K, Move, OffsetSink


class Row(Protocol):
    """What is asked of a row, of whatever table."""

    @property
    def id(self) -> str:
        """The same for every publication of the same version."""

    @property
    def symbol(self) -> str:
        """Canonical."""

    @property
    def ts_event(self) -> int:
        """Nanoseconds since the epoch."""


R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class Refused(Generic[R]):
    """A row that the database does not take."""

    row: R
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class RowWriter(ABC, Generic[R]):
    """Stores batches of one sink."""

    offsets: OffsetSink

    @abstractmethod
    def write(self, connection: Connection, rows: Sequence[R]) -> None:
        """Write rows in the transaction of this connection; not committed.

        Raises:
            psycopg.Error: of class 22 or 23 when the database refuses a row.
        """

    def probe(self, connection: Connection, rows: Sequence[R]) -> None:
        """Write rows to find out whether the database takes them; they are rolled back.

        Raises:
            psycopg.Error: see `write`.
        """
        self.write(connection, rows)

    def store(self, connection: Connection, rows: Sequence[R], moves: Mapping[K, Move]) -> None:
        """Swap positions, write rows, commit.

        Raises:
            PositionsMovedError: nothing was stored.
            psycopg.Error: nothing was stored; of class 22 or 23 when a row is refused.
        """
        self.offsets.swap(connection, moves)
        if rows:
            self.write(connection, rows)
        connection.commit()

    def refused(self, connection: Connection, rows: Sequence[R]) -> list[Refused[R]]:
        """Return which of the rows the database refuses, found by halving; nothing is stored.

        A COPY fails as a whole: of n rows with k bad ones this takes about 2 k log2 n attempts.
        """
        if not rows:
            return []
        try:
            self.probe(connection, rows)
        except psycopg.Error as exc:
            reason = poison_reason(exc)
            if reason is None:
                raise
            connection.rollback()
            if len(rows) == 1:
                return [Refused(rows[0], reason, exc.diag.message_primary or str(exc))]
            half = len(rows) // 2
            return self.refused(connection, rows[:half]) + self.refused(connection, rows[half:])
        connection.rollback()
        return []


@dataclass(frozen=True, slots=True)
class Writer(RowWriter[Bar]):
    """Stores batches of bars."""

    rank: Rank

    @override
    def write(self, connection: Connection, rows: Sequence[Bar]) -> None:
        candles.write(connection, rows, self.rank)

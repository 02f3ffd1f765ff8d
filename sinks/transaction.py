"""One transaction: positions and rows, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg

from schemas.candle import Bar
from schemas.errors import Reason
from sinks import candles
from sinks.candles import Rank
from sinks.database import Connection, poison_reason
from sinks.offsets import K, Move, OffsetSink


@dataclass(frozen=True, slots=True)
class Refused:
    """A bar that the database does not take."""

    bar: Bar
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Writer:
    """Stores batches of one worker."""

    offsets: OffsetSink
    rank: Rank

    def store(self, connection: Connection, bars: Sequence[Bar], moves: Mapping[K, Move]) -> None:
        """Swap positions, write rows, commit.

        Raises:
            PositionsMovedError: nothing was stored.
            psycopg.Error: nothing was stored; of class 22 or 23 when a bar is refused.
        """
        self.offsets.swap(connection, moves)
        if bars:
            candles.write(connection, bars, self.rank)
        connection.commit()

    def refused(self, connection: Connection, bars: Sequence[Bar]) -> list[Refused]:
        """Return which of the bars the database refuses, found by halving; nothing is stored.

        A COPY fails as a whole: of n rows with k bad ones this takes about 2 k log2 n attempts.
        """
        if not bars:
            return []
        try:
            candles.write(connection, bars, self.rank)
        except psycopg.Error as exc:
            reason = poison_reason(exc)
            if reason is None:
                raise
            connection.rollback()
            if len(bars) == 1:
                return [Refused(bars[0], reason, exc.diag.message_primary or str(exc))]
            half = len(bars) // 2
            return self.refused(connection, bars[:half]) + self.refused(connection, bars[half:])
        connection.rollback()
        return []

"""A lane: one way from an input topic to the database, with positions, a connection and a batcher of its own.

What trades and quotes have in common is the batcher's; what they have not is said here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Generic

from typing_extensions import override

from schemas.candle import Bar, encode_bar
from schemas.quote import L1Quote, encode_quote
from schemas.topics import CANDLES, QUOTES, QUOTES_RAW, TRADES, TopicSpec
from sinks import candles, quotes
from sinks.database import Database
from sinks.offsets import OffsetSink
from sinks.quotes import Packed, QuoteWriter
from sinks.transaction import R, RowWriter, Writer
from streams.output import Message
from streams.positions import Positions

if TYPE_CHECKING:
    from streams.app import MarketApp
    from streams.batcher import Part

CANDLE_HEADERS = [("content-type", b"application/json"), ("schema", b"candle.v1")]
QUOTE_HEADERS = [("content-type", b"application/json"), ("schema", b"quote.v1")]
MARKER_HEADERS = [("content-type", b"application/json"), ("schema", b"quote-marker.v1")]


class Lane(ABC, Generic[R]):
    """Rows of one kind."""

    sink: str
    """Whose positions they are in ``sink_offsets``."""
    source: TopicSpec
    target: TopicSpec
    eager: bool
    """Publish what was folded at once, and not only when it is about to be stored."""
    writer: RowWriter[R]
    positions: Positions

    def __init__(self, app: MarketApp, database: Database) -> None:
        """Take the app, and a connection that nobody else holds up."""
        self._app = app
        self.database = database

    def join(self, cluster: str, budget_s: float) -> None:
        """Learn the cluster's id, by which positions are kept, and how long loading them may take."""
        offsets = OffsetSink(self.sink, cluster)
        self.writer = self._writer(offsets)
        self.positions = self._positions(offsets, budget_s)

    @abstractmethod
    def _writer(self, offsets: OffsetSink) -> RowWriter[R]: ...

    @abstractmethod
    def _positions(self, offsets: OffsetSink, budget_s: float) -> Positions: ...

    @abstractmethod
    def message(self, row: R) -> Message:
        """Return a row as a record of the target."""

    @abstractmethod
    def messages(self, part: Part[R]) -> Iterable[Message]:
        """Return what a part publishes, in order."""

    def prepare(self, part: Part[R]) -> None:
        """Do with a part, when it is sent to the broker, what need not wait for a connection to store it."""

    def rows(self, parts: Sequence[Part[R]]) -> Sequence[R]:
        """Return the rows of parts, to store them."""
        return [row for part in parts for row in part.rows]

    @abstractmethod
    async def committed(self, parts: Sequence[Part[R]], rows: Sequence[R]) -> None:
        """Count what was stored, and show what only then may be shown."""


class CandleLane(Lane[Bar]):
    """Trades to candles."""

    sink, source, target, eager = "candles", TRADES, CANDLES, False

    @override
    def _writer(self, offsets: OffsetSink) -> RowWriter[Bar]:
        return Writer(offsets, candles.ranked(self._app.settings.provider_rank))

    @override
    def _positions(self, offsets: OffsetSink, budget_s: float) -> Positions:
        return Positions(self.database, offsets, self._app.clock, budget_s)

    @override
    def message(self, row: Bar) -> Message:
        return candle_message(row)

    @override
    def messages(self, part: Part[Bar]) -> Iterable[Message]:
        return map(candle_message, part.rows)

    @override
    async def committed(self, parts: Sequence[Part[Bar]], rows: Sequence[Bar]) -> None:
        counters = self._app.counters
        for bar in rows:
            if not bar.is_final:
                counters.candles_provisional += 1
            elif bar.revision:
                counters.candles_revised += 1
            else:
                counters.candles_final += 1


class QuoteLane(Lane[L1Quote]):
    """Raw quotes to quotes, and to the last one of each symbol."""

    sink, source, target, eager = "quotes", QUOTES_RAW, QUOTES, True
    writer: QuoteWriter

    @override
    def _writer(self, offsets: OffsetSink) -> RowWriter[L1Quote]:
        return QuoteWriter(offsets, quotes.sources(self._app.settings.provider_rank))

    @override
    def _positions(self, offsets: OffsetSink, budget_s: float) -> Positions:
        return Positions(
            self.database,
            offsets,
            self._app.clock,
            budget_s,
            stands_at=lambda state: state.book.stands_at,
        )

    @override
    def message(self, row: L1Quote) -> Message:
        return quote_message(row)

    @override
    def messages(self, part: Part[L1Quote]) -> Iterable[Message]:
        if not part.markers:
            return quote_messages(part.rows)
        messages: list[Message] = []
        begin = 0
        for placed in part.markers:
            messages += quote_messages(part.rows[begin : placed.at])
            identity = placed.id(part.tp.partition).encode()
            messages.append((None, encode_quote(placed.marker), [*MARKER_HEADERS, ("id", identity)]))
            begin = placed.at
        return messages + quote_messages(part.rows[begin:])

    @override
    def prepare(self, part: Part[L1Quote]) -> None:
        # here, bit by bit: all at once in the thread of the connection it would keep the loop from the GIL
        part.packed = self.writer.pack(part.rows)

    @override
    def rows(self, parts: Sequence[Part[L1Quote]]) -> Sequence[L1Quote]:
        return Packed(super().rows(parts), [part.packed for part in parts])

    @override
    async def committed(self, parts: Sequence[Part[L1Quote]], rows: Sequence[L1Quote]) -> None:
        counters = self._app.counters.quotes
        counters.stored += len(rows)
        for row in rows:
            for flag in row.flags:
                counters.flagged[flag] += 1
        for part in parts:
            counters.duplicates += part.duplicates
            counters.markers += len(part.markers)
        await self._app.services.latest.show(parts)


def candle_message(bar: Bar) -> Message:
    """Return a candle as a record of its topic."""
    return bar.symbol.encode(), encode_bar(bar), [*CANDLE_HEADERS, ("id", bar.id.encode())]


@lru_cache(maxsize=65_536)
def _key(symbol: str) -> bytes:
    return symbol.encode()


def quote_message(quote: L1Quote) -> Message:
    """Return a quote as a record of its topics."""
    (message,) = quote_messages([quote])
    return message


def quote_messages(quotes: Iterable[L1Quote]) -> list[Message]:
    """Return quotes as records of their topics."""
    content_type, schema = QUOTE_HEADERS
    return [  # no call for each: it is done once per quote
        (
            key := _key(quote.symbol),
            encode_quote(quote),
            [content_type, schema, ("id", b"%b|%d" % (key, quote.n))],
        )
        for quote in quotes
    ]

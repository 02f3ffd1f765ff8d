"""What the demo shows: read from the database, the broker and the worker, never from the demo itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import aiohttp
import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition
from psycopg.rows import class_row

from sandbox.demo.tally import Candle
from schemas.topics import DEAD_LETTERS, TRADES, TopicSpec

PAGE_S = 2.0

_ROW = "select symbol, ts, o, h, l, c, v, trade_count, revision, is_final from candles_intraday"
NEWEST = f"{_ROW} order by ts desc, symbol limit %s"
REVISED = f"{_ROW} where is_final and revision > 0 order by updated_at desc, symbol limit %s"
COUNTS = """
    select count(*), count(*) filter (where revision > 0 and is_final), coalesce(sum(trade_count), 0)::int8
    from candles_intraday
"""
POSITIONS = "select part, next_offset from sink_offsets where topic = %s"
ALL = """
    select symbol, extract(epoch from ts)::int8 * 1000000000, o, h, l, c, v, trade_count
    from candles_intraday
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One candle as it is stored."""

    symbol: str
    ts: datetime
    o: float
    h: float
    l: float  # noqa: E741 - the column's name
    c: float
    v: float
    trade_count: int
    revision: int
    is_final: bool


@dataclass(frozen=True, slots=True)
class Page:
    """What the worker says of itself."""

    verdict: str
    reason: str
    phase: str
    records_in: int
    stored: int
    dead_letters: int
    lag: int | None
    last_commit_s: float | None


@dataclass(frozen=True, slots=True)
class Readings:
    """Everything at one moment."""

    newest: list[Row]
    revised: list[Row]
    candles: int
    candles_revised: int
    trades_in_candles: int
    """Sum over all candles stored."""
    waiting: int
    """Records of the trades topic that are not stored yet."""
    dropped: int
    """Records that the broker has dropped to stay below 5 MB a partition."""
    lost: int
    """Of those, how many had not been stored: must be 0."""
    dead_letters: int
    """Records of the dead-letter topic."""
    page: Page | None
    """None: it did not answer."""


class Reader:
    """Asks all three; use it as a context manager."""

    def __init__(self, bootstrap: str, database_url: str, page_url: str, worker: str) -> None:
        """Connect to nothing yet; the worker's name is to know its page by."""
        self._bootstrap = bootstrap
        self._database_url = database_url
        self._page_url = page_url
        self._worker = worker

    async def __aenter__(self) -> Self:
        """Connect to the database and the broker."""
        self._connection = await psycopg.AsyncConnection.connect(self._database_url, autocommit=True)
        self._consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap)
        await self._consumer.start()
        timeout = aiohttp.ClientTimeout(total=PAGE_S)
        self._web = aiohttp.ClientSession(timeout=timeout, headers={"Accept": "application/json"})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect."""
        await self._web.close()
        await self._consumer.stop()
        await self._connection.close()

    async def read(self, newest: int, revised: int = 0) -> Readings:
        """Return the readings.

        Args:
            newest: how many candles of the latest minutes to return at most.
            revised: how many of those that were corrected last.

        Raises:
            psycopg.OperationalError: the database went away.
            KafkaError: the broker went away.
        """
        async with self._connection.cursor(row_factory=class_row(Row)) as cursor:
            latest = await (await cursor.execute(NEWEST, (newest,))).fetchall()
            corrected = await (await cursor.execute(REVISED, (revised,))).fetchall() if revised else []
        counts = await (await self._connection.execute(COUNTS)).fetchone()
        assert counts is not None
        candles, candles_revised, trades_in_candles = counts
        # positions first: what is stored can only have grown when the broker is asked
        stored = await self._positions()
        starts = await self._consumer.beginning_offsets(_partitions(TRADES))
        ends = await self._consumer.end_offsets(_partitions(TRADES))
        letters = await self._consumer.end_offsets(_partitions(DEAD_LETTERS))
        at = {tp: stored.get(tp.partition, 0) for tp in starts}
        return Readings(
            latest,
            corrected,
            candles,
            candles_revised,
            trades_in_candles,
            waiting=sum(ends[tp] - at[tp] for tp in ends),
            dropped=sum(starts.values()),
            lost=sum(max(0, starts[tp] - at[tp]) for tp in starts),
            dead_letters=sum(letters.values()),
            page=await self.page(),
        )

    async def page(self) -> Page | None:
        """Ask the worker's page; None if it does not answer, or another worker does."""
        try:
            async with self._web.get(self._page_url) as answer:
                model = await answer.json() if answer.status == HTTPStatus.OK else None
        except (aiohttp.ClientError, TimeoutError):
            return None
        return _page(model) if model and model["worker"]["id"] == self._worker else None

    async def candles(self) -> list[Candle]:
        """Return all candles, as the tally knows them."""
        rows = await (await self._connection.execute(ALL)).fetchall()
        return [Candle(*row) for row in rows]

    async def _positions(self) -> dict[int, int]:
        rows = await (await self._connection.execute(POSITIONS, (TRADES.name,))).fetchall()
        return {partition: offset for partition, offset in rows}  # noqa: C416 - rows are untyped


def _partitions(spec: TopicSpec) -> list[TopicPartition]:
    return [TopicPartition(spec.name, partition) for partition in range(spec.partitions)]


def _page(model: Mapping[str, Any]) -> Page:
    totals = model["totals"]
    return Page(
        model["verdict"]["word"],
        model["verdict"]["reason"],
        model["phase"]["name"],
        totals["records_in"],
        totals["stored"],
        totals["dead_lettered"],
        model["lag"]["records"],
        model["last_commit_s"],
    )

"""Where a worker goes on, with a real database and a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from faust.types import TP

from domain import snapshot
from domain.candles import Book, Patience
from domain.clock import SystemClock
from domain.snapshot import Snapshots
from ops import offsets
from schemas.errors import OutageOutlasted, PositionLost
from schemas.topics import TRADES
from schemas.trade import Trade
from sinks.database import Connection, Database
from sinks.offsets import Move, OffsetSink, Stored
from streams import topics
from streams.positions import Positions
from streams.settings import Settings
from streams.tenure import Tenure
from tests.integration import records

pytestmark = pytest.mark.integration

TP0, TP1 = TP("md.trades.v1", 0), TP("md.trades.v1", 1)
SINK = OffsetSink("candles", "c1")
TS = 1_700_000_040_000_000_000
RESTORES = {
    TP0.topic: lambda stored: (
        snapshot.restore(stored.state, stored.resume_offset, Patience()).book,
        stored.resume_offset,
    )
}


@pytest.fixture
async def reached(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, "tapeflow-test", SystemClock())
    yield database
    await database.close()


def positions(database: Database, budget_s: float = 10.0) -> Positions:
    return Positions(database, SINK, SystemClock(), budget_s)


def move(connection: Connection, moves: dict[TP, Move]) -> None:
    SINK.swap(connection, moves)
    connection.commit()


async def load(database: Database, former: dict[TP, Tenure] | None = None) -> dict[TP, Tenure]:
    bounds = {TP0: (0, 100), TP1: (40, 100)}
    return await positions(database).load(bounds, former or {}, RESTORES)


async def test_a_partition_that_was_never_read_begins_where_its_log_does_and_stays_there(reached):
    first = await load(reached)
    assert {tp: (t.stored, t.delivered, t.suppress) for tp, t in first.items()} == {
        TP0: (0, 0, 0),
        TP1: (40, 40, 40),
    }
    assert (first[TP0].state.jumped, first[TP1].state.jumped) == (False, True)
    assert {tp: t.stored for tp, t in (await load(reached)).items()} == {TP0: 0, TP1: 40}


async def test_a_successor_has_the_book_of_its_predecessor(reached):
    await load(reached)
    book = Book(Patience())
    book.fold([Trade("AAPL", TS + n, 10.0 + n, 1.0, "a") for n in range(30)], 0)
    await reached.call(move, {TP0: Move(0, 50, 30, Snapshots().dump(book, 30))})
    tenure = (await load(reached))[TP0]
    assert (tenure.stored, tenure.delivered, tenure.folded, tenure.suppress) == (50, 30, 30, 50)
    assert tenure.state.windows == book.windows


async def test_the_former_book_is_kept_only_while_nobody_moved_the_position(reached):
    former = await load(reached)
    mine = former[TP0]
    again = await load(reached, former)
    assert again[TP0].state is mine.state
    await reached.call(move, {TP0: Move(0, 7)})
    moved = await load(reached, former)
    assert moved[TP0].state is not mine.state
    assert moved[TP0].stored == 7


@pytest.mark.parametrize(("at", "complaint"), [(101, "ends at 100"), (20, "begins at 40")])
async def test_a_position_outside_the_partition_is_no_place_to_go_on(reached, at, complaint):
    def reset(connection: Connection) -> None:
        SINK.reset(connection, {TP1: Stored(at, at, None)})

    await reached.call(reset)
    with pytest.raises(PositionLost, match=rf"md\.trades\.v1\[1\]: .*{complaint}"):
        await load(reached)


async def test_a_database_that_does_not_come_back_is_waited_for_within_the_budget():
    database = Database("postgresql://postgres@127.0.0.1:1/market", "tapeflow-test", SystemClock())
    try:
        with pytest.raises(OutageOutlasted):
            await asyncio.wait_for(positions(database, 0.5).load({TP0: (0, 1)}, {}, RESTORES), 10)
    finally:
        await database.close()


async def test_what_an_operator_reset_is_where_a_worker_goes_on(kafka: Any, timescale_url, topic_prefix):
    bootstrap = kafka.bootstrap
    await topics.apply(bootstrap, prefix=topic_prefix, partitions=2)
    topic = topic_prefix + TRADES.name
    records.write(bootstrap, topic, [(1, None, b"%d" % n) for n in range(9)])
    settings = Settings(
        kafka_bootstrap_servers=bootstrap,
        database_url=timescale_url,
        topic_prefix=topic_prefix,
        topic_partitions=2,
        kafka_group=f"{topic_prefix}workers",
    )
    ledger = await offsets.read(settings)
    await offsets.reset(settings, ledger, {(topic, 1): 6})
    found = (await offsets.read(settings)).positions[1]
    assert (found.stored, found.resume, found.end, found.verdict) == (6, 6, 9, "ok")
    database = Database(timescale_url, "tapeflow-test", SystemClock())
    try:
        loader = Positions(database, OffsetSink("candles", ledger.cluster), SystemClock(), 10.0)
        tps = {TP(topic, p.partition): (p.begin, p.end) for p in ledger.positions}
        tenures = await loader.load(tps, {}, {topic: RESTORES[TP0.topic]})
    finally:
        await database.close()
    assert [(t.stored, t.state.jumped) for t in tenures.values()] == [(0, False), (6, True)]

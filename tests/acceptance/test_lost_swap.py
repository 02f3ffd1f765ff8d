"""Another owner moves a partition while a batch is held: nothing between its position and ours is skipped."""

from __future__ import annotations

import psycopg
import pytest

from domain.candles import Book, Patience
from domain.snapshot import Snapshots
from schemas.candle import Bar
from schemas.trade import Trade
from sinks import candles
from tests.acceptance.conftest import RigFactory
from tests.acceptance.rig import wait_until

MINUTE_NS = 60_000_000_000
START_NS = 1_700_000_040_000_000_000


def trades(minute: int, count: int, late_s: int = 0) -> list[Trade]:
    begin = START_NS + minute * MINUTE_NS + late_s * 1_000_000_000
    return [Trade("AAPL", begin + i * 1_000_000, 10.0 + i % 7, 1.0, "sim") for i in range(count)]


def other_owner(log: list[Trade]) -> tuple[list[Bar], bytes]:
    """What an owner stores that has folded 200 records, and took a snapshot after 150."""
    book, snapshots = Book(Patience()), Snapshots()
    bars = book.fold(log[:150], 0).bars
    state = snapshots.dump(book, 150)
    return bars + book.fold(log[150:200], 150).bars, state


@pytest.mark.parametrize("slice_size", [10, 5_000])
def test_nothing_is_skipped(make_rig: RigFactory, slice_size: int) -> None:
    rig = make_rig(partitions=1, chunk_max_records=slice_size, queue_chunks=64)
    log = trades(0, 100)
    rig.send_trades(log)
    rig.start("w1", fault="after_produce:1:6")
    rig.wait_stored(100, 30)
    # its first record closes the bar of minute 0: that batch is held for six seconds
    more = trades(1, 1, late_s=3) + trades(1, 299, late_s=4)
    rig.send_trades(more)
    log += more
    wait_until(
        lambda: rig.records(rig.candles), 20, "the batch is published, and held before its transaction"
    )
    wait_until(lambda: rig.status("w1")["totals"]["records_in"] == 400, 20, "the rest is folded behind it")
    bars, state = other_owner(log)
    with psycopg.connect(rig.database_url) as connection:
        candles.prepare(connection)
        candles.write(connection, bars, candles.ranked(()))
        connection.execute(
            "update sink_offsets set next_offset = 200, resume_offset = 150, state = %s", (state,)
        )
    wait_until(lambda: rig.status("w1")["totals"]["swaps_lost"], 20, "the held batch loses its swap")
    rig.send_trades(trades(3, 1))
    rig.wait_stored(401, 30)
    counts = {(row["ts"] - START_NS) // MINUTE_NS: row["trade_count"] for row in rig.table()}
    assert counts == {0: 100, 1: 300}
    assert rig.end("w1")[0] == 0

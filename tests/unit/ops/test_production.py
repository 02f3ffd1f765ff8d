"""The work of `tapeflow produce`: order, pace, clocks, and an end when told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, cast

import pytest

from ops.production import Production, Stop
from ops.tick_sender import TickSender
from ops.ticks_file import Chunk
from schemas.trade import ClockTick, Trade
from tests.unit.ops.files import NOW_MS, TS, row, ticks_file


class Sender:
    """Notes what it is given, in order; everything is acknowledged at `finish`."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.acknowledged = self.clocks = 0
        self._held = 0

    async def send(self, trades: Iterable[Trade], values: Iterable[bytes]) -> None:
        pairs = list(zip(trades, values, strict=True))
        self._held += len(pairs)
        self.events += [trade.ts_event - TS for trade, _ in pairs]

    async def send_clock(self, tick: ClockTick) -> None:
        self.clocks += 1
        self.events.append(("clock", tick.ts_event - TS, tick.provider))

    async def flush(self) -> None:
        self.events.append("flush")

    async def finish(self) -> None:
        self.events.append("finish")
        self.acknowledged, self._held = self.acknowledged + self._held, 0


class Clock:
    """A second passes with each look."""

    def __init__(self, step: float) -> None:
        self.seconds, self._step = 0.0, step

    def monotonic(self) -> float:
        self.seconds += self._step
        return self.seconds

    def now_ns(self) -> int:
        return NOW_MS * 1_000_000


@pytest.fixture
def make(tmp_path):
    """Return a production of rows, its sender, and what was told of each chunk."""

    def make(rows: Iterable[bytes], *, step: float = 0.0, chunk_rows: int = 2, **options: Any):
        sender = Sender()
        told: list[Chunk] = []
        work = Production(
            ticks_file(tmp_path / "f.ndjson", b"\n".join(rows), chunk_rows=chunk_rows),
            cast(TickSender, sender),
            Clock(step),
            Stop(),
            told.append,
            **options,
        )
        return work, sender, told

    return make


async def test_rows_are_sent_in_order_and_finished(make):
    work, sender, told = make([row(n) for n in range(5)])
    await work.run()
    assert [e for e in sender.events if e != "flush"] == [0, 1, 2, 3, 4, "finish"]
    assert (work.sent, work.bad, work.file.rows, len(told)) == (5, 0, 5, 3)


async def test_bad_rows_are_counted_and_not_sent(make):
    work, _, told = make([row(0), row(1, price=-1), row(2)])
    await work.run()
    assert (work.sent, work.bad) == (2, 1)
    assert [b.line for chunk in told for b in chunk.bad] == [2]


async def test_without_a_sender_rows_are_only_checked(make):
    work, _, _ = make([row(0), row(1, price=-1)])
    work.sender = None
    await work.run()
    assert (work.sent, work.bad, work.file.rows) == (0, 1, 2)


async def test_clock_records_follow_what_they_prove_and_never_go_back(make):
    work, sender, _ = make([row(n) for n in (5, 9, 7, 8)], step=1.0, clocks=True)
    await work.run()
    clocks = [e for e in sender.events if isinstance(e, tuple)]
    assert clocks == [("clock", 9, "a")], "nothing newer came"
    assert sender.events.index(clocks[0]) > sender.events.index(9)


async def test_the_last_clock_record_is_that_of_the_last_trade(make):
    work, sender, _ = make([row(n, provider="kraken") for n in range(4)], clocks=True)
    await work.run()
    assert sender.events[-2:] == [("clock", 3, "kraken"), "finish"]
    assert sender.clocks == 1


async def test_no_clock_records_unless_asked_for(make):
    work, sender, _ = make([row(n) for n in range(4)], step=1.0)
    await work.run()
    assert sender.clocks == 0


async def test_a_stop_ends_it_at_the_next_chunk_and_what_was_sent_is_waited_for(make):
    work, sender, told = make([row(n) for n in range(10)])
    work.on_chunk = lambda chunk: (told.append(chunk), work.stop.set(2))
    await work.run()
    assert [e for e in sender.events if e != "flush"] == [0, 1, "finish"]
    assert (work.sent, len(told), work.stop.signal) == (2, 1, 2)


async def test_a_stop_ends_a_pause(make):
    work, _, _ = make([row(n) for n in range(10)], rate=0.001)
    running = asyncio.ensure_future(work.run())
    while not work.file.rows:
        await asyncio.sleep(0)
    work.stop.set(15)
    await asyncio.wait_for(running, 5)
    assert work.file.rows < 10


async def test_with_a_rate_every_chunk_is_sent_at_once(make):
    work, sender, told = make([row(n) for n in range(4)], rate=1e9)
    await work.run()
    assert sender.events.count("flush") == len(told)
    assert sender.events[:3] == [0, 1, "flush"]
    assert sender.events[-2:] == ["flush", "finish"]


def test_the_first_signal_is_the_one_that_counts():
    stop = Stop()
    stop.set(2)
    stop.set(15)
    assert stop.signal == 2
    assert stop.thread.is_set()
    assert stop.loop.is_set()

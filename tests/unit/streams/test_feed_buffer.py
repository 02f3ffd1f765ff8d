"""The buffer keeps order and bound: who puts waits, who takes gets everything, and the end is the end."""

from __future__ import annotations

import asyncio

import pytest

from domain.clock import SystemClock
from schemas.trade import ClockTick, Trade
from streams.feed_buffer import FeedBuffer
from streams.feed_records import Clock, Entry, Ticks

NOW = 1_764_000_000_000_000_000
CLOCK = Clock(ClockTick(type="clock", ts_event=NOW, provider="polygon", feed="sip"))


def ticks(count: int) -> Ticks:
    return Ticks([Trade("AAPL", NOW, 1.0, 1.0, "polygon", seq=n) for n in range(count)])


def buffer(most: int) -> FeedBuffer:
    return FeedBuffer(most, SystemClock())


async def test_what_goes_in_comes_out_in_order() -> None:
    one = buffer(100)
    entries: list[Entry] = [ticks(3), CLOCK, ticks(2)]
    for entry in entries:
        await one.put(entry)
    assert one.ticks == 5
    assert await one.take(100) == entries
    assert one.ticks == 0


async def test_no_more_is_taken_than_asked_for_and_a_frame() -> None:
    one = buffer(100)
    for _ in range(4):
        await one.put(ticks(3))
    assert len(await one.take(4)) == 2
    assert one.ticks == 6


async def test_who_puts_waits_while_it_is_full_and_is_told_how_long() -> None:
    one = buffer(4)
    assert await one.put(ticks(5)) < 0.05
    assert one.waiting_s == 0
    waiting = asyncio.create_task(one.put(CLOCK))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    assert one.waiting_s > 0.09
    await one.take(1)
    assert 0.09 < await waiting < 1.0
    assert one.waiting_s == 0


async def test_who_takes_waits_for_something() -> None:
    one = buffer(4)
    taking = asyncio.create_task(one.take(1))
    await asyncio.sleep(0.01)
    assert not taking.done()
    await one.put(CLOCK)
    assert await taking == [CLOCK]


async def test_after_the_end_what_is_left_is_taken_and_then_nothing() -> None:
    one = buffer(4)
    await one.put(ticks(1))
    await one.close()
    assert len(await one.take(10)) == 1
    async with asyncio.timeout(1):
        assert await one.take(10) == []


async def test_the_end_wakes_who_waits() -> None:
    one = buffer(4)
    taking = asyncio.create_task(one.take(1))
    await asyncio.sleep(0.01)
    await one.close()
    async with asyncio.timeout(1):
        assert await taking == []


async def test_who_gives_up_waiting_leaves_nothing_behind() -> None:
    one = buffer(1)
    await one.put(ticks(1))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await one.put(CLOCK)
    assert len(await one.take(10)) == 1
    assert (one.ticks, one.waiting_s) == (0, 0)

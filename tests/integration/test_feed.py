"""A feed in this process; vendor, broker and lock are stood in for by ones that a test commands."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import pytest

from domain.clock import SystemClock
from providers.connection import Pace
from providers.polygon.config import PolygonConfig
from providers.polygon.stream import PolygonDialogue
from schemas.errors import ConfigInvalid, OutageOutlasted
from schemas.topics import QUOTES_RAW, TRADES
from sinks.leadership import Leadership
from streams.feed import Feed
from streams.feed_options import FeedOptions
from streams.feed_records import FeedRecords
from streams.feed_tail import LastWord
from streams.output import Output
from tests.feed_server import KEY, MS, FeedServer, feed_server
from tests.integration.feed_stubs import StubBroker, StubLock

SECOND_NS = 1_000_000_000
SYMBOLS = ("AAPL", "MSFT", "IBM")
PARTITIONS = 2


@dataclass(slots=True)
class Running:
    feed: Feed
    server: FeedServer
    broker: StubBroker
    lock: StubLock
    task: asyncio.Task[None]

    async def until(self, condition: Callable[[], object], seconds: float = 10) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    if self.task.done():
                        self.task.result()
                        raise AssertionError("the feed has ended")
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"not within {seconds:g} s: {self.feed.counts}") from None

    async def stop(self) -> None:
        self.feed.stop()
        async with asyncio.timeout(10):
            await self.task


@asynccontextmanager
async def running(
    rate: float = 50.0, *, word: LastWord | None = None, key: str = KEY, **options: Any
) -> AsyncIterator[Running]:
    async def last_word() -> LastWord | None:
        return word

    async with feed_server(rate) as server:
        config = PolygonConfig(key=key, ws_url=server.url, plan="paid")
        broker, lock = StubBroker(), StubLock()
        feed = Feed(
            lambda: PolygonDialogue(config, SYMBOLS, ("trades", "quotes")),
            cast(Output, broker),
            FeedRecords({TRADES.name: PARTITIONS, QUOTES_RAW.name: PARTITIONS}, lambda spec: spec.name),
            cast(Leadership, lock),
            last_word,
            SystemClock(),
            FeedOptions(pace=Pace(ping_s=0.1, silence_s=1.0, close_s=0.2), **options),
        )
        one = Running(feed, server, broker, lock, asyncio.create_task(feed.run()))
        try:
            yield one
        finally:
            one.task.cancel()
            await asyncio.gather(one.task, return_exceptions=True)


async def test_told_to_stop_it_delivers_what_it_has_received_and_resigns() -> None:
    async with running() as one:
        await one.until(lambda: one.broker.of("clock"))
        one.broker.held.clear()
        await one.until(lambda: one.feed.buffered > 20)
        one.feed.stop()
        await asyncio.sleep(0.05)
        assert not one.task.done()
        one.broker.held.set()
        await one.stop()
        assert one.feed.counts.delivered == one.feed.counts.received == len(one.broker.of("tick"))
        assert one.lock.resigned == 1
        await one_after(one.server)


async def one_after(server: FeedServer) -> None:
    """Wait until nobody is connected any more."""
    async with asyncio.timeout(5):
        while server.clients:
            await asyncio.sleep(0.01)


async def test_told_to_stop_it_does_not_wait_for_ever_for_the_broker() -> None:
    async with running(drain_s=0.2) as one:
        await one.until(lambda: one.broker.of("clock"))
        one.broker.held.clear()
        await one.until(lambda: one.feed.buffered > 20)
        await one.stop()
        assert one.lock.resigned == 1


async def test_whoever_does_not_lead_any_more_delivers_nothing() -> None:
    async with running() as one:
        await one.until(lambda: one.broker.of("clock"))
        one.lock.trusted = False
        seen = one.broker.deliveries
        await one.until(lambda: one.lock.resigned)
        # at most the one that was under way
        assert one.broker.deliveries <= seen + 1


async def test_deposed_it_disconnects_stands_by_and_begins_again_when_it_may() -> None:
    async with running() as one:
        await one.until(lambda: one.broker.of("clock"))
        one.lock.ours = False
        await one.until(lambda: one.feed.counts.state == "standby")
        await one_after(one.server)
        told = len(one.broker.of("discontinuity"))
        one.lock.ours = True
        await one.until(lambda: len(one.broker.of("discontinuity")) > told)
        assert len(one.server.logins) == 2


async def test_the_predecessors_promise_is_where_the_first_hole_begins() -> None:
    kept = time.time_ns() - 30 * SECOND_NS  # noqa: TID251 - the predecessor's
    async with running(word=LastWord(kept, SECOND_NS // 10)) as one:
        await one.until(lambda: one.broker.of("clock"))
        holes = one.broker.of("discontinuity")
        assert len(holes) == 2 * PARTITIONS
        assert {hole["reason"] for hole in holes} == {"takeover"}
        (begin,) = {hole["ts_from"] for hole in holes}
        (end,) = {hole["ts_event"] for hole in holes}
        assert begin == kept - 2 * SECOND_NS
        assert 29 * SECOND_NS < end - kept < 40 * SECOND_NS


async def test_before_the_first_tick_there_is_no_clock() -> None:
    async with running(rate=0.0) as one:
        await one.until(lambda: one.broker.of("discontinuity"))
        await asyncio.sleep(0.5)
        assert one.broker.of("clock") == []
        one.server.rate = 50.0
        await one.until(lambda: one.broker.of("clock"))
        assert len({c["ts_event"] for c in one.broker.of("clock")[: 2 * PARTITIONS]}) == 1


async def test_a_login_that_is_followed_by_a_parting_is_tried_less_and_less_often() -> None:
    async with running() as one:
        other = _Elsewhere(one.server)
        one.server.clients.append(cast(Any, other))
        await one.until(lambda: len(one.server.logins) >= 5, 25)
        waits = [b - a for a, b in pairwise(one.server.logins)]
        # at least what the refusal says; the fourth at least half of eight times the first
        assert min(waits) >= 1.0
        assert waits[3] >= 2.0
        one.server.clients.remove(cast(Any, other))


class _Elsewhere:
    """Another connection of the same key."""

    def __init__(self, server: FeedServer) -> None:
        self.authenticated = True
        self.mute = True
        self.channels: dict[str, None] = {}
        self.waiting = 0

    def drop(self) -> None:
        pass


async def test_a_refused_key_is_a_wrong_configuration() -> None:
    async with running(key="another") as one:
        with pytest.raises(ConfigInvalid, match="AuthFailed: polygon: authentication failed"):
            await asyncio.wait_for(one.task, 10)
        assert one.lock.resigned == 1


async def test_a_broker_that_is_away_for_too_long_ends_it() -> None:
    async with running() as one:
        one.broker.failure = OutageOutlasted("the broker was away")
        with pytest.raises(OutageOutlasted):
            await asyncio.wait_for(one.task, 10)
        assert one.lock.resigned == 1


async def test_a_slow_broker_is_told_even_if_the_vendor_does_not_part() -> None:
    async with running(buffer_ticks=20, stall_s=0.3) as one:
        await one.until(lambda: one.broker.of("clock"))
        kept = one.feed.promised_ns
        one.broker.held.clear()
        await one.until(lambda: one.feed.unread_s > 0.6)
        assert 20 <= one.feed.buffered < 20 + 100
        one.broker.held.set()
        await one.until(lambda: any("slow consumer" in h["reason"] for h in one.broker.of("discontinuity")))
        hole = next(h for h in one.broker.of("discontinuity") if "slow consumer" in h["reason"])
        assert hole["ts_from"] <= kept
        assert hole["ts_event"] - kept >= 0.6 * SECOND_NS
        assert len(one.server.logins) == 1


async def test_a_slow_broker_is_told_even_if_it_was_a_clock_that_found_no_room() -> None:
    async with running(buffer_ticks=20, stall_s=0.3) as one:
        await one.until(lambda: one.broker.of("clock"))
        one.server.rate = 0.0
        await one.until(lambda: one.feed.counts.received == one.feed.counts.delivered)
        one.broker.held.clear()
        # one frame on its way to the broker, one that fills the buffer, then nothing but answers to pings
        for sent in (1, 2):
            frame = [one.server._tick("T", "AAPL", one.server.made[-1].ts_ns // MS, n) for n in range(25)]
            received = one.feed.counts.received
            one.server.clients[0].outbox.put_nowait(json.dumps(frame))
            await one.until(lambda: one.feed.counts.received == received + 25)  # noqa: B023 - it is waited for here
            await one.until(lambda: one.feed.buffered == 25 * (sent - 1))  # noqa: B023
        await one.until(lambda: one.feed.unread_s > 0.6)
        assert one.feed.buffered == 25
        one.broker.held.set()
        await one.until(lambda: any("slow consumer" in h["reason"] for h in one.broker.of("discontinuity")))


async def test_what_cannot_be_read_is_told_once_a_ping_and_the_rest_goes_on() -> None:
    async with running() as one:
        await one.until(lambda: one.broker.of("clock"))
        for _ in range(200):
            one.server.clients[0].outbox.put_nowait('[{"ev":"T","sym":"AAPL","p":"1","s":1,"t":1}]')
        await one.until(lambda: one.feed.counts.unreadable == 200)
        await one.until(lambda: any("cannot be read" in h["reason"] for h in one.broker.of("discontinuity")))
        clocks = len(one.broker.of("clock"))
        await one.until(lambda: len(one.broker.of("clock")) > clocks + 2 * PARTITIONS * 10)
        told = [h for h in one.broker.of("discontinuity") if "cannot be read" in h["reason"]]
        # all two hundred came between a few pings
        assert len(told) <= 2 * PARTITIONS * 4
        assert one.server.connects == 1


async def test_silence_is_no_ground_for_a_promise() -> None:
    async with running() as one:
        # known after ten pings with something between them
        await one.until(lambda: len(one.broker.of("clock")) > 2 * PARTITIONS * 15)
        one.server.clients[0].mute = True
        muted_ns = SystemClock().now_ns()
        await one.until(lambda: len(one.server.logins) == 2, 20)
        await one.until(lambda: one.feed.counts.state == "active")
        hole = next(h for h in one.broker.of("discontinuity") if "mute" in h["reason"])
        kept = [c["ts_event"] for c in one.broker.of("clock") if c["ts_event"] < hole["ts_event"]]
        assert max(kept) < muted_ns + SECOND_NS
        assert hole["ts_from"] <= muted_ns - SECOND_NS


async def test_of_a_thin_feed_a_mute_connection_is_told_from_its_last_tick_on() -> None:
    async with running(rate=3.0, lateness_ns=0) as one:
        await one.until(lambda: len({t["ts_event"] for t in one.broker.of("tick")}) > 15, 20)
        one.server.clients[0].mute = True
        await one.until(lambda: len(one.server.logins) == 2, 30)
        await one.until(lambda: any("mute" in h["reason"] for h in one.broker.of("discontinuity")))
        hole = next(h for h in one.broker.of("discontinuity") if "mute" in h["reason"])
        before = [t["ts_event"] for t in one.broker.of("tick") if t["ts_event"] < hole["ts_event"]]
        promised = [c["ts_event"] for c in one.broker.of("clock") if c["ts_event"] < hole["ts_event"]]
        # it was taken for chance at first, and promised on
        assert max(promised) > max(before)
        assert hole["ts_from"] <= max(before)

"""The scripted faults of the emulator's feeds, in the words of all four vendors: survived, and told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast, get_args

from domain.clock import SystemClock
from providers.connection import Pace
from providers.dialogue import What
from sandbox.vendors.faults import SocketKind
from sandbox.vendors.feed import Feed as VendorFeed
from sandbox.vendors.server import Emulator
from schemas.provider import ProviderName
from schemas.topics import QUOTES_RAW, TRADES
from sinks.leadership import Leadership
from streams.feed import Feed
from streams.feed_dialogues import dialogues
from streams.feed_options import FeedOptions
from streams.feed_records import FeedRecords
from streams.output import Output
from streams.setting_sources import detached
from tests.dense_market import SYMBOLS, VENDORS, S, Vendor, dense_emulator, published
from tests.feed_told import Told
from tests.integration.feed_stubs import StubBroker, StubLock

PARTITIONS = 2
KINDS = {TRADES.name: "trade", QUOTES_RAW.name: "quote"}
#: the kinds that end the connection, with words where the vendor has them
PARTINGS = ("policy_close", "slow_consumer", "max_connections", "drop")
SPOILERS = ("raw", "mutate")
#: takes its time: tests/acceptance/test_feed_vendors.py
ELSEWHERE = ("mute",)
#: what an answer to a ping needs, and a reconnection with its backoff
SOON_S = 15.0


def test_every_kind_of_fault_is_here() -> None:
    assert sorted((*PARTINGS, *SPOILERS, *ELSEWHERE)) == sorted(get_args(SocketKind))


@dataclass(slots=True)
class Running:
    """A feed of ours, and the one of the vendor that it listens to."""

    vendor: Vendor
    emulator: Emulator
    feed: Feed
    broker: StubBroker
    task: asyncio.Task[None]

    @property
    def theirs(self) -> VendorFeed:
        return self.emulator.feed(self.vendor.name)

    async def until(self, condition: Callable[[], object], what: str, seconds: float = SOON_S) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    if self.task.done():
                        self.task.result()
                        raise AssertionError(f"{self.vendor.name}: the feed has ended")
                    await asyncio.sleep(0.01)
        except TimeoutError:
            counts = self.feed.counts
            raise AssertionError(f"{self.vendor.name}: not within {seconds} s: {what}; {counts}") from None

    async def reconnected(self, count: int) -> None:
        """Wait until it listens on its so-manieth connection, and has promised on."""
        await self.until(
            lambda: self.feed.counts.connections == count and self.feed.counts.state == "active",
            f"connection {count}",
        )
        await self.goes_on()

    async def goes_on(self) -> int:
        """Wait until the present has been promised everywhere; return it."""
        now_ns = self.emulator.time.now_ns()
        await self.until(lambda: self.told().promised_ns > now_ns, f"a clock beyond {now_ns}")
        return now_ns

    def told(self) -> Told:
        told = Told(PARTITIONS)
        for (topic, partition), value in self.broker.records:
            told.found[KINDS[topic], partition].said(KINDS[topic], value)
        return told


@asynccontextmanager
async def feeding(vendor: Vendor, emulator: Emulator) -> AsyncIterator[Running]:
    what: tuple[What, ...] = ("trades", "quotes") if vendor.quotes else ("trades",)
    topics = {TRADES.name: PARTITIONS, QUOTES_RAW.name: PARTITIONS}
    broker = StubBroker()

    async def nothing() -> None:
        return None

    settings = detached(vendor.settings(emulator))
    feed = Feed(
        dialogues(cast(ProviderName, vendor.provider), settings, SYMBOLS, what),
        cast(Output, broker),
        FeedRecords(topics if vendor.quotes else {TRADES.name: PARTITIONS}, lambda spec: spec.name),
        cast(Leadership, StubLock()),
        nothing,
        SystemClock(),
        FeedOptions(pace=Pace(ping_s=0.1, silence_s=10.0, close_s=0.2)),
    )
    one = Running(vendor, emulator, feed, broker, asyncio.create_task(feed.run()))
    try:
        yield one
    finally:
        one.task.cancel()
        await asyncio.gather(one.task, return_exceptions=True)


@asynccontextmanager
async def four() -> AsyncIterator[list[Running]]:
    """Run a feed of each vendor; at the end nothing may be missing that was not told."""
    async with AsyncExitStack() as stack:
        emulator = await stack.enter_async_context(dense_emulator())
        ours = [await stack.enter_async_context(feeding(vendor, emulator)) for vendor in VENDORS]
        await asyncio.gather(*(one.reconnected(1) for one in ours))
        yield ours
        for one in ours:
            until = await one.goes_on()
            told = one.told()
            begun = min(tick.ts_ns for tick in told.ticks) + S
            assert told.violations(published(begun, until, quotes=one.vendor.quotes)) == [], one.vendor


async def test_a_parting_is_told_whatever_the_vendor_says_and_the_feed_goes_on() -> None:
    async with four() as ours:

        async def parted(one: Running) -> None:
            for count, kind in enumerate(PARTINGS, 2):
                one.theirs.disturb(kind)
                await one.reconnected(count)
                assert len(one.told().holes("connection lost")) == count - 1

        await asyncio.gather(*map(parted, ours))


async def test_what_cannot_be_read_is_told_and_the_connection_stays() -> None:
    async with four() as ours:

        async def spoiled(one: Running) -> None:
            one.theirs.disturb("raw", text="Internal Server Error")
            await one.until(lambda: one.feed.counts.unreadable == 1, "an unreadable message")
            await one.goes_on()
            one.theirs.disturb("mutate", change=numbers_as_text)
            await one.until(lambda: one.feed.counts.unreadable > 50, "messages of the wrong type")
            await one.goes_on()
            assert one.feed.counts.connections == 1
            assert len(one.told().holes("cannot be read")) >= 2
            one.theirs.disturb("drop")
            await one.reconnected(2)

        await asyncio.gather(*map(spoiled, ours))


def numbers_as_text(value: Any) -> Any:
    """Write prices and sizes as a vendor does that has changed its library."""
    if isinstance(value, dict):
        return {name: numbers_as_text(part) for name, part in value.items()}
    if isinstance(value, list):
        return [numbers_as_text(part) for part in value]
    return str(value) if isinstance(value, float) else value

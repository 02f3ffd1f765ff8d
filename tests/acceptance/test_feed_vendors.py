"""Feeds in the words of four vendors: muted, killed, cut off; what was missed is told, and is no more."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest

from tests.acceptance.conftest import RigFactory
from tests.acceptance.feed_process import end, start, wait_turn
from tests.acceptance.feed_topics import FeedTopics, feed_topics
from tests.acceptance.rig import Rig, wait_until
from tests.dense_market import START_NS, SYMBOLS, VENDORS, S, Vendor, Vendors, published, vendors_thread
from tests.feed_told import Told

pytestmark = pytest.mark.acceptance

#: clocks after which it is known how often the symbols speak
KNOWN = 12
#: within which a standby must have taken over
TAKEOVER_S = 10.0
#: within which a mute socket must have been found out and left
MUTE_S = 20.0
#: what a hole is longer than what was missed: the lateness that consumers wait, and doubt about clocks
MARGIN_S = 4.0


@dataclass(slots=True)
class Scene:
    """Four feeds, each active and standing by, on one broker and one database."""

    rig: Rig
    vendors: Vendors
    topics: FeedTopics

    def start(self, number: int, state: str) -> None:
        for vendor in VENDORS:
            settings = vendor.settings(self.vendors.emulator)
            name = f"{vendor.name}{number}"
            start(self.rig, name, vendor.provider, "--symbols", ",".join(SYMBOLS), **settings)
        for vendor in VENDORS:
            wait_turn(self.rig, f"{vendor.name}{number}", state)

    def each(self, holds: Callable[[Vendor], bool], timeout: float, what: str) -> None:
        """Wait until something holds for every vendor."""
        for vendor in VENDORS:
            wait_until(partial(holds, vendor), timeout, f"{vendor.name}: {what}\n{self.rig.log_tail()}")

    def ticks_on(self, connection: int, timeout: float, what: str) -> None:
        """Wait until every vendor has sent ticks on its so-manieth connection."""
        self.each(lambda v: self.vendors.sent(v.name, connection), timeout, what)

    def known(self, vendor: Vendor) -> bool:
        told = self.topics.of(vendor.provider)
        return bool(told.found) and min(len(p.clocks) for p in told.found.values()) >= KNOWN

    def goes_on(self, until_ns: int, timeout: float) -> None:
        """Wait until every feed has promised that nothing before a moment is missing."""
        self.each(
            lambda v: self.topics.of(v.provider).promised_ns > until_ns, timeout, f"a clock beyond {until_ns}"
        )

    @property
    def now_ns(self) -> int:
        return self.vendors.emulator.time.now_ns()


def test_mute_killed_and_dropped_what_was_missed_is_told_and_nothing_else_is_missing(
    make_rig: RigFactory,
) -> None:
    rig = make_rig(partitions=2)
    with vendors_thread() as vendors, feed_topics(rig) as topics:
        scene = Scene(rig, vendors, topics)
        scene.start(1, "active")
        scene.start(2, "standby")
        scene.each(scene.known, 30, f"{KNOWN} clocks on every partition")
        for vendor in VENDORS:
            vendors.disturb(vendor.name, "mute")
        scene.ticks_on(2, MUTE_S, "ticks on a new connection, after the mute one")
        scene.goes_on(scene.now_ns, 20)
        killed_at = time.monotonic()
        for vendor in VENDORS:
            rig.kill(f"{vendor.name}1")
        scene.ticks_on(3, TAKEOVER_S, "ticks for the one that stood by")
        assert time.monotonic() - killed_at < TAKEOVER_S
        scene.goes_on(scene.now_ns, 20)
        for vendor in VENDORS:
            vendors.disturb(vendor.name, "drop")
        scene.ticks_on(4, 10, "ticks on a new connection, after the dropped one")
        until = scene.now_ns
        scene.goes_on(until, 20)
        end(rig)
        for vendor in VENDORS:
            verify(vendor, topics.of(vendor.provider), until)


def verify(vendor: Vendor, told: Told, until: int) -> None:
    # one subscription stands after the other, the last within a second of the first tick
    begun = min(tick.ts_ns for tick in told.ticks) + S
    market = published(begun, until, quotes=vendor.quotes)
    assert told.violations(market) == [], vendor
    assert told.ticks <= {*published(START_NS, until + 60 * S, quotes=vendor.quotes)}
    missing = told.missing(market)
    print(f"{vendor.name}: {told.summary(len(market), len(missing))}")
    for reason, longest_s in (
        ("mute: nothing for", MUTE_S),
        ("takeover", TAKEOVER_S),
        ("connection lost: " + vendor.provider, MUTE_S),
    ):
        for hole in told.holes(reason):
            assert 0 < hole.seconds < longest_s + MARGIN_S, (vendor, hole)
            assert any(hole.begin < tick.ts_ns < hole.end for tick in missing), (vendor, hole)
    assert told.longest_silence_s() < MUTE_S

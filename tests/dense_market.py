"""The emulator over a market that trades densely: ten trades and ten quotes a second of each symbol.

On IEX alone the simulated exchange trades once in some seconds, too seldom to tell a mute socket from a
quiet market within a test. Here every vendor sees the same ticks; kind, symbol and time tell a tick apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from typing_extensions import override

from domain.clock import SystemClock
from sandbox.market.market import Market
from sandbox.market.records import Quote, Trade
from sandbox.vendors.clock import RunningTime
from sandbox.vendors.plans import VendorName
from sandbox.vendors.server import Emulator
from sandbox.vendors.tape import Event, Tape
from tests.server_thread import in_thread

S = 1_000_000_000
#: ten minutes after the open of a Friday
START_NS = 1_763_131_200 * S
STEP_NS = S // 10
#: a dot is spelled in a way of its own by each vendor
SYMBOLS = ("AAPL", "SPY", "TSLA", "AMD", "MSFT", "BRK.B")
#: to whole milliseconds, as two vendors cut their times to them
_OFFSETS_NS = {symbol: n * 7_000_000 for n, symbol in enumerate(SYMBOLS)}
HEARTBEAT_S = 0.5
#: for the emulator to do what it is told
TELL_S = 10.0


class Ident(NamedTuple):
    """What tells a tick apart."""

    kind: str
    """trade, quote."""
    symbol: str
    ts_ns: int


class DenseTape(Tape):
    """Ticks as a function of time alone."""

    @override
    def ticks(self, feed: str, symbol: str, after: int, until: int) -> Iterator[Event]:
        for n, at in _moments(symbol, after, until):
            trade = Trade(symbol, at, at, 100 + n % 100 / 100, 100.0, "V", (), n, n)
            yield Event(at, "trade", symbol, trade, n)

    @override
    def quotes(self, feed: str, symbol: str, after: int, until: int) -> Iterator[Event]:
        for n, at in _moments(symbol, after, until):
            yield Event(at, "quote", symbol, Quote(symbol, at, 99.5, 100, "V", 101.5, 200, "V", n), n)


def _moments(symbol: str, after: int, until: int) -> Iterator[tuple[int, int]]:
    offset = _OFFSETS_NS[symbol]
    for n in range((after - offset) // STEP_NS + 1, (until - offset) // STEP_NS + 1):
        yield n, n * STEP_NS + offset


def published(after: int, until: int, *, quotes: bool) -> list[Ident]:
    """Return every tick of the market in ``(after, until]``, whoever listened."""
    kinds = ("trade", "quote") if quotes else ("trade",)
    return [Ident(k, s, at) for k in kinds for s in SYMBOLS for _, at in _moments(s, after, until)]


@dataclass(frozen=True, slots=True)
class Vendor:
    """How a feed of one is started."""

    name: VendorName
    provider: str
    quotes: bool = True

    def settings(self, emulator: Emulator) -> dict[str, Any]:
        """Return keys and addresses."""
        key, url = emulator.keys[self.name], emulator.feeds[self.name]
        return {
            "polygon": {"polygon_api_key": key, "polygon_plan": "paid", "polygon_ws_url": url},
            "alpaca": {
                "alpaca_api_key_id": key,
                "alpaca_api_secret_key": emulator.secret(key),
                "alpaca_ws_url": url.removesuffix("/{feed}"),
            },
            "finnhub": {"finnhub_api_key": key, "finnhub_ws_url": url.partition("?")[0]},
            "tiingo": {"tiingo_api_key": key, "tiingo_ws_url": url},
        }[self.name]


VENDORS = (
    Vendor("polygon", "polygon"),
    Vendor("alpaca", "alpaca"),
    Vendor("finnhub", "finnhub", quotes=False),
    Vendor("tiingo", "iex"),
)


def dense_emulator() -> Emulator:
    """Return an emulator whose four feeds are dense; it is to be entered."""
    market = Market(seed=7, symbols=len(SYMBOLS) + 6)
    emulator = Emulator(market, RunningTime(START_NS, SystemClock()))
    for vendor in VENDORS:
        feed = emulator.feed(vendor.name)
        feed.tape = DenseTape(market, emulator.views)
        # a heartbeat must not be taken for a tick: those who send them send many
        feed.heartbeat_s = min(feed.heartbeat_s, HEARTBEAT_S)
    return emulator


@dataclass(slots=True)
class Vendors:
    """An emulator in a thread of its own."""

    emulator: Emulator
    loop: asyncio.AbstractEventLoop

    def disturb(self, vendor: VendorName, kind: str) -> None:
        """Let a fault happen to whoever is connected to a vendor, and wait until it has."""

        async def do() -> None:
            self.emulator.feed(vendor).disturb(kind)

        asyncio.run_coroutine_threadsafe(do(), self.loop).result(TELL_S)

    def sent(self, vendor: VendorName, connection: int) -> bool:
        """Whether a tick has gone out on the so-manieth connection of a vendor."""
        return any(s.vendor == vendor and s.connection == connection for s in self.emulator.log.sent)


@contextmanager
def vendors_thread() -> Iterator[Vendors]:
    """Run a dense emulator in a thread, for tests that wait without a loop."""
    with in_thread(dense_emulator()) as (emulator, loop):
        yield Vendors(emulator, loop)

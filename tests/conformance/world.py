"""An emulator in a thread of its own, for clients that block; and the truth that they are held against."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import date, datetime
from types import TracebackType
from typing import Self

from domain.clock import SystemClock
from sandbox.market.calendar import day_of
from sandbox.market.market import Market
from sandbox.market.records import Quote, Trade
from sandbox.market.views import Row, Vendor, Views
from sandbox.vendors.clock import SetTime
from sandbox.vendors.plans import Plans, Rate
from sandbox.vendors.server import Emulator

NS = 1_000_000_000
WAIT_S = 20.0
#: a key that may ask twice a minute
HURRIED = "in-a-hurry"
#: a key that may ask as often as it likes
PATIENT = "all-the-time"
LISTENERS = ("first-listener", "second-listener")


def at(text: str) -> int:
    """Return an instant with its zone as nanoseconds since the epoch."""
    return int(datetime.fromisoformat(text).timestamp()) * NS


#: the Friday before TSLA's split, an hour after the open
NOW = at("2025-11-14T10:30:00-05:00")
#: over the change of the clocks on 2 November and the change of sizes on the 3rd
DAYS = at("2025-10-29T00:00:00-04:00"), at("2025-11-06T00:00:00-05:00")
MINUTES = at("2025-11-13T04:00:00-05:00"), at("2025-11-13T20:00:00-05:00")


class World:
    """Runs while it is entered."""

    def __init__(self) -> None:
        self.market = Market(seed=7)
        self.views = Views(self.market)
        self.time = SetTime(NOW)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="emulator", daemon=True)
        plans = Plans()
        for vendor in ("polygon", "alpaca", "finnhub", "tiingo"):
            plans.add(vendor, HURRIED, "paid", rates=[Rate(2, 60.0)])
            plans.add(vendor, PATIENT, "paid", rates=[])
        # a client that never hangs up keeps its key's only connection
        for key in LISTENERS:
            plans.add("tiingo", key, "paid")
        self.emulator = Emulator(self.market, self.time, plans, clock=SystemClock())
        self.emulator.keys |= dict.fromkeys(self.emulator.keys, PATIENT)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.emulator.__aenter__(), self._loop).result(WAIT_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self.emulator.__aexit__(None, None, None), self._loop).result(WAIT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S)
        self._loop.close()

    @property
    def now_ns(self) -> int:
        """What time it is on the market."""
        return self.time.now_ns()

    def bars(
        self, vendor: Vendor, symbol: str, interval: str, window: tuple[int, int], adjustment: str = "raw"
    ) -> list[Row]:
        """Return what a vendor shows."""
        feed = "sip" if vendor == "alpaca" else ""
        rows = self.views.bars(vendor, feed, symbol, interval, *window, adjustment, self.now_ns)  # type: ignore[arg-type]
        assert rows, "there is something to compare"
        return rows

    def quotes(self, symbol: str, window: tuple[int, int], feed: str = "") -> list[Quote]:
        """Return the quotes of a window."""
        return self.views.quotes(feed, symbol, *window, self.now_ns)

    def published(self, symbol: str, after: int, feed: str = "") -> list[Trade]:
        """Return the trades of today that were published after a moment, in that order."""
        trades = self.market.trades(symbol, day_of(self.now_ns))
        found = [
            t for t in trades if after < t.arrival_ns <= self.now_ns and (feed != "iex" or t.venue == "V")
        ]
        return sorted(found, key=lambda trade: trade.arrival_ns)

    def pass_time(self, seconds: float, enough: Callable[[], bool]) -> None:
        """Let market time pass in small steps until somebody has enough, then say that it is too long."""
        deadline = time.monotonic() + WAIT_S
        passed = 0.0
        while not enough():
            assert time.monotonic() < deadline, f"not within {WAIT_S:.0f} s"
            if passed < seconds:
                self.time.advance(1.0)
                passed += 1.0
            time.sleep(0.02)


def iso_date(day: date) -> str:
    """Return a date as vendors write it."""
    return day.isoformat()

"""A client in front of a vendor in trouble: what was asked, what came of it, what was left behind."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from typing_extensions import override

from providers.base import BarsRequest, Provider, QuotesRequest
from providers.gate import Gate
from providers.http import Timeouts
from sandbox.vendors.server import Emulator
from schemas.errors import ProviderError
from schemas.provider import Adjustment
from tests.integration.providers.hosted import MarketClock
from tests.integration.providers.leftovers import Leftovers
from tests.integration.providers.month import SHARES_DAY, at, closing
from tests.integration.providers.subject import Door, Subject
from tests.integration.providers.truth import Window

SYMBOL = "BRK.B"
NOON_NS = at(date(2025, 11, 14), 12, 20)
#: one request of every vendor
WINDOW: Window = (at(SHARES_DAY, 11), at(SHARES_DAY, 13))
#: several
LONG: Window = (at(date(2025, 10, 30), 0), at(date(2025, 11, 13), 0))
#: signs that are quoted in a query
KEY = "Zq7Kd+x/9=Wb4Tz-{vendor}"
#: of which no way to quote changes anything
FRAGMENTS = ("Zq7Kd", "Wb4Tz")
PATIENT = Timeouts(total=30.0, connect=10.0, read=20.0, pause=0.05)
HASTY = Timeouts(total=1.5, connect=1.0, read=0.5, pause=0.05)


class CountingGate(Gate):
    """Lets everybody pass, and remembers."""

    def __init__(self) -> None:
        self.passed = 0
        self.blocked_until = 0.0

    @override
    async def pass_(self, n: int = 1) -> None:
        self.passed += n

    @override
    def block_until(self, monotonic: float) -> None:
        self.blocked_until = max(self.blocked_until, monotonic)


@dataclass
class Case:
    """A client in front of a vendor in trouble."""

    emulator: Emulator
    subject: Subject
    client: Provider
    gate: CountingGate
    secrets: tuple[str, ...]
    """Key, and what else authenticates; `FRAGMENTS` are in each."""
    answer: Sequence[object] = field(default=())
    error: ProviderError | None = None
    took_s: float = 0.0

    @property
    def requests(self) -> int:
        """How many requests have reached the vendor."""
        return self.emulator.faults.calls[self.subject.vendor, "*"]

    def script(self, kind: str, *, nth: int = 1, times: int = 1000, **how: Any) -> None:
        """Let the vendor get into trouble."""
        self.emulator.faults.add(self.subject.vendor, "*", kind, nth=nth, times=times, **how)

    async def ask(self, what: str = "bars", window: Window = WINDOW) -> int:
        """Ask, note what came of it, and return how many requests it took."""
        before, began = self.requests, time.monotonic()
        passed = self.gate.passed
        self.error, self.answer = None, ()
        try:
            self.answer = await ASK[what](self.client, window)
        except ProviderError as exc:
            self.error = exc
        self.took_s = time.monotonic() - began
        # counted when they arrive, which may be after we have turned away
        took = self.requests - before
        assert self.gate.passed - passed >= took
        return took


async def _bars(client: Provider, window: Window) -> Sequence[object]:
    return (await client.bars(BarsRequest((SYMBOL,), "1m", *window))).rows


async def _days(client: Provider, window: Window) -> Sequence[object]:
    adjustment: Adjustment = "split" if client.name == "finnhub" else "raw"
    return (await client.bars(BarsRequest((SYMBOL,), "1d", *LONG, adjustment))).rows


async def _latest(client: Provider, window: Window) -> Sequence[object]:
    return (await client.quotes(QuotesRequest((SYMBOL,)))).rows


async def _quotes(client: Provider, window: Window) -> Sequence[object]:
    return (await client.quotes(QuotesRequest((SYMBOL,), *window))).rows


ASK: dict[str, Callable[[Provider, Window], Awaitable[Sequence[object]]]] = {
    "bars": _bars,
    "days": _days,
    "latest": _latest,
    "quotes": _quotes,
}


@asynccontextmanager
async def case_of(emulator: Emulator, subject: Subject, timeouts: Timeouts) -> AsyncIterator[Case]:
    """A client, and nothing of it afterwards."""
    emulator.faults.clear()
    key, gate = KEY.format(vendor=subject.vendor), CountingGate()
    secret = emulator.secret(key)
    left = Leftovers()
    door = Door(emulator.urls[subject.vendor], key, secret, MarketClock(emulator.time), gate, timeouts)
    async with closing(subject.make(door)) as client:
        yield Case(emulator, subject, client, gate, tuple(filter(None, (key, secret))))
    emulator.faults.clear()
    await left.assert_none()

"""The simulated month of these tests, and how a client comes to the emulator of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, time
from typing import TypeVar

from providers.base import Provider
from sandbox.market.calendar import instant_ns
from sandbox.vendors.plans import VENDORS, Plans
from sandbox.vendors.server import Emulator
from tests.integration.providers.hosted import MarketClock
from tests.integration.providers.subject import Door, Subject

#: the month of all tests is November 2025; what follows it are days by which splits become known
FIRST, LAST = date(2025, 10, 29), date(2025, 12, 12)
#: the last session whose quotes are in lots, and the first whose are in shares
LOTS_DAY, SHARES_DAY = date(2025, 10, 31), date(2025, 11, 3)
#: a symbol with a dot, the one that splits, a busy one and a quiet one
FEW = ("BRK.B", "TSLA", "AAPL", "BA")


def at(day: date, hour: int, minute: int = 0, *, ns: int = 0) -> int:
    """Return a time of day in New York."""
    return instant_ns(day, time(hour, minute)) + ns


NOW_NS = at(LAST, 21)
AnyProvider = TypeVar("AnyProvider", bound=Provider)


@asynccontextmanager
async def closing(client: AnyProvider) -> AsyncIterator[AnyProvider]:
    """Close a client whatever happens."""
    try:
        yield client
    finally:
        await client.close()


def open_plans() -> Plans:
    """Return keys without limits, named ``<vendor>-open``."""
    plans = Plans()
    for vendor in VENDORS:
        plans.add(vendor, f"{vendor}-open", rates=())
    return plans


def door_of(emulator: Emulator, subject: Subject) -> Door:
    """Return the way to a vendor of the emulator, without limits."""
    key = f"{subject.vendor}-open"
    return Door(emulator.urls[subject.vendor], key, emulator.secret(key), MarketClock(emulator.time))

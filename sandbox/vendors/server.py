"""The emulator: four vendors over one simulated exchange, a port each."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from domain.clock import Clock, SystemClock
from sandbox.market.market import Market
from sandbox.market.views import Views
from sandbox.vendors.alpaca import Alpaca
from sandbox.vendors.clock import MarketTime
from sandbox.vendors.faults import Faults
from sandbox.vendors.feed import Feed
from sandbox.vendors.finnhub import Finnhub
from sandbox.vendors.log import Log
from sandbox.vendors.plans import VENDORS, Plans, VendorName
from sandbox.vendors.polygon import Polygon
from sandbox.vendors.tiingo import Tiingo
from sandbox.vendors.vendor import World

#: where each vendor's REST and feed begin, after the base URL
REST_PATHS: dict[VendorName, str] = {"polygon": "", "alpaca": "", "finnhub": "/api/v1", "tiingo": ""}
FEED_PATHS: dict[VendorName, str] = {
    "polygon": "/stocks",
    "alpaca": "/v2/{feed}",
    "finnhub": "/?token={key}",
    "tiingo": "/iex",
}


class Emulator:
    """Runs while it is entered.

    ::

        async with Emulator(Market(seed=7), RunningTime(start_ns, SystemClock())) as emulator:
            emulator.urls["polygon"], emulator.keys["polygon"], emulator.log.requests
    """

    def __init__(
        self,
        market: Market,
        time: MarketTime,
        plans: Plans | None = None,
        faults: Faults | None = None,
        *,
        clock: Clock | None = None,
        ports: dict[VendorName, int] | None = None,
    ) -> None:
        """Build; nothing listens yet.

        Args:
            market: the truth.
            time: what time it is there.
            plans: keys; default: one of each plan, `keys` names the paid ones.
            faults: the script of troubles; may be added to while the emulator runs.
            clock: the wall, by which limits and their headers go.
            ports: default: the operating system chooses.
        """
        clock = clock or SystemClock()
        self.market = market
        self.time = time
        self.views = Views(market)
        self.plans = plans or Plans()
        self.faults = faults or Faults()
        self.log = Log(clock)
        world = World(market, self.views, time, clock, self.plans, self.faults, self.log)
        self.vendors = {v.name: v for v in (Polygon(world), Alpaca(world), Finnhub(world), Tiingo(world))}
        self._ports = ports or {}
        self.urls: dict[VendorName, str] = {}
        """Base URL of each vendor's REST, without a slash at the end."""
        self.feeds: dict[VendorName, str] = {}
        """URL of each vendor's feed; alpaca's has ``{feed}`` in it, finnhub's ``{key}``."""
        self.keys: dict[VendorName, str] = {vendor: self.plans.key(vendor) for vendor in VENDORS}

    def secret(self, key: str) -> str:
        """Return the secret of a key of alpaca."""
        account = self.plans.account("alpaca", key)
        return account.secret if account else ""

    def feed(self, vendor: VendorName) -> Feed:
        """Return a vendor's feed: its connections, and `Feed.disturb`."""
        return self.vendors[vendor].feed

    async def __aenter__(self) -> Self:
        for name, vendor in self.vendors.items():
            url = await vendor.start(self._ports.get(name, 0))
            self.urls[name] = url + REST_PATHS[name]
            self.feeds[name] = url.replace("http", "ws", 1) + FEED_PATHS[name]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for vendor in self.vendors.values():
            await vendor.stop()

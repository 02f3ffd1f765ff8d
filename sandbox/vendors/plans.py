"""Keys, what they may see, and how often they may ask."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

VendorName = Literal["polygon", "alpaca", "finnhub", "tiingo"]
VENDORS: tuple[VendorName, ...] = ("polygon", "alpaca", "finnhub", "tiingo")
PlanName = Literal["free", "delayed", "paid"]
PLANS: tuple[PlanName, ...] = ("free", "delayed", "paid")

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
#: what delayed plans are behind, in seconds
DELAY_S = 900


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in so many seconds."""

    limit: int
    seconds: float
    fixed: bool = False
    """Whether windows begin at multiples of their length (on the hour), rather than slide."""


RATES: Mapping[tuple[VendorName, PlanName], tuple[Rate, ...]] = {
    ("polygon", "free"): (Rate(5, MINUTE),),
    ("polygon", "delayed"): (),
    ("polygon", "paid"): (),
    ("alpaca", "free"): (Rate(200, MINUTE),),
    ("alpaca", "delayed"): (Rate(200, MINUTE),),
    ("alpaca", "paid"): (Rate(10_000, MINUTE),),
    ("finnhub", "free"): (Rate(60, MINUTE), Rate(30, 1)),
    ("finnhub", "delayed"): (Rate(60, MINUTE), Rate(30, 1)),
    ("finnhub", "paid"): (Rate(300, MINUTE), Rate(30, 1)),
    ("tiingo", "free"): (Rate(50, HOUR, fixed=True), Rate(1_000, DAY, fixed=True)),
    ("tiingo", "delayed"): (Rate(5_000, HOUR, fixed=True),),
    ("tiingo", "paid"): (Rate(20_000, HOUR, fixed=True),),
}
#: connections at once; symbols of trades and quotes together on one
CONNECTIONS = 1
SYMBOLS: Mapping[tuple[VendorName, PlanName], int] = {("alpaca", "free"): 30, ("finnhub", "free"): 50}
#: at tiingo, of the free plan: symbols looked up in a month
MONTHLY_SYMBOLS = 500


@dataclass(slots=True)
class Account:
    """One key and what stands behind it."""

    vendor: VendorName
    key: str
    plan: PlanName
    rates: tuple[Rate, ...]
    secret: str = ""
    connections: int = CONNECTIONS
    symbols: int | None = None
    """On one connection; None for as many as there are."""
    monthly_symbols: int | None = None
    looked_up: set[str] = field(default_factory=set)
    _taken: dict[Rate, deque[float]] = field(default_factory=dict)

    @property
    def delay_s(self) -> int:
        """How far behind the market it is."""
        return DELAY_S if self.plan == "delayed" else 0

    def take(self, now: float) -> Allowance:
        """Ask for one request at ``now``, seconds of the wall clock; what is refused is not counted."""
        allowances = [self._left(rate, now) for rate in self.rates]
        least = min(allowances, key=lambda a: a.remaining, default=Allowance(0, 1, now))
        if least.remaining < 1:
            return Allowance(least.limit, -1, least.reset, least.rate)
        for rate in self.rates:
            self._taken[rate].append(now)
        return Allowance(least.limit, least.remaining - 1, least.reset or now, least.rate)

    def _left(self, rate: Rate, now: float) -> Allowance:
        taken = self._taken.setdefault(rate, deque())
        start = now - now % rate.seconds if rate.fixed else now - rate.seconds
        while taken and (taken[0] < start if rate.fixed else taken[0] <= start):
            taken.popleft()
        reset = start + rate.seconds if rate.fixed else (taken[0] if taken else now) + rate.seconds
        return Allowance(rate.limit, rate.limit - len(taken), reset, rate)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of the tightest rate."""

    limit: int
    remaining: int
    """-1: refused."""
    reset: float
    """When the window has room again, seconds of the wall clock since the epoch."""
    rate: Rate | None = None

    @property
    def refused(self) -> bool:
        """Whether the request is one too many."""
        return self.remaining < 0


class Plans:
    """The keys that the four vendors know. One of each plan is there from the start."""

    def __init__(self, default: PlanName = "paid") -> None:
        """Make three keys a vendor, ``<vendor>-<plan>``.

        Args:
            default: the plan whose keys `key` returns.
        """
        self._default: PlanName = default
        self._accounts: dict[tuple[VendorName, str], Account] = {}
        for vendor in VENDORS:
            for plan in PLANS:
                self.add(vendor, f"{vendor}-{plan}", plan)

    def add(
        self,
        vendor: VendorName,
        key: str,
        plan: PlanName = "paid",
        *,
        rates: Sequence[Rate] | None = None,
        connections: int = CONNECTIONS,
        symbols: int | None = None,
    ) -> Account:
        """Make a key, or replace one; its secret (alpaca) is ``<key>-secret``. Defaults are the plan's."""
        account = Account(
            vendor,
            key,
            plan,
            RATES[vendor, plan] if rates is None else tuple(rates),
            secret=f"{key}-secret",
            connections=connections,
            symbols=SYMBOLS.get((vendor, plan)) if symbols is None else symbols,
            monthly_symbols=MONTHLY_SYMBOLS if (vendor, plan) == ("tiingo", "free") else None,
        )
        self._accounts[vendor, key] = account
        return account

    def key(self, vendor: VendorName, plan: PlanName | None = None) -> str:
        """Return a key of a plan."""
        return f"{vendor}-{plan or self._default}"

    def account(self, vendor: VendorName, key: str | None) -> Account | None:
        """Return whose key it is, None if nobody's."""
        return self._accounts.get((vendor, key or ""))

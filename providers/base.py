"""What is asked of a provider and what comes back, whoever it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from schemas.provider import Adjustment, Coverage, Interval, ProviderName

INTERVAL_NS: dict[Interval, int] = {
    "1m": 60_000_000_000,
    "5m": 300_000_000_000,
    "15m": 900_000_000_000,
    "30m": 1_800_000_000_000,
    "1h": 3_600_000_000_000,
}
"""Length of a bar; a day has none: it is a session, 23 to 25 hours apart from the next."""


@dataclass(frozen=True, slots=True)
class BarsRequest:
    """Bars of ``[start_ns, end_ns)``: those that start in it."""

    symbols: tuple[str, ...]
    """Canonical."""
    interval: Interval
    start_ns: int
    """Nanoseconds since the epoch, UTC."""
    end_ns: int
    """Exclusive."""
    adjustment: Adjustment = "raw"
    extended_hours: bool = True


@dataclass(frozen=True, slots=True)
class QuotesRequest:
    """The latest quote of each symbol, or with a window all quotes of it."""

    symbols: tuple[str, ...]
    start_ns: int | None = None
    end_ns: int | None = None
    """Exclusive; both or neither."""


class BarRow(msgspec.Struct, frozen=True, gc=False):
    """One bar of a provider. Its provenance is that of the `BarsResult` it came in."""

    symbol: str
    ts_event: int
    """Start of the bar, nanoseconds since the epoch; of 1d: 00:00 New York of the session's date."""
    open: float
    high: float
    low: float
    close: float
    volume: float
    """Shares; fractions are possible."""
    vwap: float | None
    trade_count: int | None
    session: int = 0
    """Of 1d: the session's date as days since 1970-01-01; else 0."""


class QuoteRow(msgspec.Struct, frozen=True, gc=False):
    """Best bid and ask as a provider gives them; an absent side is None, never 0."""

    symbol: str
    ts_event: int
    bid: float | None
    bid_size: float | None
    """Shares, whatever the provider counts in."""
    ask: float | None
    ask_size: float | None
    bid_venue: str = ""
    ask_venue: str = ""
    conditions: str = ""
    tape: str = ""
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows come from and by which rule they were made."""

    provider: ProviderName
    feed: str
    """As in `sip`, `iex`, `tiingo`."""
    coverage: Coverage
    rule: str
    """Name and version of the vendor's bar rule, as in `polygon.v1`; of quotes empty."""
    delayed: bool = False


@dataclass(frozen=True, slots=True)
class BarsResult:
    """What one request gave. No rows is a success: the router decides whether to ask another."""

    rows: Sequence[BarRow]
    """By symbol in the order of the request, then by time."""
    source: Source
    adjustment: Adjustment
    covered_ns: tuple[int, int]
    """The part of the request's window that the provider answered for, half-open."""
    missing: tuple[str, ...] = ()
    """Symbols that it does not know or had nothing of."""
    requests: int = 1
    """How many requests to the vendor it took."""


@dataclass(frozen=True, slots=True)
class QuotesResult:
    """What one request gave."""

    rows: Sequence[QuoteRow]
    """By symbol in the order of the request, then by time."""
    source: Source
    covered_ns: tuple[int, int] | None = None
    """None when the latest were asked for."""
    missing: tuple[str, ...] = ()
    requests: int = 1


class Provider(Protocol):
    """A vendor's client. One session for all requests; safe for many at a time."""

    name: ProviderName

    async def bars(self, request: BarsRequest) -> BarsResult:
        """Return the bars of the request's window, whatever number of vendor requests that takes.

        Raises:
            ProviderError: of the kind that says what to do about it.
        """

    async def quotes(self, request: QuotesRequest) -> QuotesResult:
        """Return quotes, latest or of a window.

        Raises:
            ProviderError: of the kind that says what to do about it.
        """

    async def close(self) -> None:
        """Close the session."""

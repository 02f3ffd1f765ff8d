"""A router in front of providers that a test writes: what they have, and what goes wrong with them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from typing_extensions import override

from domain.routing import Standing
from providers.base import (
    INTERVAL_NS,
    BarRow,
    BarsRequest,
    BarsResult,
    Provider,
    QuoteRow,
    QuotesRequest,
    QuotesResult,
    Source,
)
from providers.capability import Access
from providers.router import Router
from providers.serving import Request, Result, Rules, Served, Wants
from providers.sessions import midnight_ns, session_of
from schemas.errors import ProviderAway
from schemas.outcome import ProviderOutcome
from schemas.provider import Coverage, ProviderName
from tests.unit.providers.vendor_server import StillClock

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS


def ns(text: str) -> int:
    """Return a time of ISO 8601, of UTC if it names no zone, in nanoseconds since the epoch."""
    at = datetime.fromisoformat(text)
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()) * SECOND_NS


#: a Tuesday, 11:30 in New York
NOW_NS = ns("2026-03-10T15:30:20")
#: regular hours of the day before
OPEN_NS, CLOSE_NS = ns("2026-03-09T13:30:00"), ns("2026-03-09T20:00:00")
SESSION = range(OPEN_NS, CLOSE_NS, MINUTE_NS)
ACCESSES: Mapping[ProviderName, Access] = {
    "polygon": Access("polygon", "massive", "paid"),
    "alpaca": Access("alpaca", "sip", "paid"),
    "finnhub": Access("finnhub", "finnhub", "paid"),
    "iex": Access("iex", "alpaca_iex", "paid"),
}
POLICY: tuple[ProviderName, ...] = ("polygon", "alpaca", "finnhub", "iex")
SICK = Standing(fit=False, score=0.2, reason="open since 15:30:00Z: 3 failures in a row")


def minutes(*symbols: str, start_ns: int = OPEN_NS, end_ns: int = CLOSE_NS, **how: Any) -> BarsRequest:
    """Return a request for minutes of the session before."""
    return replace(BarsRequest(symbols, "1m", start_ns, end_ns), **how)


@dataclass
class Shelf(Provider):
    """A provider that has the rows it has: asked for others it has none, whatever a test expects."""

    name: ProviderName
    coverage: Coverage = "consolidated"
    bars_at: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Starts of the bars that it has, by symbol."""
    quotes_at: Mapping[str, Sequence[int]] = field(default_factory=dict)
    until_ns: int = 1 << 62
    """It answers for no later time."""
    delayed: bool = False
    troubles: list[Exception | None] = field(default_factory=list)
    """Of the next requests, in order; None: all is well. Afterwards all is."""
    asked: list[Request] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    hold: asyncio.Event | None = None
    """An answer is given once it is set."""
    clock: StillClock | None = None
    takes_s: float = 0.0
    requests: int = 1

    @override
    async def bars(self, request: BarsRequest) -> BarsResult:
        await self._begin(request)
        end = min(request.end_ns, max(request.start_ns, self.until_ns))
        rows = [
            self._bar(symbol, at, request)
            for symbol in request.symbols
            for at in self.bars_at.get(symbol, ())
            if request.start_ns <= at < end
        ]
        found = {row.symbol for row in rows}
        return BarsResult(
            rows,
            self._source("rule.v1"),
            request.adjustment,
            (request.start_ns, end),
            tuple(s for s in request.symbols if s not in found),
            self.requests,
        )

    @override
    async def quotes(self, request: QuotesRequest) -> QuotesResult:
        await self._begin(request)
        start, end = request.start_ns, request.end_ns
        rows: list[QuoteRow] = []
        for symbol in request.symbols:
            at = self.quotes_at.get(symbol, ())
            if start is not None and end is not None:
                at = [ts for ts in at if start <= ts < min(end, self.until_ns)]
            else:
                at = at[-1:]
            rows += [QuoteRow(symbol, ts, 10.0, 100.0, 10.1, 200.0) for ts in at]
        found = {row.symbol for row in rows}
        covered = None
        if start is not None and end is not None:
            covered = start, min(end, max(start, self.until_ns))
        missing = tuple(s for s in request.symbols if s not in found)
        return QuotesResult(rows, self._source(""), covered, missing, self.requests)

    @override
    async def close(self) -> None:
        raise AssertionError("whoever opened it closes it")

    async def _begin(self, request: Request) -> None:
        self.asked.append(request)
        self.arrived.set()
        if self.clock is not None:
            self.clock.seconds += self.takes_s
            self.clock.wall_ns += round(self.takes_s * SECOND_NS)
        if self.hold is not None:
            await self.hold.wait()
        trouble = self.troubles.pop(0) if self.troubles else None
        if trouble is not None:
            raise trouble

    def _bar(self, symbol: str, at: int, request: BarsRequest) -> BarRow:
        # a price by which one knows whose bar it is
        price = 100.0 + POLICY.index(self.name)
        daily = request.interval == "1d"
        return BarRow(symbol, at, price, price, price, price, 1.0, None, 1, session_of(at) if daily else 0)

    def _source(self, rule: str) -> Source:
        return Source(self.name, "feed", self.coverage, rule, self.delayed)


class Desk:
    """A router, its providers, its time, and everything that it reported."""

    def __init__(self, *shelves: Shelf, accesses: Mapping[ProviderName, Access] = ACCESSES) -> None:
        self.shelves = {shelf.name: shelf for shelf in shelves}
        self.clock = StillClock(NOW_NS)
        self.reports: list[ProviderOutcome] = []
        self.standings: dict[ProviderName, Standing] = {}
        self.wants = Wants("job-1")
        self.rules = Rules({"bars_1m": POLICY, "bars_1d": POLICY, "quotes_l1": POLICY})
        self.router = Router(self.shelves, accesses, self.clock, self.reports.append, worker="w1")

    async def serve(self, request: Request, **wants: Any) -> Served:
        """Serve a request, and check what must hold of every answer."""
        served = await self.router.serve(
            request,
            replace(self.wants, **wants),
            lambda: self.standings,
            self.rules,
        )
        assert_accounted(request, served)
        return served

    def asked(self) -> dict[ProviderName, int]:
        """Return how often each provider was asked."""
        return {name: len(shelf.asked) for name, shelf in self.shelves.items() if shelf.asked}

    def reported(self) -> list[tuple[str, str, str]]:
        """Return provider, purpose and outcome of every report."""
        return [(r.provider, r.purpose, r.outcome) for r in self.reports]

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.seconds += seconds
        self.clock.wall_ns += round(seconds * SECOND_NS)


def tried(served: Served) -> list[tuple[str, str]]:
    """Return provider and outcome of every attempt."""
    return [(attempt.provider, attempt.outcome) for attempt in served.attempts]


def rows_of(results: Iterable[Result]) -> list[tuple[str, int]]:
    """Return symbol and time of all rows."""
    return [(row.symbol, row.ts_event) for result in results for row in result.rows]


def assert_accounted(request: Request, served: Served) -> None:
    """Every symbol has rows, is said to have none, or waits: nothing is lost without a word."""
    if served.wrong:
        return
    found = {symbol for symbol, _ in rows_of(answer.result for answer in served.answers)}
    found |= set(served.empty) | {symbol for rest in served.rest for symbol in rest.request.symbols}
    assert found == set(request.symbols)
    assert not [answer for answer in served.answers if not answer.result.rows]


def day_starts(first: str, last: str) -> list[int]:
    """Return midnights in New York of the weekdays from a date to another."""
    days = range(session_of(ns(f"{first}T12:00:00")), session_of(ns(f"{last}T12:00:00")) + 1)
    return [midnight_ns(day) for day in days if (day + 3) % 7 < 5]


def bar_starts(start_ns: int, count: int) -> range:
    """Return the starts of so many minutes."""
    return range(start_ns, start_ns + count * INTERVAL_NS["1m"], INTERVAL_NS["1m"])


FULL: Mapping[str, Sequence[int]] = {"AAPL": SESSION, "MSFT": SESSION}


def both(**polygon: Any) -> Desk:
    """Polygon and alpaca, who have the same bars."""
    return Desk(Shelf("polygon", bars_at=FULL, **polygon), Shelf("alpaca", bars_at=FULL))


def away(provider: str = "polygon") -> ProviderAway:
    """Return what a vendor's 503 becomes."""
    return ProviderAway("Service Unavailable", provider=provider, status=503)


def last_asked(desk: Desk, name: ProviderName) -> str:
    """Return the symbols of the last request to a provider."""
    return " ".join(desk.shelves[name].asked[-1].symbols)

"""What each vendor, backend and plan can serve: data, and the one function that reads it.

A series mixed of two kinds is silently wrong, so whatever is not listed here is not asked for.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from providers.base import INTERVAL_NS, BarsRequest, QuotesRequest
from schemas.errors import ConfigInvalid
from schemas.provider import INTERVALS, Adjustment, Coverage, Interval, ProviderName

NEW_YORK = ZoneInfo("America/New_York")
SECOND_NS: Final = 1_000_000_000
DAY_NS: Final = 86_400 * SECOND_NS

INTRADAY: frozenset[Interval] = frozenset(INTERVAL_NS)
#: finnhub's hours begin with the session, at half past; of Tiingo's it is not known: no grid in common
INTRADAY_ON_GRID: frozenset[Interval] = INTRADAY - {"1h"}
DAILY: frozenset[Interval] = frozenset({"1d"})

RAW: frozenset[Adjustment] = frozenset({"raw"})
SPLIT: frozenset[Adjustment] = frozenset({"split"})
ALL: frozenset[Adjustment] = frozenset({"all"})


class Lack(enum.StrEnum):
    """Why a request cannot be served: a closed set, best known first."""

    PLAN = "plan"
    """The plan has nothing of the kind at all."""
    INTERVAL = "interval"
    ADJUSTMENT = "adjustment"
    """Not of this interval: a vendor may have raw minutes and split-adjusted days."""
    COVERAGE = "coverage"
    """Other trades are in it than the request wants."""
    EXTENDED_HOURS = "extended_hours"
    HISTORY = "history"
    """The latest quote only, or quotes of the past only."""
    TOO_OLD = "too_old"
    """Before the plan's look-back."""
    TOO_RECENT = "too_recent"
    """Within the plan's delay."""


class Delay(enum.IntEnum):
    """How old what is served must be, in seconds."""

    NONE = 0
    QUARTER = 16 * 60
    """Fifteen minutes as vendors promise, and one for the difference of clocks."""
    DAY = -1
    """Nothing of the current day in New York."""


@dataclass(frozen=True, slots=True)
class BarsOffer:
    """Bars of one kind."""

    intervals: frozenset[Interval]
    adjustments: frozenset[Adjustment]
    coverage: Coverage
    extended_hours: bool = True
    """Of bars shorter than a day; a daily bar never has their prices."""
    delay: Delay = Delay.NONE
    look_back_days: int | None = None
    """None: as far as the vendor goes."""


@dataclass(frozen=True, slots=True)
class QuotesOffer:
    """Best bids and asks."""

    coverage: Coverage
    latest: bool = True
    history: bool = False
    delay: Delay = Delay.NONE
    since_ns: int = 0
    """History begins here, nanoseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Capability:
    """Everything that an access can serve."""

    bars: tuple[BarsOffer, ...] = ()
    quotes: tuple[QuotesOffer, ...] = ()


@dataclass(frozen=True, slots=True)
class Access:
    """Through which door tapeflow comes to a vendor: what its configuration says, the key aside."""

    provider: ProviderName
    backend: str
    """polygon: `massive`; alpaca: `sip` or `iex`; finnhub: `finnhub`; iex: `tiingo` or `alpaca_iex`."""
    plan: str
    """As the keys of `CAPABILITIES` name them."""
    quotes_entitled: bool = False
    """Tiingo shows bids and asks only to accounts with an agreement with IEX."""


def _polygon(delay: Delay, look_back_days: int | None, *, quotes: bool) -> Capability:
    return Capability(
        (
            BarsOffer(
                INTRADAY | DAILY, RAW | SPLIT, "consolidated", delay=delay, look_back_days=look_back_days
            ),
        ),
        (QuotesOffer("consolidated", latest=True, history=True, delay=delay),) if quotes else (),
    )


def _alpaca(coverage: Coverage, delay: Delay) -> Capability:
    history = QuotesOffer(coverage, latest=delay is Delay.NONE, history=True, delay=delay)
    return Capability(
        (BarsOffer(INTRADAY | DAILY, RAW | SPLIT | ALL, coverage, delay=delay),),
        (history,),
    )


_FINNHUB_NBBO_SINCE: Final = int(datetime(2023, 1, 1, tzinfo=UTC).timestamp()) * SECOND_NS
_FINNHUB = Capability(
    (
        BarsOffer(INTRADAY_ON_GRID, RAW, "consolidated"),
        BarsOffer(DAILY, SPLIT, "consolidated"),
    ),
    (QuotesOffer("consolidated", latest=True, history=True, since_ns=_FINNHUB_NBBO_SINCE),),
)
#: minutes are IEX's own trades, days are of the consolidated tape; quotes need `quotes_entitled`
_TIINGO = Capability(
    (
        BarsOffer(INTRADAY_ON_GRID, RAW, "iex"),
        BarsOffer(DAILY, RAW | SPLIT | ALL, "consolidated"),
    ),
    (QuotesOffer("iex", latest=True, history=False),),
)
_ALPACA_IEX = _alpaca("iex", Delay.NONE)

CAPABILITIES: Mapping[tuple[ProviderName, str, str], Capability] = {
    ("polygon", "massive", "free"): _polygon(Delay.DAY, 730, quotes=False),
    ("polygon", "massive", "delayed"): _polygon(Delay.QUARTER, None, quotes=True),
    ("polygon", "massive", "paid"): _polygon(Delay.NONE, None, quotes=True),
    ("alpaca", "sip", "free"): _alpaca("consolidated", Delay.QUARTER),
    ("alpaca", "sip", "paid"): _alpaca("consolidated", Delay.NONE),
    ("alpaca", "iex", "free"): _ALPACA_IEX,
    ("alpaca", "iex", "paid"): _ALPACA_IEX,
    ("finnhub", "finnhub", "free"): Capability(),
    ("finnhub", "finnhub", "paid"): _FINNHUB,
    ("iex", "tiingo", "free"): _TIINGO,
    ("iex", "tiingo", "paid"): _TIINGO,
    ("iex", "alpaca_iex", "free"): _ALPACA_IEX,
    ("iex", "alpaca_iex", "paid"): _ALPACA_IEX,
}
"""By provider, backend and plan."""


def capability(access: Access) -> Capability:
    """Return what an access can serve.

    Raises:
        ConfigInvalid: there is no such backend or plan.
    """
    found = CAPABILITIES.get((access.provider, access.backend, access.plan))
    if found is None:
        known = ", ".join(sorted(f"{b} {p}" for who, b, p in CAPABILITIES if who == access.provider))
        asked = f"backend {access.backend!r} with plan {access.plan!r}"
        raise ConfigInvalid(f"{access.provider} has no {asked}; there are: {known}")
    if access.backend == "tiingo" and not access.quotes_entitled:
        return replace(found, quotes=())
    return found


def can_serve(
    access: Access, request: BarsRequest | QuotesRequest, *, now_ns: int, coverage: Coverage | None = None
) -> Lack | None:
    """Return what a provider lacks to serve a request in full, or None if it lacks nothing.

    Args:
        access: to the provider.
        request: what is asked.
        now_ns: nanoseconds since the epoch: plans have delays and a look-back.
        coverage: whose trades must be in it; None: any.

    Raises:
        ConfigInvalid: there is no such backend or plan.
    """
    has = capability(access)
    if isinstance(request, BarsRequest):
        lacks = [_bars_lack(offer, request, coverage, now_ns) for offer in has.bars]
    else:
        lacks = [_quotes_lack(offer, request, coverage, now_ns) for offer in has.quotes]
    if not lacks:
        return Lack.PLAN
    # of several offers the one that came furthest says what is missing
    order = list(Lack)
    best = max((lack for lack in lacks if lack is not None), key=order.index, default=None)
    return None if None in lacks else best


def _bars_lack(offer: BarsOffer, request: BarsRequest, coverage: Coverage | None, now_ns: int) -> Lack | None:
    daily = request.interval == "1d"
    if request.interval not in offer.intervals:
        return Lack.INTERVAL
    if request.adjustment not in offer.adjustments:
        return Lack.ADJUSTMENT
    if coverage not in (None, offer.coverage):
        return Lack.COVERAGE
    if request.extended_hours and not daily and not offer.extended_hours:
        return Lack.EXTENDED_HOURS
    if offer.look_back_days is not None and request.start_ns < now_ns - offer.look_back_days * DAY_NS:
        return Lack.TOO_OLD
    last = min(request.end_ns, now_ns) - 1
    last = _new_york_midnight(last) if daily else last - last % INTERVAL_NS[request.interval]
    if last >= request.start_ns and _too_recent(last, offer.delay, now_ns):
        return Lack.TOO_RECENT
    return None


def _quotes_lack(
    offer: QuotesOffer, request: QuotesRequest, coverage: Coverage | None, now_ns: int
) -> Lack | None:
    latest = request.start_ns is None or request.end_ns is None
    if coverage not in (None, offer.coverage):
        return Lack.COVERAGE
    if not (offer.latest if latest else offer.history):
        return Lack.HISTORY
    if request.start_ns is None or request.end_ns is None:
        return None  # a plan with a delay says so of its latest quote too: the row is marked delayed
    if request.start_ns < offer.since_ns:
        return Lack.TOO_OLD
    if _too_recent(min(request.end_ns, now_ns) - 1, offer.delay, now_ns):
        return Lack.TOO_RECENT
    return None


def _too_recent(at_ns: int, delay: Delay, now_ns: int) -> bool:
    if delay is Delay.DAY:
        return at_ns >= _new_york_midnight(now_ns)
    return delay is not Delay.NONE and at_ns > now_ns - delay * SECOND_NS


def _new_york_midnight(ns: int) -> int:
    """Return the start of the day in New York."""
    day = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=ns // SECOND_NS)).astimezone(NEW_YORK).date()
    midnight = datetime(day.year, day.month, day.day, tzinfo=NEW_YORK)
    return int(midnight.timestamp()) * SECOND_NS


def reachable(access: Access) -> frozenset[tuple[Interval, Adjustment, Coverage]]:
    """Return every kind of bar that an access can serve, for tables and settings."""
    return frozenset(
        (interval, adjustment, offer.coverage)
        for offer in capability(access).bars
        for interval in INTERVALS
        if interval in offer.intervals
        for adjustment in offer.adjustments
    )

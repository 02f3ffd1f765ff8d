from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from providers.base import BarsRequest, QuotesRequest
from providers.capability import CAPABILITIES, Access, Lack, can_serve, capability, reachable
from schemas.errors import ConfigInvalid
from schemas.provider import INTERVALS, Adjustment, Coverage, Interval

NOW = datetime(2026, 3, 10, 15, 30, 20, tzinfo=UTC)  # a Tuesday, 11:30 in New York

POLYGON = Access("polygon", "massive", "paid")
SIP = Access("alpaca", "sip", "paid")
IEX = Access("alpaca", "iex", "free")
FINNHUB = Access("finnhub", "finnhub", "paid")
TIINGO = Access("iex", "tiingo", "free")
ALPACA_IEX = Access("iex", "alpaca_iex", "free")


def ns(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000_000


def bars(
    interval: Interval = "1m",
    adjustment: Adjustment = "raw",
    start: datetime = NOW - timedelta(days=5),
    end: datetime = NOW - timedelta(days=4),
) -> BarsRequest:
    return BarsRequest(("AAPL",), interval, ns(start), ns(end), adjustment)


def asked(access: Access, request: BarsRequest | QuotesRequest, coverage: Coverage | None = None):
    return can_serve(access, request, now_ns=ns(NOW), coverage=coverage)


#: the table of the vendors' documents, written down once more: 1m raw, split; 1d raw, split, all
MATRIX = [
    (POLYGON, "yyyy-", "consolidated", "consolidated"),
    (SIP, "yyyyy", "consolidated", "consolidated"),
    (IEX, "yyyyy", "iex", "iex"),
    (ALPACA_IEX, "yyyyy", "iex", "iex"),
    (FINNHUB, "y--y-", "consolidated", "consolidated"),
    (TIINGO, "y-yyy", "iex", "consolidated"),
]
COLUMNS: list[tuple[Interval, Adjustment]] = [
    *(("1m", "raw"), ("1m", "split")),
    *(("1d", "raw"), ("1d", "split"), ("1d", "all")),
]


@pytest.mark.parametrize(
    ("access", "row", "minutes", "days"), MATRIX, ids=lambda v: getattr(v, "backend", "")
)
def test_bars_by_interval_adjustment_and_coverage(access: Access, row: str, minutes: str, days: str):
    for can, (interval, adjustment) in zip(row, COLUMNS, strict=True):
        request = bars(interval, adjustment)
        assert asked(access, request) == (None if can == "y" else Lack.ADJUSTMENT), (interval, adjustment)
        if can == "y":
            has = minutes if interval == "1m" else days
            other: Coverage = "iex" if has == "consolidated" else "consolidated"
            assert asked(access, request, other) is Lack.COVERAGE
            assert asked(access, request, "iex" if has == "iex" else "consolidated") is None


def test_hours_that_begin_at_half_past_are_not_offered_as_hours():
    assert [a.backend for a, *_ in MATRIX if asked(a, bars("1h")) is Lack.INTERVAL] == ["finnhub", "tiingo"]
    for interval in INTERVALS:
        if interval not in ("1h", "1d"):
            assert [a.backend for a, *_ in MATRIX if asked(a, bars(interval)) is not None] == []


def test_quotes_latest_and_of_the_past():
    latest = QuotesRequest(("AAPL",))
    past = QuotesRequest(("AAPL",), ns(NOW - timedelta(days=2)), ns(NOW - timedelta(days=1)))
    entitled = Access("iex", "tiingo", "free", quotes_entitled=True)
    assert [asked(a, latest) for a in (POLYGON, SIP, IEX, FINNHUB, entitled, ALPACA_IEX)] == [None] * 6
    assert [asked(a, past) for a in (POLYGON, SIP, IEX, FINNHUB, ALPACA_IEX)] == [None] * 5
    assert asked(entitled, past) is Lack.HISTORY
    assert asked(TIINGO, latest) is Lack.PLAN
    assert asked(entitled, latest, "consolidated") is Lack.COVERAGE
    assert asked(Access("alpaca", "sip", "free"), latest) is Lack.HISTORY
    assert asked(Access("polygon", "massive", "free"), latest) is Lack.PLAN


def test_finnhubs_quotes_begin_in_2023():
    first = datetime(2023, 1, 1, tzinfo=UTC)
    day = timedelta(days=1)
    assert asked(FINNHUB, QuotesRequest(("AAPL",), ns(first), ns(first + day))) is None
    assert asked(FINNHUB, QuotesRequest(("AAPL",), ns(first) - 1, ns(first + day))) is Lack.TOO_OLD


def test_a_free_key_of_finnhub_has_neither_bars_nor_quotes():
    free = Access("finnhub", "finnhub", "free")
    assert asked(free, bars()) is Lack.PLAN
    assert asked(free, bars("1d", "split")) is Lack.PLAN
    assert asked(free, QuotesRequest(("AAPL",))) is Lack.PLAN


@pytest.mark.parametrize(
    ("access", "youngest"),
    [
        # the last minute that is wanted began at most so long ago
        (POLYGON, timedelta(seconds=20)),
        (IEX, timedelta(seconds=20)),
        (Access("polygon", "massive", "delayed"), timedelta(minutes=16)),
        (Access("alpaca", "sip", "free"), timedelta(minutes=16)),
        (Access("polygon", "massive", "free"), timedelta(hours=11, minutes=30, seconds=20)),
    ],
    ids=["paid", "iex", "delayed", "sip-free", "end-of-day"],
)
def test_delay_of_minutes(access: Access, youngest: timedelta):
    start = NOW - timedelta(days=1)
    last = NOW - youngest
    last -= timedelta(seconds=last.second)  # of a bar's start
    assert asked(access, bars(start=start, end=last)) is None
    beyond = asked(access, bars(start=start, end=last + timedelta(minutes=2)))
    assert beyond is (None if youngest < timedelta(minutes=1) else Lack.TOO_RECENT)
    # what has not happened yet is not missing
    rest_of_the_day = asked(access, bars(start=start, end=NOW + timedelta(hours=5)))
    assert rest_of_the_day is (None if youngest < timedelta(minutes=1) else Lack.TOO_RECENT)


def test_a_delay_of_minutes_does_not_withhold_days():
    start, tomorrow = datetime(2026, 3, 2, 5, tzinfo=UTC), datetime(2026, 3, 11, 4, tzinfo=UTC)
    today = datetime(2026, 3, 10, 4, tzinfo=UTC)
    assert asked(Access("alpaca", "sip", "free"), bars("1d", start=start, end=tomorrow)) is None
    next_week = tomorrow + timedelta(days=7)
    assert asked(Access("alpaca", "sip", "free"), bars("1d", start=start, end=next_week)) is None
    end_of_day = Access("polygon", "massive", "free")
    assert asked(end_of_day, bars("1d", start=start, end=today)) is None
    assert asked(end_of_day, bars("1d", start=start, end=tomorrow)) is Lack.TOO_RECENT


def test_two_years_of_a_free_key():
    free = Access("polygon", "massive", "free")
    edge = NOW - timedelta(days=730)
    assert asked(free, bars(start=edge, end=edge + timedelta(days=1))) is None
    assert asked(free, bars(start=edge - timedelta(minutes=1), end=edge + timedelta(days=1))) is Lack.TOO_OLD
    assert asked(POLYGON, bars(start=edge - timedelta(days=3000), end=edge)) is None


@pytest.mark.parametrize(
    "access",
    [Access("polygon", "massive", "gold"), Access("iex", "massive", "free"), Access("alpaca", "SIP", "free")],
)
def test_an_unknown_door_is_a_fault_of_the_configuration(access: Access):
    with pytest.raises(ConfigInvalid, match=access.provider):
        capability(access)


def test_every_entry_can_be_reached():
    for provider, backend, plan in CAPABILITIES:
        kinds = reachable(Access(provider, backend, plan))
        assert bool(kinds) == ((provider, plan) != ("finnhub", "free"))
    assert ("1d", "split", "consolidated") in reachable(TIINGO)
    assert ("1m", "raw", "iex") in reachable(TIINGO)
    assert ("1m", "split", "iex") not in reachable(TIINGO)

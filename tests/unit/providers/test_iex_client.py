from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from providers.alpaca.client import AlpacaClient
from providers.alpaca.config import AlpacaConfig
from providers.base import BarsRequest, QuotesRequest
from providers.capability import can_serve
from providers.http import Timeouts
from providers.iex.client import TiingoClient, iex_client
from providers.iex.config import TiingoConfig
from schemas.errors import BadRequest, EntitlementMissing, Malformed, NotFound, RateLimited
from schemas.provider import Adjustment, Interval
from tests.unit.providers.vendor_server import Asked, CountingGate, Said, StillClock, Vendor, vendor

KEY = "k3y-of-0urs"
NOW = datetime(2026, 6, 1, 18, 20, tzinfo=UTC)  # a Monday


def ns(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000_000


def at(month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


@asynccontextmanager
async def client(
    answer: Callable[[Asked], Said], **settings: Any
) -> AsyncIterator[tuple[Vendor, TiingoClient, CountingGate]]:
    gate = CountingGate()
    async with vendor(answer) as server:
        config = TiingoConfig(key=SecretStr(KEY), base_url=server.url, **settings)
        one = TiingoClient(config, StillClock(ns(NOW)), gate, Timeouts(pause=0.001))
        try:
            yield server, one, gate
        finally:
            await one.close()


def bars(
    start: datetime,
    end: datetime,
    interval: Interval = "1m",
    adjustment: Adjustment = "raw",
    symbols: tuple[str, ...] = ("AAPL",),
    *,
    extended_hours: bool = False,
) -> BarsRequest:
    return BarsRequest(symbols, interval, ns(start), ns(end), adjustment, extended_hours)


def minute(moment: datetime, *, volume: bool = True) -> dict[str, Any]:
    spelled = moment.strftime("%Y-%m-%dT%H:%M:00.000Z")
    bar: dict[str, Any] = {"date": spelled} | dict.fromkeys(("open", "high", "low", "close"), 10.0)
    return bar | ({"volume": 5.0} if volume else {})


def day(when: date, price: float = 10.0, split: float = 1.0) -> dict[str, Any]:
    prices = dict.fromkeys(("open", "high", "low", "close"), price)
    adjusted = dict.fromkeys(("adjOpen", "adjHigh", "adjLow", "adjClose"), price - 1)
    return {
        "date": f"{when}T00:00:00.000Z",
        "volume": 100,
        "adjVolume": 50,
        "splitFactor": split,
        **prices,
        **adjusted,
    }


#: a bar on every half hour of every weekday from the opening in winter to a time when it is open in summer
TRUTH = [
    moment
    for n in range(48 * 90)
    if (moment := at(1, 1) + timedelta(minutes=30 * n)).weekday() < 5
    and 14 * 60 + 30 <= moment.hour * 60 + moment.minute < 20 * 60
]


def minutes_by_date(asked: Asked, *, most: int = 10**9) -> Said:
    """As the vendor: dates at both ends, volume only if asked for."""
    first, last = (date.fromisoformat(asked.query[name]) for name in ("startDate", "endDate"))
    volume = "volume" in asked.query.get("columns", "").split(",")
    inside = [moment for moment in TRUTH if first <= moment.date() <= last]
    return Said([minute(moment, volume=volume) for moment in inside[-most:]])


async def test_minutes_five_sessions_at_a_time_and_cut_to_the_window():
    start, end = at(2, 25, 15, 10), at(3, 18, 16, 0)
    async with client(minutes_by_date) as (server, tiingo, gate):
        result = await tiingo.bars(bars(start, end))
        assert [row.ts_event for row in result.rows] == [ns(m) for m in TRUTH if start <= m < end]
        spans = [(a.query["startDate"], a.query["endDate"]) for a in server.asked]
        assert spans == [
            *(("2026-02-25", "2026-03-03"), ("2026-03-04", "2026-03-10")),
            *(("2026-03-11", "2026-03-17"), ("2026-03-18", "2026-03-18")),
        ]
        assert {a.path for a in server.asked} == {"/iex/AAPL/prices"}
        for asked in server.asked:
            fixed = {name: value for name, value in asked.query.items() if "Date" not in name}
            assert fixed == {
                "resampleFreq": "1min",
                "afterHours": "false",
                "forceFill": "false",
                "columns": "open,high,low,close,volume",
            }
        assert (result.requests, gate.passed) == (4, 4)
        assert (result.source.coverage, result.source.rule) == ("iex", "tiingo_iex.v1")
        assert result.covered_ns == (ns(start), ns(end))


@pytest.mark.parametrize(("interval", "days"), [("1m", 2), ("5m", 10), ("30m", 62)])
async def test_extended_hours_fill_an_answer_sooner(interval: Interval, days: int):
    async with client(lambda asked: Said([])) as (server, tiingo, _):
        await tiingo.bars(bars(at(2, 2, 5), at(5, 30, 4), interval, extended_hours=True))
        query = server.asked[0].query
        assert query["afterHours"] == "true"
        assert query["resampleFreq"] == {"1m": "1min", "5m": "5min", "30m": "30min"}[interval]
        first, last = (date.fromisoformat(query[name]) for name in ("startDate", "endDate"))
        weekdays = [d for n in range((last - first).days + 1) if (d := first + timedelta(n)).weekday() < 5]
        assert len(weekdays) == days


async def test_a_cut_off_answer_is_asked_for_in_parts():
    """A vendor that sends only the newest bars and does not say so."""
    start, end = at(1, 5, 5), at(1, 10, 5)
    async with client(lambda asked: minutes_by_date(asked, most=30)) as (server, tiingo, _):
        result = await tiingo.bars(bars(start, end))
        assert [row.ts_event for row in result.rows] == [ns(m) for m in TRUTH if start <= m < end]
        assert result.requests == len(server.asked)
        assert len(server.asked) > 1


async def test_an_answer_as_long_as_can_be_is_not_trusted():
    async with client(lambda asked: Said([minute(at(1, 5, 15))] * 1_000), max_points=1_000) as (_, tiingo, _):
        with pytest.raises(Malformed, match="1000 bars"):
            await tiingo.bars(bars(at(1, 5, 5), at(1, 6, 5)))


async def test_a_weekend_and_the_future_are_not_asked_for():
    async with client(lambda asked: Said([])) as (server, tiingo, _):
        await tiingo.bars(bars(at(1, 10, 5), at(1, 12, 5)))
        await tiingo.bars(bars(NOW + timedelta(days=1), NOW + timedelta(days=3)))
        assert server.asked == []
        result = await tiingo.bars(bars(NOW - timedelta(hours=1), NOW + timedelta(days=3)))
        assert [a.query["endDate"] for a in server.asked] == ["2026-06-01"]
        assert result.covered_ns[1] == ns(NOW)


@pytest.mark.parametrize("adjustment", ["raw", "all"])
async def test_days(adjustment: Adjustment):
    def answer(asked: Asked) -> Said:
        first, last = (date.fromisoformat(asked.query[name]) for name in ("startDate", "endDate"))
        days = [date(2026, 3, n) for n in (4, 5, 6, 9, 10)]
        return Said([day(when) for when in days if first <= when <= last])

    async with client(answer) as (server, tiingo, _):
        request = bars(at(3, 5, 5), at(3, 10, 4), "1d", adjustment, ("BRK.B",))
        result = await tiingo.bars(request)
        assert [row.ts_event for row in result.rows] == [ns(at(3, 5, 5)), ns(at(3, 6, 5)), ns(at(3, 9, 4))]
        assert {row.open for row in result.rows} == {10.0 if adjustment == "raw" else 9.0}
        (asked,) = server.asked
        assert asked.path == "/tiingo/daily/BRK-B/prices"
        assert asked.query == {"startDate": "2026-03-05", "endDate": "2026-03-09", "resampleFreq": "daily"}
        assert (result.source.coverage, result.source.rule) == ("consolidated", "tiingo_daily.v1")
        assert {row.symbol for row in result.rows} == {"BRK.B"}


async def test_a_split_after_the_window_counts():
    def answer(asked: Asked) -> Said:
        assert asked.query["endDate"] == "2026-06-01"
        days = [day(date(2026, 3, 5), 40), day(date(2026, 3, 6), 44), day(date(2026, 5, 20), 11, 4.0)]
        return Said(days)

    async with client(answer) as (_, tiingo, _):
        result = await tiingo.bars(bars(at(3, 5, 5), at(3, 7, 5), "1d", "split"))
        assert [(row.open, row.volume) for row in result.rows] == [(10.0, 400.0), (11.0, 400.0)]


async def test_a_day_that_was_not_asked_for_is_malformed():
    async with client(lambda asked: Said([day(date(2026, 3, 9))])) as (_, tiingo, _):
        with pytest.raises(Malformed, match="2026-03-09"):
            await tiingo.bars(bars(at(3, 5, 5), at(3, 7, 5), "1d"))
    async with client(lambda asked: Said([minute(at(3, 9, 15))])) as (_, tiingo, _):
        with pytest.raises(Malformed, match="2026-03-09"):
            await tiingo.bars(bars(at(3, 5, 5), at(3, 7, 5)))


@pytest.mark.parametrize(("interval", "adjustment"), [("1m", "split"), ("5m", "all"), ("1h", "raw")])
async def test_what_tiingo_does_not_have_is_not_asked_for(interval: Interval, adjustment: Adjustment):
    async with client(lambda asked: Said([])) as (server, tiingo, _):
        request = bars(at(1, 5), at(1, 6), interval, adjustment)
        with pytest.raises(BadRequest):
            await tiingo.bars(request)
        assert server.asked == []
        access = TiingoConfig(key=SecretStr(KEY)).access
        assert can_serve(access, request, now_ns=ns(NOW)) is not None


async def test_an_unknown_symbol_beside_a_known_one():
    def answer(asked: Asked) -> Said:
        if "NOPE" in asked.path:
            return Said({"detail": "Not found."}, 404)
        return Said([day(date(2026, 3, 5))])

    async with client(answer) as (_, tiingo, _):
        window = at(3, 5, 5), at(3, 6, 5)
        result = await tiingo.bars(bars(*window, "1d", symbols=("NOPE", "AAPL")))
        assert ([row.symbol for row in result.rows], result.missing) == (["AAPL"], ("NOPE",))
        assert result.requests == 2
        with pytest.raises(NotFound):
            await tiingo.bars(bars(*window, "1d", symbols=("NOPE",)))


async def test_quotes_in_batches_under_their_own_names():
    def answer(asked: Asked) -> Said:
        moment = "2026-06-01T14:19:59.123456789-04:00"
        side = {"bidPrice": 1.0, "bidSize": 100, "askPrice": 1.1, "askSize": 100}
        known = [name for name in asked.query["tickers"].split(",") if name != "nope"]
        return Said([{"ticker": name.upper(), "quoteTimestamp": moment, **side} for name in reversed(known)])

    async with client(answer, quotes_entitled=True, batch_symbols=2) as (server, tiingo, _):
        result = await tiingo.quotes(QuotesRequest(("SPY", "BRK.B", "NOPE", "AAPL")))
        assert [row.symbol for row in result.rows] == ["SPY", "BRK.B", "AAPL"]
        assert {row.ts_event for row in result.rows} == {ns(at(6, 1, 18, 19)) + 59_123_456_789}
        assert (result.missing, result.requests) == (("NOPE",), 2)
        asked = [(a.path, a.query["tickers"]) for a in server.asked]
        assert asked == [("/iex/", "spy,brk-b"), ("/iex/", "nope,aapl")]


async def test_quotes_need_an_agreement_and_have_no_past():
    async with client(lambda asked: Said([])) as (server, tiingo, _):
        with pytest.raises(EntitlementMissing):
            await tiingo.quotes(QuotesRequest(("AAPL",)))
        with pytest.raises(BadRequest):
            await tiingo.quotes(QuotesRequest(("AAPL",), ns(at(1, 5)), ns(at(1, 6))))
        assert server.asked == []


async def test_the_key_is_sent_in_a_header_and_never_shown():
    said = Said({"detail": f"Invalid token. {KEY}"}, 401)
    async with client(lambda asked: said) as (server, tiingo, _):
        with pytest.raises(Exception, match="Invalid token") as caught:
            await tiingo.bars(bars(at(1, 5), at(1, 6)))
        assert KEY not in str(caught.value)
        assert KEY not in repr(vars(caught.value))
        assert server.asked[0].headers["Authorization"] == f"Token {KEY}"
        assert KEY not in str(server.asked[0].query)
    assert KEY not in repr(TiingoConfig(key=SecretStr(KEY)))


@pytest.mark.parametrize(
    ("said", "scope", "wait_s", "blocked_s"),
    [
        (
            Said({"detail": "Error: You have run over your hourly request allocation."}, 429),
            "hour",
            2400,
            2400,
        ),
        (Said(b"You have run over your 500 symbol look up for this month."), "month", 2_540_400, 3600),
    ],
    ids=["hour", "month with status 200"],
)
async def test_a_spent_quota(said: Said, scope: str, wait_s: float, blocked_s: float):
    async with client(lambda asked: said) as (server, tiingo, gate):
        with pytest.raises(RateLimited) as caught:
            await tiingo.bars(bars(at(1, 5), at(1, 6)))
        assert (caught.value.scope, caught.value.retry_after_s) == (scope, wait_s)
        assert gate.blocked_until == [100 + blocked_s]
        assert len(server.asked) == 1


async def test_the_backend_is_chosen_by_configuration():
    clock = StillClock(ns(NOW))
    alpaca = AlpacaConfig(key_id=SecretStr("a"), secret=SecretStr("b"), provider="iex", feed="iex")
    for config, kind in ((TiingoConfig(key=SecretStr(KEY)), TiingoClient), (alpaca, AlpacaClient)):
        one = iex_client(config, clock)
        assert type(one) is kind
        assert one.name == "iex"
        await one.close()

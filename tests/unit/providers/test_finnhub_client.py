from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from providers.base import BarsRequest, QuotesRequest
from providers.capability import can_serve
from providers.finnhub.client import FinnhubClient
from providers.finnhub.config import FinnhubConfig
from providers.http import Timeouts
from schemas.errors import (
    AuthFailed,
    BadRequest,
    EntitlementMissing,
    Malformed,
    NotFound,
    ProviderAway,
    RateLimited,
)
from schemas.provider import Adjustment, Interval
from tests.unit.providers.vendor_server import Asked, CountingGate, Said, StillClock, Vendor, vendor

KEY = "k3y/of-0urs"
NO_DATA = {"s": "no_data"}
NOW = datetime(2026, 6, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def s(at: datetime) -> int:
    return int(at.timestamp())


def ns(at: datetime) -> int:
    return s(at) * 1_000_000_000


def at(month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


def candles(times: list[int]) -> dict[str, Any]:
    if not times:
        return NO_DATA
    column = [float(n + 1) for n in range(len(times))]
    return {"s": "ok", "t": times} | dict.fromkeys("ohlcv", column)


@asynccontextmanager
async def client(
    answer: Callable[[Asked], Said], **settings: Any
) -> AsyncIterator[tuple[Vendor, FinnhubClient, CountingGate]]:
    gate = CountingGate()
    async with vendor(answer) as server:
        config = FinnhubConfig(key=SecretStr(KEY), base_url=f"{server.url}/api/v1", plan="paid", **settings)
        one = FinnhubClient(config, StillClock(ns(NOW)), gate, Timeouts(pause=0.001))
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
    extended_hours: bool = True,
) -> BarsRequest:
    return BarsRequest(symbols, interval, ns(start), ns(end), adjustment, extended_hours)


async def test_minutes_of_a_long_window_month_by_month():
    """A vendor that answers for a month at most, both ends inclusive."""
    start, end = at(1, 15, 14, 30), at(3, 20, 14, 30)
    truth = [s(start) + 60 * n for n in range(-600, 64 * 1440 + 600, 7)]

    def answer(asked: Asked) -> Said:
        first, last = int(asked.query["from"]), int(asked.query["to"])
        assert last - first < 29 * 86_400
        return Said(candles([t for t in truth if first <= t <= last]))

    async with client(answer) as (server, finnhub, gate):
        result = await finnhub.bars(bars(start, end))
        assert [row.ts_event // 10**9 for row in result.rows] == [t for t in truth if s(start) <= t < s(end)]
        assert {(a.path, a.query["symbol"], a.query["resolution"]) for a in server.asked} == {
            ("/api/v1/stock/candle", "AAPL", "1")
        }
        assert (result.requests, len(server.asked), gate.passed) == (3, 3, 3)
        spans = [(int(a.query["from"]), int(a.query["to"])) for a in server.asked]
        assert spans[0][0] == s(start)
        assert [last + 1 for _, last in spans] == [*(first for first, _ in spans[1:]), s(end)]
        assert result.covered_ns == (ns(start), ns(end))
        assert (result.source.coverage, result.source.rule, result.adjustment) == (
            *("consolidated", "finnhub.v1", "raw"),
        )


async def test_days_are_asked_for_by_their_date_in_utc():
    def answer(asked: Asked) -> Said:
        first, last = int(asked.query["from"]), int(asked.query["to"])
        days = [s(at(3, day)) for day in (4, 5, 6, 9, 10)]  # the clocks change on the 8th
        days[-1] += 13 * 3600 + 1800  # the newest bar is stamped with the opening
        return Said(candles([t for t in days if first <= t <= last]))

    async with client(answer) as (server, finnhub, _):
        request = bars(at(3, 5, 5), at(3, 11, 4), "1d", "split")
        result = await finnhub.bars(request)
        assert [date(1970, 1, 1) + timedelta(days=row.session) for row in result.rows] == [
            date(2026, 3, day) for day in (5, 6, 9, 10)
        ]
        assert [row.ts_event for row in result.rows] == [
            ns(at(3, 5, 5)),
            ns(at(3, 6, 5)),
            ns(at(3, 9, 4)),
            ns(at(3, 10, 4)),
        ]
        assert server.asked[0].query["resolution"] == "D"
        # from a moment after midnight on, the day has begun already
        later = await finnhub.bars(bars(at(3, 5, 5, 1), at(3, 10, 4), "1d", "split"))
        assert [row.ts_event for row in later.rows] == [ns(at(3, 6, 5)), ns(at(3, 9, 4))]
        # a window without midnight has no day in it
        before = len(server.asked)
        nothing = await finnhub.bars(bars(at(3, 5, 14), at(3, 5, 15), "1d", "split"))
        assert (list(nothing.rows), len(server.asked)) == ([], before)


async def test_regular_hours_only_if_asked_for():
    times = [s(at(1, 15, 14, 29)), s(at(1, 15, 14, 30)), s(at(1, 15, 20, 59)), s(at(1, 15, 21, 0))]
    async with client(lambda asked: Said(candles(times))) as (_, finnhub, _):
        window = at(1, 15, 9), at(1, 16)
        assert len((await finnhub.bars(bars(*window))).rows) == 4
        regular = await finnhub.bars(bars(*window, extended_hours=False))
        assert [row.ts_event // 10**9 for row in regular.rows] == times[1:3]


async def test_symbols_one_by_one_in_the_order_of_the_request():
    def answer(asked: Asked) -> Said:
        has = {"MSFT": [s(at(1, 15, 15))], "BRK.B": [s(at(1, 15, 16))]}
        return Said(candles(has.get(asked.query["symbol"], [])))

    async with client(answer) as (server, finnhub, _):
        names = ("MSFT", "NOPE", "BRK.B", "MSFT")
        result = await finnhub.bars(bars(at(1, 15, 14), at(1, 15, 17), symbols=names))
        assert [row.symbol for row in result.rows] == ["MSFT", "BRK.B"]
        assert (result.missing, len(server.asked)) == (("NOPE",), 3)


@pytest.mark.parametrize(
    ("interval", "adjustment"),
    [("1m", "split"), ("1m", "all"), ("1d", "raw"), ("1d", "all"), ("1h", "raw"), ("30m", "split")],
)
async def test_what_finnhub_does_not_have_is_not_asked_for(interval: Interval, adjustment: Adjustment):
    async with client(lambda asked: Said(NO_DATA)) as (server, finnhub, _):
        request = bars(at(1, 15), at(1, 16), interval, adjustment)
        with pytest.raises(BadRequest):
            await finnhub.bars(request)
        assert server.asked == []
        access = FinnhubConfig(key=SecretStr(KEY), plan="paid").access
        assert can_serve(access, request, now_ns=ns(NOW)) is not None


async def test_the_window_ends_with_the_present():
    async with client(lambda asked: Said(NO_DATA)) as (_, finnhub, _):
        result = await finnhub.bars(bars(NOW - MINUTE, NOW + MINUTE))
        assert result.covered_ns == (ns(NOW - MINUTE), ns(NOW))
        assert result.missing == ("AAPL",)


async def test_bars_of_another_time_are_malformed():
    async with client(lambda asked: Said(candles([s(at(1, 3))]))) as (_, finnhub, _):
        with pytest.raises(Malformed, match="outside"):
            await finnhub.bars(bars(at(1, 15), at(1, 16)))


async def test_latest_quotes():
    quote = {"a": 250.01, "av": 4, "b": 249.98, "bv": 2, "t": 1767628800123}

    def answer(asked: Asked) -> Said:
        return Said(quote if asked.query["symbol"] == "AAPL" else {"a": 0, "av": 0, "b": 0, "bv": 0, "t": 0})

    async with client(answer) as (server, finnhub, _):
        result = await finnhub.quotes(QuotesRequest(("AAPL", "NOPE")))
        assert [(row.symbol, row.bid, row.ask) for row in result.rows] == [("AAPL", 249.98, 250.01)]
        assert (result.missing, result.covered_ns) == (("NOPE",), None)
        assert {a.path for a in server.asked} == {"/api/v1/stock/bidask"}


async def test_quotes_of_the_past_page_by_page_and_day_by_day():
    """Friday afternoon to Monday morning, in New York: a weekend has no quotes."""
    start, end = at(1, 9, 20), at(1, 12, 15)
    friday = [ns(at(1, 9, 19)) // 10**6 + 900_000 * n for n in range(9)]
    monday = [ns(at(1, 12, 14, 59)) // 10**6 + 30_000 * n for n in range(4)]

    def answer(asked: Asked) -> Said:
        day = {"2026-01-09": friday, "2026-01-12": monday}[asked.query["date"]]
        skip, limit = int(asked.query["skip"]), int(asked.query["limit"])
        t = day[skip : skip + limit]
        one = {"b": 1.0, "bv": 2, "bx": "Q", "a": 1.5, "av": 3, "ax": "P", "c": ["R"]}
        columns = {name: [value] * len(t) for name, value in one.items()}
        head = {"s": "AAPL", "skip": skip, "count": len(t), "total": len(day)}
        return Said({**head, "t": t, **columns})

    async with client(answer, page_size=3) as (server, finnhub, _):
        result = await finnhub.quotes(QuotesRequest(("AAPL",), ns(start), ns(end)))
        inside = [ms * 10**6 for ms in friday + monday if ns(start) <= ms * 10**6 < ns(end)]
        assert [row.ts_event for row in result.rows] == inside
        asked = [(a.query["date"][-2:], a.query["skip"]) for a in server.asked]
        # a full last page is followed by an empty one
        assert asked == [("09", "0"), ("09", "3"), ("09", "6"), ("09", "9"), ("12", "0"), ("12", "3")]
        assert result.covered_ns == (ns(start), ns(end))


async def test_pages_that_never_end():
    page: dict[str, Any] = {"s": "AAPL", "skip": 0, "count": 1, "total": 9}
    page |= {"b": [1.0], "bv": [1], "bx": ["Q"], "a": [2.0], "av": [1], "ax": ["Q"], "c": [["R"]]}
    opened = ns(at(1, 9, 15)) // 10**6

    def next_page(asked: Asked) -> Said:
        return Said(page | {"t": [opened + int(asked.query["skip"])]})

    async with client(next_page, page_size=1, max_pages=5) as (server, finnhub, _):
        with pytest.raises(Malformed, match="5 pages"):
            await finnhub.quotes(QuotesRequest(("AAPL",), ns(at(1, 9, 14)), ns(at(1, 9, 16))))
        assert len(server.asked) == 5
    async with client(lambda _: Said(page | {"t": [opened]}), page_size=1) as (server, finnhub, _):
        with pytest.raises(Malformed, match="the same rows again"):
            await finnhub.quotes(QuotesRequest(("AAPL",), ns(at(1, 9, 14)), ns(at(1, 9, 16))))
        assert len(server.asked) == 2


async def test_last_trade_and_its_zeros():
    def answer(asked: Asked) -> Said:
        known = asked.query["symbol"] == "AAPL"
        return Said(dict.fromkeys(("c", "h", "l", "o", "pc", "t"), 3 if known else 0))

    async with client(answer) as (_, finnhub, _):
        assert (await finnhub.last("AAPL")).price == 3
        with pytest.raises(NotFound):
            await finnhub.last("NOPE")


@pytest.mark.parametrize("place", ["query", "header"])
async def test_the_key_is_sent_in_one_place(place: str):
    async with client(lambda asked: Said(NO_DATA), key_in=place) as (server, finnhub, _):
        await finnhub.bars(bars(at(1, 15), at(1, 16)))
        (asked,) = server.asked
        in_query, in_header = asked.query.get("token"), asked.headers.get("X-Finnhub-Token")
        assert (in_query, in_header) == ((KEY, None) if place == "query" else (None, KEY))


@pytest.mark.parametrize("place", ["query", "header"])
@pytest.mark.parametrize(
    ("status", "kind"), [(401, AuthFailed), (403, EntitlementMissing), (302, ProviderAway), (200, Malformed)]
)
async def test_an_error_never_names_the_key(place: str, status: int, kind: type[Exception]):
    body = f'{{"error":"not with {KEY}"}}'.encode()
    async with client(lambda asked: Said(body, status), key_in=place) as (_, finnhub, _):
        with pytest.raises(kind) as caught:
            await finnhub.bars(bars(at(1, 15), at(1, 16)))
        assert isinstance(caught.value, AuthFailed | EntitlementMissing | ProviderAway | Malformed)
        for text in (str(caught.value), repr(caught.value), repr(caught.value.raw)):
            assert KEY not in text
            assert "k3y" not in text


async def test_a_key_is_not_shown_by_its_settings():
    assert KEY not in repr(FinnhubConfig(key=SecretStr(KEY)))


async def test_a_redirect_is_not_followed():
    async with client(lambda asked: Said(b"<html>", 302, {"Location": "/elsewhere"})) as (server, finnhub, _):
        with pytest.raises(ProviderAway):
            await finnhub.bars(bars(at(1, 15), at(1, 16)))
        assert [a.path for a in server.asked] == ["/api/v1/stock/candle"] * 2


async def test_a_spent_budget_stops_everybody():
    said = Said({"error": "API limit reached. Please try again later. Remaining Limit: 0"}, 429)
    async with client(lambda asked: said) as (server, finnhub, gate):
        with pytest.raises(RateLimited) as caught:
            await finnhub.bars(bars(at(1, 15), at(1, 16)))
        assert caught.value.retry_after_s == 60
        assert (gate.blocked_until, len(server.asked)) == ([160.0], 1)


@pytest.mark.parametrize(("left", "blocked"), [("2", []), ("1", [110.0]), ("0", [110.0]), ("few", [])])
async def test_an_almost_spent_budget_is_left_alone(left: str, blocked: list[float]):
    headers = {"X-Ratelimit-Remaining": left, "X-Ratelimit-Reset": str(s(NOW) + 10)}
    async with client(lambda asked: Said(NO_DATA, headers=headers)) as (_, finnhub, gate):
        await finnhub.bars(bars(at(1, 15), at(1, 16)))
        assert gate.blocked_until == blocked

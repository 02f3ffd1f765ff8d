"""Polygon's client against answers that a test writes: what is asked, what becomes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from pydantic import SecretStr

from providers.base import BarsRequest, QuotesRequest
from providers.http import Timeouts
from providers.polygon.client import PolygonClient
from providers.polygon.config import PolygonConfig
from providers.sessions import date_of
from schemas.errors import (
    AuthFailed,
    BadRequest,
    EntitlementMissing,
    Malformed,
    NotFound,
    ProviderAway,
    ProviderError,
    RateLimited,
)
from schemas.provider import Adjustment, Interval
from tests.unit.providers.vendor_server import Asked, CountingGate, Said, StillClock, Vendor, vendor

KEY = "k3y-of-0urs"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
MS = 1_000_000
#: 14:30 UTC, a Monday
OPEN = int(datetime(2026, 1, 5, 14, 30, tzinfo=UTC).timestamp()) * 1000


def ms(at: datetime) -> int:
    return int(at.timestamp()) * 1000


def bar(at_ms: int, **changes: Any) -> dict[str, Any]:
    return {"v": 10.5, "vw": 1.5, "o": 1.0, "c": 2.0, "h": 2.0, "l": 1.0, "t": at_ms, "n": 3} | changes


def page(*bars: dict[str, Any], adjusted: bool = False, **more: Any) -> Said:
    body = {"ticker": "AAPL", "adjusted": adjusted, "resultsCount": len(bars), "status": "OK"}
    return Said(body | ({"results": list(bars)} if bars else {}) | more)


@asynccontextmanager
async def client(
    answer: Callable[[Asked], Said], **settings: Any
) -> AsyncIterator[tuple[Vendor, PolygonClient, CountingGate]]:
    gate = CountingGate()
    async with vendor(answer) as server:
        config = PolygonConfig(key=SecretStr(KEY), base_url=server.url, **settings)
        one = PolygonClient(config, StillClock(ms(NOW) * MS), gate, Timeouts(pause=0.001))
        try:
            yield server, one, gate
        finally:
            await one.close()


def request(
    start: int = OPEN,
    end: int = OPEN + 600_000,
    interval: Interval = "1m",
    adjustment: Adjustment = "raw",
    symbols: tuple[str, ...] = ("AAPL",),
) -> BarsRequest:
    return BarsRequest(symbols, interval, start * MS, end * MS, adjustment)


async def test_what_is_asked():
    async with client(lambda _: page(bar(OPEN))) as (server, one, gate):
        result = await one.bars(request())
        (asked,) = server.asked
        # half-open: the vendor counts its end in
        assert asked.path == f"/v2/aggs/ticker/AAPL/range/1/minute/{OPEN}/{OPEN + 599_999}"
        assert asked.query == {"adjusted": "false", "sort": "asc", "limit": "50000"}
        assert asked.headers["Authorization"] == f"Bearer {KEY}"
        assert KEY not in asked.path
        (row,) = result.rows
        assert (row.ts_event, row.volume, row.vwap, row.trade_count) == (OPEN * MS, 10.5, 1.5, 3)
        assert (result.source.coverage, result.source.feed, result.source.delayed) == (
            "consolidated",
            "sip",
            False,
        )
        assert (result.covered_ns, result.missing, result.requests) == (
            (OPEN * MS, (OPEN + 600_000) * MS),
            (),
            1,
        )
        assert gate.passed == 1


async def test_pages_are_followed_on_our_origin_with_our_key():
    def answer(asked: Asked) -> Said:
        at = len(server.asked) - 1
        more = f"https://api.massive.com/v2/aggs/ticker/AAPL/range/1/minute/{OPEN}/9?cursor=c{at}"
        return page(bar(OPEN + at * 60_000), next_url=more if at < 2 else "")

    async with client(answer) as (server, one, _):
        result = await one.bars(request())
        assert [row.ts_event // MS for row in result.rows] == [OPEN, OPEN + 60_000, OPEN + 120_000]
        assert [asked.query.get("cursor") for asked in server.asked] == [None, "c0", "c1"]
        assert all(asked.headers["Authorization"] == f"Bearer {KEY}" for asked in server.asked)
        assert result.requests == 3


async def test_a_cursor_that_goes_in_circles():
    async with client(lambda _: page(next_url="https://api.massive.com/v2/x?cursor=a")) as (server, one, _):
        with pytest.raises(Malformed, match="next_url: the same page again"):
            await one.bars(request())
        assert len(server.asked) == 2


async def test_endless_pages():
    def answer(asked: Asked) -> Said:
        return page(next_url=f"https://api.massive.com/v2/x?cursor={len(server.asked)}")

    async with client(answer, max_pages=5) as (server, one, _):
        with pytest.raises(Malformed, match="more than 5 pages"):
            await one.bars(request())
        assert len(server.asked) == 5


@pytest.mark.parametrize("empty", [page(), page(results=[]), page(resultsCount=0, queryCount=0)])
async def test_nothing_there_is_a_success(empty: Said):
    async with client(lambda _: empty) as (_, one, _gate):
        result = await one.bars(request())
        assert (list(result.rows), result.missing) == ([], ("AAPL",))


async def test_long_windows_are_cut_and_the_parts_fit():
    month = 30 * 86_400_000
    async with client(lambda _: page()) as (server, one, _):
        await one.bars(request(end=OPEN + 2 * month + 60_000))
        spans = [tuple(map(int, asked.path.split("/")[-2:])) for asked in server.asked]
        assert spans[0][0] == OPEN
        assert spans[-1][1] == OPEN + 2 * month + 59_999
        assert [b[0] - a[1] for a, b in pairwise(spans)] == [1, 1]


async def test_days_are_dates_of_new_york_across_the_clocks():
    days = [datetime(2026, 3, 6, 5, tzinfo=UTC), datetime(2026, 3, 9, 4, tzinfo=UTC)]
    async with client(lambda _: page(*(bar(ms(d)) for d in days), adjusted=True)) as (server, one, _):
        result = await one.bars(
            request(
                ms(datetime(2026, 3, 6, tzinfo=UTC)), ms(datetime(2026, 3, 10, tzinfo=UTC)), "1d", "split"
            )
        )
        assert [date_of(row.session) for row in result.rows] == [d.date() for d in days]
        assert server.asked[0].query["adjusted"] == "true"


@pytest.mark.parametrize("scale", [1 / 1000, 1000, 1_000_000, 10**15])
async def test_days_in_another_unit_are_malformed(scale: float):
    day = ms(datetime(2026, 3, 6, 5, tzinfo=UTC))
    async with client(lambda _: page(bar(int(day * scale)))) as (_, one, _):
        with pytest.raises(Malformed, match="AAPL row 0: ts_event: "):
            await one.bars(request(day, day + 86_400_000, "1d"))


async def test_one_of_two_symbols_is_unknown():
    def answer(asked: Asked) -> Said:
        if "/NOBODY/" in asked.path:
            return Said({"status": "NOT_FOUND", "message": "Ticker not found."}, 404)
        return page(bar(OPEN))

    async with client(answer) as (_, one, _gate):
        result = await one.bars(request(symbols=("NOBODY", "AAPL")))
        assert ([row.symbol for row in result.rows], result.missing) == (["AAPL"], ("NOBODY",))
        with pytest.raises(NotFound):
            await one.bars(request(symbols=("NOBODY",)))


REFUSALS: list[tuple[Said, type[ProviderError], int]] = [
    (Said({"status": "ERROR", "error": "Unknown API Key"}, 401), AuthFailed, 1),
    (Said({"status": "ERROR", "error": "API Key was not provided"}, 400), AuthFailed, 1),
    (Said({"status": "NOT_AUTHORIZED", "message": "Your plan doesn't"}, 403), EntitlementMissing, 1),
    (Said({"status": "NOT_AUTHORIZED", "message": "You are not entitled"}, 200), EntitlementMissing, 1),
    (Said({"status": "ERROR", "error": "The parameter 'to' cannot be before 'from'"}, 400), BadRequest, 1),
    (Said({"status": "ERROR", "error": "You've exceeded the maximum requests"}, 429), RateLimited, 1),
    (Said(b"", 429), RateLimited, 1),
    (Said(b"<html>bad gateway</html>", 502), ProviderAway, 2),
    (Said(b"<html>welcome</html>", 200), ProviderAway, 2),
    (Said(b'{"status":"OK","results":[{"t":17', 200), ProviderAway, 2),
    (Said({"status": "OK", "results": {"t": 1}}, 200), Malformed, 1),
    (Said([1, 2], 200), Malformed, 1),
    (page(bar(OPEN), resultsCount=2), Malformed, 1),
    (page(bar(OPEN), adjusted=True), Malformed, 1),
    (page(bar(OPEN, h=0.5)), Malformed, 1),
    (page(bar(OPEN), bar(OPEN)), Malformed, 1),
    (page(bar(OPEN // 1000)), Malformed, 1),
]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "kind", "requests"), REFUSALS, ids=[f"{s.status}-{k.__name__}" for s, k, _ in REFUSALS]
)
async def test_what_a_refusal_means(said: Said, kind: type[ProviderError], requests: int):
    async with client(lambda _: said) as (server, one, gate):
        with pytest.raises(ProviderError) as refused:
            await one.bars(request())
        assert type(refused.value) is kind
        assert len(server.asked) == requests
        assert KEY not in f"{refused.value!r} {refused.value.raw!r}"
        assert bool(gate.blocked_until) == (kind is RateLimited)


async def test_the_wait_after_too_many_is_what_the_header_says():
    said = Said({"status": "ERROR", "error": "exceeded the maximum requests"}, 429, {"Retry-After": "7"})
    async with client(lambda _: said) as (_, one, gate):
        with pytest.raises(RateLimited) as refused:
            await one.bars(request())
        assert (refused.value.retry_after_s, gate.blocked_until) == (7.0, [107.0])


async def test_adjustments_that_polygon_does_not_have():
    async with client(lambda _: page()) as (server, one, _):
        with pytest.raises(BadRequest, match="raw and split only"):
            await one.bars(request(adjustment="all"))
        assert server.asked == []


async def test_delayed_answers_say_so_and_what_they_cover():
    now = ms(NOW)
    async with client(lambda _: page(status="DELAYED"), plan="delayed") as (_, one, _gate):
        result = await one.bars(request(now - 3_600_000, now))
        assert result.source.delayed
        assert result.covered_ns == ((now - 3_600_000) * MS, (now - 900_000) * MS)


async def test_quotes_of_a_window_and_the_latest():
    new = int(datetime(2025, 11, 4, 15, tzinfo=UTC).timestamp()) * 1_000_000_000 + 123
    old = int(datetime(2025, 10, 31, 15, tzinfo=UTC).timestamp()) * 1_000_000_000 + 123

    def answer(asked: Asked) -> Said:
        if "/last/" in asked.path:
            return Said(
                {
                    "status": "OK",
                    "results": {"T": "AAPL", "t": new, "P": 10.1, "S": 5, "p": 0, "s": 0, "q": 9},
                }
            )
        quote = {
            "bid_price": 10.0,
            "bid_size": 2,
            "ask_price": 0,
            "ask_size": 0,
            "sequence_number": 1,
            "tape": 3,
        }
        rows = [quote | {"sip_timestamp": old}, quote | {"sip_timestamp": new, "sequence_number": 2}]
        return Said({"status": "OK", "results": rows})

    async with client(answer) as (server, one, _):
        result = await one.quotes(QuotesRequest(("AAPL",), old, new + 1))
        assert server.asked[0].query["timestamp.gte"] == str(old)
        assert server.asked[0].query["timestamp.lt"] == str(new + 1)
        # round lots until 2025-11-03, shares since; a price of 0 is nobody's
        assert [(r.ts_event, r.bid_size, r.ask, r.ask_size) for r in result.rows] == [
            (old, 200.0, None, None),
            (new, 2.0, None, None),
        ]
        latest = await one.quotes(QuotesRequest(("AAPL",)))
        (row,) = latest.rows
        assert (row.bid, row.bid_size, row.ask, row.ask_size, row.seq) == (None, None, 10.1, 5.0, 9)
        assert latest.covered_ns is None


async def test_the_free_plan_ends_with_yesterday():
    now = ms(NOW)
    midnight = ms(datetime(2026, 5, 31, 4, tzinfo=UTC))  # 00:00 New York; it is 20:00 there
    async with client(lambda _: page(), plan="free") as (_, one, _gate):
        result = await one.bars(request(midnight - 60_000, now))
        assert result.covered_ns == ((midnight - 60_000) * MS, midnight * MS)


async def test_no_bar_starts_within_a_millisecond():
    async with client(lambda _: page()) as (server, one, _):
        result = await one.bars(BarsRequest(("AAPL",), "1m", OPEN * MS + 7, OPEN * MS + 8))
        assert (result.rows, result.requests, server.asked) == ([], 0, [])

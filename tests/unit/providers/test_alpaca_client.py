"""Alpaca's client against answers that a test writes: what is asked, what becomes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from providers.alpaca.client import AlpacaClient
from providers.alpaca.config import AlpacaConfig
from providers.base import BarsRequest, QuotesRequest
from providers.http import Timeouts
from schemas.errors import (
    AuthFailed,
    BadRequest,
    EntitlementMissing,
    Malformed,
    ProviderAway,
    ProviderError,
    RateLimited,
)
from schemas.provider import Interval
from tests.unit.providers.vendor_server import Asked, CountingGate, Said, StillClock, Vendor, vendor

SECRET = "s3cret-of-0urs"
NOW_NS = int(datetime(2026, 1, 5, 15, tzinfo=UTC).timestamp()) * 1_000_000_000
MINUTE = 60_000_000_000
OPEN = NOW_NS - 30 * MINUTE


def stamp(ns: int) -> str:
    return datetime.fromtimestamp(ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def bar(ns: int, **changes: Any) -> dict[str, Any]:
    return {"t": stamp(ns), "o": 1.0, "h": 2.0, "l": 1.0, "c": 2.0, "v": 10, "n": 3, "vw": 1.5} | changes


def page(bars: dict[str, list[dict[str, Any]]], token: str | None = None) -> Said:
    return Said({"bars": bars, "next_page_token": token})


@asynccontextmanager
async def client(
    answer: Callable[[Asked], Said], **settings: Any
) -> AsyncIterator[tuple[Vendor, AlpacaClient, CountingGate]]:
    gate = CountingGate()
    async with vendor(answer) as server:
        keys = {"key_id": SecretStr("our-id"), "secret": SecretStr(SECRET)}
        config = AlpacaConfig(**keys | {"base_url": server.url, "plan": "paid"} | settings)
        one = AlpacaClient(config, StillClock(NOW_NS), gate, Timeouts(pause=0.001))
        try:
            yield server, one, gate
        finally:
            await one.close()


def request(
    *symbols: str, start: int = OPEN, end: int = OPEN + 10 * MINUTE, interval: Interval = "1m"
) -> BarsRequest:
    return BarsRequest(symbols or ("AAPL",), interval, start, end)


async def test_what_is_asked():
    async with client(lambda _: page({"AAPL": [bar(OPEN)]})) as (server, one, gate):
        result = await one.bars(request("AAPL", "NOBODY"))
        (asked,) = server.asked
        assert asked.path == "/v2/stocks/bars"
        assert asked.query == {
            "symbols": "AAPL,NOBODY",
            "timeframe": "1Min",
            "adjustment": "raw",
            "start": "2026-01-05T14:30:00Z",
            # both ends of the vendor's are inclusive
            "end": "2026-01-05T14:39:59.999999999Z",
            "limit": "10000",
            "feed": "sip",
            "sort": "asc",
        }
        assert (asked.headers["APCA-API-KEY-ID"], asked.headers["APCA-API-SECRET-KEY"]) == ("our-id", SECRET)
        assert result.missing == ("NOBODY",), "a symbol that is not known is missing from the answer"
        assert (result.source.provider, result.source.coverage, result.source.rule) == (
            "alpaca",
            "consolidated",
            "alpaca.v1",
        )
        assert gate.passed == 1


async def test_a_symbol_goes_on_over_pages_that_may_be_short_or_empty():
    answers = {
        None: page({"AAPL": [bar(OPEN)]}, "t1"),
        "t1": page({}, "t2"),
        "t2": page({"AAPL": [bar(OPEN + MINUTE)], "MSFT": [bar(OPEN)]}, "t3"),
        "t3": page({"MSFT": [bar(OPEN + MINUTE)]}),
    }
    async with client(lambda asked: answers[asked.query.get("page_token")]) as (_, one, _gate):
        result = await one.bars(request("MSFT", "AAPL"))
        assert [(r.symbol, r.ts_event - OPEN) for r in result.rows] == [
            ("MSFT", 0),
            ("MSFT", MINUTE),
            ("AAPL", 0),
            ("AAPL", MINUTE),
        ]
        assert result.requests == 4


async def test_many_symbols_are_asked_in_batches():
    symbols = tuple(f"S{n}" for n in range(5))
    async with client(lambda _: page({}), batch_symbols=2) as (server, one, _):
        result = await one.bars(request(*symbols))
        assert sorted(asked.query["symbols"] for asked in server.asked) == ["S0,S1", "S2,S3", "S4"]
        assert (result.requests, result.missing) == (3, symbols)


async def test_a_token_that_goes_in_circles_and_one_that_never_ends():
    async with client(lambda _: page({}, "again")) as (server, one, _):
        with pytest.raises(Malformed, match="the same page again"):
            await one.bars(request())
        assert len(server.asked) == 2
    numbers = iter(range(1_000))
    async with client(lambda _: page({}, f"t{next(numbers)}"), max_pages=4) as (server, one, _):
        with pytest.raises(Malformed, match="more than 4 pages"):
            await one.bars(request())
        assert len(server.asked) == 4


async def test_the_free_plan_ends_a_quarter_of_an_hour_ago_and_says_so():
    async with client(lambda _: page({"AAPL": [bar(OPEN)]}), plan="free") as (server, one, _):
        result = await one.bars(request(end=NOW_NS))
        until = NOW_NS - 16 * MINUTE
        assert result.covered_ns == (OPEN, until)
        assert result.source.delayed
        assert server.asked[0].query["end"] == f"{stamp(until - MINUTE)[:-3]}59.999999999Z"
        # nothing of the window is open yet: nobody is asked
        late = await one.bars(request(start=NOW_NS - 10 * MINUTE, end=NOW_NS))
        assert (late.rows, late.requests, late.missing) == ([], 0, ("AAPL",))
        assert late.covered_ns == (NOW_NS - 10 * MINUTE, NOW_NS - 10 * MINUTE)
        assert len(server.asked) == 1
    async with client(lambda _: page({}), plan="free", feed="iex") as (server, one, _):
        result = await one.bars(request(end=NOW_NS))
        assert (result.covered_ns, result.source.coverage) == ((OPEN, NOW_NS), "iex")


async def test_the_second_backend_of_iex():
    async with client(lambda _: page({"AAPL": [bar(OPEN)]}), provider="iex", feed="iex") as (_, one, _gate):
        result = await one.bars(request())
        assert (one.name, result.source.provider, result.source.feed) == ("iex", "iex", "iex")
    with pytest.raises(ValidationError, match="feed iex only"):
        AlpacaConfig(key_id=SecretStr("a"), secret=SecretStr("b"), provider="iex", feed="sip")


REFUSALS: list[tuple[Said, type[ProviderError], int]] = [
    (Said({"message": "forbidden."}, 403), AuthFailed, 1),
    (Said({"message": "unauthorized"}, 401), AuthFailed, 1),
    (
        Said({"message": "subscription does not permit querying recent SIP data"}, 403),
        EntitlementMissing,
        1,
    ),
    (
        Said({"code": 42210000, "message": "your subscription does not permit querying data"}, 403),
        EntitlementMissing,
        1,
    ),
    (Said({"message": "unexpected query parameter(s): limit"}, 400), BadRequest, 1),
    (Said({"message": "too many requests."}, 429), RateLimited, 1),
    (Said(b"<html>bad gateway</html>", 504), ProviderAway, 2),
    (Said(b'{"bars":{"AAPL":[', 200), ProviderAway, 2),
    (Said({"bars": []}, 200), Malformed, 1),
    (page({"AAPL": [bar(OPEN, t=17)]}), Malformed, 1),
    (page({"AAPL": [bar(OPEN, c=9.0)]}), Malformed, 1),
    (page({"AAPL": [bar(OPEN), bar(OPEN)]}), Malformed, 1),
]


@pytest.mark.parametrize(
    ("said", "kind", "requests"), REFUSALS, ids=[f"{s.status}-{k.__name__}" for s, k, _ in REFUSALS]
)
async def test_what_a_refusal_means(said: Said, kind: type[ProviderError], requests: int):
    async with client(lambda _: said) as (server, one, gate):
        with pytest.raises(ProviderError) as refused:
            await one.bars(request())
        assert type(refused.value) is kind
        assert len(server.asked) == requests
        assert SECRET not in f"{refused.value!r} {refused.value.raw!r}"
        assert bool(gate.blocked_until) == (kind is RateLimited)


async def test_the_wait_after_too_many_is_until_the_reset():
    reset = {"X-RateLimit-Reset": str(NOW_NS // 1_000_000_000 + 9)}
    async with client(lambda _: Said({"message": "too many requests."}, 429, reset)) as (_, one, gate):
        with pytest.raises(RateLimited) as refused:
            await one.bars(request())
        assert (refused.value.retry_after_s, gate.blocked_until) == (9.0, [109.0])


async def test_the_last_request_of_a_window_closes_the_gate_before_the_vendor_does():
    headers = {"X-RateLimit-Remaining": "1", "X-RateLimit-Reset": str(NOW_NS // 1_000_000_000 + 4)}
    said = Said({"bars": {}, "next_page_token": None}, 200, headers)
    async with client(lambda _: said) as (_, one, gate):
        await one.bars(request())
        assert gate.blocked_until == [104.0]


async def test_quotes_of_a_window_and_the_latest():
    quote = {
        "t": "2026-01-05T14:30:00.000000123Z",
        "bx": "N",
        "bp": 10.0,
        "bs": 300,
        "ax": " ",
        "ap": 0,
        "as": 0,
    }
    more = {"c": ["R"], "z": "C"}

    def answer(asked: Asked) -> Said:
        if asked.path.endswith("/latest"):
            return Said({"quotes": {"AAPL": quote | more}})
        return Said({"quotes": {"AAPL": [quote | more]}, "next_page_token": None})

    async with client(answer) as (server, one, _):
        for window in ((OPEN, OPEN + MINUTE), (None, None)):
            result = await one.quotes(QuotesRequest(("AAPL", "MSFT"), *window))
            (row,) = result.rows
            assert (row.ts_event, row.bid, row.bid_size, row.ask, row.ask_size) == (
                OPEN + 123,
                10.0,
                300.0,
                None,
                None,
            )
            assert (row.conditions, row.tape, row.bid_venue, row.ask_venue) == ("R", "C", "N", "")
            assert result.missing == ("MSFT",)
            assert result.covered_ns == (None if window[0] is None else window)
        assert server.asked[1].query == {"symbols": "AAPL,MSFT", "feed": "sip"}

"""The emulator over REST: bodies as the vendors write them, every value that of the market's truth."""

from __future__ import annotations

import base64
from datetime import date
from typing import Any

from sandbox.market.calendar import MINUTE_NS, midnight_ns
from sandbox.market.views import Row, Views, lots
from sandbox.vendors.plans import Plans, Rate
from tests.integration.sandbox.vendors import MARKET, NOW, NS, Client, at, running

VIEWS = Views(MARKET)
DAY = date(2025, 11, 12)
START, END = midnight_ns(DAY), midnight_ns(date(2025, 11, 13))
MS = 1_000_000


def truth(vendor: Any, feed: str, symbol: str, interval: str = "1m", adjustment: Any = "raw") -> list[Row]:
    return VIEWS.bars(vendor, feed, symbol, interval, START, END, adjustment, NOW)


def column(rows: list[Any], name: str) -> list[Any]:
    return [row[name] for row in rows]


# polygon


async def pages(client: Client, path: str, **query: Any) -> list[Any]:
    body = await client.get("polygon", path, **query)
    rows = list(body.get("results", ()))
    while "next_url" in body:
        host, _, rest = body["next_url"].removeprefix("https://").partition("/")
        assert host == "api.massive.com"
        assert "apiKey" not in rest
        path, _, cursor = rest.partition("?cursor=")
        body = await client.get("polygon", f"/{path}", cursor=cursor)
        rows += body["results"]
    return rows


async def test_polygon_minutes_page_by_page() -> None:
    async with running() as (_, _, client):
        path = "/v2/aggs/ticker/AAPL/range/1/minute/2025-11-12/2025-11-12"
        rows = await pages(client, path, limit=100, adjusted="false")
        down = await pages(client, path, limit=100, adjusted="false", sort="desc")
        body = await client.get("polygon", path, limit=2)
    expected = truth("polygon", "", "AAPL")
    assert column(rows, "t") == [row.ts_ns // MS for row in expected]
    for name, field in {
        "o": "open",
        "h": "high",
        "l": "low",
        "c": "close",
        "v": "volume",
        "n": "count",
    }.items():
        assert column(rows, name) == [getattr(row, field) for row in expected]
    assert column(rows, "vw") == [row.vwap for row in expected]
    assert down == rows[::-1]
    assert any(isinstance(row["v"], float) for row in rows)  # fractions
    assert list(body) == [
        *("ticker", "queryCount", "resultsCount", "adjusted", "results"),
        *("status", "request_id", "count", "next_url"),
    ]
    assert list(body["results"][0]) == ["v", "vw", "o", "c", "h", "l", "t", "n"]
    cursor = body["next_url"].partition("?cursor=")[2]
    assert base64.urlsafe_b64decode(cursor + "==") == b"limit=2"
    third = expected[1].ts_ns // MS + 60_000
    assert f"/range/1/minute/{third}/2025-11-12?" in body["next_url"]


async def test_polygon_days_are_stamped_midnight_in_new_york_and_adjusted() -> None:
    async with running(at("2025-11-20T12:00:00-05:00")) as (_, _, client):
        path = "/v2/aggs/ticker/TSLA/range/1/day/2025-10-30/2025-11-18"
        adjusted = await pages(client, path, limit=4)
        raw = await pages(client, path, adjusted="false")
    eastern = {row["t"] // 1000 % 86_400 for row in raw}
    assert eastern == {4 * 3600, 5 * 3600}
    assert [row["t"] for row in adjusted] == [row["t"] for row in raw]
    factors = {round(r["c"] / a["c"], 1) for r, a in zip(raw, adjusted, strict=True)}
    assert factors == {4.0, 1.0}


async def test_polygon_says_nothing_found_without_results() -> None:
    async with running() as (_, _, client):
        body = await client.get("polygon", "/v2/aggs/ticker/NOPE/range/1/day/2025-11-03/2025-11-04")
    del body["request_id"]
    assert body == {"ticker": "NOPE", "queryCount": 0, "resultsCount": 0, "adjusted": True, "status": "OK"}


async def test_polygon_quotes_both_ways_and_one_sided() -> None:
    async with running() as (_, _, client):
        down = await pages(client, "/v3/quotes/IBM", timestamp="2025-11-12", limit=500)
        up = await pages(client, "/v3/quotes/IBM", timestamp="2025-11-12", limit=500, order="asc")
        last = await client.get("polygon", "/v2/last/nbbo/IBM")
    expected = MARKET.quotes("IBM", DAY)
    assert column(up, "sip_timestamp") == [quote.ts_ns for quote in expected]
    assert column(up, "bid_price") == [quote.bid for quote in expected]
    assert column(up, "ask_size") == [quote.ask_size for quote in expected]
    assert down == up[::-1]
    assert {row["ask_exchange"] for row in up if row["ask_price"] == 0} == {0}
    stands = VIEWS.last_quote("", "IBM", NOW)
    assert stands is not None
    results = last["results"]
    assert (results["p"], results["P"], results["t"]) == (stands.bid, stands.ask, stands.ts_ns)
    assert list(results) == ["p", "s", "x", "P", "S", "X", "z", "T", "t", "y", "q"]


async def test_sizes_were_lots_before_the_change() -> None:
    async with running() as (_, _, client):
        up = await pages(client, "/v3/quotes/IBM", timestamp="2025-10-31", limit=50_000, order="asc")
    expected = MARKET.quotes("IBM", date(2025, 10, 31))
    assert column(up, "bid_size") == [lots(quote.bid_size, quote.ts_ns) for quote in expected]
    assert column(up, "ask_size") == [lots(quote.ask_size, quote.ts_ns) for quote in expected]
    assert max(column(up, "bid_size")) < 12


async def test_polygon_refuses_as_documented() -> None:
    async with running() as (_, _, client):
        cases = [
            await client.ask("polygon", "/v2/last/nbbo/AAPL", key="nobody"),
            await client.ask("polygon", "/v2/last/nbbo/AAPL", key="polygon-free"),
            await client.ask("polygon", "/v2/last/nbbo/NOPE"),
            await client.ask("polygon", "/v2/aggs/ticker/AAPL/range/1/day/2025-11-05/2025-11-03"),
            await client.ask("polygon", "/v2/aggs/ticker/AAPL/range/1/day/2026-01-05/2026-01-06"),
        ]
        delayed = await client.get(
            "polygon", "/v2/aggs/ticker/AAPL/range/1/minute/2025-11-14/2025-11-14", key="polygon-delayed"
        )
    assert [(status, body["status"]) for status, body, _ in cases] == [
        (401, "ERROR"),
        (403, "NOT_AUTHORIZED"),
        (404, "NOT_FOUND"),
        (400, "ERROR"),
        (403, "NOT_AUTHORIZED"),
    ]
    assert all(response.headers["X-Request-Id"] == body["request_id"] for _, body, response in cases)
    assert delayed["status"] == "DELAYED"
    assert max(column(delayed["results"], "t")) * MS < NOW - 15 * MINUTE_NS


# alpaca


async def test_alpaca_pages_by_symbol_and_then_by_time() -> None:
    symbols = ["AAPL", "BRK.B", "IBM", "NOPE"]
    query = {"symbols": ",".join(symbols), "timeframe": "1Min", "limit": 700, "feed": "sip"}
    query |= {"start": "2025-11-12T00:00:00-05:00", "end": "2025-11-12T23:59:59.999999999-05:00"}
    found: dict[str, list[Any]] = {}
    tokens = []
    async with running() as (_, _, client):
        while True:
            body = await client.get("alpaca", "/v2/stocks/bars", **query)
            for symbol, rows in body["bars"].items():
                found.setdefault(symbol, []).extend(rows)
            if body["next_page_token"] is None:
                break
            query["page_token"] = body["next_page_token"]
            tokens.append(base64.b64decode(body["next_page_token"]).decode())
    assert list(found) == symbols[:3]
    for symbol, rows in found.items():
        expected = truth("alpaca", "sip", symbol)
        assert column(rows, "o") == [row.open for row in expected]
        assert column(rows, "v") == [row.volume for row in expected]
        assert column(rows, "vw") == [row.vwap for row in expected]
        assert [at(t) for t in column(rows, "t")] == [row.ts_ns for row in expected]
    assert list(found["AAPL"][0]) == ["t", "o", "h", "l", "c", "v", "n", "vw"]
    assert tokens[0].startswith("BRK.B|M|2025-11-12T") or tokens[0].startswith("AAPL|M|2025-11-12T")
    assert tokens[0].endswith(".000000000Z")


async def test_alpaca_descending_tokens_count_down() -> None:
    query = {"timeframe": "1Day", "limit": 2, "sort": "desc", "start": "2025-11-03", "end": "2025-11-12"}
    async with running() as (_, _, client):
        first = await client.get("alpaca", "/v2/stocks/TSLA/bars", **query)
        second = await client.get(
            "alpaca", "/v2/stocks/TSLA/bars", page_token=first["next_page_token"], **query
        )
    assert list(first) == ["symbol", "bars", "next_page_token"]
    days = column(first["bars"] + second["bars"], "t")
    assert days == [f"2025-11-{day:02}T05:00:00Z" for day in (12, 11, 10, 7)]
    symbol, letter, number = base64.b64decode(first["next_page_token"]).decode().split("|")
    assert (symbol, letter) == ("TSLA", "D")
    assert 9_223_372_036 * NS - int(number) == at("2025-11-11T00:00:00-05:00")


async def test_alpaca_is_strict_and_names_what_it_does_not_know() -> None:
    async with running() as (_, _, client):
        status, body, _ = await client.ask("alpaca", "/v2/stocks/quotes/latest", symbols="AAPL", limit=1)
        _, empty, _ = await client.ask("alpaca", "/v2/stocks/quotes/latest", symbols="NOPE")
    assert (status, body) == (400, {"message": "unexpected query parameter(s): limit"})
    assert empty == {"quotes": {}}


async def test_alpaca_free_plan_ends_a_quarter_of_an_hour_ago() -> None:
    query = {"symbols": "AAPL", "timeframe": "1Min", "start": "2025-11-14T04:00:00-05:00"}
    recent = "2025-11-14T09:39:00-05:00"
    async with running() as (_, _, client):
        status, body, _ = await client.ask(
            "alpaca", "/v2/stocks/bars", key="alpaca-free", **query, end=recent
        )
        _, clamped, _ = await client.ask("alpaca", "/v2/stocks/bars", key="alpaca-free", **query)
        _, iex, _ = await client.ask(
            "alpaca", "/v2/stocks/bars", key="alpaca-free", **query, end=recent, feed="iex"
        )
    assert (status, body) == (403, {"message": "subscription does not permit querying recent SIP data"})
    assert at(clamped["bars"]["AAPL"][-1]["t"]) <= NOW - 15 * MINUTE_NS
    assert at(iex["bars"]["AAPL"][-1]["t"]) > NOW - 15 * MINUTE_NS


async def test_alpaca_counts_down_its_rate_and_says_when_there_is_room() -> None:
    plans = Plans()
    plans.add("alpaca", "small", rates=[Rate(3, 60)])
    async with running(plans=plans) as (emulator, _, client):
        asked = [
            await client.ask("alpaca", "/v2/stocks/bars/latest", key="small", symbols="AAPL")
            for _ in range(5)
        ]
    assert [status for status, *_ in asked] == [200, 200, 200, 429, 429]
    heads = [response.headers for *_, response in asked]
    assert [head["X-RateLimit-Remaining"] for head in heads] == ["2", "1", "0", "0", "0"]
    reset = int(heads[3]["X-RateLimit-Reset"])
    served = emulator.log.of("alpaca")[0].at_ns
    assert 0 < reset - served / NS <= 61
    assert emulator.log.busiest("alpaca", "small", 60) == 3


async def test_alpaca_trades_carry_ns_times_and_marks() -> None:
    query = {"start": "2025-11-12", "end": "2025-11-12", "limit": 10_000}
    async with running() as (_, _, client):
        body = await client.get("alpaca", "/v2/stocks/AAPL/trades", **query)
        quotes = await client.get("alpaca", "/v2/stocks/AAPL/quotes", **query)
    expected = MARKET.trades("AAPL", DAY)
    assert column(body["trades"], "i") == [trade.trade_id for trade in expected]
    assert {row["u"] for row in body["trades"] if "u" in row} == {"canceled", "corrected"}
    assert list(body["trades"][0]) == ["t", "x", "p", "s", "c", "i", "z"]
    assert list(quotes["quotes"][0]) == ["t", "ax", "ap", "as", "bx", "bp", "bs", "c", "z"]


# finnhub


async def test_finnhub_columns_and_doubled_slashes() -> None:
    asked = {"symbol": "AAPL", "resolution": "1", "from": START // NS, "to": END // NS - 1}
    async with running() as (_, _, client):
        body = await client.get("finnhub", "//stock/candle", **asked)
        whole = asked | {"resolution": "D", "from": at("2025-11-11T23:00:00+00:00") // NS}
        days = await client.get("finnhub", "/stock/candle", **whole)
        none = await client.get("finnhub", "/stock/candle", **asked | {"symbol": "NOPE"})
        zero = await client.get("finnhub", "/quote", symbol="NOPE")
    expected = truth("finnhub", "", "AAPL")
    assert list(body) == ["c", "h", "l", "o", "s", "t", "v"]
    assert body["t"] == [row.ts_ns // NS for row in expected]
    assert body["v"] == [row.volume for row in expected]
    # stamps are UTC, so that of the next session is still inside a range that ends at New York's midnight
    assert days["t"] == [at(f"2025-11-{day}T00:00:00+00:00") // NS for day in (12, 13)]
    assert none == {"s": "no_data"}
    assert {zero[name] for name in ("c", "h", "l", "o", "pc", "t")} == {0}


async def test_finnhub_refuses_as_reported() -> None:
    async with running() as (emulator, _, client):
        path = "/stock/candle"
        bad = await client.ask("finnhub", path, key="nobody")
        free = await client.ask("finnhub", path, key="finnhub-free", resolution="D", symbol="AAPL")
        async with client.session.get(emulator.urls["finnhub"] + "/quote") as response:
            nobody = response.status, response.content_type, await response.text()
    assert bad[:2] == (401, {"error": "Invalid API key."})
    assert free[:2] == (403, {"error": "You don't have access to this resource."})
    assert nobody[:2] == (429, "text/plain")
    assert "sign up for a free account" in nobody[2]


# Tiingo


async def test_tiingo_minutes_have_volume_only_if_asked() -> None:
    asked = {"startDate": "2025-11-12", "endDate": "2025-11-12", "resampleFreq": "1min"}
    path = "/iex/aapl/prices"
    async with running() as (_, _, client):
        plain = await client.get("tiingo", path, **asked)
        full = await client.get("tiingo", path, **asked, columns="open,high,low,close,volume")
        extended = await client.get("tiingo", path, **asked, afterHours="true")
    session = MARKET.session(DAY)
    assert session is not None
    expected = [row for row in truth("tiingo", "", "AAPL") if session.is_regular(row.ts_ns)]
    assert column(plain, "close") == [row.close for row in expected]
    assert list(plain[0]) == ["date", "open", "high", "low", "close"]
    assert column(full, "volume") == [row.volume for row in expected]
    assert full[0]["date"].endswith(".000Z")
    assert len(extended) > len(plain)


async def test_tiingo_days_raw_and_adjusted_in_two_spellings() -> None:
    async with running(at("2025-11-20T12:00:00-05:00")) as (_, _, client):
        days = await client.get(
            "tiingo", "/tiingo/daily/TSLA/prices", startDate="2025-11-14", endDate="2025-11-18"
        )
        latest = await client.get("tiingo", "/tiingo/daily/BRK-B/prices")
    assert column(days, "date") == [f"2025-11-{day}T00:00:00.000Z" for day in (14, 17, 18)]
    assert column(days, "splitFactor") == [1.0, 4.0, 1.0]
    assert days[0]["adjClose"] * 4 == days[0]["close"]
    assert list(days[0])[:3] == ["date", "close", "high"]
    (row,) = latest
    assert row["date"] == "2025-11-19T00:00:00+00:00"
    assert list(row) == sorted(row)


async def test_tiingo_shows_the_book_only_to_those_entitled() -> None:
    async with running() as (_, _, client):
        (seen,) = await client.get("tiingo", "/iex/", tickers="brk-b")
        _, (hidden,), _ = await client.ask("tiingo", "/iex/BRK-B", key="tiingo-free")
    quote = VIEWS.last_quote("iex", "BRK.B", NOW)
    assert quote is not None
    assert (seen["ticker"], seen["bidPrice"], seen["askSize"]) == ("BRK-B", quote.bid, quote.ask_size)
    assert seen["quoteTimestamp"].endswith("-05:00")
    assert {hidden[name] for name in ("bidPrice", "askPrice", "last", "quoteTimestamp")} == {None}
    assert list(seen) == list(hidden)


async def test_tiingo_says_in_plain_text_that_the_month_is_used_up() -> None:
    plans = Plans()
    account = plans.add("tiingo", "starter", "free")
    account.monthly_symbols = 1
    async with running(plans=plans) as (_, _, client):
        first = await client.ask("tiingo", "/tiingo/daily/AAPL/prices", key="starter")
        second = await client.ask("tiingo", "/tiingo/daily/IBM/prices", key="starter")
    assert first[0] == second[0] == 200
    assert second[2].content_type == "text/plain"
    assert "run over your 500 symbol look up" in second[1]


async def test_every_vendor_refuses_one_request_too_many() -> None:
    plans = Plans()
    asked: dict[Any, str] = {
        "polygon": "/v2/aggs/ticker/AAPL/prev",
        "alpaca": "/v2/stocks/bars/latest?symbols=AAPL",
        "finnhub": "/quote?symbol=AAPL",
        "tiingo": "/iex/AAPL",
    }
    for vendor in asked:
        plans.add(vendor, "one", rates=[Rate(1, 3600)])
    async with running(plans=plans) as (emulator, _, client):
        for vendor, path in asked.items():
            assert (await client.ask(vendor, path, key="one"))[0] == 200
            status, body, _ = await client.ask(vendor, path, key="one")
            assert status == 429, vendor
            assert list(body) in (["status", "request_id", "error"], ["message"], ["error"], ["detail"])
            assert emulator.log.statuses(vendor) == {200: 1, 429: 1}

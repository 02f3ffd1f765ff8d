"""Answers as users of finnhub pasted them into issues, and what may be wrong with one."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from providers.answers import Answer
from providers.base import BarsRequest
from providers.finnhub.errors import refusal
from providers.finnhub.parse import parse_bidask, parse_candles, parse_last, parse_nbbo
from providers.rows import check_bars
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

#: issue 309: two bars of 60 minutes, at half past as the session is
HOURS = (
    b'{"c":[366.5698,366.19],"h":[367.31,367],"l":[366.21,365.93],"o":[366.95,366.59],"s":"ok",'
    b'"t":[1593714600,1593718200],"v":[2113793,656192]}'
)
#: external-adapters-js
QUOTE = b'{"c":175.43,"d":2.44,"dp":1.4105,"h":175.77,"l":173.11,"o":173.32,"pc":172.99,"t":1636322400}'
BIDASK = b'{"a":250.01,"av":4,"b":249.98,"bv":2,"t":1767628800123}'


def ns(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()) * 1_000_000_000


def candles(**changed: Any) -> bytes:
    return json.dumps({**json.loads(HOURS), **changed}).encode()


def test_candles_column_by_column():
    rows = parse_candles(HOURS, "MSFT", daily=False)
    assert [(r.symbol, r.ts_event, r.open, r.high, r.low, r.close, r.volume) for r in rows] == [
        ("MSFT", ns(2020, 7, 2, 18, 30), 366.95, 367.31, 366.21, 366.5698, 2113793.0),
        ("MSFT", ns(2020, 7, 2, 19, 30), 366.59, 367.0, 365.93, 366.19, 656192.0),
    ]
    assert [(r.vwap, r.trade_count, r.session) for r in rows] == [(None, None, 0)] * 2


def test_the_first_minute_of_a_session_is_its_start():
    # issue 312
    row = parse_candles(candles(t=[1593437400, 1593437460]), "MSFT", daily=False)[0]
    assert row.ts_event == ns(2020, 6, 29, 13, 30)


@pytest.mark.parametrize(
    ("stamp", "session", "midnight"),
    [
        (1325548800, date(2012, 1, 3), ns(2012, 1, 3, 5)),  # issue 439: 00:00 UTC, the evening before there
        (1325601000, date(2012, 1, 3), ns(2012, 1, 3, 5)),  # before 2021: the opening
        (1625011200, date(2021, 6, 30), ns(2021, 6, 30, 4)),  # in summer
    ],
)
def test_a_days_date_is_that_of_utc(stamp: int, session: date, midnight: int):
    body = candles(t=[stamp], o=[2], h=[3], l=[1], c=[2], v=[10])
    (row,) = parse_candles(body, "AAPL", daily=True)
    assert date(1970, 1, 1).toordinal() + row.session == session.toordinal()
    assert row.ts_event == midnight
    check_bars([row], BarsRequest(("AAPL",), "1d", midnight, midnight + 1, "split"), "finnhub")


def test_nothing_is_no_error():
    assert parse_candles(b'{"s":"no_data"}', "AAPL", daily=False) == []


@pytest.mark.parametrize("name", "tohlcv")
def test_columns_are_of_one_length(name: str):
    full = json.loads(HOURS)[name]
    for column in (full[:1], [*full, full[0]], [], None):
        with pytest.raises(Malformed, match=rf"\b{name}\b|times"):
            parse_candles(candles(**{name: column}), "AAPL", daily=False)
    left = {key: value for key, value in json.loads(HOURS).items() if key != name}
    with pytest.raises(Malformed, match=f"{name}: missing"):
        parse_candles(json.dumps(left).encode(), "AAPL", daily=False)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (candles(t=["1593714600", "1593718200"]), "t"),
        (candles(t=[1593714600.5, 1593718200]), "t"),
        (candles(c=["366.5", 366.19]), "c"),
        (candles(o=[None, 366.19]), "o"),
        (candles(s="error"), "s: error"),
        (b'{"x":1}', "missing required field `s`"),
        (b"[]", "array"),
        (b"limit?", "limit"),
    ],
)
def test_what_breaks_the_contract_of_candles(body: bytes, field: str):
    with pytest.raises(Malformed, match=field):
        parse_candles(body, "AAPL", daily=False)


def test_bid_and_ask():
    (row,) = parse_bidask(BIDASK, "AAPL")
    assert (row.symbol, row.ts_event) == ("AAPL", 1767628800123_000_000)
    assert (row.bid, row.bid_size, row.ask, row.ask_size) == (249.98, 2.0, 250.01, 4.0)
    assert (row.bid_venue, row.ask_venue, row.conditions, row.tape, row.seq) == ("", "", "", "", 0)


@pytest.mark.parametrize("nothing", [0, 0.0, None])
def test_a_side_of_price_zero_is_no_side(nothing: float | None):
    (row,) = parse_bidask(json.dumps({**json.loads(BIDASK), "b": nothing, "bv": 0}).encode(), "AAPL")
    assert (row.bid, row.bid_size, row.ask, row.ask_size) == (None, None, 250.01, 4.0)
    assert parse_bidask(json.dumps({"a": nothing, "b": nothing, "t": 0}).encode(), "AAPL") == []


def nbbo(**changed: Any) -> bytes:
    page = {
        "s": "AAPL",
        "skip": 0,
        "count": 2,
        "total": 2,
        "t": [1767628800123, 1767628800123],
        "b": [249.98, 0],
        "bv": [2, 0],
        "bx": ["Q", "P"],
        "a": [250.01, 250.02],
        "av": [4, 5],
        "ax": ["K", "Z"],
        "c": [["R"], ["1", "12"]],
    }
    return json.dumps(page | changed).encode()


def test_a_page_of_quotes():
    page = parse_nbbo(nbbo(), "AAPL")
    assert page.count == 2
    first, second = page.rows
    assert (first.ts_event, first.bid, first.bid_size, first.ask, first.ask_size) == (
        1767628800123_000_000,
        *(249.98, 2.0, 250.01, 4.0),
    )
    assert (first.bid_venue, first.ask_venue, first.conditions) == ("Q", "K", "R")
    assert (second.bid, second.bid_size, second.bid_venue) == (None, None, "")
    assert (second.ask, second.ask_venue, second.conditions) == (250.02, "Z", "1,12")
    assert parse_nbbo(b'{"s":"AAPL","skip":0,"count":0,"total":0}', "AAPL").rows == []


@pytest.mark.parametrize("name", ["t", "b", "bv", "bx", "a", "av", "ax", "c"])
def test_a_page_of_quotes_has_columns_of_one_length(name: str):
    full = json.loads(nbbo())[name]
    for column in (full[:1], None):
        with pytest.raises(Malformed):
            parse_nbbo(nbbo(**{name: column}), "AAPL")


def test_a_page_of_quotes_has_as_many_as_it_says():
    with pytest.raises(Malformed, match="count: 3 for 2"):
        parse_nbbo(nbbo(count=3), "AAPL")


def test_last_trade():
    last = parse_last(QUOTE, "AAPL")
    assert last.ts_event == ns(2021, 11, 7, 22)
    assert (last.price, last.open, last.high, last.low) == (175.43, 173.32, 175.77, 173.11)
    assert last.previous_close == 172.99


@pytest.mark.parametrize("change", [0, None])
def test_a_quote_of_zeros_is_an_unknown_symbol(change: float | None):
    # issues 54 and 363
    body = json.dumps({"c": 0, "d": change, "dp": change, "h": 0, "l": 0, "o": 0, "pc": 0, "t": 0}).encode()
    with pytest.raises(NotFound, match="NOPE"):
        parse_last(body, "NOPE")


REFUSALS = [
    (401, b'{"error":"Invalid API key."}', AuthFailed),
    (401, b'{"error":"Invalid API key"}', AuthFailed),
    (401, b'{"error":"You don\'t have access to this resource."}', EntitlementMissing),
    (403, b'{"error":"You don\'t have access to this resource."}', EntitlementMissing),
    (403, b"", EntitlementMissing),
    (429, b'{"error":"API limit reached. Please try again later. Remaining Limit: 0"}', RateLimited),
    # no key at all: issue 122
    (429, b"API limit reached. Please sign up for a free account to get your API key.", AuthFailed),
    (429, b"", RateLimited),
    (302, b"<html>moved</html>", ProviderAway),
    (502, b"<html>bad gateway</html>", ProviderAway),
    (404, b"", NotFound),
    (422, b'{"error":"Wrong resolution."}', BadRequest),
    (200, b'{"error":"Invalid API key."}', AuthFailed),
    (200, b"hello", Malformed),
]


@pytest.mark.parametrize(("status", "body", "kind"), REFUSALS)
def test_words_count_before_the_status(status: int, body: bytes, kind: type[ProviderError]):
    error = refusal(Answer(status, {}, body), 0)
    assert type(error) is kind
    assert (error.provider, error.status, error.raw) == ("finnhub", status, body)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 60.0),
        ({"Retry-After": "7", "X-RateLimit-Reset": "1767628830"}, 7.0),
        ({"X-RateLimit-Reset": "1767628830"}, 30.0),
        ({"X-RateLimit-Reset": "soon"}, 60.0),
    ],
)
def test_how_long_a_spent_budget_lasts(headers: dict[str, str], seconds: float):
    error = refusal(Answer(429, headers, b""), 1767628800 * 1_000_000_000)
    assert isinstance(error, RateLimited)
    assert (error.retry_after_s, error.scope) == (seconds, "minute")


@pytest.mark.parametrize("body", [b'{"error":"You don\'t have access to this resource."}'])
def test_a_refusal_with_status_200_is_none_of_no_data(body: bytes):
    for parse in (
        lambda: parse_candles(body, "AAPL", daily=True),
        lambda: parse_bidask(body, "AAPL"),
        lambda: parse_nbbo(body, "AAPL"),
        lambda: parse_last(body, "AAPL"),
    ):
        with pytest.raises(EntitlementMissing):
            parse()

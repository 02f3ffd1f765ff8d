from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime
from typing import Any

import pytest

from providers.answers import Answer
from providers.iex.errors import refusal
from providers.iex.parse import parse_daily, parse_intraday, parse_top
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
from schemas.provider import Adjustment

MINUTE = {
    "date": "2026-01-05T14:30:00.000Z",
    "open": 10.0,
    "high": 12.0,
    "low": 9.0,
    "close": 11.0,
    "volume": 230.0,
}
DAY = {
    "date": "2026-01-05T00:00:00.000Z",
    "close": 11.0,
    "high": 12.0,
    "low": 9.0,
    "open": 10.0,
    "volume": 38607.0,
    "adjClose": 5.4,
    "adjHigh": 5.9,
    "adjLow": 4.4,
    "adjOpen": 4.9,
    "adjVolume": 77214,
    "divCash": 0.0,
    "splitFactor": 1.0,
}
TOP = {
    "ticker": "AAPL",
    "timestamp": "2021-11-05T11:54:23.055122029-04:00",
    "quoteTimestamp": "2021-11-05T11:54:23.055122029-04:00",
    "last": 51.27,
    "tngoLast": 51.27,
    "mid": 51.28,
    "bidSize": 100,
    "bidPrice": 51.27,
    "askSize": 200,
    "askPrice": 51.29,
}


def ns(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()) * 1_000_000_000


def body(base: dict[str, Any], *changes: dict[str, Any]) -> bytes:
    return json.dumps([base | change for change in changes]).encode()


def test_minutes():
    (row,) = parse_intraday(body(MINUTE, {}), "AAPL")
    assert (row.symbol, row.ts_event, row.session) == ("AAPL", ns(2026, 1, 5, 14, 30), 0)
    assert (row.open, row.high, row.low, row.close, row.volume) == (10.0, 12.0, 9.0, 11.0, 230.0)
    assert (row.vwap, row.trade_count) == (None, None)
    assert parse_intraday(b"[]", "AAPL") == []


def test_minutes_without_volume_were_asked_for_wrongly():
    without = {key: value for key, value in MINUTE.items() if key != "volume"}
    with pytest.raises(Malformed, match="volume"):
        parse_intraday(json.dumps([without]).encode(), "AAPL")


@pytest.mark.parametrize("spelled", ["2026-01-05T00:00:00.000Z", "2026-01-05T00:00:00+00:00"])
@pytest.mark.parametrize(
    ("adjustment", "values"),
    [
        ("raw", (10.0, 12.0, 9.0, 11.0, 38607.0)),
        ("all", (4.9, 5.9, 4.4, 5.4, 77214.0)),
        ("split", (10.0, 12.0, 9.0, 11.0, 38607.0)),
    ],
)
def test_days(adjustment: Adjustment, values: tuple[float, ...], spelled: str):
    (row,) = parse_daily(body(DAY, {"date": spelled}), "AAPL", adjustment)
    assert (row.open, row.high, row.low, row.close, row.volume) == values
    assert row.ts_event == ns(2026, 1, 5, 5)  # 00:00 in New York
    assert row.session == (date(2026, 1, 5) - date(1970, 1, 1)).days


def test_splits_change_what_lies_before_them():
    """Two for one on the 6th, one for four on the 8th: the 5th counts half a share for two."""
    dates = [f"2026-01-0{day}T00:00:00.000Z" for day in (5, 6, 7, 8)]
    factors = [1.0, 2.0, 1.0, 0.25]
    changes = [{"date": at, "splitFactor": by} for at, by in zip(dates, factors, strict=True)]
    rows = parse_daily(body(DAY, *changes), "AAPL", "split")
    assert [row.session - rows[0].session for row in rows] == [0, 1, 2, 3]
    assert [row.open for row in rows] == [20.0, 40.0, 40.0, 10.0]
    assert [row.close for row in rows] == [22.0, 44.0, 44.0, 11.0]
    assert [row.volume for row in rows] == [38607 / 2, 38607 / 4, 38607 / 4, 38607]
    raw = parse_daily(body(DAY, *changes), "AAPL", "raw")
    assert [row.open for row in raw] == [10.0] * 4


@pytest.mark.parametrize("factor", [0, -2.0, None, math.inf])
def test_a_split_needs_a_factor(factor: float | None):
    text = body(DAY, {"splitFactor": "?"}).replace(b'"?"', b"1e999" if factor == math.inf else b"null")
    if factor is not None and factor != math.inf:
        text = body(DAY, {"splitFactor": factor})
    with pytest.raises(Malformed):
        parse_daily(text, "AAPL", "split")


@pytest.mark.parametrize("name", ["adjOpen", "adjHigh", "adjLow", "adjClose", "adjVolume"])
def test_adjusted_columns_must_be_there(name: str):
    with pytest.raises(Malformed, match="adj columns"):
        parse_daily(body(DAY, {name: None}), "AAPL", "all")


def test_a_days_date_has_no_time():
    with pytest.raises(Malformed, match="00:00 UTC"):
        parse_daily(body(DAY, {"date": "2026-01-05T05:00:00.000Z"}), "AAPL", "raw")


@pytest.mark.parametrize(
    "wrong", [{"date": "yesterday"}, {"date": 1767571200}, {"open": "10"}, {"high": None}, {"date": None}]
)
def test_what_breaks_the_contract_of_bars(wrong: dict[str, Any]):
    with pytest.raises(Malformed):
        parse_daily(body(DAY, wrong), "AAPL", "raw")
    with pytest.raises(Malformed):
        parse_intraday(body(MINUTE, wrong), "AAPL")


def test_top_of_book():
    (row,) = parse_top(body(TOP, {}), ["AAPL"])
    assert row.ts_event == ns(2021, 11, 5, 15, 54) + 23_055_122_029
    assert (row.bid, row.bid_size, row.bid_venue) == (51.27, 100.0, "V")
    assert (row.ask, row.ask_size, row.ask_venue) == (51.29, 200.0, "V")


def test_top_of_book_null_is_no_quote_and_zero_is_no_side():
    after_hours = dict.fromkeys(("quoteTimestamp", "bidPrice", "bidSize", "askPrice", "askSize"))
    assert parse_top(body(TOP, after_hours), ["AAPL"]) == []
    (row,) = parse_top(body(TOP, {"bidPrice": 0.0, "bidSize": 0}), ["AAPL"])
    assert (row.bid, row.bid_size, row.bid_venue, row.ask) == (None, None, "", 51.29)
    assert parse_top(body(TOP, {"bidPrice": 0.0, "askPrice": 0.0}), ["AAPL"]) == []
    with pytest.raises(Malformed, match="quoteTimestamp"):
        parse_top(body(TOP, {"quoteTimestamp": None}), ["AAPL"])


def test_top_of_book_is_put_in_order():
    text = body(TOP, {"ticker": "spy"}, {"ticker": "BRK-B"}, {"ticker": "MSFT"})
    assert [row.symbol for row in parse_top(text, ["BRK.B", "NOPE", "SPY"])] == ["BRK.B", "SPY"]
    with pytest.raises(Malformed, match="twice"):
        parse_top(body(TOP, {}, {"ticker": "aapl"}), ["AAPL"])


HOURLY = (
    b'{"detail":"Error: You have run over your hourly request allocation. Please upgrade at '
    b'https://api.tiingo.com/pricing to have your limits increased."}'
)
MONTHLY = (
    b"You have run over your 500 symbol look up for this month. Please upgrade at https://api.tiingo.com"
)
REFUSALS = [
    (401, b'{"detail":"Please supply a token"}', AuthFailed),
    (403, b'{"detail":"Invalid token."}', AuthFailed),
    (401, b"", AuthFailed),
    (404, b'{"detail":"Not found."}', NotFound),
    (404, b"", NotFound),
    (429, HOURLY, RateLimited),
    (200, MONTHLY, RateLimited),
    (200, b'{"detail":"Not found."}', NotFound),
    (200, b"None", Malformed),
    (200, b'{"bars":[]}', Malformed),
    (403, b'{"detail":"Not authorized for service: iex"}', EntitlementMissing),
    (400, b'{"detail":"Error: resampleFreq"}', BadRequest),
    (500, b"<html>", ProviderAway),
    (302, b"", ProviderAway),
]


@pytest.mark.parametrize(("status", "text", "kind"), REFUSALS)
def test_words_count_before_the_status(status: int, text: bytes, kind: type[ProviderError]):
    error = refusal(Answer(status, {}, text), ns(2026, 1, 5))
    assert type(error) is kind
    assert (error.provider, error.status) == ("iex", status)


@pytest.mark.parametrize(
    ("text", "now", "scope", "seconds"),
    [
        (HOURLY, ns(2026, 1, 5, 14, 59), "hour", 60),
        (HOURLY, ns(2026, 1, 5, 15), "hour", 3_600),
        (b"You have run over your daily request allocation.", ns(2026, 1, 6, 4), "day", 3_600),
        (MONTHLY, ns(2026, 2, 1, 4), "month", 3_600),
        (MONTHLY, ns(2026, 12, 31, 5), "month", 86_400),
        (b"", ns(2026, 1, 5, 14, 30), "hour", 1_800),
    ],
)
def test_quotas_start_anew_on_the_hour_at_midnight_and_with_the_month(
    text: bytes, now: int, scope: str, seconds: float
):
    error = refusal(Answer(429, {}, text), now)
    assert isinstance(error, RateLimited)
    assert (error.scope, error.retry_after_s) == (scope, seconds)


def test_a_header_knows_better_when_to_come_back():
    error = refusal(Answer(429, {"Retry-After": "5"}, HOURLY), ns(2026, 1, 5))
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == 5


@pytest.mark.parametrize("text", [MONTHLY, HOURLY])
def test_a_spent_quota_with_status_200_is_never_an_empty_answer(text: bytes):
    for parse in (
        lambda: parse_intraday(text, "AAPL"),
        lambda: parse_daily(text, "AAPL", "raw"),
        lambda: parse_top(text, ["AAPL"]),
    ):
        with pytest.raises(RateLimited):
            parse()

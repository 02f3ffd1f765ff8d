"""What must hold of every row: each rule alone turns a good answer into a malformed one."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

import msgspec
import pytest

from providers.base import BarRow, BarsRequest, QuoteRow
from providers.rows import check_bars, check_quotes, in_regular_hours, in_window
from providers.sessions import day_of, midnight_ns
from schemas.errors import Malformed

MINUTE = 60_000_000_000
DAY = day_of(date(2026, 1, 5))
#: 09:30 New York
START = midnight_ns(DAY) + 570 * MINUTE
REQUEST = BarsRequest(("AAPL", "MSFT"), "1m", START, START + 10 * MINUTE)


def bar(n: int = 0, symbol: str = "AAPL", **changes: Any) -> BarRow:
    row = BarRow(symbol, START + n * MINUTE, 10.0, 11.0, 9.0, 10.5, 100.5, 10.2, 7)
    return msgspec.structs.replace(row, **changes)


GOOD = [bar(0), bar(1), bar(5), bar(0, "MSFT"), bar(9, "MSFT")]


def test_good_rows_pass():
    check_bars(GOOD, REQUEST, "acme")
    check_bars([], REQUEST, "acme")
    check_bars([bar(vwap=None, trade_count=None, volume=0.0)], REQUEST, "acme")
    check_bars([bar(open=9.0, high=9.0, low=9.0, close=9.0)], REQUEST, "acme")
    # volume-weighted prices may lie outside of what is eligible for high and low
    check_bars([bar(vwap=12.0)], REQUEST, "acme")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"open": math.nan}, "open: nan is no price"),
        ({"high": math.inf}, "high: inf is no price"),
        ({"low": 0.0}, "low: 0.0 is no price"),
        ({"close": -1.0}, "close: -1.0 is no price"),
        ({"vwap": math.nan}, "vwap: nan is no price"),
        ({"low": 10.2}, "low: 10.2 is above open 10.0 or close 10.5"),
        ({"high": 10.2}, "high: 10.2 is below open 10.0 or close 10.5"),
        ({"volume": -1.0}, "volume: -1.0"),
        ({"volume": math.nan}, "volume: nan"),
        ({"trade_count": -1}, "trade_count: -1"),
        ({"trade_count": 2**63}, "trade_count: 9223372036854775808"),
        ({"ts_event": START + MINUTE + 1}, "does not start a bar of 1m"),
        ({"ts_event": START + 10 * MINUTE}, "is outside"),
        ({"ts_event": START - MINUTE}, "is outside"),
        ({"ts_event": START}, "twice"),
    ],
    ids=str,
)
def test_a_bad_row_is_named_with_its_field(changes: dict[str, Any], said: str):
    rows = [bar(0), bar(1, **changes), bar(0, "MSFT")]
    with pytest.raises(Malformed) as refused:
        check_bars(rows, REQUEST, "acme")
    assert str(refused.value).startswith("acme: AAPL row 1: ")
    assert said in str(refused.value)


def test_time_goes_forwards():
    with pytest.raises(Malformed, match=r"AAPL row 1: ts_event: .* after"):
        check_bars([bar(5), bar(1)], REQUEST, "acme")


def test_a_day_begins_at_midnight_in_new_york():
    # the clocks go forward on 8 March
    days = [day_of(date(2026, 3, d)) for d in (6, 9)]
    request = BarsRequest(("AAPL",), "1d", midnight_ns(days[0]), midnight_ns(days[1] + 1))
    rows = [bar(ts_event=midnight_ns(day), session=day) for day in days]
    check_bars(rows, request, "acme")
    for wrong in (
        msgspec.structs.replace(rows[1], ts_event=rows[1].ts_event + 60 * MINUTE),
        msgspec.structs.replace(rows[1], session=days[1] - 1),
        msgspec.structs.replace(rows[1], session=0),
    ):
        with pytest.raises(Malformed, match="AAPL row 1"):
            check_bars([rows[0], wrong], request, "acme")


def test_what_a_vendor_snaps_outward_is_dropped_and_what_is_further_off_is_told():
    rows = [bar(n) for n in (-1, 0, 9, 10)]
    kept = in_window(rows, "1m", START + 30_000_000_000, START + 10 * MINUTE)
    assert [(r.ts_event - START) // MINUTE for r in kept] == [-1, 9]
    with pytest.raises(Malformed, match="is outside"):
        check_bars(kept, REQUEST, "acme")


def test_regular_hours_on_both_sides_of_a_change_of_the_clocks():
    for day in (date(2026, 3, 6), date(2026, 3, 9), date(2026, 10, 30), date(2026, 11, 2)):
        midnight = midnight_ns(day_of(day))
        rows = [bar(ts_event=midnight + minute * MINUTE) for minute in (569, 570, 959, 960)]
        kept = [(r.ts_event - midnight) // MINUTE for r in in_regular_hours(rows)]
        assert kept == [570, 959], day


def quote(**changes: Any) -> QuoteRow:
    return msgspec.structs.replace(QuoteRow("AAPL", START, 10.0, 100.0, 10.1, 200.0, seq=1), **changes)


def test_quotes_that_are_odd_and_right():
    check_quotes(
        [
            quote(),
            quote(bid=10.2, seq=2),  # crossed
            quote(bid=10.1, seq=3),  # locked
            quote(bid=None, bid_size=None, seq=4),
            quote(ask_size=0.0, seq=5),
            quote(ts_event=START + 1, seq=1),
        ],
        (START, START + 10),
        "acme",
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"bid": 0.0},
        {"ask": math.nan},
        {"bid_size": -1.0},
        {"bid": None},
        {"ts_event": START + 10},
        {"ts_event": START - 1},
        {"seq": 1},
    ],
    ids=str,
)
def test_a_bad_quote_is_named(changes: dict[str, Any]):
    with pytest.raises(Malformed, match="acme: AAPL row 1: "):
        check_quotes([quote(), quote(**{"seq": 2} | changes)], (START, START + 10), "acme")

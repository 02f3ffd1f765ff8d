"""The truth: seeded, the same in any order of asking, with everything out of the ordinary in it."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import pytest

from sandbox.market.calendar import sessions
from sandbox.market.conditions import Sale
from sandbox.market.features import census, features
from sandbox.market.market import Market

DAY, LATER = date(2025, 11, 12), date(2025, 11, 18)
SYMBOLS = ("AAPL", "BRK.B", "BA")


def test_one_seed_is_one_market_whatever_is_asked_first() -> None:
    one, other = Market(seed=3), Market(seed=3)
    late_first = other.trades("BA", LATER), other.quotes("AAPL", DAY), other.trades("AAPL", DAY)
    assert (one.trades("AAPL", DAY), one.quotes("AAPL", DAY)) == (late_first[2], late_first[1])
    assert one.trades("BA", LATER) == late_first[0]
    assert one.amendments("AAPL", DAY) == other.amendments("AAPL", DAY)


def test_forgetting_changes_nothing() -> None:
    small = Market(seed=3, keep=1)
    first = list(small.trades("AAPL", DAY))
    small.trades("BA", DAY)
    assert small.trades("AAPL", DAY) == first


def test_another_seed_is_another_market() -> None:
    assert Market(seed=3).trades("AAPL", DAY) != Market(seed=4).trades("AAPL", DAY)


def test_more_symbols_change_nothing_about_the_first_ones() -> None:
    assert Market(symbols=8).trades("AAPL", DAY) == Market(symbols=500).trades("AAPL", DAY)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_trades_are_in_order_on_the_grid_and_within_the_session(symbol: str) -> None:
    market = Market()
    session = market.session(DAY)
    assert session is not None
    trades = market.trades(symbol, DAY)
    assert all(before.ts_ns < after.ts_ns for before, after in pairwise(trades))
    assert all(session.pre_ns <= t.ts_ns < session.post_ns and t.arrival_ns >= t.ts_ns for t in trades)
    assert all(t.price > 0 and t.size > 0 and round(t.price * 10_000, 6) % 1 == 0 for t in trades)
    published = sorted(trades, key=lambda t: t.arrival_ns)
    assert [t.trade_id for t in published] == list(range(1, len(trades) + 1))
    assert all(before.seq < after.seq for before, after in pairwise(published))


@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize("day", [DAY, date(2025, 11, 28)])
def test_every_session_has_nearly_everything(symbol: str, day: date) -> None:
    found = census(Market(), symbol, day)
    expected = {"missing_minute", "ineligible_minute", "fractional", "odd_lot", "opening_cross"}
    expected |= {"closing_cross", "official_close", "late_print", "correction", "bust"}
    expected |= {"one_sided", "locked", "crossed", "zero_size"}
    assert expected <= {kind for kind, count in found.items() if count}


def test_the_market_has_splits_halts_a_half_day_and_both_changes_of_clocks() -> None:
    found = features(Market())
    assert {(f.kind, f.symbol, f.day) for f in found if f.kind in ("split", "dividend")} == {
        ("split", "TSLA", date(2025, 11, 17)),
        ("split", "F", date(2025, 12, 10)),
        ("dividend", "MSFT", date(2025, 11, 20)),
    }
    assert [f.day for f in found if f.kind == "half_day"] == [date(2025, 11, 28), date(2025, 12, 24)]
    assert [f.day for f in found if f.kind == "dst_change"] == [date(2025, 11, 3), date(2026, 3, 9)]
    assert len({f.symbol for f in found if f.kind == "halt"}) == 20


def test_nothing_trades_or_is_quoted_while_halted() -> None:
    market = Market()
    halt = next(f for f in features(market) if f.kind == "halt")
    events = market.disturbance(halt.symbol, halt.day)
    assert events.halt is not None
    start, end = events.halt
    assert not [t for t in market.trades(halt.symbol, halt.day) if start <= t.ts_ns < end]
    assert not [q for q in market.quotes(halt.symbol, halt.day) if start <= q.ts_ns < end]
    resumed = next(t for t in market.trades(halt.symbol, halt.day) if t.ts_ns >= end)
    assert Sale.REOPENING in resumed.sales


def test_a_split_divides_the_price() -> None:
    market = Market()
    (split,) = market.splits_of("TSLA")
    before = market.previous_session(split.day)
    assert before is not None
    last = next(t for t in reversed(market.trades("TSLA", before.day)) if Sale.CLOSING in t.sales)
    first = next(t for t in market.trades("TSLA", split.day) if Sale.OPENING in t.sales)
    assert last.price / first.price == pytest.approx(4, rel=0.15)


def test_closes_chain() -> None:
    market = Market()
    days = sessions(DAY, LATER)
    for before, after in pairwise(days):
        cross = next(t for t in market.trades("IBM", before.day) if Sale.CLOSING in t.sales)
        assert cross.price == pytest.approx(market.previous_close("IBM", after.day), abs=0.011)

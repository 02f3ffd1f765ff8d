"""Bars: what each condition counts for, one trade at a time, and which bucket a trade is in."""

from __future__ import annotations

import pytest

from sandbox.market.bar_rule import ALPACA_IEX, ALPACA_SIP, POLYGON, TIINGO_IEX, day_bar, minute_bars
from sandbox.market.calendar import MINUTE_NS, SECOND_NS
from sandbox.market.conditions import Sale
from sandbox.market.records import Trade

START = 1_762_957_860 * SECOND_NS

ALL, NOT_LAST, VOLUME, NOTHING = "oc hl v", "hl v", "v", ""
#: written from the published table and the rule, not from the code
EXPECTED = {
    Sale.REGULAR: ALL,
    Sale.SWEEP: ALL,
    Sale.CROSS: ALL,
    Sale.OPENING: ALL,
    Sale.REOPENING: ALL,
    Sale.CLOSING: ALL,
    Sale.EXTENDED: ALL,
    Sale.ODD_LOT: VOLUME,
    Sale.DERIVATIVE: NOT_LAST,
    Sale.PRIOR_REFERENCE: NOT_LAST,
    Sale.OUT_OF_SEQUENCE: NOT_LAST,
    Sale.AVERAGE_PRICE: VOLUME,
    Sale.CASH: VOLUME,
    Sale.NEXT_DAY: VOLUME,
    Sale.SELLER: VOLUME,
    Sale.CONTINGENT: VOLUME,
    Sale.OFFICIAL_OPEN: NOTHING,
    Sale.OFFICIAL_CLOSE: NOTHING,
}


def trade(
    at: int, price: float, *sales: Sale, size: float = 100.0, venue: str = "Q", ident: int = 1
) -> Trade:
    return Trade("X", START + at, START + at, price, size, venue, sales or (Sale.REGULAR,), ident, ident)


def test_every_condition_has_an_expectation() -> None:
    assert set(EXPECTED) == set(Sale)


@pytest.mark.parametrize("sale", Sale)
def test_what_a_condition_counts_for(sale: Sale) -> None:
    around = [trade(0, 10.0), trade(2, 11.0, sale, size=7.0), trade(3, 10.0)]
    (bar,) = minute_bars(around, POLYGON)
    last = minute_bars(around[:2], POLYGON)[0]
    counts = EXPECTED[sale]
    assert (bar.high == 11.0) is ("hl" in counts)
    assert (last.close == 11.0) is ("oc" in counts)
    assert bar.volume == (207.0 if "v" in counts else 200.0)
    assert bar.count == (3 if "v" in counts else 2)


@pytest.mark.parametrize("sale", Sale)
def test_alone_in_a_minute(sale: Sale) -> None:
    assert bool(minute_bars([trade(5, 10.0, sale)], POLYGON)) is ("oc" in EXPECTED[sale])


def test_one_excluded_condition_is_enough() -> None:
    assert not minute_bars([trade(0, 10.0, Sale.SWEEP, Sale.ODD_LOT)], POLYGON)


def test_a_trade_on_the_minute_is_in_the_bar_that_starts_there() -> None:
    bars = minute_bars([trade(MINUTE_NS - 1, 10.0), trade(MINUTE_NS, 11.0)], POLYGON)
    assert [(bar.ts_ns, bar.close) for bar in bars] == [(START, 10.0), (START + MINUTE_NS, 11.0)]


def test_extended_hours_price_minutes_but_only_add_volume_to_the_day() -> None:
    found = [trade(0, 9.0, Sale.EXTENDED), trade(MINUTE_NS, 10.0), trade(2 * MINUTE_NS, 12.0, Sale.EXTENDED)]
    assert [bar.close for bar in minute_bars(found, POLYGON)] == [9.0, 10.0, 12.0]
    day = day_bar(found, POLYGON, START)
    assert day is not None
    assert (day.open, day.high, day.low, day.close, day.volume) == (10.0, 10.0, 10.0, 10.0, 300.0)


def test_fractions_are_kept_by_polygon_and_whole_shares_by_alpaca() -> None:
    found = [trade(0, 10.0), trade(1, 10.0, size=0.25), trade(2, 10.0, size=2.75)]
    assert minute_bars(found, POLYGON)[0].volume == 103.0
    assert minute_bars(found, ALPACA_SIP)[0].volume == 103.0  # 100 + 1 + 2
    assert minute_bars(found[:2], POLYGON)[0].volume == 100.25
    assert minute_bars(found[:2], ALPACA_SIP)[0].volume == 101.0


def test_iex_alone_and_its_odd_lots() -> None:
    found = [trade(0, 10.0, venue="V"), trade(1, 11.0), trade(2, 12.0, Sale.REGULAR, Sale.ODD_LOT, venue="V")]
    assert (minute_bars(found, ALPACA_IEX)[0].high, minute_bars(found, TIINGO_IEX)[0].high) == (10.0, 12.0)

"""The second fold: by hand, against the first one, and able to tell a difference."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.candles import Book, Patience
from sandbox.demo.tally import MINUTE_NS, TOLD_IN_FULL, Candle, Tally
from schemas.trade import Trade

START = 1_700_000_040_000_000_000 - 1_700_000_040_000_000_000 % MINUTE_NS


def trade(symbol: str, after_s: float, price: float, size: float = 100.0) -> Trade:
    return Trade(symbol, START + round(after_s * 1e9), price, size, "sim", "demo")


def tallied(*trades: Trade) -> Tally:
    tally = Tally()
    for one in trades:
        tally.add(one)
    return tally


def test_by_hand() -> None:
    tally = tallied(
        trade("A", 10, 5.0),
        trade("A", 5, 4.0),
        trade("A", 59.999999999, 6.0),
        trade("A", 20, 9.0, 1.0),
        trade("A", 30, 1.0),
        trade("A", 60, 7.0),
        trade("B", 0, 2.0),
    )
    assert tally.trades == 7
    assert not tally.differences(
        [
            Candle("A", START, 4.0, 9.0, 1.0, 6.0, 401.0, 5),
            Candle("A", START + MINUTE_NS, 7.0, 7.0, 7.0, 7.0, 100.0, 1),
            Candle("B", START, 2.0, 2.0, 2.0, 2.0, 100.0, 1),
        ]
    )


def test_of_trades_at_one_time_the_first_opens_and_the_last_closes() -> None:
    tally = tallied(trade("A", 1, 5.0), trade("A", 1, 6.0), trade("A", 1, 4.0))
    assert not tally.differences([Candle("A", START, 5.0, 6.0, 4.0, 4.0, 300.0, 3)])


@given(
    st.lists(
        st.tuples(st.sampled_from("ABC"), st.integers(0, 200), st.integers(1, 9), st.integers(1, 5)),
        max_size=60,
    )
)
def test_it_agrees_with_the_worker_s_fold(drawn: list[tuple[str, int, int, int]]) -> None:
    trades = [trade(symbol, at, float(price), float(size)) for symbol, at, price, size in drawn]
    # everything is in time: bars close at the very end
    book = Book(Patience(lateness_ns=10 * MINUTE_NS))
    folded = book.fold([*trades, trade("END", 3600, 1.0)], 0)
    candles = [
        Candle(b.symbol, b.ts_event, b.open, b.high, b.low, b.close, b.volume, b.trade_count)
        for b in folded.bars
    ]
    assert not tallied(*trades).differences(candles)


GOOD = Candle("A", START, 4.0, 6.0, 3.0, 5.0, 400.0, 4)


@pytest.mark.parametrize(
    "change",
    [
        {"open": 4.01}, {"high": 7.0}, {"low": 2.0}, {"close": 5.01}, {"volume": 399.0}, {"trades": 3},
        {"symbol": "B"}, {"minute_ns": START + MINUTE_NS},
    ],
    ids=str,
)  # fmt: skip
def test_every_field_is_compared(change: dict[str, Any]) -> None:
    tally = tallied(trade("A", 1, 4.0), trade("A", 2, 6.0), trade("A", 3, 3.0), trade("A", 4, 5.0))
    assert not tally.differences([GOOD])
    assert tally.differences([replace(GOOD, **change)])


def test_what_is_missing_and_what_should_not_be_there_is_told_but_not_endlessly() -> None:
    minutes = list(range(TOLD_IN_FULL + 3))
    random.Random(1).shuffle(minutes)
    tally = tallied(*(trade("A", 60.0 * m, 4.0) for m in minutes))
    told = tally.differences([])
    assert len(told) == TOLD_IN_FULL + 1
    assert told[0].startswith("not stored: ")
    assert told[-1] == "... and 3 more candles"
    assert "should be nothing" in Tally().differences([GOOD])[0]
    assert len(tallied(trade("A", 1, 4.0)).differences([GOOD, GOOD])) == 2

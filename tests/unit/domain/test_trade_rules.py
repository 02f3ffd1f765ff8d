"""Rules are data with a name that candles carry."""

from __future__ import annotations

import re

from domain.candles import Book
from domain.trade_rules import ALL_TRADES, RULES
from tests.unit.domain.tape import PATIENCE, a_clock, a_trade, play


def test_names_have_a_version_and_are_the_keys() -> None:
    assert RULES[ALL_TRADES.name] is ALL_TRADES
    for name, rule in RULES.items():
        assert rule.name == name
        assert re.fullmatch(r"[a-z_]+\.v[1-9][0-9]*", name)
        assert rule.summary


def test_a_bar_carries_the_rule_that_made_it() -> None:
    (bar,) = play(Book(PATIENCE), [a_trade(1), a_clock(62)]).bars
    assert bar.rule in RULES


def test_all_trades_count_for_everything_whatever_their_conditions() -> None:
    conditions = ("", "@", "I", "Z", "U", "4")
    tape = [a_trade(i, 10.0 + i, conditions=c) for i, c in enumerate(conditions)]
    (bar,) = play(Book(PATIENCE), [*tape, a_clock(62)]).bars
    assert (bar.open, bar.high, bar.low, bar.close) == (10.0, 15.0, 10.0, 15.0)
    assert (bar.volume, bar.trade_count) == (6.0, 6)

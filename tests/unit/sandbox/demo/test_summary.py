"""The closing summary: what it calls right, and everything it must not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandbox.demo.readings import Readings
from sandbox.demo.summary import Summary

END = Readings(
    newest=[], revised=[], candles=300, candles_revised=4, trades_in_candles=7_992, waiting=0, dropped=0,
    lost=0, dead_letters=8, page=None,
)  # fmt: skip
RIGHT = Summary(4.31, 8_000, 8, END, [])


def test_right() -> None:
    assert RIGHT.exit_code == 0
    assert not RIGHT.problems
    text = "\n".join(RIGHT.lines())
    assert "first candle   after 4.3 s" in text
    assert "every trade accounted for: 8,000 sent = 7,992 stored + 8 dead-lettered" in text
    assert "NOT RIGHT" not in text


@pytest.mark.parametrize(
    ("summary", "says"),
    [
        (replace(RIGHT, readings=replace(END, trades_in_candles=7_991)), "1 of 8,000 trades are missing"),
        (
            replace(RIGHT, readings=replace(END, trades_in_candles=7_993)),
            "1 of 8,000 trades are counted twice",
        ),
        # one good trade dead-lettered, in sum all are there
        (
            replace(RIGHT, readings=replace(END, trades_in_candles=7_991, dead_letters=9)),
            "9 dead letters, but 8",
        ),
        (replace(RIGHT, readings=replace(END, waiting=3)), "3 records wait"),
        (replace(RIGHT, readings=replace(END, dropped=9, lost=5)), "LOST: the broker dropped 5"),
        (replace(RIGHT, differences=["stored is this, and should be that"]), "should be that"),
    ],
)
def test_not_right(summary: Summary, says: str) -> None:
    assert summary.exit_code == 1
    assert any(says in problem for problem in summary.problems)
    text = "\n".join(summary.lines())
    assert says in text
    assert "accounted for" not in text


def test_what_the_broker_dropped_after_it_was_stored_is_said_and_is_right() -> None:
    summary = replace(RIGHT, readings=replace(END, dropped=1_234))
    assert summary.exit_code == 0
    assert "dropped 1,234 records so far; all of them were stored before" in "\n".join(summary.lines())


def test_without_a_candle_it_says_so() -> None:
    readings = replace(END, candles=0, trades_in_candles=0, dead_letters=0)
    summary = Summary(None, 0, 0, readings, [])
    assert summary.exit_code == 0
    assert summary.lines()[0] == "first candle   none"

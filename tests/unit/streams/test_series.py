"""Which of the bars that a vendor served count, and where it served nothing."""

from __future__ import annotations

from datetime import date, time

import pytest

from providers.sessions import midnight_ns
from sandbox.market.calendar import day_of, instant_ns
from schemas.provider import Adjustment, Interval
from sinks.reconciliation import Group, StoredBar
from streams.series import FILLED_NS, SETTLED_NS, Series, series_of

DAY, NEXT = date(2025, 11, 13), date(2025, 11, 14)
MINUTE = 60_000_000_000


def at(hour: int, minute: int = 0, day: date = DAY) -> int:
    return instant_ns(day, time(hour, minute))


def series(interval: Interval = "1m", adjustment: Adjustment = "raw") -> Series:
    return Series("polygon", "AAPL", interval, adjustment, "consolidated")


def bar(ts: int, as_of: int | None, provider: str = "polygon", coverage: str = "consolidated") -> StoredBar:
    return StoredBar(ts, 1.0, 1.0, 1.0, 1.0, 100.0, 1, provider, coverage, as_of)


def test_a_bar_counts_once_it_was_full_when_asked_for_and_is_settled_now() -> None:
    one, end = series(), at(10, 1)
    now = end + SETTLED_NS
    assert one.counts(at(10), end + FILLED_NS, now)
    assert not one.counts(at(10), end + FILLED_NS - 1, now)
    assert not one.counts(at(10), end + FILLED_NS, now - 1)


def test_a_day_counts_once_it_was_official() -> None:
    one, start = series("1d"), midnight_ns((DAY - date(1970, 1, 1)).days)
    official = at(20, 15)
    assert one.counts(start, official, official + SETTLED_NS)
    assert not one.counts(start, official - 1, at(12, day=NEXT))
    assert not one.counts(start, official, official + SETTLED_NS - 1)


@pytest.mark.parametrize(("adjustment", "counts"), [("raw", True), ("split", False), ("all", False)])
def test_adjusted_bars_count_on_the_day_on_which_they_were_asked_for(
    adjustment: Adjustment, counts: bool
) -> None:
    one = series(adjustment=adjustment)
    assert one.counts(at(10), at(12), at(13))
    assert one.counts(at(10), at(12), at(9, day=NEXT)) is counts


def test_an_hour_with_minutes_of_before_the_opening_does_not_count() -> None:
    hours = series("1h")
    assert [hour for hour in range(7, 12) if hours.counts(at(hour), at(15), at(16))] == [7, 8, 10, 11]
    halves = series("30m")
    assert halves.counts(at(9, 30), at(15), at(16))
    assert halves.counts(at(9), at(15), at(16))


def test_what_lies_between_two_bars_of_one_answer_was_asked_for() -> None:
    asked, later = at(12), at(12, 5)
    rows = [
        bar(at(10), asked),
        bar(at(10, 1), asked),
        # a hole
        bar(at(10, 4), asked),
        # somebody else has a bar: it may have had one
        bar(at(10, 6), asked, provider="alpaca"),
        bar(at(10, 8), asked),
        # another answer: perhaps nobody asked for what lies between
        bar(at(10, 12), later),
        # folded from trades
        bar(at(10, 14), None),
        bar(at(10, 15), later, coverage="iex"),
        bar(at(10, 18), later),
        bar(at(10, 20), later),
    ]
    served, holes, last = series().served(rows, 0, at(13))
    assert [(ts - at(10)) // MINUTE for ts in sorted(served)] == [0, 1, 4, 8, 12, 18, 20]
    assert [((a - at(10)) // MINUTE, (b - at(10)) // MINUTE) for a, b in holes] == [(2, 4), (19, 20)]
    assert last == later
    # what was served until then has been held against it
    served, holes, _ = series().served(rows, asked, at(13))
    assert [(ts - at(10)) // MINUTE for ts in sorted(served)] == [12, 18, 20]
    assert len(holes) == 1
    assert series().served(rows, later, at(13)) == ({}, [], 0)


def test_a_stored_group_has_its_series() -> None:
    group = Group("iex", "BRK.B", "5m", "raw", "iex", 20_000, 1, 2, 3)
    assert series_of(group) == Series("iex", "BRK.B", "5m", "raw", "iex")
    assert series_of(group).step_ns == 5 * MINUTE
    assert day_of(at(10)) == DAY

"""Sessions: hours by New York's clocks, holidays, half days, changes of clocks."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from sandbox.market.calendar import MINUTE_NS, day_of, midnight_ns, session, sessions


def utc(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat()


@pytest.mark.parametrize(
    ("day", "opens", "closes"),
    [
        ("2025-10-31", "13:30", "20:00"),  # summer time
        ("2025-11-03", "14:30", "21:00"),  # the first session after it
        ("2026-03-06", "14:30", "21:00"),
        ("2026-03-09", "13:30", "20:00"),
        ("2025-11-28", "14:30", "18:00"),  # the day after Thanksgiving
        ("2025-12-24", "14:30", "18:00"),
    ],
)
def test_hours_are_those_of_new_york(day: str, opens: str, closes: str) -> None:
    found = session(date.fromisoformat(day))
    assert found is not None
    assert utc(found.open_ns) == f"{day}T{opens}:00+00:00"
    assert utc(found.close_ns) == f"{day}T{closes}:00+00:00"


def test_a_half_day_has_210_regular_minutes() -> None:
    half = session(date(2025, 11, 28))
    assert half is not None
    assert half.half
    assert (half.close_ns - half.open_ns) // MINUTE_NS == 210


@pytest.mark.parametrize("day", ["2025-11-27", "2025-12-25", "2026-04-03", "2026-07-03", "2025-11-15"])
def test_closed_on_holidays_and_weekends(day: str) -> None:
    assert session(date.fromisoformat(day)) is None


@pytest.mark.parametrize(("year", "count"), [(2025, 250), (2026, 251), (2027, 251)])
def test_a_year_has_as_many_sessions_as_published(year: int, count: int) -> None:
    assert len(sessions(date(year, 1, 1), date(year, 12, 31))) == count


@pytest.mark.parametrize(("day", "offset"), [("2025-11-02", 4), ("2025-11-03", 5)])
def test_midnight_is_new_yorks(day: str, offset: int) -> None:
    at = midnight_ns(date.fromisoformat(day))
    assert utc(at) == f"{day}T0{offset}:00:00+00:00"
    assert day_of(at).isoformat() == day
    assert day_of(at - 1) < day_of(at)

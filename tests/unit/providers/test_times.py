"""Moments and sessions: RFC 3339 to the nanosecond, and the dates of New York."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from providers.lots import SHARES_SINCE_NS, side
from providers.rfc3339 import from_ns, to_ns
from providers.sessions import NEW_YORK, date_of, day_of, midnight_ns, session_of
from schemas.base import EARLIEST_NS, LATEST_NS

DATES = st.dates(date(1990, 1, 2), date(2099, 12, 30))


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2022-01-03T09:00:00Z", 1_641_200_400_000_000_000),
        ("2021-02-06T13:35:08.946977536Z", 1_612_618_508_946_977_536),
        ("2021-11-05T11:54:23.055122029-04:00", 1_636_127_663_055_122_029),
        ("2018-01-02T14:30:00.000Z", 1_514_903_400_000_000_000),
        ("2015-01-02T00:00:00+00:00", 1_420_156_800_000_000_000),
        ("2021-10-11T23:59:58.5+05:30", 1_633_976_998_500_000_000),
    ],
)
def test_a_moment(text: str, ns: int):
    assert to_ns(text) == ns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2022-01-03",
        "2022-01-03T09:00:00",
        "2022-01-03 09:00:00Z",
        "2022-01-03T09:00Z",
        "2022-02-30T09:00:00Z",
        "2022-01-03T24:00:00Z",
        "2022-01-03T09:00:00.Z",
        "2022-01-03T09:00:00.1234567890Z",
        "2022-01-03T09:00:00.12x4Z",
        "2022-01-03T09:00:00+0400",
        "2022-01-03T09:00:00z",
        "٢٠٢٢-01-03T09:00:00Z",
    ],
)
def test_what_is_no_moment(text: str):
    with pytest.raises(ValueError, match=r"\S"):
        to_ns(text)


@given(st.integers(EARLIEST_NS, LATEST_NS - 1))
def test_a_moment_comes_back(ns: int):
    assert to_ns(from_ns(ns)) == ns


@given(DATES)
def test_a_session_begins_at_midnight_and_ends_at_the_next(day: date):
    begin, end = midnight_ns(day_of(day)), midnight_ns(day_of(day) + 1)
    local = datetime.fromtimestamp(begin // 1_000_000_000, NEW_YORK)
    assert (local.date(), local.hour, local.minute) == (day, 0, 0)
    assert 23 <= (end - begin) / 3_600_000_000_000 <= 25
    for ns in (begin, begin + 1, end - 1):
        assert date_of(session_of(ns)) == day
    assert date_of(session_of(begin - 1)) == day - timedelta(days=1)


@given(st.integers(-(10**30), 10**30))
@example((date.min - date(1970, 1, 1)).days * 86_400_000_000_000)
@example((date.max - date(1970, 1, 1)).days * 86_400_000_000_000)
def test_a_moment_beyond_any_calendar_is_left_to_the_checks_of_rows(ns: int):
    day = session_of(ns)
    assert midnight_ns(day) <= ns < midnight_ns(day + 1)


def test_sizes_are_round_lots_until_the_third_of_november_2025():
    change = int(datetime(2025, 11, 3, 5, tzinfo=UTC).timestamp()) * 1_000_000_000
    assert change == SHARES_SINCE_NS
    assert side(10.0, 3, change - 1) == (10.0, 300)
    assert side(10.0, 300, change) == (10.0, 300)
    for nobody in (0, 0.0, None):
        assert side(nobody, 5, change) == (None, None)
    assert side(10.0, None, change) == (10.0, None)

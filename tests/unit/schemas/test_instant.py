"""Times that people write: one form, one meaning."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schemas.base import EARLIEST_NS, LATEST_NS
from schemas.instant import EARLIEST, INSTANT, LATEST, Instant, nanos

INSTANTS: TypeAdapter[datetime] = TypeAdapter(Instant)
NEW_YORK = ZoneInfo("America/New_York")
OPEN = datetime(2025, 1, 6, 14, 30, tzinfo=UTC)


def from_json(text: str) -> datetime:
    return INSTANTS.validate_json(f'"{text}"', strict=True)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2025-01-06T14:30:00Z", OPEN),
        ("2025-01-06T14:30Z", OPEN),
        ("2025-01-06t14:30:00z", OPEN),
        ("2025-01-06T09:30:00-05:00", OPEN),
        ("2025-01-06T20:00:00+05:30", OPEN),
        ("2025-01-06T14:30:00-00:00", OPEN),
        ("2025-01-06T14:30:00.5Z", OPEN + timedelta(milliseconds=500)),
        ("2025-01-06T14:30:00.000001Z", OPEN + timedelta(microseconds=1)),
        # cut, not rounded: windows that join keep joining
        ("2025-01-06T14:30:00.000001999Z", OPEN + timedelta(microseconds=1)),
        ("1989-12-31T23:00:00-01:00", EARLIEST),
    ],
)
def test_reads(text: str, instant: datetime) -> None:
    for found in (from_json(text), INSTANTS.validate_python(text, strict=True)):
        assert found == instant
        assert found.tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2025-01-06T14:30:00", "a time with its zone"),
        ("2025-01-06T14:30", "a time with its zone"),
        ("2025-01-06", "ISO 8601"),
        ("1736173800", "ISO 8601"),
        ("1736173800.5", "ISO 8601"),
        ("-1", "ISO 8601"),
        ("", "ISO 8601"),
        ("now", "ISO 8601"),
        ("2025-01-06 14:30:00Z", "ISO 8601"),
        ("2025-01-06_14:30:00Z", "ISO 8601"),
        (" 2025-01-06T14:30:00Z", "ISO 8601"),
        ("2025-01-06T14:30:00Z\\n", "ISO 8601"),
        ("2025-01-06T14:30:00,5Z", "ISO 8601"),
        ("2025-01-06T14:30:00.0000000001Z", "ISO 8601"),
        ("20250106T143000Z", "ISO 8601"),
        ("2025-W02-1T14:30:00Z", "ISO 8601"),
        ("2025-01-06T14:30:00-0500", "ISO 8601"),
        ("2025-01-06T14:30:00+24:00", "ISO 8601"),
        ("2025-01-06T14:30:00+00:00[UTC]", "ISO 8601"),
        ("2025-01-06T14:30:00 America/New_York", "ISO 8601"),
        ("\\uff12\\uff10\\uff12\\uff15-01-06T14:30:00Z", "ISO 8601"),
        ("2025-01-06T14:30:00\\u221205:00", "ISO 8601"),
        ("2025-02-29T00:00:00Z", "a time that exists"),
        ("2025-13-01T00:00:00Z", "a time that exists"),
        ("2025-01-06T24:00:00Z", "a time that exists"),
        ("2025-01-06T14:30:60Z", "a time that exists"),
        ("0000-01-01T00:00:00Z", "a time that exists"),
        ("1989-12-31T23:59:59.999999Z", "from 1990 to 2099"),
        ("2100-01-01T00:00:00Z", "from 1990 to 2099"),
        ("2099-12-31T23:00:00-01:00", "from 1990 to 2099"),
        ("0001-01-01T00:00:00+14:00", "from 1990 to 2099"),
        ("9999-12-31T23:59:59-14:00", "from 1990 to 2099"),
    ],
)
def test_refuses(text: str, said: str) -> None:
    with pytest.raises(ValidationError, match=rf"Input should be {said}"):
        from_json(text)


@pytest.mark.parametrize(
    "value", ["1736173800", "1736173800.5", "1e9", "true", "null", "[]", "{}", "NaN", "1e400", "9" * 400]
)
def test_only_text_is_a_time(value: str) -> None:
    with pytest.raises(ValidationError, match="Input should be ISO 8601 with a zone"):
        INSTANTS.validate_json(value, strict=True)


@pytest.mark.parametrize("value", [1_736_173_800, 1.5, True, None, date(2025, 1, 6), b"2025-01-06T14:30:00Z"])
def test_only_text_and_datetimes_in_python(value: Any) -> None:
    with pytest.raises(ValidationError, match="Input should be ISO 8601 with a zone"):
        INSTANTS.validate_python(value, strict=True)


def test_naive_datetimes_are_refused() -> None:
    with pytest.raises(ValidationError, match="this one is naive"):
        INSTANTS.validate_python(OPEN.replace(tzinfo=None), strict=True)


def test_the_hour_that_comes_twice() -> None:
    """In New York, 2025-11-02 01:30 is twice; Python calls such a time unequal to itself in UTC."""
    first, second = (datetime(2025, 11, 2, 1, 30, fold=fold, tzinfo=NEW_YORK) for fold in (0, 1))
    in_utc = [INSTANTS.validate_python(time, strict=True) for time in (first, second)]
    assert in_utc == [datetime(2025, 11, 2, hour, 30, tzinfo=UTC) for hour in (5, 6)]


def test_bounds_are_those_of_the_wire() -> None:
    assert (nanos(EARLIEST), nanos(LATEST)) == (EARLIEST_NS, LATEST_NS)


@given(
    st.datetimes(datetime(1990, 1, 2), datetime(2099, 12, 30)),  # noqa: DTZ001 # the zone is drawn apart
    st.integers(-23 * 60 - 59, 23 * 60 + 59),
)
def test_as_python_writes_it(naive: datetime, minutes: int) -> None:
    instant = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert from_json(instant.isoformat()) == instant
    assert nanos(from_json(instant.isoformat())) == nanos(instant)


@given(
    st.from_regex(re.compile(INSTANT, re.ASCII), fullmatch=True)
    | st.text(alphabet="0123456789-+:.TZ ", max_size=30)
)
def test_the_published_pattern_holds(text: str) -> None:
    """What it takes is an instant, unless there is no such time; what it refuses is none."""
    said = ""
    try:
        from_json(text)
    except ValidationError as exc:
        said = exc.errors()[0]["msg"]
    no_such_time = re.match("Input should be (a time that exists|from 1990 to 2099)", said)
    assert bool(re.fullmatch(INSTANT, text)) == (not said or bool(no_such_time))

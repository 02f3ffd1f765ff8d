"""Days of the New York exchanges as numbers: the date of a session, its midnight, its regular hours."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

NEW_YORK: Final = ZoneInfo("America/New_York")
SECOND_NS: Final = 1_000_000_000
DAY_NS: Final = 86_400 * SECOND_NS
OPEN: Final = time(9, 30)
#: half days end earlier: only a calendar knows which
CLOSE: Final = time(16)

_EPOCH: Final = date(1970, 1, 1)
#: what a calendar can tell, with a day to spare for the zone
_FIRST: Final = (date.min - _EPOCH).days + 1
_LAST: Final = (date.max - _EPOCH).days - 1


def day_of(session: date) -> int:
    """Return a date as days since 1970-01-01."""
    return (session - _EPOCH).days


def date_of(day: int) -> date:
    """Return the date that is so many days after 1970-01-01."""
    return _EPOCH + timedelta(days=day)


def midnight_ns(day: int) -> int:
    """Return 00:00 New York of a date given as days since 1970-01-01, in nanoseconds since the epoch.

    The next midnight is 23 to 25 hours later.
    """
    return _at(day, time(0))


@lru_cache(maxsize=32_768)
def _at(day: int, local: time) -> int:
    if not _FIRST <= day <= _LAST:
        # a vendor's time in the wrong unit: `providers.rows` refuses it, and can name the row
        return day * DAY_NS
    # midnight, opening and close are never among the hours that a change of the clocks skips or repeats
    return int(datetime.combine(date_of(day), local, NEW_YORK).timestamp()) * SECOND_NS


def session_of(ts_ns: int) -> int:
    """Return the date in New York at a moment, as days since 1970-01-01."""
    day = ts_ns // DAY_NS
    # New York is behind UTC: its date is that of UTC or the one before
    return day if ts_ns >= midnight_ns(day) else day - 1


def regular_hours(utc_day: int) -> tuple[int, int]:
    """Return opening and close of the regular session on a date, half-open, in nanoseconds since the epoch.

    They lie on the same date of UTC, so either calendar's date finds them. Weekends and holidays have
    them too: nothing trades then.
    """
    return _at(utc_day, OPEN), _at(utc_day, CLOSE)

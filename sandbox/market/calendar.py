"""Sessions of the simulated exchange: New York hours as UTC instants, with holidays and half days.

The table is explicit: the exchange lives in three years, and a test compares a few days with the
published ones. Offsets come from the zone database for each date, so that the two weeks a year in which
New York and Europe disagree are right too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS

PRE, OPEN, CLOSE, POST = time(4), time(9, 30), time(16), time(20)
EARLY_CLOSE, EARLY_POST = time(13), time(17)

FIRST_YEAR, LAST_YEAR = 2025, 2027

HOLIDAYS = frozenset(
    date.fromisoformat(day)
    for day in [
        "2025-01-01",
        "2025-01-09",
        "2025-01-20",
        "2025-02-17",
        "2025-04-18",
        "2025-05-26",
        "2025-06-19",
        "2025-07-04",
        "2025-09-01",
        "2025-11-27",
        "2025-12-25",
        "2026-01-01",
        "2026-01-19",
        "2026-02-16",
        "2026-04-03",
        "2026-05-25",
        "2026-06-19",
        "2026-07-03",
        "2026-09-07",
        "2026-11-26",
        "2026-12-25",
        "2027-01-01",
        "2027-01-18",
        "2027-02-15",
        "2027-03-26",
        "2027-05-31",
        "2027-06-18",
        "2027-07-05",
        "2027-09-06",
        "2027-11-25",
        "2027-12-24",
    ]
)
HALF_DAYS = frozenset(
    date.fromisoformat(day)
    for day in ["2025-07-03", "2025-11-28", "2025-12-24", "2026-11-27", "2026-12-24", "2027-11-26"]
)


@dataclass(frozen=True, slots=True)
class Session:
    """One trading day; instants are nanoseconds since the epoch, UTC, and whole minutes."""

    day: date
    """The date in New York."""
    pre_ns: int
    """Start of the pre-market."""
    open_ns: int
    close_ns: int
    """End of regular hours: 16:00, or 13:00 on a half day."""
    post_ns: int
    """End of the after-hours: 20:00, or 17:00 on a half day."""
    half: bool = False

    def is_regular(self, at_ns: int) -> bool:
        """Return whether an instant is within regular hours."""
        return self.open_ns <= at_ns < self.close_ns


def instant_ns(day: date, at: time) -> int:
    """Return a New York wall-clock time as nanoseconds since the epoch."""
    return int(datetime.combine(day, at, NEW_YORK).timestamp()) * SECOND_NS


def midnight_ns(day: date) -> int:
    """Return 00:00 of a date in New York, as nanoseconds since the epoch."""
    return instant_ns(day, time())


def utc_midnight_ns(day: date) -> int:
    """Return 00:00 UTC of a date, as nanoseconds since the epoch."""
    return int(datetime.combine(day, time(), UTC).timestamp()) * SECOND_NS


def day_of(at_ns: int) -> date:
    """Return the date in New York at an instant."""
    return datetime.fromtimestamp(at_ns // SECOND_NS, NEW_YORK).date()


@cache
def session(day: date) -> Session | None:
    """Return the session of a date, or None on weekends, holidays and outside the table's years."""
    if day.weekday() >= 5 or day in HOLIDAYS or not FIRST_YEAR <= day.year <= LAST_YEAR:
        return None
    half = day in HALF_DAYS
    return Session(
        day,
        instant_ns(day, PRE),
        instant_ns(day, OPEN),
        instant_ns(day, EARLY_CLOSE if half else CLOSE),
        instant_ns(day, EARLY_POST if half else POST),
        half,
    )


def sessions(first: date, last: date) -> list[Session]:
    """Return the sessions of a range of dates, both ends included, ascending."""
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return [found for day in days if (found := session(day)) is not None]

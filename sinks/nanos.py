"""Nanoseconds since the epoch in SQL: the database knows microseconds, and cuts what is finer."""

from __future__ import annotations


def to_time(nanos: str) -> str:
    """Return SQL for the timestamptz of an int8 expression, exact to the microsecond."""
    return f"timestamptz 'epoch' + ({nanos}) / 1000 * interval '1 microsecond'"


def from_time(time: str) -> str:
    """Return SQL for the int8 nanoseconds of a timestamptz expression."""
    return f"(extract(epoch from {time}) * 1000000)::int8 * 1000"

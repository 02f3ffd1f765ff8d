"""Points in time as people write them: ISO 8601 with a zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from schemas.base import EARLIEST_NS, LATEST_NS

#: as RFC 3339 has it, but the seconds may be left out
INSTANT = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?"
    r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
EARLIEST = EPOCH + EARLIEST_NS // 1_000 * MICROSECOND
LATEST = EPOCH + LATEST_NS // 1_000 * MICROSECOND

_FORM = re.compile(INSTANT)
_EXAMPLE = "as in 2025-01-06T14:30:00Z or 2025-01-06T09:30:00-05:00"


def nanos(instant: datetime) -> int:
    """Return nanoseconds since the epoch, UTC, of an aware datetime."""
    return (instant - EPOCH) // MICROSECOND * 1_000


def _read(value: object) -> object:
    """Read text and nothing else: to pydantic the text ``1736173800`` is a time too."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _FORM.fullmatch(value):
        naive = isinstance(value, str) and _FORM.fullmatch(f"{value}Z")
        what = "a time with its zone" if naive else "ISO 8601 with a zone"
        raise PydanticCustomError("instant", f"Input should be {what}, {_EXAMPLE}")
    try:
        return datetime.fromisoformat(value.upper())
    except ValueError as exc:
        why = {"why": str(exc)}
        raise PydanticCustomError("instant", "Input should be a time that exists: {why}", why) from exc


def _in_utc(value: datetime) -> datetime:
    """Convert: two times in one zone compare by the clock on the wall, which goes back in autumn."""
    if value.utcoffset() is None:
        raise PydanticCustomError("instant", "Input should be a datetime with tzinfo, this one is naive")
    if not EARLIEST <= value < LATEST:
        raise PydanticCustomError("instant", "Input should be from 1990 to 2099, UTC")
    return value.astimezone(UTC)


Instant = Annotated[
    datetime,
    BeforeValidator(_read),
    AfterValidator(_in_utc),
    Field(json_schema_extra={"pattern": INSTANT}),
]
"""From text or an aware datetime, in UTC from then on. What is finer than a microsecond is cut off."""

"""Reads what clients ask for: dates, instants and numbers in queries and paths."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

from sandbox.market.calendar import SECOND_NS

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(:\d\d)?(?:\.(\d{1,9})\d*)?(Z|z|[+-]\d\d:?\d\d)")


def read_date(text: str) -> date | None:
    """Return a date written ``YYYY-MM-DD``, None if it is not one."""
    try:
        return date.fromisoformat(text) if len(text) == 10 else None
    except ValueError:
        return None


def read_instant(text: str) -> int | None:
    """Return an RFC 3339 instant as nanoseconds since the epoch, None if it is not one."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    day, minute, second, fraction, zone = match.groups()
    offset = "+00:00" if zone in "Zz" else zone
    try:
        whole = datetime.fromisoformat(f"{day}T{minute}{second or ':00'}{offset}")
    except ValueError:
        return None
    return int(whole.timestamp()) * SECOND_NS + int((fraction or "0").ljust(9, "0"))


def rfc3339(ts_ns: int) -> str:
    """Write an instant in UTC, with as many decimals as it needs, as Go does."""
    seconds, rest = divmod(ts_ns, SECOND_NS)
    fraction = f".{rest:09}".rstrip("0") if rest else ""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"

"""Text to nanoseconds since the epoch: exact, or not at all."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from schemas.base import EARLIEST_NS, LATEST_NS

ISO = "iso"
#: decimal digits between the unit and a nanosecond
DIGITS = {"s": 9, "ms": 6, "us": 3, "ns": 0}
UNITS = (ISO, *DIGITS)

SECOND_NS = 1_000_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: a longer text is no timestamp, whatever its digits say
MAX_CHARS = 64

_ISO = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})[T ](?P<time>\d{2}:\d{2}(?::\d{2})?)(?:[.,](?P<fraction>\d+))?"
    r" ?(?P<zone>Z|z|UTC|[+-]\d{2}(?::?\d{2})?)?",
    re.ASCII,
)


def to_ns(text: str, unit: str) -> int:
    """Return nanoseconds since the epoch, UTC; not bounded.

    Args:
        text: a decimal number, or ISO 8601 with a zone (a space instead of the T will do).
        unit: one of `UNITS`.

    Raises:
        ValueError: it is not such a text, or finer than a nanosecond: nothing is ever rounded.
    """
    text = text.strip()
    if unit == ISO:
        return _iso(text)
    digits = DIGITS[unit]
    whole, _, fraction = text.partition(".")
    # the common case; str.isdigit alone would take digits of every script
    if text.isascii() and whole.isdigit() and len(text) <= MAX_CHARS:
        if not fraction:
            return int(whole + "0" * digits)
        if len(fraction) <= digits and fraction.isdigit():
            return int(whole + fraction.ljust(digits, "0"))
    return _decimal(text, digits)


def guess_unit(text: str) -> str | None:
    """Return the unit in which the text lies between the bounds of the contract, if there is one.

    The bounds are 1990 and 2100, so at most one unit fits.
    """
    for unit in UNITS:
        try:
            if EARLIEST_NS <= to_ns(text, unit) < LATEST_NS:
                return unit
        except ValueError:
            continue
    return None


def _decimal(text: str, digits: int) -> int:
    try:
        number = Decimal(text) if len(text) <= MAX_CHARS and text.isascii() and "_" not in text else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite() or abs(number.adjusted()) > MAX_CHARS:
        raise ValueError(f"not a number: {text[:MAX_CHARS]!r}")
    sign, figures, exponent = number.as_tuple()
    assert isinstance(exponent, int), "finite"
    whole, rest = "".join(map(str, figures)), ""
    shift = exponent + digits
    if shift < 0:
        whole, rest = whole[:shift], whole[shift:]
    value = int(whole + "0" * shift) if whole else 0
    if rest.strip("0"):
        raise ValueError(f"finer than a nanosecond: {text!r}")
    return -value if sign else value


def _iso(text: str) -> int:
    match = _ISO.fullmatch(text)
    if match is None:
        raise ValueError(f"not an ISO 8601 time with date, time and zone: {text[:MAX_CHARS]!r}")
    zone = match["zone"]
    if zone is None:
        raise ValueError(f"no time zone: {text!r}; write 2025-11-10T17:23:53Z or +01:00")
    zone = "+00:00" if zone in ("Z", "z", "UTC") else zone
    try:
        moment = datetime.fromisoformat(f"{match['date']}T{match['time']}{zone}")
    except ValueError as exc:
        raise ValueError(f"no such time: {text!r} ({exc})") from None
    fraction = (match["fraction"] or "").rstrip("0")
    if len(fraction) > DIGITS["s"]:
        raise ValueError(f"finer than a nanosecond: {text!r}")
    since = moment - EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND_NS + int(fraction.ljust(9, "0"))

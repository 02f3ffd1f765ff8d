"""Timestamps of RFC 3339 as nanoseconds: ``datetime`` would lose the last three digits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

_SECOND_NS: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def to_ns(text: str) -> int:
    """Return the nanoseconds since the epoch of ``2022-01-03T09:00:00.123456789Z``.

    Any number of decimals up to nine, ``Z`` or an offset; without either it is not a moment.

    Raises:
        ValueError: it is not such a timestamp.
    """
    seconds = _day_s(text[:10]) + _time_s(text[10:19])
    rest = text[19:]
    if rest == "Z":
        return seconds * _SECOND_NS
    decimals, offset_s = _rest(rest)
    return (seconds - offset_s) * _SECOND_NS + decimals


def from_ns(ts_ns: int) -> str:
    """Return a moment as RFC 3339 with ``Z``, with nine decimals unless it is a whole second."""
    seconds, decimals = divmod(ts_ns, _SECOND_NS)
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{decimals:09d}Z" if decimals else f"{text}Z"


@lru_cache(maxsize=8_192)
def _day_s(text: str) -> int:
    if len(text) != 10 or text[4] != "-" or text[7] != "-":
        raise ValueError(f"not a date: {text}")
    day = datetime(_digits(text[:4]), _digits(text[5:7]), _digits(text[8:]), tzinfo=UTC)
    return (day - _EPOCH).days * 86_400


@lru_cache(maxsize=90_000)
def _time_s(text: str) -> int:
    if len(text) != 9 or text[0] != "T" or text[3] != ":" or text[6] != ":":
        raise ValueError(f"not a time of day: {text}")
    hours, minutes, seconds = _digits(text[1:3]), _digits(text[4:6]), _digits(text[7:9])
    if hours > 23 or minutes > 59 or seconds > 59:
        raise ValueError(f"not a time of day: {text}")
    return hours * 3_600 + minutes * 60 + seconds


def _rest(text: str) -> tuple[int, int]:
    """Return nanoseconds and the seconds that the zone is ahead of UTC."""
    decimals = 0
    if text.startswith("."):
        end = next((i for i in range(1, len(text)) if not text[i].isdigit()), len(text))
        if not 2 <= end <= 10:
            raise ValueError(f"not one to nine decimals: {text}")
        decimals = _digits(text[1:end]) * 10 ** (10 - end)
        text = text[end:]
    return decimals, _zone_s(text)


@lru_cache(maxsize=256)
def _zone_s(text: str) -> int:
    if text == "Z":
        return 0
    if len(text) != 6 or text[0] not in "+-" or text[3] != ":":
        raise ValueError(f"no zone: {text}")
    seconds = _digits(text[1:3]) * 3_600 + _digits(text[4:6]) * 60
    return -seconds if text[0] == "-" else seconds


def _digits(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"not digits: {text}")
    return int(text)

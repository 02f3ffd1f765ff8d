"""Sizes of quotes in shares: until November 2025 the tape counted in round lots."""

from __future__ import annotations

from datetime import date
from typing import Final

from providers.sessions import day_of, midnight_ns

#: polygon and alpaca changed on the same day, in everything they send; a quote keeps the unit of its day
SHARES_SINCE_NS: Final = midnight_ns(day_of(date(2025, 11, 3)))
#: a few names have others; neither vendor says which
ROUND_LOT: Final = 100.0


def side(price: float | None, size: float | None, ts_ns: int) -> tuple[float | None, float | None]:
    """Return price and size in shares of one side of a quote; both None if it has no price or price 0.

    Args:
        price: as sent.
        size: as sent, in round lots or in shares.
        ts_ns: of the quote, which tells the unit.
    """
    if not price:
        return None, None
    if size is None:
        return price, None
    return price, size * ROUND_LOT if ts_ns < SHARES_SINCE_NS else size

"""What is odd about a quote: a sum of numbers, as in ``quotes_l1.flags``."""

from __future__ import annotations

from typing import Final

CROSSED: Final = 1
LOCKED: Final = 2
ONE_SIDED: Final = 4


def flags(bid: float | None, ask: float | None) -> int:
    """Return the flags of a best bid and ask; None is an absent side. Odd quotes are good quotes."""
    if bid is None or ask is None:
        return ONE_SIDED
    if bid < ask:
        return 0
    return CROSSED if bid > ask else LOCKED

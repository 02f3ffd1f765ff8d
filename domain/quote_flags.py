"""What is odd about a quote: a sum of numbers, as in ``quotes_l1.flags``, and as consumers read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

CROSSED: Final = 1
LOCKED: Final = 2
ONE_SIDED: Final = 4
STALE: Final = 8
OUT_OF_ORDER: Final = 16

_WORDS: Final = {
    CROSSED: "crossed",
    LOCKED: "locked",
    ONE_SIDED: "one_sided",
    STALE: "stale",
    OUT_OF_ORDER: "out_of_order",
}
#: sum -> names, for every sum of them
NAMES: Final[Sequence[tuple[str, ...]]] = [
    tuple(word for flag, word in _WORDS.items() if flag & total) for total in range(2 * OUT_OF_ORDER)
]
#: names -> sum
NUMBERS: Final[Mapping[tuple[str, ...], int]] = {names: total for total, names in enumerate(NAMES)}


def flags(bid: float | None, ask: float | None) -> int:
    """Return the flags of a best bid and ask; None is an absent side. Odd quotes are good quotes."""
    if bid is None or ask is None:
        return ONE_SIDED
    if bid < ask:
        return 0
    return CROSSED if bid > ask else LOCKED

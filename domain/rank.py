"""Which source of a bar or quote is better: the number that decides which row stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

#: whose trades a feed's are; a feed that is not here is the provider's own market
_COVERAGE: Final[Mapping[str, str]] = {"sip": "consolidated", "iex": "iex"}
#: one exchange of many; a provider's own market is all there is of it
LESSER: Final = "iex"

#: every rank of lesser coverage is below every other one; all of them fit an int2
LESS: Final = 16_384
MAX_PLACE: Final = LESS // 2 - 1


def coverage_of(feed: str) -> str:
    """Return whose trades come by a feed: `consolidated`, `iex`, or empty for the provider's own market."""
    return _COVERAGE.get(feed, "")


def place(provider: str, places: Sequence[str]) -> int:
    """Return the place of a provider in PROVIDER_RANK: of the first the highest number, of unnamed ones 0."""
    return len(places) - places.index(provider) if provider in places else 0


def rank(coverage: str, place: int, *, official: bool) -> int:
    """Return the rank of a source, -16384 to 16383; the higher wins.

    Coverage decides first, whoever it is: one exchange's bar never replaces one of the whole tape.

    Args:
        coverage: `consolidated`, `iex`, or empty for the provider's own market.
        place: see `place`; what is above 8,191 counts as that.
        official: the provider's own bar, not one made here of its trades.
    """
    return 2 * min(place, MAX_PLACE) + official - (LESS if coverage == LESSER else 0)

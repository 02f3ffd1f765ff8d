"""What providers have refused, kept for a while so that they are not asked in vain."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

from providers.base import BarsRequest
from providers.serving import Request, kind_of
from providers.sessions import DAY_NS
from schemas.provider import Kind, ProviderName

REFUSED_S: Final = 3_600.0
UNKNOWN_S: Final = 3_600.0
#: of a symbol that others do know: either it lacks it, or it was broken
DISPUTED_S: Final = 300.0
MOST: Final = 20_000

Key = TypeVar("Key")


class Expiring(Generic[Key]):
    """Keys that are there until a moment of ``Clock.monotonic``, each with a word; the oldest go first."""

    def __init__(self, most: int = MOST) -> None:
        """Keep so many."""
        self._most = most
        self._kept: dict[Key, tuple[float, str]] = {}

    def put(self, key: Key, until: float, word: str = "") -> None:
        """Keep a key until then, whatever was said of it before."""
        self._kept.pop(key, None)
        self._kept[key] = until, word
        if len(self._kept) > self._most:
            del self._kept[next(iter(self._kept))]

    def get(self, key: Key, now: float) -> tuple[float, str] | None:
        """Return until when a key is there, and its word; None if it is not."""
        if not self._kept:
            return None
        found = self._kept.get(key)
        if found is not None and found[0] <= now:
            del self._kept[key]
            return None
        return found

    def __len__(self) -> int:
        """How many are kept, those of the past included that nobody has asked for since."""
        return len(self._kept)


Sort = tuple[Kind, str, int, bool]


class NegativeCache:
    """Which kinds of request a plan does not include, and which symbols a provider does not know."""

    def __init__(self) -> None:
        """Know nothing."""
        self._refused = Expiring[tuple[ProviderName, Sort]]()
        self._unknown = Expiring[tuple[ProviderName, Kind, str]]()

    def refuse(self, provider: ProviderName, request: Request, now_ns: int, now: float, why: str) -> None:
        """Remember that a plan does not include such requests."""
        self._refused.put((provider, _sort(request, now_ns)), now + REFUSED_S, why)

    def refused(
        self, provider: ProviderName, request: Request, now_ns: int, now: float
    ) -> tuple[float, str] | None:
        """Return until when, in monotonic seconds, such requests are no use, and what was said."""
        if not len(self._refused):
            return None
        return self._refused.get((provider, _sort(request, now_ns)), now)

    def forget(self, provider: ProviderName, kind: Kind, symbols: tuple[str, ...], now: float) -> None:
        """Remember symbols that a provider says it does not know."""
        for symbol in symbols:
            self._unknown.put((provider, kind, symbol), now + UNKNOWN_S)

    def dispute(self, provider: ProviderName, kind: Kind, symbol: str, now: float) -> None:
        """Keep for a shorter time that a symbol is unknown: another provider has rows of it."""
        found = self._unknown.get((provider, kind, symbol), now)
        if found is not None and found[0] > now + DISPUTED_S:
            self._unknown.put((provider, kind, symbol), now + DISPUTED_S)

    def known(
        self, provider: ProviderName, kind: Kind, symbols: tuple[str, ...], now: float
    ) -> tuple[str, ...]:
        """Return the symbols that a provider has not said it does not know."""
        if not len(self._unknown):
            return symbols
        return tuple(s for s in symbols if self._unknown.get((provider, kind, s), now) is None)


def _sort(request: Request, now_ns: int) -> Sort:
    """Return which requests are refused alike.

    A plan ends somewhere in the past, or some time before now: that one request was refused says nothing of
    one that reaches less than half as far back, or of one that ends before today.
    """
    adjustment = request.adjustment if isinstance(request, BarsRequest) else ""
    if request.start_ns is None or request.end_ns is None:
        return kind_of(request), adjustment, -1, True
    days = max(0, now_ns - request.start_ns) // DAY_NS
    return kind_of(request), adjustment, days.bit_length(), request.end_ns > now_ns - DAY_NS

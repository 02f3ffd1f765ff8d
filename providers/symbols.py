"""Symbols as each vendor spells them, and back: ``BRK.B`` here is ``BRK-B`` at Tiingo."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from schemas.errors import NotFound

#: a preferred share is `KIM.PRL` here and on the tape of the exchanges
_PREFERRED = re.compile(r"([A-Z0-9]+)\.PR([A-Z]?)")
_POLYGON_PREFERRED = re.compile(r"([A-Z0-9]+)p([A-Z]?)")
_TIINGO_PREFERRED = re.compile(r"([A-Z0-9]+)-P-([A-Z])")


@dataclass(frozen=True, slots=True)
class Spelling:
    """How one vendor spells symbols. A symbol that would not come back as it went has no spelling."""

    provider: str
    _forth: Callable[[str], str]
    _back: Callable[[str], str]
    overrides: Mapping[str, str] = field(default_factory=dict)
    """Canonical to vendor's, for those that no rule gives."""

    def vendor(self, canonical: str) -> str:
        """Return the vendor's spelling.

        Raises:
            NotFound: the vendor's spelling of it would mean another symbol.
        """
        spelled = self.overrides.get(canonical) or self._forth(canonical)
        if self.canonical(spelled) != canonical:
            raise NotFound(f"{canonical}: has no spelling there", provider=self.provider)
        return spelled

    def canonical(self, spelled: str) -> str:
        """Return the canonical spelling of the vendor's."""
        return next((c for c, v in self.overrides.items() if v == spelled), None) or self._back(spelled)


def _same(symbol: str) -> str:
    return symbol


def _to_polygon(canonical: str) -> str:
    preferred = _PREFERRED.fullmatch(canonical)
    return f"{preferred[1]}p{preferred[2]}" if preferred else canonical


def _from_polygon(spelled: str) -> str:
    preferred = _POLYGON_PREFERRED.fullmatch(spelled)
    return f"{preferred[1]}.PR{preferred[2]}" if preferred else spelled


def _to_tiingo(canonical: str) -> str:
    preferred = _PREFERRED.fullmatch(canonical)
    if preferred and preferred[2]:
        return f"{preferred[1]}-P-{preferred[2]}"
    return canonical.replace(".", "-")


def _from_tiingo(spelled: str) -> str:
    spelled = spelled.upper()
    preferred = _TIINGO_PREFERRED.fullmatch(spelled)
    return f"{preferred[1]}.PR{preferred[2]}" if preferred else spelled.replace("-", ".")


#: case matters there
POLYGON = Spelling("polygon", _to_polygon, _from_polygon)
ALPACA = Spelling("alpaca", _same, _same)
FINNHUB = Spelling("finnhub", _same, _same)
#: any case, upper from REST and lower from the WebSocket
TIINGO = Spelling("iex", _to_tiingo, _from_tiingo)

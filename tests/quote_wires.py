"""Quotes as the emulated vendors' feeds write them, heard by our side of each feed.

Finnhub's feed has no quotes: of four vendors three send some.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from providers.alpaca.config import AlpacaConfig
from providers.alpaca.stream import AlpacaDialogue
from providers.dialogue import Dialogue
from providers.iex.config import TiingoConfig
from providers.iex.stream import TiingoDialogue
from providers.polygon.config import PolygonConfig
from providers.polygon.stream import PolygonDialogue
from sandbox.market.records import Quote
from sandbox.vendors import alpaca_socket, polygon_socket, tiingo_socket
from sandbox.vendors.tape import Event

_Write = Callable[[Quote], Any]
#: every symbol is of tape C
_LISTED = SimpleNamespace(world=SimpleNamespace(market=SimpleNamespace(instruments={})))


class Wires:
    """One connection to each feed."""

    def __init__(self, symbols: Sequence[str]) -> None:
        """Subscribe to quotes of these symbols."""
        polygon = PolygonDialogue(PolygonConfig(key="K"), symbols, ("quotes",))
        alpaca = AlpacaDialogue(
            AlpacaConfig(key_id="K", secret="S"), symbols, ("quotes",), "iex", binary=False
        )
        tiingo = TiingoDialogue(TiingoConfig(key="K"), symbols, ("quotes",))
        self._feeds: dict[str, tuple[_Write, Dialogue]] = {
            "polygon": (lambda quote: [polygon_socket._quote(quote, 3)], polygon),
            "alpaca": (_alpaca, alpaca),
            "iex": (_tiingo, tiingo),
        }

    def __contains__(self, provider: str) -> bool:
        """Return whether a provider's quotes come over one of them."""
        return provider in self._feeds

    def raw(self, provider: str, quote: Quote, at_ns: int) -> bytes:
        """Return what our feed makes of a quote: the value of a record of ``md.quotes.raw.v1``."""
        write, dialogue = self._feeds[provider]
        (tick,) = dialogue.hear(json.dumps(write(quote)), at_ns).items
        return msgspec.json.encode(tick)


def _alpaca(quote: Quote) -> Any:
    event = Event(quote.ts_ns, "quote", quote.symbol, quote, quote.seq)
    return [alpaca_socket.AlpacaFeed.write(cast(Any, _LISTED), cast(Any, None), event)]


def _tiingo(quote: Quote) -> Any:
    data = tiingo_socket.TiingoFeed._quote(
        cast(Any, SimpleNamespace(_after_hours=lambda _: 0)), quote, quote.symbol.lower()
    )
    return {"messageType": "A", "service": "iex", "data": data}

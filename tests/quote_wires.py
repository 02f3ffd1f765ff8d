"""Quotes as the emulated vendors' feeds write them, heard by our side of each feed.

Finnhub's feed has no quotes: of four vendors three send some, and alpaca does so in JSON and in MessagePack.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from providers.alpaca.config import AlpacaConfig
from providers.alpaca.stream import AlpacaDialogue
from providers.dialogue import Dialogue, Frame
from providers.iex.config import TiingoConfig
from providers.iex.stream import TiingoDialogue
from providers.polygon.config import PolygonConfig
from providers.polygon.stream import PolygonDialogue
from sandbox.market.records import Quote
from sandbox.vendors import alpaca_socket, polygon_socket, tiingo_socket
from sandbox.vendors.tape import Event

_Write = Callable[[Quote], Frame]
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
        packed = AlpacaDialogue(
            AlpacaConfig(key_id="K", secret="S"), symbols, ("quotes",), "sip", binary=True
        )
        tiingo = TiingoDialogue(TiingoConfig(key="K"), symbols, ("quotes",))
        self._feeds: dict[tuple[str, str], tuple[_Write, Dialogue]] = {
            ("polygon", "sip"): (_polygon, polygon),
            ("alpaca", "iex"): (_alpaca, alpaca),
            ("alpaca", "sip"): (_alpaca_packed, packed),
            ("iex", "tiingo"): (_tiingo, tiingo),
        }

    def __contains__(self, feed: tuple[str, str]) -> bool:
        """Return whether quotes of a provider and feed come over one of them."""
        return feed in self._feeds

    def raw(self, feed: tuple[str, str], quote: Quote, at_ns: int) -> bytes:
        """Return what our side makes of a quote: the value of a record of ``md.quotes.raw.v1``."""
        write, dialogue = self._feeds[feed]
        (tick,) = dialogue.hear(write(quote), at_ns).items
        return msgspec.json.encode(tick)


def _polygon(quote: Quote) -> Frame:
    return json.dumps([polygon_socket._quote(quote, 3)])


def _alpaca(quote: Quote) -> Frame:
    return json.dumps(_alpaca_frame(quote))


def _alpaca_packed(quote: Quote) -> Frame:
    connection = cast(Any, SimpleNamespace(binary=True))
    return alpaca_socket.AlpacaFeed.encode(cast(Any, None), connection, _alpaca_frame(quote))


def _alpaca_frame(quote: Quote) -> list[Any]:
    event = Event(quote.ts_ns, "quote", quote.symbol, quote, quote.seq)
    return [alpaca_socket.AlpacaFeed.write(cast(Any, _LISTED), cast(Any, None), event)]


def _tiingo(quote: Quote) -> Frame:
    data = tiingo_socket.TiingoFeed._quote(
        cast(Any, SimpleNamespace(_after_hours=lambda _: 0)), quote, quote.symbol.lower()
    )
    return json.dumps({"messageType": "A", "service": "iex", "data": data})

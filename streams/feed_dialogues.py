"""From settings to the talk with a vendor: what a feed is called, and what makes its connections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

from providers.alpaca.stream import AlpacaDialogue, StreamFeed
from providers.dialogue import Dialogue, What
from providers.finnhub.stream import FinnhubDialogue
from providers.iex.config import TiingoConfig
from providers.iex.stream import TiingoDialogue
from providers.polygon.stream import PolygonDialogue
from schemas.errors import ConfigInvalid
from schemas.provider import ProviderName
from streams.provider_fields import ProviderFields
from streams.vendors import KEYS

Format = Literal["msgpack", "json"]
FEEDS: tuple[StreamFeed, ...] = get_args(StreamFeed)


def dialogues(
    name: ProviderName,
    settings: ProviderFields,
    symbols: Sequence[str],
    what: Sequence[What],
    *,
    feed: StreamFeed | None = None,
    url: str | None = None,
    form: Format = "msgpack",
) -> Callable[[], Dialogue]:
    """Return what makes a new talk for each connection.

    Args:
        name: of the provider.
        settings: with its key.
        symbols: canonical, or ``*``.
        what: trades, quotes.
        feed: of alpaca; default: the one of the settings.
        url: instead of the settings'.
        form: of alpaca's messages.

    Raises:
        ConfigInvalid: the vendor has no key, or not what is asked for.
        NotFound: a symbol has no spelling there.
    """
    changed = {"ws_url": url} if url else {}
    if name != "alpaca" and feed is not None:
        raise ConfigInvalid(f"{name} has one feed: leave out --feed")
    if name == "polygon" and (polygon := settings.polygon()):
        polygon = polygon.model_copy(update=changed)
        return lambda: PolygonDialogue(polygon, symbols, what)
    if name == "finnhub" and (finnhub := settings.finnhub()):
        if tuple(what) != ("trades",):
            raise ConfigInvalid("finnhub streams trades alone: --what trades")
        finnhub = finnhub.model_copy(update=changed)
        return lambda: FinnhubDialogue(finnhub, symbols)
    alpaca = settings.alpaca() if name == "alpaca" else None
    if name == "iex" and (iex := settings.iex()):
        if isinstance(iex, TiingoConfig):
            tiingo = iex.model_copy(update=changed)
            return lambda: TiingoDialogue(tiingo, symbols, what)
        alpaca = iex
    if alpaca is not None:
        alpaca = alpaca.model_copy(update=changed)
        return lambda: AlpacaDialogue(alpaca, symbols, what, feed, binary=form == "msgpack")
    raise ConfigInvalid(f"{name} has no key: set {KEYS[name]}")

"""Tiingo's feed of IEX: objects of JSON, data by position, of a shape that the level decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec
from pydantic import SecretStr
from typing_extensions import override

from providers.dialogue import (
    Dialogue,
    Frame,
    Heard,
    Heartbeat,
    Item,
    PriceUpdate,
    Refused,
    Unsound,
    What,
    batches,
    converted,
    encoded,
    sound,
    sound_quote,
    unreadable,
)
from providers.iex.config import TiingoConfig
from providers.iex.parse import VENUE
from providers.rfc3339 import to_ns
from providers.symbols import TIINGO
from schemas.correction import TradeCancel
from schemas.errors import (
    AuthFailed,
    BadRequest,
    EntitlementMissing,
    ProviderAway,
    ProviderError,
    RateLimited,
)
from schemas.quote import RawQuote
from schemas.trade import Trade

FEED: Final = "tiingo"
#: tickers in one message
BATCH: Final = 500
PAUSE_S: Final = 1.0
FULL: Final = 16
REFERENCE: Final = 3
#: what the flags of a trade are on the tape, by their position: its letters
_FLAGS: Final = ((12, "T"), (13, "F"), (14, "I"), (15, "8"))
#: in the conditions of a quote; small letters are no code of the tape
HALTED: Final = "halted"

_SAYINGS: Final[tuple[tuple[str, type[ProviderError]], ...]] = (
    ("subscription tier", EntitlementMissing),
    ("not authorized for", EntitlementMissing),
    ("not authorized", AuthFailed),
    ("invalid token", AuthFailed),
    ("connections", RateLimited),
    ("run over your", RateLimited),
    ("slow consumer", ProviderAway),
)
_CODES: Final[dict[int, type[ProviderError]]] = {
    400: BadRequest,
    401: AuthFailed,
    403: EntitlementMissing,
    429: RateLimited,
}


class _Response(msgspec.Struct):
    code: int = 0
    message: str = ""


class _Frame(msgspec.Struct, rename="camel"):
    message_type: str
    data: Any = None
    service: str = ""
    response: _Response | None = None


_decode = msgspec.json.Decoder(_Frame).decode


class TiingoDialogue(Dialogue):
    """Subscribes at once: the key is in the same message."""

    provider = "iex"
    spelling = TIINGO

    def __init__(
        self, config: TiingoConfig, symbols: Sequence[str], what: Sequence[What], level: Literal[0, 5, 6] = 5
    ) -> None:
        """Say nothing yet.

        Args:
            config: with the key.
            symbols: canonical, or ``*``.
            what: trades, quotes.
            level: 5 is every trade and quote, if the account has an agreement with IEX; 6 one price.
        """
        super().__init__(symbols, what, FEED)
        self._config = config
        self._level = level
        # lower case as the vendor sends them
        self.spelled = {s: v.lower() for s, v in self.spelled.items()}
        self._canonical = {v: s for s, v in self.spelled.items()}
        self._batches = list(batches(list(self.spelled.values()), BATCH))
        self._confirmed = 0

    @property
    @override
    def live(self) -> bool:
        return self._confirmed >= len(self._batches)

    @property
    @override
    def missing(self) -> str:
        return f"{len(self._batches) - self._confirmed} subscriptions"

    @override
    def url(self) -> SecretStr:
        return SecretStr(self._config.ws_url)

    @override
    def opening(self) -> list[Frame]:
        return [self._say("subscribe", batch) for batch in self._batches]

    @override
    def again(self, symbols: Sequence[str]) -> list[Frame]:
        spelled = [self.spelled[s] for s in symbols]
        return [
            self._say(event, batch)
            for batch in batches(spelled, BATCH)
            for event in ("unsubscribe", "subscribe")
        ]

    @override
    def secrets(self) -> tuple[SecretStr, ...]:
        return (self._config.key,)

    @override
    def hear(self, frame: Frame, at_ns: int) -> Heard:
        raw = frame.encode() if isinstance(frame, str) else frame
        try:
            said = _decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            return Heard([unreadable(exc, raw)])
        kind = said.message_type
        if kind == "A":
            item = converted(said, lambda: self._item(said.data, at_ns), raw)
            return Heard([] if item is None else [item])
        if kind == "I":
            self._confirmed += 1
        elif kind == "E":
            return Heard([Refused(self._error(said.response or _Response()))])
        return Heard([Heartbeat()] if kind == "H" else [])

    def _say(self, event: str, tickers: list[str]) -> Frame:
        return encoded(
            {
                "eventName": event,
                "authorization": self._config.key.get_secret_value(),
                "eventData": {"thresholdLevel": self._level, "tickers": tickers},
            }
        )

    def _item(self, data: Any, at_ns: int) -> Item | None:
        """Return an item by length and types alone: no field says which shape it is."""
        if not isinstance(data, list):
            raise Unsound("data: not an array")
        if len(data) == REFERENCE:
            return PriceUpdate(self._symbol(data, 1), to_ns(_text(data, 0)), _price(data, 2))
        if len(data) != FULL:
            raise Unsound(f"data: {len(data)} values")
        kind = data[0]
        if kind == "Q":
            return self._quote(data, at_ns) if "quotes" in self.what else None
        if kind not in ("T", "B"):
            raise Unsound(f"data[0]: {str(kind)[:64]!r}")
        if "trades" not in self.what:
            return None
        symbol, ts = self._symbol(data, 3), _ns(data)
        price, size = _price(data, 9), _price(data, 10)
        if kind == "B":
            return TradeCancel(
                type="cancel",
                symbol=symbol,
                ts_event=ts,
                provider=self.provider_name,
                feed=self.feed,
                venue=VENUE,
                orig_price=price,
                orig_size=size,
                ts_recv=at_ns,
            )
        conditions = "".join(letter for at, letter in _FLAGS if data[at] == 1)
        return sound(
            Trade(symbol, ts, price, size, self.provider_name, self.feed, VENUE, conditions, ts_recv=at_ns)
        )

    def _quote(self, data: list[Any], at_ns: int) -> RawQuote:
        bid, ask = _number(data, 5), _number(data, 7)
        return sound_quote(
            RawQuote(
                symbol=self._symbol(data, 3),
                ts_event=_ns(data),
                provider=self.provider_name,
                bid=bid or None,
                bid_size=_number(data, 4) if bid else None,
                ask=ask or None,
                ask_size=_number(data, 8) if ask else None,
                feed=self.feed,
                bid_venue=VENUE if bid else "",
                ask_venue=VENUE if ask else "",
                conditions=HALTED if data[11] == 1 else "",
                ts_recv=at_ns,
            )
        )

    def _symbol(self, data: list[Any], at: int) -> str:
        return self.canonical(_text(data, at).lower())

    def _error(self, said: _Response) -> ProviderError:
        words = said.message.lower()
        kind = next((kind for saying, kind in _SAYINGS if saying in words), None)
        kind = kind or _CODES.get(said.code, ProviderAway)
        wait: dict[str, Any] = {"retry_after_s": PAUSE_S} if kind is RateLimited else {}
        return kind(said.message or "no text", provider=self.provider_name, code=str(said.code), **wait)


def _ns(data: list[Any]) -> int:
    """Return the time of a message: of its text, as the number has lost its last digits on the way.

    In the recorded frame they are 26 ns apart: the number has been a float.
    """
    exact, rounded = to_ns(_text(data, 1)), data[2]
    if isinstance(rounded, int) and abs(exact - rounded) > 1_000_000:
        raise Unsound(f"data[2]: {rounded} is another time than {data[1]}")
    return exact


def _text(data: list[Any], at: int) -> str:
    value = data[at]
    if not isinstance(value, str):
        raise Unsound(f"data[{at}]: not a string")
    return value


def _number(data: list[Any], at: int) -> float | None:
    value = data[at]
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unsound(f"data[{at}]: not a number")
    return float(value)


def _price(data: list[Any], at: int) -> float:
    value = _number(data, at)
    if value is None:
        raise Unsound(f"data[{at}]: missing")
    return value

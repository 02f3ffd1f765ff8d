"""Finnhub's feed: trades of IEX. It confirms nothing: data comes, or an error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from pydantic import SecretStr
from typing_extensions import override
from yarl import URL

from providers.dialogue import (
    Dialogue,
    Frame,
    Heard,
    Heartbeat,
    Item,
    PriceUpdate,
    Refused,
    converted,
    encoded,
    sound,
    unreadable,
)
from providers.finnhub.config import FinnhubConfig
from providers.sale_conditions import of_finnhub
from providers.symbols import FINNHUB
from schemas.errors import AuthFailed, EntitlementMissing, NotFound, ProviderAway, ProviderError, RateLimited
from schemas.trade import Trade

MS_NS: Final = 1_000_000
#: the stream is IEX's alone, whatever the bars of the same vendor are made of
FEED: Final = "iex"
PAUSE_S: Final = 1.0

_SAYINGS: Final[tuple[tuple[str, type[ProviderError], bool], ...]] = (
    ("invalid symbol", NotFound, False),
    ("too many symbols", EntitlementMissing, False),
    ("don't have access", EntitlementMissing, True),
    ("api key", AuthFailed, True),
    ("max connections", RateLimited, True),
    ("too many connections", RateLimited, True),
    ("limit reached", RateLimited, True),
)
"""Words of an error, what it is, and whether it is the end."""


class _T(msgspec.Struct, gc=False):
    s: str
    p: float
    t: int
    v: float
    c: tuple[str, ...] | None = None


class _Frame(msgspec.Struct):
    type: str
    data: list[_T] | None = None
    msg: str = ""


class _Parts(msgspec.Struct):
    type: str
    data: list[msgspec.Raw] | None = None


_decode = msgspec.json.Decoder(_Frame).decode
_decode_one = msgspec.json.Decoder(_T).decode
_split = msgspec.json.Decoder(_Parts).decode


class FinnhubDialogue(Dialogue):
    """Subscribes at once, a message for each symbol."""

    provider = "finnhub"
    spelling = FINNHUB

    def __init__(self, config: FinnhubConfig, symbols: Sequence[str]) -> None:
        """Say nothing yet; there are trades only."""
        super().__init__(symbols, ("trades",), FEED)
        self._config = config

    @property
    @override
    def live(self) -> bool:
        return True

    @override
    def url(self) -> SecretStr:
        url = URL(self._config.ws_url).update_query(token=self._config.key.get_secret_value())
        return SecretStr(str(url))

    @override
    def opening(self) -> list[Frame]:
        return [encoded({"type": "subscribe", "symbol": s}) for s in self.spelled.values()]

    @override
    def secrets(self) -> tuple[SecretStr, ...]:
        return (self._config.key,)

    @override
    def hear(self, frame: Frame, at_ns: int) -> Heard:
        try:
            said = _decode(frame)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            return Heard(self._apart(frame, exc, at_ns))
        if said.type == "trade":
            return Heard([self._converted(t, at_ns) for t in said.data or ()])
        if said.type == "ping":
            return Heard([Heartbeat()])
        return Heard([self._refused(said.msg)] if said.type == "error" else [])

    @override
    def again(self, symbols: Sequence[str]) -> list[Frame]:
        return [
            encoded({"type": action, "symbol": self.spelled[s]})
            for s in symbols
            for action in ("unsubscribe", "subscribe")
        ]

    def _converted(self, t: _T, at_ns: int) -> Item:
        item = converted(t, lambda: self._tick(t, at_ns), b"")
        assert item is not None, "every message of data is something"
        return item

    def _tick(self, t: _T, at_ns: int) -> Item:
        symbol, ts = self.canonical(t.s), t.t * MS_NS
        if t.v == 0:
            return PriceUpdate(symbol, ts, t.p)
        conditions = of_finnhub(t.c) if t.c else ""
        return sound(
            Trade(symbol, ts, t.p, t.v, self.provider_name, self.feed, "", conditions, ts_recv=at_ns)
        )

    def _refused(self, text: str) -> Refused:
        words = text.lower()
        kind, fatal = next(
            ((kind, fatal) for saying, kind, fatal in _SAYINGS if saying in words), (ProviderAway, True)
        )
        said: dict[str, Any] = {"retry_after_s": PAUSE_S} if kind is RateLimited else {}
        return Refused(kind(text or "no text", provider=self.provider_name, **said), fatal)

    def _apart(self, frame: Frame, why: Exception, at_ns: int) -> list[Item]:
        """Return what can be read of a frame of trades of which one cannot."""
        raw = frame.encode() if isinstance(frame, str) else frame
        try:
            parts = _split(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return [unreadable(why, raw)]
        found: list[Item] = []
        for part in map(bytes, parts.data or ()):
            try:
                found.append(self._converted(_decode_one(part), at_ns))
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
                found.append(unreadable(exc, part))
        return found or [unreadable(why, raw)]

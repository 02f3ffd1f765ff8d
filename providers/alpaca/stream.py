"""Alpaca's feeds: arrays of JSON or of MessagePack; the confirmation is always the whole set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec.msgpack import Ext
from pydantic import SecretStr
from typing_extensions import override

from providers.alpaca.config import AlpacaConfig
from providers.base import BarRow
from providers.dialogue import (
    Dialogue,
    Frame,
    Heard,
    Item,
    Refused,
    What,
    batches,
    converted,
    encoded,
    fitting,
    sound,
    sound_quote,
    unreadable,
)
from providers.lots import side
from providers.rfc3339 import to_ns
from providers.sessions import session_of
from providers.symbols import ALPACA
from schemas.correction import TradeCancel, TradeCorrection
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

StreamFeed = Literal["sip", "iex", "delayed_sip", "test"]
#: symbols in one message: it must fit into one frame of 16 KiB
BATCH: Final = 500
PAUSE_S: Final = 1.0
SECOND_NS: Final = 1_000_000_000
_TIMESTAMP: Final = -1

_CHANNELS: Final[Mapping[What, tuple[str, ...]]] = {
    "trades": ("trades",),
    "quotes": ("quotes",),
    "bars": ("bars", "updatedBars", "dailyBars"),
}
#: 405 is no matter of waiting: the same symbols are as many the next time
_ERRORS: Final[Mapping[int, type[ProviderError]]] = {
    400: BadRequest,
    401: AuthFailed,
    402: AuthFailed,
    403: BadRequest,
    404: ProviderAway,
    405: EntitlementMissing,
    406: RateLimited,
    407: ProviderAway,
    408: EntitlementMissing,
    409: EntitlementMissing,
    410: BadRequest,
    411: EntitlementMissing,
    500: ProviderAway,
}


class _T(msgspec.Struct, tag_field="T", tag="t", gc=False):
    S: str
    p: float
    s: float
    t: str | Ext
    i: int = 0
    x: str = ""
    c: tuple[str, ...] | None = None
    z: str = ""


class _Q(msgspec.Struct, tag_field="T", tag="q", gc=False):
    S: str
    bp: float
    bs: float
    ap: float
    size: float = msgspec.field(name="as")
    t: str | Ext
    bx: str = ""
    ax: str = ""
    c: tuple[str, ...] | None = None
    z: str = ""


class _Bar(msgspec.Struct, tag_field="T", gc=False):
    S: str
    o: float
    h: float
    l: float  # noqa: E741 - alpaca's name
    c: float
    v: float
    t: str | Ext
    n: int | None = None
    vw: float | None = None


class _Minute(_Bar, tag="b"):
    pass


class _Updated(_Bar, tag="u"):
    pass


class _Day(_Bar, tag="d"):
    pass


class _Correction(msgspec.Struct, tag_field="T", tag="c"):
    S: str
    op: float
    os: float
    cp: float
    cs: float
    t: str | Ext
    oi: int = 0
    ci: int = 0
    cc: tuple[str, ...] | None = None
    x: str = ""
    z: str = ""


class _Cancel(msgspec.Struct, tag_field="T", tag="x"):
    S: str
    p: float
    s: float
    t: str | Ext
    i: int = 0
    x: str = ""
    a: str = ""
    """C cancelled, E in error: in either case the trade does not count."""
    z: str = ""


class _Success(msgspec.Struct, tag_field="T", tag="success"):
    msg: str


class _Error(msgspec.Struct, tag_field="T", tag="error"):
    code: int
    msg: str = ""


class _Subscription(msgspec.Struct, tag_field="T", tag="subscription", rename="camel"):
    trades: list[str] | None = None
    quotes: list[str] | None = None
    bars: list[str] | None = None
    updated_bars: list[str] | None = None
    daily_bars: list[str] | None = None


class _Kind(msgspec.Struct):
    T: str


_Message = _T | _Q | _Minute | _Updated | _Day | _Correction | _Cancel | _Success | _Error | _Subscription
_KNOWN: Final = frozenset({"t", "q", "b", "u", "d", "c", "x", "success", "error", "subscription"})


class _Wire:
    """The four decoders of one format."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self.frame = make(list[_Message]).decode
        self.one = make(_Message).decode
        self.kind = make(_Kind).decode
        self.split = make(list[msgspec.Raw]).decode


_JSON: Final = _Wire(msgspec.json.Decoder)
_MSGPACK: Final = _Wire(msgspec.msgpack.Decoder)


class AlpacaDialogue(Dialogue):
    """Greeting, ``auth``, then the subscriptions; corrections and cancels come with trades unasked."""

    provider = "alpaca"
    spelling = ALPACA

    def __init__(
        self,
        config: AlpacaConfig,
        symbols: Sequence[str],
        what: Sequence[What],
        feed: StreamFeed | None = None,
        *,
        binary: bool = True,
    ) -> None:
        """Say nothing yet.

        Args:
            config: with the key.
            symbols: canonical, or ``*``.
            what: which streams.
            feed: default: the configuration's.
            binary: MessagePack instead of JSON.
        """
        feed = feed or config.feed
        super().__init__(symbols, what, feed, provider=config.provider)
        self._config = config
        self._authenticated = False
        self._binary = binary
        self._wire = _MSGPACK if binary else _JSON
        if binary:
            self.headers = {"Content-Type": "application/msgpack"}
        wanted = set(self.spelled.values())
        self._waiting = {channel: set(wanted) for w in self.what for channel in _CHANNELS[w]}

    @property
    @override
    def live(self) -> bool:
        return self._authenticated and not self._waiting

    @property
    @override
    def missing(self) -> str:
        count = sum(map(len, self._waiting.values()))
        return f"{count} subscriptions" if self._authenticated else "login"

    @override
    def url(self) -> SecretStr:
        return SecretStr(f"{self._config.ws_url.rstrip('/')}/{self.feed}")

    @override
    def secrets(self) -> tuple[SecretStr, ...]:
        return (self._config.key_id, self._config.secret)

    @override
    def hear(self, frame: Frame, at_ns: int) -> Heard:
        heard = Heard()
        try:
            messages: Sequence[_Message | Item] = self._wire.frame(frame)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError) as exc:
            messages = self._apart(frame, exc)
        for message in messages:
            if isinstance(message, _Success):
                self._success(message, heard)
            elif isinstance(message, _Subscription):
                self._subscribed(message)
            elif isinstance(message, _Error):
                heard.items.append(Refused(self._error(message)))
            else:
                item = converted(message, lambda m=message: self._item(m, at_ns), b"")  # type: ignore[misc]
                if item is not None:
                    heard.items.append(item)
        return heard

    @override
    def again(self, symbols: Sequence[str]) -> list[Frame]:
        spelled = [self.spelled[s] for s in symbols]
        return [
            self._say({"action": action, **dict.fromkeys(self._channels(), batch)})
            for batch in batches(spelled, BATCH)
            for action in ("unsubscribe", "subscribe")
        ]

    def _item(self, m: _Message | Item, at_ns: int) -> Item | None:
        if isinstance(m, _T):
            return sound(
                Trade(
                    self.canonical(m.S),
                    _ns(m.t),
                    m.p,
                    m.s,
                    self.provider_name,
                    self.feed,
                    m.x,
                    fitting("".join(m.c)) if m.c else "",
                    m.z,
                    0,
                    str(m.i) if m.i else "",
                    at_ns,
                )
            )
        if isinstance(m, _Q):
            return self._quote(m, at_ns)
        if isinstance(m, _Bar):
            ts = _ns(m.t)
            session = session_of(ts) if isinstance(m, _Day) else 0
            return BarRow(self.canonical(m.S), ts, m.o, m.h, m.l, m.c, m.v, m.vw, m.n, session)
        if isinstance(m, _Cancel):
            return TradeCancel(
                type="cancel", orig_id=_id(m.i), orig_price=m.p, orig_size=m.s, **self._of(m, at_ns)
            )
        if isinstance(m, _Correction):
            return TradeCorrection(
                type="correction",
                orig_id=_id(m.oi),
                orig_price=m.op,
                orig_size=m.os,
                trade_id=_id(m.ci),
                price=m.cp,
                size=m.cs,
                conditions=fitting("".join(m.cc or ())),
                **self._of(m, at_ns),
            )
        return m  # type: ignore[return-value] # an item already

    def _of(self, m: _Cancel | _Correction, at_ns: int) -> dict[str, Any]:
        return {
            "symbol": self.canonical(m.S),
            "ts_event": _ns(m.t),
            "provider": self.provider_name,
            "feed": self.feed,
            "venue": m.x,
            "tape": m.z,
            "ts_recv": at_ns,
        }

    def _quote(self, m: _Q, at_ns: int) -> RawQuote:
        ts = _ns(m.t)
        bid, bid_size = side(m.bp, m.bs, ts)
        ask, ask_size = side(m.ap, m.size, ts)
        return sound_quote(
            RawQuote(
                symbol=self.canonical(m.S),
                ts_event=ts,
                provider=self.provider_name,
                bid=bid,
                bid_size=bid_size,
                ask=ask,
                ask_size=ask_size,
                feed=self.feed,
                # a venue of one space stands beside price 0
                bid_venue=m.bx.strip() if bid else "",
                ask_venue=m.ax.strip() if ask else "",
                conditions=fitting("".join(m.c)) if m.c else "",
                tape=m.z,
                ts_recv=at_ns,
            )
        )

    def _success(self, m: _Success, heard: Heard) -> None:
        if m.msg == "connected":
            key, secret = self._config.key_id.get_secret_value(), self._config.secret.get_secret_value()
            heard.replies.append(self._say({"action": "auth", "key": key, "secret": secret}))
        elif m.msg == "authenticated":
            self._authenticated = True
            heard.replies += [
                self._say({"action": "subscribe", **dict.fromkeys(self._channels(), batch)})
                for batch in batches(list(self.spelled.values()), BATCH)
            ]

    def _channels(self) -> list[str]:
        return [channel for w in self.what for channel in _CHANNELS[w]]

    def _subscribed(self, m: _Subscription) -> None:
        now = {
            "trades": m.trades,
            "quotes": m.quotes,
            "bars": m.bars,
            "updatedBars": m.updated_bars,
            "dailyBars": m.daily_bars,
        }
        left = {channel: symbols.difference(now[channel] or ()) for channel, symbols in self._waiting.items()}
        self._waiting = {channel: symbols for channel, symbols in left.items() if symbols}

    def _error(self, m: _Error) -> ProviderError:
        kind = _ERRORS.get(m.code, ProviderAway)
        text, code = m.msg or "no text", str(m.code)
        if kind is RateLimited:
            return RateLimited(text, provider=self.provider_name, code=code, retry_after_s=PAUSE_S)
        return kind(text, provider=self.provider_name, code=code)

    def _say(self, message: dict[str, Any]) -> Frame:
        return msgspec.msgpack.encode(message) if self._binary else encoded(message)

    def _apart(self, frame: Frame, why: Exception) -> list[_Message | Item]:
        """Return the messages of a frame of which one cannot be read, without those of unknown kinds."""
        raw = frame.encode() if isinstance(frame, str) else frame
        try:
            parts = self._wire.split(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return [unreadable(why, raw)]
        found: list[_Message | Item] = []
        for part in map(bytes, parts):
            try:
                if self._wire.kind(part).T in _KNOWN:
                    found.append(self._wire.one(part))
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
                found.append(unreadable(exc, part))
        return found


def _id(number: int) -> str:
    return str(number) if number else ""


def _ns(at: str | Ext) -> int:
    """Return nanoseconds since the epoch of RFC 3339 or of MessagePack's timestamp in any of its sizes.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(at, str):
        return to_ns(at)
    data = bytes(at.data)
    if at.code == _TIMESTAMP and len(data) == 4:
        return int.from_bytes(data, "big") * SECOND_NS
    if at.code == _TIMESTAMP and len(data) == 8:
        packed = int.from_bytes(data, "big")
        return (packed & 0x3_FFFF_FFFF) * SECOND_NS + (packed >> 34)
    if at.code == _TIMESTAMP and len(data) == 12:
        seconds = int.from_bytes(data[4:], "big", signed=True)
        return seconds * SECOND_NS + int.from_bytes(data[:4], "big")
    raise ValueError(f"time: extension {at.code} of {len(data)} bytes")

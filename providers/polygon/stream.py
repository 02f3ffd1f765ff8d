"""Polygon's feed: arrays of JSON; a status for every word of ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from pydantic import SecretStr
from typing_extensions import override

from providers.base import BarRow
from providers.dialogue import (
    Dialogue,
    Frame,
    Heard,
    Item,
    Refused,
    Unsound,
    What,
    batches,
    encoded,
    fitting,
    sound,
    sound_quote,
    unreadable,
)
from providers.lots import side
from providers.polygon.config import PolygonConfig
from providers.sale_conditions import of_polygon
from providers.symbols import POLYGON
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

MS_NS: Final = 1_000_000
CHANNELS: Final[dict[What, str]] = {"trades": "T", "quotes": "Q", "bars": "AM"}
#: channels in one message
BATCH: Final = 500
#: another connection of the key may be on its way out: ours, of a process that was killed
PAUSE_S: Final = 1.0
_TAPES: Final = {1: "A", 2: "B", 3: "C"}


class _T(msgspec.Struct, tag_field="ev", tag="T", gc=False):
    sym: str
    p: float
    t: int
    s: float = 0.0
    ds: str = ""
    """The size with its fraction, where there is one."""
    x: int = 0
    i: str = ""
    z: int = 0
    c: tuple[int, ...] = ()
    q: int = 0


class _Q(msgspec.Struct, tag_field="ev", tag="Q", gc=False):
    sym: str
    t: int
    bp: float | None = None
    bs: float | None = None
    bx: int = 0
    ap: float | None = None
    size: float | None = msgspec.field(default=None, name="as")
    ax: int = 0
    c: int | None = None
    i: tuple[int, ...] = ()
    q: int = 0
    z: int = 0


class _Minute(msgspec.Struct, tag_field="ev", tag="AM", gc=False):
    sym: str
    s: int
    o: float
    h: float
    l: float  # noqa: E741 - polygon's name
    c: float
    v: float
    vw: float | None = None
    dv: str = ""
    """The volume with its fraction, where there is one."""


class _Status(msgspec.Struct, tag_field="ev", tag="status"):
    status: str
    message: str = ""


class _Kind(msgspec.Struct):
    ev: str


_Message = _T | _Q | _Minute | _Status
_KNOWN: Final = ("T", "Q", "AM", "status")
_decode = msgspec.json.Decoder(list[_Message]).decode
_decode_one = msgspec.json.Decoder(_Message).decode
_decode_kind = msgspec.json.Decoder(_Kind).decode
_split = msgspec.json.Decoder(list[msgspec.Raw]).decode

#: what a status means that is not about a subscription
_PARTINGS: Final[dict[str, type[ProviderError]]] = {
    "auth_failed": AuthFailed,
    "auth_timeout": ProviderAway,
    "max_connections": RateLimited,
    "slow_consumer": ProviderAway,
    "force_disconnect": ProviderAway,
}


class PolygonDialogue(Dialogue):
    """Greeting, ``auth``, then one ``subscribe`` after the other without waiting for the confirmations."""

    provider = "polygon"
    spelling = POLYGON

    def __init__(self, config: PolygonConfig, symbols: Sequence[str], what: Sequence[What]) -> None:
        """Say nothing yet."""
        super().__init__(symbols, what, "delayed_sip" if config.plan == "delayed" else "sip")
        self._config = config
        self._authenticated = False
        self._waiting = {f"{CHANNELS[w]}.{s}" for w in self.what for s in self.spelled.values()}

    @property
    @override
    def live(self) -> bool:
        return self._authenticated and not self._waiting

    @property
    @override
    def missing(self) -> str:
        return f"{len(self._waiting)} subscriptions" if self._authenticated else "login"

    @override
    def url(self) -> SecretStr:
        return SecretStr(self._config.ws_url)

    @override
    def secrets(self) -> tuple[SecretStr, ...]:
        return (self._config.key,)

    @override
    def hear(self, frame: Frame, at_ns: int) -> Heard:
        heard = Heard()
        try:
            messages: Sequence[_Message | Item] = _decode(frame)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            messages = _apart(frame, exc)
        for message in messages:
            kind = type(message)
            try:
                if kind is _T:
                    heard.items.append(self._trade(message, at_ns))  # type: ignore[arg-type]
                elif kind is _Q:
                    heard.items.append(self._quote(message, at_ns))  # type: ignore[arg-type]
                elif isinstance(message, _Minute):
                    heard.items.append(self._bar(message))
                elif isinstance(message, _Status):
                    self._status(message, heard)
                else:
                    heard.items.append(message)  # type: ignore[arg-type]
            except (Unsound, OverflowError) as exc:
                heard.items.append(unreadable(exc, msgspec.json.encode(message)))
        return heard

    @override
    def again(self, symbols: Sequence[str]) -> list[Frame]:
        channels = [f"{CHANNELS[w]}.{self.spelled[s]}" for s in symbols for w in self.what]
        return [
            encoded({"action": action, "params": ",".join(batch)})
            for batch in batches(channels, BATCH)
            for action in ("unsubscribe", "subscribe")
        ]

    def _trade(self, m: _T, at_ns: int) -> Trade:
        tape = _TAPES.get(m.z, "")
        return sound(
            Trade(
                self.canonical(m.sym),
                m.t * MS_NS,
                m.p,
                _fraction(m.ds, m.s),
                self.provider_name,
                self.feed,
                # exchange 0: nobody
                str(m.x) if m.x else "",
                of_polygon(m.c, tape) if m.c else "",
                tape,
                m.q,
                m.i,
                at_ns,
            )
        )

    def _quote(self, m: _Q, at_ns: int) -> RawQuote:
        ts = m.t * MS_NS
        bid, bid_size = side(m.bp, m.bs, ts)
        ask, ask_size = side(m.ap, m.size, ts)
        codes = (*((m.c,) if m.c else ()), *m.i)
        return sound_quote(
            RawQuote(
                symbol=self.canonical(m.sym),
                ts_event=ts,
                provider=self.provider_name,
                bid=bid,
                bid_size=bid_size,
                ask=ask,
                ask_size=ask_size,
                feed=self.feed,
                bid_venue=str(m.bx) if m.bx and bid else "",
                ask_venue=str(m.ax) if m.ax and ask else "",
                conditions=fitting(",".join(map(str, codes))),
                tape=_TAPES.get(m.z, ""),
                seq=m.q,
                ts_recv=at_ns,
            )
        )

    def _bar(self, m: _Minute) -> BarRow:
        # `a` and `z` are of the day and of an average trade: there is no count of trades
        volume = _fraction(m.dv, m.v)
        return BarRow(self.canonical(m.sym), m.s * MS_NS, m.o, m.h, m.l, m.c, volume, m.vw, None)

    def _status(self, m: _Status, heard: Heard) -> None:
        if m.status == "connected":
            auth = {"action": "auth", "params": self._config.key.get_secret_value()}
            heard.replies.append(encoded(auth))
        elif m.status == "auth_success":
            self._authenticated = True
            heard.replies += [
                encoded({"action": "subscribe", "params": ",".join(batch)})
                for batch in batches(self._wanted(), BATCH)
            ]
        elif m.status == "success":
            self._waiting.discard(m.message.removeprefix("subscribed to: "))
        elif m.status == "error":
            heard.items.append(self._rejected(m.message))
        elif kind := _PARTINGS.get(m.status):
            heard.items.append(Refused(self._error(kind, m)))

    def _wanted(self) -> list[str]:
        return [f"{CHANNELS[w]}.{s}" for w in self.what for s in self.spelled.values()]

    def _rejected(self, message: str) -> Refused:
        """An ``error`` names the channels that it is about, or it is about everything."""
        named = {channel for channel in self._waiting if channel in message.replace(",", " ").split()}
        self._waiting -= named
        kind = EntitlementMissing if "authorized" in message or "plan" in message else BadRequest
        return Refused(self._error(kind, _Status("error", message)), fatal=not named)

    def _error(self, kind: type[ProviderError], m: _Status) -> ProviderError:
        if kind is AuthFailed and "plan" in m.message.lower():
            kind = EntitlementMissing
        text = m.message or m.status
        if kind is RateLimited:
            return RateLimited(text, provider=self.provider_name, code=m.status, retry_after_s=PAUSE_S)
        return kind(text, provider=self.provider_name, code=m.status)


def _fraction(text: str, whole: float) -> float:
    try:
        return float(text) if text else whole
    except ValueError:
        raise Unsound(f"size: {text[:64]!r}") from None


def _apart(frame: Frame, why: Exception) -> list[_Message | Item]:
    """Return the messages of a frame of which one cannot be read; kinds that we do not know are left out."""
    raw = frame.encode() if isinstance(frame, str) else frame
    try:
        parts = _split(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return [unreadable(why, raw)]
    found: list[_Message | Item] = []
    for part in map(bytes, parts):
        try:
            if _decode_kind(part).ev in _KNOWN:
                found.append(_decode_one(part))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            found.append(unreadable(exc, part))
    return found

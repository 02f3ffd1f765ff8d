"""alpaca's feed: arrays of JSON or, by a header of the handshake, of MessagePack."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

import msgspec
from aiohttp import WSCloseCode
from typing_extensions import override

from sandbox.market.calendar import SECOND_NS
from sandbox.market.records import Amendment, Quote, Trade
from sandbox.market.views import Row
from sandbox.vendors import alpaca_wire as wire
from sandbox.vendors.ask import read_instant, rfc3339
from sandbox.vendors.feed import Connection, Feed
from sandbox.vendors.plans import DELAY_S
from sandbox.vendors.tape import Event
from sandbox.vendors.vendor import number

CHANNELS = ("trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds")
#: they come with trades and cannot be asked for
WITH_TRADES = ("corrections", "cancelErrors")
ERRORS = {
    400: "invalid syntax",
    401: "not authenticated",
    402: "auth failed",
    403: "already authenticated",
    404: "auth timeout",
    405: "symbol limit exceeded",
    406: "connection limit exceeded",
    407: "slow client",
    409: "insufficient subscription",
    410: "invalid subscribe action for this feed",
    500: "internal error",
}
PARTING = {"slow_consumer": 407, "max_connections": 406}
TEST_SYMBOL = "FAKEPACA"
_BARS = {"bar": "b", "updated_bar": "u", "daily_bar": "d"}


class AlpacaFeed(Feed):
    """Paths ``/v2/iex``, ``/v2/sip``, ``/v2/delayed_sip`` and ``/v2/test``."""

    name = "alpaca"

    @override
    async def greet(self, connection: Connection) -> None:
        self.say(connection, [{"T": "success", "msg": "connected"}])
        headers = connection.request.headers
        if "APCA-API-KEY-ID" in headers:
            self._auth(connection, headers["APCA-API-KEY-ID"], headers.get("APCA-API-SECRET-KEY", ""))

    @override
    async def heard(self, connection: Connection, message: Any) -> None:
        if not isinstance(message, dict):
            self._error(connection, 400)
            return
        action = message.get("action")
        if action == "auth":
            if connection.account is not None:
                self._error(connection, 403)
            else:
                self._auth(connection, str(message.get("key")), str(message.get("secret")))
        elif connection.account is None:
            self._error(connection, 401)
        elif action in ("subscribe", "unsubscribe"):
            self._subscribe(connection, action, message)
        else:
            self._error(connection, 400)

    def _auth(self, connection: Connection, key: str, secret: str) -> None:
        account = self.world.plans.account(self.name, key)
        feed = connection.request.match_info["feed"]
        if account is None or account.secret != secret:
            self._error(connection, 402)
        elif feed == "sip" and account.plan != "paid":
            self._error(connection, 409, close=True)
        elif not self.admit(connection, account):
            connection.account = None
            self._error(connection, 406, close=True)
        else:
            self.say(connection, [{"T": "success", "msg": "authenticated"}])
            # the plan decides about the feed, the feed about the delay
            delay = DELAY_S if feed == "delayed_sip" else 0
            connection.extra["feed"] = "iex" if feed == "iex" else "sip"
            connection.extra["behind_ns"] = (delay - account.delay_s) * SECOND_NS
            connection.cursor_ns -= connection.extra["behind_ns"]

    @override
    def _advance(self, connection: Connection, until: int) -> None:
        super()._advance(connection, until - connection.extra.get("behind_ns", 0))

    def _subscribe(self, connection: Connection, action: str, message: dict[str, Any]) -> None:
        wanted = {channel: message[channel] for channel in CHANNELS if message.get(channel)}
        if any(name not in (*CHANNELS, *WITH_TRADES, "action") for name in message) or not all(
            isinstance(symbols, list) for symbols in wanted.values()
        ):
            self._error(connection, 400)
            return
        if action == "unsubscribe":
            for channel, symbols in wanted.items():
                connection.unsubscribe(channel, symbols)
        elif self._too_many(connection, wanted):
            self._error(connection, 405)
            return
        else:
            for channel, symbols in wanted.items():
                connection.subscribe(channel, symbols)
        now = {channel: list(connection.subscribed.get(channel, {})) for channel in CHANNELS}
        now |= dict.fromkeys(WITH_TRADES, now["trades"])
        self.say(connection, [{"T": "subscription", **now}])

    def _too_many(self, connection: Connection, wanted: dict[str, list[str]]) -> bool:
        assert connection.account is not None
        most = connection.account.symbols
        if most is None:
            return False
        count = 0
        for channel in ("trades", "quotes"):
            symbols = {*connection.subscribed.get(channel, {}), *wanted.get(channel, ())}
            count += len(symbols)
            if "*" in symbols:
                return True
        return count > most

    def _error(self, connection: Connection, code: int, *, close: bool = False) -> None:
        self.say(connection, [{"T": "error", "code": code, "msg": ERRORS[code]}])
        if close:
            self.close(connection, WSCloseCode.POLICY_VIOLATION)

    @override
    def events(self, connection: Connection, after: int, until: int) -> Iterable[Event]:
        if connection.request.match_info["feed"] == "test":
            yield from self._test(connection, after, until)
            return
        feed, tape = connection.extra["feed"], self.tape
        for symbol in self.symbols(connection, "trades"):
            yield from tape.ticks(feed, symbol, after, until)
        for symbol in self.symbols(connection, "quotes"):
            yield from tape.quotes(feed, symbol, after, until)
        for symbol in self.symbols(connection, "bars"):
            yield from tape.bars("alpaca", feed, symbol, after, until)
        for symbol in self.symbols(connection, "updatedBars"):
            yield from tape.updated(feed, symbol, after, until)
        for symbol in self.symbols(connection, "dailyBars"):
            yield from tape.days(feed, symbol, after, until)

    def _test(self, connection: Connection, after: int, until: int) -> Iterable[Event]:
        """One trade a second of a symbol that is never closed."""
        if not connection.wants("trades", TEST_SYMBOL):
            return
        for second in range(after // SECOND_NS + 1, until // SECOND_NS + 1):
            at, price = second * SECOND_NS, 100 + second % 50 / 100
            trade = Trade(TEST_SYMBOL, at, at, price, 100.0, "N", (), second, second)
            yield Event(at, "trade", TEST_SYMBOL, trade, second)

    @override
    def write(self, connection: Connection, event: Event) -> Any | None:
        item, symbol = event.item, event.symbol
        listed = self.world.market.instruments.get(symbol)
        tape = listed.tape if listed else "C"
        if isinstance(item, Trade):
            row = wire.trade(item, tape)
            return {"T": "t", "S": symbol} | {name: row[name] for name in "ixpsczt"}
        if isinstance(item, Quote):
            row = wire.quote(item, tape)
            names = ("bx", "bp", "bs", "ax", "ap", "as", "c", "z", "t")
            return {"T": "q", "S": symbol} | {name: row[name] for name in names}
        if isinstance(item, Row):
            row = wire.bar(item)
            columns = ("o", "h", "l", "c", "v", "n", "vw", "t")
            return {"T": _BARS[event.kind], "S": symbol} | {name: row[name] for name in columns}
        return _amendment(item, tape)

    @override
    def encode(self, connection: Connection, frame: Any) -> str | bytes:
        if not connection.binary:
            return super().encode(connection, frame)
        if isinstance(frame, list):
            frame = [_with_timestamp(message) for message in frame]
        return msgspec.msgpack.encode(frame)

    @override
    def decode(self, connection: Connection, data: str | bytes) -> Any:
        if connection.binary and isinstance(data, bytes):
            return msgspec.msgpack.decode(data)
        return super().decode(connection, data)

    @override
    def parting(self, kind: str) -> Any | None:
        code = PARTING.get(kind)
        return [{"T": "error", "code": code, "msg": ERRORS[code]}] if code else None

    @override
    def timed_out(self) -> Any | None:
        return [{"T": "error", "code": 404, "msg": ERRORS[404]}]


def _amendment(said: Amendment, tape: str) -> dict[str, Any]:
    was, now = said.original, said.corrected
    at = rfc3339(said.at_ns)
    if now is None:
        return {
            "T": "x",
            "S": was.symbol,
            "i": was.trade_id,
            "x": was.venue,
            "p": number(was.price),
            "s": wire.size(was),
            "a": "C",
            "z": tape,
            "t": at,
        }
    return {
        "T": "c",
        "S": was.symbol,
        "x": was.venue,
        "oi": was.trade_id,
        "op": number(was.price),
        "os": wire.size(was),
        "oc": wire.conditions(was, tape),
        "ci": now.trade_id,
        "cp": number(now.price),
        "cs": wire.size(now),
        "cc": wire.conditions(now, tape),
        "z": tape,
        "t": at,
    }


def _with_timestamp(message: Any) -> Any:
    """Return a message with its time as MessagePack's own type: extension -1, exact to the nanosecond."""
    text = message.get("t") if isinstance(message, dict) else None
    at = read_instant(text) if isinstance(text, str) else None
    if at is None:
        return message
    seconds, nanos = divmod(at, SECOND_NS)
    packed = struct.pack(">Q", nanos << 34 | seconds) if nanos else struct.pack(">I", seconds)
    return message | {"t": msgspec.msgpack.Ext(-1, packed)}

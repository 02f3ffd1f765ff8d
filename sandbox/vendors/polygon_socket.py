"""polygon's feed: arrays of JSON; a status for every word of the client."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiohttp import WSCloseCode
from typing_extensions import override

from sandbox.market.bar_rule import POLYGON
from sandbox.market.calendar import MINUTE_NS
from sandbox.market.conditions import Sale
from sandbox.market.records import Quote, Trade
from sandbox.market.views import Row, lots
from sandbox.vendors import polygon_wire as wire
from sandbox.vendors.feed import Connection, Feed
from sandbox.vendors.tape import Event
from sandbox.vendors.vendor import number

CHANNELS = ("AM", "Q", "T")
MAX_CONNECTIONS = (
    "Maximum number of websocket connections exceeded. You have reached the connection limit for your "
    "account. Please contact support at support@polygon.io to increase your limit."
)
NO_PLAN = "Your plan doesn't include websocket access. Visit https://polygon.io/pricing to upgrade."
SLOW = "Disconnecting: slow consumer"


class PolygonFeed(Feed):
    """Channels ``AM.``, ``Q.`` and ``T.`` of symbols, or of ``*``."""

    name = "polygon"

    @override
    async def greet(self, connection: Connection) -> None:
        self.say(connection, _status("connected", "Connected Successfully"))

    @override
    async def heard(self, connection: Connection, message: Any) -> None:
        action = message.get("action") if isinstance(message, dict) else None
        params = str(message.get("params", "")) if isinstance(message, dict) else ""
        if action == "auth":
            self._auth(connection, params)
        elif connection.account is None:
            self.say(connection, _status("error", "not authenticated"))
        elif action in ("subscribe", "unsubscribe"):
            self._subscribe(connection, action, params)
        else:
            self.say(connection, _status("error", "unknown action"))

    def _auth(self, connection: Connection, key: str) -> None:
        account = self.world.plans.account(self.name, key)
        if account is None:
            self.say(connection, _status("auth_failed", "authentication failed"))
            self.close(connection, WSCloseCode.POLICY_VIOLATION)
        elif account.plan == "free":
            self.say(connection, _status("auth_failed", NO_PLAN))
            self.close(connection, WSCloseCode.POLICY_VIOLATION)
        else:
            # one connection too many hears of it only when it has subscribed
            connection.extra["one_too_many"] = not self.admit(connection, account)
            self.say(connection, _status("auth_success", "authenticated"))

    def _subscribe(self, connection: Connection, action: str, params: str) -> None:
        change = connection.subscribe if action == "subscribe" else connection.unsubscribe
        word = "subscribed" if action == "subscribe" else "unsubscribed"
        for name in params.split(","):
            channel, _, symbol = name.partition(".")
            if channel not in CHANNELS or not symbol:
                self.say(connection, _status("error", f"invalid subscription: {name}"))
                continue
            change(channel, [symbol])
            self.say(connection, _status("success", f"{word} to: {name}"))
        if connection.extra["one_too_many"]:
            self._part(connection, "max_connections")

    @override
    def events(self, connection: Connection, after: int, until: int) -> Iterable[Event]:
        for symbol in self.symbols(connection, "T"):
            yield from self.tape.ticks("", symbol, after, until)
        for symbol in self.symbols(connection, "Q"):
            yield from self.tape.quotes("", symbol, after, until)
        for symbol in self.symbols(connection, "AM"):
            yield from self.tape.bars("polygon", "", symbol, after, until)
            yield from self.tape.renewed("", symbol, after, until)

    @override
    def write(self, connection: Connection, event: Event) -> Any | None:
        item, tape = event.item, wire.TAPES[self.world.market.instruments[event.symbol].tape]
        if isinstance(item, Trade):
            return _trade(item, tape)
        if isinstance(item, Quote):
            return _quote(item, tape)
        # corrections and busts are not sent: bars and history have them after the session
        return self._minute(event, item) if isinstance(item, Row) else None

    def _minute(self, event: Event, row: Row) -> dict[str, Any]:
        session = self.world.market.session(row.day)
        assert session is not None
        end = row.ts_ns + MINUTE_NS
        seen = self.world.views.seen(POLYGON, event.symbol, session, event.at_ns)
        today = [trade for trade in seen if trade.ts_ns < end and all(s.effect.volume for s in trade.sales)]
        volume = round(sum(trade.size for trade in today), 6)
        paid = sum(trade.price * trade.size for trade in today)
        opened = next((trade.price for trade in seen if Sale.OPENING in trade.sales), 0.0)
        return {
            "ev": "AM",
            "sym": event.symbol,
            "v": number(row.volume),
            "av": number(volume),
            "op": number(opened if row.ts_ns >= session.open_ns else 0.0),
            "vw": number(row.vwap),
            "o": number(row.open),
            "c": number(row.close),
            "h": number(row.high),
            "l": number(row.low),
            "a": number(round(paid / volume, 4)) if volume else 0,
            "z": int(row.volume / row.count),
            "s": row.ts_ns // wire.MILLI_NS,
            "e": end // wire.MILLI_NS,
        }

    @override
    def parting(self, kind: str) -> Any | None:
        if kind == "max_connections":
            return _status("max_connections", MAX_CONNECTIONS)
        return (
            _status("slow_consumer", SLOW) if kind == "slow_consumer" else _status("force_disconnect", kind)
        )

    @override
    def timed_out(self) -> Any | None:
        return _status("auth_timeout", "No authentication request received.")


def _status(status: str, message: str) -> list[dict[str, str]]:
    return [{"ev": "status", "status": status, "message": message}]


def _quote(quote: Quote, tape: int) -> dict[str, Any]:
    return {
        "ev": "Q",
        "sym": quote.symbol,
        "bx": wire.EXCHANGES[quote.bid_venue],
        "bp": number(quote.bid),
        "bs": lots(quote.bid_size, quote.ts_ns),
        "ax": wire.EXCHANGES[quote.ask_venue],
        "ap": number(quote.ask),
        "as": lots(quote.ask_size, quote.ts_ns),
        "c": 0,
        "t": quote.ts_ns // wire.MILLI_NS,
        "q": quote.seq,
        "z": tape,
    }


def _trade(trade: Trade, tape: int) -> dict[str, Any]:
    body: dict[str, Any] = {
        "ev": "T",
        "sym": trade.symbol,
        "x": wire.EXCHANGES[trade.venue],
        "i": str(trade.trade_id),
        "z": tape,
        "p": number(trade.price),
        "s": number(trade.size),
    }
    if found := wire.conditions(trade):
        body["c"] = found
    body |= {"t": trade.ts_ns // wire.MILLI_NS, "q": trade.seq}
    if trade.venue == "D":
        body |= {"trfi": wire.TRF, "trft": trade.arrival_ns // wire.MILLI_NS}
    return body

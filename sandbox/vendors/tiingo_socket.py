"""Tiingo's feed: objects of JSON, data by position; its shape depends on the level that was asked for."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from aiohttp import WSCloseCode, web
from typing_extensions import override

from sandbox.market.calendar import NEW_YORK, SECOND_NS, day_of
from sandbox.market.conditions import Sale
from sandbox.market.records import Amendment, Quote, Trade
from sandbox.vendors.feed import Connection, Feed
from sandbox.vendors.tape import Event
from sandbox.vendors.vendor import World

PATHS = ("/iex", "/iex/")
NOT_YOURS = "thresholdLevel not valid for your subscription tier, please use thresholdLevel 6"
#: levels with quotes and trades, for those who may have them; and the one for all
FULL, REFERENCE = (0, 5), 6


class TiingoFeed(Feed):
    """The path is that of the top of book: only a handshake gets here."""

    name = "tiingo"
    heartbeat_s = 30.0

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._subscriptions = itertools.count(6_038_597)

    @property
    def upgrades(self) -> Any:
        """Middleware that takes handshakes out of the requests."""

        @web.middleware
        async def upgraded(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            asks = request.headers.get("Upgrade", "").lower() == "websocket"
            return await (self.serve(request) if asks and request.path in PATHS else handler(request))

        return upgraded

    @override
    async def greet(self, connection: Connection) -> None:
        """Nothing is said first."""

    @override
    async def heard(self, connection: Connection, message: Any) -> None:
        if not isinstance(message, dict):
            self._error(connection, 400, "Invalid request")
            return
        event, data = message.get("eventName"), message.get("eventData") or {}
        account = self.world.plans.account(self.name, message.get("authorization"))
        if account is None:
            self._error(connection, 401, "Not authorized")
            self.close(connection, WSCloseCode.POLICY_VIOLATION)
            return
        tickers = [str(ticker).upper().replace("-", ".") for ticker in data.get("tickers") or ["*"]]
        if event == "unsubscribe":
            connection.unsubscribe("iex", tickers)
        elif event != "subscribe":
            self._error(connection, 400, "Invalid eventName")
            return
        else:
            level = int(data.get("thresholdLevel", REFERENCE))
            if level not in (*FULL, REFERENCE) or (level in FULL and account.plan != "paid"):
                self._error(connection, 400, NOT_YOURS)
                return
            if connection.account is None and not self.admit(connection, account):
                self._part(connection, "max_connections")
                return
            connection.extra["level"] = level
            connection.extra.setdefault("subscription", next(self._subscriptions))
            connection.subscribe("iex", tickers)
        said = {"subscriptionId": connection.extra.get("subscription", 0)}
        response = {"code": 200, "message": "Success"}
        self.say(connection, {"messageType": "I", "data": said, "response": response})
        self.say(connection, self.heartbeat())

    def _error(self, connection: Connection, code: int, text: str) -> None:
        self.say(connection, {"messageType": "E", "response": {"code": code, "message": text}})

    @override
    def events(self, connection: Connection, after: int, until: int) -> Iterable[Event]:
        full = connection.extra["level"] in FULL
        for symbol in self.symbols(connection, "iex"):
            yield from self.tape.ticks("iex", symbol, after, until)
            if full:
                yield from self.tape.quotes("iex", symbol, after, until)

    @override
    def write(self, connection: Connection, event: Event) -> Any | None:
        item = event.item
        ticker = event.symbol.lower().replace(".", "-")
        if connection.extra["level"] == REFERENCE:
            data = [stamp(item.ts_ns), ticker, item.price] if isinstance(item, Trade) else None
        elif isinstance(item, Quote):
            data = self._quote(item, ticker)
        elif isinstance(item, Trade):
            data = self._trade("T", item, ticker)
        elif isinstance(item, Amendment) and item.corrected is None:
            data = self._trade("B", item.original, ticker)
        else:
            data = None
        return None if data is None else {"messageType": "A", "service": "iex", "data": data}

    @override
    def frames(self, messages: Sequence[Any]) -> Iterable[Any]:
        return messages

    @override
    def heartbeat(self) -> Any | None:
        return {"messageType": "H", "response": {"code": 200, "message": "HeartBeat"}}

    @override
    def parting(self, kind: str) -> Any | None:
        return {"messageType": "E", "response": {"code": 400, "message": kind.replace("_", " ")}}

    def _quote(self, quote: Quote, ticker: str) -> list[Any]:
        middle = round((quote.bid + quote.ask) / 2, 4) if quote.bid and quote.ask else None
        return [
            "Q",
            stamp(quote.ts_ns),
            quote.ts_ns,
            ticker,
            quote.bid_size,
            quote.bid,
            middle,
            quote.ask,
            quote.ask_size,
            None,
            None,
            0,
            self._after_hours(quote.ts_ns),
            None,
            None,
            None,
        ]

    def _trade(self, kind: str, trade: Trade, ticker: str) -> list[Any]:
        return [
            kind,
            stamp(trade.ts_ns),
            trade.ts_ns,
            ticker,
            None,
            None,
            None,
            None,
            None,
            trade.price,
            max(1, int(trade.size)),
            None,
            self._after_hours(trade.ts_ns),
            int(Sale.SWEEP in trade.sales),
            int(Sale.ODD_LOT in trade.sales),
            0,
        ]

    def _after_hours(self, ts_ns: int) -> int:
        session = self.world.market.session(day_of(ts_ns))
        return int(session is None or not session.is_regular(ts_ns))


def stamp(ts_ns: int) -> str:
    """Write an instant on New York's clocks with its offset and nine decimals."""
    seconds, nanos = divmod(ts_ns, SECOND_NS)
    at = datetime.fromtimestamp(seconds, NEW_YORK).isoformat()
    return f"{at[:19]}.{nanos:09}{at[19:]}"

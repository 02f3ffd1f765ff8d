"""finnhub's feed: trades of IEX, and pings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from aiohttp import web
from typing_extensions import override

from sandbox.market.conditions import Sale
from sandbox.market.records import Trade
from sandbox.vendors.feed import FRAME_MESSAGES, Connection, Feed
from sandbox.vendors.tape import Event
from sandbox.vendors.vendor import number

MILLI_NS = 1_000_000
#: every so many trades one comes twice, first without volume
UPDATE_EVERY = 10
#: finnhub's own numbers of conditions
CONDITIONS = {
    Sale.REGULAR: "1",
    Sale.AVERAGE_PRICE: "3",
    Sale.CASH: "5",
    Sale.SWEEP: "8",
    Sale.ODD_LOT: "12",
    Sale.OFFICIAL_CLOSE: "16",
    Sale.NEXT_DAY: "17",
    Sale.OPENING: "19",
    Sale.OFFICIAL_OPEN: "20",
    Sale.PRIOR_REFERENCE: "21",
    Sale.SELLER: "22",
    Sale.EXTENDED: "24",
    Sale.CONTINGENT: "26",
    Sale.CROSS: "28",
    Sale.OUT_OF_SEQUENCE: "30",
    Sale.DERIVATIVE: "32",
    Sale.REOPENING: "34",
    Sale.CLOSING: "36",
}


class FinnhubFeed(Feed):
    """No word about success: data, or an error."""

    name = "finnhub"
    heartbeat_s = 20.0

    @override
    async def serve(self, request: web.Request) -> web.StreamResponse:
        account = self.world.plans.account(self.name, request.query.get("token"))
        if account is None:
            self.world.log.asked(self.name, "", "ws", request.path, 401)
            return web.json_response({"error": "Invalid API key."}, status=401)
        return await super().serve(request)

    @override
    async def greet(self, connection: Connection) -> None:
        account = self.world.plans.account(self.name, connection.request.query["token"])
        assert account is not None
        if not self.admit(connection, account):
            self._part(connection, "max_connections")

    @override
    async def heard(self, connection: Connection, message: Any) -> None:
        kind = message.get("type") if isinstance(message, dict) else None
        symbol = message.get("symbol") if isinstance(message, dict) else None
        account = connection.account
        assert account is not None
        if kind == "unsubscribe" and isinstance(symbol, str):
            connection.unsubscribe("trades", [symbol])
        elif kind != "subscribe" or symbol not in self.world.market.instruments:
            self.say(connection, {"type": "error", "msg": "Invalid symbol"})
        elif account.symbols is not None and len(connection.subscribed.get("trades", {})) >= account.symbols:
            self.say(connection, {"type": "error", "msg": "Subscribing to too many symbols"})
        else:
            assert isinstance(symbol, str)
            connection.subscribe("trades", [symbol])

    @override
    def events(self, connection: Connection, after: int, until: int) -> Iterable[Event]:
        for symbol in self.symbols(connection, "trades"):
            for event in self.tape.ticks("iex", symbol, after, until):
                if event.kind != "trade":
                    continue
                if event.ident % UPDATE_EVERY == 0 and isinstance(event.item, Trade):
                    # a word about the price alone, as they come now and then
                    update = msgspec.structs.replace(event.item, size=0.0)
                    yield Event(event.at_ns, "trade", symbol, update)
                yield event

    @override
    def write(self, connection: Connection, event: Event) -> Any | None:
        trade = event.item
        assert isinstance(trade, Trade)
        special = [CONDITIONS[sale] for sale in trade.sales]
        return {
            "c": special,
            "p": number(trade.price),
            "s": trade.symbol,
            "t": trade.ts_ns // MILLI_NS,
            "v": max(1, int(trade.size)) if trade.size else 0,
        }

    @override
    def frames(self, messages: Sequence[Any]) -> Iterable[Any]:
        for start in range(0, len(messages), FRAME_MESSAGES):
            yield {"data": list(messages[start : start + FRAME_MESSAGES]), "type": "trade"}

    @override
    def heartbeat(self) -> Any | None:
        return {"type": "ping"}

    @override
    def parting(self, kind: str) -> Any | None:
        return {"type": "error", "msg": kind.replace("_", " ")}

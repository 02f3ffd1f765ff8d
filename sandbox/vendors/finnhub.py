"""finnhub over REST: candles, quotes, best bid and ask."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from aiohttp import web
from typing_extensions import override

from sandbox.market.calendar import SECOND_NS, midnight_ns, utc_midnight_ns
from sandbox.market.views import lots
from sandbox.vendors.ask import read_date
from sandbox.vendors.finnhub_socket import FinnhubFeed
from sandbox.vendors.plans import Account, Allowance
from sandbox.vendors.vendor import Handler, Refused, Reply, Vendor, World, number

JSON = "application/json; charset=utf-8"
API = "/api/v1{slashes:/+}"
LIMITED = "API limit reached. Please try again later. Remaining Limit: 0"
SIGN_UP = "API limit reached. Please sign up for a free account at https://finnhub.io/register."
RESOLUTIONS = {"1": 1, "5": 5, "15": 15, "30": 30, "60": 60, "D": 0}
MONTH = timedelta(days=31)
MILLI_NS = 1_000_000
MOST = 25_000


class Finnhub(Vendor):
    """One symbol a call; its own client doubles a slash, and the real one does not mind."""

    name = "finnhub"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.feed = FinnhubFeed(world)

    @override
    def routes(self) -> Mapping[tuple[str, str], Handler]:
        return {
            ("candle", API + "stock/candle"): self.candle,
            ("quote", API + "quote"): self.quote,
            ("bidask", API + "stock/bidask"): self.bidask,
            ("bbo", API + "stock/bbo"): self.bbo,
            ("symbol", API + "stock/symbol"): self.symbol,
        }

    @override
    def add_sockets(self, app: web.Application) -> None:
        app.router.add_get("/", self.feed.serve)
        app.cleanup_ctx.append(self.feed.running)

    @override
    def credentials(self, request: web.Request) -> Account:
        key = request.query.get("token") or request.headers.get("X-Finnhub-Token")
        if not key:
            raise Refused(Reply(text=SIGN_UP, status=429))
        account = self.world.plans.account(self.name, key)
        if account is None:
            raise Refused(_error(401, "Invalid API key."))
        return account

    @override
    def too_many(self, account: Account, allowance: Allowance) -> Reply:
        return _error(429, LIMITED)

    @override
    def admitted(self, request: web.Request, account: Account, allowance: Allowance) -> dict[str, str]:
        return {
            "X-Ratelimit-Limit": str(allowance.limit),
            "X-Ratelimit-Remaining": str(max(0, allowance.remaining)),
            "X-Ratelimit-Reset": str(math.ceil(allowance.reset)),
        }

    def candle(self, request: web.Request, account: Account) -> Reply:
        """Bars as columns; days are adjusted for splits and stamped 00:00 UTC, minutes neither."""
        self._premium(account)
        resolution = RESOLUTIONS.get(request.query.get("resolution", ""))
        if resolution is None:
            raise Refused(_error(422, "Wrong resolution"))
        start, end = self._second(request, "from"), self._second(request, "to")
        symbol, now = request.query.get("symbol", ""), self.shown_ns(account)
        views = self.world.views
        if resolution == 0:
            # days are found by their stamps: midnight in New York is some hours after that of UTC
            day_ns = 86_400 * SECOND_NS
            rows = views.bars("finnhub", "", symbol, "1d", start - day_ns, end + day_ns, "split", now)
            stamped = [(utc_midnight_ns(row.day), row) for row in rows]
            stamped = [(at, row) for at, row in stamped if start <= at <= end]
        else:
            # more than a month of minutes does not come in one call: the latest month does
            start = max(start, end - int(MONTH.total_seconds()) * SECOND_NS)
            rows = views.bars("finnhub", "", symbol, resolution, start, end + 1, "raw", now)
            stamped = [(row.ts_ns, row) for row in rows]
        if not stamped:
            return _ok({"s": "no_data"})
        return _ok(
            {
                "c": [number(row.close) for _, row in stamped],
                "h": [number(row.high) for _, row in stamped],
                "l": [number(row.low) for _, row in stamped],
                "o": [number(row.open) for _, row in stamped],
                "s": "ok",
                "t": [at // SECOND_NS for at, _ in stamped],
                "v": [number(row.volume) for _, row in stamped],
            }
        )

    def quote(self, request: web.Request, account: Account) -> Reply:
        """Last price and the day so far; an unknown symbol is all zeros."""
        symbol, now = request.query.get("symbol", ""), self.shown_ns(account)
        views, market = self.world.views, self.world.market
        trade = views.last_trade("", symbol, now) if symbol in market.instruments else None
        started = [s for s in market.sessions if s.pre_ns <= now]
        if trade is None or len(started) < 2:
            return _ok({"c": 0, "d": None, "dp": None, "h": 0, "l": 0, "o": 0, "pc": 0, "t": 0})
        at = midnight_ns(started[-2].day)
        rows = views.bars("finnhub", "", symbol, "1d", at, now, "split", now)
        today = rows[-1] if rows and rows[-1].day == started[-1].day else None
        previous = next((row.close for row in rows if row.day == started[-2].day), 0.0)
        change = round(trade.price - previous, 4)
        return _ok(
            {
                "c": number(trade.price),
                "d": number(change),
                "dp": number(round(change / previous * 100, 4)) if previous else 0,
                "h": number(today.high if today else 0.0),
                "l": number(today.low if today else 0.0),
                "o": number(today.open if today else 0.0),
                "pc": number(previous),
                "t": trade.ts_ns // SECOND_NS,
            }
        )

    def bidask(self, request: web.Request, account: Account) -> Reply:
        """Best bid and ask that stand."""
        self._premium(account)
        symbol = request.query.get("symbol", "")
        listed = symbol in self.world.market.instruments
        found = self.world.views.last_quote("", symbol, self.shown_ns(account)) if listed else None
        if found is None:
            return _ok({"a": 0, "av": 0, "b": 0, "bv": 0, "t": 0})
        return _ok(
            {
                "a": number(found.ask),
                "av": lots(found.ask_size, found.ts_ns),
                "b": number(found.bid),
                "bv": lots(found.bid_size, found.ts_ns),
                "t": found.ts_ns // MILLI_NS,
            }
        )

    def bbo(self, request: web.Request, account: Account) -> Reply:
        """Best bids and asks of a day, as columns, in pages."""
        self._premium(account)
        symbol, day = request.query.get("symbol", ""), read_date(request.query.get("date", ""))
        if day is None:
            raise Refused(_error(422, "Invalid date"))
        skip, limit = int(request.query.get("skip") or 0), int(request.query.get("limit") or MOST)
        start = midnight_ns(day)
        end = midnight_ns(day + timedelta(days=1))
        quotes = self.world.views.quotes("", symbol, start, end, self.shown_ns(account))
        page = quotes[skip : skip + min(limit, MOST)]
        return _ok(
            {
                "s": symbol,
                "skip": skip,
                "count": len(page),
                "total": len(quotes),
                "t": [q.ts_ns // MILLI_NS for q in page],
                "a": [number(q.ask) for q in page],
                "av": [lots(q.ask_size, q.ts_ns) for q in page],
                "ax": [q.ask_venue for q in page],
                "b": [number(q.bid) for q in page],
                "bv": [lots(q.bid_size, q.ts_ns) for q in page],
                "bx": [q.bid_venue for q in page],
                "c": [["1"] for _ in page],
            }
        )

    def symbol(self, request: web.Request, account: Account) -> Reply:  # noqa: ARG002 - of every plan
        """What is listed."""
        return _ok(
            [
                {
                    "currency": "USD",
                    "description": f"{symbol} INC",
                    "displaySymbol": symbol,
                    "figi": "",
                    "mic": {"N": "XNYS", "P": "ARCX", "Q": "XNAS"}[instrument.home],
                    "symbol": symbol,
                    "type": "Common Stock",
                }
                for symbol, instrument in self.world.market.instruments.items()
            ]
        )

    def _premium(self, account: Account) -> None:
        if account.plan == "free":
            raise Refused(_error(403, "You don't have access to this resource."))

    def _second(self, request: web.Request, name: str) -> int:
        text = request.query.get(name, "")
        if not text.isdigit():
            raise Refused(_error(422, f"Wrong {name}"))
        return int(text) * SECOND_NS


def _ok(body: Any) -> Reply:
    return Reply(body, content_type=JSON)


def _error(status: int, text: str) -> Reply:
    return Reply({"error": text}, status, content_type=JSON)

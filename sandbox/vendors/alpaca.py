"""alpaca market data over REST: bars, quotes, trades and snapshots of stocks."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from aiohttp import web
from typing_extensions import override

from sandbox.market.calendar import MINUTE_NS, SECOND_NS, day_of, midnight_ns
from sandbox.market.records import Quote, Trade
from sandbox.market.views import Adjustment, Row
from sandbox.vendors import alpaca_wire as wire
from sandbox.vendors.alpaca_socket import AlpacaFeed
from sandbox.vendors.ask import read_date, read_instant
from sandbox.vendors.plans import Account, Allowance
from sandbox.vendors.vendor import Handler, Refused, Reply, Vendor, World

JSON = "application/json; charset=UTF-8"
RECENT_NS = 15 * MINUTE_NS
RECENT = "subscription does not permit querying recent SIP data"
LIMIT, MOST = 1000, 10_000
#: pages may be shorter than asked for although more exists: this many points come out of one partition
SHORT_PAGE = 9_500
FRAMES = {"Min": (1, 59), "T": (1, 59), "Hour": (60, 23), "H": (60, 23), "Day": (0, 1), "D": (0, 1)}
LETTERS = {1: "M", 60: "H", 0: "D"}
HISTORICAL = frozenset({"sip", "iex", "boats", "otc"})
LATEST = frozenset({"sip", "iex", "boats", "otc", "delayed_sip", "overnight"})
PAGED = frozenset({"symbols", "start", "end", "limit", "feed", "asof", "currency", "sort", "page_token"})
ADJUSTMENTS = ("raw", "split", "dividend", "spin-off", "all")


class Alpaca(Vendor):
    """Serves `wire`'s formats; unknown parameters are refused, as the real one does."""

    name = "alpaca"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.feed = AlpacaFeed(world)

    @override
    def routes(self) -> Mapping[tuple[str, str], Handler]:
        stocks = "/v2/stocks"
        return {
            ("latest_bars", stocks + "/bars/latest"): self.latest_bars,
            ("latest_quotes", stocks + "/quotes/latest"): self.latest_quotes,
            ("latest_trades", stocks + "/trades/latest"): self.latest_trades,
            ("snapshots", stocks + "/snapshots"): self.snapshots,
            ("bars", stocks + "/bars"): self.bars,
            ("quotes", stocks + "/quotes"): self.quotes,
            ("trades", stocks + "/trades"): self.trades,
            ("bars_one", stocks + "/{symbol}/bars"): self.bars,
            ("quotes_one", stocks + "/{symbol}/quotes"): self.quotes,
            ("trades_one", stocks + "/{symbol}/trades"): self.trades,
            ("latest_quote_one", stocks + "/{symbol}/quotes/latest"): self.latest_quotes,
            ("latest_trade_one", stocks + "/{symbol}/trades/latest"): self.latest_trades,
            ("latest_bar_one", stocks + "/{symbol}/bars/latest"): self.latest_bars,
        }

    @override
    def add_sockets(self, app: web.Application) -> None:
        app.router.add_get("/v2/{feed:iex|sip|delayed_sip|test}", self.feed.serve)
        app.router.add_get("/stream/v2/{feed:iex|sip|delayed_sip|test}", self.feed.serve)
        app.cleanup_ctx.append(self.feed.running)

    @override
    def credentials(self, request: web.Request) -> Account:
        key = request.headers.get("APCA-API-KEY-ID")
        secret = request.headers.get("APCA-API-SECRET-KEY")
        if key is None or secret is None:
            raise Refused(_error(401, "unauthorized"))
        account = self.world.plans.account(self.name, key)
        if account is None or account.secret != secret:
            raise Refused(_error(403, "forbidden."))
        return account

    @override
    def too_many(self, account: Account, allowance: Allowance) -> Reply:
        return _error(429, "too many requests.")

    @override
    def not_found(self, request: web.Request) -> Reply:
        return _error(404, "endpoint not found.")

    @override
    def admitted(self, request: web.Request, account: Account, allowance: Allowance) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(allowance.limit),
            "X-RateLimit-Remaining": str(max(0, allowance.remaining)),
            "X-RateLimit-Reset": str(math.ceil(allowance.reset)),
        }

    def bars(self, request: web.Request, account: Account) -> Reply:
        """Bars of one or several symbols."""
        asked = _Asked(request, account, self, {"timeframe", "adjustment"})
        step, letter = _frame(request.query.get("timeframe", ""))
        adjustment = _adjustment(request.query.get("adjustment", "raw"))
        interval: str | int = "1d" if step == 0 else step
        views = self.world.views
        start = asked.start
        if step == 0:
            # a day belongs to the range if its midnight in New York does
            start = midnight_ns(day_of(start)) if start != midnight_ns(day_of(start)) else start

        def find(symbol: str) -> list[Row]:
            return views.bars(
                "alpaca", asked.feed, symbol, interval, start, asked.end + 1, adjustment, asked.now
            )

        return asked.page("bars", find, lambda row, _: wire.bar(row), letter)

    def quotes(self, request: web.Request, account: Account) -> Reply:
        """Quotes of one or several symbols."""
        asked = _Asked(request, account, self, set())
        views = self.world.views

        def find(symbol: str) -> list[Quote]:
            return views.quotes(asked.feed, symbol, asked.start, asked.end + 1, asked.now)

        return asked.page("quotes", find, lambda row, symbol: wire.quote(row, self.tape(symbol)), "")

    def trades(self, request: web.Request, account: Account) -> Reply:
        """Trades of one or several symbols; corrected and busted ones are marked."""
        asked = _Asked(request, account, self, set())
        views = self.world.views
        updates: dict[tuple[str, int, int], str] = {}

        def find(symbol: str) -> list[Trade]:
            found = views.trades(asked.feed, symbol, asked.start, asked.end + 1, asked.now)
            for day in sorted({day_of(trade.ts_ns) for trade in found}):
                for said in self.world.market.amendments(symbol, day):
                    if said.at_ns <= asked.now:
                        word = "canceled" if said.corrected is None else "corrected"
                        updates[symbol, said.original.ts_ns, said.original.trade_id] = word
            return found

        def write(row: Trade, symbol: str) -> dict[str, Any]:
            return wire.trade(row, self.tape(symbol), updates.get((symbol, row.ts_ns, row.trade_id), ""))

        return asked.page("trades", find, write, "")

    def latest_bars(self, request: web.Request, account: Account) -> Reply:
        """The last minute bar of each symbol."""
        symbols, feed, now = self._latest(request, account)
        found = {}
        for symbol in symbols:
            rows = self.world.views.bars(
                "alpaca", feed, symbol, "1m", midnight_ns(day_of(now)), now, "raw", now
            )
            if rows:
                found[symbol] = wire.bar(rows[-1])
        return self._one_or_all(request, "bar", found)

    def latest_quotes(self, request: web.Request, account: Account) -> Reply:
        """The quote of each symbol that stands."""
        symbols, feed, now = self._latest(request, account)
        quotes = {symbol: self.world.views.last_quote(feed, symbol, now) for symbol in symbols}
        found = {s: wire.quote(quote, self.tape(s)) for s, quote in quotes.items() if quote}
        return self._one_or_all(request, "quote", found)

    def latest_trades(self, request: web.Request, account: Account) -> Reply:
        """The last trade of each symbol."""
        symbols, feed, now = self._latest(request, account)
        trades = {symbol: self.world.views.last_trade(feed, symbol, now) for symbol in symbols}
        found = {s: wire.trade(trade, self.tape(s)) for s, trade in trades.items() if trade}
        return self._one_or_all(request, "trade", found)

    def snapshots(self, request: web.Request, account: Account) -> Reply:
        """Everything about each symbol, without a word around it."""
        symbols, feed, now = self._latest(request, account)
        return _ok({symbol: self._snapshot(symbol, feed, now) for symbol in symbols})

    def _snapshot(self, symbol: str, feed: str, now: int) -> dict[str, Any]:
        views, tape = self.world.views, self.tape(symbol)
        body: dict[str, Any] = {}
        trade, quote = views.last_trade(feed, symbol, now), views.last_quote(feed, symbol, now)
        if trade:
            body["latestTrade"] = wire.trade(trade, tape)
        if quote:
            body["latestQuote"] = wire.quote(quote, tape)
        today = midnight_ns(day_of(now))
        minutes = views.bars("alpaca", feed, symbol, "1m", today, now, "raw", now)
        if minutes:
            body["minuteBar"] = wire.bar(minutes[-1])
        days = views.bars("alpaca", feed, symbol, "1d", today - 8 * 86_400 * SECOND_NS, now, "raw", now)
        for name, row in zip(("dailyBar", "prevDailyBar"), reversed(days), strict=False):
            body[name] = wire.bar(row)
        return body

    def _one_or_all(self, request: web.Request, kind: str, found: dict[str, Any]) -> Reply:
        one = request.match_info.get("symbol")
        if one is None:
            return _ok({kind + "s": found})
        if one not in found:
            raise Refused(_error(404, f"no {kind} found for {one}"))
        return _ok({"symbol": one, kind: found[one]})

    def _latest(self, request: web.Request, account: Account) -> tuple[list[str], str, int]:
        _only(request, {"symbols", "feed", "currency"})
        subscribed = account.plan == "paid"
        feed = request.query.get("feed") or ("sip" if subscribed else "iex")
        if feed not in LATEST:
            raise Refused(_error(400, f"invalid feed: {feed}"))
        if feed == "sip" and not subscribed:
            raise Refused(_error(403, RECENT))
        now = self.now_ns - (RECENT_NS if feed == "delayed_sip" else 0)
        listed = self.world.market.instruments
        feed = "sip" if feed == "delayed_sip" else feed
        known = feed in ("sip", "iex")
        return [symbol for symbol in _symbols(request) if symbol in listed and known], feed, now

    def tape(self, symbol: str) -> str:
        """Return the tape of a listed symbol."""
        return self.world.market.instruments[symbol].tape


class _Asked:
    """A request for history: what all three kinds have in common."""

    def __init__(self, request: web.Request, account: Account, vendor: Alpaca, extra: set[str]) -> None:
        one = request.match_info.get("symbol")
        _only(request, (PAGED | extra) - ({"symbols"} if one else set()))
        query = request.query
        self.one = one
        self.symbols = sorted(_symbols(request))
        self.vendor = vendor
        self.now = vendor.now_ns
        self.feed = query.get("feed") or "sip"
        if self.feed not in HISTORICAL:
            raise Refused(_error(400, f"invalid feed: {self.feed}"))
        self.start = _time(query.get("start"), "start", midnight_ns(day_of(self.now)))
        recent = self.now - RECENT_NS
        behind = account.plan != "paid" and self.feed == "sip"
        self.end = _time(query.get("end"), "end", recent if behind else self.now, last=True)
        if behind and "end" in query and min(self.end, self.now) > recent:
            raise Refused(_error(403, RECENT))
        if self.end < self.start and "end" in query:
            raise Refused(_error(400, "end should not be before start"))
        self.limit = _limit(query.get("limit"))
        self.descending = _sort(query.get("sort"))
        self.after: tuple[str, int] | None = None
        if query.get("page_token"):
            self.after = wire.read_token(query["page_token"])
            if self.after is None:
                raise Refused(_error(400, "invalid page token"))

    def page(
        self,
        kind: str,
        find: Callable[[str], Sequence[Any]],
        write: Callable[[Any, str], dict[str, Any]],
        letter: str,
    ) -> Reply:
        """Fill one page, symbol by symbol, each in order of time."""
        room = min(self.limit, SHORT_PAGE)
        pages: dict[str, list[dict[str, Any]]] = {}
        token = None
        last: tuple[str, Any] | None = None
        for symbol in self._remaining():
            rows = self._rest(symbol, find(symbol)) if self._served(symbol) else ()
            if not rows:
                continue
            if room == 0:
                # more exists: the token is that of the last row sent
                assert last is not None
                token = self._token(letter, *last)
                break
            taken = rows[:room]
            pages[symbol] = [write(row, symbol) for row in taken]
            room -= len(taken)
            last = (symbol, taken[-1])
            if len(taken) < len(rows):
                token = self._token(letter, *last)
                break
        if self.one is None:
            return _ok({kind: pages, "next_page_token": token})
        return _ok({"symbol": self.one, kind: pages.get(self.one, []), "next_page_token": token})

    def _served(self, symbol: str) -> bool:
        return symbol in self.vendor.world.market.instruments and self.feed in ("sip", "iex")

    def _remaining(self) -> Iterable[str]:
        if self.after is None:
            return self.symbols
        return [symbol for symbol in self.symbols if symbol >= self.after[0]]

    def _rest(self, symbol: str, rows: Sequence[Any]) -> Sequence[Any]:
        """Rows that have not been sent, in the order asked for."""
        if self.after is None or symbol != self.after[0]:
            return rows[::-1] if self.descending else rows
        at = self.after[1]
        if self.descending:
            return rows[: bisect_left(rows, at, key=lambda row: row.ts_ns)][::-1]
        return rows[bisect_right(rows, at, key=lambda row: row.ts_ns) :]

    def _token(self, letter: str, symbol: str, row: Any) -> str:
        rest = "" if letter else wire.rest_of(row)
        return wire.token(symbol, letter, row.ts_ns, rest, descending=self.descending)


def _ok(body: Any) -> Reply:
    return Reply(body, content_type=JSON)


def _error(status: int, text: str) -> Reply:
    return Reply({"message": text}, status, content_type=JSON)


def _only(request: web.Request, known: set[str] | frozenset[str]) -> None:
    unknown = [name for name in request.query if name not in known]
    if unknown:
        raise Refused(_error(400, f"unexpected query parameter(s): {', '.join(unknown)}"))


def _symbols(request: web.Request) -> list[str]:
    one = request.match_info.get("symbol")
    if one is not None:
        return [one]
    symbols = [symbol for symbol in request.query.get("symbols", "").split(",") if symbol]
    if not symbols:
        raise Refused(_error(400, "symbols is required"))
    for symbol in symbols:
        if not symbol.replace(".", "").isalnum() or not symbol.isupper():
            raise Refused(_error(400, f"invalid symbol: {symbol}"))
    return list(dict.fromkeys(symbols))


def _time(text: str | None, name: str, default: int, *, last: bool = False) -> int:
    if not text:
        return default
    day = read_date(text)
    if day is not None:
        # a date as the end means all of it
        return midnight_ns(day + timedelta(days=1)) - 1 if last else midnight_ns(day)
    at = read_instant(text)
    if at is None:
        raise Refused(_error(400, f"invalid {name}: {text}"))
    return at


def _frame(text: str) -> tuple[int, str]:
    """Minutes of a bar (0 is a day) and the letter of its tokens."""
    digits = text[: len(text) - len(text.lstrip("0123456789"))]
    unit = FRAMES.get(text[len(digits) :])
    many = int(digits or "0")
    if unit is None or not 1 <= many <= unit[1]:
        raise Refused(_error(400, f"invalid timeframe: {text}"))
    return unit[0] * many, LETTERS[unit[0]]


def _adjustment(text: str) -> Adjustment:
    parts = text.split(",")
    if len(set(parts)) < len(parts) or any(part not in ADJUSTMENTS for part in parts):
        raise Refused(_error(400, f"invalid adjustment: {text}"))
    if "all" in parts or {"split", "dividend"} <= set(parts):
        return "all"
    if "split" in parts:
        return "split"
    return "dividend" if "dividend" in parts else "raw"


def _limit(text: str | None) -> int:
    if not text:
        return LIMIT
    if not text.isdigit() or not 1 <= int(text) <= MOST:
        raise Refused(_error(400, f"limit must be between 1 and {MOST}"))
    return int(text)


def _sort(text: str | None) -> bool:
    if text not in (None, "", "asc", "desc"):
        raise Refused(_error(400, f"invalid sort: {text}"))
    return text == "desc"

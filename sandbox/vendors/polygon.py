"""polygon (Massive) over REST: aggregates, quotes, trades, snapshots."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any

from aiohttp import web
from typing_extensions import override

from sandbox.market.bar_rule import POLYGON
from sandbox.market.calendar import MINUTE_NS, day_of, midnight_ns
from sandbox.market.records import Quote, Trade
from sandbox.market.views import EVER, Row
from sandbox.vendors import polygon_wire as wire
from sandbox.vendors.ask import read_date, read_instant
from sandbox.vendors.plans import Account, Allowance
from sandbox.vendors.polygon_socket import PolygonFeed
from sandbox.vendors.vendor import Handler, Refused, Reply, Vendor, World, number, request_id

TOO_MANY = (
    "You've exceeded the maximum requests per minute, please wait or upgrade your subscription to continue. "
    "https://polygon.io/pricing"
)
TIMEFRAME = (
    "Your plan doesn't include this data timeframe. Please upgrade your plan at https://polygon.io/pricing"
)
ENTITLED = "You are not entitled to this data. Please upgrade your plan at https://polygon.io/pricing"
#: minutes in the units that are served
SPANS = {"minute": 1, "hour": 60}
LIMIT, MOST = 5000, 50_000
QUOTES, SNAPSHOTS = 1000, 10
CLUSTER = "nyc"


class Polygon(Vendor):
    """Serves `wire`'s formats; who asks sees what the plan includes."""

    name = "polygon"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.feed = PolygonFeed(world)

    @override
    def routes(self) -> Mapping[tuple[str, str], Handler]:
        stocks = "/v2/snapshot/locale/us/markets/stocks/tickers"
        return {
            ("aggs", "/v2/aggs/ticker/{ticker}/range/{multiplier}/{timespan}/{from}/{to}"): self.aggs,
            ("prev", "/v2/aggs/ticker/{ticker}/prev"): self.prev,
            ("grouped", "/v2/aggs/grouped/locale/us/market/stocks/{date}"): self.grouped,
            ("last_nbbo", "/v2/last/nbbo/{ticker}"): self.last_nbbo,
            ("last_trade", "/v2/last/trade/{ticker}"): self.last_trade,
            ("quotes", "/v3/quotes/{ticker}"): self.quotes,
            ("trades", "/v3/trades/{ticker}"): self.trades,
            ("snapshot", stocks + "/{ticker}"): self.snapshot,
            ("snapshots", stocks): self.snapshots,
            ("snapshot_v3", "/v3/snapshot"): self.snapshot_v3,
            ("splits", "/v3/reference/splits"): self.splits,
        }

    @override
    def add_sockets(self, app: web.Application) -> None:
        app.router.add_get("/stocks", self.feed.serve)
        app.cleanup_ctx.append(self.feed.running)

    @override
    def credentials(self, request: web.Request) -> Account:
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        key = bearer if scheme == "Bearer" else request.query.get("apiKey")
        account = self.world.plans.account(self.name, key)
        if account is None:
            raise Refused(_error(401, "Unknown API Key" if key else "API Key was not provided"))
        return account

    @override
    def too_many(self, account: Account, allowance: Allowance) -> Reply:
        return _error(429, TOO_MANY)

    @override
    def not_found(self, request: web.Request) -> Reply:
        return Reply(text="404 page not found\n", status=404)

    def aggs(self, request: web.Request, account: Account) -> Reply:
        """Aggregates of one ticker."""
        asked = request.match_info
        query = self._query(request)
        adjusted = query.get("adjusted", "true") != "false"
        ticker = asked["ticker"]
        step = self._step(asked["multiplier"], asked["timespan"])
        start, end = _bound(asked["from"], last=False), _bound(asked["to"], last=True)
        if end < start:
            raise Refused(_error(400, "The parameter 'to' cannot be a time that occurs before 'from'"))
        limit = _whole(query.get("limit"), LIMIT, MOST)
        delayed, shown = self._shown(account, start)
        descending = query.get("sort", "asc") == "desc"
        # the window of a time: snapped outward to whole bars
        if step == 0:
            start, end = midnight_ns(day_of(start)), midnight_ns(day_of(end)) + 1
        else:
            length = step * MINUTE_NS
            base = midnight_ns(day_of(start))
            start -= (start - base) % length
            end += 1
        interval: str | int = "1d" if step == 0 else step
        rows = self._rows(ticker, interval, start, end, shown, adjusted=adjusted)
        base_count, more = len(rows), len(rows) > limit
        if step > 1:
            rows, base_count, more = self._base(ticker, step, rows, limit, descending=descending)
        elif descending:
            rows = rows[::-1]
        page = rows if step > 1 else rows[:limit]
        body: dict[str, Any] = {
            "ticker": ticker,
            "queryCount": min(base_count, limit),
            "resultsCount": len(page),
            "adjusted": adjusted,
        }
        if page:
            body["results"] = [wire.bar(row) for row in page]
        body["status"] = "DELAYED" if delayed else "OK"
        body["request_id"] = request_id()
        if page:
            body["count"] = len(page)
        if more:
            body["next_url"] = self._next_bars(request, query, page, step, descending=descending)
        return _ok(body)

    def _base(
        self, ticker: str, step: int, rows: list[Row], limit: int, *, descending: bool
    ) -> tuple[list[Row], int, bool]:
        """Cut a page of long bars: the limit counts the minutes that they are made of."""
        if not rows:
            return [], 0, False
        minutes = self._rows(
            ticker, 1, rows[0].ts_ns, rows[-1].ts_ns + step * MINUTE_NS, EVER, adjusted=False
        )
        starts = [minute.ts_ns for minute in minutes]
        ordered = rows[::-1] if descending else rows
        count = 0
        page: list[Row] = []
        for row in ordered:
            end = row.ts_ns + step * MINUTE_NS
            inside = bisect_left(starts, end) - bisect_left(starts, row.ts_ns)
            if page and count + inside > limit:
                break
            page.append(row)
            count += inside
        return page, count, len(page) < len(ordered)

    def _next_bars(
        self, request: web.Request, query: dict[str, str], page: list[Row], step: int, *, descending: bool
    ) -> str:
        asked = request.match_info
        last = page[-1].ts_ns
        first, until = asked["from"], asked["to"]
        if descending:
            until = str(last // wire.MILLI_NS - 1)
        elif step == 0:
            first = str(midnight_ns(day_of(last) + timedelta(days=1)) // wire.MILLI_NS)
        else:
            first = str((last + step * MINUTE_NS) // wire.MILLI_NS)
        kept = {name: value for name, value in query.items() if name in ("limit", "sort")}
        if query.get("adjusted") == "false":
            kept["adjusted"] = "false"
        path = f"/v2/aggs/ticker/{asked['ticker']}/range/{asked['multiplier']}/{asked['timespan']}"
        return f"{wire.HOST}{path}/{first}/{until}?cursor={wire.cursor(kept)}"

    def prev(self, request: web.Request, account: Account) -> Reply:
        """The last whole session's bar; its time is the close."""
        ticker = request.match_info["ticker"]
        adjusted = request.query.get("adjusted", "true") != "false"
        now = self.shown_ns(account)
        over = [s for s in self.world.market.sessions if s.post_ns <= now]
        rows = self._day(ticker, over[-1].day, now, adjusted=adjusted) if over else []
        body: dict[str, Any] = {"ticker": ticker, "queryCount": len(rows), "resultsCount": len(rows)}
        body["adjusted"] = adjusted
        if rows:
            close = over[-1].close_ns // wire.MILLI_NS
            body["results"] = [{"T": ticker, **wire.bar(row), "t": close} for row in rows]
        return _ok(body | {"status": "OK", "request_id": request_id(), "count": len(rows)})

    def grouped(self, request: web.Request, account: Account) -> Reply:
        """One session's bars of all tickers; their time is the close."""
        day = read_date(request.match_info["date"])
        adjusted = request.query.get("adjusted", "true") != "false"
        if day is None:
            raise Refused(_error(400, "Could not parse the parameter 'date'"))
        delayed, shown = self._shown(account, midnight_ns(day))
        session = self.world.market.session(day)
        results = []
        for symbol in self.world.market.symbols if session else ():
            for row in self._day(symbol, day, shown, adjusted=adjusted):
                assert session is not None
                close = session.close_ns // wire.MILLI_NS
                results.append({"T": symbol, **wire.bar(row), "t": close})
        body: dict[str, Any] = {
            "queryCount": len(results),
            "resultsCount": len(results),
            "adjusted": adjusted,
        }
        if results:
            body["results"] = results
        status = "DELAYED" if delayed else "OK"
        return _ok(body | {"status": status, "request_id": request_id(), "count": len(results)})

    def last_nbbo(self, request: web.Request, account: Account) -> Reply:
        """The quote that stands."""
        ticker = self._entitled(request, account)
        quote = self.world.views.last_quote("", ticker, self.shown_ns(account))
        if quote is None:
            raise Refused(_not_found())
        return _ok(
            {
                "results": wire.last_quote(quote, self._tape(ticker)),
                "status": _status(account),
                "request_id": request_id(),
            }
        )

    def last_trade(self, request: web.Request, account: Account) -> Reply:
        """The last trade that sets the last price."""
        ticker = self._entitled(request, account)
        trade = self.world.views.last_trade("", ticker, self.shown_ns(account))
        if trade is None:
            raise Refused(_not_found())
        return _ok(
            {
                "results": wire.last_trade(trade, self._tape(ticker)),
                "status": _status(account),
                "request_id": request_id(),
            }
        )

    def quotes(self, request: web.Request, account: Account) -> Reply:
        """Quotes of a time range."""
        views, tape = self.world.views, self._tape

        def found(ticker: str, start: int, end: int) -> list[Quote]:
            return views.quotes("", ticker, start, end, self.shown_ns(account))

        return self._ticks(request, account, found, lambda quote: wire.quote_row(quote, tape(quote.symbol)))

    def trades(self, request: web.Request, account: Account) -> Reply:
        """Trades of a time range, as they were when asked; busted ones are gone."""
        now, market = self.shown_ns(account), self.world.market

        def found(ticker: str, start: int, end: int) -> list[Trade]:
            gone: dict[tuple[date, int], Trade | None] = {}
            for session in market.sessions:
                if session.post_ns > start and session.pre_ns < end and ticker in market.instruments:
                    for said in market.amendments(ticker, session.day):
                        if said.at_ns <= now:
                            gone[session.day, said.original.trade_id] = said.corrected
            trades = self.world.views.trades("", ticker, start, end, now)
            kept = (gone.get((day_of(t.ts_ns), t.trade_id), t) for t in trades)
            return [trade for trade in kept if trade is not None]

        def row(trade: Trade) -> dict[str, Any]:
            corrected = trade.trade_id > 1_000_000
            return wire.trade_row(trade, self._tape(trade.symbol), corrected=corrected)

        return self._ticks(request, account, found, row)

    def _ticks(
        self,
        request: web.Request,
        account: Account,
        find: Callable[[str, int, int], list[Any]],
        write: Callable[[Any], dict[str, Any]],
    ) -> Reply:
        ticker = self._entitled(request, account, must_exist=False)
        query = self._query(request)
        start, end = _range(query)
        found = find(ticker, start, end)
        if query.get("order", "desc") == "desc":
            found = found[::-1]
            if query.get("ap"):
                found = [tick for tick in found if tick.seq < int(query["ap"]) or tick.ts_ns < end - 1]
        elif query.get("ap"):
            found = [tick for tick in found if tick.seq > int(query["ap"]) or tick.ts_ns > start]
        limit = _whole(query.get("limit"), QUOTES, MOST)
        page = found[:limit]
        body: dict[str, Any] = {
            "results": [write(tick) for tick in page],
            "status": _status(account),
            "request_id": request_id(),
        }
        if len(found) > limit:
            last, descending = page[-1], query.get("order", "desc") == "desc"
            kept = {n: v for n, v in query.items() if n != "apiKey" and not n.startswith("timestamp")}
            kept |= {"ap": str(last.seq), "as": ""}
            kept["timestamp.gte"] = str(start if descending else last.ts_ns)
            kept["timestamp.lte"] = str(last.ts_ns if descending else end - 1)
            body["next_url"] = f"{wire.HOST}{request.path}?cursor={wire.cursor(kept)}"
        return _ok(body)

    def snapshot(self, request: web.Request, account: Account) -> Reply:
        """Everything about one ticker."""
        ticker = self._entitled(request, account)
        return _ok(
            {
                "request_id": request_id(),
                "status": _status(account),
                "ticker": self._snapshot(ticker, account),
            }
        )

    def snapshots(self, request: web.Request, account: Account) -> Reply:
        """Everything about several tickers, or all."""
        self._plan(account)
        named = request.query.get("tickers")
        wanted = named.split(",") if named else self.world.market.symbols
        found = [self._snapshot(t, account) for t in wanted if t in self.world.market.instruments]
        return _ok({"count": len(found), "status": _status(account), "tickers": found})

    def snapshot_v3(self, request: web.Request, account: Account) -> Reply:
        """Quotes and sessions of several tickers; those unknown are named as such."""
        self._plan(account)
        wanted = (request.query.get("ticker.any_of") or request.query.get("ticker") or "").split(",")
        limit = _whole(request.query.get("limit"), SNAPSHOTS, 250)
        results = [self._snapshot_v3(ticker, account) for ticker in wanted[:limit] if ticker]
        return _ok({"request_id": request_id(), "status": _status(account), "results": results})

    def splits(self, request: web.Request, account: Account) -> Reply:  # noqa: ARG002 - of every plan
        """Splits, newest first."""
        ticker = request.query.get("ticker")
        splits = [s for s in self.world.market.splits if ticker in (None, s.symbol)]
        results = [
            {"execution_date": s.day.isoformat(), "split_from": s.of, "split_to": s.to, "ticker": s.symbol}
            for s in sorted(splits, key=lambda split: split.day, reverse=True)
        ]
        return _ok({"results": results, "status": "OK", "request_id": request_id()})

    def _snapshot(self, ticker: str, account: Account) -> dict[str, Any]:
        now, views, market = self.shown_ns(account), self.world.views, self.world.market
        today = market.session(day_of(now))
        before = [s for s in market.sessions if s.day < day_of(now)]
        day = self._day(ticker, today.day, now, adjusted=True) if today else []
        previous = self._day(ticker, before[-1].day, now, adjusted=True) if before else []
        minutes = views.minutes(POLYGON, ticker, today, now) if today else []
        quote, trade = views.last_quote("", ticker, now), views.last_trade("", ticker, now)
        body: dict[str, Any] = {"day": _short(day)}
        if quote:
            row = wire.last_quote(quote, self._tape(ticker))
            body["lastQuote"] = {name: row[name] for name in "PSpst"}
        if trade:
            row = wire.last_trade(trade, self._tape(ticker))
            body["lastTrade"] = {"c": row.get("c")} | {name: row[name] for name in "ipstx"}
        if minutes:
            last = views.bars(
                "polygon", "", ticker, "1m", minutes[-1].ts_ns, minutes[-1].ts_ns + 1, "raw", now
            )
            volume = sum(bar.volume for bar in minutes)
            body["min"] = {"av": number(volume), **wire.bar(last[0])}
        else:
            body["min"] = {"av": 0, **_short([]), "t": 0, "n": 0}
        body["prevDay"] = _short(previous)
        close = previous[0].close if previous else 0.0
        last_price = trade.price if trade else close
        change = round(last_price - close, 4)
        percent = round(change / close * 100, 4) if close else 0
        return body | {
            "ticker": ticker,
            "todaysChange": number(change),
            "todaysChangePerc": number(percent),
            "updated": trade.ts_ns if trade else 0,
        }

    def _snapshot_v3(self, ticker: str, account: Account) -> dict[str, Any]:
        if ticker not in self.world.market.instruments:
            return {"ticker": ticker, "error": "NOT_FOUND", "message": "Ticker not found."}
        now, views = self.shown_ns(account), self.world.views
        quote, trade = views.last_quote("", ticker, now), views.last_trade("", ticker, now)
        timeframe = "DELAYED" if account.delay_s else "REAL-TIME"
        body: dict[str, Any] = {}
        if quote:
            row = wire.quote_row(quote, self._tape(ticker))
            body["last_quote"] = {
                "ask": row["ask_price"],
                "ask_exchange": row["ask_exchange"],
                "ask_size": row["ask_size"],
                "bid": row["bid_price"],
                "bid_exchange": row["bid_exchange"],
                "bid_size": row["bid_size"],
                "last_updated": quote.ts_ns,
                "timeframe": timeframe,
            }
        if trade:
            body["last_trade"] = {
                "conditions": wire.conditions(trade),
                "exchange": wire.EXCHANGES[trade.venue],
                "id": str(trade.trade_id),
                "price": number(trade.price),
                "size": number(trade.size),
                "last_updated": trade.ts_ns,
                "timeframe": timeframe,
            }
        session = self.world.market.session(day_of(now))
        open_ = session is not None and session.is_regular(now)
        return body | {"market_status": "open" if open_ else "closed", "ticker": ticker, "type": "stocks"}

    def _query(self, request: web.Request) -> dict[str, str]:
        """The query, or what the cursor stands for."""
        query = dict(request.query)
        packed = query.get("cursor")
        if packed is None:
            return query
        unpacked = wire.uncursor(packed)
        if unpacked is None:
            raise Refused(_error(400, "Invalid cursor"))
        return unpacked

    def _step(self, multiplier: str, timespan: str) -> int:
        """Minutes of a bar; 0 is a session."""
        if not multiplier.isdigit() or int(multiplier) < 1:
            raise Refused(_error(400, "Could not parse the parameter 'multiplier'"))
        if timespan in SPANS:
            return SPANS[timespan] * int(multiplier)
        if timespan == "day" and multiplier == "1":
            return 0
        raise Refused(_error(400, f"This emulator has no bars of {multiplier} {timespan}"))

    def _shown(self, account: Account, start: int) -> tuple[bool, int]:
        """Return whether what is shown is behind, and up to when; refuse what the plan leaves out."""
        now = self.now_ns
        if start > now or (account.plan == "free" and start >= midnight_ns(day_of(now))):
            raise Refused(_refused(TIMEFRAME))
        if account.plan == "free":
            return True, midnight_ns(day_of(now)) - 1
        return bool(account.delay_s), self.shown_ns(account)

    def _rows(
        self, ticker: str, interval: str | int, start: int, end: int, shown: int, *, adjusted: bool
    ) -> list[Row]:
        adjustment = "split" if adjusted else "raw"
        end = min(end, shown + 1)
        return self.world.views.bars("polygon", "", ticker, interval, start, end, adjustment, shown)  # type: ignore[arg-type] # one of two

    def _day(self, ticker: str, day: date, shown: int, *, adjusted: bool) -> list[Row]:
        at = midnight_ns(day)
        return self._rows(ticker, "1d", at, at + 1, shown, adjusted=adjusted)

    def _plan(self, account: Account) -> None:
        if account.plan == "free":
            raise Refused(_refused(ENTITLED))

    def _entitled(self, request: web.Request, account: Account, *, must_exist: bool = True) -> str:
        self._plan(account)
        ticker = request.match_info["ticker"]
        if must_exist and ticker not in self.world.market.instruments:
            raise Refused(_not_found())
        return ticker

    def _tape(self, ticker: str) -> str:
        return self.world.market.instruments[ticker].tape


def _ok(body: dict[str, Any]) -> Reply:
    headers = {"X-Request-Id": str(body.get("request_id") or request_id()), "X-Polygon-Cluster-Name": CLUSTER}
    return Reply(body, headers=headers)


def _error(status: int, text: str) -> Reply:
    ident = request_id()
    return Reply(
        {"status": "ERROR", "request_id": ident, "error": text}, status, headers={"X-Request-Id": ident}
    )


def _refused(text: str) -> Reply:
    ident = request_id()
    body = {"status": "NOT_AUTHORIZED", "request_id": ident, "message": text}
    return Reply(body, 403, headers={"X-Request-Id": ident})


def _not_found() -> Reply:
    ident = request_id()
    body = {"status": "NOT_FOUND", "request_id": ident, "message": "Ticker not found."}
    return Reply(body, 404, headers={"X-Request-Id": ident})


def _status(account: Account) -> str:
    return "DELAYED" if account.delay_s else "OK"


def _bound(text: str, *, last: bool) -> int:
    """Read a date or unix milliseconds; the last of a date is its last millisecond."""
    day = read_date(text)
    if day is not None:
        return midnight_ns(day + timedelta(days=1)) - wire.MILLI_NS if last else midnight_ns(day)
    if text.isdigit():
        return int(text) * wire.MILLI_NS
    raise Refused(
        _error(400, f"Could not parse the time parameter: '{'to' if last else 'from'}'. Use YYYY-MM-DD")
    )


def _whole(text: str | None, default: int, most: int) -> int:
    if not text:
        return default
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise Refused(_error(400, f"The parameter 'limit' must be between 1 and {most}"))
    return int(text)


def _range(query: dict[str, str]) -> tuple[int, int]:
    start, end = 0, EVER
    for name, value in query.items():
        if not name.startswith("timestamp"):
            continue
        low, high = _instant(value)
        if name == "timestamp":
            start, end = low, high
        elif name in ("timestamp.gte", "timestamp.gt"):
            start = max(start, low if name.endswith("gte") else high)
        elif name in ("timestamp.lte", "timestamp.lt"):
            end = min(end, high if name.endswith("lte") else low)
    return start, end


def _instant(text: str) -> tuple[int, int]:
    """Return what a date or instant stands for, as a half-open range."""
    day = read_date(text)
    if day is not None:
        return midnight_ns(day), midnight_ns(day + timedelta(days=1))
    at = int(text) if text.isdigit() else read_instant(text)
    if at is None:
        raise Refused(_error(400, "Could not parse the parameter 'timestamp'"))
    return at, at + 1


def _short(rows: list[Row]) -> dict[str, Any]:
    if not rows:
        return dict.fromkeys(("c", "h", "l", "o", "v", "vw"), 0)
    row = wire.bar(rows[0])
    return {name: row[name] for name in ("c", "h", "l", "o", "v", "vw")}

"""Tiingo over REST: IEX minutes and top of book, consolidated days."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from aiohttp import web
from typing_extensions import override

from sandbox.market.calendar import SECOND_NS, day_of, midnight_ns
from sandbox.market.views import Row
from sandbox.vendors.ask import read_date
from sandbox.vendors.plans import HOUR, Account, Allowance
from sandbox.vendors.tiingo_socket import TiingoFeed, stamp
from sandbox.vendors.vendor import Handler, Refused, Reply, Vendor, World

UPGRADE = "Please upgrade at https://api.tiingo.com/pricing to have your limits increased."
HOURLY = f"Error: You have run over your hourly request allocation. {UPGRADE}"
DAILY = f"Error: You have run over your daily request allocation. {UPGRADE}"
MONTHLY = f"You have run over your 500 symbol look up for this month. {UPGRADE}"
FREQUENCIES = {"min": 1, "hour": 60}
INTRADAY = ("open", "high", "low", "close")
EVERYDAY = ("close", "high", "low", "open", "volume", "adjClose", "adjHigh", "adjLow", "adjOpen", "adjVolume",
            "divCash", "splitFactor")  # fmt: skip
#: of one answer: the latest so many points
MOST_POINTS = 2000


class Tiingo(Vendor):
    """Its feed is at the path of its top of book: who wants to upgrade gets the feed."""

    name = "tiingo"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.feed = TiingoFeed(world)

    @override
    def routes(self) -> Mapping[tuple[str, str], Handler]:
        return {
            ("top", "/iex{slash:/?}"): self.top,
            ("top_one", "/iex/{ticker}{slash:/?}"): self.top,
            ("iex_prices", "/iex/{ticker}/prices"): self.prices,
            ("daily_prices", "/tiingo/daily/{ticker}/prices"): self.daily,
        }

    @override
    def add_sockets(self, app: web.Application) -> None:
        app.cleanup_ctx.append(self.feed.running)
        app.middlewares.append(self.feed.upgrades)

    @override
    def credentials(self, request: web.Request) -> Account:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        key = given if scheme == "Token" else request.query.get("token")
        if not key:
            raise Refused(_error(401, "Please supply a token"))
        account = self.world.plans.account(self.name, key)
        if account is None:
            raise Refused(_error(401, "Invalid token."))
        return account

    @override
    def too_many(self, account: Account, allowance: Allowance) -> Reply:
        hourly = allowance.rate is None or allowance.rate.seconds <= HOUR
        return _error(429, HOURLY if hourly else DAILY)

    @override
    def not_found(self, request: web.Request) -> Reply:
        return _error(404, "Not found.")

    def prices(self, request: web.Request, account: Account) -> Reply:
        """Bars of IEX's trades; volume only if it is asked for."""
        symbol = self._known(request, account)
        minutes = _minutes(request.query.get("resampleFreq", "5min"))
        first, last = self._dates(request, account)
        extended = request.query.get("afterHours", "false").lower() == "true"
        columns = _columns(request, INTRADAY, (*INTRADAY, "volume"))
        rows = self.world.views.bars(
            "tiingo",
            "",
            symbol,
            minutes,
            midnight_ns(first),
            midnight_ns(last + timedelta(days=1)),
            "raw",
            self.shown_ns(account),
            extended=extended,
        )
        return _ok([{"date": _utc(row.ts_ns), **_named(row, columns)} for row in rows[-MOST_POINTS:]])

    def daily(self, request: web.Request, account: Account) -> Reply:
        """Bars of sessions, raw and adjusted; without dates the latest alone, spelt differently."""
        symbol = self._known(request, account)
        now = self.shown_ns(account)
        latest = "startDate" not in request.query and "endDate" not in request.query
        first, last = self._dates(request, account)
        if latest:
            first = last - timedelta(days=10)
        elif "startDate" not in request.query:
            first = self.world.market.sessions[0].day
        columns = _columns(request, EVERYDAY, EVERYDAY)
        views, market = self.world.views, self.world.market
        start, end = midnight_ns(first), midnight_ns(last) + 1
        raw = views.bars("tiingo", "", symbol, "1d", start, end, "raw", now)
        adjusted = views.bars("tiingo", "", symbol, "1d", start, end, "all", now)
        # a session counts from its close on
        closed = {s.day for s in market.sessions if s.close_ns <= now}
        found = []
        for row, after in zip(raw, adjusted, strict=True):
            if row.day not in closed:
                continue
            cash = sum(d.cash for d in market.dividends_of(symbol) if d.day == row.day)
            ratio = next((s.ratio for s in market.splits_of(symbol) if s.day == row.day), 1.0)
            values = _day_values(row, after) | {"divCash": float(cash), "splitFactor": ratio}
            found.append({"date": f"{row.day}T00:00:00.000Z"} | {c: values[c] for c in columns})
        if latest:
            found = [row | {"date": f"{row['date'][:10]}T00:00:00+00:00"} for row in found[-1:]]
            return _ok([dict(sorted(row.items())) for row in found])
        return _ok(found)

    def top(self, request: web.Request, account: Account) -> Reply:
        """Top of book and last, of the tickers that are known."""
        listed = self.world.market.instruments
        one = request.match_info.get("ticker")
        named = [one] if one else [t for t in request.query.get("tickers", "").split(",") if t]
        symbols = [s for s in map(canonical, named) if s in listed]
        return _ok([self._top(symbol, account) for symbol in symbols])

    def _top(self, symbol: str, account: Account) -> dict[str, Any]:
        now, views, market = self.shown_ns(account), self.world.views, self.world.market
        started = [s for s in market.sessions if s.pre_ns <= now]
        session = started[-1]
        before = started[-2:-1]
        days = [
            row
            for s in before
            for row in views.bars("tiingo", "", symbol, "1d", midnight_ns(s.day), now, "split", now)
        ]
        previous = next((row.close for row in days if row.day == before[0].day), None)
        minutes = views.bars("tiingo", "", symbol, "1m", session.pre_ns, now, "raw", now, extended=False)
        trade, quote = views.last_trade("iex", symbol, now), views.last_quote("iex", symbol, now)
        entitled = account.plan == "paid" and now < session.post_ns
        last = trade.price if trade else previous
        body: dict[str, Any] = {"ticker": symbol.replace(".", "-")}
        latest = max((tick.ts_ns for tick in (trade, quote) if tick), default=now)
        body["timestamp"] = stamp(latest if entitled else latest - latest % SECOND_NS)
        body["quoteTimestamp"] = stamp(quote.ts_ns) if entitled and quote else None
        body["lastSaleTimestamp"] = stamp(trade.ts_ns) if entitled and trade else None
        body["last"] = trade.price if entitled and trade else None
        body["lastSize"] = max(1, int(trade.size)) if entitled and trade else None
        body["tngoLast"] = last
        body["prevClose"] = previous
        body["open"] = minutes[0].open if minutes else previous
        body["high"] = max((row.high for row in minutes), default=previous)
        body["low"] = min((row.low for row in minutes), default=previous)
        shown = quote if entitled else None
        both = shown is not None and shown.bid and shown.ask
        body["mid"] = round((shown.bid + shown.ask) / 2, 4) if shown and both else None
        body["volume"] = int(sum(row.volume for row in minutes))
        body["bidSize"] = shown.bid_size if shown else None
        body["bidPrice"] = shown.bid if shown else None
        body["askSize"] = shown.ask_size if shown else None
        body["askPrice"] = shown.ask if shown else None
        return body

    def _known(self, request: web.Request, account: Account) -> str:
        symbol = canonical(request.match_info["ticker"])
        if symbol not in self.world.market.instruments:
            raise Refused(_error(404, "Not found."))
        if account.monthly_symbols is not None:
            if symbol not in account.looked_up and len(account.looked_up) >= account.monthly_symbols:
                raise Refused(Reply(text=MONTHLY))
            account.looked_up.add(symbol)
        return symbol

    def _dates(self, request: web.Request, account: Account) -> tuple[date, date]:
        today = day_of(self.shown_ns(account))
        bounds = []
        for name in ("startDate", "endDate"):
            text = request.query.get(name)
            day = read_date(text.partition("T")[0]) if text else today
            if day is None:
                raise Refused(_error(400, f"Error: {name} is not a valid date."))
            bounds.append(day)
        if not request.query.get("startDate"):
            bounds[0] = min(bounds)
        return bounds[0], bounds[1]


def canonical(ticker: str) -> str:
    """Return the symbol of a ticker: upper case, with a dot for Tiingo's hyphen."""
    return ticker.upper().replace("-", ".")


def _ok(body: Any) -> Reply:
    return Reply(body)


def _error(status: int, text: str) -> Reply:
    return Reply({"detail": text}, status)


def _minutes(text: str) -> int:
    digits = text[: len(text) - len(text.lstrip("0123456789"))]
    unit = FREQUENCIES.get(text[len(digits) :].lower())
    if unit is None or not digits or int(digits) < 1:
        raise Refused(_error(400, "Error: resampleFreq must be in the format of '#min' or '#hour'."))
    return int(digits) * unit


def _columns(request: web.Request, default: tuple[str, ...], known: tuple[str, ...]) -> list[str]:
    text = request.query.get("columns")
    if not text:
        return list(default)
    wanted = set(text.split(","))
    return [column for column in known if column in wanted]


def _named(row: Row, columns: list[str]) -> dict[str, float]:
    values = {"open": row.open, "high": row.high, "low": row.low, "close": row.close, "volume": row.volume}
    return {column: values[column] for column in columns}


def _day_values(row: Row, after: Row) -> dict[str, Any]:
    return {
        "close": row.close,
        "high": row.high,
        "low": row.low,
        "open": row.open,
        "volume": int(row.volume),
        "adjClose": after.close,
        "adjHigh": after.high,
        "adjLow": after.low,
        "adjOpen": after.open,
        "adjVolume": int(after.volume),
    }


def _utc(ts_ns: int) -> str:
    return f"{datetime.fromtimestamp(ts_ns // SECOND_NS, UTC):%Y-%m-%dT%H:%M:%S}.000Z"

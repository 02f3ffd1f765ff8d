"""Each vendor's view of the one market: what it shows of it, when, and by its own rule."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Literal

import msgspec

from sandbox.market.bar_rule import (
    ALPACA_IEX,
    ALPACA_SIP,
    FINNHUB,
    POLYGON,
    REBUILD_AFTER_NS,
    TIINGO_DAILY,
    TIINGO_IEX,
    Amends,
    BarRule,
    RawBar,
    day_bar,
    minute_bars,
)
from sandbox.market.calendar import MINUTE_NS, Session, day_of, midnight_ns
from sandbox.market.corporate import dividend_factor, split_ratio
from sandbox.market.kept import Kept
from sandbox.market.market import Market
from sandbox.market.nbbo import Book
from sandbox.market.records import Amendment, Quote, Trade

Vendor = Literal["polygon", "alpaca", "finnhub", "tiingo"]
Adjustment = Literal["raw", "split", "dividend", "all"]
#: far in the future: everything has arrived
EVER = 1 << 62
#: quotes are in shares from this date on, in round lots of 100 before
SHARES_SINCE = date(2025, 11, 3)
PRICE_DIGITS = 4
MINUTES = {"1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60}

_RULES: dict[tuple[str, str, bool], BarRule] = {
    ("polygon", "", False): POLYGON,
    ("polygon", "", True): POLYGON,
    ("alpaca", "sip", False): ALPACA_SIP,
    ("alpaca", "sip", True): ALPACA_SIP,
    ("alpaca", "iex", False): ALPACA_IEX,
    ("alpaca", "iex", True): ALPACA_IEX,
    ("finnhub", "", False): FINNHUB,
    ("finnhub", "", True): FINNHUB,
    ("tiingo", "", False): TIINGO_IEX,
    ("tiingo", "", True): TIINGO_DAILY,
}


class Row(msgspec.Struct, frozen=True, gc=False):
    """A bar as a vendor shows it, in the truth's own units: nanoseconds, dollars, shares."""

    ts_ns: int
    """Start of the bar, UTC; 00:00 New York for days."""
    day: date
    """The session's date."""
    open: float
    high: float
    low: float
    close: float
    volume: float
    vwap: float
    count: int


def rule_of(vendor: Vendor, feed: str = "", *, daily: bool = False) -> BarRule:
    """Return the rule; ``feed`` is ``sip`` or ``iex`` at alpaca, else empty.

    Raises:
        KeyError: there is no such feed.
    """
    return _RULES[vendor, "sip" if feed == "delayed_sip" else feed, daily]


def lots(size: int, ts_ns: int) -> int:
    """Return a quote's size as the wire has it: shares now, round lots before 2025-11-03."""
    return size if day_of(ts_ns) >= SHARES_SINCE else size // 100


def amended(trades: Sequence[Trade], amendments: Iterable[Amendment], now_ns: int) -> list[Trade]:
    """Return trades with what was said about them by ``now_ns``."""
    said = {a.original.trade_id: a.corrected for a in amendments if a.at_ns <= now_ns}
    if not said:
        return list(trades)
    result = []
    for trade in trades:
        now = said.get(trade.trade_id, trade)
        if now is not None:
            result.append(now)
    return result


class Views:
    """Reads one market as each vendor does. Times ``now_ns`` are the market's own; default: long after."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self._minutes: Kept[tuple[str, str, date], list[RawBar]] = Kept(64 * len(market.instruments))
        self._days: Kept[tuple[str, str, date], RawBar | None] = Kept(400 * len(market.instruments))

    def bars(
        self,
        vendor: Vendor,
        feed: str,
        symbol: str,
        interval: str | int,
        start_ns: int,
        end_ns: int,
        adjustment: Adjustment = "raw",
        now_ns: int = EVER,
        *,
        extended: bool = True,
    ) -> list[Row]:
        """Return the bars that start in ``[start_ns, end_ns)``, ascending.

        Args:
            vendor: whose view.
            feed: `rule_of`.
            symbol: canonical; one that is not listed has no bars.
            interval: ``1m`` ... ``1h``, ``1d``, or a number of minutes.
            start_ns: of the range.
            end_ns: of the range, not included.
            adjustment: what for; only what has happened by ``now_ns`` is known.
            now_ns: when it is asked.
            extended: whether minutes out of regular hours are included.
        """
        if symbol not in self.market.instruments:
            return []
        known_by = day_of(min(now_ns, midnight_ns(self.market.sessions[-1].day)))
        rows: list[Row] = []
        for session in self._sessions(start_ns, end_ns, daily=interval == "1d"):
            rule = rule_of(vendor, feed, daily=interval == "1d")
            if interval == "1d":
                bar = self.day(rule, symbol, session, now_ns)
                raw: Sequence[RawBar] = [bar] if bar else []
            else:
                raw = self.minutes(rule, symbol, session, now_ns)
                if not extended:
                    raw = [bar for bar in raw if session.is_regular(bar.ts_ns)]
                raw = _grouped(raw, MINUTES.get(interval, 1) if isinstance(interval, str) else interval)
            ratio, factor = self._adjusting(symbol, session.day, adjustment, known_by)
            rows += [
                _row(bar, session.day, rule, ratio, factor) for bar in raw if start_ns <= bar.ts_ns < end_ns
            ]
        return rows

    def quotes(self, feed: str, symbol: str, start_ns: int, end_ns: int, now_ns: int = EVER) -> list[Quote]:
        """Return quotes in ``[start_ns, end_ns)`` that are out by ``now_ns``; of IEX if ``feed`` says so."""
        if symbol not in self.market.instruments:
            return []
        book: Book = "iex" if feed == "iex" else "nbbo"
        end_ns = min(end_ns, now_ns + 1)
        found: list[Quote] = []
        for session in self._sessions(start_ns, end_ns, daily=False):
            quotes = self.market.quotes(symbol, session.day, book)
            first = bisect_left(quotes, start_ns, key=lambda q: q.ts_ns)
            found += quotes[first : bisect_left(quotes, end_ns, key=lambda q: q.ts_ns)]
        return found

    def trades(self, feed: str, symbol: str, start_ns: int, end_ns: int, now_ns: int = EVER) -> list[Trade]:
        """Return prints made in ``[start_ns, end_ns)`` and out by ``now_ns``, as they first went out."""
        if symbol not in self.market.instruments:
            return []
        found: list[Trade] = []
        for session in self._sessions(start_ns, end_ns, daily=False):
            found += [
                trade
                for trade in self.market.trades(symbol, session.day)
                if start_ns <= trade.ts_ns < end_ns
                and trade.arrival_ns <= now_ns
                and (feed != "iex" or trade.venue == "V")
            ]
        return found

    def last_quote(self, feed: str, symbol: str, now_ns: int) -> Quote | None:
        """Return the quote that stands, or None before the first."""
        for session in self._back(now_ns):
            quotes = self.market.quotes(symbol, session.day, "iex" if feed == "iex" else "nbbo")
            n = bisect_right(quotes, now_ns, key=lambda q: q.ts_ns)
            if n:
                return quotes[n - 1]
        return None

    def last_trade(self, feed: str, symbol: str, now_ns: int) -> Trade | None:
        """Return the last print that is out and may set the last price, or None before the first."""
        rule = rule_of("alpaca", "iex") if feed == "iex" else POLYGON
        for session in self._back(now_ns):
            for trade in reversed(self.market.trades(symbol, session.day)):
                eligible = all(sale.effect.open_close for sale in trade.sales)
                if trade.arrival_ns <= now_ns and eligible and (not rule.iex_only or trade.venue == "V"):
                    return trade
        return None

    def minutes(self, rule: BarRule, symbol: str, session: Session, now_ns: int = EVER) -> list[RawBar]:
        """Return the minute bars of a session by a rule, as they are at ``now_ns``."""
        if now_ns >= session.post_ns + REBUILD_AFTER_NS:
            key = (rule.name, symbol, session.day)
            return self._minutes.get(key, lambda: minute_bars(self.seen(rule, symbol, session, EVER), rule))
        # a bar comes out when its minute is over, whatever traded in it so far
        now_minute = now_ns - now_ns % MINUTE_NS
        seen = self.seen(rule, symbol, session, now_ns)
        return minute_bars((trade for trade in seen if trade.ts_ns < now_minute), rule)

    def minute(self, rule: BarRule, symbol: str, start_ns: int, now_ns: int) -> RawBar | None:
        """Return the bar of one minute as it is at ``now_ns``."""
        session = self.market.session(day_of(start_ns))
        if session is None:
            return None
        seen = self.seen(rule, symbol, session, now_ns, start_ns, start_ns + MINUTE_NS)
        found = minute_bars(seen, rule)
        return found[0] if found else None

    def minute_row(self, vendor: Vendor, feed: str, symbol: str, start_ns: int, now_ns: int) -> Row | None:
        """Return the raw bar of one minute as a vendor shows it at ``now_ns``, None if it has none."""
        rule = rule_of(vendor, feed)
        bar = self.minute(rule, symbol, start_ns, now_ns)
        return None if bar is None else _row(bar, day_of(start_ns), rule, 1.0, 1.0)

    def day(self, rule: BarRule, symbol: str, session: Session, now_ns: int = EVER) -> RawBar | None:
        """Return the bar of a session by a rule, as it is at ``now_ns``; of today it is a part."""
        ts = midnight_ns(session.day)
        if now_ns >= session.post_ns + REBUILD_AFTER_NS:
            key = (rule.name, symbol, session.day)
            return self._days.get(key, lambda: day_bar(self.seen(rule, symbol, session, EVER), rule, ts))
        return day_bar(self.seen(rule, symbol, session, now_ns), rule, ts)

    def seen(
        self,
        rule: BarRule,
        symbol: str,
        session: Session,
        now_ns: int,
        start_ns: int = 0,
        end_ns: int = EVER,
    ) -> list[Trade]:
        """Return the trades made in a range that a rule has taken in by ``now_ns``, amended so far."""
        prints = self.market.prints(symbol, session.day)
        trades: Sequence[Trade] = prints.trades
        if start_ns or end_ns != EVER:
            first = bisect_left(trades, start_ns, key=lambda t: t.ts_ns)
            trades = trades[first : bisect_left(trades, end_ns, key=lambda t: t.ts_ns)]
        rebuilt = now_ns >= session.post_ns + REBUILD_AFTER_NS
        if not rebuilt:
            window = rule.late_window_ns
            trades = [t for t in trades if t.arrival_ns <= now_ns and t.arrival_ns - t.ts_ns <= window]
        if rebuilt or rule.amends is Amends.AT_ONCE:
            return amended(trades, prints.amendments, now_ns)
        return list(trades)

    def _adjusting(
        self, symbol: str, day: date, adjustment: Adjustment, known_by: date
    ) -> tuple[float, float]:
        ratio = factor = 1.0
        if adjustment in ("split", "all"):
            ratio = split_ratio(self.market.splits_of(symbol), day, known_by)
        if adjustment in ("dividend", "all"):
            factor = dividend_factor(self.market.dividends_of(symbol), day, known_by)
        return ratio, factor

    def _sessions(self, start_ns: int, end_ns: int, *, daily: bool) -> list[Session]:
        if daily:
            return [s for s in self.market.sessions if start_ns <= midnight_ns(s.day) < end_ns]
        return self.market.sessions_in(start_ns, end_ns)

    def _back(self, now_ns: int) -> list[Session]:
        """The session of now and the one before it, latest first."""
        return self.market.sessions_in(0, now_ns + 1)[:-3:-1]


def _grouped(bars: Sequence[RawBar], minutes: int) -> Sequence[RawBar]:
    """Merge minute bars into longer ones that start at multiples of their length since 00:00 New York."""
    if minutes == 1 or not bars:
        return bars
    length = minutes * MINUTE_NS
    base = midnight_ns(day_of(bars[0].ts_ns))
    merged: list[RawBar] = []
    for bar in bars:
        start = bar.ts_ns - (bar.ts_ns - base) % length
        if merged and merged[-1].ts_ns == start:
            into = merged[-1]
            into.high, into.low, into.close = max(into.high, bar.high), min(into.low, bar.low), bar.close
            into.volume = round(into.volume + bar.volume, 6)
            into.notional += bar.notional
            into.count += bar.count
        else:
            merged.append(msgspec.structs.replace(bar, ts_ns=start))
    return merged


def _row(bar: RawBar, day: date, rule: BarRule, ratio: float, factor: float) -> Row:
    vwap = bar.notional / bar.volume
    if ratio == 1 and factor == 1:
        digits = rule.digits
        return Row(
            bar.ts_ns, day, bar.open, bar.high, bar.low, bar.close, bar.volume, round(vwap, digits), bar.count
        )
    scale = factor / ratio
    return Row(
        bar.ts_ns,
        day,
        round(bar.open * scale, PRICE_DIGITS),
        round(bar.high * scale, PRICE_DIGITS),
        round(bar.low * scale, PRICE_DIGITS),
        round(bar.close * scale, PRICE_DIGITS),
        # whole shares stay whole where the vendor counts so
        float(round(bar.volume * ratio)) if rule.whole_sizes else round(bar.volume * ratio, 6),
        round(vwap * scale, rule.digits),
        bar.count,
    )

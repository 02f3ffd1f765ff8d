"""What a client should make of the simulated market: the vendor's view of it, in our rows.

Written from the vendors' definitions, with nothing of the clients in it and nothing of the emulator's
way to write.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date, time

from providers.base import BarRow, QuoteRow
from sandbox.market.calendar import day_of, instant_ns, midnight_ns
from sandbox.market.records import Quote
from sandbox.market.views import EVER, Row, Views
from schemas.provider import Adjustment, Interval
from tests.integration.providers.subject import Subject

Window = tuple[int, int]
EPOCH = date(1970, 1, 1)
MS_NS = 1_000_000
#: until then the tape counted quotes in lots of a hundred shares
SHARES_SINCE = date(2025, 11, 3)
POLYGON_EXCHANGES = {"K": 8, "N": 10, "P": 11, "Q": 12, "V": 15, "Y": 18, "Z": 19}


class Truth:
    """Rows that one subject should return."""

    def __init__(self, views: Views, subject: Subject) -> None:
        self._views = views
        self._subject = subject

    def bars(
        self,
        symbols: Sequence[str],
        interval: Interval,
        window: Window,
        adjustment: Adjustment = "raw",
        now_ns: int = EVER,
        *,
        extended: bool = True,
    ) -> list[BarRow]:
        """Return bars by symbol in this order, then by time."""
        return [
            row
            for symbol in symbols
            for row in self._bars(symbol, interval, window, adjustment, now_ns, extended)
        ]

    def quotes(self, symbols: Sequence[str], window: Window, now_ns: int = EVER) -> list[QuoteRow]:
        """Return quotes of a window by symbol in this order, then by time."""
        write = _QUOTES[self._subject.vendor]
        found: list[QuoteRow] = []
        for symbol in symbols:
            # finnhub's moments are whole milliseconds: either end of the window may lie within one
            around = window[0] - MS_NS, window[1] + MS_NS
            quotes = self._views.quotes(self._subject.book, symbol, *around, now_ns)
            rows = [write(quote, self._tape(symbol)) for quote in quotes]
            found += [row for row in rows if window[0] <= row.ts_event < window[1]]
        return found

    def latest(self, symbols: Sequence[str], now_ns: int) -> list[QuoteRow]:
        """Return the quotes that stand; Tiingo shows none after the last hour of a session."""
        found: list[QuoteRow] = []
        begun = [session for session in self._views.market.sessions if session.pre_ns <= now_ns]
        if self._subject.vendor == "tiingo" and begun[-1].post_ns <= now_ns:
            return found
        for symbol in symbols:
            quote = self._views.last_quote(self._subject.book, symbol, now_ns)
            if quote is not None:
                write = _LATEST.get(self._subject.vendor) or _QUOTES[self._subject.vendor]
                found.append(write(quote, self._tape(symbol)))
        return found

    def _tape(self, symbol: str) -> str:
        return self._views.market.instruments[symbol].tape

    def _bars(
        self,
        symbol: str,
        interval: Interval,
        window: Window,
        adjustment: Adjustment,
        now_ns: int,
        extended: bool,
    ) -> list[BarRow]:
        vendor, daily = self._subject.vendor, interval == "1d"
        feed = self._subject.access.backend if vendor == "alpaca" else ""
        feed = "iex" if feed == "alpaca_iex" else feed
        # Tiingo knows the hours of a session, half days too; of others the wall clock decides
        knows_hours = vendor == "tiingo" and not extended
        derived = vendor == "tiingo" and daily and adjustment == "split"
        rows = self._views.bars(
            vendor,
            feed,
            symbol,
            interval,
            *window,
            "raw" if derived else adjustment,
            now_ns,
            extended=not knows_hours,
        )
        if daily and vendor == "tiingo":
            rows = [row for row in rows if self._is_closed(row.day, now_ns)]
        if not (daily or extended):
            rows = [row for row in rows if _in_wall_clock_hours(row)]
        ratios = [self._ratio(symbol, row.day, now_ns) if derived else 1.0 for row in rows]
        return [self._row(symbol, row, daily, ratio) for row, ratio in zip(rows, ratios, strict=True)]

    def _row(self, symbol: str, row: Row, daily: bool, ratio: float) -> BarRow:
        averages = self._subject.averages
        return BarRow(
            symbol,
            midnight_ns(row.day) if daily else row.ts_ns,
            row.open / ratio,
            row.high / ratio,
            row.low / ratio,
            row.close / ratio,
            row.volume * ratio,
            row.vwap if averages else None,
            row.count if averages else None,
            (row.day - EPOCH).days if daily else 0,
        )

    def _ratio(self, symbol: str, day: date, now_ns: int) -> float:
        """Tiingo has no split-adjusted prices: they are raw ones by all splits since."""
        closed = [s for s in self._views.market.splits_of(symbol) if self._is_closed(s.day, now_ns)]
        return math.prod(split.ratio for split in closed if day < split.day)

    def _is_closed(self, day: date, now_ns: int) -> bool:
        session = self._views.market.session(day)
        return session is not None and session.close_ns <= now_ns


def first_difference(got: Sequence[object], wanted: Sequence[object]) -> str:
    """Return where two lists part, empty if they do not: thousands of rows are no message."""
    for i, (one, other) in enumerate(zip(got, wanted, strict=False)):
        if one != other:
            return f"row {i} of {len(got)}: got {one}, not {other} (of {len(wanted)})"
    if len(got) != len(wanted):
        more, name = (got, "too many") if len(got) > len(wanted) else (wanted, "missing")
        return f"{len(got)} rows, not {len(wanted)}; first {name}: {more[min(len(got), len(wanted))]}"
    return ""


def _in_wall_clock_hours(row: Row) -> bool:
    return instant_ns(row.day, time(9, 30)) <= row.ts_ns < instant_ns(row.day, time(16))


def _side(price: float, size: float, venue: str) -> tuple[float | None, float | None, str]:
    return (price, float(size), venue) if price else (None, None, "")


def _write(
    quote: Quote,
    tape: str = "",
    *,
    ts_ns: int | None = None,
    venues: tuple[str, str] | None = None,
    conditions: str = "",
    seq: int = 0,
    lot: int = 1,
) -> QuoteRow:
    names = venues or (quote.bid_venue, quote.ask_venue)
    bid, bid_size, bid_venue = _side(quote.bid, quote.bid_size / lot, names[0])
    ask, ask_size, ask_venue = _side(quote.ask, quote.ask_size / lot, names[1])
    at = quote.ts_ns if ts_ns is None else ts_ns
    return QuoteRow(
        quote.symbol, at, bid, bid_size, ask, ask_size, bid_venue, ask_venue, conditions, tape, seq
    )


def _polygon(quote: Quote, tape: str) -> QuoteRow:
    bid, ask = (str(POLYGON_EXCHANGES.get(venue, "")) for venue in (quote.bid_venue, quote.ask_venue))
    return _write(quote, tape, venues=(bid, ask), seq=quote.seq)


def _alpaca(quote: Quote, tape: str) -> QuoteRow:
    return _write(quote, tape, conditions="R")


def _finnhub(quote: Quote, _: str) -> QuoteRow:
    # in which unit its sizes are is not known: whatever comes is taken
    lot = 1 if day_of(quote.ts_ns) >= SHARES_SINCE else 100
    return _write(quote, ts_ns=quote.ts_ns // MS_NS * MS_NS, conditions="1", lot=lot)


def _finnhub_latest(quote: Quote, tape: str) -> QuoteRow:
    row = _finnhub(quote, tape)
    return QuoteRow(row.symbol, row.ts_event, row.bid, row.bid_size, row.ask, row.ask_size)


def _tiingo(quote: Quote, _: str) -> QuoteRow:
    return _write(quote)


_QUOTES: dict[str, Callable[[Quote, str], QuoteRow]] = {
    "polygon": _polygon,
    "alpaca": _alpaca,
    "finnhub": _finnhub,
    "tiingo": _tiingo,
}
_LATEST = {"finnhub": _finnhub_latest}

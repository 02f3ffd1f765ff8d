"""What feeds send, in order of time: trades as they are published, quotes, and bars as they come out."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Literal

from sandbox.market.calendar import MINUTE_NS, SECOND_NS, Session, midnight_ns
from sandbox.market.kept import Kept
from sandbox.market.market import Market
from sandbox.market.records import Amendment, Quote, Trade
from sandbox.market.views import Row, Vendor, Views, rule_of

Kind = Literal["trade", "quote", "bar", "updated_bar", "daily_bar", "correction", "bust"]
#: after the end of a minute its bar comes out
BAR_DELAY_NS = {"polygon": SECOND_NS, "alpaca": SECOND_NS // 4}
#: within a minute, when alpaca looks for bars that have changed
UPDATE_AT_NS = 30 * SECOND_NS


@dataclass(frozen=True, slots=True)
class Event:
    """One thing to send."""

    at_ns: int
    """Market time at which it goes out."""
    kind: Kind
    symbol: str
    item: Trade | Quote | Amendment | Row
    ident: int = 0
    """Id of a trade, sequence number of a quote."""

    @property
    def ts_ns(self) -> int:
        """Its own time: of a bar the start."""
        return self.item.at_ns if isinstance(self.item, Amendment) else self.item.ts_ns


class Tape:
    """Answers what goes out in ``(after, until]``: asked in turn, nothing comes twice or is left out."""

    def __init__(self, market: Market, views: Views) -> None:
        self._market = market
        self._views = views
        self._published: Kept[tuple[str, date], tuple[list[int], list[Trade | Amendment]]] = Kept(
            4 * len(market.instruments)
        )

    def ticks(self, feed: str, symbol: str, after: int, until: int) -> Iterator[Event]:
        """Yield trades, corrections and busts; of IEX alone if ``feed`` says so."""
        for session in self._sessions(after, until):
            times, found = self._in_order(symbol, session)
            for item in found[bisect_right(times, after) : bisect_right(times, until)]:
                trade = item.original if isinstance(item, Amendment) else item
                if feed == "iex" and trade.venue != "V":
                    continue
                kind: Kind = item.kind if isinstance(item, Amendment) else "trade"
                yield Event(_out_ns(item), kind, symbol, item, trade.trade_id)

    def quotes(self, feed: str, symbol: str, after: int, until: int) -> Iterator[Event]:
        """Yield quotes."""
        for quote in self._views.quotes(feed, symbol, after + 1, until + 1):
            yield Event(quote.ts_ns, "quote", symbol, quote, quote.seq)

    def bars(self, vendor: Vendor, feed: str, symbol: str, after: int, until: int) -> Iterator[Event]:
        """Yield minute bars when their minute is over, as they are then."""
        delay = BAR_DELAY_NS[vendor]
        if (after - delay) // MINUTE_NS == (until - delay) // MINUTE_NS:
            return
        for session in self._sessions(after, until):
            first = max(session.pre_ns, (after - delay) // MINUTE_NS * MINUTE_NS)
            last = min(session.post_ns, until - delay - MINUTE_NS + 1)
            for start in range(first, last, MINUTE_NS):
                at = start + MINUTE_NS + delay
                if at > after and (row := self._views.minute_row(vendor, feed, symbol, start, at)):
                    yield Event(at, "bar", symbol, row)

    def renewed(self, feed: str, symbol: str, after: int, until: int) -> Iterator[Event]:
        """Yield polygon's bars again when a late print has landed in them."""
        rule = rule_of("polygon")
        delay = BAR_DELAY_NS["polygon"]
        for event in self.ticks(feed, symbol, after, until):
            trade = event.item
            if not isinstance(trade, Trade) or trade.arrival_ns - trade.ts_ns > rule.late_window_ns:
                continue
            start = trade.ts_ns - trade.ts_ns % MINUTE_NS
            if trade.arrival_ns > start + MINUTE_NS + delay:
                row = self._views.minute_row("polygon", feed, symbol, start, event.at_ns)
                if row is not None:
                    yield Event(event.at_ns, "bar", symbol, row)

    def updated(self, feed: str, symbol: str, after: int, until: int) -> Iterator[Event]:
        """Yield alpaca's bars that have changed since they came out, half a minute after each minute."""
        mark = after - (after - UPDATE_AT_NS) % MINUTE_NS + MINUTE_NS
        while mark <= until:
            minutes = set()
            for event in self.ticks(feed, symbol, mark - MINUTE_NS, mark):
                item = event.item
                trade = item.original if isinstance(item, Amendment) else item
                start = trade.ts_ns - trade.ts_ns % MINUTE_NS
                if event.at_ns > start + MINUTE_NS + BAR_DELAY_NS["alpaca"]:
                    minutes.add(start)
            for start in sorted(minutes):
                before = max(mark - MINUTE_NS, start + MINUTE_NS + BAR_DELAY_NS["alpaca"])
                row = self._views.minute_row("alpaca", feed, symbol, start, mark)
                if row is not None and row != self._views.minute_row("alpaca", feed, symbol, start, before):
                    yield Event(mark, "updated_bar", symbol, row)
            mark += MINUTE_NS

    def days(self, feed: str, symbol: str, after: int, until: int) -> Iterator[Event]:
        """Yield alpaca's bar of the day so far, with every minute bar."""
        for event in self.bars("alpaca", feed, symbol, after, until):
            at = midnight_ns(event.item.day) if isinstance(event.item, Row) else 0
            rows = self._views.bars("alpaca", feed, symbol, "1d", at, at + 1, "raw", event.at_ns)
            for row in rows:
                yield Event(event.at_ns, "daily_bar", symbol, row)

    def _in_order(self, symbol: str, session: Session) -> tuple[list[int], list[Trade | Amendment]]:
        """What is published in a session, in that order, and when each was."""

        def make() -> tuple[list[int], list[Trade | Amendment]]:
            prints = self._market.prints(symbol, session.day)
            found: list[Trade | Amendment] = [*prints.trades, *prints.amendments]
            found.sort(key=_out_ns)
            return [_out_ns(item) for item in found], found

        return self._published.get((symbol, session.day), make)

    def _sessions(self, after: int, until: int) -> list[Session]:
        # the last prints of a session come up to an hour after it
        hour = 60 * MINUTE_NS
        return self._market.sessions_in(after - hour, until + 1)


def _out_ns(item: Trade | Amendment) -> int:
    return item.at_ns if isinstance(item, Amendment) else item.arrival_ns

"""The one truth of the simulated exchange: what traded and what was quoted, as a function of the seed."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from datetime import date

from sandbox.market import path
from sandbox.market.calendar import Session, sessions
from sandbox.market.corporate import Dividend, Split
from sandbox.market.instrument import CENT, UNITS, Instrument, listed
from sandbox.market.kept import Kept
from sandbox.market.nbbo import Book, draw_quotes
from sandbox.market.prints import Disturbance, Prints, disturbance, draw_prints
from sandbox.market.records import Amendment, Quote, Trade

FIRST, LAST = date(2025, 9, 2), date(2026, 4, 30)
#: when the splits and the dividend happen, if the market is open then; else in its middle session
SPLIT_DAY, REVERSE_DAY, DIVIDEND_DAY = date(2025, 11, 17), date(2025, 12, 10), date(2025, 11, 20)


class Market:
    """Random access: any symbol and session costs the same, whatever was asked before."""

    def __init__(
        self,
        seed: int = 7,
        symbols: int = 20,
        first: date = FIRST,
        last: date = LAST,
        keep: int | None = None,
    ) -> None:
        """List instruments and sessions; nothing is drawn yet.

        Args:
            seed: of everything that is drawn.
            symbols: how many are listed, the busiest first.
            first: from this date; prices chain from here, so another first date is another market.
            last: to this date, included.
            keep: symbol-sessions to keep in memory; default four for each symbol.
        """
        self.seed = seed
        self.instruments: dict[str, Instrument] = listed(seed, symbols)
        self.sessions: list[Session] = sessions(first, last)
        if not self.sessions or symbols < 1:
            raise ValueError("a market has symbols and sessions")
        self._opens = [session.pre_ns for session in self.sessions]
        self._ends = [session.post_ns for session in self.sessions]
        self._index = {session.day: n for n, session in enumerate(self.sessions)}
        keep = keep or 4 * symbols
        self._closes: dict[str, list[float]] = {}
        self._prints: Kept[tuple[str, date], Prints] = Kept(keep)
        self._quotes: Kept[tuple[str, date, Book], list[Quote]] = Kept(keep)
        ranked = list(self.instruments)
        self.splits: list[Split] = [
            Split(ranked[2 % symbols], self._day(SPLIT_DAY), to=4),
            *([Split(ranked[7], self._day(REVERSE_DAY), to=1, of=5)] if symbols > 7 else []),
        ]
        day = self._day(DIVIDEND_DAY)
        payer = ranked[5 % symbols]
        cash = round(self.previous_close(payer, day) * 0.004, 2)
        self.dividends: list[Dividend] = [Dividend(payer, day, cash, self.previous_close(payer, day))]

    def _day(self, wanted: date) -> date:
        return wanted if wanted in self._index else self.sessions[len(self.sessions) // 2].day

    @property
    def symbols(self) -> list[str]:
        """Canonical symbols, busiest first."""
        return list(self.instruments)

    def session(self, day: date) -> Session | None:
        """Return the session of a date, None if the market is closed or its history does not reach it."""
        n = self._index.get(day)
        return None if n is None else self.sessions[n]

    def previous_session(self, day: date) -> Session | None:
        """Return the last session before a date that is itself a session."""
        n = self._index[day]
        return self.sessions[n - 1] if n else None

    def sessions_in(self, start_ns: int, end_ns: int) -> list[Session]:
        """Return the sessions that have begun before ``end_ns`` and end after ``start_ns``, ascending."""
        return self.sessions[bisect_right(self._ends, start_ns) : bisect_left(self._opens, end_ns)]

    def splits_of(self, symbol: str) -> list[Split]:
        """Return the splits of a symbol, by date."""
        return [split for split in self.splits if split.symbol == symbol]

    def dividends_of(self, symbol: str) -> list[Dividend]:
        """Return the dividends of a symbol, by date."""
        return [dividend for dividend in self.dividends if dividend.symbol == symbol]

    def previous_close(self, symbol: str, day: date) -> float:
        """Return the raw price in dollars at which the walk closed before a session."""
        before = self._chain(symbol)[self._index[day]]
        known = [split for split in self.splits_of(symbol) if split.day < day]
        units = round(math.exp(before) * UNITS / math.prod(split.ratio for split in known))
        return round(units / CENT) * CENT / UNITS

    def trades(self, symbol: str, day: date) -> list[Trade]:
        """Return the prints of a session in the order in which they were made, as they first went out.

        Raises:
            KeyError: no such symbol or session.
        """
        return self.prints(symbol, day).trades

    def amendments(self, symbol: str, day: date) -> list[Amendment]:
        """Return what was later said about trades of a session, in order of time."""
        return self.prints(symbol, day).amendments

    def prints(self, symbol: str, day: date) -> Prints:
        """Return trades and amendments of a session."""
        return self._prints.get((symbol, day), lambda: self._draw(symbol, day))

    def quotes(self, symbol: str, day: date, book: Book = "nbbo") -> list[Quote]:
        """Return the quotes of a session in order of time; ``book`` says whose."""

        def make() -> list[Quote]:
            instrument, session, n = self._find(symbol, day)
            events = disturbance(self.seed, instrument, session, n)
            return draw_quotes(self.seed, instrument, session, self._path(symbol, n), events, book)

        return self._quotes.get((symbol, day, book), make)

    def disturbance(self, symbol: str, day: date) -> Disturbance:
        """Return what is out of the ordinary in a session."""
        return disturbance(self.seed, *self._find(symbol, day))

    def _draw(self, symbol: str, day: date) -> Prints:
        instrument, session, n = self._find(symbol, day)
        events = disturbance(self.seed, instrument, session, n)
        return draw_prints(self.seed, instrument, session, self._path(symbol, n), events)

    def _find(self, symbol: str, day: date) -> tuple[Instrument, Session, int]:
        n = self._index[day]
        return self.instruments[symbol], self.sessions[n], n

    def _path(self, symbol: str, n: int) -> list[int]:
        session, chain = self.sessions[n], self._chain(symbol)
        done = math.prod(split.ratio for split in self.splits_of(symbol) if split.day <= session.day)
        return path.minutes(self.seed, self.instruments[symbol], session, chain[n], chain[n + 1], done)

    def _chain(self, symbol: str) -> list[float]:
        if symbol not in self._closes:
            self._closes[symbol] = path.closes(self.seed, self.instruments[symbol], len(self.sessions))
        return self._closes[symbol]

"""Where in the market something out of the ordinary can be found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Literal

from sandbox.market.calendar import Session, midnight_ns
from sandbox.market.conditions import Sale
from sandbox.market.market import Market

Kind = Literal[
    "split", "dividend", "half_day", "dst_change", "halt", "missing_minute", "ineligible_minute",
    "fractional", "odd_lot", "opening_cross", "closing_cross", "official_close", "late_print",
    "correction", "bust", "one_sided", "locked", "crossed", "zero_size",
]  # fmt: skip
_SALES: dict[Sale, Kind] = {
    Sale.ODD_LOT: "odd_lot",
    Sale.OPENING: "opening_cross",
    Sale.CLOSING: "closing_cross",
    Sale.OFFICIAL_CLOSE: "official_close",
    Sale.OUT_OF_SEQUENCE: "late_print",
}
_STATES: dict[str, Kind] = {
    "one_sided": "one_sided",
    "locked": "locked",
    "crossed": "crossed",
    "zero_size": "zero_size",
}


@dataclass(frozen=True, slots=True)
class Feature:
    """One occurrence."""

    kind: Kind
    symbol: str
    """Empty: of the whole market."""
    day: date
    """The session; of a change of clocks the first one after it."""
    ts_ns: int
    """When; midnight in New York for what concerns a whole day."""


def features(market: Market) -> list[Feature]:
    """Return what is planned for the whole market: splits, dividends, halts, half days, changes of clocks.

    What happens within sessions (every one has nearly all of it) is told by `features_of`.
    """
    found: list[Feature] = []
    found += [Feature("split", s.symbol, s.day, midnight_ns(s.day)) for s in market.splits]
    found += [Feature("dividend", d.symbol, d.day, midnight_ns(d.day)) for d in market.dividends]
    found += [Feature("half_day", "", s.day, midnight_ns(s.day)) for s in market.sessions if s.half]
    found += [
        Feature("dst_change", "", after.day, midnight_ns(after.day))
        for before, after in pairwise(market.sessions)
        if _offset(before) != _offset(after)
    ]
    for symbol in market.symbols:
        for session in market.sessions:
            halt = market.disturbance(symbol, session.day).halt
            if halt:
                found.append(Feature("halt", symbol, session.day, halt[0]))
    return found


def features_of(market: Market, symbol: str, day: date) -> list[Feature]:
    """Return what is out of the ordinary within one session of one symbol."""
    return [Feature(kind, symbol, day, ts) for kind, ts in _within(market, symbol, day)]


def census(market: Market, symbol: str, day: date) -> Counter[str]:
    """Count what `features_of` finds, by kind."""
    return Counter(feature.kind for feature in features_of(market, symbol, day))


def _within(market: Market, symbol: str, day: date) -> Iterator[tuple[Kind, int]]:
    events = market.disturbance(symbol, day)
    yield "missing_minute", events.quiet_ns
    yield "ineligible_minute", events.ineligible_ns
    if events.halt:
        yield "halt", events.halt[0]
    prints = market.prints(symbol, day)
    for trade in prints.trades:
        if trade.size % 1:
            yield "fractional", trade.ts_ns
        for sale in trade.sales:
            if sale in _SALES:
                yield _SALES[sale], trade.ts_ns
    for amendment in prints.amendments:
        yield amendment.kind, amendment.original.ts_ns
    for quote in market.quotes(symbol, day):
        state = _STATES.get(quote.state)
        if state:
            yield state, quote.ts_ns


def _offset(session: Session) -> int:
    return session.open_ns % (24 * 3600 * 1_000_000_000)

"""Quotes of one symbol and session: the consolidated best, or IEX's own."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

from sandbox.market.calendar import MINUTE_NS, Session
from sandbox.market.instrument import CENT, UNITS, Instrument
from sandbox.market.prints import Disturbance
from sandbox.market.records import Quote

Book = Literal["nbbo", "iex"]

#: quotes a minute for each trade a minute, and in extended hours
PER_TRADE = {"nbbo": 1.6, "iex": 0.5}
EXTENDED_SHARE = 0.15
#: cumulated shares of what is not two sides with a spread between them
LOCKED, CROSSED, NO_BID, NO_ASK, ZERO = 0.03, 0.0305, 0.034, 0.037, 0.039
VENUES = "QPZKNVY"


def draw_quotes(
    seed: int,
    instrument: Instrument,
    session: Session,
    path: Sequence[int],
    events: Disturbance,
    book: Book,
) -> list[Quote]:
    """Draw the session; every kind of quote occurs in it. Nothing is quoted while trading is halted.

    Args:
        seed: of the market.
        instrument: which.
        session: which.
        path: middle prices by minutes.
        events: what disturbs it.
        book: whose best.
    """
    draw = random.Random(f"{seed}|{instrument.symbol}|{session.day}|{book}")  # noqa: S311 - a simulation
    halt_from, halt_to = events.halt or (0, 0)
    times: list[int] = []
    rate = instrument.rate * PER_TRADE[book]
    for n in range(len(path) - 1):
        minute_ns = session.pre_ns + n * MINUTE_NS
        here = rate if session.is_regular(minute_ns) else rate * EXTENDED_SHARE
        count = int(here) + (draw.random() < here % 1)
        times += sorted(minute_ns + draw.randrange(MINUTE_NS) for _ in range(count))
    times = [ts for ts in times if not halt_from <= ts < halt_to]
    forced = iter(draw.sample(range(len(times)), 5))
    states = dict(zip(forced, (LOCKED, CROSSED, NO_BID, NO_ASK, ZERO), strict=True))
    spread = max(CENT, path[0] // (10_000 if book == "nbbo" else 4_000) // CENT * CENT)
    quotes = []
    for i, ts in enumerate(times):
        n, within = divmod(ts - session.pre_ns, MINUTE_NS)
        middle = path[n] + (path[n + 1] - path[n]) * within // MINUTE_NS
        below = states[i] - 1e-9 if i in states else draw.random()
        quotes.append(_quote(draw, instrument.symbol, ts, middle, spread, below, book, 5000 + 3 * i))
    return quotes


def _quote(
    draw: random.Random, symbol: str, ts: int, middle: int, spread: int, below: float, book: Book, seq: int
) -> Quote:
    bid = (middle - spread // 2) // CENT * CENT
    ask = bid + spread
    bid_size, ask_size = 100 * draw.randrange(1, 12), 100 * draw.randrange(1, 12)
    if below < LOCKED:
        ask = bid
    elif below < CROSSED:
        ask = bid - CENT
    elif below < NO_BID:
        bid = bid_size = 0
    elif below < NO_ASK:
        ask = ask_size = 0
    elif below < ZERO:
        bid_size = 0
    venues = "V" if book == "iex" else VENUES
    return Quote(
        symbol,
        ts,
        bid / UNITS,
        bid_size,
        draw.choice(venues) if bid else " ",
        ask / UNITS,
        ask_size,
        draw.choice(venues) if ask else " ",
        seq,
    )

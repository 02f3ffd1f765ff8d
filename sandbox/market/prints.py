"""Trades of one symbol and session, and what was later said about them."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.market.calendar import MINUTE_NS, SECOND_NS, Session
from sandbox.market.conditions import Sale
from sandbox.market.instrument import CENT, UNITS, Instrument
from sandbox.market.records import Amendment, Trade

#: where trades happen, with cumulated shares; D is off exchange, V is IEX
VENUES = (
    ("D", 0.34),
    ("Q", 0.52),
    ("P", 0.64),
    ("Z", 0.74),
    ("K", 0.82),
    ("N", 0.90),
    ("V", 0.95),
    ("Y", 1.0),
)
#: of the rate in regular hours
PRE_SHARE, POST_SHARE = 0.06, 0.05
#: within regular hours, of a trade: conditions other than regular, cumulated
RARE = (
    (Sale.SWEEP, 0.18),
    (Sale.DERIVATIVE, 0.184),
    (Sale.AVERAGE_PRICE, 0.188),
    (Sale.PRIOR_REFERENCE, 0.190),
    (Sale.CASH, 0.191),
    (Sale.NEXT_DAY, 0.192),
    (Sale.SELLER, 0.193),
    (Sale.CONTINGENT, 0.196),
    (Sale.CROSS, 0.199),
)
FRACTIONAL, ODD, SUB_PENNY = 0.03, 0.45, 0.1
#: how far off the market the print is that is busted afterwards
WILD = 1.06
#: a print later than this misses the windows in which vendors renew a minute
LATE_S = ((35.0, 600.0), (40.0, 800.0), (1000.0, 3600.0))


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What is out of the ordinary in one symbol and session; minutes as instants."""

    halt: tuple[int, int] | None
    """Trading stops here and resumes there."""
    quiet_ns: int
    """A minute without any trade."""
    ineligible_ns: int
    """A minute in which no trade may price a bar."""


@dataclass(frozen=True, slots=True)
class Prints:
    """Trades in the order in which they were made, and amendments in order of time."""

    trades: list[Trade]
    amendments: list[Amendment]


def disturbance(seed: int, instrument: Instrument, session: Session, index: int) -> Disturbance:
    """Draw what disturbs a session; every 23rd session of a symbol has a halt."""
    draw = random.Random(f"{seed}|{instrument.symbol}|{session.day}|events")  # noqa: S311 - a simulation
    regular = (session.close_ns - session.open_ns) // MINUTE_NS
    quiet, ineligible, start = draw.sample(range(5, regular - 30), 3)
    halt = None
    if (index + instrument.rank) % 23 == 0:
        halt_ns = session.open_ns + start * MINUTE_NS + 17 * SECOND_NS
        halt = (halt_ns, halt_ns + draw.randint(5, 20) * MINUTE_NS)
    at = session.open_ns
    return Disturbance(halt, at + quiet * MINUTE_NS, at + ineligible * MINUTE_NS)


def draw_prints(
    seed: int, instrument: Instrument, session: Session, path: Sequence[int], events: Disturbance
) -> Prints:
    """Draw the session.

    Args:
        seed: of the market.
        instrument: which.
        session: which.
        path: middle prices by minutes, from `sandbox.market.path.minutes`.
        events: what disturbs it.
    """
    draw = random.Random(f"{seed}|{instrument.symbol}|{session.day}|prints")  # noqa: S311 - a simulation
    drafts = _ordinary(draw, instrument, session, path, events)
    drafts += _auctions(draw, instrument, session, path, events)
    drafts.sort()
    delayed = _delays(draw, session, drafts)
    busted = _wild(draw, session, drafts, delayed)
    trades = _publish(instrument.symbol, drafts, delayed)
    return Prints(trades, _amend(draw, trades, busted, delayed))


#: time, number, units of price, size, venue, conditions
_Draft = tuple[int, int, int, float, str, tuple[Sale, ...]]


def _rates(instrument: Instrument, session: Session) -> list[float]:
    opening = (session.open_ns - session.pre_ns) // MINUTE_NS
    regular = (session.close_ns - session.open_ns) // MINUTE_NS
    after = (session.post_ns - session.close_ns) // MINUTE_NS
    rate = instrument.rate
    middle = (regular - 1) / 2
    return [
        *(rate * PRE_SHARE for _ in range(opening)),
        *(rate * (0.6 + 1.2 * ((n - middle) / middle) ** 2) for n in range(regular)),
        *(rate * POST_SHARE for _ in range(after)),
    ]


def _ordinary(
    draw: random.Random, instrument: Instrument, session: Session, path: Sequence[int], events: Disturbance
) -> list[_Draft]:
    random_, randrange = draw.random, draw.randrange
    halt_from, halt_to = events.halt or (0, 0)
    half = max(CENT // 2, path[0] // 20_000)
    drafts: list[_Draft] = []
    minute_ns = session.pre_ns - MINUTE_NS
    for n, rate in enumerate(_rates(instrument, session)):
        minute_ns += MINUTE_NS
        regular = session.open_ns <= minute_ns < session.close_ns
        if minute_ns == events.quiet_ns:
            continue
        ineligible = minute_ns == events.ineligible_ns
        middle, step = path[n], path[n + 1] - path[n]
        count = max(1, _poisson(draw, rate)) if ineligible else _poisson(draw, rate)
        for _ in range(count):
            part = random_()
            ts = minute_ns + int(part * MINUTE_NS)
            if halt_from <= ts < halt_to:
                continue
            at = middle + step * part
            units = round((at + (half if random_() < 0.5 else -half)) / CENT) * CENT
            chance = random_()
            venue = next(name for name, below in VENUES if chance < below)
            chance = random_()
            size: float
            if venue == "D" and chance < FRACTIONAL:
                size = round(random_() * 20, 6) or 0.5
            elif chance < ODD:
                size = randrange(1, 100)
            else:
                size = 100 * randrange(1, 6)
            if venue == "D" and random_() < SUB_PENNY:
                units += randrange(-1, 2) * 25
            sales: tuple[Sale, ...]
            if ineligible:
                sales = (Sale.AVERAGE_PRICE,)
            elif not regular:
                sales = (Sale.EXTENDED, Sale.ODD_LOT) if size < 100 else (Sale.EXTENDED,)
            else:
                chance = random_()
                sale = next((s for s, below in RARE if chance < below), Sale.REGULAR)
                sales = (sale, Sale.ODD_LOT) if size < 100 else (sale,)
            drafts.append((ts, len(drafts), units, float(size), venue, sales))
    return drafts


def _poisson(draw: random.Random, rate: float) -> int:
    limit, product, count = math.exp(-rate), draw.random(), 0
    while product > limit:
        product *= draw.random()
        count += 1
    return count


def _auctions(
    draw: random.Random, instrument: Instrument, session: Session, path: Sequence[int], events: Disturbance
) -> list[_Draft]:
    """Crosses at the open, the close and after a halt, and the official prices, which are no trades."""
    opening = path[(session.open_ns - session.pre_ns) // MINUTE_NS]
    closing = path[(session.close_ns - session.pre_ns) // MINUTE_NS]
    home, size = instrument.home, 100.0 * max(3, round(instrument.rate * 20))
    open_ns = session.open_ns + draw.randrange(50_000_000, 1_500_000_000)
    close_ns = session.close_ns + draw.randrange(200_000_000, 20_000_000_000)
    opened, closed = _cents(opening), _cents(closing)
    off = draw.choice((-2, -1, 1, 2)) * CENT
    drafts: list[_Draft] = [
        (open_ns, -1, opened, size, home, (Sale.OPENING,)),
        (open_ns + 4_000, -2, opened, size, home, (Sale.OFFICIAL_OPEN,)),
        (close_ns, -3, closed, size * 2, home, (Sale.CLOSING,)),
        # the official close may differ from the last trade by a little
        (session.close_ns + 300 * SECOND_NS + 7, -4, closed + off, size * 2, home, (Sale.OFFICIAL_CLOSE,)),
    ]
    if events.halt:
        at = events.halt[1] + 3_000_000
        price = _cents(path[(at - session.pre_ns) // MINUTE_NS])
        drafts.append((at, -5, price, size / 2, home, (Sale.REOPENING,)))
    return drafts


def _cents(units: int) -> int:
    return round(units / CENT) * CENT


def _delays(draw: random.Random, session: Session, drafts: list[_Draft]) -> dict[int, int]:
    """Choose the late prints, mark them, and return by how much each is late (ns), by index."""
    ordinary = [i for i, d in enumerate(drafts) if session.is_regular(d[0]) and d[5] == (Sale.REGULAR,)]
    delayed: dict[int, int] = {}
    for low, high in LATE_S[: len(ordinary) // 4]:
        i = ordinary[draw.randrange(len(ordinary))]
        delayed[i] = round(draw.uniform(low, high) * SECOND_NS)
        ts, number, units, size, *_ = drafts[i]
        # so that every session has a fraction, and one that revises a bar
        drafts[i] = (ts, number, units, size + 0.375, "D", (Sale.OUT_OF_SEQUENCE,))
    for i, draft in enumerate(drafts):
        if draft[4] == "D" and i not in delayed:
            delayed[i] = draw.randrange(1_000_000, 900_000_000)
    return delayed


def _wild(draw: random.Random, session: Session, drafts: list[_Draft], delayed: dict[int, int]) -> int | None:
    """Move one print far off the market: it will be busted."""
    ordinary = [
        i
        for i, d in enumerate(drafts)
        if session.is_regular(d[0]) and i not in delayed and d[5] == (Sale.REGULAR,)
    ]
    if len(ordinary) < 4:
        return None
    i = draw.choice(ordinary)
    drafts[i] = (*drafts[i][:2], _cents(round(drafts[i][2] * WILD)), *drafts[i][3:])
    return i


def _publish(symbol: str, drafts: list[_Draft], delayed: dict[int, int]) -> list[Trade]:
    arrivals = [draft[0] + delayed.get(i, 0) for i, draft in enumerate(drafts)]
    order = sorted(range(len(drafts)), key=arrivals.__getitem__)
    numbers = [0] * len(drafts)
    for number, i in enumerate(order, 1):
        numbers[i] = number
    return [
        Trade(symbol, ts, arrivals[i], units / UNITS, size, venue, sales, 1000 + 7 * numbers[i], numbers[i])
        for i, (ts, _, units, size, venue, sales) in enumerate(drafts)
    ]


def _amend(
    draw: random.Random, trades: list[Trade], busted: int | None, delayed: dict[int, int]
) -> list[Amendment]:
    amendments: list[Amendment] = []
    if busted is not None:
        wild = trades[busted]
        at = wild.arrival_ns + round(draw.uniform(30, 400) * SECOND_NS)
        amendments.append(Amendment("bust", at, wild, None))
    right = [
        i for i, t in enumerate(trades) if i != busted and i not in delayed and t.sales == (Sale.REGULAR,)
    ]
    if right:
        wrong = trades[draw.choice(right)]
        price = (_cents(round(wrong.price * UNITS)) + draw.choice((-3, -2, 2, 3)) * CENT) / UNITS
        at = wrong.arrival_ns + round(draw.uniform(20, 300) * SECOND_NS)
        corrected = Trade(
            wrong.symbol,
            wrong.ts_ns,
            at,
            price,
            wrong.size + 100,
            wrong.venue,
            wrong.sales,
            wrong.seq,
            wrong.trade_id + 1_000_000,
        )
        amendments.append(Amendment("correction", at, wrong, corrected))
    return sorted(amendments, key=lambda amendment: amendment.at_ns)

"""A tape: trades and clock records of one partition, drawn so that bars close, revise and expire often."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
from hypothesis import strategies as st

from domain.candles import MINUTE_NS, Book, Patience
from schemas.candle import Bar
from schemas.trade import ClockTick, Trade
from tests.oracle import Input

SECOND_NS = 1_000_000_000
#: a whole minute: 2023-11-14T22:14:00Z
START = 1_700_000_040_000_000_000
#: short, so that few trades suffice to expire
PATIENCE = Patience(2 * SECOND_NS, 120 * SECOND_NS)
SOURCES = (("polygon", "sip"), ("polygon", ""), ("alpaca", "iex"))

Item = Trade | ClockTick


def a_trade(at_s: float = 0.0, price: float = 10.0, size: float = 1.0, **changes: str) -> Trade:
    """Return a trade so many seconds after `START`."""
    trade = Trade("AAPL", START + round(at_s * SECOND_NS), price, size, "polygon")
    return msgspec.structs.replace(trade, **changes)


def a_clock(at_s: float) -> ClockTick:
    """Return a clock record so many seconds after `START`."""
    return ClockTick(type="clock", ts_event=START + round(at_s * SECOND_NS), provider="polygon")


@dataclass(slots=True)
class Outcome:
    """What a tape gave, whatever its slices."""

    bars: list[Bar] = field(default_factory=list)
    expired: list[int] = field(default_factory=list)
    """Offsets."""
    late: int = 0


def play(book: Book, items: Sequence[Item], offset: int = 0, cuts: Iterable[int] = ()) -> Outcome:
    """Fold a tape whose first record has the given offset, in slices that end at the given indices."""
    outcome = Outcome()
    ends = sorted({cut for cut in cuts if 0 < cut < len(items)} | {len(items)})
    begin = 0
    for end in ends:
        _fold(book, items[begin:end], offset + begin, outcome)
        begin = end
    return outcome


def _fold(book: Book, items: Sequence[Item], first_offset: int, outcome: Outcome) -> None:
    trades: list[Trade] = []
    offsets: list[int] = []
    clocks: list[tuple[int, ClockTick]] = []
    for offset, item in enumerate(items, first_offset):
        if isinstance(item, Trade):
            trades.append(item)
            offsets.append(offset)
        else:
            clocks.append((len(trades), item))
    folded = book.fold(trades, first_offset, clocks)
    outcome.bars += folded.bars
    outcome.expired += [offsets[i] for i in folded.expired]
    outcome.late += folded.late


def inputs(items: Iterable[Item]) -> Iterator[Input]:
    """Return the records of a tape, for the oracle."""
    for offset, item in enumerate(items):
        value = item.model_dump_json().encode() if isinstance(item, ClockTick) else msgspec.json.encode(item)
        yield Input(0, offset, b"KEY", value)


#: places in a minute, the edges often
_IN_A_MINUTE = st.sampled_from(
    (0, 1, SECOND_NS, 2 * SECOND_NS - 1, 2 * SECOND_NS, 30 * SECOND_NS, MINUTE_NS - 1)
) | st.integers(0, MINUTE_NS - 1)
_TIMES = st.builds(lambda minute, ns: START + minute * MINUTE_NS + ns, st.integers(0, 4), _IN_A_MINUTE)
#: a feed's: nine decimals; and whatever a double can be, beyond the size at which it has that many
SIZES = st.integers(1, 2**23 * 10**9).map(lambda n: n / 10**9) | st.floats(2.0**23, 1e12)
PRICES = st.sampled_from((0.1, 0.2, 0.3, 10.0, 187.25)) | st.floats(1e-9, 1e12)
#: few bars, so that each has several trades
_SYMBOLS = st.sampled_from(("AAPL", "AAPL", "AAPL", "XBT/USDT"))

TRADES = st.builds(
    lambda symbol, ts, price, size, source: Trade(symbol, ts, price, size, *source),
    _SYMBOLS,
    _TIMES,
    PRICES,
    SIZES,
    st.sampled_from((SOURCES[0], SOURCES[0], *SOURCES)),
)
CLOCKS = st.builds(lambda ts: ClockTick(type="clock", ts_event=ts, provider="polygon"), _TIMES)


def _in_rough_order(items: list[Item], jitter: list[int]) -> list[Item]:
    """Sort by time, give or take: an unsorted tape has closed everything after three records."""
    delays = dict(zip(map(id, items), jitter, strict=False))
    return sorted(items, key=lambda item: item.ts_event + delays.get(id(item), 0))


#: mostly on time, some late, some expired
TAPES = st.builds(
    _in_rough_order,
    st.lists(TRADES | TRADES | TRADES | CLOCKS, max_size=40),
    st.lists(
        st.sampled_from((0, 0, 0, SECOND_NS, 70 * SECOND_NS, 300 * SECOND_NS)), min_size=40, max_size=40
    ),
)
CUTS = st.lists(st.integers(0, 40), max_size=8)

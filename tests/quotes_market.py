"""A simulated input of raw quotes for whole workers: in time with the wall clock, drawn from a seed.

Quotes of five sources, among them repeats, shuffled and stale ones, poison, clock records, and holes that
the feeds tell of. Nine in ten of four sources are written as the emulated vendor writes them and heard by our
side of its feed (tests/quote_wires.py); the others are written here, in every way in which a producer may
say that a side is not there, and with sizes that are no whole shares.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from sandbox.market.records import Quote
from tests.market import Line
from tests.poison import KEY, LARGE, Specimen
from tests.quote_poison import QUOTE_POISON
from tests.quote_wires import Wires

SECOND_NS = 1_000_000_000
#: 2023-11-14T22:14:00Z; real workers need the present, or every quote is stale
START_NS = 1_700_000_040_000_000_000
#: how long a quote takes from its event to the producer, in nanoseconds
JITTER_NS = 3_000_000
STALE_NS = 5.5 * SECOND_NS, 30 * SECOND_NS
#: every so many symbols one whose quotes all come stale, in order
SLEEPY = 83
REPEAT_S = 3.0
#: share of the quotes of a vendor that come over its wire
WIRED = 0.9
REASONS = (b"connection lost", b"mute", b"slow consumer", b"takeover")

#: name, feed, of every how many symbols, shape of the rest of a record
SOURCES: tuple[tuple[bytes, bytes, int, bytes], ...] = (
    (b"polygon", b"sip", 1, b',"bid_venue":"11","ask_venue":"12","conditions":"1,%d","tape":"C","seq":%d'),
    (b"alpaca", b"iex", 2, b',"bid_venue":"V","ask_venue":"V","conditions":"R","tape":"C"'),
    (b"alpaca", b"sip", 3, b',"bid_venue":"P","ask_venue":"N","conditions":"R","tape":"C"'),
    (b"iex", b"tiingo", 5, b',"bid_venue":"IEXG","ask_venue":"IEXG"'),
    (b"kraken", b"", 7, b""),
)


@dataclass(frozen=True, slots=True)
class QuotesMarket:
    """What to draw; the same market is the same records."""

    quotes: int
    """How many, besides repeats and poison."""
    rate: float = 20_000.0
    """A second of event time."""
    symbols: int = 500
    seed: int = 1
    partitions: int = 8
    repeated: float = 0.01
    """Share that comes again within three seconds."""
    shuffled: float = 0.02
    """Share that comes up to two seconds after its turn."""
    shuffle_s: float = 2.0
    stale: float = 0.003
    """Share that is more than five seconds old."""
    twins: float = 0.003
    """Share that has the time of the quote before, and is another quote."""
    poison: float = 0.001
    """Share of all records that is poison."""
    every_poison: bool = True
    """Whether every specimen is there; so many fit into 200,000 quotes."""
    holes: int = 4
    """How often a feed tells of a hole, on every partition."""
    start_ns: int = START_NS


def lines(market: QuotesMarket) -> Iterator[Line]:
    """Yield the records in the order in which a producer sends them."""
    rnd = random.Random(market.seed)
    poison = _spread_poison(market, rnd)
    holes = {market.quotes * (n + 1) // (market.holes + 1): n for n in range(market.holes)}
    step = SECOND_NS / market.rate
    #: (turn, number, record) of what comes later than its turn
    held: list[tuple[float, int, Line]] = []
    next_second = market.start_ns
    for i, line in enumerate(_quotes(market, rnd)):
        now = market.start_ns + int(i * step)
        if now >= next_second:
            yield from _clocks(market, now)
            next_second += SECOND_NS
        if i in holes:
            yield from _holes(market, holes[i], now)
        while held and held[0][0] <= i:
            yield heapq.heappop(held)[2]
        if rnd.random() < market.shuffled:
            heapq.heappush(held, (i + rnd.random() * market.shuffle_s * market.rate, i, line))
        else:
            yield line
        if rnd.random() < market.repeated:
            again = _again(line, rnd)
            heapq.heappush(held, (i + rnd.random() * REPEAT_S * market.rate, market.quotes + i, again))
        for specimen in poison.get(i, ()):
            # among good quotes, unless its own key is the point
            yield Line(line.key if specimen.key == KEY else specimen.key, specimen.value, specimen.headers)
    while held:
        yield heapq.heappop(held)[2]


def _quotes(market: QuotesMarket, rnd: random.Random) -> Iterator[Line]:
    """Yield quotes in their turn."""
    names = [b"%c%c%d" % (65 + k % 26, 65 + k // 26 % 26, k) for k in range(market.symbols)]
    mids = [rnd.randrange(500, 50_000) for _ in names]
    weights = list(accumulate(1 / (k + 20) for k in range(market.symbols)))
    sources = [[s for s in SOURCES if k % s[2] == 0] for k in range(market.symbols)]
    last = [0] * market.symbols
    step = SECOND_NS / market.rate
    draw, delay = rnd.random, _delays(market, rnd)
    wires = Wires([name.decode() for name in names])
    for begin in range(0, market.quotes, 10_000):
        count = min(10_000, market.quotes - begin)
        for i, k in enumerate(rnd.choices(range(market.symbols), cum_weights=weights, k=count), begin):
            now = market.start_ns + int(i * step)
            provider, feed, _, rest = sources[k][int(draw() * len(sources[k]))]
            ts = now - delay(draw()) - (6 * SECOND_NS if k % SLEEPY == SLEEPY - 1 else 0)
            if provider == b"polygon":  # its feed knows milliseconds
                ts -= ts % 1_000_000
            if last[k] and draw() < market.twins:
                ts = last[k]
            last[k] = ts
            mids[k] = mid = max(100, mids[k] + int(draw() * 5) - 2)
            drawn = draw()
            if drawn < WIRED and (wire := (provider.decode(), feed.decode())) in wires:
                yield Line(names[k], wires.raw(wire, _quote(names[k].decode(), ts, mid, i, draw), now))
                continue
            value = b'{"symbol":"%s","ts_event":%d,"provider":"%s"' % (names[k], ts, provider)
            if feed:
                value += b',"feed":"%s"' % feed
            if rest:
                value += rest % (i % 50, i + 1) if b"%d" in rest else rest
            yield Line(names[k], value + _sides(mid, k, draw) + b',"ts_recv":%d}' % now)


def _quote(symbol: str, ts: int, mid: int, i: int, draw: Callable[[], float]) -> Quote:
    """Return a quote as the emulator has them: what is not there is 0."""
    drawn = draw()
    spread = 1 + int(drawn * 7_919 % 5)
    if drawn < 0.02:
        spread = -1 if drawn < 0.01 else 0
    bid, ask = mid / 100, (mid + spread) / 100
    sizes = [100 * int(draw() * 20) for _ in range(2)]
    if drawn > 0.99:
        bid, sizes[0] = 0.0, 0
    elif drawn > 0.98:
        ask, sizes[1] = 0.0, 0
    return Quote(symbol, ts, bid, sizes[0], "Q", ask, sizes[1], "V", i + 1)


def _sides(mid: int, k: int, draw: Callable[[], float]) -> bytes:
    """Return bid and ask: mostly sound; some locked, some crossed, some without a side, said in every way."""
    drawn = draw()
    spread = 1 + int(drawn * 7_919 % 5)
    if drawn < 0.02:
        spread = -1 if drawn < 0.01 else 0
    bid = b',"bid":%.2f,"bid_size":%s' % (mid / 100, _size(k, draw()))
    ask = b',"ask":%.2f,"ask_size":%s' % ((mid + spread) / 100, _size(k, draw()))
    if drawn > 0.98:
        which = int(drawn * 1e6) % 8
        bid = _NO_BID[which] if which < len(_NO_BID) else bid
        ask = b"" if which in (0, len(_NO_BID)) else ask
    return bid + ask


_NO_BID = (
    b"",
    b',"bid":null,"bid_size":null',
    b',"bid":0,"bid_size":0',
    b',"bid":0.0,"bid_size":100',
    b',"bid_size":300',
)


def _size(k: int, drawn: float) -> bytes:
    """Return a size: shares for most symbols, coins for some."""
    return b"%d" % (100 * int(drawn * 20)) if k % 4 else b"%.6f" % (drawn * 3)


def _delays(market: QuotesMarket, rnd: random.Random) -> Callable[[float], int]:
    """Return what makes a delay in nanoseconds of a number from 0 to 1."""

    def delay(drawn: float) -> int:
        if drawn < market.stale:
            return int(rnd.uniform(*STALE_NS))
        return int(drawn * 7_919 % 1 * JITTER_NS)

    return delay


def _again(line: Line, rnd: random.Random) -> Line:
    """Return a repeat: the same bytes, or as another connection would have received it."""
    if rnd.random() < 0.5:
        return line
    head, _, ts_recv = (line.value or b"").rpartition(b":")
    value = b"%s:%d}" % (head, int(ts_recv[:-1]) + 1_000_000)
    if b'"seq":' in value:  # the number says that it is the same, whatever else is in it
        value = value.replace(b'"conditions":"1,', b'"conditions":"2,')
    return line._replace(value=value)


def _clocks(market: QuotesMarket, now_ns: int) -> Iterator[Line]:
    for partition in range(market.partitions):
        value = b'{"type":"clock","ts_event":%d,"provider":"polygon","feed":"sip"}' % now_ns
        yield Line(None, value, partition=partition)


def _holes(market: QuotesMarket, n: int, now_ns: int) -> Iterator[Line]:
    provider, feed, *_ = SOURCES[n % len(SOURCES)]
    for partition in range(market.partitions):
        value = (
            b'{"type":"discontinuity","ts_from":%d,"ts_event":%d,"provider":"%s","feed":"%s","reason":"%s"}'
        )
        said = now_ns - 2 * SECOND_NS, now_ns, provider, feed, REASONS[n % len(REASONS)]
        yield Line(None, value % said, partition=partition)


def _spread_poison(market: QuotesMarket, rnd: random.Random) -> dict[int, list[Specimen]]:
    """Return what comes after which quote."""
    count = round(market.quotes * market.poison / (1 - market.poison))
    chosen = list(QUOTE_POISON) if market.poison and market.every_poison else []
    small = [specimen for specimen in QUOTE_POISON if specimen.size <= LARGE]
    chosen += rnd.choices(small, k=max(0, count - len(chosen)))
    spread: dict[int, list[Specimen]] = {}
    for specimen in chosen:
        spread.setdefault(rnd.randrange(market.quotes), []).append(specimen)
    return spread

"""A simulated input for whole workers: a file of trades, clock records and poison, drawn from a seed.

One record a line, in the order in which a producer sends them::

    KEY TAB VALUE     a keyed record
    #N TAB VALUE      a record without key for partition N: clock records go to every partition
    ! TAB JSON        anything else: {"key", "value": base64 or null, "headers": [[name, base64 or null]]}

A symbol starts with neither ``#`` nor ``!``. ``tests/acceptance/producer.py`` sends such a file.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from tests.poison import KEY, LARGE, POISON, Headers, Specimen

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
#: 2023-11-14T22:14:00Z, a whole minute long past: no trade is ever in the future
START_NS = 1_700_000_040_000_000_000
#: how long a trade takes from its event to the broker, in nanoseconds
JITTER_NS = 250_000_000
SLOW_NS = 4 * SECOND_NS
#: after the bar has closed whatever its second, and before its horizon: a revision
LATE_NS = 63 * SECOND_NS, 290 * SECOND_NS
#: after its horizon whatever its second: a dead letter
EXPIRED_NS = 425 * SECOND_NS, 900 * SECOND_NS

#: of every symbol, of every 5th, of every 7th: their bars must never be mixed
SOURCES = (("polygon", "sip"), ("alpaca", "iex"), ("polygon", ""))


@dataclass(frozen=True, slots=True)
class Market:
    """What to draw; the same market is the same file."""

    trades: int
    """How many, poison not counted."""
    minutes: float = 20.0
    """Event time between the first trade and the last."""
    symbols: int = 500
    seed: int = 1
    partitions: int = 8
    slow: float = 0.01
    """Share of the trades that take up to 4 s; others take a quarter of one."""
    late: float = 0.001
    """Share that revises a closed bar, with the default lateness and horizon."""
    expired: float = 0.00002
    """Share that comes after the horizon."""
    poison: float = 0.0
    """Share of all records that is poison; from 1 in 1,000 on with every kind of it at least once."""
    start_ns: int = START_NS
    ends: bool = True
    """Clock records at the end close every bar; else the last ones stay open."""


class MarketFile(NamedTuple):
    """A file and what is in it."""

    path: Path
    records: int
    trades: int
    clocks: int
    poison: int


class Line(NamedTuple):
    """One record to send."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None
    """None: where the key belongs."""


def minutes_of(trades: int, rate: float, speed: float) -> float:
    """Return the event time that passes while trades are sent at a rate, at ``speed`` times real time."""
    return trades / rate * speed / 60


def write_market(path: Path, market: Market) -> MarketFile:
    """Write the file; a million trades take a few seconds."""
    rnd = random.Random(market.seed)
    trades, clocks = 0, 0
    poison = _spread_poison(market, rnd)
    arrivals = _Arrivals(market, rnd)
    with path.open("wb") as file:
        for trade in arrivals:
            if arrivals.second:
                clocks += market.partitions
                file.writelines(_clocks(market, arrivals.now_ns))
            file.write(trade)
            for specimen in poison.get(trades, ()):
                file.write(_poisoned(specimen, arrivals.key))
            trades += 1
        if market.ends:
            clocks += market.partitions
            # beyond every end and every lateness that a test may set
            file.writelines(_clocks(market, arrivals.now_ns + 10 * MINUTE_NS))
    bad = sum(map(len, poison.values()))
    return MarketFile(path, trades + clocks + bad, trades, clocks, bad)


def read_lines(path: Path) -> Iterator[Line]:
    """Yield the records of a file."""
    with path.open("rb") as lines:
        for line in lines:
            yield parse(line)


def parse(line: bytes) -> Line:
    """Return the record of one line."""
    key, _, value = line.removesuffix(b"\n").partition(b"\t")
    if key[:1] == b"#":
        return Line(None, value, partition=int(key[1:]))
    if key == b"!":
        odd = json.loads(value)
        headers = tuple((name, _unpack(text)) for name, text in odd["headers"])
        return Line(_unpack(odd["key"]), _unpack(odd["value"]), headers)
    return Line(key, value)


class _Arrivals:
    """Iterates over the lines of trades; between two of them it says what time it is."""

    def __init__(self, market: Market, rnd: random.Random) -> None:
        self._market, self._rnd = market, rnd
        self.now_ns = market.start_ns
        self.second = False
        """Whether a second of event time begins before the trade just yielded."""
        self.key = b""
        """Of the trade just yielded."""

    def __iter__(self) -> Iterator[bytes]:
        market, rnd = self._market, self._rnd
        names, prices, weights = _symbols(market, rnd)
        heads = [_heads(name, k) for k, name in enumerate(names)]
        draw, randrange, delay = rnd.random, rnd.randrange, _delays(market, rnd.uniform)
        step = market.minutes * MINUTE_NS / market.trades
        next_second = market.start_ns + SECOND_NS
        for begin in range(0, market.trades, 10_000):
            count = min(10_000, market.trades - begin)
            picks = rnd.choices(range(market.symbols), cum_weights=weights, k=count)
            for i, k in enumerate(picks, begin):
                now = market.start_ns + int(i * step)
                self.second = now >= next_second
                if self.second:
                    next_second = now - now % SECOND_NS + SECOND_NS
                ts = now - delay(draw())
                if k % 3 == 0:
                    # a feed that knows whole seconds only: many trades at one and the same time
                    ts -= ts % SECOND_NS
                prices[k] = price = max(100, prices[k] + randrange(-12, 13))
                options = heads[k]
                head = options[randrange(len(options))] if len(options) > 1 else options[0]
                self.now_ns, self.key = now, names[k]
                yield b'%s%d,"price":%r,"size":%s,"seq":%d}\n' % (head, ts, price / 100, _size(k, draw()), i)


def _symbols(market: Market, rnd: random.Random) -> tuple[list[bytes], list[int], list[float]]:
    names = [b"%c%c%d" % (65 + k % 26, 65 + k // 26 % 26, k) for k in range(market.symbols)]
    prices = [rnd.randrange(500, 50_000) for _ in names]
    return names, prices, list(accumulate(1 / (k + 3) for k in range(market.symbols)))


def _heads(name: bytes, k: int) -> list[bytes]:
    """What every line of a symbol starts with, once for each of its sources."""
    sources = [s for s, every in zip(SOURCES, (1, 5, 7), strict=True) if k % every == 0]
    return [
        b'%s\t{"symbol":"%s","provider":"%s","feed":"%s","venue":"XNAS","conditions":"@F","ts_event":'
        % (name, name, provider.encode(), feed.encode())
        for provider, feed in sources
    ]


def _delays(market: Market, uniform: Callable[[float, float], float]) -> Callable[[float], int]:
    """Return what makes a delay in nanoseconds of a number from 0 to 1."""
    expired = market.expired
    late = expired + market.late
    slow = late + market.slow

    def delay(drawn: float) -> int:
        if drawn > slow:
            return int(drawn * 7_919 % 1 * JITTER_NS)
        if drawn < expired:
            return int(uniform(*EXPIRED_NS))
        return int(uniform(*LATE_NS) if drawn < late else uniform(0, SLOW_NS))

    return delay


def _size(k: int, draw: float) -> bytes:
    """Return a size: shares for most symbols, coins with up to nine decimals for some."""
    if k % 4:
        return b"%d" % (1 + int(draw * 500))
    if k % 8:
        return b"%.9f" % (1e-9 + draw * 3)
    return b"%.2f" % (1_000 + draw * 5_000_000)


def _clocks(market: Market, now_ns: int) -> Iterator[bytes]:
    provider, feed = SOURCES[0]
    for partition in range(market.partitions):
        yield b'#%d\t{"type":"clock","ts_event":%d,"provider":"%s","feed":"%s"}\n' % (
            partition,
            now_ns,
            provider.encode(),
            feed.encode(),
        )


def _spread_poison(market: Market, rnd: random.Random) -> dict[int, list[Specimen]]:
    """Return what comes after which trade."""
    count = round(market.trades * market.poison / (1 - market.poison))
    chosen = list(POISON) if market.poison >= 0.001 else []
    small = [specimen for specimen in POISON if specimen.size <= LARGE]
    chosen += rnd.choices(small, k=max(0, count - len(chosen)))
    spread: dict[int, list[Specimen]] = {}
    for specimen in chosen:
        spread.setdefault(rnd.randrange(market.trades), []).append(specimen)
    return spread


def _poisoned(specimen: Specimen, key: bytes) -> bytes:
    """Return the line of a specimen, among the trades of the given key unless its own key is the point."""
    odd = {
        "key": _pack(key if specimen.key == KEY else specimen.key),
        "value": _pack(specimen.value),
        "headers": [[name, _pack(value)] for name, value in specimen.headers],
    }
    return b"!\t%s\n" % json.dumps(odd).encode()


def _pack(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _unpack(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)

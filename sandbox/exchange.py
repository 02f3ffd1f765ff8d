"""A simulated exchange: seeded, and a function of elapsed time alone.

Its market clock starts in the past and runs fast until it has caught up with the present, so that the
first minute is over after a few seconds; from then on it runs at the pace of the wall clock.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from schemas.trade import ClockTick, Trade

PROVIDER = "sim"
FEED = "demo"
VENUE = "SIM"
MAX_SYMBOLS = 10_000

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
TICKS_PER_UNIT = 100
#: the most active symbol trades so many times as often as the k-th divided by k
ZIPF = 1.0


@dataclass(frozen=True, slots=True)
class MarketClock:
    """What time it is on the exchange; never later than the wall clock."""

    start_ns: int
    """Market time at the start, nanoseconds since the epoch, UTC."""
    now_ns: int
    """The wall clock at the start, likewise."""
    speed: float = 20.0
    """Market seconds a second, until it has caught up."""

    def __post_init__(self) -> None:
        """Refuse a market that would run ahead of the wall clock."""
        if self.start_ns > self.now_ns or self.speed < 1:
            raise ValueError("a market starts at or before the present and runs at speed 1 or more")

    @classmethod
    def behind(cls, now_ns: int, *, seconds: int = 3600, speed: float = 20.0) -> MarketClock:
        """Start at the whole minute ``seconds`` before ``now_ns``."""
        start = now_ns - seconds * SECOND_NS
        return cls(start - start % MINUTE_NS, now_ns, speed)

    def at(self, elapsed_s: float) -> int:
        """Return the market time after so many seconds, in nanoseconds since the epoch."""
        fast = self.start_ns + round(elapsed_s * self.speed * SECOND_NS)
        return min(fast, self.now_ns + round(elapsed_s * SECOND_NS))


@dataclass(frozen=True, slots=True)
class Disorder:
    """How trades arrive: a little out of order, a few of them late. In seconds of market time."""

    jitter_s: float = 0.3
    """Mean delay; at most four times as much, which is below the lateness that a bar allows for."""
    late_share: float = 0.002
    late_s: tuple[float, float] = (3.0, 40.0)
    """Delay of the late ones: beyond the lateness, within the horizon of revisions."""


class _Stock:
    """One symbol: a random walk on the grid of ticks."""

    __slots__ = ("seq", "step", "symbol", "ticks")

    def __init__(self, symbol: str, draw: random.Random) -> None:
        self.symbol = symbol
        self.ticks = round(10 ** draw.uniform(0.7, 2.7) * TICKS_PER_UNIT)
        self.step = max(0.6, self.ticks * 2e-4)
        self.seq = 0

    def trade(self, draw: random.Random, event_ns: int, arrival_ns: int) -> Trade:
        self.seq += 1
        self.ticks = max(1, self.ticks + round(draw.gauss(0, self.step)))
        size = 100.0 * draw.randint(1, 5) if draw.random() < 0.3 else float(draw.randint(1, 250))
        return Trade(
            symbol=self.symbol,
            ts_event=event_ns,
            price=self.ticks / TICKS_PER_UNIT,
            size=size,
            provider=PROVIDER,
            feed=FEED,
            venue=VENUE,
            seq=self.seq,
            trade_id=f"{self.symbol}-{self.seq}",
            ts_recv=arrival_ns,
        )


class Exchange:
    """Yields what arrives; the same for the same arguments, however its time is sliced."""

    def __init__(
        self,
        clock: MarketClock,
        *,
        seed: int = 7,
        symbols: int = 50,
        rate: float = 400.0,
        disorder: Disorder | None = None,
    ) -> None:
        """Open at elapsed time 0.

        Args:
            clock: the market's time.
            seed: of everything that is drawn.
            symbols: how many; the first is the most active.
            rate: trades a second of real time, all symbols together.
            disorder: how trades arrive; None for the default.
        """
        if not 1 <= symbols <= MAX_SYMBOLS or rate <= 0:
            raise ValueError(f"an exchange has 1 to {MAX_SYMBOLS} symbols and a rate above 0")
        self.clock = clock
        self._draw = random.Random(seed)  # noqa: S311 - a simulation, not a secret
        self._rate = rate
        self._disorder = disorder or Disorder()
        width = max(2, len(str(symbols)))
        self._stocks = [_Stock(f"SIM{n:0{width}}", self._draw) for n in range(1, symbols + 1)]
        self._weights = list(accumulate(1 / n**ZIPF for n in range(1, symbols + 1)))
        self._next_s = self._draw.expovariate(rate)
        self._next_clock_s = 1
        #: (market time of arrival, number, trade) of what has traded and not yet arrived
        self._under_way: list[tuple[int, int, Trade]] = []
        self._traded = 0

    @property
    def symbols(self) -> list[str]:
        """The symbols, most active first."""
        return [stock.symbol for stock in self._stocks]

    def until(self, elapsed_s: float) -> Iterator[Trade | ClockTick]:
        """Yield what arrives up to ``elapsed_s`` seconds of real time and has not been yielded yet.

        A clock record comes once a second: it is meant for every partition, so that the bars of quiet
        symbols close in order. Its time is the market's: later arrivals with an earlier time are late.
        """
        while self._next_clock_s <= elapsed_s:
            yield from self._trades_until(self._next_clock_s)
            yield ClockTick(
                type="clock", ts_event=self.clock.at(self._next_clock_s), provider=PROVIDER, feed=FEED
            )
            self._next_clock_s += 1
        yield from self._trades_until(elapsed_s)

    def _trades_until(self, elapsed_s: float) -> Iterator[Trade]:
        under_way = self._under_way
        while self._next_s <= elapsed_s:
            heapq.heappush(under_way, self._trade(self.clock.at(self._next_s)))
            self._next_s += self._draw.expovariate(self._rate)
        market_ns = self.clock.at(elapsed_s)
        while under_way and under_way[0][0] <= market_ns:
            yield heapq.heappop(under_way)[2]

    def _trade(self, event_ns: int) -> tuple[int, int, Trade]:
        draw, disorder = self._draw, self._disorder
        if draw.random() < disorder.late_share:
            delay = draw.uniform(*disorder.late_s)
        else:
            delay = min(draw.expovariate(1 / disorder.jitter_s), 4 * disorder.jitter_s)
        arrival_ns = event_ns + round(delay * SECOND_NS)
        (stock,) = draw.choices(self._stocks, cum_weights=self._weights)
        self._traded += 1
        return arrival_ns, self._traded, stock.trade(draw, event_ns, arrival_ns)

"""What was sent, folded a second time and simply: the demo holds the table against it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.trade import Trade

MINUTE_NS = 60_000_000_000
#: so many differences are told in full
TOLD_IN_FULL = 5


@dataclass(slots=True)
class Candle:
    """One bar: what the table stores of it, as far as it can be known from the trades alone."""

    symbol: str
    minute_ns: int
    """Start, nanoseconds since the epoch, UTC."""
    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int


class Tally:
    """A candle for every minute in which a symbol traded.

    Volumes are plain sums: sizes of the simulated exchange are whole numbers, which float64 adds exactly.
    """

    def __init__(self) -> None:
        """Nothing was sent."""
        self.trades = 0
        self._candles: dict[tuple[str, int], Candle] = {}
        #: the times (ns) of the trades that open and close a candle
        self._times: dict[tuple[str, int], tuple[int, int]] = {}

    def add(self, trade: Trade) -> None:
        """Count a trade, in the order of sending: of two at one time the first opens, the last closes."""
        time, price = trade.ts_event, trade.price
        key = (trade.symbol, time - time % MINUTE_NS)
        self.trades += 1
        candle = self._candles.get(key)
        if candle is None:
            self._candles[key] = Candle(*key, price, price, price, price, trade.size, 1)
            self._times[key] = (time, time)
            return
        opened, closed = self._times[key]
        if time < opened:
            candle.open = price
        if time >= closed:
            candle.close = price
        self._times[key] = (min(opened, time), max(closed, time))
        candle.high, candle.low = max(candle.high, price), min(candle.low, price)
        candle.volume += trade.size
        candle.trades += 1

    def differences(self, stored: Iterable[Candle]) -> list[str]:
        """Return a sentence for each candle that is not stored as it should be, or should not be there."""
        missing = dict(self._candles)
        found = []
        for candle in stored:
            want = missing.pop((candle.symbol, candle.minute_ns), None)
            if want != candle:
                found.append(f"stored is {candle}, and should be {want or 'nothing'}")
        found += [f"not stored: {candle}" for candle in missing.values()]
        more = len(found) - TOLD_IN_FULL
        return [*found[:TOLD_IN_FULL], f"... and {more:,} more candles"] if more > 0 else found

"""The fold: trades of one partition, in record order, to one-minute bars.

The result depends on the records and their order alone. A window closes inside the loop, at the very
record that moves the watermark past its end + lateness, never at the end of a chunk: otherwise a late
trade would count or not according to how the broker happened to slice the partition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from domain.trade_rules import ALL_TRADES
from schemas.candle import INTERVAL, Bar
from schemas.trade import ClockTick, Trade

MINUTE_NS = 60_000_000_000
#: sizes are summed as integers of this many parts: exact at nine decimals in any order
UNITS = 1_000_000_000
#: below it a size of nine decimals times `UNITS` rounds to the right unit; beyond it may not, see `_units`
FINE_BELOW = 2.0**22
NEVER = 1 << 63

#: Open, high, low, close, ts of open, ts of close (ns), units, trades, sum of price * size, next revision.
#: A list, not a class: it is touched once per trade.
Draft = list[float]
OPEN, HIGH, LOW, CLOSE, OPEN_TS, CLOSE_TS, SIZE_UNITS, COUNT, NOTIONAL, REVISION = range(10)
#: Window start (ns), provider, feed: bars of different sources are never mixed.
Key = tuple[int, str, str]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a bar waits for its trades, in nanoseconds of event time."""

    lateness_ns: int = 2_000_000_000
    """A bar closes when the watermark is this far beyond its end."""
    horizon_ns: int = 300_000_000_000
    """For this long after closing, a late trade revises it; later ones have expired."""


@dataclass(slots=True)
class Folded:
    """What a chunk gave."""

    bars: list[Bar] = field(default_factory=list)
    """Final bars and their revisions, in the order in which the records caused them."""
    expired: list[int] = field(default_factory=list)
    """Indices of trades that came after the horizon of their bar."""
    late: int = 0
    """Trades that revised a closed bar."""


class Book:
    """The bars of one partition: open ones, and closed ones that may still be revised."""

    __slots__ = (
        "_close_at",
        "_next",
        "closed",
        "first",
        "floor",
        "jumped",
        "patience",
        "watermark",
        "windows",
    )

    def __init__(self, patience: Patience, *, watermark: int = 0, jumped: bool = False) -> None:
        """Start empty.

        Args:
            patience: lateness and horizon.
            watermark: where a book that lost its state goes on; bars closed by then cannot be revised.
            jumped: reading starts amid the log: the first bar would be a part of one.
        """
        self.patience = patience
        self.watermark = watermark
        self.floor = watermark
        self.jumped = jumped
        self.windows: dict[Key, dict[str, Draft]] = {}
        self.closed: dict[Key, dict[str, Draft]] = {}
        #: window -> an offset at or before its first record
        self.first: dict[Key, int] = {}
        self._close_at = NEVER
        self._next: tuple[int, Patience] | None = None

    def change(self, patience: Patience, at: int) -> None:
        """Be as patient as this from offset ``at`` on.

        Records before it may have been folded once already, and must give the same again; what had
        closed or expired by then stays so.
        """
        self._next = (at, patience) if patience != self.patience else None

    def fold(
        self,
        trades: Sequence[Trade],
        first_offset: int,
        clocks: Sequence[tuple[int, ClockTick]] = (),
    ) -> Folded:
        """Add trades in order; ``clocks`` say after how many of them each clock record stood.

        Args:
            trades: in record order.
            first_offset: of the chunk; noted for the windows that it opens.
            clocks: (number of trades before it, clock record), ascending.

        """
        folded = Folded()
        if self._next is not None and first_offset >= self._next[0]:
            self._adopt(self._next[1])
        if self.jumped:
            self._land(trades, clocks)
        done = 0
        for position, clock in clocks:
            if position > done:
                self._fold(trades[done:position], done, first_offset, folded)
                done = position
            if clock.ts_event > self.watermark:
                self._advance(clock.ts_event, folded)
        self._fold(trades[done:] if done else trades, done, first_offset, folded)
        return folded

    def _adopt(self, patience: Patience) -> None:
        """Move watermark and floor with the lateness, so that the same windows are closed as before."""
        former, self.patience, self._next = self.patience, patience, None
        shift = patience.lateness_ns - former.lateness_ns
        # bars beyond the former horizon are forgotten: a longer one does not bring them back
        self.floor = max(self.floor, self.watermark - former.horizon_ns) + shift
        self.watermark += shift
        self._close_at = self._next_close()

    def _land(self, trades: Sequence[Trade], clocks: Sequence[tuple[int, ClockTick]]) -> None:
        """Count every bar as closed that may have trades before the first record seen."""
        first = clocks[0][1] if clocks and clocks[0][0] == 0 else (trades[0] if trades else None)
        if first is None:
            return
        self.jumped = False
        # records before it may be ahead of it in event time, by as much as lateness allows for
        unknown = first.ts_event + self.patience.lateness_ns
        self.watermark = self.floor = unknown - unknown % MINUTE_NS + MINUTE_NS + self.patience.lateness_ns

    def _fold(self, trades: Sequence[Trade], base: int, first_offset: int, folded: Folded) -> None:
        watermark = self.watermark
        fine, parts = FINE_BELOW, float(UNITS)
        start = end = -1
        provider = feed = ""
        window: dict[str, Draft] = {}
        for i, t in enumerate(trades, base):
            ts = t.ts_event
            if ts > watermark:
                watermark = ts
                if ts >= self._close_at:
                    self._advance(ts, folded)
                    start = end = -1
            if ts >= end or ts < start or t.provider != provider or t.feed != feed:
                provider, feed = t.provider, t.feed
                start = ts - ts % MINUTE_NS
                end = start + MINUTE_NS
                if end + self.patience.lateness_ns <= watermark:
                    self.watermark = watermark
                    self._revise(t, i, (start, provider, feed), folded)
                    start = end = -1
                    continue
                window = self._window((start, provider, feed), first_offset)
            price, size = t.price, t.size
            draft = window.get(t.symbol)
            if draft is None:
                window[t.symbol] = [
                    price,
                    price,
                    price,
                    price,
                    ts,
                    ts,
                    round(size * parts) if size < fine else _units(size),
                    1,
                    price * size,
                    0,
                ]
                continue
            if price > draft[1]:
                draft[1] = price
            elif price < draft[2]:
                draft[2] = price
            if ts >= draft[5]:
                draft[3], draft[5] = price, ts
            elif ts < draft[4]:
                draft[0], draft[4] = price, ts
            draft[6] += round(size * parts) if size < fine else _units(size)
            draft[7] += 1
            draft[8] += price * size
        self.watermark = watermark

    def _window(self, key: Key, first_offset: int) -> dict[str, Draft]:
        window = self.windows.get(key)
        if window is None:
            window = {}
            self.open_window(key, first_offset, window)
        return window

    def open_window(self, key: Key, first_offset: int, drafts: dict[str, Draft]) -> None:
        """Open a window whose first record is at or after ``first_offset``."""
        self.windows[key] = drafts
        self.first[key] = first_offset
        self._close_at = min(self._close_at, key[0] + MINUTE_NS + self.patience.lateness_ns)

    def _advance(self, watermark: int, folded: Folded) -> None:
        """Move the watermark; close what it passes, oldest first, and forget what has expired."""
        self.watermark = watermark
        if watermark < self._close_at:
            return
        limit = watermark - MINUTE_NS - self.patience.lateness_ns
        for key in sorted(key for key in self.windows if key[0] <= limit):
            window = self.closed[key] = self.windows.pop(key)
            del self.first[key]
            folded.bars.extend(_final(key, symbol, draft) for symbol, draft in window.items())
        for key in [key for key in self.closed if key[0] <= limit - self.patience.horizon_ns]:
            del self.closed[key]
        self._close_at = self._next_close()

    def _next_close(self) -> int:
        if not self.windows:
            return NEVER
        return min(self.windows)[0] + MINUTE_NS + self.patience.lateness_ns

    def _revise(self, t: Trade, index: int, key: Key, folded: Folded) -> None:
        """Apply a trade to a bar that has closed already, unless nobody can know that bar any more."""
        closed_at = key[0] + MINUTE_NS + self.patience.lateness_ns
        if closed_at + self.patience.horizon_ns <= self.watermark or closed_at <= self.floor:
            folded.expired.append(index)
            return
        window = self.closed.setdefault(key, {})
        draft = window.get(t.symbol)
        if draft is None:
            draft = window[t.symbol] = [
                t.price,
                t.price,
                t.price,
                t.price,
                t.ts_event,
                t.ts_event,
                0,
                0,
                0.0,
                0,
            ]
        draft[HIGH], draft[LOW] = max(draft[HIGH], t.price), min(draft[LOW], t.price)
        if t.ts_event >= draft[CLOSE_TS]:
            draft[CLOSE], draft[CLOSE_TS] = t.price, t.ts_event
        elif t.ts_event < draft[OPEN_TS]:
            draft[OPEN], draft[OPEN_TS] = t.price, t.ts_event
        draft[SIZE_UNITS] += _units(t.size)
        draft[COUNT] += 1
        draft[NOTIONAL] += t.price * t.size
        folded.late += 1
        folded.bars.append(_final(key, t.symbol, draft))

    def provisional(self, ended_by: int) -> list[Bar]:
        """Return the open bars whose interval ended at or before ``ended_by`` (ns), as not final.

        They stay open: record order alone decides when a bar is final, so that replays agree.
        """
        return [
            _bar(key, symbol, draft, revision=int(draft[COUNT]), is_final=False)
            for key, window in self.windows.items()
            if key[0] + MINUTE_NS <= ended_by
            for symbol, draft in window.items()
        ]

    def resume_offset(self, folded: int) -> int:
        """Return where to fold again from to rebuild every open bar.

        The minimum over *all* open windows: a younger one may have been opened earlier in the log.
        """
        return min(self.first.values(), default=folded)


def _units(size: float) -> int:
    """Return a size in units, rounded once: of a large one the product itself is not exact."""
    if size < FINE_BELOW:
        return round(size * UNITS)
    whole = int(size)
    return whole * UNITS + round((size - whole) * UNITS)


def _final(key: Key, symbol: str, draft: Draft) -> Bar:
    bar = _bar(key, symbol, draft, revision=int(draft[REVISION]), is_final=True)
    draft[REVISION] += 1
    return bar


def _bar(key: Key, symbol: str, draft: Draft, *, revision: int, is_final: bool) -> Bar:
    start, provider, feed = key
    volume = draft[SIZE_UNITS] / UNITS
    return Bar(
        symbol=symbol,
        interval=INTERVAL,
        ts_event=start,
        open=draft[OPEN],
        high=draft[HIGH],
        low=draft[LOW],
        close=draft[CLOSE],
        volume=volume,
        # an average lies between the extremes, whatever rounding says
        vwap=min(max(draft[NOTIONAL] / volume, draft[LOW]), draft[HIGH]),
        trade_count=int(draft[COUNT]),
        provider=provider,
        feed=feed,
        rule=ALL_TRADES.name,
        revision=revision,
        is_final=is_final,
    )

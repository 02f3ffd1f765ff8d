"""How a vendor makes bars of the trades it sees, and when it takes late ones and amendments in."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import msgspec

from sandbox.market.calendar import MINUTE_NS
from sandbox.market.conditions import Sale
from sandbox.market.records import Trade

#: after the last print of a session vendors build it anew
REBUILD_AFTER_NS = 15 * MINUTE_NS


class Amends(enum.Enum):
    """When corrections and busts reach the bars."""

    AT_ONCE = "at_once"
    REBUILD = "rebuild"


@dataclass(frozen=True, slots=True, kw_only=True)
class BarRule:
    """The habits of one vendor."""

    name: str
    iex_only: bool
    odd_lots_price: bool
    """Whether odd lots set open, high, low and close; on the consolidated tape they do not."""
    whole_sizes: bool
    """Whether fractions are lost: cut off, and raised to one share below one."""
    digits: int
    """Of the average price."""
    amends: Amends
    late_window_ns: int
    """A print later than this waits for the rebuild after the session."""


POLYGON = BarRule(
    name="polygon",
    iex_only=False,
    odd_lots_price=False,
    whole_sizes=False,
    digits=4,
    amends=Amends.REBUILD,
    late_window_ns=15 * MINUTE_NS,
)
ALPACA_SIP = BarRule(
    name="alpaca_sip",
    iex_only=False,
    odd_lots_price=False,
    whole_sizes=True,
    digits=6,
    amends=Amends.AT_ONCE,
    late_window_ns=15 * MINUTE_NS,
)
ALPACA_IEX = replace(ALPACA_SIP, name="alpaca_iex", iex_only=True)
FINNHUB = BarRule(
    name="finnhub",
    iex_only=False,
    odd_lots_price=False,
    whole_sizes=True,
    digits=6,
    amends=Amends.REBUILD,
    late_window_ns=MINUTE_NS,
)
#: odd lots are most of what IEX trades
TIINGO_IEX = replace(ALPACA_IEX, name="tiingo_iex", odd_lots_price=True)
TIINGO_DAILY = replace(FINNHUB, name="tiingo_daily", late_window_ns=15 * MINUTE_NS)


class RawBar(msgspec.Struct, gc=False):
    """A bar before adjustment and rounding."""

    ts_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    notional: float
    """Sum of price times size of what counts as volume."""
    count: int


def size_of(rule: BarRule, size: float) -> float:
    """Return a size as the vendor counts it."""
    return float(max(1, int(size))) if rule.whole_sizes else size


class _Effects:
    """Of conditions: sets high and low, sets open and close, counts as volume, is extended."""

    def __init__(self, rule: BarRule) -> None:
        self._rule = rule
        self._known: dict[tuple[Sale, ...], tuple[bool, bool, bool, bool]] = {}

    def of(self, sales: tuple[Sale, ...]) -> tuple[bool, bool, bool, bool]:
        found = self._known.get(sales)
        if found is None:
            effects = [
                sale.effect for sale in sales if not (self._rule.odd_lots_price and sale is Sale.ODD_LOT)
            ]
            found = self._known[sales] = (
                all(effect.high_low for effect in effects),
                all(effect.open_close for effect in effects),
                all(effect.volume for effect in effects),
                Sale.EXTENDED in sales,
            )
        return found


def minute_bars(trades: Iterable[Trade], rule: BarRule) -> list[RawBar]:
    """Make bars of trades that are in the order in which they were made.

    A minute without a trade that may open a bar has none, whatever else traded in it: its volume is then
    in no minute bar (but in the day's).
    """
    of = _Effects(rule).of
    bars: list[RawBar] = []
    end = 0
    drafts: list[Trade] = []
    for trade in trades:
        if trade.ts_ns >= end:
            if drafts and (bar := _fold(drafts, rule, of)):
                bars.append(bar)
            drafts = []
            end = trade.ts_ns - trade.ts_ns % MINUTE_NS + MINUTE_NS
        if not rule.iex_only or trade.venue == "V":
            drafts.append(trade)
    if drafts and (bar := _fold(drafts, rule, of)):
        bars.append(bar)
    return bars


def day_bar(trades: Iterable[Trade], rule: BarRule, ts_ns: int) -> RawBar | None:
    """Make the bar of a session: prices of regular hours and crosses, volume of all hours."""
    of = _Effects(rule).of
    seen = [trade for trade in trades if not rule.iex_only or trade.venue == "V"]
    bar = _fold(seen, rule, lambda sales: _regular(of(sales)))
    if bar is not None:
        bar.ts_ns = ts_ns
    return bar


def _regular(effect: tuple[bool, bool, bool, bool]) -> tuple[bool, bool, bool, bool]:
    return (False, False, effect[2], True) if effect[3] else effect


def _fold(
    trades: Iterable[Trade], rule: BarRule, of: Callable[[tuple[Sale, ...]], tuple[bool, bool, bool, bool]]
) -> RawBar | None:
    opened = closed = 0.0
    high, low = 0.0, float("inf")
    volume = notional = 0.0
    count, ts = 0, 0
    whole = rule.whole_sizes
    for trade in trades:
        sets_range, sets_ends, counts, _ = of(trade.sales)
        price = trade.price
        if counts:
            size = float(max(1, int(trade.size))) if whole else trade.size
            volume += size
            notional += price * size
            count += 1
        if sets_range:
            high, low = max(high, price), min(low, price)
        if sets_ends:
            if not opened:
                opened, ts = price, trade.ts_ns
            closed = price
    if not opened:
        return None
    return RawBar(ts - ts % MINUTE_NS, opened, high, low, closed, round(volume, 6), notional, count)

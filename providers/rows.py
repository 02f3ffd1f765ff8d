"""What must hold of every row, whoever sent it; a vendor that breaks it has broken its own contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from providers.base import INTERVAL_NS, BarRow, BarsRequest, QuoteRow
from providers.sessions import DAY_NS, midnight_ns, regular_hours, session_of
from schemas.errors import Malformed
from schemas.provider import Interval
from schemas.trade import MAX_PRICE, MAX_SIZE

#: of the longest day, when clocks go back
_LONGEST_DAY_NS: Final = DAY_NS + DAY_NS // 24


def in_window(rows: list[BarRow], interval: Interval, start_ns: int, end_ns: int) -> list[BarRow]:
    """Return the rows that start in ``[start_ns, end_ns)``, without those right next to it.

    Vendors snap a window outward, to the bar that its start lies in and to the end of the bar that its
    end lies in. Rows further outside remain: `check_bars` refuses them.
    """
    length = INTERVAL_NS.get(interval, _LONGEST_DAY_NS)
    first, last = start_ns - length, end_ns + length
    return [row for row in rows if start_ns <= row.ts_event < end_ns or not first < row.ts_event < last]


def in_regular_hours(rows: list[BarRow]) -> list[BarRow]:
    """Return the intraday rows that start between 09:30 and 16:00 New York.

    Of hours 10:00 is the first: the one before is partly of the time before the opening. On half days
    what comes after 13:00 stays.
    """
    return [row for row in rows if _is_regular(row.ts_event)]


def _is_regular(ts_ns: int) -> bool:
    opening, close = regular_hours(ts_ns // DAY_NS)
    return opening <= ts_ns < close


def check_bars(rows: Sequence[BarRow], request: BarsRequest, provider: str) -> None:
    """Check bars, those of one symbol together and ascending.

    Raises:
        Malformed: naming symbol, row and field.
    """
    start, end, interval = request.start_ns, request.end_ns, request.interval
    step = INTERVAL_NS.get(interval, 1)
    daily = interval == "1d"
    symbol, previous = "", start - 1
    for i, row in enumerate(rows):
        if row.symbol != symbol:
            symbol, previous = row.symbol, start - 1
        ts, low, high = row.ts_event, row.low, row.high
        # a comparison with NaN is false
        if not (
            previous < ts < end
            and ts % step == 0
            and 0.0 < low <= row.open <= high <= MAX_PRICE
            and low <= row.close <= high
            and 0.0 <= row.volume <= MAX_SIZE
            and ((vwap := row.vwap) is None or 0.0 < vwap <= MAX_PRICE)
            and ((count := row.trade_count) is None or 0 <= count <= MAX_SIZE)
            and (not daily or (row.session == session_of(ts) and midnight_ns(row.session) == ts))
        ):
            raise Malformed(f"{symbol} row {i}: {_why(row, previous, request)}", provider=provider)
        previous = ts


def _why(row: BarRow, previous: int, request: BarsRequest) -> str:
    for name in ("open", "high", "low", "close", "vwap"):
        price = getattr(row, name)
        if price is not None and not 0.0 < price <= MAX_PRICE:
            return f"{name}: {price} is no price"
    if not 0.0 <= row.volume <= MAX_SIZE:
        return f"volume: {row.volume}"
    if row.trade_count is not None and not 0 <= row.trade_count <= MAX_SIZE:
        return f"trade_count: {row.trade_count}"
    if row.low > min(row.open, row.close):
        return f"low: {row.low} is above open {row.open} or close {row.close}"
    if row.high < max(row.open, row.close):
        return f"high: {row.high} is below open {row.open} or close {row.close}"
    if not request.start_ns <= row.ts_event < request.end_ns:
        return f"ts_event: {row.ts_event} is outside [{request.start_ns}, {request.end_ns})"
    if row.ts_event == previous:
        return f"ts_event: {row.ts_event} twice"
    if row.ts_event < previous:
        return f"ts_event: {row.ts_event} after {previous}"
    return f"ts_event: {row.ts_event} does not start a bar of {request.interval}"


def check_quotes(rows: Sequence[QuoteRow], window: tuple[int, int] | None, provider: str) -> None:
    """Check quotes, those of one symbol together and in order. Locked and crossed ones are right.

    Args:
        rows: quotes of the same nanosecond may follow each other, but none may come twice with its number.
        window: half-open, nanoseconds since the epoch; None if the latest were asked for.
        provider: who sent them.

    Raises:
        Malformed: naming symbol, row and field.
    """
    start, end = window or (1, 1 << 63)
    symbol, previous, numbers = "", start, set[int]()
    for i, row in enumerate(rows):
        if row.symbol != symbol:
            symbol, previous, numbers = row.symbol, start, set()
        ts = row.ts_event
        wrong = ""
        if not previous <= ts < end:
            wrong = f"ts_event: {ts} is not in [{previous}, {end})"
        elif not (_is_side(row.bid, row.bid_size) and _is_side(row.ask, row.ask_size)):
            wrong = f"bid {row.bid} of {row.bid_size}, ask {row.ask} of {row.ask_size}"
        if ts != previous:
            numbers.clear()
        if row.seq:
            wrong = wrong or (f"seq: {row.seq} twice at {ts}" if row.seq in numbers else "")
            numbers.add(row.seq)
        if wrong:
            raise Malformed(f"{symbol} row {i}: {wrong}", provider=provider)
        previous = ts


def _is_side(price: float | None, size: float | None) -> bool:
    if price is None:
        return size is None
    return 0.0 < price <= MAX_PRICE and (size is None or 0.0 <= size <= MAX_SIZE)

"""Answers that may be too short to be true: empty, or ended long before they should.

An empty answer is a claim, not a fact: vendors in trouble say 200 and nothing, or what they had an hour ago.
There is no calendar here: holidays and half days raise a doubt that the next provider settles.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final

from providers.base import INTERVAL_NS, BarRow, BarsResult, QuoteRow, QuotesRequest, QuotesResult
from providers.capability import Delay
from providers.serving import Request, Result
from providers.sessions import SECOND_NS, midnight_ns, regular_hours, session_of

MINUTE_NS: Final = 60 * SECOND_NS
HOUR_NS: Final = 60 * MINUTE_NS
#: of regular hours, between the last row and the end of a window: quiet symbols trade more often
LATE_NS: Final = 30 * MINUTE_NS
#: of regular hours, since the latest quote
OLD_QUOTE_NS: Final = 15 * MINUTE_NS
#: what is younger need not be in an answer yet
SETTLE_NS: Final = 2 * MINUTE_NS
#: days are made in the night after them
SETTLE_DAY_NS: Final = 8 * HOUR_NS
#: before the opening and after the close
EARLY_NS: Final = 5 * HOUR_NS + 30 * MINUTE_NS
AFTER_NS: Final = 4 * HOUR_NS
#: what counts as a trade for a bar is each vendor's own rule: a bar or two more prove nothing
MIN_MISSING: Final = 3

Rows = Sequence[BarRow] | Sequence[QuoteRow]


def spans(rows: Rows) -> dict[str, tuple[int, int]]:
    """Return where the rows of each symbol begin and end; those of a symbol lie together."""
    found: dict[str, tuple[int, int]] = {}
    at = 0
    while at < len(rows):
        symbol = rows[at].symbol
        if rows[-1].symbol == symbol:
            end = len(rows)
        else:
            end = bisect_left(rows, 1, lo=at, key=lambda row: row.symbol != symbol)
        found[symbol] = at, end
        at = end
    return found


def doubts(request: Request, result: Result, now_ns: int) -> tuple[str, ...]:
    """Return the symbols that another provider should be asked for too.

    Args:
        request: what was asked.
        result: what a provider answered.
        now_ns: when, nanoseconds since the epoch.
    """
    rows = result.rows
    found = spans(rows)
    doubted = []
    for symbol in request.symbols:
        last = rows[found[symbol][1] - 1].ts_event if symbol in found else None
        if _ends_early(request, result, last, now_ns):
            doubted.append(symbol)
    return tuple(doubted)


def _ends_early(request: Request, result: Result, last: int | None, now_ns: int) -> bool:
    """Return whether the last row of a symbol, or that there is none, is a reason to ask another provider."""
    start, end, covered = request.start_ns, request.end_ns, result.covered_ns
    if start is None or end is None:
        delay_ns = Delay.QUARTER * SECOND_NS if result.source.delayed else 0
        return last is None or _is_open(last, now_ns - delay_ns, OLD_QUOTE_NS)
    until = end if covered is None else min(end, covered[1])
    if isinstance(request, QuotesRequest):
        until = min(until, now_ns - SETTLE_NS)
        if last is None:
            return _is_open(start, until, MINUTE_NS, extended=True)
        return _is_open(last, until, LATE_NS)
    if request.interval == "1d":
        until = min(until, midnight_ns(session_of(now_ns - SETTLE_DAY_NS)))
        return _has_weekday(session_of(start - 1 if last is None else last) + 1, until)
    step, until = INTERVAL_NS[request.interval], min(until, now_ns - SETTLE_NS)
    if last is None:
        return _is_open(start, until, step - 1, extended=request.extended_hours)
    return _is_open(last + step, until, LATE_NS)


def incompleteness(symbols: Sequence[str], first: Result | None, second: Result) -> float:
    """Return which share of a provider's rows was missing or old, as another provider's answer shows.

    Args:
        symbols: that it was asked for.
        first: what it answered; None: that it does not know the symbols.
        second: what the other answered for the symbols that were in doubt.
    """
    had: Rows = first.rows if first is not None else ()
    before = spans(had)
    latest = isinstance(second, QuotesResult) and second.covered_ns is None
    missing = old = 0
    for symbol, (begin, end) in spans(second.rows).items():
        if symbol not in symbols:
            continue
        if symbol not in before:
            missing += end - begin
            continue
        last = had[before[symbol][1] - 1].ts_event
        if latest:
            old += second.rows[end - 1].ts_event > last + OLD_QUOTE_NS
        else:
            missing += end - bisect_right(second.rows, last, begin, end, key=lambda row: row.ts_event)
    if (
        isinstance(second, BarsResult)
        and second.rows
        and not second.rows[0].session
        and missing < MIN_MISSING
    ):
        return 0.0
    return (missing + old) / (len(had) + missing) if missing or old else 0.0


def _is_open(start_ns: int, end_ns: int, more_than_ns: int, *, extended: bool = False) -> bool:
    """Return whether a span has more than so much time in which the exchanges are open on weekdays."""
    if end_ns - start_ns <= more_than_ns:
        return False
    open_ns = 0
    for day in range(session_of(start_ns), session_of(end_ns - 1) + 1):
        if not _is_weekday(day):
            continue
        opening, close = regular_hours(day)
        if extended:
            opening, close = opening - EARLY_NS, close + AFTER_NS
        open_ns += max(0, min(end_ns, close) - max(start_ns, opening))
        if open_ns > more_than_ns:
            return True
    return False


def _has_weekday(first: int, until_ns: int) -> bool:
    """Return whether a weekday from a date on begins before a moment."""
    return any(_is_weekday(day) and midnight_ns(day) < until_ns for day in range(first, first + 3))


def _is_weekday(day: int) -> bool:
    return (day + 3) % 7 < 5  # 1970-01-01 was a Thursday

"""Which answers are believed, and how much is missing from one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from providers.base import BarRow, BarsRequest, BarsResult, QuoteRow, QuotesRequest, QuotesResult, Source
from providers.sessions import session_of
from providers.suspicion import doubts, incompleteness, spans
from tests.unit.providers.desk import CLOSE_NS, MINUTE_NS, NOW_NS, OPEN_NS, SECOND_NS, day_starts, ns

SOURCE = Source("polygon", "sip", "consolidated", "polygon.v1")
LATE = Source("polygon", "sip", "consolidated", "", delayed=True)


def bar(symbol: str, at: int, *, daily: bool = False) -> BarRow:
    return BarRow(symbol, at, 1.0, 1.0, 1.0, 1.0, 1.0, None, 1, session_of(at) if daily else 0)


def bars(window: tuple[int, int], daily: bool = False, **rows: Sequence[int]) -> BarsResult:
    found = [bar(symbol, at, daily=daily) for symbol, times in rows.items() for at in times]
    return BarsResult(found, SOURCE, "raw", window)


def quotes(
    source: Source = SOURCE, window: tuple[int, int] | None = None, **rows: Sequence[int]
) -> QuotesResult:
    found = [QuoteRow(symbol, at, 1.0, 1.0, 2.0, 1.0) for symbol, times in rows.items() for at in times]
    return QuotesResult(found, source, window)


def test_where_rows_of_a_symbol_begin_and_end() -> None:
    rows = bars((0, 9), B=[1, 2, 3], A=[1], C=[2, 3]).rows
    assert spans(rows) == {"B": (0, 3), "A": (3, 4), "C": (4, 6)}
    assert spans(rows[:3]) == {"B": (0, 3)}
    assert spans([]) == {}


#: midnights in New York
FRIDAY, SATURDAY, SUNDAY = (ns(f"2026-03-0{day}T05:00:00") for day in (6, 7, 8))
HOUR_NS = 60 * MINUTE_NS

#: minutes of one symbol: window, last bar (None: no bar at all), whether all hours were asked for; doubted?
MINUTES = [
    pytest.param(OPEN_NS, CLOSE_NS, None, True, True, id="nothing of a session"),
    pytest.param(SATURDAY, SUNDAY, None, True, False, id="nothing of a weekend"),
    pytest.param(
        ns("2026-03-07T01:00:00"),
        ns("2026-03-09T08:00:00"),
        None,
        True,
        False,
        id="from Friday 20:00 to Monday 4:00",
    ),
    pytest.param(CLOSE_NS, CLOSE_NS + HOUR_NS, None, True, True, id="nothing after the close"),
    pytest.param(
        ns("2026-03-04T00:00:00"), ns("2026-03-04T01:00:00"), None, True, True, id="nothing of an evening"
    ),
    pytest.param(
        CLOSE_NS, CLOSE_NS + HOUR_NS, None, False, False, id="nothing after the close was asked for"
    ),
    pytest.param(OPEN_NS, OPEN_NS + MINUTE_NS, None, True, True, id="nothing of a single minute"),
    pytest.param(OPEN_NS + 1, OPEN_NS + MINUTE_NS, None, True, False, id="no minute begins in it"),
    pytest.param(NOW_NS - 2 * MINUTE_NS, NOW_NS, None, True, False, id="nothing of this minute yet"),
    pytest.param(NOW_NS - 4 * MINUTE_NS, NOW_NS, None, True, True, id="nothing of four minutes"),
    pytest.param(OPEN_NS, CLOSE_NS, CLOSE_NS - MINUTE_NS, True, False, id="whole"),
    pytest.param(OPEN_NS, CLOSE_NS, CLOSE_NS - 31 * MINUTE_NS, True, False, id="half an hour short"),
    pytest.param(OPEN_NS, CLOSE_NS, CLOSE_NS - 32 * MINUTE_NS, True, True, id="more than half an hour short"),
    pytest.param(
        OPEN_NS, CLOSE_NS + 4 * HOUR_NS, CLOSE_NS - MINUTE_NS, True, False, id="quiet after the close"
    ),
    pytest.param(
        FRIDAY, ns("2026-03-09T13:30:00"), ns("2026-03-06T20:59:00"), True, False, id="over a weekend"
    ),
    pytest.param(
        FRIDAY, ns("2026-03-09T14:02:00"), ns("2026-03-06T20:59:00"), True, True, id="past a weekend"
    ),
    pytest.param(
        ns("2024-03-11T13:30:00"), CLOSE_NS, ns("2024-03-11T19:00:00"), True, True, id="two years short"
    ),
    pytest.param(
        ns("2026-03-10T13:30:00"),
        ns("2026-03-10T20:00:00"),
        ns("2026-03-10T15:00:00"),
        True,
        False,
        id="the session goes on",
    ),
]


@pytest.mark.parametrize(("start", "end", "last", "extended", "doubted"), MINUTES)
def test_minutes_that_end_early(
    start: int, end: int, last: int | None, extended: bool, doubted: bool
) -> None:
    request = BarsRequest(("A",), "1m", start, end, extended_hours=extended)
    rows = [] if last is None else [last - MINUTE_NS, last]
    result = bars((start, min(end, NOW_NS)), A=[at for at in rows if at >= start])
    assert doubts(request, result, NOW_NS) == (("A",) if doubted else ())


def test_what_was_not_covered_is_not_missed() -> None:
    request = BarsRequest(("A",), "1m", OPEN_NS, CLOSE_NS)
    covered = OPEN_NS, OPEN_NS + 2 * HOUR_NS
    assert doubts(request, bars(covered, A=[covered[1] - MINUTE_NS]), NOW_NS) == ()
    assert doubts(request, bars((OPEN_NS, OPEN_NS)), NOW_NS) == ()
    assert doubts(request, bars(covered), NOW_NS) == ("A",)


def test_symbols_are_doubted_one_by_one() -> None:
    request = BarsRequest(("A", "B", "C", "D"), "1m", OPEN_NS, CLOSE_NS)
    early, last = OPEN_NS + MINUTE_NS, CLOSE_NS - MINUTE_NS
    result = bars((OPEN_NS, CLOSE_NS), A=[early], C=[early, last], D=[OPEN_NS, early])
    assert doubts(request, result, NOW_NS) == ("A", "B", "D")


WEEK = day_starts("2026-03-02", "2026-03-06")
DAYS = [
    pytest.param("2026-03-02", "2026-03-07", WEEK, False, id="whole"),
    pytest.param("2026-03-02", "2026-03-09", WEEK, False, id="up to a Monday"),
    pytest.param("2026-03-02", "2026-03-10", WEEK, True, id="without that Monday"),
    pytest.param("2026-03-02", "2026-03-07", WEEK[:4], True, id="without a Friday"),
    pytest.param("2026-03-02", "2026-03-07", [], True, id="nothing of a week"),
    pytest.param("2026-03-07", "2026-03-09", [], False, id="nothing of a weekend"),
    pytest.param("2026-03-10", "2026-03-11", [], False, id="nothing of the day that is under way"),
]


@pytest.mark.parametrize(("first", "end", "rows", "doubted"), DAYS)
def test_days_that_end_early(first: str, end: str, rows: list[int], doubted: bool) -> None:
    # midnights in New York: the clocks changed on the 8th
    window = ns(f"{first}T05:00:00"), ns(f"{end}T{'05' if end < '2026-03-08' else '04'}:00:00")
    request = BarsRequest(("A",), "1d", *window)
    result = bars((window[0], min(window[1], NOW_NS)), daily=True, A=rows)
    assert doubts(request, result, NOW_NS) == (("A",) if doubted else ())


def test_yesterday_is_not_missed_before_the_morning() -> None:
    window = ns("2026-03-09T04:00:00"), ns("2026-03-10T04:00:00")
    request = BarsRequest(("A",), "1d", *window)
    assert doubts(request, bars(window, daily=True), ns("2026-03-10T11:00:00")) == ()
    assert doubts(request, bars(window, daily=True), ns("2026-03-10T13:00:00")) == ("A",)


LATEST = [
    pytest.param(NOW_NS - 15 * MINUTE_NS, NOW_NS, SOURCE, False, id="a quarter of an hour"),
    pytest.param(NOW_NS - 15 * MINUTE_NS - 1, NOW_NS, SOURCE, True, id="more"),
    pytest.param(NOW_NS - 30 * MINUTE_NS, NOW_NS, LATE, False, id="a plan with a delay"),
    pytest.param(NOW_NS - 32 * MINUTE_NS, NOW_NS, LATE, True, id="later than the delay"),
    pytest.param(CLOSE_NS - SECOND_NS, ns("2026-03-10T13:40:00"), SOURCE, False, id="overnight"),
    pytest.param(ns("2026-03-06T20:59:59"), SUNDAY, SOURCE, False, id="over a weekend"),
    pytest.param(CLOSE_NS - 20 * MINUTE_NS, CLOSE_NS + 12 * HOUR_NS, SOURCE, True, id="before the close"),
    pytest.param(None, SUNDAY, SOURCE, True, id="none at all"),
]


@pytest.mark.parametrize(("last", "now", "source", "doubted"), LATEST)
def test_latest_quotes_that_are_old(last: int | None, now: int, source: Source, doubted: bool) -> None:
    result = quotes(source, A=[] if last is None else [last])
    assert doubts(QuotesRequest(("A",)), result, now) == (("A",) if doubted else ())


def test_quotes_of_a_window_that_end_early() -> None:
    window = OPEN_NS, CLOSE_NS
    request = QuotesRequest(("A", "B", "C"), *window)
    early, fine = CLOSE_NS - 31 * MINUTE_NS, CLOSE_NS - 29 * MINUTE_NS
    assert doubts(request, quotes(SOURCE, window, A=[early], C=[fine]), NOW_NS) == ("A", "B")
    night = QuotesRequest(("A",), ns("2026-03-07T01:00:00"), ns("2026-03-09T08:00:00"))
    assert doubts(night, quotes(SOURCE, (0, 1 << 62)), NOW_NS) == ()


def test_the_share_that_was_missing() -> None:
    window = OPEN_NS, CLOSE_NS
    whole = [OPEN_NS + n * MINUTE_NS for n in range(100)]
    assert incompleteness(("A",), bars(window), bars(window, A=whole)) == 1.0
    assert incompleteness(("A",), None, bars(window, A=whole)) == 1.0
    assert incompleteness(("A",), bars(window, A=whole[:75]), bars(window, A=whole)) == 0.25
    assert incompleteness(("A",), bars(window, A=whole), bars(window, A=whole)) == 0.0
    assert incompleteness(("A",), bars(window, A=whole), bars(window)) == 0.0
    # rows of others that it had count for it; of symbols that it was not asked for nothing is missing
    first = bars(window, A=whole[:50], B=whole)
    assert incompleteness(("A", "B"), first, bars(window, A=whole)) == 0.25
    assert incompleteness(("B",), bars(window, B=whole), bars(window, A=whole)) == 0.0
    # a difference in the middle is a matter of the vendors' rules
    gaps = whole[:10] + whole[50:]
    assert incompleteness(("A",), bars(window, A=gaps), bars(window, A=whole)) == 0.0


def test_a_few_bars_are_a_matter_of_rules_but_no_day_is() -> None:
    window = OPEN_NS, CLOSE_NS
    few = [OPEN_NS, OPEN_NS + MINUTE_NS]
    assert incompleteness(("A",), bars(window), bars(window, A=few)) == 0.0
    assert incompleteness(("A",), bars(window), bars(window, A=[*few, CLOSE_NS - MINUTE_NS])) == 1.0
    assert incompleteness(("A",), bars(window, daily=True), bars(window, daily=True, A=WEEK[:1])) == 1.0


def test_the_share_of_latest_quotes_that_was_old() -> None:
    old, newer, new = NOW_NS - HOUR_NS, NOW_NS - 50 * MINUTE_NS, NOW_NS
    first = quotes(A=[old], B=[new], C=[old])
    assert incompleteness(("A", "B", "C"), first, quotes(A=[new])) == pytest.approx(1 / 3)
    assert incompleteness(("A", "B", "C"), first, quotes(A=[newer], C=[newer])) == 0.0
    assert incompleteness(("A", "B", "C", "D"), first, quotes(A=[new], D=[new])) == 0.5

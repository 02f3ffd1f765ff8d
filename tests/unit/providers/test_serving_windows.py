"""What is served of a window now, what later, and what of lesser coverage meanwhile."""

from __future__ import annotations

from dataclasses import replace

from providers.base import BarsRequest
from providers.capability import Access
from schemas.errors import (
    BadRequest,
)
from schemas.provider import ProviderName
from tests.unit.providers.desk import (
    FULL,
    MINUTE_NS,
    NOW_NS,
    OPEN_NS,
    SECOND_NS,
    SESSION,
    SICK,
    Desk,
    Shelf,
    away,
    bar_starts,
    both,
    day_starts,
    minutes,
    ns,
    tried,
)


async def test_the_part_of_a_window_that_is_not_covered_waits() -> None:
    start, end = NOW_NS - 60 * MINUTE_NS, NOW_NS + 60 * MINUTE_NS
    desk = Desk(Shelf("polygon", bars_at={"AAPL": bar_starts(start - 20 * SECOND_NS, 90)}, until_ns=NOW_NS))
    served = await desk.serve(minutes("AAPL", start_ns=start, end_ns=end))
    (rest,) = served.rest
    # from the bar that was under way: it was not whole
    assert rest.request == minutes("AAPL", start_ns=ns("2026-03-10T15:30:00"), end_ns=end)
    assert rest.not_before_ns == end
    assert (rest.never, rest.heal) == (False, False)
    assert "2026-03-10T15:30:20Z" in rest.why
    assert served.answers


async def test_a_day_that_is_under_way_waits_as_a_whole() -> None:
    start, end = day_starts("2026-03-09", "2026-03-12")[::3]
    desk = Desk(Shelf("polygon", bars_at={"AAPL": day_starts("2026-03-09", "2026-03-10")}, until_ns=NOW_NS))
    served = await desk.serve(BarsRequest(("AAPL",), "1d", start, end))
    (rest,) = served.rest
    assert (rest.request.start_ns, rest.request.end_ns) == (ns("2026-03-10T04:00:00"), end)


async def test_a_symbol_without_rows_so_far_waits_and_is_not_called_empty() -> None:
    start, end = NOW_NS - 60 * MINUTE_NS, NOW_NS + 60 * MINUTE_NS
    desk = Desk(Shelf("polygon", until_ns=NOW_NS), Shelf("alpaca", until_ns=NOW_NS))
    served = await desk.serve(minutes("AAPL", start_ns=start, end_ns=end))
    assert served.empty == ()
    assert [rest.request.symbols for rest in served.rest] == [("AAPL",)]


async def test_an_answer_of_no_time_at_all_claims_nothing() -> None:
    desk = Desk(
        Shelf("polygon", until_ns=OPEN_NS), Shelf("alpaca", bars_at=FULL), Shelf("finnhub", bars_at=FULL)
    )
    served = await desk.serve(minutes("AAPL"))
    assert desk.asked() == {"polygon": 1, "alpaca": 1}
    assert [a.result.source.provider for a in served.answers] == ["alpaca"]
    assert "judgement" not in [report.purpose for report in desk.reports]
    alone = Desk(Shelf("polygon", until_ns=OPEN_NS))
    served = await alone.serve(minutes("AAPL"))
    assert served.empty == ()
    assert [rest.request for rest in served.rest] == [minutes("AAPL")]


async def test_a_window_that_has_not_begun_is_asked_of_nobody() -> None:
    start, end = NOW_NS + MINUTE_NS, NOW_NS + 60 * MINUTE_NS
    desk = both()
    (rest,) = (await desk.serve(minutes("AAPL", start_ns=start, end_ns=end))).rest
    assert desk.asked() == {}
    assert rest.not_before_ns == end


FREE: dict[ProviderName, Access] = {
    "polygon": Access("polygon", "massive", "free"),
    "alpaca": Access("alpaca", "sip", "free"),
    "iex": Access("iex", "alpaca_iex", "free"),
}


async def test_what_a_plan_shows_later_is_served_later() -> None:
    start, end = NOW_NS - 10 * MINUTE_NS, NOW_NS - MINUTE_NS
    desk = Desk(Shelf("polygon"), Shelf("alpaca", bars_at={"AAPL": bar_starts(start, 9)}), accesses=FREE)
    (rest,) = (await desk.serve(minutes("AAPL", start_ns=start, end_ns=end))).rest
    assert desk.asked() == {}
    assert not rest.never
    assert rest.not_before_ns == end + 16 * MINUTE_NS
    desk.later(15 * 60 + 1)
    assert (await desk.serve(minutes("AAPL", start_ns=start, end_ns=end))).answers
    assert desk.asked() == {"alpaca": 1}


async def test_what_a_plan_shows_already_is_served_now() -> None:
    start, end = ns("2026-03-10T14:00:00"), ns("2026-03-10T15:30:00")
    desk = Desk(Shelf("polygon"), Shelf("alpaca", bars_at={"AAPL": bar_starts(start, 90)}), accesses=FREE)
    served = await desk.serve(minutes("AAPL", start_ns=start, end_ns=end))
    seen = ns("2026-03-10T15:14:00")
    assert [(s.start_ns, s.end_ns) for s in desk.shelves["alpaca"].asked] == [(start, seen)]
    (rest,) = served.rest
    assert (rest.request.start_ns, rest.request.end_ns) == (seen, end)
    assert rest.not_before_ns == end + 16 * MINUTE_NS


async def test_a_plan_that_sees_less_serves_what_it_can_when_the_better_one_is_sick() -> None:
    start, end = ns("2026-03-09T13:30:00"), ns("2026-03-10T15:30:00")
    desk = Desk(Shelf("polygon", bars_at=FULL), Shelf("alpaca", bars_at=FULL), accesses=FREE)
    desk.standings = {"alpaca": SICK}
    served = await desk.serve(minutes("AAPL", start_ns=start, end_ns=end))
    midnight = ns("2026-03-10T04:00:00")
    assert [(s.start_ns, s.end_ns) for s in desk.shelves["polygon"].asked] == [(start, midnight)]
    (rest,) = served.rest
    assert (rest.request.start_ns, rest.request.end_ns) == (midnight, end)
    assert served.answers


def downgrading() -> Desk:
    desk = Desk(
        Shelf("polygon", bars_at=FULL),
        Shelf("alpaca", bars_at=FULL),
        Shelf("iex", "iex", bars_at={"AAPL": SESSION[::10], "MSFT": SESSION}),
    )
    desk.standings = {"polygon": SICK, "alpaca": SICK}
    return desk


async def test_lesser_coverage_only_if_the_job_allows_it() -> None:
    desk = downgrading()
    served = await desk.serve(minutes("AAPL"), allow_downgrade=True)
    (answer,) = served.answers
    assert answer.provisional
    assert answer.result.source.coverage == "iex"
    (rest,) = served.rest
    assert (rest.heal, rest.never, rest.request) == (True, False, minutes("AAPL"))
    assert SICK.reason in rest.why


async def test_no_downgrade_while_somebody_has_what_is_wanted() -> None:
    desk = downgrading()
    desk.standings = {"polygon": SICK}
    served = await desk.serve(minutes("AAPL"), allow_downgrade=True)
    assert desk.asked() == {"alpaca": 1}
    assert [a.provisional for a in served.answers] == [False]
    assert served.rest == []


async def test_a_downgrade_follows_failures_too() -> None:
    desk = downgrading()
    desk.standings = {"alpaca": SICK}
    desk.shelves["polygon"].troubles = [away()]
    served = await desk.serve(minutes("AAPL"), allow_downgrade=True)
    assert tried(served) == [("polygon", "away"), ("iex", "ok")]
    assert [rest.heal for rest in served.rest] == [True]


async def test_what_has_no_rows_of_lesser_coverage_waits_for_the_wanted_one() -> None:
    desk = downgrading()
    served = await desk.serve(minutes("AAPL", "NEW", "MSFT"), allow_downgrade=True)
    assert [(rest.request.symbols, rest.heal) for rest in served.rest] == [
        (("AAPL", "MSFT"), True),
        (("NEW",), False),
    ]
    # that IEX has seen no trade of it says nothing about the tape
    assert served.empty == ()


async def test_lesser_coverage_that_is_away_too() -> None:
    desk = downgrading()
    desk.shelves["iex"].troubles = [away("iex")]
    served = await desk.serve(minutes("AAPL"), allow_downgrade=True)
    assert served.answers == []
    (rest,) = served.rest
    assert (rest.heal, rest.never) == (False, False)
    assert "iex: 503" in rest.why


async def test_lesser_coverage_does_not_say_that_the_job_is_wrong() -> None:
    desk = downgrading()
    desk.shelves["iex"].troubles = [BadRequest("invalid symbol", provider="iex", status=400)]
    served = await desk.serve(minutes("AAPL"), allow_downgrade=True)
    assert tried(served) == [("iex", "bad_request")]
    assert served.wrong == ""
    assert [(rest.never, rest.heal) for rest in served.rest] == [(False, False)]


async def test_where_lesser_coverage_is_all_there_is_it_does() -> None:
    desk = downgrading()
    desk.rules = replace(desk.rules, policies={**desk.rules.policies, "bars_1m": ("iex",)})
    desk.shelves["iex"].troubles = [BadRequest("invalid symbol", provider="iex", status=400)]
    served = await desk.serve(minutes("AAPL"), allow_downgrade=True)
    assert served.wrong == "iex: 400 invalid symbol"


async def test_iex_is_the_least_there_is() -> None:
    desk = downgrading()
    desk.standings = {"iex": SICK}
    (rest,) = (await desk.serve(minutes("AAPL"), coverage="iex", allow_downgrade=True)).rest
    assert desk.asked() == {}
    assert not rest.heal


async def test_where_nothing_better_can_come_nothing_is_to_be_healed() -> None:
    desk = downgrading()
    desk.rules = replace(desk.rules, policies={**desk.rules.policies, "bars_1m": ("iex",)})
    served = await desk.serve(minutes("AAPL"), allow_downgrade=True)
    assert [a.provisional for a in served.answers] == [True]
    assert served.rest == []
    (rest,) = (await desk.serve(minutes("AAPL"))).rest
    assert rest.never


async def test_a_wrong_request_is_not_tried_with_lesser_coverage() -> None:
    start, end = ns("2026-03-10T14:00:00"), ns("2026-03-10T15:30:00")
    bad = BadRequest("invalid symbol", provider="alpaca", status=400)
    desk = Desk(Shelf("alpaca", troubles=[bad]), Shelf("iex", "iex"), accesses=FREE)
    served = await desk.serve(minutes("AAPL", start_ns=start, end_ns=end), allow_downgrade=True)
    assert desk.asked() == {"alpaca": 1}
    assert served.wrong


async def test_what_is_too_recent_is_had_of_lesser_coverage_meanwhile() -> None:
    start, end = ns("2026-03-10T14:00:00"), ns("2026-03-10T15:30:00")
    bars = {"AAPL": bar_starts(start, 90)}
    desk = Desk(Shelf("alpaca", bars_at=bars), Shelf("iex", "iex", bars_at=bars), accesses=FREE)
    served = await desk.serve(minutes("AAPL", start_ns=start, end_ns=end), allow_downgrade=True)
    assert [(a.result.source.provider, a.provisional, len(a.result.rows)) for a in served.answers] == [
        ("alpaca", False, 74),
        ("iex", True, 16),
    ]
    (rest,) = served.rest
    assert rest.heal
    assert rest.request.start_ns == ns("2026-03-10T15:14:00")
    assert rest.not_before_ns == end + 16 * MINUTE_NS

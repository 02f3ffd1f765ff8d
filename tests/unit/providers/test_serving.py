"""The router's decisions about failing over: whom it asks, whom it does not, and what it makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from providers.base import BarsRequest, QuotesRequest
from schemas.errors import (
    AuthFailed,
    BadRequest,
    DatabaseAway,
    EntitlementMissing,
    Malformed,
    NotFound,
    ProviderError,
    RateLimited,
)
from schemas.provider import Kind
from tests.unit.providers.desk import (
    ACCESSES,
    CLOSE_NS,
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
    both,
    last_asked,
    minutes,
    ns,
    rows_of,
    tried,
)


def limited(provider: str = "polygon", seconds: float = 30.0, code: str = "") -> RateLimited:
    return RateLimited("slow down", provider=provider, code=code, retry_after_s=seconds)


async def test_the_first_of_the_policy_serves_all_and_nobody_else_is_asked() -> None:
    desk = both()
    served = await desk.serve(minutes("AAPL", "MSFT"))
    assert desk.asked() == {"polygon": 1}
    assert rows_of(a.result for a in served.answers) == [(s, t) for s in ("AAPL", "MSFT") for t in SESSION]
    assert (served.rest, served.empty, served.wrong) == ([], (), "")
    (answer,) = served.answers
    assert (answer.provisional, answer.asked_ns) == (False, NOW_NS)


async def test_what_is_reported_of_a_good_answer() -> None:
    desk = both()
    polygon = desk.shelves["polygon"]
    polygon.clock, polygon.takes_s, polygon.requests = desk.clock, 0.3, 3
    served = await desk.serve(minutes("AAPL"))
    (report,) = desk.reports
    assert (report.provider, report.purpose, report.outcome) == ("polygon", "job", "ok")
    assert (report.rows, report.incompleteness, report.detail) == (390, None, "")
    assert (report.job_id, report.worker) == ("job-1", "w1")
    assert report.ts == NOW_NS + 300_000_000
    # three requests to the vendor: how long one took is what tells of its health
    assert report.latency_ms == pytest.approx(100.0)
    assert report.asked is not None
    assert (report.asked.symbol, report.asked.interval, report.asked.coverage) == (
        "AAPL",
        "1m",
        "consolidated",
    )
    assert (report.asked.start, report.asked.end) == (OPEN_NS, CLOSE_NS)
    (attempt,) = served.attempts
    assert attempt.latency_ms == pytest.approx(300.0)
    assert (attempt.rows, attempt.symbols, attempt.at_ns) == (390, 1, report.ts)
    assert served.answers[0].asked_ns == NOW_NS
    again = await desk.serve(minutes("AAPL"))
    assert again.attempts
    assert desk.reports[0].id != desk.reports[1].id


FAILOVER: list[tuple[Callable[[], ProviderError], str]] = [
    (away, "away"),
    (limited, "rate_limited"),
    (lambda: EntitlementMissing("your plan", provider="polygon", status=403), "entitlement"),
    (lambda: AuthFailed("Unknown API Key", provider="polygon", status=401), "auth"),
    (lambda: Malformed("row 3: low: 9 is above open", provider="polygon"), "malformed"),
    (lambda: ProviderError("something new", provider="polygon"), "away"),
]


@pytest.mark.parametrize(("trouble", "outcome"), FAILOVER, ids=lambda value: str(value)[:12])
async def test_trouble_sends_the_request_to_the_next(
    trouble: Callable[[], ProviderError], outcome: str
) -> None:
    desk = both(troubles=[trouble()])
    served = await desk.serve(minutes("AAPL", "MSFT"))
    assert tried(served) == [("polygon", outcome), ("alpaca", "ok")]
    assert desk.reported() == [("polygon", "job", outcome), ("alpaca", "job", "ok")]
    assert last_asked(desk, "alpaca") == "AAPL MSFT"
    assert len(rows_of(a.result for a in served.answers)) == 2 * len(SESSION)
    assert not served.rest
    assert str(trouble()) == served.attempts[0].detail == desk.reports[0].detail
    # what cannot be relied on is not asked as a probe
    assert desk.reports[0].asked is None


async def test_a_bad_request_is_asked_of_nobody_else() -> None:
    desk = both(troubles=[BadRequest("'to' before 'from'", provider="polygon", status=400)])
    served = await desk.serve(minutes("AAPL"))
    assert desk.asked() == {"polygon": 1}
    assert served.wrong == "polygon: 400 'to' before 'from'"
    assert (served.answers, served.rest) == ([], [])
    assert desk.reported() == [("polygon", "job", "bad_request")]


async def test_a_bad_request_ends_it_after_a_failover_too() -> None:
    desk = Desk(
        Shelf("polygon", troubles=[away()]),
        Shelf("alpaca", troubles=[BadRequest("invalid symbol", provider="alpaca", status=400)]),
        Shelf("finnhub", bars_at=FULL),
    )
    served = await desk.serve(minutes("AAPL"), allow_downgrade=True)
    assert desk.asked() == {"polygon": 1, "alpaca": 1}
    assert served.wrong
    assert not served.rest


async def test_everybody_is_away() -> None:
    desk = both(troubles=[away()])
    desk.shelves["alpaca"].troubles = [away("alpaca")]
    served = await desk.serve(minutes("AAPL", "MSFT"))
    assert tried(served) == [("polygon", "away"), ("alpaca", "away")]
    (rest,) = served.rest
    assert rest.request == minutes("AAPL", "MSFT")
    assert (rest.never, rest.heal, rest.not_before_ns) == (False, False, 0)
    assert "away: polygon: 503 Service Unavailable" in rest.why
    assert "finnhub: no key" in rest.why
    assert served.empty == ()


async def test_a_transient_of_our_own_is_no_news_of_the_provider() -> None:
    desk = both(troubles=[DatabaseAway("connection refused")])
    served = await desk.serve(minutes("AAPL"))
    assert tried(served) == [("polygon", "rate_limited"), ("alpaca", "ok")]
    assert desk.reported() == [("alpaca", "job", "ok")]
    await desk.serve(minutes("AAPL"))
    assert desk.asked() == {"polygon": 1, "alpaca": 2}


async def test_our_own_budget_is_spent() -> None:
    desk = both(troubles=[limited(code="budget", seconds=12.0)])
    served = await desk.serve(minutes("AAPL"))
    assert tried(served) == [("polygon", "rate_limited"), ("alpaca", "ok")]
    assert desk.reported() == [("alpaca", "job", "ok")]


@pytest.mark.parametrize("code", ["", "budget"])
async def test_a_limit_holds_as_long_as_it_says(code: str) -> None:
    desk = both(troubles=[limited(seconds=30.0, code=code)])
    await desk.serve(minutes("AAPL"))
    desk.later(29.0)
    await desk.serve(minutes("AAPL"))
    assert desk.asked() == {"polygon": 1, "alpaca": 2}
    desk.later(1.5)
    await desk.serve(minutes("AAPL"))
    assert desk.asked() == {"polygon": 2, "alpaca": 2}


async def test_a_shorter_limit_does_not_end_a_longer_one() -> None:
    desk = Desk(Shelf("polygon", bars_at=FULL, troubles=[limited(seconds=60.0), limited(seconds=1.0)]))
    desk.shelves["polygon"].hold = asyncio.Event()
    asking = [asyncio.create_task(desk.serve(minutes("AAPL"))) for _ in range(2)]
    while len(desk.shelves["polygon"].asked) < 2:
        await asyncio.sleep(0)
    desk.shelves["polygon"].hold.set()
    await asyncio.gather(*asking)
    desk.later(2.0)
    (rest,) = (await desk.serve(minutes("AAPL"))).rest
    assert desk.asked() == {"polygon": 2}
    assert rest.not_before_ns == NOW_NS + 60 * SECOND_NS


async def test_failures_in_a_row_hold_a_provider_for_a_moment() -> None:
    desk = both(troubles=[away(), away(), away()])
    for _ in range(5):
        await desk.serve(minutes("AAPL"))
    assert desk.asked() == {"polygon": 3, "alpaca": 5}
    decision = desk.router.decide(minutes("AAPL"), desk.wants, {}, desk.rules)
    assert decision.order == ("alpaca",)
    assert "failures in a row" in decision.explain()
    desk.later(2.1)
    await desk.serve(minutes("AAPL"))
    assert desk.asked() == {"polygon": 4, "alpaca": 5}


async def test_an_answer_between_failures_holds_nobody() -> None:
    desk = both(troubles=[away(), away(), None, away(), away()])
    for _ in range(6):
        await desk.serve(minutes("AAPL"))
    assert desk.asked()["polygon"] == 6


async def test_the_number_of_failures_is_that_of_the_rules_in_force() -> None:
    desk = both(troubles=[away()] * 5)
    desk.rules = replace(desk.rules, trip_failures=1)
    await desk.serve(minutes("AAPL"))
    await desk.serve(minutes("AAPL"))
    assert desk.asked() == {"polygon": 1, "alpaca": 2}


async def test_a_refused_key_holds_at_once() -> None:
    desk = both(troubles=[AuthFailed("Unknown API Key", provider="polygon", status=401)])
    await desk.serve(minutes("AAPL"))
    await desk.serve(minutes("AAPL"))
    assert desk.asked() == {"polygon": 1, "alpaca": 2}


async def test_neither_limits_nor_refusals_count_as_failures() -> None:
    unknown = NotFound("Ticker not found.", provider="polygon", status=404)
    desk = both(troubles=[limited(seconds=0.0), limited(seconds=0.0), limited(seconds=0.0), unknown])
    for symbol in ("AAPL", "AAPL", "AAPL", "MSFT", "AAPL"):
        await desk.serve(minutes(symbol))
    assert desk.asked()["polygon"] == 5


async def test_a_bad_request_neither_adds_to_a_row_of_failures_nor_ends_it() -> None:
    bad = BadRequest("'to' before 'from'", provider="polygon", status=400)
    desk = both(troubles=[away(), bad, away(), bad, away()])
    for _ in range(6):
        await desk.serve(minutes("AAPL"))
    assert desk.asked() == {"polygon": 5, "alpaca": 4}


async def test_somebody_sick_may_be_back_before_a_limit_ends() -> None:
    desk = both(troubles=[limited(seconds=30.0)])
    desk.standings = {"alpaca": SICK}
    (rest,) = (await desk.serve(minutes("AAPL"))).rest
    assert rest.not_before_ns == 0
    desk.standings = {}
    desk.shelves["alpaca"].troubles = [limited("alpaca", seconds=20.0)]
    (rest,) = (await desk.serve(minutes("AAPL"))).rest
    assert rest.not_before_ns == NOW_NS + 20 * SECOND_NS


async def test_whom_the_table_says_is_sick_is_not_asked() -> None:
    desk = both()
    desk.standings = {"polygon": SICK}
    served = await desk.serve(minutes("AAPL"))
    assert desk.asked() == {"alpaca": 1}
    assert not served.rest
    desk.standings = {"polygon": SICK, "alpaca": SICK}
    (rest,) = (await desk.serve(minutes("AAPL"))).rest
    assert desk.asked() == {"alpaca": 1}
    assert SICK.reason in rest.why
    assert (rest.never, rest.not_before_ns) == (False, 0)


async def test_the_table_is_read_anew_before_each_attempt() -> None:
    desk = both(troubles=[away()])
    desk.shelves["finnhub"] = Shelf("finnhub", bars_at=FULL)
    desk = Desk(*desk.shelves.values())
    hold = desk.shelves["polygon"].hold = asyncio.Event()
    asking = asyncio.create_task(desk.serve(minutes("AAPL")))
    await desk.shelves["polygon"].arrived.wait()
    desk.standings = {"alpaca": SICK}
    hold.set()
    served = await asking
    assert tried(served) == [("polygon", "away"), ("finnhub", "ok")]


async def test_a_hint_goes_first_if_it_is_fit() -> None:
    desk = both()
    await desk.serve(minutes("AAPL"), hint="alpaca")
    assert desk.asked() == {"alpaca": 1}
    desk.standings = {"alpaca": SICK}
    await desk.serve(minutes("AAPL"), hint="alpaca")
    assert desk.asked() == {"polygon": 1, "alpaca": 1}


async def test_a_hint_outside_the_policy_is_a_hint_all_the_same() -> None:
    desk = both()
    desk.rules = replace(desk.rules, policies={**desk.rules.policies, "bars_1m": ("polygon",)})
    await desk.serve(minutes("AAPL"), hint="alpaca")
    assert desk.asked() == {"alpaca": 1}
    await desk.serve(minutes("AAPL"), hint="finnhub")
    assert desk.asked() == {"alpaca": 1, "polygon": 1}


@pytest.mark.parametrize(
    ("request_", "policy"),
    [
        (BarsRequest(("AAPL",), "1d", ns("2026-03-02T05:00:00"), ns("2026-03-03T05:00:00")), "bars_1d"),
        (BarsRequest(("AAPL",), "1h", OPEN_NS, CLOSE_NS), "bars_1m"),
        (QuotesRequest(("AAPL",)), "quotes_l1"),
    ],
    ids=["days", "hours", "quotes"],
)
async def test_each_kind_follows_its_own_policy(request_: BarsRequest | QuotesRequest, policy: Kind) -> None:
    desk = both()
    desk.rules = replace(desk.rules, policies={**desk.rules.policies, policy: ("alpaca", "polygon")})
    await desk.serve(request_)
    assert desk.shelves["alpaca"].asked[0] == request_


async def test_what_no_plan_includes_is_never_served_and_nobody_is_asked() -> None:
    desk = Desk(*(Shelf(name) for name in ACCESSES))  # all four have keys
    request = minutes("AAPL", adjustment="all")
    desk.rules = replace(desk.rules, policies={**desk.rules.policies, "bars_1m": ("polygon", "finnhub")})
    (rest,) = (await desk.serve(request)).rest
    assert rest.never
    assert rest.request == request
    assert rest.why == "polygon: lacks adjustment; finnhub: lacks adjustment"
    assert desk.asked() == {}


async def test_a_provider_without_a_key_may_get_one() -> None:
    desk = Desk(Shelf("polygon"))
    (rest,) = (await desk.serve(minutes("AAPL", adjustment="all"))).rest
    assert not rest.never
    assert "alpaca: no key" in rest.why


async def test_only_iex_is_up_and_consolidated_is_wanted() -> None:
    desk = Desk(Shelf("polygon", bars_at=FULL), Shelf("iex", "iex", bars_at=FULL))
    desk.standings = {"polygon": SICK}
    served = await desk.serve(minutes("AAPL"))
    assert desk.asked() == {}
    assert served.answers == []
    (rest,) = served.rest
    assert not rest.never
    assert "iex: lacks coverage" in rest.why


async def test_another_kind_than_was_asked_for_is_a_broken_answer() -> None:
    # as if the settings of a client and of its access had come apart
    desk = Desk(Shelf("alpaca", "iex", bars_at=FULL), Shelf("finnhub", bars_at=FULL))
    served = await desk.serve(minutes("AAPL"))
    assert tried(served) == [("alpaca", "malformed"), ("finnhub", "ok")]
    assert "iex, not consolidated" in served.attempts[0].detail
    assert {a.result.source.provider for a in served.answers} == {"finnhub"}


async def test_a_broken_answer_is_not_asked_for_again_at_once() -> None:
    desk = Desk(Shelf("polygon", troubles=[Malformed("low above open", provider="polygon")]))
    (rest,) = (await desk.serve(minutes("AAPL"))).rest
    assert rest.not_before_ns == NOW_NS + 60 * SECOND_NS


async def test_a_plan_that_does_not_include_it_is_asked_once_an_hour() -> None:
    refused = EntitlementMissing("upgrade your plan", provider="polygon", status=403)
    desk = Desk(Shelf("polygon", bars_at=FULL, troubles=[refused]))
    (rest,) = (await desk.serve(minutes("AAPL"))).rest
    assert rest.not_before_ns == NOW_NS + 3_600 * SECOND_NS
    desk.later(3_599)
    await desk.serve(minutes("MSFT", start_ns=OPEN_NS + MINUTE_NS))
    assert desk.asked() == {"polygon": 1}
    desk.later(2)
    assert (await desk.serve(minutes("AAPL"))).answers
    assert desk.asked() == {"polygon": 2}


@pytest.mark.parametrize(
    "other",
    [
        minutes("AAPL"),
        BarsRequest(("AAPL",), "1m", ns("2016-03-09T14:30:00"), ns("2016-03-09T21:00:00"), "split"),
        BarsRequest(("AAPL",), "1d", ns("2016-03-09T05:00:00"), ns("2016-03-09T21:00:00")),
    ],
    ids=["younger", "adjusted", "days"],
)
async def test_a_refusal_speaks_of_its_own_kind_only(other: BarsRequest) -> None:
    refused = EntitlementMissing("this data timeframe", provider="polygon", status=403)
    desk = Desk(Shelf("polygon", troubles=[refused]))
    old = minutes("AAPL", start_ns=ns("2016-03-09T14:30:00"), end_ns=ns("2016-03-09T21:00:00"))
    await desk.serve(old)
    await desk.serve(old)
    assert desk.asked() == {"polygon": 1}
    await desk.serve(other)
    assert desk.asked() == {"polygon": 2}


async def test_giving_up_leaves_nothing_behind() -> None:
    desk = both()
    desk.shelves["polygon"].hold = asyncio.Event()
    before = asyncio.all_tasks()
    asking = asyncio.create_task(desk.serve(minutes("AAPL")))
    await desk.shelves["polygon"].arrived.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert asyncio.all_tasks() == before
    assert desk.reports == []
    assert desk.asked() == {"polygon": 1}
    desk.shelves["polygon"].hold.set()
    assert (await desk.serve(minutes("AAPL"))).answers
    assert desk.asked() == {"polygon": 2}


async def test_what_is_no_trouble_of_a_provider_is_not_hidden() -> None:
    desk = both(troubles=[KeyError("symbols")])
    with pytest.raises(KeyError):
        await desk.serve(minutes("AAPL"))
    assert desk.reports == []


async def test_many_requests_at_a_time_do_not_mix() -> None:
    symbols = [f"S{n}" for n in range(40)]
    has = {symbol: SESSION for n, symbol in enumerate(symbols) if n % 2}
    desk = Desk(Shelf("polygon", bars_at=has), Shelf("alpaca", bars_at=dict.fromkeys(symbols, SESSION)))
    served = await asyncio.gather(*(desk.serve(minutes(symbol)) for symbol in symbols))
    for n, (symbol, one) in enumerate(zip(symbols, served, strict=True)):
        assert rows_of(a.result for a in one.answers) == [(symbol, at) for at in SESSION]
        assert [a.provider for a in one.attempts] == (["polygon"] if n % 2 else ["polygon", "alpaca"])

"""Empty and early answers: asked of one more, judged, and then believed."""

from __future__ import annotations

import pytest

from providers.base import QuotesRequest
from schemas.errors import BadRequest, NotFound, RateLimited
from tests.unit.providers.desk import (
    FULL,
    MINUTE_NS,
    NOW_NS,
    SECOND_NS,
    SESSION,
    SICK,
    Desk,
    Shelf,
    away,
    last_asked,
    minutes,
    rows_of,
    tried,
)


async def test_an_empty_answer_is_asked_of_one_more_and_judged() -> None:
    desk = Desk(Shelf("polygon"), Shelf("alpaca", bars_at=FULL), Shelf("finnhub", bars_at=FULL))
    served = await desk.serve(minutes("AAPL"))
    assert tried(served) == [("polygon", "empty"), ("alpaca", "ok")]
    assert len(rows_of(a.result for a in served.answers)) == 390
    assert (served.empty, served.rest) == ((), [])
    assert desk.reported() == [
        ("polygon", "job", "empty"),
        ("alpaca", "job", "ok"),
        ("polygon", "judgement", "empty"),
    ]
    judgement = desk.reports[-1]
    assert judgement.incompleteness == 1.0
    assert judgement.latency_ms == 0.0
    # it can be asked again, as it is proved that there is something
    assert judgement.asked is not None
    assert judgement.asked.symbol == "AAPL"
    assert len({report.id for report in desk.reports}) == 3


async def test_two_who_have_nothing_are_believed() -> None:
    desk = Desk(Shelf("polygon"), Shelf("alpaca"), Shelf("finnhub", bars_at=FULL))
    served = await desk.serve(minutes("AAPL"))
    assert desk.asked() == {"polygon": 1, "alpaca": 1}
    assert served.empty == ("AAPL",)
    assert served.rest == []
    assert [r.purpose for r in desk.reports] == ["job", "job"]


async def test_only_what_is_missing_is_asked_of_the_next() -> None:
    desk = Desk(
        Shelf("polygon", bars_at={"AAPL": SESSION}),
        Shelf("alpaca", bars_at={"MSFT": SESSION}),
        Shelf("finnhub", bars_at={"AAPL": SESSION, "MSFT": SESSION, "NOPE": SESSION}),
    )
    served = await desk.serve(minutes("AAPL", "NOPE", "MSFT"))
    assert desk.asked() == {"polygon": 1, "alpaca": 1}
    assert last_asked(desk, "alpaca") == "NOPE MSFT"
    assert [a.result.source.provider for a in served.answers] == ["polygon", "alpaca"]
    assert served.empty == ("NOPE",)
    # of 780 rows that there are, half were missing
    assert desk.reports[-1].incompleteness == 0.5
    assert (desk.reports[-1].provider, desk.reports[-1].purpose) == ("polygon", "judgement")


async def test_the_second_opinion_fails_over_too() -> None:
    desk = Desk(
        Shelf("polygon"),
        Shelf("alpaca", bars_at=FULL, troubles=[away("alpaca")]),
        Shelf("finnhub", bars_at=FULL),
    )
    served = await desk.serve(minutes("AAPL"))
    assert tried(served) == [("polygon", "empty"), ("alpaca", "away"), ("finnhub", "ok")]
    assert desk.reported()[-1] == ("polygon", "judgement", "empty")


async def test_where_nobody_could_contradict_a_claim_stands() -> None:
    desk = Desk(Shelf("polygon"), Shelf("iex", "iex", bars_at=FULL))
    served = await desk.serve(minutes("AAPL"))
    # iex has other trades: it cannot say anything about the tape
    assert desk.asked() == {"polygon": 1}
    assert (served.empty, served.rest) == (("AAPL",), [])


async def test_a_claim_waits_for_who_could_contradict_it() -> None:
    desk = Desk(Shelf("polygon"), Shelf("alpaca", bars_at=FULL), Shelf("iex", "iex", bars_at=FULL))
    desk.standings = {"alpaca": SICK}
    served = await desk.serve(minutes("AAPL"), allow_downgrade=True)
    assert desk.asked() == {"polygon": 1}, "lesser coverage is for when nobody has the better"
    (rest,) = served.rest
    assert (served.empty, served.answers, rest.never, rest.heal) == ((), [], False, False)
    assert rest.request.symbols == ("AAPL",)
    assert rest.why.startswith("polygon has nothing or too little, and nobody else can be asked now; ")
    assert rest.not_before_ns == NOW_NS + 30 * SECOND_NS


async def test_a_claim_waits_out_a_limit_of_who_could_contradict_it() -> None:
    limit = RateLimited("our own budget is spent", provider="alpaca", code="budget", retry_after_s=7.0)
    desk = Desk(Shelf("polygon", bars_at={"MSFT": SESSION}), Shelf("alpaca", bars_at=FULL, troubles=[limit]))
    served = await desk.serve(minutes("AAPL", "MSFT"))
    (rest,) = served.rest
    assert rest.request.symbols == ("AAPL",)
    assert rest.not_before_ns == NOW_NS + 7 * SECOND_NS
    assert [row.symbol for answer in served.answers for row in answer.result.rows[:1]] == ["MSFT"]


async def test_two_claims_settle_it_while_a_third_is_away() -> None:
    desk = Desk(Shelf("polygon"), Shelf("alpaca"), Shelf("finnhub", bars_at=FULL))
    desk.standings = {"finnhub": SICK}
    served = await desk.serve(minutes("AAPL"))
    assert (served.empty, served.rest) == (("AAPL",), [])


async def test_a_bad_request_as_second_opinion_is_no_verdict_on_the_job() -> None:
    desk = Desk(
        Shelf("polygon"),
        Shelf("alpaca", troubles=[BadRequest("invalid symbol", provider="alpaca", status=400)]),
        Shelf("finnhub", bars_at=FULL),
    )
    served = await desk.serve(minutes("AAPL"))
    assert desk.asked() == {"polygon": 1, "alpaca": 1}
    assert (served.wrong, served.empty) == ("", ("AAPL",))


async def test_a_symbol_that_it_does_not_know_is_asked_of_one_more() -> None:
    unknown = NotFound("Ticker not found.", provider="polygon", status=404)
    desk = Desk(
        Shelf("polygon", troubles=[unknown]), Shelf("alpaca", bars_at=FULL), Shelf("finnhub", bars_at=FULL)
    )
    served = await desk.serve(minutes("AAPL"))
    assert tried(served) == [("polygon", "not_found"), ("alpaca", "ok")]
    assert desk.reported()[-1] == ("polygon", "judgement", "not_found")
    assert desk.reports[-1].incompleteness == 1.0


async def test_a_symbol_that_nobody_knows_costs_nothing_for_an_hour() -> None:
    desk = Desk(
        Shelf("polygon", troubles=[NotFound("?", provider="polygon")]),
        Shelf("alpaca", troubles=[NotFound("?", provider="alpaca")]),
        Shelf("finnhub", bars_at={"NOPE": SESSION}),
    )
    for _ in range(3):
        served = await desk.serve(minutes("NOPE"))
        assert served.empty == ("NOPE",)
    assert desk.asked() == {"polygon": 1, "alpaca": 1}
    await desk.serve(minutes("AAPL"))
    assert desk.asked() == {"polygon": 2, "alpaca": 2}
    desk.later(3_601)
    await desk.serve(minutes("NOPE"))
    assert desk.asked() == {"polygon": 3, "alpaca": 3}


async def test_a_symbol_that_others_know_is_asked_for_again_sooner_and_judged_once() -> None:
    desk = Desk(
        Shelf("polygon", bars_at=FULL, troubles=[NotFound("?", provider="polygon")]),
        Shelf("alpaca", bars_at=FULL),
    )
    for _ in range(4):
        assert (await desk.serve(minutes("AAPL"))).answers
        desk.later(70)
    assert desk.asked() == {"polygon": 1, "alpaca": 4}
    assert [r.purpose for r in desk.reports].count("judgement") == 1
    desk.later(30)
    await desk.serve(minutes("AAPL"))
    assert desk.asked() == {"polygon": 2, "alpaca": 4}


async def test_a_known_stranger_among_others_is_asked_of_the_next_alone() -> None:
    desk = Desk(
        Shelf("polygon", bars_at=FULL, troubles=[NotFound("?", provider="polygon")]),
        Shelf("alpaca", bars_at={"NEW": SESSION}),
    )
    await desk.serve(minutes("NEW"))
    reports = len(desk.reports)
    served = await desk.serve(minutes("AAPL", "NEW"))
    assert last_asked(desk, "polygon") == "AAPL"
    assert last_asked(desk, "alpaca") == "NEW"
    assert [len(a.result.rows) for a in served.answers] == [390, 390]
    assert [r.purpose for r in desk.reports[reports:]] == ["job", "job"]


async def test_an_answer_that_ends_early_is_asked_of_one_more() -> None:
    stale = {"AAPL": SESSION, "MSFT": SESSION[:300]}
    desk = Desk(Shelf("polygon", bars_at=stale), Shelf("alpaca", bars_at=FULL), Shelf("finnhub"))
    served = await desk.serve(minutes("AAPL", "MSFT"))
    assert last_asked(desk, "alpaca") == "MSFT"
    assert [len(a.result.rows) for a in served.answers] == [690, 390]
    assert desk.reported()[-1] == ("polygon", "judgement", "ok")
    assert desk.reports[-1].incompleteness == pytest.approx(90 / 780)
    assert served.empty == ()


async def test_a_quiet_symbol_is_as_quiet_elsewhere() -> None:
    quiet = {"AAPL": SESSION[:200]}
    desk = Desk(Shelf("polygon", bars_at=quiet), Shelf("alpaca", bars_at=quiet), Shelf("finnhub"))
    served = await desk.serve(minutes("AAPL"))
    assert desk.asked() == {"polygon": 1, "alpaca": 1}
    assert [r.purpose for r in desk.reports] == ["job", "job"]
    assert served.empty == ()


async def test_a_bar_or_two_more_prove_nothing() -> None:
    desk = Desk(Shelf("polygon"), Shelf("alpaca", bars_at={"AAPL": SESSION[100:102]}))
    served = await desk.serve(minutes("AAPL"))
    assert len(rows_of(a.result for a in served.answers)) == 2
    assert [r.purpose for r in desk.reports] == ["job", "job"]


async def test_an_old_latest_quote_is_asked_of_one_more() -> None:
    old, new = NOW_NS - 16 * MINUTE_NS, NOW_NS - SECOND_NS
    desk = Desk(
        Shelf("polygon", quotes_at={"AAPL": [old], "MSFT": [new]}),
        Shelf("alpaca", quotes_at={"AAPL": [new]}),
    )
    served = await desk.serve(QuotesRequest(("AAPL", "MSFT")))
    assert last_asked(desk, "alpaca") == "AAPL"
    assert rows_of(a.result for a in served.answers) == [("AAPL", old), ("MSFT", new), ("AAPL", new)]
    assert desk.reports[-1].incompleteness == 0.5
    assert desk.reports[-1].asked is not None
    assert (desk.reports[-1].asked.interval, desk.reports[-1].asked.start) == (None, None)

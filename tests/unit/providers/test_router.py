"""Whom the router would ask: what plans include, what the table says, and what it was told itself."""

from __future__ import annotations

import pytest

from domain.routing import Standing
from providers.base import BarsRequest, QuotesRequest
from providers.capability import Access
from providers.horizon import seen_from, seen_until
from providers.serving import kind_of
from schemas.errors import EntitlementMissing, ProviderAway, RateLimited
from tests.unit.providers.desk import (
    CLOSE_NS,
    MINUTE_NS,
    NOW_NS,
    OPEN_NS,
    SECOND_NS,
    SESSION,
    SICK,
    Desk,
    Shelf,
    minutes,
    ns,
)

REQUEST = minutes("AAPL")
DAY = BarsRequest(("AAPL",), "1d", ns("2026-03-02T05:00:00"), ns("2026-03-07T05:00:00"))


def desk() -> Desk:
    """All four with keys, of paid plans; `iex` has IEX alone."""
    return Desk(
        Shelf("polygon", bars_at={"AAPL": SESSION}),
        Shelf("alpaca", bars_at={"AAPL": SESSION}),
        Shelf("finnhub", bars_at={"AAPL": SESSION}),
        Shelf("iex", "iex", bars_at={"AAPL": SESSION}),
    )


def order(desk: Desk, request: BarsRequest | QuotesRequest = REQUEST) -> tuple[str, ...]:
    return desk.router.decide(request, desk.wants, desk.standings, desk.rules).order


def reasons(desk: Desk, request: BarsRequest | QuotesRequest = REQUEST) -> dict[str, str]:
    decision = desk.router.decide(request, desk.wants, desk.standings, desk.rules)
    return {verdict.provider: verdict.reason for verdict in decision.verdicts}


def test_the_policy_in_its_order_without_those_that_never_can() -> None:
    assert order(desk()) == ("polygon", "alpaca", "finnhub")
    assert reasons(desk())["iex"] == "lacks coverage"
    # finnhub's raw bars are those of minutes
    assert order(desk(), DAY) == ("polygon", "alpaca")


def test_nothing_known_of_a_provider_is_nothing_bad() -> None:
    one = desk()
    one.standings = {"alpaca": Standing(fit=True, score=0.93, reason="fit, score 0.93")}
    assert order(one) == ("polygon", "alpaca", "finnhub")
    assert reasons(one)["alpaca"] == "fit, score 0.93"


def test_the_table_takes_a_provider_out() -> None:
    one = desk()
    one.standings = {"polygon": SICK}
    assert order(one) == ("alpaca", "finnhub")
    assert reasons(one)["polygon"] == SICK.reason


def test_the_order_is_that_of_the_policy_not_of_the_scores() -> None:
    one = desk()
    one.standings = {"polygon": Standing(fit=True, score=0.6, reason="fit")}
    assert order(one)[0] == "polygon"


async def test_a_limit_is_a_reason_with_its_time() -> None:
    one = desk()
    one.shelves["polygon"].troubles = [RateLimited("slow down", provider="polygon", retry_after_s=30.0)]
    await one.serve(REQUEST)
    one.later(10)
    assert order(one) == ("alpaca", "finnhub")
    assert reasons(one)["polygon"] == "polygon: slow down, for 20.0 s"
    # of everything: it is the key that is limited
    assert order(one, DAY) == ("alpaca",)
    one.later(20)
    assert order(one)[0] == "polygon"


async def test_a_refusal_is_of_a_kind_and_has_its_words() -> None:
    one = desk()
    one.shelves["polygon"].troubles = [EntitlementMissing("upgrade", provider="polygon", status=403)]
    await one.serve(REQUEST)
    assert order(one) == ("alpaca", "finnhub")
    assert "403 upgrade, for 3600.0 s" in reasons(one)["polygon"]
    assert order(one, DAY) == ("polygon", "alpaca")
    assert order(one, QuotesRequest(("AAPL",)))[0] == "polygon"
    one.later(3_600)
    assert order(one)[0] == "polygon"


async def test_the_longest_reason_to_wait_counts() -> None:
    one = desk()
    one.shelves["polygon"].troubles = [ProviderAway("?", provider="polygon") for _ in range(3)]
    for _ in range(3):
        await one.serve(REQUEST)
    assert reasons(one)["polygon"] == "failures in a row here, for 2.0 s"
    one.later(2)
    one.shelves["polygon"].troubles = [RateLimited("slow down", provider="polygon", retry_after_s=9.0)]
    await one.serve(REQUEST)
    assert reasons(one)["polygon"] == "polygon: slow down, for 9.0 s"


@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        (minutes("AAPL"), "bars_1m"),
        (minutes("AAPL", interval="1h"), "bars_1m"),
        (DAY, "bars_1d"),
        (QuotesRequest(("AAPL",)), "quotes_l1"),
        (QuotesRequest(("AAPL",), OPEN_NS, CLOSE_NS), "quotes_l1"),
    ],
)
def test_which_policy_a_request_follows(request_: BarsRequest | QuotesRequest, kind: str) -> None:
    assert kind_of(request_) == kind


FREE_POLYGON = Access("polygon", "massive", "free")
FREE_ALPACA = Access("alpaca", "sip", "free")
PAID_ALPACA = Access("alpaca", "sip", "paid")
MIDNIGHT_NS = ns("2026-03-10T04:00:00")


@pytest.mark.parametrize(
    ("access", "request_", "until", "from_"),
    [
        # a quarter of an hour and one minute; of bars those that are over by then
        (
            FREE_ALPACA,
            minutes("AAPL", end_ns=NOW_NS),
            ns("2026-03-10T15:14:00"),
            NOW_NS + 16 * MINUTE_NS,
        ),
        (
            FREE_ALPACA,
            minutes("AAPL", end_ns=NOW_NS, interval="15m"),
            ns("2026-03-10T15:00:00"),
            NOW_NS + 16 * MINUTE_NS,
        ),
        (
            FREE_ALPACA,
            QuotesRequest(("AAPL",), OPEN_NS, NOW_NS),
            NOW_NS - 16 * MINUTE_NS,
            NOW_NS + 16 * MINUTE_NS,
        ),
        # nothing of the day that is under way in New York
        (FREE_POLYGON, minutes("AAPL", end_ns=NOW_NS), MIDNIGHT_NS, MIDNIGHT_NS + 86_400 * SECOND_NS),
        (
            FREE_POLYGON,
            minutes("AAPL", start_ns=MIDNIGHT_NS, end_ns=NOW_NS),
            None,
            MIDNIGHT_NS + 86_400 * SECOND_NS,
        ),
        # what has its delay behind it is seen, and what is never served is never seen
        (FREE_ALPACA, minutes("AAPL"), None, NOW_NS),
        (PAID_ALPACA, minutes("AAPL", end_ns=NOW_NS), None, NOW_NS),
        (FREE_POLYGON, minutes("AAPL", end_ns=NOW_NS, adjustment="all"), None, None),
        (FREE_POLYGON, QuotesRequest(("AAPL",), OPEN_NS, NOW_NS), None, None),
        (FREE_ALPACA, QuotesRequest(("AAPL",)), None, None),
    ],
)
def test_how_far_a_plan_sees(
    access: Access, request_: BarsRequest | QuotesRequest, until: int | None, from_: int | None
) -> None:
    assert seen_until(access, request_, NOW_NS, "consolidated") == until
    assert seen_from(access, request_, NOW_NS, "consolidated") == from_

"""Scripted trouble at every vendor: the right error, few requests, nothing left behind, no key in sight."""

from __future__ import annotations

import asyncio
import base64
import time
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from typing_extensions import override

from providers.base import BarsRequest
from providers.http import MAX_BODY_BYTES
from sandbox.market.market import Market
from sandbox.vendors.clock import SetTime
from schemas.errors import (
    AuthFailed,
    BadRequest,
    EntitlementMissing,
    Malformed,
    NotFound,
    ProviderAway,
    ProviderError,
    RateLimited,
)
from tests.integration.providers.case import (
    FRAGMENTS,
    HASTY,
    KEY,
    LONG,
    NOON_NS,
    PATIENT,
    SYMBOL,
    WINDOW,
    Case,
    CountingGate,
)
from tests.integration.providers.hosted import MarketClock
from tests.integration.providers.leftovers import Leftovers, assert_secret
from tests.integration.providers.month import closing
from tests.integration.providers.stranger import Stranger
from tests.integration.providers.subject import ALPACA, FINNHUB, POLYGON, SUBJECTS, TIINGO, Door, Subject
from tests.integration.providers.truth import Truth, first_difference

pytestmark = pytest.mark.integration
in_haste = pytest.mark.parametrize("timeouts", [HASTY], ids=["in_haste"])


@dataclass(frozen=True)
class Expected:
    """What should come of a fault that strikes every request."""

    kind: str
    error: type[ProviderError]
    requests: int
    how: dict[str, Any] = field(default_factory=dict)

    @override
    def __str__(self) -> str:
        return "-".join([self.kind, *(str(v)[:12] for v in self.how.values() if isinstance(v, int))])


def status(code: int, error: type[ProviderError], requests: int = 1) -> Expected:
    """A status of which the body says nothing."""
    return Expected("status", error, requests, {"status": code, "body": b"{}"})


FAULTS = [
    Expected("429", RateLimited, 1),
    *(Expected("5xx", ProviderAway, 2, {"status": code}) for code in (500, 502, 503, 504)),
    Expected("html", ProviderAway, 2),
    Expected("redirect", ProviderAway, 2),
    Expected("reset", ProviderAway, 2),
    Expected("cut", ProviderAway, 2),
    Expected("truncated", ProviderAway, 2),
    Expected("wrong_type", Malformed, 1),
    status(400, BadRequest),
    status(401, AuthFailed),
    status(402, EntitlementMissing),
    status(403, EntitlementMissing),
    status(404, NotFound),
    status(408, ProviderAway, 2),
    status(418, BadRequest),
    status(422, BadRequest),
    status(429, RateLimited),
    status(301, ProviderAway, 2),
    status(520, ProviderAway, 2),
    Expected("status", Malformed, 1, {"status": 200, "body": b"[" + b" " * MAX_BODY_BYTES}),
    Expected("status", Malformed, 1, {"status": 200, "body": b'{"status":5,"bars":5,"s":5}'}),
    Expected("status", Malformed, 1, {"status": 200, "body": b"null"}),
    Expected("status", ProviderAway, 2, {"status": 200, "body": b""}),
]


@pytest.mark.parametrize("expected", FAULTS, ids=str)
async def test_trouble_with_every_request(case: Case, expected: Expected) -> None:
    case.script(expected.kind, **expected.how)
    took = await case.ask()
    assert type(case.error) is expected.error
    assert took == expected.requests
    assert len(case.error.raw) <= 512
    assert case.error.provider == case.subject.access.provider


async def test_a_small_body_that_unpacks_to_a_large_one(case: Case) -> None:
    case.script("mutate", change=lambda body: [body, "0" * MAX_BODY_BYTES])
    assert await case.ask() == 1
    assert isinstance(case.error, Malformed)
    assert "more than" in str(case.error)


@pytest.mark.parametrize(
    ("subject", "what"),
    [
        pytest.param(subject, what, id=f"{subject.name}-{what}")
        for subject in SUBJECTS
        for what in ("days", "latest", "quotes")
        if (subject, what) != (TIINGO, "quotes")
    ],
)
@pytest.mark.parametrize(
    "expected",
    [
        Expected("429", RateLimited, 1),
        Expected("5xx", ProviderAway, 2),
        Expected("html", ProviderAway, 2),
        Expected("reset", ProviderAway, 2),
        Expected("truncated", ProviderAway, 2),
        Expected("wrong_type", Malformed, 1),
        status(404, NotFound),
    ],
    ids=str,
)
async def test_trouble_with_other_routes(case: Case, what: str, expected: Expected) -> None:
    case.script(expected.kind, **expected.how)
    assert await case.ask(what) == expected.requests
    assert type(case.error) is expected.error


@pytest.mark.parametrize("kind", ["reset", "cut", "5xx", "html", "truncated"])
async def test_trouble_on_a_connection_that_was_good(case: Case, kind: str) -> None:
    assert await case.ask() == 1
    assert case.error is None
    case.script(kind)
    assert await case.ask() == 2
    assert isinstance(case.error, ProviderAway)


@pytest.mark.parametrize("kind", ["reset", "cut", "5xx", "html", "truncated", "redirect"])
@pytest.mark.parametrize("nth", [1, 2])
async def test_trouble_that_passes(case: Case, kind: str, nth: int) -> None:
    truth = Truth(case.emulator.views, case.subject).bars([SYMBOL], "1m", LONG, now_ns=NOON_NS)
    plain = await case.ask("bars", LONG)
    assert not first_difference(case.answer, truth)
    assert plain > 1
    case.script(kind, nth=nth, times=1)
    assert await case.ask("bars", LONG) == plain + 1
    assert case.error is None
    assert not first_difference(case.answer, truth)


@in_haste
async def test_silence_is_waited_for_twice(case: Case) -> None:
    case.script("stall", seconds=0.9)
    assert await case.ask() == 2
    assert isinstance(case.error, ProviderAway)
    assert case.took_s < HASTY.total + 1.0


@in_haste
async def test_a_body_that_trickles(case: Case) -> None:
    # no pause in it is too long, all of them together are
    case.script("slow", seconds=5.0)
    assert await case.ask() <= 2
    assert isinstance(case.error, ProviderAway)
    assert HASTY.read < case.took_s < HASTY.total + 1.0


@pytest.mark.parametrize("timeouts", [replace(HASTY, total=1.0, read=0.7)], ids=["short"])
async def test_a_repetition_has_what_is_left_of_the_time(case: Case) -> None:
    case.script("stall", seconds=1.5)
    assert await case.ask() == 2
    assert isinstance(case.error, ProviderAway)
    assert 0.9 < case.took_s < 1.3


@pytest.mark.parametrize("timeouts", [replace(HASTY, total=0.7, read=10.0)], ids=["short"])
async def test_silence_that_outlasts_the_deadline(case: Case) -> None:
    case.script("stall", seconds=1.5)
    assert await case.ask() == 1
    assert isinstance(case.error, ProviderAway)
    assert 0.6 < case.took_s < 1.4


@in_haste
async def test_a_silence_that_passes(case: Case) -> None:
    assert await case.ask() == 1
    case.script("stall", times=1, seconds=0.9)
    assert await case.ask() == 2
    assert case.error is None
    assert case.answer


async def test_a_slow_body_that_ends_in_time(case: Case) -> None:
    case.script("slow", seconds=0.4)
    assert await case.ask() == 1
    assert not first_difference(
        case.answer, Truth(case.emulator.views, case.subject).bars([SYMBOL], "1m", WINDOW, now_ns=NOON_NS)
    )
    assert case.answer


async def test_the_right_body_under_a_wrong_name(case: Case) -> None:
    case.script("wrong_content_type")
    assert await case.ask() == 1
    assert not first_difference(
        case.answer, Truth(case.emulator.views, case.subject).bars([SYMBOL], "1m", WINDOW, now_ns=NOON_NS)
    )
    assert case.answer


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("0", 0.0),
        ("Fri, 14 Nov 2025 17:20:30 GMT", 30.0),
        ("soon", None),
        ("999999999", 86_400.0),
    ],
)
async def test_how_long_a_429_lasts(case: Case, header: str | None, seconds: float | None) -> None:
    case.script("429", retry_after=header)
    began = time.monotonic()
    assert await case.ask() == 1
    assert isinstance(case.error, RateLimited)
    # by the vendor's habit: what is left of the minute, or of the hour in New York
    usual = {"tiingo": 40 * 60.0}.get(case.subject.vendor, 60.0)
    wanted = usual if seconds is None else seconds
    assert case.error.retry_after_s == pytest.approx(wanted, abs=1.0)
    assert case.error.scope == ("hour" if case.subject.vendor == "tiingo" else "minute")
    longest = min(wanted, 3600.0) if case.subject.vendor == "tiingo" else wanted
    assert case.gate.blocked_until == pytest.approx(began + longest, abs=1.5)


async def test_one_failure_ends_all_symbols(case: Case, market: Market) -> None:
    case.script("5xx")
    before = case.requests
    with pytest.raises(ProviderAway):
        await case.client.bars(BarsRequest(tuple(market.symbols), "1m", *WINDOW))
    # as many as are asked at once, each with its repetition; those behind them not at all
    assert case.requests - before <= 16


async def test_giving_up_in_the_middle(case: Case, market: Market) -> None:
    case.script("stall", seconds=0.8)
    task = asyncio.create_task(case.client.bars(BarsRequest(tuple(market.symbols), "1m", *WINDOW)))
    before = case.requests
    while case.requests == before:
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


with_cursors = pytest.mark.parametrize(
    "subject", [s for s in SUBJECTS if s.cursors], ids=lambda subject: subject.name
)


@with_cursors
@pytest.mark.parametrize("what", ["bars", "quotes"])
async def test_pages_that_go_in_circles(case: Case, what: str) -> None:
    case.script("looping_cursor")
    assert await case.ask(what, LONG) <= 3
    assert isinstance(case.error, Malformed)


@with_cursors
async def test_a_second_page_that_is_the_next_of_itself(case: Case) -> None:
    second: dict[str, str] = {}

    def turn(body: Any) -> Any:
        name = "next_url" if case.subject.vendor == "polygon" else "next_page_token"
        body[name] = second.setdefault(name, body[name])
        return body

    case.script("mutate", change=turn)
    assert await case.ask("bars", LONG) == 2
    assert isinstance(case.error, Malformed)
    assert "same page" in str(case.error)


@pytest.mark.parametrize(
    ("subject", "what"),
    [(POLYGON, "bars"), (POLYGON, "quotes"), (ALPACA, "bars"), (ALPACA, "quotes"), (FINNHUB, "quotes")],
    ids=["polygon-bars", "polygon-quotes", "alpaca-bars", "alpaca-quotes", "finnhub-quotes"],
)
async def test_one_page_under_ever_new_names(case: Case, what: str) -> None:
    pages: list[Any] = []

    def again(body: Any) -> Any:
        pages.append(body)
        page, n = dict(pages[0]), len(pages)
        if "next_url" in page:
            page["next_url"] += f"&n={n}"
        elif "next_page_token" in page:
            name = f"{SYMBOL}|M|2025-10-30T08:00:00.{n:09}Z"
            page["next_page_token"] = base64.b64encode(name.encode()).decode()
        return page

    case.script("mutate", change=again, times=25)
    # a busy vendor would fill the memory long before any limit of pages
    assert await case.ask(what, LONG) <= 3
    assert isinstance(case.error, Malformed)


async def test_nobody_listens(subject: Subject, caplog: pytest.LogCaptureFixture) -> None:
    async with Stranger() as gone:
        url = gone.url
    gate, left = CountingGate(), Leftovers()
    key = KEY.format(vendor=subject.vendor)
    door = Door(url, key, f"{key}-secret", MarketClock(SetTime(NOON_NS)), gate, PATIENT)
    async with closing(subject.make(door)) as client:
        with pytest.raises(ProviderAway) as caught:
            await client.bars(BarsRequest((SYMBOL,), "1m", *WINDOW))
    assert gate.passed == 2
    await left.assert_none()
    assert_secret(FRAGMENTS, caught.value, caplog)

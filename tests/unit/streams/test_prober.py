"""Probes: what is asked, one at a time, until the table has heard of the last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from providers.base import BarRow, BarsRequest, BarsResult, QuoteRow, QuotesRequest, QuotesResult, Source
from providers.capability import Access
from schemas.errors import (
    AuthFailed,
    BadRequest,
    DatabaseAway,
    EntitlementMissing,
    Malformed,
    NotFound,
    ProviderAway,
    RateLimited,
)
from schemas.outcome import Asked, ProviderOutcome
from schemas.provider_health import ProviderHealth
from streams import prober as module
from streams.prober import LONGEST_NS, Prober, questions
from streams.status import Counters
from tests.unit.domain.outcomes import START
from tests.unit.ops.snapshots import health
from tests.unit.streams.clocks import SetClock

DAY_NS = 86_400_000_000_000
MINUTES = Asked(symbol="MSFT", interval="1m", start=START - DAY_NS, end=START)
PAID = Access("polygon", "massive", "paid")
SOURCE = Source("polygon", "sip", "consolidated", "polygon.v1")
HALF_OPEN = health(state="half_open", asked=MINUTES)
Request = BarsRequest | QuotesRequest


def symbols(access: Access, asked: Asked | None, **more: Any) -> list[tuple[str, str | None]]:
    found = questions(access, asked, START, **more)
    assert all(request.symbols == (a.symbol,) for request, a in found)
    return [(a.symbol, a.interval) for _, a in found]


def test_a_probe_asks_what_a_job_asked_last():
    request, asked = questions(PAID, MINUTES, START)[0]
    assert asked == MINUTES
    assert request == BarsRequest(("MSFT",), "1m", START - DAY_NS, START)


def test_without_a_job_it_asks_what_everybody_has():
    days = ("AAPL", "1d")
    assert symbols(PAID, None) == [days, days, ("AAPL", None)], "polygon adjusts for dividends nowhere"
    assert symbols(Access("finnhub", "finnhub", "paid"), None) == [days, ("AAPL", None)]
    assert symbols(Access("polygon", "massive", "free"), None) == [days, days], "and no quotes on this plan"
    assert symbols(Access("finnhub", "finnhub", "free"), MINUTES) == []
    assert symbols(PAID, None, otherwise=MINUTES)[-1] == ("MSFT", "1m")
    assert symbols(PAID, MINUTES, otherwise=MINUTES).count(("MSFT", "1m")) == 1


def test_the_days_that_it_asks_for_are_over_everywhere():
    request, _ = questions(PAID, None, START)[0]
    assert isinstance(request, BarsRequest)
    assert (request.start_ns, request.end_ns) == (START - 8 * DAY_NS, START - DAY_NS)


def test_no_probe_fetches_a_year_of_minutes():
    long = MINUTES.model_copy(update={"start": START - 365 * DAY_NS})
    request, asked = questions(PAID, long, START)[0]
    assert isinstance(request, BarsRequest)
    assert (request.end_ns - request.start_ns, asked) == (LONGEST_NS, long)


def test_what_the_plan_does_not_have_is_not_asked():
    old = MINUTES.model_copy(update={"start": START - 900 * DAY_NS, "end": START - 899 * DAY_NS})
    assert symbols(Access("polygon", "massive", "free"), old)[0] == ("AAPL", "1d")


class Vendor:
    """Answers with what the test put into the list, the last again and again; notes who asks at a time."""

    def __init__(self) -> None:
        self.answers: list[int | Exception] = [1]
        self.requests: list[Request] = []
        self.under_way = self.most = 0
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def bars(self, request: BarsRequest) -> BarsResult:
        rows = await self._answer(request)
        row = BarRow("AAPL", START, 1, 1, 1, 1, 1, None, None)
        return BarsResult([row] * rows, SOURCE, "raw", (request.start_ns, request.end_ns), requests=4)

    async def quotes(self, request: QuotesRequest) -> QuotesResult:
        return QuotesResult([QuoteRow("AAPL", START, 1, 1, 2, 1)] * await self._answer(request), SOURCE)

    async def _answer(self, request: Request) -> int:
        self.requests.append(request)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.go_on.wait()
        finally:
            self.under_way -= 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Keeper:
    """Has what the test says, and folds a probe when the test lets it."""

    def __init__(self) -> None:
        self.kept: dict[str, ProviderHealth] = {"polygon": HALF_OPEN}
        self.fold = asyncio.Event()
        self.fold.set()
        self.awaited: list[str] = []

    async def until_folded(self, provider: str, probe_id: str) -> None:
        self.awaited.append(probe_id)
        await self.fold.wait()


class Worker:
    """What a prober asks of its app."""

    def __init__(self) -> None:
        self.vendor, self.keeper = Vendor(), Keeper()
        self.clock = SetClock(START / 1e9)
        self.worker_id = "w1"
        self.counters = Counters()
        self.reported: list[ProviderOutcome] = []
        self.compared: list[tuple[str, BarsRequest, BarsResult]] = []
        self.proved: float | None = None

        async def incompleteness(provider: str, request: BarsRequest, result: BarsResult) -> float | None:
            self.compared.append((provider, request, result))
            self.clock.seconds += 3  # others take their time, which is not the probed one's
            return self.proved

        self.services = SimpleNamespace(
            health_keeper=self.keeper,
            reconciler=SimpleNamespace(incompleteness=incompleteness),
            clients={"polygon": self.vendor},
            vendors=SimpleNamespace(accesses={"polygon": PAID}),
            outcomes=SimpleNamespace(report=self.reported.append),
        )


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(module, "LOOK_S", 0.001)


@asynccontextmanager
async def probing(worker: Worker) -> AsyncIterator[Prober]:
    prober = Prober(cast(Any, worker))
    await prober.start()
    try:
        yield prober
        assert prober.crashed is False
    finally:
        await prober.stop()


async def until(condition) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def looked() -> None:
    """Let the prober look a few times."""
    await asyncio.sleep(0.02)


async def test_a_probe_tells_everybody_how_it_went(quick):
    worker = Worker()
    worker.vendor.go_on.clear()
    async with probing(worker):
        await until(lambda: worker.vendor.requests)
        worker.clock.seconds += 0.2
        worker.vendor.go_on.set()
        await until(lambda: worker.reported)
    (probe,) = worker.reported
    assert (probe.provider, probe.purpose, probe.outcome, probe.rows) == ("polygon", "probe", "ok", 1)
    assert probe.latency_ms == pytest.approx(50.0), "of each of its four requests"
    assert (probe.asked, probe.worker) == (MINUTES, "w1")
    assert worker.keeper.awaited == [probe.id]
    assert worker.counters.providers.probes == 1
    ((provider, request, result),) = worker.compared
    assert (provider, request, len(result.rows)) == ("polygon", worker.vendor.requests[0], 1)
    assert probe.incompleteness is None


@pytest.mark.parametrize("share", [0.0, 0.3])
async def test_rows_of_a_probe_are_held_against_what_others_say(quick, share):
    worker = Worker()
    worker.proved = share
    async with probing(worker):
        await until(lambda: worker.reported)
    assert worker.reported[0].incompleteness == share
    assert worker.reported[0].latency_ms < 3_000


@pytest.mark.parametrize("state", ["open", "closed"])
async def test_only_the_half_open_are_probed(quick, state):
    worker = Worker()
    worker.keeper.kept = {"polygon": health(state=state)}
    async with probing(worker):
        await looked()
    assert worker.vendor.requests == []


async def test_one_at_a_time(quick):
    worker = Worker()
    worker.vendor.go_on.clear()
    worker.keeper.fold.clear()
    async with probing(worker):
        await until(lambda: worker.vendor.requests)
        worker.clock.seconds += 5
        await looked()
        assert len(worker.vendor.requests) == 1, "the first is still under way"
        worker.vendor.go_on.set()
        await until(lambda: worker.reported)
        worker.clock.seconds += 5
        await looked()
        assert len(worker.vendor.requests) == 1, "the table has not heard of the first"
        worker.keeper.fold.set()
        await looked()
        assert len(worker.vendor.requests) == 1, "a pause lies between two"
        worker.clock.seconds += module.PAUSE_S
        await until(lambda: len(worker.vendor.requests) == 2)
    assert worker.vendor.most == 1


async def test_an_outcome_that_was_lost_does_not_end_the_probing(quick, monkeypatch):
    monkeypatch.setattr(module, "FOLDED_S", 0.01)
    worker = Worker()
    worker.keeper.fold.clear()
    async with probing(worker) as prober:
        await until(lambda: worker.reported)
        await until(lambda: not prober._under_way)
        worker.clock.seconds += module.PAUSE_S
        await until(lambda: len(worker.reported) == 2)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (AuthFailed, "auth"),
        (EntitlementMissing, "entitlement"),
        (BadRequest, "bad_request"),
        (NotFound, "not_found"),
        (ProviderAway, "away"),
        (Malformed, "malformed"),
    ],
)
async def test_errors_are_outcomes(quick, error, outcome):
    worker = Worker()
    worker.vendor.answers = [error("x" * 600, provider="polygon", status=503)]
    async with probing(worker):
        await until(lambda: worker.reported)
    probe = worker.reported[0]
    assert (probe.outcome, probe.rows) == (outcome, 0)
    assert probe.detail.startswith("polygon: 503 xxx")


async def test_no_answer_is_an_outcome(quick, monkeypatch):
    monkeypatch.setattr(module, "ANSWER_S", 0.01)
    worker = Worker()
    worker.vendor.go_on.clear()
    async with probing(worker):
        await until(lambda: worker.reported)
    assert worker.reported[0].outcome == "away"


@pytest.mark.parametrize(
    "refusal",
    [RateLimited("ours", provider="polygon", code="budget", retry_after_s=3.0), DatabaseAway("no")],
)
async def test_what_was_not_sent_is_no_outcome(quick, refusal):
    worker = Worker()
    worker.vendor.answers = [refusal, 1]
    async with probing(worker):
        await until(lambda: worker.vendor.requests)
        await looked()
        assert worker.reported == []
        worker.clock.seconds += 2.9
        await looked()
        assert len(worker.vendor.requests) == 1
        worker.clock.seconds += module.REFUSED_S
        await until(lambda: worker.reported)


async def test_a_vendors_limit_is_told_and_kept(quick):
    worker = Worker()
    worker.vendor.answers = [RateLimited("slow down", provider="polygon", retry_after_s=9.0), 1]
    async with probing(worker):
        await until(lambda: worker.reported)
        assert worker.reported[0].outcome == "rate_limited"
        worker.clock.seconds += 8.9
        await looked()
        assert len(worker.vendor.requests) == 1
        worker.clock.seconds += 0.2
        await until(lambda: len(worker.vendor.requests) == 2)
    assert worker.vendor.requests[0] == worker.vendor.requests[1], "the question was not at fault"


async def test_a_question_that_brings_nothing_is_followed_by_another(quick):
    worker = Worker()
    worker.keeper.kept = {"polygon": health(state="half_open", asked=None)}
    worker.vendor.answers = [0, 0, 1, 1, 1]
    async with probing(worker):
        for n in range(1, 6):
            await until(lambda n=n: len(worker.reported) == n)
            await looked()
            worker.clock.seconds += module.PAUSE_S
    assert [probe.outcome for probe in worker.reported] == ["empty", "empty", "ok", "ok", "ok"]
    asked = [probe.asked for probe in worker.reported]
    assert len(set(map(repr, asked[:3]))) == 3
    assert asked[2] == asked[3] == asked[4], "what brings rows is asked again: three must pass in a row"


async def test_a_worker_without_the_key_cannot_probe(quick, caplog):
    worker = Worker()
    worker.services.clients = {}
    async with probing(worker):
        await until(lambda: "no key to probe it with" in caplog.text)
        await looked()
    assert caplog.text.count("no key to probe it with") == 1

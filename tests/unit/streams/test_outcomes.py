"""Outcomes on their way: nothing waits for them, the oldest are dropped, every number is counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from schemas.errors import OutageOutlasted
from schemas.outcome import Asked, ProviderOutcome
from schemas.provider import PROVIDERS
from streams import outcomes as module
from streams.outcomes import Outcomes, home
from streams.output import Message, Target
from streams.status import ProviderCounters
from tests.unit.domain.outcomes import AAPL, outcome


class Broker:
    """Takes batches, unless it is away."""

    def __init__(self) -> None:
        self.batches: list[dict[Target, list[Message]]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.refused = 0

    async def deliver(self, messages: Mapping[Target, list[Message]]) -> None:
        await self.open.wait()
        if self.refused:
            self.refused -= 1
            raise OutageOutlasted
        self.batches.append(dict(messages))

    def ids(self) -> list[str]:
        return [
            ProviderOutcome.model_validate_json(value or b"").id
            for batch in self.batches
            for messages in batch.values()
            for _, value, _ in messages
        ]


@asynccontextmanager
async def started(broker: Broker, counters: ProviderCounters | None = None) -> AsyncIterator[Outcomes]:
    outcomes = Outcomes(broker.deliver, "outcomes", 3, counters or ProviderCounters())
    await outcomes.start()
    try:
        yield outcomes
    finally:
        await outcomes.stop()


async def until(condition) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


def test_the_partition_is_that_of_kafkas_own_partitioner():
    # an integration test asks librdkafka, too
    assert {p: [home(p, n) for n in (1, 3, 6)] for p in PROVIDERS} == {
        "polygon": [0, 2, 5],
        "finnhub": [0, 0, 3],
        "alpaca": [0, 1, 4],
        "iex": [0, 0, 3],
    }


async def test_outcomes_go_in_one_batch_by_their_provider():
    broker = Broker()
    async with started(broker) as outcomes:
        for n in range(20):
            outcomes.report(outcome(provider="polygon" if n % 2 else "iex", id=f"o{n}"))
        await until(lambda: broker.batches)
    (batch,) = broker.batches
    assert set(batch) == {("outcomes", home("polygon", 3)), ("outcomes", home("iex", 3))}
    key, value, headers = batch["outcomes", home("polygon", 3)][0]
    assert (key, ProviderOutcome.model_validate_json(value or b"")) == (b"polygon", outcome(id="o1"))
    assert dict(headers) == {
        "content-type": b"application/json",
        "schema": b"provider-outcome.v1",
        "id": b"o1",
    }


async def test_while_the_broker_is_away_the_oldest_are_dropped_and_nobody_waits(monkeypatch):
    monkeypatch.setattr(module, "MAX_WAITING", 10)
    broker, counters = Broker(), ProviderCounters()
    async with started(broker, counters) as outcomes:
        broker.open.clear()
        outcomes.report(outcome(id="first"))
        await until(lambda: not outcomes._waiting)
        for n in range(25):
            outcomes.report(outcome(id=f"o{n}"))
        assert counters.outcomes_dropped == 15
        broker.open.set()
        await until(lambda: len(broker.ids()) == 11)
    assert broker.ids() == ["first", *(f"o{n}" for n in range(15, 25))]


async def test_an_outage_that_outlasts_its_budget_does_not_end_the_worker():
    broker, counters = Broker(), ProviderCounters()
    async with started(broker, counters) as outcomes:
        broker.refused = 1
        outcomes.report(outcome(id="lost"))
        await until(lambda: counters.outcomes_dropped)
        outcomes.report(outcome(id="kept"))
        await until(lambda: broker.batches)
        assert outcomes.crashed is False
    assert broker.ids() == ["kept"]
    assert counters.outcomes_dropped == 1


async def test_what_is_left_at_the_end_is_sent():
    broker = Broker()
    async with started(broker) as outcomes:
        for n in range(1_200):
            outcomes.report(outcome(id=f"o{n}"))
    assert broker.ids() == [f"o{n}" for n in range(1_200)]


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        (None, "quotes_l1"),
        (Asked(symbol="AAPL"), "quotes_l1"),
        (Asked(symbol="AAPL", interval="1h"), "bars_1m"),
        (AAPL, "bars_1m"),
        (Asked(symbol="AAPL", interval="1d"), "bars_1d"),
    ],
)
async def test_jobs_are_counted_by_the_policy_that_chose(asked, kind):
    counters = ProviderCounters()
    Outcomes(Broker().deliver, "outcomes", 3, counters).report(outcome(provider="iex", asked=asked))
    assert {key: n for key, n in counters.selected.items() if n} == {("iex", kind): 1}


async def test_what_is_counted_of_whom():
    counters = ProviderCounters()
    outcomes = Outcomes(Broker().deliver, "outcomes", 3, counters)
    outcomes.report(outcome("ok", latency_ms=5.0))
    outcomes.report(outcome("empty", latency_ms=5.1))
    outcomes.report(outcome("away", latency_ms=20_000.0))
    outcomes.report(outcome("rate_limited", purpose="probe", latency_ms=1.0))
    outcomes.report(outcome("malformed", purpose="judgement", latency_ms=0.0))
    assert {key: n for key, n in counters.errors.items() if n} == {
        ("polygon", "away"): 1,
        ("polygon", "rate_limited"): 1,
    }
    assert sum(counters.selected.values()) == 3, "a probe was not chosen by a policy"
    latency = counters.latency["polygon"]
    assert (latency.classes[0], latency.classes[1], latency.classes[-1]) == (2, 1, 1)
    assert sum(latency.classes) == 4, "a judgement is no request"
    assert latency.total_ms == pytest.approx(20_011.1)
    assert counters.latency["iex"].total_ms == 0

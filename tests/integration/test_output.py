"""The worker's producer: everything delivered when it says so, or an error within the budget."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from domain.clock import SystemClock
from schemas.errors import Fatal, OutageOutlasted
from schemas.topics import CANDLES, DEAD_LETTERS
from streams import topics
from streams.output import BATCH_BYTES, Message, Output
from tests.integration import records

pytestmark = pytest.mark.integration

#: a producer that takes longer to stop hangs
STOP_S = 10.0


@contextlib.asynccontextmanager
async def started(bootstrap: str, budget_s: float = 30.0) -> AsyncIterator[Output]:
    output = Output(bootstrap, "tapeflow-test", budget_s, SystemClock())
    await output.start()
    try:
        yield output
    finally:
        async with asyncio.timeout(STOP_S):
            await output.stop()


@pytest.fixture
async def candles(kafka: Any, topic_prefix: str) -> str:
    await topics.apply(kafka.bootstrap, prefix=topic_prefix, partitions=3)
    return topic_prefix + CANDLES.name


async def test_what_was_delivered_is_there_in_order_with_key_and_headers(kafka, candles):
    messages = [(b"AAPL", b"%d" % n, [("id", b"%d" % n), ("schema", b"candle.v1")]) for n in range(50)]
    async with started(kafka.bootstrap) as output:
        await output.deliver({(candles, 2): messages[:40], (candles, 0): messages[40:]})
        assert output.last_success is not None
        assert output.waiting_s == 0
        found = records.read(kafka.bootstrap, candles)
    assert [(m.partition(), m.key(), m.value(), m.headers()) for m in found] == [
        (0, *m) for m in messages[40:]
    ] + [(2, *m) for m in messages[:40]]


async def test_a_dead_letter_keeps_a_null_key_and_value_and_headers_of_the_same_name(kafka, candles):
    headers = [("a", b"1"), ("a", b"2"), ("", b"")]
    async with started(kafka.bootstrap) as output:
        await output.deliver({(candles, 0): [(None, None, headers), (b"", b"", [])]})
    found = records.read(kafka.bootstrap, candles)
    assert [(m.key(), m.value(), m.headers() or []) for m in found] == [(None, None, headers), (b"", b"", [])]


async def test_more_than_one_batch_of_a_partition_stays_in_order(kafka, candles):
    big: list[Message] = [(b"k", b"%06d" % n + bytes(1_000), []) for n in range(3 * BATCH_BYTES // 1_000)]
    async with started(kafka.bootstrap) as output:
        await output.deliver({(candles, 1): big})
    assert [m.value() for m in records.read(kafka.bootstrap, candles)] == [value for _, value, _ in big]


@pytest.mark.parametrize("size", [BATCH_BYTES + 1, 1_000_000])
async def test_an_original_larger_than_a_batch_still_becomes_a_dead_letter(kafka, candles, size):
    topic = candles.removesuffix(CANDLES.name) + DEAD_LETTERS.name
    async with started(kafka.bootstrap) as output:
        await output.deliver({(topic, 0): [(b"k", b"1", []), (b"k", bytes(size), []), (b"k", b"2", [])]})
    assert [len(m.value() or b"") for m in records.read(kafka.bootstrap, topic)] == [1, size, 1]


async def test_nothing_to_deliver_is_delivered(kafka, candles):
    async with started(kafka.bootstrap) as output:
        await output.deliver({})
        await output.deliver({(candles, 0): []})
    assert records.read(kafka.bootstrap, candles) == []


async def test_a_record_that_the_broker_refuses_is_no_outage(kafka, candles):
    async with started(kafka.bootstrap) as output:
        incompressible = random.Random(1).randbytes(1_200_000)
        with pytest.raises(Fatal) as refused:
            await output.deliver({(candles, 0): [(b"k", incompressible, [])]})
    assert not isinstance(refused.value, OutageOutlasted)


async def test_a_broker_that_went_away_is_waited_for_and_then_the_worker_ends(kafka, candles):
    async with started(kafka.bootstrap, budget_s=4.0) as output:
        await output.deliver({(candles, 0): [(b"k", b"1", [])]})
        kafka.kill()
        try:
            begun = time.monotonic()
            with pytest.raises(OutageOutlasted, match=r"the broker was away for 4 s") as outlasted:
                async with asyncio.timeout(15):
                    await output.deliver({(candles, 0): [(b"k", b"2", [])]})
            assert time.monotonic() - begun < 12
            assert outlasted.value.exit_code == 4
            assert output.waiting_s == 0
            await asyncio.wait_for(output.stop(), STOP_S)
        finally:
            kafka.start()


async def test_a_broker_that_comes_back_within_the_budget_gets_everything_once(kafka, candles):
    async with started(kafka.bootstrap, budget_s=60.0) as output:
        await output.deliver({(candles, 0): [(b"k", b"1", [])]})
        kafka.stop()
        try:
            waiting = asyncio.ensure_future(output.deliver({(candles, 0): [(b"k", b"2", [])]}))
            while output.waiting_s < 0.5:
                await asyncio.sleep(0.05)
        finally:
            kafka.start()
        await waiting
    assert [m.value() for m in records.read(kafka.bootstrap, candles)] == [b"1", b"2"]

"""How long a delivery may wait for the broker, and what does not count."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiokafka.errors import KafkaTimeoutError

from domain.clock import SystemClock
from streams.output import Output

BUDGET_S = 0.5


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> Output:
    monkeypatch.setattr("streams.output.STEP_S", 0.1)
    return Output("127.0.0.1:1", "unit", BUDGET_S, SystemClock())


async def test_a_process_that_was_stopped_has_not_waited(output):
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    settling = asyncio.ensure_future(output._settle([future]))
    await asyncio.sleep(0)
    time.sleep(2 * BUDGET_S)  # as SIGSTOP does: nothing runs, and the clock goes on
    loop.call_later(0.15, future.set_result, None)
    await settling
    assert output._given_up == set()


async def test_what_is_not_taken_within_the_budget_is_given_up(output):
    loop = asyncio.get_running_loop()
    taken, stuck = loop.create_future(), loop.create_future()
    taken.set_result(None)
    begun = loop.time()
    with pytest.raises(KafkaTimeoutError):
        await output._settle([taken, stuck])
    assert loop.time() - begun >= BUDGET_S * 0.9
    assert output._given_up == {stuck}


async def test_a_refusal_is_told_at_once_and_the_rest_given_up(output):
    loop = asyncio.get_running_loop()
    refused, stuck = loop.create_future(), loop.create_future()
    refused.set_exception(ValueError("no"))
    begun = loop.time()
    with pytest.raises(ValueError, match="no"):
        await output._settle([refused, stuck])
    assert loop.time() - begun < BUDGET_S
    assert output._given_up == {stuck}

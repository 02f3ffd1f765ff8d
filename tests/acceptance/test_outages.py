"""The database away, the broker away, both under load: nothing lost, nothing dead-lettered, all caught up."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from domain.clock import SystemClock
from schemas.trade import Trade
from streams.topics import admin
from tests.acceptance.conftest import RigFactory
from tests.acceptance.rig import Rig, wait_until
from tests.acceptance.sampler import Sampler
from tests.market import MarketFile

RATE = 10_000
OUTAGE_S = 30.0


def says_why(rig: Rig, name: str, reason: str) -> None:
    """Wait until probe and page give the reason, while the process counts as alive."""
    wait_until(lambda: reason in rig.get(name, "/readyz")[1], 30, f"{name} says on /readyz: {reason}")
    assert rig.get(name, "/readyz")[0] == 503
    assert rig.get(name, "/livez")[0] == 200
    assert reason in rig.get(name, "/", accept="text/html")[1]


def test_database_stopped_under_load(make_rig: RigFactory, timescale: Any, middling: MarketFile) -> None:
    rig = make_rig()
    rig.start("w1")
    rig.start("w2")
    rig.wait_ready("w1", "w2")
    rig.produce(middling.path, RATE)
    with Sampler(rig) as sampler:
        wait_until(lambda: rig.stored() > middling.records // 10, 60, "a tenth is stored")
        stopped = time.monotonic()
        timescale.stop()
        try:
            for name in ("w1", "w2"):
                says_why(rig, name, "waiting for the database")
            # consumption pauses: the queues fill, then nothing more comes in
            pause = rig.status("w1")
            wait_until(lambda: time.monotonic() - stopped > OUTAGE_S, OUTAGE_S + 5, "the outage has lasted")
            settled = rig.status("w1")
            assert settled["totals"]["stored"] == pause["totals"]["stored"]
        finally:
            timescale.start()
        rig.wait_ready("w1", "w2")
        rig.wait_produced()
        rig.wait_stored(rig.end_offset(), 120)
    for name in ("w1", "w2"):
        assert rig.end(name)[0] == 0
    assert sampler.away, "the database was never away: the test has shown nothing"
    rig.verify(sampler)


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_broker_away_under_load(make_rig: RigFactory, kafka: Any, small: MarketFile, how: str) -> None:
    rig = make_rig()
    rig.start("w1")
    rig.start("w2")
    rig.wait_ready("w1", "w2")
    rig.produce(small.path, RATE)
    with Sampler(rig) as sampler:
        wait_until(lambda: rig.stored() > small.records // 10, 60, "a tenth is stored")
        getattr(kafka, how)()
        try:
            for name in ("w1", "w2"):
                says_why(rig, name, "waiting for the broker")
        finally:
            kafka.start()
        rig.wait_ready("w1", "w2")
        rig.wait_produced()
        rig.wait_stored(rig.end_offset(), 120)
    for name in ("w1", "w2"):
        assert rig.end(name)[0] == 0, rig.log_tail()
    rig.verify(sampler)


def test_outage_that_outlasts_its_budget(make_rig: RigFactory, timescale: Any) -> None:
    rig = make_rig(database_budget_s=3)
    now = SystemClock().now_ns()
    rig.start("w1")
    rig.wait_ready("w1")
    rig.send_trades([Trade("A", now, 10.0, 1.0, "sim")])
    rig.wait_stored(1, 30)
    timescale.stop()
    try:
        rig.send_trades([Trade("A", now + 1, 11.0, 1.0, "sim")])
        assert rig.wait_ended("w1", 30) == 4, rig.log_tail()
        assert "the database was away for 3 s" in rig.log_tail()
        # started again by whoever supervises it: it waits, and holds nobody up
        rig.start("w1")
        wait_until(lambda: rig.answers("w1"), 30, "its page is there")
        says_why(rig, "w1", "waiting for the database")
        assert asyncio.run(members(rig)) == 0
    finally:
        timescale.start()
    rig.wait_ready("w1")
    rig.wait_stored(2, 30)
    assert not rig.records(rig.dlq)
    assert rig.end("w1")[0] == 0


async def members(rig: Rig) -> int:
    """How many workers are in the group."""
    async with admin(rig.bootstrap) as client:
        answers = await client.describe_consumer_groups([rig.group])
        return sum(len(group[5]) for answer in answers for group in answer.groups)

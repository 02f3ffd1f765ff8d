"""The database away, the broker away, both under load: nothing lost, nothing dead-lettered, all caught up."""

from __future__ import annotations

import time
from typing import Any

import pytest

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
def test_broker_away_under_load(make_rig: RigFactory, kafka: Any, middling: MarketFile, how: str) -> None:
    rig = make_rig()
    rig.start("w1")
    rig.start("w2")
    rig.wait_ready("w1", "w2")
    rig.produce(middling.path, RATE)
    with Sampler(rig) as sampler:
        wait_until(lambda: rig.stored() > middling.records // 10, 60, "a tenth is stored")
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

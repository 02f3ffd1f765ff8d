"""SIGTERM mid-batch while the database is slow."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.acceptance.conftest import RigFactory
from tests.acceptance.rig import Rig, wait_until
from tests.acceptance.sampler import Sampler
from tests.market import MarketFile

RATE = 10_000
GRACE_S = 8.0


@contextmanager
def slow_database(rig: Rig) -> Iterator[None]:
    """Hold the table, so that every batch waits in the middle of its transaction."""
    with psycopg.connect(rig.database_url) as connection:
        connection.execute("lock table candles_intraday in share row exclusive mode")
        yield


def batch_waits(rig: Rig) -> bool:
    """Whether a worker waits for the table."""
    waiting = "select from pg_locks where relation = 'candles_intraday'::regclass and not granted"
    return bool(rig.query(waiting))


def test_sigterm_stores_what_is_in_flight(make_rig: RigFactory, small: MarketFile) -> None:
    rig = make_rig(stop_grace_s=GRACE_S)
    rig.start("w1")
    rig.wait_ready("w1")
    rig.produce(small.path, RATE)
    with Sampler(rig) as sampler:
        wait_until(lambda: rig.stored() > small.records // 4, 60, "a quarter is stored")
        with slow_database(rig):
            wait_until(lambda: batch_waits(rig), 30, "a batch waits in its transaction")
            before = rig.stored()
            rig.tell("w1", signal.SIGTERM)
            wait_until(lambda: rig.get("w1", "/readyz")[0] != 200, 10, "it has heard")
            assert rig.workers["w1"].poll() is None
        begun = time.monotonic()
        code = rig.wait_ended("w1", GRACE_S)
        assert code == 0, rig.log_tail()
        assert time.monotonic() - begun < GRACE_S
        assert rig.stored() > before, "the batch in flight was not stored"
        rig.start("w1")
        rig.wait_produced()
        rig.wait_stored(rig.end_offset(), 120)
    assert rig.end("w1")[0] == 0
    rig.verify(sampler)


def test_sigterm_ends_within_its_grace_if_the_database_stays_slow(
    make_rig: RigFactory, small: MarketFile
) -> None:
    rig = make_rig(stop_grace_s=GRACE_S)
    rig.start("w1")
    rig.wait_ready("w1")
    rig.produce(small.path, RATE)
    with Sampler(rig) as sampler:
        wait_until(lambda: rig.stored() > small.records // 4, 60, "a quarter is stored")
        with slow_database(rig):
            wait_until(lambda: batch_waits(rig), 30, "a batch waits in its transaction")
            before = rig.stored()
            begun = time.monotonic()
            rig.tell("w1", signal.SIGTERM)
            code = rig.wait_ended("w1", GRACE_S + 5)
            assert code == 4, rig.log_tail()
            assert time.monotonic() - begun < GRACE_S + 5
        assert rig.stored() == before, "something was stored after all"
        rig.start("w1")
        rig.wait_produced()
        rig.wait_stored(rig.end_offset(), 120)
    assert rig.end("w1")[0] == 0
    rig.verify(sampler)

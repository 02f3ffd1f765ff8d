"""A million trades through two workers that are killed, frozen and held up; then everything is compared."""

from __future__ import annotations

import os
import random
import signal
from functools import partial

from tests.acceptance.conftest import RigFactory
from tests.acceptance.rig import Rig, wait_until
from tests.acceptance.sampler import Sampler
from tests.market import MarketFile

RATE = 40_000
KILLS = 5
#: short, so that a dead or frozen worker's partitions move soon
QUICK = {"session_timeout_s": 4, "rebalance_timeout_s": 6, "database_budget_s": 5}
CATCH_UP_S = 180
SEED = int(os.environ.get("TAPEFLOW_TEST_SEED", "20261124"))


def run_two(rig: Rig, market: MarketFile) -> None:
    rig.start("w1")
    rig.start("w2")
    rig.wait_ready("w1", "w2")
    rig.produce(market.path, RATE)


def passes(rig: Rig, count: int) -> None:
    """Wait until so many records are stored, whoever lives."""
    wait_until(lambda: rig.stored() >= count, CATCH_UP_S, f"{count} records stored\n{rig.log_tail()}")


def finish(rig: Rig, market: MarketFile, sampler: Sampler) -> None:
    rig.wait_produced()
    rig.wait_stored(rig.end_offset(), CATCH_UP_S)
    assert rig.end_offset() >= market.records
    for name in list(rig.workers):
        # one that was started a moment ago does not know SIGTERM yet
        wait_until(partial(rig.answers, name), CATCH_UP_S, f"{name} answers")
        code, _ = rig.end(name)
        assert code == 0, rig.log_tail()
    rig.verify(sampler)


def test_kill_9_at_random(make_rig: RigFactory, million: MarketFile) -> None:
    print(f"seed {SEED}")
    draw = random.Random(SEED)
    rig = make_rig(**QUICK)
    run_two(rig, million)
    with Sampler(rig) as sampler:
        for n in range(KILLS):
            passes(rig, round(million.records * (n + draw.uniform(0.2, 1.0)) / (KILLS + 1)))
            victim = draw.choice(sorted(rig.workers))
            rig.kill(victim)
            # the others' partitions go on meanwhile; the dead one comes back at any moment of that
            passes(
                rig, min(rig.stored() + draw.randrange(1, 20_000), million.records * (n + 1) // (KILLS + 1))
            )
            rig.start(victim)
        rig.wait_stored(million.records, CATCH_UP_S)
    finish(rig, million, sampler)


def test_kill_9_where_it_hurts(make_rig: RigFactory, million: MarketFile) -> None:
    points = ("after_produce", "before_commit", "after_commit")
    rig = make_rig(**QUICK)
    run_two(rig, million)
    with Sampler(rig) as sampler:
        for n, point in enumerate(points):
            victim = ("w1", "w2")[n % 2]
            passes(rig, million.records * (n + 1) // (len(points) + 2))
            rig.end(victim)
            rig.start(victim, fault=f"{point}:2")
            assert rig.wait_ended(victim, 90) == -signal.SIGKILL, f"{victim} did not reach {point}"
            rig.start(victim)
        rig.wait_stored(million.records, CATCH_UP_S)
    finish(rig, million, sampler)


def test_frozen_past_its_session(make_rig: RigFactory, million: MarketFile) -> None:
    rig = make_rig(**QUICK)
    run_two(rig, million)
    with Sampler(rig) as sampler:
        for n, (frozen, other) in enumerate((("w1", "w2"), ("w2", "w1"))):
            passes(rig, million.records * (n + 1) // 4)
            rig.tell(frozen, signal.SIGSTOP)
            rig.wait_holding(other, rig.partitions)
            rig.tell(frozen, signal.SIGCONT)
            rig.wait_holding(frozen, rig.partitions // 2)
            rig.wait_ready(frozen)
        rig.wait_stored(million.records, CATCH_UP_S)
    finish(rig, million, sampler)


def test_batch_held_past_a_rebalance(make_rig: RigFactory, million: MarketFile) -> None:
    rig = make_rig(**QUICK)
    rig.start("w1", fault="after_produce:3:20")
    rig.wait_ready("w1")
    rig.produce(million.path, RATE)
    with Sampler(rig) as sampler:
        passes(rig, 1)
        rig.start("w2")
        # the first does not give up its partitions while the batch is held, so the group goes on without it
        rig.wait_holding("w2", rig.partitions)
        wait_until(lambda: rig.status("w1")["totals"]["swaps_lost"], 60, "the held batch loses its swap")
        rig.wait_stored(million.records, CATCH_UP_S)
    finish(rig, million, sampler)

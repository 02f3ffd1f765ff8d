"""The whole corpus of poison among good trades: each once a dead letter, every good one counted."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.conftest import RigFactory
from tests.acceptance.rig import PARTITIONS
from tests.acceptance.sampler import Sampler
from tests.market import Market, write_market
from tests.poison import HARMLESS, POISON


def test_corpus_among_good_trades(make_rig: RigFactory, tmp_path: Path) -> None:
    assert len(POISON) >= 40
    market = write_market(tmp_path / "market", Market(200_000, seed=5, partitions=PARTITIONS, poison=0.01))
    rig = make_rig()
    rig.start("w1")
    rig.wait_ready("w1")
    with Sampler(rig) as sampler:
        rig.produce(market.path)
        rig.wait_produced()
        rig.wait_stored(rig.end_offset(), 120)
        truth = rig.verify(sampler)
    # nobody restarted it, and nothing was delivered twice
    assert rig.workers["w1"].poll() is None
    letters = rig.records(rig.dlq)
    assert len(letters) == len(truth.dead) >= market.poison
    totals = rig.status("w1")["totals"]
    assert totals["dead_lettered"] == len(truth.dead)
    assert totals["stored"] == truth.trades + truth.clocks
    assert rig.end("w1")[0] == 0


def test_odd_records_that_are_trades(make_rig: RigFactory) -> None:
    rig = make_rig(dlq_max_consecutive=10)
    rig.start("w1")
    rig.wait_ready("w1")
    rig.send((odd.key, odd.value, odd.headers) for odd in HARMLESS)
    rig.wait_stored(len(HARMLESS), 30)
    assert rig.status("w1")["totals"]["stored"] == len(HARMLESS)
    assert not rig.records(rig.dlq)
    assert rig.end("w1")[0] == 0


def test_a_flood_of_poison_stops_the_worker(make_rig: RigFactory) -> None:
    rig = make_rig(dlq_max_consecutive=50)
    rig.start("w1")
    rig.wait_ready("w1")
    rig.send((b"A", b"not a trade", ()) for _ in range(200))
    assert rig.wait_ended("w1", 30) == 1
    assert "poison records in a row" in rig.log_tail()
    assert rig.stored() == 0
    assert not rig.records(rig.dlq), "poured into the dead-letter topic after all"
    # the operator has looked, and lets it pass
    rig.start("w1", dlq_max_consecutive=1_000, dlq_max_ratio=1)
    rig.wait_stored(200, 30)
    assert len(rig.records(rig.dlq)) == 200
    assert rig.end("w1")[0] == 0

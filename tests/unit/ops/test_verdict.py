"""The judgement of a worker."""

from __future__ import annotations

import pytest

from ops.verdict import Level, verdict, violations, word
from streams.status import Rates
from tests.unit.ops.snapshots import UP, away, partition, table, worker


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "OK"),
        ({"end": None}, "unknown"),
        ({"end": 48_112_930}, "OK"),
        ({"end": 48_112_930 + 10_001}, "BEHIND"),
        ({"moved_s": 31.0}, "STALLED"),
        ({"moved_s": 31.0, "end": 48_112_930}, "OK"),
    ],
)
def test_word(changes, expected):
    assert word(partition(**changes)) == expected


def test_a_commit_ahead_of_the_database_is_a_violation():
    assert violations(partition(committed=48_112_931)) == ("committed_beyond_stored",)
    assert violations(partition(committed=48_112_930)) == ()
    assert violations(partition(committed=None, end=None)) == ()
    assert violations(partition(end=48_112_929)) == ("stored_beyond_end",)


def test_all_is_well():
    judged = verdict(worker())
    assert (judged.level, judged.findings) == (Level.OK, ())
    assert judged.sentence == "keeping up: 387 records wait in 6 partitions"


def test_a_stand_by_is_well_and_says_why_it_does_nothing():
    judged = verdict(worker(partitions=()))
    assert judged.level is Level.OK
    assert "more workers than partitions" in judged.sentence


def test_what_is_not_known_is_not_well():
    judged = verdict(worker(partitions=(partition(end=None),)))
    assert judged.level is Level.DEGRADED
    assert "nothing is known yet of 1 partition" in judged.sentence


def test_a_provider_that_is_not_asked_is_said_to_be():
    judged = verdict(worker(providers=table()))
    assert judged.level is Level.DEGRADED
    (finding,) = judged.findings
    assert finding.component == "providers"
    assert finding.sentence == (
        "polygon is not asked: open since 14:43:39Z: 3 failures in a row, the last: away"
        " (polygon: 503 no text)"
    ), "and finnhub is nobody's matter here: it has no key"


def test_the_worst_speaks_first():
    judged = verdict(
        worker(database=away(3.0), broker=away(42.0), partitions=(partition(committed=48_112_931),))
    )
    assert [f.component for f in judged.findings] == ["invariants", "broker", "database"]
    assert judged.level is Level.FAIL
    assert "48,112,931" in judged.sentence


@pytest.mark.parametrize(("since", "level"), [(9.0, Level.DEGRADED), (11.0, Level.FAIL)])
def test_an_outage_becomes_a_failure_after_a_grace(since, level):
    judged = verdict(worker(database=away(since)))
    assert judged.level is level
    assert judged.sentence.startswith("waiting for the database: connection refused")


def test_a_dead_event_loop_fails():
    assert verdict(worker(heartbeat_s=30.0)).level is Level.OK
    assert verdict(worker(heartbeat_s=30.1)).level is Level.FAIL


def test_stalled_partitions_fail_only_when_none_moves():
    stalled = partition(0, moved_s=45.0)
    assert verdict(worker(partitions=(stalled, partition(1)))).level is Level.DEGRADED
    judged = verdict(worker(partitions=(stalled, partition(1, moved_s=31.0))))
    assert judged.level is Level.FAIL
    assert judged.sentence == "2 partitions stalled: md.trades.v1-0 has 37 records and stored none for 45 s"


def test_a_waiting_phase_is_not_reported_twice():
    judged = verdict(worker(phase="waiting_for_database", database=away()))
    assert [f.component for f in judged.findings] == ["database"]
    judged = verdict(worker(phase="rebalancing", database=UP))
    assert [f.component for f in judged.findings] == ["phase"]


def test_much_poison_degrades():
    assert verdict(worker(rates=Rates(1_000.0, 1_000.0, 5.0))).level is Level.OK
    assert verdict(worker(rates=Rates(950.0, 950.0, 50.0))).sentence.startswith("5% of the input")
    assert verdict(worker(rates=Rates(0.0, 0.0, 0.5))).level is Level.DEGRADED

"""From a snapshot to metrics."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

from ops.samples import samples
from schemas.errors import Reason
from streams.status import Counters, Phase, SettingsOutcome, SettingsStatus
from telemetry import metrics
from tests.unit.ops.snapshots import away, partition, worker


def exposed(status) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    own = metrics.registry(lambda: samples(status))
    return {
        (s.name, frozenset(s.labels.items())): s.value for family in own.collect() for s in family.samples
    }


def value(status, name: str, **labels: str) -> float | None:
    return exposed(status).get((name, frozenset(labels.items())))


def test_phases_and_reasons_are_those_of_the_snapshot():
    assert get_args(Phase) == metrics.PHASES
    assert metrics.DEAD_LETTERS.labels["reason"] == tuple(r.value for r in Reason)
    assert metrics.SETTINGS.labels["outcome"] == get_args(SettingsOutcome)


def test_every_counter_has_its_own_number():
    numbers: dict[str, Any] = {
        f.name: n for n, f in enumerate(dataclasses.fields(Counters), 1000) if f.type == "int"
    }
    shown = {
        v
        for (name, _), v in exposed(worker(counters=Counters(**numbers))).items()
        if name.startswith("tapeflow")
    }
    assert set(map(float, numbers.values())) <= shown


def test_values():
    status = worker(phase="waiting_for_database", database=away())
    assert value(status, "tapeflow_records_total", outcome="in") == 61_204_118
    assert value(status, "tapeflow_dead_letters_total", reason="schema") == 29
    assert value(status, "tapeflow_dead_letters_total", reason="empty") == 0
    assert value(status, "tapeflow_consumer_lag_records", topic="md.trades.v1", partition="1") == 48
    assert value(status, "tapeflow_dependency_up", dependency="database") == 0
    assert value(status, "tapeflow_dependency_up", dependency="broker") == 1
    assert value(status, "tapeflow_retries_total", dependency="database") == 3
    assert value(status, "tapeflow_build_info", version="0.1.0") == 1
    assert value(status, "tapeflow_invariant_violations", invariant="committed_beyond_stored") == 0
    phases = {p: value(status, "tapeflow_phase", phase=p) for p in metrics.PHASES}
    assert phases == dict.fromkeys(metrics.PHASES, 0.0) | {"waiting_for_database": 1.0}


def test_the_settings_in_force():
    counters = Counters()
    counters.settings |= {"adopted": 7, "refused": 2}
    status = worker(settings=SettingsStatus(7, "7-abcdefabcdef"), counters=counters)
    assert value(status, "tapeflow_policy_version") == 7
    assert value(status, "tapeflow_policy_version_info", version="7-abcdefabcdef") == 1
    assert value(status, "tapeflow_settings_total", outcome="adopted") == 7
    assert value(status, "tapeflow_settings_total", outcome="refused") == 2


def test_what_is_not_known_is_absent():
    status = worker(partitions=(partition(end=None, committed=None),), last_commit_s=None)
    names = {name for name, _ in exposed(status)}
    assert names.isdisjoint(
        {
            "tapeflow_consumer_lag_records",
            "tapeflow_committed_offset",
            "tapeflow_end_offset",
            "tapeflow_last_commit_age_seconds",
        }
    )
    assert "tapeflow_stored_offset" in names


def test_violations_are_counted():
    status = worker(partitions=(partition(0, committed=48_112_931), partition(1)))
    assert value(status, "tapeflow_invariant_violations", invariant="committed_beyond_stored") == 1


def test_few_series():
    assert len(exposed(worker(partitions=tuple(partition(n) for n in range(48))))) < 500

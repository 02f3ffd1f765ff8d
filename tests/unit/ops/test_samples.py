"""From a snapshot to metrics."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

import pytest

from domain.reconcile import Field
from ops.samples import CIRCUIT, samples
from schemas.errors import Reason
from schemas.provider import PROVIDERS, Kind
from schemas.provider_health import State
from schemas.quote import Flag
from streams.status import (
    ERRORS,
    LATENCY_MS,
    Counters,
    JobOutcome,
    JobsStatus,
    JobType,
    Phase,
    ProvidersStatus,
    QuoteCounters,
    SettingsOutcome,
    SettingsStatus,
)
from telemetry import exposition, metrics
from tests.unit.ops.snapshots import asked, away, partition, table, worker


def exposed(status) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    own = exposition.registry(lambda: samples(status))
    return {
        (s.name, frozenset(s.labels.items())): s.value for family in own.collect() for s in family.samples
    }


def value(status, name: str, **labels: str) -> float | None:
    return exposed(status).get((name, frozenset(labels.items())))


def test_phases_and_reasons_are_those_of_the_snapshot():
    assert get_args(Phase) == metrics.PHASES
    assert metrics.DEAD_LETTERS.labels["reason"] == tuple(r.value for r in Reason)
    assert metrics.SETTINGS.labels["outcome"] == get_args(SettingsOutcome)


def test_the_words_of_providers_are_those_of_the_contracts():
    assert get_args(Kind) == metrics.POLICIES
    assert metrics.PROVIDER_ERRORS == ERRORS
    assert get_args(Field) == metrics.BAR_FIELDS
    assert metrics.PROVIDER_LATENCY.bounds == LATENCY_MS
    assert set(CIRCUIT) == set(get_args(State))


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


def test_providers():
    status = worker(providers=table(), counters=asked())
    states = {p: value(status, "circuit_state", provider=p) for p in PROVIDERS}
    assert states == {"polygon": 2, "alpaca": 0, "finnhub": 1, "iex": None}
    assert value(status, "tapeflow_provider_score", provider="polygon") == pytest.approx(0.3125)
    assert value(status, "tapeflow_provider_score", provider="iex") is None
    assert value(status, "provider_selected_total", provider="polygon", kind="bars_1m") == 41
    assert value(status, "provider_selected_total", provider="iex", kind="quotes_l1") == 0
    assert value(status, "provider_errors_total", provider="polygon", outcome="away") == 5
    assert value(status, "provider_latency_ms_count", provider="polygon") == 3
    assert value(status, "provider_latency_ms_sum", provider="polygon") == 12_530
    assert value(status, "bar_disagreement_ratio", provider="iex", field="volume") == 0.25
    assert value(status, "bar_disagreement_ratio", provider="iex", field="close") is None
    assert value(status, "tapeflow_provider_table_version") == 1_204
    assert value(status, "tapeflow_providers_kept") == 2
    assert value(status, "tapeflow_outcomes_total", result="dropped") == 3
    assert value(status, "tapeflow_outcomes_total", result="folded") == 99
    assert value(status, "tapeflow_probes_total") == 4


def test_a_provider_with_a_key_and_no_record_is_closed():
    status = worker(providers=ProvidersStatus(with_key=frozenset({"iex"})))
    assert value(status, "circuit_state", provider="iex") == 0
    assert value(status, "circuit_state", provider="polygon") is None


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


def test_jobs_are_counted_by_type_and_state_and_what_waits_is_absent_until_it_is_known() -> None:
    assert get_args(JobType) == metrics.JOB_TYPES
    assert get_args(JobOutcome) == metrics.JOB_STATES
    status = worker(jobs=JobsStatus(in_flight=3))
    status.counters.jobs["bars", "waiting"] = 7
    found = {(s.spec.name, s.labels): s.value for s in samples(status)}
    assert found["jobs_processed_total", ("bars", "waiting")] == 7
    assert found["jobs_processed_total", ("unknown", "poison")] == 0
    assert found["tapeflow_jobs_in_flight", ()] == 3
    assert not [name for name, _ in found if name == "tapeflow_waiting_requests"]
    known = worker(jobs=JobsStatus(0, waiting=5, healing=0))
    found = {(s.spec.name, s.labels): s.value for s in samples(known)}
    assert found["tapeflow_waiting_requests", ("waiting",)] == 5
    assert found["tapeflow_waiting_requests", ("healing",)] == 0


def test_every_counter_of_quotes_has_its_own_number():
    flagged = {flag: n for n, flag in enumerate(get_args(Flag), 10)}
    counters = Counters(quotes=QuoteCounters(stored=1, duplicates=2, markers=3, latest=4, flagged=flagged))
    status = worker(counters=counters)
    for outcome, n in {"stored": 1, "duplicate": 2, "marker": 3, "latest": 4}.items():
        assert value(status, "tapeflow_quotes_total", outcome=outcome) == n
    for flag, n in flagged.items():
        assert value(status, "tapeflow_quote_flags_total", flag=flag) == n
    assert metrics.QUOTE_FLAGS.labels["flag"] == get_args(Flag)

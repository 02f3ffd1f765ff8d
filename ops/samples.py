"""A worker's snapshot as the samples of the metric catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ops.verdict import violations
from schemas.provider_health import State
from streams.status import WorkerStatus
from telemetry import metrics
from telemetry.metrics import Sample

CIRCUIT: Mapping[State, int] = {"closed": 0, "half_open": 1, "open": 2}


def samples(status: WorkerStatus) -> Iterator[Sample]:
    """Yield one sample per value that is known; what is not known is left out."""
    yield from _counters(status)
    yield from _partitions(status)
    yield from _providers(status)
    yield from _jobs(status)
    if status.last_commit_s is not None:
        yield Sample(metrics.LAST_COMMIT, status.last_commit_s)
    for name, dependency in (("database", status.database), ("broker", status.broker)):
        yield Sample(metrics.DEPENDENCY_UP, float(dependency.up), (name,))
    for phase in metrics.PHASES:
        yield Sample(metrics.PHASE, float(phase == status.phase), (phase,))
    yield Sample(metrics.HEARTBEAT, status.heartbeat_s)
    yield Sample(metrics.UPTIME, status.started_s)
    yield Sample(metrics.SETTINGS_VERSION, status.settings.number)
    yield Sample(metrics.SETTINGS_INFO, 1, (status.settings.version,))
    yield Sample(metrics.BUILD_INFO, 1, (status.version,))


def _jobs(status: WorkerStatus) -> Iterator[Sample]:
    for labels, n in status.counters.jobs.items():
        yield Sample(metrics.JOBS_PROCESSED, n, labels)
    yield Sample(metrics.JOBS_IN_FLIGHT, status.jobs.in_flight)
    for kind, count in (("waiting", status.jobs.waiting), ("healing", status.jobs.healing)):
        if count is not None:
            yield Sample(metrics.WAITING_REQUESTS, count, (kind,))


def _counters(status: WorkerStatus) -> Iterator[Sample]:
    c = status.counters
    outcomes = {
        "in": c.records_in,
        "stored": c.stored,
        "dead_lettered": c.dead_lettered,
        "refolded": c.refolded,
        "late": c.late,
        "clock": c.clocks,
        "discontinuity": c.discontinuities,
    }
    for outcome, n in outcomes.items():
        yield Sample(metrics.RECORDS, n, (outcome,))
    for reason, n in c.dead_letters.items():
        yield Sample(metrics.DEAD_LETTERS, n, (reason.value,))
    kinds = {"final": c.candles_final, "revised": c.candles_revised, "provisional": c.candles_provisional}
    for kind, n in kinds.items():
        yield Sample(metrics.CANDLES, n, (kind,))
    q = c.quotes
    whole = {"stored": q.stored, "duplicate": q.duplicates, "latest": q.latest, "marker": q.markers}
    for outcome, n in whole.items():
        yield Sample(metrics.QUOTES, n, (outcome,))
    for flag, n in q.flagged.items():
        yield Sample(metrics.QUOTE_FLAGS, n, (flag,))
    for what, n in c.settings.items():
        yield Sample(metrics.SETTINGS, n, (what,))
    yield Sample(metrics.TRANSACTIONS, c.transactions)
    yield Sample(metrics.CHUNKS, c.chunks)
    yield Sample(metrics.SWAPS_LOST, c.swaps_lost)
    yield Sample(metrics.STALE_DROPPED, c.stale_dropped)
    yield Sample(metrics.SLICES_REFETCHED, c.slices_refetched)
    yield Sample(metrics.HOLES, c.holes)
    yield Sample(metrics.RETRIES, c.database_retries, ("database",))
    yield Sample(metrics.RETRIES, c.broker_retries, ("broker",))


def _providers(status: WorkerStatus) -> Iterator[Sample]:
    c, providers = status.counters.providers, status.providers
    for (provider, kind), n in c.selected.items():
        yield Sample(metrics.PROVIDER_SELECTED, n, (provider, kind))
    for (provider, outcome), n in c.errors.items():
        yield Sample(metrics.PROVIDER_ERRORS_TOTAL, n, (provider, outcome))
    for provider, latency in c.latency.items():
        taken = metrics.Distribution(tuple(latency.classes), latency.total_ms)
        yield Sample(metrics.PROVIDER_LATENCY, taken, (provider,))
    for (provider, field), ratio in c.disagreement.items():
        yield Sample(metrics.BAR_DISAGREEMENT, ratio, (provider, field))
    states = dict.fromkeys(providers.with_key, 0) | {h.provider: CIRCUIT[h.state] for h in providers.health}
    for provider, state in states.items():
        yield Sample(metrics.CIRCUIT_STATE, state, (provider,))
    for health in providers.health:
        yield Sample(metrics.PROVIDER_SCORE, health.score, (health.provider,))
    yield Sample(metrics.PROVIDER_TABLE_VERSION, providers.version)
    yield Sample(metrics.PROVIDERS_KEPT, len(providers.kept))
    yield Sample(metrics.PROBES, c.probes)
    yield Sample(metrics.OUTCOMES, c.outcomes_folded, ("folded",))
    yield Sample(metrics.OUTCOMES, c.outcomes_dropped, ("dropped",))


def _partitions(status: WorkerStatus) -> Iterator[Sample]:
    for p in status.partitions:
        labels = (p.topic, str(p.partition))
        if p.lag is not None:
            yield Sample(metrics.LAG, p.lag, labels)
        if p.committed is not None:
            yield Sample(metrics.COMMITTED, p.committed, labels)
        yield Sample(metrics.STORED, p.stored, labels)
        if p.end is not None:
            yield Sample(metrics.END, p.end, labels)
        yield Sample(metrics.STILL, p.moved_s, labels)
    yield Sample(metrics.ASSIGNED_PARTITIONS, len(status.partitions))
    for invariant in metrics.VIOLATIONS.labels["invariant"]:
        broken = sum(invariant in violations(p) for p in status.partitions)
        yield Sample(metrics.VIOLATIONS, broken, (invariant,))

"""A worker's snapshot as the samples of the metric catalogue."""

from __future__ import annotations

from collections.abc import Iterator

from ops.verdict import violations
from streams.status import WorkerStatus
from telemetry import metrics
from telemetry.metrics import Sample


def samples(status: WorkerStatus) -> Iterator[Sample]:
    """Yield one sample per value that is known; what is not known is left out."""
    yield from _counters(status)
    yield from _partitions(status)
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

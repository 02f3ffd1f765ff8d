"""What the status page shows, as plain data: the HTML and the JSON are both made from it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ops.history import SPAN_S, Point
from ops.providers import curve, provider_rows
from ops.verdict import verdict, violations, word
from streams.status import DependencyStatus, PartitionStatus, WorkerStatus


def view(status: WorkerStatus, now_ns: int, history: Sequence[Point] = ()) -> dict[str, Any]:
    """Return the view model; what is not known is None, never 0.

    Args:
        status: one snapshot.
        now_ns: when it was taken, nanoseconds since the epoch.
        history: rates of the last minutes, oldest first.
    """
    judged = verdict(status)
    at = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC).isoformat().replace("+00:00", "Z")
    return {
        "verdict": {
            "word": judged.level.name,
            "reason": judged.sentence,
            "findings": [
                {"component": f.component, "level": f.level.name, "sentence": f.sentence}
                for f in judged.findings
            ],
        },
        "at": at,
        "worker": {
            "id": status.worker_id,
            "version": status.version,
            "group": status.group,
            "cluster": status.cluster,
            "up_s": status.started_s,
            "heartbeat_s": status.heartbeat_s,
        },
        "settings": {
            "number": status.settings.number,
            "policy_version": status.settings.version,
            "rejected": status.settings.rejected,
        },
        "phase": {"name": status.phase, "detail": status.detail},
        "dependencies": [_dependency("database", status.database), _dependency("broker", status.broker)],
        "lag": _lag(status),
        "partitions": [_partition(p) for p in status.partitions],
        "providers": {
            "table_version": status.providers.version,
            "rows": [
                {**row, "history": curve(status, row["name"], now_ns)}
                for row in provider_rows(status, now_ns)
            ],
        },
        "jobs": _jobs(status),
        "last_commit_s": status.last_commit_s,
        "rates": {
            "records_in": status.rates.records_in,
            "stored": status.rates.stored,
            "dead_lettered": status.rates.dead_lettered,
        },
        "totals": _totals(status),
        "quotes": _quotes(status),
        "dead_letters": {reason.value: n for reason, n in status.counters.dead_letters.items()},
        "history": {
            "span_s": SPAN_S,
            "age_s": [round(p.age_s, 1) for p in history],
            "records_in": [round(p.records_in, 1) for p in history],
            "stored": [round(p.stored, 1) for p in history],
            "dead_lettered": [round(p.dead_lettered, 1) for p in history],
        },
    }


def _dependency(name: str, dependency: DependencyStatus) -> dict[str, Any]:
    return {
        "name": name,
        "up": dependency.up,
        "since_s": dependency.since_s,
        "detail": dependency.detail,
        "last_success_s": dependency.last_success_s,
    }


def _partition(p: PartitionStatus) -> dict[str, Any]:
    return {
        "topic": p.topic,
        "partition": p.partition,
        "committed": p.committed,
        "stored": p.stored,
        "end": p.end,
        "lag": p.lag,
        "moved_s": p.moved_s,
        "status": word(p),
        "violations": list(violations(p)),
    }


def _lag(status: WorkerStatus) -> dict[str, Any]:
    """Return the lag of what is known; how long storing it takes at the present rate, if that is known."""
    known = [p.lag for p in status.partitions if p.lag is not None]
    records = sum(known) if known else None
    stored = status.rates.stored
    return {
        "records": records,
        "unknown_partitions": len(status.partitions) - len(known),
        "worth_s": records / stored if records is not None and stored > 0 else None,
    }


def _jobs(status: WorkerStatus) -> dict[str, Any]:
    processed: dict[str, dict[str, int]] = {}
    for (job_type, state), n in status.counters.jobs.items():
        processed.setdefault(job_type, {})[state] = n
    return {
        "in_flight": status.jobs.in_flight,
        "waiting": status.jobs.waiting,
        "healing": status.jobs.healing,
        "processed": processed,
    }


def _quotes(status: WorkerStatus) -> dict[str, Any]:
    q = status.counters.quotes
    return {
        "stored": q.stored,
        "duplicates": q.duplicates,
        "markers": q.markers,
        "latest": q.latest,
        "flags": dict(q.flagged),
    }


def _totals(status: WorkerStatus) -> dict[str, int]:
    c = status.counters
    return {
        "records_in": c.records_in,
        "stored": c.stored,
        "dead_lettered": c.dead_lettered,
        "late": c.late,
        "discontinuities": c.discontinuities,
        "refolded": c.refolded,
        "candles_final": c.candles_final,
        "candles_revised": c.candles_revised,
        "candles_provisional": c.candles_provisional,
        "transactions": c.transactions,
        "chunks": c.chunks,
        "swaps_lost": c.swaps_lost,
        "stale_dropped": c.stale_dropped,
        "slices_refetched": c.slices_refetched,
        "holes": c.holes,
        "database_retries": c.database_retries,
        "broker_retries": c.broker_retries,
    }

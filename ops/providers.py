"""How the providers are: the answers of ``/stats/providers`` and of a provider's health history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from math import ceil
from typing import Any, get_args

from domain.routing import standing
from ops.health import Answer, problem
from schemas.provider import PROVIDERS, Kind, ProviderName
from schemas.provider_health import HealthSample, ProviderHealth
from streams.status import ERRORS, ProviderCounters, WorkerStatus

SECOND_NS = 1_000_000_000
#: what a provider without a record has no value of
_UNKNOWN = (
    "state", "score", "terms", "since", "since_s", "retry_at", "retry_in_s",
    "transitions", "window", "kept_by", "age_s",
)  # fmt: skip


def stats(status: WorkerStatus, now_ns: int) -> Answer:
    """Return the provider table, and what this worker has asked of each provider since it started.

    Args:
        status: one snapshot.
        now_ns: when it was taken, nanoseconds since the epoch.
    """
    body = {
        "table_version": status.providers.version,
        "at": instant(now_ns),
        "providers": provider_rows(status, now_ns),
    }
    return Answer(HTTPStatus.OK, body)


def health_history(status: WorkerStatus, name: str, path: str) -> Answer:
    """Return the score of one provider over time, oldest first; 404 if there is no such provider."""
    if name not in PROVIDERS:
        detail = f"there is no such provider; there are: {', '.join(PROVIDERS)}"
        return problem(HTTPStatus.NOT_FOUND, detail, path)
    health = _by_name(status).get(name)
    return Answer(HTTPStatus.OK, {"provider": name, "history": _history(health)})


def provider_rows(status: WorkerStatus, now_ns: int) -> list[dict[str, Any]]:
    """Return one row for each provider there is; what is not known is None, never 0."""
    table, counters = _by_name(status), status.counters.providers
    return [
        {
            "name": provider,
            "has_key": provider in status.providers.with_key,
            "kept_here": provider in status.providers.kept,
            **_health(table.get(provider), now_ns),
            "here": _here(provider, counters),
        }
        for provider in PROVIDERS
    ]


def curve(status: WorkerStatus, name: str, now_ns: int) -> dict[str, list[float]]:
    """Return the score of a provider by its age, oldest first; empty if nothing is known."""
    health = _by_name(status).get(name)
    points = health.history if health is not None else ()
    return {"age_s": [_seconds(now_ns - p.ts) for p in points], "score": [round(p.score, 4) for p in points]}


def instant(ns: int) -> str:
    """Return a moment as ISO 8601 in UTC, to the millisecond."""
    at = datetime.fromtimestamp(ns // SECOND_NS, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{ns % SECOND_NS // 1_000_000:03d}Z"


def _by_name(status: WorkerStatus) -> dict[str, ProviderHealth]:
    return {health.provider: health for health in status.providers.health}


def _history(health: ProviderHealth | None) -> list[dict[str, Any]]:
    points = health.history if health is not None else ()
    return [{"timestamp": instant(p.ts), "score": round(p.score, 4)} for p in points]


def _health(health: ProviderHealth | None, now_ns: int) -> dict[str, Any]:
    judged = standing(health)
    row: dict[str, Any] = {"fit": judged.fit, "reason": judged.reason}
    if health is None:
        return row | dict.fromkeys(_UNKNOWN)
    retry_at = health.retry_at if health.state == "open" else None
    return row | {
        "state": health.state,
        "score": round(health.score, 4),
        "terms": {name: round(value, 4) for name, value in health.terms.model_dump().items()},
        "since": instant(health.since),
        "since_s": _seconds(now_ns - health.since),
        "retry_at": None if retry_at is None else instant(retry_at),
        "retry_in_s": None if retry_at is None else _seconds(retry_at - now_ns),
        "transitions": health.transitions,
        "window": _window(health.samples),
        "kept_by": health.worker,
        "age_s": _seconds(now_ns - health.ts),
    }


def _window(samples: Sequence[HealthSample]) -> dict[str, Any]:
    latencies = sorted(s.latency_ms for s in samples if s.latency_ms is not None)
    return {
        "samples": len(samples),
        "failures": sum(s.failed for s in samples),
        "p50_ms": _percentile(latencies, 0.5),
        "p95_ms": _percentile(latencies, 0.95),
    }


def _percentile(ordered: Sequence[float], part: float) -> float | None:
    """Return the nearest rank: a value that was measured."""
    return round(ordered[ceil(part * len(ordered)) - 1], 1) if ordered else None


def _here(provider: ProviderName, counters: ProviderCounters) -> dict[str, Any]:
    latency = counters.latency[provider]
    answers = sum(latency.classes)
    return {
        "selected": {kind: counters.selected[provider, kind] for kind in get_args(Kind)},
        "errors": {outcome: n for outcome in ERRORS if (n := counters.errors[provider, outcome])},
        "requests": answers,
        "mean_ms": round(latency.total_ms / answers, 1) if answers else None,
        "disagreement": {
            field: round(ratio, 4) for (who, field), ratio in counters.disagreement.items() if who == provider
        },
    }


def _seconds(ns: int) -> float:
    """Return a length of time; clocks of two machines may differ, nothing is younger than new."""
    return max(0.0, round(ns / SECOND_NS, 3))

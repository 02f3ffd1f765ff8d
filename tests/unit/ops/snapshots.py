"""Snapshots of made-up workers."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from ops.history import History
from schemas.errors import Reason
from schemas.provider_health import HealthPoint, HealthSample, HealthTerms, ProviderHealth
from streams.status import (
    Counters,
    DependencyStatus,
    PartitionStatus,
    ProvidersStatus,
    Rates,
    WorkerStatus,
)

NOW_NS = 1_795_531_431_000_000_000
UP = DependencyStatus(up=True, since_s=15_120.0, detail="", last_success_s=0.021)


def away(since_s: float = 42.0, detail: str = "connection refused") -> DependencyStatus:
    """A dependency that is away."""
    return DependencyStatus(up=False, since_s=since_s, detail=detail, last_success_s=since_s + 0.3)


def partition(n: int = 0, **changes: Any) -> PartitionStatus:
    """A partition that keeps up."""
    stored = 48_112_930 + 7_919 * n
    p = PartitionStatus("md.trades.v1", n, stored - 214, stored, stored + 37 + 11 * n, 0.03 + 0.004 * n)
    return dataclasses.replace(p, **changes)


def worker(**changes: Any) -> WorkerStatus:
    """A worker that keeps up with six partitions."""
    counters = Counters(
        records_in=61_204_118,
        refolded=41_220,
        stored=61_203_905,
        dead_lettered=37,
        late=5_127,
        clocks=90_720,
        candles_final=1_204_311,
        candles_revised=4_876,
        candles_provisional=312_448,
        transactions=271_905,
        chunks=402_117,
        database_retries=3,
        slices_refetched=2,
    )
    counters.dead_letters |= {Reason.SCHEMA: 29, Reason.FUTURE: 6, Reason.DESERIALIZE: 2}
    status = WorkerStatus(
        worker_id="trades-2",
        version="0.1.0",
        group="tapeflow",
        cluster="Mk3OEYBSD34fcwNTJENDM2",
        started_s=15_124.0,
        phase="running",
        detail="",
        partitions=tuple(partition(n) for n in range(6)),
        counters=counters,
        rates=Rates(records_in=4_812.4, stored=4_810.9, dead_lettered=0.0),
        last_commit_s=0.042,
        database=UP,
        broker=UP,
        heartbeat_s=0.004,
    )
    return dataclasses.replace(status, **changes)


def health(**changes: Any) -> ProviderHealth:
    """Polygon, which went away 12 s ago after a good hour."""
    second = 1_000_000_000
    health = ProviderHealth(
        provider="polygon",
        state="open",
        score=0.3125,
        terms=HealthTerms(breaker=0.0, latency=0.25, errors=0.75, completeness=1.0),
        since=NOW_NS - 12 * second,
        retry_at=NOW_NS + 52 * second,
        reason="3 failures in a row, the last: away (polygon: 503 no text)",
        transitions=3,
        failures_in_row=3,
        samples=tuple(
            HealthSample(ts=NOW_NS - (20 - n) * second, failed=n > 8, latency_ms=80.0 + n) for n in range(12)
        ),
        history=tuple(
            HealthPoint(ts=NOW_NS - (600 - 10 * n) * second, score=0.98 if n < 58 else 0.3125)
            for n in range(60)
        ),
        partition=1,
        position=4_711,
        ts=NOW_NS - second // 2,
        worker="trades-1",
    )
    return health.model_copy(update=changes)


def table() -> ProvidersStatus:
    """Polygon open, alpaca well, finnhub half-open, nothing known of iex."""
    well = {"state": "closed", "score": 0.9712, "retry_at": None, "reason": "", "terms": HealthTerms()}
    probed = {"state": "half_open", "score": 0.61, "retry_at": None, "reason": "1 of 3 probes passed"}
    return ProvidersStatus(
        version=1_204,
        health=(
            health(),
            health(provider="alpaca", **well),
            health(provider="finnhub", **probed),
        ),
        with_key=frozenset({"polygon", "alpaca"}),
        kept=frozenset({"polygon", "finnhub"}),
    )


def asked() -> Counters:
    """Counters of a worker that has asked polygon for something."""
    counters = Counters()
    c = counters.providers
    c.selected["polygon", "bars_1m"] = 41
    c.errors["polygon", "away"] = 5
    for ms in (5.0, 25.0, 12_500.0):
        c.latency["polygon"].add(ms)
    c.disagreement["iex", "volume"] = 0.25
    c.outcomes_folded, c.outcomes_dropped, c.probes = 99, 3, 4
    return counters


def past(seconds: int = 330) -> History:
    """Five and a half minutes of a busy morning, with one outage of the database."""
    history = History()
    came = stored = 0
    for second in range(seconds):
        rate = (
            4_300
            + 700 * math.sin(second / 31)
            + 380 * math.sin(second / 3.7)
            + (2_400 if second % 60 < 3 else 0)
        )
        came += int(rate if not 208 < second < 228 else 400)
        if not 200 < second < 226:
            stored += min(came - stored, 9_500)
        history.add(float(second), Counters(records_in=came, stored=stored))
    return history

"""Is a worker stuck? Lag grows, nothing moves, and no outage explains it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """How one partition stands; times in seconds of one monotonic clock."""

    name: str
    lag: int
    """Records that are there and not stored."""
    moved_at: float
    """When its stored position last moved, or the partition was assigned."""


def stuck(partitions: Iterable[Progress], now: float, patience_s: float, excused_at: float) -> str | None:
    """Return why the worker counts as stuck, or None.

    Args:
        partitions: all that are assigned.
        now: the monotonic time.
        patience_s: how long nothing may move while there is lag.
        excused_at: when the last outage, rebalance or start ended; ``now`` while one lasts.
    """
    for p in partitions:
        still = now - max(p.moved_at, excused_at)
        if p.lag > 0 and still > patience_s:
            return f"{p.name}: {p.lag} records behind, nothing stored for {still:.0f} s"
    return None

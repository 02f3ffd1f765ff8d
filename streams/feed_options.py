"""How a live feed goes about it: bounds and pace."""

from __future__ import annotations

from dataclasses import dataclass, field

from providers.connection import Pace


@dataclass(frozen=True, slots=True)
class FeedOptions:
    """Nanoseconds, seconds, ticks as the names say."""

    lateness_ns: int = 2_000_000_000
    """How long consumers wait for late ticks: a promise is less this, and so a hole begins earlier by it."""
    buffer_ticks: int = 100_000
    """Received and not yet delivered at most; then the socket is not read."""
    stall_s: float = 5.0
    """Not read for longer than this, the vendor may have left something out."""
    drain_s: float = 20.0
    """After being told to stop, deliver what was received for at most so long."""
    pace: Pace = field(default_factory=Pace)

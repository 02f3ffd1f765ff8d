"""Time that a test sets."""

from __future__ import annotations


class SetClock:
    """Stands still until it is told what the time is."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def monotonic(self) -> float:
        return self.seconds

    def now_ns(self) -> int:
        return int(self.seconds * 1e9)

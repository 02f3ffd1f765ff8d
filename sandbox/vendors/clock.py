"""The market's own time: it may start in the past, run faster than the wall clock, or stand still."""

from __future__ import annotations

from typing import Protocol

from typing_extensions import override

from domain.clock import Clock

SECOND_NS = 1_000_000_000


class MarketTime(Protocol):
    """What time it is on the exchange."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, UTC; never goes back."""


class RunningTime(MarketTime):
    """Starts at an instant and runs at a constant speed."""

    def __init__(self, start_ns: int, clock: Clock, speed: float = 1.0) -> None:
        """Start now.

        Args:
            start_ns: market time at the start.
            clock: whose monotonic seconds pass.
            speed: market seconds a second.
        """
        self._start_ns = start_ns
        self._clock = clock
        self._speed = speed
        self._began = clock.monotonic()

    @override
    def now_ns(self) -> int:
        return self._start_ns + int((self._clock.monotonic() - self._began) * self._speed * SECOND_NS)


class SetTime(MarketTime):
    """Stands still until it is moved: a test decides what has happened."""

    def __init__(self, now_ns: int) -> None:
        self._now_ns = now_ns

    @override
    def now_ns(self) -> int:
        return self._now_ns

    def advance(self, seconds: float) -> None:
        """Move on."""
        self.set(self._now_ns + round(seconds * SECOND_NS))

    def set(self, now_ns: int) -> None:
        """Move on to an instant.

        Raises:
            ValueError: it lies before the present.
        """
        if now_ns < self._now_ns:
            raise ValueError("market time does not go back")
        self._now_ns = now_ns

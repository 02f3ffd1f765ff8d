"""Time, as an argument: nothing else in tapeflow asks the operating system for it."""

from __future__ import annotations

import time
from typing import Protocol

from typing_extensions import override


class Clock(Protocol):
    """What the time is, on two scales."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, UTC; may jump when the machine's clock is set."""

    def monotonic(self) -> float:
        """Seconds that only ever grow: for durations."""


class SystemClock(Clock):
    """The machine's clocks."""

    @override
    def now_ns(self) -> int:
        return time.time_ns()  # noqa: TID251 - the one place

    @override
    def monotonic(self) -> float:
        return time.monotonic()

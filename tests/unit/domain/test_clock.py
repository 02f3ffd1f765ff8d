"""The machine's clocks, read as they should be."""

from __future__ import annotations

import time

from domain.clock import Clock, SystemClock

CLOCK: Clock = SystemClock()


def test_now_is_nanoseconds_since_the_epoch() -> None:
    before = time.time_ns()  # noqa: TID251 - what it is held against
    now = CLOCK.now_ns()
    assert before <= now <= time.time_ns()  # noqa: TID251 - likewise
    assert isinstance(now, int)


def test_monotonic_is_for_durations() -> None:
    before = time.monotonic()
    assert before <= CLOCK.monotonic() <= time.monotonic()

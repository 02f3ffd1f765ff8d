"""Market time: it runs at its own speed, or stands until it is moved."""

from __future__ import annotations

import pytest

from sandbox.vendors.clock import RunningTime, SetTime


class Ticking:
    """A wall clock that a test moves."""

    seconds = 5.0

    def now_ns(self) -> int:
        return 0

    def monotonic(self) -> float:
        return self.seconds


def test_it_runs_faster_than_the_wall() -> None:
    clock = Ticking()
    time = RunningTime(1_000_000_000_000, clock, speed=60)
    assert time.now_ns() == 1_000_000_000_000
    clock.seconds += 2
    assert time.now_ns() == 1_120_000_000_000


def test_it_stands_still_and_never_goes_back() -> None:
    time = SetTime(100)
    time.advance(1.5)
    assert time.now_ns() == 1_500_000_100
    with pytest.raises(ValueError, match="does not go back"):
        time.set(99)

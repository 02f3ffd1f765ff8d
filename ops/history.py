"""The last minutes of a worker, second by second, for the small curves of the status page."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import NamedTuple

from streams.status import Counters

SPAN_S = 300
STEP_S = 1.0
#: samples that one point of a curve spans
STRIDE = 3
_SAMPLES = SPAN_S + STRIDE


class Point(NamedTuple):
    """Rates per second of one step of the past."""

    age_s: float
    records_in: float
    stored: float
    dead_lettered: float


class _Sample(NamedTuple):
    at: float
    records_in: int
    stored: int
    dead_lettered: int


class History:
    """A ring of the counters; rates are their true differences, however irregular the samples."""

    def __init__(self) -> None:
        """Start empty."""
        self._samples: deque[_Sample] = deque(maxlen=_SAMPLES)
        self._taken = 0

    def add(self, at: float, counters: Counters) -> None:
        """Take a sample, unless the last one is younger than a step.

        Args:
            at: monotonic seconds.
            counters: as they are now.
        """
        if not self._samples or at - self._samples[-1].at >= STEP_S * 0.9:
            sample = _Sample(at, counters.records_in, counters.stored, counters.dead_lettered)
            self._samples.append(sample)
            self._taken += 1

    def points(self, now: float) -> list[Point]:
        """Return the rates, oldest first; empty before there are enough samples."""
        first = self._taken - len(self._samples)
        # by their number since the start: a curve moves on, it does not shimmer
        picked = [s for n, s in enumerate(self._samples, first) if n % STRIDE == 0]
        return [
            Point(
                now - b.at,
                (b.records_in - a.records_in) / (b.at - a.at),
                (b.stored - a.stored) / (b.at - a.at),
                (b.dead_lettered - a.dead_lettered) / (b.at - a.at),
            )
            for a, b in pairwise(picked)
            if now - b.at <= SPAN_S
        ]

"""When so much of a partition is poison that the worker should stop instead of diverting it.

The usual cause is not a thousand bad records but one bad deploy, on either side; the records stay where
they are until somebody has looked. The idea is arroyo's; the numbers are ours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DlqLimit:
    """How much poison of one partition is too much."""

    max_ratio: float = 0.2
    """Of the last ``window`` records; not judged before that many were seen."""
    window: int = 1_000
    max_consecutive: int = 500


class PoisonMeter:
    """Counts the poison of one partition against its limit."""

    def __init__(self, limit: DlqLimit) -> None:
        """Start with nothing seen."""
        self.limit = limit
        self._seen = 0
        self._recent: deque[int] = deque()
        self._run = 0

    def exceeded(self, count: int, poison: Iterable[int]) -> str | None:
        """Take the next ``count`` records, of which those at the given indices are poison.

        Returns:
            What limit was exceeded, as a sentence; None if none was.

        """
        recent, limit = self._recent, self.limit
        verdict = None
        last = self._seen - 1 if self._run else -2
        for index in poison:
            at = self._seen + index
            self._run = self._run + 1 if at == last + 1 else 1
            last = at
            recent.append(at)
            while recent[0] <= at - limit.window:
                recent.popleft()
            if self._run >= limit.max_consecutive:
                verdict = f"{self._run} poison records in a row"
            elif at + 1 >= limit.window and len(recent) > limit.max_ratio * limit.window:
                verdict = f"{len(recent)} of the last {limit.window} records are poison"
        self._seen += count
        if last != self._seen - 1:
            self._run = 0
        return verdict

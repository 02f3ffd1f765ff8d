"""Which offset may be committed: everything delivered before it is acknowledged.

Replaces Faust's arithmetic on acknowledged numbers, which commits past a message in flight, and past
gaps and duplicates (faust-streaming issue 606).
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import Protocol

from faust.types import TP


class Delivered(Protocol):
    """A message of Faust, or a slice."""

    @property
    def tp(self) -> TP:
        """The partition."""

    @property
    def offset(self) -> int:
        """Of its last record."""

    @property
    def acked(self) -> bool:
        """Whether all that it caused is stored."""


class OffsetLedger:
    """What was delivered of each partition, in delivery order; acknowledged in any order."""

    def __init__(self) -> None:
        """Start with nothing delivered."""
        self._delivered: defaultdict[TP, deque[Delivered]] = defaultdict(deque)

    def add(self, delivered: Delivered) -> None:
        """Record what is about to be delivered."""
        self._delivered[delivered.tp].append(delivered)

    def next_offset(self, tp: TP) -> int | None:
        """Drop the acknowledged head of a partition; return the offset to commit, or None."""
        delivered = self._delivered.get(tp)
        last: int | None = None
        while delivered and delivered[0].acked:
            last = delivered.popleft().offset
        return None if last is None else last + 1

    def partitions(self) -> list[TP]:
        """Return the partitions that have been delivered from."""
        return list(self._delivered)

    def forget(self, tp: TP) -> None:
        """Drop a partition whose position was reset."""
        self._delivered.pop(tp, None)

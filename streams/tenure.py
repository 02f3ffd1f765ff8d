"""One partition, from one positioning to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from faust.types import TP
from typing_extensions import override


@dataclass(eq=False, slots=True)
class Tenure:
    """What a worker knows of a partition while it holds it.

    Its identity is the epoch: a chunk whose tenure is not the current one is dropped, a batch whose
    tenure is not the current one stores nothing.
    """

    tp: TP
    stored: int
    """The offset in the database as we last read or wrote it: the expected side of the swap."""
    delivered: int
    """Next offset to deliver to the agent."""
    folded: int
    """Next offset to fold."""
    suppress: int
    """What records below this offset emit is stored already: they only rebuild state."""
    state: Any
    """The fold's own, of whatever type the topic's `Restore` returns."""
    moved_at: float
    """Monotonic seconds when ``stored`` last moved; at first when the tenure began."""
    delivered_at: float = 0.0
    """Monotonic seconds of the last delivery."""

    @override
    def __str__(self) -> str:
        """Say where it stands, for the log."""
        return f"{self.tp.topic}[{self.tp.partition}] stored {self.stored}, reading from {self.delivered}"

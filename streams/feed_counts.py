"""What a feed process has done since its start, and what it is doing now."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

log = logging.getLogger(__name__)

State = Literal["starting", "standby", "connecting", "active", "stopping"]


@dataclass(slots=True)
class FeedCounts:
    """Since the start of the process."""

    state: State = "starting"
    since: float = 0.0
    """Monotonic seconds at which the state began."""
    received: int = 0
    delivered: int = 0
    clocks: int = 0
    holes: int = 0
    connections: int = 0
    unreadable: int = 0
    refused: int = 0
    price_updates: int = 0
    last_hole: str = ""
    last_error: str = ""

    def turn(self, state: State, now: float) -> None:
        """Go over to a state, at monotonic seconds."""
        if state != self.state:
            log.info("%s, was %s", state, self.state)
            self.state, self.since = state, now

    def failed(self, why: str) -> None:
        """Note what went wrong; the same again is not logged again."""
        if why != self.last_error:
            log.warning("%s", why)
        self.last_error = why

    def told(self, hole: str) -> None:
        """Note why something may be missing; the same again is not logged again."""
        if hole != self.last_hole:
            log.warning("records may be missing: %s", hole)
        self.last_hole = hole

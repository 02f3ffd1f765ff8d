"""What a feed can promise about event time: that nothing earlier will follow.

What the vendor had sent when it answered a ping has come before the answer: a connection keeps the order.
So whatever it had published when the ping was *sent* is here. How far behind the events the vendor is when
it publishes them is measured on the ticks: the median delay of the last few. That makes the promise right
for feeds that are 15 minutes late by contract, for clocks that do not agree, and for a market that is
played back, without anybody saying so; before the first tick nothing is promised.
"""

from __future__ import annotations

from collections import deque
from statistics import median_low

#: so many ticks are looked back on; late prints are fewer than half of them
RECENT = 64
#: a tick may come this much sooner than any did so far
SLACK_NS = 1_000_000_000


class Promise:
    """One feed's. All times are nanoseconds since the epoch."""

    def __init__(self) -> None:
        """Start without a promise."""
        self._given: int | None = None
        self._recent: deque[int] = deque(maxlen=RECENT)
        self._least: int | None = None
        self._kept = 0

    @property
    def delay_ns(self) -> int | None:
        """How far the vendor is behind the events; never negative; None: not known yet."""
        if not self._recent:
            return self._given
        return max(0, median_low(self._recent))

    @property
    def kept_ns(self) -> int:
        """The last promise; 0 without one."""
        return self._kept

    def seen(self, ts_event_ns: int, ts_recv_ns: int) -> None:
        """Note a tick."""
        delay = ts_recv_ns - ts_event_ns
        self._recent.append(delay)
        if self._least is None or delay < self._least:
            self._least = delay

    def resume(self, kept_ns: int, delay_ns: int) -> None:
        """Take over from a predecessor: its last promise, and the least delay that its promises had."""
        self._kept = max(self._kept, kept_ns)
        self._given = self._least = max(0, delay_ns)

    def up_to(self, asked_ns: int) -> int | None:
        """Return what is promised after the answer to a ping, None if nothing is; it never goes back.

        Args:
            asked_ns: when the ping was sent.
        """
        delay = self.delay_ns
        if delay is None:
            return None
        self._kept = max(self._kept, asked_ns - delay)
        return self._kept

    def reached(self, now_ns: int) -> int:
        """Return an event time that nothing is beyond of what the vendor has published by now.

        By the least delay ever seen: that of the last few ticks may be our own, when we read too slowly.
        """
        return now_ns - max(0, (self._least or 0) - SLACK_NS)

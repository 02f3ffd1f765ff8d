"""What has been received and not yet delivered: bounded, so that a slow broker slows the reading."""

from __future__ import annotations

import asyncio
from collections import deque

from domain.clock import Clock
from streams.feed_records import Entry, Ticks


class FeedBuffer:
    """A queue between who reads the socket and who delivers; its size is counted in ticks."""

    def __init__(self, ticks: int, clock: Clock) -> None:
        """Start empty.

        Args:
            ticks: so many wait at most; a frame that brings it beyond is still taken.
            clock: for how long `put` took.
        """
        self._most = ticks
        self._clock = clock
        self._entries: deque[Entry] = deque()
        self._changed = asyncio.Condition()
        self._closed = False
        self._full_since: float | None = None
        self.ticks = 0
        """Ticks in it."""

    @property
    def waiting_s(self) -> float:
        """Seconds that somebody has waited for room; 0 if nobody does."""
        return 0.0 if self._full_since is None else self._clock.monotonic() - self._full_since

    async def put(self, entry: Entry) -> float:
        """Add an entry; return the seconds that it took until there was room. For one task at a time."""
        self._full_since = self._clock.monotonic()
        try:
            async with self._changed:
                await self._changed.wait_for(lambda: self.ticks < self._most)
                self._entries.append(entry)
                self.ticks += _size(entry)
                self._changed.notify_all()
            return self.waiting_s
        finally:
            self._full_since = None

    async def take(self, ticks: int) -> list[Entry]:
        """Return what there is, of so many ticks or a little more; nothing only at the end, after `close`."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._entries or self._closed)
            taken: list[Entry] = []
            size = 0
            while self._entries and size < ticks:
                entry = self._entries.popleft()
                size += _size(entry)
                taken.append(entry)
            self.ticks -= size
            self._changed.notify_all()
        return taken

    async def close(self) -> None:
        """Take no more: who takes gets what is left, and then nothing."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()


def _size(entry: Entry) -> int:
    return len(entry.ticks) if isinstance(entry, Ticks) else 0

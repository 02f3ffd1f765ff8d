"""A live feed: one active process of several, from a vendor's WebSocket to the tick topics.

Three tasks while it leads: one reads the socket into a bounded buffer, one delivers the buffer, one proves
once in half a second that it still leads. Whatever may be missing is told in the feed itself, on every
partition, before what comes after it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from domain.clock import Clock as Time
from providers.dialogue import Dialogue
from schemas.errors import DatabaseAway
from sinks.leadership import Leadership
from streams.feed_buffer import FeedBuffer
from streams.feed_counts import FeedCounts, State
from streams.feed_listener import AskLastWord, FeedListener
from streams.feed_options import FeedOptions
from streams.feed_records import Clock, FeedRecords, Ticks
from streams.feed_word import FeedWord
from streams.output import Output

log = logging.getLogger(__name__)

#: between two attempts to lead, and between two proofs of it
STAND_S: Final = 1.0
PROVE_S: Final = 0.5
#: before a new leader acts: longer than between two proofs, so that a former one has noticed
GRACE_S: Final = 1.0
#: of one delivery
BATCH_TICKS: Final = 5_000


class _Deposed(Exception):
    """We do not lead any more."""


class Feed:
    """Runs until it is told to stop."""

    def __init__(
        self,
        dialogue: Callable[[], Dialogue],
        output: Output,
        records: FeedRecords,
        leadership: Leadership,
        last_word: AskLastWord,
        clock: Time,
        options: FeedOptions | None = None,
    ) -> None:
        """Take what it works with; it starts nothing and stops nothing of that.

        Args:
            dialogue: makes the talk on a new connection.
            output: started; the active one delivers by it.
            records: of the topics that are filled.
            leadership: candidate for this feed.
            last_word: asks the topics what the predecessor promised last.
            clock: every time is of it.
            options: see there.
        """
        self._dialogue = dialogue
        self._output = output
        self._records = records
        self._leadership = leadership
        self._last_word = last_word
        self._clock = clock
        self._options = options or FeedOptions()
        self._stop = asyncio.Event()
        first = dialogue()
        self._name = first.provider_name, first.feed
        self._buffer = self._empty_buffer()
        self._word = self._no_word()
        self.counts = FeedCounts(since=clock.monotonic())

    def stop(self) -> None:
        """Deliver what was received, give up the lead, end."""
        self._stop.set()

    @property
    def buffered(self) -> int:
        """Ticks received and not yet delivered."""
        return self._buffer.ticks

    @property
    def unread_s(self) -> float:
        """Seconds that the socket has not been read, as there is no room for more ticks."""
        return self._buffer.waiting_s

    @property
    def promised_ns(self) -> int:
        """Event time of the last clock record; 0 before the first."""
        return self._word.promised_ns

    async def run(self) -> None:
        """Stand by, lead, stand by again, until told to stop.

        Raises:
            ConfigInvalid: the vendor refuses key, plan or symbols.
            OutageOutlasted: the broker was away for longer than its budget.
            Fatal: the broker or the database refused us.
        """
        while not self._stop.is_set():
            self._turn("standby")
            if await self._stands():
                try:
                    await self._lead()
                except _Deposed:
                    log.warning("another process may lead now: standing by")
                finally:
                    await self._leadership.resign()

    async def _stands(self) -> bool:
        """Wait until we lead; return False if told to stop before, or if it lasted for a moment only."""
        while not self._stop.is_set():
            try:
                if await self._leadership.stand():
                    await self._pause(GRACE_S)
                    return await self._leadership.prove() and not self._stop.is_set()
            except DatabaseAway as exc:
                self.counts.failed(f"who leads cannot be told: {exc}")
            await self._pause(STAND_S)
        return False

    async def _lead(self) -> None:
        """Do the work of the active process.

        Raises:
            _Deposed: we do not lead any more; what was not delivered is dropped.
        """
        self._turn("connecting")
        self._buffer, self._word = self._empty_buffer(), self._no_word()
        listener = FeedListener(
            self._dialogue, self._buffer, self._word, self.counts, self._clock, self._options
        )
        proving = asyncio.create_task(self._prove())
        delivering = asyncio.create_task(self._deliver())
        listening = asyncio.create_task(listener.run(self._last_word))
        stopping = asyncio.create_task(self._stop.wait())
        tasks: tuple[asyncio.Task[Any], ...] = (proving, delivering, listening, stopping)
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if stopping in done and not delivering.done():
                await self._drain(listening, delivering)
            for task in (proving, delivering, listening):
                if task in done:
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _drain(self, listening: asyncio.Task[None], delivering: asyncio.Task[None]) -> None:
        self._turn("stopping")
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await self._buffer.close()
        done, _ = await asyncio.wait((delivering,), timeout=self._options.drain_s)
        if not done:
            log.error("%d ticks were not delivered in time: the next start tells the hole", self.buffered)
        else:
            delivering.result()

    async def _prove(self) -> None:
        while True:
            await asyncio.sleep(PROVE_S)
            if not await self._leadership.prove():
                raise _Deposed

    async def _deliver(self) -> None:
        counts = self.counts
        while entries := await self._buffer.take(BATCH_TICKS):
            if not self._leadership.leads():
                raise _Deposed
            await self._output.deliver(self._records.messages(entries))
            for entry in entries:
                if isinstance(entry, Ticks):
                    counts.delivered += len(entry.ticks)
                elif isinstance(entry, Clock):
                    counts.clocks += 1
                else:
                    counts.holes += 1

    def _empty_buffer(self) -> FeedBuffer:
        return FeedBuffer(self._options.buffer_ticks, self._clock)

    def _no_word(self) -> FeedWord:
        return FeedWord(*self._name, self._options.lateness_ns)

    def _turn(self, state: State) -> None:
        self.counts.turn(state, self._clock.monotonic())

    async def _pause(self, seconds: float) -> None:
        """Sleep, but not beyond being told to stop."""
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            pass

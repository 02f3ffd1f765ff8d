"""The work of ``tapeflow produce``: read, validate, pace, send."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from domain.clock import Clock
from ops.tick_sender import TickSender
from ops.ticks_file import Chunk, TicksFile
from schemas.trade import ClockTick, Trade

CLOCK_PERIOD_S = 1.0


class Stop:
    """What Ctrl-C sets: the reading thread and the loop both look at it."""

    def __init__(self) -> None:
        """Not set."""
        self.thread = threading.Event()
        self.loop = asyncio.Event()
        self.signal = 0

    def set(self, signal: int) -> None:
        """End the work at the next chunk."""
        self.signal = self.signal or signal
        self.thread.set()
        self.loop.set()


@dataclass(slots=True)
class Production:
    """One file on its way; the numbers grow while it runs."""

    file: TicksFile
    sender: TickSender | None
    """None: validate only."""
    clock: Clock
    stop: Stop
    on_chunk: Callable[[Chunk], None]
    """Called after a chunk was taken in hand."""
    rate: float | None = None
    """Rows a second at most."""
    clocks: bool = False
    """Send clock records: the file must be in the order of time."""
    bad: int = 0
    seconds: float = 0.0
    _latest: Trade | None = None
    _clock_at: int = 0
    _clock_due: float = 0.0

    @property
    def sent(self) -> int:
        """Trades that the broker has acknowledged."""
        return self.sender.acknowledged if self.sender else 0

    async def run(self) -> None:
        """Work until the file ends or `stop` is set; then wait until the broker has what was sent.

        Raises:
            ops.tick_columns.MappingError: the file has not the columns that were asked for.
            DependencyAway: the broker went away.
            CommandError: the broker refused a record.
        """
        started = self.clock.monotonic()
        self._clock_due = started + CLOCK_PERIOD_S
        chunks = self.file.chunks(self._now_ms())
        try:
            while not self.stop.loop.is_set():
                chunk = await asyncio.to_thread(next, chunks, None)
                if chunk is None:
                    break
                self.bad += len(chunk.bad)
                if self.sender is not None:
                    await self._send(self.sender, chunk)
                self.seconds = self.clock.monotonic() - started
                self.on_chunk(chunk)
                if self.rate is not None:
                    await self._pause(self.file.rows / self.rate - self.seconds)
            if self.sender is not None:
                await self._send_clock(self.sender)
                await self.sender.finish()
        finally:
            self.seconds = self.clock.monotonic() - started

    async def _send(self, sender: TickSender, chunk: Chunk) -> None:
        await sender.send(chunk.trades, chunk.values)
        if chunk.trades:
            latest = max(chunk.trades, key=_event_time)
            if self._latest is None or latest.ts_event >= self._latest.ts_event:
                self._latest = latest
        if chunk.waiting or self.rate is not None:
            await sender.flush()
        if self.clock.monotonic() >= self._clock_due:
            self._clock_due += CLOCK_PERIOD_S
            await self._send_clock(sender)

    async def _send_clock(self, sender: TickSender) -> None:
        latest = self._latest
        if not self.clocks or latest is None or latest.ts_event == self._clock_at:
            return
        self._clock_at = latest.ts_event
        tick = ClockTick(type="clock", ts_event=latest.ts_event, provider=latest.provider, feed=latest.feed)
        await sender.send_clock(tick)

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            try:
                await asyncio.wait_for(self.stop.loop.wait(), seconds)
            except TimeoutError:
                return

    def _now_ms(self) -> Iterator[int]:
        while True:
            yield self.clock.now_ns() // 1_000_000


def _event_time(trade: Trade) -> int:
    return trade.ts_event

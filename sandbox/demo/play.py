"""A demo from the moment everything runs until everything that was sent is stored."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from sandbox.demo.ending import Ending
from sandbox.demo.feed import Feed, Sender
from sandbox.demo.readings import Reader, Readings
from sandbox.demo.screen import Screen
from sandbox.demo.summary import Summary
from sandbox.demo.view import Scene
from sandbox.demo.worker import DemoWorker
from schemas.errors import CommandError
from streams.settings import Settings

#: while something is waited for it is looked at so often
EAGER_S = 0.1
READY_S = 60.0
DRAIN_S = 30.0
REVISED_ROWS = 3
LATENESS_NS = Settings.model_fields["lateness_ms"].default * 1_000_000


@dataclass(slots=True)
class Play:
    """One run; broker, database and worker have been started."""

    feed: Feed
    sender: Sender
    reader: Reader
    worker: DemoWorker
    screen: Screen
    ending: Ending
    speed: float
    """Of the market, until it has caught up."""
    _first_candle_s: float | None = field(default=None)

    async def run(self) -> Summary:
        """Feed and show until the end is asked for; then wait until all is stored, and stop the worker.

        Raises:
            CommandError: the worker ended by itself, or does not start to read.
            DependencyAway: the broker does not take the trades.
        """
        feeding = asyncio.create_task(self.feed.run(self.ending.asked, LATENESS_NS))
        try:
            with self.screen.stage(f"worker: reads all partitions; its status page: {self.worker.url}"):
                await self._until_it_reads(feeding)
            await self._show(feeding)
            await feeding
            readings = await self._drain()
        finally:
            feeding.cancel()
        summary = Summary(
            self._first_candle_s,
            self.sender.acknowledged,
            self.feed.spoilt,
            readings,
            self.feed.tally.differences(await self.reader.candles()),
        )
        self.screen.freeze()
        return summary

    async def _until_it_reads(self, feeding: asyncio.Task[None]) -> None:
        deadline = self.screen.seconds + READY_S
        while True:
            self._check(feeding)
            page = await self.reader.page()
            if page is not None and page.phase == "running":
                return
            if self.screen.seconds > deadline:
                said = f"{page.phase}: {page.reason}" if page else "its page does not answer"
                raise CommandError(
                    f"the worker does not read after {READY_S:.0f} s: {said}\n{self.worker.tail()}"
                )
            await asyncio.sleep(EAGER_S)

    async def _show(self, feeding: asyncio.Task[None]) -> None:
        due = self.screen.seconds
        while not self.ending.asked.is_set():
            self._check(feeding)
            readings = await self.reader.read(self.screen.rows, REVISED_ROWS)
            self._note(readings)
            if self.screen.seconds >= due:
                due = self.screen.seconds + self.screen.pace_s
                self._put(readings)
            pace = EAGER_S if self._first_candle_s is None else due - self.screen.seconds
            await self._pause(pace)

    async def _drain(self) -> Readings:
        """Wait until everything that the broker has is stored; return the last readings."""
        deadline = self.screen.seconds + DRAIN_S
        while True:
            self._check(None)
            readings = await self.reader.read(self.screen.rows, REVISED_ROWS)
            self._note(readings)
            if not readings.waiting or self.screen.seconds > deadline:
                self._put(readings)
                return readings
            await asyncio.sleep(EAGER_S)

    def _note(self, readings: Readings) -> None:
        """Notice the first candle."""
        if self._first_candle_s is None and readings.candles:
            self._first_candle_s = self.screen.seconds
            self.screen.say(f"first candle after {self._first_candle_s:.1f} s")

    def _put(self, readings: Readings) -> None:
        self.screen.show(Scene(self.screen.seconds, self.worker.url, readings, self.feed, self.speed))

    def _check(self, feeding: asyncio.Task[None] | None) -> None:
        """Raise what ended the feed or the worker."""
        if feeding is not None and feeding.done() and not self.ending.asked.is_set():
            feeding.result()
        code = self.worker.exit_code
        if code is not None:
            raise CommandError(
                f"the worker ended by itself with exit code {code}; the end of its log:\n{self.worker.tail()}"
            )

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self.ending.asked.wait(), max(0.0, seconds))
        except TimeoutError:
            return

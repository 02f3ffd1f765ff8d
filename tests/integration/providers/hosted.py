"""The emulator on a loop of its own, in a thread: what is counted on the test's loop is the client's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from typing_extensions import override

from domain.clock import Clock, SystemClock
from sandbox.market.market import Market
from sandbox.vendors.clock import MarketTime
from sandbox.vendors.plans import Plans
from sandbox.vendors.server import Emulator

PATIENCE_S = 30.0


class MarketClock(Clock):
    """A wall clock that shows what time it is on the simulated exchange."""

    def __init__(self, time: MarketTime) -> None:
        self._time = time
        self._system = SystemClock()

    @override
    def now_ns(self) -> int:
        return self._time.now_ns()

    @override
    def monotonic(self) -> float:
        return self._system.monotonic()


@contextmanager
def hosted(market: Market, time: MarketTime, plans: Plans, clock: Clock | None = None) -> Iterator[Emulator]:
    """Run an emulator until the block ends. Its walls show ``clock``, else the market's time, limits too."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="emulator")
    thread.start()
    try:
        emulator = Emulator(market, time, plans, clock=clock or MarketClock(time))
        asyncio.run_coroutine_threadsafe(emulator.__aenter__(), loop).result(PATIENCE_S)
        try:
            yield emulator
        finally:
            asyncio.run_coroutine_threadsafe(_stop(emulator), loop).result(PATIENCE_S)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE_S)
        loop.close()


async def _stop(emulator: Emulator) -> None:
    await emulator.__aexit__(None, None, None)
    # handlers that are still asleep for a client that has gone
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)

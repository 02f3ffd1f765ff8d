"""The emulated vendors beside the workers: on a loop of their own, by the wall clock."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from domain.clock import SystemClock
from sandbox.market.market import Market
from sandbox.vendors.clock import SetTime
from sandbox.vendors.plans import VENDORS, Plans
from sandbox.vendors.server import Emulator
from tests.integration.providers.month import FIRST, LAST, NOW_NS, open_plans

PATIENCE_S = 30.0


def market() -> Market:
    """Twenty symbols and six weeks, of which the worker asks parts."""
    return Market(seed=7, symbols=20, first=FIRST, last=LAST, keep=600)


@contextmanager
def emulated(truth: Market, plans: Plans | None = None, now_ns: int = NOW_NS) -> Iterator[Emulator]:
    """Run the vendors until the block ends: after the last session, so that all lies in the past."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="vendors")
    thread.start()
    try:
        emulator = Emulator(truth, SetTime(now_ns), plans or open_plans(), clock=SystemClock())
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


def settings(emulator: Emulator) -> dict[str, str]:
    """Return the settings of workers that ask these vendors, with keys of paid plans without limits."""
    keys = {vendor: f"{vendor}-open" for vendor in VENDORS}
    return {
        "POLYGON_API_KEY": keys["polygon"],
        "POLYGON_PLAN": "paid",
        "POLYGON_URL": emulator.urls["polygon"],
        "ALPACA_API_KEY_ID": keys["alpaca"],
        "ALPACA_API_SECRET_KEY": emulator.secret(keys["alpaca"]),
        "ALPACA_PLAN": "paid",
        "ALPACA_URL": emulator.urls["alpaca"],
        "FINNHUB_API_KEY": keys["finnhub"],
        "FINNHUB_PLAN": "paid",
        "FINNHUB_URL": emulator.urls["finnhub"],
        "TIINGO_API_KEY": keys["tiingo"],
        "TIINGO_PLAN": "paid",
        "TIINGO_URL": emulator.urls["tiingo"],
    }

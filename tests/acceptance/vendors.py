"""The emulated vendors beside the workers: by the wall clock, as requests are counted by it."""

from __future__ import annotations

from contextlib import AbstractContextManager

from domain.clock import SystemClock
from sandbox.market.market import Market
from sandbox.vendors.clock import SetTime
from sandbox.vendors.plans import VENDORS
from sandbox.vendors.server import Emulator
from tests.integration.providers.hosted import hosted
from tests.integration.providers.month import FIRST, LAST, NOW_NS, open_plans


def market() -> Market:
    """Twenty symbols and six weeks, of which the worker asks parts."""
    return Market(seed=7, symbols=20, first=FIRST, last=LAST, keep=600)


def emulated(truth: Market, now_ns: int = NOW_NS) -> AbstractContextManager[Emulator]:
    """Return the vendors, running while it is entered, after the last session: all lies in the past."""
    return hosted(truth, SetTime(now_ns), open_plans(), SystemClock())


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

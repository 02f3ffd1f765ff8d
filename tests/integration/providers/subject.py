"""The ways to vendors that are held against the emulator: one entry each, and all tests run for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import SecretStr

from domain.clock import Clock
from providers.alpaca.client import AlpacaClient
from providers.alpaca.config import AlpacaConfig
from providers.base import Provider
from providers.capability import Access
from providers.finnhub.client import FinnhubClient
from providers.finnhub.config import FinnhubConfig
from providers.gate import Gate
from providers.http import Timeouts
from providers.iex.client import TiingoClient
from providers.iex.config import TiingoConfig
from providers.polygon.client import PolygonClient
from providers.polygon.config import PolygonConfig
from sandbox.vendors.plans import VendorName

#: of 20 symbols that is three batches
BATCH = 7


@dataclass(frozen=True, slots=True)
class Door:
    """Where a client goes and with what."""

    url: str
    key: str
    secret: str
    clock: Clock
    gate: Gate | None = None
    timeouts: Timeouts | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """One client with pages so small that a month never fits on one."""

    name: str
    vendor: VendorName
    """Which of the emulator's ports it asks."""
    access: Access
    make: Callable[[Door], Provider]
    source_feed: str
    """What its results say about their origin."""
    rules: tuple[str, str]
    """Names of its rules for minutes and for days."""
    book: str = ""
    """``iex``: what it sees is IEX's alone, as the simulated market names that view."""
    averages: bool = True
    """Whether bars have an average price and a count of trades."""
    unknown_raises: frozenset[str] = frozenset()
    """Of ``bars``, ``days``, ``latest`` and ``window``: where it tells an unknown symbol from silence."""
    cursors: bool = False
    """Whether an answer names the page after it."""


def _polygon(door: Door) -> Provider:
    config = PolygonConfig(
        key=SecretStr(door.key),
        base_url=door.url,
        plan="paid",
        page_size=900,
        intraday_days=9,
        daily_days=12,
    )
    return PolygonClient(config, door.clock, door.gate, door.timeouts)


def _alpaca_config(door: Door, feed: str) -> AlpacaConfig:
    return AlpacaConfig.model_validate(
        {
            "key_id": door.key,
            "secret": door.secret,
            "provider": "iex" if feed == "iex" else "alpaca",
            "base_url": door.url,
            "plan": "paid",
            "feed": feed,
            "batch_symbols": BATCH,
            # IEX has a tenth of the bars
            "page_size": 200 if feed == "iex" else 1_500,
        }
    )


def _alpaca(door: Door) -> Provider:
    return AlpacaClient(_alpaca_config(door, "sip"), door.clock, door.gate, door.timeouts)


def _alpaca_iex(door: Door) -> Provider:
    return AlpacaClient(_alpaca_config(door, "iex"), door.clock, door.gate, door.timeouts)


def _finnhub(door: Door) -> Provider:
    config = FinnhubConfig(
        key=SecretStr(door.key),
        base_url=door.url,
        plan="paid",
        intraday_days=9,
        daily_days=12,
        page_size=400,
    )
    return FinnhubClient(config, door.clock, door.gate, door.timeouts)


def _tiingo(door: Door) -> Provider:
    config = TiingoConfig(
        key=SecretStr(door.key),
        base_url=door.url,
        plan="paid",
        quotes_entitled=True,
        max_points=1_000,
        batch_symbols=BATCH,
    )
    return TiingoClient(config, door.clock, door.gate, door.timeouts)


POLYGON = Subject(
    "polygon",
    "polygon",
    Access("polygon", "massive", "paid"),
    _polygon,
    "sip",
    ("polygon.v1", "polygon.v1"),
    unknown_raises=frozenset({"latest"}),
    cursors=True,
)
ALPACA = Subject(
    "alpaca",
    "alpaca",
    Access("alpaca", "sip", "paid"),
    _alpaca,
    "sip",
    ("alpaca.v1", "alpaca.v1"),
    cursors=True,
)
ALPACA_IEX = Subject(
    "alpaca_iex",
    "alpaca",
    Access("iex", "alpaca_iex", "paid"),
    _alpaca_iex,
    "iex",
    ("alpaca.v1", "alpaca.v1"),
    book="iex",
    cursors=True,
)
FINNHUB = Subject(
    "finnhub",
    "finnhub",
    Access("finnhub", "finnhub", "paid"),
    _finnhub,
    "finnhub",
    ("finnhub.v1", "finnhub.v1"),
    averages=False,
)
TIINGO = Subject(
    "tiingo",
    "tiingo",
    Access("iex", "tiingo", "paid", quotes_entitled=True),
    _tiingo,
    "tiingo",
    ("tiingo_iex.v1", "tiingo_daily.v1"),
    book="iex",
    averages=False,
    unknown_raises=frozenset({"bars", "days"}),
)
SUBJECTS = (POLYGON, ALPACA, ALPACA_IEX, FINNHUB, TIINGO)

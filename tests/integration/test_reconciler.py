"""What vendors served is compared with what others say: whoever is wrong is found, and nobody else."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import psycopg
import pytest

from domain.clock import Clock
from domain.health import failed
from domain.reconcile import FIELDS
from domain.routing import Standing
from migrations.files import TIMESCALE
from providers.base import BarsRequest, Provider
from providers.capability import Access
from sandbox.market.market import Market
from sandbox.vendors.clock import SetTime
from sandbox.vendors.plans import VendorName
from sandbox.vendors.server import Emulator
from schemas.outcome import ProviderOutcome
from schemas.provider import PROVIDERS, Adjustment, Interval, ProviderName
from sinks import vendor_bars
from sinks.database import Database
from sinks.vendor_bars import VendorBars
from streams.reconciler import AT_ONCE, Reconciler
from tests.integration.conftest import migrated
from tests.integration.providers.hosted import MarketClock, hosted
from tests.integration.providers.month import at, closing, door_of, open_plans
from tests.integration.providers.subject import ALPACA, ALPACA_IEX, FINNHUB, POLYGON, TIINGO, Subject

pytestmark = pytest.mark.integration

DAY, NEXT = date(2025, 11, 13), date(2025, 11, 14)
OPEN, NOON, ONE = at(DAY, 9, 30), at(DAY, 12), at(DAY, 13)
BEFORE_OPEN = at(DAY, 8)
TOMORROW = at(NEXT, 11)
#: whose word is whose
SUBJECTS: dict[ProviderName, Subject] = {
    "polygon": POLYGON,
    "alpaca": ALPACA,
    "finnhub": FINNHUB,
    "iex": TIINGO,
}
Change = Callable[[Any], Any]


@dataclass
class Rules:
    """The settings in force."""

    reconcile_s: float = 300.0
    reconcile_authority: tuple[str, ...] = ()


@dataclass
class Town:
    """Vendors, a database, and one who compares."""

    emulator: Emulator
    clock: Clock
    clients: dict[ProviderName, Provider]
    accesses: dict[ProviderName, Access]
    url: str
    database: Database
    rules: Rules = field(default_factory=Rules)
    standings: dict[ProviderName, Standing] = field(default_factory=dict)
    reports: list[ProviderOutcome] = field(default_factory=list)

    def reconciler(self, worker: str = "w1", database: Database | None = None) -> Reconciler:
        """One worker's."""
        return Reconciler(
            database or self.database,
            self.clients,
            self.accesses,
            lambda: self.standings,
            self.reports.append,
            lambda: self.rules,
            self.clock,
            worker=worker,
        )

    async def serve(
        self,
        name: ProviderName,
        *symbols: str,
        window: tuple[int, int] = (OPEN, NOON),
        interval: Interval = "1m",
        adjustment: Adjustment = "raw",
    ) -> int:
        """Fetch bars as a job does and store them; return how many."""
        now_ns = self.clock.now_ns()
        result = await self.clients[name].bars(BarsRequest(symbols, interval, *window, adjustment))
        source = result.source
        bars = VendorBars(
            result.rows,
            interval,
            result.adjustment,
            source.provider,
            source.feed,
            source.coverage,
            source.rule,
            as_of_ns=now_ns,
            final_before_ns=now_ns,
        )
        with psycopg.connect(self.url) as connection:
            vendor_bars.prepare(connection)
            vendor_bars.write(connection, [bars], PROVIDERS)
        return len(result.rows)

    def distort(self, change: Change, vendor: VendorName = "polygon") -> None:
        """Let a vendor answer wrongly from now on."""
        route = "aggs" if vendor == "polygon" else "bars"
        self.emulator.faults.add(vendor, route, "mutate", times=1_000, change=change)

    def set(self, now_ns: int) -> None:
        """Let it be later."""
        assert isinstance(self.emulator.time, SetTime)
        self.emulator.time.set(now_ns)

    def requests(self, vendor: VendorName) -> int:
        """How many requests have reached a vendor."""
        return self.emulator.faults.calls[vendor, "*"]


@pytest.fixture(scope="module")
def market() -> Market:
    """Two weeks of twenty symbols."""
    return Market(seed=7, symbols=20, first=date(2025, 11, 3), last=date(2025, 11, 17), keep=200)


@pytest.fixture
def emulator(market: Market) -> Iterator[Emulator]:
    """All four vendors, at noon."""
    with hosted(market, SetTime(NOON), open_plans()) as running:
        yield running


@pytest.fixture(scope="module")
def url(timescale: Any) -> Iterator[str]:
    """A migrated database."""
    name = f"reconciler_{uuid.uuid4().hex[:12]}"
    yield migrated(timescale.create_database(name), TIMESCALE)
    timescale.drop_database(name)


@pytest.fixture
async def town(emulator: Emulator, url: str) -> AsyncIterator[Town]:
    """Everything but the bars."""
    with psycopg.connect(url) as connection:
        connection.execute("truncate candles_intraday")
    clock = MarketClock(emulator.time)
    database = Database(url, "reconciler", clock)
    async with AsyncExitStack() as stack:
        clients = {
            name: await stack.enter_async_context(closing(subject.make(door_of(emulator, subject))))
            for name, subject in SUBJECTS.items()
        }
        accesses = {name: subject.access for name, subject in SUBJECTS.items()}
        yield Town(emulator, clock, clients, accesses, url, database)
        await database.close()


def polygon_bars(change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Change:
    """Change the bars of an answer."""

    def changed(payload: dict[str, Any]) -> dict[str, Any]:
        bars = change(payload.get("results", []))
        counts = {"resultsCount": len(bars), "queryCount": len(bars), "count": len(bars)}
        return payload | {"results": bars} | {k: v for k, v in counts.items() if k in payload}

    return changed


def scaled(by: float, *names: str) -> Change:
    return polygon_bars(lambda bars: [bar | {name: bar[name] * by for name in names} for bar in bars])


DEARER = scaled(1.01, "o", "h", "l", "c", "vw")
THIN = scaled(0.03, "v")
SPARSE = polygon_bars(lambda bars: [bar for n, bar in enumerate(bars) if n % 3])


async def test_nobody_is_indicted_by_the_bar_rules_of_the_others(town: Town, market: Market) -> None:
    symbols = market.symbols
    shares: dict[ProviderName, list[str]] = {
        "polygon": symbols[0::4],
        "alpaca": symbols[1::4],
        "finnhub": symbols[2::4],
        "iex": symbols[3::4],
    }
    for name, some in shares.items():
        for interval in ("1m", "15m"):
            assert await town.serve(name, *some, window=(BEFORE_OPEN, NOON), interval=interval)
    town.set(ONE)
    reconciler = town.reconciler()
    for n in range(6):
        await reconciler.round(f"session {n}")
    live = len(town.reports)
    assert live > 20
    # official bars, everybody's own later word among them; and days
    town.set(at(DAY, 20, 30))
    for name, some in shares.items():
        adjustment: Adjustment = "split" if name == "finnhub" else "raw"
        window = (at(DAY, 0), at(DAY, 23))
        assert await town.serve(name, *some, window=window, interval="1d", adjustment=adjustment)
    town.set(TOMORROW)
    for n in range(6):
        await reconciler.round(f"official {n}")
    assert len(town.reports) - live > 20
    assert {report.provider for report in town.reports} == {"polygon", "alpaca", "finnhub", "iex"}
    assert [report.detail for report in town.reports if report.incompleteness] == []
    assert sum(report.rows for report in town.reports) > 3_000


@pytest.mark.parametrize(
    ("change", "share", "fields"),
    [
        (DEARER, 1.0, {"open", "high", "low", "close"}),
        (THIN, 1.0, {"volume"}),
        (SPARSE, 1 / 3, {"missing"}),
    ],
    ids=["prices", "volume", "missing"],
)
async def test_whoever_serves_wrong_bars_is_indicted_by_two_that_agree(
    town: Town, caplog: pytest.LogCaptureFixture, change: Change, share: float, fields: set[str]
) -> None:
    town.distort(change)
    await town.serve("polygon", "AAPL", "BRK.B", "NVDA")
    await town.serve("alpaca", "TSLA")
    town.set(ONE)
    before = candles(town.url)
    reconciler = town.reconciler()
    caplog.set_level(logging.INFO)
    await reconciler.round("any")

    wrong = [report for report in town.reports if report.provider == "polygon"]
    assert len(wrong) == 3
    for report in wrong:
        assert report.incompleteness == pytest.approx(share, abs=0.04)
        assert (report.purpose, report.outcome, report.asked is not None) == ("proof", "ok", True)
        assert "alpaca and finnhub" in report.detail
        assert f"{report.rows} bars" in report.detail
        assert any(f"; {name} of 2025-11-13T" in report.detail for name in fields)
        assert "served" in report.detail
        assert failed(report)
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    said = "polygon served what others do not confirm: "
    assert sorted(text.partition(said)[2] for text in warned) == sorted(report.detail for report in wrong)
    for name in FIELDS:
        ratio = reconciler.disagreement["polygon", name]
        assert ratio == pytest.approx(share if name in fields else 0.0, abs=0.05), name
        assert reconciler.disagreement["alpaca", name] < 0.02
    (right,) = [report for report in town.reports if report.provider == "alpaca"]
    # polygon says otherwise, finnhub confirms
    assert right.incompleteness == 0.0
    assert candles(town.url) == before, "it writes nothing"


async def test_what_was_held_against_it_once_is_not_again(town: Town) -> None:
    town.distort(DEARER)
    await town.serve("polygon", "AAPL")
    town.set(ONE)
    reconciler = town.reconciler()
    await reconciler.round("one")
    town.emulator.faults.clear()
    await reconciler.round("two")
    assert [report.incompleteness for report in town.reports] == [1.0]
    town.set(at(DAY, 13, 1))
    await town.serve("polygon", "AAPL")
    await reconciler.round("three")
    assert [report.incompleteness for report in town.reports] == [1.0, 0.0]


async def test_one_other_that_disagrees_is_told_and_proves_nothing(
    town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    town.distort(DEARER)
    await town.serve("polygon", "AAPL")
    town.set(ONE)
    town.standings["finnhub"] = Standing(fit=False, score=0.0, reason="open")
    asked = town.requests("finnhub")
    caplog.set_level(logging.INFO)
    reconciler = town.reconciler()
    await reconciler.round("any")
    assert town.reports == []
    assert reconciler.disagreement["polygon", "close"] == 1.0
    assert town.requests("finnhub") == asked, "nobody asks who is not fit"
    (record,) = [record for record in caplog.records if "in doubt" in record.getMessage()]
    assert record.levelno == logging.INFO
    # neither does a witness that is wrong itself
    town.standings.clear()
    town.emulator.faults.clear()
    town.set(at(DAY, 13, 1))
    await town.serve("polygon", "AAPL")
    town.distort(lambda payload: _alpaca_dearer(payload), "alpaca")
    await reconciler.round("again")
    assert [report.incompleteness for report in town.reports] == [0.0]


def _alpaca_dearer(payload: dict[str, Any]) -> dict[str, Any]:
    bars = {
        symbol: [bar | {name: bar[name] * 1.02 for name in "ohlc"} for bar in some]
        for symbol, some in payload["bars"].items()
    }
    return payload | {"bars": bars}


async def test_an_authority_counts_alone(town: Town) -> None:
    town.distort(DEARER)
    await town.serve("polygon", "AAPL")
    town.set(ONE)
    town.standings["alpaca"] = Standing(fit=False, score=0.0, reason="open")
    town.rules.reconcile_authority = ("finnhub",)
    await town.reconciler().round("any")
    (report,) = town.reports
    assert report.incompleteness == 1.0
    assert " by finnhub;" in report.detail


async def test_its_own_later_word_counts_alone_a_day_later(town: Town) -> None:
    for name in ("alpaca", "finnhub", "iex"):
        town.standings[name] = Standing(fit=False, score=0.0, reason="open")
    town.distort(DEARER)
    await town.serve("polygon", "AAPL")
    reconciler = town.reconciler()
    town.emulator.faults.clear()
    town.set(at(DAY, 19))
    await reconciler.round("the same day")
    assert town.reports == []
    town.set(TOMORROW)
    await reconciler.round("the next")
    (report,) = town.reports
    assert report.incompleteness == 1.0
    assert " by polygon later;" in report.detail


async def test_bars_of_iex_alone_are_not_compared_with_those_of_the_tape(town: Town) -> None:
    await town.serve("iex", "AAPL", "BA")
    town.set(ONE)
    others: tuple[VendorName, ...] = ("polygon", "alpaca", "finnhub")
    asked = [town.requests(vendor) for vendor in others]
    reconciler = town.reconciler()
    told = await reconciler.round("any")
    assert [one.by for one in told] == [()]
    assert town.reports == []
    assert reconciler.disagreement == {}
    assert asked == [town.requests(vendor) for vendor in others]


async def test_a_vendor_is_no_witness_of_itself_by_another_door(town: Town) -> None:
    client = ALPACA_IEX.make(door_of(town.emulator, ALPACA_IEX))
    async with closing(client):
        town.clients = {"alpaca": client, "iex": client}
        town.accesses = {
            "alpaca": Access("alpaca", "iex", "paid"),
            "iex": Access("iex", "alpaca_iex", "paid"),
        }
        await town.serve("iex", "AAPL")
        town.set(ONE)
        asked = town.requests("alpaca")
        await town.reconciler().round("any")
        assert town.requests("alpaca") == asked


async def test_a_round_looks_at_a_few_series_and_at_every_provider(town: Town, market: Market) -> None:
    await town.serve("polygon", *market.symbols[:16], window=(OPEN, at(DAY, 10)))
    await town.serve("alpaca", market.symbols[16], window=(OPEN, at(DAY, 10)))
    town.set(ONE)
    chosen = []
    for seed in ("a", "b", "a"):
        judgements = await town.reconciler().round(seed)
        groups = [group for one in judgements for group in one.groups]
        assert len(groups) == AT_ONCE
        assert {group.provider for group in groups} == {"polygon", "alpaca"}
        chosen.append({(group.provider, group.symbol) for group in groups})
    assert chosen[0] == chosen[2] != chosen[1]


async def test_a_fresh_answer_is_checked_for_who_probes(town: Town) -> None:
    request = BarsRequest(("AAPL",), "1m", OPEN, NOON)
    town.set(ONE)
    reconciler = town.reconciler()
    good = await town.clients["polygon"].bars(request)
    assert await reconciler.incompleteness("polygon", request, good) == 0.0
    for change, share in ((DEARER, 1.0), (SPARSE, 1 / 3)):
        town.distort(change)
        bad = await town.clients["polygon"].bars(request)
        found = await reconciler.incompleteness("polygon", request, bad)
        assert found == pytest.approx(share, abs=0.04)
        town.emulator.faults.clear()
    half = BarsRequest(("AAPL",), "1m", OPEN, at(DAY, 10, 45))
    short = await town.clients["polygon"].bars(half)
    stale = type(short)(short.rows, short.source, short.adjustment, (OPEN, NOON))
    assert await reconciler.incompleteness("polygon", request, stale) == pytest.approx(0.5, abs=0.04)
    town.standings["alpaca"] = Standing(fit=False, score=0.0, reason="open")
    assert await reconciler.incompleteness("polygon", request, good) is None
    assert town.reports == []


async def test_one_worker_of_the_fleet_looks_and_another_when_it_stops(town: Town) -> None:
    town.rules.reconcile_s = 0.0
    other = Database(town.url, "other", town.clock)
    first, second = town.reconciler("w1"), town.reconciler("w2", other)
    await first.start()
    try:
        await asyncio.sleep(0.3)
        assert first.rounds == 0, "0 means never"
        town.rules.reconcile_s = 0.05
        await until(lambda: first.rounds >= 3)
        await second.start()
        begun = first.rounds
        await until(lambda: first.rounds >= begun + 5)
        assert second.rounds == 0
        await first.stop()
        stopped = first.rounds
        await until(lambda: second.rounds >= 2)
        assert first.rounds == stopped
    finally:
        await first.stop()
        await second.stop()
        await other.close()


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def candles(url: str) -> Mapping[str, Any]:
    """Return everything in the table, with the place of each row: an update moves it."""
    with psycopg.connect(url) as connection:
        rows = connection.execute("select ctid::text, tableoid::text, * from candles_intraday").fetchall()
    assert rows
    return {str(row[:2]): row[2:] for row in rows}

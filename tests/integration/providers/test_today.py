"""Bars of a session that is going on: what a plan shows of it, and how far a result says that it reaches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import pytest

from providers.alpaca.client import AlpacaClient
from providers.alpaca.config import AlpacaConfig
from providers.base import BarsRequest, QuotesRequest
from providers.capability import reachable
from providers.polygon.client import PolygonClient
from providers.polygon.config import PolygonConfig
from sandbox.market.calendar import MINUTE_NS, SECOND_NS, midnight_ns
from sandbox.market.market import Market
from sandbox.vendors.clock import SetTime
from sandbox.vendors.server import Emulator
from schemas.errors import EntitlementMissing
from schemas.provider import INTERVALS
from tests.integration.providers.hosted import hosted
from tests.integration.providers.month import FEW, at, closing, door_of, open_plans
from tests.integration.providers.subject import ALPACA, POLYGON, Subject
from tests.integration.providers.truth import Truth, first_difference

pytestmark = pytest.mark.integration

TODAY = date(2025, 11, 17)
"""The day of a split: it is known from its first minute on."""
HOUR_NS = 60 * MINUTE_NS
START_NS, END_NS = midnight_ns(date(2025, 11, 13)), midnight_ns(date(2025, 11, 19))
MOMENTS = [
    at(TODAY, 0),
    at(TODAY, 9, 30, ns=20 * SECOND_NS),
    at(TODAY, 11, 47, ns=59 * SECOND_NS),
    at(TODAY, 16, 1),
    at(TODAY, 20, 20),
]


@pytest.fixture
def today(market: Market) -> Iterator[Emulator]:
    """The emulator on a morning before the market opens."""
    with hosted(market, SetTime(MOMENTS[0]), open_plans()) as running:
        yield running


def move(emulator: Emulator, moment: int) -> None:
    """Let time pass."""
    assert isinstance(emulator.time, SetTime)
    emulator.time.set(moment)


async def test_a_session_as_it_goes_on(today: Emulator, subject: Subject) -> None:
    truth = Truth(today.views, subject)
    counts = []
    async with closing(subject.make(door_of(today, subject))) as client:
        for moment in MOMENTS:
            move(today, moment)
            for interval, adjustment, _ in sorted(reachable(subject.access)):
                wanted = truth.bars(FEW, interval, (START_NS, END_NS), adjustment, moment)
                result = await client.bars(BarsRequest(FEW, interval, START_NS, END_NS, adjustment))
                assert not first_difference(result.rows, wanted), (moment, interval, adjustment)
                assert result.covered_ns == (START_NS, moment)
                assert not result.source.delayed
                counts.append(len(wanted))
    assert counts[-1] > 0
    assert len(set(counts)) > len(MOMENTS)


async def test_polygon_a_quarter_of_an_hour_late(today: Emulator) -> None:
    door = replace(door_of(today, POLYGON), key="polygon-delayed")
    config = PolygonConfig.model_validate({"key": door.key, "base_url": door.url, "plan": "delayed"})
    truth = Truth(today.views, POLYGON)
    async with closing(PolygonClient(config, door.clock)) as client:
        for moment in MOMENTS[1:]:
            move(today, moment)
            shown = moment - 15 * MINUTE_NS
            for interval in INTERVALS:
                wanted = truth.bars(FEW, interval, (START_NS, shown + 1), now_ns=shown)
                result = await client.bars(BarsRequest(FEW, interval, START_NS, END_NS))
                assert not first_difference(result.rows, wanted), (moment, interval)
                assert result.covered_ns == (START_NS, shown)
                assert result.source.delayed
            quotes = await client.quotes(QuotesRequest(FEW, moment - HOUR_NS, moment))
            assert not first_difference(quotes.rows, truth.quotes(FEW, (moment - HOUR_NS, shown + 1)))
            assert quotes.covered_ns == (moment - HOUR_NS, shown)
            latest = await client.quotes(QuotesRequest(FEW))
            assert not first_difference(latest.rows, truth.latest(FEW, shown))
            assert quotes.source.delayed
            assert latest.source.delayed


async def test_polygon_up_to_the_day_before(today: Emulator) -> None:
    plans = today.plans.account("polygon", "polygon-free")
    assert plans is not None
    plans.rates = ()
    door = replace(door_of(today, POLYGON), key="polygon-free")
    config = PolygonConfig.model_validate({"key": door.key, "base_url": door.url, "plan": "free"})
    truth = Truth(today.views, POLYGON)
    async with closing(PolygonClient(config, door.clock)) as client:
        move(today, MOMENTS[2])
        for interval in INTERVALS:
            wanted = truth.bars(FEW, interval, (START_NS, MOMENTS[0]), now_ns=MOMENTS[0])
            result = await client.bars(BarsRequest(FEW, interval, START_NS, END_NS))
            assert not first_difference(result.rows, wanted), interval
            # nothing was said about today, so nothing of it is covered
            assert result.covered_ns == (START_NS, MOMENTS[0])
        with pytest.raises(EntitlementMissing):
            await client.bars(BarsRequest(FEW, "1m", MOMENTS[0], END_NS))
        with pytest.raises(EntitlementMissing):
            await client.quotes(QuotesRequest(FEW))


async def test_alpaca_without_the_last_quarter_of_an_hour(today: Emulator) -> None:
    door = replace(door_of(today, ALPACA), key="alpaca-free", secret=today.secret("alpaca-free"))
    config = AlpacaConfig.model_validate(
        {"key_id": door.key, "secret": door.secret, "base_url": door.url, "plan": "free", "feed": "sip"}
    )
    truth = Truth(today.views, ALPACA)
    async with closing(AlpacaClient(config, door.clock)) as client:
        for moment in MOMENTS[1:]:
            move(today, moment)
            until = moment - 16 * MINUTE_NS
            wanted = truth.bars(FEW, "1m", (START_NS, until), now_ns=moment)
            result = await client.bars(BarsRequest(FEW, "1m", START_NS, END_NS))
            assert not first_difference(result.rows, wanted), moment
            assert result.covered_ns == (START_NS, until)
            assert result.source.delayed
            before = len(today.log.of("alpaca"))
            recent = await client.bars(BarsRequest(FEW, "1m", until, moment))
            assert (recent.rows, recent.missing, recent.covered_ns) == ([], FEW, (until, until))
            assert len(today.log.of("alpaca")) == before, "what would be refused is not asked for"
            with pytest.raises(EntitlementMissing):
                await client.quotes(QuotesRequest(FEW))

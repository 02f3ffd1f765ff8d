"""Who is heard on a series of bars: a word of another kind, or none at all, is no word."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, time

import pytest

from providers.base import BarRow, BarsRequest, BarsResult, QuotesRequest, QuotesResult, Source
from providers.capability import Access
from sandbox.market.calendar import instant_ns
from schemas.errors import NotFound, ProviderAway, ProviderError
from schemas.provider import Adjustment, Coverage, ProviderName
from streams.series import Series
from streams.witnesses import Witnesses, without_other_splits
from tests.unit.streams.clocks import SetClock

DAY = date(2025, 11, 13)
START, END, NOW = (instant_ns(DAY, time(hour)) for hour in (10, 11, 13))
AAPL = Series("polygon", "AAPL", "1m", "raw", "consolidated")
MSFT = Series("polygon", "MSFT", "1m", "raw", "consolidated")
ACCESSES: dict[ProviderName, Access] = {
    "polygon": Access("polygon", "massive", "paid"),
    "alpaca": Access("alpaca", "sip", "paid"),
    "finnhub": Access("finnhub", "finnhub", "paid"),
}


def row(symbol: str = "AAPL", by: float = 1.0) -> BarRow:
    return BarRow(symbol, START, 10.0 * by, 12.0 * by, 9.0 * by, 11.0 * by, 500.0 / by, None, 7)


@dataclass
class Vendor:
    """Says the same to whatever it is asked."""

    name: ProviderName
    rows: tuple[BarRow, ...] = (row(),)
    coverage: Coverage = "consolidated"
    adjustment: Adjustment = "raw"
    error: ProviderError | None = None
    asked: list[BarsRequest] = field(default_factory=list)

    async def bars(self, request: BarsRequest) -> BarsResult:
        self.asked.append(request)
        if self.error is not None:
            raise self.error
        source = Source(self.name, "", self.coverage, f"{self.name}.v1")
        return BarsResult(self.rows, source, self.adjustment, (request.start_ns, request.end_ns))

    async def quotes(self, request: QuotesRequest) -> QuotesResult:
        raise AssertionError(request)

    async def close(self) -> None:
        """It has nothing open."""


def witnesses(*vendors: Vendor) -> Witnesses:
    clients = {vendor.name: vendor for vendor in vendors}
    return Witnesses(clients, ACCESSES, dict, ("finnhub",), SetClock(NOW / 1e9))


async def test_everybody_else_is_heard_with_the_voice_that_it_has() -> None:
    some = witnesses(Vendor("polygon"), Vendor("alpaca"), Vendor("finnhub"))
    words = await some.others(AAPL, (START, END))
    assert {(word.name, word.voice) for word in words} == {("alpaca", "peer"), ("finnhub", "authority")}
    assert all(word.bars == {START: row()} and word.covered == (START, END) for word in words)


@pytest.mark.parametrize(
    "alpaca",
    [
        Vendor("alpaca", coverage="iex"),
        Vendor("alpaca", adjustment="split"),
        Vendor("alpaca", rows=()),
        Vendor("alpaca", error=ProviderAway("", provider="alpaca")),
        Vendor("alpaca", error=NotFound("", provider="alpaca")),
    ],
    ids=["other trades", "adjusted", "nothing", "away", "unknown"],
)
async def test_what_is_of_another_kind_or_nothing_is_no_word(alpaca: Vendor) -> None:
    assert await witnesses(alpaca).others(AAPL, (START, END)) == []
    assert len(alpaca.asked) == 1


async def test_who_did_not_answer_is_not_asked_again_unless_it_did_not_know_the_symbol() -> None:
    away = Vendor("alpaca", error=ProviderAway("", provider="alpaca"))
    ignorant = Vendor("finnhub", error=NotFound("", provider="finnhub"))
    some = witnesses(away, ignorant)
    for series in (AAPL, MSFT):
        assert await some.others(series, (START, END)) == []
    assert len(away.asked) == 1
    assert [request.symbols for request in ignorant.asked] == [("AAPL",), ("MSFT",)]


async def test_a_split_known_to_one_side_alone_is_no_disagreement() -> None:
    adjusted = Series("polygon", "AAPL", "1m", "split", "consolidated")
    (word,) = await witnesses(Vendor("alpaca")).others(AAPL, (START, END))
    quarter = {START: row(by=0.25)}
    assert without_other_splits(adjusted, quarter, [word]) == []
    assert without_other_splits(adjusted, {START: row(by=1.01)}, [word]) == [word]
    # nobody adjusts a raw one
    assert without_other_splits(AAPL, quarter, [word]) == [word]

"""Quotes of the emulator: of a window and the latest, in shares whatever the tape counted in."""

from __future__ import annotations

from datetime import date

import pytest

from providers.base import Provider, QuotesRequest, Source
from providers.finnhub.client import FinnhubClient
from sandbox.market.market import Market
from sandbox.market.nbbo import Book
from sandbox.vendors.clock import SetTime
from sandbox.vendors.server import Emulator
from schemas.errors import BadRequest
from tests.integration.providers.hosted import hosted
from tests.integration.providers.month import FEW, LOTS_DAY, SHARES_DAY, at, closing, door_of, open_plans
from tests.integration.providers.subject import FINNHUB, SUBJECTS, TIINGO, Subject
from tests.integration.providers.truth import Truth, Window, first_difference

pytestmark = pytest.mark.integration

with_past = pytest.mark.parametrize(
    "subject", [s for s in SUBJECTS if s is not TIINGO], ids=lambda subject: subject.name
)


@with_past
async def test_quotes_over_the_change_of_units(
    emulator: Emulator, client: Provider, subject: Subject, truth: Truth
) -> None:
    window = at(LOTS_DAY, 14), at(SHARES_DAY, 11)
    before = len(emulator.log.of(subject.vendor))
    result = await client.quotes(QuotesRequest(FEW, *window))

    wanted = truth.quotes(FEW, window)
    assert not first_difference(result.rows, wanted)
    assert result.missing == ()
    assert result.covered_ns == window
    assert result.source == Source(
        subject.access.provider, subject.source_feed, "iex" if subject.book else "consolidated", ""
    )
    assert result.requests == len(emulator.log.of(subject.vendor)) - before
    assert result.requests > (1 if subject.vendor == "alpaca" else len(FEW)), "several pages"
    sides = {(row.bid is None, row.ask is None) for row in wanted}
    assert sides == {(False, False), (True, False), (False, True)}


@with_past
async def test_windows_that_begin_and_end_at_a_quote(
    client: Provider, subject: Subject, truth: Truth, market: Market
) -> None:
    for day in (LOTS_DAY, SHARES_DAY):
        quotes = market.quotes("BRK.B", day, "iex" if subject.book else "nbbo")
        first, one, other = quotes[0].ts_ns, quotes[50].ts_ns, quotes[51].ts_ns
        windows: list[Window] = [
            (one, one + 1),
            (one, other),
            (one, other + 1),
            (one + 1, other),
            (one - 1, one),
            (one - one % 1_000_000, one + 1_000_000),
            (first - 1, first + 1),
            (at(day, 0), first),
            (quotes[-1].ts_ns, at(day, 23, 59)),
        ]
        for window in windows:
            wanted = truth.quotes(["BRK.B"], window)
            result = await client.quotes(QuotesRequest(("BRK.B",), *window))
            assert not first_difference(result.rows, wanted), window
            assert result.missing == (() if wanted else ("BRK.B",))
            assert result.covered_ns == window


async def test_tiingo_has_no_quotes_of_the_past(emulator: Emulator) -> None:
    before = len(emulator.log.of("tiingo"))
    async with closing(TIINGO.make(door_of(emulator, TIINGO))) as client:
        with pytest.raises(BadRequest):
            await client.quotes(QuotesRequest(FEW, at(SHARES_DAY, 10), at(SHARES_DAY, 11)))
    assert len(emulator.log.of("tiingo")) == before


async def test_the_latest_quotes_as_time_goes_on(market: Market, subject: Subject) -> None:
    book: Book = "iex" if subject.book else "nbbo"
    moments = {
        at(LOTS_DAY, 3),
        at(LOTS_DAY, 15, 59, ns=999_999_999),
        at(LOTS_DAY, 20),
        at(date(2025, 11, 2), 12),
        at(SHARES_DAY, 4, 1),
        at(SHARES_DAY, 12),
        at(date(2025, 11, 17), 12),
    }
    for day in (LOTS_DAY, SHARES_DAY):
        # what is special, and the nanosecond before it
        for state in ("one_sided", "crossed", "zero_size"):
            quote = next(quote for quote in market.quotes("BRK.B", day, book) if quote.state == state)
            moments |= {quote.ts_ns - 1, quote.ts_ns}
    symbols = tuple(market.symbols[::-1])
    asked = (*symbols[:3], "NOPE", *symbols[3:])
    time = SetTime(min(moments))
    seen = 0
    with hosted(market, time, open_plans()) as emulator:
        async with closing(subject.make(door_of(emulator, subject))) as client:
            truth = Truth(emulator.views, subject)
            for moment in sorted(moments):
                time.set(moment)
                wanted = truth.latest(symbols, moment)
                result = await client.quotes(QuotesRequest(asked))
                assert not first_difference(result.rows, wanted), moment
                found = {row.symbol for row in wanted}
                assert result.missing == tuple(symbol for symbol in asked if symbol not in found)
                assert result.covered_ns is None
                seen += len(wanted)
    assert seen > 10 * len(symbols)


async def test_the_last_trade_of_finnhub(emulator: Emulator) -> None:
    async with closing(FINNHUB.make(door_of(emulator, FINNHUB))) as client:
        assert isinstance(client, FinnhubClient)
        for symbol in FEW:
            trade = emulator.views.last_trade("", symbol, emulator.time.now_ns())
            last = await client.last(symbol)
            assert trade is not None
            assert (last.symbol, last.price) == (symbol, trade.price)
            assert last.ts_event == trade.ts_ns - trade.ts_ns % 1_000_000_000

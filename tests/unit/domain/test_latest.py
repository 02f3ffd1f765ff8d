"""The last quote of each symbol: the best provider's, paced, and never back in time."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.latest import PACE_MS, PATIENCE_MS, Latest
from domain.quotes import QuoteBook
from schemas.quote import L1Quote
from tests.unit.domain.quote_tape import START, START_MS, TAPES, play
from tests.unit.schemas.hostile import Record

PROPERTY = settings(max_examples=100, deadline=None)
PLACES = ("polygon", "alpaca", "iex")

Given = tuple[L1Quote, int]


def a_quote(at_ms: int = 0, provider: str = "polygon", n: int = 1, **changes: str) -> L1Quote:
    """Return a quote so many milliseconds after `START`."""
    quote = L1Quote("AAPL", START + at_ms * 1_000_000, n, provider, 10.0, 1.0, 10.1, 1.0)
    return msgspec.structs.replace(quote, **changes)


def offer(latest: Latest, *quotes: L1Quote, received_ms: int | None = None) -> list[L1Quote]:
    """Offer quotes that come as they happen, or all at one moment."""
    times_ms = [q.ts_event // 1_000_000 if received_ms is None else START_MS + received_ms for q in quotes]
    return latest.offer(quotes, times_ms)


def shown(latest: Latest, *quotes: L1Quote) -> L1Quote | None:
    offer(latest, *quotes)
    return latest.get("AAPL")


class TestBest:
    def test_nothing_is_known_of_a_stranger(self) -> None:
        assert Latest(PLACES).get("AAPL") is None

    def test_a_better_one_takes_over_at_once(self) -> None:
        better = a_quote(1, "polygon")
        assert shown(Latest(PLACES), a_quote(0, "alpaca"), better) is better

    def test_a_lesser_one_waits(self) -> None:
        first = a_quote(0)
        for provider in ("alpaca", "iex", "kraken"):
            assert shown(Latest(PLACES), first, a_quote(PATIENCE_MS, provider)) is first
            lesser = a_quote(PATIENCE_MS + 1, provider)
            assert shown(Latest(PLACES), first, lesser) is lesser

    def test_of_equal_ones_the_first_stays(self) -> None:
        first = a_quote(0, "kraken")
        assert shown(Latest(PLACES), first, a_quote(1, "binance")) is first

    def test_of_one_provider_the_whole_tape_is_better(self) -> None:
        whole, one = a_quote(1, feed="sip"), a_quote(0, feed="iex")
        assert shown(Latest(PLACES), one, whole) is whole
        assert shown(Latest(PLACES), whole, a_quote(2, feed="iex")) is whole
        # but the order of providers comes first
        better = a_quote(2, "polygon", feed="iex")
        assert shown(Latest(PLACES), a_quote(0, "alpaca", feed="sip"), better) is better

    def test_patience_is_with_the_one_that_is_shown(self) -> None:
        latest = Latest(PLACES)
        lesser = a_quote(5_001, "iex")
        assert shown(latest, a_quote(0), a_quote(4_000, "alpaca"), lesser) is lesser
        back = a_quote(5_002)
        assert shown(latest, back) is back

    def test_one_in_disorder_is_alive(self) -> None:
        first = a_quote(1_000)
        latest = Latest(PLACES)
        offer(latest, first, received_ms=1_000)
        offer(latest, a_quote(900), received_ms=5_500)
        offer(latest, a_quote(5_600, "alpaca"), received_ms=6_500)
        assert latest.get("AAPL") is first

    def test_nobody_takes_it_back_in_time(self) -> None:
        first = a_quote(1_000, "alpaca")
        assert shown(Latest(PLACES), first, a_quote(999, "polygon")) is first
        assert shown(Latest(PLACES), first, a_quote(999, "alpaca")) is first
        same = a_quote(1_000, "alpaca", n=2)
        assert shown(Latest(PLACES), first, same) is same

    def test_another_order_counts_from_the_next_quote_on(self) -> None:
        latest = Latest(PLACES)
        first, other = a_quote(0, "polygon"), a_quote(1, "alpaca")
        assert shown(latest, first, other) is first
        latest.prefer(("alpaca", "polygon"))
        assert latest.get("AAPL") is first
        other = a_quote(2, "alpaca")
        assert shown(latest, other) is other
        assert shown(latest, a_quote(3, "polygon")) is other


class TestPace:
    def test_the_first_goes_at_once(self) -> None:
        quote = a_quote()
        assert offer(Latest(PLACES), quote) == [quote]

    def test_one_in_250_ms(self) -> None:
        quotes = [a_quote(at_ms, n=at_ms) for at_ms in (0, 1, 249, 250, 300, 499, 500)]
        assert [q.n for q in offer(Latest(PLACES), *quotes)] == [0, 250, 500]

    def test_each_symbol_has_its_own(self) -> None:
        quotes = [a_quote(0), a_quote(1, symbol="MSFT")]
        assert offer(Latest(PLACES), *quotes) == quotes

    def test_the_last_waits_for_a_flush(self) -> None:
        latest = Latest(PLACES)
        offer(latest, a_quote(0), a_quote(1), a_quote(2, n=2))
        assert latest.flush() == []
        offer(latest, a_quote(3, n=3))
        assert [q.n for q in latest.flush()] == [3]
        assert (latest.flush(), latest.flush()) == ([], [])

    def test_what_was_overtaken_is_not_flushed(self) -> None:
        latest = Latest(PLACES)
        offer(latest, a_quote(0), a_quote(1))
        latest.flush()
        assert [q.n for q in offer(latest, a_quote(250, n=2))] == [2]
        assert latest.flush() == []

    def test_what_waits_anew_waits_for_a_whole_period(self) -> None:
        latest = Latest(PLACES)
        offer(latest, a_quote(0), a_quote(1))
        latest.flush()
        offer(latest, a_quote(250), a_quote(251, n=9))
        # it came after the flush before: published now, it might be right behind that of 250
        assert latest.flush() == []
        assert [q.n for q in latest.flush()] == [9]

    def test_what_was_recalled_is_flushed(self) -> None:
        latest = Latest(PLACES)
        quotes = [a_quote(0, n=1), a_quote(250, n=2)]
        latest.recall(quotes, [START_MS, START_MS + 250])
        assert latest.flush() == []
        assert latest.flush() == [quotes[1]]
        assert latest.flush() == []


@PROPERTY
@given(TAPES, st.lists(st.booleans(), min_size=31, max_size=31))
def test_any_tape(tape: list[Record], flushes: list[bool]) -> None:
    """What is published of a symbol goes forward only, is paced, and ends with the last."""
    book, latest = QuoteBook(), Latest(("iex", "polygon"))
    published: dict[str, list[L1Quote]] = {"AAPL": [], "MSFT": []}
    offered: dict[str, list[int]] = {"AAPL": [], "MSFT": []}
    for record, flush in zip(tape, flushes, strict=False):
        folded = play(book, [record])
        for quote in latest.offer(folded.quotes, folded.times_ms):
            published[quote.symbol].append(quote)
            offered[quote.symbol].append(record.timestamp)
        for quote in latest.flush() if flush else ():
            published[quote.symbol].append(quote)
    for _ in range(2):
        for quote in latest.flush():
            published[quote.symbol].append(quote)
    for symbol, quotes in published.items():
        times = [quote.ts_event for quote in quotes]
        assert times == sorted(times)
        assert len({quote.id for quote in quotes}) == len(quotes)
        assert (quotes[-1] if quotes else None) is latest.get(symbol)
        assert all(b - a >= PACE_MS for a, b in zip(offered[symbol], offered[symbol][1:], strict=False))


@pytest.mark.parametrize("places", [(), ("polygon",), PLACES])
def test_any_order_will_do(places: tuple[str, ...]) -> None:
    quote = a_quote(0, "iex")
    assert shown(Latest(places), quote) is quote

"""The fold: what a bar is, and that it depends on the records and their order alone."""

from __future__ import annotations

import random
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.candles import MINUTE_NS, Book, Patience
from schemas.candle import Bar
from schemas.trade import Trade
from tests.invariants import candle_of
from tests.oracle import work_out
from tests.unit.domain.tape import (
    CUTS,
    PATIENCE,
    PRICES,
    SECOND_NS,
    SIZES,
    START,
    TAPES,
    Item,
    a_clock,
    a_trade,
    play,
)
from tests.unit.domain.tape import inputs as records_of

PROPERTY = settings(max_examples=80, deadline=None)


def closed(*items: Item) -> list[Bar]:
    """Return the final bars of a tape after which a clock closes everything."""
    return play(Book(PATIENCE), [*items, a_clock(3_600)]).bars


def only(bars: list[Bar]) -> Bar:
    (bar,) = bars
    return bar


class TestAnyTape:
    @PROPERTY
    @given(TAPES, CUTS)
    def test_slices_do_not_matter(self, tape: list[Item], cuts: list[int]) -> None:
        assert play(Book(PATIENCE), tape, cuts=cuts) == play(Book(PATIENCE), tape)

    @PROPERTY
    @given(TAPES)
    def test_one_record_at_a_time(self, tape: list[Item]) -> None:
        single = play(Book(PATIENCE), tape, cuts=range(len(tape)))
        assert single == play(Book(PATIENCE), tape)

    @PROPERTY
    @given(TAPES)
    def test_equals_the_oracle(self, tape: list[Item]) -> None:
        outcome = play(Book(PATIENCE), tape)
        truth = work_out(records_of(tape), PATIENCE.lateness_ns, PATIENCE.horizon_ns)
        candles = {name: candle_of(version) | {"id": name} for name, (_, version) in truth.versions.items()}
        assert len(outcome.bars) == len(candles)
        assert {bar.id: as_candle(bar) for bar in outcome.bars} == candles
        assert truth.dead == {(0, offset): "expired" for offset in outcome.expired}

    @PROPERTY
    @given(TAPES)
    def test_every_trade_is_counted_or_has_expired(self, tape: list[Item]) -> None:
        outcome = play(Book(PATIENCE), [*tape, a_clock(3_600)])
        last = {bar.id.rpartition("|")[0]: bar.trade_count for bar in outcome.bars}
        trades = sum(isinstance(item, Trade) for item in tape)
        assert sum(last.values()) + len(outcome.expired) == trades

    @PROPERTY
    @given(TAPES)
    def test_bars_are_in_bounds(self, tape: list[Item]) -> None:
        for bar in closed(*tape):
            assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
            assert bar.low <= bar.vwap <= bar.high
            assert bar.ts_event % MINUTE_NS == 0
            assert bar.volume > 0

    @PROPERTY
    @given(TAPES)
    def test_looking_changes_nothing(self, tape: list[Item]) -> None:
        book = Book(PATIENCE)
        outcome: list[Bar] = []
        for offset, item in enumerate(tape):
            outcome += play(book, [item], offset).bars
            book.provisional(START + 3 * MINUTE_NS)
            book.resume_offset(offset + 1)
        assert outcome == play(Book(PATIENCE), tape).bars


def as_candle(bar: Bar) -> dict[str, object]:
    return {name: getattr(bar, name) for name in bar.__struct_fields__} | {"id": bar.id}


class TestPrices:
    def test_first_highest_lowest_last(self) -> None:
        bar = only(closed(*(a_trade(i, p) for i, p in enumerate((10.0, 12.0, 9.0, 11.0)))))
        assert (bar.open, bar.high, bar.low, bar.close) == (10.0, 12.0, 9.0, 11.0)
        assert (bar.trade_count, bar.revision, bar.is_final) == (4, 0, True)
        assert (bar.symbol, bar.interval, bar.rule) == ("AAPL", "1m", "all_trades.v1")

    def test_event_time_opens_and_closes_not_arrival(self) -> None:
        bar = only(closed(a_trade(2, 10.0), a_trade(3, 11.0), a_trade(1, 12.0), a_trade(2.5, 13.0)))
        assert (bar.open, bar.close) == (12.0, 11.0)

    def test_of_equal_times_the_first_record_opens_and_the_last_closes(self) -> None:
        bar = only(closed(*(a_trade(1, price) for price in (10.0, 12.0, 9.0, 11.0))))
        assert (bar.open, bar.close) == (10.0, 11.0)

    def test_of_equal_times_at_the_start_a_later_record_does_not_open(self) -> None:
        bar = only(closed(a_trade(1, 10.0), a_trade(2, 11.0), a_trade(1, 12.0)))
        assert (bar.open, bar.close) == (10.0, 11.0)

    def test_of_equal_times_a_late_one_closes_and_does_not_open(self) -> None:
        _, revised = closed(a_trade(1, 10.0), a_clock(62), a_trade(1, 9.0))
        assert (revised.open, revised.close) == (10.0, 9.0)

    @pytest.mark.parametrize(
        ("at_s", "start_s"),
        [(0, 0), (59.999999999, 0), (60, 60), (60.000000001, 60), (-0.000000001, -60)],
    )
    def test_a_minute_is_open_on_the_right(self, at_s: float, start_s: int) -> None:
        assert only(closed(a_trade(at_s))).ts_event == START + start_s * SECOND_NS

    def test_a_minute_without_trades_has_no_bar(self) -> None:
        bars = closed(a_trade(1), a_clock(90), a_trade(130))
        assert [bar.ts_event for bar in bars] == [START, START + 2 * MINUTE_NS]


class TestSources:
    def test_two_providers_are_never_mixed(self) -> None:
        bars = closed(
            a_trade(1, 10.0, provider="kraken"),
            a_trade(2, 20.0, provider="binance"),
            a_trade(3, 11.0, provider="kraken"),
        )
        prices = {(bar.provider, bar.open, bar.close, bar.trade_count) for bar in bars}
        assert prices == {("kraken", 10.0, 11.0, 2), ("binance", 20.0, 20.0, 1)}

    def test_two_feeds_of_one_provider_are_never_mixed(self) -> None:
        bars = closed(a_trade(1, 10.0, feed="sip"), a_trade(2, 20.0, feed="iex"), a_trade(3, 30.0))
        assert {(bar.feed, bar.open) for bar in bars} == {("sip", 10.0), ("iex", 20.0), ("", 30.0)}
        assert len({bar.id for bar in bars}) == 3

    def test_a_late_trade_revises_its_own_source(self) -> None:
        bars = closed(a_trade(1, feed="sip"), a_trade(2, feed="iex"), a_clock(62), a_trade(3, feed="iex"))
        assert [(bar.feed, bar.revision) for bar in bars] == [("iex", 0), ("sip", 0), ("iex", 1)]


class TestVolume:
    @PROPERTY
    @given(
        st.lists(st.integers(1, 2**23 * 10**9), min_size=1, max_size=50),
        st.randoms(use_true_random=False),
    )
    def test_exact_at_nine_decimals_in_any_order(self, units: list[int], rnd: random.Random) -> None:
        trades = [a_trade(1, size=float(Decimal(n).scaleb(-9))) for n in units]
        volume = only(closed(*trades)).volume
        assert volume == float(Decimal(sum(units)).scaleb(-9))
        rnd.shuffle(trades)
        assert only(closed(*trades)).volume == volume

    @PROPERTY
    @given(SIZES)
    def test_of_one_trade_is_its_size(self, size: float) -> None:
        assert only(closed(a_trade(1, size=size))).volume == size

    @PROPERTY
    @given(SIZES)
    def test_of_a_late_trade_is_its_size(self, size: float) -> None:
        _, other = closed(a_trade(1), a_clock(62), a_trade(1, size=size, symbol="MSFT"))
        assert other.volume == size

    @pytest.mark.parametrize("size", [4_428_559.006260455, 4_194_304.000000001, 8_388_607.999999999])
    def test_where_the_product_with_a_billion_is_not_exact(self, size: float) -> None:
        assert only(closed(a_trade(1, size=size))).volume == size

    def test_of_sizes_beyond_nine_decimals_of_a_double(self) -> None:
        sizes = [123_456_789.123456789, 123_456_790.3, 1_234_567_890_123.0]
        exact = sum(map(Fraction, sizes))
        assert only(closed(*(a_trade(1, size=size) for size in sizes))).volume == float(exact)

    def test_a_hundred_thousand_times_a_tenth(self) -> None:
        assert only(closed(*[a_trade(1, size=0.1)] * 100_000)).volume == 10_000.0

    def test_beyond_64_bits_of_units(self) -> None:
        assert only(closed(*[a_trade(1, size=1e12)] * 20)).volume == 2e13


class TestVwap:
    def test_weighs_by_size(self) -> None:
        assert only(closed(a_trade(1, 10.0, 1.0), a_trade(2, 20.0, 3.0))).vwap == 17.5

    @PROPERTY
    @given(PRICES, st.lists(SIZES, min_size=1, max_size=20))
    def test_of_one_price_is_that_price(self, price: float, sizes: list[float]) -> None:
        assert only(closed(*(a_trade(1, price, size) for size in sizes))).vwap == price

    @pytest.mark.parametrize("price", [5e-324, 1e-320])
    def test_of_a_price_that_underflows_is_that_price(self, price: float) -> None:
        assert only(closed(a_trade(1, price, 1e-9))).vwap == price


class TestClosing:
    def test_at_the_lateness_and_not_before(self) -> None:
        book = Book(PATIENCE)
        assert not play(book, [a_trade(1), a_trade(61.999999999)]).bars
        assert only(play(book, [a_trade(62)]).bars).ts_event == START

    def test_by_a_clock_record(self) -> None:
        book = Book(PATIENCE)
        assert not play(book, [a_trade(1), a_clock(61.999999999)]).bars
        assert only(play(book, [a_clock(62)]).bars).trade_count == 1

    def test_a_clock_in_the_past_does_nothing(self) -> None:
        book = Book(PATIENCE)
        play(book, [a_trade(1), a_clock(50), a_clock(10)])
        assert book.watermark == START + 50 * SECOND_NS

    def test_amid_a_chunk_the_trades_before_and_after_count_differently(self) -> None:
        bars = play(Book(PATIENCE), [a_trade(1), a_trade(2), a_clock(62), a_trade(3)]).bars
        assert [(bar.revision, bar.trade_count) for bar in bars] == [(0, 2), (1, 3)]

    def test_several_minutes_at_once_close_oldest_first(self) -> None:
        bars = closed(a_trade(121), a_trade(61), a_trade(1))
        # the trade at 121 s has moved the watermark: that at 1 s is late and comes at once
        assert [bar.ts_event - START for bar in bars] == [0, MINUTE_NS, 2 * MINUTE_NS]

    def test_without_lateness_the_end_closes(self) -> None:
        book = Book(Patience(0, 0))
        assert not play(book, [a_trade(1), a_trade(59.999999999)]).bars
        assert only(play(book, [a_trade(60)]).bars).trade_count == 2
        assert play(book, [a_trade(2)]).expired == [0]


class TestLate:
    def test_revises_with_the_next_revision(self) -> None:
        outcome = play(Book(PATIENCE), [a_trade(1, 10.0), a_clock(62), a_trade(2, 12.0), a_trade(3, 9.0)])
        assert [(b.revision, b.open, b.high, b.low, b.close, b.trade_count) for b in outcome.bars] == [
            (0, 10.0, 10.0, 10.0, 10.0, 1),
            (1, 10.0, 12.0, 10.0, 12.0, 2),
            (2, 10.0, 12.0, 9.0, 9.0, 3),
        ]
        assert outcome.late == 2
        assert len({bar.id for bar in outcome.bars}) == 3

    def test_opens_a_bar_that_was_not_there(self) -> None:
        outcome = play(Book(PATIENCE), [a_clock(62), a_trade(2, 12.0), a_trade(1, 9.0)])
        assert [(bar.revision, bar.open, bar.close) for bar in outcome.bars] == [
            (0, 12.0, 12.0),
            (1, 9.0, 12.0),
        ]

    def test_up_to_the_horizon_and_not_beyond(self) -> None:
        book = Book(PATIENCE)
        play(book, [a_trade(1), a_clock(62 + 119.999999999)])
        assert only(play(book, [a_trade(2)]).bars).revision == 1
        outcome = play(book, [a_clock(62 + 120), a_trade(3)], offset=7)
        assert (outcome.bars, outcome.expired) == ([], [8])

    def test_a_forgotten_bar_is_not_kept(self) -> None:
        book = Book(PATIENCE)
        play(book, [a_trade(1), a_clock(62), a_trade(70), a_clock(62 + 121)])
        assert [key[0] for key in book.closed] == [START + MINUTE_NS]


class TestProvisional:
    def test_shows_open_bars_whose_minute_is_over(self) -> None:
        book = Book(PATIENCE)
        play(book, [a_trade(1), a_trade(2), a_trade(61)])
        bar = only(book.provisional(START + MINUTE_NS))
        assert (bar.is_final, bar.revision, bar.trade_count) == (False, 2, 2)
        assert not book.provisional(START + MINUTE_NS - 1)

    def test_is_another_version_than_any_final_one(self) -> None:
        book = Book(PATIENCE)
        play(book, [a_trade(1), a_trade(2)])
        provisional = only(book.provisional(START + MINUTE_NS))
        final = only(play(book, [a_clock(62)]).bars)
        assert provisional.id != final.id
        assert provisional.volume == final.volume


class TestJumped:
    """Reading starts amid the log: a bar may have trades before the first record seen."""

    def test_publishes_no_part_of_a_bar(self) -> None:
        outcome = play(Book(PATIENCE, jumped=True), [a_trade(30), a_trade(45), a_trade(61), a_clock(200)])
        assert not [bar for bar in outcome.bars if bar.ts_event < START + MINUTE_NS]
        assert outcome.expired[:2] == [0, 1]

    def test_counts_on_disorder_before_the_first_record(self) -> None:
        # a record before it may be as far ahead as lateness allows: a trade of 60.5 s before one of 59 s
        outcome = play(Book(PATIENCE, jumped=True), [a_trade(59), a_trade(61), a_clock(200)])
        assert (outcome.bars, outcome.expired) == ([], [0, 1])

    def test_whole_bars_follow(self) -> None:
        tape: list[Item] = [a_trade(30), a_trade(61), a_trade(70), a_trade(121), a_clock(300)]
        bars = play(Book(PATIENCE, jumped=True), tape).bars
        assert [(bar.ts_event - START, bar.trade_count) for bar in bars] == [
            (MINUTE_NS, 2),
            (2 * MINUTE_NS, 1),
        ]

    def test_lands_at_a_clock_record(self) -> None:
        book = Book(PATIENCE, jumped=True)
        outcome = play(book, [a_clock(30), a_trade(31), a_trade(61), a_clock(200)])
        assert [bar.ts_event - START for bar in outcome.bars] == [MINUTE_NS]
        assert outcome.expired == [1]

    @PROPERTY
    @given(TAPES, st.integers(0, 40), CUTS)
    def test_what_it_publishes_is_right(self, tape: list[Item], begin: int, cuts: list[int]) -> None:
        """Every bar is one that the whole log gives too, if its disorder is within the lateness."""
        tape = in_time(tape)
        whole = {bar.id: bar for bar in closed(*tape)}
        book = Book(PATIENCE, jumped=True)
        rest: list[Item] = [*tape[begin:], a_clock(3_600)]
        for bar in play(book, rest, begin, cuts).bars:
            assert whole.get(bar.id) == bar


def in_time(tape: list[Item]) -> list[Item]:
    """Drop what is later than the lateness."""
    newest, kept = 0, []
    for item in tape:
        newest = max(newest, item.ts_event)
        if item.ts_event >= newest - PATIENCE.lateness_ns:
            kept.append(item)
    return kept


class TestResume:
    def test_the_lowest_first_offset_of_all_open_windows(self) -> None:
        book = Book(PATIENCE)
        # the younger minute was opened earlier in the log
        play(book, [a_trade(61), a_trade(59)], offset=40, cuts=[1])
        assert book.resume_offset(42) == 40

    def test_where_it_stands_if_nothing_is_open(self) -> None:
        book = Book(PATIENCE)
        play(book, [a_trade(1), a_clock(62)])
        assert book.resume_offset(2) == 2

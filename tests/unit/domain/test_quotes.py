"""The fold of quotes: one meaning of every field, each quote once, numbered; whatever the slices."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings

from domain.quotes import POSITION_RESET, QuoteBook
from schemas.quote import encode_quote
from tests.oracle import Input
from tests.quote_oracle import work_out_quotes
from tests.unit.domain.quote_tape import (
    CUTS,
    START,
    TAPES,
    WILD_TAPES,
    a_beat,
    a_hole,
    a_raw,
    numbered,
    play,
)
from tests.unit.schemas.hostile import Record

PROPERTY = settings(max_examples=100, deadline=None)


def fold(*records: Record) -> Any:
    return play(QuoteBook(), numbered(records))


def flags(*records: Record) -> list[tuple[str, ...]]:
    return [quote.flags for quote in fold(*records).quotes]


class TestAnyTape:
    @PROPERTY
    @given(WILD_TAPES, CUTS)
    def test_slices_do_not_matter(self, tape: list[Record], cuts: list[int]) -> None:
        assert play(QuoteBook(), tape, cuts) == play(QuoteBook(), tape)

    @PROPERTY
    @given(WILD_TAPES)
    def test_record_by_record_is_the_same(self, tape: list[Record]) -> None:
        assert play(QuoteBook(), tape, range(len(tape))) == play(QuoteBook(), tape)

    @PROPERTY
    @given(TAPES)
    def test_it_is_what_the_oracle_says(self, tape: list[Record]) -> None:
        truth = work_out_quotes(Input(0, r.offset, None, r.value, (), r.timestamp) for r in tape)
        folded = play(QuoteBook(), tape)
        told = [
            (out.id(0), json.loads(encode_quote(out.marker)))
            if isinstance(out, tuple)
            else (out.id, json.loads(encode_quote(out)))
            for out in folded.in_order()
        ]
        assert told == [(out.id, out.value()) for out in truth.emitted[0]]
        assert folded.duplicates == truth.duplicates

    @PROPERTY
    @given(WILD_TAPES)
    def test_numbers_have_no_hole(self, tape: list[Record]) -> None:
        quotes = play(QuoteBook(), tape).quotes
        for symbol in ("AAPL", "MSFT"):
            numbers = [quote.n for quote in quotes if quote.symbol == symbol]
            assert numbers == list(range(1, len(numbers) + 1))


class TestRepeats:
    @pytest.mark.parametrize("seq", [0, 5])
    def test_within_ten_seconds_and_no_longer(self, seq: int) -> None:
        def n(*received_s: float) -> int:
            return len(fold(*(a_raw(0, s, seq=seq) for s in received_s)).quotes)

        assert n(1, 1) == 1
        assert n(1, 11) == 1
        assert n(1, 11.001) == 2
        # one that was dropped counts as seen
        assert n(1, 11, 21, 31) == 1
        assert n(1, 11, 21.001) == 2

    def test_all_of_ten_seconds_are_known_at_any_time(self) -> None:
        """Other quotes pass in between, and the memory turns while they do."""
        first = [a_raw(0, k / 2, bid=1 + k) for k in range(80)]
        again = [a_raw(0, k / 2 + 10, bid=1 + k) for k in range(80)]
        tape = sorted(first + again, key=lambda r: r.timestamp)
        assert fold(*tape).duplicates == 80

    def test_are_counted(self) -> None:
        assert fold(a_raw(), a_raw(), a_raw(1), a_raw()).duplicates == 2

    @pytest.mark.parametrize(
        "other",
        [
            {"symbol": "MSFT"},
            {"provider": "iex"},
            {"feed": "sip"},
            {"bid": 9.0},
            {"bid": None},
            {"bid_size": 101},
            {"bid_size": None},
            {"ask": 11.0},
            {"ask_size": 0},
            {"bid_venue": "V"},
            {"ask_venue": "V"},
            {"conditions": "R"},
            {"seq": 1},
        ],
        ids=str,
    )
    def test_what_differs_is_none(self, other: dict[str, Any]) -> None:
        assert len(fold(a_raw(), a_raw(**other)).quotes) == 2
        assert len(fold(a_raw(**other), a_raw()).quotes) == 2

    def test_a_number_of_the_feed_decides(self) -> None:
        assert len(fold(a_raw(seq=1), a_raw(seq=1, bid=9.0)).quotes) == 1
        assert len(fold(a_raw(seq=1), a_raw(seq=2)).quotes) == 2
        assert len(fold(a_raw(0, 1, seq=1), a_raw(0.5, 1, seq=1)).quotes) == 2

    def test_venues_are_not_taken_for_each_other(self) -> None:
        assert len(fold(a_raw(bid_venue="V"), a_raw(ask_venue="V"), a_raw(conditions="V")).quotes) == 3

    @pytest.mark.parametrize("other", [{"tape": "C"}, {"ts_recv": START}], ids=str)
    def test_what_is_no_content_does_not_count(self, other: dict[str, Any]) -> None:
        assert len(fold(a_raw(), a_raw(**other)).quotes) == 1

    def test_one_meaning_is_one_content(self) -> None:
        absent: list[dict[str, Any]] = [
            {"bid": None},
            {"bid": 0},
            {"bid": None, "bid_size": None},
            {"bid": 0.0, "bid_size": 0},
        ]
        assert len(fold(*(a_raw(**sides) for sides in absent)).quotes) == 1

    def test_where_the_clock_goes_back_ours_waits(self) -> None:
        # by the broker's clock 2 s have passed, and still it has been seen within 10 s
        assert len(fold(a_raw(0, 10), a_beat(9), a_raw(0, 8), a_raw(0, 20)).quotes) == 1

    def test_a_clock_record_tells_the_time_as_a_quote_does(self) -> None:
        assert len(fold(a_raw(0, 1), a_beat(12), a_raw(0, 5)).quotes) == 2


class TestMeaning:
    def test_every_field(self) -> None:
        (quote,) = fold(
            a_raw(0, 0.002, feed="sip", bid_venue="11", ask_venue="12", conditions="1,5", tape="C", seq=7,
                  ts_recv=START + 1)
        ).quotes  # fmt: skip
        assert json.loads(encode_quote(quote)) == {
            "symbol": "AAPL", "ts_event": START, "n": 1, "provider": "polygon",
            "bid": 10.0, "bid_size": 100.0,
            "ask": 10.1, "ask_size": 200.0, "feed": "sip", "bid_venue": "11", "ask_venue": "12",
            "conditions": "1,5", "tape": "C", "seq": 7, "ts_recv": START + 1,
        }  # fmt: skip

    @pytest.mark.parametrize("price", [None, 0, 0.0, -0.0])
    def test_no_price_is_no_side(self, price: float | None) -> None:
        (quote,) = fold(a_raw(bid=price)).quotes
        assert (quote.bid, quote.bid_size, quote.ask, quote.ask_size) == (None, None, 10.1, 200.0)
        (quote,) = fold(a_raw(ask=price)).quotes
        assert (quote.bid, quote.bid_size, quote.ask, quote.ask_size) == (10.0, 100.0, None, None)

    def test_a_size_of_zero_stays(self) -> None:
        (quote,) = fold(a_raw(bid_size=0, ask_size=None)).quotes
        assert (quote.bid, quote.bid_size, quote.ask, quote.ask_size) == (10.0, 0.0, 10.1, None)

    def test_sides(self) -> None:
        assert flags(a_raw()) == [()]
        assert flags(a_raw(bid=10.1)) == [("locked",)]
        assert flags(a_raw(bid=10.2)) == [("crossed",)]
        assert flags(a_raw(bid=0)) == flags(a_raw(ask=None)) == flags(a_raw(bid=0, ask=0)) == [("one_sided",)]

    def test_stale(self) -> None:
        assert flags(a_raw(0, 5), a_raw(1, 6.001)) == [(), ("stale",)]
        assert flags(a_raw(-1e-9, 5)) == [("stale",)]

    def test_out_of_order_within_its_source(self) -> None:
        late = a_raw(1, 3)
        assert flags(a_raw(2, 3), late) == [(), ("out_of_order",)]
        assert flags(a_raw(2, 3), a_raw(2, 3, bid=9.0)) == [(), ()]
        for other in ({"symbol": "MSFT"}, {"provider": "iex"}, {"feed": "sip"}):
            assert flags(a_raw(2, 3, **other), late) == [(), ()]
        # by the highest, not by the one before
        assert flags(a_raw(3, 3), a_raw(1, 3), a_raw(2, 3))[2] == ("out_of_order",)

    def test_all_at_once(self) -> None:
        assert flags(a_raw(1), a_raw(0, 6, bid=11.0))[1] == ("crossed", "stale", "out_of_order")

    def test_providers_share_the_numbers_of_a_symbol(self) -> None:
        quotes = fold(a_raw(), a_raw(provider="iex"), a_raw(symbol="MSFT"), a_raw(feed="sip")).quotes
        assert [quote.id for quote in quotes] == ["AAPL|1", "AAPL|2", "MSFT|1", "AAPL|3"]

    def test_times_are_those_of_the_records(self) -> None:
        folded = fold(a_raw(0, 2), a_raw(0, 3), a_raw(1, 4))
        assert [time_ms - START // 1_000_000 for time_ms in folded.times_ms] == [2_000, 4_000]


class TestMarkers:
    def test_stand_where_the_hole_was_told(self) -> None:
        folded = fold(a_raw(), a_hole(1, feed="sip", reason="slow consumer"), a_raw(1), a_hole(2))
        first, second = folded.markers
        assert [first.at, second.at] == [1, 2]
        assert [first.id(3), second.id(3)] == ["marker|3|1", "marker|3|3"]
        assert json.loads(encode_quote(first.marker)) == {
            "type": "marker",
            "ts_event": START + 1_000_000_000,
            "ts_from": START + 999_999_999,
            "provider": "polygon",
            "feed": "sip",
            "reason": "slow consumer",
        }
        assert [*folded.in_order()] == [folded.quotes[0], first, folded.quotes[1], second]

    def test_a_repeat_in_front_does_not_move_it(self) -> None:
        folded = fold(a_raw(), a_raw(), a_hole(1), a_raw(1))
        assert [placed.at for placed in folded.markers] == [1]

    def test_what_is_announced_comes_once_and_first(self) -> None:
        book = QuoteBook(stands_at=40, base=40, announce=POSITION_RESET)
        records = numbered([a_hole(2), a_raw(2), a_raw(3)], 40)
        folded = play(book, records, [42])
        assert [(placed.at, placed.id(5)) for placed in folded.markers] == [
            (0, "marker|5|40|position reset"),
            (0, "marker|5|40"),
        ]
        assert json.loads(encode_quote(folded.markers[0].marker)) == {
            "type": "marker",
            "ts_event": START + 2_000_000_000,
            "reason": "position reset",
        }
        # above every number that could have been given before
        assert [quote.n for quote in folded.quotes] == [41, 42]


def test_what_is_remembered_does_not_grow() -> None:
    book = QuoteBook()
    sizes = []
    for second in range(0, 300, 2):
        play(book, numbered((a_raw(second + i / 100) for i in range(100)), second * 50))
        sizes.append(book.remembered)
    assert max(sizes) <= 1_100


def test_a_quiet_partition_is_not_read_again_from_its_last_quote() -> None:
    book = QuoteBook()
    play(book, numbered([a_raw()]))
    assert book.resume_offset(1) == 0
    play(book, numbered((a_beat(second) for second in range(1, 12)), 1))
    assert book.resume_offset(12) == 12

"""The state of quotes as bytes: a successor goes on as if nothing had happened."""

from __future__ import annotations

import json
import struct
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.latest import Latest
from domain.quote_snapshot import VERSION, Restored, dump, restore
from domain.quotes import QuoteBook
from domain.snapshot import jumped
from schemas.quote import L1Quote, encode_quote
from tests.unit.domain.quote_tape import CUTS, TAPES, WILD_TAPES, a_beat, a_hole, a_raw, numbered, play, warm
from tests.unit.schemas.hostile import Record

PROPERTY = settings(max_examples=100, deadline=None)
PLACES = ("iex", "polygon")
AT = st.integers(0, 30)
#: what a clock said before it went back is in no record of which repeats must be known
CLOCK_WENT_BACK = numbered(
    [
        a_hole(0),
        a_raw(1, -0.001),
        a_beat(10),
        a_raw(1, 10),
    ]
)


def handed_over(book: QuoteBook, latest: Latest, at: int) -> Restored:
    """Return what a successor makes of the state of a book that has folded everything below ``at``."""
    restored = restore(dump(book, latest, at), book.resume_offset(at), at, PLACES)
    assert restored.book.stands_at == at
    assert restored.offset <= at
    return restored


class TestGoesOn:
    @PROPERTY
    @given(WILD_TAPES, AT, CUTS, CUTS, CUTS)
    def test_as_if_uninterrupted(
        self, tape: list[Record], at: int, cuts: list[int], warming: list[int], after: list[int]
    ) -> None:
        at = min(at, len(tape))
        whole = QuoteBook()
        play(whole, tape[:at], cuts)
        restored = handed_over(whole, Latest(PLACES), at)
        warm(restored.book, tape[restored.offset : at], warming)
        assert play(restored.book, tape[at:], after) == play(whole, tape[at:])

    @PROPERTY
    @given(WILD_TAPES)
    @example(CLOCK_WENT_BACK)
    def test_through_any_number_of_hands(self, tape: list[Record]) -> None:
        book, quotes, markers = QuoteBook(), [], []
        for at, record in enumerate(tape):
            restored = handed_over(book, Latest(PLACES), at)
            book = restored.book
            warm(book, tape[restored.offset : at])
            folded = play(book, [record])
            quotes += folded.quotes
            markers += folded.markers
        once = play(QuoteBook(), tape)
        assert quotes == once.quotes
        assert [m.id(0) for m in markers] == [m.id(0) for m in once.markers]

    @PROPERTY
    @given(TAPES, AT)
    def test_retention_may_have_taken_what_is_older_than_a_repeat(self, tape: list[Record], at: int) -> None:
        """The broker's clock never goes back here: what is 10 s old can go."""
        at = min(at, len(tape))
        whole = QuoteBook()
        play(whole, tape[:at])
        restored = handed_over(whole, Latest(PLACES), at)
        newest = max((r.timestamp for r in tape[at : at + 1]), default=0)
        kept = [r for r in tape[restored.offset : at] if r.timestamp >= newest - 10_000]
        warm(restored.book, kept)
        assert play(restored.book, tape[at:]) == play(whole, tape[at:])

    def test_it_is_not_read_again_from_further_back_than_a_repeat_reaches(self) -> None:
        book = QuoteBook()
        tape = numbered(a_raw(second / 10) for second in range(600))
        play(book, tape, range(600))
        assert book.resume_offset(600) == 499


class TestWithoutState:
    def test_at_the_very_beginning_nothing_is_announced(self) -> None:
        restored = restore(None, 0, 0, PLACES)
        folded = play(restored.book, numbered([a_raw()]))
        assert (folded.markers, [q.n for q in folded.quotes]) == ([], [1])

    def test_a_position_that_was_reset_is(self) -> None:
        restored = restore(jumped(40), 40, 40, PLACES)
        assert (restored.offset, restored.book.stands_at) == (40, 40)
        folded = play(restored.book, numbered([a_raw(), a_raw(1)], 40))
        assert [json.loads(encode_quote(m.marker))["reason"] for m in folded.markers] == ["position reset"]
        assert [q.n for q in folded.quotes] == [41, 42]

    def test_a_state_that_cannot_be_read_is(self) -> None:
        book = QuoteBook()
        tape = numbered([*(a_raw(i) for i in range(30)), a_raw(29), a_raw(30)])
        before = play(book, tape[:30])
        state = dump(book, Latest(PLACES), 20)
        other = bytes([VERSION + 1]) + state[1:9] + b"\xc1 not to be read"
        restored = restore(other, 10, 30, PLACES)
        assert (restored.offset, restored.book.stands_at) == (10, 30)
        warm(restored.book, tape[10:30])
        folded = play(restored.book, tape[30:])
        (marker,) = folded.markers
        assert (marker.at, marker.marker.reason) == (0, "state lost")
        # repeats are known again, and no number comes twice
        assert folded.duplicates == 1
        assert min(q.n for q in folded.quotes) > max(q.n for q in before.quotes)

    def test_what_follows_goes_on_with_the_numbers(self) -> None:
        book = restore(jumped(40), 40, 40, PLACES).book
        play(book, numbered([a_raw()], 40))
        later = handed_over(book, Latest(PLACES), 41).book
        folded = play(later, numbered([a_raw(1), a_raw(symbol="MSFT"), a_hole()], 41))
        assert [q.id for q in folded.quotes] == ["AAPL|42", "MSFT|41"]
        assert len(folded.markers) == 1


class TestView:
    @PROPERTY
    @given(TAPES, AT, st.booleans())
    def test_the_last_is_published_in_the_end(self, tape: list[Record], at: int, confirmed: bool) -> None:
        """Whatever of it a worker could still publish: its successor does the rest, and nothing older."""
        at = min(at, len(tape))
        book, latest = QuoteBook(), Latest(PLACES)
        folded = play(book, tape[:at])
        published = latest.offer(folded.quotes, folded.times_ms)
        if confirmed:
            latest.confirm(published)
        else:
            published = []
        restored = handed_over(book, latest, at)
        warm(restored.book, tape[restored.offset : at])
        successor = restored.latest
        for symbol in ("AAPL", "MSFT"):
            assert successor.get(symbol) == latest.get(symbol)
        folded = play(restored.book, tape[at:])
        published += successor.offer(folded.quotes, folded.times_ms)
        published += [*successor.flush(), *successor.flush()]
        for symbol in ("AAPL", "MSFT"):
            of_symbol = [q for q in published if q.symbol == symbol]
            assert [q.ts_event for q in of_symbol] == sorted(q.ts_event for q in of_symbol)
            assert (of_symbol[-1] if of_symbol else None) == successor.get(symbol)
            # nor twice
            assert len({q.id for q in of_symbol}) == len(of_symbol)

    def test_what_was_given_out_and_not_confirmed_waits(self) -> None:
        book, latest = QuoteBook(), Latest(PLACES)
        folded = play(book, numbered([a_raw(), a_raw(symbol="MSFT")]))
        aapl, _ = latest.offer(folded.quotes, folded.times_ms)
        latest.confirm([aapl])
        successor = handed_over(book, latest, 2).latest
        successor.flush()
        assert [q.symbol for q in successor.flush()] == ["MSFT"]

    def test_it_keeps_to_the_pace(self) -> None:
        book, latest = QuoteBook(), Latest(PLACES)
        folded = play(book, numbered([a_raw()]))
        latest.confirm(latest.offer(folded.quotes, folded.times_ms))
        restored = handed_over(book, latest, 1)
        warm(restored.book, numbered([a_raw()]))
        folded = play(restored.book, numbered([a_raw(0.1), a_raw(0.25)], 1))
        assert [q.n for q in restored.latest.offer(folded.quotes, folded.times_ms)] == [3]

    def test_every_field_comes_back(self) -> None:
        book, latest = QuoteBook(), Latest(PLACES)
        raw = a_raw(0, 9, feed="sip", bid_venue="V", ask_venue="Q", conditions="R", tape="C", seq=3, bid=11,
                    ts_recv=1_700_000_000_000_000_000)  # fmt: skip
        folded = play(book, numbered([raw]))
        latest.offer(folded.quotes, folded.times_ms)
        found = handed_over(book, latest, 1).latest.get("AAPL")
        assert found == folded.quotes[0]
        assert isinstance(found, L1Quote)
        assert found.flags == ("crossed", "stale")


def test_the_head_says_where_it_stands() -> None:
    """It may be all that another version can read."""
    assert struct.unpack_from(">Bq", dump(QuoteBook(), Latest(PLACES), 77)) == (VERSION, 77)


@pytest.mark.parametrize("symbols", [700])
def test_a_snapshot_costs_some_milliseconds(symbols: int) -> None:
    """Of as many symbols as one partition of twelve has of 8,000."""
    book, latest = QuoteBook(), Latest(PLACES)
    folded = play(book, numbered(a_raw(symbol=f"S{i}") for i in range(symbols)))
    latest.offer(folded.quotes, folded.times_ms)
    best = min(_cpu_s(book, latest) for _ in range(20))
    assert best < 0.010
    assert len(dump(book, latest, 1)) < 200 * symbols


def _cpu_s(book: QuoteBook, latest: Latest) -> float:
    begin = time.process_time()
    dump(book, latest, 1)
    return time.process_time() - begin

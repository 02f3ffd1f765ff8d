"""A book as bytes: a successor goes on as if nothing had happened."""

from __future__ import annotations

import struct
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import snapshot
from domain.candles import MINUTE_NS, Book, Draft, Key, Patience
from domain.snapshot import Snapshots, restore
from schemas.candle import Bar
from schemas.trade import Trade
from tests.unit.domain.tape import (
    CUTS,
    PATIENCE,
    SECOND_NS,
    START,
    TAPES,
    Item,
    Outcome,
    a_clock,
    a_trade,
    play,
)

PROPERTY = settings(max_examples=60, deadline=None)
PLACES = st.integers(0, 40)
#: shorter and longer than that of the tape, in each way
OTHER_PATIENCE = st.builds(
    Patience,
    st.sampled_from((0, SECOND_NS, 2 * SECOND_NS, 90 * SECOND_NS)),
    st.sampled_from((0, 60 * SECOND_NS, 120 * SECOND_NS, 3_600 * SECOND_NS)),
)


def dumped(items: list[Item], book: Book | None = None) -> bytes:
    """Return the state after a tape."""
    book = book or Book(PATIENCE)
    play(book, items)
    return Snapshots().dump(book, len(items))


def resumed(state: bytes, offset: int, patience: Patience = PATIENCE) -> Book:
    restored = restore(state, offset, patience)
    assert restored.exact
    assert restored.offset == offset
    return restored.book


class TestGoesOn:
    @PROPERTY
    @given(TAPES, PLACES, CUTS)
    def test_as_if_uninterrupted(self, tape: list[Item], at: int, cuts: list[int]) -> None:
        at = min(at, len(tape))
        whole = Book(PATIENCE)
        play(whole, tape[:at])
        state = Snapshots().dump(whole, at)
        book = resumed(state, at)
        assert book.resume_offset(at) == whole.resume_offset(at)
        assert play(book, tape[at:], at, cuts) == play(whole, tape[at:], at)

    @PROPERTY
    @given(TAPES)
    def test_through_any_number_of_hands(self, tape: list[Item]) -> None:
        book, outcome = Book(PATIENCE), Outcome()
        for offset, item in enumerate(tape):
            book = resumed(Snapshots().dump(book, offset), offset)
            one = play(book, [item], offset)
            outcome.bars += one.bars
            outcome.expired += one.expired
            outcome.late += one.late
        assert outcome == play(Book(PATIENCE), tape)

    @PROPERTY
    @given(TAPES, PLACES)
    def test_what_was_encoded_before_is_as_new(self, tape: list[Item], at: int) -> None:
        """Closed windows are encoded once; one that was revised since must not be taken from then."""
        at = min(at, len(tape))
        book, snapshots = Book(PATIENCE), Snapshots()
        state = b""
        for offset, item in enumerate(tape[:at]):
            play(book, [item], offset)
            state = snapshots.dump(book, offset + 1)
        assert not at or state == Snapshots().dump(book, at)

    @PROPERTY
    @given(TAPES, PLACES, PLACES)
    def test_folding_again_what_was_stored_gives_the_same(
        self, tape: list[Item], at: int, stored: int
    ) -> None:
        at, stored = sorted(min(place, len(tape)) for place in (at, stored))
        expected = Book(PATIENCE)
        play(expected, tape[:at])
        state = Snapshots().dump(expected, at)
        book = resumed(state, at)
        assert play(book, tape[at:stored], at) == play(expected, tape[at:stored], at)
        assert play(book, tape[stored:], stored) == play(expected, tape[stored:], stored)

    @PROPERTY
    @given(TAPES, PLACES)
    def test_amid_the_log_too(self, tape: list[Item], at: int) -> None:
        at = min(at, len(tape))
        whole = Book(PATIENCE, jumped=True)
        state = dumped(tape[:at], whole)
        expected = play(whole, tape[at:], at)
        assert play(resumed(state, at), tape[at:], at) == expected

    def test_knows_sizes_beyond_64_bits(self) -> None:
        state = dumped([a_trade(1, size=1e12)] * 20)
        (bar,) = play(resumed(state, 20), [a_clock(62)], 20).bars
        assert bar.volume == 2e13

    def test_sums_of_prices_go_on_bit_for_bit(self) -> None:
        tape: list[Item] = [a_trade(1, 0.1, 0.1 * n) for n in range(1, 50)]
        whole = play(Book(PATIENCE), [*tape, a_clock(62)]).bars
        assert play(resumed(dumped(tape[:25]), 25), [*tape[25:], a_clock(62)], 25).bars == whole


class TestAnotherVersion:
    @staticmethod
    def unreadable(state: bytes) -> bytes:
        """As another version would have written it: of the same head, then anything."""
        version, resume, watermark = struct.unpack_from(">Bqq", state)
        return struct.pack(">Bqq", version + 1, resume, watermark) + b"\xff not for us"

    @PROPERTY
    @given(TAPES, PLACES, PLACES)
    def test_bars_that_were_open_are_folded_again(self, tape: list[Item], at: int, stored: int) -> None:
        at, stored = sorted(min(place, len(tape)) for place in (at, stored))
        whole = Book(PATIENCE)
        play(whole, tape[:at])
        closed_then = whole.watermark
        restored = restore(self.unreadable(Snapshots().dump(whole, at)), at, PATIENCE)
        assert not restored.exact
        assert restored.offset == whole.resume_offset(at)

        play(whole, tape[at:stored], at)
        expected = play(whole, tape[stored:], stored)
        play(restored.book, tape[restored.offset : stored], restored.offset)
        found = play(restored.book, tape[stored:], stored)

        def was_open(bar: Bar) -> bool:
            return bar.ts_event + MINUTE_NS + PATIENCE.lateness_ns > closed_then

        assert found.bars == [bar for bar in expected.bars if was_open(bar)]
        # and a late trade for any other is told, not lost
        revised = len(expected.bars) - len(found.bars)
        assert len(found.expired) == len(expected.expired) + revised

    def test_a_closed_bar_is_not_begun_anew(self) -> None:
        restored = restore(self.unreadable(dumped([a_trade(1), a_clock(62)])), 2, PATIENCE)
        outcome = play(restored.book, [a_trade(2)], 2)
        assert (outcome.bars, outcome.expired) == ([], [2])

    def test_the_head_never_changes(self) -> None:
        state = dumped([a_trade(1), a_clock(62), a_trade(70), a_trade(65)])
        version, resume, watermark = struct.unpack_from(">Bqq", state)
        assert (version, resume, watermark) == (snapshot.VERSION, 0, START + 70 * SECOND_NS)

    def test_versions_are_told_apart(self) -> None:
        assert snapshot.VERSION not in {snapshot.JUMPED, 1}


class TestNoState:
    def test_starts_empty(self) -> None:
        restored = restore(None, 7, PATIENCE)
        assert (restored.offset, restored.exact, restored.book.jumped) == (7, True, False)
        assert len(play(restored.book, [a_trade(1), a_clock(62)], 7).bars) == 1

    def test_amid_the_log(self) -> None:
        restored = restore(snapshot.jumped(7), 7, PATIENCE)
        assert (restored.offset, restored.exact, restored.book.jumped) == (7, True, True)
        assert not play(restored.book, [a_trade(1), a_clock(62)], 7).bars


class TestAnotherPatience:
    """An operator changes lateness or horizon; a worker restarts with a state of before."""

    @PROPERTY
    @given(TAPES, PLACES, PLACES, OTHER_PATIENCE)
    def test_nothing_is_lost_or_published_twice(
        self, tape: list[Item], at: int, stored: int, patience: Patience
    ) -> None:
        at, stored = sorted(min(place, len(tape)) for place in (at, stored))
        before = Book(PATIENCE)
        outcome = play(before, tape[:at])
        state = Snapshots().dump(before, at)
        rest = play(before, tape[at:stored], at)
        outcome.bars += rest.bars
        outcome.expired += rest.expired

        book = restore(state, at, patience, stored).book
        assert play(book, tape[at:stored], at) == rest
        last = play(book, [*tape[stored:], a_clock(7_200)], stored)
        bars, expired = outcome.bars + last.bars, outcome.expired + last.expired

        revisions: defaultdict[tuple[object, ...], list[Bar]] = defaultdict(list)
        for bar in bars:
            revisions[bar.symbol, bar.ts_event, bar.provider, bar.feed].append(bar)
        for versions in revisions.values():
            assert [bar.revision for bar in versions] == list(range(len(versions)))
            counts = [bar.trade_count for bar in versions]
            assert counts == list(range(counts[0], counts[0] + len(counts)))
        trades = sum(isinstance(item, Trade) for item in tape)
        assert sum(versions[-1].trade_count for versions in revisions.values()) + len(expired) == trades

    @pytest.mark.parametrize("stored", [None, 1])
    def test_counts_from_the_first_new_record_on(self, stored: int | None) -> None:
        state = dumped([a_trade(1)])
        book = restore(state, 1, Patience(10 * SECOND_NS, 0), stored).book
        assert not play(book, [a_clock(69.9)], 1).bars
        (bar,) = play(book, [a_clock(70)], 2).bars
        assert bar.trade_count == 1
        assert play(book, [a_trade(2)], 3).expired == [3]

    def test_a_longer_lateness_does_not_open_a_closed_bar_again(self) -> None:
        book = restore(dumped([a_trade(1), a_clock(62)]), 2, Patience(90 * SECOND_NS, 120 * SECOND_NS)).book
        assert [(bar.revision, bar.trade_count) for bar in play(book, [a_trade(2)], 2).bars] == [(1, 2)]

    def test_a_shorter_lateness_does_not_close_an_open_bar_unseen(self) -> None:
        book = restore(dumped([a_trade(1), a_clock(61)]), 2, Patience(0, 0)).book
        assert not play(book, [a_trade(2)], 2).bars
        assert [(bar.revision, bar.trade_count) for bar in play(book, [a_clock(61.1)], 3).bars] == [(0, 2)]

    def test_a_shorter_lateness_closes_earlier(self) -> None:
        book = restore(dumped([a_trade(1)]), 1, Patience(0, 0)).book
        (bar,) = play(book, [a_clock(60)], 1).bars
        assert bar.trade_count == 1

    @pytest.mark.parametrize("lateness_s", [0, 2, 90])
    def test_a_longer_horizon_does_not_revive_a_forgotten_bar(self, lateness_s: int) -> None:
        forgotten = dumped([a_trade(1), a_clock(62 + 120)])
        book = restore(forgotten, 2, Patience(lateness_s * SECOND_NS, 3_600 * SECOND_NS)).book
        outcome = play(book, [a_trade(2)], 2)
        assert (outcome.bars, outcome.expired) == ([], [2])

    def test_the_former_counts_for_what_was_stored(self) -> None:
        book = restore(dumped([a_trade(1)]), 1, Patience(10 * SECOND_NS, 0), 2).book
        assert len(play(book, [a_clock(62)], 1).bars) == 1


class TestSize:
    SYMBOLS = 667  # 8,000 over 12 partitions

    def tape(self, minutes: int) -> list[Item]:
        return [
            a_trade(60 * minute + second, 187.25 + second, 0.123456789, symbol=f"SYMB{symbol}")
            for minute in range(minutes)
            for symbol in range(self.SYMBOLS)
            for second in (1, 2)
        ]

    def test_of_one_open_minute(self) -> None:
        assert len(dumped(self.tape(1))) < 70_000

    def test_of_the_whole_horizon(self) -> None:
        book = Book(Patience())
        state = dumped(self.tape(8), book)
        # the minute under way has none yet; the oldest two have expired
        assert (len(book.windows), len(book.closed)) == (1, 5)
        assert len(state) < 6 * 70_000

    def test_of_nothing(self) -> None:
        assert len(dumped([])) < 64

    def test_a_closed_window_is_encoded_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        book, snapshots = Book(PATIENCE), Snapshots()
        packed: list[int] = []
        pack = snapshot._pack

        def counted(key: Key, window: dict[str, Draft], first: int) -> snapshot._Window:
            packed.append(key[0])
            return pack(key, window, first)

        monkeypatch.setattr(snapshot, "_pack", counted)
        play(book, [a_trade(1), a_trade(61), a_clock(70)])
        first = snapshots.dump(book, 3)
        packed.clear()
        assert snapshots.dump(book, 3) == first
        assert packed == [START + MINUTE_NS]
        play(book, [a_trade(2)], 3)
        packed.clear()
        snapshots.dump(book, 4)
        assert packed == [START, START + MINUTE_NS]

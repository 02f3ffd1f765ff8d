"""Windows in pieces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.provider import INTERVALS
from sinks.backfills import MAX_BARS, pieces
from tests.unit.sinks.bars import START
from tests.unit.sinks.results import SECOND_NS, backfill_row

LENGTHS = {"1m": 60, "5m": 300, "15m": 900, "30m": 1_800, "1h": 3_600, "1d": 86_400}
WINDOWS = st.tuples(st.integers(0, 10**9), st.integers(1, 10**8)).map(
    lambda w: (START + w[0] * SECOND_NS, START + (w[0] + w[1]) * SECOND_NS)
)


def cut(window: tuple[int, int], interval: str) -> list[tuple[int, int]]:
    row = backfill_row(interval=interval, window_start_ns=window[0], window_end_ns=window[1])
    return [(piece.start_ns, piece.end_ns) for piece in pieces(row)]


@given(WINDOWS, st.sampled_from(INTERVALS))
def test_the_pieces_are_the_window_and_none_is_too_long(window, interval):
    found = cut(window, interval)
    assert [found[0][0], *(end for _, end in found)] == [*(start for start, _ in found), found[-1][1]]
    assert (found[0][0], found[-1][1]) == window
    longest = LENGTHS[interval] * MAX_BARS * SECOND_NS
    assert all(0 < end - start <= longest for start, end in found)
    assert len(found) <= (window[1] - window[0]) // longest + 2


@given(WINDOWS, WINDOWS, st.sampled_from(INTERVALS))
def test_windows_that_overlap_are_cut_at_the_same_places(one, other, interval):
    def inner(window: tuple[int, int]) -> set[int]:
        low, high = max(one[0], other[0]), min(one[1], other[1])
        return {start for start, _ in cut(window, interval)[1:] if low < start < high}

    assert inner(one) == inner(other)


def test_a_day_of_minutes_is_one_piece():
    midnight = START - START % (86_400 * SECOND_NS)
    assert len(cut((midnight, midnight + 86_400 * SECOND_NS), "1m")) == 1


def test_each_piece_says_who_asked_and_why():
    (piece,) = pieces(backfill_row(hint="alpaca"))
    assert (piece.request_id, piece.tier, piece.symbol, piece.interval) == ("job-1", "T1", "AAPL", "1m")
    assert (piece.note, piece.hint) == ("minutes missing after an outage", "alpaca")

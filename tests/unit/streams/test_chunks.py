"""Slices: every record once, in order, none longer than allowed, no partition before another's turn."""

from __future__ import annotations

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from streams.chunks import ChunkScheduler, Records, chunk_message
from tests.unit.streams.consumers import TICKS, slice_of, tenure

JOBS = "jobs"


@given(
    st.dictionaries(
        st.builds(TP, st.just(TICKS), st.integers(0, 5)), st.integers(1, 40).map(lambda n: slice_of(0, n))
    ),
    st.integers(1, 10),
)
def test_slices_are_the_records_cut_in_order(records, size):
    found: dict[TP, Records] = {tp: [] for tp in records}
    for tp, piece in ChunkScheduler({TICKS}, size).iterate(records):
        assert 1 <= len(piece) <= size
        found[tp] += piece
    assert found == records


@given(
    st.dictionaries(
        st.builds(TP, st.sampled_from([TICKS, JOBS]), st.integers(0, 5)),
        st.integers(1, 40).map(lambda n: slice_of(0, n)),
    ),
    st.integers(1, 10),
)
def test_slices_are_counted_before_they_are_cut(records, size):
    scheduler = ChunkScheduler({TICKS}, size)
    cut = sum(tp.topic == TICKS for tp, _ in scheduler.iterate(records))
    assert scheduler.slices(records) == ({TICKS: cut} if cut else {})


def test_partitions_take_turns():
    a, b = TP(TICKS, 0), TP(TICKS, 1)
    turns = [
        (tp.partition, piece[0].offset)
        for tp, piece in ChunkScheduler({TICKS}, 2).iterate({a: slice_of(0, 6), b: slice_of(0, 3)})
    ]
    assert turns == [(0, 0), (1, 0), (0, 2), (1, 2), (0, 4)]


def test_single_records_come_first_and_one_by_one():
    ticks, jobs = TP(TICKS, 0), TP(JOBS, 0)
    order = list(ChunkScheduler({TICKS}, 10).iterate({ticks: slice_of(0, 3), jobs: slice_of(7, 9)}))
    assert [tp for tp, _ in order] == [jobs, jobs, ticks]
    assert [record.offset for _, record in order[:2]] == [7, 8]


def test_a_topic_that_becomes_one_of_chunks_is_sliced_from_then_on():
    topics: dict[str, None] = {}
    scheduler, tp = ChunkScheduler(topics.keys(), 10), TP(TICKS, 0)
    assert [record for _, record in scheduler.iterate({tp: slice_of(0, 2)})] == slice_of(0, 2)
    topics[TICKS] = None
    assert [records for _, records in scheduler.iterate({tp: slice_of(0, 2)})] == [slice_of(0, 2)]


def test_the_message_of_a_slice_carries_its_last_offset_and_its_tenure():
    tp = TP(TICKS, 3)
    records, mine = slice_of(10, 15), tenure(tp, 10)
    message = chunk_message(tp, records, mine, 8, 4)
    assert (message.begins, message.offset) == (8, 14)
    assert (message.tp, message.partition, message.generation_id) == (tp, 3, 4)
    assert message.timestamp == 1_700_000_000.0
    assert message.tenure is mine
    carried: object = message.value
    assert carried is records

"""Slices: every record once, in order, none longer than allowed, no partition before another's turn."""

from __future__ import annotations

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from streams.chunks import ChunkScheduler, Records, chunk_message
from tests.unit.streams.consumers import TICKS, piece, slice_of, tenure

JOBS = "jobs"


@given(
    st.dictionaries(
        st.builds(TP, st.sampled_from([TICKS, "quotes"]), st.integers(0, 5)),
        st.integers(1, 40).map(lambda n: slice_of(0, n)),
    ),
    st.integers(1, 10),
)
def test_slices_are_the_records_cut_in_order_and_dealt_out_in_groups(records, size):
    found: dict[TP, Records] = {tp: [] for tp in records}
    for first, group in ChunkScheduler({TICKS, "quotes"}, size).iterate(records):
        tps = [tp for tp, _ in group]
        assert tps[0] == first
        assert {tp.topic for tp in tps} == {first.topic}, "a group goes to one agent"
        assert len(set(tps)) == len(tps), "a slice continues one that was delivered"
        assert 1 <= sum(len(cut) for _, cut in group) <= size
        for tp, cut in group:
            assert cut
            found[tp] += cut
    assert found == records


def test_partitions_take_turns():
    a, b = TP(TICKS, 0), TP(TICKS, 1)
    turns = [
        [(tp.partition, cut[0].offset) for tp, cut in group]
        for _, group in ChunkScheduler({TICKS}, 2).iterate({a: slice_of(0, 6), b: slice_of(0, 3)})
    ]
    assert turns == [[(0, 0)], [(1, 0)], [(0, 2)], [(1, 2)], [(0, 4)]]


def test_what_a_fetch_brought_of_many_partitions_goes_together():
    records = {TP(TICKS, n): slice_of(0, 3) for n in range(4)}
    groups = [group for _, group in ChunkScheduler({TICKS}, 9).iterate(records)]
    assert [[tp.partition for tp, _ in group] for group in groups] == [[0, 1, 2], [3]]


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
    assert [group for _, group in scheduler.iterate({tp: slice_of(0, 2)})] == [[(tp, slice_of(0, 2))]]


def test_a_message_carries_its_slices_and_the_last_offset_of_the_first():
    three, five = tenure(TP(TICKS, 3), 10), tenure(TP(TICKS, 5), 20)
    slices = [piece(three, 10, 15), piece(five, 20, 22)]
    message = chunk_message(slices, 4)
    assert message.slices == slices
    assert message.open == 2
    assert (message.tp, message.partition, message.offset) == (TP(TICKS, 3), 3, 14)
    assert (message.generation_id, message.timestamp) == (4, 1_700_000_000.0)
    assert [each.tp for each in slices] == [three.tp, five.tp]


def test_a_message_without_its_first_slice_is_one_of_the_next():
    three, five = tenure(TP(TICKS, 3), 10), tenure(TP(TICKS, 5), 20)
    message = chunk_message([piece(three, 10, 15), piece(five, 20, 22)], 4)
    message.bring(message.slices[1:])
    assert message.open == 1
    assert (message.tp, message.partition, message.offset) == (TP(TICKS, 5), 5, 21)

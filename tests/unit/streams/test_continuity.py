"""What a consumer lets through: only slices that continue what was delivered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.errors import IllegalStateError
from faust.types import TP

from schemas.errors import PositionLost
from streams.chunks import ChunkMessage, Records
from streams.tenure import Tenure
from streams.transport import ChunkConsumer
from tests.unit.streams.consumers import TICKS, TickApp, driven_consumer, piece, slice_of, tenure

TP0, TP1, JOBS = TP(TICKS, 0), TP(TICKS, 1), TP("jobs", 0)
SINGLE = SimpleNamespace(
    topic="jobs",
    partition=0,
    offset=3,
    timestamp=1_700_000_000_000,
    timestamp_type=1,
    headers=(),
    key=None,
    value=b"{}",
    checksum=None,
    serialized_key_size=-1,
    serialized_value_size=2,
)


@pytest.fixture
async def app():
    return TickApp()


@pytest.fixture
async def driven(app):
    consumer, thread = driven_consumer(app)
    thread.limits = {TP0: (0, 1_000), TP1: (0, 1_000)}
    consumer.tenures = {TP0: tenure(TP0, 10), TP1: tenure(TP1, 20)}
    return consumer, thread


async def test_a_slice_that_continues_gets_through(driven, app):
    consumer, thread = driven
    records = {TP0: slice_of(10, 15), TP1: slice_of(20, 21), JOBS: slice_of(77, 79)}
    assert await consumer._continuing(dict(records), moved=False) == records
    assert thread.seeks == []
    assert app.counters.slices_refetched == 0


@pytest.mark.parametrize("first", [9, 11])
async def test_a_slice_that_does_not_continue_is_fetched_again(driven, app, first):
    consumer, thread = driven
    kept = await consumer._continuing({TP0: slice_of(first, 15), TP1: slice_of(20, 22)}, moved=False)
    assert list(kept) == [TP1]
    assert thread.seeks == [{TP0: 10}]
    assert app.counters.slices_refetched == 1


async def test_a_slice_of_a_partition_without_position_is_dropped_and_not_sought(driven):
    consumer, thread = driven
    del consumer.tenures[TP0]
    assert await consumer._continuing({TP0: slice_of(10, 15)}, moved=False) == {}
    assert thread.seeks == []


async def test_a_hole_passes_only_when_it_is_there_again_after_a_seek(driven, app):
    consumer, thread = driven
    assert await consumer._continuing({TP0: slice_of(13, 15)}, moved=False) == {}
    assert await consumer._continuing({TP0: slice_of(13, 15)}, moved=False) == {TP0: slice_of(13, 15)}
    assert thread.seeks == [{TP0: 10}]
    assert app.counters.holes == 1


async def test_a_hole_does_not_count_when_the_position_moved_during_the_fetch(driven, app):
    consumer, _ = driven
    assert await consumer._continuing({TP0: slice_of(13, 15)}, moved=False) == {}
    assert await consumer._continuing({TP0: slice_of(13, 15)}, moved=True) == {}
    assert app.counters.holes == 0


async def test_going_back_is_never_taken_for_a_hole(driven):
    consumer, thread = driven
    for _ in range(3):
        assert await consumer._continuing({TP0: slice_of(5, 8)}, moved=False) == {}
    assert len(thread.seeks) == 3


async def test_a_hole_that_retention_made_ends_the_worker(driven, app):
    consumer, thread = driven
    thread.limits[TP0] = (13, 1_000)
    await consumer._continuing({TP0: slice_of(13, 15)}, moved=False)
    crashes = []

    async def crash(reason):
        crashes.append(reason)

    consumer.crash = crash
    with pytest.raises(PositionLost, match=r"ticks\[0\]: records 10\.\.12 were deleted by retention"):
        await consumer._continuing({TP0: slice_of(13, 15)}, moved=False)
    assert [type(c) for c in crashes] == [PositionLost]
    assert app.counters.holes == 0


async def test_a_revoked_partition_does_not_spoil_the_fetch_of_the_others(driven):
    consumer, thread = driven

    async def refuse(positions):
        raise IllegalStateError("no current assignment")

    thread.seek_all = refuse
    kept = await consumer._continuing({TP0: slice_of(11, 12), TP1: slice_of(20, 21)}, moved=False)
    assert list(kept) == [TP1]


class Conductor:
    """Takes what is delivered, in place of Faust's; may do something when it has taken a slice."""

    def __init__(self) -> None:
        self.taken: list[tuple[Tenure, int, int]] = []
        """(tenure, first offset, offset after the last) of each slice."""
        self.after: dict[int, Callable[[], Awaitable[None]]] = {}

    async def __call__(self, message: ChunkMessage) -> None:
        message.refcount = 1
        for taken in message.slices:
            self.taken.append((taken.tenure, taken.records[0].offset, taken.offset + 1))
            if taken.offset in self.after:
                await self.after.pop(taken.offset)()

    def ranges(self, tenure: Tenure) -> list[tuple[int, int]]:
        return [(first, end) for owner, first, end in self.taken if owner is tenure]


@pytest.fixture
def conductor(driven):
    consumer, _ = driven
    conductor = consumer._deliver_to_conductor = Conductor()
    return conductor


async def drain(consumer: ChunkConsumer, fetched: dict[TP, Records]) -> None:
    """Do what Faust's loop does with a fetch: slice it, drop what it takes for read before, deliver."""
    kept = await consumer._continuing(dict(fetched), moved=False)
    for tp, group in consumer.scheduler.iterate(kept):
        message = consumer._to_message(tp, group)
        read = consumer._read_offset[tp]
        if read is None or message.offset >= read:
            await consumer._on_delivery(message)
            consumer._read_offset[tp] = message.offset


async def grouped(consumer: ChunkConsumer, fetched: dict[TP, Records]) -> Any:
    """Return the only group of a fetch."""
    kept = await consumer._continuing(dict(fetched), moved=False)
    ((_, group),) = consumer.scheduler.iterate(kept)
    return group


@pytest.fixture
def fetching(driven, monkeypatch):
    """Return what reads a fetch as Faust's loop does, and gives what is left to that loop."""
    consumer, _ = driven
    consumer.flow_active = True
    monkeypatch.setattr(consumer, "highwater", lambda tp: 1_000)

    async def fetch(records: dict[TP, Records]) -> list[tuple[TP, Any]]:
        async def fetched(timeout: float) -> Any:
            return dict(records), set(records)

        monkeypatch.setattr(consumer, "_fetch_next", fetched)
        return [each async for each in consumer.getmany(1.0)]

    return fetch


async def test_where_the_agent_has_room_slices_are_handed_on_without_the_loop(driven, conductor, fetching):
    consumer, _ = driven
    assert await fetching({TP0: slice_of(10, 18), TP1: slice_of(20, 21)}) == []
    assert conductor.ranges(consumer.tenures[TP0]) == [(10, 14), (14, 18)]
    assert conductor.ranges(consumer.tenures[TP1]) == [(20, 21)]
    assert [consumer.tenures[tp].delivered for tp in (TP0, TP1)] == [18, 21]


async def test_a_fetch_is_one_delivery_and_what_ended_meanwhile_is_left_out(app, driven, conductor):
    consumer, _ = driven
    ended, one = consumer.tenures[TP0], consumer.tenures[TP1]
    message = consumer._to_message(
        TP0, await grouped(consumer, {TP0: slice_of(10, 12), TP1: slice_of(20, 22)})
    )
    consumer.tenures[TP0] = tenure(TP0, 10)
    await consumer._on_delivery(message)
    assert [owner for owner, _, _ in conductor.taken] == [one]
    assert (message.tp, message.offset, message.open) == (TP1, 21, 1)
    assert (ended.delivered, one.delivered, app.counters.stale_dropped) == (10, 22, 1)


async def test_what_all_partitions_of_a_delivery_may_commit_is_told_one_by_one(driven, conductor, app):
    consumer, _ = driven
    app.topics._acking_topics.add(TICKS)
    message = consumer._to_message(
        TP0, await grouped(consumer, {TP0: slice_of(10, 12), TP1: slice_of(20, 22)})
    )
    await consumer._on_delivery(message)
    zero, one = message.slices
    assert sorted(consumer._filter_tps_with_pending_acks()) == [TP0, TP1]
    assert list(consumer._filter_tps_with_pending_acks({TP1})) == [TP1]
    assert list(consumer._filter_tps_with_pending_acks({"jobs"})) == []
    one.acked = True
    assert (consumer._new_offset(TP0), consumer._new_offset(TP1)) == (None, 22)
    zero.acked = True
    assert (consumer._new_offset(TP0), consumer._new_offset(TP1)) == (12, None)


async def test_a_delivery_that_nobody_takes_holds_back_no_commit(driven, app):
    consumer, _ = driven
    app.topics._acking_topics.add(TICKS)

    async def nobody(message):
        """Take nothing."""

    consumer._deliver_to_conductor = nobody
    message = consumer._to_message(
        TP0, await grouped(consumer, {TP0: slice_of(10, 12), TP1: slice_of(20, 22)})
    )
    await consumer._on_delivery(message)
    assert message.acked
    assert (consumer._new_offset(TP0), consumer._new_offset(TP1)) == (12, 22)


async def test_partitions_of_a_topic_wait_for_its_agent_together_and_no_other_topic_with_them(driven):
    consumer, _ = driven
    consumer._active_partitions = {TP0, TP1, JOBS}
    consumer.on_buffer_full(TP1)
    assert consumer._active_partitions == {JOBS}
    consumer.on_buffer_drop(JOBS)
    assert consumer._active_partitions == {JOBS}
    consumer.on_buffer_drop(TP0)
    assert consumer._active_partitions == {TP0, TP1, JOBS}
    assert consumer._buffered_partitions == set()


async def test_where_it_has_none_the_loop_waits_for_room_or_for_a_suspended_flow(
    app, driven, conductor, fetching
):
    consumer, _ = driven
    queue = app._chunk_topics[TICKS].queue
    while app.has_room(TICKS):
        queue.put_nowait(cast(Any, SimpleNamespace(value=[piece(consumer.tenures[TP0], 0, 100)])))
    left = await fetching({TP0: slice_of(10, 18)})
    assert [(tp, message.slices[0].begins) for tp, message in left] == [(TP0, 10), (TP0, 14)]
    assert conductor.taken == []
    assert consumer.tenures[TP0].delivered == 10


async def test_single_records_are_left_to_the_loop(conductor, fetching):
    # a slice, should there be one, waits until the loop has taken them
    left = await fetching({JOBS: [SINGLE], TP0: slice_of(10, 11)})
    assert [tp for tp, _ in left] == [JOBS]
    assert len(conductor.taken) == 1


async def test_a_fetch_is_delivered_slice_by_slice_and_the_tenure_follows(driven, conductor):
    consumer, _ = driven
    mine = consumer.tenures[TP0]
    seen = []

    async def note():
        seen.append(mine.delivered)

    conductor.after = {13: note, 17: note}
    await drain(consumer, {TP0: slice_of(10, 18)})
    assert conductor.ranges(mine) == [(10, 14), (14, 18)]
    assert seen == [10, 14], "it moves only when the conductor has taken the slice"
    assert mine.delivered == 18


async def test_what_the_conductor_did_not_take_is_fetched_again(driven, conductor):
    consumer, thread = driven

    async def suspend():
        raise asyncio.CancelledError

    conductor.after = {17: suspend}
    with pytest.raises(asyncio.CancelledError):
        await drain(consumer, {TP0: slice_of(10, 18)})
    assert consumer.tenures[TP0].delivered == 14
    await drain(consumer, {TP0: slice_of(18, 20)})
    assert thread.seeks == [{TP0: 14}]


async def test_a_refused_slice_takes_the_rest_of_its_fetch_with_it_but_no_other_partition(driven, conductor):
    consumer, _ = driven
    mine = consumer.tenures[TP0]
    await drain(consumer, {TP0: slice_of(11, 19), TP1: slice_of(20, 22)})
    assert conductor.ranges(mine) == []
    assert conductor.ranges(consumer.tenures[TP1]) == [(20, 22)]


async def test_the_rest_of_a_fetch_is_not_taken_for_the_tenure_that_began_meanwhile(driven, conductor, app):
    consumer, _ = driven
    former = consumer.tenures[TP0]
    app.next_tenures[TP0] = successor = tenure(TP0, 14, resume=2)

    async def lose_the_swap():
        await consumer.reposition([TP0])

    conductor.after = {13: lose_the_swap}
    await drain(consumer, {TP0: slice_of(10, 22)})
    assert conductor.ranges(former)[0] == (10, 14)
    assert conductor.ranges(successor) == []
    assert successor.delivered == 2
    assert consumer._new_offset(TP0) is None, "a slice of before must not commit for the new tenure"
    await drain(consumer, {TP0: slice_of(2, 12)})
    assert conductor.ranges(successor) == [(2, 6), (6, 10), (10, 12)]


async def test_after_starting_over_further_back_everything_is_delivered_again(driven, conductor, app):
    consumer, thread = driven
    await drain(consumer, {TP0: slice_of(10, 40)})
    app.next_tenures[TP0] = successor = tenure(TP0, 20, resume=3)
    await consumer.reposition([TP0])
    assert thread.seeks == [{TP0: 3}]
    for first in range(3, 43, 5):
        await drain(consumer, {TP0: slice_of(first, first + 5)})
    ranges = conductor.ranges(successor)
    assert ranges[0][0] == 3
    assert [first for first, _ in ranges[1:]] == [end for _, end in ranges[:-1]]
    assert successor.delivered == 43


async def test_a_hole_that_passed_is_followed_by_what_continues_it(driven, conductor):
    consumer, _ = driven
    mine = consumer.tenures[TP0]
    for _ in range(2):
        await drain(consumer, {TP0: slice_of(13, 20)})
    await drain(consumer, {TP0: slice_of(20, 21)})
    assert conductor.ranges(mine) == [(13, 17), (17, 20), (20, 21)]


async def test_repositioning_takes_only_what_is_still_ours(driven, app):
    consumer, thread = driven
    del consumer.tenures[TP1]
    app.next_tenures = {TP0: tenure(TP0, 12), TP1: tenure(TP1, 12)}
    await consumer.reposition([TP0, TP1])
    assert consumer.tenures == {TP0: app.next_tenures[TP0]}
    assert thread.seeks == [{TP0: 12}]

"""Chunks taken, acknowledged, and turned into dead letters."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP, ConsumerMessage, Message
from hypothesis import given
from hypothesis import strategies as st

from schemas.dead_letter import DeadLetter, dead_letter_id
from schemas.errors import Poison, Reason
from streams import guard
from streams.chunks import chunk_message
from streams.guard import Diverted, SingleRecord
from streams.setting_sources import Reading, detached
from streams.settings import InForce
from tests.unit.streams.consumers import TICKS, Record, TickApp, driven_consumer, piece, slice_of, tenure

TP0, TP1 = TP(TICKS, 0), TP(TICKS, 1)
HEADERS = st.lists(st.tuples(st.text(max_size=8), st.binary(max_size=8)), max_size=4).map(tuple)


class Event:
    """An event that notes its acknowledgement."""

    def __init__(self, message: Message) -> None:
        self.message, self.value, self.acks = message, message.value, 0

    def ack(self) -> bool:
        self.acks += 1
        return True


class Stream:
    """Yields events as a Faust stream does that was told not to acknowledge."""

    def __init__(self, *events: Event) -> None:
        self._events, self._noack = events, False

    def noack(self) -> Stream:
        self._noack = True
        return self

    async def events(self):
        assert self._noack, "Faust's own iteration acknowledges when the body raises"
        for event in self._events:
            yield event


def letter(record: Record, **changes) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]:
    poison = Poison(Reason.SCHEMA, "price: should be greater than 0")
    facts: dict[str, Any] = {"group": "workers", "now_ns": 1_700_000_000_000_000_123} | changes
    return guard.dead_letter(TP("md.trades.v1", 5), Diverted(record, poison, "decode"), **facts)


@given(st.none() | st.binary(max_size=64), st.none() | st.binary(max_size=64), HEADERS)
def test_a_dead_letter_leaves_the_original_untouched(key, value, headers):
    found_key, found_value, found = letter(Record(7, value, key, headers=headers))
    assert (found_key, found_value) == (key, value)
    assert tuple(found[: len(headers)]) == headers
    assert [name for name, _ in found[len(headers) :]] == [
        field.alias for field in DeadLetter.model_fields.values()
    ]


def test_a_dead_letter_says_what_was_wrong_and_where_it_came_from():
    _, _, headers = letter(Record(42, b"\xff", timestamp=1_699_999_999_999))
    assert dict(headers) | {"dlq.app.version": b"", "dlq.id": b""} == {
        "dlq.id": b"",
        "dlq.reason": b"schema",
        "dlq.stage": b"decode",
        "dlq.error.message": b"price: should be greater than 0",
        "dlq.orig.topic": b"md.trades.v1",
        "dlq.orig.partition": b"5",
        "dlq.orig.offset": b"42",
        "dlq.orig.timestamp": b"1699999999999",
        "dlq.orig.group": b"workers",
        "dlq.first_failed_at": b"1700000000000000123",
        "dlq.app.version": b"",
    }


def test_the_id_of_a_dead_letter_is_the_same_however_often_it_is_diverted():
    def id_of(offset: int, **changes) -> bytes:
        return dict(letter(Record(offset), **changes)[2])["dlq.id"]

    assert id_of(42) == id_of(42, now_ns=5)
    assert len({id_of(42), id_of(43), id_of(42, group="others")}) == 3
    assert id_of(42).decode() == dead_letter_id("md.trades.v1", 5, 42, "workers")


def test_a_header_of_the_same_name_comes_before_ours():
    _, _, headers = letter(Record(1, headers=(("dlq.reason", b"theirs"),)))
    assert [value for name, value in headers if name == "dlq.reason"] == [b"theirs", b"schema"]


async def test_chunks_of_ended_tenures_are_dropped_and_acknowledged():
    app = TickApp()
    consumer, _ = driven_consumer(app)
    mine, ended = tenure(TP0, 10), tenure(TP0, 5)
    consumer.tenures[TP0] = mine
    events = [
        Event(chunk_message([piece(owner, at, at + 2)], 1))
        for at, owner in [(5, ended), (7, ended), (10, mine)]
    ]
    taken = [chunk async for chunks in guard.chunks(app, Stream(*events)) for chunk in chunks]
    assert [(chunk.tenure, chunk.records) for chunk in taken] == [(mine, slice_of(10, 12))]
    assert [event.acks for event in events] == [1, 1, 0]
    assert (app.counters.stale_dropped, app.counters.chunks) == (2, 1)


async def test_a_tenure_that_ends_while_a_chunk_waits_counts_for_the_next_one():
    app = TickApp()
    consumer, _ = driven_consumer(app)
    mine = consumer.tenures[TP0] = tenure(TP0, 10)
    events = [Event(chunk_message([piece(mine, at, at + 2)], 1)) for at in (10, 12)]
    taken = []
    async for (chunk,) in guard.chunks(app, Stream(*events)):
        taken.append(chunk.records[0].offset)
        consumer.tenures[TP0] = tenure(TP0, 10)
    assert taken == [10]
    assert [event.acks for event in events] == [0, 1]


async def test_an_event_has_passed_when_the_last_of_its_slices_has():
    app = TickApp()
    consumer, _ = driven_consumer(app)
    zero, one = tenure(TP0, 10), tenure(TP1, 20)
    consumer.tenures = {TP0: zero, TP1: one}
    event = Event(chunk_message([piece(zero, 10, 12), piece(one, 20, 21)], 1))
    ((first, second),) = [chunks async for chunks in guard.chunks(app, Stream(event))]
    assert first.piece.records == [], "it waits without its records"
    guard.acknowledge(second.piece)
    assert (first.piece.acked, second.piece.acked, event.acks) == (False, True, 0)
    guard.acknowledge(first.piece)
    assert (first.piece.acked, event.acks) == (True, 1)


async def test_an_ended_tenure_takes_no_other_partition_of_its_event_with_it():
    app = TickApp()
    consumer, _ = driven_consumer(app)
    ended, one = tenure(TP0, 10), tenure(TP1, 20)
    consumer.tenures = {TP0: tenure(TP0, 10), TP1: one}
    event = Event(chunk_message([piece(ended, 10, 12), piece(one, 20, 21)], 1))
    ((chunk,),) = [chunks async for chunks in guard.chunks(app, Stream(event))]
    assert (chunk.tenure, event.acks) == (one, 0)
    guard.acknowledge(chunk.piece)
    assert event.acks == 1


async def test_faust_is_told_of_every_partition_that_it_goes_on():
    app = TickApp()
    consumer, _ = driven_consumer(app)
    consumer.tenures = {TP0: tenure(TP0, 10), TP1: tenure(TP1, 20)}
    slices = [piece(owner, owner.stored, owner.stored + 1) for owner in consumer.tenures.values()]
    _ = [chunks async for chunks in guard.chunks(app, Stream(Event(chunk_message(slices, 1))))]
    now = app.clock.monotonic()
    assert [round(now - app.monitor.stream_inbound_time[tp]) for tp in (TP0, TP1)] == [0, 0]


async def test_whoever_leaves_the_loop_acknowledges_nothing():
    app = TickApp()
    consumer, _ = driven_consumer(app)
    mine = consumer.tenures[TP0] = tenure(TP0, 10)
    event = Event(chunk_message([piece(mine, 10, 12)], 1))

    async def fail_at_the_first() -> None:
        async for _ in guard.chunks(app, Stream(event)):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_at_the_first()
    assert event.acks == 0


def single(offset: int, generation: int, headers: Any = None, value: bytes | None = b"{}") -> Event:
    """An event as the driver makes it: seconds, not milliseconds."""
    return Event(
        ConsumerMessage(
            topic="jobs",
            partition=3,
            offset=offset,
            timestamp=1_700_000_000_123 / 1000.0,
            timestamp_type=1,
            headers=headers,
            key=b"job-1",
            value=value,
            checksum=None,
            tp=TP("jobs", 3),
            generation_id=generation,
        )
    )


async def test_a_single_record_is_what_the_broker_has():
    app = TickApp()
    app.consumer_generation_id = 4
    headers = (("a", b"1"), ("a", b"2"))
    events = [single(7, 4, headers), single(8, 4, value=None), single(9, 4, {"b": b"3"})]
    taken = [one async for one in guard.events(app, Stream(*events))]
    assert [one.tp for one in taken] == [TP("jobs", 3)] * 3
    assert taken[0].record == SingleRecord(7, 1_700_000_000_123, 1, b"job-1", b"{}", headers)
    assert (taken[1].record.value, taken[1].record.headers) == (None, ())
    assert taken[2].record.headers == (("b", b"3"),)
    assert [event.acks for event in events] == [0, 0, 0]
    taken[1].ack()
    assert [event.acks for event in events] == [0, 1, 0]


async def test_single_records_of_an_assignment_that_has_ended_are_dropped():
    app = TickApp()
    app.consumer_generation_id = 4
    events = [single(7, 3), single(7, 4)]
    taken: list[Any] = [one.event async for one in guard.events(app, Stream(*events))]
    assert taken == events[1:]
    assert [event.acks for event in events] == [1, 0]
    assert app.counters.stale_dropped == 1


async def test_whoever_leaves_the_loop_acknowledges_no_single_record():
    app = TickApp()
    event = single(7, app.consumer_generation_id)

    async def fail_at_the_first() -> None:
        async for _ in guard.events(app, Stream(event)):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_at_the_first()
    assert event.acks == 0


@pytest.mark.parametrize(("partitions", "target"), [(12, 5), (4, 1), (1, 0)])
async def test_a_diverted_record_goes_to_the_partition_of_its_number(partitions, target):
    delivered: list[Any] = []

    async def deliver(messages: Any) -> None:
        delivered.append(messages)

    app: Any = TickApp()
    app.in_force = InForce(Reading(detached({"topic_partitions": partitions, "topic_prefix": "x."}), {}))
    app.services = SimpleNamespace(output=SimpleNamespace(deliver=deliver))
    record = Record(42, b"?")
    await guard.divert(app, TP("jobs", 5), Diverted(record, Poison(Reason.SCHEMA, "job_id: no"), "decode"))
    ((where, (message,)),) = delivered[0].items()
    assert where == ("x.md.dlq.v1", target)
    assert (message[0], message[1]) == (record.key, b"?")
    assert dict(message[2])["dlq.orig.partition"] == b"5"
    assert app.counters.dead_letters[Reason.SCHEMA] == 1

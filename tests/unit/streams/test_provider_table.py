"""The provider table: whose record counts, and that the same records make the same table."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.routing import NOTHING_KNOWN
from schemas.errors import Reason
from schemas.provider import PROVIDERS
from streams.provider_table import forget, older
from tests.unit.domain.outcomes import START
from tests.unit.ops.snapshots import health
from tests.unit.streams.consumers import Record
from tests.unit.streams.keepers import Broker, MemoryTable


def record(offset: int, **changes) -> Record:
    one = health(**changes)
    return Record(offset, one.model_dump_json().encode(), one.provider.encode())


async def taken(*records: Record) -> MemoryTable:
    broker = Broker()
    broker.table = list(records)
    table = MemoryTable(broker)
    await table.follow()
    return table


async def test_nothing_bad_is_known_of_a_provider_without_a_record():
    table = await taken()
    assert (table.version, dict(table.health)) == (0, {})
    assert table.standings() == dict.fromkeys(PROVIDERS, NOTHING_KNOWN)


async def test_the_last_record_counts():
    table = await taken(
        record(0, position=1),
        record(1, position=2, provider="iex"),
        record(2, position=2, score=0.5),
        record(3, position=2, score=0.4),
    )
    assert table.version == 4
    assert {name: (h.position, h.score) for name, h in table.health.items()} == {
        "polygon": (2, 0.4),
        "iex": (2, 0.3125),
    }
    assert table.standings()["polygon"].score == 0.4


async def test_a_record_with_fewer_outcomes_or_changes_of_state_is_of_a_former_owner():
    table = await taken(
        record(0, position=9, transitions=4, worker="now"),
        record(1, position=8, transitions=9, worker="then"),
        record(2, position=9, transitions=3, worker="then"),
    )
    assert table.health["polygon"].worker == "now"
    assert (table.version, table.superseded) == (3, 2)


def test_older():
    one = health(position=5, transitions=2)
    assert older(one, health(position=6, transitions=1))
    assert older(one, health(position=5, transitions=3))
    assert not older(one, health(position=5, transitions=2))
    assert not older(one, health(position=4, transitions=9))


async def test_after_a_tombstone_the_next_record_counts_whatever_its_position():
    key, value = forget("polygon")
    table = await taken(record(0, position=900), Record(1, value, key))
    assert dict(table.health) == {}
    table = await taken(record(0, position=900), Record(1, value, key), record(2, position=1))
    assert table.health["polygon"].position == 1


@pytest.mark.parametrize(
    ("value", "key", "reason"),
    [
        (b"{", b"polygon", Reason.DESERIALIZE),
        (b'{"provider": "polygon"}', b"polygon", Reason.SCHEMA),
        (None, b"kraken", Reason.EMPTY),
        (b"", None, Reason.EMPTY),
    ],
)
async def test_poison_is_diverted_and_changes_nothing(value, key, reason):
    table = await taken(record(0), Record(1, value, key))
    (diverted,) = table.diverted
    assert (diverted.poison.reason, diverted.record.offset, diverted.stage) == (reason, 1, "provider_table")
    assert table.version == 2
    assert table.health["polygon"] == health()


async def test_poison_that_was_there_before_the_start_is_not_diverted_again():
    table = MemoryTable(Broker())
    await table.take([Record(0, b"{")], live=False)
    assert table.diverted == []


async def test_a_newer_field_is_no_poison():
    newer = health().model_dump_json()[:-1] + ', "mood": "calm"}'
    table = await taken(Record(0, newer.encode(), b"polygon"))
    assert table.health["polygon"] == health()


async def test_standings_are_replaced_not_changed():
    table = await taken(record(0))
    before = table.standings()
    assert table.standings() is before, "a job asks for them: they are not made anew each time"
    await table.take([record(1, state="closed", score=0.9, position=5_000)], live=True)
    assert (before["polygon"].fit, table.standings()["polygon"].fit) == (False, True)


async def test_a_change_can_be_waited_for():
    broker = Broker()
    table = MemoryTable(broker)
    waiting = asyncio.ensure_future(table.wait_for_change(table.version))
    await asyncio.sleep(0)
    assert not waiting.done()
    broker.table.append(record(0))
    await table.follow()
    await asyncio.wait_for(waiting, 1)
    await asyncio.wait_for(table.wait_for_change(0), 1)


@given(
    st.lists(
        st.tuples(st.sampled_from(PROVIDERS), st.integers(0, 9), st.integers(0, 3), st.booleans()),
        max_size=30,
    ),
    st.data(),
)
async def test_who_reads_in_other_batches_knows_the_same(rows, data):
    records = [
        Record(n, None, provider.encode())
        if gone
        else record(n, provider=provider, position=position, transitions=moves, ts=START + n)
        for n, (provider, position, moves, gone) in enumerate(rows)
    ]
    one = await taken(*records)
    other = MemoryTable(Broker())
    rest = records
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        await other.take(rest[:size], live=data.draw(st.booleans()))
        rest = rest[size:]
    assert (other.version, other.health) == (one.version, one.health)
    assert other.standings() == one.standings()

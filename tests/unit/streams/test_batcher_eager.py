"""A lane that publishes at once: in order, and before anything of it is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from streams.batcher import EAGER_RECORDS, Batcher, Part
from streams.output import Message, Target
from tests.unit.streams.clocks import SetClock
from tests.unit.streams.consumers import TICKS, tenure

TP0 = TP(TICKS, 0)


class Row:
    """A row that is its own number."""

    def __init__(self, n: int) -> None:
        self.n, self.id, self.symbol, self.ts_event = n, str(n), "A", n


class World:
    """A worker, its broker and its database, which stores only when it may."""

    def __init__(self) -> None:
        self.may_store = asyncio.Event()
        self.said: list[tuple[str, tuple[int, ...]]] = []
        self.tenure = tenure(TP0, 0)
        self.tenures = {TP0: self.tenure}
        self.clock = SetClock(1_700_000_040)
        self.settings = SimpleNamespace(
            topic=lambda spec: spec,
            queue_chunks=32,
            chunk_max_records=100,
            flush_ms=0,
            flush_records=1,
            database_budget_s=1.0,
        )
        self.rebalancing = self.should_stop = False
        self.counters: Any = SimpleNamespace(
            stored=0, dead_lettered=0, late=0, transactions=0, stale_dropped=0
        )
        self.services = SimpleNamespace(output=SimpleNamespace(deliver=self._deliver))
        self.eager, self.target = True, "out"
        self.writer = SimpleNamespace(store=None)
        self.database = SimpleNamespace(patiently=self._store)

    def messages(self, part: Part[Any]) -> Iterable[Any]:
        return [row.n for row in part.rows]

    async def committed(self, parts: Sequence[Part[Any]], rows: Sequence[Any]) -> None:
        self.said.append(("committed", tuple(row.n for row in rows)))

    async def _deliver(self, messages: Mapping[Target, Iterable[Message]]) -> None:
        ((_, items),) = messages.items()
        self.said.append(("published", tuple(items)))  # type: ignore[arg-type]

    async def _store(self, _budget: float, _store: Any, rows: Sequence[Row], _moves: Any) -> None:
        await self.may_store.wait()
        self.said.append(("stored", tuple(row.n for row in rows)))

    def part(self, n: int) -> Part[Any]:
        return Part(self.tenure, n, 1, rows=[Row(n)])

    def prepare(self, part: Part[Any]) -> None:
        self.said.append(("prepared", tuple(row.n for row in part.rows)))

    def rows(self, parts: Sequence[Part[Any]]) -> Sequence[Any]:
        return [row for part in parts for row in part.rows]


@pytest.fixture
async def world() -> World:
    return World()


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_published_before_what_is_ahead_is_stored_and_stored_once(world: Any):
    batcher: Batcher[Any] = Batcher(world, world)
    async with batcher:
        for n in (1, 2, 3):
            await batcher.put([world.part(n)])
        await settled()
        published = [n for what, numbers in world.said for n in numbers if what == "published"]
        assert published == [1, 2, 3]
        assert not any(what == "stored" for what, _ in world.said)
        world.may_store.set()
        await settled()
    stored = [n for what, numbers in world.said for n in numbers if what == "stored"]
    assert stored == [1, 2, 3]
    assert [n for what, numbers in world.said for n in numbers if what == "published"] == [1, 2, 3]
    for n in (1, 2, 3):
        at = [i for i, (_, numbers) in enumerate(world.said) if n in numbers]
        assert [world.said[i][0] for i in at] == ["published", "prepared", "stored", "committed"]


async def test_what_came_with_one_fetch_is_published_in_one_delivery(world: Any):
    batcher: Batcher[Any] = Batcher(world, world)
    async with batcher:
        await batcher.put([world.part(n) for n in (1, 2, 3)])
        await settled()
        assert world.said == [
            ("published", (1, 2, 3)),
            ("prepared", (1,)),
            ("prepared", (2,)),
            ("prepared", (3,)),
        ]


async def test_a_delivery_that_only_rebuilt_state_leaves_nothing(world: Any):
    batcher: Batcher[Any] = Batcher(world, world)
    async with batcher:
        await batcher.put([])
        await settled()
    assert world.said == []


async def test_what_has_ended_is_not_published(world: Any):
    batcher: Batcher[Any] = Batcher(world, world)
    old = world.part(1)
    world.tenures[TP0] = tenure(TP0, 0)
    async with batcher:
        await batcher.put([old])
        await settled()
    assert world.said == []


async def test_a_slow_database_stops_the_fold(world: Any):
    batcher: Batcher[Any] = Batcher(world, world)
    size = EAGER_RECORDS // 4

    async def fold() -> None:
        for n in range(1, 20):
            part = world.part(n)
            part.count = size
            await batcher.put([part])

    async with batcher:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(fold(), 0.5)


async def test_many_small_parts_are_published_while_a_transaction_is_under_way(world: Any):
    batcher: Batcher[Any] = Batcher(world, world)
    async with batcher:
        for n in range(1, 201):
            await batcher.put([world.part(n)])
            await asyncio.sleep(0)
        await settled()
        published = [n for what, numbers in world.said for n in numbers if what == "published"]
        assert published == list(range(1, 201))


async def test_what_was_published_together_is_stored_as_it_was_delivered(world: Any):
    # a transaction takes whole deliveries until it has FLUSH_RECORDS: all at once it would be far above
    world.may_store.set()
    batcher: Batcher[Any] = Batcher(world, world)
    for n in (1, 3, 5):
        await batcher.put([world.part(n), world.part(n + 1)])
    async with batcher:
        await settled()
    assert world.said[0] == ("published", (1, 2, 3, 4, 5, 6))
    assert [numbers for what, numbers in world.said if what == "stored"] == [(1, 2), (3, 4), (5, 6)]
